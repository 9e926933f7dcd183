"""The books: what every customer and prospect has cost, has brought and will bring."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clv.economics.valuation import Valuation, check_interval, per_customer, valuation
from clv.errors import DataError
from clv.fitted import FittedPurchases, FittedSpend
from clv.history import total_margin
from clv.numerics.backend import Array
from clv.tables.everybody import Everybody, everybody
from clv.tables.rfm import RFM
from clv.units import DAYS_PER_UNIT

ACQUISITION, SERVICE = "acquisition_cost", "cost_to_serve"


@dataclass(frozen=True, eq=False)
class Books:
    """Costs and value of buyers (n) and prospects (m); made by `books`.

    Attributes
    ----------
    rfm, purchases, spend
        The buyers' table and the models.
    people
        Buyers, then prospects, and the customers table.
    acquisition_cost, cost_to_serve
        So far, shape (n + m,); nan where not known.
    margin, cost_to_serve_rate
        Share of the amounts, and cost per year of serving the living; shape (n,) each.
    horizon, discount_rate, interval
        Of the value to come.
    signup
        Column of the customers table with the day of signing up, or None.
    draws, seed
        Simulated futures behind intervals.
    notes
        What is missing, in words.
    """

    rfm: RFM
    purchases: FittedPurchases
    spend: FittedSpend
    people: Everybody
    acquisition_cost: Array
    cost_to_serve: Array
    margin: Array
    cost_to_serve_rate: Array
    horizon: float | str | None
    discount_rate: float
    interval: float
    signup: str | None = None
    draws: int = 400
    seed: int = 0
    notes: tuple[str, ...] = field(default=())

    @property
    def buyers(self) -> int:
        """N."""
        return len(self.rfm)

    @property
    def as_of(self) -> date | None:
        """The day that value is seen from."""
        return self.rfm.as_of

    @cached_property
    def valuation(self) -> Valuation:
        """What the buyers will bring."""
        return valuation(
            self.rfm,
            self.purchases,
            self.spend,
            horizon=self.horizon,
            discount_rate=self.discount_rate,
            margin=self.margin,
            cost_to_serve_rate=self.cost_to_serve_rate,
            draws=self.draws,
            seed=self.seed,
        )

    def labels(self, column: str = "channel") -> NDArray[np.object_]:
        """The group of each buyer by a column of the customers table, shape (n,)."""
        member, names = self.people.groups(column, f"(no {column})")
        return np.array(names, dtype=object)[member[: self.buyers]]

    @cached_property
    def realised(self) -> Array:
        """Margin so far less the cost of serving so far, where known, shape (n,)."""
        served = np.nan_to_num(self.cost_to_serve[: self.buyers])
        return total_margin(self.rfm, self.margin) - served

    @cached_property
    def first_day(self) -> NDArray[np.datetime64]:
        """Day of the first purchase of buyers, of signing up of prospects; NaT if not known."""
        days = np.full(len(self.people), np.datetime64("NaT", "D"))
        if "first_purchase" in self.rfm.data:
            days[: self.buyers] = self.rfm.values("first_purchase").astype("datetime64[D]")
        elif self.as_of is not None:
            age = np.rint(self.rfm.array("T") * DAYS_PER_UNIT[self.rfm.time_unit])
            days[: self.buyers] = np.datetime64(self.as_of, "D") - age.astype("timedelta64[D]")
        if self.signup is not None:
            days[self.buyers :] = self.people.days(self.signup)[self.buyers :]
        return days


def books(
    rfm: RFM,
    purchases: FittedPurchases,
    spend: FittedSpend,
    customers: Any,
    *,
    horizon: float | str | None = None,
    discount_rate: float = 0.1,
    margin: float | str | Array = 1.0,
    cost_to_serve_rate: float | str | Array = 0.0,
    acquisition_cost: str = ACQUISITION,
    cost_to_serve: str | None = None,
    signup: str | None = None,
    interval: float = 0.9,
    draws: int = 400,
    seed: int = 0,
) -> Books:
    """Open the books: the other functions of this namespace read in them.

    Parameters
    ----------
    rfm, purchases, spend
        A table with n customers, and fitted models.
    customers
        A customers table: ``customer_id`` and the columns named below, prospects included.
    horizon
        Of the value to come; None for all of it.
    discount_rate
        Effective per year.
    margin
        Gross margin as a share of the amounts: a number, one per row of `rfm`, or the name of a
        column of the customers table.
    cost_to_serve_rate
        Cost of serving a living customer from now on, per year: likewise.
    acquisition_cost
        Column with what it cost to win the customer or prospect, once.
    cost_to_serve
        Column with what serving them has cost so far; None for ``cost_to_serve`` where there is
        such a column.
    signup
        Column with the day of signing up: who signed up after the table's last day does not
        count, and prospects belong to the cohort of that day.
    interval
        Nominal probability of the intervals.
    draws, seed
        Simulated futures behind them.

    Raises
    ------
    MissingColumnError
        If the customers table lacks a column.
    DataError
        If a cost is negative or no number.

    Notes
    -----
    Where a margin or a rate is a column, buyers without a value get the mean of the others, and
    a note says how many.

    Examples
    --------
    >>> import clv
    >>> files = clv.datasets.load_shop()
    >>> transactions = clv.read_transactions(files.orders, **files.columns)
    >>> rfm = clv.rfm_summary(transactions, observation_period_end="2025-06-30")
    >>> customers = clv.lifecycle.read_customers(files.customers)
    >>> purchases, spend = clv.ParetoNBDModel().fit(rfm), clv.GammaGammaModel().fit(rfm)
    >>> found = books(rfm, purchases, spend, customers, horizon="2 years", margin=0.42)
    >>> round(float(np.nansum(found.acquisition_cost)), 2)
    42403.7
    """
    check_interval(interval)
    rfm = rfm if rfm.in_memory else rfm.collect()
    as_of = rfm.as_of
    people = everybody(rfm, customers, signup=signup, as_of=as_of)
    notes: list[str] = []
    served = SERVICE if cost_to_serve is None and people.has(SERVICE) else cost_to_serve
    costs = [
        np.full(len(people), np.nan) if name is None else _cost(people, name)
        for name in (acquisition_cost, served)
    ]
    if served is None:
        notes.append("The customers table has no cost_to_serve: what was spent on service is 0.")
    unknown = int(np.isnan(costs[0][: len(rfm)]).sum())
    if unknown:
        notes.append(
            f"{unknown:,} of {len(rfm):,} buyers have no {acquisition_cost}; what they bring does "
            "not count in what is set against acquisition costs."
        )
    return Books(
        rfm=rfm,
        purchases=purchases,
        spend=spend,
        people=people,
        acquisition_cost=costs[0],
        cost_to_serve=costs[1],
        margin=_of_buyers(people, "margin", margin, notes),
        cost_to_serve_rate=_of_buyers(people, "cost_to_serve_rate", cost_to_serve_rate, notes),
        horizon=horizon,
        discount_rate=discount_rate,
        interval=interval,
        signup=signup,
        draws=draws,
        seed=seed,
        notes=tuple(notes),
    )


def _cost(people: Everybody, column: str) -> Array:
    values = people.numbers(column)
    wrong = np.flatnonzero(values < 0)
    if wrong.size:
        row = int(people.row[wrong].min())
        raise DataError(
            f"{column} of the customers table is negative in {wrong.size:,} rows, the first is row "
            f"{row + 1}; correct them or leave them missing"
        )
    return values


def _of_buyers(people: Everybody, name: str, given: Any, notes: list[str]) -> Array:
    if not isinstance(given, str):
        return per_customer(name, given, people.buyers)
    values = people.numbers(given)[: people.buyers]
    unknown = np.isnan(values)
    if unknown.all():
        raise DataError(f"{given} of the customers table is missing for every buyer")
    if unknown.any():
        values[unknown] = values[~unknown].mean()
        notes.append(
            f"{given} is missing for {int(unknown.sum()):,} buyers, who get the mean of the others."
        )
    return values
