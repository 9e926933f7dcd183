"""Special functions behind the purchase models: arrays in, arrays out, everything broadcasts.

Conventions
-----------
``gammaln``, ``digamma`` and ``trigamma`` are what they are elsewhere; ``log_rising`` and its
derivatives are differences of them that keep their digits when the arguments are close or huge.
The ``beta_geometric_*`` functions describe a living customer whose purchase rate is Gamma(rho,
rate beta) and whose probability p of dropping out after a purchase is Beta(a, b); time is measured
as tau = t / beta, so that they depend on no unit.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from clv.numerics._beta_series import Kind, is_easy, series
from clv.numerics._beta_trapezoid import trapezoid
from clv.numerics._gamma import digamma, gammaln, trigamma
from clv.numerics._rising import digamma_rising, log_beta_ratio, log_rising, trigamma_rising

__all__ = [
    "beta_geometric_purchases",
    "beta_geometric_survival",
    "digamma",
    "digamma_rising",
    "gammaln",
    "log_beta_ratio",
    "log_rising",
    "trigamma",
    "trigamma_rising",
]

Array = NDArray[np.float64]


def beta_geometric_purchases(a: ArrayLike, b: ArrayLike, rho: ArrayLike, tau: ArrayLike) -> Array:
    """Expected purchases of a living customer, E[(1 - (1 + p tau)^-rho) / p] over p ~ Beta(a, b).

    Parameters
    ----------
    a, b : array_like
        Of the dropout probability; positive.
    rho : array_like
        Shape of the purchase rate; positive.
    tau : array_like
        Time in units of 1 / (rate parameter of the purchase rate); not negative, finite. Where it
        has axes along which no other argument varies (nodes of a quadrature), they cost least.

    Returns
    -------
    ndarray
        Of the broadcast shape.

    Notes
    -----
    Equals (a+b-1)/(a-1) (1 - 2F1(rho, a-1; a+b-1; -tau)) (Fader, Hardie & Lee 2005, "Counting your
    customers the easy way", eq. 9 and 10), but has no pole at a = 1 or a + b = 1. Relative error
    below 1e-9 for a from 1e-3 to 50, b from .01 to 15,000, rho from .01 to 5,050 and tau up to
    1e6.

    Examples
    --------
    >>> beta_geometric_purchases(1.0, 1.0, 1.0, 1.0).round(12).item()  # 2F1 fails here; ln 2
    0.69314718056
    >>> beta_geometric_purchases(0.8, 2.4, 0.25, [0.0, 1.0, 10.0]).round(4).tolist()
    [0.0, 0.2198, 1.3241]
    """
    return _expectation("purchases", a, b, rho, tau)


def beta_geometric_survival(a: ArrayLike, b: ArrayLike, rho: ArrayLike, tau: ArrayLike) -> Array:
    """Probability that a living customer is still alive, E[(1 + p tau)^-rho] over p ~ Beta(a, b).

    Parameters, shapes and accuracy as in `beta_geometric_purchases`, whose derivative in tau is
    ``rho * beta_geometric_survival(a, b, rho + 1, tau)``.

    Notes
    -----
    Equals 2F1(rho, a; a + b; -tau) (DLMF 15.6.1).

    Examples
    --------
    >>> beta_geometric_survival(1.0, 1.0, 2.0, 3.0).round(12).item()  # 1 / (1 + tau)
    0.25
    """
    return np.minimum(_expectation("survival", a, b, rho, tau), 1.0)


def _expectation(kind: Kind, a: ArrayLike, b: ArrayLike, rho: ArrayLike, tau: ArrayLike) -> Array:
    parameters = [np.asarray(v, dtype=np.float64) for v in (a, b, rho)]
    times = np.asarray(tau, dtype=np.float64)
    of_rows = np.broadcast_shapes(*(v.shape for v in parameters))
    shape = np.broadcast_shapes(of_rows, times.shape)
    # axes along which only tau varies go first: their coefficients are shared
    of_rows = (1,) * (len(shape) - len(of_rows)) + of_rows
    axes = sorted(range(len(shape)), key=lambda i: of_rows[i] != 1)
    a, b, rho = (np.broadcast_to(v, of_rows).transpose(axes).reshape(-1) for v in parameters)
    arranged = np.broadcast_to(times, shape).transpose(axes)
    if not arranged.size:
        return np.empty(shape)
    value = _by_row(kind, a, b, rho, arranged.reshape(-1, a.size))
    return value.reshape(arranged.shape).transpose(np.argsort(axes))


def _by_row(kind: Kind, a: Array, b: Array, rho: Array, tau: Array) -> Array:
    """Choose the method for each element of tau (nodes, rows); a, b, rho have shape (rows,)."""
    easy = is_easy(kind, a, b, rho, tau)
    if easy.all():
        return series(kind, a, b, rho, tau)
    value = np.empty_like(tau)
    rows = easy.any(axis=0)
    if rows.any():
        mild = np.where(easy, tau, 0.0)[:, rows]
        value[:, rows] = series(kind, a[rows], b[rows], rho[rows], mild)
    hard = np.nonzero(~easy)
    at = hard[1]
    value[hard] = trapezoid(kind, a[at], b[at], rho[at], tau[hard])
    return value
