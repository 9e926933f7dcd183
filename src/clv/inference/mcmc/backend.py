"""The vocabulary of `clv.numerics.backend` as symbolic graphs."""

from __future__ import annotations

from typing import Any

import pytensor.tensor as pt


def log(x: Any) -> Any:
    """Natural logarithm."""
    return pt.log(x)


def log1p(x: Any) -> Any:
    """``ln(1 + x)``."""
    return pt.log1p(x)


def exp(x: Any) -> Any:
    """Exponential."""
    return pt.exp(x)


def softplus(x: Any) -> Any:
    """``ln(1 + exp(x))`` without overflow."""
    return pt.softplus(x)


def log1mexp(x: Any) -> Any:
    """``ln(1 - exp(-x))`` for positive `x`."""
    return pt.log1mexp(-pt.as_tensor_variable(x))


def gammaln(x: Any) -> Any:
    """``ln Gamma(x)``."""
    return pt.gammaln(x)


def log_rising(z: Any, n: Any) -> Any:
    """``ln Gamma(z + n) - ln Gamma(z)``."""
    return pt.gammaln(z + n) - pt.gammaln(z)


def log_beta(a: Any, b: Any) -> Any:
    """``ln B(a, b)``."""
    return pt.gammaln(a) + pt.gammaln(b) - pt.gammaln(a + b)


def log_beta_ratio(a: Any, b: Any, c: Any) -> Any:
    """``ln B(a, b + c) - ln B(a, b)``."""
    return log_rising(b, c) - log_rising(a + b, c)


def where(condition: Any, x: Any, y: Any) -> Any:
    """`x` where the condition on the data holds, else `y`."""
    return pt.switch(condition, x, y)
