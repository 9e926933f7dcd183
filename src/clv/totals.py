"""What all customers together will buy and be worth, and how sure that is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from clv.fitted import Fitted, FittedPurchases, FittedSpend
from clv.numerics.backend import Array
from clv.predictive import Predictions
from clv.tables.rfm import RFM


class Total(NamedTuple):
    """A sum over all customers, with an interval."""

    name: str
    value: float
    low: float
    high: float
    interval: float

    def sentence(self, kind: str) -> str:
        """The total in words."""
        digits = 0 if abs(self.value) >= 100 else 2
        value, low, high = (f"{x:,.{digits}f}" for x in (self.value, self.low, self.high))
        return (
            f"Total {self.name.replace('_', ' ')}: {value} "
            f"({self.interval:.0%} {kind} interval {low} to {high})."
        )


def forecast_totals(
    rfm: RFM,
    purchases: FittedPurchases,
    spend: FittedSpend,
    functions: Mapping[str, Callable[[Any], Array]],
    *,
    margin: Array,
    residual: Array,
    variances: Predictions | None,
    interval: float,
) -> tuple[Total, ...]:
    """Totals of purchases (where `functions` has them) and residual value.

    Parameters
    ----------
    rfm, purchases, spend
        The table and the models of a forecast.
    functions
        Functions of a state: "expected_purchases" and "discounted_expected_purchases".
    margin, residual
        Of the forecast; a number or shape (n,), and shape (n,).
    variances
        Each customer's own; without them the interval is that of the expected total.
    interval
        Nominal probability.

    Notes
    -----
    Customers are independent given the parameters, so the variance of a total is the sum of
    theirs plus that of the expected total over the parameters, which is found by the delta
    method in log-parameters. With many customers the total is close to normal. The interval
    knows chance and parameters; it does not know that behaviour may change.
    """
    from scipy.special import ndtri

    level = spend.expected_spend(rfm) * margin
    names = list(functions)

    def of_purchases(parameters: Array) -> Array:
        found = purchases.at(parameters).of_living(rfm, *functions.values())
        worth = float(found[-1] @ np.broadcast_to(level, len(rfm)))
        return np.array([float(f.sum()) for f in found[:-1]] + [worth])

    expected_discounted = purchases.of_living(rfm, functions[names[-1]])[0] * margin

    def of_spend(parameters: Array) -> Array:
        worth = float(expected_discounted @ spend.at(parameters).expected_spend(rfm))
        return np.array([0.0] * (len(names) - 1) + [worth])

    middle = of_purchases(purchases.estimates)
    spread = _delta_variance(purchases, of_purchases) + _delta_variance(spend, of_spend)
    own = np.zeros(len(names))
    if variances is not None:
        own[-1] = float(np.sum(variances.value.variance * margin**2))
        own[:-1] = float(variances.purchases.variance.sum())
    half = float(ndtri(0.5 + interval / 2)) * np.sqrt(own + spread)
    middle[-1] = float(residual.sum())
    labels = [*names[:-1], "residual_value"]
    return tuple(
        Total(label, float(m), float(max(m - h, 0.0) if m >= 0 else m - h), float(m + h), interval)
        for label, m, h in zip(labels, middle, half, strict=True)
    )


def _delta_variance(fitted: Fitted, function: Callable[[Array], Array]) -> Array:
    """Variance of a function of the parameters, by the delta method in their logarithms."""
    slopes = log_slopes(fitted, function)
    return np.asarray(np.einsum("iv,ij,jv->v", slopes, fitted.log_covariance, slopes))


def log_slopes(fitted: Fitted, function: Callable[[Array], Array]) -> Array:
    """Slopes of a function of the parameters in their logarithms, by central differences.

    Parameters
    ----------
    fitted
        The model at whose estimates.
    function
        From parameter values, shape (k,), to values of any shape (...).

    Returns
    -------
    Array
        Shape (k, ...); 0 for parameters without uncertainty.
    """
    k = len(fitted.estimates)
    slopes = []
    for i in range(k):
        error = float(np.sqrt(fitted.log_covariance[i, i]))
        step = min(0.1, 0.1 * error) if error > 0 else 0.0
        if step == 0.0:
            slopes.append(0.0 * function(fitted.estimates))
            continue
        moved = [fitted.estimates * np.exp(sign * step * np.eye(k)[i]) for sign in (1, -1)]
        slopes.append((function(moved[0]) - function(moved[1])) / (2 * step))
    return np.array(slopes)
