"""Opening a database, and saying in one line what is wrong with it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clv.errors import DatabaseError

if TYPE_CHECKING:
    import sqlalchemy as sa

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*://")

#: Seconds to wait for a server that does not answer.
_PATIENCE = 15


def is_url(source: Any) -> bool:
    """Whether a text names a database rather than a file.

    Examples
    --------
    >>> is_url("postgresql://db/shop"), is_url("orders.csv"), is_url("C:/orders.csv")
    (True, False, False)
    """
    return isinstance(source, str) and _URL.match(source) is not None


def is_database(source: Any) -> bool:
    """Whether this is a URL of a database, as text or SQLAlchemy's, or an engine of SQLAlchemy."""
    kind = type(source)
    ours = kind.__module__.startswith("sqlalchemy.") and kind.__name__ in ("Engine", "URL")
    return ours or is_url(source)


def label_of(source: Any) -> str:
    """What to call a database in messages: its URL without the password.

    Examples
    --------
    >>> label_of("postgresql://ann:secret@db/shop")
    'postgresql://ann:***@db/shop'
    """
    url = getattr(source, "url", source)
    if not isinstance(url, str):
        return str(url.render_as_string(hide_password=True))
    return re.sub(r"(://[^:/@]*):.*@", r"\1:***@", url)


@contextmanager
def open_database(source: Any, *, write: bool = False) -> Iterator[sa.Engine]:
    """An engine for a URL, closed afterwards; an engine is given back as it is, and stays open.

    Raises
    ------
    DatabaseError
        If SQLAlchemy or a driver is missing, the URL is none, or the database is a file that is
        not there (a database that is read is never created).
    """
    try:
        import sqlalchemy as sa
    except ModuleNotFoundError as error:
        raise DatabaseError(
            'databases need one more package; run: pip install "predictive-clv[sql]"'
        ) from error
    if isinstance(source, sa.Engine):
        yield source
        return
    engine = _engine(source, write)
    try:
        yield engine
    finally:
        engine.dispose()


def _engine(source: Any, write: bool) -> sa.Engine:
    import sqlalchemy as sa

    text = re.sub(r"^postgres://", "postgresql://", source) if isinstance(source, str) else source
    label = label_of(source)
    try:
        url = sa.make_url(text)
    except (sa.exc.ArgumentError, ValueError) as error:
        raise DatabaseError(
            f"{label} is no URL of a database; it should look like "
            "postgresql://user:password@host/database or sqlite:///folder/file.db"
        ) from error
    try:
        backend = url.get_backend_name()
        options = {} if backend in ("sqlite", "duckdb") else {"pool_pre_ping": True}
        arguments: dict[str, Any] = {}
        if backend == "postgresql":
            arguments["connect_timeout"] = _PATIENCE
        # connecting would create an empty file, and then complain that it has no table
        if not write and (name := absent_file(url)) is not None:
            raise DatabaseError(f"{label}: there is no file {name!r}")
        if not write and backend == "duckdb" and url.database not in (None, "", ":memory:"):
            arguments["read_only"] = True
        engine = sa.create_engine(url, connect_args=arguments, **options)
    except sa.exc.NoSuchModuleError as error:
        raise DatabaseError(
            f"{label}: SQLAlchemy knows no database of this kind. Known are postgresql, sqlite and "
            "duckdb, and others once their driver is installed"
        ) from error
    except ModuleNotFoundError as error:
        raise DatabaseError(
            f"{label}: the driver {error.name} is not installed; run: pip install {error.name}"
        ) from error
    if engine.dialect.name == "sqlite":
        _begin_for_real(engine, write)
    if engine.dialect.name == "duckdb":
        _print_nothing(engine)
    return engine


def absent_file(url: sa.URL) -> str | None:
    """The file of a database in a file, if it is not there yet."""
    name = url.database
    if url.get_backend_name() not in ("sqlite", "duckdb"):
        return None
    if not name or name == ":memory:" or name.startswith("file:") or Path(name).is_file():
        return None
    return name


def _begin_for_real(engine: sa.Engine, write: bool) -> None:
    """Python's driver of SQLite starts no transaction before tables are created; we do."""
    import sqlalchemy as sa

    @sa.event.listens_for(engine, "connect")
    def _(connection: Any, _: Any) -> None:
        connection.isolation_level = None

    @sa.event.listens_for(engine, "begin")
    def _(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


def _print_nothing(engine: sa.Engine) -> None:
    """After two seconds DuckDB would print its progress on standard output.

    Where it does not, as in Jupyter without widgets, it refuses even to be told so.
    """
    import sqlalchemy as sa

    @sa.event.listens_for(engine, "begin")
    def _(connection: sa.Connection) -> None:
        shows = connection.exec_driver_sql("SELECT current_setting('enable_progress_bar')").scalar()
        if shows:
            connection.exec_driver_sql("SET enable_progress_bar = false")


def reason_of(error: Exception, source: Any) -> str:
    """The first line of what the database said, without the statement and without a password."""
    said = getattr(error, "orig", None) or error
    lines = [line.strip() for line in str(said).splitlines() if line.strip()]
    text = lines[0] if lines else type(said).__name__
    password = getattr(getattr(source, "url", None), "password", None)
    if password is None and isinstance(source, str):
        found = re.search(r"://[^:/@]*:(.*)@", source)
        password = found.group(1) if found else None
    return text.replace(str(password), "***") if password else text
