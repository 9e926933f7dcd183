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
    import pyarrow as pa

    places = pa.Array.from_buffers(
        pa.int64(), len(rows), [None, pa.py_buffer(np.ascontiguousarray(rows, dtype=np.int64))]
    )
    taken = nw.to_native(series).take(places)
    return nw.from_native(taken, series_only=True)
