"""Two clocks that run down: purchases at a Gamma rate until a death at a Gamma rate.

A living customer buys at a rate Gamma(shape, rate) and dies at a rate Gamma(s, beta). Up to
time t neither has happened with probability ``exp(-V(t))``, and death comes first with
density ``s / (beta + t) exp(-V(t))``, where::

    V(t) = shape ln(1 + t / rate) + s ln(1 + t / beta)

P(no purchase within t) is the sum of the first and the integral of the second. It is all that
Pareto/NBD needs beyond powers, and equals the two 2F1 of Schmittlein, Morrison & Colombo (1987),
"Counting your customers", eq. 11-13 and appendix, which overflow and cancel where this does not.

Method
------
Gauss-Legendre in q = ln(1 + t / c) with 1 / c = (shape + 1) / rate + (s + 1) / beta: the
integrand begins with a slope of at most 1, falls like exp(-e^q) and then like a power of e^q, and
has its singularities at Im q = pi or farther. Where it falls below e^-36 of its size the interval
ends, so that the number of nodes follows from its length alone (`node_count`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from clv.numerics.backend import Array, Backend
from clv.numerics.quadrature import gauss_legendre
from clv.numerics.special import gammaln, log_rising

NEGLIGIBLE = 36.0  #: in powers of e
_SHARP = 20.0  # how sharply the row formula ends the interval
_NODES = 48  # of the row formula, enough for an interval of length 18
_TINY = 1e-300
_PMF_NODES = 48
_WASTE = 4_000  # nodes that may be too many
_ELEMENTS = 8_192  # of a block, nodes times rows
_ITERATIONS = 60  # of Newton's method; six or so are needed
_FARTHEST = 600.0  # of ln(1 + t / rate)

# an interval up to this long needs this many nodes for a relative error of 1e-12
_LENGTHS = np.array([0.25, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 8.0, 12.0, 16.0])
_COUNTS = np.array([5, 6, 8, 10, 12, 14, 16, 22, 24, 32, 40, 56, 80])


def log_no_purchase(shape: Any, rate: Any, s: Any, beta: Any, t: Array, xp: Backend) -> Any:
    """Log of P(no purchase within t) of a living customer, in the vocabulary of `xp`.

    Parameters
    ----------
    shape, rate, s, beta
        Positive; whatever `xp` computes with.
    t
        Shape (n,): data, not negative, finite.
    xp
        A backend; nothing here branches on parameters.

    Notes
    -----
    Absolute error below 1e-12 for rate / beta from 1 / 4,000 to 4,000, s from 1e-3 to 1,000,
    shapes from .02 to 5,300 and any t up to 20,000 rate; below 1e-6 for all parameters that a fit
    may visit (1e-10 to 1e10), and in 99 of 100 such places below 1e-12.

    Examples
    --------
    With equal rates it is (s + shape exp(-V)) / (s + shape):

    >>> from clv.numerics import backend
    >>> np.exp(log_no_purchase(3.0, 2.0, 1.0, 2.0, np.array([0.0, 2.0]), backend)).round(12)
    array([1.      , 0.296875])
    """
    c = 1.0 / ((shape + 1.0) / rate + (s + 1.0) / beta)
    far = _log_end(shape, rate, xp)
    far = far - xp.softplus(_SHARP * (far - _log_end(s, beta, xp))) / _SHARP
    excess = np.log(np.maximum(t, _TINY)) - far
    length = xp.log1p(t * xp.exp(xp.softplus(_SHARP * excess) * (-1.0 / _SHARP)) / c)
    scaled_rate, scaled_beta = c / rate, c / beta
    dead = 0.0
    for node, weight in zip(*gauss_legendre(_NODES), strict=True):
        q = length * float(node)
        time = xp.exp(q) - 1.0
        fall = shape * xp.log1p(time * scaled_rate) + (s + 1.0) * xp.log1p(time * scaled_beta)
        dead = dead + float(weight) * xp.exp(q - fall)
    both = xp.exp(-(shape * xp.log1p(t / rate) + s * xp.log1p(t / beta)))
    return xp.log(both + length * s * scaled_beta * dead)


def _log_end(shape: Any, rate: Any, xp: Backend) -> Any:
    """Log of a time when ``(1 + t / rate)**-shape`` is negligible; early for tiny shapes."""
    fall = NEGLIGIBLE / (shape + 0.1)
    return xp.log(rate) + fall + xp.log(1.0 - xp.exp(-fall))


def node_count(length: ArrayLike) -> NDArray[np.int64]:
    """Nodes for intervals of this length in q, each of `length`'s shape."""
    return _COUNTS[np.searchsorted(_LENGTHS, length)]


def by_node_count(length: Array) -> Iterator[tuple[Array, Array, NDArray[np.intp]]]:
    """Rows that are given equally many nodes: nodes, weights (as columns), and which rows."""
    counts = node_count(length)
    present = np.flatnonzero(np.bincount(counts.reshape(-1)))[::-1]
    groups: list[list[NDArray[np.intp]]] = []
    largest = 0
    for count in present:
        rows = np.flatnonzero(counts == count)
        # a few rows are sooner done with too many nodes than by themselves
        if len(rows) * (largest - count) > _WASTE or not groups:
            groups.append([])
            largest = int(count)
        groups[-1].append(rows)
    for group in groups:
        rows = np.concatenate(group)
        nodes, weights = gauss_legendre(int(counts[rows[0]]))
        size = max(64, _ELEMENTS // len(nodes))
        for start in range(0, len(rows), size):
            yield nodes[:, None], weights[:, None], rows[start : start + size]


def no_purchase(
    shape: ArrayLike, rate: ArrayLike, s: ArrayLike, beta: ArrayLike, t: ArrayLike
) -> Array:
    """P(no purchase within t, or before death) of a living customer.

    Parameters
    ----------
    shape, rate : array_like
        Of the Gamma-distributed purchase rate; positive.
    s, beta : array_like
        Shape and rate of the Gamma-distributed death rate; positive.
    t : array_like
        Not negative; infinity for "never again".

    Returns
    -------
    ndarray
        Of the broadcast shape. Errors are those of `log_no_purchase`.

    Notes
    -----
    ``exp(log_no_purchase)``, with as many nodes as are needed, and in a form that also serves
    for t = infinity. With p(t) = s (rate + t) / (s (rate + t) + shape (beta + t)) the chance that
    what happens at t is death, integration by parts leaves

    * rate >= beta: ``p(inf) + (1 - p(inf)) e^-V + p(inf) shape (rate - beta)`` times the integral
      of ``e^-V / ((rate + u) (beta + u))``;
    * else: ``p(0) + (1 - p(t)) e^-V`` + the integral of ``p'(u) e^-V``,

    sums of positive terms with integrands that fall by two powers faster.

    Examples
    --------
    >>> no_purchase(3.0, 2.0, 1.0, 2.0, [0.0, 2.0, np.inf]).round(12).tolist()
    [1.0, 0.296875, 0.25]
    """
    return _by_row(_no_purchase, shape, rate, s, beta, t)


def _no_purchase(shape: Array, rate: Array, s: Array, beta: Array, t: Array) -> Array:
    total = s + shape
    slow = rate >= beta
    c = 1.0 / ((shape + 1.0) / rate + (s + 1.0) / beta)
    # chance that what happens is death: at the beginning or in the end, and at t
    ratio = np.where(slow, 1.0, beta / rate)
    start = s / (s + shape * ratio)
    with np.errstate(over="ignore"):
        neither = np.exp(-(shape * np.log1p(t / rate) + s * np.log1p(t / beta)))
        at_t = s / (s + shape * np.where(slow, 1.0, 1.0 + (beta - rate) / (rate + t)))
        larger, smaller = np.maximum(rate, beta), np.minimum(rate, beta)
        power = np.where(slow, s + 1.0, shape)
        end = np.minimum(
            larger * np.expm1(NEGLIGIBLE / (1.0 + total)), smaller * np.expm1(NEGLIGIBLE / power)
        )
    length = np.log1p(np.minimum(t, end) / c)
    integral = np.empty_like(t)
    for nodes, weights, i in by_node_count(length):
        q = nodes * length[i]
        u = c[i] * np.expm1(q)
        by_rate, by_beta = u / rate[i], u / beta[i]
        grown = np.exp(q - shape[i] * np.log1p(by_rate) - s[i] * np.log1p(by_beta))
        by_rate += 1.0
        by_beta += 1.0
        ages = np.where(
            slow[i],
            total[i] * by_rate * by_beta,
            (s[i] / ratio[i] * by_rate + shape[i] * by_beta) ** 2,
        )
        integral[i] = length[i] * (weights * grown / ages).sum(axis=0)
    integral *= s * shape * (np.abs(rate - beta) / larger) * (c / beta)
    return np.minimum(start + (1.0 - at_t) * neither + integral, 1.0)


def no_purchase_quantile(
    shape: ArrayLike, rate: ArrayLike, s: ArrayLike, beta: ArrayLike, q: ArrayLike
) -> Array:
    """Time t at which ``no_purchase`` has fallen to 1 - q; infinite where it never does.

    Parameters as in `no_purchase`, with 0 < q < 1.

    Notes
    -----
    Newton's method for the log of P(first purchase after t) = exp(-V(t)) P(purchase before death
    | alive at t) as a function of ln(1 + t / rate), whose slope is -shape divided by the last
    factor. The slope is monotone, so the search cannot go astray.

    Examples
    --------
    >>> t = no_purchase_quantile(3.0, 2.0, 1.0, 2.0, [0.703125, 0.76])
    >>> t.round(9).tolist()
    [2.0, inf]
    """
    return _by_row(_no_purchase_quantile, shape, rate, s, beta, q)


def _no_purchase_quantile(shape: Array, rate: Array, s: Array, beta: Array, q: Array) -> Array:
    buys = _no_purchase(s, beta, shape, rate, np.full_like(q, np.inf))
    w = np.where(q < buys, 0.0, np.inf)
    todo = np.flatnonzero(q < buys)
    goal = np.log(buys - q, where=q < buys, out=np.zeros_like(q))
    for _ in range(_ITERATIONS):
        t = rate[todo] * np.expm1(w[todo])
        later_rate, later_beta = rate[todo] + t, beta[todo] + t
        again = _no_purchase(s[todo], later_beta, shape[todo], later_rate, np.full_like(t, np.inf))
        log_later = np.log(again) - (shape[todo] * w[todo] + s[todo] * np.log1p(t / beta[todo]))
        step = (log_later - goal[todo]) * again / shape[todo]
        w[todo] = np.clip(w[todo] + step, 0.0, _FARTHEST)
        todo = todo[np.abs(step) > 1e-9 * (1e-3 + w[todo])]
        if not len(todo):
            break
    with np.errstate(over="ignore"):
        t = np.where(w < _FARTHEST, rate * np.expm1(w), np.inf)
    # early on the difference above loses digits, and P(no purchase) itself does not
    early = np.flatnonzero(q < 0.9 * buys)
    now, fall = t[early], shape[early] / (rate[early] + t[early])
    density = fall * np.exp(
        -(shape[early] * w[early] + s[early] * np.log1p(t[early] / beta[early]))
    )
    left = _no_purchase(shape[early], rate[early], s[early], beta[early], now)
    t[early] = np.maximum(now + (left - (1.0 - q[early])) / density, 0.0)
    return t


def purchase_count(
    shape: ArrayLike, rate: ArrayLike, s: ArrayLike, beta: ArrayLike, n: ArrayLike, t: ArrayLike
) -> Array:
    """P(n purchases within t, or before death if that is sooner) of a living customer.

    Parameters as in `no_purchase`, n whole numbers >= 0 and t finite and positive.

    Notes
    -----
    Negative binomial while alive, and its mean over the time of death. Relative error below 1e-9.

    Examples
    --------
    >>> purchase_count(3.0, 2.0, 1.0, 2.0, [0, 1], 2.0).round(6).tolist()
    [0.296875, 0.215625]
    """
    return _by_row(_purchase_count, shape, rate, s, beta, n, t)


def _purchase_count(shape: Array, rate: Array, s: Array, beta: Array, n: Array, t: Array) -> Array:
    value = np.empty_like(t)
    none = n == 0
    value[none] = _no_purchase(*(v[none] for v in (shape, rate, s, beta, t)))
    some = np.flatnonzero(~none)
    for start in range(0, len(some), 4096):
        i = some[start : start + 4096]
        value[i] = _some_purchases(*(v[i] for v in (shape, rate, s, beta, n, t)))
    return value


def _some_purchases(shape: Array, rate: Array, s: Array, beta: Array, n: Array, t: Array) -> Array:
    c = 1.0 / ((shape + 1.0) / rate + (s + 1.0) / beta)

    def log_density(u: Array) -> Array:
        """Of n purchases up to u, still alive, but for a constant."""
        alive = -shape * np.log1p(u / rate) - s * np.log1p(u / beta)
        return np.asarray(alive - n * np.log1p(rate / u))

    def log_integrand(v: Array) -> Array:
        """Of dying at u = e^v, as a density of v: concave."""
        u = np.exp(v)
        return log_density(u) + v - np.log(beta + u)

    def rises(v: Array) -> Array:
        u = np.exp(v)
        return (n * rate - shape * u) / (rate + u) + (beta - s * u) / (beta + u)

    last = np.log(t)
    peak = _bisect(rises, np.minimum(np.log(c) - 2.0, last), last, 24)
    floor = log_integrand(peak) - NEGLIGIBLE
    first = np.minimum(np.log(c) - 2.0, peak) - 2.0 * NEGLIGIBLE
    left = _bisect(lambda v: floor - log_integrand(v), first, peak, 12)
    right = _bisect(lambda v: log_integrand(v) - floor, peak, last, 12)
    right = np.where(log_integrand(last) > floor, last, right)

    q_left, q_right = (np.log1p(np.exp(v) / c) for v in (left, right))
    nodes, weights = (v[:, None] for v in gauss_legendre(_PMF_NODES))
    q = q_left + nodes * (q_right - q_left)
    u = c * np.expm1(q)
    ways = log_rising(shape, n) - gammaln(n + 1.0)
    dead = (weights * np.exp(ways + log_density(u) + q - np.log(beta + u))).sum(axis=0)
    dead *= s * c * (q_right - q_left)
    return np.asarray(np.minimum(np.exp(ways + log_density(t)) + dead, 1.0))


def _bisect(function: Callable[[Array], Array], low: Array, high: Array, steps: int) -> Array:
    """Where a function that is positive at `low` turns negative, or `high`."""
    for _ in range(steps):
        middle = 0.5 * (low + high)
        positive = function(middle) > 0
        low, high = np.where(positive, middle, low), np.where(positive, high, middle)
    return 0.5 * (low + high)


def _by_row(function: Callable[..., Array], *arguments: ArrayLike) -> Array:
    arrays = np.broadcast_arrays(*(np.asarray(v, dtype=np.float64) for v in arguments))
    flat = (np.ascontiguousarray(v).reshape(-1) for v in arrays)
    return function(*flat).reshape(arrays[0].shape)
