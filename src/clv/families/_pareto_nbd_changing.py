"""Pareto/NBD whose rates change with known covariates: the verbs of a family on two clocks.

Bachmann, Meierer & Naef (2021), The role of time-varying contextual factors in latent attrition
models for customer base analysis, Marketing Science 40:783-809. Likelihood and formulas are in
`clv.numerics.pareto_time_varying` and `clv.numerics.pareto_future`.

This is no family of its own: it is what `clv.ParetoNBDModel` becomes when its covariates change
with time. Parameters and their meaning are those of `pareto_nbd`; a state has a road besides, the
periods to come and what multiplies the rates in each. Times beyond its end cannot be asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from clv.families._protocol import Paths
from clv.families.pareto_nbd import (
    CLASS_NAME,
    COVARIATES,
    KIND,
    NAME,
    PARAMETERS,
    STATE_COLUMNS,
    Parameters,
    boundary,
)
from clv.numerics import pareto_future
from clv.numerics import pareto_time_varying as numerics
from clv.numerics.backend import Array
from clv.numerics.histories import PurchaseHistory
from clv.numerics.pareto_future import Road, State
from clv.numerics.pieces import Coefficients, Histories, chosen, clocks, exposures

TITLE = "Pareto/NBD with time-varying covariates"

_BLOCK = 200_000  #: customers times periods at a time


class BeyondTheRoad(ValueError):
    """A time was asked for that the covariates do not reach."""

    def __init__(self, time: float) -> None:
        super().__init__(f"the covariates do not reach {time:g} from now")
        self.time = time


class Lives(NamedTuple):
    """Customers' time so far and to come, with coded covariates."""

    histories: Histories  #: of n customers
    widths: Array  #: of the K periods to come
    purchase: Array  #: distinct rows of coded covariates, shape (u, k_p)
    dropout: Array  #: and (u, k_d)
    place: npt.NDArray[np.int64]  #: which of them hold, shape (n, K); (1, K) if for everybody

    def take(self, rows: npt.NDArray[np.int64]) -> Lives:
        """The chosen customers, in that order."""
        place = self.place if len(self.place) == 1 else self.place[rows]
        return self._replace(histories=chosen(self.histories, rows), place=place)


class Moving(NamedTuple):
    """Parameters, and the lives of those whom the coefficients move."""

    base: tuple[float, float, float, float]  #: r, alpha, s, beta
    coefficients: Coefficients
    lives: Lives


def probability_alive(parameters: Moving, _: Any) -> Array:
    """P(alive at T | history), shape (n,)."""
    found = numerics.summarise(parameters.base, parameters.coefficients, parameters.lives.histories)
    return np.asarray(np.exp(found.log_alive))


def alive_state(parameters: Moving, _: Any) -> State:
    """State of customers who are alive at T, with the road before them."""
    (r, alpha, s, beta), coefficients, lives = parameters
    histories = lives.histories
    a, d = exposures(coefficients, histories)
    factors = (
        np.exp(codes @ of)[lives.place]
        for codes, of in zip((lives.purchase, lives.dropout), coefficients, strict=True)
    )
    shape = r + histories.frequency
    return State(shape, alpha + a, np.full_like(a, s), beta + d, Road(lives.widths, *factors))


def _upto(function: Callable[[State], Array], state: State, t: Any) -> Array:
    """A function of states whose roads end at t, some customers at a time."""
    time, road = float(t), state.road
    if time > float(road.widths.sum()) * (1 + 1e-12):
        raise BeyondTheRoad(time)
    state = state._replace(road=pareto_future.until(road, time))
    n = len(state.shape)
    size = max(1, _BLOCK // max(1, len(state.road.widths)))
    starts = range(0, n, size)
    parts = [function(state.take(slice(start, min(start + size, n)))) for start in starts]
    return np.concatenate(parts) if parts else np.zeros(0)


def survival(state: State, t: Any) -> Array:
    """P(alive after t), t a number."""
    return _upto(pareto_future.survival, state, t)


def expected_purchases(state: State, t: Any) -> Array:
    """E[purchases within t], t a number."""
    return _upto(pareto_future.expected_purchases, state, t)


def expected_purchases_ever(state: State) -> Array:
    """E[purchases on a road without end]: infinite when s <= 1."""
    return expected_purchases(state, np.inf)


def no_purchase_probability(state: State, t: Any) -> Array:
    """P(no purchase within t); nan for "never again" where the road has an end."""
    if np.isinf(t) and not np.isinf(state.road.widths).any():
        return np.full(len(state.shape), np.nan)
    return _upto(pareto_future.no_purchase_probability, state, t)


def purchase_count_pmf(state: State, n: Any, t: Any) -> Array:
    """P(n purchases within t), t a number, n a number or one per customer."""
    if np.ndim(n) == 0:
        return _upto(lambda part: pareto_future.purchase_count_pmf(part, n), state, t)
    count = np.asarray(n)
    found = np.empty(len(count))
    for value in np.unique(count):
        rows = np.flatnonzero(count == value)
        found[rows] = purchase_count_pmf(state.take(rows), float(value), t)
    return found


def discounted_purchases(state: State, t: float, delta: float) -> Array:
    """E[purchases within t, each times exp(-delta time)]; t may be infinite where the road is."""
    return _upto(lambda part: pareto_future.discounted_purchases(part, delta), state, t)


def discounted_time(state: State, t: float, delta: float) -> Array:
    """E[time alive within t], discounted likewise."""
    return _upto(lambda part: pareto_future.discounted_time(part, delta), state, t)


def next_purchase_quantile(state: State, q: Any) -> Array:
    """Time by which the next purchase has come with probability `q`; inf beyond the road."""
    return pareto_future.next_purchase_quantile(state, q)


def sample_futures(
    draws: list[Moving], horizon: float, rng: np.random.Generator, copies: npt.NDArray[np.int64]
) -> Paths:
    """Exact draws of the future of the living, `copies` of each draw of the parameters.

    Returns
    -------
    Paths
        Counts of shape (n, copies.sum()), and the times path by path.
    """
    n = len(draws[0].lives.histories.frequency)
    ends = np.cumsum(copies)
    counts = np.empty((n, int(ends[-1])), dtype=np.int64)
    times, paths = [], []
    for moving, stop, count in zip(draws, ends, copies, strict=True):
        state = alive_state(moving, None)
        road = pareto_future.until(state.road, horizon)
        columns = state._replace(road=road).columns()
        found = pareto_future.sample_purchases(columns, rng, (n, int(count)))
        place = np.arange(n)[:, None] * counts.shape[1] + np.arange(stop - count, stop)
        counts[:, stop - count : stop] = found.counts
        times.append(found.times)
        paths.append(np.repeat(place.reshape(-1), found.counts.reshape(-1)))
    order = np.argsort(np.concatenate(paths), kind="stable")
    return Paths(counts, np.concatenate(times)[order])


def simulate(parameters: Moving, T: Array, seed: int) -> PurchaseHistory:
    """New customers who live through the same time as these, who were seen to age T."""
    (r, alpha, s, beta), coefficients, lives = parameters
    both, rng = clocks(coefficients, lives.histories), np.random.default_rng(seed)
    size = (len(T), 1)
    rate, death_rate = rng.gamma(r, 1 / alpha, size), rng.gamma(s, 1 / beta, size)
    paths = pareto_future.run_clocks(rate, death_rate, both, rng)
    count = paths.counts[:, 0]
    last = np.concatenate([[0.0], paths.times])[np.cumsum(count)]
    return PurchaseHistory(count.astype(np.float64), np.where(count > 0, last, 0.0), T.copy())


__all__ = [
    "CLASS_NAME",
    "COVARIATES",
    "KIND",
    "NAME",
    "PARAMETERS",
    "STATE_COLUMNS",
    "TITLE",
    "Parameters",
    "boundary",
]
