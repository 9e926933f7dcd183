"""Exact draws that several families need."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from clv.numerics.backend import Array
from clv.numerics.histories import IntervalHistory, PurchaseHistory


def first_order_statistics(
    arrivals: npt.NDArray[np.int64],
    kept: npt.NDArray[np.int64],
    horizon: Any,
    rng: np.random.Generator,
) -> Array:
    """The first `kept` of `arrivals` uniform times on (0, horizon), ascending, path by path.

    Parameters
    ----------
    arrivals
        How many Poisson arrivals each path has; any shape.
    kept
        How many of them, the earliest, are wanted; same shape, ``kept <= arrivals``.
    horizon
        End of the interval; a number, or something that broadcasts to that shape.

    Returns
    -------
    Array
        Shape (kept.sum(),): the times of the first path, then of the second, ...

    Notes
    -----
    Given their number, Poisson times are ordered uniforms, and these are partial sums of
    exponentials over their total (Devroye 1986, Non-Uniform Random Variate Generation,
    chapter V.2). The exponentials behind the last one kept are drawn as one gamma.
    """
    steps = rng.standard_exponential(int(kept.sum()))
    rest = rng.standard_gamma((arrivals - kept).reshape(-1) + 1.0)
    return _scaled_sums(steps, rest, kept, horizon)


def every_kth_order_statistic(
    k: int,
    passed: npt.NDArray[np.int64],
    arrivals: npt.NDArray[np.int64],
    kept: npt.NDArray[np.int64],
    horizon: Any,
    rng: np.random.Generator,
) -> Array:
    """Times of every k-th of `arrivals` uniform times on (0, horizon), path by path.

    Parameters
    ----------
    k
        Arrivals from one time to the next.
    passed
        How many arrivals there were before 0, so that the first time is that of the
        ``k - passed``-th; any shape.
    arrivals
        How many arrivals each path has; same shape.
    kept
        How many times, the earliest, are wanted; same shape, ``k kept <= arrivals + passed``.
    horizon
        End of the interval; a number, or something that broadcasts to that shape.

    Returns
    -------
    Array
        Shape (kept.sum(),): the times of the first path, then of the second, ...

    Notes
    -----
    As in `first_order_statistics`, the k exponentials between two times drawn as one gamma.
    """
    kept_flat, passed_flat = kept.reshape(-1), passed.reshape(-1)
    first = np.cumsum(kept_flat) - kept_flat
    stages = np.full(int(kept_flat.sum()), float(k))
    some = kept_flat > 0
    stages[first[some]] -= passed_flat[some]
    used = np.where(some, k * kept_flat - passed_flat, 0)
    rest = rng.standard_gamma(arrivals.reshape(-1) - used + 1.0)
    return _scaled_sums(rng.standard_gamma(stages), rest, kept, horizon)


def _scaled_sums(steps: Array, rest: Array, kept: npt.NDArray[np.int64], horizon: Any) -> Array:
    """Partial sums of the steps of each path, as shares of the path's whole times the horizon.

    A path has `kept` steps, and `rest` is what is left of its whole after them.
    """
    counts = kept.reshape(-1)
    sums = np.concatenate(([0.0], np.cumsum(steps)))
    ends = np.cumsum(counts)
    before = sums[ends - counts]
    scale = np.broadcast_to(horizon, kept.shape).reshape(-1) / (sums[ends] - before + rest)
    return np.asarray((sums[1:] - np.repeat(before, counts)) * np.repeat(scale, counts))


def simulate_histories(family: Any, parameters: Any, T: Array, seed: int) -> Any:
    """Simulate new customers of a purchase family up to their ages.

    Parameters
    ----------
    family
        A purchase family.
    parameters
        Its ``Parameters``, numbers.
    T
        Shape (n,).
    seed
        Source of randomness.

    Returns
    -------
    PurchaseHistory
        Repeat purchases, age at the last of them (0 if there is none), and `T`; shape (n,).
        If the family's histories tell the intervals, an `IntervalHistory`.
    """
    rng = np.random.default_rng(seed)
    alive, state = family.new_customer(parameters)
    counts, times = family.sample_purchases(state, T, rng, T.shape)
    kept = rng.random(T.shape) < alive
    last = np.concatenate(([0.0], times))[np.cumsum(counts)]
    frequency = np.where(kept, counts, 0)
    history = PurchaseHistory(
        frequency.astype(np.float64), np.where(frequency > 0, last, 0.0), T.copy()
    )
    if getattr(family, "HISTORY", PurchaseHistory) is not IntervalHistory:
        return history
    total = np.concatenate(([0.0], np.cumsum(np.log(intervals(counts, times)))))
    ends = np.cumsum(counts)
    sums = total[ends] - total[ends - counts]
    return IntervalHistory(*history, np.where(kept, sums, 0.0))


def intervals(counts: npt.NDArray[np.int64], times: Array) -> Array:
    """Times since the purchase before, of paths that begin with a purchase at 0.

    Examples
    --------
    >>> intervals(np.array([2, 0, 1]), np.array([1.0, 4.0, 2.5])).tolist()
    [1.0, 3.0, 2.5]
    """
    since = np.diff(times, prepend=0.0)
    starts = (np.cumsum(counts) - counts)[counts > 0]
    since[starts] = times[starts]
    return since
