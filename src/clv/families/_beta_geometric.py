"""What BG/NBD and MBG/NBD have in common: a coin of dropout after a purchase.

While alive a customer buys at a rate lambda ~ Gamma(r, rate alpha); after a purchase they
drop out with probability p ~ Beta(a, b). The two families differ only in how many coins
have been tossed once x repeat purchases are seen: BG tosses after repeat purchases (x),
MBG after the first one too (x + 1). Every function here takes that number, `coins`.

Likelihood of one customer (Fader, Hardie & Lee 2005, eq. 6; Batislam et al. 2007, eq. 4)::

    L = Gamma(r+x)/Gamma(r) * alpha**r * B(a, b+coins)/B(a, b) * (alpha+T)**-(r+x)
        * (1 + [coins > 0] * a/(b+coins-1) * ((alpha+T)/(alpha+t_x))**(r+x))

Given the history and alive, lambda ~ Gamma(r+x, alpha+T) and p ~ Beta(a, b+coins), and the
two are independent: that is the `State`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from clv.families import _limits
from clv.families._protocol import Moves, Paths
from clv.numerics import special
from clv.numerics.backend import Array, Backend
from clv.numerics.compress import compress
from clv.numerics.histories import PurchaseHistory
from clv.numerics.sampling import first_order_statistics
from clv.numerics.sums import blocks, dot


class Parameters(NamedTuple):
    """r shape and alpha rate of the purchase rate; a, b of the dropout probability."""

    r: Any
    alpha: Any
    a: Any
    b: Any


class State(NamedTuple):
    """Of a customer who is alive: rate ~ Gamma(shape, rate), dropout ~ Beta(a, b)."""

    shape: Any
    rate: Any
    a: Any
    b: Any


#: Fader & Hardie (2007): alpha falls, a and b move each with coefficients of their own.
COVARIATES = {
    "purchase": Moves(
        {"alpha": -1}, lambda p: p.r / p.alpha, "buy {factor} times as often while they stay"
    ),
    "dropout": Moves(
        {"a": 1, "b": 1},
        lambda p: p.a / (p.a + p.b),
        "drop out after a purchase with a mean probability of {after} instead of {before}",
    ),
}


def log_likelihood(
    parameters: Parameters, history: PurchaseHistory, coins: Array, xp: Backend
) -> Any:
    """Log-likelihood per customer, in a form that keeps its digits as alpha, a, b grow."""
    r, alpha, a, b = parameters
    x, _, T = history
    rate = xp.log_rising(r, x) - r * xp.log1p(T / alpha) - x * xp.log(alpha + T)
    dropout = xp.log_rising(b, coins) - xp.log_rising(a + b, coins)
    log_odds_dead = _log_odds_dead(parameters, history, coins, xp)
    return rate + dropout + xp.where(coins > 0, xp.softplus(log_odds_dead), 0.0)


def _log_odds_dead(
    parameters: Parameters, history: PurchaseHistory, coins: Array, xp: Backend
) -> Any:
    """``ln(P(dead) / P(alive))`` where a coin was tossed; meaningless elsewhere."""
    r, alpha, a, b = parameters
    x, t_x, T = history
    last_coin = np.maximum(coins, 1.0) - 1.0
    odds_of_last_coin = xp.log(a) - xp.log(b + last_coin)
    return odds_of_last_coin + (r + x) * xp.log1p((T - t_x) / (alpha + t_x))


def probability_alive(parameters: Parameters, history: PurchaseHistory, coins: Array) -> Array:
    """P(alive at T | history); 1 as long as no coin was tossed."""
    from clv.numerics import backend

    log_odds = np.where(coins > 0, _log_odds_dead(parameters, history, coins, backend), -np.inf)
    small = np.exp(-np.abs(log_odds))
    return np.asarray(np.where(log_odds <= 0, 1.0, small) / (1.0 + small))


def alive_state(parameters: Parameters, history: PurchaseHistory, coins: Array) -> State:
    """The state given the history and alive."""
    r, alpha, a, b = parameters
    return State(r + history.frequency, alpha + history.T, a, b + coins)


def time_scale(state: State) -> Array:
    """Expected purchases bend at this time: when the rate, or dropout, makes itself felt.

    Dropout comes after 1/p purchases, and p is about a / (a + b), or 1 / b when a is small.
    """
    shape, rate, a, b = state
    purchases = (a + b + 1.0) / (a + 1.0)
    return np.asarray(rate * np.minimum(1.0, purchases / shape))


def survival(state: State, t: Any) -> Array:
    """P(alive after t): E[(1 + p t / rate)**-shape] over p ~ Beta(a, b)."""
    return special.beta_geometric_survival(state.a, state.b, state.shape, t / state.rate)


def expected_purchases(state: State, t: Any) -> Array:
    """E[(1 - (1 + p t / rate)**-shape) / p] over p ~ Beta(a, b)."""
    return special.beta_geometric_purchases(state.a, state.b, state.shape, t / state.rate)


def expected_purchases_ever(state: State) -> Array:
    """E[1 / p] over p ~ Beta(a, b): purchases until dropout; infinite when a <= 1."""
    excess = np.asarray(state.a - 1.0)
    with np.errstate(divide="ignore"):
        return np.asarray(np.where(excess > 0, (excess + state.b) / excess, np.inf))


def no_purchase_probability(state: State, t: Any) -> Array:
    """P(no purchase within t): only the rate matters, the coin comes after a purchase."""
    return np.asarray(np.exp(-state.shape * np.log1p(t / state.rate)))


def purchase_count_pmf(state: State, n: Any, t: Any) -> Array:
    """P(n purchases within t) (Fader, Hardie & Lee 2005, eq. 8, for any state).

    Either n Poisson purchases and n coins survived, or the n-th coin ended it and at least
    n Poisson arrivals fit into t.
    """
    from scipy.special import betainc, gammaln

    shape, rate, a, b = state
    n = np.asarray(n, dtype=np.float64)
    # ln of t/(rate+t) and of rate/(rate+t), each without cancellation
    log_in, log_out = -np.log1p(rate / t), -np.log1p(t / rate)
    survived = special.log_rising(b, n) - special.log_rising(a + b, n)
    arrivals = special.log_rising(shape, n) - gammaln(n + 1.0) + n * log_in + shape * log_out
    at_least_one = np.maximum(n, 1.0)
    ended = (
        np.exp(survived)
        * a
        / (b + at_least_one - 1.0)
        * betainc(at_least_one, shape, t / (rate + t))
    )
    return np.asarray(np.exp(survived + arrivals) + np.where(n > 0, ended, 0.0))


def next_purchase_quantile(state: State, q: Any) -> Array:
    """Inverse of ``1 - (1 + t/rate)**-shape``."""
    with np.errstate(over="ignore", divide="ignore"):
        return np.asarray(state.rate * np.expm1(-np.log1p(-np.asarray(q)) / state.shape))


def sample_purchases(
    state: State, horizon: Any, rng: np.random.Generator, shape: tuple[int, ...]
) -> Paths:
    """Exact draws: min(Poisson, Geometric) purchases at the first Poisson times."""
    rate = rng.standard_gamma(np.broadcast_to(state.shape, shape)) / state.rate
    dropout = rng.beta(np.broadcast_to(state.a, shape), np.broadcast_to(state.b, shape))
    arrivals = rng.poisson(np.minimum(rate * horizon, 1e12))
    # Beta draws underflow to 0 for tiny a; geometric needs a positive probability
    allowed = rng.geometric(np.maximum(dropout, 1e-15))
    counts = np.minimum(arrivals, allowed)
    return Paths(counts, first_order_statistics(arrivals, counts, horizon, rng))


# --- fast path: derivatives from sufficient statistics ------------------------------------


class Statistics(NamedTuple):
    """All that the likelihood needs of the data.

    Gamma functions collapse to tail counts (how many customers bought more than j times), the
    purchases themselves to distinct (x, T), and what only dropout needs stays as rows.
    """

    more_than: Array  #: customers with x > j, shape (max x,)
    coins_more_than: Array  #: customers with coins > j, shape (max coins,)
    exposure: tuple[Array, Array, Array]  #: distinct x and T of all customers, and their weight
    x: Array  #: of customers who have tossed a coin, like all that follows
    t_x: Array
    T: Array
    last_coin: npt.NDArray[np.int64]  #: coins - 1
    weights: Array


def sufficient_statistics(history: PurchaseHistory, weights: Array, coins: Array) -> Statistics:
    """Collapse weighted rows; exact."""
    distinct = compress([history.frequency, history.T])
    weight = np.bincount(distinct.inverse, weights, len(distinct.weights)).astype(np.float64)
    tossed = slice(None) if coins.all() else coins > 0
    return Statistics(
        _tail_counts(history.frequency, weights),
        _tail_counts(coins, weights),
        (distinct.columns[0], distinct.columns[1], weight),
        history.frequency[tossed],
        history.recency[tossed],
        history.T[tossed],
        coins[tossed].astype(np.int64) - 1,
        weights[tossed],
    )


def _tail_counts(counts: Array, weights: Array) -> Array:
    """Weight of the rows with count > j, for j = 0, 1, ..., max - 1."""
    histogram = np.bincount(counts.astype(np.int64), weights)
    return np.asarray(histogram[::-1].cumsum()[::-1][1:])


def log_likelihood_derivatives(
    parameters: Parameters, statistics: Statistics
) -> tuple[float, Array, Array]:
    """Log-likelihood, its gradient (4,) and its Hessian (4, 4) in (r, alpha, a, b)."""
    r, alpha, a, b = (float(p) for p in parameters)
    s = statistics
    value = 0.0
    gradient, hessian = np.zeros(4), np.zeros((4, 4))

    # ln Gamma(r+x) - ln Gamma(r)
    z = r + np.arange(len(s.more_than), dtype=np.float64)
    value += dot(s.more_than, np.log(z))
    gradient[0] += dot(s.more_than, 1 / z)
    hessian[0, 0] -= dot(s.more_than, z**-2)

    value += coins_survived(a, b, s.coins_more_than, gradient, hessian)

    x, T, weights = s.exposure
    value += exposure(r, alpha, x, T, weights, gradient, hessian)

    # dropout row by row; what a coin contributes takes few values
    survivors = b + np.arange(len(s.coins_more_than), dtype=np.float64)
    log_odds_of_coin, in_b = np.log(a) - np.log(survivors), -1 / survivors
    for rows in blocks(len(s.x)):
        coin = s.last_coin[rows]
        value += _dropout(
            (r, alpha, a),
            log_odds_of_coin[coin],
            in_b[coin],
            s.x[rows],
            s.t_x[rows],
            s.T[rows],
            s.weights[rows],
            gradient,
            hessian,
        )
    return value, gradient, hessian + np.triu(hessian, 1).T


def coins_survived(a: float, b: float, more_than: Array, gradient: Array, hessian: Array) -> float:
    """``ln B(a, b+coins) - ln B(a, b)``, as logs of one coin after another, and derivatives."""
    zb = b + np.arange(len(more_than), dtype=np.float64)
    zab = zb + a
    gradient[2] -= dot(more_than, 1 / zab)
    gradient[3] += dot(more_than, a / (zb * zab))
    curvature = dot(more_than, zab**-2)
    hessian[2, 2] += curvature
    hessian[2, 3] += curvature
    hessian[3, 3] -= dot(more_than, a * (zb + zab) / (zb * zab) ** 2)
    return -dot(more_than, np.log1p(a / zb))


def exposure(
    r: float, alpha: float, x: Array, T: Array, weights: Array, gradient: Array, hessian: Array
) -> float:
    """``-r ln(1 + T/alpha) - x ln(alpha + T)``, its derivatives added to the upper triangle."""
    relative = T / alpha
    exposure = np.log1p(relative)
    inverse = 1 / (alpha + T)
    slope = (r * relative - x) * inverse  # d/d alpha
    relative *= inverse
    total_relative = dot(weights, relative)
    gradient[0] -= dot(weights, exposure)
    gradient[1] += dot(weights, slope)
    hessian[0, 1] += total_relative
    hessian[1, 1] -= dot(weights, slope * inverse) + total_relative * (r / alpha)
    return -dot(weights, (r + x) * exposure) - dot(weights, x) * float(np.log(alpha))


def _dropout(
    parameters: tuple[float, float, float],
    log_odds_of_coin: Array,
    in_b: Array,
    x: Array,
    t_x: Array,
    T: Array,
    weights: Array,
    gradient: Array,
    hessian: Array,
) -> float:
    """``ln(1 + odds of being dead)``, its derivatives added to the upper triangle.

    The odds are those of the last coin, ``a / (b + coins - 1)``, whose logarithm has the slope
    `in_b`, times what the silence since then says.
    """
    r, alpha, a = parameters
    at_last, at_T = 1 / (alpha + t_x), 1 / (alpha + T)
    shape, silence = x + r, T - t_x
    idle = np.log1p(silence * at_last)
    log_odds = log_odds_of_coin + shape * idle
    small = np.exp(-np.abs(log_odds))
    either = 1 / (1 + small)
    dead = np.where(log_odds >= 0, either, small * either)
    w1 = weights * dead
    w2 = w1 * (1 - dead)
    # slopes of the log odds in r, alpha and b; in a it is 1 / a everywhere
    idle_slope = -silence * at_last * at_T  # d idle / d alpha
    in_r, in_alpha = idle, shape * idle_slope
    weight = float(w1.sum())
    gradient += (dot(in_r, w1), dot(in_alpha, w1), weight / a, dot(in_b, w1))
    w2_r, w2_alpha, w2_b = w2 * in_r, w2 * in_alpha, w2 * in_b
    hessian[0, 0] += dot(w2_r, in_r)
    hessian[0, 1] += dot(w2_r, in_alpha) + dot(w1, idle_slope)
    hessian[0, 2] += w2_r.sum() / a
    hessian[0, 3] += dot(w2_r, in_b)
    hessian[1, 1] += dot(w2_alpha, in_alpha) - dot(w1 * in_alpha, at_T + at_last)
    hessian[1, 2] += w2_alpha.sum() / a
    hessian[1, 3] += dot(w2_alpha, in_b)
    hessian[2, 2] += (float(w2.sum()) - weight) / a**2
    hessian[2, 3] += w2_b.sum() / a
    hessian[3, 3] += dot(w2_b, in_b) + dot(w1 * in_b, in_b)
    return dot(weights, np.maximum(log_odds, 0.0) + np.log1p(small))


# --- limits --------------------------------------------------------------------------------


def boundary(parameters: Parameters) -> str | None:
    """Name the limit that the parameters (time measured in mean ages) have run to."""
    r, alpha, a, b = (float(p) for p in parameters)
    dropout = _limits.of_dropout_probabilities(a, b, "ab", without="NBD")
    return _limits.said(dropout, _limits.of_purchase_rates(r, alpha))


def one_time_buyers(title: str, alternative: str, history: Any, weights: Array) -> tuple[str, ...]:
    """Say so when most customers bought once, of models that toss no coin for them."""
    share = float(weights[history.frequency == 0].sum() / weights.sum())
    if share <= 0.5:
        return ()
    return (
        (
            f"{share:.0%} of the customers bought once, and {title} calls every one of them "
            "alive (P(alive) = 1): they cannot drop out before a repeat purchase. "
            f"{alternative} lets them; compare the two."
        ),
    )
