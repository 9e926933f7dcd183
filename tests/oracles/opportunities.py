"""BG/BB and the contract models in sixty digits, written as the papers' beta functions.

Only `perpetuity` and `never` need more than a sum that ends: a continued fraction with positive
terms (Gauss, DLMF 15.7), and 400 terms of the sum with a Thomae transformation of what follows.
"""

from __future__ import annotations

from typing import Any

import mpmath as mp

DIGITS = 60


def ratio(a: Any, b: Any, used: Any, passed: Any) -> Any:
    """B(a + used, b + passed) / B(a, b)."""
    log = mp.loggamma(a + used) + mp.loggamma(b + passed) - mp.loggamma(a + b + used + passed)
    return mp.exp(log - mp.loggamma(a) - mp.loggamma(b) + mp.loggamma(a + b))


def likelihood(a: Any, b: Any, c: Any, d: Any, x: int, t_x: int, T: int) -> tuple[Any, Any]:
    """Fader, Hardie & Shang (2010), eq. 5, and its first term: alive at T."""
    alive = ratio(a, b, x, T - x) * ratio(c, d, 0, T)
    dead = [ratio(a, b, x, last - x) * ratio(c, d, 1, last) for last in range(t_x, T)]
    return alive + mp.fsum(dead), alive


def purchase_count(a: Any, b: Any, c: Any, d: Any, n: int, t: int) -> Any:
    """Eq. 8 for any state: n of the next t opportunities are used."""
    if n > t:
        return mp.mpf(0)
    alive = mp.binomial(t, n) * ratio(a, b, n, t - n) * ratio(c, d, 0, t)
    ended = [
        mp.binomial(last, n) * ratio(a, b, n, last - n) * ratio(c, d, 1, last)
        for last in range(n, t)
    ]
    return alive + mp.fsum(ended)


def stays(c: Any, d: Any, t: int) -> Any:
    """Sum of B(c, d + k) / B(c, d) over k = 1..t; the closed form of eq. 9."""
    if abs(c - 1) < mp.mpf(10) ** -30:
        return d * (mp.digamma(d + 1 + t) - mp.digamma(d + 1))
    log = mp.loggamma(c + d) + mp.loggamma(1 + d + t) - mp.loggamma(c + d + t) - mp.loggamma(1 + d)
    return d / (c - 1) * (1 - mp.exp(log))


def perpetuity(c: Any, d: Any, delta: Any) -> Any:
    """Sum of exp(-delta k) B(c, d + k) / B(c, d) over all k >= 1."""
    y = mp.expm1(delta)
    shrinks = (mp.sqrt(1 + 1 / y) - 1) / (mp.sqrt(1 + 1 / y) + 1)
    value = mp.mpf(1)
    both = c + d + 1
    for m in range(int(50 / -mp.log(shrinks)) + 20, 0, -1):
        k = m // 2
        if m % 2:
            step = (c + k) * ((both - 1 + k) / (both - 1 + 2 * k) if k else 1) / (both + 2 * k)
        else:
            step = k * (d + k) / ((both + 2 * k - 2) * (both + 2 * k - 1))
        value = 1 + step / y / value
    return d / (c + d) / y / value


def never(a: Any, b: Any, c: Any, d: Any, terms: int = 400) -> Any:
    """c / (c + d) 3F2(1, b, d; a + b, c + d + 1; 1)."""
    low, high = sorted((b + terms, d + terms))
    first, second = a + b + terms, c + d + terms + 1
    s = first + second - 1 - low - high
    log = mp.loggamma(first) + mp.loggamma(second) + mp.loggamma(s)
    log -= mp.loggamma(low) + mp.loggamma(s + 1) + mp.loggamma(s + high)
    term, total, k = mp.mpf(1), mp.mpf(0), 0
    while abs(term) > mp.mpf(10) ** -25 * abs(total):
        total += term
        term *= (first - low + k) * (second - low + k) * (s + k)
        term /= (s + 1 + k) * (s + high + k) * (k + 1)
        k += 1
    value = c / (c + d + terms) * mp.exp(log) * total
    for k in range(terms - 1, -1, -1):
        value = (c + (d + k) * (b + k) / (a + b + k) * value) / (c + d + k)
    return value
