"""Beta discrete Weibull: as shifted beta geometric, and each customer's own risk moves with time.

Fader, Hardie, Liu, Davin & Steenburgh (2018), "How to project customer retention" revisited: the
role of duration dependence, J. Interactive Marketing 43:1-16.

A customer with theta ~ Beta(alpha, beta) is still there after n renewals with probability
(1 - theta)^(n^c) (the discrete Weibull of Nakagawa & Osaki 1975). With c = 1 that is the shifted
beta geometric; with c > 1 a customer grows more likely to leave with time, with c < 1 less. Across
customers::

    S(n) = B(alpha, beta+n^c) / B(alpha, beta)
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from clv.families import _contracts
from clv.families._protocol import Parameter
from clv.families._quantities import shares, single
from clv.numerics.backend import Array, Backend
from clv.numerics.histories import ContractHistory
from clv.numerics.special import log_beta_ratio

NAME = "beta_discrete_weibull"
CLASS_NAME = "BetaDiscreteWeibullModel"
TITLE = "Beta discrete Weibull"
KIND = "contract"
PARAMETERS = {
    "alpha": Parameter("shape of the churn probability at the first renewal (churned)"),
    "beta": Parameter("shape of the churn probability at the first renewal (renewed)"),
    "c": Parameter("power of time: above 1 each customer's risk rises, below 1 it falls"),
}
QUANTITIES = (
    shares(
        "alpha",
        "beta",
        share="churn_share",
        concentration="churn_concentration",
        what="churn at the first renewal",
        also="churn",
    ),
    single(
        "c",
        "power of time: above 1 each customer's risk rises, below 1 it falls",
        sigma=0.75,
        rules_out="powers below .23 or above 4.3",
    ),
)


class Parameters(NamedTuple):
    """alpha, beta of the churn probability at the first renewal, c power of time."""

    alpha: Any
    beta: Any
    c: Any


def log_likelihood(parameters: Parameters, history: ContractHistory, xp: Backend) -> Any:
    """Log-probability of the renewals made, and of the one that was not."""
    alpha, beta, c = parameters
    n, churned = history
    made = xp.where(n > 0, xp.exp(c * np.log(np.maximum(n, 1.0))), 0.0)
    due = xp.exp(c * np.log(n + 1.0))
    retained = xp.log_beta_ratio(alpha, beta + made, due - made)  # at the renewal that is due
    renewed = xp.log_beta_ratio(alpha, beta, made)
    return renewed + xp.where(churned > 0, xp.log1mexp(-retained), 0.0)


def survival(parameters: Parameters, n: Any) -> Array:
    """P(renewed n times at least)."""
    alpha, beta, c = parameters
    return np.asarray(np.exp(log_beta_ratio(*_broadcast(alpha, beta, _power(n, c)))))


def retention_rate(parameters: Parameters, n: Any) -> Array:
    """P(the n-th renewal is made | the one before it was)."""
    return _further(parameters, np.subtract(n, 1.0), 1.0)


def _further(parameters: Parameters, n: Any, k: Any) -> Array:
    """P(k more renewals | n of them made), S(n + k) / S(n)."""
    alpha, beta, c = parameters
    made = _power(n, c)
    more = _power(np.add(n, k), c) - made
    return np.asarray(np.exp(log_beta_ratio(*_broadcast(alpha, beta + made, more))))


def _power(n: Any, c: Any) -> Array:
    """n^c as a number that arithmetic can still do with."""
    with np.errstate(over="ignore"):
        return np.asarray(np.minimum(np.float_power(n, c), 1e200))


def _broadcast(*values: Any) -> list[Array]:
    return [np.asarray(v, dtype=np.float64) for v in np.broadcast_arrays(*values)]


#: What a sum without end may lack, relative; and how many renewals are added up at a time.
REST, BLOCK = 1e-12, 64


def discounted_renewals(parameters: Parameters, n: Any, delta: Any, until: Any) -> Array:
    """Expected renewals after the n-th, discounted: a sum of survival probabilities.

    Without end it is broken off where the rest is less than `REST` of it. S falls, so what follows
    a term t is at most t / (e^delta - 1); nothing is discounted at delta = 0, where the sum
    need not be finite and infinity is returned.
    """
    *shapes, n, delta, until = _broadcast(*parameters, n, delta, until)
    own = Parameters(*shapes)
    total = np.zeros(n.shape)
    last = float(until.max(initial=0.0))
    free = np.isinf(until) & (delta == 0)
    with np.errstate(divide="ignore"):
        after = np.where(free, 0.0, 1.0 / np.expm1(delta))
    k = np.arange(1.0, BLOCK + 1).reshape(-1, *(1,) * n.ndim)
    while k.flat[0] <= last:
        terms = np.exp(-delta * k) * _further(own, n, k)
        total = total + np.where(k <= until, terms, 0.0).sum(axis=0)
        rest = terms[-1] * np.where(k[-1] < until, np.minimum(after, until - k[-1]), 0.0)
        if (free | (rest <= REST * total)).all():
            break
        k = k + BLOCK
    return np.where(free, np.inf, total)


def sample_renewals(
    parameters: Parameters, n: Any, rng: np.random.Generator, shape: tuple[int, ...]
) -> Any:
    """Exact draws."""
    return _contracts.sample_renewals(*parameters, n, rng, shape)


def boundary(parameters: Parameters) -> str | None:
    """Name the limit that the parameters have run to."""
    alpha, beta, c = (float(p) for p in parameters)
    found = [_contracts.boundary(alpha, beta)]
    if c < 1 / _contracts.EXTREME:
        found.append("nobody leaves after the first renewal (c -> 0)")
    elif c > _contracts.EXTREME:
        found.append("nobody makes a second renewal (c -> infinity)")
    return "; ".join(text for text in found if text) or None
