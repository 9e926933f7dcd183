"""What a forecast says of some customers, whoever else there is.

Every column of a row follows from that row, the models and the `Question`; only simulated
futures are of all customers' states together. So a table can be scored in parts, here or on
other machines, and the parts laid one after the other.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np

from clv.calibration import AS_EXPECTED, Clock
from clv.errors import InfiniteValueError
from clv.fitted import FittedPurchases, FittedSpend, Stacked
from clv.history import historical_value, total_margin
from clv.numerics.backend import Array
from clv.numerics.threads import taken
from clv.predictive import Known, Predictions, expected, predictive
from clv.predictive_whole import predictive_whole
from clv.tables.rfm import RFM
from clv.totals import Sums, sums_of
from clv.units import DAYS_PER_UNIT, DAYS_PER_YEAR, parse_horizon

IntervalKind = Literal["predictive", "expected"]

#: Quantiles of the date of the next purchase.
_NEXT_PURCHASE = (0.1, 0.5, 0.9)


@dataclass(frozen=True)
class Question:
    """What is asked of every customer: the models, and the arguments of `clv.forecast`.

    `t` is the horizon in the table's unit, infinite without one, and `delta` the continuous
    discount rate; `clock` says how fast time will run.
    """

    purchases: FittedPurchases
    spend: FittedSpend
    horizon: float | str | None
    t: float
    discount_rate: float
    delta: float
    margin: Array
    yearly_cost: Array
    customers: Any
    interval: float | None
    interval_kind: IntervalKind
    next_purchase_limit: float | str
    draws: int
    seed: int
    clock: Clock = AS_EXPECTED
    is_calibrated: bool = False

    @property
    def is_whole(self) -> bool:
        """Whether predictive intervals are of whole futures; see `clv.predictive_whole`."""
        return self.is_calibrated or isinstance(self.purchases, Stacked)

    @property
    def simulation(self) -> dict[str, Any] | None:
        """Which futures are needed, as `clv.predictive.simulate` takes it; None without any.

        Raises
        ------
        InfiniteValueError
            If they would have no end.
        """
        if self.interval is None or self.interval_kind != "predictive":
            return None
        if math.isinf(self.t) and self.delta == 0:
            raise InfiniteValueError(
                "predictive intervals without horizon and without discounting would need futures "
                "without end; give a horizon, a discount_rate above 0, or interval=None"
            )
        return {"horizon": self.t, "delta": self.delta, "draws": self.draws, "seed": self.seed}


class Scores(NamedTuple):
    """The columns of a forecast, in their order; what totals need, where intervals are wanted."""

    columns: dict[str, Any]
    sums: Sums | None
    notes: list[str]


def score(rfm: RFM, question: Question, known: Known | None = None) -> Scores:
    """Forecast the customers of a table, or of a part of one.

    Parameters
    ----------
    rfm
        Table in memory, with n customers.
    question
        What to say of them.
    known
        Futures of the states of all customers, where the table is a part.
    """
    ask, clock = question, question.clock
    purchases, spend, horizon = ask.purchases, ask.spend, ask.horizon
    notes = [*purchases.notes, *spend.notes]
    # where time runs at twice the speed, twice the time passes before the end
    ahead, rate = ask.t * clock.speed, clock.rate(ask.discount_rate)
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
    if np.any(ask.yearly_cost):
        wanted["lifetime"] = purchases.lifetime_discounter(until, rate)
    alive, *products = purchases.of_living(rfm, *wanted.values(), with_alive=True)
    found = dict(zip(wanted, products, strict=True))
    if np.isnan(found["some_purchase_ever"]).any():
        notes.append(
            "The covariates are not known for ever: probability_never_again is missing, and so "
            "are dates of a next purchase beyond what they reach."
        )
    changing = rfm.time_varying if purchases.form == "time_varying" else None
    if changing is not None and changing.afterwards is not None:
        notes.append(
            f"After {changing.last_day} the covariates are assumed to be "
            f"{changing.what_holds_afterwards()}, for everybody and for ever."
        )
    if horizon is None:
        found["survival"] = np.zeros(len(rfm))
        found["expected_purchases"] = _purchases_ever(purchases, rfm, notes)
    discounted = found["discounted_expected_purchases"]
    cost: Array | float = 0.0
    if "lifetime" in found:
        cost = ask.yearly_cost * (DAYS_PER_UNIT[rfm.time_unit] / DAYS_PER_YEAR) * found["lifetime"]
        cost = cost / clock.speed
    # columns are large: they are worked on in place where nobody else has them
    never_again = _complement(found["some_purchase_ever"])
    no_purchase = never_again if horizon is None else _complement(found["some_purchase"])
    residual = discounted * level
    residual *= ask.margin
    residual -= cost
    historical = _historical(rfm, ask, notes)

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
    sums = None
    if ask.interval is not None:
        simulation = ask.simulation
        if simulation is None:
            ends = expected(
                rfm,
                purchases,
                spend,
                count=wanted.get("expected_purchases"),
                discounted=discounter,
                interval=ask.interval,
            )
        elif ask.is_whole:
            settings = {"interval": ask.interval, **simulation}
            ends = predictive_whole(rfm, purchases, spend, clock=clock, **settings)
        else:
            settings = {"interval": ask.interval, "known": known, **simulation}
            ends = predictive(rfm, purchases, spend, alive=alive, **settings)
        columns |= _interval_columns(ends, ask.margin, cost, historical, horizon is None)
        counted = ("expected_purchases", "discounted_expected_purchases")
        sums = sums_of(
            rfm,
            purchases,
            spend,
            {name: wanted[name] for name in counted if name in wanted},
            margin=ask.margin * clock.spend,
            residual=residual,
            variances=None if simulation is None else ends.per_unit(clock.spend),
        )
    columns |= _next_purchase_dates(purchases, rfm, ask.next_purchase_limit, notes, clock.speed)
    return Scores({name: columns[name] for name in _ORDER if name in columns}, sums, notes)


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


def _historical(rfm: RFM, ask: Question, notes: list[str]) -> Array:
    if "total_value" not in rfm.columns:
        notes.append(
            "The table has no total_value (value of all purchases, the first included): "
            "historical_value and lifetime_value are missing."
        )
        return np.full(len(rfm), np.nan)
    if ask.customers is None:
        return total_margin(rfm, ask.margin)
    history = historical_value(rfm, gross_margin=ask.margin, customers=ask.customers)
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
        columns[f"next_purchase_p{q * 100:.0f}"] = taken(dates, row_of)
    return columns
