"""What earlier cuts teach: weights of a stack, the level of a forecast, and its width."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import clv
from clv.calibration import Calibration, Shift
from clv.errors import BoundaryWarning, DataError, SavedModelError
from clv.evaluation.backtest import Backtest
from clv.evaluation.calibration import apart, shift_of
from clv.evaluation.stacking import pool_weights
from clv.fitted import FittedPurchases, FittedSpend
from clv.tables.rfm import RFM
from clv.tables.transactions import Transactions
from clv.totals import Total, widened

BOTH = {"repeat": clv.GammaGammaModel(), "all": clv.GammaGammaModel(purchases="all")}
QUICK = {"draws": 10, "bootstrap": 10, "jobs": 1, "progress": False}


@pytest.fixture(scope="module")
def orders() -> Transactions:
    return clv.read_transactions(clv.datasets.load_cdnow())


@pytest.fixture(scope="module")
def tried(orders: Transactions) -> Backtest:
    return clv.backtest(
        orders,
        ["nbd", "bg_nbd", "mbg_nbd", "pareto_nbd"],
        spend=BOTH,
        horizon="8 weeks",
        cuts=["1997-04-15", "1997-06-10", "1997-08-05"],
        **QUICK,
    )


# --- shifts --------------------------------------------------------------------------------------


@pytest.mark.parametrize("spread", [0.05, 0.3])
@pytest.mark.parametrize("cuts", [3, 6])
def test_the_next_shift_lies_in_its_interval_with_that_probability(
    spread: float, cuts: int
) -> None:
    rng = np.random.default_rng(cuts)
    logs = rng.normal(0.1, spread, (1_000, cuts + 1))
    for level in (0.5, 0.8, 0.9, 0.95):
        held = []
        for row in logs:
            low, high = shift_of(row[:-1], [0.0] * cuts).interval(level)
            held.append(np.log(low) <= row[-1] <= np.log(high))
        assert np.mean(held) == pytest.approx(level, abs=4 * np.sqrt(level * (1 - level) / 1_000))


def test_what_chance_explains_is_no_shift() -> None:
    logs = [0.02, -0.03, 0.01]
    assert shift_of(logs, [0.1] * 3).scale == 0.0
    variance = np.var(logs, ddof=1) * 4 / 3
    assert shift_of(logs, [0.0] * 3).scale == pytest.approx(np.sqrt(variance))
    assert shift_of(logs, [variance / 4] * 3).scale < np.sqrt(variance)


def test_a_widened_total_is_the_mixture_that_it_claims_to_be() -> None:
    """Against a plain simulation of median x factor + noise."""
    shift, spend = Shift(0.1, 0.15, 4), Shift(0.0, 0.05, 4)
    learned = Calibration(shift, spend, ("2024-01-01", "2024-02-01"), 13.0, "week", "a model")
    rng = np.random.default_rng(0)
    draws = [s.scale * rng.standard_t(s.degrees, 400_000) for s in (shift, spend)]
    for name, logs in (("expected_purchases", draws[0]), ("residual_value", draws[0] + draws[1])):
        total = Total(name, 1000.0, 900.0, 1100.0, 0.9)
        (found,) = widened((total,), learned)
        noise = 100.0 / 1.6448536 * np.exp(logs / 2) * rng.standard_normal(len(logs))
        low, high = np.quantile(1000.0 * np.exp(logs) + noise, [0.05, 0.95])
        assert found.low == pytest.approx(low, rel=0.02)
        assert found.high == pytest.approx(high, rel=0.02)
        assert found.value == 1000.0


# --- CDNOW ---------------------------------------------------------------------------------------


def test_corrected_intervals_of_cdnow_hold_the_truth(orders: Transactions, tried: Backtest) -> None:
    """BG/NBD's 90 % interval, 1,485 to 1,828, misses the 1,882 purchases of 39 weeks."""
    learned = clv.calibrate(tried, "bg_nbd + repeat", before="1997-09-30")
    assert learned.cuts == ("1997-04-15", "1997-06-10", "1997-08-05")
    rfm = clv.rfm_summary(orders, observation_period_end="1997-09-30")
    purchases, spend = clv.BetaGeoModel().fit(rfm), clv.GammaGammaModel().fit(rfm)
    ahead = clv.forecast(
        rfm, purchases, spend, horizon=39, discount_rate=0.0, draws=100, calibration=learned
    )
    before, after = ahead.before[0], ahead.totals[0]
    assert (before.low, before.high) == (
        pytest.approx(1485, abs=5),
        pytest.approx(1828, abs=15),
    )
    assert before.high < 1882
    assert after.low < 1882 < after.high
    text = repr(ahead)
    assert "Before calibration: Total expected purchases: 1,653" in text
    assert "Learned from 3 earlier cuts" in text
    assert "learned from forecasts of 8 weeks" in text
    assert "3 cuts tell little" in text
    factor = after.value / before.value
    assert factor == pytest.approx(learned.purchases.factor, rel=2e-3)
    spent = ahead.array("expected_spend").sum() / spend.expected_spend(rfm).sum()
    assert spent == pytest.approx(learned.spend.factor)


def test_weights_are_those_of_the_best_held_out_log_score(
    orders: Transactions, tried: Backtest
) -> None:
    learned = clv.stack(tried, before="1997-09-30")
    rows = {row["name"]: row for row in learned.table.rows()}
    scores = {name: row["log_score"] for name, row in rows.items()}
    assert scores["stack"] > max(score for name, score in scores.items() if name != "stack")
    names = [name for name in rows if name != "stack"]
    held = np.concatenate(
        [
            np.stack([cut.foreseen["purchases"][n].distribution.probability for n in names], 1)
            for cut in tried.cuts
        ]
    )
    best = np.array([rows[name]["weight"] for name in names])
    assert np.log(held @ best).mean() == pytest.approx(scores["stack"])
    rng = np.random.default_rng(0)
    for other in rng.dirichlet(np.ones(len(names)), 200):
        assert np.log(held @ other).mean() <= scores["stack"] + 1e-6

    cut = clv.backtest(
        orders,
        {"stack": learned.purchases, "bg_nbd": clv.BetaGeoModel()},
        spend={"all": learned.spend},
        horizon="39 weeks",
        cuts=["1997-09-30"],
        **QUICK,
    ).cuts[0]
    found = [cut.foreseen["purchases"][name].distribution for name in ("stack", "bg_nbd")]
    gap = np.log(found[0].probability) - np.log(found[1].probability)
    assert gap.mean() > 3 * gap.std() / np.sqrt(len(gap))  # on a cut that it has not seen


def test_a_stack_knows_its_calibration(tried: Backtest) -> None:
    learned = clv.stack(tried)
    calibration = learned.calibration()
    ratios = []
    for cut in tried.cuts:
        foreseen = cut.predictions("purchases")
        expected = sum(w * foreseen[name].sum() for name, w in learned.weights.items())
        ratios.append(np.log(cut.actual["purchases"].sum() / expected))
    assert calibration.purchases.location == pytest.approx(np.mean(ratios))
    assert learned.spend.purchases == "all"
    assert "3 cuts" in repr(learned)
    assert "<table" in learned._repr_html_()


def test_only_what_had_ended_by_then_is_learned_from(tried: Backtest) -> None:
    known = clv.calibrate(tried, "bg_nbd + all", before="1997-08-05")
    assert known.cuts == ("1997-04-15", "1997-06-10")
    assert clv.stack(tried, before="1997-08-04").cuts == ("1997-04-15",)
    with pytest.raises(DataError, match="needs 2 cuts or more"):
        clv.calibrate(tried, "bg_nbd + all", before="1997-08-04")
    with pytest.raises(DataError, match="no cut to learn from"):
        clv.stack(tried, before="1997-01-01")
    with pytest.raises(DataError, match="no model of value is called 'bg_nbd'"):
        clv.calibrate(tried, "bg_nbd")
    with pytest.raises(DataError, match="no_such: not in the backtest"):
        clv.stack(tried, ["no_such"])


def test_of_cuts_that_overlap_the_later_ones_count(orders: Transactions) -> None:
    tried = clv.backtest(orders, ["nbd"], horizon="8 weeks", cuts=4, step="5 weeks", **QUICK)
    days = [cut.cut for cut in tried.cuts]
    assert [cut.cut for cut in apart(tried.cuts)] == [days[1], days[3]]


def test_a_calibration_is_saved_as_json(tmp_path: Path, tried: Backtest) -> None:
    learned = clv.calibrate(tried, "pareto_nbd + all")
    assert clv.load(learned.save(tmp_path / "calibration.json")) == learned
    (tmp_path / "other.json").write_text("[1, 2]")
    for name in ("other.json", "missing.json"):
        with pytest.raises(SavedModelError, match="is not a saved"):
            clv.load(tmp_path / name)
    with pytest.raises(SavedModelError, match=r"clv\.calibrate"):
        Calibration.from_dict({"format": 99})


def test_every_figure_moves_with_the_clock(
    cdnow: RFM, bg_nbd: FittedPurchases, gamma_gamma: FittedSpend
) -> None:
    """Twice the speed is twice the time, at half the discount rate (continuous)."""
    certain = Calibration(
        Shift(0.3, 0.0, 5), Shift(np.log(1.1), 0.0, 5), ("a", "b"), 39.0, "week", "BG/NBD"
    )
    given = {"horizon": 39.0, "discount_rate": 0.2, "cost_to_serve_rate": 2.0}
    moved = clv.forecast(cdnow, bg_nbd, gamma_gamma, **given, calibration=certain, interval=None)
    plain = clv.forecast(cdnow, bg_nbd, gamma_gamma, **given, interval=None)
    total = plain.array("expected_purchases").sum() * np.exp(0.3)
    assert moved.array("expected_purchases").sum() == pytest.approx(total, rel=2e-3)
    low, high = 1.0, 4.0  # the speed, by halving
    for _ in range(60):
        speed = (low + high) / 2
        found = bg_nbd.expected_purchases(cdnow, 39.0 * speed).sum()
        low, high = (
            (speed, high) if found < moved.array("expected_purchases").sum() else (low, speed)
        )
    same = clv.forecast(
        cdnow,
        bg_nbd,
        gamma_gamma,
        horizon=39.0 * speed,
        discount_rate=1.2 ** (1 / speed) - 1,
        cost_to_serve_rate=2.0 / speed / 1.1,
        margin=1.0,
        interval=None,
    )
    for name in ("survival", "expected_purchases", "probability_no_purchase"):
        np.testing.assert_allclose(moved.array(name), same.array(name), rtol=1e-6, err_msg=name)
    np.testing.assert_allclose(
        moved.array("residual_value"), 1.1 * same.array("residual_value"), rtol=1e-6
    )
    np.testing.assert_array_equal(
        moved.array("probability_alive"), plain.array("probability_alive")
    )
    until = (plain.values("next_purchase_p50") - np.datetime64("1997-09-30")).astype("m8[D]")
    sooner = (moved.values("next_purchase_p50") - np.datetime64("1997-09-30")).astype("m8[D]")
    both = ~np.isnat(until) & ~np.isnat(sooner)
    assert np.abs(sooner[both].astype(int) - until[both].astype(int) / speed).max() <= 1


def test_what_cannot_be_calibrated(
    cdnow: RFM, bg_nbd: FittedPurchases, gamma_gamma: FittedSpend
) -> None:
    learned = Calibration(Shift(0, 0.1, 3), Shift(0, 0.1, 3), ("a", "b"), 39.0, "week", "BG/NBD")
    with pytest.raises(DataError, match="use predictive intervals"):
        clv.forecast(
            *(cdnow, bg_nbd, gamma_gamma),
            horizon=39,
            interval_kind="expected",
            calibration=learned,
        )
    counted = clv.rfm_table(
        pd.DataFrame(
            {
                "customer_id": range(60),
                "frequency": [0, 1, 2, 3, 1, 0] * 10,
                "recency": [0.0, 2.0, 4.0, 5.0, 1.0, 0.0] * 10,
                "T": 6.0,
                "monetary_value": [np.nan, 20.0, 30.0, 9.0, 50.0, np.nan] * 10,
            }
        ),
        time_unit="year",
    )
    with pytest.warns(BoundaryWarning):
        bg_bb = clv.BetaGeoBetaBinomModel().fit(counted)
    spend = replace(gamma_gamma, time_unit="year")
    with pytest.raises(DataError, match="cannot be calibrated"):
        clv.forecast(counted, bg_bb, spend, horizon=3, calibration=learned)


def test_pool_weights_find_who_is_right() -> None:
    rng = np.random.default_rng(5)
    second = rng.permutation(4_000) < 2_800
    held = np.where(second[:, None] == np.array([False, True]), 0.8, 0.1)
    # where .3 / (.1 + .7 w) = .7 / (.8 - .7 w)
    np.testing.assert_allclose(pool_weights(held), [0.17 / 0.7, 0.53 / 0.7], atol=1e-4)


# --- shops in which whole periods differ -----------------------------------------------------


def a_shop(seed: int, spread: float, periods: int, customers: int = 250) -> Transactions:
    """Customers who never leave; in each 13 weeks all buy more, or all less, and spend likewise."""
    rng = np.random.default_rng(seed)
    rate = rng.gamma(1.5, 1.5, customers)
    level = rng.gamma(5.0, 10.0, customers)
    born = rng.integers(0, 60, customers)
    who, day, amount = [np.arange(customers)], [born], [level]
    for period in range(periods):
        more, dearer = np.exp(rng.normal(0.0, [spread, spread / 3]))
        counts = rng.poisson(rate * more)
        buyer = np.repeat(np.arange(customers), counts)
        when = rng.integers(period * 91, (period + 1) * 91, counts.sum())
        later = when > born[buyer]
        who.append(buyer[later])
        day.append(when[later])
        amount.append((rng.gamma(4.0, 0.25, counts.sum()) * level[buyer] * dearer)[later])
    return clv.read_transactions(
        pd.DataFrame(
            {
                "customer_id": np.concatenate(who),
                "date": pd.Timestamp("2020-01-01") + pd.to_timedelta(np.concatenate(day), "D"),
                "amount": np.concatenate(amount).round(2) + 0.01,
            }
        )
    )


def held_by(shops: int, spread: float) -> pd.DataFrame:
    """For each shop: does the interval hold, of both totals, before and after; and customers'."""
    found = []
    for seed in range(shops):
        transactions = a_shop(seed, spread, periods=8)
        last = pd.Timestamp("2020-01-01") + pd.Timedelta(days=7 * 91 - 1)
        cuts = [(last - pd.Timedelta(days=91 * back)).date() for back in range(5, 0, -1)]
        tried = clv.backtest(transactions, ["nbd"], horizon=13, cuts=cuts, **QUICK)
        learned = clv.calibrate(tried, "nbd + gamma_gamma", before=last.date())
        assert len(learned.cuts) == 5
        rfm = clv.rfm_summary(
            transactions,
            calibration_period_end=last.date(),
            observation_period_end=(last + pd.Timedelta(days=91)).date(),
        )
        with warnings.catch_warnings():  # in one shop of forty p runs to its limit
            warnings.simplefilter("ignore", BoundaryWarning)
            fits = clv.NBDModel().fit(rfm), clv.GammaGammaModel().fit(rfm)
        ahead = clv.forecast(
            rfm,
            *fits,
            horizon=13,
            discount_rate=0.0,
            draws=400,
            calibration=learned,
        )
        bought, spent = rfm.array("holdout_purchases"), rfm.array("holdout_spend")
        row = {}
        for when, totals in (("before", ahead.before), ("after", ahead.totals)):
            for total, actual in zip(totals, (bought.sum(), spent.sum()), strict=True):
                row[f"{total.name} {when}"] = total.low <= actual <= total.high
        low, high = ahead.array("residual_value_low"), ahead.array("residual_value_high")
        row["customers"] = float(np.mean((low <= spent) & (spent <= high)))
        found.append(row)
    return pd.DataFrame(found)


def test_corrected_intervals_cover_where_periods_differ() -> None:
    """Eight shops here; 150 in the slow run, against what is nominal."""
    held = held_by(8, spread=0.3).mean()
    assert held["expected_purchases before"] < 0.6
    assert held["expected_purchases after"] >= 0.75
    assert held["residual_value after"] >= 0.75
    assert held["customers"] > 0.86


@pytest.mark.slow
def test_corrected_intervals_cover_nominal_where_periods_differ() -> None:
    shops = 150
    held = held_by(shops, spread=0.25).mean()
    slack = 3 * np.sqrt(0.9 * 0.1 / shops)
    for total in ("expected_purchases", "residual_value"):
        assert held[f"{total} before"] < 0.6
        # early cuts know few periods and are further off than the last: rather too wide
        assert 0.9 - slack < held[f"{total} after"] < 0.99
    assert held["customers"] > 0.88


@pytest.mark.slow
def test_where_periods_do_not_differ_little_is_added() -> None:
    held = held_by(60, spread=0.0).mean()
    for total in ("expected_purchases", "residual_value"):
        assert held[f"{total} before"] > 0.75
        assert held[f"{total} after"] > 0.8
