"""Reading and upserting, on a real PostgreSQL server, SQLite and DuckDB."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import pyarrow as pa
import pytest
import sqlalchemy as sa

import clv
from clv import databases
from clv.errors import DatabaseError, MissingColumnError, StorageError, UnreadableFileError

DAY = dt.date(2024, 1, 31)
NASTY = 'my "daily" table; DROP'
KEY = ("customer id", "as_of")


@pytest.fixture(params=["postgresql", "sqlite", "duckdb"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty database of each kind."""
    if request.param != "postgresql":
        yield f"{request.param}:///{tmp_path}/a.db"
        return
    server = request.getfixturevalue("postgres")
    yield server
    with databases.open_database(server, write=True) as engine, engine.begin() as connection:
        connection.exec_driver_sql(
            "DROP SCHEMA public CASCADE; CREATE SCHEMA public; "
            "GRANT USAGE ON SCHEMA public TO PUBLIC"
        )


def forecast(run: str, *customers: str, value: float = 1.5) -> pa.Table:
    n = len(customers)
    return pa.table(
        {
            "customer id": list(customers),
            "as_of": [DAY] * n,
            'val"ue %': [value] * n,
            "missing": [float("nan")] * n,
            "run": [run] * n,
        }
    )


def rows(url: str, table: str = NASTY) -> list[tuple[object, ...]]:
    with databases.read_rows(url, table=table) as found:
        everything = [tuple(row) for batch in found.batches for row in batch]
    # SQLite keeps days as texts
    plain = [tuple(str(v) if isinstance(v, dt.date) else v for v in row) for row in everything]
    return sorted(plain, key=str)


def test_the_upsert_run_twice_gives_the_same_table(url: str) -> None:
    made = databases.upsert(url, forecast("a", "x", "y"), table=NASTY, key=KEY)
    assert made == (2, 0, True)
    once = rows(url)
    assert once == [
        ("x", "2024-01-31", 1.5, None, "a"),
        ("y", "2024-01-31", 1.5, None, "a"),
    ]
    again = databases.upsert(url, forecast("a", "x", "y"), table=NASTY, key=KEY)
    assert again == (2, 0, False)
    assert rows(url) == once


def test_another_run_of_the_same_day_leaves_nothing_of_the_first(url: str) -> None:
    for run, customers in (("a", ("x", "y")), ("b", ("y", "z"))):
        written = databases.upsert(
            url,
            forecast(run, *customers, value=len(run) + 1.0),
            table=NASTY,
            key=KEY,
            whole={"as_of": DAY},
            mark="run",
        )
    assert written.removed == 1
    assert [(row[0], row[4]) for row in rows(url)] == [("y", "b"), ("z", "b")]


def test_a_table_is_never_widened(url: str) -> None:
    databases.upsert(url, forecast("a", "x"), table=NASTY, key=KEY)
    before = rows(url)
    wider = forecast("b", "x").append_column("tier", pa.array(["gold"]))
    with pytest.raises(StorageError, match=r"no column 'tier'.*ALTER TABLE .* ADD COLUMN tier"):
        databases.upsert(url, wider, table=NASTY, key=KEY)
    assert rows(url) == before


def test_columns_that_only_the_table_has_are_left_alone(url: str) -> None:
    with databases.open_database(url, write=True) as engine, engine.begin() as connection:
        connection.exec_driver_sql(
            "CREATE TABLE kept (id VARCHAR(9) PRIMARY KEY, note VARCHAR(9), value DOUBLE PRECISION)"
        )
        connection.exec_driver_sql("INSERT INTO kept VALUES ('x', 'vip', 1)")
    databases.upsert(url, pa.table({"id": ["x"], "value": [2.0]}), table="kept", key=["id"])
    assert rows(url, "kept") == [("x", "vip", 2.0)]


@pytest.mark.parametrize(
    ("definition", "message"),
    [
        ("id VARCHAR(9), value DOUBLE PRECISION", "no primary key or unique index"),
        ("id INTEGER PRIMARY KEY, value DOUBLE PRECISION", "of type INTEGER|of type BIGINT"),
        ("id VARCHAR(9) PRIMARY KEY, value INTEGER", "'value' .* of type"),
    ],
)
def test_a_table_that_does_not_fit_is_refused(url: str, definition: str, message: str) -> None:
    with databases.open_database(url, write=True) as engine, engine.begin() as connection:
        connection.exec_driver_sql(f"CREATE TABLE other ({definition})")
    frame = pa.table({"id": ["x"], "value": [2.5]})
    with pytest.raises(StorageError, match=message):
        databases.upsert(url, frame, table="other", key=["id"])
    with pytest.raises(StorageError, match=message):
        databases.can_write(url, frame.schema, table="other", key=["id"])
    assert rows(url, "other") == []


def test_an_upsert_that_fails_half_way_leaves_the_table_as_it_was(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    databases.upsert(url, forecast("a", "x", "y"), table=NASTY, key=KEY)
    before = rows(url)
    monkeypatch.setattr("clv.databases._write.BATCH", 1)
    bad = pa.table(forecast("b", "x", "y", value=9.0)).set_column(
        0, "customer id", pa.array(["x", None])
    )
    with pytest.raises(StorageError, match="nothing was written"):
        databases.upsert(url, bad, table=NASTY, key=KEY)
    assert rows(url) == before


def test_transactions_from_a_table_and_from_a_query(url: str) -> None:
    orders = pa.table(
        {
            'cust"omer': ["007", "8", None, "8"],
            "the day": [dt.date(2024, 1, 1), dt.date(2024, 1, 8), DAY, dt.date(2024, 2, 8)],
            "total": [10.0, 2.5, 3.0, -1.0],
            "line": [1, 2, 3, 4],
            "secret": ["s"] * 4,
        }
    )
    databases.upsert(url, orders, table="the orders", key=["line"])
    columns = {"customer_id": 'cust"omer', "date": "the day", "amount": "total"}
    found = clv.read_transactions(url, table="the orders", **columns)
    assert (found.quality.rows, found.quality.used, found.quality.refund_rows) == (4, 3, 1)
    assert list(found.rejected.columns) == ["row", 'cust"omer', "the day", "total", "reason"]
    rfm = clv.rfm_summary(found, observation_period_end="2024-02-29")
    assert rfm.to_pandas()["customer_id"].tolist() == ["007", "8"]

    query = 'SELECT * FROM "the orders" WHERE "the day" <= :as_of'
    known = clv.read_transactions(url, query=query, parameters={"as_of": DAY}, **columns)
    assert known.quality.rows == 3


def test_colons_in_a_query_are_left_alone(postgres: str) -> None:
    query = "SELECT '12:30:00'::time::text, ':x', 'a:b', :as_of::text, 7 % 4"
    with databases.read_rows(postgres, query=query, parameters={"as_of": DAY}) as found:
        (row,) = next(iter(found.batches))
    assert tuple(row) == ("12:30:00", ":x", "a:b", "2024-01-31", 3)


def test_values_of_changing_kinds_are_read_as_what_holds_them_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite does not mind what a column holds; another batch may look different."""
    url = f"sqlite:///{tmp_path}/a.db"
    values = [(1, "2024-01-01", 1), ("x", "2024-01-02", 2.5), (None, "2024-01-03", None)]
    with databases.open_database(url, write=True) as engine, engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE orders (customer_id, date, amount)")
        connection.exec_driver_sql("INSERT INTO orders VALUES (?, ?, ?)", values)
    with databases.read_rows(url, table="orders", batch=1) as found:
        assert len(list(found.batches)) == 3
    monkeypatch.setattr(
        "clv.tables._database_source.read_rows",
        lambda *a, **k: databases.read_rows(*a, **k, batch=1),
    )
    read = clv.read_transactions(url, table="orders")
    assert read.quality.used == 2
    assert sorted(read.lines.collect().to_native()["customer_id"].to_pylist()) == ["1", "x"]
    assert read.rejected["row"].tolist() == [3]


def test_kinds_that_only_databases_have(postgres: str) -> None:
    query = (
        "SELECT '12345678-1234-5678-1234-567812345678'::uuid AS customer_id, "
        "'2024-01-31 23:30:00+00'::timestamptz AS date, 12.50::numeric(10, 2) AS amount"
    )
    read = clv.read_transactions(postgres, query=query, timezone="Asia/Tehran")
    (row,) = read.lines.collect().to_native().to_pylist()
    assert row["customer_id"] == str(UUID("12345678-1234-5678-1234-567812345678"))
    assert row["amount"] == float(Decimal("12.5"))
    assert dt.date(1970, 1, 1) + dt.timedelta(row["day"]) == dt.date(2024, 2, 1)


def test_what_is_not_there_is_named(url: str) -> None:
    databases.upsert(url, pa.table({"a": [1], "b": [2.0]}), table="orders", key=["a"])
    with pytest.raises(DatabaseError, match="no table 'order'; did you mean 'orders'"):
        clv.read_transactions(url, table="order")
    with pytest.raises(MissingColumnError, match=r"'customer_id'.*it has 'a', 'b'"):
        clv.read_transactions(url, table="orders")
    with pytest.raises(UnreadableFileError, match="has no rows"):
        clv.read_transactions(url, query="SELECT a AS customer_id FROM orders WHERE a > 9")
    with pytest.raises(DatabaseError, match="name a table, or give a query"):
        clv.read_transactions(url)
    with pytest.raises(DatabaseError, match="nonsense"):
        clv.read_transactions(url, query="SELECT nonsense FROM orders")


def test_duckdb_prints_no_progress(tmp_path: Path) -> None:
    url = f"duckdb:///{tmp_path}/a.db"
    databases.upsert(url, pa.table({"a": [1]}), table="t", key=["a"])
    query = "SELECT value FROM duckdb_settings() WHERE name = 'enable_progress_bar'"
    with databases.read_rows(url, query=query) as found:
        assert [tuple(row) for row in next(iter(found.batches))] == [("false",)]


def test_a_database_file_that_is_not_there_is_not_created(tmp_path: Path) -> None:
    for kind in ("sqlite", "duckdb"):
        with pytest.raises(DatabaseError, match="there is no file"):
            clv.read_transactions(f"{kind}:///{tmp_path}/none.db", table="orders")
    assert list(tmp_path.iterdir()) == []


def test_a_password_is_never_shown() -> None:
    url = "postgresql://ann:top-secret@127.0.0.1:1/shop"
    with pytest.raises(DatabaseError) as caught:
        clv.read_transactions(url, table="orders")
    assert "top-secret" not in str(caught.value)
    assert "ann:***@127.0.0.1" in str(caught.value)
    with pytest.raises(StorageError) as caught_writing:
        databases.upsert(url, pa.table({"a": [1]}), table="t", key=["a"])
    assert "top-secret" not in str(caught_writing.value)


@pytest.mark.parametrize(
    ("url", "message"),
    [("nosuch://a/b", "knows no database of this kind"), ("postgresql://:x:y", "is no URL")],
)
def test_a_url_that_is_none(url: str, message: str) -> None:
    with pytest.raises(DatabaseError, match=message):
        clv.read_transactions(url, table="orders")


def test_table_belongs_to_databases_only() -> None:
    with pytest.raises(ValueError, match="are of databases"):
        clv.read_transactions("orders.csv", table="orders")


def test_a_user_who_may_only_read_gets_one_message(postgres: str) -> None:
    with databases.open_database(postgres, write=True) as engine, engine.begin() as connection:
        connection.exec_driver_sql("DROP ROLE IF EXISTS reader")
        connection.exec_driver_sql("CREATE ROLE reader LOGIN")
        connection.exec_driver_sql("CREATE TABLE ours (a BIGINT PRIMARY KEY, b BIGINT)")
        connection.exec_driver_sql("GRANT SELECT ON ours TO reader")
    reader = postgres.replace("postgres:@", "reader:@")
    frame = pa.table({"a": [1], "b": [2]})
    for table, said in (("ours", "permission denied for table ours"), ("new", "permission denied")):
        with pytest.raises(StorageError) as caught:
            databases.upsert(reader, frame, table=table, key=["a"])
        assert said in str(caught.value)
        assert "must be allowed to select, insert" in str(caught.value)
        assert "\n" not in str(caught.value)
    assert rows(reader, "ours") == []
    with databases.open_database(postgres, write=True) as engine, engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE ours; DROP ROLE reader")


DYING = """
import os, sys
import pyarrow as pa
from clv.databases import _write
batches = _write._batches
def dying(frame):
    for number, batch in enumerate(batches(frame)):
        if number == 2:
            os.kill(os.getpid(), 9)
        yield batch
_write._batches, _write.BATCH = dying, 100
frame = pa.table({"id": list(range(1000)), "value": [2.0] * 1000})
_write.upsert(sys.argv[1], frame, table="dying", key=["id"])
"""


def test_a_writer_that_is_killed_leaves_the_table_untouched(url: str) -> None:
    frame = pa.table({"id": [1, 2000], "value": [1.0, 1.0]})
    databases.upsert(url, frame, table="dying", key=["id"])
    done = subprocess.run([sys.executable, "-c", DYING, url], capture_output=True, check=False)
    assert done.returncode == -9, done.stderr
    assert rows(url, "dying") == [(1, 1.0), (2000, 1.0)]


STREAM = """
import resource, sys
import clv
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
transactions = clv.read_transactions(sys.argv[1], table="many lines")
rfm = clv.rfm_summary(transactions, observation_period_end="2024-12-31")
print(transactions.quality.used, len(rfm), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.parametrize(
    "lines", [50_000, pytest.param(1_000_000, marks=pytest.mark.slow)], ids=["small", "million"]
)
def test_order_lines_are_streamed_in_little_memory(postgres: str, lines: int) -> None:
    with databases.open_database(postgres, write=True) as engine, engine.begin() as connection:
        connection.execute(
            sa.text(
                'CREATE TABLE "many lines" AS SELECT '
                "'C' || (random() * :n / 10)::int AS customer_id, "
                "date '2023-01-01' + (random() * 700)::int AS date, "
                "(random() * 100)::numeric(10, 2) AS amount FROM generate_series(1, :n)"
            ),
            {"n": lines},
        )
    try:
        done = subprocess.run(
            [sys.executable, "-c", STREAM, postgres], capture_output=True, text=True, check=True
        )
    finally:
        with databases.open_database(postgres, write=True) as engine, engine.begin() as connection:
            connection.exec_driver_sql('DROP TABLE "many lines"')
    used, customers, kilobytes = map(int, done.stdout.split())
    assert used == lines
    assert customers > lines / 11
    assert kilobytes < 1_000_000, f"{kilobytes / 1e6:.2f} GB"
