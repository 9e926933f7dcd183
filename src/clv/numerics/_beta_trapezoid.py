"""Quadrature for expectations over a Beta-distributed dropout probability, for any parameters.

The trapezoid rule in v = logit(p), in which the integrand is analytic for abs(Im v) < pi/2 and
decays exponentially, so that the error falls like exp(-pi^2 / step). Two terms of known
expectation are taken off first. They leave an integrand that decays like exp((a + 2) v) on the
left and exp(-(b + 1) v) on the right however small a and b are, and they lie below the function,
so that no digits are lost in putting them back::

    f(0) (1 - p)^m (1 + (m - c) p)      f(p) = f(0) (1 - c p + ...), m = max(c, 1)
    f(1) p^2

Everything is computed relative to the peak of an envelope of the integrand,
exp(a v) (1 + e^v)^-(a + b) (1 + p t)^-e with (e, t) = (rho, tau) for survival and
(1, max(rho, 1) tau) for purchases, which has a single peak and says where to stop.
Trefethen & Weideman (2014), "The exponentially convergent trapezoidal rule", SIAM Review 56.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from clv.numerics._beta_series import Kind
from clv.numerics._gamma import stirling_rest
from clv.numerics._rising import log_beta_ratio

Array = NDArray[np.float64]

_ERROR = 26.0  # of the step, in powers of e
_REACH = 29.0  # the envelope is followed until it has fallen this far, likewise
_BELOW_ONE = 1.0 - 2.0**-53
_ROWS = 512
_NODES = 12


class _Row(NamedTuple):
    """What does not depend on the node, each of shape (rows,)."""

    a: Array
    b: Array
    rho: Array
    tau: Array
    step: Array
    p: Array  # at the peak
    log_q: Array  # ln(1 - p) there
    log_weight: Array  # ln of the Beta weight of dv there
    exponent: Array  # of the envelope
    t: Array  # of the envelope
    at_zero: Array  # f(0)
    at_one: Array  # f(1)
    power: Array  # m
    slope: Array  # m - c
    left: Array  # the correction works for p < 1 / left
    right: Array  # and for 1 - p < 1 / right


def trapezoid(kind: Kind, a: Array, b: Array, rho: Array, tau: Array) -> Array:
    """Expectation for arrays of one common shape (rows,)."""
    value = np.empty_like(tau)
    for start in range(0, tau.size, _ROWS):
        part = slice(start, start + _ROWS)
        row = _prepare(kind, a[part], b[part], rho[part], tau[part])
        # the function is largest at p = 0
        value[part] = np.minimum(row.step * _sum(kind, row) + _taken_off(row), row.at_zero)
    return value


def _prepare(kind: Kind, a: Array, b: Array, rho: Array, tau: Array) -> _Row:
    if kind == "purchases":
        exponent, t = np.ones_like(a), np.maximum(rho, 1.0) * tau
        at_zero, at_one = rho * tau, -np.expm1(-rho * np.log1p(tau))
        c = 0.5 * (rho + 1.0) * tau
        right = np.full_like(a, 4.0)
    else:
        exponent, t = rho, tau
        at_zero, at_one = np.ones_like(a), np.exp(-rho * np.log1p(tau))
        c = rho * tau
        right = rho + 4.0
    both = a + b
    odds = _peak(a, b, exponent, t)
    p, q = odds / (1.0 + odds), 1.0 / (1.0 + odds)
    reduced = t / (1.0 + p * t)
    # of -ln envelope: (a + b) p q at the peak, and what (1 + p t)^-e adds
    curvature = (a + b) * p * q + exponent * reduced * p * q * ((q - p) - reduced * p * q)
    away = np.log(odds) - np.log(a / b)
    log_weight = beta_peak(a, b) + (a * away - both * np.log1p(a / both * np.expm1(away)))
    m = np.maximum(c, 1.0)
    return _Row(
        a, b, rho, tau,
        # a plateau is flat at its top, but its edges are not
        step=trapezoid_step(np.maximum(curvature, np.minimum(8.0, 0.5 * np.minimum(a, exponent)))),
        p=p,
        log_q=-np.log1p(odds),
        log_weight=log_weight,
        exponent=exponent,
        t=t,
        at_zero=at_zero,
        at_one=at_one,
        power=m,
        slope=m - c,
        left=np.maximum(rho * tau, 1.0),
        right=right,
    )  # fmt: skip


def _peak(a: Array, b: Array, exponent: Array, t: Array) -> Array:
    """Odds p/(1 - p) at the peak of the envelope, the root of a quadratic."""
    k = 1.0 + t
    middle = a - b / k - exponent * (t / k)
    root = np.sqrt(middle * middle + 4.0 * a * (b / k))
    size = np.abs(middle) + root
    return np.where(middle > 0, size / (2.0 * b), 2.0 * a / k / size)


def beta_peak(a: Array, b: Array) -> Array:
    """Log of the density of logit(p) where p ~ Beta(a, b), at its peak, odds a / b."""
    both = a + b
    return np.asarray(
        0.5 * (np.log(a) + np.log(b / both) - np.log(2.0 * np.pi))
        - (stirling_rest(a) + stirling_rest(b) - stirling_rest(both))
    )


def trapezoid_step(shape: Array) -> Array:
    """Step that leaves exp(-_ERROR) of the integral of exp(shape v - e^v), whose peak is as curved.

    The error is exp(-shape (x atan x - ln(1 + x^2)/2)) with x = 2 pi / (step shape).
    """
    goal = _ERROR / shape
    x = 2.0 / np.pi * goal + np.sqrt(2.0 * goal)
    for _ in range(3):
        slope = np.arctan(x)
        x -= (x * slope - 0.5 * np.log1p(x * x) - goal) / slope
    return 2.0 * np.pi / (x * shape)


def _taken_off(row: _Row) -> Array:
    """Expectation of what was taken off."""
    both = row.a + row.b
    first = np.exp(log_beta_ratio(row.a, row.b, row.power))
    first *= row.at_zero * (1.0 + row.slope * (row.a / (both + row.power)))
    return first + row.at_one * (row.a / both) * ((row.a + 1.0) / (both + 1.0))


def _sum(kind: Kind, row: _Row) -> Array:
    """Sum of the integrand over the nodes, walking outwards from the peak on both sides."""
    total = np.zeros_like(row.tau)
    for nodes in (np.arange(_NODES), -1 - np.arange(_NODES)):
        here, at = row, np.arange(total.size)
        walked = 0
        while at.size:
            sums, envelope = _stretch(kind, here, nodes + np.sign(nodes[-1]) * walked)
            total[at] += sums
            walked += _NODES
            far = envelope > -_REACH
            if not far.all():
                here, at = _Row(*(field[far] for field in here)), at[far]
    return total


def _stretch(kind: Kind, row: _Row, nodes: NDArray[np.int64]) -> tuple[Array, Array]:
    """Sum over some nodes, and the log of the integrand's envelope at the last of them."""
    d = nodes[:, np.newaxis] * row.step
    grown = np.exp(d)
    part = row.p * np.expm1(d)
    log_below = np.log1p(part)  # of 1 + p_peak (e^d - 1), what p and 1 - p are divided by
    p = row.p * grown / (1.0 + part)
    log_q = np.log1p(-np.minimum(p, _BELOW_ONE))  # to the last digit where p is small
    log_f = -row.rho * np.log1p(p * row.tau)
    log_weight = row.log_weight + (row.a * d - (row.a + row.b) * log_below)
    f = -np.expm1(log_f) / p if kind == "purchases" else np.exp(log_f)
    f -= row.at_zero * np.exp(row.power * log_q) * (1.0 + row.slope * p)
    f -= row.at_one * p * p
    envelope = (
        (log_weight[-1] - row.log_weight)
        - row.exponent * (np.log1p(row.t * p[-1]) - np.log1p(row.t * row.p))
        + 2.0 * np.log(np.minimum(1.0, row.left * p[-1]))
        + np.minimum(0.0, np.log(row.right) + (row.log_q - log_below)[-1])
    )
    f *= np.exp(log_weight)
    return f.sum(axis=0), envelope
