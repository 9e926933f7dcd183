"""MBG/CNBD-k: customers buy regularly, and may drop out after *every* purchase.

Reutterer, Platzer & Schröder (2021), Leveraging purchase regularity for predicting customer
behavior the easy way, IJRM 38:194-215; Platzer & Reutterer (2016), Ticking away the moments: timing
regularity helps to better predict customer activity, Marketing Science 35:779-799.

Intervals between purchases are Erlang: the sum of k exponential stages, whose rates differ
between customers as a gamma distribution. With k = 1 this is the MBG/NBD. Whoever bought
once has had a chance to leave as well. See `_erlang_geometric`, where all is written out.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from clv.families import _erlang_geometric as core
from clv.families import _erlang_sums as sums
from clv.families._beta_geometric import boundary
from clv.families._erlang_geometric import (
    VARIANTS,
    Parameters,
    State,
    discounted_purchases,
    discounted_time,
    expected_purchases,
    expected_purchases_ever,
    next_purchase_quantile,
    no_purchase_probability,
    purchase_count_pmf,
    sample_purchases,
    survival,
    time_scale,
)
from clv.families._erlang_sums import log_likelihood_derivatives
from clv.families._protocol import Parameter
from clv.families._quantities import DROPOUT, rates
from clv.numerics.backend import Array, Backend

NAME = "mbg_cnbd_k"
CLASS_NAME = "ModifiedBetaGeoCNBDKModel"
TITLE = "MBG/CNBD-k"
KIND = "purchase"
STATE_COLUMNS = ("frequency", "recency", "T")
PARAMETERS = {
    "r": Parameter("shape of the rates of stages across customers"),
    "alpha": Parameter("rate of the rates of stages; who buys takes k of them", unit="time"),
    "a": Parameter("first shape of the dropout probabilities (mean a / (a + b))"),
    "b": Parameter("second shape of the dropout probabilities"),
}
QUANTITIES = (
    rates(
        "r",
        "alpha",
        interval="stage_interval",
        spread="purchase_spread",
        what="stages of an interval between purchases",
    ),
    DROPOUT,
)


def variant(number: int) -> core.Variant:
    """The family with this many stages."""
    import sys

    return core.Variant(sys.modules[__name__], number)


def log_likelihood(parameters: Parameters, history: Any, xp: Backend) -> Any:
    """Log-likelihood per customer: a coin is tossed after each purchase."""
    return core.log_likelihood(parameters, history, history.frequency + 1.0, xp)


def probability_alive(parameters: Parameters, history: Any) -> Array:
    """P(alive at T | history)."""
    return core.probability_alive(parameters, history, history.frequency + 1.0)


def alive_state(parameters: Parameters, history: Any) -> State:
    """State of customers who are alive at T."""
    return core.alive_state(parameters, history, history.frequency + 1.0)


def new_customer(parameters: Parameters) -> tuple[Array, State]:
    """Just after the first purchase, whose coin has been tossed already."""
    alive = np.asarray(parameters.b / (parameters.a + parameters.b))
    return alive, core.new_state(parameters, 1.0)


def sufficient_statistics(history: Any, weights: Array) -> sums.Statistics:
    """Rows, and the counts that gamma functions collapse to."""
    return sums.sufficient_statistics(history, weights, history.frequency + 1.0)


__all__ = [
    "VARIANTS",
    "Parameters",
    "State",
    "alive_state",
    "boundary",
    "discounted_purchases",
    "discounted_time",
    "expected_purchases",
    "expected_purchases_ever",
    "log_likelihood",
    "log_likelihood_derivatives",
    "new_customer",
    "next_purchase_quantile",
    "no_purchase_probability",
    "probability_alive",
    "purchase_count_pmf",
    "sample_purchases",
    "sufficient_statistics",
    "survival",
    "time_scale",
    "variant",
]
