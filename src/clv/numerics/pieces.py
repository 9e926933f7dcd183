"""Customers' time, cut into pieces within which nothing changes, and clocks that run on it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from clv.numerics.backend import Array
from clv.numerics.pareto_future import Clocks

Indices = NDArray[np.int64]


class Pieces(NamedTuple):
    """Stretches of time of n customers, from the first purchase to T, m in all."""

    customer: Indices  #: shape (m,), ascending; in time order within a customer
    length: Array  #: shape (m,), positive
    after_last: NDArray[np.bool_]  #: shape (m,): after the last purchase, which ends a piece
    purchase: Array  #: covariates of the purchase rate, shape (m, k_p)
    dropout: Array  #: covariates of the dropout rate, shape (m, k_d)

    def take(self, rows: Any) -> Pieces:
        """The chosen pieces; customers keep their numbers."""
        return Pieces(
            self.customer[rows],
            self.length[rows],
            self.after_last[rows],
            self.purchase[rows],
            self.dropout[rows],
        )


class Histories(NamedTuple):
    """All that the likelihood needs of n customers."""

    frequency: Array  #: repeat purchases, shape (n,)
    at_purchases: Array  #: sum over these of the covariates of the purchase rate, (n, k_p)
    pieces: Pieces


class Coefficients(NamedTuple):
    """Of the covariates, on the log scale of the rates."""

    purchase: Array  #: shape (k_p,)
    dropout: Array  #: shape (k_d,)


def joined(pieces: Pieces) -> Pieces:
    """The same with neighbouring pieces made one where they differ in nothing.

    Examples
    --------
    >>> pieces = Pieces(np.array([0, 0, 1]), np.array([1.0, 2.0, 4.0]), np.zeros(3, bool),
    ...                 np.ones((3, 1)), np.zeros((3, 0)))
    >>> joined(pieces).length.tolist()
    [3.0, 4.0]
    """
    if not len(pieces.length):
        return pieces
    new = np.ones(len(pieces.length), dtype=np.bool_)
    new[1:] = (np.diff(pieces.customer) != 0) | (pieces.after_last[1:] != pieces.after_last[:-1])
    for design in (pieces.purchase, pieces.dropout):
        new[1:] |= (design[1:] != design[:-1]).any(axis=1)
    first = np.flatnonzero(new)
    return pieces.take(first)._replace(length=np.add.reduceat(pieces.length, first))


def exposures(coefficients: Coefficients, histories: Histories) -> tuple[Array, Array]:
    """A(T) and D(T) of each customer, shape (n,) each."""
    pieces, n = histories.pieces, len(histories.frequency)
    bought, died = (
        np.bincount(pieces.customer, np.exp(design @ of) * pieces.length, n).astype(np.float64)
        for design, of in zip((pieces.purchase, pieces.dropout), coefficients, strict=True)
    )
    return bought, died


def clocks(coefficients: Coefficients, histories: Histories) -> Clocks:
    """Time and exposures at the borders of all pieces; short rows are filled with their ends."""
    pieces, n = histories.pieces, len(histories.frequency)
    count = np.bincount(pieces.customer, minlength=n)
    place = np.arange(len(pieces.length)) - np.repeat(np.cumsum(count) - count, count)
    columns = []
    for rate in (
        np.ones(len(pieces.length)),
        np.exp(pieces.purchase @ coefficients.purchase),
        np.exp(pieces.dropout @ coefficients.dropout),
    ):
        steps = np.zeros((n, max(1, int(count.max(initial=0))) + 1))
        steps[pieces.customer, place + 1] = rate * pieces.length
        columns.append(np.cumsum(steps, axis=1))
    return Clocks(*columns)


def chosen(histories: Histories, customers: Indices) -> Histories:
    """Some customers, in the order given.

    Examples
    --------
    >>> pieces = Pieces(np.array([0, 1, 1]), np.array([5.0, 6.0, 7.0]), np.zeros(3, bool),
    ...                 np.zeros((3, 0)), np.zeros((3, 0)))
    >>> two = Histories(np.array([0.0, 2.0]), np.zeros((2, 0)), pieces)
    >>> chosen(two, np.array([1, 0])).pieces.length.tolist()
    [6.0, 7.0, 5.0]
    """
    pieces = histories.pieces
    first = np.searchsorted(pieces.customer, np.arange(len(histories.frequency) + 1))
    count = np.diff(first)[customers]
    step = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    rows = np.repeat(first[customers], count) + step
    part = pieces.take(rows)
    return Histories(
        histories.frequency[customers],
        histories.at_purchases[customers],
        part._replace(customer=np.repeat(np.arange(len(customers)), count)),
    )
