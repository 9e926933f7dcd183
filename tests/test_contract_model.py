"""Contract models as a user meets them: fit, predict, say what is due, save."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
from oracles import cohorts
from oracles.digits import assert_shown

import clv
from clv.errors import (
    BoundaryWarning,
    DataError,
    FitError,
    InfiniteValueError,
    MissingColumnError,
    UnitMismatchError,
)
from clv.families import shifted_beta_geo

MODELS = (clv.ShiftedBetaGeoModel, clv.BetaDiscreteWeibullModel)


def subscribers(n: int = 6_000, seed: int = 1) -> pd.DataFrame:
    """Monthly contracts of three years, of customers who renew as the shifted beta geometric."""
    rng = np.random.default_rng(seed)
    start = pd.Timestamp("2021-12-31") + pd.to_timedelta(rng.integers(0, 1096, n), unit="D")
    made = shifted_beta_geo.sample_renewals(shifted_beta_geo.Parameters(0.8, 5.0), 0, rng, (n,))
    lasts = np.minimum(made + 1, 600)
    end = [s + pd.DateOffset(months=int(k)) for s, k in zip(start, lasts, strict=True)]
    frame = pd.DataFrame({"customer_id": np.arange(n), "start": start, "end": end})
    frame["fee"] = rng.integers(5, 50, n).astype(float)
    return frame


@pytest.fixture(scope="module")
def contracts() -> clv.Contracts:
    return clv.contracts_table(subscribers(), as_of="2024-12-31", period="month", fee="fee")


@pytest.fixture(scope="module", params=MODELS, ids=lambda m: m.family.NAME)
def fitted(request: pytest.FixtureRequest, contracts: clv.Contracts) -> clv.Fitted:
    return request.param().fit(contracts)


@pytest.fixture(scope="module")
def high_end() -> clv.Fitted:
    return clv.ShiftedBetaGeoModel().fit(clv.contracts_from_survivors(cohorts.HIGH_END[:8]))


def test_the_truth_is_found(fitted: clv.Fitted, contracts: clv.Contracts) -> None:
    assert fitted.convergence.converged
    assert fitted.n_customers == 6_000
    assert (fitted.time_unit, str(fitted.observation_period_end)) == ("month", "2024-12-31")
    true = {"alpha": 0.8, "beta": 5.0, "c": 1.0}
    for name, value in fitted.parameters.items():
        assert abs(value - true[name]) < 3.5 * fitted.standard_errors[name]


def test_cohorts_and_their_customers_fit_alike(high_end: clv.Fitted) -> None:
    assert_shown(list(high_end.parameters.values()), ".6681 3.8061")
    assert_shown(high_end.log_likelihood, "−1611.1581")
    assert_shown(high_end.survival(12), ".378")
    lost = -np.diff(cohorts.HIGH_END[:8])
    years = np.repeat([*range(1, 8), 99], [*lost, cohorts.HIGH_END[7]])
    frame = pd.DataFrame(
        {
            "customer_id": np.arange(1000),
            "start": "2010-06-15",
            "end": [None if y == 99 else f"{2010 + y}-06-15" for y in years],
        }
    )
    one_by_one = clv.contracts_table(frame, as_of="2017-06-15", period="year")
    again = clv.ShiftedBetaGeoModel().fit(one_by_one)
    np.testing.assert_allclose(again.estimates, high_end.estimates, rtol=1e-10)
    assert again.log_likelihood == pytest.approx(high_end.log_likelihood, abs=1e-9)


def test_lifetimes_say_which_payments_they_count(fitted: clv.Fitted) -> None:
    """Every timing from the same survival curve, added up by hand."""
    d, v = 0.12, 1.12 ** (-1 / 12)
    k = np.arange(20_000)
    survival = fitted.survival(k)
    assert fitted.discounted_expected_lifetime(d) == pytest.approx(survival @ v**k, rel=1e-10)
    assert fitted.discounted_expected_lifetime(d, renewals=5) == pytest.approx(
        survival[:6] @ v ** k[:6], rel=1e-12
    )
    residual = fitted.discounted_expected_residual_lifetime
    for n in (1, 2, 9):
        # the n-th renewal is due: given n - 1 of them, its payment comes at once
        due = survival[n:] / survival[n - 1]
        assert residual(n, d) == pytest.approx(due @ v ** k[: len(due)], rel=1e-9)
        assert residual(n, d, renewals=3) == pytest.approx(due[:3] @ v ** k[:3], rel=1e-10)
        # it has just been made: the next payment is a period away
        later = survival[n + 1 :] / survival[n]
        after = residual(n, d, timing="after")
        assert after == pytest.approx(later @ v ** k[1 : 1 + len(later)], rel=1e-9)
        assert residual(n, d) == pytest.approx(fitted.retention_rate(n) * (1 + after), rel=1e-12)
        assert after == pytest.approx(v * residual(n + 1, d), rel=1e-12)
    assert residual(0, d, timing="after") + 1 == pytest.approx(
        fitted.discounted_expected_lifetime(d), rel=1e-12
    )
    assert residual([[1, 2], [3, 4]], d).shape == (2, 2)


def test_what_contracts_are_worth(fitted: clv.Fitted, contracts: clv.Contracts) -> None:
    value = fitted.contract_value(contracts, 0.1, margin=0.6)
    table = contracts.to_pandas()
    rows = table.index[~table["churned"]][:5].tolist() + table.index[table["churned"]][:2].tolist()
    for i in rows:
        row = table.loc[i]
        if row["churned"]:
            assert value[i] == 0
            continue
        wait = (row["next_renewal"] - pd.Timestamp("2024-12-31")).days / 365.25
        lifetime = fitted.discounted_expected_residual_lifetime(row["renewals"] + 1, 0.1)
        assert value[i] == pytest.approx(row["fee"] * 0.6 * lifetime * 1.1**-wait, rel=1e-12)
    chance = fitted.renewal_probability(contracts)
    assert (chance[table["churned"]] == 0).all()
    running = ~table["churned"].to_numpy()
    expected = fitted.retention_rate(table["renewals"] + 1)
    np.testing.assert_allclose(chance[running], expected[running])


def test_renewals_due(fitted: clv.Fitted, contracts: clv.Contracts) -> None:
    due = fitted.renewals_due(contracts, "45 days")
    frame = due.to_pandas()
    table = contracts.to_pandas().set_index("customer_id")
    running = table[~table["churned"]]
    # everybody comes up once in a month, some twice in 45 days
    first = frame.drop_duplicates("customer_id")
    assert set(first["customer_id"]) == set(running.index)
    assert (first["due"].to_numpy() == running.loc[first["customer_id"], "next_renewal"]).all()
    assert frame["due"].is_monotonic_increasing
    assert (frame["due"] > "2024-12-31").all()
    assert (frame["due"] <= "2025-02-14").all()
    twice = frame[frame.duplicated("customer_id")]
    assert len(twice) > 100
    row = twice.iloc[0]
    made = running.loc[row["customer_id"], "renewals"]
    assert row["renewal"] == made + 2
    chances = fitted.retention_rate([made + 1, made + 2])
    assert row["probability"] == pytest.approx(chances.prod())
    assert row["expected_fee"] == pytest.approx(row["fee"] * row["probability"])
    assert f"{len(frame):,} renewals due from 2024-12-31 to 2025-02-14" in repr(due)
    assert len(fitted.renewals_due(contracts, "0.5 days")) == 0


def test_a_forecast_of_every_contract(fitted: clv.Fitted, contracts: clv.Contracts) -> None:
    forecast = fitted.forecast(contracts, 12, discount_rate=0.1, margin=0.6)
    frame = forecast.to_pandas()
    running = frame["running"].to_numpy()
    made = frame["renewals"].to_numpy()[running]
    now = frame[running]
    np.testing.assert_allclose(now["survival"], fitted.survival(made + 12) / fitted.survival(made))
    by_hand = sum(fitted.survival(made + k) / fitted.survival(made) for k in range(1, 13))
    np.testing.assert_allclose(now["expected_renewals"], by_hand)
    np.testing.assert_allclose(
        now["residual_value"], fitted.contract_value(contracts, 0.1, 0.6, 12)[running]
    )
    ended = frame[~running]
    for column in ("survival", "expected_renewals", "renewals_high", "residual_value"):
        assert (ended[column] == 0).all()
    assert "Forecast of 6,000 contracts, 12 renewals ahead of 2024-12-31" in repr(forecast)
    assert "<table>" in forecast._repr_html_()
    # what simulated customers do lies within the interval as often as it says
    more = fitted.family.sample_renewals(
        fitted.family.Parameters(*fitted.estimates), made, np.random.default_rng(5), made.shape
    )
    more = np.minimum(more, 12)
    inside = (now["renewals_low"] <= more) & (more <= now["renewals_high"])
    assert 0.89 < inside.mean() <= 1
    below = (more < now["renewals_low"]).mean()
    assert below < 0.05 + 0.02
    forever = fitted.forecast(contracts)
    assert "expected_renewals" not in forever.columns
    assert (forever.array("residual_value")[running] > frame["residual_value"][running]).all()


def test_results_come_back_in_the_engine_of_the_source() -> None:
    contracts = clv.contracts_table(
        pl.from_pandas(subscribers(200)), as_of="2024-12-31", period="month", fee="fee"
    )
    fitted = clv.ShiftedBetaGeoModel().fit(contracts)
    for table in (fitted.forecast(contracts, 3), fitted.renewals_due(contracts)):
        assert isinstance(table.to_native(), pl.DataFrame)


def test_saved_and_loaded(fitted: clv.Fitted, contracts: clv.Contracts, tmp_path: Path) -> None:
    again = clv.load(fitted.save(tmp_path / "model"))
    assert type(again) is type(fitted)
    assert again.fingerprint == contracts.fingerprint
    n = np.arange(30)
    np.testing.assert_array_equal(again.survival(n), fitted.survival(n))
    np.testing.assert_array_equal(again.draws, fitted.draws)
    assert again.kind == "contract"
    assert repr(again) == repr(fitted)


def test_shown(fitted: clv.Fitted) -> None:
    text = repr(fitted)
    assert text.startswith(f"{fitted.family.TITLE}, fitted to 6,000 customers up to 2024-12-31")
    assert "shape of the churn probability" in text
    assert "<table>" in fitted._repr_html_()
    assert list(fitted.summary().index) == list(fitted.parameters)
    assert fitted.aic == pytest.approx(2 * len(fitted.parameters) - 2 * fitted.log_likelihood)


def test_simulated_like_the_closed_form(fitted: clv.Fitted) -> None:
    made = fitted.simulate(40_000, seed=3)
    for n in (1, 3, 10):
        chance = float(fitted.survival(n))
        assert abs((made >= n).mean() - chance) < 4.5 * np.sqrt(chance * (1 - chance) / 40_000)


def test_a_duration_that_matters_is_seen_in_the_likelihood() -> None:
    """On the High End cohort c is well above 1: AIC prefers it."""
    cohort = clv.contracts_from_survivors(cohorts.HIGH_END[:8])
    plain, moving = (model().fit(cohort) for model in MODELS)
    assert moving.aic < plain.aic - 8
    assert moving.parameters["c"] - 1 > 2 * moving.standard_errors["c"]


def test_limits_are_named() -> None:
    with pytest.warns(BoundaryWarning, match="churn vanishes"):
        fitted = clv.ShiftedBetaGeoModel().fit(clv.contracts_from_survivors([100, 100, 100]))
    assert fitted.survival(5) == pytest.approx(1.0, abs=1e-4)
    assert "churn vanishes" in repr(fitted)
    with pytest.warns(BoundaryWarning, match="share one churn probability"):
        halves = clv.ShiftedBetaGeoModel().fit(clv.contracts_from_survivors([800, 400, 200, 100]))
    np.testing.assert_allclose(halves.retention_rate([1, 5]), 0.5, atol=1e-4)


def test_what_cannot_be_done_is_said(
    fitted: clv.Fitted, high_end: clv.Fitted, contracts: clv.Contracts
) -> None:
    model = clv.ShiftedBetaGeoModel()
    with pytest.raises(DataError, match="fit expects contracts from"):
        model.fit(contracts.to_pandas())
    with pytest.raises(DataError, match="method 'magic' is not known"):
        model.fit(contracts, method="magic")
    with pytest.raises(FitError, match="cannot be fitted to one contract"):
        model.fit(clv.contracts_from_survivors([1, 1, 0]))
    young = pd.DataFrame({"customer_id": [1, 2, 3], "start": "2024-12-20"})
    young = clv.contracts_table(young, end=None, as_of="2024-12-31", period="month")
    with pytest.raises(FitError, match="none of 3 contracts has come up for renewal"):
        model.fit(young)
    with pytest.raises(UnitMismatchError, match="contracts by the year and these are by the month"):
        high_end.renewal_probability(contracts)
    with pytest.raises(DataError, match="expected contracts from"):
        fitted.forecast(contracts.to_pandas())
    cohort = clv.contracts_from_survivors([10, 5], period="month")
    with pytest.raises(MissingColumnError, match="cohorts of survivors have no dates"):
        fitted.forecast(cohort)
    with pytest.raises(MissingColumnError, match="cohorts of survivors have no dates"):
        fitted.renewals_due(cohort)
    with pytest.raises(MissingColumnError, match="no column 'fee'"):
        fitted.contract_value(
            clv.contracts_table(subscribers(20), as_of="2024-12-31", period="month")
        )
    with pytest.raises(DataError, match="n must be 1 or more, not 0"):
        fitted.retention_rate([3, 0])
    with pytest.raises(DataError, match="whole numbers"):
        fitted.survival(1.5)
    with pytest.raises(DataError, match="timing must be 'before' or 'after'"):
        fitted.discounted_expected_residual_lifetime(1, timing="now")
    with pytest.raises(DataError, match="renewals must be a whole number, 1 or more"):
        fitted.forecast(contracts, 2.5)
    with pytest.raises(DataError, match="interval must lie strictly between 0 and 1"):
        fitted.forecast(contracts, 2, interval=1.0)
    with pytest.raises(InfiniteValueError, match="give a discount_rate above 0, or a number"):
        fitted.discounted_expected_lifetime(0.0)
    assert fitted.discounted_expected_lifetime(0.0, renewals=3) > 3
