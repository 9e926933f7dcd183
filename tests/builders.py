"""Transactions straight from numbers, in every engine, without reading anything."""

from __future__ import annotations

import datetime as dt

import duckdb
import narwhals as nw
import pandas as pd
import polars as pl
import pyarrow as pa

from clv.tables.quality import Quality
from clv.tables.transactions import Transactions

EPOCH = dt.date(1970, 1, 1)


def from_arrow(table: pa.Table, engine: str) -> object:
    if engine == "pandas":
        return table.to_pandas()
    if engine == "pandas objects":
        frame = table.to_pandas()
        return frame.assign(customer_id=frame["customer_id"].astype(object))
    if engine == "pandas nullable":
        return table.to_pandas().convert_dtypes()
    if engine == "pandas on arrow":
        return table.to_pandas(types_mapper=pd.ArrowDtype)
    if engine == "polars":
        return pl.from_arrow(table)
    if engine == "polars lazy":
        return pl.from_arrow(table).lazy()
    if engine == "pyarrow":
        return table
    connection = duckdb.connect()
    connection.register("lines", table)
    return connection.table("lines")


ENGINES = (
    "pandas",
    "pandas objects",
    "pandas nullable",
    "pandas on arrow",
    "polars",
    "polars lazy",
    "pyarrow",
    "duckdb",
)


def read(table: pa.Table, engine: str = "pyarrow") -> Transactions:
    """Transactions without the reading: customer_id, day and amount as they are."""
    return Transactions(
        nw.from_native(from_arrow(table, engine)),
        Quality(rows=table.num_rows, used=table.num_rows, rejected=0),
        engine.split(" ")[0],
    )


def lines(*rows: tuple[object, int, float], engine: str = "pyarrow") -> Transactions:
    """(customer, day, amount) rows; day 0 is 1970-01-01."""
    customer, day, amount = (list(column) for column in zip(*rows, strict=True))
    table = pa.table(
        {
            "customer_id": customer,
            "day": pa.array(day, pa.int64()),
            "amount": pa.array(amount, pa.float64()),
        }
    )
    return read(table, engine)


def on(day: int) -> dt.date:
    return EPOCH + dt.timedelta(days=day)
