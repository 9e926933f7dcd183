"""The forecast: its parts, its intervals, and what it says of itself."""

from __future__ import annotations

import dataclasses
import functools
from datetime import date

import numpy as np
import pandas as pd
import pytest
from scipy import integrate, stats

import clv
from clv.errors import DataError, InfiniteValueError, UnitMismatchError
from clv.fitted import FittedPurchases, FittedSpend
from clv.forecast import Forecast
from clv.tables.rfm import RFM
from clv.units import discount_rate_per_unit

Fits = tuple[FittedPurchases, FittedSpend]


@pytest.fixture(scope="module")
def fits(bg_nbd: FittedPurchases, gamma_gamma: FittedSpend) -> Fits:
    return bg_nbd, gamma_gamma


@pytest.fixture(scope="module")
def forecast(cdnow: RFM, fits: Fits) -> Forecast:
    return clv.forecast(cdnow, *fits, horizon="39 weeks", discount_rate=0.1)


def test_columns_and_totals(cdnow: RFM, forecast: Forecast) -> None:
    assert len(forecast) == 2357
    assert forecast.array("expected_purchases").sum() == pytest.approx(1653.4, abs=0.05)
    assert forecast.as_of == date(1997, 9, 30)
    assert forecast.horizon == 39
    for low, middle, high in (
        ("purchases_low", "expected_purchases", "purchases_high"),
        ("residual_value_low", "residual_value", "residual_value_high"),
        ("lifetime_value_low", "lifetime_value", "lifetime_value_high"),
    ):
        assert (forecast.array(low) <= forecast.array(high)).all()
        # a mean need not lie inside a central interval of a skewed variable, but mostly does
        inside = (forecast.array(low) <= forecast.array(middle)) & (
            forecast.array(middle) <= forecast.array(high)
        )
        assert inside.mean() > 0.9
    assert forecast.values("purchases_low").dtype.kind == "i"
    np.testing.assert_array_equal(forecast.array("historical_value"), cdnow.array("total_value"))
    np.testing.assert_allclose(
        forecast.array("lifetime_value"),
        forecast.array("historical_value") + forecast.array("residual_value"),
    )
    np.testing.assert_allclose(forecast.array("churn_probability"), 1 - forecast.array("survival"))


def test_it_says_which_intervals_it_gives(cdnow: RFM, fits: Fits, forecast: Forecast) -> None:
    assert "90% predictive intervals (what a customer will do)" in repr(forecast)
    assert "Forecast of 2,357 customers, 39 weeks from 1997-09-30" in repr(forecast)
    expected = clv.forecast(cdnow, *fits, horizon=39, interval=0.8, interval_kind="expected")
    assert "80% expected intervals (how well the expected value is known" in repr(expected)
    bare = clv.forecast(cdnow, *fits, horizon=39, interval=None)
    assert "interval" not in repr(bare)
    assert not [name for name in bare.columns if name.endswith(("_low", "_high"))]


def _moment_of_the_living(
    shape: float, rate: float, a: float, b: float, t: float, power: int
) -> float:
    """E[purchase rate ^ power, alive at t] of who is alive now, over quantiles of dropout."""
    value, _ = integrate.quad(
        lambda q: (
            (shape / rate) ** power * (1 + stats.beta.ppf(q, a, b) * t / rate) ** -(shape + power)
        ),
        0,
        1,
        limit=200,
    )
    return float(value)


def test_value_follows_from_retention(cdnow: RFM, fits: Fits) -> None:
    """Value = survival x purchases while alive x spend x margin, discounted, added up in time.

    Purchases while alive come from quadrature over the customer's own rate and dropout, which
    shares no code with the forecast.
    """
    purchases, spend = fits
    rows = np.array([0, 1, 5, 100, 500])
    few = clv.rfm_table(cdnow.to_pandas().iloc[rows], time_unit="week")
    result = clv.forecast(
        few, purchases, spend, horizon=52, discount_rate=0.15, margin=0.4, interval=None
    )
    p = purchases.parameters
    x, T = few.array("frequency"), few.array("T")
    delta = discount_rate_per_unit(0.15, "week")
    nodes, weights = np.polynomial.legendre.leggauss(8)
    total = np.zeros(len(rows))
    for i in range(len(rows)):
        state = (p["r"] + x[i], p["alpha"] + T[i], p["a"], p["b"] + x[i])
        moment = functools.partial(_moment_of_the_living, *state)
        now = purchases.probability_alive(few)[i]
        for t, step in zip(26 * (nodes + 1), 26 * weights, strict=True):
            survival = purchases.survival(few, t)[i]
            assert survival == pytest.approx(now * moment(t, 0), rel=1e-6)
            while_alive = moment(t, 1) / moment(t, 0)
            total[i] += step * survival * while_alive * np.exp(-delta * t)
    value = total * spend.expected_spend(few) * 0.4
    np.testing.assert_allclose(result.array("residual_value"), value, rtol=1e-5)


def test_predictive_quantiles_are_those_of_simulated_customers(cdnow: RFM, fits: Fits) -> None:
    """Against individuals simulated one purchase after the other, parameters held fixed."""
    purchases, spend = fits
    purchases = dataclasses.replace(purchases, draws=purchases.estimates[None, :])
    spend = dataclasses.replace(spend, draws=spend.estimates[None, :])
    rows = np.array([0, 1, 2, 60, 200])
    few = clv.rfm_table(cdnow.to_pandas().iloc[rows], time_unit="week")
    result = clv.forecast(
        few, purchases, spend, horizon=39, discount_rate=0.2, interval=0.8, draws=20_000
    )
    rng = np.random.default_rng(9)
    p, s = purchases.parameters, spend.parameters
    delta = discount_rate_per_unit(0.2, "week")
    alive = purchases.probability_alive(few)
    size = 20_000
    for i in range(len(rows)):
        x = few.array("frequency")[i]
        mean = few.array("monetary_value")[i] if x else 0.0
        rate = rng.gamma(p["r"] + x, 1 / (p["alpha"] + few.array("T")[i]), size)
        dropout = rng.beta(p["a"], p["b"] + x, size)
        living = rng.random(size) < alive[i]
        level = rng.gamma(s["p"] * x + s["q"], 1 / (s["v"] + x * mean), size)
        clock = np.zeros(size)
        count, value = np.zeros(size), np.zeros(size)
        while living.any():
            clock += rng.exponential(1 / rate)
            living &= clock <= 39
            count += living
            value += living * np.exp(-delta * clock) * rng.gamma(s["p"], 1 / level)
            living &= rng.random(size) >= dropout
        for name, drawn in (("purchases", count), ("residual_value", value)):
            for end, q in (("low", 0.1), ("high", 0.9)):
                found = result.array(f"{name}_{end}")[i]
                below, upto = np.mean(drawn < found - 1e-9), np.mean(drawn <= found + 1e-9)
                assert below - 0.015 <= q <= upto + 0.015, (i, name, end, found, below, upto)


def test_the_same_seed_gives_the_same_intervals(cdnow: RFM, fits: Fits, forecast: Forecast) -> None:
    again = clv.forecast(cdnow, *fits, horizon="39 weeks", discount_rate=0.1)
    other = clv.forecast(cdnow, *fits, horizon="39 weeks", discount_rate=0.1, seed=1)
    name = "residual_value_high"
    np.testing.assert_array_equal(again.array(name), forecast.array(name))
    assert not np.array_equal(other.array(name), forecast.array(name))
    assert other.array(name).mean() == pytest.approx(forecast.array(name).mean(), rel=0.02)


def test_expected_intervals_are_about_the_expectation(
    cdnow: RFM, fits: Fits, forecast: Forecast
) -> None:
    expected = clv.forecast(cdnow, *fits, horizon=39, discount_rate=0.1, interval_kind="expected")
    for name in ("purchases", "residual_value"):
        narrow = expected.array(f"{name}_high") - expected.array(f"{name}_low")
        wide = forecast.array(f"{name}_high") - forecast.array(f"{name}_low")
        assert narrow.mean() < 0.2 * wide.mean()
    middle = expected.array("residual_value")
    assert (expected.array("residual_value_low") <= middle).mean() > 0.99
    assert (expected.array("residual_value_high") >= middle).mean() > 0.99


def test_totals_have_intervals_of_their_own(forecast: Forecast, cdnow: RFM, fits: Fits) -> None:
    purchases, value = forecast.totals
    assert (purchases.name, value.name) == ("expected_purchases", "residual_value")
    assert purchases.value == pytest.approx(forecast.array("expected_purchases").sum())
    assert value.value == pytest.approx(forecast.array("residual_value").sum())
    # found with another package's draws in the literature's set-up: [1485, 1828]
    assert purchases.low == pytest.approx(1485, abs=15)
    assert purchases.high == pytest.approx(1828, abs=15)
    known = clv.forecast(cdnow, *fits, horizon=39, interval_kind="expected").totals[0]
    assert known.high - known.low < purchases.high - purchases.low


def test_a_total_interval_agrees_with_whole_simulated_futures(cdnow: RFM, fits: Fits) -> None:
    """Sum of variances against the spread of totals of futures drawn for everybody at once."""
    purchases, spend = fits
    purchases = dataclasses.replace(
        purchases, draws=purchases.estimates[None, :], log_covariance=np.zeros((4, 4))
    )
    spend = dataclasses.replace(
        spend, draws=spend.estimates[None, :], log_covariance=np.zeros((3, 3))
    )
    total = clv.forecast(cdnow, purchases, spend, horizon=39, interval=0.9).totals[0]
    rng = np.random.default_rng(2)
    family, parameters = purchases.family, purchases.family.Parameters(*purchases.estimates)
    from clv.numerics.histories import PurchaseHistory

    history = PurchaseHistory(*(cdnow.array(name) for name in PurchaseHistory._fields))
    state = family.alive_state(parameters, history)
    alive = family.probability_alive(parameters, history)
    totals = [
        float(
            np.sum(
                family.sample_purchases(state, 39.0, rng, alive.shape).counts
                * (rng.random(len(alive)) < alive)
            )
        )
        for _ in range(2_000)
    ]
    low, high = np.quantile(totals, [0.05, 0.95])
    width = high - low
    assert total.low == pytest.approx(low, abs=0.07 * width)
    assert total.high == pytest.approx(high, abs=0.07 * width)


@pytest.mark.parametrize("engine", ["pandas", "polars", "pyarrow"])
def test_the_engine_of_the_table_comes_back(cdnow: RFM, fits: Fits, engine: str) -> None:
    native = {
        "pandas": cdnow.to_pandas,
        "polars": cdnow.to_polars,
        "pyarrow": cdnow.to_arrow,
    }[engine]()
    rfm = clv.rfm_table(native, time_unit="week", observation_period_end="1997-09-30")
    result = clv.forecast(rfm, *fits, horizon=39, interval=None)
    assert type(result.to_native()).__module__.split(".")[0] == engine
    assert result.to_pandas()["next_purchase_p10"].dtype.kind == "M"
    assert len(result["customer_id"]) == 2357


class TestMoney:
    def test_without_discounting_it_is_purchases_times_spend(self, cdnow: RFM, fits: Fits) -> None:
        result = clv.forecast(cdnow, *fits, horizon=39, discount_rate=0.0, interval=None)
        np.testing.assert_allclose(
            result.array("residual_value"),
            result.array("expected_purchases") * result.array("expected_spend"),
        )

    def test_margin_and_cost_per_customer(self, cdnow: RFM, fits: Fits) -> None:
        plain = clv.forecast(cdnow, *fits, horizon=52)
        margin = np.linspace(0.1, 0.9, len(cdnow))
        result = clv.forecast(cdnow, *fits, horizon=52, margin=margin, cost_to_serve_rate=3.0)
        lifetime = fits[0].discounted_expected_lifetime(cdnow, 52, 0.1) * 7 / 365.25
        np.testing.assert_allclose(
            result.array("residual_value"),
            plain.array("residual_value") * margin - 3.0 * lifetime,
        )
        assert lifetime.max() < 52 * 7 / 365.25
        np.testing.assert_allclose(
            result.array("residual_value_high"),
            plain.array("residual_value_high") * margin - 3.0 * lifetime,
        )

    def test_net_history_where_costs_are_known(self, cdnow: RFM, fits: Fits) -> None:
        costs = pd.DataFrame({"customer_id": cdnow.values("customer_id"), "acquisition_cost": 7.5})
        result = clv.forecast(cdnow, *fits, horizon=52, margin=0.5, customers=costs, interval=None)
        np.testing.assert_allclose(
            result.array("historical_value"), 0.5 * cdnow.array("total_value") - 7.5
        )

    def test_refusals(self, cdnow: RFM, fits: Fits) -> None:
        with pytest.raises(DataError, match="margin has 3 values and the table 2,357"):
            clv.forecast(cdnow, *fits, horizon=39, margin=np.ones(3))
        with pytest.raises(DataError, match="cost_to_serve_rate must be finite"):
            clv.forecast(cdnow, *fits, horizon=39, cost_to_serve_rate=np.nan)
        with pytest.raises(DataError, match="effective rate per year"):
            clv.forecast(cdnow, *fits, horizon=39, discount_rate=10)
        with pytest.raises(DataError, match="interval must lie strictly between"):
            clv.forecast(cdnow, *fits, horizon=39, interval=90)
        with pytest.raises(DataError, match="expected a fitted spend model"):
            clv.forecast(cdnow, fits[0], fits[0], horizon=39)  # type: ignore[arg-type]
        with pytest.raises(UnitMismatchError):
            clv.forecast(dataclasses.replace(cdnow, time_unit="day"), *fits, horizon=39)


class TestPerpetuity:
    def test_it_is_the_limit_of_long_horizons(self, cdnow: RFM, fits: Fits) -> None:
        result = clv.forecast(cdnow, *fits, horizon=None, discount_rate=0.1, interval=None)
        long = clv.forecast(cdnow, *fits, horizon="400 years", discount_rate=0.1, interval=None)
        np.testing.assert_allclose(
            result.array("residual_value"), long.array("residual_value"), rtol=1e-8
        )
        assert np.isnan(result.array("expected_purchases")).all()  # a < 1: infinitely many
        assert any("undiscounted number of purchases is infinite" in n for n in result.notes)
        np.testing.assert_allclose(
            result.array("probability_never_again"), 1 - result.array("probability_alive")
        )

    def test_infinite_value_is_refused(self, cdnow: RFM, fits: Fits) -> None:
        with pytest.raises(InfiniteValueError, match="give a horizon or a discount_rate"):
            clv.forecast(cdnow, *fits, horizon=None, discount_rate=0.0, interval=None)

    def test_finite_purchases_ever(self, cdnow: RFM, fits: Fits) -> None:
        """With a > 1, E[1/p] = (a + b - 1) / (a - 1)."""
        p = {**fits[0].parameters, "a": 1.5}
        fitted = fits[0].at(np.array(list(p.values())))
        value = fitted.discounted_expected_purchases(cdnow, None, 0.0)
        b = p["b"] + cdnow.array("frequency")
        np.testing.assert_allclose(value, fitted.probability_alive(cdnow) * (0.5 + b) / 0.5)
        np.testing.assert_allclose(value, fitted.expected_purchases(cdnow, 1e12), rtol=0.01)

    def test_intervals_without_end(self, cdnow: RFM, fits: Fits) -> None:
        few = clv.rfm_table(cdnow.to_pandas().head(50), time_unit="week")
        result = clv.forecast(few, *fits, horizon=None, discount_rate=0.1)
        assert "purchases_high" not in result.columns
        assert (result.array("residual_value_high") >= result.array("residual_value")).mean() > 0.9


class TestNextPurchase:
    def test_dates_are_quantiles(self, cdnow: RFM, fits: Fits, forecast: Forecast) -> None:
        days = (
            (forecast.values("next_purchase_p50") - np.datetime64("1997-09-30"))
            .astype("timedelta64[D]")
            .astype(float)
        )
        known = ~np.isnat(forecast.values("next_purchase_p50"))
        alive = fits[0].probability_alive(cdnow)
        assert known.any()
        assert not known[alive <= 0.5].any()
        for i in np.flatnonzero(known)[:20]:
            one = clv.rfm_table(cdnow.to_pandas().iloc[[i]], time_unit="week")
            assert fits[0].probability_no_purchase(one, f"{days[i]:g} days")[0] <= 0.5
            if days[i] > 1:
                assert fits[0].probability_no_purchase(one, f"{days[i] - 1:g} days")[0] > 0.5

    def test_beyond_the_limit_is_missing(self, cdnow: RFM, fits: Fits) -> None:
        soon = clv.forecast(cdnow, *fits, horizon=39, interval=None, next_purchase_limit="30 days")
        dates = soon.values("next_purchase_p10")
        assert np.nanmax(dates[~np.isnat(dates)]) <= np.datetime64("1997-10-30")

    def test_without_dates_there_are_none(self, cdnow: RFM, fits: Fits) -> None:
        bare = clv.rfm_table(
            cdnow.to_pandas()[["customer_id", "frequency", "recency", "T", "monetary_value"]],
            time_unit="week",
        )
        result = clv.forecast(bare, *fits, horizon=39, interval=None)
        assert "next_purchase_p50" not in result.columns
        assert any("observation_period_end" in note for note in result.notes)
        assert any("total_value" in note for note in result.notes)
        assert np.isnan(result.array("lifetime_value")).all()


def test_intervals_cover_simulated_customers(fits: Fits) -> None:
    """Randomised PIT on customers drawn from the model itself, parameters estimated."""
    from clv.families import find

    family = find("bg_nbd")
    truth = family.Parameters(0.4, 5.0, 0.8, 2.5)
    T = np.random.default_rng(0).integers(20, 60, 6_000).astype(float)
    rng = np.random.default_rng(1)
    _, state = family.new_customer(truth)
    paths = family.sample_purchases(state, T + 30.0, rng, T.shape)
    ends = np.cumsum(paths.counts)
    before = np.array(
        [
            np.searchsorted(paths.times[e - c : e], t, side="right")
            for e, c, t in zip(ends, paths.counts, T, strict=True)
        ]
    )
    latest = np.concatenate([[0.0], paths.times])[ends - paths.counts + before]
    last = np.where(before > 0, latest, 0.0)
    bought = np.maximum(before, 1)
    mean = rng.gamma(6.0 * bought) / rng.gamma(4.0, 1 / 15, len(T)) / bought
    base = clv.rfm_table(
        pd.DataFrame(
            {
                "customer_id": np.arange(len(T)),
                "frequency": before,
                "recency": last,
                "T": T,
                "monetary_value": np.where(before > 0, mean, np.nan),
            }
        ),
        time_unit="week",
    )
    fitted = clv.BetaGeoModel().fit(base)
    actual = paths.counts - before
    counts = np.arange(actual.max() + 1)
    pmf = np.stack([fitted.purchase_count_pmf(int(n), 30.0, base) for n in counts])
    cdf = np.cumsum(pmf, axis=0)
    rows = np.arange(len(T))
    upper = cdf[actual, rows]
    lower = upper - pmf[actual, rows]
    pit = lower + rng.random(len(T)) * (upper - lower)
    for nominal in (0.5, 0.8, 0.9, 0.95):
        tail = (1 - nominal) / 2
        assert np.mean((pit > tail) & (pit < 1 - tail)) == pytest.approx(nominal, abs=0.02)
    # and the intervals of the forecast are those of that distribution
    spend = clv.GammaGammaModel().fit(base)
    result = clv.forecast(base, fitted, spend, horizon=30.0, interval=0.9)
    inside = (result.array("purchases_low") <= actual) & (actual <= result.array("purchases_high"))
    assert 0.9 <= inside.mean() < 0.99
