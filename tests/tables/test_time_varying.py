"""Reading covariates that change, and cutting customers' time by them."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from time_varying_world import MONDAY, tables, world

import clv
from clv.errors import DataError, MissingColumnError, NoUsableRowsError, UnsupportedFrameError
from clv.tables import _timeline
from clv.tables.rfm import RFM
from clv.tables.time_varying import TimeVaryingCovariates
from clv.tables.transactions import Transactions

NUMBERS = (0.9, 5.0, 0.8, 14.0)
CUT = MONDAY + dt.timedelta(days=150)


class Shop:
    def __init__(self) -> None:
        self.orders, self.periods = tables(world(30, 40, NUMBERS, (0.5, 0.7, 0.0), (0.0,) * 3, 5))
        keys = zip(self.periods["customer_id"], self.periods["week"], strict=True)
        self.prices = dict(zip(keys, self.periods["price"], strict=True))
        self.transactions: Transactions = clv.read_transactions(self.orders)
        self.rfm: RFM = clv.rfm_summary(
            self.transactions,
            calibration_period_end=CUT,
            observation_period_end=MONDAY + dt.timedelta(days=279),
        )

    def read(self, **changes: Any) -> TimeVaryingCovariates:
        return clv.time_varying_covariates(self.periods.assign(**changes), date="week")

    def price_on(self, customer: str, day: dt.date) -> float:
        week = MONDAY + dt.timedelta(days=7 * ((day - MONDAY).days // 7))
        return self.prices[customer, pd.Timestamp(week)]


@pytest.fixture(scope="module")
def shop() -> Shop:
    return Shop()


def days_between(first: dt.date, end: dt.date) -> list[dt.date]:
    return [first + dt.timedelta(days=k) for k in range((end - first).days)]


def test_pieces_are_the_days_of_a_customer(shop: Shop) -> None:
    covariates = shop.read()
    past, rfm = _timeline.past(shop.rfm, covariates), shop.rfm.to_pandas()
    price = covariates.values["price"]
    total = np.bincount(past.customer, past.length, len(rfm))
    before = np.bincount(past.customer, past.length * ~past.after_last, len(rfm))
    np.testing.assert_allclose(total, rfm["T"], rtol=1e-12)
    np.testing.assert_allclose(before, rfm["recency"], rtol=1e-12, atol=1e-12)
    found = np.bincount(past.customer, price[past.row] * past.length, len(rfm))
    for i, row in rfm.iterrows():
        days = days_between(row["first_purchase"].date(), CUT)
        by_day = sum(shop.price_on(row["customer_id"], day) for day in days) / 7
        assert found[i] == pytest.approx(by_day, rel=1e-9, abs=1e-12)


def test_purchases_have_the_covariates_of_their_day(shop: Shop) -> None:
    covariates = shop.read()
    bought = _timeline.bought(shop.rfm, covariates, shop.transactions)
    found = np.bincount(bought.customer, covariates.values["price"][bought.row], len(shop.rfm))
    for i, row in shop.rfm.to_pandas().iterrows():
        own = shop.orders[shop.orders["customer_id"] == row["customer_id"]]["date"].dt.date
        days = sorted({day for day in own if row["first_purchase"].date() < day <= CUT})
        assert len(days) == row["frequency"]
        expected = sum(shop.price_on(row["customer_id"], day) for day in days)
        assert found[i] == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_the_periods_ahead_begin_where_observation_ends(shop: Shop) -> None:
    covariates = shop.read()
    ahead = _timeline.ahead(shop.rfm, covariates, 3.5)
    assert ahead.widths.sum() == pytest.approx(3.5)
    half_days = [CUT + dt.timedelta(days=k // 2) for k in range(49)]
    customer = shop.rfm.to_pandas()["customer_id"][4]
    expected = sum(shop.price_on(customer, day) for day in half_days) / 14
    assert covariates.values["price"][ahead.row[4]] @ ahead.widths == pytest.approx(expected)


@pytest.mark.parametrize("engine", ["polars", "polars lazy", "pyarrow", "shuffled", "texts"])
def test_engines_and_orders_agree(shop: Shop, engine: str) -> None:
    frame: Any = shop.periods.assign(mailing=np.where(shop.periods["mailing"] > 0, "yes", "no"))
    plain = clv.time_varying_covariates(frame, date="week")
    other = {
        "polars": lambda: pl.from_pandas(frame),
        "polars lazy": lambda: pl.from_pandas(frame).lazy(),
        "pyarrow": lambda: pa.Table.from_pandas(frame),
        "shuffled": lambda: frame.sample(frac=1.0, random_state=3),
        "texts": lambda: frame.assign(
            week=frame["week"].dt.strftime("%Y-%m-%d"), mailing=frame["mailing"].astype("category")
        ),
    }[engine]()
    read = clv.time_varying_covariates(other, date="week")
    np.testing.assert_array_equal(read.borders, plain.borders)
    assert read.levels == plain.levels == {"mailing": ("no", "yes")}
    one, two = (_timeline.past(shop.rfm, c) for c in (plain, read))
    for name in plain.columns:
        np.testing.assert_array_equal(plain.values[name][one.row], read.values[name][two.row])


def test_seasons_are_the_same_for_everybody(shop: Shop) -> None:
    weeks = shop.periods[shop.periods["customer_id"] == "c0000"][["week", "season"]]
    covariates = clv.time_varying_covariates(weeks, customer_id=None, date="week")
    everybody = _timeline.past(shop.rfm, covariates)
    own = shop.read()
    one = _timeline.past(shop.rfm, own)
    np.testing.assert_array_equal(
        covariates.values["season"][everybody.row], own.values["season"][one.row]
    )
    assert _timeline.ahead(shop.rfm, covariates, 2.0).row.shape[0] == 1


def test_periods_may_be_days_or_months() -> None:
    days = pd.DataFrame({"day": pd.date_range("2024-02-27", periods=4), "sale": [0, 1, 1, 0]})
    read = clv.time_varying_covariates(days, customer_id=None, date="day")
    assert (read.first_day, read.last_day) == (dt.date(2024, 2, 27), dt.date(2024, 3, 1))
    starts = ["2023-12-01", "2024-01-01", "2024-02-01", "2024-03-01"]
    months = pd.DataFrame({"month": starts, "sale": [0, 1, 1, 0]})
    read = clv.time_varying_covariates(months, customer_id=None, date="month")
    assert np.diff(read.borders).tolist() == [31, 31, 29, 31]


def weeks_of(shop: Shop) -> pd.Series:
    return shop.periods["week"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda s: s.periods.drop(index=57),
            r"missing after 1 row, the first is that of 'c0001', w",
        ),
        (
            lambda s: s.periods[weeks_of(s) != pd.Timestamp("2022-02-07")],
            r"no rows for 1 period, the first begins on 2022-02-07",
        ),
        (
            lambda s: pd.concat([s.periods, s.periods.iloc[[3, 50]]]),
            r"2 rows of the covariates repeat a customer and period, .* 'c0000', 2022-01-24",
        ),
        (
            lambda s: s.periods.assign(price=s.periods["price"].where(s.periods.index != 41)),
            r"price is missing or infinite in 1 row .* first is 'c0001', 2022-0",
        ),
        (
            lambda s: s.periods.assign(
                customer_id=s.periods["customer_id"].where(s.periods.index != 9)
            ),
            r"customer_id is missing in 1 row of the covariates, the first is row 10",
        ),
        (
            lambda s: s.periods.assign(price=["high", None] * 600),
            r"price is missing in 600 rows of the covariates, the first is 'c0000', 2022-01-10",
        ),
        (lambda s: s.periods.iloc[[0]], r"one period only"),
        (
            lambda s: s.periods.assign(
                week=weeks_of(s) + pd.to_timedelta(1 * (s.periods.index == 0), "D")
            ),
            r"no steady periods: they are 1 to 7 days long, and 2022-01-04 is the first out",
        ),
        (lambda s: s.periods.assign(price=[[1]] * 1200), r"price of the covariates holds"),
    ],
)
def test_what_cannot_be_used_is_named(shop: Shop, change: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        clv.time_varying_covariates(change(shop), date="week")


def test_tables_that_are_none(shop: Shop) -> None:
    with pytest.raises(UnsupportedFrameError, match="no data frame"):
        clv.time_varying_covariates([1, 2])
    with pytest.raises(MissingColumnError, match="no column 'day'; they have customer_id, week"):
        clv.time_varying_covariates(shop.periods, date="day")
    with pytest.raises(MissingColumnError, match="no column 'weather'"):
        clv.time_varying_covariates(shop.periods, date="week", columns=["weather"])
    with pytest.raises(NoUsableRowsError, match="no rows"):
        clv.time_varying_covariates(shop.periods.iloc[:0], date="week")
    with pytest.raises(DataError, match="no columns beside"):
        clv.time_varying_covariates(shop.periods[["customer_id", "week"]], date="week")
    with pytest.raises(DataError, match="customer_id=None says that"):
        clv.time_varying_covariates(shop.periods, customer_id=None, date="week", columns=["price"])


def test_who_is_not_covered_is_named(shop: Shop) -> None:
    periods, week = shop.periods, weeks_of(shop)
    for frame, message in (
        (periods[periods["customer_id"] != "c0007"], "no rows for 1 customer of 30.*'c0007'"),
        (
            periods[week >= pd.Timestamp("2022-01-31")],
            r"of 30 customers begin after the first purchase; the first is 'c00",
        ),
        (
            periods[week < pd.Timestamp("2022-05-30")],
            r"30 of 30 customers end before the observation does \(2022-06-02\)",
        ),
    ):
        covariates = clv.time_varying_covariates(frame, date="week")
        with pytest.raises(DataError, match=message):
            _timeline.past(shop.rfm, covariates)
    with pytest.raises(DataError, match="up to 2022-12-28, and there are none from 2022-10-10"):
        _timeline.ahead(shop.rfm, shop.read(), 30.0)
    short = periods[(periods["customer_id"] != "c0003") | (week < pd.Timestamp("2022-08-01"))]
    with pytest.raises(DataError, match=r"none from 2022-08-01 on for 1 customer of 30.*'c0003'"):
        _timeline.ahead(shop.rfm, clv.time_varying_covariates(short, date="week"), 10.0)


def test_other_transactions_are_refused(shop: Shop) -> None:
    covariates = shop.read()
    moved = shop.orders.assign(date=shop.orders["date"] + pd.Timedelta(days=1))
    other = clv.read_transactions(moved)
    with pytest.raises(DataError, match=r"not those of the table|the transactions that"):
        _timeline.bought(shop.rfm, covariates, other)
    ready = clv.rfm_table(
        shop.rfm.to_pandas()[["customer_id", "frequency", "recency", "T"]], time_unit="week"
    )
    with pytest.raises(DataError, match="has no first_purchase"):
        _timeline.past(ready, covariates)


def test_a_table_takes_only_covariates_of_the_right_kind(shop: Shop) -> None:
    with pytest.raises(DataError, match=r"expected covariates from clv.time_varying_covariates"):
        shop.rfm.with_time_varying_covariates(shop.periods)  # type: ignore[arg-type]
    customers = pd.DataFrame({"customer_id": shop.rfm.customer_ids, "price": 1.0})
    with pytest.raises(DataError, match="price is a covariate of the table and a time-varying one"):
        shop.rfm.with_covariates(customers, ["price"]).with_time_varying_covariates(shop.read())
