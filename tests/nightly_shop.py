"""A shop whose customers may change half-way: seeded order lines for the tests of the night job.

Customers come evenly. Each buys at a rate of their own (gamma), leaves after a purchase with a
probability of their own (beta), and pays amounts around a mean of their own. From the day of the
change on, rates, probabilities of leaving and amounts are multiplied.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import numpy as np
import pandas as pd

FIRST = dt.date(2023, 1, 1)
LAST = dt.date(2025, 6, 30)


@dataclass(frozen=True)
class Change:
    """What happens from a day on; 1 leaves things as they are."""

    day: dt.date = dt.date(2024, 12, 31)
    rate: float = 1.0
    dropout: float = 1.0
    amount: float = 1.0


def orders(customers: int, change: Change | None = None, seed: int = 1) -> pd.DataFrame:
    """Order lines with customer_id, date (text), amount and order_id, sorted by date."""
    change = change or Change()
    rng = np.random.default_rng(seed)
    days = (LAST - FIRST).days
    turn = (change.day - FIRST).days
    lines = []
    for number in range(customers):
        day = float(rng.uniform(0, days))
        rate = rng.gamma(1.2, 1 / 25)
        leaves = rng.beta(1.0, 6.0)
        usual = 20 / rng.gamma(4.0, 1 / 3.0)
        while day <= days:
            changed = day > turn
            for _ in range(1 + int(rng.random() < 0.3)):
                amount = usual * rng.gamma(6.0, 1 / 6.0) * (change.amount if changed else 1.0)
                lines.append((f"C{number:05d}", int(day), round(amount, 2)))
            if rng.random() < min(1.0, leaves * (change.dropout if changed else 1.0)):
                break
            day = _next(rng, day, rate, change.rate, turn)
    table = pd.DataFrame(lines, columns=["customer_id", "day", "amount"])
    table = table.sort_values("day", kind="stable").reset_index(drop=True)
    dates = pd.Timestamp(FIRST) + pd.to_timedelta(table.pop("day"), unit="D")
    table.insert(1, "date", dates.dt.strftime("%Y-%m-%d"))
    return table


def _next(rng: np.random.Generator, day: float, rate: float, factor: float, turn: float) -> float:
    """When the next purchase comes, at a rate that changes on a day."""
    work = rng.exponential()
    before = max(0.0, turn - day) * rate
    if work <= before:
        return day + work / rate
    start = max(day, turn)
    return start + (work - before) / (rate * factor)
