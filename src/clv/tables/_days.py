"""From lines to one element per customer and day, in the order of customers and then of days.

What an engine is asked for is one narwhals expression: the lines up to a day. Their order, and
with it all that depends on order, is made here in numpy, so that it cannot differ between
engines and needs neither windows nor joins. Where there are more lines than memory should be
spent on, an engine that works out of memory's reach collapses them to customer and day first.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import narwhals as nw
import numpy as np
import numpy.typing as npt

from clv.numerics.ordering import ascending_order
from clv.tables._arrow import as_numpy, dictionary, take
from clv.tables._frame import FloatArray, collect
from clv.tables.refunds import IntArray
from clv.tables.transactions import Transactions

#: Lines that a lazy engine hands over as they are; more are collapsed there.
COLLAPSE_ABOVE = 30_000_000


class Days(NamedTuple):
    """One element per customer and day, in the order of customers and then of days."""

    ids: Any  #: narwhals series of the distinct customer ids, ascending
    customer: IntArray  #: index into `ids`
    day: IntArray  #: since 1970-01-01
    value: FloatArray  #: sum of the day's amounts
    lowest: FloatArray  #: the lowest of them


def purchase_days(transactions: Transactions, end: int) -> Days:
    """Days on which customers bought or returned something, up to a day."""
    return days_of(_gather(transactions, end))


def days_of(frame: nw.DataFrame[Any]) -> Days:
    """Days from lines: ``customer_id``, ``day``, ``value`` and, of collapsed ones, ``lowest``."""
    ids, day = frame["customer_id"], as_numpy(frame["day"])
    if not len(day):
        return Days(ids, np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0), np.empty(0))
    value = as_numpy(frame["value"])
    lowest = as_numpy(frame["lowest"]) if "lowest" in frame.columns else value
    first = int(day.min())
    bits = (int(day.max()) - first).bit_length()
    key = _number(ids)
    key <<= bits
    key += day
    key -= first
    # what is no longer needed is let go of: these are the largest arrays of the whole job
    del frame, day
    order = ascending_order(key)
    key = key[order]
    is_new = _differs_from_last(key)
    value, lowest = _collapse(value, lowest, order, is_new)
    if not is_new.all():
        key, order = key[is_new], order[is_new]
    day = (key & ((1 << bits) - 1)) + first
    key >>= bits
    is_first = _differs_from_last(key)
    # some numbers may stand for nobody, so they are given out anew
    customer = np.cumsum(is_first, out=key)
    customer -= 1
    return Days(take(ids, order[is_first]), customer, day, value, lowest)


def _differs_from_last(key: IntArray) -> npt.NDArray[np.bool_]:
    differs = np.ones(key.size, dtype=np.bool_)
    np.not_equal(key[1:], key[:-1], out=differs[1:])
    return differs


def _gather(transactions: Transactions, end: int) -> nw.DataFrame[Any]:
    """The lines up to a day: ids, days, values, and where they are collapsed the lowest."""
    lines = lines_until(transactions, end)
    if isinstance(lines, nw.DataFrame) or transactions.quality.used <= COLLAPSE_ABOVE:
        return collect(lines)
    return collect(
        lines.group_by("customer_id", "day").agg(
            nw.col("value").sum(), nw.col("value").min().alias("lowest")
        )
    )


def lines_until(transactions: Transactions, end: int) -> nw.DataFrame[Any] | nw.LazyFrame[Any]:
    """The lines up to a day, as `days_of` takes them."""
    lines = transactions.lines.filter(nw.col("day") <= end)
    return lines.select(
        "customer_id", nw.col("day").cast(nw.Int32), nw.col("amount").alias("value")
    )


def _number(ids: nw.Series[Any]) -> npt.NDArray[np.int64]:
    """A number >= 0 for each id that ascends with it, not much larger than there are ids."""
    if not ids.dtype.is_integer():
        names, codes = dictionary(ids)
        rank = np.empty(len(names), dtype=np.int64)
        rank[names] = np.arange(len(names))
        return rank[codes]
    values = as_numpy(ids)
    low, high = int(values.min()), int(values.max())
    if high - low < 4 * values.size:
        values = values - values.dtype.type(low)
    else:
        values = np.unique(values, return_inverse=True)[1]
    return np.asarray(values, dtype=np.int64)


def _collapse(
    value: FloatArray, lowest: FloatArray, order: IntArray, is_new: npt.NDArray[np.bool_]
) -> tuple[FloatArray, FloatArray]:
    """Sum and lowest of the lines of each customer and day."""
    alike = lowest is value
    value = value[order]
    lowest = value if alike else lowest[order]
    if is_new.all():
        return value, lowest
    starts = np.flatnonzero(is_new)
    return np.add.reduceat(value, starts), np.minimum.reduceat(lowest, starts)
