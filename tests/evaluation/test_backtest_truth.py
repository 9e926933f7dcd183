"""Where the truth is known: intervals, probabilities and scores of what a backtest finds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scoringrules import crps_ensemble

import clv
from clv.evaluation import metrics
from clv.evaluation.backtest import Backtest
from clv.evaluation.coverage import count_distribution
from clv.evaluation.value_distribution import _crps, _places, value_distribution
from clv.families import pareto_nbd
from clv.fitted import FittedPurchases, FittedSpend

LEVELS = (0.5, 0.8, 0.9, 0.95)
TRUTH = {"r": 0.8, "alpha": 60.0, "s": 0.9, "beta": 120.0}  # days
SPEND = {"p": 6.0, "q": 4.0, "v": 15.0}
CUT, END = 300, 482


class World:
    """Pareto/NBD customers with Gamma-Gamma values, and who of them is alive at the cut."""

    def __init__(self, customers: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        start = rng.integers(0, 180, customers).astype(float)
        rate = rng.gamma(TRUTH["r"], 1 / TRUTH["alpha"], customers)
        leaving = rng.gamma(TRUTH["s"], 1 / TRUTH["beta"], customers)
        life = rng.exponential(1 / leaving)
        span = np.minimum(life, END - start)
        count = rng.poisson(rate * span)
        who = np.repeat(np.arange(customers), count)
        times = start[who] + rng.random(who.size) * span[who]
        who, day = np.append(np.arange(customers), who), np.append(start, np.ceil(times))
        scale = SPEND["v"] / rng.gamma(SPEND["q"], size=customers)
        frame = pd.DataFrame({"customer_id": who, "day": day.astype(int)})
        frame["amount"] = (rng.gamma(SPEND["p"], size=who.size) * scale[who]).round(2)
        frame["date"] = pd.Timestamp("2023-01-01") + pd.to_timedelta(frame["day"], unit="D")
        self.transactions = clv.read_transactions(frame[frame["day"] <= END])
        self.alive = start + life > CUT


@pytest.fixture(scope="module")
def world() -> World:
    return World(8_000, seed=11)


@pytest.fixture(scope="module")
def tried(world: World) -> Backtest:
    cut = (pd.Timestamp("2023-01-01") + pd.Timedelta(days=CUT)).date()
    return clv.backtest(
        world.transactions,
        ["pareto_nbd"],
        horizon="26 weeks",
        cuts=[cut],
        time_unit="day",
        bootstrap=10,
    )


@pytest.fixture(scope="module")
def at_the_truth(tried: Backtest) -> tuple[FittedPurchases, FittedSpend]:
    """The same models at the parameters that the world was made with."""
    cut = tried.cut()
    purchases, spend = cut.fitted("pareto_nbd"), cut.fitted("pareto_nbd + gamma_gamma")
    assert isinstance(purchases, FittedPurchases)
    assert isinstance(spend, FittedSpend)
    return (
        purchases.at(np.array(list(TRUTH.values()))),
        spend.at(np.array(list(SPEND.values()))),
    )


@pytest.mark.parametrize("quantity", ["purchases", "value"])
def test_intervals_hold_what_they_promise(tried: Backtest, quantity: Any) -> None:
    method = "pareto_nbd" if quantity == "purchases" else "pareto_nbd + gamma_gamma"
    for level in LEVELS:
        found = tried.mean(quantity, method, f"pit_coverage_{100 * level:g}").value
        assert found == pytest.approx(level, abs=0.02)


@pytest.mark.parametrize("quantity", ["purchases", "value"])
def test_intervals_are_no_wider_than_at_the_true_parameters(
    tried: Backtest, at_the_truth: tuple[FittedPurchases, FittedSpend], quantity: Any
) -> None:
    cut = tried.cut()
    rfm, actual = cut.table, cut.actual[quantity]
    purchases, spend = at_the_truth
    if quantity == "purchases":
        method = "pareto_nbd"
        true = count_distribution(purchases, rfm, rfm.holdout_duration, actual, LEVELS)
    else:
        method = "pareto_nbd + gamma_gamma"
        true = value_distribution(
            purchases,
            spend,
            rfm,
            rfm.holdout_duration,
            actual,
            LEVELS,
            alive=purchases.probability_alive(rfm),
            seed=1,
        )
    for level in LEVELS:
        low, high = true.low[level].astype(float), true.high[level].astype(float)
        width = tried.mean(quantity, method, f"width_{100 * level:g}").value
        score = tried.mean(quantity, method, f"interval_score_{100 * level:g}").value
        assert score <= 1.02 * metrics.interval_score(actual, low, high, level)
        # a width of whole numbers may jump where hardly anybody buys
        assert width <= 1.02 * metrics.interval_width(low, high) + 0.005 * (quantity == "purchases")


def test_probability_alive_is_on_the_diagonal(world: World, tried: Backtest) -> None:
    cut = tried.cut()
    alive = cut.foreseen["purchases"]["pareto_nbd"].probability_alive
    truth = world.alive[np.asarray(cut.table.values("customer_id"))]
    curve = metrics.reliability_curve(truth, alive, groups=8, level=0.999)
    assert len(curve.customers) == 8
    assert ((curve.low <= curve.mean_probability) & (curve.mean_probability <= curve.high)).all()


def test_who_buys_again_is_on_the_diagonal(tried: Backtest) -> None:
    table = tried.reliability("pareto_nbd", groups=8)
    off = np.abs(table.array("foreseen") - table.array("happened"))
    assert off.max() < 0.04
    assert table.array("customers").sum() == len(tried.cut().table)
    alive = tried.reliability("pareto_nbd", event="alive", groups=8)
    assert np.abs(alive.array("expected") - alive.array("happened")).max() < 0.04
    assert (alive.array("foreseen") > alive.array("happened")).all()


def test_totals_hold_and_are_as_wide_as_repeated_worlds(tried: Backtest) -> None:
    """The interval of a total against totals simulated customer by customer."""
    from clv.evaluation.aggregates import period_futures

    table = tried.totals("purchases", "pareto_nbd", level=0.9)
    assert table.row(segment="all")["holds"]
    row = table.row(segment="all")
    futures = period_futures(tried.cut(), "pareto_nbd", 182, "year", seed=4)
    totals = futures.purchases.sum(axis=(0, 2))
    assert totals.mean() == pytest.approx(row["expected"], rel=0.02)
    assert 2 * 1.645 * totals.std() == pytest.approx(row["high"] - row["low"], rel=0.2)
    value = tried.totals("value", "pareto_nbd + gamma_gamma", by="frequency")
    assert value.row(segment="all")["holds"]
    assert value.array("holds").mean() >= 0.6


# -- scores -------------------------------------------------------------------------------------


def test_crps_of_counts_is_the_sum_over_the_distribution(tried: Backtest) -> None:
    cut = tried.cut()
    model = cut.fitted("pareto_nbd")
    assert isinstance(model, FittedPurchases)
    some = np.arange(0, 8_000, 160)
    pmf = np.array(
        [
            model.purchase_count_pmf(n, cut.table.holdout_duration, cut.table)[some]
            for n in range(80)
        ]
    )
    actual = cut.actual["purchases"][some]
    spread = cut.foreseen["purchases"]["pareto_nbd"].distribution
    assert spread is not None
    by_hand = metrics.crps_of_counts(actual, pmf.cumsum(axis=0).T)
    assert spread.crps[some].mean() == pytest.approx(by_hand, abs=1e-4)
    mean = np.arange(80) @ pmf
    variance = np.arange(80.0) ** 2 @ pmf - mean**2
    np.testing.assert_allclose(spread.variance[some], variance, rtol=0.01, atol=1e-4)


def test_crps_of_values_is_that_of_the_ensemble() -> None:
    """Of who is surely alive scoringrules'; otherwise of an ensemble with as many zeros."""
    rng = np.random.default_rng(3)
    draws = np.sort(rng.gamma(2.0, 1.0, (3, 400)), axis=1)
    local = np.array([0, 1, 2, 2])
    scale, y = np.array([1.0, 2.0, 0.5, 3.0]), np.array([0.0, 2.5, -1.0, 40.0])
    at = y / scale
    places = _places(draws, local, at, strictly=False)
    found = _crps(draws, local, at, places, np.ones(4), scale)
    theirs = crps_ensemble(y, draws[local] * scale[:, None], estimator="pwm", backend="numpy")
    np.testing.assert_allclose(found, theirs, rtol=1e-9)
    alive = np.full(4, 0.25)
    found = _crps(draws, local, at, places, alive, scale)
    diluted = np.concatenate([draws[local], np.zeros((4, 1200))], axis=1) * scale[:, None]
    theirs = crps_ensemble(y, diluted, estimator="nrg", backend="numpy")
    np.testing.assert_allclose(found, theirs, rtol=2e-3)


def test_the_true_model_scores_best(world: World, tried: Backtest) -> None:
    assert tried.best("purchases") == "pareto_nbd"
    gap = tried.difference("purchases", "log_score", "pareto_nbd", "nbd")
    assert gap.value > 0
    assert pareto_nbd.NAME in tried.labels("purchases")
