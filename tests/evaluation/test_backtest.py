"""Backtests: published tables, no leakage, cuts that fail, and what they are made of."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd
import pytest

import clv
from clv.errors import DataError
from clv.evaluation.backtest import Backtest
from clv.tables.transactions import Transactions

SMALL = ["nbd", "bg_nbd", "mbg_nbd", "pareto_nbd"]


@pytest.fixture(scope="module")
def orders() -> Transactions:
    return clv.read_transactions(clv.datasets.load_cdnow())


@pytest.fixture(scope="module")
def published(orders: Transactions) -> Backtest:
    """The cut of the literature: 39 weeks known, 39 weeks foreseen."""
    return clv.backtest(orders, SMALL, horizon="39 weeks", cuts=["1997-09-30"], draws=50)


@pytest.mark.parametrize(
    ("method", "total", "mae", "rmse", "bias"),
    [
        ("bg_nbd", 1653.4, 0.7855, 1.6080, -0.122),
        ("mbg_nbd", 1576.7, 0.7648, 1.6072, -0.162),
        ("pareto_nbd", 1665.5, 0.7545, 1.6028, -0.115),
        ("nbd", 2929.8, 1.0410, 1.8595, 0.557),
        ("purchases_per_tenure", 2930.0, 1.0237, 2.2119, 0.557),
    ],
)
def test_purchases_of_the_holdout_as_in_other_code(
    published: Backtest, method: str, total: float, mae: float, rmse: float, bias: float
) -> None:
    """Holdout, 39 weeks, transactions per customer; computed outside of this project."""
    cut = published.cuts[0]
    assert cut.actual["purchases"].sum() == 1882
    assert cut.predictions("purchases")[method].sum() == pytest.approx(total, abs=0.5)
    found = _metrics(published, "purchases", method)
    assert found["mean_absolute_error"] == pytest.approx(mae, abs=5e-5)
    assert found["root_mean_squared_error"] == pytest.approx(rmse, abs=5e-5)
    assert found["bias"] == pytest.approx(bias, abs=6e-4)


@pytest.mark.parametrize(
    ("method", "bias", "mae", "rmse", "spearman", "capture"),
    [
        ("bg_nbd + gamma_gamma", -0.156, 30.41, 72.30, 0.426, 0.502),
        ("mbg_nbd + gamma_gamma", -0.195, 29.71, 71.95, 0.430, 0.503),
        ("pareto_nbd + gamma_gamma", -0.148, 29.45, 72.18, 0.445, 0.504),
        ("total_past_spend", 1.439, 61.65, 172.07, 0.393, 0.481),
        ("repeat_past_spend", 0.343, 38.34, 157.91, 0.479, 0.491),
        ("spend_per_tenure", 1.93, 73.02, 219.19, 0.399, 0.500),
    ],
)
def test_value_of_the_holdout_as_in_other_code(
    published: Backtest,
    method: str,
    bias: float,
    mae: float,
    rmse: float,
    spearman: float,
    capture: float,
) -> None:
    """Holdout dollars, prediction against history; computed outside of this project."""
    assert published.cuts[0].actual["value"].sum() == pytest.approx(70976.39, abs=0.005)
    found = _metrics(published, "value", method)
    assert found["bias"] == pytest.approx(bias, abs=1e-3)
    assert found["mean_absolute_error"] == pytest.approx(mae, abs=5e-3)
    assert found["root_mean_squared_error"] == pytest.approx(rmse, abs=5e-3)
    assert found["spearman"] == pytest.approx(spearman, abs=6e-4)
    assert found["captured_top_10"] == pytest.approx(capture, abs=6e-4)


@pytest.mark.parametrize(
    ("method", "means"),
    [
        ("pareto_nbd", [0.138, 0.600, 1.196, 1.714, 2.399, 2.907, 3.819, 6.403]),
        ("bg_nbd", [0.225, 0.523, 1.044, 1.520, 2.164, 2.654, 3.504, 6.157]),
        ("actual", [0.237, 0.697, 1.393, 1.560, 2.532, 2.947, 3.862, 6.359]),
    ],
)
def test_frequency_bins_as_in_other_code(
    published: Backtest, method: str, means: list[float]
) -> None:
    """Mean holdout purchases by repeat purchases before, 7 and more together."""
    cut = published.cuts[0]
    frequency = np.minimum(cut.table.array("frequency"), 7).astype(int)
    assert np.bincount(frequency).tolist() == [1411, 439, 214, 100, 62, 38, 29, 64]
    values = cut.actual["purchases"] if method == "actual" else cut.predictions("purchases")[method]
    found = np.bincount(frequency, weights=values) / np.bincount(frequency)
    np.testing.assert_allclose(found, means, atol=1e-3)  # three digits, one of them rounded


def test_a_cut_knows_what_a_summary_at_that_day_knows(orders: Transactions) -> None:
    tried = clv.backtest(orders, ["nbd"], horizon="12 weeks", cuts=2, step="5 weeks")
    for cut in tried.cuts:
        summary = clv.rfm_summary(
            orders, calibration_period_end=cut.cut, observation_period_end=cut.end
        )
        assert cut.rfm is not None
        pd.testing.assert_frame_equal(cut.rfm.to_pandas(), summary.to_pandas())
        assert cut.rfm.fingerprint == summary.fingerprint
    assert [cut.end for cut in tried.cuts] == [date(1998, 5, 26), date(1998, 6, 30)]


def test_nothing_that_comes_after_changes_a_forecast() -> None:
    """Future purchases, planted after each cut, of old and of new customers."""
    lines = clv.datasets.load_cdnow()
    cuts = ["1997-08-01", "1997-12-01"]
    given = {
        "models": ["bg_nbd", "pareto_nbd"],
        "horizon": "8 weeks",
        "window": "42 weeks",
        "draws": 50,
    }
    plain = clv.backtest(clv.read_transactions(lines), cuts=cuts, **given)
    for number, cut in enumerate(cuts):
        day = pd.Timestamp(cut) + pd.Timedelta(days=1)
        planted = pd.DataFrame(
            {"customer_id": [1, 2, 3, 999_999], "date": day, "amount": [1e6, -5.0, 77.0, 1e5]}
        )
        more = pd.concat([lines[["customer_id", "date", "amount"]], planted])
        changed = clv.backtest(clv.read_transactions(more), cuts=[cut], **given).cuts[0]
        before = plain.cuts[number]
        for quantity in ("purchases", "value"):
            was, now = before.predictions(quantity), changed.predictions(quantity)
            assert list(was) == list(now)
            for method, values in was.items():
                np.testing.assert_array_equal(values, now[method], err_msg=method)
        assert changed.actual["value"].sum() > before.actual["value"].sum() + 1e6


def test_a_cut_that_cannot_be_used_is_kept_with_its_reason(orders: Transactions) -> None:
    tried = clv.backtest(
        orders, ["bg_nbd"], horizon="39 weeks", cuts=["1997-01-01", "1997-09-30", "1998-03-01"]
    )
    early, usable, late = tried.cuts
    assert "all 18 customers bought once" in early.foreseen["purchases"]["bg_nbd"].ended
    assert not usable.reason
    assert late.reason == "only 121 of the 273 days after it have been observed"


def test_arguments_that_make_no_sense(orders: Transactions) -> None:
    with pytest.raises(DataError, match="no purchase model"):
        clv.backtest(orders, [clv.GammaGammaModel()], horizon=4)
    with pytest.raises(DataError, match="too few to foresee"):
        clv.backtest(orders, horizon="3 years")
    with pytest.raises(DataError, match="before the first transaction"):
        clv.backtest(orders, horizon=4, cuts=["1990-01-01"])


def _metrics(tried: Backtest, quantity: str, method: str) -> dict[str, float]:
    frame = tried.metrics.to_pandas()
    rows = frame.query("quantity == @quantity and method == @method and by == ''")
    return dict(zip(rows["metric"], rows["value"], strict=True))
