"""Derivatives of the CNBD-k likelihoods from sufficient statistics: the fast path of the fit.

The same likelihood as `_erlang_geometric.log_likelihood`, differentiated by hand. What regular
purchases add to `_beta_geometric` is ``ln S(z)``, the sum over the stages since the last purchase,
and that the rate counts stages.
"""

from __future__ import annotations

from math import lgamma
from typing import Any, NamedTuple

import numpy as np

from clv.families import _beta_geometric as plain
from clv.families._erlang_geometric import Parameters
from clv.numerics import special
from clv.numerics.backend import Array
from clv.numerics.histories import PurchaseHistory
from clv.numerics.sums import blocks, dot


class Statistics(NamedTuple):
    """All that the likelihood needs of the data, whatever k is."""

    plain: plain.Statistics
    counts: tuple[Array, Array]  #: distinct numbers of purchases, and the customers behind each
    no_coin: tuple[Array, Array]  #: ages of customers who tossed no coin, and their weight
    sum_log_intervals: float  #: of all customers; nan where the histories do not tell


def sufficient_statistics(history: Any, weights: Array, coins: Array) -> Statistics:
    """Collapse weighted rows; exact."""
    counts, place = np.unique(history.frequency, return_inverse=True)
    none = coins == 0
    intervals = getattr(history, "sum_log_intervals", None)
    return Statistics(
        plain.sufficient_statistics(PurchaseHistory(*history[:3]), weights, coins),
        (counts, np.bincount(place, weights).astype(np.float64)),
        (history.T[none], weights[none]),
        np.nan if intervals is None else dot(weights, intervals),
    )


def log_likelihood_derivatives(
    parameters: Parameters, statistics: Statistics
) -> tuple[float, Array, Array]:
    """Log-likelihood, its gradient (4,) and its Hessian (4, 4) in (r, alpha, a, b)."""
    k, s = parameters.k, statistics.plain
    if k == 1:
        return plain.log_likelihood_derivatives(plain.Parameters(*parameters), s)
    r, alpha, a, b = (float(p) for p in parameters)
    gradient, hessian = np.zeros(4), np.zeros((4, 4))
    x, customers = statistics.counts
    value = (k - 1) * statistics.sum_log_intervals - dot(customers, x) * lgamma(k)

    # ln Gamma(r + k x) - ln Gamma(r)
    value += dot(customers, special.log_rising(r, k * x))
    gradient[0] += dot(customers, special.digamma_rising(r, k * x))
    hessian[0, 0] += dot(customers, special.trigamma_rising(r, k * x))
    value += plain.coins_survived(a, b, s.coins_more_than, gradient, hessian)

    x, T, weights = s.exposure
    value += plain.exposure(r, alpha, k * x, T, weights, gradient, hessian)

    ages, weights = statistics.no_coin
    never = np.zeros_like(ages)
    value += _silence((r, alpha, a, b), k, never, never, ages, never, weights, gradient, hessian)
    for rows in blocks(len(s.x)):
        value += _silence(
            (r, alpha, a, b),
            k,
            k * s.x[rows],
            s.t_x[rows],
            s.T[rows],
            s.last_coin[rows].astype(np.float64) + 1.0,
            s.weights[rows],
            gradient,
            hessian,
        )
    return value, gradient, hessian + np.triu(hessian, 1).T


def _silence(
    parameters: tuple[float, float, float, float],
    k: int,
    stages: Array,
    t_x: Array,
    T: Array,
    coins: Array,
    weights: Array,
    gradient: Array,
    hessian: Array,
) -> float:
    """``ln(S + odds of being dead)``, its derivatives added to the upper triangle."""
    r, alpha, a, b = parameters
    shape = stages + r
    at_last, at_T = 1 / (alpha + t_x), 1 / (alpha + T)
    living, of_living, of_living_twice = _log_stage_sum(k, shape, (T - t_x) * at_T, at_T)

    survivors = (np.maximum(coins, 1.0) - 1.0) + b
    idle, idle_slope = np.log1p((T - t_x) * at_last), (t_x - T) * at_last * at_T
    log_odds = np.where(coins > 0, np.log(a / survivors) + shape * idle - living, -np.inf)
    small = np.exp(-np.abs(log_odds))
    dead = np.where(log_odds >= 0, 1.0, small) / (1 + small)
    w_dead, w_alive = weights * dead, weights * (1 - dead)
    w_both = w_dead * (1 - dead)

    # slopes of ln S and of the odds, in (r, alpha); of the odds alone, in (a, b)
    of_odds = (idle, shape * idle_slope)
    between = (of_odds[0] - of_living[0], of_odds[1] - of_living[1], 1 / a, -1 / survivors)
    for i in (0, 1):
        gradient[i] += dot(w_alive, of_living[i]) + dot(w_dead, of_odds[i])
    weight = float(w_dead.sum())
    gradient[2] += weight / a
    gradient[3] += dot(w_dead, between[3])

    hessian[0, 0] += dot(w_alive, of_living_twice[0])
    hessian[0, 1] += dot(w_alive, of_living_twice[1]) + dot(w_dead, idle_slope)
    hessian[1, 1] += dot(w_alive, of_living_twice[2]) - dot(w_dead * of_odds[1], at_T + at_last)
    hessian[2, 2] -= weight / a**2
    hessian[3, 3] += dot(w_dead * between[3], between[3])
    for i in range(4):
        weighted = w_both * between[i]
        for j in range(i, 4):
            hessian[i, j] += dot(weighted, np.broadcast_to(between[j], weighted.shape))
    return dot(weights, living) + dot(weights, np.maximum(log_odds, 0.0) + np.log1p(small))


def _log_stage_sum(
    k: int, shape: Array, z: Array, at_T: Array
) -> tuple[Array, tuple[Array, Array], tuple[Array, Array, Array]]:
    """``ln S``, its slopes in (r, alpha), and its second derivatives in (rr, r alpha, alpha alpha).

    z falls with alpha like 1 / (alpha + T), so that a term j of S has the slope -j / (alpha + T).
    """
    term, slope, bend = np.ones_like(z), np.zeros_like(z), np.zeros_like(z)  # in r
    total, in_r, in_rr = term.copy(), slope.copy(), bend.copy()
    in_alpha, in_r_alpha, in_alpha_alpha = (np.zeros_like(z) for _ in range(3))
    for j in range(1, k):
        share = z / j
        growth = (shape + (j - 1.0)) * share
        bend = bend * growth + 2.0 * slope * share
        slope = slope * growth + term * share
        term = term * growth
        total += term
        in_r += slope
        in_rr += bend
        in_alpha -= j * term
        in_r_alpha -= j * slope
        in_alpha_alpha += j * (j + 1.0) * term
    inverse = 1 / total
    in_r *= inverse
    in_alpha *= at_T * inverse
    return (
        np.log(total),
        (in_r, in_alpha),
        (
            in_rr * inverse - in_r**2,
            in_r_alpha * at_T * inverse - in_r * in_alpha,
            in_alpha_alpha * at_T**2 * inverse - in_alpha**2,
        ),
    )
