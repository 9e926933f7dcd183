"""Customers one by one: what is expected of them when their traits are known.

The traits (rate, dropout, ...) are put on a grid, weighted with their prior density, and all
posteriors are plain sums over it. Nothing here knows a closed form of a family. The grids are
trapezoid rules in log(rate) and logit(probability), which converge faster than any power of
the step for smooth integrands that vanish at both ends (Trefethen & Weideman 2014).

An individual-level model offers, for traits and times that broadcast:

``traits(parameters)``
    A tuple of trait arrays and the prior weight of each grid point.
``alive(traits, x, t_x, T)``, ``dead(traits, x, t_x, T)``
    The density of the history together with being alive, or dead, at T.
``survival(traits, t)``, ``expected_purchases(traits, t)``, ``pmf(traits, n, t)``
    Of a customer who is alive.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from scipy.special import expit, gammainc, gammaln

STEP = 0.1
NEGLIGIBLE = 36.0  # in powers of e


def gamma_axis(shape: float, rate: float, step: float = STEP) -> tuple[np.ndarray, np.ndarray]:
    """Grid and prior weights of a Gamma(shape, rate) trait."""
    u = np.arange(-NEGLIGIBLE / shape - 5.0, 15.0, step) + np.log(shape)
    return np.exp(u) / rate, step * np.exp(shape * u - np.exp(u) - gammaln(shape))


def beta_axis(a: float, b: float) -> tuple[np.ndarray, np.ndarray]:
    """Grid and prior weights of a Beta(a, b) trait."""
    u = np.arange(-NEGLIGIBLE / a, NEGLIGIBLE / b, STEP)
    log_norm = gammaln(a + b) - gammaln(a) - gammaln(b)
    return expit(u), STEP * np.exp(log_norm - a * np.logaddexp(0, -u) - b * np.logaddexp(0, u))


class Posterior(NamedTuple):
    """Sums over the grid: what a family's closed forms are held against."""

    log_likelihood: float
    probability_alive: float
    survival: float  #: this and the rest: of somebody with this history, dead or alive
    expected_purchases: float
    pmf: np.ndarray  #: of 0, 1, ..., 5 purchases


def posterior(model: Any, parameters: Any, x: float, t_x: float, T: float, t: float) -> Posterior:
    """Bayes by summation, for one history and a time `t` ahead."""
    traits, prior = model.traits(parameters)
    living = prior * model.alive(traits, x, t_x, T)
    total = living.sum() + (prior * model.dead(traits, x, t_x, T)).sum()
    living = living / total
    alive = living.sum()

    def mean(value: np.ndarray) -> float:
        return float((living * value).sum())

    pmf = np.array([mean(model.pmf(traits, n, t)) for n in range(6)])
    pmf[0] += 1.0 - alive
    return Posterior(
        float(np.log(total)),
        float(alive),
        mean(model.survival(traits, t)),
        mean(model.expected_purchases(traits, t)),
        pmf,
    )


class CoinAfterPurchase:
    """Poisson purchases; after each, dropout with a probability of the customer's own.

    `first_coin` says whether the coin is tossed after the first purchase as well (MBG/NBD).
    """

    def __init__(self, *, first_coin: bool) -> None:
        self.first_coin = first_coin

    def traits(self, parameters: Any) -> tuple[Any, np.ndarray]:
        rate, rate_weight = gamma_axis(parameters.r, parameters.alpha)
        dropout, dropout_weight = beta_axis(parameters.a, parameters.b)
        return (rate[:, None], dropout), rate_weight[:, None] * dropout_weight

    def alive(self, traits: Any, x: float, t_x: float, T: float) -> np.ndarray:
        rate, dropout = traits
        return rate**x * np.exp(-rate * T) * (1 - dropout) ** (x + self.first_coin)

    def dead(self, traits: Any, x: float, t_x: float, T: float) -> np.ndarray:
        rate, dropout = traits
        coins = x + self.first_coin
        if coins == 0:
            return np.zeros(np.broadcast_shapes(rate.shape, dropout.shape))
        return rate**x * np.exp(-rate * t_x) * dropout * (1 - dropout) ** (coins - 1)

    def survival(self, traits: Any, t: float) -> np.ndarray:
        rate, dropout = traits
        return np.exp(-rate * dropout * t)

    def expected_purchases(self, traits: Any, t: float) -> np.ndarray:
        rate, dropout = traits
        return -np.expm1(-rate * dropout * t) / dropout

    def pmf(self, traits: Any, n: int, t: float) -> np.ndarray:
        rate, dropout = traits
        stay = (1 - dropout) ** n
        poisson = np.exp(n * np.log(rate * t) - rate * t - gammaln(n + 1.0))
        if n == 0:
            return poisson + 0.0 * dropout
        return stay * poisson + dropout * (1 - dropout) ** (n - 1) * gammainc(n, rate * t)


class RegularCoin:
    """A purchase takes k stages that pass at a rate of the customer's own; then the coin.

    Purchases so far were evenly spaced. How many stages have passed since the last one is a trait
    too: it decides the future.
    """

    def __init__(self, *, first_coin: bool) -> None:
        self.first_coin = first_coin

    def traits(self, parameters: Any) -> tuple[Any, np.ndarray]:
        rate, rate_weight = gamma_axis(parameters.r, parameters.alpha)
        # beyond, neither prior nor any posterior that is looked at has weight
        some = rate < 200.0 / parameters.alpha
        rate, rate_weight = rate[some], rate_weight[some]
        dropout, dropout_weight = beta_axis(parameters.a, parameters.b)
        stage = np.arange(parameters.k)
        return (stage, rate, dropout), np.multiply.outer(rate_weight, dropout_weight)

    def _seen(self, traits: Any, x: float, t_x: float) -> np.ndarray:
        stage, rate, _ = traits
        k = len(stage)
        if x == 0:
            return np.ones_like(rate)
        gap = t_x / x
        log_density = k * np.log(rate) + (k - 1) * np.log(gap) - rate * gap - gammaln(k)
        return np.exp(x * log_density)

    def alive(self, traits: Any, x: float, t_x: float, T: float) -> np.ndarray:
        stage, rate, dropout = traits
        silent = rate * (T - t_x)
        with np.errstate(divide="ignore", invalid="ignore"):
            log_passed = np.where(stage[:, None] > 0, stage[:, None] * np.log(silent), 0.0)
        passed = np.exp(log_passed - silent - gammaln(stage[:, None] + 1.0))
        stays = (1 - dropout) ** (x + self.first_coin)
        return np.multiply.outer(passed * self._seen(traits, x, t_x), stays)

    def dead(self, traits: Any, x: float, t_x: float, T: float) -> np.ndarray:
        _, rate, dropout = traits
        coins = x + self.first_coin
        if coins == 0:
            return np.zeros((len(rate), len(dropout)))
        gone = dropout * (1 - dropout) ** (coins - 1)
        return np.multiply.outer(self._seen(traits, x, t_x), gone)

    def _at_least(self, traits: Any, n: np.ndarray, t: float) -> np.ndarray:
        """P(time for n purchases), shape (stages, rates, len(n))."""
        stage, rate, _ = traits
        needed = n * len(stage) - stage[:, None, None]
        return np.where(n > 0, gammainc(np.maximum(needed, 1.0), rate[:, None] * t), 1.0)

    def _most(self, traits: Any, t: float) -> int:
        longest = float(traits[1].max()) * t
        return int((longest + 12.0 * np.sqrt(longest) + 40.0) / len(traits[0])) + 2

    def survival(self, traits: Any, t: float) -> np.ndarray:
        m = np.arange(self._most(traits, t))
        at_least = self._at_least(traits, m.astype(float), t)
        exactly = -np.diff(at_least, axis=-1)
        return exactly @ (1 - traits[2]) ** m[:-1, None]

    def expected_purchases(self, traits: Any, t: float) -> np.ndarray:
        m = np.arange(1, self._most(traits, t))
        return self._at_least(traits, m.astype(float), t) @ (1 - traits[2]) ** (m[:, None] - 1)

    def pmf(self, traits: Any, n: int, t: float) -> np.ndarray:
        dropout = traits[2]
        at_least = self._at_least(traits, np.array([n, n + 1.0]), t)
        exactly = np.multiply.outer(at_least[..., 0] - at_least[..., 1], (1 - dropout) ** n)
        if n == 0:
            return exactly
        return exactly + np.multiply.outer(at_least[..., 0], dropout * (1 - dropout) ** (n - 1))


class NeverLeaves:
    """Poisson purchases, for ever (NBD)."""

    def traits(self, parameters: Any) -> tuple[Any, np.ndarray]:
        rate, weight = gamma_axis(parameters.r, parameters.alpha)
        return (rate,), weight

    def alive(self, traits: Any, x: float, t_x: float, T: float) -> np.ndarray:
        return traits[0] ** x * np.exp(-traits[0] * T)

    def dead(self, traits: Any, x: float, t_x: float, T: float) -> np.ndarray:
        return np.zeros_like(traits[0])

    def survival(self, traits: Any, t: float) -> np.ndarray:
        return np.ones_like(traits[0])

    def expected_purchases(self, traits: Any, t: float) -> np.ndarray:
        return traits[0] * t

    def pmf(self, traits: Any, n: int, t: float) -> np.ndarray:
        mean = traits[0] * t
        return np.exp(n * np.log(mean) - mean - gammaln(n + 1.0))


class DeathAtAnyTime:
    """Poisson purchases until a death that comes at a constant rate (Pareto/NBD)."""

    def traits(self, parameters: Any) -> tuple[Any, np.ndarray]:
        rate, rate_weight = gamma_axis(parameters.r, parameters.alpha)
        death, death_weight = gamma_axis(parameters.s, parameters.beta)
        return (rate[:, None], death), rate_weight[:, None] * death_weight

    def alive(self, traits: Any, x: float, t_x: float, T: float) -> np.ndarray:
        rate, death = traits
        return rate**x * np.exp(-(rate + death) * T)

    def dead(self, traits: Any, x: float, t_x: float, T: float) -> np.ndarray:
        rate, death = traits
        both = rate + death
        return rate**x * death / both * np.exp(-both * t_x) * -np.expm1(-both * (T - t_x))

    def survival(self, traits: Any, t: float) -> np.ndarray:
        rate, death = traits
        return np.exp(-death * t) + 0.0 * rate

    def expected_purchases(self, traits: Any, t: float) -> np.ndarray:
        rate, death = traits
        return -rate * np.expm1(-death * t) / death

    def pmf(self, traits: Any, n: int, t: float) -> np.ndarray:
        rate, death = traits
        both = rate + death
        poisson = np.exp(n * np.log(rate * t) - both * t - gammaln(n + 1.0))
        # n purchases, and then death, before t
        ended = death / both * np.exp(n * np.log(rate / both)) * gammainc(n + 1.0, both * t)
        return poisson + ended


class CoinsAtEachOpportunity:
    """Before each opportunity dropout, then a purchase, each by a coin of one's own (BG/BB)."""

    def traits(self, parameters: Any) -> tuple[Any, np.ndarray]:
        buys, buys_weight = beta_axis(parameters.alpha, parameters.beta)
        leaves, leaves_weight = beta_axis(parameters.gamma, parameters.delta)
        return (buys[:, None], leaves), buys_weight[:, None] * leaves_weight

    def alive(self, traits: Any, x: float, t_x: float, T: float) -> np.ndarray:
        buys, leaves = traits
        return buys**x * (1 - buys) ** (T - x) * (1 - leaves) ** T

    def dead(self, traits: Any, x: float, t_x: float, T: float) -> np.ndarray:
        _, leaves = traits
        last_times = range(int(t_x), int(T))
        return sum(
            (leaves * self.alive(traits, x, t_x, last) for last in last_times),
            start=np.zeros(np.broadcast_shapes(*(v.shape for v in traits))),
        )

    def survival(self, traits: Any, t: float) -> np.ndarray:
        return (1 - traits[1]) ** t + 0.0 * traits[0]

    def expected_purchases(self, traits: Any, t: float) -> np.ndarray:
        buys, leaves = traits
        return buys * sum((1 - leaves) ** k for k in range(1, int(t) + 1))

    def pmf(self, traits: Any, n: int, t: float) -> np.ndarray:
        buys, leaves = traits

        def of(there: int) -> np.ndarray:
            return math.comb(there, n) * buys**n * (1 - buys) ** max(there - n, 0)

        ended = sum(of(k) * leaves * (1 - leaves) ** k for k in range(int(t)))
        return ended + of(int(t)) * (1 - leaves) ** int(t)


class SpendPosterior(NamedTuple):
    """Likewise for a spend family."""

    log_likelihood: float
    expected_spend: float


class GammaSpending:
    """Values are Gamma(p, level), and the level is Gamma(q, v) across customers."""

    def posterior(self, parameters: Any, count: float, mean: float) -> SpendPosterior:
        level, prior = gamma_axis(parameters.q, parameters.v, STEP / 10)
        if count == 0:
            return SpendPosterior(0.0, float((prior * parameters.p / level).sum()))
        shape = parameters.p * count
        density = np.exp(
            shape * np.log(level * count)
            + (shape - 1) * np.log(mean)
            - level * count * mean
            - gammaln(shape)
        )
        joint = prior * density
        return SpendPosterior(
            float(np.log(joint.sum())),
            float((joint * parameters.p / level).sum() / joint.sum()),
        )


class ContractPosterior(NamedTuple):
    """Likewise for a family of renewals."""

    log_likelihood: float
    further: np.ndarray  #: P(1, 2, ... more renewals at least) of somebody who made these


class OwnChurn:
    """Each customer makes the n-th renewal with a probability of their own, that may move with n.

    P(renewed n times | theta) = (1 - theta)^(n^c); c = 1 where a family has no such parameter.
    """

    def posterior(
        self, parameters: Any, n: float, churned: bool, ahead: int = 5
    ) -> ContractPosterior:
        theta, prior = beta_axis(parameters.alpha, parameters.beta)
        c = getattr(parameters, "c", 1.0)

        def renewed(times: float) -> np.ndarray:
            return np.exp(times**c * np.log1p(-np.minimum(theta, 1 - 1e-16)))

        # once more not made, without cancellation
        missed = -np.expm1(((n + 1) ** c - n**c) * np.log1p(-np.minimum(theta, 1 - 1e-16)))
        joint = prior * renewed(n) * (missed if churned else 1.0)
        still = prior * renewed(n)
        further = [(prior * renewed(n + k)).sum() / still.sum() for k in range(1, ahead + 1)]
        return ContractPosterior(float(np.log(joint.sum())), np.array(further))
