"""Models with a whole number to estimate, through the public door: fit, forecast, save, refuse."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import clv
from clv.errors import BoundaryWarning, DataError, MissingColumnError
from clv.families import bg_cnbd_k
from clv.fitted import FittedPurchases
from clv.inference.variants import maximize_variants
from clv.numerics.sampling import simulate_histories
from clv.tables.rfm import RFM


def table(history: Any, **more: Any) -> RFM:
    columns = {"customer_id": np.arange(len(history.T)), **history._asdict(), **more}
    return clv.rfm_table(
        pd.DataFrame(columns),
        time_unit="week",
        observation_period_end="2024-06-30",
        calibration_period_end="2024-01-01" if "holdout_purchases" in more else None,
    )


@pytest.fixture(scope="module")
def grocery() -> RFM:
    """Customers who buy every k = 4 stages."""
    family = bg_cnbd_k.variant(4)
    ages = np.round(np.random.default_rng(1).uniform(8, 52, 1500)) + 0.0
    history = simulate_histories(family, family.Parameters(2.0, 2.0, 0.6, 5.0), ages, 2)
    rng = np.random.default_rng(3)
    spend = rng.gamma(6.0, 5.0, 1500)
    return table(
        history,
        monetary_value=np.where(history.frequency > 0, spend, np.nan),
        mean_purchase_value=spend,
        holdout_purchases=rng.poisson(3.0, 1500),
        holdout_spend=rng.gamma(6.0, 15.0, 1500),
    )


@pytest.fixture(scope="module")
def fitted(grocery: RFM) -> FittedPurchases:
    fit: FittedPurchases = clv.BetaGeoCNBDKModel().fit(grocery)
    return fit


def test_k_is_a_parameter(grocery: RFM, fitted: FittedPurchases) -> None:
    assert list(fitted.parameters) == ["k", "r", "alpha", "a", "b"]
    assert fitted.parameters["k"] == 4
    assert fitted.variant == {"k": 4}
    assert fitted.convergence.converged
    assert list(fitted.standard_errors) == ["r", "alpha", "a", "b"]
    assert fitted.aic == 2 * 5 - 2 * fitted.log_likelihood
    assert fitted.bic == pytest.approx(5 * np.log(1500) - 2 * fitted.log_likelihood)
    text = repr(fitted)
    assert "BG/CNBD-k" in text
    assert "estimated" in text
    assert "BG/CNBD-k" in fitted._repr_html_()
    summary = fitted.summary()
    assert list(summary.index) == ["k", "r", "alpha", "a", "b"]
    assert summary.loc["k", "estimate"] == 4
    assert np.isnan(summary.loc["k", "standard_error"])
    # on the scale of the data, and so comparable with models that know no regularity
    for name in ("bg_nbd", "mbg_nbd"):
        assert fitted.aic < clv.model_class(name)().fit(grocery).aic - 500


def test_k_may_be_given(grocery: RFM, fitted: FittedPurchases) -> None:
    given = clv.BetaGeoCNBDKModel(k=4).fit(grocery)
    assert given.estimates == pytest.approx(fitted.estimates, rel=1e-9)
    assert given.log_likelihood == pytest.approx(fitted.log_likelihood, rel=1e-12)
    assert given.aic == pytest.approx(fitted.aic - 2)  # one parameter less was estimated
    assert "given" in repr(given)
    assert repr(clv.BetaGeoCNBDKModel(k=4)) == "BetaGeoCNBDKModel(k=4)"
    assert repr(clv.BetaGeoCNBDKModel()) == "BetaGeoCNBDKModel()"
    other = clv.ModifiedBetaGeoCNBDKModel(k=2).fit(grocery)
    assert other.parameters["k"] == 2
    assert other.log_likelihood < fitted.log_likelihood


@pytest.mark.parametrize(("name", "plain"), [("bg_cnbd_k", "bg_nbd"), ("mbg_cnbd_k", "mbg_nbd")])
def test_cdnow_is_not_regular(name: str, plain: str) -> None:
    """BTYDplus finds the same: its demo on CDNOW estimates k = 1."""
    transactions = clv.read_transactions(clv.datasets.load_cdnow())
    rfm = clv.rfm_summary(
        transactions, calibration_period_end="1997-09-30", observation_period_end="1998-06-30"
    )
    fit, same = (clv.model_class(n)().fit(rfm) for n in (name, plain))
    assert fit.parameters["k"] == 1
    assert np.array_equal(fit.estimates, same.estimates)
    assert fit.log_likelihood == same.log_likelihood
    assert fit.aic == pytest.approx(same.aic + 2)
    for verb in ("expected_purchases", "survival", "discounted_expected_purchases"):
        assert np.array_equal(getattr(fit, verb)(rfm, 39), getattr(same, verb)(rfm, 39))


def test_saved_and_loaded(tmp_path: Path, grocery: RFM, fitted: FittedPurchases) -> None:
    loaded = clv.load(fitted.save(tmp_path / "model"))
    assert loaded.parameters == fitted.parameters
    assert loaded.aic == fitted.aic
    assert repr(loaded) == repr(fitted)
    for verb in ("expected_purchases", "survival", "probability_no_purchase"):
        assert np.array_equal(
            getattr(loaded, verb)(grocery, 26), getattr(fitted, verb)(grocery, 26)
        )


def test_the_whole_path(grocery: RFM, fitted: FittedPurchases) -> None:
    spend = clv.GammaGammaModel().fit(grocery)
    forecast = clv.forecast(grocery, fitted, spend, horizon="26 weeks", draws=200)
    assert (forecast.array("purchases_low") <= forecast.array("purchases_high")).all()
    expected = forecast.array("expected_purchases")
    assert expected == pytest.approx(fitted.expected_purchases(grocery, 26))
    few = clv.forecast(
        grocery, fitted, spend, horizon=26, discount_rate=0.0, interval_kind="expected"
    )
    low, high = (few.array(f"purchases_{end}") for end in ("low", "high"))
    assert ((low <= expected) & (expected <= high)).mean() > 0.9
    curve = clv.retention_curve(fitted, grocery, until=40, points=5)
    seen, modelled = (curve.array(f"still_buying_{what}") for what in ("observed", "expected"))
    assert np.abs(seen - modelled)[:-1].max() < 0.05
    assert "purchases" in repr(clv.compare(grocery, fitted, spend, bootstrap=20))
    simulated = fitted.simulate(grocery.array("T"), seed=5)
    assert simulated.frequency.mean() == pytest.approx(grocery.array("frequency").mean(), rel=0.1)


class TestRefusals:
    def test_a_table_without_intervals(self, grocery: RFM) -> None:
        frame = grocery.to_pandas().drop(columns="sum_log_intervals")
        bare = clv.rfm_table(frame, time_unit="week")
        for model in (clv.BetaGeoCNBDKModel(), clv.ModifiedBetaGeoCNBDKModel(k=2)):
            with pytest.raises(MissingColumnError, match="no sum_log_intervals; make it with"):
                model.fit(bare)
        plain = clv.BetaGeoModel().fit(bare)
        assert clv.BetaGeoCNBDKModel(k=1).fit(bare).log_likelihood == plain.log_likelihood

    def test_logs_in_another_unit(self, grocery: RFM) -> None:
        frame = grocery.to_pandas()
        frame["sum_log_intervals"] += frame["frequency"] * np.log(7)
        with pytest.raises(DataError, match="sum_log_intervals is too large in"):
            clv.BetaGeoCNBDKModel().fit(clv.rfm_table(frame, time_unit="week"))

    @pytest.mark.parametrize("k", [0, 31, 2.5, -1])
    def test_no_such_k(self, k: Any) -> None:
        with pytest.raises(DataError, match="k must be a whole number from 1 to 30"):
            clv.BetaGeoCNBDKModel(k=k)


def test_the_largest_k_is_a_boundary() -> None:
    """Every week, nearly to the hour: beyond what stages can tell."""
    rng = np.random.default_rng(1)
    x = rng.integers(3, 12, 300).astype(float)
    pace = rng.gamma(4.0, 0.25, 300)
    frame = pd.DataFrame(
        {
            "customer_id": range(300),
            "frequency": x,
            "recency": x * pace,
            "T": x * pace + rng.uniform(0.2, 0.7, 300) * pace,
            "sum_log_intervals": x * (np.log(pace) - 0.002),
        }
    )
    with pytest.warns(BoundaryWarning, match="k is at its largest value, 30"):
        fit = clv.BetaGeoCNBDKModel().fit(clv.rfm_table(frame, time_unit="week"))
    assert fit.parameters["k"] == 30
    assert not fit.convergence.converged
    assert np.isfinite(fit.expected_purchases(clv.rfm_table(frame, time_unit="week"), 10)).all()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["bg_cnbd_k", "mbg_cnbd_k"])
def test_simulated_bases_give_k_and_the_rest_back(name: str) -> None:
    """k is found nearly always, and the rest as near as their standard errors promise."""
    file = clv.families.find(name)
    off, found = [], []
    for number in range(60):
        family = file.variant(1 + number % 4)
        true = family.Parameters(1.2, 3.0 * family.number, 0.9, 3.5)
        ages = np.random.default_rng([number, 1]).uniform(30, 100, 1500)
        history = simulate_histories(family, true, ages, number)
        fit = maximize_variants(file, history, np.ones(1500), {"time": 65.0})
        found.append(fit.number - family.number)
        if fit.number == family.number:
            errors = np.sqrt(np.diag(fit.estimate.log_covariance))
            off.append(np.abs(np.log(fit.estimate.parameters / np.array(true))) / errors)
    assert np.abs(found).max() <= 1
    assert np.count_nonzero(found) <= 3
    assert (np.array(off) < 3.0).mean() > 0.98
    assert (np.array(off) < 1.645).mean() == pytest.approx(0.9, abs=0.05)
