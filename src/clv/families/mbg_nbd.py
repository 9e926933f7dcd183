"""MBG/NBD: customers may drop out after *every* purchase, the first included.

Batislam, Denizel & Filiztekin (2007), Empirical validation and comparison of models for
customer base analysis, IJRM 24:201-209; Hoppe & Wagner (2007), Marketing JRM 29:75-90.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from clv.families import _beta_geometric as core
from clv.families import _beta_geometric_sums as sums
from clv.families._beta_geometric import (
    COVARIATES,
    Parameters,
    State,
    boundary,
    expected_purchases,
    expected_purchases_ever,
    log_likelihood_derivatives,
    next_purchase_quantile,
    no_purchase_probability,
    purchase_count_pmf,
    sample_purchases,
    survival,
    time_scale,
)
from clv.families._beta_geometric_groups import group_tables, log_likelihood_gradients
from clv.families._beta_geometric_sums import log_likelihood_gradient, log_likelihood_values
from clv.families._protocol import Parameter
from clv.families._quantities import DROPOUT, PURCHASES
from clv.numerics.backend import Array, Backend
from clv.numerics.histories import PurchaseHistory

NAME = "mbg_nbd"
CLASS_NAME = "ModifiedBetaGeoModel"
TITLE = "MBG/NBD"
KIND = "purchase"
STATE_COLUMNS = ("frequency", "T")
DROPOUT_SLOWS_TIME = True
PARAMETERS = {
    "r": Parameter("shape of the purchase rates across customers"),
    "alpha": Parameter("rate of the purchase rates across customers", unit="time"),
    "a": Parameter("first shape of the dropout probabilities (mean a / (a + b))"),
    "b": Parameter("second shape of the dropout probabilities"),
}
QUANTITIES = (PURCHASES, DROPOUT)


def log_likelihood(parameters: Parameters, history: PurchaseHistory, xp: Backend) -> Any:
    """Log-likelihood per customer (Batislam et al. 2007, eq. 4)."""
    return core.log_likelihood(parameters, history, history.frequency + 1.0, xp)


def probability_alive(parameters: Parameters, history: PurchaseHistory) -> Array:
    """P(alive at T | history) (Batislam et al. 2007, eq. 6)."""
    return core.probability_alive(parameters, history, history.frequency + 1.0)


def alive_state(parameters: Parameters, history: PurchaseHistory) -> State:
    """State of customers who are alive at T."""
    return core.alive_state(parameters, history, history.frequency + 1.0)


def new_customer(parameters: Parameters) -> tuple[Array, State]:
    """Just after the first purchase, whose coin has been tossed already."""
    r, alpha, a, b = parameters
    return np.asarray(b / (a + b)), State(r, alpha, a, b + 1.0)


def sufficient_statistics(history: PurchaseHistory, weights: Array) -> core.Statistics:
    """All that the likelihood needs of the data."""
    return core.sufficient_statistics(history, weights, history.frequency + 1.0)


def tables(history: PurchaseHistory, weights: Array) -> sums.Tables:
    """The same, arranged for value and gradient without curvature."""
    return sums.tables(sufficient_statistics(history, weights))


__all__ = [
    "COVARIATES",
    "Parameters",
    "State",
    "alive_state",
    "boundary",
    "expected_purchases",
    "expected_purchases_ever",
    "group_tables",
    "log_likelihood",
    "log_likelihood_derivatives",
    "log_likelihood_gradient",
    "log_likelihood_gradients",
    "log_likelihood_values",
    "new_customer",
    "next_purchase_quantile",
    "no_purchase_probability",
    "probability_alive",
    "purchase_count_pmf",
    "sample_purchases",
    "sufficient_statistics",
    "survival",
    "tables",
    "time_scale",
]
