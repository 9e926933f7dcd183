"""Policies, messages, and how transactions show themselves."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import narwhals as nw
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from table_sources import ENGINES, lines_of, make_source, rejected_of

import clv
from clv.errors import DataError, MissingColumnError, NoUsableRowsError

ROWS = pa.table(
    {
        "customer_id": ["a", "a", "b", "b", None],
        "date": ["2024-01-01", "2024-01-02", "2024-01-03", "2024-01-04", "2024-01-05"],
        "amount": [10.0, -4.0, 0.0, 5.0, -1.0],
    }
)


@pytest.mark.parametrize("kind", [*ENGINES, "csv", "parquet"])
def test_refunds_and_zeros_are_kept_by_default(kind: str, tmp_path: Path) -> None:
    transactions = clv.read_transactions(make_source(kind, ROWS, tmp_path))
    assert [amount for *_, amount in lines_of(transactions)] == [10.0, -4.0, 0.0, 5.0]
    assert (transactions.refunds, transactions.zero_amounts) == ("net", "keep")
    assert (transactions.quality.refund_rows, transactions.quality.zero_rows) == (1, 1)


@pytest.mark.parametrize("kind", [*ENGINES, "csv", "parquet"])
def test_what_policies_drop_is_rejected_with_its_reason(kind: str, tmp_path: Path) -> None:
    source = make_source(kind, ROWS, tmp_path)
    transactions = clv.read_transactions(source, refunds="drop", zero_amounts="drop")
    assert [amount for *_, amount in lines_of(transactions)] == [10.0, 5.0]
    assert transactions.quality.reasons == {
        "refund (refunds='drop')": 1,
        "amount of zero (zero_amounts='drop')": 1,
        "customer_id is missing": 1,
    }
    assert [row["reason"] for row in rejected_of(transactions)][:2] == [
        "refund (refunds='drop')",
        "amount of zero (zero_amounts='drop')",
    ]
    quality = transactions.quality
    assert quality.rows == 5 == quality.used + quality.rejected
    assert (quality.refund_rows, quality.zero_rows) == (0, 0)


@pytest.mark.parametrize(
    ("kind", "where"), [("pandas", "row 2 "), ("csv", "row 3 "), ("duckdb", "the one with ")]
)
def test_refunds_can_be_an_error(kind: str, where: str, tmp_path: Path) -> None:
    source = make_source(kind, ROWS, tmp_path)
    with pytest.raises(DataError) as caught:
        clv.read_transactions(source, refunds="error")
    message = str(caught.value)
    assert message.startswith("refunds='error', and 1 row with a negative amount; the first is ")
    assert f"the first is {where}" in message
    assert "customer_id='a', date='2024-01-02', amount=" in message
    assert message.endswith("Use refunds='net' or refunds='drop'")


# --- messages -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [*ENGINES, "csv"])
def test_a_missing_column_is_named_with_what_there_is(kind: str, tmp_path: Path) -> None:
    table = ROWS.rename_columns(["CustomerID", "Invoice Date", "total"])
    source = make_source(kind, table, tmp_path)
    with pytest.raises(MissingColumnError) as caught:
        clv.read_transactions(source)
    message = str(caught.value)
    assert message.startswith("column 'customer_id' is not in the ")
    assert "its columns are 'CustomerID', 'Invoice Date', 'total'" in message
    assert "Did you mean 'CustomerID'?" in message
    assert message.endswith("Name it with read_transactions(..., customer_id='CustomerID')")
    with pytest.raises(MissingColumnError, match=r"column 'date' is not in .* 'Invoice"):
        clv.read_transactions(source, customer_id="CustomerID")
    named = {"customer_id": "CustomerID", "date": "Invoice Date"}
    with pytest.raises(MissingColumnError, match=r"amount='\.\.\.'\), or quantity= and unit_pri"):
        clv.read_transactions(source, **named)
    with pytest.raises(MissingColumnError, match="column 'Totals', asked for as amount, is not in"):
        clv.read_transactions(source, **named, amount="Totals")
    with pytest.raises(MissingColumnError, match="column 'no', asked for as order_id, is not in"):
        clv.read_transactions(source, **named, amount="total", order_id="no")
    assert len(clv.read_transactions(source, **named, amount="total")) == 4


@pytest.mark.parametrize("kind", [*ENGINES, "parquet"])
def test_no_usable_row_says_why(kind: str, tmp_path: Path) -> None:
    dates = ["2024-01-01", "3/4/24", "5/4/24"]
    table = pa.table({"customer_id": [None, "b", "c"], "date": dates, "amount": [1] * 3})
    with pytest.raises(NoUsableRowsError) as caught:
        clv.read_transactions(make_source(kind, table, tmp_path))
    message = str(caught.value)
    assert message.startswith("none of the 3 rows of the ")
    assert (
        "can be used: 2 x date may be day-month or month-day: say which with date_format=; "
        "1 x customer_id is missing. The first is "
    ) in message
    assert message.endswith("date='2024-01-01', amount=1)") or kind == "duckdb"


@pytest.mark.parametrize("kind", ENGINES)
def test_a_table_without_rows_says_so(kind: str, tmp_path: Path) -> None:
    table = make_source(kind, ROWS.slice(0, 0), tmp_path)
    with pytest.raises(NoUsableRowsError, match=r"the .* table has no rows"):
        clv.read_transactions(table)


@pytest.mark.parametrize("kind", ENGINES)
def test_columns_that_are_all_missing(kind: str, tmp_path: Path) -> None:
    table = ROWS.set_column(0, "customer_id", pa.nulls(5))
    with pytest.raises(NoUsableRowsError, match="5 x customer_id is missing"):
        clv.read_transactions(make_source(kind, table, tmp_path))
    table = ROWS.set_column(2, "amount", pa.nulls(5))
    with pytest.raises(
        NoUsableRowsError, match="4 x amount is missing; 1 x customer_id is missing"
    ):
        clv.read_transactions(make_source(kind, table, tmp_path))


def test_columns_of_one_name_in_pandas_are_named() -> None:
    frame = pd.DataFrame([[1, 2, 3]], columns=["a", "a", "date"])
    with pytest.raises(DataError, match="several columns of one name"):
        clv.read_transactions(frame)


# --- the object -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "engine", "lazy"),
    [
        ("pandas", "pandas", False),
        ("polars", "polars", False),
        ("polars-lazy", "polars", True),
        ("pyarrow", "pyarrow", False),
        ("duckdb", "duckdb", True),
        ("csv", "duckdb", True),
        ("folder", "duckdb", True),
    ],
)
def test_lines_stay_in_the_engine_of_the_source(
    kind: str, engine: str, lazy: bool, tmp_path: Path
) -> None:
    transactions = clv.read_transactions(make_source(kind, ROWS, tmp_path))
    assert transactions.engine == engine == transactions.lines.implementation.value
    assert isinstance(transactions.lines, nw.LazyFrame if lazy else nw.DataFrame)


@pytest.mark.parametrize(
    ("kind", "frame"),
    [
        ("pandas", pd.DataFrame),
        ("polars", pl.DataFrame),
        ("polars-lazy", pl.DataFrame),
        ("pyarrow", pa.Table),
        ("duckdb", duckdb.DuckDBPyRelation),
        ("csv", pd.DataFrame),
        ("parquet", pd.DataFrame),
    ],
)
def test_rejected_rows_come_back_as_the_source_did(kind: str, frame: type, tmp_path: Path) -> None:
    transactions = clv.read_transactions(make_source(kind, ROWS, tmp_path))
    assert isinstance(transactions.rejected, frame)
    assert transactions.rejected is transactions.rejected
    good = clv.read_transactions(make_source(kind, ROWS.slice(0, 4), tmp_path / "good"))
    assert rejected_of(good) == []


def test_it_shows_itself_in_a_terminal() -> None:
    transactions = clv.read_transactions(ROWS)
    assert repr(transactions) == (
        "Transactions: 4 rows of 2 customers, 2024-01-01 to 2024-01-04, 1 rejected; "
        "the pyarrow table"
    )
    assert str(transactions.quality).splitlines() == [
        "Quality",
        "rows                               5",
        "used                               4",
        "rejected                           1",
        "  customer_id is missing           1",
        "customers                          2",
        "first day                 2024-01-01",
        "last day                  2024-01-04",
        "refund rows                        1",
        "rows at zero                       1",
    ]
    assert len(transactions) == 4
    assert transactions.quality.first_day == date(2024, 1, 1)


def test_it_shows_itself_in_a_notebook_with_nothing_to_run_in_it() -> None:
    frame = ROWS.to_pandas().rename(columns={"customer_id": "<script>"})
    page = clv.read_transactions(frame, customer_id="<script>")._repr_html_()
    assert "&lt;script&gt; is missing" in page
    assert "<script>" not in page
    assert page.count("<table>") == page.count("</table>") == 1


def test_customers_are_counted_only_when_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    from clv.tables import transactions as module

    calls: list[Any] = []
    monkeypatch.setattr(module, "_count_customers", lambda lines: calls.append(lines) or 7)
    quality = clv.read_transactions(ROWS).quality
    assert calls == []
    assert (quality.customers, quality.customers, len(calls)) == (7, 7, 1)


def test_a_frame_that_is_in_order_is_not_copied() -> None:
    frame = pd.DataFrame(
        {"customer_id": [1, 2], "date": pd.Timestamp("2024-01-01"), "amount": [1.0, 2.0]}
    )
    lines = clv.read_transactions(frame).lines.to_native()
    for name in ("customer_id", "amount"):
        assert np.shares_memory(lines[name].to_numpy(), frame[name].to_numpy())


def test_lazy_sources_are_scanned_only_as_far_as_needed(tmp_path: Path) -> None:
    scanned: list[str] = []

    def look(frame: pl.DataFrame) -> pl.DataFrame:
        scanned.append(",".join(frame.columns))
        return frame

    lazy = pl.from_arrow(ROWS).lazy().map_batches(look, schema=None)
    transactions = clv.read_transactions(lazy)
    read = len(scanned)
    assert 1 <= read <= 2  # one look at the texts, one count
    assert transactions.quality.used == 4
    assert len(scanned) == read


def test_threads_can_read_at_once(tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    path = make_source("csv", ROWS, tmp_path)
    with ThreadPoolExecutor(4) as pool:
        results = [*pool.map(lambda _: lines_of(clv.read_transactions(path)), range(8))]
    assert all(result == results[0] for result in results)
