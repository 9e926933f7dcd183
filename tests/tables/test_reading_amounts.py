"""Amounts as texts and numbers, and quantities times prices."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from table_sources import ENGINES, lines_of, make_source

import clv
from clv.errors import DataError, NoUsableRowsError


def amounts_read(
    values: Any, kind: str = "polars", folder: Path = Path(), **options: Any
) -> list[float | None]:
    """What each value is read as, None for rejected ones."""
    column = values if isinstance(values, pa.Array) else pa.array(values)
    numbers = pa.array(range(len(column)))
    table = pa.table(
        {"customer_id": numbers, "date": pa.array(["2024-01-01"] * len(column)), "amount": column}
    )
    try:
        transactions = clv.read_transactions(make_source(kind, table, folder), **options)
    except NoUsableRowsError:
        return [None] * len(column)
    found = {int(row[0]): row[2] for row in lines_of(transactions)}
    return [found.get(number) for number in range(len(column))]


POINT = {
    "12": 12.0,
    "-12.5": -12.5,
    "+.5": 0.5,
    "5.": 5.0,
    "1,234.50": 1234.5,
    "1 234.50": 1234.5,
    "1\u00a0234": 1234.0,
    "1'234": 1234.0,
    "-1,234,567.89": -1234567.89,
    "1.5e-3": 0.0015,
    "0": 0.0,
    "-0.00": 0.0,
    "۱۲۳٫۵": 123.5,
    "۱٬۲۳۴٫۵۰": 1234.5,
    "١٢٣": 123.0,
    "\u221212": -12.0,
    "\u200f۱۲\u200f": 12.0,
    "0.1": 0.1,
    "123456789.123456789": 123456789.123456789,
    "1,23": None,
    "12,34.5": None,
    "1,2345": None,
    "1.234,50": None,
    "1 23": None,
    "--1": None,
    "1-": None,
    "(5)": None,
    "1e999": None,
    "9" * 400: None,
    "$5": None,
    "5%": None,
    "0x1F": None,
    "1_000": None,
    "½": None,
    "true": None,
    ".": None,
    "-": None,
    "e5": None,
    "": None,
    "inf": None,
    "NaN": None,
}
COMMA = {
    "12,5": 12.5,
    "1.234,50": 1234.5,
    "1 234,50": 1234.5,
    "1\u202f234,50": 1234.5,
    "1.234": 1234.0,
    "-,5": -0.5,
    "۱٬۲۳۴٫۵۰": 1234.5,
    "1234": 1234.0,
    "1,234.50": None,
    "12.5": None,
    "1,234,567": None,
}


@pytest.mark.parametrize("kind", [*ENGINES, "csv", "tsv"])
def test_texts_with_a_point(kind: str, tmp_path: Path) -> None:
    assert amounts_read([*POINT], kind, tmp_path) == [*POINT.values()]


@pytest.mark.parametrize("kind", [*ENGINES, "csv"])
def test_texts_with_a_comma_when_told(kind: str, tmp_path: Path) -> None:
    assert amounts_read([*COMMA], kind, tmp_path, decimal=",") == [*COMMA.values()]


@given(values=st.lists(st.decimals(-(10**9), 10**9, places=3), min_size=1, max_size=30))
@settings(max_examples=10)
def test_every_way_of_writing_a_number_gives_that_number(values: list[Any]) -> None:
    expected = [float(value) for value in values]
    persian = str.maketrans("0123456789.,", "۰۱۲۳۴۵۶۷۸۹٫٬")
    german = str.maketrans(".,", ",.")
    grouped = [f"{value:,.3f}" for value in values]
    assert amounts_read([f"{value:f}" for value in values]) == expected
    assert amounts_read(grouped) == expected
    assert amounts_read([text.translate(persian) for text in grouped]) == expected
    assert amounts_read([text.translate(german) for text in grouped], decimal=",") == expected
    assert amounts_read([repr(number) for number in expected]) == expected


@pytest.mark.parametrize("kind", [*ENGINES, "parquet"])
def test_numbers_of_every_type(kind: str, tmp_path: Path) -> None:
    for dtype in (pa.int8(), pa.uint32(), pa.float32(), pa.decimal128(30, 3)):
        column = pa.array([1, None, 7]).cast(dtype)
        assert amounts_read(column, kind, tmp_path) == [1.0, None, 7.0]
    column = pa.array([1.5, float("nan"), float("inf"), float("-inf"), None, 1e300])
    assert amounts_read(column, kind, tmp_path) == [1.5, None, None, None, None, 1e300]


@pytest.mark.parametrize("kind", [*ENGINES, "csv"])
def test_quantity_times_unit_price(kind: str, tmp_path: Path) -> None:
    table = pa.table(
        {
            "customer_id": ["a", "b", "c", "d", "e"],
            "date": ["2024-01-01"] * 5,
            "Quantity": ["6", "-2", None, "1", "1e90"],
            "Price": ["2.55", "1,000", "1", "free", "1e90"],
        }
    )
    source = make_source(kind, table, tmp_path)
    transactions = clv.read_transactions(source, quantity="Quantity", unit_price="Price")
    assert lines_of(transactions) == [
        ("a", 19723, 6 * 2.55),
        ("b", 19723, -2000.0),
        ("e", 19723, 1e90 * 1e90),
    ]
    assert transactions.quality.reasons == {
        "Quantity is missing": 1,
        "Price is not a number": 1,
    }


def test_a_product_too_large_is_rejected() -> None:
    table = pa.table(
        {"customer_id": [1, 2], "date": ["2024-01-01"] * 2, "q": [1e300, 1.0], "p": [1e300, 2.0]}
    )
    transactions = clv.read_transactions(table, quantity="q", unit_price="p")
    assert transactions.quality.reasons == {"quantity times unit price is too large": 1}


def test_a_number_as_amount_is_what_every_row_is_worth() -> None:
    table = pa.table({"customer_id": [1, 2], "date": ["2024-01-01"] * 2})
    assert lines_of(clv.read_transactions(table, amount=1)) == [(1, 19723, 1.0), (2, 19723, 1.0)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"amount": "a", "quantity": "q"}, "either amount= or quantity= and unit_price=, not both"),
        ({"quantity": "q"}, "quantity= and unit_price= belong together"),
        ({"unit_price": "q"}, "quantity= and unit_price= belong together"),
        ({"amount": float("nan")}, "amount=nan is not a finite number"),
        ({"decimal": ";"}, "decimal=';' is not known; use '.' or ','"),
        ({"refunds": "ignore"}, "refunds='ignore' is not known; use 'net' or 'drop' or 'error'"),
        ({"zero_amounts": "x"}, "zero_amounts='x' is not known; use 'keep' or 'drop'"),
        ({"delimiter": "::"}, "delimiter='::' must be a single character"),
    ],
)
def test_options_that_contradict(options: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        clv.read_transactions(pa.table({"customer_id": [1]}), **options)


@pytest.mark.parametrize("kind", ["pandas", "polars", "pyarrow", "duckdb"])
@pytest.mark.parametrize(
    ("column", "role", "wanted"),
    [
        ("flag", "customer_id", "text or whole numbers"),
        ("moment", "customer_id", "text or whole numbers"),
        ("flag", "date", "dates, text or numbers such as 19970131"),
        ("flag", "amount", "numbers or text"),
        ("moment", "amount", "numbers or text"),
    ],
)
def test_columns_of_impossible_types(
    kind: str, column: str, role: str, wanted: str, tmp_path: Path
) -> None:
    table = pa.table(
        {
            "customer_id": [1],
            "date": ["2024-01-01"],
            "amount": [1.0],
            "flag": [True],
            "moment": pa.array([0], pa.timestamp("us")),
        }
    )
    message = f"column '{column}', named as {role}, holds .* values; needed are {wanted}"
    with pytest.raises(DataError, match=message):
        clv.read_transactions(make_source(kind, table, tmp_path), **{role: column})
