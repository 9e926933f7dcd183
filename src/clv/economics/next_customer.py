"""The next customer from each channel: what they are worth, may cost, and when they pay back."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from clv.economics.books import Books
from clv.errors import BoundaryWarning, DataError, FitError
from clv.fitted import FittedPurchases, FittedSpend, FittedTimeVarying, Stacked
from clv.model import model_class
from clv.numerics.backend import Array
from clv.numerics.histories import SpendHistory
from clv.tables._frame import Table
from clv.tables._shown import Shown
from clv.tables.everybody import NOT_IN_TABLE, chosen
from clv.tables.rfm import RFM
from clv.units import DAYS_PER_UNIT, DAYS_PER_YEAR, parse_horizon

#: Customers, at most, whose covariates a mean is taken over.
_LIKE = 100

_NOBODY = SpendHistory(np.zeros((1, 1)), np.zeros((1, 1)))


@dataclass(frozen=True, eq=False, repr=False)
class NextCustomers(Shown):
    """What the next customer is worth, group by group; made by `next_customers`.

    Attributes
    ----------
    table
        One row per group; see `next_customers`.
    by
        What the groups are of.
    interval
        Nominal probability of the intervals.
    notes
        What is to be known, in words.
    """

    table: Table
    by: str
    interval: float
    notes: tuple[str, ...] = ()


class _Newcomer(NamedTuple):
    """Expected margin of a new customer at each of some parameter values (points)."""

    value: Array  #: discounted over the horizon, shape (points,)
    by_age: Array  #: cumulative, not discounted, shape (ages, points)


def next_customers(
    books: Books,
    by: str = "channel",
    *,
    min_customers: int = 100,
    min_repeaters: int = 30,
    payback_limit: float | str = "10 years",
    draws: int = 60,
) -> NextCustomers:
    """Value the next customer of each channel.

    Parameters
    ----------
    books
        From `books`.
    by
        A column of the customers table.
    min_customers, min_repeaters
        A channel with so many buyers, and so many who bought again, gets models of its own: the
        families of the books' models, fitted to its buyers. Others are given everybody's models,
        and say so. Models with covariates are not fitted again: their covariates tell channels
        apart.
    payback_limit
        Who has not paid back by this age is taken never to.
    draws
        Of the parameters, behind the intervals.

    Returns
    -------
    NextCustomers
        Its `table` has the columns

        the group, ``buyers``
        ``models``
            "own" or "everybody's".
        ``first_purchase``
            Mean margin of the first purchase.
        ``value``, ``value_low``, ``value_high``
            Expected margin of the first purchase and all that follows within the books' horizon,
            discounted, less the cost of serving. It is what the next buyer may cost at most: the
            **break-even acquisition cost**.
        ``break_even_per_signup``
            The same per person who signs up, given the channel's conversion rate.
        ``acquisition_cost``
            What a buyer of this channel has cost, prospects who did not buy included.
        ``value_to_cost``, ``value_to_cost_low``, ``value_to_cost_high``
        ``payback_days``, ``payback_days_low``, ``payback_days_high``
            Age at which the expected cumulative margin, not discounted, reaches that cost; 0 where
            the first purchase does; missing where it is not reached within the limit.
        ``pays_back``
            In what share of the draws it is reached.

    Raises
    ------
    DataError
        If no group is left.

    Notes
    -----
    Intervals are of the expected value, over parameters: how well a channel's mean is known. What
    one next customer will bring differs far more.
    """
    if isinstance(books.purchases, FittedTimeVarying):
        raise DataError(
            "a new customer under covariates that change would need their future; open the books "
            "with a model without"
        )
    member, names = books.people.groups(by, f"(no {by})")
    rows = []
    limit = parse_horizon(payback_limit, books.rfm.time_unit)
    ages = np.concatenate([[0.0], np.geomspace(limit / 2000, limit, 60)])
    shared = 0
    for code, name in enumerate(names):
        if name in (f"(no {by})", NOT_IN_TABLE):
            continue
        mine = np.flatnonzero(member[: books.buyers] == code)
        if not len(mine):
            continue
        fits = _fits(books, mine, min_customers, min_repeaters)
        shared += fits is None
        rows.append(_row(books, name, mine, member == code, fits, ages, draws))
    if not rows:
        raise DataError(f"no buyer has a {by} in the customers table")
    meant = "the expected value of a next customer, not of what one customer will bring"
    notes = [*books.notes, f"Intervals ({books.interval:.0%}) are of {meant}."]
    if _with_covariates(books):
        notes.append(
            "Nothing was fitted again: groups differ by the covariates of the models alone."
        )
    elif shared:
        notes.append(
            f"{shared} of {len(rows)} are too small for models of their own (under {min_customers} "
            f"buyers, or {min_repeaters} who bought again) and are given everybody's."
        )
    columns = {key: [row[key] for row in rows] for key in rows[0]}
    table = Table.from_columns({by: columns.pop("group"), **columns}, like=books.rfm)
    return NextCustomers(table, by, books.interval, tuple(notes))


def _fits(
    books: Books, mine: NDArray[np.int64], min_customers: int, min_repeaters: int
) -> tuple[FittedPurchases, FittedSpend] | None:
    """Models of these buyers alone; None where they are too few, or covariates do the work."""
    if _with_covariates(books):
        return None
    again = int((books.rfm.array("frequency")[mine] > 0).sum())
    if len(mine) < min_customers or again < min_repeaters:
        return None
    rfm = rows_of(books.rfm, mine)
    basis = str(books.spend.options.get("purchases", "repeat"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BoundaryWarning)
        try:
            purchases = _like(books.purchases)
            spend = model_class(books.spend.model_name)(purchases=basis)
            return purchases.fit(rfm), spend.fit(rfm)
        except FitError:
            return None


def _with_covariates(books: Books) -> bool:
    return bool(books.purchases.covariates or books.spend.covariates)


def _like(purchases: FittedPurchases) -> Any:
    """An unfitted model of the same kind."""
    if isinstance(purchases, Stacked):
        from clv.stacked_model import StackedModel

        return StackedModel([_like(m) for m in purchases.members], purchases.weights)
    return model_class(purchases.model_name)(**purchases.variant)


def _members(purchases: FittedPurchases, count: int) -> list[tuple[float, int, FittedPurchases]]:
    """The models of a stack, or the one there is: weight, and where its share of draws ends."""
    if not isinstance(purchases, Stacked):
        return [(1.0, count, purchases)]
    ends = np.rint(np.cumsum(purchases.weights) * count).astype(int).tolist()
    return list(zip(purchases.weights, ends, purchases.members, strict=True))


def rows_of(rfm: RFM, rows: NDArray[np.int64]) -> RFM:
    """The chosen customers of a table, in that order."""
    taken = {name: chosen(values, rows) for name, values in rfm.data.items()}
    return replace(rfm, **Table.parts(taken, like=rfm))


def _row(
    books: Books,
    name: str,
    mine: NDArray[np.int64],
    everybody: NDArray[np.bool_],
    fits: tuple[FittedPurchases, FittedSpend] | None,
    ages: Array,
    draws: int,
) -> dict[str, Any]:
    purchases, spend = fits or (books.purchases, books.spend)
    like = rows_of(books.rfm, mine[:: max(1, len(mine) // _LIKE)])
    margin, rate = float(books.margin[mine].mean()), float(books.cost_to_serve_rate[mine].mean())
    first = _first_purchases(books.rfm)[mine] * books.margin[mine]
    error = float(first.std(ddof=1) / np.sqrt(len(first))) if len(first) > 1 else 0.0
    rng = np.random.default_rng([books.seed, 3])

    def newcomer(
        member: FittedPurchases, points: Array, money: Array, first_purchase: Array
    ) -> _Newcomer:
        level = _levels(spend, money, like) * margin
        return _newcomer(books, member, points, like, first_purchase, level, rate, ages)

    count = min(draws, len(spend.draws))
    money = _spaced(spend.draws, count)
    firsts = first.mean() + error * rng.standard_normal(count)
    value, by_age, drawn, start = 0.0, np.zeros(len(ages)), [], 0
    for weight, last, member in _members(purchases, count):
        middle = newcomer(member, member.points(), spend.estimates[None, :], first.mean())
        value += weight * float(middle.value.mean())
        by_age += weight * middle.by_age.mean(axis=1)
        share = slice(start, last)
        points = _spaced(member.draws, max(last - start, 1))[: last - start]
        drawn.append(newcomer(member, points, money[share], firsts[share]))
        start = last
    buyers = len(mine)
    known = ~np.isnan(books.acquisition_cost[: books.buyers][mine])
    spent = float(np.nansum(books.acquisition_cost[everybody]))
    cost = spent / known.sum() if known.any() else np.nan
    tail = (1 - books.interval) / 2
    low, high = np.quantile(np.concatenate([d.value for d in drawn]), [tail, 1 - tail]).tolist()
    days = DAYS_PER_UNIT[books.rfm.time_unit]
    curves = np.concatenate([d.by_age for d in drawn], axis=1).T
    paid = np.array([_reached(curve, ages, cost) for curve in curves]) * days
    ends = np.quantile(paid, [tail, 1 - tail], method="nearest")
    back = [_reached(by_age, ages, cost) * days, *ends.tolist()]
    back = [time if np.isfinite(time) else np.nan for time in back]
    has_cost = cost > 0
    return {
        "group": name,
        "buyers": buyers,
        "models": "everybody's" if fits is None else "own",
        "first_purchase": float(first.mean()),
        "value": value,
        "value_low": low,
        "value_high": high,
        "break_even_per_signup": value * buyers / int(everybody.sum()),
        "acquisition_cost": cost,
        "value_to_cost": value / cost if has_cost else np.nan,
        "value_to_cost_low": low / cost if has_cost else np.nan,
        "value_to_cost_high": high / cost if has_cost else np.nan,
        "payback_days": back[0],
        "payback_days_low": back[1],
        "payback_days_high": back[2],
        "pays_back": float(np.isfinite(paid).mean()) if np.isfinite(cost) else np.nan,
    }


def _newcomer(
    books: Books,
    purchases: FittedPurchases,
    points: Array,
    like: RFM,
    first: Array,
    level: Array,
    rate: float,
    ages: Array,
) -> _Newcomer:
    family, matrix = purchases.family, None
    if purchases.covariates:
        numbers = {name: like.numbers(name) for name in purchases.covariates}
        matrix = purchases.matrix_of(like, numbers)
    alive, state = family.new_customer(purchases.parameters_at(points, matrix))
    size = np.broadcast_shapes(*(np.shape(part) for part in (alive, *state)))  # (rows, points)
    state = type(state)(*(np.broadcast_to(part, size).reshape(-1) for part in state))
    unit = DAYS_PER_UNIT[books.rfm.time_unit] / DAYS_PER_YEAR

    def mean(values: Array) -> Array:
        """Over customers: (..., rows x points) to (..., points)."""
        found = np.broadcast_to(alive, size) * values.reshape(*values.shape[:-1], *size)
        return np.asarray(found.mean(axis=-2))

    later = purchases.discounter(books.horizon, books.discount_rate)(state)
    value = first + level * mean(later)
    by_age = first + level * mean(family.expected_purchases(state, ages[:, None]))
    if rate:
        lifetime = purchases.lifetime_discounter(books.horizon, books.discount_rate)
        value = value - rate * unit * mean(lifetime(state))
        living = mean(family.survival(state, ages[:, None]))
        steps = np.diff(ages)[:, None] * (living[1:] + living[:-1]) / 2
        by_age[1:] -= rate * unit * np.cumsum(steps, axis=0)
    return _Newcomer(value, by_age)


def _levels(spend: FittedSpend, points: Array, like: RFM) -> Array:
    """Expected value of a purchase of a new customer at each of some parameter values."""
    parameters = spend.parameters_at(points, spend.spend_matrix(like))
    found = np.atleast_2d(spend.family.expected_spend(parameters, _NOBODY)).mean(axis=0)
    return np.where(np.isfinite(found), found, float(spend.options["pooled_mean"]))


def _first_purchases(rfm: RFM) -> Array:
    """What each first purchase was worth: the total less the repeat purchases."""
    x, total = rfm.array("frequency"), rfm.array("total_value")
    later = x * np.nan_to_num(rfm.array("monetary_value"))
    return np.where(
        np.isfinite(rfm.array("monetary_value")) | (x == 0), total - later, total / (x + 1)
    )


def _spaced(draws: Array, count: int) -> Array:
    return draws[:: max(1, len(draws) // count)][:count]


def _reached(by_age: Array, ages: Array, cost: float) -> float:
    """The age at which a curve first reaches the cost; between points along a straight line."""
    there = by_age >= cost  # never where the cost is not known
    if not there.any():
        return float("inf")
    k = int(np.argmax(there))
    if k == 0:
        return 0.0
    low, high = by_age[k - 1], by_age[k]
    return float(ages[k - 1] + (cost - low) / (high - low) * (ages[k] - ages[k - 1]))
