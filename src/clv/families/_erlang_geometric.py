"""What BG/CNBD-k and MBG/CNBD-k have in common: regular buyers, and a coin of dropout.

Reutterer, Platzer & Schröder (2021), Leveraging purchase regularity for predicting customer
behavior the easy way, IJRM 38:194-215; Platzer & Reutterer (2016), Ticking away the moments: timing
regularity helps to better predict customer activity, Marketing Science 35:779-799.

As in `_beta_geometric`, but every interval between purchases consists of k stages that each take
an exponential time. ``lambda`` is the rate of a *stage*, as in these papers: lambda ~ Gamma(r, rate
alpha), intervals are Erlang(k, lambda), so customers buy lambda / k times per unit of time. With
k = 1 everything is the BG/NBD or MBG/NBD, by the same code.

Likelihood of one customer, with R = r + k x, z = (T - t_x) / (alpha + T), and `coins` tossed as in
`_beta_geometric`::

    L = (product of intervals)**(k-1) / (k-1)!**x * Gamma(R)/Gamma(r) * alpha**r * (alpha+T)**-R
        * B(a, b+coins)/B(a, b)
        * (S(z) + [coins > 0] * a/(b+coins-1) * ((alpha+T)/(alpha+t_x))**R)
    S(z) = sum over j < k of Gamma(R+j)/(Gamma(R) j!) * z**j

Predictions are exact, where the papers approximate. Given the history and alive, j = 0, ..., k - 1
stages have passed since the last purchase, with probability (R)_j/j! z^j / S(z); given j, lambda ~
Gamma(R+j, rate alpha+T); and p ~ Beta(a, b+coins) is independent of both. That is the `State`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from math import lgamma
from typing import Any, ClassVar, NamedTuple

import numpy as np

from clv.families import _beta_geometric as plain
from clv.families._pickling import HoldsFamilies
from clv.families._protocol import Paths, Variants
from clv.numerics import backend, erlang, quadrature, special
from clv.numerics.backend import Array, Backend
from clv.numerics.erlang_perpetuity import perpetuity
from clv.numerics.histories import IntervalHistory, PurchaseHistory
from clv.numerics.sampling import every_kth_order_statistic

VARIANTS = Variants(
    "k",
    "how regularly customers buy: stages of an interval between purchases (1: at random)",
    largest=30,
)


class Parameters(plain.Parameters):
    """As of BG/NBD, alpha being the rate of the rates of stages, of which an interval has `k`."""

    k: ClassVar[int] = 1


class State(NamedTuple):
    """Of a customer who is alive; see the top of the file.

    Rates of stages and dropout as in `_beta_geometric`, before the stages that have passed since
    the last purchase are known.
    """

    shape: Any  #: R
    rate: Any  #: alpha + T
    a: Any
    b: Any
    waited: Any  #: z, the time since the last purchase as a share of `rate`
    stages: Any  #: k, the same for all


@dataclass(frozen=True, eq=False)
class Variant(HoldsFamilies):
    """The family of a file with a certain number of stages; everything else is the file's."""

    file: Any
    number: int

    @property
    def Parameters(self) -> type[Parameters]:
        """Parameters that know the number of stages."""
        return _parameters_of(self.number)

    @property
    def HISTORY(self) -> type[Any]:
        """The single intervals matter unless k is 1."""
        return PurchaseHistory if self.number == 1 else IntervalHistory

    @property
    def STATE_COLUMNS(self) -> tuple[str, ...]:
        """The time since the last purchase says nothing when k is 1."""
        return ("frequency", "T") if self.number == 1 else ("frequency", "recency", "T")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "file":  # asked of a copy that is not filled yet
            raise AttributeError(name)
        return getattr(self.file, name)


@cache
def _parameters_of(number: int) -> type[Parameters]:
    return type("Parameters", (Parameters,), {"k": number, "__slots__": ()})


# --- likelihood ------------------------------------------------------------------------------


def log_likelihood(
    parameters: Parameters, history: IntervalHistory, coins: Array, xp: Backend
) -> Any:
    """Log-likelihood per customer."""
    k = parameters.k
    r, alpha, a, b = parameters
    x, t_x, T = history[:3]
    if k == 1:
        return plain.log_likelihood(plain.Parameters(*parameters), _last_only(history), coins, xp)
    shape = r + k * x
    timing = (k - 1) * history.sum_log_intervals - x * lgamma(k)
    rate = xp.log_rising(r, k * x) - r * xp.log1p(T / alpha) - (k * x) * xp.log(alpha + T)
    dropout = xp.log_rising(b, coins) - xp.log_rising(a + b, coins)
    living = xp.log(erlang.stage_sum(k, shape, (T - t_x) / (alpha + T)))
    log_odds = _log_odds_dead(parameters, history, coins, xp) - living
    gone = xp.where(coins > 0, xp.softplus(log_odds), 0.0)
    return rate + dropout + living + gone + timing


def _log_odds_dead(parameters: Parameters, history: Any, coins: Array, xp: Backend) -> Any:
    """As in `_beta_geometric`, with R for r + x; S(z) for 1 is left to the caller."""
    r, alpha, a, b = parameters
    x, t_x, T = history[:3]
    last_coin = np.maximum(coins, 1.0) - 1.0
    odds_of_last_coin = xp.log(a) - xp.log(b + last_coin)
    return odds_of_last_coin + (r + parameters.k * x) * xp.log1p((T - t_x) / (alpha + t_x))


def _last_only(history: Any) -> PurchaseHistory:
    return PurchaseHistory(*history[:3])


# --- customers who are alive -----------------------------------------------------------------


def probability_alive(parameters: Parameters, history: Any, coins: Array) -> Array:
    """P(alive at T | history); 1 as long as no coin was tossed."""
    if parameters.k == 1:
        return plain.probability_alive(parameters, _last_only(history), coins)
    state = alive_state(parameters, history, coins)
    living = np.log(erlang.stage_sum(parameters.k, state.shape, state.waited))
    log_odds = _log_odds_dead(parameters, history, coins, backend) - living
    log_odds = np.where(coins > 0, log_odds, -np.inf)
    small = np.exp(-np.abs(log_odds))
    return np.asarray(np.where(log_odds <= 0, 1.0, small) / (1.0 + small))


def alive_state(parameters: Parameters, history: Any, coins: Array) -> State:
    """The state given the history and alive."""
    k = parameters.k
    r, alpha, a, b = parameters
    x, t_x, T = history[:3]
    waited = (T - t_x) / (alpha + T) if k > 1 else 0.0
    return State(r + k * x, alpha + T, a, b + coins, waited, float(k))


def new_state(parameters: Parameters, coins: float) -> State:
    """The state just after the first purchase, `coins` survived."""
    r, alpha, a, b = parameters
    return State(r, alpha, a, b + coins, 0.0, float(parameters.k))


def _stages(state: State) -> int:
    return int(np.max(state.stages, initial=1.0))


def _plain(state: State) -> plain.State:
    return plain.State(*state[:4])


def time_scale(state: State) -> Array:
    """Expected purchases bend first when the first of them is due."""
    k = _stages(state)
    if k == 1:
        return plain.time_scale(_plain(state))
    bends = state.rate * np.minimum(1.0, k / state.shape)
    return np.asarray(bends + 0.0 * (state.a + state.waited))


def discounted_purchases(state: State, horizon: Any, delta: float) -> Array:
    """Expected purchases, discounted at the continuous rate `delta`.

    Those of regular buyers come in waves, which the quadrature over time must follow; without end
    it is one over their rates instead.
    """
    if _without_end(state, horizon, delta):
        return _perpetuity("purchases", state, delta)
    return quadrature.discounted_purchases(
        lambda t: expected_purchases(state, t),
        horizon,
        delta,
        time_scale(state),
        np.pi / _stages(state),
    )


def discounted_time(state: State, horizon: Any, delta: float) -> Array:
    """Expected time alive, discounted likewise."""
    if _without_end(state, horizon, delta):
        return np.asarray(state.rate * _perpetuity("survival", state, delta))
    return quadrature.discounted_time(
        lambda t: survival(state, t), horizon, delta, time_scale(state), np.pi / _stages(state)
    )


def _without_end(state: State, horizon: Any, delta: float) -> bool:
    return _stages(state) > 1 and delta > 0 and bool(np.isposinf(horizon).all())


def _perpetuity(kind: erlang.Kind, state: State, delta: float) -> Array:
    shape, rate, a, b, waited, _ = state
    return perpetuity(kind, _stages(state), shape, waited, a, b, delta * rate)


def survival(state: State, t: Any) -> Array:
    """P(alive after t): that the coins of all purchases until then are survived."""
    k = _stages(state)
    if k == 1:
        return plain.survival(_plain(state), t)
    shape, rate, a, b, waited, _ = state
    return erlang.survival(k, shape, waited, a, b, t / rate)


def expected_purchases(state: State, t: Any) -> Array:
    """E[purchases within t]: as many as there is time for, or as the coins allow."""
    k = _stages(state)
    if k == 1:
        return plain.expected_purchases(_plain(state), t)
    shape, rate, a, b, waited, _ = state
    return erlang.expected_purchases(k, shape, waited, a, b, t / rate)


def expected_purchases_ever(state: State) -> Array:
    """E[1 / p]: only the coins matter; infinite when a <= 1."""
    return np.asarray(plain.expected_purchases_ever(_plain(state)) + 0.0 * state.waited)


def no_purchase_probability(state: State, t: Any) -> Array:
    """P(no purchase within t): fewer stages than are left."""
    k = _stages(state)
    if k == 1:
        return plain.no_purchase_probability(_plain(state), t)
    return erlang.no_purchase(k, state.shape, state.waited, t / state.rate)


def purchase_count_pmf(state: State, n: Any, t: Any) -> Array:
    """P(n purchases within t): time for n and n coins survived, or the n-th coin ended it."""
    k = _stages(state)
    if k == 1:
        return plain.purchase_count_pmf(_plain(state), n, t)
    shape, rate, a, b, waited, _ = state
    n = np.asarray(n, dtype=np.float64)
    tau = t / rate
    survived = np.exp(special.log_rising(b, n) - special.log_rising(a + b, n))
    at_least_one = np.maximum(n, 1.0)
    ended = a / (b + at_least_one - 1.0) * erlang.at_least(k, shape, waited, at_least_one, tau)
    last = erlang.exactly(k, shape, waited, n, tau)
    return np.asarray(survived * (last + np.where(n > 0, ended, 0.0)))


def next_purchase_quantile(state: State, q: Any) -> Array:
    """Time by which the next purchase has come with probability `q`."""
    k = _stages(state)
    if k == 1:
        return plain.next_purchase_quantile(_plain(state), q)
    with np.errstate(over="ignore"):
        return np.asarray(state.rate * erlang.no_purchase_quantile(k, state.shape, state.waited, q))


def sample_purchases(
    state: State, horizon: Any, rng: np.random.Generator, shape: tuple[int, ...]
) -> Paths:
    """Exact draws: a Poisson process of stages, every k-th of which is a purchase."""
    k = _stages(state)
    if k == 1:
        return plain.sample_purchases(_plain(state), horizon, rng, shape)
    weights = np.cumsum(erlang.stage_weights(k, state.shape, state.waited), axis=0)
    uniform = rng.random(shape)
    passed = np.zeros(shape, dtype=np.int64)
    for below in weights[:-1]:
        passed += uniform >= below
    rate = rng.standard_gamma(np.broadcast_to(state.shape, shape) + passed) / state.rate
    dropout = rng.beta(np.broadcast_to(state.a, shape), np.broadcast_to(state.b, shape))
    arrivals = rng.poisson(np.minimum(rate * horizon, 1e12))
    # Beta draws underflow to 0 for tiny a; geometric needs a positive probability
    allowed = rng.geometric(np.maximum(dropout, 1e-15))
    counts = np.minimum((arrivals + passed) // k, allowed)
    return Paths(counts, every_kth_order_statistic(k, passed, arrivals, counts, horizon, rng))
