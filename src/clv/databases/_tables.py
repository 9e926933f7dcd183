"""What a table in a database looks like."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import sqlalchemy as sa


def columns_of(
    connection: sa.Connection, table: str, schema: str | None
) -> dict[str, sa.types.TypeEngine[Any]]:
    """Columns of a table or view and their types; empty if there is no such table."""
    import sqlalchemy as sa

    if connection.dialect.name == "duckdb":
        return _of_duckdb(connection, table, schema)
    try:
        found = sa.inspect(connection).get_columns(table, schema=schema)
    except sa.exc.NoSuchTableError:
        return {}
    return {column["name"]: column["type"] for column in found}


def tables_of(connection: sa.Connection, schema: str | None) -> list[str]:
    """Names of the tables and views."""
    import sqlalchemy as sa

    if connection.dialect.name == "duckdb":
        query = sa.text("SELECT DISTINCT table_name FROM information_schema.tables")
        return [str(name) for (name,) in connection.execute(query)]
    inspector = sa.inspect(connection)
    return [*inspector.get_table_names(schema=schema), *inspector.get_view_names(schema=schema)]


def keys_of(connection: sa.Connection, table: str, schema: str | None) -> list[set[str]]:
    """Sets of columns that tell the rows of a table apart."""
    import sqlalchemy as sa

    if connection.dialect.name == "duckdb":
        query = sa.text(
            "SELECT constraint_column_names FROM duckdb_constraints() "
            "WHERE table_name = :name AND schema_name = :schema "
            "AND constraint_type IN ('PRIMARY KEY', 'UNIQUE')"
        )
        given = {"name": table, "schema": schema or "main"}
        return [set(names) for (names,) in connection.execute(query, given)]
    inspector = sa.inspect(connection)
    keys = [set(inspector.get_pk_constraint(table, schema=schema)["constrained_columns"])]
    keys += [set(c["column_names"]) for c in inspector.get_unique_constraints(table, schema=schema)]
    indexes = [i for i in inspector.get_indexes(table, schema=schema) if i["unique"]]
    return keys + [{name for name in i["column_names"] if name} for i in indexes]


def _of_duckdb(
    connection: sa.Connection, table: str, schema: str | None
) -> dict[str, sa.types.TypeEngine[Any]]:
    """SQLAlchemy's own way asks for what PostgreSQL has and DuckDB has not."""
    import sqlalchemy as sa

    query = sa.text(
        "SELECT column_name, data_type FROM information_schema.columns "
        "WHERE table_name = :name AND table_schema = :schema ORDER BY ordinal_position"
    )
    given = {"name": table, "schema": schema or "main"}
    kinds: dict[str, sa.types.TypeEngine[Any]] = {
        "VARCHAR": sa.Text(),
        "DOUBLE": sa.Double(),
        "FLOAT": sa.Double(),
        "DECIMAL": sa.Numeric(),
        "DATE": sa.Date(),
        "TIMESTAMP": sa.DateTime(),
        "BOOLEAN": sa.Boolean(),
    }
    return {
        name: kinds.get(base, sa.BigInteger() if base.endswith("INT") else sa.types.NullType())
        for name, kind in connection.execute(query, given)
        for base in [re.split(r"[( ]", kind)[0].replace("INTEGER", "INT")]
    }
