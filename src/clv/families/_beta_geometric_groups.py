"""The log-likelihoods of many groups of customers at once, each at parameters of its own.

As in `_beta_geometric_sums`, with an index of the group wherever there is a parameter: a dozen
groups take hardly longer than one. Used by hierarchical fits of BG/NBD and MBG/NBD.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from clv.families._beta_geometric import Statistics
from clv.families._beta_geometric_sums import Places
from clv.numerics.backend import Array


class GroupTables(NamedTuple):
    """The statistics of G groups, one after another."""

    more_than: Array  #: customers with x > j, shape (G, max x)
    coins_more_than: Array  #: likewise of coins
    customers: Array  #: (G,)
    times: Array  #: distinct T of each group
    of_time: Places  #: the group of each
    customers_at: Array
    purchases_at: Array
    x: Array  #: of customers who have tossed a coin, like all that follows
    of_row: Places  #: the group of each
    coin: Places  #: place of the last coin in a flattened `coins_more_than`
    weights: Array
    moments: Array  #: distinct t_x and T of each group's rows
    of_moment: Places  #: the group of each
    last: Places  #: of t_x among `moments`
    end: Places  #: of T


def group_tables(groups: Sequence[Statistics]) -> GroupTables:
    """Arrange; made once for a fit."""
    coins_more_than = _padded([s.coins_more_than for s in groups])
    of_exposure = _of([s.exposure[2] for s in groups])
    x, T, weights = (
        np.concatenate(found) for found in zip(*(s.exposure for s in groups), strict=True)
    )
    times, of_time, at = _distinct(T, of_exposure)
    of_row = _of([s.x for s in groups])
    t_x, end = (np.concatenate([getattr(s, n) for s in groups]) for n in ("t_x", "T"))
    moments, of_moment, both = _distinct(np.concatenate([t_x, end]), np.tile(of_row, 2))
    last_coin = np.concatenate([s.last_coin for s in groups])
    return GroupTables(
        _padded([s.more_than for s in groups]),
        coins_more_than,
        _sums(of_exposure, weights, len(groups)),
        times,
        of_time,
        _sums(at, weights, len(times)),
        _sums(at, weights * x, len(times)),
        np.concatenate([s.x for s in groups]),
        of_row,
        of_row * coins_more_than.shape[1] + last_coin,
        np.concatenate([s.weights for s in groups]),
        moments,
        of_moment,
        both[: len(of_row)],
        both[len(of_row) :],
    )


def log_likelihood_gradients(parameters: Any, t: GroupTables) -> tuple[Array, Array]:
    """Log-likelihoods (G,) and their gradients (4, G) in (r, alpha, a, b), each of shape (G,)."""
    r, alpha, a, b = parameters
    z = r[:, None] + np.arange(t.more_than.shape[1])
    zb = b[:, None] + np.arange(t.coins_more_than.shape[1])
    zab = zb + a[:, None]
    later = alpha[t.of_time] + t.times
    log_later, at_later = np.log(later), 1.0 / later
    groups = len(r)
    exposed = t.customers * np.log(alpha) - _sums(t.of_time, t.customers_at * log_later, groups)
    value = (
        (t.more_than * np.log(z)).sum(axis=1)
        - (t.coins_more_than * np.log1p(a[:, None] / zb)).sum(axis=1)
        + r * exposed
        - _sums(t.of_time, t.purchases_at * log_later, groups)
    )
    in_r = (t.more_than / z).sum(axis=1) + exposed
    slope = (r[t.of_time] * t.customers_at + t.purchases_at) * at_later
    in_alpha = r * t.customers / alpha - _sums(t.of_time, slope, groups)
    in_a = -(t.coins_more_than / zab).sum(axis=1)
    in_b = (t.coins_more_than * (a[:, None] / (zb * zab))).sum(axis=1)
    # dropout, row by row
    moments = alpha[t.of_moment] + t.moments
    logs, inverses = np.log(moments), 1.0 / moments
    idle = logs[t.end] - logs[t.last]
    shape = t.x + r[t.of_row]
    odds = shape * idle
    odds += (np.log(a)[:, None] - np.log(zb)).ravel()[t.coin]
    small = np.exp(-np.abs(odds))
    either = small + 1.0
    value += _sums(t.of_row, t.weights * (np.maximum(odds, 0.0) + np.log(either)), groups)
    dead = np.where(odds >= 0.0, 1.0, small)
    dead /= either
    dead *= t.weights
    in_r += _sums(t.of_row, dead * idle, groups)
    at_coin = _sums(t.coin, dead, zb.size).reshape(zb.shape)
    in_a += at_coin.sum(axis=1) / a
    in_b -= (at_coin / zb).sum(axis=1)
    dead *= shape
    dead *= inverses[t.end] - inverses[t.last]
    in_alpha += _sums(t.of_row, dead, groups)
    return value, np.stack([in_r, in_alpha, in_a, in_b])


def _sums(place: Places, values: Array, n: int) -> Array:
    return np.bincount(place, values, n).astype(np.float64, copy=False)


def _of(parts: Sequence[Array]) -> Places:
    """The number of its part for each element of all of them together."""
    return np.repeat(np.arange(len(parts)), [len(part) for part in parts])


def _padded(rows: Sequence[Array]) -> Array:
    """Rows of different lengths as a matrix, filled up with zeros."""
    found = np.zeros((len(rows), max(1, *(len(row) for row in rows))))
    for row, line in zip(rows, found, strict=True):
        line[: len(row)] = row
    return found


def _distinct(values: Array, group: Places) -> tuple[Array, Places, Places]:
    """Distinct pairs of value and group, and the place of each element among them."""
    pairs, place = np.unique(np.stack([group, values]), axis=1, return_inverse=True)
    return pairs[1], pairs[0].astype(np.intp), place.ravel()
