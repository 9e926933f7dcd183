"""From lines to one element per customer and day, in the order of customers and then of days.

What an engine is asked for is one narwhals expression: the lines up to a day. Their order, and
with it all that depends on order, is made here in numpy, so that it cannot differ between
engines and needs neither windows nor joins. Lines are divided into blocks of whole customers that
fit the processor's cache, and each block is put in order when it is asked for. Where there are
more lines than memory should be spent on, an engine that works out of memory's reach collapses
them to customer and day first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple

import narwhals as nw
import numpy as np
import numpy.typing as npt

from clv.numerics.ordering import ascending_order
from clv.numerics.threads import in_order
from clv.tables._arrow import as_numpy
from clv.tables._frame import AnyArray, FloatArray, collect
from clv.tables._ids import Numbers, numbered
from clv.tables._streams import collected
from clv.tables.refunds import IntArray
from clv.tables.transactions import Transactions

#: Lines that a lazy engine hands over as they are; more are collapsed there.
COLLAPSE_ABOVE = 100_000_000

#: Lines of a block, and however many more its last customer has.
BLOCK = 65_536

#: Lines that are dealt out to the blocks at a time.
HAND = 1_048_576


class Days(NamedTuple):
    """One element per customer and day, in the order of customers and then of days."""

    ids: Any  #: narwhals series of the distinct customer ids, ascending
    customer: IntArray  #: index into `ids`
    day: IntArray  #: since 1970-01-01
    value: FloatArray  #: sum of the day's amounts
    lowest: FloatArray  #: the lowest of them


class Blocks(NamedTuple):
    """The same in parts of whole customers, one after the other; each is made when it is asked for.

    Customers are indices into the same `ids` in all of them.
    """

    ids: Any  #: narwhals series of the distinct customer ids, ascending
    parts: Sequence[Callable[[], Days]]


def purchase_days(transactions: Transactions, end: int) -> Days:
    """Days on which customers bought or returned something, up to a day."""
    blocks = purchase_blocks(transactions, end)
    found = list(in_order(_made, blocks.parts))
    if len(found) == 1:
        return found[0]
    whole, number = np.empty(0, np.int64), np.empty(0)
    return Days(
        blocks.ids,
        np.concatenate([whole, *(days.customer for days in found)]),
        np.concatenate([whole, *(days.day for days in found)]),
        np.concatenate([number, *(days.value for days in found)]),
        np.concatenate([number, *(days.lowest for days in found)]),
    )


def _made(part: Callable[[], Days]) -> Days:
    return part()


def purchase_blocks(transactions: Transactions, end: int) -> Blocks:
    """The same in parts."""
    return blocks_of(_gather(transactions, end))


def blocks_of(frame: nw.DataFrame[Any]) -> Blocks:
    """Days from lines: ``customer_id``, ``day``, ``value`` and, of collapsed ones, ``lowest``."""
    ids, customer = numbered(frame["customer_id"])
    day, value = as_numpy(frame["day"]), as_numpy(frame["value"])
    lowest = as_numpy(frame["lowest"]) if "lowest" in frame.columns else value
    lines = _Lines(customer, day, value, lowest)
    del frame, customer, day, value, lowest  # these are the largest arrays of the whole job
    if not lines.day.size:
        return Blocks(ids, [])
    customers = max(1, BLOCK * len(ids) // lines.day.size)
    shift = customers.bit_length() - 1
    blocks = 1 + ((len(ids) - 1) >> shift)
    dealt = [[lines]] if blocks == 1 else _dealt(lines, shift, blocks)
    return Blocks(ids, [partial(_days_of, ids, some) for some in dealt])


def lines_until(transactions: Transactions, end: int) -> nw.DataFrame[Any] | nw.LazyFrame[Any]:
    """The lines up to a day, as `blocks_of` takes them."""
    lines = transactions.lines.filter(nw.col("day") <= end)
    return lines.select(
        "customer_id", nw.col("day").cast(nw.Int32), nw.col("amount").alias("value")
    )


def _gather(transactions: Transactions, end: int) -> nw.DataFrame[Any]:
    """The lines up to a day: ids, days, values, and where they are collapsed the lowest."""
    lines, used = lines_until(transactions, end), transactions.quality.used
    if isinstance(lines, nw.DataFrame) or used <= COLLAPSE_ABOVE:
        return collected(lines, used)
    return collect(
        lines.group_by("customer_id", "day").agg(
            nw.col("value").sum(), nw.col("value").min().alias("lowest")
        )
    )


# -- blocks of lines -------------------------------------------------------------------------


class _Lines(NamedTuple):
    """Lines in the order of their source."""

    customer: Numbers  #: index into the ids
    day: Numbers
    value: FloatArray
    lowest: FloatArray  #: the same array as `value` where nothing was collapsed

    def each(self, function: Callable[[AnyArray], AnyArray]) -> _Lines:
        """A function of every column, called once where two are the same."""
        customer, day, value = map(function, self[:3])
        same = self.lowest is self.value
        return _Lines(customer, day, value, value if same else function(self.lowest))

    def slice(self, start: int, stop: int) -> _Lines:
        return self.each(lambda column: column[start:stop])


def _dealt(lines: _Lines, shift: int, blocks: int) -> list[list[_Lines]]:
    """Lines by block, in their order: block i is of customers i << shift, and those after.

    Each hand of lines is put in the order of blocks, so that a block is a slice of every hand.
    """
    dtype = np.uint8 if blocks <= 256 else np.uint16 if blocks <= 65_536 else np.int64

    def deal(start: int) -> list[_Lines]:
        hand = lines.slice(start, start + HAND)
        block = (hand.customer >> shift).astype(dtype)
        order = np.argsort(block, kind="stable")
        edges = np.cumsum(np.bincount(block, minlength=blocks)).tolist()
        dealt = hand.each(lambda column: column[order])
        return [dealt.slice(*edge) for edge in pairwise([0, *edges])]

    hands = in_order(deal, range(0, lines.day.size, HAND))
    return [list(block) for block in zip(*hands, strict=True)]


def _days_of(ids: Any, parts: Sequence[_Lines]) -> Days:
    """Days of the lines of some customers."""
    lines = parts[0] if len(parts) == 1 else _joined(parts)
    who, first = int(lines.customer.min()), int(lines.day.min())
    # with sixteen bits for the day, lines that are in the order of days need not be sorted by it
    bits = max(16, (int(lines.day.max()) - first).bit_length())
    key = lines.customer.astype(np.int64)
    key -= who
    key <<= bits
    key += lines.day
    key -= first
    order = ascending_order(key)
    key = key[order]
    is_new = np.ones(key.size, dtype=np.bool_)
    np.not_equal(key[1:], key[:-1], out=is_new[1:])
    value, lowest = _collapse(lines.value, lines.lowest, order, is_new)
    if not is_new.all():
        key = key[is_new]
    day = (key & ((1 << bits) - 1)) + first
    key >>= bits
    key += who
    return Days(ids, key, day, value, lowest)


def _joined(parts: Sequence[_Lines]) -> _Lines:
    value = np.concatenate([part.value for part in parts])
    same = parts[0].lowest is parts[0].value
    return _Lines(
        np.concatenate([part.customer for part in parts]),
        np.concatenate([part.day for part in parts]),
        value,
        value if same else np.concatenate([part.lowest for part in parts]),
    )


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
