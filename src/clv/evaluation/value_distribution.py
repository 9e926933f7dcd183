"""Where the actual values lie in their predictive distributions: by simulation, all at once.

A customer who is alive with probability A spends nothing with probability 1 - A, and otherwise
their own scale times a variable W of which there are simulated draws for each state
(`clv.predictive`). So quantiles, probabilities and the CRPS of a customer come from the sorted
draws of a state, and no customer is simulated alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from clv.evaluation.coverage import Distribution
from clv.fitted import FittedPurchases, FittedSpend, Stacked
from clv.predictive import Futures, futures_of, rank
from clv.predictive_whole import whole_futures
from clv.tables.rfm import RFM

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]


def value_distribution(
    purchases: FittedPurchases,
    spend: FittedSpend,
    rfm: RFM,
    horizon: float,
    actual: Floats,
    levels: tuple[float, ...],
    *,
    alive: Floats,
    draws: int = 1000,
    seed: int = 0,
) -> Distribution:
    """Simulate what customers spend within the horizon, and look up what they did spend.

    Parameters
    ----------
    purchases, spend
        Fitted models in the time unit of the table.
    rfm
        Table with n customers.
    horizon
        In that unit.
    actual
        What each customer spent, shape (n,).
    levels
        Of the central intervals.
    alive
        P(alive), shape (n,).
    draws, seed
        As in `clv.forecast`.
    """
    n = len(rfm)
    tails = [*((1.0 + sign * level) / 2.0 for level in levels for sign in (-1, 1)), 0.5]
    ends = np.zeros((len(tails), n), dtype=np.float32)
    below, up_to, crps, variance = (np.zeros(n) for _ in range(4))
    simulated: Callable[..., Iterator[Futures]] = futures_of
    if isinstance(purchases, Stacked):  # its futures are whole: who is dead spends 0 in them
        simulated, alive = whole_futures, np.ones(n)
    for found in simulated(
        rfm, purchases, spend, horizon=horizon, delta=0.0, draws=draws, seed=seed
    ):
        rows, local, scale = found.rows, found.local, found.scale
        living = alive[rows]
        worth = np.sort(found.worth, axis=1)
        size = worth.shape[1]
        for end, q in zip(ends, tails, strict=True):
            chosen = rank(q, living, size)
            looked_up = worth[local, np.maximum(chosen - 1, 0)] * scale
            end[rows] = np.where(chosen > 0, looked_up, 0.0)
        y = actual[rows]
        at = np.divide(y, scale, out=np.full(y.shape, np.inf), where=scale > 0)
        smaller = _places(worth, local, at, strictly=True)
        not_larger = _places(worth, local, at, strictly=False)
        nothing = 1.0 - living
        below[rows] = np.where(y > 0, nothing + living * smaller / size, 0.0)
        up_to[rows] = np.where(y >= 0, nothing + living * not_larger / size, 0.0)
        score = _crps(worth, local, at, not_larger, living, scale)
        crps[rows] = np.where(scale > 0, score, np.abs(y))
        mean, square = worth.mean(axis=1)[local], np.mean(worth**2, axis=1)[local]
        variance[rows] = scale**2 * living * (square - living * mean**2)
    return Distribution(
        below=below,
        up_to=up_to,
        low=dict(zip(levels, ends[:-1:2], strict=True)),
        high=dict(zip(levels, ends[1::2], strict=True)),
        median=ends[-1],
        crps=crps,
        variance=variance,
    )


def _places(ordered: Floats, local: Indices, at: Floats, *, strictly: bool) -> Indices:
    """How many of the sorted draws of a customer's state are below `at` (or not above it)."""
    low = np.zeros(local.size, dtype=np.int64)
    high = np.full(local.size, ordered.shape[1], dtype=np.int64)
    while True:
        open_ = low < high
        if not open_.any():
            return low
        middle = (low + high) // 2
        value = ordered[local, np.minimum(middle, ordered.shape[1] - 1)]
        right = open_ & ((value < at) if strictly else (value <= at))
        low = np.where(right, middle + 1, low)
        high = np.where(open_ & ~right, middle, high)


def _crps(
    ordered: Floats, local: Indices, at: Floats, not_larger: Indices, alive: Floats, scale: Floats
) -> Floats:
    """E|X - y| - E|X - X'| / 2 of X = scale W with probability `alive`, else 0; W >= 0.

    With ``y = scale at``. The second term takes pairs of different draws, which makes the score
    that of the distribution simulated from, in expectation (Ferro 2014, "Fair scores for ensemble
    forecasts", Quarterly Journal of the RMS 140: 1917-1923, equation 7).
    """
    size = ordered.shape[1]
    sums = np.concatenate([np.zeros((ordered.shape[0], 1)), np.cumsum(ordered, axis=1)], axis=1)
    total, left = sums[local, -1], sums[local, not_larger]
    finite = np.where(np.isfinite(at), at, 0.0)
    away = (finite * (2 * not_larger - size) + total - 2 * left) / size
    weights = 2.0 * np.arange(1, size + 1) - size - 1.0
    apart = (ordered @ weights)[local] * 2.0 / (size * max(size - 1, 1))
    mean = total / size
    spread = 2.0 * alive * (1.0 - alive) * mean + alive**2 * apart
    result: Floats = scale * ((1.0 - alive) * np.abs(finite) + alive * away - spread / 2.0)
    return result
