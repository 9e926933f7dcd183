"""How well each customer would have been foreseen by a fit to all the others (PSIS-LOO).

Equal customers share a row, and what is left out is a customer, not a row: the expected log
predictive density of one customer is computed once per row, and sums over customers are weighted.

Source: Vehtari, Gelman & Gabry (2017), Practical Bayesian model evaluation using leave-one-out
cross-validation and WAIC, Statistics and Computing 27:1413-1432.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from clv.errors import DataError
from clv.inference.posterior import Posterior
from clv.numerics.backend import Array
from clv.numerics.pareto_smoothing import UNRELIABLE, pareto_smooth

#: Elements of a matrix of rows times draws at a time.
BLOCK = 2_000_000

#: Draws used, at most.
MOST_DRAWS = 4_000


@dataclass(frozen=True, repr=False, eq=False)
class LeaveOneOut:
    """Expected log predictive density under leave-one-out; see `Fitted.loo`.

    Attributes
    ----------
    elpd
        Its sum over customers; higher is better.
    standard_error
        Of that sum, from how customers differ.
    p_loo
        Effective number of parameters.
    n_customers
        Customers summed over.
    pointwise
        Of one customer of each distinct row, shape (m,).
    weights
        Customers behind each row, shape (m,).
    k_hat
        Pareto diagnostic of each row, shape (m,).
    """

    elpd: float
    standard_error: float
    p_loo: float
    n_customers: float
    pointwise: Array
    weights: Array
    k_hat: Array

    @property
    def unreliable(self) -> float:
        """Customers whose k-hat is over .7."""
        return float(self.weights[self.k_hat > UNRELIABLE].sum())

    def __repr__(self) -> str:
        warning = (
            f"; k-hat is over {UNRELIABLE} for {self.unreliable:,.0f} customers, for whom this is "
            "not to be trusted"
            if self.unreliable
            else ""
        )
        return (
            f"elpd {self.elpd:,.2f} (standard error {self.standard_error:,.2f}), effective "
            f"parameters {self.p_loo:.2f}, {self.n_customers:,.0f} customers{warning}"
        )

    def difference(self, other: LeaveOneOut) -> tuple[float, float]:
        """By how much this model is better than another one, and the standard error of that.

        Raises
        ------
        DataError
            If the two were not fitted to the same rows.
        """
        if not np.array_equal(self.weights, other.weights):
            raise DataError("the two models were not fitted to the same customers")
        gains = self.pointwise - other.pointwise
        return float(self.weights @ gains), _standard_error(gains, self.weights)


def leave_one_out(posterior: Posterior) -> LeaveOneOut:
    """PSIS-LOO of a posterior whose rows are still there.

    Raises
    ------
    DataError
        If they are not, because the model was saved and loaded.
    """
    likelihood = posterior.observed
    if likelihood is None:
        raise DataError(
            "a loaded model has no customer rows, and leaving customers out needs them: fit again"
        )
    points = posterior.thinned(MOST_DRAWS)
    diagnostics = posterior.diagnostics
    efficiency = 1.0 if diagnostics is None else diagnostics.relative_efficiency
    logs = np.log(points).T
    m = len(likelihood)
    pointwise, lpd, k_hat = np.empty(m), np.empty(m), np.empty(m)
    step = max(1, BLOCK // len(points))
    for start in range(0, m, step):
        rows = slice(start, start + step)
        values = likelihood.of_rows(logs, rows)
        smoothed = pareto_smooth(-values, efficiency)
        pointwise[rows] = _log_mean(values + smoothed.log_weights) + math.log(len(points))
        lpd[rows] = _log_mean(values)
        k_hat[rows] = smoothed.k_hat
    weights = likelihood.weights
    elpd = float(weights @ pointwise)
    return LeaveOneOut(
        elpd,
        _standard_error(pointwise, weights),
        float(weights @ lpd) - elpd,
        float(weights.sum()),
        pointwise,
        weights,
        k_hat,
    )


def _log_mean(values: Array) -> Array:
    """Log of the mean of exponentials along the last axis."""
    largest = values.max(axis=-1, keepdims=True)
    return np.asarray(np.log(np.exp(values - largest).mean(axis=-1)) + largest[:, 0])


def _standard_error(values: Array, weights: Array) -> float:
    """Of a weighted sum: root of n times the variance over customers."""
    total = float(weights.sum())
    mean = float(weights @ values) / total
    return math.sqrt(float(weights @ (values - mean) ** 2))
