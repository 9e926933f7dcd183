"""Refunds taken off the purchases that they return.

A refund names no purchase. It is taken to return what was bought on the same day, and beyond
that the most recent purchases before it: last in, first out. What no purchase is left for is
reported, never forgotten.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

#: A rest this small beside the customer's largest amount is rounding: .1 + .2 - .3 is 0.
TOLERANCE = 1e-10


class UnmatchedRefunds(NamedTuple):
    """Refunds for which no earlier purchase was left.

    Attributes
    ----------
    customers
        Customers who have one.
    amount
        Their sum, positive: what the sum of all amounts lies below the sum of `total_value`.
    """

    customers: int = 0
    amount: float = 0.0


#: Every refund found its purchase.
NONE_UNMATCHED = UnmatchedRefunds()


class Netted(NamedTuple):
    """Days after refunds. The arrays have one element per day given.

    Attributes
    ----------
    value
        What is left of the day's purchases; 0 where `is_purchase` is False.
    is_purchase
        Whether the day is still a day of purchase.
    unmatched
        What of the day's refunds no purchase was left for, as a positive amount.
    """

    value: FloatArray
    is_purchase: BoolArray
    unmatched: FloatArray


def net_refunds(group: IntArray, value: FloatArray, lowest: FloatArray) -> Netted:
    """Take refunds off the purchases of the same day, then off the most recent ones before.

    A day with a refund that is brought to 0 or below is no purchase; what is left of its refund
    goes to the latest earlier day that still has a value, and so on. A day worth 0 without a
    refund is a purchase, and refunds pass over it.

    Parameters
    ----------
    group
        (n,) who bought, in runs of equal numbers.
    value
        (n,) sum of all amounts of a day; within a group, days ascend.
    lowest
        (n,) the lowest amount of that day: negative when there was a refund.

    Returns
    -------
    Netted
        ``value.sum()`` of the input is ``value.sum() - unmatched.sum()`` of the result.

    Examples
    --------
    >>> import numpy as np
    >>> one = np.zeros(3, dtype=np.int64)
    >>> netted = net_refunds(one, np.array([20.0, 5.0, -8.0]), np.array([20.0, 5.0, -8.0]))
    >>> netted.value, netted.is_purchase
    (array([17.,  0.,  0.]), array([ True, False, False]))
    """
    is_refunded = lowest < 0
    if not is_refunded.any():
        return Netted(value, np.ones(value.size, np.bool_), np.zeros(value.size))
    concerned = np.flatnonzero(_in_groups_of(group, is_refunded))
    result = Netted(value.copy(), np.ones(value.size, np.bool_), np.zeros(value.size))
    netted = _net(group[concerned], value[concerned], lowest[concerned])
    for whole, part in zip(result, netted, strict=True):
        whole[concerned] = part
    return result


def _in_groups_of(group: IntArray, rows: BoolArray) -> BoolArray:
    """Rows whose group has one of `rows`."""
    starts = _starts(group)
    sizes = np.diff(starts, append=group.size)
    return np.repeat(np.logical_or.reduceat(rows, starts), sizes)


def _starts(group: IntArray) -> IntArray:
    is_start = np.ones(group.size, dtype=np.bool_)
    np.not_equal(group[1:], group[:-1], out=is_start[1:])
    return np.flatnonzero(is_start)


def _net(group: IntArray, value: FloatArray, lowest: FloatArray) -> Netted:
    starts = _starts(group)
    sizes = np.diff(starts, append=group.size)
    largest = np.maximum.reduceat(np.maximum(np.abs(value), -lowest), starts)
    tolerance = np.repeat(TOLERANCE * largest, sizes)

    is_refunded = lowest < 0
    is_purchase = ~is_refunded | (value > tolerance)
    returns = np.flatnonzero(is_refunded & (value < -tolerance))
    left = np.where(is_purchase, value, 0.0)
    unmatched = np.zeros(value.size)
    if returns.size:
        first = np.repeat(starts, sizes)
        touched, unmatched[returns] = _cascade(
            left, returns, -value[returns], first[returns], tolerance[returns]
        )
        is_purchase[touched[left[touched] == 0.0]] = False
    return Netted(left, is_purchase, unmatched)


def _cascade(
    value: FloatArray,
    returns: IntArray,
    amounts: FloatArray,
    first: IntArray,
    tolerance: FloatArray,
) -> tuple[IntArray, FloatArray]:
    """Take each amount off the rows before it, the nearest first; changes `value`.

    A return remembers the row where it stopped: everything between is used up, so that later
    returns jump over it and no row is passed twice.
    """
    rows = value.tolist()
    below: dict[int, int] = {}
    touched: list[int] = []
    unmatched: list[float] = []
    for i, amount, start, small in zip(
        returns.tolist(), amounts.tolist(), first.tolist(), tolerance.tolist(), strict=True
    ):
        rest = amount
        j = i - 1
        while j >= start:
            there = rows[j]
            if there <= 0.0:
                j = below.get(j, j - 1)
                continue
            touched.append(j)
            if there > rest + small:
                rows[j] = there - rest
                rest = 0.0
                break
            rows[j] = 0.0
            rest -= there
            j -= 1
            if rest <= small:
                rest = 0.0
                break
        below[i] = j
        unmatched.append(rest)
    value[:] = rows
    return np.array(touched, dtype=np.int64), np.array(unmatched)
