"""Poisson purchases until death, alike for everybody: what Pareto/NBD is without differences.

Schmittlein, Morrison & Colombo (1987), Counting your customers, Management Science 33:1-24,
section 2: a customer buys at a rate, here ``1 / interval``, and dies at a rate, here
``1 / lifetime``.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from clv.families._protocol import Parameter, Paths
from clv.numerics.backend import Array, Backend
from clv.numerics.histories import PurchaseHistory
from clv.numerics.sampling import first_order_statistics

NAME = "poisson_death"
CLASS_NAME = "PoissonDeathModel"
TITLE = "Poisson with death"
KIND = "purchase"
STATE_COLUMNS = ("T",)
PARAMETERS = {
    "interval": Parameter("mean time between purchases", unit="time"),
    "lifetime": Parameter("mean time from the first purchase to death", unit="time"),
}


class Parameters(NamedTuple):
    """Both are times."""

    interval: Any
    lifetime: Any


class State(NamedTuple):
    """Of somebody alive: rates of buying and of dying."""

    buying: Any
    dying: Any


def log_likelihood(parameters: Parameters, history: PurchaseHistory, xp: Backend) -> Any:
    """Log-density of the purchases up to the last, and of the silence since."""
    interval, lifetime = parameters
    x, t_x, T = history.frequency, history.recency, history.T
    both = 1.0 / interval + 1.0 / lifetime
    # ln(dying / both + buying / both * exp(-both * silence))
    silence = xp.softplus(xp.log(lifetime) - xp.log(interval) - both * (T - t_x))
    return -x * xp.log(interval) - both * t_x - xp.log(lifetime) - xp.log(both) + silence


def probability_alive(parameters: Parameters, history: PurchaseHistory) -> Array:
    """P(alive at T): alive and silent, beside dead some time after the last purchase."""
    buying, dying = 1.0 / parameters.interval, 1.0 / parameters.lifetime
    gone = dying / (buying + dying) * np.expm1((buying + dying) * (history.T - history.recency))
    return np.asarray(1.0 / (1.0 + gone))


def alive_state(parameters: Parameters, history: PurchaseHistory) -> State:
    """The past says nothing about those who are alive."""
    return State(1.0 / parameters.interval + 0.0 * history.T, 1.0 / parameters.lifetime)


def new_customer(parameters: Parameters) -> tuple[Array, State]:
    """Alive, like everybody who just bought."""
    state = State(1.0 / parameters.interval, 1.0 / parameters.lifetime)
    return np.ones(np.shape(parameters.interval)), state


def time_scale(state: State) -> Array:
    """Purchases bend when customers die."""
    return np.asarray(1.0 / state.dying + 0.0 * state.buying)


def survival(state: State, t: Any) -> Array:
    """P(alive after t)."""
    return np.asarray(np.exp(-state.dying * t) + 0.0 * state.buying)


def expected_purchases(state: State, t: Any) -> Array:
    """E[purchases within t]."""
    return np.asarray(-state.buying / state.dying * np.expm1(-state.dying * t))


def no_purchase_probability(state: State, t: Any) -> Array:
    """P(no purchase within t): death first, or silence."""
    both = state.buying + state.dying
    return np.asarray((state.dying + state.buying * np.exp(-both * t)) / both)


def purchase_count_pmf(state: State, n: Any, t: Any) -> Array:
    """P(n purchases within t): n and alive, or n and then death."""
    from scipy.special import gammainc, gammaln

    n, both = np.asarray(n, dtype=np.float64), state.buying + state.dying
    alive = np.exp(n * np.log(state.buying * t) - both * t - gammaln(n + 1.0))
    ended = np.exp(n * np.log(state.buying / both)) * gammainc(n + 1.0, both * t)
    return np.asarray(alive + state.dying / both * ended)


def next_purchase_quantile(state: State, q: Any) -> Array:
    """Inverse of 1 - P(no purchase within t); inf when death comes first more often."""
    both = state.buying + state.dying
    share = np.minimum(np.asarray(q) * both / state.buying, 1.0)
    with np.errstate(divide="ignore"):
        return np.asarray(-np.log1p(-share) / both)


def sample_purchases(
    state: State, horizon: Any, rng: np.random.Generator, shape: tuple[int, ...]
) -> Paths:
    """A Poisson process until death or the horizon."""
    end = np.minimum(rng.standard_exponential(shape) / state.dying, horizon)
    counts = rng.poisson(np.broadcast_to(state.buying * end, shape))
    return Paths(counts, first_order_statistics(counts, counts, end, rng))


def boundary(parameters: Parameters) -> str | None:
    """Name the limit that the parameters (in mean ages) have run to."""
    interval, lifetime = (float(p) for p in parameters)
    if lifetime > 1e6:
        return "nobody is seen to leave (lifetime -> infinity)"
    if lifetime < 1e-6:
        return "everybody leaves at once (lifetime -> 0)"
    if not 1e-6 < interval < 1e6:
        return f"purchases come {'at once' if interval < 1 else 'never'} (interval)"
    return None
