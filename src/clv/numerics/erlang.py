"""Expectations for customers whose purchases are an Erlang process, and who drop out by coin.

A purchase ends k stages; the stages of a living customer end as a Poisson process of a rate that is
Gamma(R, 1) where R counts the stages up to the last purchase; after a purchase they stay with
probability q ~ Beta(b, a). Times are in units of the rate parameter *now*: ``z`` is how long ago
the last purchase was, less than 1, and ``tau`` how far ahead we look. That they are alive says that
fewer than k stages have ended since.

Let L be the number of stages within z + tau. It is negative binomial, and given L each of them fell
into z with probability z / (z + tau), so that all follows from sums of positive terms::

    P(L = l, fewer than k before now)
        = (R)_l / l! (1 + tau)^-(R + l) sum_{i < k} C(l, i) z^i tau^(l - i)

divided by S(z), its total at tau = 0, with S(z) = sum_{j < k} (R)_j / j! z^j.

M = floor(L / k) purchases follow if the coins allow, q^M is the chance that all do, and expected
purchases are E[(1 - q^M) / (1 - q)]. Where counts are small these are sums over l (`_by_counting`).
Where they are large, M is split by the k-th roots u of q (`_by_roots`)::

    E[q^M | q] = p / (k q) sum_u u / (1 - u) (1 + tau (1 - u))^-R S(z u / (1 + tau (1 - u))) / S(z)

and averaged over the coin by the trapezoid rule in its logit. One root is positive and carries all
that lasts; the others fade as the memory of the last purchase does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betainc, betaincc, betaincinv, gammaln

from clv.numerics._beta_trapezoid import _peak, trapezoid_step
from clv.numerics._rising import log_beta_ratio, log_rising

Array = NDArray[np.float64]
Kind = Literal["purchases", "survival"]

_LONGEST = 1200.0  # stages up to which probabilities are summed one by one
_DEEPEST = 600.0  # powers of e by which the first of them may be small
_ROWS = 4096  # of a block
_NEGLIGIBLE = 1e-17
_REACH = 32.0  # powers of e that an integrand is followed down
_LATEST = 690.0  # ln of the latest time that is told from never
_SMALL_Q, _FEW = 1e-3, 6  # below this q, so many powers of q do


def stage_sum(k: int, shape: Any, z: Any) -> Any:
    """S(z), the sum of (R)_j / j! z^j over j < k, of whatever can be added and multiplied."""
    if k == 1:
        return 1.0
    total = 1.0 + (shape + (k - 2.0)) * z * (1.0 / (k - 1))
    for j in range(k - 2, 0, -1):
        total = 1.0 + (shape + (j - 1.0)) * z * (1.0 / j) * total
    return total


def stage_weights(k: int, shape: ArrayLike, z: ArrayLike) -> Array:
    """P(j stages since the last purchase | fewer than k), shape (k, ...)."""
    shape, z = np.asarray(shape, dtype=np.float64), np.asarray(z, dtype=np.float64)
    terms = [np.ones(np.broadcast_shapes(shape.shape, z.shape))]
    for j in range(1, k):
        terms.append(terms[-1] * ((shape + (j - 1.0)) / j) * z)
    weights = np.stack(terms)
    return np.asarray(weights / weights.sum(axis=0))


def no_purchase(k: int, shape: ArrayLike, z: ArrayLike, tau: ArrayLike) -> Array:
    """P(no purchase within tau).

    Examples
    --------
    >>> no_purchase(1, 2.0, 0.3, 1.0).item()  # (1 + tau)^-R: one stage has no memory
    0.25
    """
    tau = np.asarray(tau, dtype=np.float64)
    shape, z = np.asarray(shape, dtype=np.float64), np.asarray(z, dtype=np.float64)
    later = z + (1.0 - z) * -np.expm1(-np.log1p(tau))
    ratio = stage_sum(k, shape, later) / stage_sum(k, shape, z)
    return np.asarray(np.minimum(np.exp(-shape * np.log1p(tau)) * ratio, 1.0))


def at_least(k: int, shape: ArrayLike, z: ArrayLike, n: ArrayLike, tau: ArrayLike) -> Array:
    """P(M >= n), for n of 1 or more and finite tau."""
    n, tau = np.asarray(n, dtype=np.float64), np.asarray(tau, dtype=np.float64)
    shape = np.asarray(shape, dtype=np.float64)
    weights = stage_weights(k, shape, z)
    early = tau <= 1.0  # else 1 / (1 + tau) has more digits than its complement
    whole = np.broadcast_shapes(weights.shape[1:], n.shape, tau.shape)
    total, chance = np.zeros(whole), np.empty(whole)
    for j in range(k):
        stages = n * k - j
        betainc(stages, shape + j, tau / (1.0 + tau), out=chance, where=early)
        betaincc(shape + j, stages, 1.0 / (1.0 + tau), out=chance, where=~early)
        total += weights[j] * chance
    return np.asarray(total)


def exactly(k: int, shape: ArrayLike, z: ArrayLike, n: ArrayLike, tau: ArrayLike) -> Array:
    """P(M = n), for n of 0 or more and tau above 0."""
    n, tau = np.asarray(n, dtype=np.float64), np.asarray(tau, dtype=np.float64)
    shape, z = np.asarray(shape, dtype=np.float64), np.asarray(z, dtype=np.float64)
    # ln of (z + tau) / (1 + tau) without cancellation when it is near 1
    log_in = -np.log1p((1.0 - z) / (z + tau))
    first = -shape * np.log1p(tau) - np.log(stage_sum(k, shape, z))
    after = tau / (z + tau)
    total: Array | float = 0.0
    for i in range(k):
        stages = n * k + i
        few_before = betainc(np.maximum(stages - k + 1.0, 1.0), float(k), after)
        term = np.exp(first + log_rising(shape, stages) - gammaln(stages + 1.0) + stages * log_in)
        total = total + term * np.where(n > 0, few_before, 1.0)
    return np.asarray(total)


def no_purchase_quantile(k: int, shape: ArrayLike, z: ArrayLike, q: ArrayLike) -> Array:
    """The tau within which the next purchase comes with probability `q`; inf if beyond all floats.

    Newton's method for the log of the cumulative hazard in the log of time, kept between the
    times at which a customer would buy who needs one more stage, and one who needs all k.

    Examples
    --------
    >>> no_purchase_quantile(2, 3.0, 0.2, 1.0 - no_purchase(2, 3.0, 0.2, 0.7)).round(12).item()
    0.7
    """
    broad = np.broadcast_arrays(*(np.asarray(v, dtype=np.float64) for v in (shape, z, q)))
    R, z_now, level = (v.reshape(-1) for v in broad)
    goal = -np.log1p(-level)
    with np.errstate(over="ignore", divide="ignore"):
        low = np.log(np.expm1(goal / (R + k - 1.0)))
        high = np.log(betaincinv(float(k), R, level)) - np.log(betaincinv(R, float(k), 1.0 - level))
    w = np.minimum(high, _LATEST)
    low, high = np.minimum(low, _LATEST), np.minimum(high + 1.0, _LATEST)  # scipy's may be off
    result, at = np.empty_like(w), np.arange(w.size)
    for _ in range(100):
        tau = np.exp(w)
        hazard, slope = _cumulative_hazard(k, R, z_now, tau)
        short = hazard < goal
        low, high = np.where(short, w, low), np.where(short, high, w)
        with np.errstate(all="ignore"):  # what is no number is no step, and the middle is taken
            new = w + (np.log(goal) - np.log(hazard)) * hazard / (tau * slope)
        new = np.where((new > low) & (new < high), new, 0.5 * (low + high))
        # the error after a step of Newton is about the square of the step
        on = np.abs(new - w) > 1e-11
        result[at] = new
        if not on.any():
            break
        w, at, R, z_now, goal, low, high = (v[on] for v in (new, at, R, z_now, goal, low, high))
    return np.where(result >= _LATEST - 1.0, np.inf, np.exp(result)).reshape(broad[0].shape)


def _cumulative_hazard(k: int, R: Array, z: Array, tau: Array) -> tuple[Array, Array]:
    """-ln P(no purchase within tau) and its derivative."""
    later = z + (1.0 - z) * -np.expm1(-np.log1p(tau))
    come = at_least(k, R, z, 1.0, tau)
    far = come > 0.5
    direct = R * np.log1p(tau) - np.log(stage_sum(k, R, later) / stage_sum(k, R, z))
    hazard = np.where(far, direct, -np.log1p(-np.where(far, 0.0, come)))
    last_stage = stage_weights(k, R, later)[-1]
    return hazard, (R + (k - 1.0)) / (1.0 + tau) * last_stage


def expected_purchases(
    k: int, shape: ArrayLike, z: ArrayLike, a: ArrayLike, b: ArrayLike, tau: ArrayLike
) -> Array:
    """E[(1 - q^M) / (1 - q)], purchases within tau; all arguments broadcast.

    Examples
    --------
    Nobody leaves, and the rate is known to be 3: a purchase for every other stage, about.

    >>> expected_purchases(2, 3e9, 0.0, 1e-9, 1.0, 1e-9).round(5).item()
    1.25062
    """
    return _expectation("purchases", k, shape, z, a, b, tau)


def survival(
    k: int, shape: ArrayLike, z: ArrayLike, a: ArrayLike, b: ArrayLike, tau: ArrayLike
) -> Array:
    """E[q^M], the probability to be alive after tau; all arguments broadcast."""
    return np.minimum(_expectation("survival", k, shape, z, a, b, tau), 1.0)


def _expectation(kind: Kind, k: int, *arguments: ArrayLike) -> Array:
    broad = np.broadcast_arrays(*(np.asarray(v, dtype=np.float64) for v in arguments))
    shape, z, a, b, tau = (v.reshape(-1) for v in broad)
    if not tau.size:
        return np.empty(broad[0].shape)
    value = np.empty(tau.size)
    likely = shape + k + _REACH + np.sqrt(2.0 * _REACH * (shape + k))
    stages = likely * tau + np.sqrt(2.0 * _REACH * likely * tau)
    short = (stages < _LONGEST) & (shape * np.log1p(tau) < _DEEPEST)
    for which, method, rows in (
        (np.flatnonzero(short), _by_counting, _ROWS),
        (np.flatnonzero(~short), _by_roots, _ROWS // 16),
    ):
        which = which[np.argsort(stages[which], kind="stable")]
        for start in range(0, which.size, rows):
            part = which[start : start + rows]
            value[part] = method(kind, k, shape[part], z[part], a[part], b[part], tau[part])
    return value.reshape(broad[0].shape)


# --- small counts: one stage after another ------------------------------------------------------


def _by_counting(kind: Kind, k: int, R: Array, z: Array, a: Array, b: Array, tau: Array) -> Array:
    """Sum over the number of stages, until what is left is negligible."""
    result = np.empty_like(tau)
    at = np.arange(tau.size)
    before, after = z / (1.0 + tau), tau / (1.0 + tau)
    # stages before now (rows of `state`) and in all (`count`), with their probability
    state = np.zeros((k, tau.size))
    state[0] = np.exp(-R * np.log1p(tau)) / stage_sum(k, R, z)
    stay, allowed, total = np.ones_like(tau), np.zeros_like(tau), np.zeros_like(tau)
    waited = bool(z.any())
    m = 0
    while True:
        block = np.zeros_like(total)
        for count in range(m * k, m * k + k):
            here = state.sum(axis=0) if waited else state[0].copy()
            block += here
            growth = (R + count) / (count + 1.0)
            inflow = growth * before
            growth *= after
            if waited:
                moved = state[:-1] * inflow
                state *= growth
                state[1:] += moved
            else:
                state[0] *= growth
        total += block * (allowed if kind == "purchases" else stay)
        allowed = allowed + stay
        stay = stay * ((b + m) / (a + b + m))
        m += 1
        if m % 4:
            continue
        # from one stage to the next: falling still, to `after` in the end
        ratio = np.maximum(state.sum(axis=0) / np.maximum(here, 1e-300), after)
        ahead = 1.0 / np.maximum(1.0 - ratio, 1e-300)
        rest = np.where(ratio < 1.0, here * ahead, np.inf)
        worth = allowed + ahead if kind == "purchases" else stay
        on = rest * worth > _NEGLIGIBLE * total
        if on.all():
            continue
        result[at[~on]] = total[~on]
        if not on.any():
            return result
        at, R, a, b = at[on], R[on], a[on], b[on]
        before, after, stay, allowed, total, state = (
            v[..., on] for v in (before, after, stay, allowed, total, state)
        )


# --- large counts: the roots of the coin --------------------------------------------------------


def _by_roots(kind: Kind, k: int, R: Array, z: Array, a: Array, b: Array, tau: Array) -> Array:
    """Trapezoid rule in logit(p), the ends taken off as in `_beta_trapezoid`."""
    few = np.stack([exactly(k, R, z, float(m), tau) for m in range(_FEW)])
    thinned = _thinned(kind, k, R, z, tau, few)
    tiny = np.full_like(tau, 1e-200)
    # where next to nothing is bought, rounding decides: a floor for it
    count = np.maximum(thinned(tiny, -tiny), 1e-14) if kind == "purchases" else np.ones_like(tau)
    most = (R + k) * tau + k
    if kind == "purchases":
        at_zero, at_one = count, 1.0 - few[0]
        power = (most**2 + (R + k) * tau * (1.0 + tau)) / (2.0 * k**2 * count)
        exponent, t = np.ones_like(tau), np.maximum(R, 1.0) * tau / k
    else:
        at_zero, at_one = np.ones_like(tau), few[0]
        power = most / k
        exponent, t = R, tau / k
    power = np.maximum(power, 1.0)
    odds = _peak(a, b, exponent, t)
    p, q = odds / (1.0 + odds), 1.0 / (1.0 + odds)
    reduced = t / (1.0 + p * t)
    curvature = (a + b) * p * q + exponent * reduced * p * q * ((q - p) - reduced * p * q)
    step = trapezoid_step(np.maximum(curvature, np.minimum(8.0, 0.5 * np.minimum(a, exponent))))

    log_norm = log_rising(b, a) - gammaln(a)  # 1 / B(a, b)

    def envelope(v: Array) -> Array:
        log_p, log_q = _log_logistic(v)
        left = np.minimum(0.0, np.log(power) + log_p)
        right = np.minimum(0.0, np.log(4.0 + power) + log_q)
        return np.asarray(
            a * log_p + b * log_q - exponent * np.log1p(np.exp(log_p) * t) + left + right
        )

    low, high = _ends(envelope, np.log(odds))
    nodes = int(np.ceil(((high - low) / step).max())) + 1
    step = (high - low) / nodes
    log_p, log_q = _log_logistic(low + step * np.arange(nodes + 1.0)[:, np.newaxis])
    p = np.exp(log_p)
    rest = thinned(p, log_q) - at_zero * np.exp(power * log_q) - at_one * p
    total = step * (rest * np.exp(log_norm + a * log_p + b * log_q)).sum(axis=0)
    total += at_zero * np.exp(log_beta_ratio(a, b, power)) + at_one * (a / (a + b))
    return np.asarray(np.minimum(total, at_zero))


def _log_logistic(v: Array) -> tuple[Array, Array]:
    """The logs ln p and ln (1 - p) for p = 1 / (1 + exp(-v))."""
    rest = np.log1p(np.exp(-np.abs(v)))
    return np.minimum(v, 0.0) - rest, -np.maximum(v, 0.0) - rest


def _ends(envelope: Callable[[Array], Array], peak: Array) -> tuple[Array, Array]:
    """Where the log of an envelope has fallen `_REACH` below its peak, on both sides."""
    goal = envelope(peak) - _REACH
    ends = []
    for side in (-1.0, 1.0):
        near, far = np.zeros_like(peak), np.full_like(peak, 4.0)
        while (above := envelope(peak + side * far) > goal).any():
            far[above] *= 2.0
        for _ in range(8):
            middle = 0.5 * (near + far)
            above = envelope(peak + side * middle) > goal
            near, far = np.where(above, middle, near), np.where(above, far, middle)
        ends.append(peak + side * far)
    return ends[0], ends[1]


def _thinned(
    kind: Kind, k: int, R: Array, z: Array, tau: Array, few: Array
) -> Callable[[Array, Array], Array]:
    """E[q^M | q], or (1 - E[q^M | q]) / p, as a function of p and ln q."""
    at_z = stage_sum(k, R, z)
    turns = np.exp(2j * np.pi * np.arange(1, k // 2 + 1) / k)
    # at least so fast do the other roots fade
    fading = R * np.log1p(tau * (1.0 - max(0.0, np.cos(2.0 * np.pi / k))))
    turns = turns[: len(turns) if (fading < 45.0).any() else 0]

    def function(p: Array, log_q: Array) -> Array:
        clipped = np.maximum(log_q, np.log(_SMALL_Q))
        first, others = _roots(k, R, z, tau, at_z, clipped, turns)
        others /= k * np.exp(clipped)
        value = np.exp(first) + p * others if kind == "survival" else -np.expm1(first) / p - others
        small = log_q < np.log(_SMALL_Q)
        if small.any():
            q, total = np.exp(log_q), few[-1]
            for probability in few[-2::-1]:
                total = probability + total * q
            value = np.where(small, total if kind == "survival" else (1.0 - total) / p, value)
        return np.asarray(value)

    return function


def _roots(
    k: int, R: Array, z: Array, tau: Array, at_z: Array, log_q: Array, turns: NDArray[np.complex128]
) -> tuple[Array, Array]:
    """Log of the positive root's term, and the sum of the others without p / (k q)."""
    u, delta = np.exp(log_q / k), -np.expm1(log_q / k)
    # p / (k delta) = 1 - delta * inner
    inner, power, geometric = np.zeros_like(u), np.ones_like(u), np.zeros_like(u)
    for _ in range(1, k):
        geometric = geometric + power
        power = power * u
        inner += geometric
    grown = 1.0 + tau * delta
    moved = z * u / grown
    first = -R * np.log1p(tau * delta)
    if k > 1:
        first += np.log1p(-delta * inner / k) + log_q * (1.0 / k - 1.0)
    if k > 1 and z.any():
        lost = z * delta * (1.0 + tau) / grown * _divided_difference(k, R, z, moved) / at_z
        far = lost > 0.5  # then nothing cancels
        first += np.where(
            far, np.log(stage_sum(k, R, moved) / at_z), np.log1p(-np.where(far, 0.0, lost))
        )
    others = np.zeros_like(u)
    for number, turn in enumerate(turns, 1):
        root = u * turn
        grown_h = 1.0 + tau * (1.0 - root)
        term = root / (1.0 - root) * np.exp(-R * np.log(grown_h))
        if k > 2 or z.any():
            term = term * (stage_sum(k, R, z * root / grown_h) / at_z)
        others += term.real * (1.0 if 2 * number == k else 2.0)
    return first, others


def _divided_difference(k: int, R: Array, x: Array, y: Array) -> Array:
    """(S(x) - S(y)) / (x - y), all terms positive."""
    coefficient = np.ones_like(R)
    coefficients = [coefficient]
    for j in range(1, k):
        coefficient = coefficient * ((R + (j - 1.0)) / j)
        coefficients.append(coefficient)
    # Horner's scheme at x leaves a quotient polynomial, evaluated at y on the way
    quotient, value = np.zeros(np.broadcast_shapes(x.shape, y.shape)), np.zeros_like(x)
    for coefficient in coefficients[:0:-1]:
        value = coefficient + value * x
        quotient = value + quotient * y
    return np.asarray(quotient)
