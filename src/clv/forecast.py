"""One row per customer: are they there, what will they buy, what is that worth, how sure is it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

import numpy as np

from clv.calibration import AS_EXPECTED, Calibration, clock_of
from clv.errors import DataError, InfiniteValueError
from clv.fitted import FittedPurchases, FittedSpend, Stacked
from clv.history import historical_value, total_margin
from clv.numerics.backend import Array
from clv.predictive import Predictions, expected, predictive
from clv.predictive_whole import predictive_whole
from clv.tables._frame import Table
from clv.tables.rfm import RFM
from clv.totals import Total, forecast_totals, widened
from clv.units import DAYS_PER_UNIT, DAYS_PER_YEAR, discount_rate_per_unit, parse_horizon

IntervalKind = Literal["predictive", "expected"]

#: Quantiles of the date of the next purchase.
_NEXT_PURCHASE = (0.1, 0.5, 0.9)


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
        Rows in the order of the table, in its engine, with columns

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
    delta = discount_rate_per_unit(discount_rate, unit)
    t = math.inf if horizon is None else parse_horizon(horizon, unit)
    margin, yearly_cost = (
        _per_customer(rfm, name, value)
        for name, value in (("margin", margin), ("cost_to_serve_rate", cost_to_serve_rate))
    )
    notes = [*purchases.notes, *spend.notes]
    clock = AS_EXPECTED
    if calibration is not None:
        if interval_kind != "predictive":
            raise DataError("a calibration is of what will happen: use predictive intervals")
        clock = clock_of(calibration, purchases, rfm, t, discount_rate, seed)
        notes += [calibration.sentence(), *calibration.remarks(t, unit)]
    # where time runs at twice the speed, twice the time passes before the end
    ahead, rate = t * clock.speed, clock.rate(discount_rate)
    until = None if horizon is None else ahead

    family = purchases.family
    discounter = purchases.discounter(until, rate)
    level = spend.expected_spend(rfm) * clock.spend
    # one pass for all that is P(alive) times a function of the state
    wanted: dict[str, Callable[[Any], Array]] = {
        "discounted_expected_purchases": discounter,
        "some_purchase_ever": lambda s: 1.0 - family.no_purchase_probability(s, math.inf),
    }
    if horizon is not None:
        wanted["survival"] = lambda s: family.survival(s, ahead)
        wanted["some_purchase"] = lambda s: 1.0 - family.no_purchase_probability(s, ahead)
        wanted["expected_purchases"] = lambda s: family.expected_purchases(s, ahead)
    if np.any(yearly_cost):
        wanted["lifetime"] = purchases.lifetime_discounter(until, rate)
    alive, *products = purchases.of_living(rfm, *wanted.values(), with_alive=True)
    found = dict(zip(wanted, products, strict=True))
    if np.isnan(found["some_purchase_ever"]).any():
        notes.append(
            "The covariates are not known for ever: probability_never_again is missing, and so "
            "are dates of a next purchase beyond what they reach."
        )
    if horizon is None:
        found["survival"] = np.zeros(len(rfm))
        found["expected_purchases"] = _purchases_ever(purchases, rfm, notes)
    discounted = found["discounted_expected_purchases"]
    cost: Array | float = 0.0
    if "lifetime" in found:
        cost = yearly_cost * (DAYS_PER_UNIT[unit] / DAYS_PER_YEAR) * found["lifetime"]
        cost = cost / clock.speed
    # columns are large: they are worked on in place where nobody else has them
    never_again = _complement(found["some_purchase_ever"])
    no_purchase = never_again if horizon is None else _complement(found["some_purchase"])
    residual = discounted * level
    residual *= margin
    residual -= cost
    historical = _historical(rfm, margin, customers, notes)

    columns: dict[str, Any] = {
        "customer_id": rfm.data["customer_id"],
        "probability_alive": alive,
        "survival": found["survival"],
        "churn_probability": 1.0 - found["survival"],
        "expected_purchases": found["expected_purchases"],
        "discounted_expected_purchases": discounted,
        "expected_spend": level,
        "residual_value": residual,
        "historical_value": historical,
        "lifetime_value": historical + residual,
        "probability_no_purchase": no_purchase,
        "probability_never_again": never_again,
    }
    totals: tuple[Total, ...] = ()
    before: tuple[Total, ...] = ()
    if interval is not None:
        if interval_kind == "predictive":
            settings: dict[str, Any] = {
                "horizon": _finite_or_discounted(t, delta),
                "delta": delta,
                "interval": interval,
                "draws": draws,
                "seed": seed,
            }
            ends = (
                predictive_whole(rfm, purchases, spend, clock=clock, **settings)
                if isinstance(purchases, Stacked) or calibration is not None
                else predictive(rfm, purchases, spend, alive=alive, **settings)
            )
        else:
            ends = expected(
                rfm,
                purchases,
                spend,
                count=wanted.get("expected_purchases"),
                discounted=discounter,
                interval=interval,
            )
        columns |= _interval_columns(ends, margin, cost, historical, horizon is None)
        totals = forecast_totals(
            rfm,
            purchases,
            spend,
            {
                name: wanted[name]
                for name in ("expected_purchases", "discounted_expected_purchases")
                if name in wanted
            },
            margin=margin * clock.spend,
            residual=residual,
            variances=ends.per_unit(clock.spend) if interval_kind == "predictive" else None,
            interval=interval,
        )
        if calibration is not None:
            totals = widened(totals, calibration)
            before = forecast(
                rfm,
                purchases,
                spend,
                horizon=horizon,
                discount_rate=discount_rate,
                margin=margin,
                cost_to_serve_rate=yearly_cost,
                interval=interval,
                draws=draws,
                seed=seed,
            ).totals
    columns |= _next_purchase_dates(purchases, rfm, next_purchase_limit, notes, clock.speed)
    return Forecast(
        **Table.parts({name: columns[name] for name in _ORDER if name in columns}, like=rfm),
        as_of=rfm.as_of,
        time_unit=unit,
        horizon=None if horizon is None else t,
        discount_rate=discount_rate,
        interval=interval,
        interval_kind=interval_kind,
        totals=totals,
        notes=tuple(dict.fromkeys(notes)),
        calibration=calibration,
        before=before,
    )


_ORDER = (
    "customer_id",
    "probability_alive",
    "survival",
    "churn_probability",
    "expected_purchases",
    "purchases_low",
    "purchases_high",
    "discounted_expected_purchases",
    "expected_spend",
    "residual_value",
    "residual_value_low",
    "residual_value_high",
    "historical_value",
    "lifetime_value",
    "lifetime_value_low",
    "lifetime_value_high",
    "probability_no_purchase",
    "probability_never_again",
    "next_purchase_p10",
    "next_purchase_p50",
    "next_purchase_p90",
)


def _complement(share: Array) -> Array:
    """1 - share, in place."""
    return np.subtract(1.0, share, out=share)


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


def _finite_or_discounted(t: float, delta: float) -> float:
    if math.isinf(t) and delta == 0:
        raise InfiniteValueError(
            "predictive intervals without horizon and without discounting would need futures "
            "without end; give a horizon, a discount_rate above 0, or interval=None"
        )
    return t


def _purchases_ever(purchases: FittedPurchases, rfm: RFM, notes: list[str]) -> Array:
    """Expected purchases without end, missing where infinite."""
    try:
        return purchases.discounted_expected_purchases(rfm, None, 0.0)
    except InfiniteValueError:
        notes.append(
            "Without a horizon the undiscounted number of purchases is infinite under these "
            "parameters: expected_purchases is missing, discounted_expected_purchases is not."
        )
        return np.full(len(rfm), np.nan)


def _historical(rfm: RFM, margin: Array, customers: Any, notes: list[str]) -> Array:
    if "total_value" not in rfm.columns:
        notes.append(
            "The table has no total_value (value of all purchases, the first included): "
            "historical_value and lifetime_value are missing."
        )
        return np.full(len(rfm), np.nan)
    if customers is None:
        return total_margin(rfm, margin)
    history = historical_value(rfm, gross_margin=margin, customers=customers)
    notes += history.notes
    return np.asarray(history.array("net"))


def _interval_columns(
    ends: Predictions, margin: Array, cost: Array | float, historical: Array, perpetuity: bool
) -> dict[str, Array]:
    low, high = (end * margin - cost for end in ends.value.interval)
    low, high = np.minimum(low, high), np.maximum(low, high)
    columns = {
        "residual_value_low": low,
        "residual_value_high": high,
        "lifetime_value_low": historical + low,
        "lifetime_value_high": historical + high,
    }
    if not perpetuity:
        low, high = ends.purchases.interval
        whole = not np.isnan(ends.purchases.variance).any()  # predictive: counts
        columns |= {
            "purchases_low": low.astype(np.int64) if whole else low,
            "purchases_high": high.astype(np.int64) if whole else high,
        }
    return columns


def _next_purchase_dates(
    purchases: FittedPurchases, rfm: RFM, limit: float | str, notes: list[str], speed: float
) -> dict[str, Any]:
    as_of = rfm.as_of
    if as_of is None:
        notes.append("The table has no observation_period_end: next purchase dates are missing.")
        return {}
    days_per_unit = DAYS_PER_UNIT[rfm.time_unit]
    farthest = parse_horizon(limit, rfm.time_unit) * days_per_unit
    times, row_of = purchases.next_purchase_quantiles_of_rows(rfm, _NEXT_PURCHASE)
    columns = {}
    for q, time in zip(_NEXT_PURCHASE, times, strict=True):
        days = time / speed * days_per_unit
        dates = np.full(len(days), np.datetime64("NaT", "D"))
        known = np.flatnonzero(days <= farthest)
        dates[known] = np.datetime64(as_of, "D") + np.ceil(days[known]).astype("timedelta64[D]")
        columns[f"next_purchase_p{q * 100:.0f}"] = dates.take(row_of)
    return columns
