"""Files that are not what their names say, and everything else that is no table."""

from __future__ import annotations

import gzip
import re
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
from table_sources import lines_of, rejected_of

import clv
from clv.errors import NoUsableRowsError, UnreadableFileError, UnsupportedFrameError

CSV = b"customer_id,date,amount\n1,2024-01-01,5\n"
TABLE = pa.table({"customer_id": [1], "date": ["2024-01-01"], "amount": [5.0]})


def parquet_bytes() -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(TABLE, sink)
    return sink.getvalue().to_pybytes()


def excel_bytes(folder: Path) -> bytes:
    TABLE.to_pandas().to_excel(folder / "book.xlsx")
    return (folder / "book.xlsx").read_bytes()


def feather_bytes(folder: Path) -> bytes:
    pyarrow.feather.write_feather(TABLE, folder / "x.feather")
    return (folder / "x.feather").read_bytes()


def sqlite_bytes(folder: Path) -> bytes:
    connection = sqlite3.connect(folder / "x.db")
    connection.execute("CREATE TABLE orders (a)")
    connection.close()
    return (folder / "x.db").read_bytes()


@pytest.mark.parametrize(
    ("name", "make", "message"),
    [
        (
            "x.parquet",
            CSV,
            "should be Parquet by its ending, but what it holds is text, perhaps CSV",
        ),
        ("x.csv", parquet_bytes, "should be CSV by its ending, but what it holds is Parquet"),
        ("x.csv", b"\n <!DOCTYPE html><html>", "but what it holds is an HTML or XML page"),
        ("x.csv", b"<?xml version='1.0'?>", "but what it holds is an HTML or XML page"),
        ("x.parquet", b"<html>", "should be Parquet .* an HTML or XML page"),
        ("x.csv", excel_bytes, "but what it holds is a zip archive or an Excel workbook"),
        ("x.parquet", excel_bytes, "but what it holds is a zip archive or an Excel workbook"),
        ("x.csv", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "but what it holds is an old Excel"),
        ("x.tsv", sqlite_bytes, "but what it holds is an SQLite database"),
        ("x.csv", feather_bytes, r"but what it holds is an Arrow \(Feather\) file"),
        ("x.csv", gzip.compress(CSV, mtime=0), "but what it holds is gzip-compressed data"),
        ("x.csv", b"%PDF-1.7", "but what it holds is a PDF document"),
        ("x.csv", b"a,b\x00\x01\x02,c\n", "but what it holds is binary data"),
        ("x.csv", b'{"customer_id": 1}', "but what it holds is JSON"),
        ("x.csv", b'[{"customer_id": 1}]', "but what it holds is JSON"),
        ("x.csv.gz", CSV, "should be gzip-compressed CSV by its ending, .* is not compressed"),
        ("x.csv.gz", gzip.compress(b"<html>", mtime=0), "should be CSV by .* an HTML or XML page"),
        ("x.csv.gz", gzip.compress(CSV, mtime=0)[:20], r"x\.csv\.gz' cannot be unpacked"),
        ("x.csv", b"", r"the file '.*x\.csv' is empty"),
        ("x.parquet", b"", r"the file '.*x\.parquet' is empty"),
        ("x.csv", b"\n\n  \n", "holds nothing but blank lines"),
        ("x.xlsx", excel_bytes, r"ends with '\.xlsx': read it with pandas\.read_excel and pass"),
        ("x.zip", excel_bytes, r"ends with '\.zip': unpack it first; read are CSV"),
        ("x.json", b"[]", r"ends with '\.json': read are CSV .* and Parquet"),
        ("orders", CSV, r"ends with '': read are CSV"),
    ],
)
def test_files_that_are_something_else(name: str, make: Any, message: str, tmp_path: Path) -> None:
    path = tmp_path / name
    if callable(make):
        make = make(tmp_path) if make.__code__.co_argcount else make()
    path.write_bytes(make)
    with pytest.raises(UnreadableFileError, match=message):
        clv.read_transactions(path)


@pytest.mark.parametrize("keep", [12, 200, -3])
def test_a_parquet_file_that_was_cut_off(keep: int, tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    path.write_bytes(parquet_bytes()[:keep])
    with pytest.raises(UnreadableFileError, match="is Parquet but its end is missing: it was cut"):
        clv.read_transactions(path)


def test_a_parquet_file_that_is_damaged_inside(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    rng = np.random.default_rng(0)
    table = pa.table(
        {
            "customer_id": rng.integers(0, 2**60, 50_000),
            "date": pa.array(np.full(50_000, "2024-01-01", "datetime64[D]")),
            "amount": rng.random(50_000),
        }
    )
    pq.write_table(table, path)
    amounts = pq.ParquetFile(path).metadata.row_group(0).column(2)
    start = amounts.dictionary_page_offset or amounts.data_page_offset
    data = bytearray(path.read_bytes())
    data[start : start + 3_000] = b"\xff" * 3_000
    path.write_bytes(bytes(data))
    with pytest.raises(UnreadableFileError, match=r"x\.parquet cannot be read; DuckDB says"):
        clv.read_transactions(path)
    path.write_bytes(b"PAR1" + bytes(100) + b"PAR1")
    with pytest.raises(UnreadableFileError, match=r"x\.parquet.* cannot be read"):
        clv.read_transactions(path)


def test_a_gzip_file_that_is_cut_off_later(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = b"".join(b"%d,2024-01-01,5\n" % number for number in rng.integers(0, 10**9, 50_000))
    path = tmp_path / "x.csv.gz"
    path.write_bytes(gzip.compress(CSV + rows)[:-1000])
    with pytest.raises(UnreadableFileError, match="cannot be unpacked to its end"):
        clv.read_transactions(path)


def test_paths_that_lead_nowhere(tmp_path: Path) -> None:
    (tmp_path / "orders.csv").write_bytes(CSV)
    with pytest.raises(UnreadableFileError, match=r"there is no file '.*order\.csv'; did you mean"):
        clv.read_transactions(tmp_path / "order.csv")
    with pytest.raises(UnreadableFileError, match=r"there is no file '.*missing/x\.csv'$"):
        clv.read_transactions(tmp_path / "missing" / "x.csv")
    with pytest.raises(UnreadableFileError, match=r"no file matches '.*\*\.parquet'"):
        clv.read_transactions(tmp_path / "*.parquet")


def test_folders(tmp_path: Path) -> None:
    empty = "the folder '.*' has no file that can be read; it holds nothing"
    with pytest.raises(UnreadableFileError, match=empty):
        clv.read_transactions(tmp_path)
    (tmp_path / "notes.md").write_text("x")
    (tmp_path / "_SUCCESS").write_text("")
    with pytest.raises(UnreadableFileError, match=r"it holds notes\.md\. Read are CSV"):
        clv.read_transactions(tmp_path)
    (tmp_path / "year=2024").mkdir()
    pq.write_table(TABLE, tmp_path / "year=2024" / "part.parquet")
    (tmp_path / ".hidden.parquet").write_bytes(b"x")
    transactions = clv.read_transactions(tmp_path)
    assert lines_of(transactions) == [(1, 19723, 5.0)]
    (tmp_path / "x.csv").write_bytes(CSV)
    with pytest.raises(
        UnreadableFileError, match="holds both CSV and Parquet files; name one kind"
    ):
        clv.read_transactions(tmp_path)


@pytest.mark.parametrize("name", ["a[1].csv", "it's.csv", "a b*c.csv", "ünï.csv", "x.CSV", "x.txt"])
def test_names_are_taken_literally(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(CSV + b"2,?,5\n")
    (tmp_path / "a1.csv").write_bytes(CSV)
    transactions = clv.read_transactions(str(tmp_path / name))
    assert lines_of(transactions) == [("1", 19723, 5.0)]
    assert len(rejected_of(transactions)) == 1
    path = (tmp_path / name).with_suffix(".parquet")
    pq.write_table(TABLE, path)
    assert lines_of(clv.read_transactions(path)) == [(1, 19723, 5.0)]


def test_parquet_files_of_different_columns_are_one_table(tmp_path: Path) -> None:
    pq.write_table(TABLE, tmp_path / "a.parquet")
    pq.write_table(TABLE.drop_columns(["amount"]), tmp_path / "b.parquet")
    pq.write_table(TABLE.select(["amount", "date", "customer_id"]), tmp_path / "c.parquet")
    transactions = clv.read_transactions(tmp_path)
    assert lines_of(transactions) == [(1, 19723, 5.0)] * 2
    (rejected,) = rejected_of(transactions)
    assert (Path(rejected["file"]).name, rejected["row"]) == ("b.parquet", 1)
    assert rejected["reason"] == "amount is missing"


def test_a_parquet_file_without_rows(tmp_path: Path) -> None:
    pq.write_table(TABLE.slice(0, 0), tmp_path / "x.parquet")
    with pytest.raises(NoUsableRowsError, match=r"the file .*x\.parquet has no rows"):
        clv.read_transactions(tmp_path / "x.parquet")


def test_a_bytes_path_and_a_path_object_are_paths(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes(CSV)
    assert len(clv.read_transactions(tmp_path / "x.csv")) == 1
    assert len(clv.read_transactions(str(tmp_path / "x.csv"))) == 1


@pytest.mark.parametrize(
    ("source", "name"),
    [
        (None, "NoneType"),
        ({"customer_id": [1]}, "dict"),
        ([{"customer_id": 1}], "list"),
        (np.zeros((2, 3)), "numpy.ndarray"),
        (pd.Series([1]), "pandas.Series"),
        (b"x.csv", "bytes"),
        (iter(()), "tuple_iterator"),
    ],
)
def test_other_objects_are_named_with_what_is_accepted(source: Any, name: str) -> None:
    accepted = re.escape(
        "give a path to CSV or Parquet (a file, a folder or a glob), the URL of a database, a "
        "pandas or Polars frame (eager or lazy), a PyArrow table, a DuckDB relation, or a Spark "
        "frame"
    )
    with pytest.raises(UnsupportedFrameError, match=f"type .*{name} cannot be read; {accepted}"):
        clv.read_transactions(source)
    with pytest.raises(TypeError):
        clv.read_transactions(source)


def test_a_frame_of_an_engine_that_is_not_known() -> None:
    class Frame:
        def __dataframe__(self) -> None: ...

    with pytest.raises(UnsupportedFrameError, match="Frame cannot be read; give a path"):
        clv.read_transactions(Frame())


def test_nothing_is_printed_however_long_it_takes() -> None:
    """DuckDB prints its progress on standard output unless it is told not to."""
    from clv.tables._file_sources import private_database

    connection, _ = private_database()
    query = "SELECT value FROM duckdb_settings() WHERE name = 'enable_progress_bar'"
    assert connection.sql(query).fetchall() == [("false",)]
