"""Prediction against history: the same customers, the same metrics, what really happened."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from datetime import date
from html import escape
from typing import Any

import numpy as np

from clv.errors import DataError
from clv.evaluation.coverage import LEVELS, count_distribution
from clv.evaluation.holdout import (
    LABELS,
    Holdout,
    calibration_rows,
    customer_columns,
    frequency_rows,
    rounded,
    total_rows,
    value_coverage,
)
from clv.evaluation.migration import CELLS
from clv.evaluation.scores import PREDICTION, Scores, score
from clv.evaluation.table import ResultTable, plain
from clv.evaluation.verdict import Sentence, verdict
from clv.fitted import Fitted, FittedPurchases, FittedSpend
from clv.forecast import forecast
from clv.history import historical_forecasts, historical_purchase_forecasts
from clv.tables._frame import Table
from clv.tables.rfm import RFM
from clv.units import TimeUnit


@dataclass(frozen=True, repr=False)
class Comparison:
    """What a model foresaw, what history would have said, and what happened. Made by `compare`.

    Prints and shows itself with its tables and its verdict.

    Attributes
    ----------
    n_customers, time_unit, horizon
        Customers compared; length of the holdout in `time_unit`.
    calibration_period_end, observation_period_end
        The holdout lies between them.
    models
        Names of the purchase model and the spend model.
    purchase_scores, value_scores
        All metrics, with the intervals of each and of each difference: `Scores`.
    differences
        Table: metric of the prediction less that of each other method, with its interval.
    totals
        Table: predicted total with the forecast's own interval, and the actual one.
    coverage
        Table: nominal level, randomised-PIT coverage, plain coverage, mean width and interval
        score of predictive intervals.
    calibration
        Table: mean prediction and mean actual figure by tenth of the customers, highest
        predictions first.
    frequency
        Table: mean holdout purchases, foreseen and actual, by repeat purchases before the cut.
    migration
        Table: customers and holdout value by who counts them among the best.
    customers
        Table with one row per customer: actual figures, prediction, every figure of history,
        ranks (1 is best, ties share), and the cell of the migration matrix for each method.
    verdict
        Sentences, each with the numbers it rests on.
    interval, top
        Level of the intervals, and the share of the customers that "the best" are.
    notes
        How the intervals were found, and what could not be checked.
    """

    n_customers: int
    time_unit: TimeUnit
    horizon: float
    calibration_period_end: date
    observation_period_end: date
    models: tuple[str, str]
    purchase_scores: Scores
    value_scores: Scores
    differences: ResultTable
    totals: ResultTable
    coverage: ResultTable
    calibration: ResultTable
    frequency: ResultTable
    migration: ResultTable
    customers: Table
    verdict: tuple[Sentence, ...]
    interval: float
    top: float
    notes: tuple[str, ...]

    @property
    def purchases(self) -> ResultTable:
        """One row per method: how well it foresaw the number of purchases."""
        return self.purchase_scores.table(f"Purchases per customer, {self._span}")

    @property
    def value(self) -> ResultTable:
        """One row per method: how well it foresaw what customers spent."""
        return self.value_scores.table(f"Value per customer, {self._span}")

    def migrated(self, method: str, cell: str) -> Table:
        """Who is in a cell of the migration matrix.

        Parameters
        ----------
        method
            A method of history, such as "total_past_spend".
        cell
            "both", "history_only", "model_only" or "neither".

        Returns
        -------
        Table
            Their rows of `customers`, highest predicted value first.

        Raises
        ------
        DataError
            If there is no such method or cell.
        """
        if method not in self.value_scores.history or cell not in CELLS:
            raise DataError(
                f"there is no cell {cell!r} for {method!r}; methods are "
                f"{', '.join(self.value_scores.history)} and cells {', '.join(CELLS)}"
            )
        rows = np.flatnonzero(self.customers.values(f"cell_{method}") == cell)
        rows = rows[np.argsort(-self.customers.array("predicted_value")[rows], kind="stable")]
        columns = {name: values[rows] for name, values in self.customers.data.items()}
        return Table.from_columns(columns, like=self.customers)

    def to_dict(self) -> dict[str, Any]:
        """Everything but the customers, in the types of JSON."""
        return {
            "customers": self.n_customers,
            "time_unit": self.time_unit,
            "horizon": self.horizon,
            "calibration_period_end": plain(self.calibration_period_end),
            "observation_period_end": plain(self.observation_period_end),
            "models": list(self.models),
            "interval": self.interval,
            "top": self.top,
            **{name: table.to_dict() for name, table in self._tables().items()},
            "differences": self.differences.to_dict(),
            "calibration": self.calibration.to_dict(),
            "verdict": [
                {
                    "topic": said.topic,
                    "text": said.text,
                    "news": said.news,
                    "numbers": plain(said.numbers),
                }
                for said in self.verdict
            ],
            "notes": list(self.notes),
        }

    @property
    def _span(self) -> str:
        return f"{self.horizon:g} {self.time_unit}s"

    def _tables(self) -> dict[str, ResultTable]:
        """Those that are shown."""
        return {
            "purchases": self.purchases,
            "value": self.value,
            "totals": self.totals,
            "coverage": self.coverage,
            "frequency": self.frequency,
            "migration": self.migration,
        }

    def __repr__(self) -> str:
        tables = [str(table) for table in self._tables().values()]
        said = "\n".join(_wrapped(f"- {sentence.text}") for sentence in self.verdict)
        notes = "\n".join(_wrapped(f"note: {note}") for note in self.notes)
        return "\n\n".join([*tables, f"Verdict\n-------\n{said}", notes])

    def _repr_html_(self) -> str:
        said = "".join(f"<li>{escape(sentence.text)}</li>" for sentence in self.verdict)
        tables = "".join(table._repr_html_() for table in self._tables().values())
        notes = "".join(f"<p><small>{escape(note)}</small></p>" for note in self.notes)
        return f"<div><p><b>Verdict</b></p><ul>{said}</ul>{tables}{notes}</div>"


def compare(
    rfm: RFM,
    purchases: FittedPurchases,
    spend: FittedSpend,
    *,
    interval: float = 0.9,
    bootstrap: int = 1000,
    seed: int = 0,
    top: float = 0.1,
) -> Comparison:
    """Set a prediction beside the historical figures, on what really happened.

    The predicted value is ``expected_purchases * expected_spend`` over the holdout, undiscounted
    and at margin 1. History enters as `clv.historical_forecasts` and as purchases per tenure.

    Parameters
    ----------
    rfm
        Table with n customers and a holdout, from
        ``clv.rfm_summary(..., calibration_period_end=...)``.
    purchases, spend
        Models fitted to that table, or to earlier data.
    interval
        Level of the intervals of metrics and differences, and of the predictive intervals of
        value.
    bootstrap
        Resamples of the customers behind the former; with many customers fewer, or blocks, and
        the notes say so.
    seed
        Source of randomness.
    top
        Share of the customers that are "the best".

    Returns
    -------
    Comparison

    Raises
    ------
    DataError
        If the table has no holdout or no spend, a model has seen later data than the calibration
        end, or `interval`, `bootstrap` or `top` is out of range.
    UnitMismatchError
        If the table is in another time unit than a model.

    Notes
    -----
    Metrics and their sources are in `clv.evaluation.metrics`, the bootstrap in
    `clv.evaluation.resampling`.

    Examples
    --------
    >>> import clv
    >>> transactions = clv.read_transactions(clv.datasets.load_cdnow())
    >>> rfm = clv.rfm_summary(
    ...     transactions,
    ...     calibration_period_end="1997-09-30",
    ...     observation_period_end="1998-06-30",
    ... )
    >>> comparison = clv.compare(
    ...     rfm, clv.BetaGeoModel().fit(rfm), clv.GammaGammaModel().fit(rfm), bootstrap=200
    ... )
    >>> round(comparison.value.row(method="total_past_spend")["bias"], 3)
    1.439
    """
    _check(rfm, purchases, spend, interval, bootstrap, top)
    horizon = rfm.holdout_duration
    holdout = Holdout.of(rfm)
    count = rounded(purchases.expected_purchases(rfm, horizon))
    value = rounded(count * spend.expected_spend(rfm))
    history = {n: rounded(v) for n, v in historical_forecasts(rfm, horizon).items()}
    past_purchases = {n: rounded(v) for n, v in historical_purchase_forecasts(rfm, horizon).items()}
    title = f"{purchases.title} + {spend.title}"
    settings: dict[str, Any] = {
        "level": interval,
        "top": top,
        "resamples": bootstrap,
        "seed": seed,
    }
    purchase_scores = score(
        "purchases",
        holdout.purchases,
        {PREDICTION: count, **past_purchases},
        {PREDICTION: purchases.title, **{n: LABELS[n] for n in past_purchases}},
        **settings,
    )
    value_scores = score(
        "value",
        holdout.value,
        {PREDICTION: value, **history},
        {PREDICTION: title, **{n: LABELS[n] for n in history}},
        **settings,
    )
    ahead = forecast(
        rfm, purchases, spend, horizon=horizon, discount_rate=0.0, interval=interval, seed=seed
    )
    low, high = ahead.array("residual_value_low"), ahead.array("residual_value_high")
    coverage = [
        *count_distribution(purchases, rfm, horizon, holdout.purchases, LEVELS).rows(
            holdout.purchases
        ),
        value_coverage(holdout.value, low, high, interval),
    ]
    totals = total_rows(ahead.totals, holdout)
    frequency = frequency_rows(rfm.array("frequency"), holdout.purchases, count)
    columns, migration = customer_columns(rfm, holdout, count, value, past_purchases, history, top)
    columns |= {"value_low": low, "value_high": high}
    said = verdict(
        basis=_basis(rfm, purchases, spend),
        purchases=purchase_scores,
        value=value_scores,
        totals=totals,
        coverage=coverage,
        frequency=frequency,
        migration=migration,
        top=top,
    )
    return Comparison(
        n_customers=len(rfm),
        time_unit=rfm.time_unit,
        horizon=horizon,
        calibration_period_end=holdout.start,
        observation_period_end=holdout.end,
        models=(purchases.model_name, spend.model_name),
        purchase_scores=purchase_scores,
        value_scores=value_scores,
        differences=ResultTable.of(
            f"Prediction less the other methods, {interval:.0%} intervals",
            [*purchase_scores.difference_rows(), *value_scores.difference_rows()],
            "method",
        ),
        totals=ResultTable.of(f"Totals, {interval:.0%} predictive intervals", totals),
        coverage=ResultTable.of("Predictive intervals per customer", coverage),
        calibration=ResultTable.of(
            "Calibration by tenth of the customers, highest predictions first",
            [
                *calibration_rows("purchases", holdout.purchases, count),
                *calibration_rows("value", holdout.value, value),
            ],
        ),
        frequency=ResultTable.of("Holdout purchases by repeat purchases before", frequency),
        migration=ResultTable.of(
            f"Best {top:.0%} of the customers by value: who calls them so, and what they then "
            "were worth",
            migration,
            "method",
            "cell",
        ),
        customers=Table.from_columns(columns, like=rfm),
        verdict=said,
        interval=interval,
        top=top,
        notes=_notes(value_scores, purchases, spend, ends_level=interval),
    )


# -- parts ------------------------------------------------------------------------------------


def _check(
    rfm: RFM,
    purchases: FittedPurchases,
    spend: FittedSpend,
    interval: float,
    bootstrap: int,
    top: float,
) -> None:
    for fitted, kind, word in (
        (purchases, FittedPurchases, "purchase"),
        (spend, FittedSpend, "spend"),
    ):
        if not isinstance(fitted, kind):
            raise DataError(
                f"compare needs a fitted {word} model, not {type(fitted).__name__}; call fit first"
            )
        fitted.check_table(rfm)
    cut = Holdout.of(rfm).start
    for fitted in (purchases, spend):
        seen = fitted.observation_period_end
        if seen is not None and seen > cut:
            raise DataError(
                f"{fitted.title} was fitted to data up to {seen}, which is after the "
                f"calibration end {cut}: it has seen what it is to predict. Fit it to this table, "
                "or to earlier data"
            )
    for name, share in (("interval", interval), ("top", top)):
        if not 0 < share < 1:
            raise DataError(f"{name} must lie strictly between 0 and 1, not {share!r}")
    if bootstrap < 10:
        raise DataError(f"bootstrap must be at least 10 resamples, not {bootstrap!r}")


def _basis(rfm: RFM, purchases: Fitted, spend: Fitted) -> str:
    return (
        f"{purchases.title} and {spend.title} knew {len(rfm):,} customers up to "
        f"{rfm.calibration_period_end}. In the {rfm.holdout_duration:g} {rfm.time_unit}s after, to "
        f"{rfm.observation_period_end}, these made"
    )


def _notes(
    scores: Scores, purchases: Fitted, spend: Fitted, *, ends_level: float
) -> tuple[str, ...]:
    bootstrapped = (
        f"Intervals of metrics and differences: {scores.how}, {scores.level:.0%}. Predictions are "
        "as fitted; only which customers are in the table varies."
    )
    covered = (
        "Coverage: purchases by their exact predictive distribution at the fitted parameters; "
        f"value by the simulated {ends_level:.0%} intervals that clv.forecast gives."
    )
    unchecked = [
        f"{fitted.title} does not say up to when it has seen data, so it could not be "
        "checked that the holdout is new to it."
        for fitted in (purchases, spend)
        if fitted.observation_period_end is None
    ]
    return tuple(dict.fromkeys([bootstrapped, covered, *unchecked, *purchases.notes, *spend.notes]))


def _wrapped(text: str) -> str:
    return textwrap.fill(text, width=100, subsequent_indent="  ", break_long_words=False)
