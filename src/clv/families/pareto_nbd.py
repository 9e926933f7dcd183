"""Pareto/NBD: customers may die at any moment, whether they buy or not.

Schmittlein, Morrison & Colombo (1987), Counting your customers: who are they and what will
they do next?, Management Science 33:1-24; Fader & Hardie (2005), A note on deriving the
Pareto/NBD model; Fader, Hardie & Lee (2005), RFM and CLV, J. Marketing Research 42:415-430.

While alive a customer buys at a rate lambda ~ Gamma(r, rate alpha) and dies at a rate
mu ~ Gamma(s, rate beta). Unlike in BG/NBD, one-time buyers can be dead.

Likelihood of one customer::

    L = Gamma(r+x)/Gamma(r) alpha**r beta**s * {(alpha+T)**-(r+x) (beta+T)**-s
        + integral from t_x to T of s (beta+u)**-(s+1) (alpha+u)**-(r+x) du}

which is the density of the history up to t_x, times P(no purchase within T - t_x) of a customer
who is alive at t_x (`clv.numerics.pareto`). Given the history and alive at T, lambda ~
Gamma(r+x, alpha+T) and mu ~ Gamma(s, beta+T), and the two are independent: the `State`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from clv.families import _limits
from clv.families._limits import EXTREME
from clv.families._protocol import Moves, Parameter, Paths
from clv.families._quantities import PURCHASES, rates
from clv.numerics import pareto, pareto_rows, pareto_sums
from clv.numerics.backend import Array, Backend
from clv.numerics.histories import PurchaseHistory
from clv.numerics.sampling import first_order_statistics

NAME = "pareto_nbd"
CLASS_NAME = "ParetoNBDModel"
TITLE = "Pareto/NBD"
KIND = "purchase"
STATE_COLUMNS = ("frequency", "T")
DROPOUT_SLOWS_TIME = True
PARAMETERS = {
    "r": Parameter("shape of the purchase rates across customers"),
    "alpha": Parameter("rate of the purchase rates across customers", unit="time"),
    "s": Parameter("shape of the death rates across customers"),
    "beta": Parameter("rate of the death rates across customers", unit="time"),
}
QUANTITIES = (
    PURCHASES,
    rates("s", "beta", interval="lifetime", spread="lifetime_spread", what="deaths, a lifetime,"),
)

#: Fader & Hardie (2007), sections 2 and 3.
COVARIATES = {
    "purchase": Moves({"alpha": -1}, lambda p: p.r / p.alpha, "buy {factor} times as often"),
    "dropout": Moves({"beta": -1}, lambda p: p.s / p.beta, "drop out {factor} times as fast"),
}


class Parameters(NamedTuple):
    """r shape and alpha rate of the purchase rate, s shape and beta rate of the death rate."""

    r: Any
    alpha: Any
    s: Any
    beta: Any


class State(NamedTuple):
    """Of a customer who is alive: purchase rate ~ Gamma(shape, rate), death ~ Gamma(s, beta)."""

    shape: Any
    rate: Any
    s: Any
    beta: Any


def log_likelihood(parameters: Parameters, history: PurchaseHistory, xp: Backend) -> Any:
    """Log-likelihood per customer (Fader & Hardie 2005, eq. 20), without a 2F1."""
    r, alpha, s, beta = parameters
    x, t_x, T = history
    return (
        xp.log_rising(r, x)
        - r * xp.log1p(t_x / alpha)
        - x * xp.log(alpha + t_x)
        - s * xp.log1p(t_x / beta)
        + pareto.log_no_purchase(r + x, alpha + t_x, s, beta + t_x, T - t_x, xp)
    )


def probability_alive(parameters: Parameters, history: PurchaseHistory) -> Array:
    """P(alive at T | history) (Schmittlein, Morrison & Colombo 1987, eq. 11-13)."""
    return _probability_alive(_state_at(parameters, history.frequency, history.recency), history)


def alive_at(parameters: Parameters, history: PurchaseHistory, age: Any) -> Array:
    """P(alive at an age between the last purchase and T | history)."""
    x, t_x, T = history
    last = _state_at(parameters, x, t_x)
    return np.asarray(
        np.exp(-_hazard(last, age - t_x))
        * pareto.no_purchase(*_state_at(parameters, x, age), T - age)
        / pareto.no_purchase(*last, T - t_x)
    )


def _state_at(parameters: Parameters, x: Array, age: Any) -> State:
    """Of somebody who is alive at that age after x repeat purchases."""
    r, alpha, s, beta = parameters
    return State(r + x, alpha + age, s, beta + age)


def _hazard(state: State, t: Any) -> Array:
    """-ln of P(alive and no purchase within t)."""
    return np.asarray(state.shape * np.log1p(t / state.rate) + state.s * np.log1p(t / state.beta))


def _probability_alive(last: State, history: PurchaseHistory) -> Array:
    idle = history.T - history.recency
    return np.asarray(
        np.minimum(np.exp(-_hazard(last, idle)) / pareto.no_purchase(*last, idle), 1.0)
    )


def alive_state(parameters: Parameters, history: PurchaseHistory) -> State:
    """State of customers who are alive at T."""
    return _state_at(parameters, history.frequency, history.T)


def new_customer(parameters: Parameters) -> tuple[Array, State]:
    """Just after the first purchase: alive, and nothing known yet."""
    return np.ones(np.shape(parameters.r)), State(*parameters)


def time_scale(state: State) -> Array:
    """Expected purchases bend at this time: when death makes itself felt."""
    return np.asarray(state.beta / np.maximum(1.0, state.s) + 0.0 * state.shape)


def survival(state: State, t: Any) -> Array:
    """P(alive after t)."""
    return np.asarray(np.exp(-state.s * np.log1p(t / state.beta)) + 0.0 * state.shape)


def expected_purchases(state: State, t: Any) -> Array:
    """E[purchases within t] (Schmittlein, Morrison & Colombo 1987, eq. 17 and 22).

    ``shape / rate`` times the expected time alive, beta (1 - (1 + t/beta)^-(s-1)) / (s - 1),
    which is written so that nothing happens at s = 1.
    """
    from scipy.special import exprel

    log_growth = np.log1p(t / state.beta)
    time_alive = state.beta * log_growth * exprel(-(state.s - 1.0) * log_growth)
    return np.asarray(state.shape / state.rate * time_alive)


def expected_purchases_ever(state: State) -> Array:
    """E[lambda] E[1 / mu]: infinite when s <= 1."""
    excess = np.asarray(state.s - 1.0)
    with np.errstate(divide="ignore"):
        time_alive = np.where(excess > 0, state.beta / excess, np.inf)
    return np.asarray(state.shape / state.rate * time_alive)


def no_purchase_probability(state: State, t: Any) -> Array:
    """P(no purchase within t): silence, or death first."""
    return pareto.no_purchase(*state, t)


def purchase_count_pmf(state: State, n: Any, t: Any) -> Array:
    """P(n purchases within t) (Fader & Hardie 2006, Deriving an expression for P(X(t)=x))."""
    return pareto.purchase_count(*state, n, t)


def next_purchase_quantile(state: State, q: Any) -> Array:
    """Time by which the next purchase has come with probability `q`; inf when never."""
    return pareto.no_purchase_quantile(*state, q)


def sample_purchases(
    state: State, horizon: Any, rng: np.random.Generator, shape: tuple[int, ...]
) -> Paths:
    """Exact draws: a Poisson process until death or the horizon."""
    rate = rng.standard_gamma(np.broadcast_to(state.shape, shape)) / state.rate
    death_rate = rng.standard_gamma(np.broadcast_to(state.s, shape)) / state.beta
    with np.errstate(divide="ignore", over="ignore"):
        end = np.minimum(rng.standard_exponential(shape) / death_rate, horizon)
    counts = rng.poisson(np.minimum(rate * end, 1e12))
    return Paths(counts, first_order_statistics(counts, counts, end, rng))


def sufficient_statistics(history: PurchaseHistory, weights: Array) -> pareto_sums.Statistics:
    """Rows arranged by their number of purchases, so that equal integrals are shared."""
    return pareto_sums.sufficient_statistics(history, weights)


def log_likelihood_derivatives(
    parameters: Parameters, statistics: pareto_sums.Statistics
) -> tuple[float, Array, Array]:
    """Log-likelihood, its gradient (4,) and its Hessian (4, 4) in (r, alpha, s, beta)."""
    r, alpha, s, beta = (float(p) for p in parameters)
    return pareto_sums.log_likelihood_derivatives((r, alpha, s, beta), statistics)


def row_derivatives(parameters: Parameters, history: PurchaseHistory) -> tuple[Array, Array, Array]:
    """Log-likelihood, gradient (4, n) and Hessian (4, 4, n) of each row at its own parameters."""
    return pareto_rows.row_derivatives(parameters, history)


def boundary(parameters: Parameters) -> str | None:
    """Name the limit that the parameters (time measured in mean ages) have run to."""
    r, alpha, s, beta = (float(p) for p in parameters)
    return _limits.said(_limit_of_death_rates(s, beta), _limits.of_purchase_rates(r, alpha))


def _limit_of_death_rates(s: float, beta: float) -> str | None:
    if s / beta < 1 / EXTREME:
        return (
            "dropout vanishes (s / beta -> 0): nobody is seen to leave, "
            "the purchases alone are described by the NBD"
        )
    if s / beta > EXTREME:
        return "everybody leaves right after the first purchase (s / beta -> infinity)"
    if s > EXTREME:
        return (
            "all customers share one death rate (s, beta -> infinity, "
            f"s / beta = {s / beta:.3g} per mean age)"
        )
    if s < 1 / EXTREME or beta < 1 / EXTREME:
        return "dropout is all or nothing (s, beta -> 0): customers leave at once or never"
    return None
