"""Purchase rates and spending levels that move together: a Gaussian copula between two models.

A purchase model says that rates lambda differ as a gamma distribution, a spend model that (inverse)
levels nu do. Both margins are kept; what is added is one number rho, the correlation of the normal
scores a = Phi^-1(F(lambda)) and b = -Phi^-1(F(nu)): with rho > 0 frequent buyers spend more per
purchase, with rho = 0 the models are the two by themselves.

The density of (a, b) relative to independence is Mehler's sum over normalised Hermite polynomials,
``sum of rho**n h_n(a) h_n(b)``. So with A_n = E[h_n(a) | purchases] and B_n = E[h_n(b) | spending]
of a customer, both under independence, their likelihood is changed by the factor::

    L(rho) / L(0) = sum over n of rho**n A_n B_n

and expectations of products f(lambda) g(nu) are ``sum rho**n E[f h_n] E[g h_n]`` over that. One
integral per customer and side, whatever rho. Of customers without a purchase that tells their
level, B_n is 0 but for n = 0, and the factor is 1.

Sources: Mehler (1866); Song (2000), "Multivariate dispersion models generated from Gaussian
copula", Scandinavian Journal of Statistics 27:305-320.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from clv.numerics import backend
from clv.numerics.backend import Array
from clv.numerics.sums import blocks

#: Correlations that are looked at: beyond, one would all but determine the other.
LARGEST_RHO = 0.8

#: Terms of Mehler's sum: LARGEST_RHO**TERMS is 2e-11.
TERMS = 110

#: Factors below this are rounding: a customer can speak no louder against a correlation.
LEAST_FACTOR = 1e-6

#: Normal scores at which lambda and nu are looked at.
_SCORES = np.linspace(-8.0, 8.0, 161)

#: A shape so large that a gamma distribution of rates is all but one rate.
_ALIKE = 1e9

#: Elements of a matrix of rows times scores at a time.
_BLOCK = 2_000_000


class Side(NamedTuple):
    """One of the two models, at given parameters."""

    log_likelihood: Callable[[Any], Array]  #: of a history (n, 1) at each score: (n, scores)
    values: Array  #: the rate, or the mean value of a purchase, at each score


def purchase_side(family: Any, parameters: Any) -> Side:
    """A purchase model whose rates are Gamma(r, rate alpha)."""
    rates = _quantiles(parameters.r, _SCORES) / parameters.alpha
    at = conditional(parameters, rates)
    return Side(lambda history: family.log_likelihood(at, history, backend), rates)


def conditional(parameters: Any, rates: Array) -> Any:
    """The parameters of customers who all have the same rate, one column for each rate."""
    return parameters._replace(r=_ALIKE, alpha=_ALIKE / rates)


def spend_side(parameters: Any) -> Side:
    """Gamma-Gamma: the level of a customer is p / nu, nu ~ Gamma(q, rate v).

    The mean m of n purchases is then Gamma(p n, rate nu n), but for what nu does not touch.
    """
    nu = _quantiles(parameters.q, -_SCORES) / parameters.v

    def log_likelihood(history: Any) -> Array:
        n, m = history
        return np.asarray(parameters.p * n * np.log(nu) - nu * n * m)

    return Side(log_likelihood, parameters.p / nu)


def _quantiles(shape: float, scores: Array) -> Array:
    """Of Gamma(shape, 1) at these normal scores; not below the smallest number there is."""
    from scipy.special import gammainccinv, gammaincinv, ndtr

    tail = ndtr(-np.abs(scores))
    found = np.where(scores > 0, gammainccinv(shape, tail), gammaincinv(shape, tail))
    return np.asarray(np.maximum(found, 1e-280))


def hermite(terms: int = TERMS, scores: Array = _SCORES) -> Array:
    """Normalised Hermite polynomials h_0, h_1, ... at scores, shape (terms, scores)."""
    found = np.empty((terms, scores.size))
    found[0] = 1.0
    if terms > 1:
        found[1] = scores
    for n in range(1, terms - 1):
        found[n + 1] = (scores * found[n] - np.sqrt(n) * found[n - 1]) / np.sqrt(n + 1.0)
    return found


def moments(side: Side, history: Any, *functions: Array) -> list[Array]:
    """E[f h_n | history] under independence, for f = 1 and each further function of the score.

    Parameters
    ----------
    side
        The model.
    history
        Of n customers.
    functions
        Values at each score, shape (scores,), or (n, scores).

    Returns
    -------
    list
        Arrays of shape (n, terms).
    """
    prior = np.exp(-0.5 * _SCORES**2)
    weighted = (hermite() * prior).T
    size = len(history[0])
    found: list[list[Array]] = [[] for _ in range(1 + len(functions))]
    for rows in blocks(size, max(1, _BLOCK // _SCORES.size)):
        columns = type(history)(*(field[rows, None] for field in history))
        with np.errstate(all="ignore"):
            logs = np.asarray(side.log_likelihood(columns))
        logs = np.where(np.isnan(logs), -np.inf, logs)
        density = np.exp(logs - logs.max(axis=1, keepdims=True))
        total = density @ prior
        for j, function in enumerate((np.ones(1), *functions)):
            local = function[rows] if function.ndim == 2 else function
            found[j].append((density * local) @ weighted / total[:, None])
    return [np.concatenate(parts) for parts in found]


def mixed(rho: Array, product: Array) -> Array:
    """``sum of rho**n product_n`` at each rho, shape (n, rhos)."""
    return np.asarray(product @ (rho[None, :] ** np.arange(product.shape[1])[:, None]))


def log_factors(rho: Array, product: Array) -> Array:
    """Log-likelihood of all customers at each rho, relative to independence; shape (rhos,).

    `product` is A_n B_n, shape (n, terms).
    """
    total = np.zeros(rho.size)
    for rows in blocks(len(product), max(1, _BLOCK // rho.size)):
        total += np.log(np.maximum(mixed(rho, product[rows]), LEAST_FACTOR)).sum(axis=0)
    return total
