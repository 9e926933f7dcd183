"""Pareto/NBD to sixty digits, for one customer at a time, by the textbook's 2F1.

Fader & Hardie (2005), A note on deriving the Pareto/NBD model, eq. 17 to 23. The formulas
overflow and cancel, which sixty digits and numbers without a largest exponent can afford.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath as mp

DIGITS = 60


def numbers(*values: Any) -> list[Any]:
    return [v if isinstance(v, mp.mpf) else mp.mpf(float(v)) for v in values]


def _death_from(shape: Any, rate: Any, s: Any, beta: Any, u: Any) -> Any:
    """Integral from u to infinity of s (beta + v)^-(s+1) (rate + v)^-shape dv.

    The 2F1 is summed after Euler's transformation, in which all terms are positive. Where its
    argument is near 1 it starts later, and the part before is left to mpmath's tanh-sinh rule,
    one factor e of the time scale after another.
    """
    both, larger, gap = shape + s, max(rate, beta), abs(rate - beta)
    later = max(u, gap / mp.mpf("0.85") - larger)
    power = s + 1 if rate >= beta else shape
    z, n, term, total = gap / (larger + later), 0, mp.mpf(1), mp.mpf(0)
    while term > total * mp.eps:
        total, n = total + term, n + 1
        term *= (both - power + n) / (both + n) * z
    value = s / both * (1 - z) ** (1 - power) * total / (larger + later) ** both
    if later == u:
        return value
    scale = 1 / ((shape + 1) / (rate + u) + (s + 1) / (beta + u))

    def density(w: Any) -> Any:
        v = u + scale * mp.expm1(w)
        alive = (s + 1) * mp.log((beta + v) / (beta + u)) + shape * mp.log((rate + v) / (rate + u))
        return mp.exp(w - alive)

    end = mp.log1p((later - u) / scale)
    before = _sum(density, mp.linspace(0, end, int(end) + 2))
    return value + s * scale * before / ((beta + u) ** (s + 1) * (rate + u) ** shape)


def _sum(density: Callable[[Any], Any], knots: list[Any]) -> Any:
    """mpmath's tanh-sinh rule, which looks at the absolute error: the largest value is made 1."""
    with mp.workdps(30):
        largest = max(density(knot) for knot in knots)
        return largest * mp.quad(lambda v: density(v) / largest, knots, maxdegree=6)


def no_purchase(shape: Any, rate: Any, s: Any, beta: Any, t: Any) -> Any:
    """Of a living customer, within t; never again if t is infinite."""
    with mp.workdps(DIGITS):
        shape, rate, s, beta, t = numbers(shape, rate, s, beta, t)
        dead = _death_from(shape, rate, s, beta, mp.mpf(0))
        alive = mp.mpf(0)
        if t != mp.inf:
            dead -= _death_from(shape, rate, s, beta, t)
            alive = (1 + t / rate) ** -shape * (1 + t / beta) ** -s
        return alive + rate**shape * beta**s * dead


def log_likelihood(r: Any, alpha: Any, s: Any, beta: Any, x: Any, t_x: Any, T: Any) -> Any:
    with mp.workdps(DIGITS):
        r, alpha, s, beta, x, t_x, T = numbers(r, alpha, s, beta, x, t_x, T)
        density = mp.loggamma(r + x) - mp.loggamma(r) + r * mp.log(alpha) + s * mp.log(beta)
        density -= (r + x) * mp.log(alpha + t_x) + s * mp.log(beta + t_x)
        return density + mp.log(no_purchase(r + x, alpha + t_x, s, beta + t_x, T - t_x))


def probability_alive(r: Any, alpha: Any, s: Any, beta: Any, x: Any, t_x: Any, T: Any) -> Any:
    with mp.workdps(DIGITS):
        r, alpha, s, beta, x, t_x, T = numbers(r, alpha, s, beta, x, t_x, T)
        alive = ((alpha + t_x) / (alpha + T)) ** (r + x) * ((beta + t_x) / (beta + T)) ** s
        return alive / no_purchase(r + x, alpha + t_x, s, beta + t_x, T - t_x)


def expected_purchases(shape: Any, rate: Any, s: Any, beta: Any, t: Any) -> Any:
    with mp.workdps(DIGITS):
        shape, rate, s, beta, t = numbers(shape, rate, s, beta, t)
        growth = mp.log1p(t / beta)
        time = growth if s == 1 else -mp.expm1(-(s - 1) * growth) / (s - 1)
        return shape / rate * beta * time


def perpetuity(shape: Any, rate: Any, s: Any, beta: Any, delta: Any) -> Any:
    """Discounted expected purchases of a living customer (Fader, Hardie & Lee 2005, eq. 2).

    Tricomi's U(s, s, z) there is e^z z^(1-s) times the exponential integral of order s.
    """
    with mp.workdps(30):
        shape, rate, s, beta, delta = numbers(shape, rate, s, beta, delta)
        z = delta * beta
        if z < 1:
            return shape / rate * beta * mp.exp(z) * mp.expint(s, z)
        # its continued fraction, Abramowitz & Stegun 5.1.22, in steps of two
        tail = mp.mpf(0)
        for k in range(2000, 0, -1):
            tail = k * (s + k - 1) / (z + s + 2 * k - tail)
        return shape / rate * beta / (z + s - tail)


def purchase_count(shape: Any, rate: Any, s: Any, beta: Any, n: int, t: Any) -> Any:
    """P(n purchases within t) of a living customer: an integral over the time of death."""
    with mp.workdps(30):
        shape, rate, s, beta, t = numbers(shape, rate, s, beta, t)
        log_ways = mp.loggamma(shape + n) - mp.loggamma(shape) - mp.loggamma(n + 1)

        def alive(u: Any) -> Any:
            log_poisson = log_ways + shape * mp.log(rate / (rate + u)) + n * mp.log(u / (rate + u))
            return mp.exp(log_poisson) * (beta / (beta + u)) ** s

        def dying(v: Any) -> Any:
            u = mp.exp(v)
            return alive(u) * s * u / (beta + u)

        knots = mp.linspace(mp.log(t) - 60, mp.log(t), 61)
        return alive(t) + _sum(dying, knots)
