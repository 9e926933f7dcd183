"""Series for expectations over a Beta-distributed dropout probability.

With p ~ Beta(a, b), s = sqrt(1 + tau) and y = (s - 1)/(s + 1), the map that takes the plane without
the branch cut tau < -1 to the unit disc::

    E[(1 + p tau)^-rho] = (1 - y)^(2a) sum g_n y^n

    (n + 1)(n + a + b) g_{n+1} = 2 (n + a)(a + b - 2 rho) g_n + (n + 2a - 1)(n + a - b) g_{n-1}

with g_0 = 1. Pfaff's transformation makes the left side (1 + tau)^-a E[(1 - t tau/(1 + tau))^-a]
with t ~ Beta(a + b - rho, rho) (DLMF 15.8.1), which is the generating function of the Gegenbauer
polynomials (18.12.4): g_n = E[C_n^(a)(2t - 1)] = (2a)_n / n! Q_n(-rho; a - 1/2, a - 1/2, -a - b),
a Hahn polynomial (18.20.5), whence the recurrence (18.22.2); it also holds for rho > a + b.
Purchases are the integral of rho E[(1 + p tau)^-(rho + 1)] over tau::

    E[(1 - (1 + p tau)^-rho) / p] = (1 - y)^(2a - 2) sum v_n y^n

    (n + 1) v_{n+1} = (n + 2a - 2) v_n + 4 rho (g_n + g_{n-1}),    v_0 = 0

with g_n for rho + 1. Nothing happens at a = 1. Terms fall like y^n: 36/(-ln y), that is 18 s of
them for 1e-16, where powers of tau/(1 + tau) take 36 (1 + tau). Digits are lost to cancellation
like (1 + tau)^(a + max(rho - b, 0)), which `is_easy` bounds.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count, pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Kind = Literal["purchases", "survival"]

_LOST = 13.0  # digits that may be lost to cancellation, in powers of e
_KEPT = 30.0  # the first term left out, relative to the sum, likewise
_LARGEST_TAU = 2500.0  # about 1,000 terms; beyond, the trapezoid rule is faster
_LARGEST_GROWTH = 10.0
_ROWS, _ELEMENTS = 8192, 65_536  # of a block, and its nodes times rows: it stays in the cache
_SHORTEST = 256  # rows, on average, that make a block of their own worth while
_TERMS = 32  # of a stretch of the series; a power of 2


def is_easy(kind: Kind, a: Array, b: Array, rho: Array, tau: Array) -> NDArray[np.bool_]:
    """Where the series is short and accurate to 1e-11; rows on the last axis."""
    growth = _growth(kind, a, b, rho)
    # every comparison is false for nan
    return (growth * np.log1p(tau) < _LOST) & (tau < _LARGEST_TAU) & (growth < _LARGEST_GROWTH)


def series(kind: Kind, a: Array, b: Array, rho: Array, tau: Array) -> Array:
    """Sum the series where `is_easy`, for parameters of shape (rows,), tau of (nodes, rows)."""
    width = max(1, min(_ROWS, _ELEMENTS // len(tau)))
    value = np.empty_like(tau)
    for part in _parts(a, width):
        value[:, part] = _block(kind, a[part], b[part], rho[part], tau[:, part])
    return value


def _parts(a: Array, width: int) -> Iterator[slice]:
    """Blocks of rows; draws of the parameters, each with its own a, are kept apart."""
    starts = np.arange(0, a.size, width)
    changes = np.flatnonzero(np.diff(a)) + 1
    if 0 < _SHORTEST * changes.size < a.size:
        starts = np.union1d(starts, changes)
    for start, end in pairwise([*starts.tolist(), a.size]):
        yield slice(start, end)


def _block(kind: Kind, a: Array, b: Array, rho: Array, tau: Array) -> Array:
    terms = _terms(_growth(kind, a, b, rho).max(), tau.max(axis=1))
    order = np.argsort(terms)  # the nodes that are done first come first
    terms, tau = terms[order], tau[order]
    root = np.sqrt(1.0 + tau)
    y = tau / (root + 1.0) ** 2
    power, total = np.ones_like(y), np.zeros_like(y)  # power is y^done
    one_a = float(a[0]) if a.min() == a.max() else a
    distinct, row = _distinct(one_a, b, rho)
    stretches = _coefficients(kind, one_a, b[distinct], rho[distinct])
    for done in range(0, int(terms[-1]), _TERMS):
        on = slice(int(np.searchsorted(terms, done, side="right")), None)
        total[on] += power[on] * _horner(next(stretches)[: terms[-1] - done], row, y[on])
        on = slice(int(np.searchsorted(terms, done + _TERMS, side="right")), None)
        power[on] *= _power(y[on])
    exponent = 2.0 * one_a - (2.0 if kind == "purchases" else 0.0)
    total *= np.exp(exponent * (np.log(2.0) - np.log1p(root)))
    value = np.empty_like(total)
    value[order] = total
    return value


def _distinct(a: float | Array, b: Array, rho: Array) -> tuple[Any, Any]:
    """Index of the rows with distinct parameters, and which of these each row is.

    Customers with as many purchases share their coefficients.
    """
    everything = slice(None)
    if isinstance(a, np.ndarray):
        return everything, everything
    _, first, row = np.unique(b, return_index=True, return_inverse=True)
    if 2 * first.size > b.size or (rho[first][row] != rho).any():
        return everything, everything
    return first, row


def _horner(coefficients: Array, row: Any, y: Array) -> Array:
    total = np.zeros_like(y)
    for coefficient in coefficients[::-1]:
        total *= y
        total += coefficient[row]
    return total


def _power(y: Array) -> Array:
    """y^_TERMS."""
    for _ in range(_TERMS.bit_length() - 1):
        y = y * y
    return y


def _coefficients(kind: Kind, a: float | Array, b: Array, rho: Array) -> Iterator[Array]:
    """g_n or v_n, _TERMS at a time, each of shape (_TERMS, rows)."""
    purchases = kind == "purchases"
    both, difference = a + b, a - b
    twice = 2.0 * (both - 2.0 * _first_rho(kind, rho))
    # the factor 4 rho of the purchases is carried by g
    g = 4.0 * rho if purchases else np.ones_like(rho)
    v, before, work = np.zeros_like(g), np.zeros_like(g), np.empty_like(g)
    for start in count(0, _TERMS):
        result = np.empty((_TERMS, rho.size))
        for n, kept in enumerate(result, start):
            kept[:] = v if purchases else g
            if purchases:
                np.add(g, before, out=work)
                work /= n + 1.0
                v *= (n - 2.0 + 2.0 * a) / (n + 1.0)
                v += work
            np.add(difference, n, out=work)
            work *= (n - 1.0 + 2.0 * a) / (n + 1.0)
            before *= work
            np.multiply(twice, (n + a) / (n + 1.0), out=work)
            work *= g
            before += work
            np.add(both, n, out=work)
            before /= work
            g, before = before, g
        yield result


def _growth(kind: Kind, a: Array, b: Array, rho: Array) -> Array:
    """Coefficients grow at most like n^(2 growth - 1), lost digits like (1 + tau)^growth."""
    return a + np.maximum(_first_rho(kind, rho) - b, 0.0)


def _first_rho(kind: Kind, rho: Array) -> Array:
    return rho + 1.0 if kind == "purchases" else rho


def _terms(growth: float, tau: Array) -> NDArray[np.int64]:
    """How many terms there are until what is left is exp(-_KEPT) of the sum."""
    rate = 2.0 * np.log1p(np.sqrt(1.0 + tau)) - np.log(np.maximum(tau, 1e-300))  # -ln y
    goal = _KEPT + growth * np.log1p(tau)
    s = 2.0 * growth
    # the fixed point of n = (goal + ln C(n + s, n)) / rate, from above
    n = (2.0 * goal + 10.0 * s) / rate
    for _ in range(4):
        n = (goal + s * (1.0 + np.log1p(n / s))) / rate
    return np.ceil(n).astype(np.int64) + 1
