"""Where the next euro goes furthest, as far as the data can tell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clv.economics.books import Books
from clv.economics.next_customer import NextCustomers, next_customers
from clv.errors import DataError
from clv.numerics.backend import Array
from clv.tables._frame import Table
from clv.tables._matching import customers_frame
from clv.tables._shown import Shown
from clv.units import DAYS_PER_UNIT, parse_horizon

#: Periods that a channel's elasticity needs.
FEWEST_PERIODS = 6


@dataclass(frozen=True, eq=False, repr=False)
class Budget(Shown):
    """What one more unit of money brings, channel by channel; made by `budget`.

    Attributes
    ----------
    table
        One row per channel, the best first; see `budget`.
    window_days
        How far back acquisition costs are taken from.
    interval
        Nominal probability of the intervals.
    notes
        What is to be known, in words.
    """

    table: Table
    window_days: float
    interval: float
    notes: tuple[str, ...] = ()


def budget(
    books: Books,
    by: str = "channel",
    *,
    window: float | str = "365 days",
    elasticity: float | Mapping[str, tuple[float, float]] = 1.0,
    min_customers: int = 30,
    worth: NextCustomers | None = None,
) -> Budget:
    """Set what the next customer brings against what one more costs, channel by channel.

    Parameters
    ----------
    books
        From `books`, with ``signup=`` where that is known.
    by
        A column of the customers table.
    window
        What a customer costs is taken from those who signed up (or, where that is not known,
        first bought) within this time before the books' day.
    elasticity
        By how many percent customers rise when spending rises by one: a number for all channels,
        or per channel an estimate and its standard error, as `elasticities` gives. 1 takes the next
        customer to cost what the last ones did: the most hopeful case.
    min_customers
        With fewer buyers of known cost within the window nothing is said of a channel.
    worth
        From `next_customers`, of the same groups; None to work it out here.

    Returns
    -------
    Budget
        Its `table` has the columns

        the channel, ``spent``, ``buyers``
            Within the window.
        ``cost_of_one_more``, ``cost_of_one_more_low``, ``cost_of_one_more_high``
            Acquisition cost per buyer within the window, over the elasticity.
        ``value``, ``value_low``, ``value_high``
            Of the next customer.
        ``marginal_return``, ``marginal_return_low``, ``marginal_return_high``
            Value that one more unit of money brings; rounded to what its interval supports.
        ``buyers_per_1000``
            Further buyers for 1,000 more, rounded likewise.
        ``verdict``
            "pays" where the whole interval is above 1, "does not pay" where it is below, else
            "not known"; "too few" with fewer than `min_customers`.

    Notes
    -----
    The interval joins what is not known of the value, the cost and the elasticity, on the scale of
    logarithms. Who signed up lately may still buy for the first time, so that costs are rather too
    high than too low.
    """
    worth = next_customers(books, by) if worth is None else worth
    cost = _recent_costs(books, by, window)
    names = worth.table.values(by).tolist()
    value = {end: worth.table.array(f"value{end}") for end in ("", "_low", "_high")}
    elastic = np.array([_elasticity(elasticity, name) for name in names])
    spent, buyers, per_buyer, error = (np.array([cost[n][k] for n in names]) for k in range(4))
    with np.errstate(divide="ignore", invalid="ignore"):
        one_more = per_buyer / elastic[:, 0]
        spread_cost = np.hypot(error / per_buyer, elastic[:, 1] / elastic[:, 0])
        enough = (buyers >= min_customers) & (one_more > 0) & (value["_low"] > 0)
        z = _normal(books.interval)
        middle = np.where(enough, value[""] / one_more, np.nan)
        down, up = (abs(np.log(value[end] / value[""])) for end in ("_low", "_high"))
        low = middle / np.exp(np.hypot(down, z * spread_cost))
        high = middle * np.exp(np.hypot(up, z * spread_cost))
        cost_low, cost_high = (one_more * np.exp(s * z * spread_cost) for s in (-1, 1))
        verdict = np.select(
            [~enough, low > 1, high < 1], ["too few", "pays", "does not pay"], "not known"
        )
        more = 1000 / one_more
        more_half = more * (np.exp(z * spread_cost) - 1)
    digits = _digits((high - low) / 2)
    order = np.lexsort((names, -np.nan_to_num(middle, nan=-np.inf)))
    table = {
        by: np.array(names, dtype=object),
        "spent": spent,
        "buyers": buyers.astype(np.int64),
        "cost_of_one_more": one_more,
        "cost_of_one_more_low": cost_low,
        "cost_of_one_more_high": cost_high,
        **{f"value{end}": column for end, column in value.items()},
        "marginal_return": _rounded(middle, digits),
        "marginal_return_low": _rounded(low, digits),
        "marginal_return_high": _rounded(high, digits),
        "buyers_per_1000": _rounded(np.where(enough, more, np.nan), _digits(more_half)),
        "verdict": verdict.astype(object),
    }
    days = parse_horizon(window, books.rfm.time_unit) * DAYS_PER_UNIT[books.rfm.time_unit]
    return Budget(
        Table.from_columns({name: column[order] for name, column in table.items()}, like=books.rfm),
        days,
        books.interval,
        tuple(_notes(worth.notes, elasticity)),
    )


def elasticities(
    spending: Any,
    *,
    channel: str = "channel",
    spent: str = "spent",
    customers: str = "customers",
) -> dict[str, tuple[float, float]]:
    """Estimate how customers answer to spending, channel by channel.

    Parameters
    ----------
    spending
        A data frame with one row per channel and period: how much was spent and how many
        customers were won. It must come from the channels' accounts: costs spread over customers
        afterwards rise with their number whatever the truth.
    channel, spent, customers
        Names of its columns.

    Returns
    -------
    dict
        Per channel the elasticity and its standard error: the slope of ln(customers) on ln(spent),
        by least squares. Channels with fewer than `FEWEST_PERIODS` periods of positive spending and
        customers, or of equal spending, are left out.

    Raises
    ------
    DataError
        If no channel can be estimated.

    Notes
    -----
    Spending that was raised when demand was high anyway makes the estimate too large; only trials
    tell.

    Examples
    --------
    >>> import pandas as pd
    >>> spent = [100.0, 200, 400, 800, 1600, 3200]
    >>> won = [10.0, 14.5, 19.5, 28.6, 40.2, 56.0]
    >>> frame = pd.DataFrame({"channel": "ads", "spent": spent, "customers": won})
    >>> estimate, error = elasticities(frame)["ads"]
    >>> round(estimate, 2), error < 0.02
    (0.5, True)
    """
    frame = customers_frame(spending, channel, spent, customers)
    names = np.array([str(name) for name in frame[channel].to_list()])
    x, y = (frame[name].to_numpy().astype(np.float64) for name in (spent, customers))
    found = {}
    for name in sorted(set(names.tolist())):
        use = (names == name) & (x > 0) & (y > 0)
        if use.sum() < FEWEST_PERIODS or np.ptp(x[use]) == 0:
            continue
        logs, answers = np.log(x[use]), np.log(y[use])
        spread = logs - logs.mean()
        slope = float(spread @ answers / (spread @ spread))
        left = answers - answers.mean() - slope * spread
        error = float(np.sqrt(left @ left / (len(left) - 2) / (spread @ spread)))
        found[name] = (slope, error)
    if not found:
        raise DataError(
            f"no channel has {FEWEST_PERIODS} periods with different, positive spending and "
            "customers: its elasticity cannot be told"
        )
    return found


def _recent_costs(
    books: Books, by: str, window: float | str
) -> dict[str, tuple[float, int, float, float]]:
    """Per group: spent, buyers of known cost, cost per buyer and its standard error."""
    unit = books.rfm.time_unit
    member, names = books.people.groups(by, f"(no {by})")
    recent = _age_days(books) <= parse_horizon(window, unit) * DAYS_PER_UNIT[unit]
    bought = np.arange(len(books.people)) < books.buyers
    known = ~np.isnan(books.acquisition_cost)
    found = {}
    for code, name in enumerate(names):
        who = (member == code) & recent & known
        costs, buys = books.acquisition_cost[who], bought[who].astype(np.float64)
        buyers, spent = int(buys.sum()), float(costs.sum())
        if not buyers:
            found[name] = (spent, 0, float("nan"), float("nan"))
            continue
        ratio = spent / buyers
        left = costs - ratio * buys  # of a ratio of means, to first order
        n = len(left)
        error = float(np.sqrt(n / max(n - 1, 1) * (left @ left))) / buyers
        found[name] = (spent, buyers, ratio, error)
    return found


def _age_days(books: Books) -> Array:
    """Days since signing up where known, else since the first purchase; infinite if neither is."""
    if books.as_of is None:
        raise DataError(
            "a budget needs the day the table is of; make it with observation_period_end"
        )
    day: NDArray[np.datetime64] = books.first_day
    if books.signup is not None:
        signed = books.people.days(books.signup)
        day = np.where(np.isnat(signed), day, signed)
    age = np.asarray((np.datetime64(books.as_of, "D") - day) / np.timedelta64(1, "D"))
    return np.where(np.isnan(age), np.inf, age)


def _elasticity(given: float | Mapping[str, tuple[float, float]], name: str) -> tuple[float, float]:
    found = given.get(name, (1.0, 0.0)) if isinstance(given, Mapping) else (float(given), 0.0)
    if not found[0] > 0:
        raise DataError(
            f"the elasticity of {name} is {found[0]:.3g}: more spending would bring no customer, "
            "and there is no return to speak of; leave it out, or give a positive one"
        )
    return found[0], found[1]


def _normal(interval: float) -> float:
    from scipy.special import ndtri

    return float(ndtri(0.5 + interval / 2))


def _digits(half_width: Array) -> NDArray[np.int64]:
    """Decimals that an interval of this half width supports: down to its first digit."""
    with np.errstate(divide="ignore", invalid="ignore"):
        digits = -np.floor(np.log10(half_width))
    return np.where(np.isfinite(digits), digits, 0).astype(np.int64)


def _rounded(values: Array, digits: NDArray[np.int64]) -> Array:
    scale = 10.0 ** digits.astype(np.float64)
    return np.asarray(np.round(values * scale) / scale)


def _notes(
    more: tuple[str, ...], elasticity: float | Mapping[str, tuple[float, float]]
) -> list[str]:
    notes = list(more)
    if isinstance(elasticity, Mapping):
        notes.append("Channels without an estimated elasticity are given 1.")
    elif elasticity == 1:
        notes.append(
            "The next customer is taken to cost what the last ones did (elasticity 1). Channels "
            "that are nearly exhausted return less; elasticities estimates it from their accounts."
        )
    return notes
