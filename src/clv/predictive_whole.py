"""Predictive intervals where no short cut holds: of stacks, and on an uncertain clock.

`clv.predictive` simulates futures of the living once per state, and looks up where a customer's
P(alive) puts their quantiles. The members of a stack hold a customer alive with different
probabilities, so there is no such place to look; and on a clock that may run at several speeds
all customers' futures are drawn at each. Here whole futures are simulated, once per distinct
history: which member is right, whether the customer is alive, how fast time runs, and what then
happens.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from clv.calibration import AS_EXPECTED, Clock
from clv.fitted import FittedPurchases, FittedSpend, Rows, Stacked
from clv.numerics.backend import Array
from clv.numerics.histories import SpendHistory
from clv.predictive import (
    MAX_FUTURES,
    MIN_DRAWS,
    NEGLIGIBLE,
    Futures,
    Predictions,
    States,
    joint_states,
    nothing_yet,
    runs,
)
from clv.tables.rfm import RFM

#: Speeds of a clock that are drawn at, at most.
MOST_SPEEDS = 16


def predictive_whole(
    rfm: RFM,
    purchases: FittedPurchases,
    spend: FittedSpend,
    *,
    horizon: float,
    delta: float,
    interval: float,
    draws: int,
    seed: int,
    clock: Clock = AS_EXPECTED,
) -> Predictions:
    """Predictive intervals of purchases and value, by whole futures.

    Parameters
    ----------
    rfm, purchases, spend, horizon, delta, interval, draws, seed
        As in `clv.predictive.predictive`.
    clock
        How fast time runs.

    Returns
    -------
    Predictions
        Arrays of shape (n,). Ends of purchases are whole numbers.
    """
    result = Predictions(*(nothing_yet(len(rfm)) for _ in range(2)))
    for found in whole_futures(
        rfm,
        purchases,
        spend,
        horizon=horizon,
        delta=delta,
        draws=draws,
        seed=seed,
        clock=clock,
    ):
        for futures, prediction, scale in (
            (found.counts, result.purchases, 1.0),
            (found.worth, result.value, found.scale),
        ):
            prediction.variance[found.rows] = (scale**2) * futures.var(axis=1)[found.local]
            futures.sort(axis=1)
            size = futures.shape[1]
            for end, q in zip(prediction.interval, (1.0 - interval, 1.0 + interval), strict=True):
                place = int(np.clip(math.ceil(q / 2.0 * (size + 1)), 1, size)) - 1
                end[found.rows] = futures[found.local, place] * scale
    return result


def whole_futures(
    rfm: RFM,
    purchases: FittedPurchases,
    spend: FittedSpend,
    *,
    horizon: float,
    delta: float,
    draws: int,
    seed: int,
    clock: Clock = AS_EXPECTED,
) -> Iterator[Futures]:
    """Simulate the futures of all histories, some at a time; of the dead they are 0.

    Parameters are as in `predictive_whole`, and the result as of `clv.predictive.futures_of`
    but for that.
    """
    distinct, row_of = joint_states(rfm, purchases.rows_of(rfm), spend)
    size = len(distinct.spend_purchases)
    draws = int(np.clip(MAX_FUTURES // size, min(MIN_DRAWS, draws), draws))
    middle = spend.parameters_at(spend.estimates, spend.spend_matrix(rfm))
    own = np.broadcast_to(spend.family.scale(middle, spend.history(rfm)), len(rfm))
    ends = math.log(1 / NEGLIGIBLE) / delta if math.isinf(horizon) else horizon
    order = np.argsort(row_of, kind="stable")
    sorted_rows = row_of[order]
    plans = _plans(purchases, draws, clock)
    fastest = ends * float(clock.speeds.max())
    rng = np.random.default_rng([seed, 5])
    for block in _blocks(purchases, distinct.purchases, fastest, draws):
        local_states = distinct.take(block)
        parts = _parts(purchases, local_states.purchases)
        counts, worth = _futures(local_states, parts, spend, plans, ends, delta, rng)
        first, last = np.searchsorted(sorted_rows, [block.start, block.stop])
        rows = order[first:last]
        yield Futures(rows, row_of[rows] - block.start, counts, worth, own[rows])


# --- one block of distinct histories ---------------------------------------------------------


class _Plan(NamedTuple):
    """Some of the draws: of one member, at one speed."""

    place: int
    draws: int
    speed: float
    spend: float


def _plans(purchases: FittedPurchases, draws: int, clock: Clock) -> list[_Plan]:
    """Divide the draws among members by weight, and among speeds evenly."""
    weights = purchases.weights if isinstance(purchases, Stacked) else (1.0,)
    shares = np.diff(np.rint(np.cumsum([0.0, *weights]) * draws).astype(int))
    plans = []
    for place, share in enumerate(shares.tolist()):
        speeds = max(1, min(len(clock.speeds), MOST_SPEEDS, share))
        chosen = np.rint(np.linspace(0, len(clock.speeds) - 1, speeds)).astype(int)
        of_each = np.diff(np.rint(np.linspace(0, share, speeds + 1)).astype(int))
        plans += [
            _Plan(place, some, float(clock.speeds[i]), float(clock.spends[i]))
            for i, some in zip(chosen.tolist(), of_each.tolist(), strict=True)
            if some
        ]
    return plans


def _futures(
    states: States,
    parts: list[tuple[FittedPurchases, float, Rows]],
    spend: FittedSpend,
    plans: list[_Plan],
    ends: float,
    delta: float,
    rng: np.random.Generator,
) -> tuple[Array, Array]:
    """Purchases, and their worth in units of the customers' scale, shape (rows, draws) each."""
    counts, worth = [], []
    known = states.spend_purchases[:, None]
    plug_in = spend.parameters_at(spend.estimates[None, :], states.spend_matrix)
    typical = SpendHistory(known, np.full_like(known, spend.options["pooled_mean"]))
    for plan in plans:
        member, _, rows = parts[plan.place]
        points = member.draws[rng.integers(0, len(member.draws), plan.draws)]
        paths = member.sample_futures(points, rows, ends * plan.speed, rng)
        parameters = member.parameters_at(member.estimates, rows.matrix)
        alive = np.asarray(member.family.probability_alive(parameters, rows.history))
        living = rng.random(paths.counts.shape) < np.reshape(alive, (-1, 1))
        factors = np.exp(-delta / plan.speed * paths.times) if delta else np.ones(len(paths.times))
        drawn = spend.parameters_at(
            spend.draws[rng.integers(0, len(spend.draws), plan.draws)], states.spend_matrix
        )
        of_each = spend.family.sample_unit_totals(drawn, known, paths.counts, factors, rng)
        of_each *= spend.family.scale(drawn, typical) / spend.family.scale(plug_in, typical)
        counts.append(np.where(living, paths.counts, 0).astype(np.float64))
        worth.append(np.where(living, of_each * plan.spend, 0.0))
    return np.concatenate(counts, axis=1), np.concatenate(worth, axis=1)


def _blocks(purchases: FittedPurchases, rows: Rows, horizon: float, draws: int) -> Iterator[slice]:
    """Runs of histories of which all futures together have a bounded number of purchases."""
    most = np.zeros(len(rows.history.T))
    for member, _, own in _parts(purchases, rows):
        parameters = member.parameters_at(member.estimates, own.matrix)
        state = member.family.alive_state(parameters, own.history)
        most = np.maximum(most, member.family.expected_purchases(state, horizon))
    yield from runs((1.0 + most) * draws)


def _parts(purchases: FittedPurchases, rows: Rows) -> list[tuple[FittedPurchases, float, Rows]]:
    """The members of a stack, their weights and rows as they see them; else the model itself."""
    return purchases.parts(rows) if isinstance(purchases, Stacked) else [(purchases, 1.0, rows)]
