"""Predictive distributions of counts against sums over the public pmf, and simulation."""

from __future__ import annotations

import numpy as np
import pytest

import clv
from clv.errors import FitError
from clv.evaluation import coverage, metrics
from clv.evaluation.coverage import count_distribution
from clv.fitted import FittedPurchases
from clv.tables.rfm import RFM


def test_it_is_the_running_sum_of_the_pmf(cdnow: RFM, mbg_nbd: FittedPurchases) -> None:
    actual = cdnow.array("holdout_purchases")
    found = count_distribution(mbg_nbd, cdnow, 39.0, actual, (0.5, 0.9))
    pmf = np.array([mbg_nbd.purchase_count_pmf(n, 39.0, cdnow) for n in range(80)])
    cdf = pmf.cumsum(axis=0)
    rows = np.arange(len(cdnow))
    n = actual.astype(int)
    np.testing.assert_allclose(found.up_to, cdf[n, rows], atol=1e-12)
    np.testing.assert_allclose(found.below, np.where(n > 0, cdf[n - 1, rows], 0), atol=1e-12)
    for level in (0.5, 0.9):
        for end, probability in (
            (found.low[level], (1 - level) / 2),
            (found.high[level], (1 + level) / 2),
        ):
            np.testing.assert_array_equal(end, (cdf >= probability - 1e-12).argmax(axis=0))


def test_coverage_is_nominal_where_the_model_is_true(bg_nbd: FittedPurchases) -> None:
    """Customers simulated from the model itself, split at half their time."""
    rng = np.random.default_rng(8)
    n = 20_000
    p = bg_nbd.parameters
    rate = rng.gamma(p["r"], 1 / p["alpha"], n)
    dropout = rng.beta(p["a"], p["b"], n)
    last_alive = rng.geometric(dropout)
    x, t_x, actual = np.zeros(n), np.zeros(n), np.zeros(n)
    time, bought = np.zeros(n), np.zeros(n)
    buying = np.ones(n, dtype=bool)
    while buying.any():
        time = np.where(buying, time + rng.exponential(1, n) / np.maximum(rate, 1e-300), time)
        buying &= (time <= 78) & (bought < last_alive)
        bought += buying
        before = buying & (time <= 39)
        x += before
        t_x = np.where(before, time, t_x)
        actual += buying & (time > 39)
    history = {"customer_id": np.arange(n), "frequency": x, "recency": t_x, "T": np.full(n, 39.0)}
    rfm = clv.rfm_table(clv_frame(history), time_unit="week")
    found = count_distribution(bg_nbd, rfm, 39.0, actual)
    for row in found.rows(actual):
        assert row["pit_coverage"] == pytest.approx(row["level"], abs=0.01)
        assert row["coverage"] >= row["level"] - 0.01
        level = row["level"]
        assert row["interval_score"] == metrics.interval_score(
            actual, found.low[level], found.high[level], level
        )


def clv_frame(columns: dict[str, np.ndarray]) -> object:
    import pandas as pd

    return pd.DataFrame(columns)


def test_a_distribution_without_end_is_named(
    cdnow: RFM, bg_nbd: FittedPurchases, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(coverage, "_MOST_PURCHASES", 3)
    with pytest.raises(FitError, match=r"may buy more than 3 times within 39 weeks"):
        count_distribution(bg_nbd, cdnow, 39.0, cdnow.array("holdout_purchases"))
