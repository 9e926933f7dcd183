"""Shifted beta geometric: at each renewal a customer leaves with a probability of their own.

Fader & Hardie (2007), How to project customer retention, J. Interactive Marketing 21:76-90;
for values, Fader & Hardie (2010), Customer-base valuation in a contractual setting: the perils
of ignoring heterogeneity, Marketing Science 29:85-93.

A contract is signed, and comes up for renewal after one period, two periods, and so on. At every
renewal a customer leaves with probability theta ~ Beta(alpha, beta), the same each time. Those
with a high theta leave first, so the retention rate of a cohort rises although nobody changes::

    S(n) = B(alpha, beta+n) / B(alpha, beta)                (2007, eq. 6)
    r(n) = S(n) / S(n-1) = (beta+n-1) / (alpha+beta+n-1)    (2007, eq. 8)
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from clv.families import _contracts
from clv.families._protocol import Parameter
from clv.families._quantities import shares
from clv.numerics import opportunities
from clv.numerics.backend import Array, Backend
from clv.numerics.histories import ContractHistory

NAME = "shifted_beta_geo"
CLASS_NAME = "ShiftedBetaGeoModel"
TITLE = "Shifted beta geometric"
KIND = "contract"
PARAMETERS = {
    "alpha": Parameter("shape of the churn probability (churned)"),
    "beta": Parameter("shape of the churn probability (renewed)"),
}
QUANTITIES = (
    shares(
        "alpha",
        "beta",
        share="churn_share",
        concentration="churn_concentration",
        what="churn at a renewal",
        also="churn",
    ),
)


class Parameters(NamedTuple):
    """alpha, beta of the churn probability at a renewal."""

    alpha: Any
    beta: Any


def log_likelihood(parameters: Parameters, history: ContractHistory, xp: Backend) -> Any:
    """Log-probability of the renewals made, and of the one that was not (2007, appendix B)."""
    alpha, beta = parameters
    n, churned = history
    renewed = xp.log_beta_ratio(alpha, beta, n)
    return renewed + xp.where(churned > 0, xp.log(alpha) - xp.log(alpha + beta + n), 0.0)


def survival(parameters: Parameters, n: Any) -> Array:
    """P(renewed n times at least) (2007, eq. 6)."""
    return opportunities.stay(parameters.alpha, parameters.beta, n)


def retention_rate(parameters: Parameters, n: Any) -> Array:
    """P(the n-th renewal is made | the one before it was) (2007, eq. 8)."""
    alpha, beta = parameters
    renewed = beta + np.subtract(n, 1.0)
    return np.asarray(renewed / (alpha + renewed))


def discounted_renewals(parameters: Parameters, n: Any, delta: Any, until: Any) -> Array:
    """Expected renewals after the n-th, discounted; given n, theta ~ Beta(alpha, beta+n).

    ``retention_rate(n) (1 + discounted_renewals(n))`` is the residual lifetime of 2010, eq. 6:
    (beta+n-1)/(alpha+beta+n-1) 2F1(1, beta+n; alpha+beta+n; 1/(1+d)), the n-th renewal being due.
    """
    alpha, beta = parameters
    return opportunities.discounted_stays(alpha, beta + n, until, delta)


def sample_renewals(
    parameters: Parameters, n: Any, rng: np.random.Generator, shape: tuple[int, ...]
) -> Any:
    """Exact draws."""
    return _contracts.sample_renewals(parameters.alpha, parameters.beta, 1.0, n, rng, shape)


def boundary(parameters: Parameters) -> str | None:
    """Name the limit that the parameters have run to."""
    return _contracts.boundary(float(parameters.alpha), float(parameters.beta))
