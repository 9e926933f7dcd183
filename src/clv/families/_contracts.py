"""What the models of renewals have in common: a churn probability of one's own."""

from __future__ import annotations

from typing import Any

import numpy as np

EXTREME = 1e6  #: beyond this a parameter has left for a limit

_MOST = 2.0**52


def sample_renewals(
    alpha: Any, beta: Any, c: Any, n: Any, rng: np.random.Generator, shape: tuple[int, ...]
) -> Any:
    """Further renewals after the n-th; (1 - theta)^(t^c) is P(renewed t times | theta).

    Given n renewals theta ~ Beta(alpha, beta + n^c), and an exponential variable E tells how far
    t^c goes beyond n^c: E / -ln(1 - theta).
    """
    made = np.float_power(n, c)
    theta = rng.beta(np.broadcast_to(alpha, shape), np.broadcast_to(beta + made, shape))
    with np.errstate(divide="ignore", over="ignore"):
        beyond = rng.standard_exponential(shape) / -np.log1p(-theta)
        total = np.minimum((made + beyond) ** (1.0 / c), _MOST)
    # rounding must not take away a renewal that was made
    return np.maximum(np.floor(total * (1.0 + 1e-15)) - n, 0.0).astype(np.int64)


def boundary(alpha: float, beta: float) -> str | None:
    """Name the limit that the parameters of the churn probability have run to."""
    share = alpha / (alpha + beta)
    if share < 1 / EXTREME:
        return "churn vanishes (alpha / (alpha + beta) -> 0): nobody is seen to leave"
    if 1 - share < 1 / EXTREME:
        return "churn is certain (alpha / (alpha + beta) -> 1): nobody makes the first renewal"
    if alpha + beta > EXTREME:
        return (
            "all customers share one churn probability (alpha, beta -> infinity, "
            f"alpha / (alpha + beta) = {share:.3g})"
        )
    if alpha + beta < 1 / EXTREME:
        return (
            "churn is all or nothing (alpha, beta -> 0): customers leave at the first renewal or "
            f"never, the share that leaves is {share:.3g}"
        )
    return None
