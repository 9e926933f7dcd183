"""Several purchase models as one: every figure is the weighted mean of the members'."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import clv
from clv.errors import DataError, FitError, InfiniteValueError, SavedModelError, UnitMismatchError
from clv.fitted import FittedPurchases, FittedSpend, Stacked
from clv.tables.rfm import RFM

WEIGHTS = (0.2, 0.3, 0.5)


@pytest.fixture(scope="module")
def members(
    cdnow: RFM, bg_nbd: FittedPurchases, mbg_nbd: FittedPurchases
) -> tuple[FittedPurchases, ...]:
    return clv.NBDModel().fit(cdnow), bg_nbd, mbg_nbd


@pytest.fixture(scope="module")
def stack(members: tuple[FittedPurchases, ...]) -> Stacked:
    return Stacked.of(members, WEIGHTS)


@pytest.fixture(scope="module")
def few(cdnow: RFM) -> RFM:
    return clv.rfm_table(
        cdnow.to_pandas().iloc[::12].reset_index(drop=True),
        time_unit="week",
        observation_period_end="1997-09-30",
    )


def test_every_verb_is_the_weighted_mean(
    few: RFM, members: tuple[FittedPurchases, ...], stack: Stacked
) -> None:
    verbs = {
        "alive": lambda m: m.probability_alive(few),
        "survival": lambda m: m.survival(few, 20.0),
        "purchases": lambda m: m.expected_purchases(few, 39.0),
        "none": lambda m: m.probability_no_purchase(few, 39.0),
        "discounted": lambda m: m.discounted_expected_purchases(few, 39.0, 0.15),
        "lifetime": lambda m: m.discounted_expected_lifetime(few, 39.0, 0.15),
        "pmf": lambda m: m.purchase_count_pmf(2, 39.0, few),
        "new": lambda m: m.expected_purchases_new_customer(np.array([1.0, 52.0])),
        "new pmf": lambda m: m.purchase_count_pmf(np.arange(4), 39.0),
        "new survival": lambda m: m.survival_new_customer(52.0),
    }
    for name, verb in verbs.items():
        wanted = sum(w * verb(m) for w, m in zip(WEIGHTS, members, strict=True))
        np.testing.assert_allclose(verb(stack), wanted, rtol=1e-12, err_msg=name)


def test_next_purchase_comes_by_its_quantile_with_that_probability(
    few: RFM, members: tuple[FittedPurchases, ...], stack: Stacked
) -> None:
    for q in (0.1, 0.5):
        times = stack.next_purchase_quantile(few, q)
        rows = np.flatnonzero(np.isfinite(times))[:5]
        assert len(rows) == 5
        for row in rows:
            none = [m.probability_no_purchase(few, float(times[row]))[row] for m in members]
            assert 1.0 - np.dot(WEIGHTS, none) == pytest.approx(q, abs=1e-9)
        never = np.isinf(times)
        ever = 1.0 - stack.probability_never_again(few)
        np.testing.assert_array_equal(never, ever <= q)


def test_simulated_intervals_of_purchases_are_the_exact_ones(
    few: RFM, members: tuple[FittedPurchases, ...], gamma_gamma: FittedSpend
) -> None:
    """Against sums of the probabilities of counts; at known parameters."""
    certain = [replace(m, draws=np.tile(m.estimates, (9, 1))) for m in members]
    stack = Stacked.of(certain, WEIGHTS)
    ahead = clv.forecast(few, stack, gamma_gamma, horizon=39.0, draws=4000)
    most = int(ahead.array("purchases_high").max())
    reached = np.cumsum([stack.purchase_count_pmf(n, 39.0, few) for n in range(most + 1)], axis=0)
    reached = np.vstack([np.zeros(len(few)), reached])  # row n: P(N < n)
    every = np.arange(len(few))
    for name, q in (("purchases_low", 0.05), ("purchases_high", 0.95)):
        end = ahead.values(name)
        slack = 4.5 * np.sqrt(q * (1 - q) / 4000)
        assert (reached[end + 1, every] > q - slack).all()
        assert (reached[end, every] < q + slack).all()


def test_a_stack_of_one_forecasts_like_that_one(
    few: RFM, bg_nbd: FittedPurchases, gamma_gamma: FittedSpend
) -> None:
    alone = clv.forecast(few, bg_nbd, gamma_gamma, horizon=39.0)
    stacked = clv.forecast(few, Stacked.of([bg_nbd], [2.0]), gamma_gamma, horizon=39.0)
    assert alone.columns == stacked.columns
    for name in alone.columns:
        one, other = alone.values(name), stacked.values(name)
        if name.endswith(("_low", "_high")):
            width = np.mean(alone.values(name.rsplit("_", 1)[0] + "_high"))
            assert abs(float(np.mean(other)) - float(np.mean(one))) < 0.05 * float(width)
        elif one.dtype.kind == "f":
            np.testing.assert_allclose(other, one, rtol=1e-9, err_msg=name)
        elif one.dtype.kind == "M":  # dates: up to rounding to whole days
            assert np.array_equal(np.isnat(one), np.isnat(other))
            gap = (one - other)[~np.isnat(one)].astype("timedelta64[D]").astype(int)
            assert np.abs(gap).max() <= 1
    for one, other in zip(alone.totals, stacked.totals, strict=True):
        assert other.value == pytest.approx(one.value, rel=1e-12)
        assert other.low == pytest.approx(one.low, rel=0.01)


def test_intervals_of_expected_values_and_perpetuities(
    few: RFM, stack: Stacked, members: tuple[FittedPurchases, ...], gamma_gamma: FittedSpend
) -> None:
    known = clv.forecast(few, stack, gamma_gamma, horizon=39.0, interval_kind="expected")
    inside = known.array("purchases_low") <= known.array("expected_purchases")
    assert (inside & (known.array("expected_purchases") <= known.array("purchases_high"))).all()
    forever = clv.forecast(few, stack, gamma_gamma, horizon=None, interval=None)
    wanted = sum(
        w * m.discounted_expected_purchases(few) for w, m in zip(WEIGHTS, members, strict=True)
    )
    np.testing.assert_allclose(forever.array("discounted_expected_purchases"), wanted)
    with pytest.raises(InfiniteValueError):
        stack.discounted_expected_purchases(few, None, 0.0)


def test_saved_and_loaded_it_predicts_the_same(
    tmp_path: Path, few: RFM, stack: Stacked, members: tuple[FittedPurchases, ...]
) -> None:
    folder = stack.save(tmp_path / "stack")
    back = clv.load(folder)
    assert isinstance(back, Stacked)
    assert back.weights == stack.weights
    assert repr(back) == repr(stack)
    np.testing.assert_array_equal(
        back.expected_purchases(few, 39.0), stack.expected_purchases(few, 39.0)
    )
    np.testing.assert_array_equal(back.draws, stack.draws)
    stack.save(folder)  # in its own place
    members[1].save(folder / "members" / "0")
    with pytest.raises(SavedModelError, match="does not match its checksum"):
        clv.load(folder)
    stack.save(folder)
    record = json.loads((folder / "model.json").read_text())
    record["weights"] = [1.0, 0.0, 0.0]
    (folder / "model.json").write_text(json.dumps(record))
    with pytest.raises(SavedModelError, match="does not match its checksum"):
        clv.load(folder)


def test_new_customers_are_simulated_by_members_in_turn(stack: Stacked) -> None:
    ages = np.full(40_000, 39.0)
    found = stack.simulate(ages, seed=1)
    wanted = float(stack.expected_purchases_new_customer(39.0))
    assert found.frequency.mean() == pytest.approx(wanted, rel=0.05)
    assert (found.recency <= ages).all()


def test_members_may_have_covariates(cdnow: RFM) -> None:
    frame = cdnow.to_pandas()
    first = frame["total_value"] - (frame["frequency"] * frame["monetary_value"]).fillna(0)
    basket = pd.DataFrame(
        {"customer_id": frame["customer_id"], "first": np.log1p(first.clip(lower=0))}
    )
    table = cdnow.with_covariates(basket, ["first"])
    model = clv.StackedModel(
        ["nbd", clv.ParetoNBDModel(purchase_covariates=["first"])], weights=[1, 3]
    )
    assert model.covariates == ("first",)
    fitted = model.fit(table)
    assert fitted.covariates == ("first",)
    spend = clv.GammaGammaModel(purchases="repeat").fit(table)
    ahead = clv.forecast(table, fitted, spend, horizon=39.0, draws=200)
    parts = [0.25, 0.75] @ np.stack([m.expected_purchases(table, 39.0) for m in fitted.members])
    np.testing.assert_allclose(ahead.array("expected_purchases"), parts)
    like = fitted.expected_purchases_new_customer(39.0, covariates={"first": 3.0})
    assert np.isfinite(like).all()
    with pytest.raises(DataError, match="first"):
        fitted.expected_purchases(cdnow, 39.0)


def test_it_stands_beside_others_in_a_backtest() -> None:
    orders = clv.read_transactions(clv.datasets.load_cdnow())
    tried = clv.backtest(
        orders,
        {"alone": clv.BetaGeoModel(), "both": clv.StackedModel(["nbd", "bg_nbd"])},
        horizon="39 weeks",
        cuts=["1997-09-30"],
    )
    cut = tried.cuts[0]
    both, alone = (cut.foreseen["purchases"][name] for name in ("both", "alone"))
    rfm = cut.rfm
    assert rfm is not None
    nbd = clv.NBDModel().fit(rfm).purchase_count_pmf(cut.actual["purchases"], 39.0, rfm)
    wanted = (nbd + alone.distribution.probability) / 2
    np.testing.assert_allclose(both.distribution.probability, wanted, rtol=1e-9)
    assert np.log(wanted).mean() > np.log(alone.distribution.probability).mean()


def test_what_cannot_be_stacked_is_refused(
    cdnow: RFM, members: tuple[FittedPurchases, ...], stack: Stacked
) -> None:
    for weights in ([1.0], [1, 2, -1], [0, 0, 0], [np.nan, 1, 1]):
        with pytest.raises(DataError, match="weights"):
            Stacked.of(members, weights)
    assert len(Stacked.of(members, [0, 1, 1]).members) == 2
    with pytest.raises(DataError, match="cannot be part of a stack"):
        clv.StackedModel([clv.GammaGammaModel()])
    with pytest.raises(DataError, match="list of purchase models"):
        clv.StackedModel("bg_nbd")
    with pytest.raises(DataError, match="no model is called"):
        clv.StackedModel(["no_such"])
    days = clv.rfm_table(cdnow.to_pandas(), time_unit="day")
    with pytest.raises(UnitMismatchError):
        stack.expected_purchases(days, 39.0)
    once = clv.rfm_table(cdnow.to_pandas().query("frequency == 0"), time_unit="week")
    with pytest.raises(FitError, match="cannot be fitted"):
        clv.StackedModel().fit(once)
    with pytest.raises(DataError, match="no retention curve of a stack"):
        clv.retention_curve(stack, cdnow, until=10)


def test_it_says_what_it_is(stack: Stacked) -> None:
    text = repr(stack)
    assert "20.0%  NBD" in text
    assert "50.0%  MBG/NBD" in text
    assert stack.parameters["weight of bg_nbd"] == 0.3
    assert stack.summary()["weight"].tolist() == list(WEIGHTS)
    assert "<pre>" in stack._repr_html_()
    model = clv.StackedModel(["nbd", "bg_nbd"], weights=[1, 3])
    assert "weights=[0.25, 0.75]" in repr(model)
