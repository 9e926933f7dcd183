"""Coordinates in which posteriors of standard deviations are nearly normal.

How much customers differ is stated as a standard deviation, ``1 / sqrt(shape)``, and its coordinate
z is its log. Where the data cannot rule out that all are alike, as with lifetimes of Pareto/NBD,
the log has a long tail to the left; the variance ``exp(2 z)`` has none, but ends at 0. So for
sampling z is replaced by w, with ::

    exp(2 z) = softplus(C w) / C

which is the variance itself where that is not small, and its log where it is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clv.inference.laplace import Mode, find_mode
from clv.inference.target import Density, Target
from clv.numerics.backend import Array, softplus

#: Variances above 1/C count as not small.
C = 4.0


@dataclass(frozen=True)
class Bent:
    """A log-density of w.

    Attributes
    ----------
    target
        The log-density of z.
    which
        Coordinates that are bent; the others are the same.
    """

    target: Density
    which: tuple[int, ...]

    @property
    def size(self) -> int:
        """Number of coordinates."""
        return self.target.size

    def straight(self, points: Array) -> Array:
        """From w to z, both of shape (..., K)."""
        z = np.array(points)
        with np.errstate(divide="ignore"):
            for i in self.which:
                z[..., i] = 0.5 * np.log(softplus(C * points[..., i]) / C)
        return z

    def bend(self, z: Array) -> Array:
        """From z (K,) to w (K,)."""
        w = np.array(z)
        for i in self.which:
            v = C * np.exp(2.0 * z[i])
            w[i] = (v + np.log(-np.expm1(-v))) / C
        return w

    def __call__(self, w: Array) -> tuple[float, Array]:
        """Value and gradient."""
        value, gradient = self.target(self.straight(w))
        gradient = np.array(gradient)
        for i in self.which:
            log_slope, slope, (first, _) = _derivatives(w[i])
            value += float(log_slope)
            gradient[i] = gradient[i] * slope + first
        return value, gradient

    def objective(self, w: Array) -> tuple[float, Array, Array]:
        """The negative log-density, its gradient and its Hessian."""
        value, gradient, hessian = self.target.objective(self.straight(w))
        gradient, hessian = np.array(gradient), np.array(hessian)
        for i in self.which:
            log_slope, slope, (first, second) = _derivatives(w[i])
            value -= float(log_slope)
            hessian[i] *= slope
            hessian[:, i] *= slope
            hessian[i, i] += gradient[i] * slope * first - second
            gradient[i] = gradient[i] * slope - first
        return value, gradient, hessian

    def values(self, points: Array) -> Array:
        """Log-density (n,) at points (n, K)."""
        with np.errstate(all="ignore"):
            found = self.target.values(self.straight(points))
            for i in self.which:
                found = found + _derivatives(points[:, i])[0]
        return np.where(np.isnan(found), -np.inf, found)


def _derivatives(w: Array) -> tuple[Array, Array, tuple[Array, Array]]:
    """Of z in w: log of the slope, the slope, and the first two derivatives of its log."""
    u = C * w
    grown = softplus(u)
    share = np.exp(u - softplus(u))  # expit
    ratio = share / grown
    slope = 0.5 * C * ratio
    rest = 1.0 - share
    return np.log(slope), slope, (C * (rest - ratio), C * C * (ratio**2 - rest * (share + ratio)))


def bent(target: Density, mode: Mode) -> tuple[Bent, Mode]:
    """The same density with its standard deviations bent, and its mode there.

    Parameters
    ----------
    target
        A `clv.inference.target.Target`; of others nothing is bent.
    mode
        Of this density.
    """
    which = target.coordinates.deviations if isinstance(target, Target) else ()
    found = Bent(target, which)
    return (found, find_mode(found, [found.bend(mode.point)])) if which else (found, mode)
