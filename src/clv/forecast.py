"""One row per customer: are they there, what will they buy, what is that worth, how sure is it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import numpy as np

from clv.calibration import AS_EXPECTED, Calibration, clock_of
from clv.errors import DataError
from clv.fitted import FittedPurchases, FittedSpend, Stacked
from clv.numerics.backend import Array
from clv.scoring import IntervalKind, Question, score
from clv.scoring_parts import score_in_parts
from clv.tables._frame import Table
from clv.tables.large import Large, LargeRFM
from clv.tables.rfm import RFM
from clv.totals import Total, totals_of, widened
from clv.units import discount_rate_per_unit, parse_horizon


@dataclass(frozen=True, repr=False, eq=False)
class Forecast(Table):
    """A forecast; a table with one row per customer. See `forecast` for the columns.

    Attributes
    ----------
    as_of
        The day the forecast looks ahead from.
    horizon
        In `time_unit`; None for a perpetuity.
    interval, interval_kind
        Nominal probability of the ``_low`` and ``_high`` columns, and what they are intervals
        of: "predictive" (what the customer will do) or "expected" (the expected value).
    totals
        Sums over all customers with intervals of the same kind; see `Total`.
    calibration, before
        What was learned from earlier cuts, if the forecast was told, and what the totals were
        without it.
    """

    as_of: date | None = None
    time_unit: str = "week"
    horizon: float | None = None
    discount_rate: float = 0.0
    interval: float | None = None
    interval_kind: IntervalKind = "predictive"
    totals: tuple[Total, ...] = ()
    notes: tuple[str, ...] = ()
    calibration: Calibration | None = None
    before: tuple[Total, ...] = ()

    def _title(self) -> str:
        ahead = "without end" if self.horizon is None else f"{self.horizon:g} {self.time_unit}s"
        start = "" if self.as_of is None else f" from {self.as_of}"
        return f"Forecast of {len(self):,} customers, {ahead}{start}"

    def _remarks(self) -> tuple[str, ...]:
        if self.interval is None:
            return self.notes
        meaning = {
            "predictive": "what a customer will do",
            "expected": "how well the expected value is known, not what a customer will do",
        }[self.interval_kind]
        kind = f"{self.interval:.0%} {self.interval_kind} intervals ({meaning})"
        return (
            *(total.sentence(self.interval_kind) for total in self.totals),
            *(f"Before calibration: {total.sentence('predictive')}" for total in self.before),
            f"_low and _high are {kind}.",
            *self.notes,
        )


def forecast(
    rfm: RFM,
    purchases: FittedPurchases,
    spend: FittedSpend,
    *,
    horizon: float | str | None,
    discount_rate: float = 0.1,
    margin: float | Array = 1.0,
    cost_to_serve_rate: float | Array = 0.0,
    customers: Any = None,
    interval: float | None = 0.9,
    interval_kind: IntervalKind = "predictive",
    next_purchase_limit: float | str = "5 years",
    draws: int = 1000,
    seed: int = 0,
    calibration: Calibration | None = None,
) -> Forecast:
    """Forecast every customer of a table.

    Parameters
    ----------
    rfm
        Table with n customers, in the time unit of the models.
    purchases, spend
        A fitted purchase model and a fitted spend model.
    horizon
        How far ahead: a number in the table's unit, a text such as "52 weeks", or None for
        the perpetuity.
    discount_rate
        Effective per year; applied continuously.
    margin
        Gross margin as a share of value; a number, or one per customer.
    cost_to_serve_rate
        Cost of serving a living customer, in currency per year; a number, or one per customer.
    customers
        A customers table with acquisition and service costs, for net historical value; see
        `clv.historical_value`.
    interval
        Nominal probability of the intervals; None leaves them out.
    interval_kind
        "predictive" (default): what this customer will do. "expected": how well the expected
        value is known; far narrower, and no statement about the customer.
    next_purchase_limit
        Dates of the next purchase beyond this are given as missing.
    draws, seed
        Simulated futures behind predictive intervals, and their source of randomness.
    calibration
        From `clv.calibrate`: what earlier cuts say about the level and the width. It moves every
        figure but P(alive) and the historical ones; ``before`` has the totals without it.

    Returns
    -------
    Forecast
        Rows in the order of the table, in its engine, and where the table keeps its own (on disk
        if the transactions were read with ``memory=``), with columns

        ``customer_id``
        ``probability_alive``
            Now.
        ``survival``, ``churn_probability``
            P(alive at the end of the horizon), and 1 minus it.
        ``expected_purchases``, ``purchases_low``, ``purchases_high``
            Within the horizon.
        ``discounted_expected_purchases``
            The same, each discounted to today.
        ``expected_spend``
            Mean value of a future purchase.
        ``residual_value``, ``residual_value_low``, ``residual_value_high``
            margin x discounted purchases x spend - cost to serve x discounted time alive.
            In predictive intervals the cost to serve enters with its expectation.
        ``historical_value``
            So far: ``net`` where costs are known, else ``total_margin``.
        ``lifetime_value``, ``lifetime_value_low``, ``lifetime_value_high``
            Historical + residual.
        ``probability_no_purchase``, ``probability_never_again``
            P(no purchase within the horizon), P(no purchase ever).
        ``next_purchase_p10``, ``next_purchase_p50``, ``next_purchase_p90``
            Dates by which the next purchase has come with that probability; missing when it
            never comes with that probability, or later than the limit.

        Columns that the table does not allow (no first purchase values, no dates) are missing
        values, and the notes say why. For a perpetuity ``survival`` is 0 and purchases are
        counted undiscounted only where their expectation is finite.

    Raises
    ------
    UnitMismatchError
        If the table is in another time unit than the models.
    InfiniteValueError
        If the horizon is None and the value is infinite.

    Examples
    --------
    >>> import clv
    >>> transactions = clv.read_transactions(
    ...     clv.datasets.load_cdnow(), customer_id="customer_id", date="date", amount="amount"
    ... )
    >>> rfm = clv.rfm_summary(transactions, observation_period_end="1998-06-30")
    >>> purchases, spend = clv.BetaGeoModel().fit(rfm), clv.GammaGammaModel().fit(rfm)
    >>> forecast = clv.forecast(rfm, purchases, spend, horizon="52 weeks", interval=None)
    >>> round(float(forecast.array("expected_purchases").sum()))
    1967
    """
    for fitted, kind in ((purchases, FittedPurchases), (spend, FittedSpend)):
        if not isinstance(fitted, kind):
            raise DataError(
                f"expected a fitted {'purchase' if kind is FittedPurchases else 'spend'} model, "
                f"not {type(fitted).__name__}; call fit first"
            )
        fitted.check_table(rfm)
    if interval is not None and not 0 < interval < 1:
        raise DataError(f"interval must lie strictly between 0 and 1, not {interval!r}")
    if interval_kind not in ("predictive", "expected"):
        raise DataError(f"interval_kind must be 'predictive' or 'expected', not {interval_kind!r}")
    unit = rfm.time_unit
    if not rfm.in_memory and (
        np.ndim(margin)
        or np.ndim(cost_to_serve_rate)
        or not (customers is None and calibration is None)
        or isinstance(purchases, Stacked)
    ):
        rfm = rfm.collect()  # nothing that looks at all customers together goes part by part
    question = Question(
        purchases=purchases,
        spend=spend,
        horizon=horizon,
        t=math.inf if horizon is None else parse_horizon(horizon, unit),
        discount_rate=discount_rate,
        delta=discount_rate_per_unit(discount_rate, unit),
        margin=_per_customer(rfm, "margin", margin),
        yearly_cost=_per_customer(rfm, "cost_to_serve_rate", cost_to_serve_rate),
        customers=customers,
        interval=interval,
        interval_kind=interval_kind,
        next_purchase_limit=next_purchase_limit,
        draws=draws,
        seed=seed,
    )
    notes: list[str] = []
    if calibration is not None:
        if interval_kind != "predictive":
            raise DataError("a calibration is of what will happen: use predictive intervals")
        clock = clock_of(calibration, purchases, rfm, question.t, discount_rate, seed)
        notes += [calibration.sentence(), *calibration.remarks(question.t, unit)]
        question = replace(question, clock=clock, is_calibrated=True)
    if isinstance(rfm, LargeRFM):
        rows, scores = score_in_parts(rfm, question)
        form: type[Forecast] = LargeForecast
        fields = Large.kept(rows, rfm.engine)
    else:
        scores = score(rfm, question)
        form, fields = Forecast, Table.parts(scores.columns, like=rfm)
    totals: tuple[Total, ...] = ()
    before: tuple[Total, ...] = ()
    if interval is not None and scores.sums is not None:
        totals = totals_of(scores.sums, purchases, spend, interval)
        if calibration is not None:
            totals = widened(totals, calibration)
            as_expected = score(rfm, replace(question, clock=AS_EXPECTED, is_calibrated=False))
            assert as_expected.sums is not None
            before = totals_of(as_expected.sums, purchases, spend, interval)
    own = [*purchases.notes, *spend.notes]
    return form(
        **fields,
        as_of=rfm.as_of,
        time_unit=unit,
        horizon=None if horizon is None else question.t,
        discount_rate=discount_rate,
        interval=interval,
        interval_kind=interval_kind,
        totals=totals,
        notes=tuple(dict.fromkeys([*own, *notes, *scores.notes])),
        calibration=calibration,
        before=before,
    )


@dataclass(frozen=True, repr=False, eq=False)
class LargeForecast(Large, Forecast):
    """A `Forecast` whose rows are elsewhere: where those of the table are."""


def _per_customer(rfm: RFM, name: str, value: float | Array) -> Array:
    array = np.asarray(value, dtype=np.float64)
    if array.ndim and array.shape != (len(rfm),):
        raise DataError(
            f"{name} has {array.size:,} values and the table {len(rfm):,} customers; "
            "give one number, or one per row"
        )
    if not np.isfinite(array).all():
        raise DataError(f"{name} must be finite")
    return array
