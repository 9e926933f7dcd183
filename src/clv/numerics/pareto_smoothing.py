"""Pareto-smoothed importance weights, and the k-hat that says whether to trust them.

The largest weights of an importance sample are replaced by the expected order statistics of a
generalised Pareto distribution fitted to them. Its shape k-hat is the diagnostic: below .7 sums
with these weights are reliable at ordinary sample sizes.

Sources: Vehtari, Simpson, Gelman, Yao & Gabry (2024), Pareto smoothed importance sampling, JMLR
25(72); Zhang & Stephens (2009), A new and efficient estimation method for the generalized Pareto
distribution, Technometrics 51:316-325.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from clv.numerics.backend import Array

#: k-hat above which weights are not to be trusted.
UNRELIABLE = 0.7

#: Fewer weights than this in the tail tell nothing about it.
_SHORTEST_TAIL = 5

#: Strength of the prior that draws k-hat towards 1/2, as a number of observations.
_PRIOR_WEIGHT, _PRIOR_K = 10.0, 0.5


class Smoothed(NamedTuple):
    """Normalised log-weights of shape (..., draws), and k-hat of shape (...)."""

    log_weights: Array
    k_hat: Array


def pareto_smooth(log_ratios: Array, relative_efficiency: float = 1.0) -> Smoothed:
    """Smooth the largest weights of importance samples.

    Parameters
    ----------
    log_ratios
        Logs of target over proposal, up to a constant, shape (draws,) or (rows, draws): one
        sample per row.
    relative_efficiency
        Effective over actual number of draws, when these come from a Markov chain.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> x = rng.exponential(size=4000)  # of density e^-x, weighted to that of density .7 e^(-.7 x)
    >>> smoothed = pareto_smooth(0.3 * x)
    >>> bool(0.15 < smoothed.k_hat < 0.45)  # in the limit .3
    True
    """
    ratios = np.atleast_2d(log_ratios)
    draws = ratios.shape[1]
    weights = ratios - ratios.max(axis=1, keepdims=True)
    tail = math.ceil(min(0.2 * draws, 3.0 * math.sqrt(draws / relative_efficiency)))
    k_hat = np.full(len(weights), np.inf)
    if tail >= _SHORTEST_TAIL and draws > tail:
        _smooth_tails(weights, tail, k_hat)
    largest = weights.max(axis=1, keepdims=True)
    total = np.log(np.exp(weights - largest).sum(axis=1, keepdims=True)) + largest
    weights -= total
    if np.ndim(log_ratios) == 1:
        return Smoothed(weights[0], k_hat[0])
    return Smoothed(weights, k_hat)


def _smooth_tails(weights: Array, tail: int, k_hat: Array) -> None:
    """Replace the tails in place."""
    top = np.argpartition(weights, -tail - 1, axis=1)[:, -tail - 1 :]
    values = np.take_along_axis(weights, top, axis=1)
    order = np.argsort(values, axis=1)
    top, values = np.take_along_axis(top, order, axis=1), np.take_along_axis(values, order, axis=1)
    border = np.maximum(values[:, :1], np.log(np.finfo(np.float64).tiny))
    least = np.exp(border)
    excess = np.exp(values[:, 1:]) - least
    # weights that are all the same have no tail: nothing is to be smoothed, and nothing to fear
    flat = excess[:, -1] <= 1e-12 * least[:, 0]
    k_hat[flat] = -np.inf
    some = np.flatnonzero(~flat & (excess[:, 0] >= 0.0))
    if not some.size:
        return
    shape, scale = _generalised_pareto(np.maximum(excess[some], 1e-300))
    k_hat[some] = shape
    levels = (np.arange(1, tail + 1) - 0.5) / tail
    smooth = np.isfinite(shape)
    quantiles = _quantiles(levels[None, :], shape[smooth, None], scale[smooth, None])
    log_tail = np.minimum(np.log(quantiles + least[some[smooth]]), 0.0)
    rows = some[smooth]
    weights[rows[:, None], top[rows, 1:]] = log_tail


def _quantiles(level: Array, shape: Array, scale: Array) -> Array:
    log_survival = np.log1p(-level)
    small = np.abs(shape) < 1e-12
    safe = np.where(small, 1.0, shape)
    return np.asarray(
        np.where(small, -scale * log_survival, scale * np.expm1(-safe * log_survival) / safe)
    )


def _generalised_pareto(excess: Array) -> tuple[Array, Array]:
    """Shape and scale for each row of ascending values (Zhang & Stephens 2009, section 4)."""
    n = excess.shape[1]
    m = 30 + int(math.sqrt(n))
    quartile = excess[:, int(n / 4 + 0.5) - 1]
    grid = 1.0 - np.sqrt(m / (np.arange(1, m + 1) - 0.5))
    candidates = grid[None, :] / (3.0 * quartile[:, None]) + 1.0 / excess[:, -1:]
    k = np.empty_like(candidates)
    for j in range(m):
        k[:, j] = np.log1p(-candidates[:, j : j + 1] * excess).mean(axis=1)
    with np.errstate(all="ignore"):
        profile = n * (np.log(-candidates / k) - k - 1.0)
    profile = np.where(np.isfinite(profile), profile, -np.inf)
    weight = np.exp(profile - profile.max(axis=1, keepdims=True))
    weight /= weight.sum(axis=1, keepdims=True)
    b = (candidates * weight).sum(axis=1)
    shape = np.log1p(-b[:, None] * excess).mean(axis=1)
    with np.errstate(all="ignore"):
        scale = -shape / b
    return (n * shape + _PRIOR_WEIGHT * _PRIOR_K) / (n + _PRIOR_WEIGHT), scale
