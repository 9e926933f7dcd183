"""Columns of Python objects, made into columns that engines can work on."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import narwhals as nw


def plain_column(column: nw.Series[Any]) -> nw.Series[Any]:
    """Make numbers of a column of numbers, datetimes of one of dates, and text of a mixture.

    Dates in a mixture are written in ISO form and whole numbers without a fraction, so that
    17850, 17850.0 and "17850" are the same customer.
    """
    import pyarrow as pa

    values = column.to_native() if column.implementation.is_pandas() else column.to_list()
    try:
        array = _simple(pa.array(values, from_pandas=True))
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError):
        array = None
    if array is None:
        array = pa.array([_as_text(value) for value in column.to_list()], pa.string())
    if column.implementation.is_pandas():
        import pandas as pd

        # Integers beside missing values must not become fractions: 2**53 + 1 has none.
        native = array.to_pandas(types_mapper={pa.int64(): pd.Int64Dtype()}.get)
        plain: nw.Series[Any] = nw.from_native(native, series_only=True)
        return plain
    dtype = nw.from_native(pa.table({"x": array})).schema["x"]
    return nw.new_series(column.name, array.to_pylist(), dtype, backend=column.implementation)


def _simple(array: Any) -> Any:
    """Cast to one of few types; None where only text keeps what the values say."""
    import pyarrow as pa

    kind = array.type
    if pa.types.is_integer(kind):
        return array.cast(pa.int64())
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return array.cast(pa.float64())
    if pa.types.is_date(kind) or (pa.types.is_timestamp(kind) and kind.tz is None):
        return array.cast(pa.timestamp("us"))
    return array if pa.types.is_boolean(kind) or pa.types.is_string(kind) else None


def _as_text(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return format(value, "f") if isinstance(value, Decimal) else str(value)
