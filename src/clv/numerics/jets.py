"""Numbers that carry their first and second derivatives.

A `Jet` is a value together with its gradient and Hessian in a few chosen variables.
Arithmetic and the functions below follow the chain rule to second order, so a
log-likelihood that is written once in the vocabulary of `clv.numerics.backend` yields its
exact score and observed information with no second formula to keep in step.

The cost is about twenty times that of the value; families whose fit must be fast on
millions of rows give derivatives of their own, and a test holds them against these.

Source: second-order forward accumulation, Griewank & Walther (2008), Evaluating
Derivatives, section 3.2 and chapter 13.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from clv.numerics import backend, special
from clv.numerics.backend import Array


class Jet:
    """A value of shape (n,), its gradient (k, n) and its Hessian (k, k, n).

    Length-one axes stand for "the same everywhere", as in ordinary broadcasting.
    """

    __array_ufunc__ = None  # let `ndarray * Jet` reach our reflected methods
    __slots__ = ("gradient", "hessian", "value")

    def __init__(self, value: Array, gradient: Array, hessian: Array) -> None:
        self.value = value
        self.gradient = gradient
        self.hessian = hessian

    def chain(self, value: Array, first: Array, second: Array) -> Jet:
        """Apply a function whose value and two derivatives at ``self.value`` are given."""
        outer = self.gradient[:, None] * self.gradient[None, :]
        return Jet(value, first * self.gradient, first * self.hessian + second * outer)

    def __add__(self, other: Any) -> Jet:
        if isinstance(other, Jet):
            return Jet(
                self.value + other.value,
                self.gradient + other.gradient,
                self.hessian + other.hessian,
            )
        return Jet(self.value + other, self.gradient, self.hessian)

    __radd__ = __add__

    def __neg__(self) -> Jet:
        return Jet(-self.value, -self.gradient, -self.hessian)

    def __sub__(self, other: Any) -> Jet:
        return self.__add__(-other)

    def __rsub__(self, other: Any) -> Jet:
        return (-self).__add__(other)

    def __mul__(self, other: Any) -> Jet:
        if isinstance(other, Jet):
            cross = self.gradient[:, None] * other.gradient[None, :]
            return Jet(
                self.value * other.value,
                self.gradient * other.value + self.value * other.gradient,
                self.hessian * other.value
                + self.value * other.hessian
                + cross
                + np.swapaxes(cross, 0, 1),
            )
        return Jet(self.value * other, self.gradient * other, self.hessian * other)

    __rmul__ = __mul__

    def reciprocal(self) -> Jet:
        """``1 / self``."""
        inverse = 1.0 / self.value
        return self.chain(inverse, -(inverse**2), 2.0 * inverse**3)

    def __truediv__(self, other: Any) -> Jet:
        if isinstance(other, Jet):
            return self.__mul__(other.reciprocal())
        return self.__mul__(1.0 / other)

    def __rtruediv__(self, other: Any) -> Jet:
        return self.reciprocal().__mul__(other)


def variables(values: Sequence[npt.ArrayLike]) -> list[Jet]:
    """The variables themselves: unit gradients, no curvature.

    Parameters
    ----------
    values
        k numbers, or k arrays of shape (n,).

    Examples
    --------
    >>> x, y = variables([2.0, 3.0])
    >>> (x * x * y).gradient[:, 0].tolist()
    [12.0, 4.0]
    """
    k = len(values)
    return [
        Jet(
            np.atleast_1d(np.asarray(value, dtype=np.float64)),
            np.eye(k)[i][:, None],
            np.zeros((k, k, 1)),
        )
        for i, value in enumerate(values)
    ]


def log(x: Jet) -> Jet:
    """Natural logarithm."""
    inverse = 1.0 / x.value
    return x.chain(np.log(x.value), inverse, -(inverse**2))


def log1p(x: Jet) -> Jet:
    """``ln(1 + x)``."""
    inverse = 1.0 / (1.0 + x.value)
    return x.chain(np.log1p(x.value), inverse, -(inverse**2))


def exp(x: Jet) -> Jet:
    """Exponential."""
    value = np.exp(x.value)
    return x.chain(value, value, value)


def softplus(x: Jet) -> Jet:
    """``ln(1 + exp(x))``; its derivatives are the logistic function and its slope."""
    small = np.exp(-np.abs(x.value))
    logistic = np.where(x.value >= 0, 1.0, small) / (1.0 + small)
    return x.chain(backend.softplus(x.value), logistic, small / (1.0 + small) ** 2)


def log1mexp(x: Jet) -> Jet:
    """``ln(1 - exp(-x))``; its slope is 1 / (e^x - 1)."""
    slope = 1.0 / np.expm1(x.value)
    return x.chain(backend.log1mexp(x.value), slope, -slope * (1.0 + slope))


def log_rising(z: Jet, n: Any) -> Jet:
    """``ln Gamma(z + n) - ln Gamma(z)``, differentiated in `z` and, if it is a jet, in `n`."""
    if not isinstance(n, Jet):
        return z.chain(
            special.log_rising(z.value, n),
            special.digamma_rising(z.value, n),
            special.trigamma_rising(z.value, n),
        )
    # z -> ln Gamma(z + n) - ln Gamma(z) with n held, and what a moving n adds
    total = z.value + n.value
    slope, curvature = special.digamma(total), special.trigamma(total)
    held = log_rising(z, n.value)
    cross = z.gradient[:, None] * n.gradient[None, :]
    squared = n.gradient[:, None] * n.gradient[None, :]
    return Jet(
        held.value,
        held.gradient + slope * n.gradient,
        held.hessian + slope * n.hessian + curvature * (cross + np.swapaxes(cross, 0, 1) + squared),
    )


def gammaln(z: Jet) -> Jet:
    """``ln Gamma(z)``."""
    value = z.value
    return z.chain(
        special.gammaln(value),
        special.digamma(value),
        special.trigamma(value),
    )


def log_beta(a: Jet, b: Jet) -> Jet:
    """``ln B(a, b)`` with all digits, in its derivatives too, when one of the two is huge."""
    in_a = -special.digamma_rising(a.value, b.value)
    in_b = -special.digamma_rising(b.value, a.value)
    cross = a.gradient[:, None] * b.gradient[None, :]
    return Jet(
        backend.log_beta(a.value, b.value),
        in_a * a.gradient + in_b * b.gradient,
        in_a * a.hessian
        + in_b * b.hessian
        - special.trigamma_rising(a.value, b.value) * a.gradient[:, None] * a.gradient[None, :]
        - special.trigamma_rising(b.value, a.value) * b.gradient[:, None] * b.gradient[None, :]
        - special.trigamma(a.value + b.value) * (cross + np.swapaxes(cross, 0, 1)),
    )


def log_beta_ratio(a: Jet, b: Jet, c: Any) -> Jet:
    """``ln B(a, b + c) - ln B(a, b)``, differentiated in `c` too if it is a jet."""
    jets = [v if isinstance(v, Jet) else _constant(v, like=a) for v in (a, b, c)]
    shape, rest, times = (v.value for v in jets)
    # symmetric in a and c; the smaller one loses fewer digits
    least, most = np.minimum(shape, times), np.maximum(shape, times)
    by_shape = -special.trigamma_rising(shape + rest, times)
    by_times = -special.trigamma_rising(rest + times, shape)
    first = (
        -special.digamma_rising(shape + rest, times),
        special.digamma_rising(rest, least) - special.digamma_rising(rest + most, least),
        -special.digamma_rising(rest + times, shape),
    )
    in_rest = special.trigamma_rising(rest, least) - special.trigamma_rising(rest + most, least)
    cross = -special.trigamma(shape + rest + times)
    second = (
        (by_shape, by_shape, cross),
        (by_shape, in_rest, by_times),
        (cross, by_times, by_times),
    )
    gradient, hessian = np.zeros((1, 1)), np.zeros((1, 1, 1))
    for u, slope, row in zip(jets, first, second, strict=True):
        gradient = gradient + slope * u.gradient
        hessian = hessian + slope * u.hessian
        for v, curve in zip(jets, row, strict=True):
            hessian = hessian + curve * u.gradient[:, None] * v.gradient[None, :]
    return Jet(backend.log_beta_ratio(shape, rest, times), gradient, hessian)


def where(condition: npt.NDArray[np.bool_], x: Any, y: Any) -> Jet:
    """`x` where the condition on the data holds, else `y`; derivatives go along."""
    x, y = (
        v if isinstance(v, Jet) else _constant(v, like=x if isinstance(x, Jet) else y)
        for v in (x, y)
    )
    return Jet(
        np.where(condition, x.value, y.value),
        np.where(condition, x.gradient, y.gradient),
        np.where(condition, x.hessian, y.hessian),
    )


def _constant(value: npt.ArrayLike, like: Jet) -> Jet:
    k = like.gradient.shape[0]
    array = np.atleast_1d(np.asarray(value, dtype=np.float64))
    return Jet(array, np.zeros((k, 1)), np.zeros((k, k, 1)))


def weighted_derivatives(
    function: Callable[[list[Jet], slice], Jet],
    point: Sequence[npt.ArrayLike],
    weights: Array,
    block: int = 4096,
) -> tuple[float, Array, Array]:
    """Value, gradient and Hessian of a weighted sum of a row function, block by block.

    Parameters
    ----------
    function
        Takes the variables and a slice of rows, returns one jet of that many rows.
    point
        k numbers: where to differentiate.
    weights
        Shape (n,): how often each row counts.
    block
        Rows at a time; keeps the k**2 second derivatives within the cache.

    Returns
    -------
    tuple
        The sum, its gradient (k,) and its Hessian (k, k).
    """
    k, n = len(point), len(weights)
    total, gradient, hessian = 0.0, np.zeros(k), np.zeros((k, k))
    for start in range(0, n, block):
        rows = slice(start, min(start + block, n))
        jet = function(variables(point), rows)
        w = weights[rows]
        total += float(np.sum(w * jet.value))
        gradient += np.sum(w * jet.gradient, axis=-1)
        hessian += np.sum(w * jet.hessian, axis=-1)
    return total, gradient, hessian
