"""`clv customer`: the answers, in the reader's language and calendar."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner, Result

import clv
from clv.cli import program
from clv.cli.customer_texts import _PERSIAN_REASONS, ENGLISH, PERSIAN
from clv.lifecycle import SEGMENTS, STAGES
from clv.lifecycle.reasons import TEXTS
from clv.tiers import CLASSIC


@pytest.fixture(scope="module")
def orders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shop's early customers, so that each call is quick."""
    lines = pd.read_csv(clv.datasets.load_shop().orders, dtype=str)
    path = tmp_path_factory.mktemp("shop") / "orders.csv"
    lines[lines["customer_id"].between("C00001", "C00400")].to_csv(path, index=False)
    return path


def run(orders: Path, customer: str, *more: str) -> Result:
    columns = ["--date", "timestamp", "--quantity", "quantity", "--unit-price", "unit_price"]
    given = ["customer", *more, "--", customer, str(orders)]
    return CliRunner().invoke(
        program, [*given[:-3], *columns, "--observation-period-end", "2025-06-30", *given[-3:]]
    )


def test_answers_in_english(orders: Path) -> None:
    done = run(orders, "C00002", "--customers", "dataset:shop")
    assert done.exit_code == 0, done.output
    for said in (
        "Customer C00002, as of 2025-06-30",
        "customer since",
        "2023-01-15",
        "2025-06-18, 12 days ago",
        "one order every 59 days",
        "90 % by",
        "expected (90% interval",
        "loyal from 5 on",
        "first_name",
    ):
        assert said in done.stdout


def test_answers_in_persian(orders: Path) -> None:
    done = run(orders, "C00002", "--language", "fa")
    assert done.exit_code == 0
    assert "۱۴۰۴/۰۴/۰۹" in done.stdout
    assert "وفادار" in done.stdout
    assert not set("0123456789") & set(done.stdout.replace("C00002", ""))


def test_jalali_days_and_one_object(orders: Path) -> None:
    done = run(orders, "C00002", "--json")
    record = json.loads(done.stdout)["customer"]
    assert record["orders"] == 16
    assert record["rule"] == "loyal"
    assert record["why"].startswith("16 orders")
    unknown = run(orders, "C00O02")
    assert unknown.exit_code == 3
    assert "similar ids are 'C00" in unknown.stderr


def test_both_languages_say_everything() -> None:
    assert set(ENGLISH) <= set(PERSIAN)
    for key, text in ENGLISH.items():
        places = {part.split("}")[0] for part in text.split("{")[1:]}
        assert places == {part.split("}")[0] for part in PERSIAN[key].split("{")[1:]}, key
    assert set(TEXTS) == set(_PERSIAN_REASONS)
    numbers = dict.fromkeys(("silence", "limit", "alive", "silent", "ahead", "purchases"), 0.5)
    for rule in TEXTS:
        assert TEXTS[rule].format(**numbers)
        assert _PERSIAN_REASONS[rule].format(**numbers)
    assert {*STAGES, *SEGMENTS, *CLASSIC.names, CLASSIC.rest} <= set(PERSIAN)
