"""Every engine and every kind of file gives the same lines, and loses no row."""

from __future__ import annotations

import re
from collections import Counter
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from table_sources import ENGINES, FILES, lines_of, make_source, rejected_of

import clv

DIRTY = [
    # customer, day, amount, reason
    ("17850", "2010-12-01", "15.30", None),
    ("17850", "2010-12-01 08:26:00", "1,234.50", None),
    (" 13047", "2010/12/1", "-3", None),
    ("007", "2011-01-04T10:00:00+01:00", "0", None),
    ("7", "20110105", "+4.", None),
    ("علی", "۲۰۱۱/۰۱/۰۶", "۱٬۲۳۴٫۵۰", None),
    ("12583", "2011-1-6 9:05", "1e3", None),
    ("12583", "٢٠١١-٠١-٠٧", "١٢", None),
    ('O\'Neil, "Bo"', "2011.01.08", "\u22125.5", None),
    (None, "2011-01-09", "5", "customer is missing"),
    ("  ", "2011-01-09", "5", "customer is missing"),
    ("NULL", "2011-01-09", "5", "customer is missing"),
    ("1", None, "5", "day is missing"),
    ("1", "2011-02-29", "5", "day is a day that does not exist"),
    ("1", "2011-13-01", "5", "day is a day that does not exist"),
    ("1", "01/02/2011", "5", "day may be day-month or month-day: say which with date_format="),
    ("1", "last week", "5", "day cannot be read as a date"),
    ("1", "40546", "5", "day cannot be read as a date"),
    ("1", "0001-01-01", "5", "day lies outside the years 1800 to 2199"),
    ("1", "1389-10-11", "5", "day lies outside the years 1800 to 2199"),
    ("1", "2011-01-09", None, "total is missing"),
    ("1", "2011-01-09", "", "total is missing"),
    ("1", "2011-01-09", "nan", "total is missing"),
    ("1", "2011-01-09", "-inf", "total is infinite"),
    ("1", "2011-01-09", "£5.00", "total has text beside the number (a currency?)"),
    ("1", "2011-01-09", "5 تومان", "total has text beside the number (a currency?)"),
    ("1", "2011-01-09", "free", "total is not a number"),
    ("1", "2011-01-09", "1,23", "total is a number only with decimal=','"),
    ("1", "2011-01-09", "1.2.3", "total is not a number"),
    (None, "?", "?", "customer is missing"),
]

CLEAN = [
    ("007", 14978, 0.0),
    ("12583", 14980, 1000.0),
    ("12583", 14981, 12.0),
    ("13047", 14944, -3.0),
    ("17850", 14944, 15.3),
    ("17850", 14944, 1234.5),
    ("7", 14979, 4.0),
    ('O\'Neil, "Bo"', 14982, -5.5),
    ("علی", 14980, 1234.5),
]


def dirty_table() -> pa.Table:
    customers, days, totals, _ = zip(*DIRTY, strict=True)
    return pa.table(
        {
            "customer": pa.array(customers, pa.string()),
            "day": pa.array(days, pa.string()),
            "total": pa.array(totals, pa.string()),
            "note": pa.array([f"row {number}" for number in range(len(DIRTY))]),
        }
    )


@pytest.mark.parametrize("kind", [*ENGINES, *FILES])
def test_a_dirty_export_is_read_alike_by_every_engine(kind: str, tmp_path: Path) -> None:
    source = make_source(kind, dirty_table(), tmp_path)
    transactions = clv.read_transactions(source, customer_id="customer", date="day", amount="total")
    reasons = Counter(reason for *_, reason in DIRTY if reason)
    assert lines_of(transactions) == CLEAN
    assert transactions.quality.reasons == dict(reasons)
    assert list(transactions.quality.reasons.values()) == sorted(reasons.values(), reverse=True)
    assert (transactions.quality.rows, len(transactions)) == (len(DIRTY), len(CLEAN))
    assert transactions.quality.customers == 7
    assert transactions.quality.notes == (
        "1 row had invisible characters around the customer id, now removed",
    )
    rejected = rejected_of(transactions)
    assert Counter(row["reason"] for row in rejected) == reasons
    assert [row["note"] for row in rejected] == [
        f"row {number}" for number, (*_, reason) in enumerate(DIRTY) if reason
    ]


@pytest.mark.parametrize("kind", [*ENGINES, "csv", "parquet"])
def test_rejected_rows_keep_their_number_and_their_values(kind: str, tmp_path: Path) -> None:
    source = make_source(kind, dirty_table(), tmp_path)
    transactions = clv.read_transactions(source, customer_id="customer", date="day", amount="total")
    first = {"csv": 2, "duckdb": None}.get(kind, 1)
    number = next(at for at, (*_, reason) in enumerate(DIRTY) if reason)
    row = rejected_of(transactions)[3]
    assert row["row"] == (None if first is None else number + 3 + first)
    assert (row["customer"], row["day"], row["total"]) == ("1", None, "5")


TYPED = {
    "customer_id": pa.array([1, 2, None, 2, 3, 1, 1], pa.int64()),
    "date": pa.array(
        [
            *(date(1970, 1, 1), date(1969, 12, 31), date(2020, 1, 1), None),
            *(date(2024, 2, 29), date(1600, 1, 1), date(2199, 12, 31)),
        ],
        pa.date32(),
    ),
    "amount": pa.array([1.5, -2.0, 3.0, 4.0, float("nan"), 5.0, float("inf")], pa.float64()),
}


@pytest.mark.parametrize("kind", [*ENGINES, "parquet", "folder"])
@pytest.mark.parametrize("id_type", [pa.int64(), pa.float64(), pa.int32(), pa.decimal128(38, 0)])
def test_typed_columns_are_read_alike(kind: str, id_type: pa.DataType, tmp_path: Path) -> None:
    table = pa.table({**TYPED, "customer_id": TYPED["customer_id"].cast(id_type)})
    transactions = clv.read_transactions(make_source(kind, table, tmp_path))
    assert lines_of(transactions) == [(1, 0, 1.5), (2, -1, -2.0)]
    assert isinstance(lines_of(transactions)[0][0], int)
    assert transactions.quality.reasons == {
        "customer_id is missing": 1,
        "date is missing": 1,
        "amount is missing": 1,
        "date lies outside the years 1800 to 2199": 1,
        "amount is infinite": 1,
    }
    assert len(rejected_of(transactions)) == 5


@pytest.mark.parametrize("kind", [*ENGINES, "parquet"])
def test_types_of_lines_are_the_same_everywhere(kind: str, tmp_path: Path) -> None:
    table = pa.table(
        {
            "customer_id": pa.array([1, 2], pa.int16()),
            "date": pa.array([datetime(2020, 1, 1, 23, 59, 59)] * 2, pa.timestamp("ns")),
            "amount": pa.array([Decimal("1.10"), Decimal("2.20")], pa.decimal128(10, 2)),
        }
    )
    transactions = clv.read_transactions(make_source(kind, table, tmp_path))
    assert [str(dtype) for dtype in transactions.lines.collect_schema().values()] == [
        "Int64",
        "Int64",
        "Float64",
    ]
    assert lines_of(transactions) == [(1, 18262, 1.1), (2, 18262, 2.2)]


# --- an oracle in plain Python --------------------------------------------------------------------


def read_plainly(customer: str | None, day: str | None, total: str | None) -> Any:
    """What a row is worth, or None, written as differently as possible."""
    customer = (customer or "").strip()
    if customer in ("", "NA"):
        return None
    try:
        year, month, number = (int(part) for part in re.split("[-/]", (day or "").strip()))
        number = date(year, month, number).toordinal() - 719163
    except ValueError:
        return None
    if not 1800 <= year <= 2199:
        return None
    text = (total or "").strip().translate(str.maketrans("۰۱۲۳۴۵۶۷۸۹٫", "0123456789."))
    if re.search("[,]", text) and not re.match(r"^-?\d{1,3}(,\d{3})+(\.|$)", text):
        return None
    if not re.match(r"^-?[\d,.]+$", text) or "_" in text:
        return None
    try:
        return customer, number, float(text.replace(",", ""))
    except ValueError:
        return None


customers = st.sampled_from(["1", "2", " 3", "x\u00a0", "", "NA", None, "é"])
years = st.sampled_from(["2020", "2024", "1799", "2199", "24"])
small = st.sampled_from(["1", "01", "2", "12", "13", "28", "29", "30", "31", "00"])
days = st.one_of(
    st.builds(
        "{}{}{}{}{}".format, years, st.sampled_from("-/"), small, st.sampled_from("-/"), small
    ),
    st.sampled_from([None, "", "x"]),
)
totals = st.one_of(
    st.decimals(-10000, 10000, places=2).map(str),
    st.sampled_from([None, "", "1,000", "1,00", "-1,234.5", "۱۲٫۵", "5 EUR", "--1", ".", "7."]),
)


@pytest.mark.parametrize("kind", [*ENGINES, "csv", "parquet"])
@settings(max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.tuples(customers, days, totals), min_size=1, max_size=60))
def test_random_rows_are_used_or_rejected_as_plain_python_says(
    kind: str, rows: list[tuple[str | None, str | None, str | None]], tmp_path: Path
) -> None:
    columns = [pa.array(column, pa.string()) for column in zip(*rows, strict=True)]
    table = pa.table(dict(zip(("customer_id", "date", "amount"), columns, strict=True)))
    expected = sorted(found for row in rows if (found := read_plainly(*row)))
    source = make_source(kind, table, tmp_path)
    if not expected:
        with pytest.raises(clv.errors.NoUsableRowsError, match="none of the"):
            clv.read_transactions(source)
        return
    transactions = clv.read_transactions(source)
    assert lines_of(transactions) == expected
    quality = transactions.quality
    assert quality.rows == len(rows) == quality.used + quality.rejected
    assert quality.used == len(expected) == len(transactions)
    assert quality.rejected == len(rejected_of(transactions)) == sum(quality.reasons.values())


# --- what only some engines have ------------------------------------------------------------------


def test_the_callers_frame_is_not_changed() -> None:
    frame = pd.DataFrame(
        {"customer_id": [1.0, None], "date": [date(2020, 1, 1), "x"], "amount": ["1,0", 2]},
        index=[3, 3],
    )
    before = frame.copy(deep=True)
    with pytest.raises(clv.errors.NoUsableRowsError):
        clv.read_transactions(frame)
    pd.testing.assert_frame_equal(frame, before)


def test_pandas_columns_of_python_objects_are_understood() -> None:
    frame = pd.DataFrame(
        {
            "customer_id": pd.Series([17850, 17850.0, "17850", "B7", None, pd.NA], dtype=object),
            "date": pd.Series(
                [
                    *(date(2020, 1, 1), pd.Timestamp("2020-01-01 13:00"), "2020-01-01"),
                    *(20200101, date(2020, 1, 1), pd.NaT),
                ],
                dtype=object,
            ),
            "amount": pd.Series([Decimal("1.50"), 2, "3,000.5", 4.25, 5, 6], dtype=object),
        }
    )
    frame.index = [1, 1, 2, 2, 3, 3]
    transactions = clv.read_transactions(frame)
    assert lines_of(transactions) == [
        ("17850", 18262, 1.5),
        ("17850", 18262, 2.0),
        ("17850", 18262, 3000.5),
        ("B7", 18262, 4.25),
    ]
    assert transactions.rejected["customer_id"].isna().all()
    assert list(transactions.rejected["row"]) == [5, 6]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, 2, None], [1, 2]),
        ([2**53 + 1, 5, None], [5, 2**53 + 1]),
        ([Decimal(7), Decimal(8), None], [7, 8]),
        (["a", "b", None], ["a", "b"]),
    ],
)
def test_object_ids_keep_their_kind(values: list[Any], expected: list[Any]) -> None:
    frame = pd.DataFrame({"customer_id": pd.Series(values, dtype=object)})
    frame["date"], frame["amount"] = pd.Timestamp("2020-01-01"), 1.0
    assert [row[0] for row in lines_of(clv.read_transactions(frame))] == expected


def test_polars_objects_and_categories_are_understood() -> None:
    frame = pl.DataFrame(
        {
            "customer_id": pl.Series(["b", "a", None], dtype=pl.Categorical),
            "date": pl.Series([date(2020, 1, 1), "2020-01-02", 5], dtype=pl.Object),
            "amount": pl.Series(["1", "2", "3"], dtype=pl.Enum(["1", "2", "3"])),
        }
    )
    assert lines_of(clv.read_transactions(frame)) == [("a", 18263, 2.0), ("b", 18262, 1.0)]


@pytest.mark.parametrize("kind", ["pandas", "polars", "pyarrow", "duckdb"])
def test_numbers_too_large_to_be_exact_are_not_taken_for_ids(kind: str, tmp_path: Path) -> None:
    table = pa.table(
        {
            "customer_id": pa.array([1.0, 2.5, 1e16, None, np.inf, -4.0], pa.float64()),
            "date": pa.array([date(2020, 1, 1)] * 6),
            "amount": pa.array([1.0] * 6),
        }
    )
    transactions = clv.read_transactions(make_source(kind, table, tmp_path))
    assert [row[0] for row in lines_of(transactions)] == [-4, 1]
    assert transactions.quality.reasons == {
        "customer_id is too large to be exact as a number: give it as text": 2,
        "customer_id is missing": 1,
        "customer_id is not a whole number": 1,
    }


@pytest.mark.parametrize("kind", ["pandas-arrow", "polars", "pyarrow", "duckdb"])
def test_wide_integers_are_ids_as_they_are(kind: str, tmp_path: Path) -> None:
    table = pa.table(
        {
            "customer_id": pa.array([2**62, 2**64 - 1, None], pa.uint64()),
            "date": pa.array([date(2020, 1, 1)] * 3),
            "amount": pa.array([1, 2, 3], pa.int8()),
        }
    )
    transactions = clv.read_transactions(make_source(kind, table, tmp_path))
    assert lines_of(transactions) == [(2**62, 18262, 1.0), (2**64 - 1, 18262, 2.0)]
    assert transactions.quality.rejected == 1


def test_text_ids_are_kept_apart_and_only_trimmed() -> None:
    ids = ["007", "7", "07.0", "7.0", "A", "a", "A ", "۷", "7\u200f", "n a"]
    frame = pd.DataFrame({"customer_id": ids, "date": "2020-01-01", "amount": 1})
    transactions = clv.read_transactions(frame)
    assert {row[0] for row in lines_of(transactions)} == {
        *("007", "7", "07.0", "7.0", "A", "a", "۷", "n a"),
    }
    assert transactions.quality.notes == (
        "2 rows had invisible characters around the customer id, now removed",
    )


def test_a_duckdb_relation_outlives_the_name_of_its_connection() -> None:
    import duckdb

    def read() -> clv.Transactions:
        relation = duckdb.connect().sql(
            "SELECT 1 AS customer_id, DATE '2020-01-01' AS date, 2 AS v"
        )
        return clv.read_transactions(relation, amount="v")

    assert lines_of(read()) == [(1, 18262, 2.0)]


def test_columns_named_like_ours_keep_their_names() -> None:
    frame = pd.DataFrame(
        {
            "customer_id": ["a", None],
            "date": "2020-01-01",
            "amount": 1,
            "reason": ["gift", "refund"],
            "row": [7, 8],
            "day": "x",
            "_x": 1,
        }
    )
    transactions = clv.read_transactions(frame)
    rejected = transactions.rejected
    assert list(rejected.columns) == [
        *("row_", "customer_id", "date", "amount", "reason", "row", "day", "_x", "reason_")
    ]
    assert rejected.iloc[0][["row", "row_", "reason", "reason_"]].tolist() == [
        *(8, 2, "refund", "customer_id is missing")
    ]
