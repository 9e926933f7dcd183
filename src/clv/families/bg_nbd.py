"""BG/NBD: customers may drop out after each *repeat* purchase.

Fader, Hardie & Lee (2005), "Counting your customers" the easy way, Marketing Science
24:275-284. A customer with one purchase has had no chance to leave, so P(alive) is 1 for
them however long ago they bought; where such customers dominate, see `mbg_nbd`.
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
    one_time_buyers,
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

NAME = "bg_nbd"
CLASS_NAME = "BetaGeoModel"
TITLE = "BG/NBD"
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
    """Log-likelihood per customer (eq. 6): a coin is tossed after each repeat purchase."""
    return core.log_likelihood(parameters, history, history.frequency, xp)


def probability_alive(parameters: Parameters, history: PurchaseHistory) -> Array:
    """P(alive at T | history) (Fader, Hardie & Lee 2008, note 021)."""
    return core.probability_alive(parameters, history, history.frequency)


def alive_state(parameters: Parameters, history: PurchaseHistory) -> State:
    """State of customers who are alive at T."""
    return core.alive_state(parameters, history, history.frequency)


def new_customer(parameters: Parameters) -> tuple[Array, State]:
    """Just after the first purchase: alive, and nothing known yet."""
    return np.ones(np.shape(parameters.r)), State(*parameters)


def sufficient_statistics(history: PurchaseHistory, weights: Array) -> core.Statistics:
    """All that the likelihood needs of the data."""
    return core.sufficient_statistics(history, weights, history.frequency)


def tables(history: PurchaseHistory, weights: Array) -> sums.Tables:
    """The same, arranged for value and gradient without curvature."""
    return sums.tables(sufficient_statistics(history, weights))


def remarks(parameters: Parameters, history: PurchaseHistory, weights: Array) -> tuple[str, ...]:
    """What a user of the fitted model should know about these data."""
    return one_time_buyers(TITLE, "ModifiedBetaGeoModel (mbg_nbd)", history, weights)


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
    "remarks",
    "sample_purchases",
    "sufficient_statistics",
    "survival",
    "tables",
    "time_scale",
]
