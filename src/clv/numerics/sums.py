"""Sums over many rows, in one thread.

A dot product of a million numbers is over before a second thread has woken up, but the
linear-algebra libraries behind ``@`` start one all the same, and on a busy machine its
waiting costs more than the whole fit. They do not for short vectors, so sums go in blocks.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from clv.numerics.backend import Array

#: Rows at a time: a dozen arrays stay in the cache, and dot products in one thread.
BLOCK = 8_192


def dot(x: Array, y: Array) -> float:
    """Sum of products of two arrays of shape (n,).

    Examples
    --------
    >>> dot(np.array([1.0, 2.0]), np.array([3.0, 4.0]))
    11.0
    """
    if len(x) <= BLOCK:
        return float(np.dot(x, y))
    return sum(float(np.dot(x[rows], y[rows])) for rows in blocks(len(x)))


def blocks(n: int, size: int = BLOCK) -> Iterator[slice]:
    """Slices that cover ``range(n)``.

    Examples
    --------
    >>> [(rows.start, rows.stop) for rows in blocks(5, size=3)]
    [(0, 3), (3, 5)]
    """
    for start in range(0, n, size):
        yield slice(start, min(start + size, n))
