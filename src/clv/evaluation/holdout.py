"""What a comparison is made of: the holdout, and the rows of its tables."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from clv.errors import DataError
from clv.evaluation import metrics
from clv.evaluation.migration import best, cells, matrix_rows
from clv.tables.rfm import RFM
from clv.totals import Total

Floats = NDArray[np.float64]

LABELS = {
    "total_past_spend": "total past spend",
    "repeat_past_spend": "repeat past spend",
    "spend_per_tenure": "spend per tenure",
    "purchases_per_tenure": "purchases per tenure",
    "same_as_last_period": "same as last period",
}
"""Names of the methods of history for people."""

_LAST_BIN = 7
_DIGITS = 12
_NEGLIGIBLE = 1e-250


class Holdout(NamedTuple):
    """What happened after the cut.

    Attributes
    ----------
    start, end
        It lies between the calibration end and the observation end.
    purchases, value
        Per customer, shape (n,).
    """

    start: date
    end: date
    purchases: Floats
    value: Floats

    @classmethod
    def of(cls, rfm: RFM) -> Holdout:
        """Take it from a table.

        Raises
        ------
        DataError
            If the table has none.
        """
        start, end = rfm.calibration_period_end, rfm.observation_period_end
        if start is None or end is None or not rfm.has_holdout:
            raise DataError(
                "the table has no holdout, so there is nothing to compare with; make it with "
                "clv.rfm_summary(..., calibration_period_end=...) and fit the models to that table"
            )
        return cls(
            start,
            end,
            np.asarray(rfm.array("holdout_purchases")),
            rounded(rfm.array("holdout_spend")),
        )


def rounded(values: Floats) -> Floats:
    """Round to twelve significant digits, so that equal sums are ties in every engine.

    Examples
    --------
    >>> rounded(np.array([0.1 + 0.2, 0.0, -1e-300])).tolist()
    [0.3, 0.0, -0.0]
    """
    exponent = np.floor(np.log10(np.maximum(np.abs(values), _NEGLIGIBLE)))
    unit = 10.0 ** (exponent - (_DIGITS - 1))
    result: Floats = np.rint(values / unit) * unit
    return result


# -- rows of the tables ---------------------------------------------------------------------------


def value_coverage(actual: Floats, low: Floats, high: Floats, level: float) -> dict[str, Any]:
    """The row of the coverage table for intervals of value."""
    return {
        "figure": "value",
        "level": level,
        "pit_coverage": float("nan"),
        "coverage": metrics.interval_coverage(actual, low, high),
        "width": metrics.interval_width(low, high),
        "interval_score": metrics.interval_score(actual, low, high, level),
    }


def total_rows(totals: Sequence[Total], holdout: Holdout) -> list[dict[str, Any]]:
    """Rows of the table of totals."""
    figures = {
        "expected_purchases": ("purchases", holdout.purchases),
        "residual_value": ("value", holdout.value),
    }
    rows = []
    for total in totals:
        if total.name in figures:
            figure, happened = figures[total.name]
            actual = float(happened.sum())
            rows.append(
                {
                    "figure": figure,
                    "prediction": total.value,
                    "low": total.low,
                    "high": total.high,
                    "actual": actual,
                    "holds": bool(total.low <= actual <= total.high),
                }
            )
    return rows


def calibration_rows(figure: str, actual: Floats, prediction: Floats) -> list[dict[str, Any]]:
    """Rows of the calibration table."""
    groups = min(10, actual.size)
    if groups < 2:
        return []
    table = metrics.decile_calibration(actual, prediction, groups)
    return [
        {"figure": figure, **dict(zip(table._fields, row, strict=True))}
        for row in zip(*(column.tolist() for column in table), strict=True)
    ]


def frequency_rows(frequency: Floats, actual: Floats, prediction: Floats) -> list[dict[str, Any]]:
    """Rows of the table by repeat purchases before the cut: 0, 1, ..., 7 and more."""
    group = np.minimum(frequency, _LAST_BIN).astype(np.int64)
    customers = np.bincount(group, minlength=_LAST_BIN + 1)
    means = [
        np.divide(
            np.bincount(group, weights=values, minlength=_LAST_BIN + 1),
            customers,
            out=np.full(_LAST_BIN + 1, np.nan),
            where=customers > 0,
        )
        for values in (actual, prediction)
    ]
    return [
        {
            "frequency": f"{bin_}+" if bin_ == _LAST_BIN else str(bin_),
            "customers": int(customers[bin_]),
            "mean_actual": float(means[0][bin_]),
            "mean_prediction": float(means[1][bin_]),
        }
        for bin_ in range(_LAST_BIN + 1)
    ]


def customer_columns(
    rfm: RFM,
    holdout: Holdout,
    count: Floats,
    value: Floats,
    past_purchases: dict[str, Floats],
    history: dict[str, Floats],
    top: float,
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Columns of the table per customer, and the rows of the migration matrix they add up to."""
    columns: dict[str, Any] = {
        "customer_id": rfm.data["customer_id"],
        "actual_purchases": holdout.purchases,
        "predicted_purchases": count,
        **past_purchases,
        "actual_value": holdout.value,
        "predicted_value": value,
        **history,
    }
    ranked = {"actual_value": holdout.value, "predicted_value": value, **history}
    columns |= {f"rank_{name}": _rank(values) for name, values in ranked.items()}
    # ties at the border of a list: who spent more so far, then who bought more often
    breakers = (history["total_past_spend"], rfm.array("frequency"))
    by_model = best(value, top, *breakers)
    rows: list[dict[str, Any]] = []
    for name, values in history.items():
        cell = cells(best(values, top, *breakers), by_model)
        columns[f"cell_{name}"] = cell
        rows += matrix_rows(name, LABELS[name], cell, holdout.purchases, holdout.value)
    return columns, rows


def _rank(values: Floats) -> Floats:
    """1 for the highest; ties share the mean of their ranks."""
    return metrics.mid_ranks(-values)
