"""Nights: a year without change, a change, broken data, a worse challenger."""

from __future__ import annotations

import datetime as dt
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from nightly_shop import Change, orders
from pipeline.conftest import NEXT, NIGHT, Shop

import clv
from clv.pipeline import backfill, nights
from clv.pipeline.configuration import ContractSection
from clv.pipeline.contract import contract_rules
from clv.pipeline.data import Night
from clv.registry import Registry

HALF_WAY = dt.date(2024, 12, 31)


def champions(shop: Shop, first: str, last: str) -> list[str]:
    answers = backfill(
        shop.configuration, dt.date.fromisoformat(first), dt.date.fromisoformat(last)
    )
    assert {answer.exit_code for answer in answers} == {0}, answers
    return [str(answer.record["champion"]) for answer in answers]


# --- champions -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        Change(rate=2.0),
        pytest.param(Change(rate=0.4), marks=pytest.mark.slow),
        pytest.param(Change(amount=2.0), marks=pytest.mark.slow),
    ],
    ids=["more", "less", "price"],
)
def test_a_change_of_behaviour_changes_the_champion_within_two_nights(
    fresh: Shop, change: Change
) -> None:
    fresh.write(orders(500, change, seed=3))
    found = champions(fresh, "2024-10-31", "2025-02-28")
    assert found[:3] == ["v000001"] * 3
    assert found[4] != "v000001"


def test_no_change_leaves_the_champion(fresh: Shop) -> None:
    assert champions(fresh, "2024-10-31", "2025-02-28") == ["v000001"] * 5


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_year_without_change(fresh: Shop, seed: int) -> None:
    fresh.write(orders(800, seed=seed))
    assert champions(fresh, "2024-06-30", "2025-06-30") == ["v000001"] * 13


@pytest.mark.slow
@pytest.mark.parametrize("change", [Change(rate=2.0), Change(rate=0.5), Change(amount=0.5)])
def test_a_year_with_a_change_half_way(fresh: Shop, change: Change) -> None:
    fresh.write(orders(800, change, seed=4))
    found = champions(fresh, "2024-06-30", "2025-06-30")
    assert set(found[:7]) == {"v000001"}
    assert found[8] != "v000001"


@pytest.mark.slow
def test_a_year_of_the_generated_shop_keeps_its_champion(fresh: Shop) -> None:
    shop = clv.datasets.load_shop()
    fresh.configure('path = "orders.csv"\namount = "amount"', SHOP.format(path=shop.orders))
    assert champions(fresh, "2024-06-30", "2025-06-30") == ["v000001"] * 13


SHOP = """path = "{path}"
date = "timestamp"
quantity = "quantity"
unit_price = "unit_price"
"""


# --- data that are not what they should be -------------------------------------------------------


def known(table: pd.DataFrame, day: dt.date) -> pd.DataFrame:
    return table[table["date"] <= day.isoformat()].reset_index(drop=True)


def shuffled_dates(table: pd.DataFrame) -> pd.DataFrame:
    dates = np.random.default_rng(0).permutation(table["date"].to_numpy())
    return table.assign(date=dates)


def half_the_file(table: pd.DataFrame) -> pd.DataFrame:
    return table.iloc[: len(table) // 2]


def half_the_customers(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["customer_id"] < "C00250"]


def another_currency(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(amount=table["amount"] * 50_000)


def another_currency_lately(table: pd.DataFrame) -> pd.DataFrame:
    late = table["date"] > NIGHT.isoformat()
    return table.assign(amount=table["amount"].where(~late, table["amount"] * 50_000))


def twice(table: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([table, table])


def one_customer(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(customer_id="C00001")


def other_customers(table: pd.DataFrame) -> pd.DataFrame:
    """A new id for every row, as after a broken join."""
    return table.assign(customer_id=[f"X{n}" for n in range(len(table))])


def future(table: pd.DataFrame) -> pd.DataFrame:
    late = table["date"] > "2025-01-01"
    return table.assign(date=table["date"].where(~late, "2099-01-01"))


def day_and_month_swapped(table: pd.DataFrame) -> pd.DataFrame:
    parts = table["date"].str.split("-", expand=True)
    swapped = parts[0] + "-" + parts[2] + "-" + parts[1]
    return table.assign(date=swapped.where(parts[2] <= "12", table["date"]))


def unreadable_amounts(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(amount=table["amount"].astype(str).where(table.index % 4 > 0, "n/a"))


SPOILT = {
    shuffled_dates: "history_",
    half_the_file: "days_missing",
    half_the_customers: "history_customers",
    another_currency: "history_value",
    another_currency_lately: "median_amount",
    twice: "history_value",
    one_customer: "customer_share",
    other_customers: "history_customers",
    future: "future_rows",
    day_and_month_swapped: "history_",
    unreadable_amounts: "rejected_rows",
}


@pytest.mark.parametrize(
    ("spoil", "rule"), SPOILT.items(), ids=lambda x: getattr(x, "__name__", "")
)
def test_broken_data_end_with_the_rule_that_caught_them(
    shop: Shop, table: pd.DataFrame, spoil: Any, rule: str
) -> None:
    shop.write(spoil(known(table, NEXT)))
    before = shop.tree()
    answer = shop.night(NEXT)
    assert (answer.outcome, answer.exit_code) == ("broken", 3)
    caught = [r["rule"] for r in answer.record["rules"] if not r["passed"]]
    assert any(name.startswith(rule) for name in caught), caught
    broken = [r for r in answer.record["rules"] if r["group"] == "contract" and not r["passed"]]
    assert all(rule["rule"] in answer.record["reason"] for rule in broken)
    assert answer.record["champion"] == "v000001"
    assert shop.tree() == before


def test_rows_that_are_missing_here_and_there_are_told_from_customers_who_buy_less() -> None:
    """Without half its rows a file also has half the new customers."""
    change = Change(rate=0.5)
    for table, caught in (
        (orders(1500, seed=5), True),
        (orders(1500, change, seed=5), False),
    ):
        late = table["date"] > change.day.isoformat()
        kept = table[~late | (np.arange(len(table)) % 2 == 0)] if caught else table
        night = Night(clv.read_transactions(kept), NIGHT, "week", "8 weeks")
        rules = contract_rules(night, ContractSection(), None, dt.date.today())
        assert [rule.name for rule in rules if not rule.passed] == ["rows_thinned"] * caught


@pytest.mark.parametrize("content", ["", "customer_id,date,amount\n", "a,b\n1,2\n"])
def test_a_file_that_holds_nothing_of_use(shop: Shop, content: str) -> None:
    (shop.folder / "orders.csv").write_text(content, encoding="utf-8")
    before = shop.tree()
    answer = shop.night(NEXT)
    assert (answer.outcome, answer.exit_code) == ("broken", 3)
    assert "orders.csv" in answer.record["reason"]
    assert answer.record["champion"] == "v000001"
    assert shop.tree() == before


def test_broken_data_can_be_accepted_once(shop: Shop, table: pd.DataFrame) -> None:
    shop.write(twice(known(table, NEXT)))
    answer = shop.night(NEXT, accept_data=True)
    assert answer.exit_code in (0, 5)
    assert [r["rule"] for r in answer.record["rules"] if not r["passed"] and "history" in r["rule"]]


def test_late_rows_and_corrections_are_no_broken_data(shop: Shop, table: pd.DataFrame) -> None:
    late = table[table.index % 97 > 0]
    shop.write(late)
    shop.night(dt.date(2025, 2, 14))
    shop.write(table)
    assert shop.night(NEXT).exit_code == 0


# --- a challenger that is worse ------------------------------------------------------------------


def test_a_worse_challenger_is_refused_and_the_champion_scores(shop: Shop) -> None:
    shop.configure('["bg_nbd"]', '["nbd"]')
    answer = shop.night(NEXT)
    assert (answer.outcome, answer.exit_code) == ("refused", 5)
    caught = [r["rule"] for r in answer.record["rules"] if not r["passed"]]
    assert "log_score" in caught
    assert "log_score" in answer.record["reason"]
    assert (answer.record["champion"], answer.record["scored_by"]) == ("v000001", "v000001")
    written = shop.written()
    assert set(written["as_of"].astype(str)) == {NEXT.isoformat()}
    assert set(written["model_version"]) == {"v000001"}
    kept = Registry(shop.folder / "models", "shop").version("challenger")
    assert kept.name == "v000002"
    assert kept.metrics["decision"]["verdict"] == "refused"
    assert "log_score" in kept.metrics["decision"]["reason"]


def test_a_first_challenger_that_is_refused_scores_nobody(fresh: Shop) -> None:
    fresh.configure("resamples = 300", "resamples = 300\nmax_bias = 0.0001")
    answer = fresh.night()
    assert (answer.outcome, answer.exit_code) == ("refused", 5)
    assert answer.record["champion"] is None
    assert "nobody was scored" in answer.record["reason"]
    assert not (fresh.folder / "output" / "current").exists()


# --- the same again ------------------------------------------------------------------------------


def test_the_same_night_again_refits_nothing(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    before = shop.tree()

    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("nothing is to be fitted")

    monkeypatch.setattr("clv.pipeline.candidates.Specification._fit", never)
    answer = shop.night()
    assert answer.record["already"]
    assert (answer.outcome, answer.exit_code) == ("promoted", 0)
    assert shop.tree() == before


def test_outputs_that_were_lost_are_written_again_without_refitting(shop: Shop) -> None:
    before = shop.written()
    (shop.folder / "output" / "current").unlink()
    answer = shop.night()
    assert not answer.record["refitted"]
    pd.testing.assert_frame_equal(shop.written(), before)


def test_an_earlier_night_is_replayed_with_what_was_known_then(shop: Shop) -> None:
    shop.night(NEXT)
    before = shop.written()
    again = dt.date(2024, 12, 31)
    answer = shop.night(again)
    assert answer.record["replay"]
    assert answer.record["data"]["last_day"] <= again.isoformat()
    registry = Registry(shop.folder / "models", "shop")
    assert registry.aliases().champion == "v000001"
    pd.testing.assert_frame_equal(shop.written(), before)
    run = shop.folder / "output" / "runs" / answer.record["run"]
    assert set(pd.read_parquet(run / "forecast.parquet")["as_of"].astype(str)) == {str(again)}


def test_later_rows_make_no_difference_to_a_night(shop: Shop, table: pd.DataFrame) -> None:
    key = shop.night().record["key"]
    shop.write(known(table, NIGHT))
    assert shop.night().record["key"] == key


def test_files_and_answer_are_of_one_run(shop: Shop) -> None:
    answer = shop.night(NEXT).record
    written = shop.written()
    csv = pd.read_csv(shop.folder / "output" / "current" / "forecast.csv", dtype={"run": str})
    assert set(written["run"]) == set(csv["run"]) == {answer["run"]}
    assert len(written) == answer["forecast"]["customers"]
    assert list(written.columns[:4]) == ["customer_id", "as_of", "run", "model_version"]
    assert written["expected_purchases"].sum() == pytest.approx(
        answer["forecast"]["expected_purchases"]
    )


def test_scores_are_those_of_the_models_in_the_registry(shop: Shop) -> None:
    version = Registry(shop.folder / "models", "shop").version("champion")
    transactions = clv.read_transactions(shop.folder / "orders.csv")
    rfm = clv.rfm_summary(transactions, observation_period_end=NIGHT)
    expected = clv.forecast(
        rfm, version.purchases, version.spend, horizon="52 weeks", interval_kind="expected"
    ).to_pandas()
    written = shop.written()
    assert written["customer_id"].tolist() == expected["customer_id"].tolist()
    np.testing.assert_allclose(written["residual_value"], expected["residual_value"], rtol=1e-12)


def test_old_files_go_and_the_current_ones_stay(shop: Shop) -> None:
    shop.configure("[outputs]", "[outputs]\nkeep = 2")
    for week in range(1, 4):
        shop.night(NIGHT + dt.timedelta(weeks=week))
    runs = sorted(path.name[:10] for path in (shop.folder / "output" / "runs").iterdir())
    assert runs == ["2025-02-14", "2025-02-21"]


# --- dry runs ------------------------------------------------------------------------------------


@pytest.mark.parametrize("as_of", [NIGHT, NEXT])
def test_a_dry_run_writes_nothing(shop: Shop, as_of: dt.date) -> None:
    before = shop.tree()
    answer = shop.night(as_of, dry_run=True)
    assert answer.exit_code == 0
    assert shop.tree() == before


def test_a_dry_run_before_the_first_night(fresh: Shop) -> None:
    before = fresh.tree()
    answer = fresh.night(dry_run=True)
    assert (answer.outcome, answer.exit_code) == ("promoted", 0)
    assert answer.record["forecast"]["customers"] > 100
    assert fresh.tree() == before


# --- what the answer says ------------------------------------------------------------------------


def test_every_rule_has_its_number_and_its_threshold(shop: Shop) -> None:
    record = shop.night(NEXT).record
    json.dumps(record, allow_nan=False)
    names = {rule["rule"] for rule in record["rules"]}
    groups = {rule["group"] for rule in record["rules"]}
    assert groups == {"contract", "quality", "drift"}  # the champion is too young to have drifted
    assert {"days_missing", "psi_frequency", "ks_T", "psi_spend", "new_customers", "volume_low",
            "bias", "coverage", "calibration", "log_score", "parameters_spend",
            "convergence_bg_nbd", "history_psi_recency"} <= names  # fmt: skip
    for rule in record["rules"]:
        assert rule["applies"] == (rule["value"] is not None)
        assert isinstance(rule["passed"], bool)


def test_what_made_a_version_is_written_down(shop: Shop) -> None:
    version = Registry(shop.folder / "models", "shop").version("champion")
    manifest = version.manifest
    assert manifest["data"]["rows"] == (known(shop.orders(), NIGHT)).shape[0]
    assert manifest["configuration"]["models"]["purchases"] == ["bg_nbd"]
    assert {"fingerprint", "first_day", "last_day", "customers"} <= set(manifest["data"])
    assert {"python", "numpy", "scipy"} <= set(manifest["libraries"])
    assert manifest["seed"] == 0
    assert str(shop.folder) not in json.dumps(manifest), "a machine's path"


def test_nights_of_every_length() -> None:
    first = dt.date(2024, 1, 30)
    months = list(nights(first, dt.date(2024, 4, 30)))
    assert [str(d) for d in months] == ["2024-01-30", "2024-02-29", "2024-03-30", "2024-04-30"]
    weeks = list(nights(first, dt.date(2024, 2, 14), "week"))
    assert [(b - a).days for a, b in itertools.pairwise(weeks)] == [7, 7]
    with pytest.raises(ValueError, match="lies before"):
        nights(first, dt.date(2024, 1, 1))


def test_nothing_is_left_in_the_folder_of_scratch_files(shop: Shop, tmp_path: Path) -> None:
    hidden = [name for name in shop.tree() if Path(name).name.startswith(".")]
    assert hidden == ["models/shop/.lock"]
