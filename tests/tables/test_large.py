"""Tables that do not fit into memory: the same numbers, made in parts on disk."""

from __future__ import annotations

import gc
import tempfile
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import clv
from clv.errors import DataError, NoUsableRowsError
from clv.fitted import spend
from clv.tables import _divided, _memory
from clv.tables.large import LargeRFM
from clv.tables.rfm import RFM

MEMORY = "500MB"


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some 500 lines and 400 customers at a time, taken 200 by 200."""
    monkeypatch.setattr(_memory, "BYTES_PER_LINE", 10**6)
    monkeypatch.setattr(_memory, "BYTES_PER_CUSTOMER", 10**6 * 5 // 4)
    monkeypatch.setattr(_divided, "BATCH", 200)
    monkeypatch.setattr(_divided, "SAMPLE", 300)


@pytest.fixture(scope="module")
def orders() -> pd.DataFrame:
    """Regulars and strangers, several lines on a day, refunds, and names that sort as text."""
    rng = np.random.default_rng(4)
    lines = 4_000
    amount = rng.gamma(4, 8, lines).round(2)
    amount[rng.random(lines) < 0.05] *= -1
    return pd.DataFrame(
        {
            "customer_id": (rng.pareto(0.8, lines) * 40).astype(int) % 1_000,
            "date": pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 500, lines), "D"),
            "amount": amount,
        }
    )


def tables(source: object, **period: str) -> tuple[RFM, LargeRFM]:
    """The table in memory, and the one in parts."""
    found = [
        clv.rfm_summary(clv.read_transactions(source, memory=memory), **period)
        for memory in (None, MEMORY)
    ]
    assert isinstance(found[1], LargeRFM)
    return found[0], found[1]


def assert_same(left: pd.DataFrame, right: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(left, right, check_exact=False, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("engine", "text"),
    [
        ("pandas", True),
        ("polars", False),
        ("polars lazy", True),
        ("parquet", False),
        ("parquet", True),
        ("csv", True),
        ("duckdb", False),
    ],
)
def test_the_same_table(orders: pd.DataFrame, engine: str, text: bool, tmp_path: Path) -> None:
    if text:
        orders = orders.assign(customer_id="é" + orders["customer_id"].astype(str))
    source: object = orders
    if engine == "parquet":
        source = tmp_path / "orders.parquet"
        orders.to_parquet(source)
    elif engine == "csv":
        source = tmp_path / "orders.csv"
        orders.to_csv(source, index=False)
    elif engine.startswith("polars"):
        source = pl.from_pandas(orders)
        source = source.lazy() if "lazy" in engine else source
    elif engine == "duckdb":
        source = duckdb.connect().from_arrow(pa.Table.from_pandas(orders))
    period = {"observation_period_end": "2025-04-30", "calibration_period_end": "2024-12-31"}
    whole, parts = tables(source, **period)
    assert len(list(parts.tables())) > 5
    assert len(parts) == len(whole)
    assert parts.columns == whole.columns
    assert type(parts.to_native()) is type(whole.to_native())
    assert_same(whole.to_pandas(), parts.to_pandas())
    assert parts.notes == whole.notes
    assert parts.unmatched_refunds == pytest.approx(whole.unmatched_refunds)
    assert parts.fingerprint == whole.fingerprint
    assert repr(parts) == repr(whole)
    assert_same(parts.collect().to_pandas(), whole.to_pandas())


@pytest.fixture(scope="module")
def cdnow_lines() -> pd.DataFrame:
    return clv.datasets.load_cdnow()


@pytest.fixture
def both(cdnow_lines: pd.DataFrame) -> tuple[RFM, LargeRFM]:
    return tables(cdnow_lines, observation_period_end="1998-06-30")


@pytest.mark.parametrize(
    "model",
    [
        clv.BetaGeoModel(),
        clv.GammaGammaModel(),
        clv.GammaGammaModel(purchases="all"),
        clv.GammaGammaModel(purchases="each"),
        clv.model_class("bg_cnbd_k")(),
    ],
    ids=repr,
)
def test_the_same_fit(both: tuple[RFM, LargeRFM], model: object) -> None:
    assert_same_fit(both, model)


@pytest.mark.parametrize("purchases", ["repeat", "all", "each"])
def test_the_same_fit_by_sums_over_parts(
    both: tuple[RFM, LargeRFM], purchases: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spend, "MOST", 900)
    monkeypatch.setattr(spend, "SOME", 150)
    rows = spend.spend_rows(both[1], purchases, sums="gamma_gamma")
    assert rows.derivatives is not None
    assert len(rows.weights) < 300 < rows.buyers
    assert_same_fit(both, clv.GammaGammaModel(purchases=purchases))


def assert_same_fit(both: tuple[RFM, LargeRFM], model: object) -> None:
    whole, parts = (model.fit(table) for table in both)
    for name, value in whole.parameters.items():
        assert parts.parameters[name] == pytest.approx(value, rel=1e-8)
    assert parts.log_likelihood == pytest.approx(whole.log_likelihood, abs=1e-6)
    assert parts.n_customers == whole.n_customers
    assert parts.fingerprint == whole.fingerprint
    assert parts.notes == whole.notes


@pytest.mark.parametrize(
    "question",
    [
        {},
        {"interval": None},
        {"interval_kind": "expected"},
        {"horizon": None, "margin": 0.3, "cost_to_serve_rate": 2.0},
    ],
    ids=str,
)
def test_the_same_forecast(both: tuple[RFM, LargeRFM], question: dict[str, object]) -> None:
    fits = clv.BetaGeoModel().fit(both[0]), clv.GammaGammaModel().fit(both[0])
    question = {"horizon": "26 weeks", "draws": 200, **question}
    one, other = (clv.forecast(table, *fits, **question) for table in both)
    assert len(list(other.tables())) > 5
    pd.testing.assert_frame_equal(
        one.to_pandas(), other.to_pandas(), check_exact=False, rtol=1e-8, atol=1e-9
    )
    for mine, theirs in zip(one.totals, other.totals, strict=True):
        assert theirs[:1] == mine[:1]
        np.testing.assert_allclose(theirs[1:], mine[1:], rtol=1e-8)
    assert other.notes == one.notes
    assert repr(other) == repr(one)
    assert other.sum("residual_value") == pytest.approx(one.sum("residual_value"), rel=1e-12)
    assert_same(
        one.best("residual_value", 7).to_pandas(), other.best("residual_value", 7).to_pandas()
    )


def test_every_other_question_loads_what_it_needs(
    both: tuple[RFM, LargeRFM], cdnow_lines: pd.DataFrame
) -> None:
    whole, parts = both
    fits = clv.BetaGeoModel().fit(whole), clv.GammaGammaModel().fit(whole)
    one, other = (fits[0].probability_alive(table) for table in both)
    np.testing.assert_array_equal(one, other)
    margin = np.linspace(0.1, 0.5, len(whole))
    one, other = (
        clv.forecast(table, *fits, horizon=26, interval=None, margin=margin).array("residual_value")
        for table in both
    )
    np.testing.assert_allclose(one, other, rtol=1e-12)
    channels = cdnow_lines[["customer_id"]].drop_duplicates().assign(channel="web")
    assert parts.with_covariates(channels, ["channel"]).columns[-1] == "channel"
    with pytest.raises(DataError, match="there is no column 'channel'"):
        parts.array("channel")
    with pytest.raises(DataError, match="not numbers"):
        parts.array("first_purchase")


def test_what_is_on_disk_goes_with_the_table(cdnow_lines: pd.DataFrame, tmp_path: Path) -> None:
    def left() -> list[Path]:
        return [path for path in tmp_path.iterdir() if path.name.startswith("clv-")]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(tmp_path))
        parts = tables(cdnow_lines, observation_period_end="1998-06-30")[1]
        fits = clv.BetaGeoModel().fit(parts), clv.GammaGammaModel().fit(parts)
        forecast = clv.forecast(parts, *fits, horizon=26, draws=50)
        assert left()
        assert not list(tmp_path.rglob("lines-*"))
        del parts, forecast
        gc.collect()
    assert left() == []


def test_nobody_left(orders: pd.DataFrame) -> None:
    returned = orders.assign(amount=-1.0)
    with pytest.raises(NoUsableRowsError, match="nobody had a purchase by"):
        tables(returned, observation_period_end="last")


def test_one_customer_with_everything() -> None:
    days = pd.date_range("2024-01-01", periods=3_000, freq="h")
    lines = pd.DataFrame({"customer_id": "only", "date": days, "amount": 1.0})
    whole, parts = tables(lines, observation_period_end="last")
    assert_same(whole.to_pandas(), parts.to_pandas())


@pytest.mark.parametrize(
    ("memory", "total"), [("2GB", 2e9), ("2 gb", 2e9), ("1.5GiB", 3 * 2**29), ("800MB", 8e8)]
)
def test_sizes(memory: str, total: float) -> None:
    assert _memory.parse_memory(memory).total == total


@pytest.mark.parametrize("memory", ["much", "1e9", "10MB", "2G", -5, ""])
def test_sizes_that_are_none(memory: str | int) -> None:
    with pytest.raises(DataError, match="memory="):
        _memory.parse_memory(memory)
