"""Time in whole steps: chances to buy, or to renew, at each of which somebody may have left.

Conventions
-----------
Before each opportunity a customer leaves with probability theta ~ Beta(c, d); who is still there
uses it with probability p ~ Beta(a, b), independent of theta. So the probability of being there
at the k-th opportunity from now is S(k) = E[(1 - theta)^k] = B(c, d + k) / B(c, d). ``t`` counts
opportunities; a part of one does not count. Everything broadcasts.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from clv.numerics._beta_trapezoid import beta_peak, trapezoid_step
from clv.numerics.special import beta_geometric_survival, log_beta_ratio

Array = NDArray[np.float64]

_SUMMED = 512  # opportunities that are added up one by one; beyond, closed forms take over
_FARTHEST = 2.0**52  # quantiles beyond so many opportunities are called never
_ACCURACY = 1e-15  # where quadrature stops, relative
_NODES = 48
_POWER_LAW = 600.0  # in powers of e: from these odds on, a power law is exact
_BEFORE_ONE = 1e-9  # a time this much short of a whole number is that number


def whole(t: ArrayLike) -> Array:
    """Opportunities up to `t`.

    Examples
    --------
    >>> whole([0.4, 2.0, 3.7]).tolist()
    [0.0, 2.0, 3.0]
    """
    return np.asarray(np.floor(np.asarray(t, dtype=np.float64) + _BEFORE_ONE))


def stay(c: ArrayLike, d: ArrayLike, t: ArrayLike) -> Array:
    """Probability of being there at the opportunity `t` from now, S(t).

    Examples
    --------
    >>> stay(1.0, 1.0, [0.0, 1.0, 2.0]).round(6).tolist()  # 1 / (1 + t)
    [1.0, 0.5, 0.333333]
    """
    c, d, t = np.broadcast_arrays(*_floats(c, d, whole(t)))
    finite = np.isfinite(t)
    return np.where(finite, np.exp(log_beta_ratio(c, d, np.where(finite, t, 0.0))), 0.0)


def discounted_stays(c: ArrayLike, d: ArrayLike, t: ArrayLike, delta: ArrayLike = 0.0) -> Array:
    """Expected opportunities at which a customer is there, discounted.

    Parameters
    ----------
    c, d : array_like
        Of the probability of leaving; positive.
    t : array_like
        How many opportunities, the first of them one unit of time from now; may be infinite.
    delta : array_like
        Continuous discount rate per unit of time, not negative.

    Returns
    -------
    ndarray
        The sum of exp(-delta k) S(k) over k = 1, ..., t; infinite where t is, nothing is
        discounted and c <= 1.

    Notes
    -----
    To infinity it is E[(1 - theta) / (e^delta - 1 + theta)], which is S(1) e^-delta
    2F1(1, d + 1; c + d + 1; e^-delta). Relative error below 1e-9.

    Examples
    --------
    >>> discounted_stays(2.0, 3.0, [1, 2, np.inf]).round(12).tolist()  # 3/5, 3/5 + 2/5, 3/1
    [0.6, 1.0, 3.0]
    >>> discounted_stays(1.0, 1.0, np.inf, np.log(2)).round(12).item()  # 2 ln 2 - 1
    0.38629436112
    """
    c, d, t, delta = np.broadcast_arrays(*_floats(c, d, whole(t), delta))
    value = np.empty(t.shape)
    near = t <= _SUMMED
    free = ~near & (delta == 0)
    rest = ~near & (delta > 0)
    value[near] = _added_up(c[near], d[near], t[near], delta[near])
    value[free] = _undiscounted(c[free], d[free], t[free])
    if rest.any():
        c, d, t, delta = c[rest], d[rest], t[rest], delta[rest]
        left = stay(c, d, t) * np.exp(-delta * t)
        then = _perpetuity(c, d + np.where(left > 0, t, 0.0), delta)
        value[rest] = _perpetuity(c, d, delta) - left * then
    return value


def _added_up(c: Array, d: Array, t: Array, delta: Array) -> Array:
    total, term = np.zeros(t.shape), np.ones(t.shape)
    factor = np.exp(-delta)
    for k in range(int(t.max(initial=0.0))):
        term = term * (factor * (d + k) / (c + d + k))
        total += np.where(k < t, term, 0.0)
    return total


def _undiscounted(c: Array, d: Array, t: Array) -> Array:
    """The closed form, in which nothing happens at c = 1.

    It is d / (c - 1) (1 - Gamma(c+d) Gamma(d+1+t) / (Gamma(d+1) Gamma(c+d+t))).
    """
    excess = np.where(np.abs(c - 1.0) < 1e-11, 1e-11, c - 1.0)
    above = excess > 0
    finite = np.isfinite(t)
    steps = np.where(finite, t, 0.0)
    log_rest = np.where(
        above,
        log_beta_ratio(np.abs(excess), d + 1.0, steps),
        -log_beta_ratio(np.abs(excess), np.where(above, d + 1.0, c + d), steps),
    )
    gone = np.where(finite, -np.expm1(log_rest), 1.0)
    return np.asarray(np.where(finite | (c > 1.0), d / excess * gone, np.inf))


def _perpetuity(c: Array, d: Array, delta: Array) -> Array:
    rate = np.expm1(delta)
    first = d / (c + d)
    return np.asarray(first / rate * beta_geometric_survival(c, d + 1.0, 1.0, 1.0 / rate))


def purchase_count(
    a: ArrayLike, b: ArrayLike, c: ArrayLike, d: ArrayLike, n: ArrayLike, t: ArrayLike
) -> Array:
    """Probability of using exactly `n` of the next `t` opportunities (`t` finite).

    Takes time proportional to the largest `t`.

    Examples
    --------
    >>> purchase_count(1.0, 1.0, 1.0, 1.0, [0, 1, 2], 1).round(12).tolist()  # leave, or not buy
    [0.75, 0.25, 0.0]
    """
    a, b, c, d, n, t = np.broadcast_arrays(*_floats(a, b, c, d, n, whole(t)))
    # all of the first n are used; from then on one opportunity after another is not
    there = np.exp(log_beta_ratio(b, a, n) + log_beta_ratio(c, d, n))
    there = np.where(n <= t, there, 0.0)
    ended = np.zeros(t.shape)
    for i in range(int(n.min(initial=np.inf)) if n.size else 0, int(t.max(initial=0.0))):
        on = (n <= i) & (i < t)
        ended += np.where(on, there * (c / (c + d + i)), 0.0)
        ways = (i + 1.0) / np.maximum(i + 1.0 - n, 1.0)
        unused = ways * (b + i - n) / (a + b + i) * (d + i) / (c + d + i)
        there = np.where(on, there * unused, there)
    return np.asarray(there + ended)


def all_passed(a: ArrayLike, b: ArrayLike, c: ArrayLike, d: ArrayLike, t: ArrayLike) -> Array:
    """Probability of being there at the opportunity `t` from now and having used none."""
    idle = log_beta_ratio(*np.broadcast_arrays(*_floats(a, b, t)))
    return np.asarray(np.exp(idle) * stay(c, d, t))


def no_purchase(a: ArrayLike, b: ArrayLike, c: ArrayLike, d: ArrayLike, t: ArrayLike) -> Array:
    """Probability that none of the next `t` opportunities is used; `t` may be infinite.

    Notes
    -----
    Beyond some hundred opportunities: either none is ever used, or somebody is still there after
    `t` unused ones and will use one.

    Examples
    --------
    >>> no_purchase(1.0, 1.0, 1.0, 1.0, [0, 1]).round(12).tolist()
    [1.0, 0.75]
    >>> no_purchase(1.0, 1.0, 1.0, 1.0, np.inf).round(12).item()
    0.644934066848
    """
    a, b, c, d, t = np.broadcast_arrays(*_floats(a, b, c, d, whole(t)))
    value = np.empty(t.shape)
    near = t <= _SUMMED
    if near.any():
        value[near] = purchase_count(a[near], b[near], c[near], d[near], 0.0, t[near])
    far = ~near
    if far.any():
        a, b, c, d, t = (v[far] for v in (a, b, c, d, t))
        steps = np.where(np.isfinite(t), t, 0.0)
        idle = np.where(np.isfinite(t), all_passed(a, b, c, d, steps), 0.0)
        later = np.where(idle > 0, 1.0 - never(a, b + steps, c, d + steps), 0.0)
        value[far] = never(a, b, c, d) + idle * later
    return np.minimum(value, 1.0)


def never(a: ArrayLike, b: ArrayLike, c: ArrayLike, d: ArrayLike) -> Array:
    """Probability that no opportunity is ever used, E[theta / (theta + p (1 - theta))].

    Notes
    -----
    Equals c / (c + d) 3F2(1, b, d; a + b, c + d + 1; 1). Given theta it is the expectation
    `beta_geometric_survival` over p at (1 - theta) / theta; the expectation over theta is a
    trapezoid sum in its log-odds, in which the integrand is analytic for abs(Im) < pi. What the
    first opportunity brings is taken off by hand, so that the sum ends soon to the right.

    Examples
    --------
    >>> never(1.0, 1.0, 1.0, 1.0).round(12).item()  # pi^2 / 6 - 1
    0.644934066848
    """
    a, b, c, d = np.broadcast_arrays(*_floats(a, b, c, d))
    shape = a.shape
    a, b, c, d = (v.reshape(-1) for v in (a, b, c, d))
    later = _never(a, b + 1.0, c, d + 1.0)
    return np.asarray((c + d * (b / (a + b)) * later) / (c + d)).reshape(shape)


def _never(a: Array, b: Array, c: Array, d: Array) -> Array:
    """`never` for arrays (rows,) with d >= 1, walking outwards from the peak of the density."""
    log_odds, log_density = np.log(c / d), beta_peak(c, d)
    step = trapezoid_step(np.maximum(c * d / (c + d), 1.0))
    total = np.zeros_like(a)
    for side in (1, -1):
        rows = np.arange(a.size)
        nodes = np.arange(_NODES) if side > 0 else -1 - np.arange(_NODES)
        while rows.size:
            u = nodes[:, np.newaxis] * step[rows]
            # ln of the density over that at the peak, in which nothing large cancels
            share = (c / (c + d))[rows]
            fall = c[rows] * u - (c + d)[rows] * np.log1p(share * np.expm1(u))
            density = np.exp(log_density[rows] + fall)
            unused = beta_geometric_survival(a[rows], b[rows], 1.0, np.exp(-u - log_odds[rows]))
            terms = step[rows] * density * unused
            total[rows] += terms.sum(axis=0)
            last, size = terms[-1], _ACCURACY * total[rows]
            if side > 0:  # here the probability of never is at most 1
                rows = rows[(step[rows] * density)[-1] > size]
            else:  # and there terms fall like a power of the odds in the end
                slope = c[rows] + np.minimum(1.0, a[rows])
                far = -u[-1] - log_odds[rows] > _POWER_LAW
                rest = last[far] / np.expm1(slope[far] * step[rows][far])
                total[rows[far]] += rest
                rows = rows[~far & (last > np.minimum(1.0, slope) * size)]
            nodes = nodes + side * _NODES
    return total


def no_purchase_quantile(
    a: ArrayLike, b: ArrayLike, c: ArrayLike, d: ArrayLike, q: ArrayLike
) -> Array:
    """The least number of opportunities of which one is used with probability `q` or more.

    Infinite where some opportunity is ever used with a probability of `q` at most.

    Examples
    --------
    >>> no_purchase_quantile(1.0, 1.0, 1.0, 1.0, [0.2, 0.3, 0.4]).tolist()
    [1.0, 2.0, inf]
    """
    arrays = np.broadcast_arrays(*_floats(a, b, c, d, q))
    shape = arrays[0].shape
    a, b, c, d, q = (v.reshape(-1) for v in arrays)
    result = np.full(q.shape, np.inf)

    def reached(rows: NDArray[np.intp], t: Array) -> NDArray[np.bool_]:
        return np.asarray(1.0 - no_purchase(a[rows], b[rows], c[rows], d[rows], t) >= q[rows])

    rows = np.flatnonzero(1.0 - never(a, b, c, d) > q)
    low, high = np.zeros(rows.size), np.ones(rows.size)  # not reached at low
    open_ = np.flatnonzero(~reached(rows, high))
    while open_.size:
        low[open_] = high[open_]
        high[open_] *= 2.0
        open_ = open_[~reached(rows[open_], high[open_]) & (high[open_] < _FARTHEST)]
    while (high - low > 1.0).any():
        middle = np.floor((low + high) / 2.0)
        enough = reached(rows, middle)
        low, high = np.where(enough, low, middle), np.where(enough, middle, high)
    result[rows] = np.where(high < _FARTHEST, high, np.inf)
    return result.reshape(shape)


def _floats(*values: Any) -> list[Array]:
    return [np.asarray(v, dtype=np.float64) for v in values]
