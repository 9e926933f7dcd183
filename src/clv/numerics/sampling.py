"""Exact draws that several families need."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from clv.numerics.backend import Array
from clv.numerics.histories import PurchaseHistory


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
    kept_flat = kept.reshape(-1)
    total = int(kept_flat.sum())
    steps = rng.standard_exponential(total)
    rest = rng.standard_gamma(arrivals.reshape(-1) - kept_flat + 1.0)
    running = np.cumsum(steps)
    ends = np.cumsum(kept_flat)
    before = np.concatenate(([0.0], running))[ends - kept_flat]
    sums = np.concatenate(([0.0], running))[ends] - before
    scale = np.broadcast_to(horizon, kept.shape).reshape(-1) / (sums + rest)
    return np.asarray((running - np.repeat(before, kept_flat)) * np.repeat(scale, kept_flat))


def simulate_histories(family: Any, parameters: Any, T: Array, seed: int) -> PurchaseHistory:
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
    """
    rng = np.random.default_rng(seed)
    alive, state = family.new_customer(parameters)
    counts, times = family.sample_purchases(state, T, rng, T.shape)
    kept = rng.random(T.shape) < alive
    last = np.concatenate(([0.0], times))[np.cumsum(counts)]
    frequency = np.where(kept, counts, 0)
    return PurchaseHistory(
        frequency.astype(np.float64), np.where(frequency > 0, last, 0.0), T.copy()
    )
