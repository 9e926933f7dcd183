"""NBD: customers buy at rates of their own and never leave.

Ehrenberg (1959), The pattern of consumer purchases, Applied Statistics 8:26-41; with
customers of unequal age, Schmittlein, Morrison & Colombo (1987), eq. 11 without dropout. It
is the baseline: what a model with dropout must beat. A customer who has long been silent is
taken for a slow buyer, so the base as a whole is overrated.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from clv.families import _limits
from clv.families._protocol import Parameter, Paths
from clv.families._quantities import PURCHASES
from clv.numerics import jets, special
from clv.numerics.backend import Array, Backend
from clv.numerics.compress import compress
from clv.numerics.histories import PurchaseHistory
from clv.numerics.sampling import first_order_statistics

NAME = "nbd"
CLASS_NAME = "NBDModel"
TITLE = "NBD"
KIND = "purchase"
STATE_COLUMNS = ("frequency", "T")
PARAMETERS = {
    "r": Parameter("shape of the purchase rates across customers"),
    "alpha": Parameter("rate of the purchase rates across customers", unit="time"),
}
QUANTITIES = (PURCHASES,)


class Parameters(NamedTuple):
    """r shape and alpha rate of the purchase rate."""

    r: Any
    alpha: Any


class State(NamedTuple):
    """Purchase rate ~ Gamma(shape, rate)."""

    shape: Any
    rate: Any


def log_likelihood(parameters: Parameters, history: PurchaseHistory, xp: Backend) -> Any:
    """Log-likelihood per customer: a Poisson process whose rate is Gamma."""
    r, alpha = parameters
    x, _, T = history
    return xp.log_rising(r, x) - r * xp.log1p(T / alpha) - x * xp.log(alpha + T)


def probability_alive(parameters: Parameters, history: PurchaseHistory) -> Array:
    """1: nobody leaves."""
    return np.ones(np.broadcast_shapes(np.shape(parameters.r), np.shape(history.T)))


def alive_state(parameters: Parameters, history: PurchaseHistory) -> State:
    """State of customers at T."""
    return State(parameters.r + history.frequency, parameters.alpha + history.T)


def new_customer(parameters: Parameters) -> tuple[Array, State]:
    """Just after the first purchase."""
    return np.ones(np.shape(parameters.r)), State(*parameters)


def time_scale(state: State) -> Array:
    """Expected purchases do not bend; P(no purchase) does here."""
    return np.asarray(state.rate + 0.0 * state.shape)


def survival(state: State, t: Any) -> Array:
    """1: nobody leaves."""
    return np.ones(np.broadcast_shapes(np.shape(state.shape), np.shape(state.rate), np.shape(t)))


def expected_purchases(state: State, t: Any) -> Array:
    """The expected rate times the time."""
    return np.asarray(state.shape / state.rate * t)


def expected_purchases_ever(state: State) -> Array:
    """Infinitely many."""
    return np.asarray(np.inf * state.shape)


def no_purchase_probability(state: State, t: Any) -> Array:
    """P(no purchase within t)."""
    return np.asarray(np.exp(-state.shape * np.log1p(t / state.rate)))


def purchase_count_pmf(state: State, n: Any, t: Any) -> Array:
    """P(n purchases within t): negative binomial."""
    from scipy.special import gammaln

    n = np.asarray(n, dtype=np.float64)
    arrivals = special.log_rising(state.shape, n) - gammaln(n + 1.0)
    # ln of t/(rate+t) and of rate/(rate+t), each without cancellation
    shares = -n * np.log1p(state.rate / t) - state.shape * np.log1p(t / state.rate)
    return np.asarray(np.exp(arrivals + shares))


def next_purchase_quantile(state: State, q: Any) -> Array:
    """Inverse of ``1 - (1 + t/rate)**-shape``."""
    with np.errstate(over="ignore", divide="ignore"):
        return np.asarray(state.rate * np.expm1(-np.log1p(-np.asarray(q)) / state.shape))


def sample_purchases(
    state: State, horizon: Any, rng: np.random.Generator, shape: tuple[int, ...]
) -> Paths:
    """Exact draws of a Poisson process."""
    rate = rng.standard_gamma(np.broadcast_to(state.shape, shape)) / state.rate
    counts = rng.poisson(np.minimum(rate * horizon, 1e12))
    return Paths(counts, first_order_statistics(counts, counts, horizon, rng))


def sufficient_statistics(
    history: PurchaseHistory, weights: Array
) -> tuple[PurchaseHistory, Array]:
    """When somebody bought last does not matter, so rows collapse further."""
    distinct = compress([history.frequency, history.T])
    frequency, T = distinct.columns
    total = np.bincount(distinct.inverse, weights, len(T))
    return PurchaseHistory(frequency, np.zeros_like(T), T), total.astype(np.float64)


def log_likelihood_derivatives(
    parameters: Parameters, statistics: tuple[PurchaseHistory, Array]
) -> tuple[float, Array, Array]:
    """Log-likelihood, its gradient (2,) and its Hessian (2, 2) in (r, alpha)."""
    history, weights = statistics
    return jets.weighted_derivatives(
        lambda point, rows: log_likelihood(Parameters(*point), history.take(rows), jets),
        list(parameters),
        weights,
    )


def boundary(parameters: Parameters) -> str | None:
    """Name the limit that the parameters (time measured in mean ages) have run to."""
    return _limits.of_purchase_rates(float(parameters.r), float(parameters.alpha))
