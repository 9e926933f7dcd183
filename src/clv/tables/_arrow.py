"""Arrow columns to numpy and back without pandas.

PyArrow imports pandas on every way between its arrays and numpy's but these, and importing
pandas takes longer than forecasting a hundred thousand customers.
"""

from __future__ import annotations

from typing import Any

import narwhals as nw
import numpy as np
import numpy.typing as npt


def as_numpy(series: nw.Series[Any]) -> npt.NDArray[Any]:
    """The values (n,) of a column without missing ones, as narwhals would give them."""
    if not series.implementation.is_pyarrow():
        return series.to_numpy()
    column = nw.to_native(series)
    if column.null_count or not (series.dtype.is_numeric() and not series.dtype.is_decimal()):
        return series.to_numpy()
    chunks = [np.from_dlpack(chunk) for chunk in column.chunks if len(chunk)]
    if len(chunks) == 1:
        return chunks[0]
    return np.concatenate(chunks) if chunks else series.to_numpy()


def take(series: nw.Series[Any], rows: npt.NDArray[np.int64]) -> nw.Series[Any]:
    """The elements of a column at these positions, in this order."""
    if not series.implementation.is_pyarrow():
        return series[rows]
    taken = nw.to_native(series).take(to_arrow(np.asarray(rows, dtype=np.int64)))
    return nw.from_native(taken, series_only=True)


def to_arrow(values: npt.NDArray[Any], is_missing: npt.NDArray[np.bool_] | None = None) -> Any:
    """Numbers or days (n,) as an Arrow array, null where they are said to be missing."""
    import pyarrow as pa

    known = None
    if is_missing is not None and is_missing.any():
        known = pa.py_buffer(np.packbits(~is_missing, bitorder="little"))
    is_day = values.dtype.kind == "M"
    plain = values.astype(np.int64).astype(np.int32) if is_day else np.ascontiguousarray(values)
    kind = pa.date32() if is_day else pa.from_numpy_dtype(values.dtype)
    return pa.Array.from_buffers(kind, len(values), [known, pa.py_buffer(plain)])


def dictionary(
    series: nw.Series[Any],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
    """The distinct texts of a column without missing ones, by number.

    Returns
    -------
    tuple
        The numbers of the distinct texts in ascending order of the texts, and the number of each
        element (n,).
    """
    import pyarrow as pa

    column = series.cast(nw.String).to_arrow()
    chunked = column if isinstance(column, pa.ChunkedArray) else pa.chunked_array([column])
    encoded = chunked.dictionary_encode().unify_dictionaries()
    texts = encoded.chunk(0).dictionary
    codes = [np.from_dlpack(chunk.indices) for chunk in encoded.chunks]
    order = np.from_dlpack(pa.compute.sort_indices(texts))
    return order.astype(np.int64), np.concatenate(codes)
