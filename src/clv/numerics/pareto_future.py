"""The future of living Pareto/NBD customers whose rates change with known covariates.

A living customer buys at a rate Gamma(shape, rate) times a factor, and dies at a rate Gamma(s,
beta) times another; both factors are constant within a period (the `Road`). So everything
runs as without covariates on two clocks, the exposures A(t) and D(t), and within a period both
clocks run evenly: what is a formula for plain Pareto/NBD is a sum of such formulas over periods
here (Bachmann, Meierer & Naef 2021, Marketing Science 40:783-809, section 3; for the parts
`clv.families.pareto_nbd`).

Arrays of customers and periods have shape (n, K); K periods make up the road.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from clv.numerics import pareto, quadrature
from clv.numerics.backend import Array
from clv.numerics.sampling import first_order_statistics
from clv.numerics.special import gammaln, log_rising

_COUNT_NODES = 24  # of a period, in the distribution of the number of purchases


class Road(NamedTuple):
    """What the covariates make of the rates in the periods that follow T."""

    widths: Array  #: lengths of the periods, shape (K,); positive, the last may be infinite
    purchase: Array  #: factors of the purchase rate, shape (n, K) or (1, K)
    dropout: Array  #: factors of the dropout rate, likewise

    @property
    def starts(self) -> Array:
        """When the periods begin, shape (K,)."""
        return np.cumsum(np.append(0.0, self.widths))[:-1]


class State(NamedTuple):
    """Of living customers: purchase rate ~ Gamma(shape, rate), death rate ~ Gamma(s, beta)."""

    shape: Any
    rate: Any
    s: Any
    beta: Any
    road: Road

    def take(self, rows: Any) -> State:
        """Some of the customers."""
        road = self.road
        if len(road.purchase) > 1:
            road = Road(road.widths, road.purchase[rows], road.dropout[rows])
        return State(self.shape[rows], self.rate[rows], self.s[rows], self.beta[rows], road)

    def columns(self) -> State:
        """With fields of shape (n, 1)."""
        shape, rate, s, beta = (np.reshape(v, (-1, 1)) for v in self[:4])
        return State(shape, rate, s, beta, self.road)


class _Pieces(NamedTuple):
    """Each customer's periods up to a time, as plain Pareto/NBD sees them; (n, K) each."""

    width: Array
    shape: Array
    rate: Array  #: of the purchase rate in that period, at its beginning
    s: Array
    beta: Array  #: of the death rate
    silent: Array  #: P(alive and no purchase up to its beginning)
    alive: Array  #: P(alive at its beginning)


def until(road: Road, t: float) -> Road:
    """The road up to a time that it reaches.

    Examples
    --------
    >>> ones = np.ones((1, 3))
    >>> until(Road(np.array([2.0, 2.0, 2.0]), ones, ones), 3.0).widths.tolist()
    [2.0, 1.0]
    """
    starts = road.starts
    kept = starts < t
    widths = np.minimum(road.widths, t - starts)[kept]
    return Road(widths, road.purchase[:, kept], road.dropout[:, kept])


def exposures(road: Road) -> tuple[Array, Array]:
    """A and D at the borders of the periods, shape (n or 1, K + 1) each."""
    zero = np.zeros((len(road.purchase), 1))
    bought, died = (
        np.concatenate([zero, np.cumsum(road.widths * factor, axis=1)], axis=1)
        for factor in (road.purchase, road.dropout)
    )
    return bought, died


def _pieces(state: State) -> _Pieces:
    shape, rate, s, beta = (np.reshape(v, (-1, 1)) for v in state[:4])
    road = state.road
    a, d = exposures(road)
    by_purchase, by_death = shape * np.log1p(a / rate), s * np.log1p(d / beta)
    arrays = np.broadcast_arrays(
        road.widths,
        shape,
        (rate + a[:, :-1]) / road.purchase,
        s,
        (beta + d[:, :-1]) / road.dropout,
        np.exp(-by_purchase - by_death)[:, :-1],
        np.exp(-by_death)[:, :-1],
    )
    return _Pieces(*arrays)


def _end(state: State) -> tuple[Array, Array]:
    """A and D at the end of the road, shape (n or 1,)."""
    a, d = exposures(state.road)
    return a[:, -1], d[:, -1]


def survival(state: State) -> Array:
    """P(alive at the end of the road), shape (n,)."""
    return np.asarray(np.exp(-state.s * np.log1p(_end(state)[1] / state.beta)) + 0 * state.shape)


def expected_purchases(state: State) -> Array:
    """E[purchases on the road], shape (n,): E[lambda] times the expected exposure of the living.

    Examples
    --------
    A road on which nothing changes is plain Pareto/NBD, here with s = 2:

    >>> road = Road(np.array([2.0, 4.0]), np.ones((1, 2)), np.ones((1, 2)))
    >>> expected_purchases(State(*(np.array([v]) for v in (3.0, 2.0, 2.0, 6.0)), road))
    array([4.5])
    """
    pieces = _pieces(state)
    time_alive = _time_alive(pieces.width, pieces.s, pieces.beta)
    exposure = (pieces.alive * state.road.purchase * time_alive).sum(axis=1)
    return np.asarray(state.shape / state.rate * exposure)


def expected_of_new_customers(
    parameters: tuple[float, float, float, float], widths: Array, purchase: Array, dropout: Array
) -> Array:
    """E[purchases] of new customers in each of their periods, shape (n, K).

    `parameters` are r, alpha, s, beta; `widths` are 0 before a customer's first purchase.
    """
    r, alpha, s, beta = parameters
    length = widths * dropout
    start = np.cumsum(length, axis=1) - length
    alive = np.exp(-s * np.log1p(start / beta))
    time_alive = _time_alive(widths, s, (beta + start) / dropout)
    return np.asarray(r / alpha * purchase * alive * time_alive)


def _time_alive(t: Array, s: Any, beta: Array) -> Array:
    """E[time alive within t] at a death rate Gamma(s, rate beta); nothing happens at s = 1."""
    from scipy.special import exprel

    ever = np.isinf(t)
    log_growth = np.log1p(np.where(ever, 0.0, t) / beta)
    within = np.asarray(beta * log_growth * exprel(-(s - 1.0) * log_growth))
    if not ever.any():
        return within
    excess = np.maximum(s - 1.0, 0.0)
    with np.errstate(divide="ignore"):
        return np.where(ever, beta / excess, within)


def no_purchase_probability(state: State) -> Array:
    """P(no purchase on the road), shape (n,)."""
    return np.asarray(1.0 - _bought(_pieces(state))[:, -1])


def _bought(pieces: _Pieces) -> Array:
    """P(a purchase up to the borders of the periods), shape (n, K + 1)."""
    none = pareto.no_purchase(pieces.shape, pieces.rate, pieces.s, pieces.beta, pieces.width)
    bought = np.cumsum(pieces.silent * (1.0 - none), axis=1)
    return np.concatenate([np.zeros((len(bought), 1)), bought], axis=1)


def next_purchase_quantile(state: State, q: Array) -> Array:
    """Time by which the next purchase has come with probability `q`; inf beyond the road."""
    pieces = _pieces(state)
    bought = _bought(pieces)
    q = np.broadcast_to(q, len(bought))
    rows = np.flatnonzero(q < bought[:, -1])
    place = (bought[rows, 1:] <= q[rows, None]).sum(axis=1)
    shape, rate, s, beta, silent = (
        column[rows, place]
        for column in (pieces.shape, pieces.rate, pieces.s, pieces.beta, pieces.silent)
    )
    within = (q[rows] - bought[rows, place]) / silent
    time = np.full(len(bought), np.inf)
    starts = state.road.starts
    if len(rows):
        later = pareto.no_purchase_quantile(
            shape, rate, s, beta, np.clip(within, 1e-300, 1.0 - 1e-16)
        )
        time[rows] = starts[place] + np.minimum(later, state.road.widths[place])
    return time


def purchase_count_pmf(state: State, n: Any) -> Array:
    """P(n purchases on the road), n whole numbers that broadcast with the customers."""
    n = np.broadcast_to(np.asarray(n, dtype=np.float64), np.shape(_pieces(state).width)[:1])
    shape, rate = (np.reshape(v, (-1, 1)) for v in (state.shape, state.rate))
    pieces = _pieces(state)
    count = n[:, None]
    ways = log_rising(shape, count) - gammaln(count + 1.0)
    a, _ = exposures(state.road)

    def log_pmf(exposure: Array) -> Array:
        """Of n purchases by a living customer: negative binomial."""
        with np.errstate(divide="ignore"):
            share = np.log(exposure) - np.log(rate + exposure)
        return np.asarray(
            ways - shape * np.log1p(exposure / rate) + np.where(count > 0, count * share, 0.0)
        )

    c = 1.0 / ((pieces.shape + count + 1.0) / pieces.rate + (pieces.s + 1.0) / pieces.beta)
    length = np.log1p(pieces.width / c)
    dead = np.zeros(pieces.width.shape)
    for node, weight in zip(*quadrature.gauss_legendre(_COUNT_NODES), strict=True):
        q = length * node
        u = c * np.expm1(q)
        density = pieces.alive * np.exp(-pieces.s * np.log1p(u / pieces.beta) + q)
        density *= pieces.s / (pieces.beta + u)
        dead += weight * density * np.exp(log_pmf(a[:, :-1] + state.road.purchase * u))
    dead *= c * length
    at_end = survival(state) * np.exp(log_pmf(a[:, -1:]))[:, 0]
    return np.asarray(np.minimum(at_end + dead.sum(axis=1), 1.0))


def discounted_purchases(state: State, delta: float) -> Array:
    """Expected purchases on the road, each discounted by exp(-delta t), shape (n,)."""
    living = _discounted_time(state, delta, state.road.purchase)
    return np.asarray(state.shape / state.rate * living)


def discounted_time(state: State, delta: float) -> Array:
    """Expected time alive on the road, discounted, shape (n,)."""
    return _discounted_time(state, delta, np.ones((1, len(state.road.widths))))


def _discounted_time(state: State, delta: float, factor: Array) -> Array:
    pieces = _pieces(state)
    starts = state.road.starts
    within = quadrature.discounted_time(
        lambda u: np.exp(-pieces.s * np.log1p(u / pieces.beta)), pieces.width, delta, pieces.beta
    )
    return np.asarray((np.exp(-delta * starts) * factor * pieces.alive * within).sum(axis=1))


class Paths(NamedTuple):
    """Simulated purchases on the road."""

    counts: npt.NDArray[np.int64]  #: shape (n, draws)
    times: Array  #: shape (counts.sum(),), ascending within a path


def sample_purchases(state: State, rng: np.random.Generator, shape: tuple[int, int]) -> Paths:
    """Exact draws of living customers' purchases, by running both clocks.

    `state` has fields of shape (n, 1) or (n, draws), and a road of shape (n, K) or (1, K), the
    same for all draws.
    """
    rate = rng.standard_gamma(np.broadcast_to(state.shape, shape)) / state.rate
    death_rate = rng.standard_gamma(np.broadcast_to(state.s, shape)) / state.beta
    a, d = (np.broadcast_to(clock, (shape[0], clock.shape[1])) for clock in exposures(state.road))
    borders = np.broadcast_to(np.concatenate([[0.0], np.cumsum(state.road.widths)]), d.shape)
    return run_clocks(rate, death_rate, Clocks(borders, a, d), rng)


class Clocks(NamedTuple):
    """Time and both exposures at the borders of each customer's periods, (n, K + 1) each."""

    time: Array
    purchase: Array
    dropout: Array


def run_clocks(rate: Array, death_rate: Array, clocks: Clocks, rng: np.random.Generator) -> Paths:
    """Purchases of customers with these rates, shape (n, draws), until death or the last border.

    On their clocks purchases are a Poisson process and death is exponential.
    """
    shape = rate.shape
    with np.errstate(divide="ignore", over="ignore"):
        death = rng.standard_exponential(shape) / death_rate
    row = np.broadcast_to(np.arange(shape[0])[:, None], shape).reshape(-1)
    lifetime = _convert(death.reshape(-1), row, clocks.dropout, clocks.time)
    end = _convert(lifetime, row, clocks.time, clocks.purchase).reshape(shape)
    counts = rng.poisson(np.minimum(rate * end, 1e12))
    exposure = first_order_statistics(counts, counts, end, rng)
    of_path = np.repeat(row, counts.reshape(-1))
    return Paths(counts, _convert(exposure, of_path, clocks.purchase, clocks.time))


def _convert(value: Array, row: npt.NDArray[np.int64], clock: Array, other: Array) -> Array:
    """Read `value` of one clock on another; both are (n, K + 1) and run evenly in between.

    Beyond the last border it stays there.
    """
    last = clock.shape[1] - 1
    low = np.zeros(len(value), dtype=np.int64)
    high = np.full(len(value), last, dtype=np.int64)
    for _ in range(max(1, last).bit_length()):
        middle = (low + high) // 2
        later = value >= clock[row, middle]
        low, high = np.where(later, middle, low), np.where(later, high, middle)
    low = np.minimum(low, last - 1)
    start, end = clock[row, low], clock[row, low + 1]
    width = np.where(end > start, end - start, 1.0)  # periods that fill up a row have none
    share = np.where(end > start, np.clip((value - start) / width, 0.0, 1.0), 0.0)
    return np.asarray(other[row, low] + share * (other[row, low + 1] - other[row, low]))
