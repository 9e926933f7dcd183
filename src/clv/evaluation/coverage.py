"""Do the intervals hold: how often what happened lies within what was held possible."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from clv.errors import FitError
from clv.evaluation import metrics
from clv.fitted import FittedPurchases
from clv.numerics.compress import compress
from clv.tables.rfm import RFM

Floats = NDArray[np.float64]
Ends = NDArray[np.float32]  #: exact for whole numbers up to 16 million

LEVELS = (0.5, 0.8, 0.9)

_NEGLIGIBLE = 1e-5
"""Probability beyond which counts are left alone: too little for a CRPS or a variance."""

_MOST_PURCHASES = 100_000
"""No distribution of purchases is followed beyond this count."""


class Distribution(NamedTuple):
    """Where the actual figures lie in their predictive distributions, and central intervals.

    Attributes
    ----------
    below, up_to
        P(X < x) and P(X <= x) at each customer's actual figure x, shape (n_customers,).
    low, high
        By level: ends of the central interval, shape (n_customers,); of purchases whole numbers.
    median
        Shape (n_customers,); 0 of most customers in most shops.
    crps
        Continuous ranked probability score of each customer, shape (n_customers,).
    variance
        Of the predictive distributions, shape (n_customers,).
    probability
        P(X = x), shape (n_customers,); of purchases only.
    """

    below: Floats
    up_to: Floats
    low: dict[float, Ends]
    high: dict[float, Ends]
    median: Ends
    crps: Floats
    variance: Floats
    probability: Floats | None = None

    def rows(self, actual: Floats) -> list[dict[str, Any]]:
        """Coverage of each level, as rows of a table."""
        return [
            {
                "figure": "purchases",
                "level": level,
                "pit_coverage": metrics.pit_coverage(self.below, self.up_to, level),
                "coverage": metrics.interval_coverage(actual, self.low[level], self.high[level]),
                "width": metrics.interval_width(self.low[level], self.high[level]),
                "interval_score": metrics.interval_score(
                    actual, self.low[level], self.high[level], level
                ),
            }
            for level in self.low
        ]


def count_distribution(
    fitted: FittedPurchases,
    rfm: RFM,
    horizon: float,
    actual: Floats,
    levels: tuple[float, ...] = LEVELS,
) -> Distribution:
    """Sum up P(n purchases within the horizon), n = 0, 1, 2, ... as far as it is needed.

    Customers with the same history and the same actual count are computed once, and each only
    until both the actual count and nearly all of the distribution are passed.

    Parameters
    ----------
    fitted
        A purchase model in the time unit of the table.
    rfm
        Table with n customers.
    horizon
        In that unit.
    actual
        Purchases that each customer made, shape (n,).
    levels
        Of the central intervals: their ends are the smallest counts with P(N <= n) at least
        ``(1 - level) / 2`` and ``(1 + level) / 2``.
    """
    known = fitted.rows_of(rfm)
    rows = compress([known.inverse, actual])
    known, count = known.take(rows.columns[0].astype(np.int64)), rows.columns[-1]
    # 1e-12: a sum of probabilities may stay below its limit by rounding
    wanted = np.array([*((1 + sign * level) / 2 for level in levels for sign in (-1, 1)), 0.5])
    wanted -= 1e-12
    last = max(wanted.max(), 1.0 - _NEGLIGIBLE)
    ends = np.zeros((wanted.size, count.size), dtype=np.float32)
    below, up_to, exactly, crps = (np.zeros(count.size) for _ in range(4))
    reached, mean, square = (np.zeros(count.size) for _ in range(3))
    active = np.arange(count.size)
    for n in range(_MOST_PURCHASES):
        before = reached[active]
        probability = fitted.count_pmf_of_rows(known.take(active), n, horizon)
        after = np.minimum(before + probability, 1.0)
        reached[active] = after
        here = count[active] == n
        below[active[here]], up_to[active[here]] = before[here], after[here]
        exactly[active[here]] = probability[here]
        crps[active] += (after - (count[active] <= n)) ** 2
        mean[active] += n * probability
        square[active] += n**2 * probability
        for end, limit in zip(ends, wanted, strict=True):
            end[active[(before < limit) & (after >= limit)]] = n
        active = active[(count[active] > n) | (after < last)]
        if active.size == 0:
            break
    else:
        raise FitError(
            f"the predictive distribution of purchases does not end: {active.size:,} customers may "
            f"buy more than {_MOST_PURCHASES:,} times within {horizon:g} {rfm.time_unit}s"
        )
    spread = [end[rows.inverse] for end in ends]
    return Distribution(
        below=below[rows.inverse],
        up_to=up_to[rows.inverse],
        low=dict(zip(levels, spread[:-1:2], strict=True)),
        high=dict(zip(levels, spread[1::2], strict=True)),
        median=spread[-1],
        crps=crps[rows.inverse],
        variance=(square - mean**2)[rows.inverse],
        probability=exactly[rows.inverse],
    )
