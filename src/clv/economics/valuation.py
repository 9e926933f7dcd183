"""What groups of customers will bring, with intervals, from one look at every customer.

The total of a group is a sum, so three things of each customer are enough for any group: the
expected value, the variance of what they will do, and the slopes of the expected value in the
parameters. Customers are independent given the parameters, so variances add up and so do slopes.

A total is not negative but for the cost of serving, and skewed where customers are few: it is
taken as gamma-distributed with its mean and variance, which is near to normal where they are many.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from clv.errors import DataError, InfiniteValueError
from clv.fitted import FittedPurchases, FittedSpend, Stacked
from clv.numerics.backend import Array
from clv.predictive import predictive
from clv.tables.rfm import RFM
from clv.totals import log_slopes
from clv.units import DAYS_PER_UNIT, DAYS_PER_YEAR, discount_rate_per_unit, parse_horizon


class Sums(NamedTuple):
    """Totals of groups, shape (groups,) each."""

    value: Array
    low: Array
    high: Array
    deviation: Array  #: standard deviation


class Valuation(NamedTuple):
    """What customers will bring.

    Attributes
    ----------
    gross
        Expected margin to come, discounted, shape (n,).
    cost
        Expected cost of serving them, discounted, shape (n,).
    variance
        Of what each will do, given the parameters, shape (n,).
    slopes
        Of `gross` less `cost` in the logs of all parameters, shape (k, n).
    covariance
        Of these logs, shape (k, k).
    """

    gross: Array
    cost: Array
    variance: Array
    slopes: Array
    covariance: Array

    @property
    def value(self) -> Array:
        """Expected residual value, shape (n,)."""
        return self.gross - self.cost

    def sums(self, member: NDArray[np.int64], groups: int, interval: float) -> Sums:
        """Totals of groups with predictive intervals.

        Parameters
        ----------
        member
            The group of each customer, shape (n,); -1 for none.
        groups
            How many there are.
        interval
            Nominal probability.
        """
        gross, cost, deviation = self._moments(member, groups)
        low, high = gamma_interval(gross, deviation, interval)
        return Sums(gross - cost, low - cost, high - cost, deviation)

    def probability_above(self, threshold: float) -> float:
        """P(everybody together brings more than this)."""
        gross, cost, deviation = (
            float(x[0]) for x in self._moments(np.zeros(len(self.gross), dtype=np.int64), 1)
        )
        return gamma_above(threshold + cost, gross, deviation)

    def _moments(self, member: NDArray[np.int64], groups: int) -> tuple[Array, Array, Array]:
        some = member >= 0
        whose = member[some]

        def total(values: Array) -> Array:
            return np.bincount(whose, values[some], groups).astype(np.float64)

        slopes = np.array([total(row) for row in self.slopes])
        parameters = np.einsum("ig,ij,jg->g", slopes, self.covariance, slopes)
        deviation = np.sqrt(total(self.variance) + np.maximum(parameters, 0.0))
        return total(self.gross), total(self.cost), deviation


def gamma_interval(mean: Array, deviation: Array, interval: float) -> tuple[Array, Array]:
    """Central interval of totals with this mean and standard deviation; both 0 where mean is."""
    from scipy.special import gammaincinv

    some = (mean > 0) & (deviation > 0)
    shape = np.where(some, (mean / np.where(some, deviation, 1.0)) ** 2, 1.0)
    tail = (1.0 - interval) / 2.0
    ends = (
        np.where(some, gammaincinv(shape, level) * mean / shape, mean)
        for level in (tail, 1.0 - tail)
    )
    low, high = ends
    return low, high


def gamma_above(threshold: float, mean: float, deviation: float) -> float:
    """P(a total with this mean and standard deviation exceeds a threshold)."""
    from scipy.special import gammaincc

    if threshold <= 0:
        return 1.0
    if mean <= 0 or deviation <= 0:
        return float(mean > threshold)
    shape = (mean / deviation) ** 2
    return float(gammaincc(shape, threshold * shape / mean))


def valuation(
    rfm: RFM,
    purchases: FittedPurchases,
    spend: FittedSpend,
    *,
    horizon: float | str | None,
    discount_rate: float = 0.1,
    margin: float | Array = 1.0,
    cost_to_serve_rate: float | Array = 0.0,
    draws: int = 400,
    seed: int = 0,
) -> Valuation:
    """Look at every customer once.

    Parameters
    ----------
    rfm, purchases, spend
        A table with n customers and fitted models in its time unit.
    horizon, discount_rate, margin, cost_to_serve_rate
        As in `clv.forecast`.
    draws, seed
        Simulated futures behind the variances.

    Raises
    ------
    InfiniteValueError
        Without horizon and discounting.
    """
    rfm = rfm if rfm.in_memory else rfm.collect()
    for fitted in (purchases, spend):
        fitted.check_table(rfm)
    if isinstance(purchases, Stacked):
        parts = [
            valuation(
                rfm,
                member,
                spend,
                horizon=horizon,
                discount_rate=discount_rate,
                margin=margin,
                cost_to_serve_rate=cost_to_serve_rate,
                draws=draws,
                seed=seed,
            )
            for member in purchases.members
        ]
        return _pooled(parts, np.asarray(purchases.weights))
    unit, n = rfm.time_unit, len(rfm)
    t = math.inf if horizon is None else parse_horizon(horizon, unit)
    delta = discount_rate_per_unit(discount_rate, unit)
    if math.isinf(t) and delta == 0:
        raise InfiniteValueError("the value to come needs a horizon or a discount_rate above 0")
    shares = per_customer("margin", margin, n)
    yearly = per_customer("cost_to_serve_rate", cost_to_serve_rate, n)
    costs = yearly * (DAYS_PER_UNIT[unit] / DAYS_PER_YEAR)
    functions: list[Any] = [purchases.discounter(horizon, discount_rate)]
    if np.any(costs):
        functions.append(purchases.lifetime_discounter(horizon, discount_rate))
    level = spend.expected_spend(rfm) * shares
    alive, expected, *time = purchases.of_living(rfm, *functions, with_alive=True)

    def of_purchases(parameters: Array) -> Array:
        found = purchases.at(parameters).of_living(rfm, *functions)
        lost = costs * found[1] if len(found) > 1 else 0.0
        return np.asarray(found[0] * level - lost)

    def of_spend(parameters: Array) -> Array:
        return np.asarray(expected * shares * spend.at(parameters).expected_spend(rfm))

    variance = predictive(
        rfm,
        purchases,
        spend,
        alive=alive,
        horizon=t,
        delta=delta,
        interval=0.9,
        draws=draws,
        seed=seed,
    ).value.variance
    k = len(purchases.estimates)
    covariance = np.zeros((k + len(spend.estimates),) * 2)
    covariance[:k, :k], covariance[k:, k:] = purchases.log_covariance, spend.log_covariance
    return Valuation(
        gross=np.asarray(expected * level),
        cost=np.asarray(costs * time[0]) if time else np.zeros(n),
        variance=variance * shares**2,
        slopes=np.concatenate([log_slopes(purchases, of_purchases), log_slopes(spend, of_spend)]),
        covariance=covariance,
    )


def check_interval(interval: float) -> None:
    """Refuse what is no nominal probability of an interval.

    Raises
    ------
    DataError
        If it does not lie strictly between 0 and 1.
    """
    if not 0 < interval < 1:
        raise DataError(f"interval must lie strictly between 0 and 1, not {interval!r}")


def _pooled(parts: list[Valuation], weights: Array) -> Valuation:
    """What several models say, of which one is right for everybody, each with its weight.

    The variance of a total is the weighted mean of the models' own, plus how far their totals lie
    from the mean one: that is a row of slopes more for each model, whose variance is 1.
    """

    def mean(name: str) -> Array:
        return np.asarray(sum(w * getattr(p, name) for w, p in zip(weights, parts, strict=True)))

    gross, cost, roots = mean("gross"), mean("cost"), np.sqrt(weights)
    apart = [r * (p.value - (gross - cost)) for r, p in zip(roots, parts, strict=True)]
    slopes = [r * p.slopes for r, p in zip(roots, parts, strict=True)]
    sizes = [len(p.covariance) for p in parts]
    covariance = np.eye(sum(sizes) + len(parts))
    start = 0
    for size, part in zip(sizes, parts, strict=True):
        covariance[start : start + size, start : start + size] = part.covariance
        start += size
    return Valuation(
        gross, cost, mean("variance"), np.concatenate([*slopes, np.array(apart)]), covariance
    )


def per_customer(name: str, value: float | Array, n: int) -> Array:
    """One number per customer, shape (n,).

    Raises
    ------
    DataError
        If it is of another length, or not finite.
    """
    array = np.asarray(value, dtype=np.float64)
    if array.ndim and array.shape != (n,):
        raise DataError(
            f"{name} has {array.size:,} values and the table {n:,} customers; give one number, or "
            "one per row"
        )
    if not np.isfinite(array).all():
        raise DataError(f"{name} must be finite")
    return np.broadcast_to(array, (n,))
