"""Covariates: what is known of customers beyond their purchases, as columns of their table.

Numbers become floats; text, categories and true/false become texts, one per level. Nobody may
be without a value: a model would have to invent one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import narwhals as nw
import numpy as np
from numpy.typing import NDArray

from clv.errors import DataError
from clv.tables._matching import customers_frame, rows_of_customers

AnyArray = NDArray[Any]


def check_names(columns: Sequence[str], reserved: Sequence[str]) -> list[str]:
    """The names as a list, if no table has a column of that name and none is given twice."""
    wanted = [columns] if isinstance(columns, str) else list(columns)
    taken = [name for name in wanted if name in reserved]
    if taken:
        raise DataError(
            f"a covariate cannot be called {', '.join(taken)}: tables have a column of that "
            "name; rename it in the customers table"
        )
    twice = sorted({name for name in wanted if wanted.count(name) > 1})
    if twice:
        raise DataError(f"columns names {', '.join(twice)} more than once")
    return wanted


def read_covariates(
    customer_ids: Any, customers: Any, columns: Sequence[str], customer_id: str
) -> dict[str, AnyArray]:
    """Columns of a customers table in the order of `customer_ids`.

    Parameters
    ----------
    customer_ids
        Series of n ids, of any engine.
    customers
        Data frame of any engine, one row per customer; further rows and columns are left alone.
    columns
        Names of the columns wanted.
    customer_id
        Name of its column with ids.

    Returns
    -------
    dict
        For every column an array (n,): floats, or texts as objects.

    Raises
    ------
    MissingColumnError, UnsupportedFrameError
        If it is no frame, or lacks a column.
    DataError
        If a customer is not in it or there twice, or a value is missing or not finite.
    """
    table = customers_frame(customers, customer_id, *columns)
    row = rows_of_customers(customer_ids, table[customer_id])
    _refuse(row < 0, customer_ids, "the customers table has no row", "add them")
    return {name: _values(table[name], name, row, customer_ids) for name in columns}


def _values(
    series: nw.Series[Any], name: str, row: NDArray[np.int64], customer_ids: Any
) -> AnyArray:
    remedy = "fill it in, or leave these customers out"
    if series.dtype.is_numeric():
        numbers: AnyArray = series.cast(nw.Float64).to_numpy().astype(np.float64)[row]
        _refuse(np.isnan(numbers), customer_ids, f"{name} is missing", remedy)
        _refuse(np.isinf(numbers), customer_ids, f"{name} is infinite", remedy)
        return numbers
    texts = _texts(series, name)[row]
    blank = np.array([text is None or not text.strip() for text in texts], dtype=np.bool_)
    _refuse(blank, customer_ids, f"{name} is missing", remedy)
    return texts


def _texts(series: nw.Series[Any], name: str) -> AnyArray:
    """Texts as objects, None where missing; equal ones share their memory."""
    import pyarrow as pa
    import pyarrow.compute as pc

    unusable = DataError(
        f"{name} holds {series.dtype}, which is no covariate: it must hold numbers, texts, "
        "categories or true/false; derive such a column from it"
    )
    try:
        array: Any = series.to_arrow()
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise unusable from error
    kind = array.type
    if pa.types.is_dictionary(kind):
        array, kind = array.cast(kind.value_type), kind.value_type
    if pa.types.is_boolean(kind):  # spelt as in Python, in every engine
        array = pc.if_else(array, "True", "False")
    elif pa.types.is_temporal(kind) or pa.types.is_nested(kind) or pa.types.is_binary(kind):
        raise unusable
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    coded = array.cast(pa.large_string()).dictionary_encode()
    levels = np.array([*coded.dictionary.to_pylist(), None], dtype=object)
    places: NDArray[np.int64] = pc.fill_null(coded.indices, len(levels) - 1).to_numpy()
    return np.asarray(levels[places])


def _refuse(bad: NDArray[np.bool_], customer_ids: Any, what: str, remedy: str) -> None:
    if bad.any():
        count = int(bad.sum())
        ids = nw.from_native(customer_ids, series_only=True)
        first = ids.gather_every(1, int(np.argmax(bad))).head(1).to_list()[0]
        who = "1 customer" if count == 1 else f"{count:,} of {bad.size:,} customers"
        raise DataError(f"{what} for {who}, the first is {first!r}; {remedy}")
