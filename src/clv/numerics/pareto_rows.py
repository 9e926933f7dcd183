"""The Pareto/NBD log-likelihood customer by customer, with exact first and second derivatives.

Apart from gamma functions a customer contributes ``ln M`` with::

    M = e(T) + integral from t_x to T of s / (beta + u) e(u) du
    e(u) = (1 + u / alpha)**-(r + x) (1 + u / beta)**-s

computed with as many Gauss-Legendre nodes as the customer needs (`clv.numerics.pareto`). M is a
mixture, of being alive at T and of having died at each u before; so the first derivatives of ln M
are the mean of those of the logs of its parts, and the second ones their mean second derivative
plus the covariance of the first. Parameters may differ between customers.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from clv.numerics.backend import Array
from clv.numerics.histories import PurchaseHistory
from clv.numerics.pareto import NEGLIGIBLE, by_node_count
from clv.numerics.special import digamma_rising, log_rising, trigamma_rising
from clv.numerics.sums import dot


def row_derivatives(parameters: Any, history: PurchaseHistory) -> tuple[Array, Array, Array]:
    """Log-likelihood (m,), its gradients (4, m) and Hessians (4, 4, m) in (r, alpha, s, beta).

    Parameters
    ----------
    parameters
        Four numbers, or arrays of shape (m,): one set per customer.
    history
        m rows.
    """
    m = len(history.T)
    every = [np.broadcast_to(np.asarray(p, dtype=np.float64), m) for p in parameters]
    r, alpha, _, _ = every
    x = history.frequency
    value = log_rising(r, x) - x * np.log(alpha)
    gradient, hessian = np.zeros((4, m)), np.zeros((4, 4, m))
    gradient[0], gradient[1] = digamma_rising(r, x), -x / alpha
    hessian[0, 0], hessian[1, 1] = trigamma_rising(r, x), x / alpha**2
    c, length = intervals(every, history)
    for nodes, node_weights, i in by_node_count(length):
        some = [p[i] for p in every]
        e = ends(some, history.take(i), (c[i], length[i]), (nodes, node_weights))
        mean, curvatures = mean_curvatures(some, some[0] + x[i], e)
        value[i] += e.log_M
        gradient[:, i] += mean
        for (j, k), curvature in curvatures.items():
            hessian[j, k, i] += curvature
        slopes, alive_slopes = e.slopes - mean[:, None], e.alive_slopes - mean
        for j in range(4):
            dead, alive = slopes[j] * e.dying, alive_slopes[j] * e.alive
            for k in range(j, 4):
                hessian[j, k, i] += (dead * slopes[k]).sum(axis=0) + alive * alive_slopes[k]
    for j in range(4):
        hessian[j + 1 :, j] = hessian[j, j + 1 :]
    return value, gradient, hessian


def intervals(parameters: Any, history: PurchaseHistory) -> tuple[Array, Array]:
    """Where the integral of each customer is worth looking at: its scale and length in q."""
    r, alpha, s, beta = parameters
    x, t_x, T = history
    shape, rate, rate_of_death = r + x, alpha + t_x, beta + t_x
    c = 1 / ((shape + 1) / rate + (s + 1) / rate_of_death)
    with np.errstate(over="ignore"):
        end = np.minimum(
            rate * np.expm1(NEGLIGIBLE / shape), rate_of_death * np.expm1(NEGLIGIBLE / s)
        )
    return c, np.log1p(np.minimum(T - t_x, end) / c)


class Ends(NamedTuple):
    """The ways in which the histories of m customers may have ended: dead at a node, or alive.

    Slopes are derivatives of logs in (r, alpha, s, beta).
    """

    log_M: Array  #: (m,)
    dying: Array  #: share of M that each node has, (nodes, m)
    slopes: Array  #: (4, nodes, m)
    in_alpha: Array  #: 1 / (alpha + u)
    in_beta: Array
    alive: Array  #: share of M that e(T) has, (m,)
    alive_slopes: Array  #: (4, m)
    alive_alpha: Array  #: 1 / (alpha + T)
    alive_beta: Array


def ends(
    parameters: Any,
    history: PurchaseHistory,
    interval: tuple[Array, Array],
    rule: tuple[Array, Array],
) -> Ends:
    """Of customers who are given the same nodes; parameters may differ between them."""
    r, alpha, s, beta = parameters
    x, t_x, T = history
    (c, length), (nodes, node_weights) = interval, rule
    shape = r + x
    rate, rate_of_death, idle = alpha + t_x, beta + t_x, T - t_x
    before_r, before_s = np.log1p(t_x / alpha), np.log1p(t_x / beta)

    # at every node: the density of dying there, and how its log changes with the parameters
    q = nodes * length
    since = c * np.expm1(q)
    log_r, log_s = np.log1p(since / rate), np.log1p(since / rate_of_death)
    in_alpha, in_beta = 1 / (rate + since), 1 / (rate_of_death + since)
    dying = node_weights * np.exp(q - shape * log_r - s * log_s) * in_beta * (s * c * length)
    slopes = np.empty((4, *dying.shape))
    since += t_x
    np.subtract(-before_r, log_r, out=slopes[0])
    np.multiply(shape / alpha, since * in_alpha, out=slopes[1])
    np.subtract(1 / s - before_s, log_s, out=slopes[2])
    np.multiply(s / beta * since - 1.0, in_beta, out=slopes[3])

    # the same of being alive at T
    log_r, log_s = np.log1p(idle / rate), np.log1p(idle / rate_of_death)
    alive = np.exp(-shape * log_r - s * log_s)
    alive_alpha, alive_beta = 1 / (alpha + T), 1 / (beta + T)
    alive_slopes = np.stack(
        [
            -before_r - log_r,
            shape / alpha * T * alive_alpha,
            -before_s - log_s,
            s / beta * T * alive_beta,
        ]
    )

    M = alive + dying.sum(axis=0)
    alive /= M
    dying /= M
    return Ends(
        np.log(M) - shape * before_r - s * before_s,
        dying,
        slopes,
        in_alpha,
        in_beta,
        alive,
        alive_slopes,
        alive_alpha,
        alive_beta,
    )


def mean_curvatures(parameters: Any, shape: Array, e: Ends) -> tuple[Array, dict[Any, Array]]:
    """Mean slopes (4, m), and means of the second derivatives of the logs that are not 0."""
    _, alpha, s, beta = parameters
    mean = np.einsum("kij,ij->kj", e.slopes, e.dying) + e.alive_slopes * e.alive
    dead_beta = np.einsum("ij,ij->j", e.dying, e.in_beta)
    twice_alpha = np.einsum("ij,ij,ij->j", e.slopes[1], e.dying, e.in_alpha)
    twice_alpha += e.alive_slopes[1] * e.alive * e.alive_alpha
    twice_beta = np.einsum("ij,ij,ij->j", e.slopes[3], e.dying, e.in_beta)
    twice_beta += e.alive_slopes[3] * e.alive * e.alive_beta
    by_beta = mean[3] + dead_beta
    return mean, {
        (0, 1): mean[1] / shape,
        (1, 1): -(mean[1] / alpha + twice_alpha),
        (2, 2): -(1 - e.alive) / s**2,
        (2, 3): by_beta / s,
        (3, 3): -(by_beta / beta + twice_beta),
    }


def one_by_one(
    parameters: tuple[float, float, float, float],
    history: PurchaseHistory,
    weights: Array,
    gradient: Array,
    hessian: Array,
) -> float:
    """Sum of ln M, its derivatives added; in units of e(t_x)."""
    if not len(weights):
        return 0.0
    c, length = intervals(parameters, history)
    value = 0.0
    for nodes, node_weights, i in by_node_count(length):
        value += _some(
            parameters,
            history.take(i),
            weights[i],
            (c[i], length[i]),
            (nodes, node_weights),
            gradient,
            hessian,
        )
    return value


def _some(
    parameters: tuple[float, float, float, float],
    history: PurchaseHistory,
    weights: Array,
    interval: tuple[Array, Array],
    rule: tuple[Array, Array],
    gradient: Array,
    hessian: Array,
) -> float:
    """Sum of ln M of customers who are given the same nodes; see `clv.numerics.pareto`."""
    e = ends(parameters, history, interval, rule)
    mean, curvatures = mean_curvatures(parameters, parameters[0] + history.frequency, e)
    gradient += mean @ weights
    # the mean of second derivatives of the logs, ...
    for place, curvature in curvatures.items():
        hessian[place] += dot(weights, curvature)
    # ... and the covariance of first ones
    slopes, alive_slopes = e.slopes, e.alive_slopes
    slopes -= mean[:, None]
    alive_slopes -= mean
    weighted = slopes * (e.dying * weights)
    hessian += weighted.reshape(4, -1) @ slopes.reshape(4, -1).T
    hessian += (alive_slopes * (e.alive * weights)) @ alive_slopes.T
    return dot(weights, e.log_M)
