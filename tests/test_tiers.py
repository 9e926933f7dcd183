"""Tiers: nobody is left out, nothing is counted twice, and the order of rows does not matter."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import clv
from clv.errors import DataError, MissingColumnError
from clv.fitted import FittedPurchases, FittedSpend
from clv.tables.rfm import RFM
from clv.tiers import CLASSIC, TierRules, assign


def frame(values: list[float]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "customer_id": [f"c{k}" for k in range(len(values))],
            "residual_value": values,
            "historical_value": [float(k % 7) for k in range(len(values))],
        }
    )


# few distinct values, so that ties are common
values = st.lists(
    st.one_of(st.integers(-2, 6).map(float), st.floats(0, 1e6), st.just(float("nan"))),
    min_size=1,
    max_size=60,
)
rules = st.lists(st.floats(0.01, 0.3), min_size=1, max_size=3).map(
    lambda shares: TierRules(names=tuple("ABC"[: len(shares)]), shares=tuple(shares))
)


@settings(max_examples=40)
@given(values, rules)
def test_tiers_add_up_to_the_whole(values: list[float], rules: TierRules) -> None:
    tiers = assign(frame(values), rules)
    assert tiers.table.array("customers").sum() == len(values)
    for name in ("residual_value", "historical_value"):
        whole = np.nansum(frame(values)[name])
        assert tiers.table.array(name).sum() == pytest.approx(whole, rel=1e-12, abs=1e-9)


@settings(max_examples=40)
@given(values, rules, st.randoms())
def test_the_order_of_rows_does_not_matter(values: list[float], rules: TierRules, random) -> None:
    plain = frame(values)
    mixed = plain.iloc[random.sample(range(len(values)), len(values))]
    first, second = (
        assign(f.reset_index(drop=True), rules).customers.to_pandas().set_index("customer_id")
        for f in (plain, mixed)
    )
    pd.testing.assert_frame_equal(first, second.loc[first.index])


@settings(max_examples=40)
@given(values, rules)
def test_equals_are_together_and_better_ones_are_never_lower(
    values: list[float], rules: TierRules
) -> None:
    codes, value = assign(frame(values), rules).codes, np.array(values)
    rest = len(rules.names)
    assert (codes[~(value > 0)] == rest).all()
    known = value > 0
    order = np.argsort(-value[known], kind="stable")
    assert (np.diff(codes[known][order]) >= 0).all()
    for v in set(value[known]):
        assert len(set(codes[value == v])) == 1


@given(st.integers(1, 400), rules)
def test_without_ties_shares_are_met_to_the_customer(n: int, rules: TierRules) -> None:
    counts = assign(frame([float(k) for k in range(1, n + 1)]), rules).table.array("customers")
    wanted = np.cumsum(rules.shares) * n
    assert np.abs(np.cumsum(counts)[:-1] - wanted).max() <= 0.5 + 1e-9


def test_classic_shares_stand_beside_what_tiers_bring() -> None:
    table = assign(frame([float(k) for k in range(1, 101)])).table.to_pandas()
    assert table["tier"].tolist() == ["platinum", "gold", "silver", "bronze", "no tier"]
    assert table["customers"].tolist() == [10, 16, 35, 20, 19]
    assert table["classic_share_of_customers"].tolist() == pytest.approx(
        [0.1, 0.16, 0.35, 0.2, 0.19]
    )
    assert table["classic_share_of_profit"].tolist() == [0.25, 0.25, 0.45, 0.05, 0.0]
    assert table["share_of_residual_value"].iloc[0] == pytest.approx(sum(range(91, 101)) / 5050)
    assert table.loc[0, ["from_value", "to_value"]].tolist() == [91, 100]
    assert CLASSIC.profit_shares == (0.25, 0.25, 0.45, 0.05)


def test_customers_worth_nothing_have_no_tier_and_are_mentioned() -> None:
    tiers = assign(frame([5.0, 0.0, 0.0, -1.0, float("nan")]))
    assert tiers.customers["tier"].tolist() == ["platinum", *["no tier"] * 4]
    assert "missing for 1 customer" in tiers.notes[0]
    assert "0 or less for 3 customers" in tiers.notes[1]
    nobody = assign(frame([0.0, 0.0]))
    assert nobody.table.array("share_of_residual_value")[0] != 0  # of nothing there are no shares
    assert "no tier" in repr(nobody)
    assert "no tier" in nobody._repr_html_()


def test_everybody_equal_is_said() -> None:
    tiers = assign(frame([3.0] * 100))
    assert set(tiers.customers["tier"]) == {"silver"}  # where the middle of all lies
    assert "equal residual_value (up to 100)" in tiers.notes[0]


def test_sums_made_in_another_order_stay_equal() -> None:
    values = [0.1 + 0.2, 0.3] * 50 + [7.0]
    assert set(assign(frame(values), TierRules(names=("A",), shares=(0.6,))).codes[:-1]) == {0}


def test_a_forecast_and_its_file_give_the_same(
    cdnow: RFM, bg_nbd: FittedPurchases, gamma_gamma: FittedSpend
) -> None:
    forecast = clv.forecast(cdnow, bg_nbd, gamma_gamma, horizon=52, interval=None)
    tiers, again = assign(forecast), assign(forecast.to_polars())
    np.testing.assert_array_equal(tiers.codes, again.codes)
    assert tiers.table.array("residual_value").sum() == pytest.approx(
        forecast.array("residual_value").sum()
    )
    by_history = assign(forecast, TierRules(by="historical_value"))
    assert not np.array_equal(by_history.codes, tiers.codes)


def test_refusals() -> None:
    with pytest.raises(DataError, match="2 names and 1 shares"):
        TierRules(names=("a", "b"), shares=(0.5,))
    with pytest.raises(DataError, match="at most 1"):
        TierRules(names=("a", "b"), shares=(0.5, 0.6))
    with pytest.raises(DataError, match="different names"):
        TierRules(names=("a", "no tier"), shares=(0.5, 0.2))
    with pytest.raises(DataError, match="2 shares of profit"):
        TierRules(names=("a",), shares=(0.5,), profit_shares=(0.5, 0.5))
    with pytest.raises(MissingColumnError, match="no column 'profit'"):
        assign(frame([1.0]), TierRules(by="profit"))
