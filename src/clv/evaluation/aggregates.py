"""What customers do together after a cut: week by week, cohort by cohort, in all; with intervals.

Single customers are mostly chance; sums of many are not, so how well the parameters are known
matters here and is part of every interval. What no interval here knows is that behaviour may
change after the cut: see whether earlier cuts hold.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from clv.errors import DataError
from clv.evaluation.cut import Cut
from clv.evaluation.foreseen import Foreseen, Quantity
from clv.evaluation.segments import CohortLength, cohorts
from clv.fitted import FittedPurchases, FittedSpend, Stacked
from clv.fitted.purchases import Rows
from clv.tables._days import Days
from clv.tables.refunds import net_refunds
from clv.totals import delta_variance, log_slopes
from clv.units import DAYS_PER_UNIT

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

#: Futures of the whole base that are simulated, at most, and customers' futures in all.
MOST_FUTURES, MOST_PATHS = 200, 3_000_000

#: With fewer futures than this an interval would be chance itself.
FEWEST_FUTURES = 20

_BLOCK = 500_000


# -- totals -----------------------------------------------------------------------------------


class GroupTotals(NamedTuple):
    """Sums over groups of customers, and over all of them last.

    Attributes
    ----------
    names
        Of the groups, then "all".
    customers
        In each.
    expected, actual
        Sums, shape (groups + 1,).
    chance
        Variance by chance: the sum of the customers' own.
    parameters
        Variance because parameters are not known exactly.
    """

    names: tuple[str, ...]
    customers: Integers
    expected: Floats
    actual: Floats
    chance: Floats
    parameters: Floats

    def interval(self, level: float) -> tuple[Floats, Floats]:
        """Central predictive interval of each sum, as of a normal distribution; not below 0."""
        from scipy.special import ndtri

        half = float(ndtri((1 + level) / 2)) * np.sqrt(self.chance + self.parameters)
        low = self.expected - half
        return np.where(self.expected >= 0, np.maximum(low, 0.0), low), self.expected + half


def group_totals(
    cut: Cut, quantity: Quantity, method: str, names: list[str], group: Integers
) -> GroupTotals:
    """Totals of groups of the customers known at a cut: foreseen, with variance, and actual.

    Parameters
    ----------
    cut
        At which `method` foresaw something.
    quantity, method
        A model, as in `Backtest.metrics`.
    names, group
        Of the groups, and the one that each customer is in, shape (n,).

    Raises
    ------
    DataError
        If `method` is no model, or foresaw nothing at this cut.

    Notes
    -----
    Given the parameters customers are independent: their variances add up. The variance over the
    parameters is found by the delta method in their logarithms.
    """
    found = foreseen_by_model(cut, quantity, method)
    assert found.expected is not None
    assert found.distribution is not None
    size = len(names)

    def sums(values: Floats) -> Floats:
        return np.append(np.bincount(group, weights=values, minlength=size), values.sum())

    return GroupTotals(
        (*names, "all"),
        np.append(np.bincount(group, minlength=size), group.size),
        sums(found.expected),
        sums(cut.actual[quantity]),
        sums(found.distribution.variance),
        _variance_of_parameters(cut, found, sums),
    )


def _variance_of_parameters(cut: Cut, found: Foreseen, sums: Callable[[Floats], Floats]) -> Floats:
    rfm = cut.table
    purchases = purchases_behind_values(cut, found)
    horizon = rfm.holdout_duration
    level = np.ones(len(rfm))
    if found.quantity == "value":
        assert isinstance(found.fitted, FittedSpend)
        level = found.fitted.expected_spend(rfm)

    def of_purchases(parameters: Floats) -> Floats:
        return sums(purchases.at(parameters).expected_purchases(rfm, horizon) * level)

    variance = delta_variance(purchases, log_slopes(purchases, of_purchases))
    if found.quantity == "purchases":
        return variance
    spend = found.fitted
    assert isinstance(spend, FittedSpend)
    count = purchases.expected_purchases(rfm, horizon)

    def of_spend(parameters: Floats) -> Floats:
        return sums(count * spend.at(parameters).expected_spend(rfm))

    return variance + delta_variance(spend, log_slopes(spend, of_spend))


def foreseen_by_model(cut: Cut, quantity: Quantity, method: str) -> Foreseen:
    """What a model foresaw at a cut.

    Raises
    ------
    DataError
        If there is no such model, or it foresaw nothing at this cut.
    """
    found = cut.foreseen.get(quantity, {}).get(method)
    models = [name for name, f in cut.foreseen.get(quantity, {}).items() if f.distribution]
    if found is None or not found.is_model:
        raise DataError(
            f"{method!r} is no model of {quantity} at {cut.cut}; there are "
            f"{', '.join(models) or 'none'}"
        )
    if found.distribution is None:
        raise DataError(f"{method} foresaw nothing at {cut.cut}: {found.ended}")
    return found


def purchases_behind_values(cut: Cut, found: Foreseen) -> FittedPurchases:
    """The purchase model of a method."""
    name = found.parts[0] if found.parts else found.method
    fitted = cut.foreseen["purchases"][name].fitted
    assert isinstance(fitted, FittedPurchases)
    return fitted


# -- period by period ------------------------------------------------------------------------


class PeriodFutures(NamedTuple):
    """Simulated futures of all customers known at a cut.

    Attributes
    ----------
    names
        Of the cohorts, oldest first.
    customers
        In each.
    last_day
        Last day of each period after the cut, in days since 1970-01-01, shape (periods,).
    purchases
        In each future, shape (cohorts, futures, periods).
    active
        Customers who buy at least once in the period, likewise.
    """

    names: tuple[str, ...]
    customers: Integers
    last_day: Integers
    purchases: Floats
    active: Floats


def period_futures(
    cut: Cut, method: str, days_per_period: int, length: CohortLength, *, seed: int = 0
) -> PeriodFutures:
    """Simulate what all customers known at a cut do in the periods after it.

    Parameters
    ----------
    cut
        At which the purchase model `method` foresaw something.
    method
        Its name.
    days_per_period
        Length of a period; an incomplete last one is left out.
    length
        Of a cohort.
    seed
        Source of randomness.

    Notes
    -----
    Each future has its own draw of the parameters. Customers are independent given these.
    """
    found = foreseen_by_model(cut, "purchases", method)
    purchases = purchases_behind_values(cut, found)
    rfm = cut.table
    unit = DAYS_PER_UNIT[rfm.time_unit]
    start = int(np.datetime64(cut.cut, "D").astype(np.int64))
    periods = round(rfm.holdout_duration * unit) // days_per_period
    if periods < 1:
        raise DataError(f"the holdout is shorter than a period of {days_per_period} days")
    names, cohort = cohorts(rfm.values("first_purchase"), length)
    futures = int(np.clip(MOST_PATHS // len(rfm), FEWEST_FUTURES, MOST_FUTURES))
    rng = np.random.default_rng([seed, 3])
    worlds = _worlds(purchases, futures, rng)
    everybody = purchases.rows_of(rfm)
    shape = (len(names), futures, periods)
    totals, active = np.zeros(shape), np.zeros(shape)
    span = periods * days_per_period / unit
    for first in range(0, len(rfm), max(1, _BLOCK // futures)):
        block = np.arange(first, min(first + max(1, _BLOCK // futures), len(rfm)))
        rows = everybody.take(everybody.inverse[block])
        for world, of_world in zip(worlds, _rows_of_worlds(purchases, rows), strict=True):
            _add(world, of_world, cohort[block], span, rng, totals, active)
    return PeriodFutures(
        tuple(names),
        np.bincount(cohort, minlength=len(names)),
        start + days_per_period * np.arange(1, periods + 1),
        totals,
        active,
    )


class _World(NamedTuple):
    """Futures in which one model holds, each with its own draw of the parameters."""

    fitted: FittedPurchases
    points: Floats
    futures: Integers


def _worlds(purchases: FittedPurchases, futures: int, rng: np.random.Generator) -> list[_World]:
    """One for each member of a stack, as many futures as its weight says; otherwise one."""
    members, weights = [purchases], np.ones(1)
    if isinstance(purchases, Stacked):
        members, weights = list(purchases.members), np.asarray(purchases.weights)
    borders = np.round(np.cumsum(weights / weights.sum()) * futures).astype(np.int64)
    worlds = []
    for member, own in zip(members, np.split(np.arange(futures), borders[:-1]), strict=True):
        draws = member.draws[rng.permutation(len(member.draws))]
        worlds.append(_World(member, draws[np.arange(own.size) % len(draws)], own))
    return worlds


def _rows_of_worlds(purchases: FittedPurchases, rows: Rows) -> list[Rows]:
    if isinstance(purchases, Stacked):
        return [own for _, _, own in purchases.parts(rows)]
    return [rows]


def _add(
    world: _World,
    rows: Rows,
    cohort: Integers,
    span: float,
    rng: np.random.Generator,
    totals: Floats,
    active: Floats,
) -> None:
    """Add the futures of some customers to those of their cohorts."""
    futures, periods = world.futures.size, totals.shape[2]
    if not futures:
        return
    purchases, points = world.fitted, world.points
    paths = purchases.sample_futures(points, rows, span, rng)
    alive = rng.random(paths.counts.shape) < purchases.alive_at_draws(points, rows)
    path = np.repeat(np.arange(paths.counts.size), paths.counts.ravel())
    kept = alive.ravel()[path]
    path, times = path[kept], paths.times[kept]
    period = np.minimum((times / span * periods).astype(np.int64), periods - 1)
    once = np.unique(path * periods + period)
    for counted, path_of, period_of in (
        (totals, path, period),
        (active, once // periods, once % periods),
    ):
        customer, future = np.divmod(path_of, futures)
        place = (cohort[customer] * futures + future) * periods + period_of
        shape = (totals.shape[0], futures, periods)
        found = np.bincount(place, minlength=totals.shape[0] * futures * periods)
        counted[:, world.futures] += found.reshape(shape)


class PeriodActual(NamedTuple):
    """What the customers known at a cut did, period by period, before and after it.

    Attributes
    ----------
    last_day
        Last day of each period, in days since 1970-01-01, shape (periods,); periods are counted
        from the cut in both directions.
    purchases
        Repeat purchases, shape (cohorts, periods).
    active
        Customers with at least one repeat purchase in the period, likewise.
    known
        Customers of the cohort who had bought before the period began, likewise.
    newcomers
        First purchases on each day from `first_day` to the cut.
    """

    last_day: Integers
    purchases: Floats
    active: Floats
    known: Floats
    first_day: int
    newcomers: Floats


def period_actual(cut: Cut, days: Days, days_per_period: int, length: CohortLength) -> PeriodActual:
    """Count what happened, from the days of purchase of the base; the rest as in the futures."""
    assert cut.place is not None
    start = int(np.datetime64(cut.cut, "D").astype(np.int64))
    end = int(np.datetime64(cut.end, "D").astype(np.int64))
    seen = days.day <= end
    customer, day = days.customer[seen], days.day[seen]
    # refunds are netted within their side of the cut, as in `clv.rfm_summary`
    side = 2 * customer + (day > start)
    bought = net_refunds(side, days.value[seen], days.lowest[seen]).is_purchase
    row = np.full(len(days.ids), -1)
    row[cut.place] = np.arange(cut.place.size)
    row_of, day = row[customer[bought]], day[bought]
    row_of, day = row_of[row_of >= 0], day[row_of >= 0]
    first = np.diff(row_of, prepend=-1) != 0
    names, cohort = cohorts(cut.table.values("first_purchase"), length)
    born = day[first]
    before = -(-(start - int(born.min()) + 1) // days_per_period)
    after = (end - start) // days_per_period
    begin = start + 1 - before * days_per_period
    periods = before + after
    period = (day - begin) // days_per_period
    repeat = ~first & (period < periods)
    place = cohort[row_of[repeat]] * periods + period[repeat]
    shape = (len(names), periods)
    once = np.unique(row_of[repeat] * periods + period[repeat])
    who = cohort[once // periods] * periods + once % periods
    starts = begin + days_per_period * np.arange(periods)
    earlier = np.zeros(shape)
    for k in range(len(names)):
        earlier[k] = np.searchsorted(np.sort(born[cohort == k]), starts, side="left")
    return PeriodActual(
        starts + days_per_period - 1,
        np.bincount(place, minlength=len(names) * periods).reshape(shape).astype(np.float64),
        np.bincount(who, minlength=len(names) * periods).reshape(shape).astype(np.float64),
        earlier,
        begin,
        np.bincount(born - begin, minlength=start + 1 - begin).astype(np.float64),
    )
