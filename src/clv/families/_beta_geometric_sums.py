"""The log-likelihood of BG/NBD and MBG/NBD without its curvature, for those who need it often.

Markov chains want value and gradient many thousands of times, importance sampling the value at
thousands of points. Logs are taken once per distinct time, not once per row, and the logs of
``1 + odds`` of many rows are one log of a product: each factor is between 1 and 2, so 500 of them
fit into a number.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from clv.families._beta_geometric import Statistics
from clv.numerics.backend import Array
from clv.numerics.sums import dot

#: Rows whose factors between 1 and 2 are multiplied before a log is taken.
PRODUCT = 500

#: Elements of a matrix of rows times points at a time: it stays in the cache.
BLOCK = 32_768

Places = npt.NDArray[np.intp]


class Tables(NamedTuple):
    """`Statistics` arranged by distinct times, and rows by weight."""

    more_than: Array
    coins_more_than: Array
    customers: float
    purchases: float
    times: Array  #: distinct T of all customers
    customers_at: Array  #: by these
    purchases_at: Array
    x: Array  #: of customers who have tossed a coin, like all that follows; equal weights together
    coin: Places  #: coins - 1
    weights: Array
    moments: Array  #: distinct t_x and T of these
    last: Places  #: of t_x among `moments`
    end: Places  #: of T
    products: Places  #: where each product of factors begins
    product_weights: Array  #: the weight that its rows share


def tables(statistics: Statistics) -> Tables:
    """Arrange; made once for a fit."""
    s = statistics
    x, T, weights = s.exposure
    times, place = np.unique(T, return_inverse=True)
    order = np.argsort(s.weights, kind="stable")
    weight = s.weights[order]
    moments, both = np.unique(np.concatenate([s.t_x[order], s.T[order]]), return_inverse=True)
    changes = np.flatnonzero(np.diff(weight, prepend=np.nan))
    starts = [np.arange(first, last, PRODUCT) for first, last in pairwise([*changes, len(weight)])]
    products = np.concatenate(starts) if starts else np.empty(0, np.intp)
    return Tables(
        s.more_than,
        s.coins_more_than,
        float(weights.sum()),
        dot(weights, x),
        times,
        np.bincount(place, weights, len(times)).astype(np.float64),
        np.bincount(place, weights * x, len(times)).astype(np.float64),
        s.x[order],
        s.last_coin[order].astype(np.intp),
        weight,
        moments,
        both[: len(weight)],
        both[len(weight) :],
        products,
        weight[products],
    )


def log_likelihood_gradient(parameters: Any, t: Tables) -> tuple[float, Array]:
    """Log-likelihood and its gradient (4,) in (r, alpha, a, b)."""
    r, alpha, a, b = (float(p) for p in parameters)
    z = r + np.arange(len(t.more_than), dtype=np.float64)
    zb = b + np.arange(len(t.coins_more_than), dtype=np.float64)
    zab = zb + a
    later = alpha + t.times
    log_later, at_later = np.log(later), 1.0 / later
    exposed = t.customers * np.log(alpha) - dot(t.customers_at, log_later)
    value = (
        dot(t.more_than, np.log(z))
        - dot(t.coins_more_than, np.log1p(a / zb))
        + r * exposed
        - dot(t.purchases_at, log_later)
    )
    in_r = dot(t.more_than, 1.0 / z) + exposed
    in_alpha = r * (t.customers / alpha - dot(t.customers_at, at_later))
    in_alpha -= dot(t.purchases_at, at_later)
    in_a = -dot(t.coins_more_than, 1.0 / zab)
    in_b = dot(t.coins_more_than, a / (zb * zab))
    if len(t.x):
        moments = alpha + t.moments
        logs, inverses = np.log(moments), 1.0 / moments
        idle = logs[t.end] - logs[t.last]
        shape = t.x + r
        odds = shape * idle
        odds += (np.log(a) - np.log(zb))[t.coin]
        small = np.exp(-np.abs(odds))
        either = small + 1.0
        value += dot(t.weights, np.maximum(odds, 0.0))
        value += dot(t.product_weights, np.log(np.multiply.reduceat(either, t.products)))
        dead = np.where(odds >= 0.0, 1.0, small)
        dead /= either
        dead *= t.weights
        in_r += dot(dead, idle)
        in_a += float(dead.sum()) / a
        in_b -= dot(np.bincount(t.coin, dead, len(zb)).astype(np.float64), 1.0 / zb)
        dead *= shape
        in_alpha += dot(dead, inverses[t.end]) - dot(dead, inverses[t.last])
    return float(value), np.array([in_r, in_alpha, in_a, in_b])


def log_likelihood_values(parameters: Any, t: Tables) -> Array:
    """Log-likelihood (n,) at n points, parameters of shape (n,) each."""
    points = np.stack([np.asarray(p, dtype=np.float64) for p in parameters])
    step = max(1, BLOCK // max(1, len(t.x)))
    found = [_values(points[:, i : i + step], t) for i in range(0, points.shape[1], step)]
    return np.concatenate(found) if found else np.empty(0)


def _values(points: Array, t: Tables) -> Array:
    r, alpha, a, b = points
    z = r + np.arange(len(t.more_than), dtype=np.float64)[:, None]
    zb = b + np.arange(len(t.coins_more_than), dtype=np.float64)[:, None]
    log_later = np.log(alpha + t.times[:, None])
    value = t.more_than @ np.log(z) - t.coins_more_than @ np.log1p(a / zb)
    value += r * (t.customers * np.log(alpha) - t.customers_at @ log_later)
    value -= t.purchases_at @ log_later
    if len(t.x):
        logs = np.log(alpha + t.moments[:, None])
        odds = logs.take(t.end, axis=0)
        odds -= logs.take(t.last, axis=0)
        odds *= t.x[:, None] + r
        odds += (np.log(a) - np.log(zb)).take(t.coin, axis=0)
        small = np.abs(odds)
        np.negative(small, out=small)
        np.exp(small, out=small)
        small += 1.0
        factors = np.multiply.reduceat(small, t.products, axis=0)
        np.log(factors, out=factors)
        value += t.product_weights @ factors
        np.maximum(odds, 0.0, out=odds)
        odds *= t.weights[:, None]
        value += odds.sum(axis=0)
    return np.asarray(value)
