from __future__ import annotations

import datetime as dt
from dataclasses import replace

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from builders import lines, on
from hypothesis import given
from hypothesis import strategies as st
from oracles.naive_summary import summarise

from clv.errors import DataError, MissingColumnError, NoUsableRowsError
from clv.tables.rfm import RFM
from clv.tables.summary import rfm_summary
from clv.units import DAYS_PER_UNIT

# -- against the naive summary ----------------------------------------------------------------

a_line = st.tuples(st.sampled_from("abc"), st.integers(0, 12), st.integers(-30, 30))
some_lines = st.lists(a_line, min_size=1, max_size=40)


def check(rfm: RFM, rows: list[tuple[str, int, int]], end: int, cut: int | None) -> None:
    expected, unmatched = summarise(rows, end, cut)
    unit = DAYS_PER_UNIT[rfm.time_unit]
    assert list(rfm["customer_id"].to_pylist()) == sorted(expected)
    assert rfm.unmatched_refunds.amount == pytest.approx(unmatched / 100, abs=1e-9)
    for row, name in enumerate(sorted(expected)):
        customer = expected[name]
        got = {column: rfm.values(column)[row] for column in rfm.columns}
        assert got["frequency"] == customer.frequency
        assert got["recency"] == customer.recency / unit
        assert got["T"] == customer.T / unit
        assert got["first_purchase"] == np.datetime64(customer.first, "D")
        assert got["last_purchase"] == np.datetime64(customer.first + customer.recency, "D")
        assert got["total_value"] == pytest.approx(customer.total_value / 100, abs=1e-9)
        assert got["mean_purchase_value"] == pytest.approx(
            customer.total_value / 100 / (customer.frequency + 1), abs=1e-9
        )
        if customer.monetary_value is None:
            assert np.isnan(got["monetary_value"])
        else:
            assert got["monetary_value"] == pytest.approx(customer.monetary_value / 100, abs=1e-9)
        assert got["sum_log_intervals"] == pytest.approx(
            customer.sum_log_intervals - customer.frequency * np.log(unit), abs=1e-9
        )
        if customer.sum_log_values is None:
            assert np.isnan(got["sum_log_values"])
        else:
            assert got["sum_log_values"] == pytest.approx(customer.sum_log_values, abs=1e-9)
        if cut is not None:
            assert got["holdout_purchases"] == customer.holdout_purchases
            assert got["holdout_spend"] == pytest.approx(customer.holdout_spend / 100, abs=1e-9)


def summarised(rows, end, cut=None, unit="day", engine="pyarrow"):
    transactions = lines(*((c, d, cents / 100) for c, d, cents in rows), engine=engine)
    return rfm_summary(
        transactions,
        observation_period_end=on(end),
        calibration_period_end=None if cut is None else on(cut),
        time_unit=unit,
    )


@given(some_lines, st.integers(0, 13), st.sampled_from(list(DAYS_PER_UNIT)))
def test_against_customers_one_by_one(rows, end, unit):
    end = max(end, min(day for _, day, _ in rows))
    expected, _ = summarise(rows, end, None)
    if not expected:
        with pytest.raises(NoUsableRowsError, match="no customer is left"):
            summarised(rows, end, unit=unit)
        return
    check(summarised(rows, end, unit=unit), rows, end, None)


@given(some_lines, st.integers(0, 12), st.integers(1, 6))
def test_a_cut_against_customers_one_by_one(rows, cut, length):
    cut = max(cut, min(day for _, day, _ in rows))
    expected, _ = summarise(rows, cut + length, cut)
    if not expected:
        return
    check(summarised(rows, cut + length, cut), rows, cut + length, cut)


@given(some_lines, st.integers(0, 12), st.randoms())
def test_neither_the_order_nor_the_future_changes_what_was_known(rows, cut, random):
    cut = max(cut, min(day for _, day, _ in rows))
    if not summarise(rows, cut, None)[0]:
        return
    known = summarised(rows, cut)
    shuffled = [*rows, ("a", cut + 1, -10_000), ("z", cut + 1, 5)]
    random.shuffle(shuffled)
    with_future = summarised(shuffled, cut + 2, cut)
    for column in known.columns:
        got = with_future.values(column)
        if got.dtype.kind == "f":
            np.testing.assert_allclose(got, known.values(column), atol=1e-9)
        else:
            assert got.tolist() == known.values(column).tolist()
    assert with_future.unmatched_refunds.customers == known.unmatched_refunds.customers


@given(some_lines)
def test_money_is_conserved(rows):
    if not summarise(rows, 12, None)[0]:
        return
    rfm = summarised(rows, 12)
    assert rfm.array("total_value").sum() - rfm.unmatched_refunds.amount == pytest.approx(
        sum(cents for _, _, cents in rows) / 100, abs=1e-9
    )


# -- the period ------------------------------------------------------------------------------

SHOP = (("a", 0, 10.0), ("a", 10, 20.0), ("b", 5, 30.0), ("c", 30, 1.0))


@pytest.mark.parametrize(
    "end",
    [
        "1970-01-21",
        " 1970/01/21",
        "1970-01-21 23:00:00",
        "۱۹۷۰-۰۱-۲۱",
        dt.date(1970, 1, 21),
        dt.datetime(1970, 1, 21, 13),
        pd.Timestamp("1970-01-21"),
        np.datetime64("1970-01-21T05:00"),
    ],
)
def test_ways_to_write_the_end(end):
    rfm = rfm_summary(lines(*SHOP), observation_period_end=end, time_unit="day")
    assert rfm.observation_period_end == dt.date(1970, 1, 21)
    assert rfm.array("T").tolist() == [20, 15]
    assert rfm.notes == (
        "1 line after observation_period_end (1970-01-21) was left out; the last is of 1970-01-31.",
    )


def test_the_last_day_in_the_data():
    rfm = rfm_summary(lines(*SHOP), observation_period_end="last")
    assert rfm.observation_period_end == on(30)
    assert rfm.notes == ("observation_period_end is the last day in the data, 1970-01-31.",)


def test_jalali_end():
    pytest.importorskip("persiantools")
    transactions = replace(lines(("a", 19_900, 1.0), ("a", 19_986, 2.0)), calendar="jalali")
    rfm = rfm_summary(transactions, observation_period_end="1403-06-31")
    assert rfm.observation_period_end == dt.date(2024, 9, 21)
    with pytest.raises(DataError, match="'1403-07-31' is no Jalali date"):
        rfm_summary(transactions, observation_period_end="1403-07-31")


@pytest.mark.parametrize(
    ("end", "cut", "message"),
    [
        ("1969-12-31", None, "lies before the first transaction, 1970-01-01"),
        ("1403-06-30", None, "calendar='jalali'"),
        ("31.12.1970", None, r"observation_period_end '31.12.1970' is no Gregorian date"),
        (None, None, "must be a date or a text such as '1998-06-30', not None"),
        (pd.NaT, None, "must be a date"),
        ("1970-02-01", "1970-02-01", "must lie before observation_period_end 1970-02-01"),
        ("1970-02-01", "1970-03-01", "the holdout is the time between them"),
    ],
)
def test_ends_that_cannot_be(end, cut, message):
    with pytest.raises(DataError, match=message):
        rfm_summary(lines(*SHOP), observation_period_end=end, calibration_period_end=cut)


def test_a_cut_before_everybody():
    with pytest.raises(NoUsableRowsError, match="lies before the first transaction"):
        rfm_summary(
            lines(*SHOP), observation_period_end=on(30), calibration_period_end="1969-06-01"
        )


def test_everything_refunded():
    with pytest.raises(NoUsableRowsError, match="nobody had a purchase by 1970-01-11 that was not"):
        rfm_summary(lines(("a", 0, 5.0), ("a", 3, -5.0)), observation_period_end=on(10))


def test_unknown_unit_and_input():
    with pytest.raises(DataError, match="time_unit 'fortnight'"):
        rfm_summary(lines(*SHOP), observation_period_end=on(30), time_unit="fortnight")
    with pytest.raises(DataError, match=r"clv\.read_transactions"):
        rfm_summary(pd.DataFrame(), observation_period_end=on(30))


def test_notes_count_who_is_left_out():
    rfm = rfm_summary(
        lines(
            ("a", 0, 10.0),
            ("b", 1, 5.0),
            ("b", 2, -5.0),
            ("c", 9, 1.0),
            ("d", 1, -7.5),
            ("a", 3, -12.0),
            ("a", 4, 1.0),
        ),
        observation_period_end=on(10),
        calibration_period_end=on(5),
    )
    assert rfm["customer_id"].to_pylist() == ["a"]
    assert rfm.notes == (
        "1 customer was first seen after 1970-01-06 and is not in the table.",
        "2 customers have no purchase that was not refunded and are not in the table.",
        "Refunds of 2 customers exceed the purchases before them by 9.50, which is in no column.",
    )
    assert rfm.unmatched_refunds == (2, 9.5)


def test_a_refund_in_the_holdout():
    rfm = rfm_summary(
        lines(("a", 0, 10.0), ("a", 2, 20.0), ("a", 7, -20.0), ("a", 8, 4.0), ("a", 8, -1.0)),
        observation_period_end=on(10),
        calibration_period_end=on(5),
        time_unit="day",
    )
    assert rfm.array("total_value").tolist() == [30]
    assert rfm.array("frequency").tolist() == [1]
    assert rfm.array("holdout_spend").tolist() == [-17]
    assert rfm.array("holdout_purchases").tolist() == [1]
    assert rfm.unmatched_refunds == (0, 0.0)


# -- the object ------------------------------------------------------------------------------


def test_the_table_shows_itself():
    rfm = rfm_summary(lines(*SHOP), observation_period_end="last", time_unit="day")
    text = repr(rfm)
    assert text.splitlines()[0] == "RFM table: 3 customers, ages in days, observed to 1970-01-31"
    assert "note: observation_period_end is the last day in the data" in text
    assert max(map(len, text.splitlines())) <= 100
    html = rfm._repr_html_()
    assert "<th>monetary_value</th>" in html
    assert "RFM table" in html


def test_columns_and_arrays():
    rfm = rfm_summary(lines(*SHOP), observation_period_end=on(30))
    assert list(rfm) == rfm.columns
    assert "T" in rfm
    assert rfm.array("frequency") is rfm.array("frequency")
    with pytest.raises(ValueError, match="read-only"):
        rfm.array("frequency")[0] = 1
    with pytest.raises(MissingColumnError, match=r"no column 'spend'; there are customer_id"):
        rfm["spend"]
    with pytest.raises(MissingColumnError, match="calibration_period_end"):
        rfm.array("holdout_spend")
    with pytest.raises(DataError, match="not numbers"):
        rfm.array("first_purchase")
    with pytest.raises(DataError, match="has no holdout of a known length"):
        _ = rfm.holdout_duration
    assert not rfm.has_holdout


def test_other_packages_read_it_without_help():
    rfm = rfm_summary(lines(*SHOP), observation_period_end=on(30))
    assert pl.DataFrame(rfm).shape == (3, 11)
    assert pa.table(rfm).num_rows == 3
    assert duckdb.sql("select sum(frequency) from rfm").fetchall() == [(1,)]


def test_distinct_rows_and_the_states_in_them():
    rfm = summarised([(c, d, 100) for c in "abc" for d in (0, 4)] + [("d", 0, 100)], 9)
    rows = rfm.compressed
    assert rows.weights.tolist() == [1, 3]
    assert rfm.compressed is rows
    states = rfm.distinct("T")
    assert rfm.state_of_row(("frequency", "recency", "T"), ("T",)).tolist() == [0, 0]
    assert states.weights.tolist() == [4]


def test_distinct_rows_are_the_same_whatever_was_asked_before():
    rng = np.random.default_rng(8)
    rows = [(c, int(d), 100) for c in range(300) for d in rng.integers(0, 20, 1 + c % 4)]
    fresh, asked = summarised(rows, 30), summarised(rows, 30)
    asked.distinct("frequency", "recency", "T")
    for columns in (("frequency", "T"), ("T",), ("T", "recency")):
        for one, other in zip(fresh.distinct(*columns), asked.distinct(*columns), strict=True):
            np.testing.assert_array_equal(one, other)
        fresh = summarised(rows, 30)


def test_fingerprint():
    rows = [("a", 0, 110), ("a", 4, 220), ("b", 3, 330), ("b", 5, 40), ("c", 9, 10)]
    same = summarised(rows, 12).fingerprint
    renamed = [({"a": "z", "b": "y", "c": "x"}[c], d, cents) for c, d, cents in rows]
    assert summarised(renamed, 12).fingerprint == same
    assert summarised(rows[::-1], 12, engine="polars").fingerprint == same
    others = [
        summarised(rows, 13),
        summarised(rows, 12, unit="week"),
        summarised([*rows[:-1], ("c", 9, 11)], 12),
        summarised([*rows[:-1], ("c", 8, 10)], 12),
        summarised([*rows, ("d", 1, 0)], 12),
        # the same money in other hands
        summarised([("a", 0, 110), ("a", 4, 40), ("b", 3, 330), ("b", 5, 220), rows[-1]], 12),
    ]
    assert len({same, *(other.fingerprint for other in others)}) == len(others) + 1
