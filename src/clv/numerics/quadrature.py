"""Integrals over future time: arrays in, arrays out, one value per row.

Conventions
-----------
Times and ``delta`` (continuous discount rate) are in the same unit. Integrands are callables that
take times with the nodes on a new leading axis, shape ``(nodes, *rows)``, and return the same
shape; ``rows`` is the broadcast shape of ``scale``, ``horizon`` and ``delta``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

# Beyond 30 / delta nothing counts: (1 + 30) exp(-30) < 3e-12 even of a quantity that grows like t.
_FARTHEST = 30.0
_ACCURACY = 28.0  # in powers of e


@lru_cache(maxsize=256)
def gauss_legendre(n: int) -> tuple[Array, Array]:
    """Nodes and weights of the n-point Gauss-Legendre rule on [0, 1], read-only."""
    nodes, weights = np.polynomial.legendre.leggauss(n)
    nodes, weights = (nodes + 1.0) / 2.0, weights / 2.0
    nodes.flags.writeable = weights.flags.writeable = False
    return nodes, weights


def discounted_purchases(
    cumulative: Callable[[Array], Array],
    horizon: ArrayLike | None,
    delta: ArrayLike,
    scale: ArrayLike,
) -> Array:
    """Integral of exp(-delta t) dF(t) over [0, horizon], F the cumulative expectation."""
    end, rate, scale = _prepare(horizon, delta, scale)
    last, integral = _last_and_integral(cumulative, end, rate, scale)
    return np.asarray(np.exp(-rate * end) * last + rate * integral)


def discounted_time(
    survival: Callable[[Array], Array],
    horizon: ArrayLike | None,
    delta: ArrayLike,
    scale: ArrayLike,
) -> Array:
    """Integral of exp(-delta t) G(t) dt over [0, horizon], G a survival function."""
    return _last_and_integral(survival, *_prepare(horizon, delta, scale))[1]


def _prepare(
    horizon: ArrayLike | None, delta: ArrayLike, scale: ArrayLike
) -> tuple[Array, Array, Array]:
    horizon = np.inf if horizon is None else horizon
    end, rate, scale = np.broadcast_arrays(
        np.asarray(horizon, dtype=float),
        np.asarray(delta, dtype=float),
        np.asarray(scale, dtype=float),
    )
    if (np.isinf(end) & (rate <= 0)).any():
        raise ValueError("an infinite horizon needs a positive discount rate")
    with np.errstate(divide="ignore"):
        end = np.minimum(end, _FARTHEST / rate)
    return end, rate, scale


def _last_and_integral(
    function: Callable[[Array], Array], end: Array, rate: Array, scale: Array
) -> tuple[Array, Array]:
    """Function at the end, and integral of exp(-rate t) times the function."""
    width = np.log1p(end / scale)
    nodes, weights = gauss_legendre(node_count(width, rate * scale))
    w = np.multiply.outer(np.append(nodes, 1.0), width)
    time = scale * np.expm1(w)
    value = function(time)
    last = value[-1].copy()
    value = value * np.exp(w - rate * time)
    return last, scale * width * np.tensordot(weights, value[:-1], axes=1)


def node_count(width: ArrayLike, discount: ArrayLike) -> int:
    """Nodes that integrate exp(-discount (e^w - 1)) times a function analytic for |Im w| < pi."""
    width, discount = np.broadcast_arrays(np.asarray(width, float), np.asarray(discount, float))
    if width.size == 0:
        return 1
    width, discount = width.ravel(), discount.ravel()
    worst = np.unique([width.argmax(), discount.argmax(), (discount * np.expm1(width)).argmax()])
    return max(_node_count(float(width[i]), float(discount[i])) for i in worst)


@lru_cache(maxsize=4096)
def _node_count(width: float, discount: float) -> int:
    # Gauss-Legendre leaves max|f| exp(-2 n mu) when f is analytic in the Bernstein ellipse of
    # parameter mu; the discount factor grows in it, so every mu is tried.
    if width <= 0.0:
        return 1
    mu = np.linspace(0.02, 1.0, 50)[:, np.newaxis] * min(np.arcsinh(2.0 * np.pi / width), 6.0)
    angle = np.linspace(0.0, np.pi, 91)
    w = 0.5 * width * (1.0 + np.cosh(mu) * np.cos(angle) + 1j * np.sinh(mu) * np.sin(angle))
    growth = (-discount * np.expm1(w).real).max(axis=1, initial=0.0)
    return int(np.ceil(((_ACCURACY + growth) / (2.0 * mu[:, 0])).min())) + 2
