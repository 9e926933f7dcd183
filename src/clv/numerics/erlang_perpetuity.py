"""What regular buyers are worth without end: discounted purchases, and discounted time alive.

As in `erlang`, a purchase ends k stages, of which j < k have passed since the last one; stages end
at a rate lambda, and after a purchase a customer stays with probability q ~ Beta(b, a). A stage is
waited for at the price phi = lambda / (lambda + delta). So with y = phi^k, given the rate::

    purchases          phi^(k - j) E[1 / (1 - q y)]        = phi^(k - j) (1 + D)
    delta time alive   1 - phi^(k - j) E[p / (1 - q y)]    = 1 - phi^(k - j) (1 - (1 / y - 1) D)

where D, the sum of y^n E[q^n] over n = 1, 2, ..., is the perpetuity of a contract that is renewed
at every purchase (`opportunities.discounted_stays`). The expectation over lambda, whose density
given the history is in proportion to ``lambda^(R - 1) exp(-lambda) sum_{j < k} (lambda z)^j / j!``,
is taken by the trapezoid rule in ln(lambda), in which all is analytic for abs(Im) < pi / 2.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from clv.numerics._beta_trapezoid import trapezoid_step
from clv.numerics._gamma import gammaln
from clv.numerics.erlang import Kind, stage_sum
from clv.numerics.special import beta_geometric_survival

Array = NDArray[np.float64]

_REACH = 32.0  # powers of e that an integrand is followed down
_ROWS = 1024  # of a block


def perpetuity(
    kind: Kind,
    k: int,
    shape: ArrayLike,
    z: ArrayLike,
    a: ArrayLike,
    b: ArrayLike,
    delta: ArrayLike,
) -> Array:
    """Discounted purchases, or ("survival") discounted time alive, without end.

    Parameters
    ----------
    kind
        "purchases" or "survival".
    k, shape, z, a, b
        As in `erlang`; the arrays broadcast.
    delta
        Continuous discount rate, positive, per unit of time in which the rate parameter is 1.

    Returns
    -------
    ndarray
        Relative error about 1e-11.

    Examples
    --------
    With next to no discounting, as many purchases as the coins allow, (a + b - 1) / (a - 1):

    >>> perpetuity("purchases", 2, 3.0, 0.0, 2.0, 3.0, 1e-12).round(6).item()
    4.0
    """
    broad = np.broadcast_arrays(*(np.asarray(v, dtype=np.float64) for v in (shape, z, a, b, delta)))
    R, waited, first, second, price = (v.reshape(-1) for v in broad)
    low, high = _range(k, R, price)
    nodes = np.ceil((high - low) / trapezoid_step(R + k)).astype(np.int64) + 1
    order = np.argsort(nodes, kind="stable")  # rows that need as many nodes go together
    value = np.empty(R.size)
    for start in range(0, R.size, _ROWS):
        rows = order[start : start + _ROWS]
        step = (high - low)[rows] / nodes[rows[-1]]
        v = low[rows] + step * np.arange(nodes[rows[-1]] + 1.0)[:, np.newaxis]
        arguments = (k, R[rows], waited[rows], first[rows], second[rows], price[rows], v)
        value[rows] = (_purchases if kind == "purchases" else _time)(*arguments) * step
    if kind == "survival":
        # what was taken off, exp(-lambda / delta), is a stage sum at another time
        later = price / (1.0 + price)
        known = np.exp(R * np.log(later)) * stage_sum(k, R, waited * later)
        value = (value + known / stage_sum(k, R, waited)) / price
    return value.reshape(broad[0].shape)


def _range(k: int, R: Array, delta: Array) -> tuple[Array, Array]:
    """The logs of rates between which an integrand lies that counts.

    It falls like a gamma density of a shape from R to R + k + 1; and below delta like one of R + 1
    at least, since who buys so seldom is worth next to nothing.
    """
    below, most = _REACH / R, R + k + 1.0
    above = _REACH / most
    fall = below + np.sqrt(2.0 * below)  # R (u - 1 + exp(-u)) is above _REACH there
    slow = np.minimum(np.log(delta), np.log(R)) - np.minimum((_REACH + R) / (R + 1.0), fall)
    low = np.maximum(np.log(R) - fall, slow)
    return low, np.log(most) + np.log1p(above + np.sqrt(2.0 * above))


def _purchases(k: int, R: Array, z: Array, a: Array, b: Array, delta: Array, v: Array) -> Array:
    """Sum over the nodes, shape (nodes, rows), of the density times the worth of purchases."""
    rate = np.exp(v)
    wait = np.log1p(delta / rate)
    renewed, interest = _renewed(k, a, b, wait)
    # sum of (lambda z)^j / j! phi^(k - j), with lambda / phi = lambda + delta
    stages = _exponential_sum(k, (rate + delta) * z)
    log_weight = R * v - rate - gammaln(R) - k * wait
    worth = np.exp(log_weight) * stages * (1.0 + renewed / interest)
    return np.asarray(worth.sum(axis=0) / stage_sum(k, R, z))


def _time(k: int, R: Array, z: Array, a: Array, b: Array, delta: Array, v: Array) -> Array:
    """Sum over the nodes of the density times delta times the time alive, less exp(-rate/delta).

    What is taken off is 1 where hardly anything is bought, as delta times the time is: so that
    the sum ends soon there, however flat the density.
    """
    rate = np.exp(v)
    wait = np.log1p(delta / rate)
    renewed, _ = _renewed(k, a, b, wait)
    term, total = np.ones_like(v), np.zeros_like(v)
    off = np.exp(-rate / delta)
    for j in range(k):
        total += term * (renewed - (1.0 - renewed) * np.expm1(-(k - j) * wait) - off)
        term = term * (rate * z) / (j + 1.0)
    weight = np.exp(R * v - rate - gammaln(R))
    return np.asarray((weight * total).sum(axis=0) / stage_sum(k, R, z))


def _renewed(k: int, a: Array, b: Array, wait: Array) -> tuple[Array, Array]:
    """(1 / y - 1) D, which is at most 1, and 1 / y - 1."""
    with np.errstate(over="ignore"):
        interest = np.expm1(k * wait)
    return b / (a + b) * beta_geometric_survival(a, b + 1.0, 1.0, 1.0 / interest), interest


def _exponential_sum(k: int, x: Array) -> Array:
    """The sum of x^j / j! over j < k."""
    total = np.ones_like(x)
    for j in range(k - 1, 0, -1):
        total = 1.0 + x / j * total
    return total
