"""Files of the command line: whole or not at all, and nothing a spreadsheet would run."""

from __future__ import annotations

import csv
import json
import stat
from datetime import date
from pathlib import Path
from typing import Any

import openpyxl
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from clv.cli import writing
from clv.cli.console import printable

NASTY = [
    *("=1+1", "+49", "-5", "@you", "\tx", "\rx", "\nx", "'quoted", "＝1"),
    *('a,"b"\nc', "سلام‌", "007", ""),
]
COLUMNS = ["customer_id", "value", "count", "day"]


def table() -> pa.Table:
    n = len(NASTY)
    return pa.table(
        {
            "customer_id": NASTY,
            "value": [-1.5, float("inf"), None, *range(n - 3)],
            "count": list(range(n)),
            "day": [date(2024, 2, 29), None, *([date(1998, 6, 30)] * (n - 2))],
        }
    )


def test_parquet_keeps_everything_as_it_is(tmp_path: Path) -> None:
    writing.write_table(table(), tmp_path / "t.parquet")
    assert pq.read_table(tmp_path / "t.parquet").equals(table())


def test_json_lines_hold_text_as_it_is_one_object_per_line(tmp_path: Path) -> None:
    breaks = pa.table(
        {"id": [*NASTY, "a\u2028b\x85c"], "x": [None, float("nan"), *range(len(NASTY) - 1)]}
    )
    writing.write_table(breaks, tmp_path / "t.jsonl")
    lines = (tmp_path / "t.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["id"] for line in lines] == [*NASTY, "a\u2028b\x85c"]
    assert [json.loads(line)["x"] for line in lines[:3]] == [None, None, 0.0]


def test_parquet_holds_no_pandas_metadata(tmp_path: Path) -> None:
    writing.write_table(pd.DataFrame({"a": [1]}, index=[7]), tmp_path / "t.parquet")
    assert pq.read_schema(tmp_path / "t.parquet").metadata is None


def test_csv_text_cannot_become_a_formula_and_comes_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    writing.write_table(table().rename_columns(["=id", *COLUMNS[1:]]), tmp_path / "t.csv")
    with (tmp_path / "t.csv").open(newline="", encoding="utf-8") as file:
        header, *rows = list(csv.reader(file))
    assert header == ["'=id", *COLUMNS[1:]]
    ids = [row[0] for row in rows]
    assert all(cell[:1] not in set("=+-@\t\r\n＝＋－＠") for cell in ids)
    assert [cell[1:] if cell.startswith("'") else cell for cell in ids] == NASTY
    assert rows[0][1:] == ["-1.5", "0", "2024-02-29"], "numbers and dates stay as they are"
    assert rows[2][1] == ""
    assert "9 cells of t.csv begin like a formula" in capsys.readouterr().err


def test_excel_text_is_text(tmp_path: Path) -> None:
    writing.write_table(table(), tmp_path / "t.xlsx")
    sheet = openpyxl.load_workbook(tmp_path / "t.xlsx").active
    assert sheet is not None
    rows = list(sheet.iter_rows(min_row=2))
    assert {cell.data_type for cell in (row[0] for row in rows) if cell.value is not None} == {"s"}
    found = [row[0].value or "" for row in rows]
    assert [text.replace("_x000D_", "\r") for text in found] == NASTY
    assert [cell.value for cell in rows[0][1:3]] == [-1.5, 0]
    assert rows[0][3].value.date() == date(2024, 2, 29)
    assert rows[1][1].value is None, "infinity is no number in Excel"


@pytest.mark.parametrize("ending", ["parquet", "csv", "xlsx", "jsonl"])
def test_a_failed_write_leaves_the_old_file_and_no_litter(
    tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / f"t.{ending}"
    path.write_text("old")

    def half(_: Any, scratch: Path) -> None:
        scratch.write_text("half")
        raise OSError(28, "No space left on device", str(scratch))

    monkeypatch.setitem(writing._WRITERS, f".{ending}", half)
    with pytest.raises(OSError, match="No space"):
        writing.write_table(table(), path)
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_files_can_be_read_by_whom_the_umask_allows(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("")
    writing.write_text("x", tmp_path / "t.txt")
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("plain", "t.txt")]
    assert modes[0] == modes[1]


@pytest.mark.parametrize("engine", ["pandas", "polars", "pyarrow", "duckdb"])
def test_tables_of_every_engine(tmp_path: Path, engine: str) -> None:
    frame: Any = pa.table({"a": ["x", "y"]})
    if engine == "pandas":
        frame = frame.to_pandas()
    elif engine == "polars":
        import polars as pl

        frame = pl.from_arrow(frame)
    elif engine == "duckdb":
        import duckdb

        frame = duckdb.connect().from_arrow(frame)
    writing.write_table(frame, tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_text().split() == ["a", '"x"', '"y"']


def test_text_that_a_terminal_would_obey_is_shown_not_obeyed() -> None:
    assert printable("a\x1b[31mb\r\n\u202ec") == "a\\x1b[31mb\\r\\n\\u202ec"
    assert printable("نیم‌فاصله é 日本") == "نیم‌فاصله é 日本"
