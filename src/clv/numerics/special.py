"""Special functions behind the purchase models: arrays in, arrays out, everything broadcasts.

Conventions
-----------
``log_rising`` and its derivatives are differences of gamma functions that stay accurate when the
two arguments are close or huge. The ``beta_geometric_*`` functions describe a living customer whose
purchase rate is Gamma(rho, beta) and whose dropout probability after each purchase is Beta(a, b);
time is measured as tau = t / beta, so that they depend on no unit.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammaln

Array = NDArray[np.float64]

_SHIFT = 10  # Stirling's series is used from here on
# B_2k / (2k (2k - 1)), k = 1..7: ln Gamma(z) = (z - 1/2) ln z - z + ln(2 pi)/2 + sum c_k z^(1 - 2k)
_LOG_GAMMA_TAIL = (
    1 / 12,
    -1 / 360,
    1 / 1260,
    -1 / 1680,
    1 / 1188,
    -691 / 360360,
    1 / 156,
)
_DIGAMMA_TAIL = tuple(-(2 * k + 1) * c for k, c in enumerate(_LOG_GAMMA_TAIL))
_TRIGAMMA_TAIL = tuple(-(2 * k + 2) * c for k, c in enumerate(_DIGAMMA_TAIL))


def _even_difference(tail: tuple[float, ...], upper: Array, lower: Array) -> tuple[Array, Array]:
    """Q(upper) and the divided difference (Q(upper) - Q(lower)) / (upper - lower) by Horner."""
    value = np.full_like(upper, tail[-1])
    slope = np.zeros_like(upper)
    for coefficient in tail[-2::-1]:
        slope = slope * lower + value
        value = value * upper + coefficient
    return value, slope


def _shifted(z: ArrayLike, n: ArrayLike) -> tuple[Array, Array, NDArray[np.bool_]]:
    z, n = np.broadcast_arrays(np.asarray(z, dtype=float), np.asarray(n, dtype=float))
    small = z < _SHIFT
    return z, n, small


def log_rising(z: ArrayLike, n: ArrayLike) -> Array:
    """Difference ln Gamma(z + n) - ln Gamma(z)."""
    z, n, small = _shifted(z, n)
    big = np.where(small, z + _SHIFT, z)
    v, w = 1.0 / big, 1.0 / (big + n)
    difference = -n * v * w
    q, slope = _even_difference(_LOG_GAMMA_TAIL, w * w, v * v)
    tail = difference * (q + v * (w + v) * slope)
    value = (big - 0.5) * np.log1p(n * v) + n * (np.log(big + n) - 1.0) + tail
    if small.any():
        zs, ns = z[small], n[small]
        growth = np.zeros_like(zs)
        for j in range(_SHIFT):
            growth += ns / (zs + j) * (1.0 + growth)
        value[small] -= np.log1p(growth)
    return value


def digamma_rising(z: ArrayLike, n: ArrayLike) -> Array:
    """digamma(z + n) - digamma(z)."""
    z, n, small = _shifted(z, n)
    big = np.where(small, z + _SHIFT, z)
    v, w = 1.0 / big, 1.0 / (big + n)
    difference = -n * v * w
    squares = difference * (w + v)
    q, slope = _even_difference(_DIGAMMA_TAIL, w * w, v * v)
    value = np.log1p(n * v) - 0.5 * difference + squares * (q + v * v * slope)
    if small.any():
        zs, ns = z[small], n[small]
        for j in range(_SHIFT):
            value[small] += ns / ((zs + j) * (zs + j + ns))
    return value


def trigamma_rising(z: ArrayLike, n: ArrayLike) -> Array:
    """trigamma(z + n) - trigamma(z)."""
    z, n, small = _shifted(z, n)
    big = np.where(small, z + _SHIFT, z)
    v, w = 1.0 / big, 1.0 / (big + n)
    difference = -n * v * w
    squares = difference * (w + v)
    cubes = difference * (w * w + w * v + v * v)
    q, slope = _even_difference(_TRIGAMMA_TAIL, w * w, v * v)
    value = difference + 0.5 * squares + cubes * q + v**3 * squares * slope
    if small.any():
        zs, ns = z[small], n[small]
        for j in range(_SHIFT):
            lower, upper = zs + j, zs + j + ns
            value[small] -= ns * (lower + upper) / (lower * upper) ** 2
    return value


# ---------------------------------------------------------------------------------------------
# expectations over a Beta-distributed dropout probability


def beta_geometric_purchases(a: ArrayLike, b: ArrayLike, rho: ArrayLike, tau: ArrayLike) -> Array:
    """E[(1 - (1 + p tau)^-rho) / p] over p ~ Beta(a, b)."""
    return _beta_expectation(_PURCHASES, a, b, rho, tau)


def beta_geometric_survival(a: ArrayLike, b: ArrayLike, rho: ArrayLike, tau: ArrayLike) -> Array:
    """E[(1 + p tau)^-rho] over p ~ Beta(a, b)."""
    return _beta_expectation(_SURVIVAL, a, b, rho, tau)


_PURCHASES, _SURVIVAL = "purchases", "survival"
_MOST_TERMS = 1500
_BLOCK = 8192


def _beta_expectation(
    kind: str, a: ArrayLike, b: ArrayLike, rho: ArrayLike, tau: ArrayLike
) -> Array:
    arrays = [np.asarray(v, dtype=float) for v in (a, b, rho, tau)]
    shape = np.broadcast_shapes(*(v.shape for v in arrays))
    nodes, rows = _nodes_and_rows(arrays, shape)
    parameters = [_flat(v, shape, nodes, rows)[0] for v in arrays[:3]]
    tau_rows = _flat(arrays[3], shape, nodes, rows)
    value = np.empty(tau_rows.shape)
    width = max(1, _BLOCK // tau_rows.shape[0])
    for start in range(0, tau_rows.shape[1], width):
        part = slice(start, start + width)
        value[:, part] = _block(
            kind, parameters[0][part], parameters[1][part], parameters[2][part], tau_rows[:, part]
        )
    order = nodes + rows
    moved = value.reshape([shape[i] for i in order])
    return np.ascontiguousarray(np.transpose(moved, np.argsort(order)))


def _nodes_and_rows(arrays: list[Array], shape: tuple[int, ...]) -> tuple[list[int], list[int]]:
    """Axes along which only tau varies, and the others."""
    lengths = np.ones(len(shape), dtype=int)
    for v in arrays[:3]:
        if v.ndim:
            lengths[len(shape) - v.ndim :] = np.maximum(lengths[len(shape) - v.ndim :], v.shape)
    nodes = [i for i in range(len(shape)) if lengths[i] == 1 and shape[i] != 1]
    return nodes, [i for i in range(len(shape)) if i not in nodes]


def _flat(v: Array, shape: tuple[int, ...], nodes: list[int], rows: list[int]) -> Array:
    wide = np.transpose(np.broadcast_to(v, shape), nodes + rows)
    count = int(np.prod([shape[i] for i in nodes], dtype=int))
    return wide.reshape(count, int(np.prod([shape[i] for i in rows], dtype=int)))


def _block(kind: str, a: Array, b: Array, rho: Array, tau: Array) -> Array:
    z = tau / (1.0 + tau)
    minus_log = np.log1p(tau)
    # terms needed: (k/a)^a z^k falls below 1e-16 of the sum
    terms = (40.0 + 3.0 * a) * (1.0 + tau)
    balance = a + b - rho
    easy = (terms < _MOST_TERMS) & (balance > -10.0) & (a * minus_log < 300.0)
    value = np.empty_like(tau)
    if easy.all():
        return _series(kind, a, b, rho, z, minus_log)
    rows = easy.any(axis=0)
    if rows.any():
        value[:, rows] = _series(
            kind, a[rows], b[rows], rho[rows], np.where(easy, z, 0.0)[:, rows], minus_log[:, rows]
        )
    hard = np.nonzero(~easy)
    column = hard[1]
    value[hard] = _trapezoid(kind, a[column], b[column], rho[column], tau[hard])
    return value


def _series(kind: str, a: Array, b: Array, rho: Array, z: Array, minus_log: Array) -> Array:
    largest = z.max(axis=0)
    power = z.copy()
    total = np.zeros_like(z)
    work = np.empty_like(z)
    row_power = largest.copy()
    row_total = np.zeros_like(largest)
    if kind == _PURCHASES:
        # sum of m_k d_k z^k, every term positive where rho <= a + b - 1
        growth = np.ones_like(a)
        gap = rho.copy()
        excess = a + b - 1.0
        for k in range(1, 2 * _MOST_TERMS):
            coefficient = growth * gap
            np.multiply(power, coefficient, out=work)
            total += work
            term = coefficient * row_power
            row_total += term
            if k % 4 == 0 and (np.abs(term) <= 1e-15 * (1.0 - largest) * np.abs(row_total)).all():
                break
            power *= z
            row_power *= largest
            gap += rho * (excess - gap) / (excess + k)
            growth *= (k + (a - 1.0)) / (k + 1)
        return np.exp((1.0 - a) * minus_log) * total
    coefficient = np.ones_like(a)
    row_total += 1.0
    total += 1.0
    balance = a + b - rho
    for k in range(2 * _MOST_TERMS):
        coefficient *= (a + k) * (balance + k) / ((a + b + k) * (k + 1))
        np.multiply(power, coefficient, out=work)
        total += work
        term = coefficient * row_power
        row_total += term
        if k % 4 == 0 and (np.abs(term) <= 1e-15 * (1.0 - largest) * np.abs(row_total)).all():
            break
        power *= z
        row_power *= largest
    return np.exp(-a * minus_log) * total


# -- the trapezoid rule in logit(p) --------------------------------------------------------------

_REACH = 32.0  # the integrand is followed until it has fallen by exp(-32)
_CHUNK = 12


class _Task(NamedTuple):
    """One row of the fallback: everything that does not depend on the node."""

    a: Array
    b: Array
    rho: Array
    tau: Array
    mode: Array  # p at the peak of the envelope
    rest: Array  # 1 - mode
    log_rest: Array
    log_weight: Array  # log of the Beta weight (in logit p) at the mode
    step: Array
    tilt: Array  # the exponent of the envelope (1 + p tilt_tau)^-tilt
    tilt_tau: Array
    power: Array  # the exponent of the first correction
    slope: Array
    at_one: Array  # the function at p = 1
    knee: Array  # 1/p of the knee on the left
    knee_right: Array


def _stirling_tail(z: Array) -> Array:
    """Rest ln Gamma(z) - ((z - 1/2) ln z - z + ln(2 pi)/2)."""
    v = 1.0 / np.maximum(z, _SHIFT)
    series = np.full_like(v, _LOG_GAMMA_TAIL[-1])
    for coefficient in _LOG_GAMMA_TAIL[-2::-1]:
        series = series * (v * v) + coefficient
    small = np.minimum(z, _SHIFT)
    direct = gammaln(small) - ((small - 0.5) * np.log(small) - small + 0.5 * np.log(2.0 * np.pi))
    return np.asarray(np.where(z < _SHIFT, direct, series * v))


def _log_beta_ratio(a: Array, b: Array, c: Array) -> Array:
    """Difference ln B(a, b + c) - ln B(a, b)."""
    one = a <= c
    first = np.where(one, a, c)
    return log_rising(b, first) - log_rising(np.where(one, b + c, a + b), first)


def _step(shape: Array, target: float = 29.0) -> Array:
    """Step at which the trapezoid rule leaves exp(-target) of the integral of exp(a v - e^v)."""
    goal = target / shape
    t = (2.0 / np.pi) * goal + np.sqrt(2.0 * goal)
    for _ in range(4):
        t -= (t * np.arctan(t) - 0.5 * np.log1p(t * t) - goal) / np.arctan(t)
    return np.asarray(2.0 * np.pi / (t * shape))


def _prepare(kind: str, a: Array, b: Array, rho: Array, tau: Array) -> _Task:
    log_k = np.log1p(tau)
    at_one = np.exp(-rho * log_k)
    if kind == _PURCHASES:
        at_one = -np.expm1(-rho * log_k)
        tilt, tilt_tau = np.ones_like(a), np.maximum(rho, 1.0) * tau
        linear = 0.5 * (rho + 1.0) * tau
        knee_right = np.full_like(a, 4.0)
    else:
        tilt, tilt_tau = rho, tau
        linear = rho * tau
        knee_right = rho + 4.0
    # the peak of a v - (a + b - tilt) ln(1 + e^v) - tilt ln(1 + (1 + tilt_tau) e^v)
    high = 1.0 + tilt_tau
    m = a - b / high - tilt * (tilt_tau / high)
    root = np.sqrt(m * m + 4.0 * (a * b) / high)
    odds = np.where(m > 0, (m + root) / (2.0 * b), (2.0 * a / high) / (root - m))
    mode, rest = odds / (1.0 + odds), 1.0 / (1.0 + odds)
    lifted = mode * (1.0 + tilt_tau) / (1.0 + mode * tilt_tau)
    curvature = (a + b) * mode * rest + tilt * (
        lifted * (rest / (1.0 + mode * tilt_tau)) - mode * rest
    )
    both = a + b
    distance = np.log(odds) - np.log(a / b)
    log_weight = (
        0.5 * (np.log(a) + np.log(b / both) - np.log(2.0 * np.pi))
        - (_stirling_tail(a) + _stirling_tail(b) - _stirling_tail(both))
        + a * distance
        - both * np.log1p((a / both) * np.expm1(distance))
    )
    power = np.maximum(linear, 1.0)
    slope = power - linear
    step = _step(curvature)
    knee = np.maximum(rho * tau, 1.0)
    return _Task(
        a, b, rho, tau, mode, rest, -np.log1p(odds), log_weight, step, tilt, tilt_tau,
        power, slope, at_one, knee, knee_right,
    )  # fmt: skip


def _chunk(kind: str, task: _Task, offsets: Array) -> tuple[Array, Array]:
    """Sum of the corrected integrand over some nodes, and the log of its bound at the last."""
    t = task
    d = offsets[:, None] * t.step
    e = np.expm1(d)
    u = t.mode * e
    below = t.rest + t.mode * (e + 1.0)  # 1 + u without cancellation
    log_below = np.log1p(u)
    p = t.mode * (e + 1.0) / below
    log_q = t.log_rest - log_below
    log_weight = t.log_weight + t.a * d - (t.a + t.b) * log_below
    log_f = -t.rho * np.log1p(p * t.tau)
    first = np.exp(t.power * log_q) * (1.0 + t.slope * p)
    if kind == _PURCHASES:
        values = np.exp(log_weight) * (
            -np.expm1(log_f) / p - t.rho * t.tau * first - t.at_one * p * p
        )
    else:
        values = np.exp(log_weight + log_f) - np.exp(log_weight) * (first + t.at_one * p * p)
    last = slice(-1, None)
    shape = p[last] - t.mode
    bound = (
        t.a * d[last]
        - (t.a + t.b) * log_below[last]
        - t.tilt * np.log1p(shape * t.tilt_tau / (1.0 + t.mode * t.tilt_tau))
        + 2.0 * np.minimum(0.0, np.log(t.knee * p[last]))
        + np.minimum(0.0, np.log(t.knee_right) + log_q[last])
    )
    return values.sum(axis=0), bound[0]


def _trapezoid(kind: str, a: Array, b: Array, rho: Array, tau: Array) -> Array:
    result = np.empty_like(tau)
    for start in range(0, tau.size, 2048):
        part = slice(start, start + 2048)
        result[part] = _trapezoid_block(kind, a[part], b[part], rho[part], tau[part])
    return result


def _trapezoid_block(kind: str, a: Array, b: Array, rho: Array, tau: Array) -> Array:
    task = _prepare(kind, a, b, rho, tau)
    total = np.zeros_like(tau)
    for sign, start in ((1.0, 0), (-1.0, 1)):
        active = np.arange(tau.size)
        part = task
        first = start
        while active.size and first < 100_000:
            sums, bound = _chunk(kind, part, sign * np.arange(first, first + _CHUNK).astype(float))
            total[active] += sums
            keep = bound > -_REACH
            if not keep.all():
                active = active[keep]
                part = _Task(*(v[keep] for v in part))
            first += _CHUNK
    both = a + b
    ratio = np.exp(_log_beta_ratio(a, b, task.power))
    first_mean = ratio * (1.0 + task.slope * (a / (both + task.power)))
    if kind == _PURCHASES:
        first_mean = rho * tau * first_mean
    second_mean = task.at_one * (a / both) * ((a + 1.0) / (both + 1.0))
    return total * task.step + first_mean + second_mean
