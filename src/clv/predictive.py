"""Intervals: what a customer will do, and how well the expectation is known.

*Predictive* intervals say what this customer will do: whether they are alive, at what rate
they buy and spend, what then happens by chance, and what is not known of the parameters.
*Expected* intervals say only how well the expected value is known. The two are never mixed.

How predictive intervals of a million customers stay cheap, and exact: given alive, the
future depends on few columns of the history (the state), so paths are simulated once per
distinct state, and what they are worth in units of the customer's own spending scale. A
customer's draws are these paths, kept or emptied by a coin with the customer's own
P(alive), times the customer's own scale, draw by draw over the same parameter draws. Memory
is bounded by working on blocks of states and on the customers who are in them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from clv.fitted import HISTORY_COLUMNS, Fitted, FittedPurchases, FittedSpend
from clv.numerics.backend import Array
from clv.numerics.compress import compress
from clv.numerics.histories import PurchaseHistory, SpendHistory
from clv.tables.rfm import RFM

Indices = npt.NDArray[np.int64]

#: Parameter draws that intervals average over.
PARAMETER_DRAWS = 100

#: Purchases simulated at a time, and elements of a block of customers x draws.
BLOCK = 4_000_000

#: Without a horizon, paths end where a purchase is worth this share of one today.
NEGLIGIBLE = 1e-4


class Interval(NamedTuple):
    """Lower and upper ends; shape (n,) each."""

    low: Array
    high: Array


class Intervals(NamedTuple):
    """Of purchases, and of what they are worth discounted to today, before margin."""

    purchases: Interval
    value: Interval


class _Customers(NamedTuple):
    """Distinct combinations of history and mean value, ordered by state."""

    history: PurchaseHistory
    spend: SpendHistory
    state: Indices  #: ascending
    inverse: Indices  #: customer -> row


def predictive(
    rfm: RFM,
    purchases: FittedPurchases,
    spend: FittedSpend,
    *,
    horizon: float,
    delta: float,
    interval: float,
    draws: int,
    seed: int,
) -> Intervals:
    """Predictive intervals of purchases and value.

    Parameters
    ----------
    rfm
        Table with n customers.
    purchases, spend
        Fitted models.
    horizon
        In the table's unit; infinite for a perpetuity, which needs ``delta > 0``.
    delta
        Continuous discount rate per unit.
    interval
        Nominal probability, such as 0.9; central.
    draws
        Simulated futures per distinct state.
    seed
        Source of randomness; the same table and seed give the same intervals.

    Returns
    -------
    Intervals
        Arrays of shape (n,). Purchases are whole numbers.
    """
    states, of_customer = _states(rfm, purchases, spend)
    customers = _distinct_customers(rfm, purchases, spend, of_customer)
    parameters = _draws_of(purchases, draws, seed)
    spend_parameters = _draws_of(spend, draws, seed + 1)
    rng = np.random.default_rng([seed, 1])
    # the same coins for everybody, evenly spread: one value per draw, in random order
    coins = rng.permutation((np.arange(draws) + 0.5) / draws)
    tail = (1.0 - interval) / 2.0
    ranks = tuple(max(math.ceil(q * draws - 1e-9) - 1, 0) for q in (tail, 1.0 - tail))
    ends = math.log(1 / NEGLIGIBLE) / delta if math.isinf(horizon) else horizon

    n = len(customers.state)
    result = Intervals(*(Interval(np.empty(n), np.empty(n)) for _ in range(2)))
    for block in _blocks_of_states(purchases, states, ends, draws):
        known = PurchaseHistory(*(c[block, None] for c in states.history))
        state = purchases.family.alive_state(parameters.each, known)
        paths = purchases.family.sample_purchases(
            state, ends, rng, (block.stop - block.start, draws)
        )
        factors = np.exp(-delta * paths.times) if delta else np.ones(len(paths.times))
        totals = spend.family.sample_unit_totals(
            spend_parameters.each, states.count[block, None], paths.counts, factors, rng
        )
        first, last = np.searchsorted(customers.state, [block.start, block.stop])
        for rows in _blocks(int(first), int(last), max(1, BLOCK // draws)):
            local = customers.state[rows] - block.start
            alive = parameters.spread(
                purchases.family.probability_alive(
                    parameters.distinct, customers.history.take((rows, None))
                )
            )
            living = coins < alive
            scale = spend_parameters.spread(
                spend.family.scale(
                    spend_parameters.distinct, customers.spend.take((rows, None))
                )
            )
            _order(np.where(living, paths.counts[local], 0), ranks, result.purchases, rows)
            _order(np.where(living, totals[local] * scale, 0.0), ranks, result.value, rows)
    back = customers.inverse
    return Intervals(*(Interval(i.low[back], i.high[back]) for i in result))


def expected(
    rfm: RFM,
    purchases: FittedPurchases,
    spend: FittedSpend,
    *,
    count: Callable[[Any], Array] | None,
    discounted: Callable[[Any], Array],
    interval: float,
) -> Intervals:
    """Intervals of the expected purchases and value: parameter uncertainty only.

    Parameters
    ----------
    rfm, purchases, spend, interval
        As in `predictive`.
    count, discounted
        Functions of a state: expected purchases within the horizon (None: not wanted), and
        discounted expected purchases.
    """
    states, of_customer = _states(rfm, purchases, spend)
    customers = _distinct_customers(rfm, purchases, spend, of_customer)
    width = min(PARAMETER_DRAWS, len(purchases.draws), len(spend.draws))
    parameters = _draws_of(purchases, width, 0).distinct
    spend_parameters = _draws_of(spend, width, 1).distinct
    tail = (1.0 - interval) / 2.0
    n = len(customers.state)
    result = Intervals(*(Interval(np.full(n, np.nan), np.full(n, np.nan)) for _ in range(2)))
    for rows in _blocks(0, n, max(1, BLOCK // width)):
        history = customers.history.take((rows, None))
        used, local = np.unique(customers.state[rows], return_inverse=True)
        known = PurchaseHistory(*(c[used, None] for c in states.history))
        state = purchases.family.alive_state(parameters, known)
        state = type(state)(*(np.broadcast_to(s, (len(used), width)) for s in state))
        flat = type(state)(*(s.reshape(-1) for s in state))
        alive = purchases.family.probability_alive(parameters, history)
        level = spend.family.expected_spend(
            spend_parameters, customers.spend.take((rows, None))
        )
        level = np.where(np.isfinite(level), level, spend.options["pooled_mean"])
        worth = alive * level * discounted(flat).reshape(len(used), -1)[local]
        for target, matrix in (
            (result.value, worth),
            (
                result.purchases,
                None
                if count is None
                else alive * count(flat).reshape(len(used), -1)[local],
            ),
        ):
            if matrix is not None:
                target.low[rows], target.high[rows] = np.quantile(
                    matrix, [tail, 1.0 - tail], axis=1
                )
    back = customers.inverse
    return Intervals(*(Interval(i.low[back], i.high[back]) for i in result))


# --- who is simulated, and with which parameters ----------------------------------------------


class _States(NamedTuple):
    """Distinct states, together with the number of purchases behind the mean value."""

    history: PurchaseHistory
    count: Array


def _states(rfm: RFM, purchases: FittedPurchases, spend: FittedSpend) -> tuple[_States, Indices]:
    rows = rfm.distinct(*purchases.family.STATE_COLUMNS)
    count = spend.history(rfm).count
    joined = compress([rows.inverse.astype(np.float64), count])
    columns = tuple(column[joined.columns[0].astype(np.int64)] for column in rows.columns)
    return (
        _States(purchases.history_of(columns), joined.columns[1]),
        joined.inverse.astype(np.int64),
    )


def _distinct_customers(
    rfm: RFM, purchases: FittedPurchases, spend: FittedSpend, of_customer: Indices
) -> _Customers:
    """Customers without a mean value are alike when their histories are; the others differ."""
    row_of = rfm.distinct(*HISTORY_COLUMNS).inverse
    known = spend.history(rfm)
    alike = np.flatnonzero(known.count == 0)
    _, first, back = np.unique(row_of[alike], return_index=True, return_inverse=True)
    single = np.flatnonzero(known.count > 0)
    chosen = np.concatenate([alike[first], single])
    inverse = np.empty(len(rfm), dtype=np.int64)
    inverse[alike] = back
    inverse[single] = np.arange(len(first), len(chosen))
    order = np.argsort(of_customer[chosen], kind="stable")
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    chosen = chosen[order]
    history = PurchaseHistory(*(rfm.array(name)[chosen] for name in HISTORY_COLUMNS))
    return _Customers(history, known.take(chosen), of_customer[chosen], rank[inverse])


class _Draws(NamedTuple):
    """Parameter draws as rows: the distinct ones (1, kept), and one per future (1, draws)."""

    distinct: Any
    each: Any

    def spread(self, matrix: Array) -> Array:
        """From one column per distinct draw to one per future."""
        width, draws = matrix.shape[1], self.each[0].shape[1]
        return matrix if width == draws else matrix[:, np.arange(draws) % width]


def _draws_of(fitted: Fitted, draws: int, seed: int) -> _Draws:
    """Up to `PARAMETER_DRAWS` of the model's draws, each used equally often."""
    kept = min(PARAMETER_DRAWS, draws, len(fitted.draws))
    order = np.random.default_rng([seed, 2]).permutation(len(fitted.draws))
    chosen = fitted.draws[order[:kept]]
    every = chosen[np.arange(draws) % kept]
    make = fitted.family.Parameters
    return _Draws(make(*chosen.T[:, None, :]), make(*every.T[:, None, :]))


# --- blocks --------------------------------------------------------------------------------------


def _blocks(start: int, stop: int, size: int) -> Iterator[slice]:
    for first in range(start, stop, size):
        yield slice(first, min(first + size, stop))


def _blocks_of_states(
    purchases: FittedPurchases, states: _States, horizon: float, draws: int
) -> Iterator[slice]:
    """Runs of states of which all paths together have a bounded number of purchases."""
    parameters = purchases.family.Parameters(*purchases.estimates)
    state = purchases.family.alive_state(parameters, states.history)
    expected_count = purchases.family.expected_purchases(state, horizon)
    load = np.cumsum((1.0 + expected_count) * draws)
    start = 0
    while start < len(load):
        base = load[start - 1] if start else 0.0
        stop = max(start + 1, int(np.searchsorted(load, base + BLOCK, side="right")))
        yield slice(start, stop)
        start = stop


def _order(matrix: Any, ranks: tuple[int, ...], target: Interval, rows: slice) -> None:
    """Write the order statistics of each row of `matrix` into `target`."""
    sorted_there = np.partition(matrix, ranks, axis=1)
    target.low[rows] = sorted_there[:, ranks[0]]
    target.high[rows] = sorted_there[:, ranks[1]]
