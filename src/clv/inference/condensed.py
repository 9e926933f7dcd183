"""Many rows as few: sums of a smooth function, by interpolation at chosen places.

At a given number of purchases the log-likelihood of a customer is a smooth function of the times,
or of the mean value. A polynomial through a few well-chosen places says what it is in between, so
the sum over thousands of customers is a weighted sum over these places, with weights that do not
depend on the parameters. Weights may be negative; their sum is the number of customers. What was
372,430 distinct rows becomes a few thousand, and so does the time of every evaluation.

It is not taken on trust: the sums are compared at points all over the posterior, group by group,
and a group whose sum is not matched keeps its rows.

Source: barycentric interpolation at Chebyshev points, Berrut & Trefethen (2004), SIAM Review
46:501-517.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from clv.inference.target import Likelihood
from clv.numerics.backend import Array

#: Fewer rows than this are quick enough as they are, for a family with quick sums.
FEWEST = 2_000

#: Groups with fewer rows are left alone.
FEWEST_ROWS = 60

#: By how much the log-likelihood of a group may be off, at any of the points it is tried at.
TOLERANCE = 1e-7

#: Places along the quick and along the slow direction, tried in this order.
DEGREES = ((6, 3), (9, 5), (13, 6), (18, 7), (26, 9), (38, 11))

#: Of a time since the first purchase as a share of the age: added before the log is taken.
_OFFSET = 0.05


def condense(likelihood: Likelihood, points: Array) -> Likelihood:
    """The same log-likelihood on fewer rows, where that can be had.

    Parameters
    ----------
    likelihood
        Of m weighted rows.
    points
        Logs of estimates, shape (K, n): places all over the posterior to try it at.

    Returns
    -------
    Likelihood
        On fewer rows; the one given if these are few, it has covariates, or too little is saved.
    """
    names = type(likelihood.history)._fields
    smooth = _smooth(names)
    if smooth is None or likelihood.design is not None:
        return likelihood
    if len(likelihood) < FEWEST and hasattr(likelihood.family, "log_likelihood_values"):
        return likelihood
    history, weights = likelihood.history, likelihood.weights
    kept: list[Array] = []
    fields: list[list[Array]] = []
    new_weights: list[Array] = []
    for rows in _by_count(history[0]):
        if len(rows) < FEWEST_ROWS or getattr(likelihood.family, "WHOLE_TIMES", False):
            kept.append(rows)
            continue
        found = _condense_group(likelihood, rows, smooth, points)
        if found is None:
            kept.append(rows)
        else:
            fields.append(found[0])
            new_weights.append(found[1])
    if not fields:
        return likelihood
    rest = np.sort(np.concatenate(kept)) if kept else np.empty(0, np.intp)
    columns = [
        np.concatenate([history[j][rest], *(f[j] for f in fields)]) for j in range(len(names))
    ]
    fewer = np.concatenate([weights[rest], *new_weights])
    if len(fewer) > 0.7 * len(likelihood):
        return likelihood
    return replace(likelihood, history=type(history)(*columns), weights=fewer)


def _smooth(names: tuple[str, ...]) -> str | None:
    """What the log-likelihood is smooth in: times, values, or nothing that is known."""
    if names[:3] == ("frequency", "recency", "T"):
        return "times"
    return "values" if names[:2] == ("purchases", "mean_value") else None


def _by_count(count: Array) -> Iterator[Any]:
    """The rows of each number of purchases."""
    order = np.argsort(count, kind="stable")
    borders = np.flatnonzero(np.diff(count[order])) + 1
    yield from np.split(order, borders)


def _condense_group(
    likelihood: Likelihood, rows: Array, smooth: str, points: Array
) -> tuple[list[Array], Array] | None:
    history, weights = likelihood.history.take(rows), likelihood.weights[rows]
    exact = _sums(replace(likelihood, history=history, weights=weights), points)
    for degrees in DEGREES:
        found = (_times if smooth == "times" else _values)(history, weights, degrees)
        if found is None or len(found[1]) > 0.5 * len(rows):
            return None
        few = replace(likelihood, history=type(history)(*found[0]), weights=found[1])
        if np.abs(_sums(few, points) - exact).max() <= TOLERANCE * max(1.0, len(rows) / 1e4):
            return found
    return None


def _sums(likelihood: Likelihood, points: Array) -> Array:
    """Weighted sums of the row formula, (n,)."""
    total = np.zeros(points.shape[1])
    for start in range(0, len(likelihood), 8_192):
        part = slice(start, start + 8_192)
        total += likelihood.weights[part] @ likelihood.of_rows(points, part)
    return total


def _times(
    history: Any, weights: Array, degrees: tuple[int, int]
) -> tuple[list[Array], Array] | None:
    """Places in the age at the last purchase, as a share of the age, and in the age."""
    x, recency, T = history[:3]
    share = np.log(_OFFSET + recency / T)
    quick, slow = degrees
    along_T = _Chebyshev.of(T, slow)
    if np.ptp(share) == 0.0:  # who bought once
        table = (weights @ along_T.basis)[None, :]
        shares = share[:1]
    else:
        along_share = _Chebyshev.of(share, quick)
        table = along_share.basis.T @ (weights[:, None] * along_T.basis)
        shares = along_share.places
    grid_share, grid_T = np.meshgrid(shares, along_T.places, indexing="ij")
    new_T = grid_T.ravel()
    new_recency = np.clip((np.exp(grid_share.ravel()) - _OFFSET) * new_T, 0.0, new_T)
    fields = [np.full(new_T.size, x[0]), new_recency, new_T]
    return [*fields, *_means(history[3:], weights, new_T.size)], table.ravel()


def _values(
    history: Any, weights: Array, degrees: tuple[int, int]
) -> tuple[list[Array], Array] | None:
    """Places in the log of the mean value."""
    count, mean = history[:2]
    along = _Chebyshev.of(np.log(mean), 2 * degrees[0])
    fields = [np.full(len(along.places), count[0]), np.exp(along.places)]
    return [*fields, *_means(history[2:], weights, along.places.size)], weights @ along.basis


def _means(fields: Any, weights: Array, size: int) -> list[Array]:
    """Of sums of logs, which enter the log-likelihood linearly: their mean stands for all."""
    return [np.full(size, float(weights @ field / weights.sum())) for field in fields]


class _Chebyshev(NamedTuple):
    """Interpolation along one direction."""

    places: Array  #: (d,)
    basis: Array  #: (m, d): what each place counts for each row

    @classmethod
    def of(cls, values: Array, degree: int) -> _Chebyshev:
        """Places between the least and the largest value; those themselves if they are few."""
        distinct = np.unique(values)
        if len(distinct) <= degree:
            return cls(distinct, (values[:, None] == distinct).astype(np.float64))
        low, high = float(distinct[0]), float(distinct[-1])
        nodes = np.cos(np.pi * np.arange(degree) / (degree - 1))
        signs = (-1.0) ** np.arange(degree)
        signs[[0, -1]] *= 0.5
        away = (2.0 * values - low - high)[:, None] / (high - low) - nodes
        exact = away == 0.0
        terms = signs / np.where(exact, 1.0, away)
        basis = terms / terms.sum(axis=1, keepdims=True)
        hit = exact.any(axis=1)
        basis[hit] = exact[hit]
        return cls(0.5 * (low + high) + 0.5 * (high - low) * nodes, basis)
