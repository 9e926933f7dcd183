"""A table upserted in one transaction: there whole, or as it was."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from clv.databases._connect import absent_file, is_url, label_of, open_database, reason_of
from clv.databases._tables import columns_of, keys_of
from clv.errors import DatabaseError, StorageError

if TYPE_CHECKING:
    import pyarrow as pa
    import sqlalchemy as sa

BATCH = 5_000
"""Rows that are turned into Python objects at once."""

#: Databases that know INSERT ... ON CONFLICT.
_ON_CONFLICT = ("postgresql", "sqlite", "duckdb")


class Written(NamedTuple):
    """What became of a table: rows upserted, rows removed, and whether it was made just now."""

    rows: int
    removed: int
    created: bool


def upsert(
    source: Any,
    frame: pa.Table,
    *,
    table: str,
    key: Sequence[str],
    schema: str | None = None,
    whole: Mapping[str, Any] | None = None,
    mark: str | None = None,
) -> Written:
    """Insert rows, or update those whose key is there already, in one transaction.

    The table is created, with `key` as its primary key, when it is not there. It is never changed:
    a column that it lacks is an error. Columns that only it has are left alone.

    Parameters
    ----------
    source
        URL or engine.
    frame
        The rows; not-a-number becomes NULL.
    table, schema
        Taken literally: quotes and spaces are safe.
    key
        Columns that tell rows apart.
    whole, mark
        With both, rows that agree with `whole` (column to value) but have another value of the
        column `mark` than the frame's first row are removed in the same transaction: what an
        earlier run has left of the same day.

    Raises
    ------
    StorageError
        If nothing was written, and why.
    """
    import sqlalchemy as sa

    with _explained(source, table), open_database(source, write=True) as engine:
        with engine.begin() as connection:
            target, created = _target(connection, frame.schema, table, schema, key)
            statements = _statements(connection, target, frame.schema.names, key)
            for rows in _batches(frame):
                for statement in statements:
                    connection.execute(statement, rows)
            removed = 0
            if whole and mark and frame.num_rows:
                column, value = target.c[mark], frame[mark][0].as_py()
                stale = sa.and_(
                    *(target.c[name] == kept for name, kept in whole.items()),
                    sa.or_(column.is_(None), column != value),
                )
                removed = connection.execute(sa.delete(target).where(stale)).rowcount
        return Written(frame.num_rows, max(removed, 0), created)


def can_write(
    source: Any,
    shape: pa.Schema,
    *,
    table: str,
    key: Sequence[str],
    schema: str | None = None,
) -> bool:
    """Whether the table is there, after seeing that a frame of this shape would fit into it.

    Nothing is written, so a missing privilege may still show only when something is.

    Raises
    ------
    StorageError
        If it would not.
    """
    import sqlalchemy as sa

    if is_url(source) and absent_file(sa.make_url(source)) is not None:
        return False
    with (
        _explained(source, table),
        open_database(source) as engine,
        engine.connect() as connection,
    ):
        there = columns_of(connection, table, schema)
        if there:
            _check_fits(connection, _declared(shape, table, schema, key), there, key)
        return bool(there)


@contextmanager
def _explained(source: Any, table: str) -> Iterator[None]:
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except SQLAlchemyError as error:
        raise StorageError(
            f"{label_of(source)}: nothing was written to the table {table!r}: "
            f"{reason_of(error, source)}. The user of the database must be allowed to select, "
            "insert, update and delete there, and to create it if it is not there"
        ) from error
    except DatabaseError as error:
        raise StorageError(f"nothing was written to the table {table!r}: {error}") from error


# --- the table ---------------------------------------------------------------------------------


def _target(
    connection: sa.Connection,
    shape: pa.Schema,
    name: str,
    schema: str | None,
    key: Sequence[str],
) -> tuple[sa.Table, bool]:
    declared = _declared(shape, name, schema, key)
    there = columns_of(connection, name, schema)
    if there:
        _check_fits(connection, declared, there, key)
        return declared, False
    declared.create(connection)
    return declared, True


def _declared(shape: pa.Schema, name: str, schema: str | None, key: Sequence[str]) -> sa.Table:
    import sqlalchemy as sa

    columns = [
        sa.Column(
            field.name,
            _sql_type(field.type),
            primary_key=field.name in key,
            nullable=field.name not in key,
            autoincrement=False,
        )
        for field in shape
    ]
    return sa.Table(name, sa.MetaData(), *columns, schema=schema)


def _sql_type(kind: pa.DataType) -> sa.types.TypeEngine[Any]:
    import pyarrow.types as kinds
    import sqlalchemy as sa

    if kinds.is_boolean(kind):
        return sa.Boolean()
    if kinds.is_integer(kind):
        return sa.BigInteger()
    if kinds.is_floating(kind) or kinds.is_decimal(kind):
        return sa.Double()
    if kinds.is_date(kind):
        return sa.Date()
    if kinds.is_timestamp(kind):
        return sa.DateTime(timezone=kind.tz is not None)
    # these want a length before a text may be a key
    short = sa.String(255)
    return sa.Text().with_variant(short, "mysql", "mariadb", "mssql", "oracle")


def _check_fits(
    connection: sa.Connection,
    declared: sa.Table,
    there: Mapping[str, sa.types.TypeEngine[Any]],
    key: Sequence[str],
) -> None:
    """See that an existing table has our columns, of our kinds, and tells rows apart by our key."""
    missing = [column for column in declared.columns if column.name not in there]
    if missing:
        quote = connection.dialect.identifier_preparer.quote
        orders = ", ".join(
            f"ADD COLUMN {quote(column.name)} {column.type.compile(connection.dialect)}"
            for column in missing
        )
        raise StorageError(
            f"the table {declared.name!r} has no column "
            f"{', '.join(repr(column.name) for column in missing)}, and tables are never widened "
            f"silently; run ALTER TABLE {quote(declared.name)} {orders}, or name another table"
        )
    for column in declared.columns:
        if not _holds(there[column.name], column.type):
            raise StorageError(
                f"the column {column.name!r} of the table {declared.name!r} is of type "
                f"{there[column.name]!s} and would have to take {column.type!s}; name another table"
            )
    if set(key) not in keys_of(connection, declared.name, declared.schema):
        raise StorageError(
            f"the table {declared.name!r} has no primary key or unique index on "
            f"({', '.join(key)}), so rows cannot be told apart; create one, or name another table"
        )


def _holds(theirs: sa.types.TypeEngine[Any], ours: sa.types.TypeEngine[Any]) -> bool:
    """Whether a column of one type takes values of another; unknown types are given a try."""
    import sqlalchemy as sa

    numbers = (sa.Integer, sa.Numeric, sa.Float)
    if isinstance(ours, sa.String):
        return not isinstance(theirs, (*numbers, sa.Date, sa.DateTime, sa.Boolean))
    if isinstance(ours, sa.Integer):
        return not isinstance(theirs, (sa.String, sa.Date, sa.DateTime, sa.Boolean))
    if isinstance(ours, numbers):
        return not isinstance(theirs, (sa.Integer, sa.String, sa.Date, sa.DateTime, sa.Boolean))
    if isinstance(ours, sa.Date):
        return not isinstance(theirs, (*numbers, sa.String, sa.Boolean))
    return True


# --- the rows ----------------------------------------------------------------------------------


def _statements(
    connection: sa.Connection, target: sa.Table, names: Sequence[str], key: Sequence[str]
) -> list[Any]:
    """What is executed for every batch; parameters go by number, whatever columns are called."""
    import sqlalchemy as sa

    values: dict[str, Any] = {name: sa.bindparam(f"c{number}") for number, name in enumerate(names)}
    dialect = connection.dialect.name
    if dialect not in _ON_CONFLICT:
        same = sa.and_(*(target.c[name] == values[name] for name in key))
        return [sa.delete(target).where(same), sa.insert(target).values(values)]
    from sqlalchemy.dialects import postgresql, sqlite

    # DuckDB speaks PostgreSQL's dialect here
    insert: Any = sqlite.insert if dialect == "sqlite" else postgresql.insert
    statement = insert(target).values(values)
    others = {name: statement.excluded[name] for name in names if name not in key}
    columns = list(key)
    if not others:
        return [statement.on_conflict_do_nothing(index_elements=columns)]
    return [statement.on_conflict_do_update(index_elements=columns, set_=others)]


def _batches(frame: pa.Table) -> Iterator[list[dict[str, Any]]]:
    plain = frame.rename_columns([f"c{number}" for number in range(frame.num_columns)])
    for batch in plain.to_batches(max_chunksize=BATCH):
        yield [{name: _value(value) for name, value in row.items()} for row in batch.to_pylist()]


def _value(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
