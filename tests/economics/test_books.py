"""Channels, cohorts, budgets, targets and referrals: every euro once, and intervals that hold."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from individuals import YEAR, brute_force

import clv
from clv.economics import (
    EVERYBODY,
    NO_CHANNEL,
    Books,
    NextCustomers,
    books,
    budget,
    elasticities,
    next_customers,
    referrals,
    retention_value,
    returns,
    revenue_target,
)
from clv.economics.books import Books as _Books
from clv.economics.referrals import _counted_on
from clv.economics.returns import _columns
from clv.economics.valuation import gamma_above, gamma_interval, valuation
from clv.errors import DataError, InfiniteValueError, MissingColumnError
from clv.fitted import FittedPurchases, FittedSpend, Stacked
from clv.tables.everybody import NOT_IN_TABLE
from clv.tables.rfm import RFM


@pytest.fixture(scope="module")
def opened(shop: Any) -> Books:
    return books(
        shop.rfm,
        shop.purchases,
        shop.spend,
        shop.customers,
        margin=0.42,
        horizon="2 years",
        cost_to_serve_rate="cost_to_serve_per_year",
        signup="signup_date",
        draws=100,
    )


@pytest.fixture(scope="module")
def worth(opened: Books) -> NextCustomers:
    return next_customers(opened, draws=20)


def money(column: pd.Series) -> float:
    return float(pd.to_numeric(column).sum())


# --- totals ----------------------------------------------------------------------------------


def test_totals_are_those_of_the_forecast_and_of_individuals(
    cdnow: RFM, mbg_nbd: FittedPurchases, gamma_gamma: FittedSpend
) -> None:
    """Groups of 20 and of all: mean, spread and interval against lives lived one by one."""
    found = valuation(cdnow, mbg_nbd, gamma_gamma, horizon=39.0, discount_rate=0.0)
    forecast = clv.forecast(
        cdnow, mbg_nbd, gamma_gamma, horizon=39.0, discount_rate=0.0, interval=None
    )
    np.testing.assert_allclose(found.value, forecast.array("residual_value"))

    few = clv.rfm_table(cdnow.to_pandas().iloc[:400:20], time_unit="week")
    sums = valuation(few, mbg_nbd, gamma_gamma, horizon=39.0, discount_rate=0.0, draws=3000).sums(
        np.zeros(20, dtype=np.int64), 1, 0.9
    )
    lived = brute_force("mbg_nbd", mbg_nbd.parameters, few, 20_000, horizon=39.0)
    p, q, v = (gamma_gamma.parameters[k] for k in "pqv")
    x, m = few.array("frequency"), np.nan_to_num(few.array("monetary_value"))
    x = np.where(m > 0, x, 0)
    rng = np.random.default_rng(3)
    counts = lived.worth[0]  # not discounted
    nu = rng.gamma(np.broadcast_to((p * x + q)[:, None], counts.shape)) / (v + x * m)[:, None]
    totals = np.where(counts > 0, rng.gamma(np.maximum(p * counts, 1e-9)) / nu, 0.0).sum(axis=0)
    assert sums.value[0] == pytest.approx(totals.mean(), rel=0.02)
    assert sums.deviation[0] == pytest.approx(totals.std(), rel=0.1)
    low, high = np.quantile(totals, [0.05, 0.95])
    assert sums.low[0] == pytest.approx(low, rel=0.15)
    assert sums.high[0] == pytest.approx(high, rel=0.1)


def test_the_gamma_of_a_total() -> None:
    low, high = gamma_interval(np.array([100.0, 0.0]), np.array([10.0, 0.0]), 0.9)
    draws = np.random.default_rng(0).gamma(100.0, 1.0, 400_000)
    np.testing.assert_allclose([low[0], high[0]], np.quantile(draws, [0.05, 0.95]), rtol=2e-3)
    assert low[1] == high[1] == 0
    assert gamma_above(110.0, 100.0, 10.0) == pytest.approx((draws > 110).mean(), abs=3e-3)
    assert (
        gamma_above(-1.0, 5.0, 1.0),
        gamma_above(4.0, 5.0, 0.0),
        gamma_above(6.0, 0.0, 0.0),
    ) == (
        1.0,
        1.0,
        0.0,
    )


# --- channels and cohorts --------------------------------------------------------------------


@pytest.mark.parametrize(
    "by", ["channel", "country", "cohort:month", "cohort:quarter", "cohort:year"]
)
def test_every_euro_is_in_one_group(opened: Books, shop: Any, by: str) -> None:
    table = returns(opened, by).table.to_pandas()
    groups, whole = table.iloc[:-1], table.iloc[-1]
    assert whole.iloc[0] == EVERYBODY
    for column in ("buyers", "prospects", "acquisition_cost", "cost_to_serve", "realised_value",
                   "residual_value"):  # fmt: skip
        assert groups[column].sum() == pytest.approx(whole[column])
    signed = shop.customers["signup_date"] <= "2025-06-30"
    assert signed.all()
    assert whole["acquisition_cost"] == pytest.approx(money(shop.customers["acquisition_cost"]))
    assert whole["buyers"] + whole["prospects"] == 4000
    assert whole["residual_value"] == pytest.approx(opened.valuation.value.sum())
    known = groups["clv_to_cac"].notna()
    for name in ("residual_value", "clv_to_cac", "net_return"):
        assert (groups[known][f"{name}_low"] <= groups[known][name]).all()
        assert (groups[known][name] <= groups[known][f"{name}_high"]).all()


groups = st.lists(st.integers(0, 3), min_size=40, max_size=40)


@settings(max_examples=40)
@given(groups, st.lists(st.one_of(st.none(), st.floats(0, 1e4)), min_size=40, max_size=40))
def test_costs_add_up_however_customers_are_divided(
    opened: Books, member: list[int], costs: list[float | None]
) -> None:
    every = np.resize(member, len(opened.people))
    paid = np.resize(np.array(costs, dtype=float), len(opened.people))
    changed = _with(opened, acquisition_cost=paid)
    found = _columns(changed, every, list("abcd"), 30, "365 days")
    assert found["acquisition_cost"].sum() == pytest.approx(np.nansum(paid))
    assert found["buyers"].sum() + found["prospects"].sum() == len(opened.people)


def _with(opened: Books, **changes: Any) -> Books:
    changed = replace(opened, **changes)
    changed.__dict__["valuation"] = opened.valuation  # it does not depend on past costs
    return changed


def test_figures_of_one_channel_by_hand(opened: Books, shop: Any) -> None:
    found = returns(opened).table.to_pandas().set_index("channel")
    customers = shop.customers.set_index("customer_id")
    rfm = shop.rfm.to_pandas().set_index("customer_id")
    value = pd.Series(opened.valuation.value, index=rfm.index)
    referral = customers[customers["channel"] == "referral"]
    buyers = referral.index.intersection(rfm.index)
    cost = money(referral["acquisition_cost"])
    margin = 0.42 * rfm.loc[buyers, "total_value"].sum() - money(
        referral.loc[buyers, "cost_to_serve"]
    )
    row = found.loc["referral"]
    assert row["buyers"] == len(buyers)
    assert row["acquisition_cost_per_buyer"] == pytest.approx(cost / len(buyers))
    assert row["clv"] == pytest.approx((margin + value[buyers].sum()) / len(buyers))
    assert row["clv_to_cac"] == pytest.approx((margin + value[buyers].sum()) / cost)
    new = buyers[rfm.loc[buyers, "T"] <= 365 / 7]
    assert row["cost_to_serve_per_new_customer"] == pytest.approx(
        money(referral.loc[new, "cost_to_serve"]) / len(new)
    )
    assert found.loc[NO_CHANNEL, "buyers"] == 12
    assert found.loc[NOT_IN_TABLE, "buyers"] == 6
    assert not found.loc[NOT_IN_TABLE, "enough"]
    assert np.isnan(found.loc[NO_CHANNEL, "clv_to_cac"])
    assert "18 of 3,671 buyers have no acquisition_cost" in repr(returns(opened))
    assert "too few to tell" in returns(opened)._repr_html_()


def test_labels_divide_a_change_in_retention_by_channel(opened: Books, shop: Any) -> None:
    labels = {"channel": opened.labels("channel")}
    found = retention_value(shop.rfm, shop.purchases, shop.spend, horizon=52.0, by=labels)
    table = found.table.to_pandas().set_index("group")
    assert table.loc["referral", "customers"] == 385
    assert table.loc[NO_CHANNEL, "customers"] == 12
    assert table["change"].drop("everybody").sum() == pytest.approx(found.change)


def test_cohorts_of_a_table_without_days(opened: Books, shop: Any) -> None:
    frame = shop.rfm.to_pandas().drop(columns=["first_purchase", "last_purchase"])
    rfm = clv.rfm_table(frame, time_unit="week", observation_period_end="2025-06-30")
    days = replace(opened, rfm=rfm).first_day
    np.testing.assert_array_equal(days, opened.first_day)


def test_books_that_cannot_be_opened(shop: Any) -> None:
    def opens(customers: Any, **more: Any) -> Books:
        return books(shop.rfm, shop.purchases, shop.spend, customers, **more)

    with pytest.raises(MissingColumnError, match="no column 'cost'"):
        opens(shop.customers, acquisition_cost="cost")
    wrong = shop.customers.assign(acquisition_cost=["-1", *shop.customers["acquisition_cost"][1:]])
    with pytest.raises(DataError, match="negative in 1 rows, the first is row 1"):
        opens(wrong)
    with pytest.raises(DataError, match="cannot be read as numbers"):
        opens(shop.customers, acquisition_cost="city")
    with pytest.raises(DataError, match="margin has 2 values"):
        opens(shop.customers, margin=np.array([0.1, 0.2]))
    with pytest.raises(InfiniteValueError):
        _ = opens(shop.customers, discount_rate=0.0).valuation
    with pytest.raises(DataError, match="cohorts are by month"):
        returns(opens(shop.customers), "cohort:week")
    assert isinstance(opens(shop.customers), _Books)


# --- the next customer and the budget --------------------------------------------------------


def test_the_next_customer_by_hand(opened: Books, worth: NextCustomers) -> None:
    table = worth.table.to_pandas().set_index("channel")
    assert NO_CHANNEL not in table.index
    assert (table["models"] == "own").all()
    assert table["value"].idxmax() == "referral"
    assert table["value"].idxmin() == "marketplace"
    assert (table["value_low"] < table["value_high"]).all()

    # everybody's models, and the same from their parts
    everybody = next_customers(opened, draws=4, min_customers=10_000)
    assert "given everybody's" in repr(everybody)
    assert "given everybody&#x27;s" in everybody._repr_html_()
    shared = everybody.table.to_pandas()
    assert set(shared["models"]) == {"everybody's"}
    row = shared.set_index("channel").loc["organic"]
    member, names = opened.people.groups("channel", NO_CHANNEL)
    mine = np.flatnonzero(member[: opened.buyers] == names.index("organic"))
    model, t = opened.purchases, 2 * YEAR
    grid = np.linspace(0, t, 20_001)
    delta = np.log(1.1) / YEAR
    bought = np.diff(model.expected_purchases_new_customer(grid))
    times = (grid[1:] + grid[:-1]) / 2
    first = opened.rfm.array("total_value") - opened.rfm.array("frequency") * np.nan_to_num(
        opened.rfm.array("monetary_value")
    )
    alive = model.survival_new_customer(times)
    rate = opened.cost_to_serve_rate[mine].mean() / YEAR
    value = (
        0.42 * first[mine].mean()
        + 0.42 * opened.spend.population_mean * (bought @ np.exp(-delta * times))
        - rate * (alive @ np.exp(-delta * times)) * (grid[1] - grid[0])
    )
    assert row["value"] == pytest.approx(value, rel=1e-3)


def test_covariates_tell_channels_apart(shop: Any) -> None:
    known = shop.customers.dropna(subset=["channel"]).drop_duplicates("customer_id")
    frame = shop.rfm.to_pandas()
    some = frame[frame["customer_id"].isin(known["customer_id"])].iloc[::3].reset_index(drop=True)
    rfm = clv.rfm_table(
        some, time_unit="week", observation_period_end="2025-06-30"
    ).with_covariates(known, ["channel"])
    model = clv.ModifiedBetaGeoModel(["channel"], ["channel"]).fit(rfm)
    opened = books(rfm, model, shop.spend, shop.customers, horizon=52.0, draws=10)
    found = next_customers(opened, draws=6)
    table = found.table.to_pandas().set_index("channel")
    assert "by the covariates" in found.notes[-1]
    assert table["value"].idxmax() == "referral"
    one = {"channel": "referral"}
    first = table.loc["referral", "first_purchase"]
    within = model.expected_purchases_new_customer(52.0, covariates=one)
    later = (table.loc["referral", "value"] - first) / shop.spend.population_mean
    assert 0.9 * float(within) < later < float(within)  # discounted a little


def test_payback_is_where_the_curve_reaches_the_cost(opened: Books) -> None:
    dear = _with(opened, acquisition_cost=opened.acquisition_cost * 0 + 30.0)
    row = (
        next_customers(dear, draws=10, min_customers=800)
        .table.to_pandas()
        .set_index("channel")
        .loc["paid_search"]
    )
    assert 0 < row["payback_days_low"] <= row["payback_days"] <= row["payback_days_high"]
    assert row["pays_back"] == 1
    hopeless = _with(opened, acquisition_cost=opened.acquisition_cost * 0 + 1e6)
    found = next_customers(hopeless, draws=4, min_customers=10_000).table.to_pandas()
    row = found.set_index("channel").loc["organic"]
    assert np.isnan(row["payback_days"])
    assert row["pays_back"] == 0


def test_a_budget_never_says_more_than_the_data(opened: Books, worth: NextCustomers) -> None:
    found = budget(opened, worth=worth)
    table = found.table.to_pandas()
    assert table["marginal_return"].is_monotonic_decreasing
    for row in table.itertuples():
        assert row.marginal_return_low <= row.marginal_return <= row.marginal_return_high
        half = (row.marginal_return_high - row.marginal_return_low) / 2
        # no digit beyond the first one of the half width
        decimals = len(f"{row.marginal_return:.10f}".rstrip("0").split(".")[1])
        assert 10.0**-decimals >= 0.5 * 10 ** np.floor(np.log10(half))
        assert (row.verdict == "pays") == (row.marginal_return_low > 1)
    cautious = budget(opened, worth=worth, elasticity=0.5).table.to_pandas()
    merged = table.merge(cautious, on="channel")
    np.testing.assert_allclose(merged["cost_of_one_more_y"], 2 * merged["cost_of_one_more_x"])
    unsure = {"organic": (1.0, 0.5)}
    wide = budget(opened, worth=worth, elasticity=unsure).table.to_pandas().set_index("channel")
    narrow = table.set_index("channel")
    assert (wide["marginal_return_high"] - narrow["marginal_return_high"])["organic"] > 1
    assert "given 1" in budget(opened, worth=worth, elasticity=unsure).notes[-1]
    few = budget(opened, worth=worth, min_customers=10_000).table.to_pandas()
    assert set(few["verdict"]) == {"too few"}
    assert few["marginal_return"].isna().all()
    with pytest.raises(DataError, match="no return to speak of"):
        budget(opened, worth=worth, elasticity={"organic": (-0.1, 0.1)})
    with pytest.raises(DataError, match="6 periods with different"):
        elasticities(pd.DataFrame({"channel": "a", "spent": [1.0] * 9, "customers": 3}))


# --- a target --------------------------------------------------------------------------------


def test_a_target_is_as_likely_as_lives_say(
    cdnow: RFM, mbg_nbd: FittedPurchases, gamma_gamma: FittedSpend
) -> None:
    few = clv.rfm_table(cdnow.to_pandas().iloc[:800:20], time_unit="week")
    found = revenue_target(few, mbg_nbd, gamma_gamma, 1500.0, horizon=52.0, draws=1000)
    lived = brute_force("mbg_nbd", mbg_nbd.parameters, few, 5000, horizon=52.0)
    p, q, v = (gamma_gamma.parameters[k] for k in "pqv")
    x, m = few.array("frequency"), np.nan_to_num(few.array("monetary_value"))
    x = np.where(m > 0, x, 0)
    rng, counts = np.random.default_rng(5), lived.worth[0]
    nu = rng.gamma(np.broadcast_to((p * x + q)[:, None], counts.shape)) / (v + x * m)[:, None]
    totals = np.where(counts > 0, rng.gamma(np.maximum(p * counts, 1e-9)) / nu, 0.0).sum(axis=0)
    assert 0.05 < found.probability < 0.95
    assert found.probability == pytest.approx((totals > 1500).mean(), abs=0.05)
    assert found.expected == pytest.approx(totals.mean(), rel=0.02)


def test_what_is_missing_and_who_could_bring_it(shop: Any) -> None:
    given = shop.rfm, shop.purchases, shop.spend
    alone = revenue_target(*given, 270_000, draws=50)
    assert alone.missing == pytest.approx(270_000 - alone.expected)
    assert alone.probability < 0.01
    assert "below 1%" in alone.sentence
    assert "more new customers would bring" in alone.sentence
    helped = revenue_target(*given, 270_000, new_customers=alone.new_customers_needed, draws=50)
    assert helped.expected == pytest.approx(270_000)
    assert 0.3 < helped.probability < 0.7
    assert alone.from_customers == helped.from_customers
    reached = revenue_target(*given, 1000, draws=50)
    assert reached.missing == reached.new_customers_needed == 0
    assert "missing" not in str(reached)
    # a new customer: the first purchase, and what follows in what is left of the year
    model, mean = shop.purchases, shop.spend.population_mean
    later = model.expected_purchases_new_customer(np.linspace(0, YEAR, 1001)).mean()
    assert alone.per_new_customer == pytest.approx(mean * (1 + later), rel=0.05)
    with pytest.raises(DataError, match="0 or more"):
        revenue_target(*given, -1)


# --- referrals -------------------------------------------------------------------------------


def test_referrals_of_the_shop(opened: Books, shop: Any) -> None:
    found = referrals(opened)
    customers = shop.customers
    named = customers["referred_by"].notna()
    assert found.referred + found.unknown == named.sum()
    table = found.table.to_pandas()
    assert table["referred"].sum() == found.referred
    assert table["referred_value"].sum() == pytest.approx(found.value)
    assert table["referred_value"].is_monotonic_decreasing
    assert (table["referred_value_low"] <= table["referred_value"]).all()
    assert (table["referred_in_all"] >= table["referred"]).all()
    top = table.iloc[0]
    theirs = customers.loc[customers["referred_by"] == top["customer_id"], "customer_id"]
    assert len(theirs) == top["referred"]
    value = pd.Series(opened.realised + opened.valuation.value, index=list(shop.rfm.customer_ids))
    assert top["referred_value"] == pytest.approx(value.reindex(theirs).sum())
    assert "customer_id" in repr(found)
    assert "customer_id" in found._repr_html_()


@given(st.lists(st.integers(-1, 11), min_size=12, max_size=12))
def test_value_is_handed_up_to_everybody_above(parents: list[int]) -> None:
    parent = np.array([-1 if p == k else p for k, p in enumerate(parents)])
    value = 2.0 ** np.arange(12)  # every sum tells who is in it
    below, worth, circles = _counted_on(parent, value)
    for start in range(12):  # are they on a way that ends?
        seen, k = set(), start
        while k >= 0 and k not in seen:
            seen.add(k)
            k = int(parent[k])
    if circles == 0:
        expected, count = np.zeros(12), np.zeros(12, dtype=int)
        for k in range(12):
            up = int(parent[k])
            while up >= 0:
                expected[up] += value[k]
                count[up] += 1
                up = int(parent[up])
        np.testing.assert_array_equal(worth, expected)
        np.testing.assert_array_equal(below, count)
    assert (below <= 11).all()
    assert circles == len(_circles(parent))


def _circles(parent: np.ndarray) -> set[frozenset[int]]:
    found = set()
    for start in range(len(parent)):
        way, k = [], start
        while k >= 0 and k not in way:
            way.append(k)
            k = int(parent[k])
        if k >= 0:
            found.add(frozenset(way[way.index(k) :]))
    return found


# --- several models, and tables outside of memory ----------------------------------------------


def test_a_stack_joins_its_members_and_how_they_differ(shop: Any) -> None:
    members = [shop.purchases, clv.ParetoNBDModel().fit(shop.rfm)]
    stack = Stacked.of(members, [0.75, 0.25])
    one = np.zeros(len(shop.rfm), dtype=np.int64)

    def total(model: FittedPurchases) -> Any:
        return valuation(shop.rfm, model, shop.spend, horizon=26.0, draws=30).sums(one, 1, 0.9)

    first, second, both = total(members[0]), total(members[1]), total(stack)
    mean = 0.75 * first.value + 0.25 * second.value
    assert both.value[0] == pytest.approx(mean[0])
    # the variance of a mixture of two totals
    apart = 0.75 * 0.25 * (first.value - second.value) ** 2
    own = 0.75 * first.deviation**2 + 0.25 * second.deviation**2
    assert both.deviation[0] == pytest.approx(np.sqrt(own + apart)[0])

    opened = books(shop.rfm, stack, shop.spend, shop.customers, horizon="1 year", draws=30)
    pooled = next_customers(opened, draws=8, min_customers=10_000).table.array("value")
    alone = [
        next_customers(_with_model(opened, m), draws=4, min_customers=10_000).table.array("value")
        for m in members
    ]
    np.testing.assert_allclose(pooled, 0.75 * alone[0] + 0.25 * alone[1])
    new = revenue_target(shop.rfm, stack, shop.spend, 1e6, draws=20, new_customers=10)
    assert new.per_new_customer > 0
    with pytest.raises(DataError, match="Stack of MBG/NBD, Pareto/NBD is none"):
        retention_value(shop.rfm, stack, shop.spend)


def _with_model(opened: Books, model: FittedPurchases) -> Books:
    return replace(opened, purchases=model)


def test_tables_outside_of_memory_give_the_same(shop: Any) -> None:
    files = clv.datasets.load_shop()
    large = clv.rfm_summary(
        clv.read_transactions(files.orders, **files.columns, memory="600MB"),
        observation_period_end="2025-06-30",
    )
    assert not large.in_memory
    found, plain = (
        returns(
            books(rfm, shop.purchases, shop.spend, shop.customers, horizon=13.0, draws=10)
        ).table.to_pandas()
        for rfm in (large, shop.rfm)
    )
    pd.testing.assert_frame_equal(found, plain)
    stage = clv.lifecycle.stages(large, shop.purchases, customers=shop.customers)
    np.testing.assert_array_equal(
        stage.codes, clv.lifecycle.stages(shop.rfm, shop.purchases, customers=shop.customers).codes
    )
    worth = retention_value(large, shop.purchases, shop.spend, horizon="1 year")
    assert worth.change == pytest.approx(
        retention_value(shop.rfm, shop.purchases, shop.spend, horizon="1 year").change
    )
