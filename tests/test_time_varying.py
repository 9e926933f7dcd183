"""Covariates that change with time, from a shop's tables to forecasts."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
from time_varying_world import COLUMNS, MONDAY, tables, world

import clv
from clv.errors import DataError, InfiniteValueError, MissingColumnError
from clv.fitted import FittedPurchases, FittedSpend, FittedTimeVarying
from clv.plots.numbers import tracking
from clv.tables.daily import daily_purchases
from clv.tables.rfm import RFM
from clv.tables.time_varying import TimeVaryingCovariates
from clv.tables.transactions import Transactions

NUMBERS = (0.9, 5.0, 0.8, 10.0)
PURCHASE, DROPOUT = (0.5, 0.7, -0.3), (-0.4, 0.6, 0.3)
CUT = MONDAY + dt.timedelta(days=7 * 45 + 2)
NAMES = list(COLUMNS)


class Story(NamedTuple):
    periods: pd.DataFrame
    transactions: Transactions
    rfm: RFM
    covariates: TimeVaryingCovariates
    fitted: FittedTimeVarying
    spend: FittedSpend

    @property
    def table(self) -> RFM:
        return self.rfm.with_time_varying_covariates(self.covariates)


def read(periods: pd.DataFrame) -> TimeVaryingCovariates:
    return clv.time_varying_covariates(periods, date="week")


@pytest.fixture(scope="module")
def story() -> Story:
    orders, periods = tables(world(250, 60, NUMBERS, PURCHASE, DROPOUT, seed=8))
    transactions = clv.read_transactions(orders)
    rfm = clv.rfm_summary(
        transactions,
        calibration_period_end=CUT,
        observation_period_end=MONDAY + dt.timedelta(days=7 * 60 - 1),
    )
    covariates = read(periods)
    fitted = clv.ParetoNBDModel(purchase_covariates=NAMES, dropout_covariates=["season"]).fit(
        rfm, covariates=covariates, transactions=transactions, draws=60
    )
    return Story(periods, transactions, rfm, covariates, fitted, clv.GammaGammaModel().fit(rfm))


def test_the_fit_shows_coefficients_and_what_they_mean(story: Story) -> None:
    fitted = story.fitted
    assert isinstance(fitted, FittedTimeVarying)
    frame = fitted.coefficients
    assert frame["group"].tolist() == ["purchase"] * 3 + ["dropout"]
    z = (frame["coefficient"] - [*PURCHASE, DROPOUT[0]]) / frame["standard_error"]
    assert np.abs(z).max() < 3.5
    text = repr(fitted)
    assert "Pareto/NBD with time-varying covariates, fitted to 250 customers" in text
    assert "With each further unit of mailing customers buy" in text
    assert "alpha: mailing" in text
    assert fitted.aic == pytest.approx(2 * 8 - 2 * fitted.log_likelihood)
    assert "mailing" in fitted.summary().to_string()


def test_covariates_explain_more_than_chance_would(story: Story) -> None:
    plain = clv.ParetoNBDModel().fit(story.rfm)
    test = story.fitted.likelihood_ratio_test(plain)
    assert test.degrees == 4
    assert test.p_value < 1e-6
    assert story.fitted.log_likelihood > plain.log_likelihood


def test_what_comes_later_changes_no_fit(story: Story) -> None:
    """The covariates after the cut, and the purchases."""
    future = story.periods["week"] > pd.Timestamp(CUT)
    changed = story.periods.assign(
        price=story.periods["price"].where(~future, 9.0),
        season=story.periods["season"].where(~future, 7.0),
    )
    lines = story.transactions.lines.to_native()
    dates = pd.to_datetime(lines["day"], unit="D")
    orders = lines.assign(date=dates)[dates <= pd.Timestamp(CUT)]
    transactions = clv.read_transactions(orders[["customer_id", "date", "amount"]])
    rfm = clv.rfm_summary(transactions, observation_period_end=CUT)
    again = clv.ParetoNBDModel(purchase_covariates=NAMES, dropout_covariates=["season"]).fit(
        rfm, covariates=read(changed), transactions=transactions, draws=60
    )
    np.testing.assert_allclose(again.estimates, story.fitted.estimates, rtol=1e-9)
    assert again.log_likelihood == pytest.approx(story.fitted.log_likelihood, abs=1e-9)
    past = read(story.periods[story.periods["week"] <= pd.Timestamp(CUT)])
    known = story.fitted.probability_alive(story.rfm.with_time_varying_covariates(past))
    np.testing.assert_allclose(known, story.fitted.probability_alive(story.table), rtol=1e-12)


def test_covariates_that_stay_are_static_ones(story: Story) -> None:
    """A fit to values that never change is the fit of the static model, and so are forecasts."""
    own = pd.DataFrame({"customer_id": np.unique(story.periods["customer_id"])})
    rng = np.random.default_rng(5)
    own["age"] = rng.normal(size=len(own))
    own["channel"] = rng.choice(["web", "shop", "app"], len(own))
    model = clv.ParetoNBDModel(
        purchase_covariates=["age", "channel"], dropout_covariates=["channel"]
    )
    table = story.rfm.with_covariates(own, ["age", "channel"])
    static = model.fit(table)
    periods = story.periods[["customer_id", "week"]].merge(own, on="customer_id")
    moving = model.fit(story.rfm, covariates=read(periods), transactions=story.transactions)
    assert isinstance(static, FittedPurchases)
    assert isinstance(moving, FittedTimeVarying)
    assert moving.log_likelihood == pytest.approx(static.log_likelihood, abs=1e-6)
    np.testing.assert_allclose(
        moving.coefficients["coefficient"], static.coefficients["coefficient"], atol=1e-5
    )
    np.testing.assert_allclose(
        moving.coefficients["standard_error"], static.coefficients["standard_error"], rtol=1e-4
    )
    same = story.rfm.with_time_varying_covariates(read(periods))
    for of_moving, of_static in (
        (moving.probability_alive(same), static.probability_alive(table)),
        (moving.expected_purchases(same, 12), static.expected_purchases(table, 12)),
        (moving.survival(same, "30 days"), static.survival(table, "30 days")),
        (
            moving.discounted_expected_purchases(same, 12, 0.2),
            static.discounted_expected_purchases(table, 12, 0.2),
        ),
        (
            moving.discounted_expected_lifetime(same, 12, 0.2),
            static.discounted_expected_lifetime(table, 12, 0.2),
        ),
        (moving.probability_no_purchase(same, 12), static.probability_no_purchase(table, 12)),
        (moving.purchase_count_pmf(2, 12, same), static.purchase_count_pmf(2, 12, table)),
        (
            np.minimum(moving.next_purchase_quantile(same, 0.1), 13.0),
            np.minimum(static.next_purchase_quantile(table, 0.1), 13.0),
        ),
        (
            moving.expected_purchases_new_customer(52, covariates={"age": 1.0, "channel": "web"}),
            static.expected_purchases_new_customer(52, covariates={"age": 1.0, "channel": "web"}),
        ),
    ):
        np.testing.assert_allclose(of_moving, of_static, rtol=2e-4)


def test_changing_and_static_covariates_mix(story: Story) -> None:
    own = pd.DataFrame({"customer_id": np.unique(story.periods["customer_id"])})
    own["age"] = np.random.default_rng(6).normal(size=len(own))
    both = story.periods.merge(own, on="customer_id")
    table = story.rfm.with_covariates(own, ["age"])
    model = clv.ParetoNBDModel(purchase_covariates=["mailing", "age"], dropout_covariates=["age"])
    mixed = model.fit(table, covariates=story.covariates, transactions=story.transactions)
    one = model.fit(story.rfm, covariates=read(both), transactions=story.transactions)
    assert mixed.log_likelihood == pytest.approx(one.log_likelihood, abs=1e-9)
    np.testing.assert_allclose(
        mixed.expected_purchases(table.with_time_varying_covariates(story.covariates), 10),
        one.expected_purchases(story.rfm.with_time_varying_covariates(read(both)), 10),
        rtol=1e-9,
    )


def test_texts_have_levels_that_the_fit_must_have_seen(story: Story) -> None:
    future = story.periods["week"] > pd.Timestamp(CUT)
    words = np.where(story.periods["mailing"] > 0, "letter", "none")
    model = clv.ParetoNBDModel(purchase_covariates=["mailing"])
    known = read(story.periods.assign(mailing=words))
    fitted = model.fit(story.rfm, covariates=known, transactions=story.transactions)
    number = model.fit(story.rfm, covariates=story.covariates, transactions=story.transactions)
    assert fitted.coefficients["what"].tolist() == ["mailing=letter"]
    assert fitted.log_likelihood == pytest.approx(number.log_likelihood, abs=1e-7)
    new = read(story.periods.assign(mailing=np.where(future, "gift", words)))
    same = model.fit(story.rfm, covariates=new, transactions=story.transactions)
    assert same.log_likelihood == pytest.approx(fitted.log_likelihood, abs=1e-9)
    with pytest.raises(DataError, match="'gift', which the model has not seen"):
        fitted.expected_purchases(story.rfm.with_time_varying_covariates(new), 5)


def test_plans_change_forecasts(story: Story) -> None:
    future = story.periods["week"] > pd.Timestamp(CUT)
    expected = []
    for mailing in (0.0, 1.0):
        plan = read(story.periods.assign(mailing=story.periods["mailing"].where(~future, mailing)))
        table = story.rfm.with_time_varying_covariates(plan)
        expected.append(story.fitted.expected_purchases(table, 8).sum())
    factor = np.exp(story.fitted.coefficients["coefficient"].iloc[1])
    assert 1.3 < expected[1] / expected[0] < factor  # the first week's mailing is decided


@pytest.fixture(scope="module")
def forecast(story: Story) -> Any:
    return clv.forecast(story.table, story.fitted, story.spend, horizon=13, draws=300)


def test_a_forecast_is_made_of_the_verbs(story: Story, forecast: Any) -> None:
    table, fitted = story.table, story.fitted
    for column, values in (
        ("probability_alive", fitted.probability_alive(table)),
        ("survival", fitted.survival(table, 13)),
        ("expected_purchases", fitted.expected_purchases(table, 13)),
        (
            "discounted_expected_purchases",
            fitted.discounted_expected_purchases(table, 13, forecast.discount_rate),
        ),
        ("probability_no_purchase", fitted.probability_no_purchase(table, 13)),
    ):
        np.testing.assert_allclose(forecast.array(column), values, rtol=1e-12)
    assert np.isnan(forecast.array("probability_never_again")).all()
    assert any("not known for ever" in note for note in forecast.notes)
    dates = pd.Series(forecast.values("next_purchase_p10")).dropna()
    last = np.datetime64(story.covariates.last_day, "D") + np.timedelta64(1, "D")
    assert len(dates)
    assert (dates.to_numpy().astype("datetime64[D]") <= last).all()


def test_intervals_hold_what_customers_then_did(story: Story, forecast: Any) -> None:
    held = story.rfm.array("holdout_purchases")
    inside = (forecast.array("purchases_low") <= held) & (held <= forecast.array("purchases_high"))
    assert inside.mean() > 0.88
    assert (forecast.array("purchases_low") <= forecast.array("expected_purchases") + 1).all()
    total = next(t for t in forecast.totals if t.name == "expected_purchases")
    assert total.low < held.sum() < total.high


def test_expected_intervals_are_narrower(story: Story, forecast: Any) -> None:
    narrow = clv.forecast(
        story.table, story.fitted, story.spend, horizon=13, interval_kind="expected"
    )
    low, high = narrow.array("purchases_low"), narrow.array("purchases_high")
    middle = narrow.array("expected_purchases")
    assert np.mean((low < middle) & (middle < high)) > 0.95
    wide = forecast.totals[0].high - forecast.totals[0].low
    assert narrow.totals[0].high - narrow.totals[0].low < wide


def test_the_distribution_of_counts_has_the_expected_mean(story: Story) -> None:
    pmf = np.array([story.fitted.purchase_count_pmf(n, 13, story.table) for n in range(120)])
    np.testing.assert_allclose(pmf.sum(axis=0), 1.0, atol=1e-6)
    np.testing.assert_allclose(
        np.arange(120) @ pmf, story.fitted.expected_purchases(story.table, 13), rtol=1e-3
    )
    each = np.arange(len(story.rfm)) % 3
    found = story.fitted.purchase_count_pmf(each, 13, story.table)
    np.testing.assert_allclose(found, pmf[each, np.arange(len(each))], rtol=1e-12)


def test_simulated_lives_are_like_those_of_the_table(story: Story) -> None:
    counts = [story.fitted.simulate(seed=s, covariates=story.table).frequency for s in range(60)]
    total = np.array([c.sum() for c in counts])
    assert abs(total.mean() - story.rfm.array("frequency").sum()) < 3.5 * total.std()
    history = story.fitted.simulate(seed=1, covariates=story.table)
    assert (history.recency <= history.T + 1e-12).all()
    assert ((history.recency == 0) == (history.frequency == 0)).all()


def test_a_saved_model_predicts_the_same_and_holds_no_customer(
    story: Story, tmp_path: Path
) -> None:
    folder = story.fitted.save(tmp_path / "model")
    again = clv.load(folder)
    assert isinstance(again, FittedTimeVarying)
    np.testing.assert_array_equal(
        again.expected_purchases(story.table, 9), story.fitted.expected_purchases(story.table, 9)
    )
    assert repr(again) == repr(story.fitted)
    assert "c0001" not in (folder / "model.json").read_text(encoding="utf-8")


def test_what_is_missing_is_said(story: Story) -> None:
    fitted, table = story.fitted, story.table
    with pytest.raises(MissingColumnError, match=r"rfm\.with_time_varying_covariates"):
        fitted.probability_alive(story.rfm)
    with pytest.raises(DataError, match="none from 2023-02-27 on for all customers"):
        fitted.expected_purchases(table, 40)
    with pytest.raises(DataError, match="none from 2023-02-27 on for all customers"):
        clv.forecast(table, fitted, story.spend, horizon=40)
    with pytest.raises(DataError, match="covariates without end"):
        clv.forecast(table, fitted, story.spend, horizon=None)
    fewer = clv.time_varying_covariates(story.periods, date="week", columns=["season"])
    with pytest.raises(MissingColumnError, match="no covariate mailing, price"):
        fitted.probability_alive(story.rfm.with_time_varying_covariates(fewer))
    with pytest.raises(DataError, match="no retention curve"):
        clv.retention_curve(fitted, table, until=10)


def test_fits_that_cannot_be_are_refused(story: Story) -> None:
    model = clv.ParetoNBDModel(purchase_covariates=["season"])
    with pytest.raises(DataError, match="give transactions="):
        model.fit(story.table)
    with pytest.raises(DataError, match="names none of the time-varying covariates"):
        clv.ParetoNBDModel().fit(
            story.rfm, covariates=story.covariates, transactions=story.transactions
        )
    with pytest.raises(DataError, match="BG/NBD takes no covariates that change with time"):
        clv.BetaGeoModel(purchase_covariates=["season"]).fit(story.table)
    with pytest.raises(MissingColumnError, match="weather"):
        clv.ParetoNBDModel(purchase_covariates=["season", "weather"]).fit(
            story.table, transactions=story.transactions
        )
    plain = clv.ParetoNBDModel().fit(story.table)
    assert not isinstance(plain, FittedTimeVarying)


def test_what_was_to_be_expected_day_by_day(story: Story) -> None:
    """Without effects that of the plain model; with them that of simulated lives, in all."""
    daily = daily_purchases(story.transactions, story.rfm)
    days = len(daily.newcomers)
    fitted = story.fitted
    none = fitted.estimates.copy()
    none[4:] = 1.0  # exp(coefficient)
    found = fitted.at(none).expected_repeats_by_day(story.table, daily.first_day, days)
    plain = clv.ParetoNBDModel().fit(story.rfm).at(none[:4])
    by_age = plain.expected_purchases_new_customer(np.arange(days) / 7)
    expected = np.diff(np.convolve(daily.newcomers, by_age)[:days], prepend=0.0)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)
    to_cut = (CUT - dt.date(1970, 1, 1)).days - daily.first_day + 1
    known = fitted.expected_repeats_by_day(story.table, daily.first_day, days)[:to_cut]
    total = [fitted.simulate(seed=s, covariates=story.table).frequency.sum() for s in range(150)]
    assert abs(known.sum() - np.mean(total)) < 4 * np.std(total) / np.sqrt(150)


def test_weeks_are_drawn_with_their_seasons(story: Story) -> None:
    plain = clv.ParetoNBDModel().fit(story.rfm)
    curve = tracking(story.transactions, story.table, [story.fitted, plain])
    moving, still = (np.sum((e - curve.actual) ** 2) for e in curve.expected.values())
    assert moving < 0.7 * still
    with pytest.raises(DataError, match="change with time, so there is no one figure"):
        story.fitted.expected_purchases_new_customer(5, covariates=story.table)


@pytest.fixture(scope="module")
def for_ever(story: Story) -> RFM:
    """The same table, with a quiet time without end after the periods."""
    quiet = {"season": 0.0, "mailing": 0.0, "price": 0.3}
    covariates = clv.time_varying_covariates(story.periods, date="week", afterwards=quiet)
    assert repr(covariates).endswith("afterwards season=0, mailing=0, price=0.3")
    return story.rfm.with_time_varying_covariates(covariates)


def test_what_holds_afterwards_is_like_rows_without_end(story: Story, for_ever: RFM) -> None:
    """Up to the last period nothing changes; beyond it, as if rows of these values were there."""
    fitted = story.fitted
    np.testing.assert_array_equal(
        fitted.expected_purchases(for_ever, 10), fitted.expected_purchases(story.table, 10)
    )
    ids = story.periods["customer_id"].unique()
    weeks = story.periods["week"].max() + pd.to_timedelta(7 * np.arange(1, 41), unit="D")
    later = pd.DataFrame(
        {"customer_id": np.repeat(ids, 40), "week": np.tile(weeks, len(ids)),
         "season": 0.0, "mailing": 0.0, "price": 0.3}
    )  # fmt: skip
    rows = story.rfm.with_time_varying_covariates(read(pd.concat([story.periods, later])))
    for verb in (
        fitted.expected_purchases,
        fitted.survival,
        fitted.probability_no_purchase,
        fitted.discounted_expected_purchases,
        fitted.discounted_expected_lifetime,
        lambda table, t: fitted.purchase_count_pmf(2, t, table),
    ):
        np.testing.assert_allclose(verb(for_ever, 45), verb(rows, 45), rtol=1e-8)
    sooner = fitted.next_purchase_quantile(rows, 0.3)
    reached = np.isfinite(sooner)
    assert reached.any()
    np.testing.assert_allclose(
        fitted.next_purchase_quantile(for_ever, 0.3)[reached], sooner[reached], rtol=1e-8
    )


def test_without_end_it_is_the_road_and_a_static_customer_after_it(
    story: Story, for_ever: RFM
) -> None:
    """Expected purchases ever, discounted or not, are the limits of long horizons."""
    fitted, year = story.fitted, 52.18
    worth = fitted.discounted_expected_purchases(for_ever, None, 3.0)  # 300 % a year: soon over
    np.testing.assert_allclose(
        worth, fitted.discounted_expected_purchases(for_ever, 20 * year, 3.0), rtol=1e-9
    )
    time = fitted.discounted_expected_lifetime(for_ever, None, 3.0)
    np.testing.assert_allclose(
        time, fitted.discounted_expected_lifetime(for_ever, 20 * year, 3.0), rtol=1e-9
    )
    ten = fitted.discounted_expected_purchases(for_ever, None)
    assert (ten > fitted.discounted_expected_purchases(for_ever, 5 * year)).all()
    # s moved above 1, where purchases ever are finite
    point = fitted.estimates.copy()
    point[2] = 2.5
    more = fitted.at(point)
    ever = more.discounted_expected_purchases(for_ever, None, 0.0)
    far = more.expected_purchases(for_ever, 1e7)
    assert (ever > far).all()
    np.testing.assert_allclose(ever, far, rtol=1e-5)
    with pytest.raises(InfiniteValueError, match="need not be finite"):
        more.discounted_expected_lifetime(for_ever, None, 0.0)
    point[2] = 0.9
    with pytest.raises(InfiniteValueError, match="infinitely many purchases"):
        fitted.at(point).discounted_expected_purchases(for_ever, None, 0.0)
    never = fitted.probability_never_again(for_ever)
    long = fitted.probability_no_purchase(for_ever, 1e6)
    assert ((never <= long) & (long < never + 0.05) & (never > 0)).all()


def test_a_forecast_without_end_says_what_it_assumes(story: Story, for_ever: RFM) -> None:
    found = clv.forecast(for_ever, story.fitted, story.spend, horizon=None, draws=40)
    assert np.isfinite(found.array("residual_value")).all()
    assert np.isfinite(found.array("probability_never_again")).all()
    last = story.covariates.last_day
    assert any(
        f"After {last} the covariates are assumed to be season=0, mailing=0" in note
        for note in found.notes
    )
    low, high = found.array("residual_value_low"), found.array("residual_value_high")
    assert (low <= high).all()
    # everybody's covariates, in words
    weeks = pd.DataFrame({"week": pd.date_range("2022-01-03", periods=60, freq="7D")})
    weeks["sale"] = np.where(np.arange(60) % 8 == 0, "yes", "no")
    sale = clv.time_varying_covariates(
        weeks, customer_id=None, date="week", afterwards={"sale": "no"}
    )
    model = clv.ParetoNBDModel(purchase_covariates=["sale"])
    fitted = model.fit(story.rfm, covariates=sale, transactions=story.transactions, draws=20)
    table = story.rfm.with_time_varying_covariates(sale)
    assert np.isfinite(fitted.discounted_expected_purchases(table)).all()


def test_what_holds_afterwards_is_checked(story: Story) -> None:
    def made(**afterwards: Any) -> TimeVaryingCovariates:
        words = story.periods.assign(
            mailing=np.where(story.periods["mailing"] > 0, "letter", "none")
        )
        return clv.time_varying_covariates(
            words, date="week", columns=["season", "mailing"], afterwards=afterwards
        )

    assert made(season=1, mailing="none").what_holds_afterwards() == "season=1, mailing=none"
    with pytest.raises(DataError, match="a value for each of season, mailing and nothing else"):
        made(season=1)
    with pytest.raises(DataError, match="mailing has no level 'gift'; there are letter, none"):
        made(season=1, mailing="gift")
    with pytest.raises(DataError, match="season must be a finite number, not 'high'"):
        made(season="high", mailing="none")
