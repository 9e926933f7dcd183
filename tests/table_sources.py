"""The same table as every kind of source that can be read, and results as plain Python."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from clv.tables import Transactions

ENGINES = ("pandas", "pandas-arrow", "polars", "polars-lazy", "pyarrow", "duckdb")
FILES = ("csv", "csv.gz", "tsv", "parquet", "folder", "glob")


def make_source(kind: str, table: pa.Table, folder: Path) -> Any:
    """Turn an Arrow table into a source of a kind."""
    if kind == "pandas":
        return table.to_pandas()
    if kind == "pandas-arrow":
        return table.to_pandas(types_mapper=pd.ArrowDtype)
    if kind == "polars":
        return pl.from_arrow(table)
    if kind == "polars-lazy":
        return pl.from_arrow(table).lazy()
    if kind == "pyarrow":
        return table
    if kind == "duckdb":
        connection = duckdb.connect()
        connection.register("orders", table)
        return connection.sql("SELECT * FROM orders")
    return make_file(kind, table, folder)


def make_file(kind: str, table: pa.Table, folder: Path) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    if kind in ("csv", "csv.gz", "tsv"):
        path = folder / f"orders.{kind}"
        text = table.to_pandas().to_csv(index=False, sep="\t" if kind == "tsv" else ",")
        data = text.encode()
        path.write_bytes(gzip.compress(data) if kind == "csv.gz" else data)
        return str(path)
    if kind == "parquet":
        path = folder / "orders.parquet"
        pq.write_table(table, path)
        return str(path)
    half = len(table) // 2
    for number, part in enumerate((table.slice(0, half), table.slice(half))):
        pq.write_table(part, folder / f"part-{number}.parquet")
    return str(folder if kind == "folder" else folder / "part-*.parquet")


def lines_of(transactions: Transactions) -> list[tuple[Any, int, float]]:
    """Clean lines as sorted tuples."""
    lines = transactions.lines
    assert lines.collect_schema().names() == ["customer_id", "day", "amount"]
    table = lines.lazy().collect("pyarrow").to_native()
    return sorted(zip(*(table[name].to_pylist() for name in table.column_names), strict=True))


def rejected_of(transactions: Transactions) -> list[dict[str, Any]]:
    """Rejected rows as dictionaries, missing values as None."""
    native = transactions.rejected
    if isinstance(native, duckdb.DuckDBPyRelation):
        native = native.to_arrow_table()
    if isinstance(native, pd.DataFrame):
        native = pa.Table.from_pandas(native, preserve_index=False)
    if isinstance(native, pl.DataFrame):
        native = native.to_arrow()
    return native.to_pylist()
