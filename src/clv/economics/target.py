"""A revenue target against the forecast: how likely it is, and what is missing."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from clv.economics.valuation import check_interval, gamma_above, gamma_interval, valuation
from clv.errors import DataError
from clv.fitted import FittedPurchases, FittedSpend, FittedTimeVarying, Stacked
from clv.numerics.backend import Array
from clv.numerics.histories import SpendHistory
from clv.tables.rfm import RFM
from clv.units import parse_horizon

#: New customers simulated for what one of them spends within the horizon.
_SIMULATED = 20_000


@dataclass(frozen=True)
class RevenueTarget:
    """A target and what to expect; made by `revenue_target`.

    Attributes
    ----------
    target
        Revenue wanted within the horizon, in the currency of the table.
    horizon, time_unit
        The time until then.
    from_customers
        Expected of today's customers.
    from_new_customers
        Expected of those still to come.
    expected, low, high
        Of all, and the predictive interval.
    interval
        Its nominal probability.
    probability
        P(revenue reaches the target).
    missing
        Target less expectation, 0 where that is reached.
    new_customers
        How many are taken to come.
    per_new_customer
        What one who comes within the horizon is expected to spend in what is left of it.
    """

    target: float
    horizon: float
    time_unit: str
    from_customers: float
    from_new_customers: float
    expected: float
    low: float
    high: float
    interval: float
    probability: float
    missing: float
    new_customers: float
    per_new_customer: float

    @property
    def new_customers_needed(self) -> float:
        """Further new customers whose expected revenue closes the gap."""
        if self.missing == 0:
            return 0.0
        return self.missing / self.per_new_customer if self.per_new_customer > 0 else math.inf

    @property
    def sentence(self) -> str:
        """All of it in words."""
        likely = f"{self.probability:.0%}"
        if 0 < self.probability < 0.01:
            likely = "below 1%"
        elif 0.99 < self.probability < 1:
            likely = "above 99%"
        text = (
            f"{self.expected:,.0f} is expected within {self.horizon:,.4g} {self.time_unit}s "
            f"({self.interval:.0%} interval {self.low:,.0f} to {self.high:,.0f}); the probability "
            f"of reaching {self.target:,.0f} is {likely}."
        )
        if self.missing == 0:
            return text
        needed = self.new_customers_needed
        more = (
            ""
            if math.isinf(needed)
            else (
                f", which about {math.ceil(needed):,} more new customers would bring "
                f"({self.per_new_customer:,.2f} each within that time)"
            )
        )
        return f"{text} In expectation {self.missing:,.0f} is missing{more}."

    def __str__(self) -> str:
        return self.sentence


def revenue_target(
    rfm: RFM,
    purchases: FittedPurchases,
    spend: FittedSpend,
    target: float,
    *,
    horizon: float | str = "1 year",
    new_customers: float = 0.0,
    interval: float = 0.9,
    draws: int = 400,
    seed: int = 0,
) -> RevenueTarget:
    """Hold a revenue target against the forecast.

    Parameters
    ----------
    rfm, purchases, spend
        A table with n customers and fitted models.
    target
        Revenue wanted within the horizon; revenue, not margin, and not discounted.
    horizon
        The time until then.
    new_customers
        How many are expected to come within the horizon, evenly spread; their number is taken to
        vary as a Poisson variable does.
    interval
        Nominal probability of the interval.
    draws, seed
        Simulated futures behind it.

    Raises
    ------
    DataError
        If the target or the number is negative, or new customers are asked for under models with
        covariates.

    Notes
    -----
    The interval joins chance and what is not known of the parameters (for new customers: chance
    only). It does not know that behaviour may change.

    Examples
    --------
    >>> import clv
    >>> transactions = clv.read_transactions(clv.datasets.load_cdnow(), amount="amount")
    >>> rfm = clv.rfm_summary(transactions, observation_period_end="1998-06-30")
    >>> purchases, spend = clv.BetaGeoModel().fit(rfm), clv.GammaGammaModel().fit(rfm)
    >>> found = revenue_target(rfm, purchases, spend, 90_000)
    >>> found.probability < 0.5 and found.missing > 0
    True
    """
    if not (math.isfinite(target) and target >= 0):
        raise DataError(f"target must be an amount of money, 0 or more, not {target!r}")
    if not (math.isfinite(new_customers) and new_customers >= 0):
        raise DataError(f"new_customers must be a number, 0 or more, not {new_customers!r}")
    check_interval(interval)
    t = parse_horizon(horizon, rfm.time_unit)
    today = valuation(
        rfm, purchases, spend, horizon=t, discount_rate=0.0, draws=draws, seed=seed
    ).sums(np.zeros(len(rfm), dtype=np.int64), 1, interval)
    changing = isinstance(purchases, FittedTimeVarying)
    if purchases.covariates or spend.covariates or changing:
        if new_customers:
            raise DataError(
                "new customers under models with covariates would need their covariates; leave "
                "new_customers at 0, or use models without"
            )
        one = np.zeros(1)
    else:
        one = _revenue_of_new(purchases, spend, t, seed, _SIMULATED)
    mean, square = float(one.mean()), float(np.mean(one**2))
    expected = float(today.value[0]) + new_customers * mean
    deviation = math.sqrt(float(today.deviation[0]) ** 2 + new_customers * square)
    low, high = gamma_interval(np.array([expected]), np.array([deviation]), interval)
    return RevenueTarget(
        target=float(target),
        horizon=t,
        time_unit=rfm.time_unit,
        from_customers=float(today.value[0]),
        from_new_customers=new_customers * mean,
        expected=expected,
        low=float(low[0]),
        high=float(high[0]),
        interval=interval,
        probability=gamma_above(float(target), expected, deviation),
        missing=max(0.0, float(target) - expected),
        new_customers=float(new_customers),
        per_new_customer=mean,
    )


def _revenue_of_new(
    purchases: FittedPurchases, spend: FittedSpend, t: float, seed: int, count: int
) -> Array:
    """Simulated revenue of customers whose first purchase falls evenly into the horizon."""
    if isinstance(purchases, Stacked):
        shares = [round(weight * count) for weight in purchases.weights]
        members = zip(purchases.members, shares, strict=True)
        return np.concatenate(
            [_revenue_of_new(member, spend, t, seed, share) for member, share in members]
        )
    rng = np.random.default_rng([seed, 4])
    family, size = purchases.family, (1, count)
    points, money = (f.draws[rng.integers(0, len(f.draws), count)] for f in (purchases, spend))
    alive, state = family.new_customer(purchases.parameters_at(points))
    paths = family.sample_purchases(state, t, rng, size)
    left = t * rng.random(count)
    whose = np.repeat(np.arange(count), paths.counts.reshape(-1))
    repeats = np.bincount(whose, paths.times <= left[whose], count).astype(np.int64)
    repeats[rng.random(count) >= np.broadcast_to(alive, size)[0]] = 0
    bought = (repeats + 1)[None, :]
    drawn, none = spend.parameters_at(money), np.zeros((1, 1))
    worth = spend.family.sample_unit_totals(drawn, none, bought, np.ones(bought.sum()), rng)
    worth = worth * spend.family.scale(drawn, SpendHistory(none, none))
    return np.asarray(worth).reshape(-1)
