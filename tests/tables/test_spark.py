"""A real Spark cluster gives what this machine gives: the table, the fits, the forecast."""

from __future__ import annotations

import os
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest

import clv
from clv.fitted import spend
from clv.tables import _days, _spark, _summary
from clv.tables._day import day_number
from clv.tables._frame import Table
from clv.tables._rows import columns_of

pytestmark = [
    pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

QUESTION: dict[str, Any] = {"horizon": "26 weeks", "draws": 200, "seed": 3}


def needed() -> None:
    """Spark and Java: only a desk may lack them, and Pythons that they are not tested on."""
    missing = [name for name in ("java",) if shutil.which(name) is None]
    try:
        import pyspark  # noqa: F401
    except ImportError:
        missing.append("pyspark")
    if missing:
        why = f"no {' and no '.join(missing)} on this machine"
        assert "CI" not in os.environ or sys.version_info >= (3, 12), why
        pytest.skip(why)


@pytest.fixture(scope="module")
def orders() -> pd.DataFrame:
    """A tenth of CDNOW's customers, with names, two lines on some days, and refunds."""
    lines = clv.datasets.load_cdnow()[["customer_id", "date", "amount"]].query("customer_id <= 500")
    rng = np.random.default_rng(1)
    again = lines.sample(120, random_state=1).assign(amount=lambda d: d["amount"] * 0.3)
    refunds = lines.sample(60, random_state=2).assign(amount=lambda d: -d["amount"])
    everything = pd.concat([lines, again, refunds]).sample(frac=1, random_state=3)
    names = "kündin " + everything["customer_id"].astype(str)
    broken = rng.random(len(everything)) < 0.01
    return everything.assign(
        customer_id=names, amount=everything["amount"].where(~broken)
    ).reset_index(drop=True)


PERIOD = {"observation_period_end": "1998-06-01", "calibration_period_end": "1997-12-31"}


@contextmanager
def session(conf: dict[str, str], **kind: str) -> Iterator[Any]:
    from pyspark.sql import SparkSession

    builder = SparkSession.builder
    for name, value in kind.items():
        builder = getattr(builder, name)(value)
    for name, value in conf.items():
        builder = builder.config(name, value)
    spark = builder.getOrCreate()
    try:
        yield spark
    finally:
        spark.stop()


def test_a_cluster_gives_the_same(
    orders: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needed()
    from pipeline.test_engine import assert_a_night_in_a_cluster_is_the_same
    from spark_cluster import CONF, REGISTERED, cluster

    monkeypatch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
    monkeypatch.setenv("PYSPARK_PYTHON", sys.executable)
    with cluster(tmp_path) as found:
        with session(CONF, master=found.master) as spark:
            forecast = assert_same(spark, orders)
            assert_a_lost_worker_changes_nothing(found, forecast, tmp_path)
        found.add_worker(2)  # for the one that was killed
        found.wait("worker2", REGISTERED)
        assert_a_night_in_a_cluster_is_the_same(tmp_path, found.master, CONF)
        with session({}, remote=found.serve_connect()) as spark:
            assert type(spark).__module__.startswith("pyspark.sql.connect")
            assert_same(spark, orders)


@pytest.mark.parametrize("size", [1, 7, 10_000])
@pytest.mark.parametrize("text", [False, True])
def test_the_pass_over_a_partition(
    orders: pd.DataFrame, monkeypatch: pytest.MonkeyPatch, size: int, text: bool
) -> None:
    """However the lines come, and also where the last customer of a batch is in no table."""
    if not text:
        orders = orders.assign(customer_id=orders["customer_id"].str[7:].astype(int))
    orders = orders[orders["customer_id"].isin(orders["customer_id"].unique()[:60])]
    monkeypatch.setattr(_spark, "LINES", size)
    read = clv.read_transactions(pa.Table.from_pandas(orders, preserve_index=False))
    here = clv.rfm_summary(read, **PERIOD)
    end, cut = (day_number(pd.Timestamp(day).date()) for day in PERIOD.values())
    lines = _days.lines_until(read, end).sort("customer_id").to_native()
    summarise = partial(_summary.summarise_some, end=end, cut=cut, days_per_unit=7.0)
    schema = _spark._summarised(summarise, lines.slice(0, 40)).schema
    found = list(_spark._summaries(summarise, schema, lines.to_batches(max_chunksize=size)))
    assert {batch.schema for batch in found} == {schema}
    table = pa.Table.from_batches(found)
    is_account = pc.is_valid(table[_spark._ACCOUNT])
    accounts = [
        _spark._account_of(text) for text in table.filter(is_account)[_spark._ACCOUNT].to_pylist()
    ]
    account = _summary.together(accounts)
    assert set(account.notes(cut)) <= set(here.notes)
    assert account.kept == len(here)
    assert account.customers == len(lines["customer_id"].unique())
    rows = table.filter(pc.invert(is_account)).drop_columns([_spark._ACCOUNT])
    assert_close(here.to_pandas(), Table.from_columns(columns_of(rows)).to_pandas(), 1e-12)


def assert_same(spark: Any, orders: pd.DataFrame) -> Any:
    """Everything, through the same calls."""
    there = spark.createDataFrame(pa.Table.from_pandas(orders, preserve_index=False))
    read = [clv.read_transactions(source) for source in (orders, there.repartition(3))]
    assert read[1].quality.used == read[0].quality.used < len(orders)
    assert read[1].quality.reasons == read[0].quality.reasons
    here, away = (clv.rfm_summary(lines, **PERIOD) for lines in read)
    assert type(away.to_native()) is type(there)
    assert len(away) == len(here)
    assert away.notes == here.notes
    assert away.unmatched_refunds == pytest.approx(here.unmatched_refunds, abs=1e-9)
    assert away.fingerprint == here.fingerprint
    assert len(list(away.tables())) > 1
    tables = here.to_pandas(), away.to_pandas()
    for name in ("customer_id", "frequency", "holdout_purchases", "first_purchase"):
        assert tables[0][name].tolist() == tables[1][name].tolist()
    assert_close(*tables, 1e-9)

    fits = []
    each = clv.GammaGammaModel(purchases="each")
    for model in (clv.BetaGeoModel(), clv.GammaGammaModel(), each):
        one, other = model.fit(here), model.fit(away)
        np.testing.assert_allclose(
            list(other.parameters.values()), list(one.parameters.values()), rtol=1e-8
        )
        assert other.n_customers == one.n_customers
        fits.append(one)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spend, "MOST", 50)
        summed = clv.GammaGammaModel().fit(away)  # sums over customers come here, not their rows
    np.testing.assert_allclose(summed.estimates, fits[1].estimates, rtol=1e-8)
    one, other = (clv.forecast(table, *fits[:2], **QUESTION) for table in (here, away))
    assert type(other.to_native()) is type(there)
    assert_close(one.to_pandas(), other.to_pandas(), 1e-8)
    for mine, theirs in zip(one.totals, other.totals, strict=True):
        np.testing.assert_allclose(theirs[1:], mine[1:], rtol=1e-8)
    np.testing.assert_allclose(other.array("survival"), one.array("survival"), rtol=1e-8)
    assert repr(other).splitlines()[0] == repr(one).splitlines()[0]
    return other


def assert_close(here: pd.DataFrame, away: pd.DataFrame, tolerance: float) -> None:
    pd.testing.assert_frame_equal(
        here, away, check_dtype=False, check_exact=False, rtol=tolerance, atol=tolerance
    )


def assert_a_lost_worker_changes_nothing(found: Any, forecast: Any, folder: Path) -> None:
    """One of the two is killed, with its executor, while both are scoring."""
    from spark_cluster import PATIENCE, kill

    before = forecast.to_pandas()
    marks = folder / "marks"
    marks.mkdir()

    def slowly(batches: Any) -> Any:
        for batch in batches:
            (marks / str(os.getpid())).touch()
            time.sleep(2.0)
            yield batch

    frame = forecast.to_native()
    slow = frame.mapInArrow(slowly, frame.schema)
    results: list[pa.Table] = []
    thread = threading.Thread(target=lambda: results.append(slow.toArrow()))
    thread.start()
    end = time.monotonic() + PATIENCE
    while len(list(marks.iterdir())) < 2:
        assert time.monotonic() < end, "the workers do not score"
        assert thread.is_alive()
        time.sleep(0.05)
    kill(found.workers[0])
    thread.join()
    assert len(list(marks.iterdir())) >= 2
    assert_close(before, Table.from_columns(columns_of(results[0])).to_pandas(), 1e-12)
