"""What is given when customers are too few to tell how they differ: a pooled mean, said aloud."""

from __future__ import annotations

from typing import Any

import numpy as np

from clv.inference.maximum_likelihood import Convergence, Estimate
from clv.numerics import backend
from clv.numerics.backend import Array
from clv.numerics.sums import dot


def pooled_estimate(family: Any, history: Any, weights: Array, *, why: str) -> Estimate:
    """The family's limit in which all customers are alike, fitted by its mean.

    Parameters
    ----------
    family
        A spend family with ``pooled``.
    history, weights
        As in `maximum_likelihood.maximize`.
    why
        Why nothing better is given, for the record of convergence.

    Returns
    -------
    Estimate
        Not converged, at a boundary that `why` names; no parameter is determined.
    """
    parameters, covariance = family.pooled(history, weights)
    values = np.array(parameters, dtype=np.float64)
    value = dot(weights, family.log_likelihood(parameters, history, backend))
    return Estimate(
        values,
        covariance,
        np.zeros(len(values), dtype=np.bool_),
        value,
        Convergence(False, why, why, 0.0, 0.0, 1, 0),
    )
