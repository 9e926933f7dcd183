from __future__ import annotations

import importlib.metadata
import warnings
from functools import cache

import narwhals as nw
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from builders import ENGINES, lines, on, read

from clv.tables import _days, _summary
from clv.tables.rfm import RFM
from clv.tables.summary import rfm_summary
from clv.tables.transactions import Transactions

# -- CDNOW -----------------------------------------------------------------------------------


@cache
def cdnow(name: str) -> pa.Table:
    path = next(
        file.locate()
        for file in importlib.metadata.files("lifetimes")
        if file.name == f"CDNOW_{name}.txt"
    )
    header = 0 if name == "master" else None
    frame = pd.read_csv(path, sep=r"\s+", header=header, dtype=str)
    customer, date, _, dollars = (
        frame.iloc[:, i] for i in range(frame.shape[1] - 4, frame.shape[1])
    )
    days = pd.to_datetime(date, format="%Y%m%d").to_numpy().astype("datetime64[D]")
    return pa.table(
        {
            "customer_id": pa.array(customer.to_numpy(dtype=object)),
            "day": days.astype("int64"),
            "amount": dollars.to_numpy().astype(float),
        }
    )


def test_cdnow_sample_as_published():
    """Fader, Hardie & Lee (2005): 2,357 customers, 946 repeaters, 39 weeks of holdout."""
    sample = cdnow("sample")
    rfm = rfm_summary(
        read(sample), observation_period_end="1998-06-30", calibration_period_end="1997-09-30"
    )
    assert len(rfm) == 2357
    assert rfm.array("frequency").sum() == 2457
    assert (rfm.array("frequency") > 0).sum() == 946
    assert rfm.array("holdout_purchases").sum() == 1882
    assert rfm.array("holdout_spend").sum() == pytest.approx(70_976.39, abs=1e-6)
    assert rfm.holdout_duration == 39
    assert rfm.array("T").max() == pytest.approx(272 / 7)
    assert rfm.notes == ()
    assert (rfm.array("total_value") == 0).sum() == 8


@cache
def lifetimes_summary(end: str, calibration_end: str | None) -> pd.DataFrame:
    with warnings.catch_warnings():
        # lifetimes is older than pandas 3, and says so in several ways.
        warnings.simplefilter("ignore")
        from lifetimes.utils import (
            calibration_and_holdout_data,
            summary_data_from_transaction_data,
        )

        master = cdnow("master").to_pandas()
        master["date"] = pd.to_datetime(master["day"], unit="D")
        if calibration_end is None:
            return summary_data_from_transaction_data(
                master,
                "customer_id",
                "date",
                monetary_value_col="amount",
                observation_period_end=end,
                freq="D",
            ).reset_index()
        return calibration_and_holdout_data(
            master,
            "customer_id",
            "date",
            calibration_period_end=calibration_end,
            observation_period_end=end,
            monetary_value_col="amount",
            freq="D",
        ).reset_index()


@pytest.mark.parametrize("engine", ENGINES)
def test_lifetimes_on_the_master_file(engine):
    theirs = lifetimes_summary("1998-06-30", None)
    ours = rfm_summary(
        read(cdnow("master"), engine), observation_period_end="1998-06-30", time_unit="day"
    )
    assert len(ours) == 23_570
    frame = ours.to_pandas()
    assert frame["customer_id"].tolist() == theirs["customer_id"].tolist()
    for column in ("frequency", "recency", "T"):
        np.testing.assert_array_equal(frame[column], theirs[column])
    np.testing.assert_allclose(
        frame["monetary_value"].fillna(0), theirs["monetary_value"], rtol=0, atol=1e-9
    )
    assert frame["monetary_value"].isna().equals(frame["frequency"] == 0)


@pytest.mark.parametrize("engine", ENGINES)
def test_lifetimes_holdout_on_the_master_file(engine):
    theirs = lifetimes_summary("1998-06-30", "1997-09-30")
    ours = rfm_summary(
        read(cdnow("master"), engine),
        observation_period_end="1998-06-30",
        calibration_period_end="1997-09-30",
        time_unit="day",
    )
    frame = ours.to_pandas()
    assert frame["customer_id"].tolist() == theirs["customer_id"].tolist()
    for column, name in (
        ("frequency", "frequency_cal"),
        ("recency", "recency_cal"),
        ("T", "T_cal"),
        ("holdout_purchases", "frequency_holdout"),
    ):
        np.testing.assert_array_equal(frame[column], theirs[name])
    assert ours.holdout_duration == theirs["duration_holdout"].iloc[0]


# -- engines ---------------------------------------------------------------------------------


@cache
def a_large_shop() -> pa.Table:
    """230,000 customers with text ids, several lines a day, some refunds."""
    rng = np.random.default_rng(20)
    customers = 230_000
    count = 1 + rng.poisson(rng.gamma(0.6, 1.5, customers))
    who = np.repeat(np.arange(customers), count)
    rng.shuffle(who)
    day = 10_000 + rng.integers(0, 400, who.size)
    cents = rng.integers(0, 20_000, who.size) * rng.choice(
        [1, 1, 1, 1, 1, 1, 1, 1, 1, -1], who.size
    )
    ids = np.char.add("customer-", who.astype(str))
    return pa.table(
        {"customer_id": pa.array(ids.astype(object)), "day": day, "amount": cents / 100}
    )


@cache
def _large_transactions(engine: str) -> Transactions:
    return read(a_large_shop(), engine)


def _large(engine: str) -> RFM:
    return rfm_summary(
        _large_transactions(engine),
        observation_period_end=on(10_400),
        calibration_period_end=on(10_370),
        time_unit="month",
    )


@pytest.mark.parametrize("engine", ["pandas", "polars", "polars lazy", "pyarrow", "duckdb"])
def test_engines_agree_on_many_customers_every_time(engine):
    reference, fingerprint = _reference()
    assert reference.num_rows > 200_000
    for _ in range(5):
        rfm = _large(engine)
        table = rfm.to_arrow()
        for column in rfm.columns:
            ours, theirs = table[column], reference[column]
            if column == "customer_id":
                assert ours.cast(pa.string()).equals(theirs.cast(pa.string()))
            elif column in ("monetary_value", "mean_purchase_value", "total_value") or (
                column == "holdout_spend"
            ):
                np.testing.assert_allclose(ours.to_numpy(), theirs.to_numpy(), rtol=0, atol=1e-9)
            else:
                assert ours.equals(theirs), column
        assert rfm.fingerprint == fingerprint


@pytest.mark.parametrize("engine", ["polars lazy", "duckdb"])
def test_collapsing_in_the_engine_changes_nothing(engine, monkeypatch):
    """What is done with more lines than memory should be spent on."""
    expected = rfm_summary(read(cdnow("master")), observation_period_end="1998-06-30")
    handed_over = []
    monkeypatch.setattr(_days, "COLLAPSE_ABOVE", 1_000)
    gather = _days._gather
    monkeypatch.setattr(_days, "_gather", lambda *a: handed_over.append(f := gather(*a)) or f)
    ours = rfm_summary(read(cdnow("master"), engine), observation_period_end="1998-06-30")
    assert "lowest" in handed_over[0].columns
    assert len(handed_over[0]) < cdnow("master").num_rows
    assert ours.fingerprint == expected.fingerprint


@pytest.mark.parametrize("size", [1, 2, 7, 4_096])
@pytest.mark.parametrize("threads", [1, 3])
def test_blocks_of_customers_change_nothing(size, threads, monkeypatch):
    """Customers with more lines than a block, refunds and the cut included."""
    shop = a_large_shop().slice(0, 2_000)
    few = shop.append_column("few", pa.array(np.arange(2_000) % 190))
    few = few.drop_columns("customer_id").rename_columns(["day", "amount", "customer_id"])
    end, cut = 10_400, 10_200

    def summary():
        return rfm_summary(
            read(few), observation_period_end=on(end), calibration_period_end=on(cut)
        )

    expected, days = summary(), _days.purchase_days(read(few), end)
    monkeypatch.setattr(_days, "BLOCK", size)
    monkeypatch.setattr(_days, "HAND", 300)
    monkeypatch.setattr(_summary, "RUN", size)
    monkeypatch.setenv("OMP_NUM_THREADS", str(threads))
    monkeypatch.setattr("os.sched_getaffinity", lambda _: range(threads))
    for blocks in (_days.purchase_blocks(read(few), end), _summary.runs_of(days)):
        assert len(blocks.parts) == 1 if size == 4_096 else len(blocks.parts) > 20
    ours = summary()
    assert ours.to_arrow().equals(expected.to_arrow())
    assert ours.unmatched_refunds.customers == expected.unmatched_refunds.customers > 0
    assert ours.unmatched_refunds.amount == pytest.approx(expected.unmatched_refunds.amount)
    assert ours.notes == expected.notes
    again = _days.purchase_days(read(few), end)
    assert list(map(len, again)) == list(map(len, days))
    assert all(map(np.array_equal, again[1:], days[1:]))
    in_runs = _summary.summarise(_summary.runs_of(days), end, cut, 7.0).columns
    for name in in_runs.keys() - {"customer_id"}:
        np.testing.assert_array_equal(in_runs[name], ours.values(name))


def test_ids_that_are_few_among_many_numbers():
    ids = [2**60, -(2**60), 5, 2**60]
    rfm = rfm_summary(
        lines(*((i, day, 1.0) for day, i in enumerate(ids))), observation_period_end=on(9)
    )
    assert rfm.to_arrow()["customer_id"].to_pylist() == [-(2**60), 5, 2**60]
    assert rfm.array("frequency").tolist() == [0, 0, 1]


@cache
def _reference() -> tuple[pa.Table, str]:
    rfm = _large("pandas")
    return rfm.to_arrow(), rfm.fingerprint


@pytest.mark.parametrize("engine", ENGINES)
def test_integer_ids_beyond_the_floats(engine):
    top = 2**53
    rfm = rfm_summary(
        lines((top + 1, 0, 1.0), (top, 0, 1.0), (top + 2, 0, 1.0), engine=engine),
        observation_period_end=on(9),
    )
    assert rfm.to_arrow()["customer_id"].to_pylist() == [top, top + 1, top + 2]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("customer", [7, "هفت"])
def test_one_customer_with_one_purchase(engine, customer):
    rfm = rfm_summary(lines((customer, 3, 2.5), engine=engine), observation_period_end=on(10))
    assert len(rfm) == 1
    assert rfm.to_arrow().to_pylist() == [
        {
            "customer_id": customer,
            "frequency": 0,
            "recency": 0.0,
            "T": 1.0,
            "monetary_value": None,
            "mean_purchase_value": 2.5,
            "total_value": 2.5,
            "sum_log_intervals": 0.0,
            "sum_log_values": pytest.approx(np.log(2.5)),
            "first_purchase": on(3),
            "last_purchase": on(3),
        }
    ]


@pytest.mark.parametrize(
    ("engine", "kind"),
    [
        ("pandas", pd.DataFrame),
        ("polars", pl.DataFrame),
        ("polars lazy", pl.DataFrame),
        ("pyarrow", pa.Table),
        ("duckdb", pd.DataFrame),
    ],
)
def test_results_come_back_in_the_engine_they_came_from(engine, kind):
    rfm = rfm_summary(
        lines(("b", 0, 1.0), ("a", 0, 2.0), ("a", 5, 3.0), engine=engine),
        observation_period_end=on(7),
    )
    assert isinstance(rfm.to_native(), kind)
    assert isinstance(rfm.frame, nw.DataFrame)
    assert rfm.to_pandas()["first_purchase"].dtype.kind == "M"
    assert rfm.to_polars().schema["first_purchase"] == pl.Date
    assert rfm.to_polars()["monetary_value"].to_list() == [3.0, None]
    assert rfm.to_arrow()["monetary_value"].null_count == 1
    assert list(rfm.customer_ids if kind is not pa.Table else rfm.customer_ids.to_pylist()) == [
        "a",
        "b",
    ]
