"""BG/NBD and MBG/NBD to forty digits, for one customer at a time.

Likelihood and P(alive) are the two terms of Fader, Hardie & Lee (2005, eq. 6), where one says
alive and the other dead. Expectations are integrals over the dropout probability alone (the
Poisson rate is integrated out by hand), as a trapezoid sum in logit(p) whose step is halved
until it no longer changes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath as mp
import numpy as np

DIGITS = 40


def _terms(r: Any, alpha: Any, a: Any, b: Any, x: Any, t_x: Any, T: Any, coins: Any) -> Any:
    """Log of the density together with being alive, and with being dead (None: cannot be)."""
    r, alpha, a, b, x, t_x, T = (mp.mpf(float(v)) for v in (r, alpha, a, b, x, t_x, T))
    common = mp.loggamma(r + x) - mp.loggamma(r) + r * mp.log(alpha)
    prior = mp.loggamma(a + b) - mp.loggamma(a) - mp.loggamma(b)

    def log_beta(first: Any, second: Any) -> Any:
        return mp.loggamma(first) + mp.loggamma(second) - mp.loggamma(first + second) + prior

    alive = common + log_beta(a, b + coins) - (r + x) * mp.log(alpha + T)
    if coins == 0:
        return alive, None
    dead = common + log_beta(a + 1, b + coins - 1) - (r + x) * mp.log(alpha + t_x)
    return alive, dead


def log_likelihood(*arguments: Any) -> Any:
    """Arguments: r, alpha, a, b, x, t_x, T, coins."""
    with mp.workdps(DIGITS + 20):
        alive, dead = _terms(*arguments)
        return alive if dead is None else mp.log(mp.exp(alive) + mp.exp(dead))


def probability_alive(*arguments: Any) -> Any:
    """Arguments: r, alpha, a, b, x, t_x, T, coins."""
    with mp.workdps(DIGITS + 20):
        alive, dead = _terms(*arguments)
        return mp.mpf(1) if dead is None else 1 / (1 + mp.exp(dead - alive))


def survival_and_purchases(shape: Any, rate: Any, a: Any, b: Any, t: Any) -> tuple[Any, Any]:
    """P(alive after t | alive now) and E[purchases within t | alive now].

    For rate ~ Gamma(shape, rate), dropout ~ Beta(a, b).
    """
    with mp.workdps(DIGITS):
        shape, rate, t = (mp.mpf(float(v)) for v in (shape, rate, t))
        tau = t / rate

        def both(p: Any) -> tuple[Any, Any]:
            exponent = -shape * mp.log1p(p * tau)
            survives = mp.exp(exponent)
            gone = 1 - survives if survives < 0.5 else -mp.expm1(exponent)
            return survives, gone / p

        return _beta_means(a, b, both, (mp.mpf(1), shape * tau))


def discounted_purchases(
    shape: float, rate: float, a: float, b: float, horizon: float, delta: float
) -> float:
    """E[sum of exp(-delta t_i) over purchases t_i within the horizon | alive now].

    Purchases come at ``shape / rate * E[(1 + p t / rate)**-(shape + 1)]`` per unit of time. The
    mean over p is a trapezoid sum in logit(p), the integral over time a Gauss-Legendre rule on
    panels of ln(1 + shape t / rate), both in long double. Nothing cancels, so some 15 digits
    are right; `discounted_purchases_by_2f1` checks that.
    """
    long = np.longdouble
    fast = max(1.0, shape)  # nothing bends before rate / fast
    end = np.log1p(fast * min(horizon, 60 / delta) / rate)
    nodes, weights = np.polynomial.legendre.leggauss(40)
    panels = np.linspace(0, end, 25, dtype=long)
    width = np.diff(panels)[:, None]
    w = (panels[:-1, None] + width * (long(1) + nodes) / 2).ravel()
    tau = np.expm1(w) / fast
    weight = (width * weights / 2).ravel() * np.exp(w - long(delta) * rate * tau) / fast

    with mp.workdps(30):
        log_norm = mp.loggamma(a + b) - mp.loggamma(a) - mp.loggamma(b)
    step = 0.2 / max(1.0, np.sqrt(min(a, b) + 1) / 2)
    taken_out = a < 0.3  # the limit at p = 0: the rest vanishes like p, however small `a` is
    low = -50 - np.log1p(shape * float(tau[-1]))
    if not taken_out:
        low = np.log(a / (a + b)) - 50 / a - 12 / np.sqrt(a)
    u = np.arange(low, 50 / b + 5, step).astype(long)
    density = step * np.exp(long(str(log_norm)) + a * u - (a + b) * np.logaddexp(0, u))
    p = 1 / (1 + np.exp(-u))
    total = long(0)
    for part in np.array_split(np.arange(len(tau)), 20):
        exponent = -(shape + 1) * np.log1p(p * tau[part, None])
        stays = np.expm1(exponent) if taken_out else np.exp(exponent)
        total += weight[part] @ (stays @ density + taken_out)
    return float(shape * total)


def discounted_purchases_by_2f1(
    shape: Any, rate: Any, a: Any, b: Any, horizon: Any, delta: Any
) -> Any:
    """The same from mpmath's 2F1 (after Pfaff's transformation) and tanh-sinh rule.

    For moderate arguments only: mpmath's 2F1 is silently wrong for some large ones.
    """
    with mp.workdps(30):
        shape, rate, a, b, horizon, delta = (
            mp.mpf(float(v)) for v in (shape, rate, a, b, horizon, delta)
        )

        def integrand(w: Any) -> Any:
            tau = mp.expm1(w)
            grown = mp.exp(w - delta * rate * tau - a * w)
            return grown * mp.hyp2f1(a, a + b - shape - 1, a + b, tau / (1 + tau))

        end = mp.log1p(min(horizon, 70 / delta) / rate)
        knots = [end * k / 4 for k in range(5)]
        return shape * mp.quad(integrand, knots, maxdegree=6)


Pair = tuple[Any, Any]


def _beta_means(a: Any, b: Any, function: Callable[[Any], Pair], at_zero: Pair) -> Pair:
    """E[function(p)] over p ~ Beta(a, b), given the function's limits at p = 0.

    With a < 1.1 the limit is taken out: the rest vanishes like p, however small `a` is. Likewise
    the value at p = 1, as a multiple of p.
    """
    a, b = mp.mpf(float(a)), mp.mpf(float(b))
    log_norm = mp.loggamma(a + b) - mp.loggamma(a) - mp.loggamma(b)
    zero = at_zero if a < 1.1 else (mp.mpf(0), mp.mpf(0))
    one = tuple(f - z for f, z in zip(function(mp.mpf(1)), zero, strict=True))

    def term(u: Any) -> Pair:
        odds = mp.exp(u)
        p = odds / (1 + odds)
        weight = mp.exp(log_norm + a * u - (a + b) * mp.log1p(odds))
        f = function(p)
        return tuple(weight * (f[i] - zero[i] - one[i] * p) for i in (0, 1))

    probes = {k: term(mp.mpf(k)) for k in range(-80, 20, 2)}
    peaks = [max(probes, key=lambda k, i=i: abs(probes[k][i])) for i in (0, 1)]
    largest = [abs(probes[peak][i]) for i, peak in enumerate(peaks)]
    step = mp.mpf(1) / 2 / max(1, mp.floor(mp.sqrt(min(a, b) + 1) / 2))
    between = (min(peaks) - 2, max(peaks) + 2)
    start = mp.mpf(peaks[0])
    total = _sweep(term, start, step, between, largest)
    value = None
    for _ in range(12):
        finer = tuple(zero[i] + one[i] * a / (a + b) + step * total[i] for i in (0, 1))
        # halving the step squares the error
        if value and all(
            abs(f - v) <= mp.mpf(10) ** -9 * abs(f) for f, v in zip(finer, value, strict=True)
        ):
            return finer
        value = finer
        halves = _sweep(term, start + step / 2, step, between, largest)
        total = [t + h for t, h in zip(total, halves, strict=True)]
        step /= 2
    raise ArithmeticError("the sum over the dropout probability does not settle")


def _sweep(
    term: Callable[[Any], Pair], start: Any, step: Any, between: Pair, largest: list[Any]
) -> list[Any]:
    """Sum of terms in both directions until they are negligible, `between` left behind."""
    total = [mp.mpf(0), mp.mpf(0)]
    for direction, first in ((1, 0), (-1, 1)):
        k, small = first, 0
        while small < 8:
            u = start + direction * k * step
            values = term(u)
            negligible = not between[0] <= u <= between[1]
            for i, value in enumerate(values):
                total[i] += value
                largest[i] = max(largest[i], abs(value))
                negligible &= bool(abs(value) <= mp.mpf(10) ** -27 * largest[i])
            small = small + 1 if negligible else 0
            k += 1
            if k > 200_000:
                raise ArithmeticError("the integrand does not vanish")
    return total
