"""BG/BB: chances to buy come one by one, and at each a customer buys, or does not, or has left.

Fader, Hardie & Shang (2010), Customer-base analysis in a discrete-time noncontractual setting,
Marketing Science 29:1086-1108.

Time is counted in opportunities: yearly appeals for a donation, conferences, holidays. While a
customer, each person uses an opportunity with probability p ~ Beta(alpha, beta); before each
opportunity they leave for good with probability theta ~ Beta(gamma, delta). Of T opportunities
since the first purchase x were used, the last of them the t_x-th.

Likelihood of one customer (eq. 5)::

    L = B(alpha+x, beta+T-x)/B(alpha, beta) B(gamma, delta+T)/B(gamma, delta)
        + sum over i = 0 .. T-t_x-1 of
          B(alpha+x, beta+t_x-x+i)/B(alpha, beta) B(gamma+1, delta+t_x+i)/B(gamma, delta)

It is computed as the probability of the history up to t_x and being there, times P(no purchase
in T - t_x opportunities | that). Given the history and alive at T, p ~ Beta(alpha+x, beta+T-x)
and theta ~ Beta(gamma, delta+T), and the two are independent: the `State`. "Alive at T" means
there at the T-th opportunity; the paper's P(alive at T + 1) is that times ``survival(state, 1)``.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from clv.families import _limits
from clv.families._limits import EXTREME
from clv.families._protocol import Parameter, Paths
from clv.families._quantities import shares
from clv.numerics import jets, opportunities
from clv.numerics.backend import Array, Backend
from clv.numerics.compress import compress
from clv.numerics.histories import PurchaseHistory

NAME = "bg_bb"
CLASS_NAME = "BetaGeoBetaBinomModel"
TITLE = "BG/BB"
KIND = "purchase"
WHOLE_TIMES = True
STATE_COLUMNS = ("frequency", "T")
PARAMETERS = {
    "alpha": Parameter("shape of the purchase probability (purchases)"),
    "beta": Parameter("shape of the purchase probability (passed opportunities)"),
    "gamma": Parameter("shape of the dropout probability (dropouts)"),
    "delta": Parameter("shape of the dropout probability (survivals)"),
}
QUANTITIES = (
    shares(
        "alpha",
        "beta",
        share="purchase_share",
        concentration="purchase_concentration",
        what="a purchase at an opportunity",
        also="purchase",
    ),
    shares(
        "gamma",
        "delta",
        share="dropout_share",
        concentration="dropout_concentration",
        what="dropout at an opportunity",
        also="dropout",
    ),
)


class Parameters(NamedTuple):
    """alpha, beta of the purchase probability, gamma, delta of the dropout probability."""

    alpha: Any
    beta: Any
    gamma: Any
    delta: Any


class State(NamedTuple):
    """Of a customer who is alive: purchase probability ~ Beta(a, b), dropout ~ Beta(c, d)."""

    a: Any
    b: Any
    c: Any
    d: Any


def log_likelihood(parameters: Parameters, history: PurchaseHistory, xp: Backend) -> Any:
    """Log-probability of each customer's opportunities, used and not (eq. 5)."""
    alpha, beta, gamma, delta = parameters
    x, t_x, _ = history
    return (
        xp.log_rising(alpha, x)
        + xp.log_rising(beta, t_x - x)
        - xp.log_rising(alpha + beta, t_x)
        + xp.log_rising(delta, t_x)
        - xp.log_rising(gamma + delta, t_x)
        + xp.log(_no_purchase(parameters, history, xp))
    )


def _no_purchase(parameters: Parameters, history: PurchaseHistory, xp: Backend) -> Any:
    """P(no purchase from t_x to T | alive at t_x), from the last opportunity backwards.

    Before each opportunity somebody leaves, or stays, passes, and what follows brings nothing
    either: only positive terms are added.
    """
    alpha, beta, gamma, delta = parameters
    x, t_x, T = history
    idle = T - t_x
    result = 1.0 + 0.0 * (alpha + gamma)
    for k in reversed(range(int(np.max(idle, initial=0)))):
        passed = (beta + (t_x - x + k)) / (alpha + beta + (t_x + k))
        dropouts, survivals = gamma, delta + (t_x + k)
        nothing = (dropouts + survivals * passed * result) / (dropouts + survivals)
        result = xp.where(idle > k, nothing, result)
    return result


def probability_alive(parameters: Parameters, history: PurchaseHistory) -> Array:
    """P(there at the T-th opportunity | history)."""
    return alive_at(parameters, history, history.T)


def alive_at(parameters: Parameters, history: PurchaseHistory, age: Any) -> Array:
    """P(there at an opportunity from the last purchase to T | history)."""
    x, t_x, T = history
    age = np.maximum(opportunities.whole(age), t_x)
    last, then = (_state_at(parameters, x, number) for number in (t_x, age))
    waiting = opportunities.all_passed(*last, age - t_x)
    later = opportunities.no_purchase(*then, T - age)
    return np.asarray(np.minimum(waiting * later / opportunities.no_purchase(*last, T - t_x), 1.0))


def _state_at(parameters: Parameters, x: Array, number: Any) -> State:
    """Of somebody who is there at the opportunity of that number and has used x so far."""
    alpha, beta, gamma, delta = parameters
    return State(alpha + x, beta + (number - x), gamma, delta + number)


def alive_state(parameters: Parameters, history: PurchaseHistory) -> State:
    """State of customers who are alive at T."""
    return _state_at(parameters, history.frequency, history.T)


def new_customer(parameters: Parameters) -> tuple[Array, State]:
    """Just after the first purchase: alive, and nothing known yet."""
    return np.ones(np.shape(parameters.alpha)), State(*parameters)


def survival(state: State, t: Any) -> Array:
    """P(there at the t-th opportunity from now)."""
    return np.asarray(opportunities.stay(state.c, state.d, t) + 0.0 * state.a)


def expected_purchases(state: State, t: Any) -> Array:
    """E[purchases at the next t opportunities] (eq. 9 and 11), with no pole at gamma = 1."""
    return discounted_purchases(state, t, 0.0)


def expected_purchases_ever(state: State) -> Array:
    """E[p] E[1/theta - 1]: infinite when gamma <= 1."""
    return discounted_purchases(state, np.inf, 0.0)


def discounted_purchases(state: State, t: Any, delta: Any) -> Array:
    """Purchases at the next t opportunities, the first of them discounted by one unit of time.

    To infinity it is the paper's DERT given alive (eq. 14), with 1 + d = e^delta.
    """
    share = state.a / (state.a + state.b)
    return np.asarray(share * discounted_time(state, t, delta))


def discounted_time(state: State, t: Any, delta: Any) -> Array:
    """Of the next t opportunities those at which the customer is there, discounted likewise."""
    return np.asarray(opportunities.discounted_stays(state.c, state.d, t, delta) + 0.0 * state.a)


def no_purchase_probability(state: State, t: Any) -> Array:
    """P(no purchase at the next t opportunities); t may be infinite."""
    return opportunities.no_purchase(*state, t)


def purchase_count_pmf(state: State, n: Any, t: Any) -> Array:
    """P(n purchases at the next t opportunities) (eq. 8 and 12)."""
    return opportunities.purchase_count(*state, n, t)


def next_purchase_quantile(state: State, q: Any) -> Array:
    """Opportunity by which the next purchase has come with probability `q`; inf when never."""
    return opportunities.no_purchase_quantile(*state, q)


def sample_purchases(
    state: State, horizon: Any, rng: np.random.Generator, shape: tuple[int, ...]
) -> Paths:
    """Exact draws, one opportunity after another."""
    p = rng.beta(*(np.broadcast_to(v, shape) for v in (state.a, state.b))).reshape(-1)
    theta = rng.beta(*(np.broadcast_to(v, shape) for v in (state.c, state.d))).reshape(-1)
    # Beta draws underflow to 0 for tiny shapes; geometric needs a positive probability
    leaves = rng.geometric(np.maximum(theta, 1e-15))
    left = np.minimum(leaves - 1, np.broadcast_to(opportunities.whole(horizon), shape).reshape(-1))
    there = np.arange(left.size)
    paths, times = [np.empty(0, dtype=np.int64)], [np.empty(0)]
    for now in range(1, int(left.max(initial=0)) + 1):
        there = there[left[there] >= now]
        bought = there[rng.random(there.size) < p[there]]
        paths.append(bought)
        times.append(np.full(bought.size, float(now)))
    of = np.concatenate(paths)
    counts = np.bincount(of, minlength=left.size).reshape(shape)
    return Paths(counts, np.concatenate(times)[np.argsort(of, kind="stable")])


def sufficient_statistics(
    history: PurchaseHistory, weights: Array
) -> tuple[PurchaseHistory, Array]:
    """Distinct rows with their weights, those with as long a silence side by side."""
    distinct = compress([history.recency - history.T, *history])
    total = np.bincount(distinct.inverse, weights, len(distinct.weights)).astype(np.float64)
    return PurchaseHistory(*distinct.columns[1:]), total


def log_likelihood_derivatives(
    parameters: Parameters, statistics: tuple[PurchaseHistory, Array]
) -> tuple[float, Array, Array]:
    """Log-likelihood, its gradient (4,) and its Hessian (4, 4)."""
    history, weights = statistics
    return jets.weighted_derivatives(
        lambda point, rows: log_likelihood(Parameters(*point), history.take(rows), jets),
        list(parameters),
        weights,
        block=256,  # as long as the longest silence in it
    )


def boundary(parameters: Parameters) -> str | None:
    """Name the limit that the parameters have run to."""
    alpha, beta, gamma, delta = (float(p) for p in parameters)
    dropout = _limits.of_dropout_probabilities(
        gamma, delta, ("gamma", "delta"), without="beta-binomial"
    )
    return _limits.said(dropout, _limit_of_purchase_probabilities(alpha, beta))


def _limit_of_purchase_probabilities(alpha: float, beta: float) -> str | None:
    share = alpha / (alpha + beta)
    if share < 1 / EXTREME:
        return "purchases vanish (alpha / (alpha + beta) -> 0): nobody seems to come back"
    if beta / (alpha + beta) < 1 / EXTREME:
        return (
            "customers use every opportunity while they are there (alpha / (alpha + beta) -> 1): "
            "leaving can be seen, which a contract model describes"
        )
    if alpha + beta > EXTREME:
        return (
            "all customers share one purchase probability (alpha, beta -> infinity, "
            f"alpha / (alpha + beta) = {share:.3g})"
        )
    if alpha + beta < 1 / EXTREME:
        return (
            "purchases are all or nothing (alpha, beta -> 0): customers use every opportunity or "
            f"none, the share that uses them is {share:.3g}"
        )
    return None
