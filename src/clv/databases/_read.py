"""A table or a query, a batch of rows at a time."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from clv.databases._connect import label_of, open_database, reason_of
from clv.databases._tables import columns_of, tables_of
from clv.errors import DatabaseError, MissingColumnError

if TYPE_CHECKING:
    import sqlalchemy as sa

BATCH = 50_000
"""Rows in memory at a time."""


@dataclass(frozen=True)
class Rows:
    """What a statement gives.

    Attributes
    ----------
    names
        Of the columns.
    batches
        Lists of rows, each a sequence with a value per column.
    """

    names: tuple[str, ...]
    batches: Iterator[Sequence[Sequence[Any]]]


@contextmanager
def read_rows(
    source: Any,
    *,
    table: str | None = None,
    query: str | None = None,
    schema: str | None = None,
    columns: Sequence[str] | None = None,
    parameters: Mapping[str, Any] | None = None,
    batch: int = BATCH,
) -> Iterator[Rows]:
    """Run one statement, and give its rows a batch at a time: memory does not grow with them.

    Parameters
    ----------
    source
        URL or engine.
    table, schema
        Name of a table or view, taken literally: quotes and spaces are safe.
    columns
        Which of its columns; by default all.
    query
        Instead of a table: one SELECT.
    parameters
        Values for names such as ``:as_of`` in the query. A colon before any other word is left
        as it is written.
    batch
        Rows at a time.

    Raises
    ------
    DatabaseError
        If the database cannot be reached or does not allow it; the message is its own first line.
    MissingColumnError
        If the table lacks a column.
    """
    if (table is None) == (query is None):
        raise DatabaseError(f"{label_of(source)}: name a table, or give a query (one of them)")
    import sqlalchemy as sa

    with open_database(source) as engine, explained(source):
        statement = (
            _of_table(engine, table, schema, columns)
            if table is not None
            else _of_query(query or "", parameters or {})
        )
        with engine.connect() as connection:
            streamed = connection.execution_options(stream_results=True, yield_per=batch)
            try:
                result = streamed.execute(statement)
            except sa.exc.ResourceClosedError:
                result = None
            if result is None or not result.returns_rows:
                raise DatabaseError(f"{label_of(source)}: the query gives no rows; use a SELECT")
            yield Rows(tuple(result.keys()), result.partitions(batch))


@contextmanager
def explained(source: Any) -> Iterator[None]:
    """Turn what SQLAlchemy and the driver say into one line of ours."""
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except SQLAlchemyError as error:
        raise DatabaseError(f"{label_of(source)}: {reason_of(error, source)}") from error


def _of_table(
    engine: sa.Engine, name: str, schema: str | None, columns: Sequence[str] | None
) -> Any:
    import sqlalchemy as sa

    with engine.connect() as connection:
        found = list(columns_of(connection, name, schema))
        if not found:
            near = difflib.get_close_matches(name, tables_of(connection, schema), n=1)
            raise DatabaseError(
                f"{label_of(engine)}: there is no table {name!r}"
                + ("" if schema is None else f" in the schema {schema!r}")
                + (f"; did you mean {near[0]!r}?" if near else "")
            )
    wanted = found if columns is None else list(dict.fromkeys(columns))
    missing = [column for column in wanted if column not in found]
    if missing:
        raise MissingColumnError(
            f"the table {name!r} has no column {', '.join(map(repr, missing))}; it has "
            f"{', '.join(map(repr, found))}"
        )
    return sa.select(*(sa.column(column) for column in wanted)).select_from(
        sa.table(name, schema=schema)
    )


def _of_query(query: str, parameters: Mapping[str, Any]) -> sa.TextClause:
    """The query with only our parameters in it; casts (::date) and times (12:30) stay."""
    import sqlalchemy as sa

    names = "|".join(map(re.escape, parameters)) or "(?!)"
    literal = re.sub(rf"(?<!:):(?!(?:{names})\b)|(?<=:):", r"\\:", query)
    used = {name: value for name, value in parameters.items() if _uses(query, name)}
    return sa.text(literal).bindparams(**used)


def _uses(query: str, name: str) -> bool:
    return re.search(rf"(?<!:):{re.escape(name)}\b", query) is not None
