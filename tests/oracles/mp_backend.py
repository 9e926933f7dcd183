"""The vocabulary of `clv.numerics.backend` in mpmath: a family's formula to any precision.

Run on this, a log-likelihood says how many digits its double-precision self has lost, and
``mpmath.diff`` of it says what its derivatives are.
"""

from __future__ import annotations

from typing import Any

import mpmath as mp

log = mp.log
log1p = mp.log1p
exp = mp.exp


def softplus(x: Any) -> Any:
    return mp.log1p(mp.exp(x))


def log1mexp(x: Any) -> Any:
    return mp.log(-mp.expm1(-x))


def gammaln(x: Any) -> Any:
    return mp.loggamma(x)


def log_beta(a: Any, b: Any) -> Any:
    return mp.loggamma(a) + mp.loggamma(b) - mp.loggamma(a + b)


def log_beta_ratio(a: Any, b: Any, c: Any) -> Any:
    return log_beta(a, b + c) - log_beta(a, b)


def log_rising(z: Any, n: Any) -> Any:
    return mp.loggamma(mp.mpf(z) + n) - mp.loggamma(z)


def where(condition: Any, x: Any, y: Any) -> Any:
    return x if condition else y
