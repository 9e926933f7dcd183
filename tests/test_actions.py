"""Whom to look after: the right customers, in the right order, for the reason given."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import clv
from clv.actions import card, ending, likely_to_buy, opportunities, overdue, slipping_away
from clv.errors import DataError, MissingColumnError
from clv.lifecycle import STAGES, StageRules, stages
from clv.lifecycle.reasons import TEXTS, stage_reason


def test_likely_to_buy(shop: Any) -> None:
    found = likely_to_buy(shop.rfm, shop.purchases, within="30 days", at_least=0.6, most=50)
    chance = 1 - shop.purchases.probability_no_purchase(shop.rfm, "30 days")
    assert found.found == (chance >= 0.6).sum()
    score = found.table.array("score")
    assert (np.diff(score) <= 0).all()
    assert score[0] == pytest.approx(chance.max())
    assert f"within 30 days with probability {score[0]:.0%}" in found.table["reason"][0]
    assert f"of {found.found}" in repr(found)
    assert f"of {found.found}" in found._repr_html_()


def test_overdue_against_their_own_rhythm(shop: Any) -> None:
    found = overdue(shop.rfm, shop.purchases, forecast=shop.forecast)
    table = found.table.to_pandas().set_index("customer_id")
    rfm = shop.rfm.to_pandas().set_index("customer_id").loc[table.index]
    x, t_x = rfm["frequency"], rfm["recency"]
    idle = rfm["T"] - t_x
    assert (x >= 2).all()
    assert ((1 + idle / t_x) ** -x < 0.1).all()
    np.testing.assert_allclose(table["score"], idle / (t_x / x))
    assert table["score"].is_monotonic_decreasing
    # what was due is the last order and the usual interval
    due = rfm["last_purchase"] + pd.to_timedelta((7 * t_x / x).round(), unit="D")
    assert ((table["day"] - due).abs() <= pd.Timedelta(days=1)).all()
    value = pd.Series(shop.forecast.array("residual_value"), index=list(shop.rfm.customer_ids))
    np.testing.assert_allclose(table["residual_value"], value[table.index])


def test_the_chance_of_such_a_silence_is_what_it_says() -> None:
    """x intervals with an unknown rate, then one more: how often is it so long?"""
    rng = np.random.default_rng(0)
    rate = rng.gamma(1.0, size=400_000) * 5  # any rates
    span = rng.gamma(4.0, size=rate.size) / rate
    silence = rng.exponential(1 / rate)
    chance = (1 + silence / span) ** -4.0
    assert (chance < 0.1).mean() == pytest.approx(0.1, abs=0.003)


def test_slipping_away_is_value_times_leaving(shop: Any) -> None:
    found = slipping_away(shop.rfm, shop.forecast, most=10_000)
    value, churn = (shop.forecast.array(n) for n in ("residual_value", "churn_probability"))
    wanted = (churn >= 0.3) & (value * churn > 0)
    assert found.found == wanted.sum()
    assert found.table.array("score").sum() == pytest.approx((value * churn)[wanted].sum())
    assert "at risk" in found.table["reason"][0]
    for_ever = clv.forecast(shop.rfm, shop.purchases, shop.spend, horizon=None, interval=None)
    with pytest.raises(DataError, match="for ever, everybody leaves"):
        slipping_away(shop.rfm, for_ever)
    with pytest.raises(DataError, match="has 3,671 customers"):
        slipping_away(shop.rfm_2024, shop.forecast)


def test_the_order_does_not_depend_on_the_table(shop: Any) -> None:
    plain = shop.rfm.to_pandas()
    mixed = plain.sample(frac=1, random_state=1).reset_index(drop=True)
    tables = [
        overdue(
            clv.rfm_table(f, time_unit="week", observation_period_end="2025-06-30"), shop.purchases
        ).table.to_pandas()
        for f in (plain, mixed)
    ]
    pd.testing.assert_frame_equal(*tables)


def test_what_ends_soon() -> None:
    known = pd.DataFrame(
        {
            "customer_id": ["late", "b", "a", "today", "never", "past"],
            "renewal": ["2025-07-31", "2025-07-12", "2025-07-12", "2025-06-30", None, "2025-06-29"],
        }
    )
    found = ending(known, "renewal", as_of="2025-06-30", what="yearly renewal")
    assert found.table["customer_id"].tolist() == ["today", "a", "b"]
    assert found.table["reason"].tolist() == [
        "yearly renewal on 2025-06-30, today",
        "yearly renewal on 2025-07-12, in 12 days",
        "yearly renewal on 2025-07-12, in 12 days",
    ]
    iranian = known.assign(renewal=["1404/04/10", None, None, None, None, None])
    assert (
        "in 1 day"
        in ending(iranian, "renewal", as_of="1404-04-09", calendar="jalali").table["reason"][0]
    )
    with pytest.raises(DataError, match="row 1 of the customers table: renewal 'soon'"):
        ending(known.assign(renewal="soon"), "renewal", as_of="2025-06-30")
    with pytest.raises(MissingColumnError, match="no column 'warranty'"):
        ending(known, "warranty", as_of="2025-06-30")
    with pytest.raises(DataError, match="as_of="):
        ending(known, "renewal")
    with pytest.raises(DataError, match="column="):
        ending(known, as_of="2025-06-30")


def test_contracts_that_renew_soon() -> None:
    frame = pd.DataFrame(
        {
            "customer_id": [1, 2, 3],
            "start": ["2022-01-20", "2022-06-01", "2022-01-10"],
            "end": [None, None, "2023-01-10"],
        }
    )
    contracts = clv.contracts_table(frame, period="year", as_of="2023-12-31")
    found = ending(contracts, within="30 days")
    assert found.table["customer_id"].tolist() == [1]
    assert found.table["reason"].tolist() == ["contract renews on 2024-01-20, in 20 days"]


def test_all_lists_in_one(shop: Any) -> None:
    found = opportunities(
        shop.rfm,
        shop.purchases,
        shop.forecast,
        customers=shop.customers,
        ends={"club_renewal": "club renewal"},
        most=5,
    )
    table = found.table.to_pandas()
    assert table["occasion"].value_counts().to_dict() == {
        "slipping away": 5,
        "overdue": 5,
        "likely to buy": 5,
        "club renewal": 5,
    }
    assert table["reason"].str.len().min() > 10
    assert table["day"].notna().sum() == 10


# --- one customer ----------------------------------------------------------------------------


def test_the_card_says_what_the_tables_say(shop: Any) -> None:
    for name in ("C00002", "C00003", "=C00001"):
        found = card(name, shop.rfm, shop.purchases, shop.forecast, customers=shop.customers)
        rfm = shop.rfm.to_pandas().set_index("customer_id").loc[name]
        row = shop.forecast.to_pandas().set_index("customer_id").loc[name]
        assert found.orders == rfm["frequency"] + 1
        assert str(found.first_order) == str(rfm["first_purchase"].date())
        assert str(found.last_order) == str(rfm["last_purchase"].date())
        assert found.silent_days == pytest.approx((rfm["T"] - rfm["recency"]) * 7)
        assert found.spent == pytest.approx(rfm["total_value"])
        assert found.expected_value == pytest.approx(row["residual_value"])
        assert found.expected_orders_low is None  # the forecast is without intervals
        assert (
            found.details["country"] == shop.customers.set_index("customer_id").loc[name, "country"]
        )
        if found.orders > 1:
            assert found.rhythm_days == pytest.approx(rfm["recency"] * 7 / rfm["frequency"])
        else:
            assert found.rhythm_days is None
    padded = card(" c00002 ", shop.rfm, shop.purchases, shop.forecast, customers=shop.customers)
    assert padded.customer_id == "C00002"
    assert padded.details["first_name"] == "Paul"


def test_a_prospect_and_a_stranger(shop: Any) -> None:
    given = shop.rfm, shop.purchases, shop.forecast
    buyers = set(shop.rfm.customer_ids)
    prospect = next(c for c in shop.customers["customer_id"] if c not in buyers)
    found = card(prospect, *given, customers=shop.customers)
    assert (found.stage, found.orders, found.tier) == ("prospect", 0, None)
    assert "has not ordered" in found.why.text
    with pytest.raises(DataError, match=r"no customer 'C0000'; similar ids are 'C00"):
        card("C0000", *given)


def test_every_reason_states_the_rule_that_held(shop: Any) -> None:
    rules = StageRules(inactive_after="600 days")  # so that every rule is the first for somebody
    found = stages(shop.rfm, shop.purchases, customers=shop.customers, rules=rules)
    seen = set()
    table = found.customers.to_pandas()
    for row in range(0, len(table), 3):
        why = stage_reason(found, row, "week")
        seen.add(why.rule)
        assert why.rule.split("_")[0] == STAGES[found.codes[row]].split(" ")[0]
        number, limit = why.numbers, why.numbers["limit"]
        holds = {
            "lost_inactive": number["silence"] > limit,
            "lost_alive": number["alive"] < limit,
            "lost_silent": number["silent"] > limit,
            "at_risk_once": number["purchases"] == 1 and number["silence"] > limit,
            "at_risk_alive": number["alive"] < limit,
            "at_risk_silent": number["silent"] > limit,
            "new": number["purchases"] == 1 and number["silence"] <= limit,
            "loyal": number["purchases"] >= limit,
            "active": 1 < number["purchases"] < rules.loyal_from,
            "prospect": number["purchases"] == 0,
        }
        assert holds[why.rule]
        assert "{" not in why.text
    assert seen == set(TEXTS)
