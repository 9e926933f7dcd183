"""Databases as sources: streamed into Parquet files of our own, then read like any others.

One statement is run, so what is read is of one moment. Nothing is held in memory but a batch.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import narwhals as nw

from clv.databases import label_of, read_rows
from clv.databases._read import explained
from clv.errors import UnreadableFileError
from clv.tables._file_sources import private_database, readable
from clv.tables._files import quoted
from clv.tables._sources import ROW, Frame, Source, plainly_named

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Place:
    """Where in a database the rows are.

    Attributes
    ----------
    table, schema
        A table or view.
    query
        Or one SELECT.
    parameters
        Values for names such as ``:as_of`` in the query.
    """

    table: str | None = None
    schema: str | None = None
    query: str | None = None
    parameters: Mapping[str, Any] | None = None


def open_database_table(
    source: Any, place: Place, columns: Sequence[str], memory: int | None = None
) -> Source:
    """Read the columns of a table, or all that a query gives.

    Raises
    ------
    DatabaseError
        If the database cannot be read.
    MissingColumnError
        If the table lacks a column.
    UnreadableFileError
        If there is no row.
    """
    what = "a query" if place.table is None else f"the table {place.table!r}"
    label = f"{what} of {label_of(source)}"
    connection, folder = private_database(memory)
    spool = folder / "rows"
    spool.mkdir()
    with (
        explained(source),
        read_rows(
            source,
            table=place.table,
            schema=place.schema,
            query=place.query,
            columns=columns if place.table is not None else None,
            parameters=place.parameters,
        ) as rows,
    ):
        shapes = _spool(rows.names, rows.batches, spool)
        names = rows.names
    if not shapes:
        raise UnreadableFileError(f"{label} has no rows")
    shape = _common(list(shapes))
    plain, numbered = (_scan(shapes, shape, names, with_numbers=flag) for flag in (False, True))
    return Source(
        label=label,
        engine="duckdb",
        frame=nw.from_native(connection.sql(plain)),
        numbered=lambda: nw.from_native(connection.sql(numbered)),
        show=_show,
        guard=functools.partial(readable, label),
        repeated=frozenset(name for name in names if names.count(name) > 1),
        keep_alive=connection,
    )


# --- spooling ------------------------------------------------------------------------------------

#: The kind of each column in a batch, and the files of that shape with their first row number.
_Shape = tuple[str, ...]
_Shapes = dict[_Shape, list[tuple[Path, int]]]


def _spool(names: Sequence[str], batches: Iterator[Sequence[Sequence[Any]]], folder: Path) -> Any:
    """Write each batch into a file; a batch whose values are of other kinds is no problem."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    shapes: _Shapes = {}
    before = 0
    for number, batch in enumerate(batches):
        columns, kinds = [], []
        for values in zip(*batch, strict=True):
            column, kind = _column(values, pa)
            columns.append(column)
            kinds.append(kind)
        path = folder / f"{number:06d}.parquet"
        pq.write_table(pa.table(columns, names=[f"c{i}" for i in range(len(names))]), path)
        shapes.setdefault(tuple(kinds), []).append((path, before))
        before += len(batch)
    return shapes


def _column(values: Sequence[Any], pa: Any) -> tuple[pa.Array, str]:
    """An Arrow column of the values of a batch, and its kind."""
    import datetime as dt

    types = {type(value) for value in values} - {type(None)}
    if not types:
        return pa.nulls(len(values), pa.string()), "nothing"
    if types == {bool}:
        return pa.array(values, pa.bool_()), "boolean"
    if types <= {int} and all(v is None or -(2**63) <= v < 2**63 for v in values):
        return pa.array(values, pa.int64()), "integer"
    if types <= {int, float, Decimal}:
        numbers = [None if value is None else float(value) for value in values]
        return pa.array(numbers, pa.float64()), "number"
    if types == {dt.date}:
        return pa.array(values, pa.date32()), "date"
    if types == {dt.datetime}:
        zones = {value.tzinfo is not None for value in values if value is not None}
        if zones == {True}:
            return pa.array(values, pa.timestamp("us", "UTC")), "instant"
        if zones == {False}:
            return pa.array(values, pa.timestamp("us")), "datetime"
    return pa.array([_text(value) for value in values], pa.string()), "text"


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).decode("utf-8", errors="backslashreplace")
    return value.isoformat() if hasattr(value, "isoformat") else _plain_text(value)


def _plain_text(value: Any) -> str:
    return str(value) if isinstance(value, UUID | int | Decimal) else repr(value)


def _common(shapes: Sequence[_Shape]) -> _Shape:
    """The kind of each column over all batches."""
    common = []
    for kinds in zip(*shapes, strict=True):
        found = set(kinds) - {"nothing"}
        if len(found) <= 1:
            common.append(found.pop() if found else "text")
        elif found == {"integer", "number"}:
            common.append("number")
        else:
            common.append("text")
    return tuple(common)


_SQL = {
    "boolean": "BOOLEAN",
    "integer": "BIGINT",
    "number": "DOUBLE",
    "date": "DATE",
    "datetime": "TIMESTAMP",
    "instant": "TIMESTAMPTZ",
    "text": "VARCHAR",
}


def _scan(shapes: _Shapes, common: _Shape, names: Sequence[str], *, with_numbers: bool) -> str:
    """The SQL that reads all files, each column as the kind that holds all its values."""

    def named(name: str) -> str:
        return '"' + name.replace('"', '""') + '"'

    # of columns of one name the first counts, as in a CSV file
    first = [i for i, name in enumerate(names) if name not in names[:i]]
    columns = ", ".join(f"CAST(c{i} AS {_SQL[common[i]]}) AS {named(names[i])}" for i in first)
    parts = []
    for files in shapes.values():
        if with_numbers:
            parts += [
                f"SELECT {columns}, file_row_number + {before + 1} AS {ROW} "
                f"FROM read_parquet({quoted([path])}, file_row_number = true)"
                for path, before in files
            ]
        else:
            paths = quoted([path for path, _ in files])
            parts.append(f"SELECT {columns} FROM read_parquet({paths})")
    return " UNION ALL ".join(parts)


def _show(rejected: Frame) -> Any:
    return plainly_named(rejected.sort(ROW)).to_native().to_arrow_table().to_pandas()
