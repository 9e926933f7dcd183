"""The shell: what fit accepts, refuses, returns and says."""

from __future__ import annotations

import dataclasses
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import clv
from clv.errors import BoundaryWarning, DataError, FitError, UnitMismatchError
from clv.fitted import FittedPurchases, FittedSpend
from clv.spend_model import FEWEST_BUYERS
from clv.tables.rfm import RFM


def table(**columns: object) -> RFM:
    frame = pd.DataFrame(columns)
    frame["customer_id"] = np.arange(len(frame))
    return clv.rfm_table(frame, time_unit="week")


def simulated(model: FittedPurchases, n: int, seed: int) -> RFM:
    T = np.random.default_rng(seed).uniform(10, 80, n)
    history = model.simulate(T, seed)
    return table(**history._asdict())


def test_estimates_standard_errors_and_criteria(bg_nbd: FittedPurchases) -> None:
    assert bg_nbd.model_name == "bg_nbd"
    assert bg_nbd.kind == "purchase"
    assert bg_nbd.standard_errors == pytest.approx(
        {"r": 0.01256, "alpha": 0.37822, "a": 0.18573, "b": 0.70541}, rel=1e-3
    )
    assert np.array_equal(bg_nbd.covariance, bg_nbd.covariance.T)
    assert bg_nbd.aic == pytest.approx(2 * 4 + 2 * 9582.4292, abs=1e-3)
    assert bg_nbd.bic == pytest.approx(4 * np.log(2357) + 2 * 9582.4292, abs=1e-3)
    assert bg_nbd.convergence.converged
    assert bg_nbd.convergence.boundary is None
    assert bg_nbd.convergence.decrement < 1e-9
    summary = bg_nbd.summary()
    assert list(summary.index) == ["r", "alpha", "a", "b"]
    assert (summary["low"] < summary["estimate"]).all()
    assert (summary["estimate"] < summary["high"]).all()


def test_one_time_buyers_are_pointed_out(bg_nbd: FittedPurchases, mbg_nbd: FittedPurchases) -> None:
    assert any("60%" in note and "mbg_nbd" in note for note in bg_nbd.notes)
    assert mbg_nbd.notes == ()


def test_a_fit_shows_itself(bg_nbd: FittedPurchases) -> None:
    text = repr(bg_nbd)
    for part in ("BG/NBD", "2,357", "1997-09-30", "0.242595", "-9,582.4292", "converged"):
        assert part in text
    assert "<table>" in bg_nbd._repr_html_()


def test_a_fit_is_frozen(bg_nbd: FittedPurchases) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        bg_nbd.log_likelihood = 0.0  # type: ignore[misc]


@pytest.mark.parametrize("unit", ["day", "month", "year"])
def test_the_time_unit_changes_no_prediction(
    cdnow: RFM, bg_nbd: FittedPurchases, unit: str
) -> None:
    from clv.units import DAYS_PER_UNIT

    factor = 7 / DAYS_PER_UNIT[unit]
    other = table(
        frequency=cdnow.array("frequency"),
        recency=cdnow.array("recency") * factor,
        T=cdnow.array("T") * factor,
    )
    other = dataclasses.replace(other, time_unit=unit)
    fitted = clv.BetaGeoModel().fit(other)
    repeats = cdnow.array("frequency").sum()
    assert fitted.log_likelihood == pytest.approx(
        bg_nbd.log_likelihood - repeats * np.log(factor), abs=1e-6
    )
    np.testing.assert_allclose(
        fitted.expected_purchases(other, "273 days"),
        bg_nbd.expected_purchases(cdnow, "39 weeks"),
        rtol=1e-8,
    )
    np.testing.assert_allclose(
        fitted.discounted_expected_purchases(other, None, 0.1),
        bg_nbd.discounted_expected_purchases(cdnow, None, 0.1),
        rtol=1e-8,
    )


def test_predictions_stay_with_their_rows(cdnow: RFM, bg_nbd: FittedPurchases) -> None:
    order = np.random.default_rng(0).permutation(len(cdnow))
    shuffled = clv.rfm_table(
        cdnow.to_pandas().iloc[order],
        time_unit="week",
        calibration_period_end="1997-09-30",
        observation_period_end="1998-06-30",
    )
    np.testing.assert_array_equal(
        bg_nbd.expected_purchases(shuffled, 39), bg_nbd.expected_purchases(cdnow, 39)[order]
    )
    assert clv.BetaGeoModel().fit(shuffled).fingerprint == bg_nbd.fingerprint


def test_the_public_discount_rate_is_per_year(cdnow: RFM, bg_nbd: FittedPurchases) -> None:
    """At 10 % a year, a year having 365.25 days, 40-digit arithmetic gives 85.3214."""
    customer = table(frequency=[26], recency=[216 / 7], T=[31.0])
    assert bg_nbd.discounted_expected_purchases(customer, None, 0.1)[0] == pytest.approx(
        85.3214, abs=5e-4
    )


@pytest.mark.parametrize("name", ["bg_nbd", "mbg_nbd"])
def test_a_large_simulated_base_gives_its_parameters_back(name: str) -> None:
    model = clv.model_class(name)
    from clv.families import find
    from clv.numerics.sampling import simulate_histories

    parameters = np.array([0.6, 8.0, 0.9, 2.5])
    family = find(name)
    ages = np.random.default_rng(4).uniform(20, 120, 20_000)
    history = simulate_histories(family, family.Parameters(*parameters), ages, 5)
    fitted = model().fit(table(**history._asdict()))
    assert fitted.convergence.converged
    errors = np.array(list(fitted.standard_errors.values()))
    assert (np.abs(fitted.estimates - parameters) < 4 * errors).all()
    assert (errors < 0.5 * parameters).all()


def test_a_boundary_is_named() -> None:
    """Everybody has bought just now: dropout has nowhere to go but to zero."""
    rng = np.random.default_rng(1)
    T = rng.uniform(30, 60, 400)
    rate = rng.gamma(2.0, 1 / 10, 400)
    times = [np.sort(rng.uniform(0, t, rng.poisson(r * t))) for r, t in zip(rate, T, strict=True)]
    base = table(
        frequency=[len(t) for t in times],
        recency=[t[-1] if len(t) else 0.0 for t in times],
        T=[t[-1] + 0.1 if len(t) else age for t, age in zip(times, T, strict=True)],
    )
    with pytest.warns(BoundaryWarning, match="dropout vanishes"):
        fitted = clv.BetaGeoModel().fit(base)
    assert not fitted.convergence.converged
    assert "dropout vanishes" in str(fitted.convergence.boundary)
    assert np.isnan(fitted.standard_errors["a"])
    assert np.isfinite(fitted.standard_errors["r"])
    assert np.isfinite(fitted.draws).all()
    for values in (
        fitted.probability_alive(base),
        fitted.expected_purchases(base, 52),
        fitted.discounted_expected_purchases(base, None, 0.1),
        fitted.survival(base, "3 years"),
        fitted.probability_no_purchase(base, 4),
    ):
        assert np.isfinite(values).all()
    # with the dropout gone, purchases follow the negative binomial
    r, alpha = fitted.parameters["r"], fitted.parameters["alpha"]
    np.testing.assert_allclose(
        fitted.expected_purchases(base, 10),
        10 * (r + base.array("frequency")) / (alpha + base.array("T")),
        rtol=1e-3,
    )


class TestRefusals:
    def test_a_bare_frame(self) -> None:
        with pytest.raises(DataError, match=r"rfm_table\(frame, time_unit"):
            clv.BetaGeoModel().fit(pd.DataFrame({"frequency": [1]}))

    def test_an_unknown_method(self, cdnow: RFM) -> None:
        with pytest.raises(DataError, match="method 'magic' is not known"):
            clv.BetaGeoModel().fit(cdnow, method="magic")

    def test_one_customer(self) -> None:
        one = table(frequency=[3], recency=[20.0], T=[30.0], monetary_value=[5.0])
        with pytest.raises(FitError, match="cannot be fitted to one customer"):
            clv.BetaGeoModel().fit(one)
        with pytest.raises(FitError, match="1 of 1 customers have a repeat purchase"):
            clv.GammaGammaModel().fit(one)

    def test_only_one_time_buyers(self) -> None:
        base = table(frequency=[0, 0, 0], recency=[0.0] * 3, T=[5.0, 9.0, 30.0])
        with pytest.raises(FitError, match="all 3 customers bought once"):
            clv.ModifiedBetaGeoModel().fit(base)

    def test_a_spend_model_without_repeat_buyers(self) -> None:
        base = table(
            frequency=[0, 0],
            recency=[0.0, 0.0],
            T=[5.0, 9.0],
            monetary_value=[np.nan, np.nan],
            mean_purchase_value=[10.0, 30.0],
        )
        with pytest.raises(FitError, match=r"0 of 2 customers.*GammaGammaModel\(purchases='all'\)"):
            clv.GammaGammaModel().fit(base)

    def test_another_time_unit(self, cdnow: RFM, bg_nbd: FittedPurchases) -> None:
        days = dataclasses.replace(cdnow, time_unit="day")
        with pytest.raises(UnitMismatchError, match="fitted in weeks and the table is in days"):
            bg_nbd.expected_purchases(days, 39)

    @pytest.mark.parametrize("horizon", [0, -3, np.inf, "soon", "52 fortnights"])
    def test_a_horizon_that_is_none(
        self, cdnow: RFM, bg_nbd: FittedPurchases, horizon: object
    ) -> None:
        with pytest.raises(DataError, match=r"horizon|time_unit"):
            bg_nbd.expected_purchases(cdnow, horizon)  # type: ignore[arg-type]

    def test_a_name_that_is_no_model(self) -> None:
        with pytest.raises(AttributeError, match="no attribute 'NoSuchModel'"):
            clv.NoSuchModel  # noqa: B018
        with pytest.raises(KeyError, match=r"there are .*bg_nbd"):
            clv.model_class("no_such")


class TestSpend:
    def test_zero_means_are_left_out_and_counted(self, cdnow: RFM) -> None:
        frame = cdnow.to_pandas()
        repeaters = frame.index[frame["frequency"] > 0]
        frame.loc[repeaters[:5], "monetary_value"] = 0.0
        fitted = clv.GammaGammaModel().fit(clv.rfm_table(frame, time_unit="week"))
        assert fitted.n_customers == 946 - 5
        assert any(note.startswith("5 customers") for note in fitted.notes)

    def test_all_purchases_tell_one_time_buyers_apart(self, cdnow: RFM) -> None:
        frame = cdnow.to_pandas()
        frame["mean_purchase_value"] = frame["total_value"] / (frame["frequency"] + 1)
        full = clv.rfm_table(frame, time_unit="week")
        fitted = clv.GammaGammaModel(purchases="all").fit(full)
        once = full.array("frequency") == 0
        value = fitted.expected_spend(full)
        assert len(np.unique(value[once])) > 100
        assert fitted.n_customers == int((full.array("mean_purchase_value") > 0).sum())
        with pytest.raises(DataError, match="one of repeat, all, each"):
            clv.GammaGammaModel(purchases="some")  # type: ignore[arg-type]

    def test_money_scale_changes_nothing(self, cdnow: RFM, gamma_gamma: FittedSpend) -> None:
        """Rials or euros: the same forecast in another unit."""
        frame = cdnow.to_pandas()
        frame["monetary_value"] *= 50_000.0
        rials = clv.rfm_table(frame, time_unit="week")
        fitted = clv.GammaGammaModel().fit(rials)
        np.testing.assert_allclose(
            fitted.expected_spend(rials), 50_000 * gamma_gamma.expected_spend(cdnow), rtol=1e-8
        )

    def test_an_infinite_mean_is_said_and_replaced(self) -> None:
        """q <= 1: the population has no finite mean, so one-time buyers get the observed one."""
        rng = np.random.default_rng(3)
        count = rng.integers(1, 4, 2_000)
        value = rng.gamma(4.0 * count) / rng.gamma(0.7, 1.0, 2_000) / count
        base = table(
            frequency=np.append(count, 0),
            recency=np.append(np.full(2_000, 5.0), 0.0),
            T=np.full(2_001, 9.0),
            monetary_value=np.append(value, np.nan),
        )
        fitted = clv.GammaGammaModel().fit(base)
        assert fitted.parameters["q"] < 1
        assert fitted.population_mean == np.inf
        assert any("q = 0." in note for note in fitted.notes)
        observed = float(np.sum(count * value) / count.sum())
        assert fitted.expected_spend(base)[-1] == pytest.approx(observed)
        assert np.isfinite(fitted.expected_spend(base)).all()


class TestFewBuyers:
    """Too few to tell how they differ: a pooled mean, said everywhere."""

    @staticmethod
    def base(buyers: int) -> RFM:
        rng = np.random.default_rng(5)
        count = np.append(rng.integers(1, 4, buyers), np.zeros(40, dtype=int))
        return table(
            frequency=count,
            recency=np.where(count > 0, 5.0, 0.0),
            T=np.full(len(count), 20.0),
            monetary_value=np.where(count > 0, rng.gamma(3.0, 10.0, len(count)), np.nan),
        )

    @pytest.mark.parametrize("buyers", [2, 5, FEWEST_BUYERS - 1])
    def test_the_pooled_mean(self, buyers: int) -> None:
        base = self.base(buyers)
        with pytest.warns(BoundaryWarning, match=f"only {buyers} customers have a repeat purchase"):
            fitted = clv.GammaGammaModel().fit(base)
        count, value = base.array("frequency"), base.array("monetary_value")
        mean = float(np.nansum(count * value) / count.sum())
        np.testing.assert_allclose(fitted.expected_spend(base), mean, rtol=1e-7)
        assert fitted.population_mean == pytest.approx(mean, rel=1e-8)
        (note,) = fitted.notes
        assert f"everybody is given the pooled mean {mean:.6g}" in note
        assert note.split(": ", 1)[1][:40] in repr(fitted)
        assert not fitted.convergence.converged
        assert np.isnan(list(fitted.standard_errors.values())).all()
        # the uncertainty of the mean is in the draws
        spread = np.log([
            fitted.at(draw).population_mean for draw in fitted.draws
        ]).std()  # fmt: skip
        p = fitted.parameters["p"]
        assert spread == pytest.approx(1 / np.sqrt(p * count.sum()), rel=0.15)

    def test_forecasts_say_it(self, tmp_path: Path) -> None:
        base = self.base(6)
        with pytest.warns(BoundaryWarning):
            spend = clv.GammaGammaModel().fit(base)
        ahead = clv.forecast(base, clv.NBDModel().fit(base), spend, horizon=26)
        assert any("pooled mean" in note for note in ahead.notes)
        worth = ahead.array("expected_purchases") * ahead.array("expected_spend")
        assert (ahead.array("residual_value_high") > worth).all()
        back = clv.load(spend.save(tmp_path / "spend"))
        assert back.notes == spend.notes
        np.testing.assert_array_equal(back.expected_spend(base), spend.expected_spend(base))

    def test_covariates_are_left_out_and_named(self) -> None:
        base = self.base(4)
        known = pd.DataFrame({"customer_id": base.customer_ids, "channel": ["a", "b"] * 22})
        base = base.with_covariates(known, ["channel"])
        with pytest.warns(BoundaryWarning, match="the covariates channel are not used"):
            fitted = clv.GammaGammaModel(covariates=["channel"]).fit(base)
        assert fitted.covariates == ()
        assert len(np.unique(fitted.expected_spend(base).round(6))) == 1

    def test_from_ten_on_it_is_fitted(self) -> None:
        base = self.base(FEWEST_BUYERS)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", BoundaryWarning)
            fitted = clv.GammaGammaModel().fit(base)
        assert not any("pooled" in note for note in fitted.notes)
