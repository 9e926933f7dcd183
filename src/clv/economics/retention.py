"""What a change in retention is worth: counterfactuals through the dropout parameters.

Customers who are alive leave with a hazard that is constant in time, given who they are: the
purchase rate times the dropout probability (BG/NBD, MBG/NBD), or the death rate (Pareto/NBD). Let
everybody's dropout be kappa times what it is, and leave purchase rates alone. Then

* survival over t becomes survival over kappa t;
* purchases within t, discounted at delta, become 1 / kappa times those within kappa t, discounted
  at delta / kappa: substitute v = kappa u in the integral over u of rate x survival(kappa u) x
  exp(-delta u).

So nothing has to be fitted again, and nothing is approximated.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from clv.economics.valuation import check_interval
from clv.errors import DataError, InfiniteValueError
from clv.fitted import FittedPurchases, FittedSpend, Stacked
from clv.fitted.discounting import discounted_purchases, discounted_time
from clv.numerics.backend import Array
from clv.tables._frame import Table
from clv.tables._shown import Shown
from clv.tables.rfm import RFM
from clv.totals import log_slopes
from clv.units import DAYS_PER_UNIT, DAYS_PER_YEAR, discount_rate_per_unit, parse_horizon

#: What five points more retention are commonly said to add to profits, after Reichheld & Sasser
#: (1990), Zero defections, Harvard Business Review 68(5):105-111.
QUOTED = (0.25, 0.95)


@dataclass(frozen=True, eq=False, repr=False)
class RetentionValue(Shown):
    """What more retention would be worth; made by `retention_value`.

    Attributes
    ----------
    table
        One row per group, everybody first: ``grouped_by``, ``group``, ``customers``,
        ``residual_value`` (as things are), ``change`` with ``change_low`` and ``change_high``,
        ``relative_change`` with ``relative_change_low`` and ``relative_change_high``.
    points
        The rise in retention, .05 for five points.
    within
        The time over which retention is meant, in the table's unit.
    kappa
        What dropout was multiplied by.
    retention_before, retention_after
        Mean probability of customers who are alive now to be so after that time.
    interval
        Nominal probability of the intervals: of the expected change, over the parameters.
    """

    table: Table
    points: float
    within: float
    kappa: float
    retention_before: float
    retention_after: float
    interval: float

    @property
    def change(self) -> float:
        """Change in the value of everybody."""
        return float(self.table.array("change")[0])

    @property
    def relative_change(self) -> float:
        """The same as a share of their value as things are."""
        return float(self.table.array("relative_change")[0])

    @property
    def verdict(self) -> str:
        """The change beside the figure that is often quoted, in words."""
        low, middle, high = (
            float(self.table.array(f"relative_change{end}")[0]) for end in ("_low", "", "_high")
        )
        text = (
            f"{self.points * 100:g} points more retention ({self.retention_before:.1%} to "
            f"{self.retention_after:.1%}) would raise the value to come of these customers by "
            f"{middle:.1%} ({self.interval:.0%} interval {low:.1%} to {high:.1%})"
        )
        if abs(self.points - 0.05) > 1e-9:
            return f"{text}."
        least, most = QUOTED
        if high < least:
            said = "less than"
        elif low > most:
            said = "more than"
        elif low >= least and high <= most:
            said = "within"
        else:
            said = "not clearly within or outside"
        return f"{text}: {said} the often quoted {least * 100:.0f} to {most * 100:.0f} %."

    def _remarks(self) -> tuple[str, ...]:
        return (self.verdict,)


def retention_value(
    rfm: RFM,
    purchases: FittedPurchases,
    spend: FittedSpend,
    *,
    points: float = 0.05,
    within: float | str = "1 year",
    horizon: float | str | None = None,
    discount_rate: float = 0.1,
    margin: float | Array = 1.0,
    cost_to_serve_rate: float | Array = 0.0,
    by: Mapping[str, Any] | None = None,
    interval: float = 0.9,
) -> RetentionValue:
    """Find what more retention of today's customers would be worth, without fitting again.

    Parameters
    ----------
    rfm
        Table with n customers.
    purchases, spend
        Fitted models; the purchase model is BG/NBD, MBG/NBD or Pareto/NBD.
    points
        How far the mean retention of customers who are alive now is to rise; .05 for five points.
    within
        The time over which retention is meant.
    horizon, discount_rate, margin, cost_to_serve_rate
        Of the value, as in `clv.forecast`; without a horizon, all that is to come.
    by
        Groups: a name and n labels for each, such as ``{"tier": tiers.customers["tier"]}``.
    interval
        Nominal probability of the intervals.

    Raises
    ------
    DataError
        If the model has no such dropout, or retention cannot rise so far.

    Notes
    -----
    The dropout of each customer (the probability of leaving after a purchase, or the death rate)
    is multiplied by one kappa, so that the mean over customers alive now, weighted by P(alive),
    rises by `points`. Who is gone stays gone. Intervals are of the expected change, over the
    parameters, with kappa solved again at each: how well it is known, not what chance will bring.
    Of a posterior the mean parameters are used.

    Examples
    --------
    >>> import clv
    >>> transactions = clv.read_transactions(clv.datasets.load_cdnow(), amount="amount")
    >>> rfm = clv.rfm_summary(transactions, observation_period_end="1998-06-30")
    >>> purchases, spend = clv.BetaGeoModel().fit(rfm), clv.GammaGammaModel().fit(rfm)
    >>> worth = retention_value(rfm, purchases, spend)
    >>> round(worth.retention_after - worth.retention_before, 6), worth.kappa < 1
    (0.05, True)
    """
    rfm = rfm if rfm.in_memory else rfm.collect()
    for fitted in (purchases, spend):
        fitted.check_table(rfm)
    _check(purchases, points, interval)
    unit = rfm.time_unit
    t = math.inf if horizon is None else parse_horizon(horizon, unit)
    delta = discount_rate_per_unit(discount_rate, unit)
    if math.isinf(t) and delta == 0:
        raise InfiniteValueError("the value to come needs a horizon or a discount_rate above 0")
    cost = np.asarray(cost_to_serve_rate, dtype=np.float64) * DAYS_PER_UNIT[unit] / DAYS_PER_YEAR
    kinds = _kinds(len(rfm), by)
    world = _World(rfm, purchases, t, delta, parse_horizon(within, unit), np.asarray(margin), cost)
    now = world.at(purchases.estimates, points)

    def of_purchases(parameters: Array) -> Array:
        found = world.at(parameters, points)
        return _changes(found, spend.expected_spend(rfm), world, kinds)

    def of_spend(parameters: Array) -> Array:
        return _changes(now, spend.at(parameters).expected_spend(rfm), world, kinds)

    value, change, relative = _changes(now, spend.expected_spend(rfm), world, kinds)
    variance = np.zeros((3, len(value)))
    for model, function in ((purchases, of_purchases), (spend, of_spend)):
        slopes = log_slopes(model, function)
        variance += np.einsum("iag,ij,jag->ag", slopes, model.log_covariance, slopes)
    from scipy.special import ndtri

    half = float(ndtri(0.5 + interval / 2)) * np.sqrt(variance)
    table = Table.from_columns(
        {
            "grouped_by": [kind.name for kind in kinds for _ in kind.groups],
            "group": [name for kind in kinds for name in kind.groups],
            "customers": _sums(kinds, np.ones(len(rfm))).astype(np.int64),
            "residual_value": value,
            "change": change,
            "change_low": change - half[1],
            "change_high": change + half[1],
            "relative_change": relative,
            "relative_change_low": relative - half[2],
            "relative_change_high": relative + half[2],
        },
        like=rfm,
    )
    return RetentionValue(
        table, points, world.within, now.kappa, now.before, now.after, float(interval)
    )


def _check(purchases: FittedPurchases, points: float, interval: float) -> None:
    family = purchases.family
    if purchases.form or not getattr(family, "DROPOUT_SLOWS_TIME", False):
        which = family.TITLE
        if purchases.form and not isinstance(purchases, Stacked):
            which = f"{which} with covariates that change"
        raise DataError(
            "a change in retention is worked out for models in which customers leave at a rate of "
            f"their own that does not change with time, and {which} is none; use bg_nbd, mbg_nbd "
            "or pareto_nbd"
        )
    if not 0 < points < 1:
        raise DataError(
            f"points must lie between 0 and 1, such as 0.05 for five points, not {points!r}"
        )
    check_interval(interval)


class _Kind(NamedTuple):
    """One way to group customers: the names of the groups, and the group of each, shape (n,)."""

    name: str
    groups: list[str]
    member: npt.NDArray[np.int64]


def _kinds(n: int, by: Mapping[str, Any] | None) -> list[_Kind]:
    found = [_Kind("everybody", ["everybody"], np.zeros(n, dtype=np.int64))]
    for kind, given in (by or {}).items():
        labels = np.asarray(given).astype(str)
        if labels.shape != (n,):
            raise DataError(f"by[{kind!r}] has {labels.size:,} labels for {n:,} customers")
        names, member = np.unique(labels, return_inverse=True)
        found.append(_Kind(kind, names.tolist(), member))
    return found


def _sums(kinds: list[_Kind], values: Array) -> Array:
    """Sums over every group of every kind, one after another."""
    return np.concatenate([np.bincount(k.member, values, len(k.groups)) for k in kinds])


@dataclass(frozen=True)
class _Outcome:
    """Of each customer, discounted purchases and time alive: as things are, and changed."""

    kappa: float
    before: float
    after: float
    purchases: tuple[Array, Array]
    time: tuple[Array, Array] | None


@dataclass(frozen=True, eq=False)
class _World:
    rfm: RFM
    model: FittedPurchases
    t: float
    delta: float
    within: float
    margin: Array
    cost: Array

    def at(self, parameters: Array, points: float) -> _Outcome:
        model = self.model.at(parameters)
        family, states = model.family, model.states_of(self.rfm)
        state = family.alive_state(
            model.parameters_at(model.estimates, states.matrix), states.history
        )
        alive = model.probability_alive(self.rfm)
        weights = np.bincount(states.inverse, alive / alive.sum(), len(states.history.T))

        def retention(kappa: float) -> float:
            return float(weights @ family.survival(state, kappa * self.within))

        before = retention(1.0)
        kappa = _solve(retention, before, points)

        def of(function: Any) -> tuple[Array, Array]:
            as_is = function(family, state, self.t, self.delta)
            changed = function(family, state, kappa * self.t, self.delta / kappa) / kappa
            return alive * as_is[states.inverse], alive * changed[states.inverse]

        time = of(discounted_time) if np.any(self.cost) else None
        return _Outcome(kappa, before, retention(kappa), of(discounted_purchases), time)


def _solve(retention: Any, before: float, points: float) -> float:
    from scipy.optimize import brentq

    if before + points >= 1:
        raise DataError(
            f"{points * 100:g} points more are not to be had: mean retention is {before:.1%} "
            f"already, so that it can rise by less than {100 * (1 - before):.3g} points"
        )
    least = 0.5
    while retention(least) < before + points:
        least /= 2
    return float(brentq(lambda k: retention(k) - before - points, least, 1.0, xtol=1e-12))


def _changes(found: _Outcome, level: Array, world: _World, kinds: list[_Kind]) -> Array:
    """Value as things are, its change and the relative change, of every group: (3, groups)."""
    as_is, changed = (p * level * world.margin for p in found.purchases)
    if found.time is not None:
        as_is, changed = (
            v - world.cost * time for v, time in zip((as_is, changed), found.time, strict=True)
        )
    value, change = _sums(kinds, as_is), _sums(kinds, changed - as_is)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.array([value, change, np.where(value > 0, change / value, np.nan)])
