"""Is spending unrelated to the number of purchases, and what if it is not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import clv
from clv.errors import DataError
from clv.evaluation import spend_independence
from clv.evaluation.independence import _classes, _labels, pearson
from clv.fitted import FittedSpend
from clv.tables.rfm import RFM


def table(related: float, n: int = 3_000, seed: int = 1) -> RFM:
    """Customers whose level of spending grows with the number of purchases to this power."""
    rng = np.random.default_rng(seed)
    count = rng.geometric(0.3, n) - 1
    level = 30.0 * np.maximum(count, 1.0) ** related / rng.gamma(4.0, 1 / 3.0, n)
    value = level * rng.gamma(5.0 * np.maximum(count, 1)) / (5.0 * np.maximum(count, 1))
    return clv.rfm_table(
        pd.DataFrame(
            {
                "customer_id": np.arange(n),
                "frequency": count,
                "recency": np.where(count > 0, 20.0, 0.0),
                "T": 40.0,
                "monetary_value": np.where(count > 0, value, np.nan),
                "mean_purchase_value": value,
            }
        ),
        time_unit="week",
    )


def test_cdnow_has_the_published_correlation(cdnow: RFM, gamma_gamma: FittedSpend) -> None:
    """Fader & Hardie (2013), note 025: .1139 between repeat purchases and their mean value."""
    found = spend_independence(cdnow, gamma_gamma)
    assert found.n == 946
    assert found.correlation.value == pytest.approx(0.1139, abs=5e-5)
    x, y = cdnow.array("frequency"), cdnow.array("monetary_value")
    some = x > 0
    for ours, theirs in (
        (found.correlation, stats.pearsonr(x[some], y[some])),
        (found.rank_correlation, stats.spearmanr(x[some], y[some])),
    ):
        assert ours.value == pytest.approx(theirs.statistic, rel=1e-12)
        assert ours.p_value == pytest.approx(theirs.pvalue, rel=1e-9)
    assert found.change is None
    assert "0.114 (p = 0.00045)" in str(found)


def test_classes_are_those_of_the_table(cdnow: RFM, gamma_gamma: FittedSpend) -> None:
    found = spend_independence(cdnow, gamma_gamma)
    assert found.classes.values("purchases").tolist() == ["1", "2", "3", "4-5", "6-9", "10+"]
    assert found.classes.array("customers").sum() == 946
    row = found.classes.row(purchases="4-5")
    here = np.isin(cdnow.array("frequency"), [4, 5])
    assert row["customers"] == here.sum() == 100
    assert row["mean_value"] == pytest.approx(cdnow.array("monetary_value")[here].mean())
    expected = gamma_gamma.expected_spend(cdnow)[here].mean()
    assert row["expected_spend"] == pytest.approx(expected)
    assert row["ratio"] == pytest.approx(row["mean_value"] / expected)


def test_a_relation_is_found_and_moves_the_forecast() -> None:
    rfm = table(0.5)
    purchases = clv.NBDModel().fit(rfm)
    spend = clv.GammaGammaModel().fit(rfm)
    found = spend_independence(rfm, spend, purchases, horizon=26)
    assert found.correlation.p_value < 1e-10
    assert found.test is not None
    assert found.test.p_value < 1e-10
    bought = purchases.expected_purchases(rfm, 26)
    assert found.value == pytest.approx(float(bought @ spend.expected_spend(rfm)))
    # one-time buyers spend 30 on average in truth, and less than everybody's mean
    assert found.change is not None
    assert found.change < -0.01
    truth = 30.0 * np.maximum(rfm.array("frequency"), 1.0) ** 0.5 * 3.0 / 3.0
    actual = float(bought @ truth)
    assert found.value_by_class is not None
    assert abs(found.value_by_class - actual) < abs(found.value - actual)
    assert "changes the forecast of all value by -" in repr(found)
    assert "lowest class" in repr(found)
    assert "<table" in found._repr_html_()


def test_no_relation_is_not_found() -> None:
    rfm = table(0.0, seed=4)
    found = spend_independence(rfm, clv.GammaGammaModel().fit(rfm), clv.NBDModel().fit(rfm))
    assert found.correlation.p_value > 0.05
    assert found.test is not None
    assert found.test.p_value > 0.05
    assert found.change is not None
    assert abs(found.change) < 0.02


def test_all_purchases_count_where_the_model_says_so() -> None:
    rfm = table(0.0)
    found = spend_independence(rfm, clv.GammaGammaModel(purchases="all").fit(rfm))
    assert found.n == 3_000
    assert found.classes.row(purchases="1")["customers"] == (rfm.array("frequency") == 0).sum()
    assert found.notes == ()


def test_small_classes_join_the_one_below() -> None:
    count = np.repeat([1.0, 2.0, 3.0, 5.0, 7.0, 30.0, 0.0], [50, 10, 30, 25, 3, 4, 9])
    usable = np.flatnonzero(count > 0)
    of, starts = _classes(count, usable)
    assert _labels(starts) == ["1-2", "3", "4+"]
    assert np.bincount(of[usable]).tolist() == [60, 30, 32]
    assert (of[count == 0] == 0).all()
    count = np.repeat([1.0, 2.0, 3.0], [5, 30, 40])
    assert _labels(_classes(count, np.arange(75))[1]) == ["1-2", "3+"]
    assert _labels(_classes(np.ones(12), np.arange(12))[1]) == ["1+"]


def test_one_class_is_no_test() -> None:
    rfm = table(0.0, n=40, seed=3)
    found = spend_independence(rfm, clv.GammaGammaModel().fit(rfm))
    assert len(found.classes) == 1
    assert found.test is None


def test_edges() -> None:
    assert pearson(np.arange(4.0), np.arange(4.0)) == (pytest.approx(1.0), 0.0)
    assert np.isnan(pearson(np.ones(4), np.arange(4.0)).value)
    small = clv.rfm_table(table(0.0).to_pandas()[:6], time_unit="week")
    with pytest.warns(clv.errors.BoundaryWarning):
        spend = clv.GammaGammaModel(purchases="all").fit(small)
    with pytest.raises(DataError, match="6 customers have purchases that count, and at least 10"):
        spend_independence(small, spend)
