"""What channels and cohorts have cost and bring: CLV to CAC, with intervals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clv.economics.books import Books
from clv.errors import DataError
from clv.numerics.backend import Array
from clv.tables._frame import Table
from clv.tables._shown import Shown
from clv.units import parse_horizon

NO_CHANNEL = "(no channel)"
NO_COHORT = "(no day known)"
EVERYBODY = "everybody"

_PERIODS = {"month": "M", "quarter": "M", "year": "Y"}


@dataclass(frozen=True, eq=False, repr=False)
class GroupReturns(Shown):
    """Costs and returns per group; made by `returns`.

    Attributes
    ----------
    table
        One row per group, `EVERYBODY` last; see `returns`.
    by
        What the groups are of.
    interval
        Nominal probability of the intervals, which say what these customers will do.
    notes
        What is missing, in words.
    """

    table: Table
    by: str
    interval: float
    notes: tuple[str, ...] = ()


def returns(
    books: Books,
    by: str = "channel",
    *,
    min_customers: int = 30,
    new_within: str | float = "365 days",
) -> GroupReturns:
    """Set what customers have cost against what they bring, group by group.

    Parameters
    ----------
    books
        From `books`.
    by
        A column of the customers table, such as "channel"; or "cohort:month", "cohort:quarter" or
        "cohort:year", by the first purchase (of prospects: by signing up).
    min_customers
        Groups with fewer buyers of known cost are marked as too small to tell.
    new_within
        Who first bought so recently is new, for the cost of serving new customers.

    Returns
    -------
    GroupReturns
    -------
        Its `table` has the columns

        the group, ``buyers``, ``prospects``, ``conversion_rate``
        ``acquisition_cost``
            Sum over buyers and prospects: every known cost is in exactly one group.
        ``acquisition_cost_per_buyer``
            What a buyer has cost, prospects who did not buy included.
        ``cost_to_serve``, ``cost_to_serve_per_new_customer``
            Sum so far over buyers; mean over buyers who are new.
        ``realised_value``
            Margin so far less cost to serve so far, of buyers.
        ``residual_value``, ``residual_value_low``, ``residual_value_high``
            To come.
        ``clv``, ``clv_low``, ``clv_high``
            Realised + residual value per buyer, *before* acquisition cost; it is also what a
            buyer may cost at most (the break-even acquisition cost of those who came so far).
        ``clv_to_cac``, ``clv_to_cac_low``, ``clv_to_cac_high``
            The same of buyers whose acquisition cost is known, against that cost and that of the
            group's prospects; missing where it is 0 or not known.
        ``net_return``, ``net_return_low``, ``net_return_high``
            Of these buyers: value less costs.
        ``paid_back``
            Share of these buyers who have brought in their own cost already.
        ``enough``
            Whether there are `min_customers` of them.

    Raises
    ------
    MissingColumnError
        If the customers table has no such column.

    Examples
    --------
    >>> import clv
    >>> files = clv.datasets.load_shop()
    >>> transactions = clv.read_transactions(files.orders, **files.columns)
    >>> rfm = clv.rfm_summary(transactions, observation_period_end="2025-06-30")
    >>> customers = clv.lifecycle.read_customers(files.customers)
    >>> purchases, spend = clv.BetaGeoModel().fit(rfm), clv.GammaGammaModel().fit(rfm)
    >>> opened = clv.economics.books(
    ...     rfm, purchases, spend, customers, margin=0.42, horizon="1 year", draws=50
    ... )
    >>> found = returns(opened).table.to_pandas().set_index("channel")
    >>> bool(found.loc["referral", "clv_to_cac"] > found.loc["marketplace", "clv_to_cac"])
    True
    """
    member, names = _groups(books, by)
    parts = _columns(books, member, names, min_customers, new_within)
    whole = _columns(books, np.zeros_like(member), [EVERYBODY], min_customers, new_within)
    heading = by.replace("cohort:", "cohort_") if by.startswith("cohort:") else by
    columns: dict[str, Any] = {heading: [*names, EVERYBODY]}
    columns |= {name: np.concatenate([parts[name], whole[name]]) for name in parts}
    notes = list(books.notes)
    if not parts["enough"].all():
        small = [n for n, enough in zip(names, parts["enough"], strict=True) if not enough]
        notes.append(
            f"Fewer than {min_customers} buyers of known cost, too few to tell: {', '.join(small)}."
        )
    notes.append(
        f"Intervals ({books.interval:.0%}) are of what these customers will do from here on."
    )
    return GroupReturns(
        Table.from_columns(columns, like=books.rfm), by, books.interval, tuple(notes)
    )


def _groups(books: Books, by: str) -> tuple[NDArray[np.int64], list[str]]:
    if not by.startswith("cohort:"):
        return books.people.groups(by, f"(no {by})")
    period = by.removeprefix("cohort:")
    if period not in _PERIODS:
        raise DataError(f"cohorts are by month, quarter or year, not {period!r}")
    days = books.first_day.astype(f"datetime64[{_PERIODS[period]}]")
    texts = days.astype(str)
    if period == "quarter":
        month = days.astype(np.int64) % 12
        texts = np.char.add(
            days.astype("datetime64[Y]").astype(str),
            np.char.add("-Q", (month // 3 + 1).astype(str)),
        )
    texts = np.where(np.isnat(days), "~", texts)  # sorts after every number
    names, member = np.unique(texts, return_inverse=True)
    return member, [NO_COHORT if name == "~" else str(name) for name in names]


def _columns(
    books: Books,
    member: NDArray[np.int64],
    names: list[str],
    min_customers: int,
    new_within: str | float,
) -> dict[str, NDArray[Any]]:
    n, k = books.buyers, len(names)
    of_buyer = member[:n]

    def total(values: Array, who: NDArray[np.int64] = member) -> Array:
        return np.bincount(who, np.nan_to_num(values), k).astype(np.float64)

    buyers, everybody = np.bincount(of_buyer, minlength=k), np.bincount(member, minlength=k)
    known = ~np.isnan(books.acquisition_cost[:n])
    set_against = np.where(known, of_buyer, -1)
    counted = np.bincount(of_buyer, known, k)
    cost = total(books.acquisition_cost)
    seen, later = total(books.realised, of_buyer), books.valuation.sums(of_buyer, k, books.interval)
    seen_known = total(np.where(known, books.realised, 0.0), of_buyer)
    later_known = books.valuation.sums(set_against, k, books.interval)
    own = books.realised >= books.acquisition_cost[:n]  # False where not known
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        columns: dict[str, NDArray[Any]] = {
            "buyers": buyers,
            "prospects": everybody - buyers,
            "conversion_rate": buyers / everybody,
            "acquisition_cost": cost,
            "acquisition_cost_per_buyer": np.where(counted > 0, cost / counted, np.nan),
            "cost_to_serve": total(books.cost_to_serve[:n], of_buyer),
            "cost_to_serve_per_new_customer": _new_service(books, of_buyer, k, new_within),
            "realised_value": seen,
            "residual_value": later.value,
            "residual_value_low": later.low,
            "residual_value_high": later.high,
        }
        for end, value in (("", later.value), ("_low", later.low), ("_high", later.high)):
            columns[f"clv{end}"] = (seen + value) / buyers
        worth = {
            end: seen_known + value
            for end, value in (
                ("", later_known.value),
                ("_low", later_known.low),
                ("_high", later_known.high),
            )
        }
        for end, value in worth.items():
            columns[f"clv_to_cac{end}"] = np.where(cost > 0, value / cost, np.nan)
        for end, value in worth.items():
            columns[f"net_return{end}"] = np.where((counted > 0) | (cost > 0), value - cost, np.nan)
        columns["paid_back"] = np.bincount(of_buyer, own, k) / counted
    columns["enough"] = counted >= min_customers
    return columns


def _new_service(
    books: Books, of_buyer: NDArray[np.int64], k: int, new_within: str | float
) -> Array:
    age = books.rfm.array("T")
    served = books.cost_to_serve[: books.buyers]
    new = (age <= parse_horizon(new_within, books.rfm.time_unit)) & ~np.isnan(served)
    with np.errstate(invalid="ignore"):
        return np.asarray(
            np.bincount(of_buyer[new], served[new], k) / np.bincount(of_buyer[new], minlength=k)
        )
