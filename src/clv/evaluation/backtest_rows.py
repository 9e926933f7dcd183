"""What the tables of a backtest are made of: rows, and its record for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from clv.errors import DataError
from clv.evaluation.aggregates import GroupTotals, group_totals
from clv.evaluation.cut import Cut
from clv.evaluation.foreseen import QUANTITIES, Quantity

if TYPE_CHECKING:
    from clv.evaluation.backtest import Backtest

_SUMMARY = {
    "purchases": (
        *("bias", "mean_absolute_error", "root_mean_squared_error", "crps", "log_score"),
        *("spearman", "spearman_tie_expected", "normalised_gini", "captured_top_10"),
    ),
    "value": (
        *("bias", "mean_absolute_error", "mean_absolute_error_of_median"),
        *("root_mean_squared_error", "crps"),
        *("spearman", "spearman_tie_expected", "normalised_gini", "captured_top_10"),
    ),
}
"""The metrics that summaries and differences show."""


def summary_rows(tried: Backtest, quantity: Quantity) -> list[dict[str, Any]]:
    """A row per method: means over the cuts."""
    rows = []
    for method, label in tried.labels(quantity).items():
        found = [tried.mean(quantity, method, metric) for metric in _SUMMARY[quantity]]
        row: dict[str, Any] = {"method": method, "label": label, "cuts": found[0].cuts}
        row |= dict(zip(_SUMMARY[quantity], (f.value for f in found), strict=True))
        if quantity == "purchases":
            metric = f"pit_coverage_{100 * tried.interval_level:g}"
            row["pit_coverage"] = tried.mean(quantity, method, metric).value
        rows.append(row)
    return rows


def difference_rows(tried: Backtest, quantity: Quantity, method: str) -> list[dict[str, Any]]:
    """A row per other method and metric."""
    rows = []
    names = ("difference", "low", "high", "low_cuts", "high_cuts", "cuts")
    for other, label in tried.labels(quantity).items():
        if other == method:
            continue
        for metric in _SUMMARY[quantity]:
            found = tried.difference(quantity, metric, method, other)
            if found.cuts:
                row = {"method": other, "label": label, "metric": metric}
                rows.append(row | dict(zip(names, found, strict=True)))
    return rows


def totals_by(cut: Cut, quantity: Quantity, method: str, by: str) -> GroupTotals:
    """Totals of the parts of the customers that something divides them into.

    Raises
    ------
    DataError
        If nothing of that name does.
    """
    parts = [part for part in cut.segments if part.by == by]
    if not parts:
        known = dict.fromkeys(part.by for part in cut.segments)
        raise DataError(f"customers are not divided by {by!r}; there are {', '.join(known)}")
    group = np.zeros(len(cut.table), dtype=np.int64)
    for number, part in enumerate(parts):
        group[part.rows] = number
    return group_totals(cut, quantity, method, [part.name for part in parts], group)


def total_rows(found: GroupTotals, level: float) -> list[dict[str, Any]]:
    """A row per group, with its interval."""
    low, high = found.interval(level)
    return [
        {
            "segment": segment,
            "customers": int(found.customers[k]),
            "expected": float(found.expected[k]),
            "low": float(low[k]),
            "high": float(high[k]),
            "actual": float(found.actual[k]),
            "holds": bool(low[k] <= found.actual[k] <= high[k]),
        }
        for k, segment in enumerate(found.names)
    ]


def record(tried: Backtest) -> dict[str, Any]:
    """Summaries, fits and notes in the types of JSON."""
    return {
        "horizon": tried.horizon,
        "time_unit": tried.time_unit,
        "window": tried.window,
        "levels": list(tried.levels),
        "interval": tried.interval,
        "cuts": [
            {
                "cut": cut.cut.isoformat(),
                "end": cut.end.isoformat(),
                "customers": 0 if cut.rfm is None else len(cut.rfm),
                "reason": cut.reason,
            }
            for cut in tried.cuts
        ],
        **{quantity: tried.summary(quantity).to_dict() for quantity in QUANTITIES},
        "fits": tried.fits.to_dict(),
        "notes": list(tried.notes),
    }
