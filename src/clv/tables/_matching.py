"""Which row of one table belongs to which customer of another, whatever their engines."""

from __future__ import annotations

from typing import Any

import narwhals as nw
import numpy as np
from numpy.typing import NDArray

from clv.errors import DataError, MissingColumnError, UnsupportedFrameError
from clv.tables._frame import collect


def customers_frame(customers: Any, *columns: str) -> nw.DataFrame[Any]:
    """A customers table as an eager frame that has these columns.

    Raises
    ------
    UnsupportedFrameError
        If it is no data frame.
    MissingColumnError
        If it lacks a column.
    """
    try:
        frame = nw.from_native(customers)
    except TypeError as error:
        raise UnsupportedFrameError(
            f"customers is a {type(customers).__name__}, which is no data frame that is known; "
            "give a pandas, Polars or PyArrow frame"
        ) from error
    table: nw.DataFrame[Any] = collect(frame)
    for column in columns:
        if column not in table.columns:
            raise MissingColumnError(
                f"the customers table has no column {column!r}; it has {', '.join(table.columns)}"
            )
    return table


def rows_of_customers(customer_ids: Any, theirs: nw.Series[Any]) -> NDArray[np.int64]:
    """The row of each customer in another table, shape (n,); -1 for those who are not in it.

    Parameters
    ----------
    customer_ids
        Series of n ids, of any engine.
    theirs
        The ids of the other table, one row per customer.

    Raises
    ------
    DataError
        If the ids are of another kind, occur twice, or none is among `customer_ids`.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    ours = nw.from_native(customer_ids, series_only=True).to_arrow()
    others: Any = theirs.to_arrow()
    try:
        others = others.cast(ours.type)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise DataError(
            f"customer_id is {others.type} in the customers table and {ours.type} in the "
            "transactions; make them the same"
        ) from error
    if isinstance(others, pa.ChunkedArray):
        others = others.combine_chunks()
    twice = len(others) - pc.count_distinct(others, mode="all").as_py()
    if twice:
        counts = pc.value_counts(others)
        repeated = counts.filter(pc.greater(counts.field("counts"), 1))
        raise DataError(
            f"customer_id occurs more than once in {twice:,} rows of the customers table, the "
            f"first is {repeated[0]['values'].as_py()!r}; keep one row per customer"
        )
    row: NDArray[np.int64] = pc.fill_null(pc.index_in(ours, value_set=others), -1).to_numpy()
    row = row.astype(np.int64)
    if not np.any(row >= 0):
        raise DataError(
            f"no customer_id of the customers table is in the transactions: they look like "
            f"{others[0].as_py()!r} there and {ours[0].as_py()!r} here"
            if len(others)
            else "the customers table is empty"
        )
    return row
