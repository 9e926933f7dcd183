"""The vocabulary a log-likelihood is written in, for numpy arrays.

A family writes ``log_likelihood(parameters, history, xp)`` once, using only the names below
and ordinary arithmetic. Whoever calls it chooses what ``xp`` is:

===========================  ===================================================
``clv.numerics.backend``     numpy arrays (this module)
``clv.numerics.jets``        numpy arrays that carry first and second derivatives
``clv.inference.mcmc``       symbolic graphs for PyMC
===========================  ===================================================
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from clv.numerics import special
from clv.numerics.special import gammaln, log_rising

Array = npt.NDArray[np.float64]


class Backend(Protocol):
    """What ``xp`` offers; every function works element by element and broadcasts."""

    def log(self, x: Any) -> Any:
        """Natural logarithm."""

    def log1p(self, x: Any) -> Any:
        """``ln(1 + x)``."""

    def exp(self, x: Any) -> Any:
        """Exponential."""

    def softplus(self, x: Any) -> Any:
        """``ln(1 + exp(x))`` without overflow."""

    def log1mexp(self, x: Any) -> Any:
        """``ln(1 - exp(-x))`` for positive `x`, with all digits."""

    def log_rising(self, z: Any, n: Any) -> Any:
        """``ln Gamma(z + n) - ln Gamma(z)`` for data `n` and a parameter `z`."""

    def gammaln(self, x: Any) -> Any:
        """``ln Gamma(x)``."""

    def log_beta(self, a: Any, b: Any) -> Any:
        """``ln B(a, b)`` with all digits when one of the two is huge."""

    def log_beta_ratio(self, a: Any, b: Any, c: Any) -> Any:
        """``ln B(a, b + c) - ln B(a, b)``, the log of E[(1 - p)^c] over p ~ Beta(a, b)."""

    def where(self, condition: Any, x: Any, y: Any) -> Any:
        """`x` where the condition on the *data* holds, else `y`."""


log = np.log
log1p = np.log1p
exp = np.exp
where = np.where


def softplus(x: npt.ArrayLike) -> Array:
    """``ln(1 + exp(x))`` without overflow.

    Examples
    --------
    >>> softplus([-800.0, 0.0, 800.0]).round(3).tolist()
    [0.0, 0.693, 800.0]
    """
    x = np.asarray(x, dtype=np.float64)
    return np.asarray(np.maximum(x, 0.0) + np.log1p(np.exp(-np.abs(x))))


def log1mexp(x: npt.ArrayLike) -> Array:
    """``ln(1 - exp(-x))`` for positive `x`, with all digits.

    Examples
    --------
    >>> log1mexp([1e-20, 0.5, 50.0]).round(3).tolist()
    [-46.052, -0.933, -0.0]
    """
    x = np.asarray(x, dtype=np.float64)
    near, far = np.minimum(x, 1.0), np.maximum(x, 0.5)
    return np.asarray(np.where(x < 0.7, np.log(-np.expm1(-near)), np.log1p(-np.exp(-far))))


def log_beta(a: npt.ArrayLike, b: npt.ArrayLike) -> Array:
    """``ln B(a, b)`` with all digits when one of the two is huge.

    Examples
    --------
    >>> log_beta(2.0, [3.0, 1e12]).round(9).tolist()
    [-2.48490665, -55.262042232]
    """
    small, large = np.minimum(a, b), np.maximum(a, b)
    return np.asarray(gammaln(small) - log_rising(large, small))


def log_beta_ratio(a: npt.ArrayLike, b: npt.ArrayLike, c: npt.ArrayLike) -> Array:
    """``ln B(a, b + c) - ln B(a, b)``, the log of E[(1 - p)^c] over p ~ Beta(a, b).

    Examples
    --------
    >>> np.exp(log_beta_ratio(1.0, 1.0, [0.0, 1.0, 1e15])).round(9).tolist()  # 1 / (1 + c)
    [1.0, 0.5, 0.0]
    """
    a, b, c = (np.asarray(v, dtype=np.float64) for v in (a, b, c))
    return special.log_beta_ratio(a, b, c)


__all__ = [
    "Array",
    "Backend",
    "exp",
    "gammaln",
    "log",
    "log1mexp",
    "log1p",
    "log_beta",
    "log_beta_ratio",
    "log_rising",
    "softplus",
    "where",
]
