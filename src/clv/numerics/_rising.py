"""Differences of gamma functions that keep their digits when the arguments are close or huge.

Method: Stirling's series from z = 10 on, in which every difference is taken analytically (by
divided differences), and the recurrence Gamma(z + 1) = z Gamma(z) below, as one product whose
terms all have the same sign.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from clv.numerics._gamma import (
    DIGAMMA_TAIL,
    LOG_GAMMA_TAIL,
    SHIFT,
    STEPS,
    TRIGAMMA_TAIL,
    digamma,
    trigamma,
)

Array = NDArray[np.float64]

_FEW = 4.0  # where n is no smaller than z by this factor, a difference loses no digits
_BLOCK = 8192  # elements at a time, so that the work stays in the processor's cache


def log_rising(z: ArrayLike, n: ArrayLike) -> Array:
    """Log of the rising factorial, ln Gamma(z + n) - ln Gamma(z).

    Parameters
    ----------
    z : array_like
        Positive.
    n : array_like
        Not negative, not necessarily whole; broadcast against `z`.

    Returns
    -------
    ndarray
        Of the broadcast shape.

    Notes
    -----
    Relative error below 1e-12 (absolute where the value passes through zero) for z from 1e-8 to
    1e12 and n up to 1e5. Abramowitz & Stegun 6.1.40 and 6.1.16.

    Examples
    --------
    >>> log_rising(3.0, 2).round(12).item()  # ln(3 * 4)
    2.484906649788
    >>> log_rising(1e12, 1).round(12).item()  # ln(1e12); the difference of gammaln is 27.633
    27.631021115929
    """
    return _by_blocks(_log_rising, z, n)


def digamma_rising(z: ArrayLike, n: ArrayLike) -> Array:
    """Derivative of `log_rising` in z, digamma(z + n) - digamma(z).

    Domain, shapes and accuracy as in `log_rising`; Abramowitz & Stegun 6.3.18 and 6.3.6.

    Examples
    --------
    >>> digamma_rising(3.0, 2).round(12).item()  # 1/3 + 1/4
    0.583333333333
    """
    if _is_far(z, n):
        return np.asarray(digamma(np.add(z, n)) - digamma(z))
    return _by_blocks(_digamma_rising, z, n)


def trigamma_rising(z: ArrayLike, n: ArrayLike) -> Array:
    """Second derivative of `log_rising` in z, trigamma(z + n) - trigamma(z).

    Domain, shapes and accuracy as in `log_rising`; Abramowitz & Stegun 6.4.12 and 6.4.6.

    Examples
    --------
    >>> trigamma_rising(3.0, 2).round(12).item()  # -(1/9 + 1/16)
    -0.173611111111
    """
    if _is_far(z, n):
        return np.asarray(trigamma(np.add(z, n)) - trigamma(z))
    return _by_blocks(_trigamma_rising, z, n)


def log_beta_ratio(a: Array, b: Array, c: Array) -> Array:
    """Difference ln B(a, b + c) - ln B(a, b), the log of E[(1 - p)^c] over p ~ Beta(a, b)."""
    # symmetric in a and c; the smaller one loses fewer digits
    least = np.minimum(a, c)
    return log_rising(b, least) - log_rising(b + np.maximum(a, c), least)


def _is_far(z: ArrayLike, n: ArrayLike) -> bool:
    """Whether a plain difference loses no digits, because n is nowhere small beside z."""
    return bool(np.all(np.asarray(n, dtype=np.float64) * _FEW >= np.asarray(z, dtype=np.float64)))


def _by_blocks(function: Callable[[Array, Array], Array], z: ArrayLike, n: ArrayLike) -> Array:
    z = np.asarray(z, dtype=np.float64)
    n = np.asarray(n, dtype=np.float64)
    if max(z.size, n.size) <= _BLOCK and max(z.ndim, n.ndim) == 1:
        return function(z + np.zeros_like(n), n + np.zeros_like(z))
    shape = np.broadcast_shapes(z.shape, n.shape)
    value = np.empty(shape)
    flat, zs, ns = value.reshape(-1), *(np.broadcast_to(v, shape).reshape(-1) for v in (z, n))
    for start in range(0, flat.size, _BLOCK):
        part = slice(start, start + _BLOCK)
        flat[part] = function(zs[part], ns[part])
    return value


def _log_rising(z: Array, n: Array) -> Array:
    small = z < SHIFT
    high = np.where(small, z + SHIFT, z)
    v, w = 1.0 / high, 1.0 / (high + n)
    first = -n * v * w  # w - v
    q, slope = _tail_and_slope(LOG_GAMMA_TAIL, w * w, v * v)
    tail = first * (q + v * (w + v) * slope)
    value = (high - 0.5) * np.log1p(n * v) + n * (np.log(high + n) - 1.0) + tail
    if small.any():
        z, n = z[small], n[small]
        growth = np.zeros_like(z)  # product of (1 + n / (z + j)), minus 1
        for j in range(SHIFT):
            growth += n / (z + j) * (1.0 + growth)
        value[small] -= np.log1p(growth)
    return value


def _digamma_rising(z: Array, n: Array) -> Array:
    small = z < SHIFT
    high = np.where(small, z + SHIFT, z)
    v, w = 1.0 / high, 1.0 / (high + n)
    first = -n * v * w
    q, slope = _tail_and_slope(DIGAMMA_TAIL, w * w, v * v)
    value = np.log1p(n * v) + first * ((w + v) * (q + v * v * slope) - 0.5)
    if small.any():
        z, n = z[small], n[small]
        steps = z + STEPS
        value[small] += np.sum(n / (steps * (steps + n)), axis=0)
    return value


def _trigamma_rising(z: Array, n: Array) -> Array:
    small = z < SHIFT
    high = np.where(small, z + SHIFT, z)
    v, w = 1.0 / high, 1.0 / (high + n)
    first = -n * v * w
    q, slope = _tail_and_slope(TRIGAMMA_TAIL, w * w, v * v)
    value = first * (1.0 + (w + v) * (0.5 + v**3 * slope) + (w * w + w * v + v * v) * q)
    if small.any():
        z, n = z[small], n[small]
        steps = z + STEPS
        value[small] -= np.sum(n * (2.0 * steps + n) / (steps * (steps + n)) ** 2, axis=0)
    return value


def _tail_and_slope(tail: tuple[float, ...], x: Array, y: Array) -> tuple[Array, Array]:
    """Q(x) and (Q(x) - Q(y)) / (x - y) of the polynomial Q with coefficients `tail`."""
    value = np.full_like(x, tail[-1])
    slope = np.zeros_like(x)
    for coefficient in tail[-2::-1]:
        slope = slope * y + value
        value = value * x + coefficient
    return value, slope
