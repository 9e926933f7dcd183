"""What all customers together will buy and be worth, and how sure that is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from clv.calibration import Calibration
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


class Sums(NamedTuple):
    """Sums over some customers, from which the totals of all of them are made.

    Attributes
    ----------
    middle
        Purchases (where they are wanted), then residual value; shape (values,).
    purchase_slopes, spend_slopes
        Their derivatives in the log-parameters of the two models, shape (k, values) each.
    own
        The variances of what the customers will do, summed, shape (values,); 0 without.
    """

    middle: Array
    purchase_slopes: Array
    spend_slopes: Array
    own: Array

    def plus(self, other: Sums) -> Sums:
        """Those of both sets of customers."""
        return Sums(*(a + b for a, b in zip(self, other, strict=True)))


def sums_of(
    rfm: RFM,
    purchases: FittedPurchases,
    spend: FittedSpend,
    functions: Mapping[str, Callable[[Any], Array]],
    *,
    margin: Array,
    residual: Array,
    variances: Predictions | None,
) -> Sums:
    """Sums of purchases (where `functions` has them) and residual value.

    Parameters
    ----------
    rfm, purchases, spend
        Some customers, or all, and the models of a forecast.
    functions
        Functions of a state: "expected_purchases" and "discounted_expected_purchases".
    margin, residual
        Of the forecast; a number or shape (n,), and shape (n,).
    variances
        Each customer's own; without them the interval is that of the expected total.
    """
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

    own = np.zeros(len(names))
    if variances is not None:
        own[-1] = float(np.sum(variances.value.variance * margin**2))
        own[:-1] = float(variances.purchases.variance.sum())
    middle = of_purchases(purchases.estimates)
    middle[-1] = float(residual.sum())
    return Sums(middle, log_slopes(purchases, of_purchases), log_slopes(spend, of_spend), own)


def totals_of(
    sums: Sums, purchases: FittedPurchases, spend: FittedSpend, interval: float
) -> tuple[Total, ...]:
    """Totals with intervals of a nominal probability.

    Notes
    -----
    Customers are independent given the parameters, so the variance of a total is the sum of
    theirs plus that of the expected total over the parameters, which is found by the delta
    method in log-parameters. With many customers the total is close to normal. The interval
    knows chance and parameters; it does not know that behaviour may change.
    """
    from scipy.special import ndtri

    spread = delta_variance(purchases, sums.purchase_slopes) + delta_variance(
        spend, sums.spend_slopes
    )
    half = float(ndtri(0.5 + interval / 2)) * np.sqrt(sums.own + spread)
    labels = [*["expected_purchases"] * (len(sums.middle) - 1), "residual_value"]
    return tuple(
        Total(label, float(m), float(max(m - h, 0.0) if m >= 0 else m - h), float(m + h), interval)
        for label, m, h in zip(labels, sums.middle, half, strict=True)
    )


def widened(totals: tuple[Total, ...], calibration: Calibration) -> tuple[Total, ...]:
    """The same totals with intervals that know how periods differ.

    A total is ``its median x a log-Student-t factor + normal noise``, the noise growing with the
    root of the factor. The ends are found by halving.

    Parameters
    ----------
    totals
        Their values on the clock's median speed, with intervals of chance and parameters.
    calibration
        What was learned: purchases shift by its factor of purchases, residual value by that times
        its factor of spend.
    """
    shift, spend = (s.atoms(101) for s in (calibration.purchases, calibration.spend))
    both = {"residual_value": np.add.outer(shift, spend).reshape(-1)}
    return tuple(_widened(total, np.exp(both.get(total.name, shift))) for total in totals)


def _widened(total: Total, factors: Array) -> Total:
    from scipy.special import ndtr, ndtri

    spread = (total.high - total.value) / float(ndtri(0.5 + total.interval / 2))
    noise = np.maximum(spread * np.sqrt(factors), 1e-12 * max(abs(total.value), 1e-300))
    middles = total.value * factors

    def end(level: float) -> float:
        low = float((middles - 10 * noise).min())
        high = float((middles + 10 * noise).max())
        for _ in range(100):
            middle = (low + high) / 2
            below = float(ndtr((middle - middles) / noise).mean()) < level
            low, high = (middle, high) if below else (low, middle)
        return high

    low, high = (end((1 + sign * total.interval) / 2) for sign in (-1, 1))
    return total._replace(low=max(low, 0.0) if total.value >= 0 else low, high=high)


def delta_variance(fitted: Fitted, slopes: Array) -> Array:
    """Variance over the parameters of what has these slopes in their logarithms."""
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
