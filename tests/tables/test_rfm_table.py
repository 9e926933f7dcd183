from __future__ import annotations

import datetime as dt
import importlib.metadata

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from builders import lines, on

from clv.errors import DataError, MissingColumnError, NoUsableRowsError, UnsupportedFrameError
from clv.tables.ready_made import rfm_table
from clv.tables.summary import rfm_summary

GOOD = {
    "customer_id": ["b", "a", "c"],
    "frequency": [2, 0, 1],
    "recency": [30.4, 0.0, 38.9],
    "T": [38.9, 38.9, 38.9],
    "monetary_value": [20.5, None, 0.0],
}


def table(**changes):
    return rfm_table(pd.DataFrame(GOOD | changes), time_unit="week")


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (pd.DataFrame, pd.DataFrame),
        (pl.DataFrame, pl.DataFrame),
        (pl.LazyFrame, pl.DataFrame),
        (pa.table, pa.Table),
        (lambda data: duckdb.from_arrow(pa.table(data)), pd.DataFrame),
        (lambda data: pd.DataFrame(data).set_index("customer_id"), pd.DataFrame),
        (lambda data: pd.DataFrame(data, index=[7, 7, 9]), pd.DataFrame),
        (lambda data: pd.DataFrame(data).convert_dtypes(), pd.DataFrame),
    ],
)
def test_every_engine_in_the_order_of_the_frame(make, kind):
    rfm = rfm_table(make(GOOD), time_unit="week", observation_period_end="2024-09-30")
    assert isinstance(rfm.to_native(), kind)
    assert rfm.to_arrow()["customer_id"].to_pylist() == ["b", "a", "c"]
    assert rfm.array("frequency").tolist() == [2, 0, 1]
    np.testing.assert_array_equal(rfm.array("monetary_value"), [20.5, np.nan, 0.0])
    assert rfm.observation_period_end == dt.date(2024, 9, 30)
    assert rfm.notes == ()
    assert rfm.to_pandas()["frequency"].dtype == "int64"


def test_other_names():
    frame = pd.DataFrame(GOOD).set_axis(["who", "x", "t_x", "age", "m"], axis=1)
    rfm = rfm_table(
        frame,
        time_unit="day",
        customer_id="who",
        frequency="x",
        recency="t_x",
        T="age",
        monetary_value="m",
    )
    assert rfm.columns == list(GOOD)


def test_without_ids():
    rfm = rfm_table(pl.DataFrame(GOOD).drop("customer_id"), time_unit="week", customer_id=None)
    assert rfm.customer_ids.to_list() == [1, 2, 3]


def test_without_money():
    rfm = rfm_table(pd.DataFrame(GOOD).drop(columns="monetary_value"), time_unit="week")
    assert rfm.notes == ("The table has no monetary_value: spend models cannot be fitted to it.",)
    with pytest.raises(MissingColumnError, match=r"clv\.rfm_table takes those"):
        rfm.array("total_value")


def test_mean_and_total_of_all_purchases_follow_from_each_other():
    assert table(total_value=[30.0, 5.0, 8.0]).array("mean_purchase_value").tolist() == [10, 5, 4]
    assert table(mean_purchase_value=[10.0, 5, 4]).array("total_value").tolist() == [30, 5, 8]


def test_values_of_one_time_buyers_are_no_repeat_values():
    rfm = table(monetary_value=[20.5, 12.0, 3.0])
    np.testing.assert_array_equal(rfm.array("monetary_value"), [20.5, np.nan, 3.0])
    assert rfm.notes == (
        (
            "monetary_value of 1 customer without repeat purchases was set to missing: it is the "
            "mean value of repeat purchases."
        ),
    )


def test_the_caller_keeps_their_frame():
    frame = pd.DataFrame(GOOD | {"monetary_value": [20.5, 12.0, 3.0]})
    before = frame.copy()
    rfm = rfm_table(frame, time_unit="week")
    native = rfm.to_native()
    native.loc[0, "frequency"] = 99
    pd.testing.assert_frame_equal(frame, before)
    assert rfm.array("frequency")[0] == 2


def test_a_summary_is_a_ready_made_table():
    rfm = rfm_summary(
        lines(("a", 0, 10.0), ("a", 4, 6.0), ("b", 3, 2.0), ("b", 9, 1.0), engine="polars"),
        observation_period_end=on(10),
        calibration_period_end=on(8),
    )
    again = rfm_table(
        rfm.to_native(),
        time_unit="week",
        observation_period_end=on(10),
        calibration_period_end=on(8),
    )
    assert again.to_polars().equals(rfm.to_polars())
    assert again.fingerprint == rfm.fingerprint
    assert again.has_holdout
    assert again.holdout_duration == rfm.holdout_duration


def test_lifetimes_own_summary():
    path = next(
        file.locate()
        for file in importlib.metadata.files("lifetimes")
        if file.name == "cdnow_customers_summary_with_transactions.csv"
    )
    rfm = rfm_table(
        pd.read_csv(path, index_col="ID"),
        time_unit="week",
        customer_id="ID",
        frequency="x",
        recency="t_x",
        monetary_value="zbar",
    )
    assert len(rfm) == 2357
    assert rfm.array("frequency").sum() == 2457
    assert np.isnan(rfm.array("monetary_value")).sum() == 2357 - 946


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"frequency": [2, 0.5, -1]},
            (
                r"frequency: 2 of 3 rows are negative or no whole number; the first is row 2 "
                r"\(customer 'a'\). To do: count days of purchase after the first one"
            ),
        ),
        ({"frequency": [2, None, 1]}, "frequency: 1 of 3 rows are missing or not finite"),
        ({"T": [38.9, np.inf, 38.9]}, "T: 1 of 3 rows are missing or not finite"),
        ({"recency": [-1.0, 0.0, 38.9]}, "recency: 1 of 3 rows are negative"),
        ({"recency": [30.4, 0.0, 39.0]}, r"recency: 1 of 3 rows exceed T; .* \(customer 'c'\)"),
        ({"recency": [30.4, 5.0, 38.9]}, "recency: 1 of 3 rows are positive although"),
        ({"recency": [0.0, 0.0, 0.0]}, "recency: 2 of 3 rows are 0 although there were repeat"),
        (
            {"monetary_value": [None, None, np.inf]},
            "monetary_value: 2 of 3 rows are missing or not finite although",
        ),
        ({"monetary_value": [5.0, None, -2.0]}, "monetary_value: 1 of 3 rows are negative"),
        ({"total_value": [5.0, None, 2.0]}, "total_value: 1 of 3 rows are missing"),
        ({"customer_id": ["a", "a", "a"]}, r"customer_id: 2 of 3 rows repeat an id; .*row 2"),
        ({"customer_id": ["a", None, "b"]}, "customer_id: 1 of 3 rows have no id"),
        ({"recency": ["1", "2", "3"]}, "column 'recency' holds String, not numbers"),
        ({"first_purchase": [1, 2, 3]}, "column 'first_purchase' holds Int64, not dates"),
        ({"holdout_purchases": [1, 2, 0.5]}, "holdout_purchases: 1 of 3 rows are negative or no"),
        ({"holdout_spend": [1, 2, np.nan]}, "holdout_spend: 1 of 3 rows are missing"),
    ],
)
def test_what_cannot_be_right(changes, message):
    with pytest.raises(DataError, match=message):
        table(**changes)


def test_missing_columns():
    frame = pd.DataFrame(GOOD)
    with pytest.raises(MissingColumnError, match=r"no column 'T' for T; it has .* Name it: rfm_ta"):
        rfm_table(frame.drop(columns="T"), time_unit="week")
    with pytest.raises(MissingColumnError, match="no column 'value' for total_value"):
        rfm_table(frame, time_unit="week", total_value="value")
    with pytest.raises(MissingColumnError, match="no column 'customer_id'"):
        rfm_table(frame.drop(columns="customer_id"), time_unit="week")


def test_unusable_input():
    with pytest.raises(UnsupportedFrameError, match="a list is no table that is known"):
        rfm_table([1, 2], time_unit="week")
    with pytest.raises(NoUsableRowsError, match="no rows"):
        rfm_table(pd.DataFrame(GOOD).head(0), time_unit="week")
    with pytest.raises(DataError, match="must lie before"):
        rfm_table(
            pd.DataFrame(GOOD),
            time_unit="week",
            observation_period_end="2024-01-01",
            calibration_period_end="2024-01-01",
        )
    with pytest.raises(DataError, match="time_unit"):
        rfm_table(pd.DataFrame(GOOD), time_unit="epoch")
