"""Customers as numbers."""

from __future__ import annotations

from typing import Any, NamedTuple

import narwhals as nw
import numpy as np
import numpy.typing as npt

from clv.tables._arrow import as_numpy, dictionary, take, to_arrow

Numbers = npt.NDArray[np.signedinteger[Any]]


class Numbered(NamedTuple):
    """Distinct ids in ascending order, and of each element of a column which one it is."""

    ids: Any
    number: Numbers


def numbered(ids: nw.Series[Any]) -> Numbered:
    """Number customers from 0 in the order of their ids.

    Parameters
    ----------
    ids
        (n,) texts or whole numbers, none missing.
    """
    if not len(ids):
        return Numbered(ids, np.empty(0, np.int32))
    if not ids.dtype.is_integer():
        order, codes = dictionary(ids)
        rank = np.empty(len(order), dtype=np.int32)
        rank[order] = np.arange(len(order), dtype=np.int32)
        return _named(ids, rank[codes], len(order))
    values = as_numpy(ids)
    low, high = int(values.min()), int(values.max())
    if high - low >= 4 * values.size:
        found, places = np.unique(values, return_inverse=True)
        return _named(ids, places.astype(np.int32), len(found))
    number: Numbers = np.empty(values.size, dtype=np.int32 if high - low < 2**31 else np.int64)
    np.subtract(values, low, out=number, casting="unsafe")
    occurs = np.zeros(high - low + 1, dtype=np.bool_)
    occurs[number] = True
    if not occurs.all():
        number = (np.cumsum(occurs, dtype=number.dtype) - 1)[number]
    if not ids.implementation.is_pyarrow():
        return _named(ids, number, int(np.count_nonzero(occurs)))
    import pyarrow as pa

    distinct = np.flatnonzero(occurs)
    distinct += low
    distinct = distinct.astype(values.dtype, copy=False)
    return Numbered(
        nw.from_native(pa.chunked_array([to_arrow(distinct)]), series_only=True), number
    )


def _named(ids: nw.Series[Any], number: Numbers, size: int) -> Numbered:
    """The ids that numbers stand for, in the type that they came in."""
    row = np.empty(size, dtype=np.int64)
    row[number] = np.arange(number.size)
    return Numbered(take(ids, row), number)
