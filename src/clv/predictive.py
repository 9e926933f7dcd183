"""Intervals: what a customer will do, and how well the expectation is known.

*Predictive* intervals say what this customer will do: whether they are alive, at what rate
they buy and spend, what then happens by chance, and what is not known of the parameters.
*Expected* intervals say only how well the expected value is known. The two are never mixed.

Predictive intervals of a million customers are cheap because, given alive, the future
depends on few columns of the history (the state). Futures are simulated exactly, once per
distinct state, over draws of the parameters, and put in order. A customer who is alive with
probability A does nothing with probability 1 - A, so the quantile at level q of what they
do is the quantile at level ``1 - (1 - q) / A`` of these futures: looked up, not simulated.
What they spend is their own scale times a variable that depends on the state alone.

Two uncertainties of second order are simplified: P(alive) is taken at its estimate, and the
uncertain part of the spending scale is taken at the state's typical total rather than at
each customer's own (it is exact for customers without repeat purchases).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from clv.fitted import Fitted, FittedPurchases, FittedSpend, Rows
from clv.numerics.backend import Array
from clv.numerics.compress import compress, places
from clv.numerics.histories import PurchaseHistory, SpendHistory
from clv.tables.rfm import RFM

Indices = npt.NDArray[np.signedinteger[Any]]

#: Parameter draws that expected intervals use.
PARAMETER_DRAWS = 100

#: Simulated purchases, or elements of a matrix, held at a time.
BLOCK = 2_000_000

#: Futures simulated in all, at most; `MIN_DRAWS` per state, at least.
MAX_FUTURES, MIN_DRAWS = 6_000_000, 200

#: Without a horizon, futures end where a purchase is worth this share of one today.
NEGLIGIBLE = 1e-4


class Interval(NamedTuple):
    """Lower and upper ends; shape (n,) each."""

    low: Array
    high: Array


class Prediction(NamedTuple):
    """Of purchases or of their discounted worth before margin."""

    interval: Interval
    variance: Array  #: of what each customer will do, shape (n,); nan when not wanted


class Predictions(NamedTuple):
    """Both."""

    purchases: Prediction
    value: Prediction

    def per_unit(self, factor: float) -> Predictions:
        """The same with the variance of value in another unit of spend."""
        return self._replace(value=self.value._replace(variance=self.value.variance / factor**2))


def predictive(
    rfm: RFM,
    purchases: FittedPurchases,
    spend: FittedSpend,
    *,
    alive: Array,
    horizon: float,
    delta: float,
    interval: float,
    draws: int,
    seed: int,
    known: Known | None = None,
) -> Predictions:
    """Predictive intervals of purchases and value.

    Parameters
    ----------
    rfm
        Table with n customers.
    purchases, spend
        Fitted models.
    alive
        P(alive), shape (n,).
    horizon
        In the table's unit; infinite for a perpetuity, which needs ``delta > 0``.
    delta
        Continuous discount rate per unit.
    interval
        Nominal probability, such as 0.9; central.
    draws
        Futures per distinct state, lowered to `MIN_DRAWS` where states are many.
    seed
        Source of randomness; the same table and seed give the same intervals.
    known
        Futures that have been simulated already, of all customers where the table is a part.

    Returns
    -------
    Predictions
        Arrays of shape (n,). Ends of purchases are whole numbers.
    """
    tail = (1.0 - interval) / 2.0
    ranks: list[npt.NDArray[np.int32]] = []
    result = Predictions(*(nothing_yet(len(rfm)) for _ in range(2)))
    for found in futures_of(
        rfm, purchases, spend, horizon=horizon, delta=delta, draws=draws, seed=seed, known=known
    ):
        ranks = ranks or [rank(q, alive, found.worth.shape[1]) for q in (tail, 1.0 - tail)]
        rows, local = found.rows, found.local
        for futures, prediction, scale in (
            (found.counts, result.purchases, 1.0),
            (found.worth, result.value, found.scale),
        ):
            _look_up(futures, local, rows, ranks, alive[rows], scale, prediction)
    return result


class Futures(NamedTuple):
    """Simulated futures of living customers in some states.

    Attributes
    ----------
    rows
        Customers in these states: rows of the table, shape (m,).
    local
        The state of each, shape (m,).
    counts
        Purchases in each future, shape (states, draws).
    worth
        What they are worth, in units of `scale`; shape (states, draws).
    scale
        Of each customer, shape (m,).
    """

    rows: Indices
    local: Indices
    counts: Array
    worth: Array
    scale: Array


def rank(q: float, alive: Array, draws: int) -> npt.NDArray[np.int32]:
    """Which of the futures of the living, in ascending order and counted from 1, is a quantile.

    The quantile at level `q` of what a customer does who is alive with probability `alive`, as
    the order statistic whose expected probability is that level; 0: nothing.
    """
    with np.errstate(divide="ignore"):
        places = np.ceil((1.0 - (1.0 - q) / alive) * (draws + 1))
    return np.clip(places, 0, draws).astype(np.int32)


def futures_of(
    rfm: RFM,
    purchases: FittedPurchases,
    spend: FittedSpend,
    *,
    horizon: float,
    delta: float,
    draws: int,
    seed: int,
    known: Known | None = None,
) -> Iterator[Futures]:
    """Simulate the futures of all states, some at a time; parameters as in `predictive`."""
    if known is None:
        states, state_of = joint_states(rfm, purchases.states_of(rfm), spend)
        simulated: Iterable[Run] = simulate(
            purchases, spend, states, horizon=horizon, delta=delta, draws=draws, seed=seed
        )
    else:
        simulated, state_of = known.runs(), known.state_of(rfm, purchases, spend)
    middle = spend.parameters_at(spend.estimates, spend.spend_matrix(rfm))
    own = np.broadcast_to(spend.family.scale(middle, spend.history(rfm)), len(rfm))
    order = np.argsort(state_of, kind="stable")
    sorted_state = state_of[order]
    for run in simulated:
        first, last = np.searchsorted(sorted_state, [run.start, run.start + len(run.worth)])
        rows = order[first:last]
        yield Futures(rows, state_of[rows] - run.start, run.counts, run.worth, own[rows])


class Run(NamedTuple):
    """Futures of some states that follow each other, shape (states, draws) each."""

    start: int  #: the first of the states
    counts: Array
    worth: Array


class Known(NamedTuple):
    """Futures of all states of a table of which only some rows are at hand."""

    columns: tuple[Array, ...]  #: of the states, as `state_columns` gives them
    runs: Callable[[], Iterable[Run]]

    def state_of(self, rfm: RFM, purchases: FittedPurchases, spend: FittedSpend) -> Indices:
        """The state of each row."""
        rows = compress(state_columns(rfm, purchases, spend))
        return np.asarray(places(self.columns, rows.columns)[rows.inverse])


def state_columns(rfm: RFM, purchases: FittedPurchases, spend: FittedSpend) -> list[Array]:
    """All that futures depend on, of customers without covariates; shape (n,) each."""
    columns = [rfm.numbers(name) for name in purchases.family.STATE_COLUMNS]
    return [*columns, spend.history(rfm).purchases]


def states_from(columns: tuple[Array, ...], purchases: FittedPurchases) -> States:
    """The states of distinct rows of `state_columns`."""
    given = dict(zip(purchases.family.STATE_COLUMNS, columns, strict=False))
    blank = np.zeros(len(columns[0]))
    history = PurchaseHistory(*(given.get(name, blank) for name in PurchaseHistory._fields))
    return States(Rows(history, None, np.arange(len(blank))), columns[-1], None)


def simulate(
    purchases: FittedPurchases,
    spend: FittedSpend,
    states: States,
    *,
    horizon: float,
    delta: float,
    draws: int,
    seed: int,
) -> Iterator[Run]:
    """Futures of the living in these states; parameters as in `predictive`."""
    draws = int(np.clip(MAX_FUTURES // len(states.spend_purchases), min(MIN_DRAWS, draws), draws))
    rng = np.random.default_rng([seed, 1])
    points, spend_points = _draws_of(purchases, draws, rng), _draws_of(spend, draws, rng)
    ends = math.log(1 / NEGLIGIBLE) / delta if math.isinf(horizon) else horizon
    for block in _blocks_of_states(purchases, states, ends, draws):
        local_states = states.take(block)
        count = local_states.spend_purchases[:, None]
        paths = purchases.sample_futures(points, local_states.purchases, ends, rng)
        factors = np.exp(-delta * paths.times) if delta else np.ones(len(paths.times))
        drawn = spend.parameters_at(spend_points, local_states.spend_matrix)
        plug_in = spend.parameters_at(spend.estimates[None, :], local_states.spend_matrix)
        worth = spend.family.sample_unit_totals(drawn, count, paths.counts, factors, rng)
        typical = SpendHistory(count, np.full_like(count, spend.options["pooled_mean"]))
        worth *= spend.family.scale(drawn, typical) / spend.family.scale(plug_in, typical)
        yield Run(block.start, paths.counts.astype(np.float64), np.asarray(worth))


def _look_up(
    futures: Array,
    local: Indices,
    rows: Indices,
    ranks: list[npt.NDArray[np.int32]],
    alive: Array,
    scale: Array | float,
    prediction: Prediction,
) -> None:
    """Fill in the customers `rows`, whose state is row `local` of the futures of the living."""
    mean, mean_square = futures.mean(axis=1), np.mean(futures**2, axis=1)
    prediction.variance[rows] = scale**2 * alive * (mean_square[local] - alive * mean[local] ** 2)
    futures.sort(axis=1)
    for end, rank in zip(prediction.interval, ranks, strict=True):
        chosen = rank[rows]
        found = futures[local, np.maximum(chosen - 1, 0)]
        end[rows] = np.where(chosen > 0, found * scale, 0.0)


def expected(
    rfm: RFM,
    purchases: FittedPurchases,
    spend: FittedSpend,
    *,
    count: Callable[[Any], Array] | None,
    discounted: Callable[[Any], Array],
    interval: float,
) -> Predictions:
    """Intervals of the expected purchases and value: parameter uncertainty only.

    Parameters
    ----------
    rfm, purchases, spend, interval
        As in `predictive`.
    count, discounted
        Functions of a state: expected purchases within the horizon (None: not wanted), and
        discounted expected purchases.
    """
    rng = np.random.default_rng(2)
    width = min(PARAMETER_DRAWS, len(purchases.draws), len(spend.draws))
    points, spend_points = _draws_of(purchases, width, rng), _draws_of(spend, width, rng)
    everybody, states = purchases.rows_of(rfm), purchases.states_of(rfm)
    known_spend, spend_matrix = spend.history(rfm), spend.spend_matrix(rfm)
    functions = [discounted] if count is None else [discounted, count]
    tail = (1.0 - interval) / 2.0
    result = Predictions(*(nothing_yet(len(rfm)) for _ in range(2)))
    order = np.argsort(states.inverse, kind="stable")
    for start in range(0, len(order), max(1, BLOCK // width)):
        rows = order[start : start + max(1, BLOCK // width)]
        found = purchases.living_at_draws(points, everybody, states, rows, *functions)
        level = spend.family.expected_spend(
            spend.parameters_at(spend_points, None if spend_matrix is None else spend_matrix[rows]),
            known_spend.take((rows, None)),
        )
        level = np.where(np.isfinite(level), level, spend.options["pooled_mean"])
        _quantiles(result.value, rows, level * found[0], tail)
        if count is not None:
            _quantiles(result.purchases, rows, found[1], tail)
    return result


def _quantiles(prediction: Prediction, rows: Indices, matrix: Array, tail: float) -> None:
    low, high = np.quantile(matrix, [tail, 1.0 - tail], axis=1)
    prediction.interval.low[rows], prediction.interval.high[rows] = low, high


def nothing_yet(n: int) -> Prediction:
    """To be filled in."""
    low, high, variance = (np.full(n, np.nan) for _ in range(3))
    return Prediction(Interval(low, high), variance)


# --- which states, with which parameters --------------------------------------------------------


class States(NamedTuple):
    """Distinct states, together with what a spend model knows of them beyond the mean value."""

    purchases: Rows
    spend_purchases: Array
    spend_matrix: Array | None

    def take(self, rows: Any) -> States:
        """The chosen ones."""
        matrix = None if self.spend_matrix is None else self.spend_matrix[rows]
        return States(self.purchases.take(rows), self.spend_purchases[rows], matrix)


def joint_states(rfm: RFM, rows: Rows, spend: FittedSpend) -> tuple[States, Indices]:
    """Distinct among these rows and what spend depends on, and the place of each customer."""
    also = [rfm.numbers(name) for name in spend.covariates]
    joined = compress([rows.inverse, spend.history(rfm).purchases, *also])
    matrix = spend.matrix_of(rfm, dict(zip(spend.covariates, joined.columns[2:], strict=True)))
    found = States(rows.take(joined.columns[0].astype(np.int64)), joined.columns[1], matrix)
    return found, joined.inverse


def _draws_of(fitted: Fitted, draws: int, rng: np.random.Generator) -> Array:
    """Parameter draws (draws, K) in random order, each used about equally often."""
    order = rng.permutation(len(fitted.draws))
    return np.asarray(fitted.draws[order[np.arange(draws) % len(order)]])


def _blocks_of_states(
    purchases: FittedPurchases, states: States, horizon: float, draws: int
) -> Iterator[slice]:
    """Runs of states of which all futures together have a bounded number of purchases."""
    rows = states.purchases
    parameters = purchases.parameters_at(purchases.estimates, rows.matrix)
    state = purchases.family.alive_state(parameters, rows.history)
    expected_count = purchases.family.expected_purchases(state, horizon)
    yield from runs((1.0 + expected_count) * draws)


def runs(loads: Array) -> Iterator[slice]:
    """Runs of elements whose loads together are bounded, one element at least."""
    load = np.cumsum(loads)
    start = 0
    while start < len(load):
        base = load[start - 1] if start else 0.0
        stop = max(start + 1, int(np.searchsorted(load, base + BLOCK, side="right")))
        yield slice(start, stop)
        start = stop
