"""Refunds and customers one at a time, in whole cents: slow, exact, and obvious.

A refund day is walked back to purchases by searching all days before it, nothing is sorted by
machinery, and nothing is a float until the end.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from typing import NamedTuple

Line = tuple[str, int, int]  #: customer, day, cents


class Days(NamedTuple):
    """What refunds leave of one customer's days."""

    purchases: dict[int, int]  #: day -> cents
    unmatched: int  #: cents


class Customer(NamedTuple):
    """One row of the table; ages in days, money in cents."""

    frequency: int
    recency: int
    T: int
    monetary_value: float | None
    total_value: int
    sum_log_intervals: float
    sum_log_values: float | None
    first: int
    holdout_purchases: int
    holdout_spend: int


def net(lines: Iterable[tuple[int, int]]) -> Days:
    """Days of purchase of (day, cents) lines of one customer."""
    by_day: dict[int, list[int]] = {}
    for day, cents in lines:
        by_day.setdefault(day, []).append(cents)
    purchases: dict[int, int] = {}
    unmatched = 0
    for day in sorted(by_day):
        total = sum(by_day[day])
        if min(by_day[day]) >= 0 or total > 0:
            purchases[day] = total
            continue
        rest = -total
        for earlier in sorted(purchases, reverse=True):
            if rest == 0 or purchases[earlier] == 0:
                continue
            taken = min(rest, purchases[earlier])
            rest -= taken
            purchases[earlier] -= taken
            if purchases[earlier] == 0:
                del purchases[earlier]
        unmatched += rest
    return Days(purchases, unmatched)


def summarise(lines: list[Line], end: int, cut: int | None) -> tuple[dict[str, Customer], int]:
    """Rows of the table by customer, and the unmatched cents."""
    known_until = end if cut is None else cut
    table: dict[str, Customer] = {}
    unmatched = 0
    for customer in {name for name, _, _ in lines}:
        own = [(day, cents) for name, day, cents in lines if name == customer and day <= end]
        known = net((day, cents) for day, cents in own if day <= known_until)
        unmatched += known.unmatched
        if not known.purchases:
            continue
        later = [(day, cents) for day, cents in own if day > known_until]
        days = sorted(known.purchases)
        repeats = [known.purchases[day] for day in days[1:]]
        values = [known.purchases[day] / 100 for day in days]
        table[customer] = Customer(
            frequency=len(repeats),
            recency=days[-1] - days[0],
            T=known_until - days[0],
            monetary_value=sum(repeats) / len(repeats) if repeats else None,
            total_value=sum(known.purchases.values()),
            sum_log_intervals=sum(
                math.log(after - before) for before, after in itertools.pairwise(days)
            ),
            sum_log_values=sum(map(math.log, values)) if all(values) else None,
            first=days[0],
            holdout_purchases=len(net(later).purchases),
            holdout_spend=sum(cents for _, cents in later),
        )
    return table, unmatched
