"""Stages, moves and segments: everybody is in exactly one, and nobody gets lost between runs."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import clv
from clv.errors import DataError
from clv.fitted import FittedPurchases, FittedSpend
from clv.lifecycle import (
    ABSENT,
    SEGMENTS,
    STAGES,
    SegmentRules,
    StageRules,
    moves,
    over_time,
    replay,
    rfm_segments,
    stages,
)
from clv.lifecycle.stages import stage_codes
from clv.tables.rfm import RFM


def table(*rows: tuple[int, float, float], value: float = 10.0) -> RFM:
    """(frequency, recency, T) rows in days."""
    x, last, age = (list(column) for column in zip(*rows, strict=True))
    frame = pd.DataFrame({"frequency": x, "recency": last, "T": age, "total_value": value})
    frame.insert(0, "customer_id", [f"c{k}" for k in range(len(frame))])
    return clv.rfm_table(frame, time_unit="day", observation_period_end="2025-01-01")


@st.composite
def tables(draw: st.DrawFn) -> RFM:
    rows = draw(
        st.lists(
            st.tuples(st.integers(0, 8), st.integers(1, 900), st.integers(0, 900)),
            min_size=1,
            max_size=30,
        )
    )
    return table(*((x, float(last) if x else 0.0, float(last + idle)) for x, last, idle in rows))


# --- stages ----------------------------------------------------------------------------------


def test_every_rule_of_the_stages() -> None:
    rules = StageRules()
    cases = {
        "new": (0, 0.0, 90.0, 0.1, 0.95),  # recent: neither probability matters
        "at risk": (0, 0.0, 91.0, 1.0, 0.5),
        "lost": (0, 0.0, 366.0, 1.0, 0.5),  # BG/NBD would call them alive for ever
        "active": (1, 50.0, 60.0, 0.9, 0.3),
        "loyal": (4, 50.0, 60.0, 0.9, 0.3),
    }
    rfm = table(*((x, last, age) for x, last, age, *_ in cases.values()))
    alive, silent = (np.array([case[k] for case in cases.values()]) for k in (3, 4))
    found = [STAGES[code] for code in stage_codes(rfm, alive, silent, rules)]
    assert found == list(cases)
    loyal = table((9, 300.0, 310.0))
    for p, q, stage in (
        (0.49, 0.1, "at risk"),
        (0.9, 0.71, "at risk"),
        (0.19, 0.1, "lost"),
        (0.9, 0.91, "lost"),
        (0.5, 0.7, "loyal"),
    ):
        assert STAGES[stage_codes(loyal, np.array([p]), np.array([q]), rules)[0]] == stage
    silent_for_long = table((9, 300.0, 666.0))
    assert STAGES[stage_codes(silent_for_long, np.ones(1), np.zeros(1), rules)[0]] == "lost"


@settings(max_examples=40)
@given(tables(), st.integers(0, 5), st.randoms())
def test_stages_add_up_to_the_customers(
    bg_nbd: FittedPurchases, rfm: RFM, prospects: int, random
) -> None:
    fitted = replace(bg_nbd, time_unit="day")
    ids = [*rfm.customer_ids, *(f"p{k}" for k in range(prospects))]
    customers = pd.DataFrame({"customer_id": random.sample(ids, len(ids))})
    found = stages(rfm, fitted, customers=customers)
    assert found.table.array("customers").sum() == len(rfm) + prospects == len(found.customers)
    assert found.table.array("share_of_customers").sum() == pytest.approx(1)
    assert found.table.array("customers")[0] == prospects
    assert found.conversion_rate == pytest.approx(len(rfm) / len(ids))
    segments = rfm_segments(rfm, customers=customers)
    assert segments.table.array("customers").sum() == len(ids)
    assert (segments.customers["segment"] == "prospects").sum() == prospects
    assert segments.table.array("total_value").sum() == pytest.approx(10.0 * len(rfm))


def test_the_shop_with_its_prospects(shop) -> None:
    found = stages(shop.rfm, shop.purchases, customers=shop.customers, forecast=shop.forecast)
    assert len(found.customers) == 4000  # 3,994 in the table, 6 who are only in the orders
    assert found.table.array("residual_value").sum() == pytest.approx(
        shop.forecast.array("residual_value").sum()
    )
    assert found.repurchase_rate == pytest.approx(np.mean(shop.rfm.array("frequency") > 0))
    prospects = found.customers.to_pandas().query("stage == 'prospect'")
    assert (prospects["purchases"] == 0).all()
    assert prospects["probability_alive"].isna().all()
    assert "6 buyers are not in the customers table" in repr(found)
    assert "bought again" in found._repr_html_()
    early = stages(shop.rfm_2024, shop.purchases, customers=shop.customers, signup="signup_date")
    assert early.table.array("customers")[0] < found.table.array("customers")[0]
    with pytest.raises(DataError, match="the forecast has 3,671 customers"):
        stages(shop.rfm_2024, shop.purchases, forecast=shop.forecast)


def test_a_bound_of_whole_days_is_met_in_any_unit() -> None:
    days = np.arange(0, 1500.0)
    for unit, length in (("week", 7.0), ("month", 365.25 / 12), ("year", 365.25)):
        first = 10 * days % 997  # so that T - recency does not come out even
        frame = pd.DataFrame(
            {
                "customer_id": days,
                "frequency": 1,
                "recency": (first + 1) / length,
                "T": (first + 1 + days) / length,
                "total_value": 1.0,
            }
        )
        rfm = clv.rfm_table(frame, time_unit=unit)
        codes = stage_codes(rfm, np.ones(1500), np.zeros(1500), StageRules())
        assert ((codes == STAGES.index("lost")) == (days > 365)).all()
        rules = SegmentRules(recency_days=(30, 90, 180, 365))
        scores = rfm_segments(rfm, rules=rules).customers["recency_score"].to_numpy()
        assert (
            scores == np.select([days <= 30, days <= 90, days <= 180, days <= 365], [5, 4, 3, 2], 1)
        ).all()


def test_rules_that_cannot_be() -> None:
    with pytest.raises(DataError, match="lost_below is a probability"):
        StageRules(lost_below=20)
    with pytest.raises(DataError, match="at risk by the same measure"):
        StageRules(lost_below=0.6)
    with pytest.raises(DataError, match="loyal_from"):
        StageRules(loyal_from=1)
    with pytest.raises(DataError, match="'soon' cannot be read"):
        StageRules(new_for="soon")


# --- moves -----------------------------------------------------------------------------------

runs = st.dictionaries(st.integers(0, 30), st.sampled_from(STAGES), max_size=25)


@given(runs, runs)
def test_moves_balance(before: dict[int, str], after: dict[int, str]) -> None:
    first, second = (
        pd.DataFrame({"customer_id": [*run], "stage": [*run.values()]}).astype(
            {"customer_id": "int64", "stage": object}
        )
        for run in (before, after)
    )
    found = moves(first, second)
    for run, sums in ((before, found.counts.sum(axis=1)), (after, found.counts.sum(axis=0))):
        assert dict(zip(found.states, sums.tolist(), strict=True)) == {
            **dict.fromkeys(STAGES, 0),
            **Counter(run.values()),
            ABSENT: len({*before, *after}) - len(run),
        }
    assert found.counts.sum() == len({*before, *after})
    assert found.counts[-1, -1] == 0
    assert found.stayed == sum(before[c] == after[c] for c in before.keys() & after.keys())
    assert found.appeared == len(after.keys() - before.keys())
    assert found.gone == len(before.keys() - after.keys())
    assert found.table.array("customers").sum() == found.counts.sum()


def test_moves_carry_value_and_refuse_doubles() -> None:
    before = pd.DataFrame(
        {"customer_id": ["a", "b"], "stage": ["active", "loyal"], "residual_value": [3.0, 4.0]}
    )
    after = pd.DataFrame(
        {"customer_id": ["b", "c"], "stage": ["at risk", "new"], "residual_value": [1.0, 7.0]}
    )
    found = moves(before, after)
    listed = {(r.before, r.after): r for r in found.table.to_pandas().itertuples()}
    assert listed["loyal", "at risk"].residual_value_before == 4
    assert listed["loyal", "at risk"].residual_value_after == 1
    assert listed["active", ABSENT].residual_value_before == 3
    assert listed[ABSENT, "new"].residual_value_after == 7
    assert found.matrix.loc["all", "all"] == 3
    assert "at risk" in repr(found)
    with pytest.raises(DataError, match="more than once in 1 rows of the later run"):
        moves(before, pd.concat([after, after.iloc[:1]]))


def test_replayed_runs_see_no_later_purchase(shop) -> None:
    first, last = replay(
        shop.transactions, shop.purchases, shop.spend, days=["2024-12-31", "2025-06-30"]
    )
    assert len(first.customers) == len(shop.rfm_2024)
    assert len(last.customers) == len(shop.rfm)
    np.testing.assert_array_equal(last.codes, stages(shop.rfm, shop.purchases).codes)
    history = over_time([last, first]).to_pandas()
    assert history.groupby("as_of")["customers"].sum().tolist() == [
        len(shop.rfm_2024),
        len(shop.rfm),
    ]
    assert (history["residual_value"] >= 0).all()
    assert "seen what came after" in first.notes[-1]
    with pytest.raises(DataError, match="different, known days"):
        over_time([last, last])


# --- RFM segments ----------------------------------------------------------------------------


def test_every_row_of_the_table_of_segments() -> None:
    borders = SegmentRules(recency_days=(10, 20, 30, 40), purchases=(3, 4, 5), value=(1, 2, 3, 4))
    wanted = {
        # days since the last purchase: bought once, twice, four times
        5: ("new", "active", "champions"),
        15: ("promising", "active", "loyal"),
        25: ("needs attention", "needs attention", "loyal"),
        35: ("almost lost", "almost lost", "at risk"),
        45: ("dormant", "dormant", "previously loyal"),
    }
    for idle, names in wanted.items():
        rfm = table(*((x, 9.0 * (x > 0), 9.0 * (x > 0) + idle) for x in (0, 1, 3)))
        found = rfm_segments(rfm, rules=borders)
        assert tuple(found.customers["segment"]) == names
    cheap = table((3, 9.0, 14.0), value=2.5)
    assert rfm_segments(cheap, rules=borders).customers["segment"][0] == "loyal"
    assert set(SEGMENTS) == {"champions", "prospects"}.union(*wanted.values())
    assert len(SEGMENTS) == 11


@settings(max_examples=40)
@given(tables(), st.randoms())
def test_scores_do_not_depend_on_the_order(rfm: RFM, random) -> None:
    plain = rfm.to_pandas()
    mixed = plain.iloc[random.sample(range(len(plain)), len(plain))].reset_index(drop=True)
    first, second = (
        rfm_segments(clv.rfm_table(f, time_unit="day")).customers.to_pandas()
        for f in (plain, mixed)
    )
    second = second.set_index("customer_id").loc[first["customer_id"]].reset_index()
    pd.testing.assert_frame_equal(first, second)
    for column in ("recency_score", "frequency_score", "value_score"):
        assert first[column].between(1, 5).all()


def test_fifths_are_fifths() -> None:
    rfm = table(*((0, 0.0, float(k)) for k in range(100)))
    scores = rfm_segments(rfm).customers.to_pandas()["recency_score"]
    assert scores.value_counts().tolist() == [20] * 5
    assert scores.iloc[0] == 5  # bought today
    with pytest.raises(DataError, match="4 ascending numbers"):
        SegmentRules(value=(1.0, 1.0, 2.0, 3.0))


def test_segments_of_the_shop_with_value(shop, gamma_gamma: FittedSpend) -> None:
    found = rfm_segments(shop.rfm, customers=shop.customers, forecast=shop.forecast)
    worth = found.table.to_pandas().set_index("segment")["residual_value"]
    assert worth.sum() == pytest.approx(shop.forecast.array("residual_value").sum())
    assert worth.idxmax() == "champions"
    assert "segment" in repr(found)
    assert "segment" in found._repr_html_()
    by_segment = moves(found.customers, found.customers, column="segment")
    assert by_segment.stayed == len(found.customers)


# --- customers tables of any engine ----------------------------------------------------------


@pytest.mark.parametrize("engine", ["polars", "pyarrow", "string views"])
def test_customers_of_any_engine(shop, engine: str) -> None:
    import polars as pl
    import pyarrow as pa

    plain = pl.from_pandas(shop.customers)
    table = plain if engine == "polars" else pa.table(plain)
    if engine == "pyarrow":
        table = pa.Table.from_pandas(shop.customers)
    found = stages(shop.rfm, shop.purchases, customers=table, signup="signup_date")
    known = stages(shop.rfm, shop.purchases, customers=shop.customers, signup="signup_date")
    np.testing.assert_array_equal(found.codes, known.codes)
    assert found.customers["customer_id"].tolist() == known.customers["customer_id"].tolist()
    soon = clv.actions.ending(table, "club_renewal", as_of="2025-06-30")
    again = clv.actions.ending(shop.customers, "club_renewal", as_of="2025-06-30")
    assert soon.table.to_pandas()["reason"].tolist() == again.table.to_pandas()["reason"].tolist()
    found = clv.actions.card("C00002", shop.rfm, shop.purchases, shop.forecast, customers=table)
    assert found.details["first_name"] == "Paul"


def test_a_table_of_one_time_buyers(mbg_nbd: FittedPurchases) -> None:
    frame = pd.DataFrame(
        {"customer_id": [1, 2, 3], "frequency": 0, "recency": 0.0, "T": [3.0, 30.0, 90.0]}
    ).assign(total_value=[5.0, 0.0, 7.0])
    rfm = clv.rfm_table(frame, time_unit="week")
    assert rfm_segments(rfm).table.array("customers").sum() == 3
    assert list(stages(rfm, mbg_nbd).customers["stage"]) == ["new", "at risk", "lost"]
