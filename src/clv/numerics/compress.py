"""Equal rows collapsed into weighted ones: exact, and what makes a million customers cheap.

Ages are whole days scaled by a unit, so every column is a small integer in disguise. The
integers of a row are packed into one key, and the keys are put in order sixteen bits at a
time, which numpy does by counting. Columns that lie on no grid are numbered by ``np.unique``
first; the result is the same.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from clv.numerics.ordering import ascending_order
from clv.numerics.threads import by_block, taken
from clv.units import DAYS_PER_UNIT

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.signedinteger]

_GRIDS = tuple(DAYS_PER_UNIT.values())
_PROBE = 1_000
_CELLS_PER_ROW = 1
_LARGEST_INT32 = 2**31 - 1
_LARGEST_INT64 = 2**63 - 1


class Compressed(NamedTuple):
    """Distinct rows, how often each occurs, and where every original row went.

    Attributes
    ----------
    columns
        One array (m,) for each column given: the distinct rows, in ascending order of the
        first column, then the second, and so on.
    weights
        (m,) number of original rows behind each distinct row, as floats.
    inverse
        (n,) index of the distinct row of each original row:
        ``columns[j][inverse]`` equals the original column j.
    """

    columns: tuple[FloatArray, ...]
    weights: FloatArray
    inverse: IntArray


class _Coded(NamedTuple):
    """A column as integers 0..size-1 that ascend with the value, and the way back."""

    codes: npt.NDArray[np.int32]
    size: int
    values: FloatArray | None
    lowest: int
    grid: float

    def decode(self, codes: IntArray) -> FloatArray:
        if self.values is not None:
            return self.values[codes]
        shifted: FloatArray = codes.astype(np.float64)
        shifted += self.lowest
        shifted /= self.grid
        return shifted


def compress(columns: Sequence[npt.ArrayLike]) -> Compressed:
    """Collapse equal rows.

    Parameters
    ----------
    columns
        Arrays of one length (n,), in any unit. A missing value (nan) equals another one.

    Returns
    -------
    Compressed
        Distinct rows in ascending order, weights and the way back; exact to the last bit.

    Raises
    ------
    ValueError
        If there is no column, or the columns differ in length.

    Examples
    --------
    >>> distinct = compress([[1, 0, 1], [2.5, 0, 2.5]])
    >>> distinct.columns[1], distinct.weights
    (array([0. , 2.5]), array([1., 2.]))
    >>> distinct.inverse.tolist()
    [1, 0, 1]
    """
    arrays = [np.asarray(column, dtype=np.float64) for column in columns]
    if not arrays or any(a.ndim != 1 or a.shape != arrays[0].shape for a in arrays):
        shapes = [a.shape for a in arrays]
        raise ValueError(f"compress needs columns of one length, not shapes {shapes}")
    if arrays[0].size == 0:
        empty = np.empty(0)
        return Compressed(tuple(empty for _ in arrays), empty, np.empty(0, np.int32))

    coded = [_code(array) for array in arrays]
    if math.prod(c.size for c in coded) > _LARGEST_INT64:
        # A key must hold every combination: leave only values that occur.
        coded = [_code_by_value(array) for array in arrays]
    if math.prod(c.size for c in coded) > _LARGEST_INT64:
        return _compress_wide(arrays)

    distinct, weights, inverse = _distinct(_pack(coded))
    return Compressed(_unpack(distinct, coded), weights, inverse)


def _code(array: FloatArray) -> _Coded:
    """Number a column by its grid of days where it has one, else by value."""
    head = array[:_PROBE]
    for grid in _GRIDS:
        if _on_grid(head, grid):
            break
    else:
        return _code_by_value(array)
    codes = np.empty(array.size, dtype=np.int32)

    def code(rows: slice) -> tuple[float, float]:
        """The lowest and the highest step, nan where some number lies on none."""
        steps = np.rint(array[rows] * grid)
        lowest, highest = float(steps.min()), float(steps.max())
        # nan and infinity fail these comparisons as well
        if not (lowest > -_LARGEST_INT32 and highest < _LARGEST_INT32):
            return math.nan, math.nan
        codes[rows] = steps
        steps /= grid
        return (lowest, highest) if np.array_equal(steps, array[rows]) else (math.nan, math.nan)

    ends = np.array(by_block(code, array.size))
    lowest, highest = ends[:, 0].min(), ends[:, 1].max()
    if not highest - lowest < _LARGEST_INT32:
        return _code_by_value(array)
    if lowest:
        codes -= np.int32(lowest)
    return _Coded(codes, int(highest - lowest) + 1, None, int(lowest), grid)


def _on_grid(array: FloatArray, grid: float) -> bool:
    return bool(np.array_equal(np.rint(array * grid) / grid, array))


def _code_by_value(array: FloatArray) -> _Coded:
    values, codes = np.unique(array, return_inverse=True)
    return _Coded(codes.astype(np.int32), values.size, values, 0, 1.0)


def _pack(coded: Sequence[_Coded]) -> IntArray:
    cells = math.prod(c.size for c in coded)
    dtype = np.int32 if cells <= _LARGEST_INT32 else np.int64
    key: IntArray = coded[0].codes.astype(dtype)
    for column in coded[1:]:
        key *= dtype(column.size)
        key += column.codes
    return key


def _unpack(keys: IntArray, coded: Sequence[_Coded]) -> tuple[FloatArray, ...]:
    columns: list[FloatArray] = []
    rest = keys
    for column in reversed(coded[1:]):
        above = rest // rest.dtype.type(column.size)
        columns.append(column.decode(rest - above * rest.dtype.type(column.size)))
        rest = above
    columns.append(coded[0].decode(rest))
    return tuple(reversed(columns))


def _distinct(key: IntArray) -> tuple[IntArray, FloatArray, IntArray]:
    """Distinct keys in ascending order, how often each occurs, and the way back."""
    border = _dense_below(key)
    if border == 0:
        return _distinct_by_sorting(key)
    if border > int(key.max()):
        return _distinct_by_counting(key, border)
    is_low = key < border
    low, high = np.flatnonzero(is_low), np.flatnonzero(~is_low)
    low_keys, low_weights, low_inverse = _distinct_by_counting(key[low], border)
    high_keys, high_weights, high_inverse = _distinct_by_sorting(key[high])
    inverse = np.empty(key.size, dtype=np.promote_types(low_inverse.dtype, high_inverse.dtype))
    inverse[low] = low_inverse
    high_inverse += low_keys.size
    inverse[high] = high_inverse
    return (
        np.concatenate([low_keys, high_keys]),
        np.concatenate([low_weights, high_weights]),
        inverse,
    )


def _dense_below(key: IntArray) -> int:
    """The largest border below which there are not many more possible keys than rows.

    Half of a shop's customers bought once: below the border there is no need to sort.
    """
    shift = max(0, int(key.max()).bit_length() - 12)
    rows = np.cumsum(np.bincount(key >> shift))
    borders = np.arange(1, rows.size + 1, dtype=np.int64) << shift
    dense = np.flatnonzero(borders <= _CELLS_PER_ROW * rows)
    return int(borders[dense[-1]]) if dense.size else 0


def _distinct_by_counting(key: IntArray, size: int) -> tuple[IntArray, FloatArray, IntArray]:
    counts = np.bincount(key, minlength=size)
    occurring = np.flatnonzero(counts)
    number = np.empty(size, dtype=_index_dtype(key.size))
    number[occurring] = np.arange(occurring.size, dtype=number.dtype)
    return occurring.astype(key.dtype), counts[occurring].astype(np.float64), taken(number, key)


def _distinct_by_sorting(key: IntArray) -> tuple[IntArray, FloatArray, IntArray]:
    order = ascending_order(key)
    ordered = key[order]
    is_new = np.empty(key.size, dtype=np.bool_)
    is_new[0] = True
    np.not_equal(ordered[1:], ordered[:-1], out=is_new[1:])
    starts = np.flatnonzero(is_new)
    weights = np.diff(starts, append=key.size).astype(np.float64)
    group = np.cumsum(is_new, dtype=_index_dtype(key.size))
    group -= 1
    inverse = np.empty_like(group)
    inverse[order] = group
    return ordered[starts], weights, inverse


def _index_dtype(size: int) -> type[np.signedinteger]:
    return np.int32 if size <= _LARGEST_INT32 else np.int64


def _compress_wide(arrays: Sequence[FloatArray]) -> Compressed:
    """Rows with too many combinations for one key: number the left columns' rows first."""
    left = compress(arrays[:-1])
    both = compress([left.inverse, arrays[-1]])
    rows = both.columns[0].astype(np.intp)
    columns = (*(column[rows] for column in left.columns), both.columns[1])
    return Compressed(columns, both.weights, both.inverse)


class Weighted(NamedTuple):
    """Distinct rows and their weights, without a way back to the original ones."""

    columns: tuple[FloatArray, ...]
    weights: FloatArray


def merge(parts: Sequence[Weighted]) -> Weighted:
    """Distinct rows of several sets of weighted rows, in ascending order.

    Examples
    --------
    >>> once = Weighted((np.array([0.0, 1.0]),), np.array([3.0, 1.0]))
    >>> merge([once, Weighted((np.array([1.0]),), np.array([2.0]))])
    Weighted(columns=(array([0., 1.]),), weights=array([3., 3.]))
    """
    columns = [np.concatenate(column) for column in zip(*(p.columns for p in parts), strict=True)]
    rows = compress(columns)
    weights = np.concatenate([part.weights for part in parts])
    summed = np.bincount(rows.inverse, weights, rows.weights.size).astype(np.float64)
    return Weighted(rows.columns, summed)


def places(among: Sequence[FloatArray], rows: Sequence[FloatArray]) -> IntArray:
    """For each of some rows, its index among distinct rows that hold it.

    Examples
    --------
    >>> places([np.array([0.0, 1.0, 5.0])], [np.array([5.0, 0.0, 5.0])]).tolist()
    [2, 0, 2]
    """
    size = among[0].size
    both = compress([np.concatenate(pair) for pair in zip(among, rows, strict=True)])
    index = np.full(both.weights.size, -1, dtype=np.int64)
    index[both.inverse[:size]] = np.arange(size)
    return index[both.inverse[size:]]
