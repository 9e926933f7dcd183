"""The data sets are what their SOURCE.md files say they are."""

from __future__ import annotations

import csv
import hashlib
import json
import math
import re
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

import clv
from clv import datasets
from clv.datasets import list_datasets, load_cdnow, load_shop
from clv.errors import DataError, UnreadableFileError

SHOP = Path(__file__).parents[1] / "data" / "shop"
FILES = ("orders.csv", "orders_jalali.csv", "customers.csv", "counts.json")


def rows(name: str) -> list[dict[str, str]]:
    with (SHOP / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def counts() -> dict[str, int]:
    return dict(json.loads((SHOP / "counts.json").read_text()))


# --- CDNOW -----------------------------------------------------------------------------------


def test_cdnow_sample_is_the_published_one() -> None:
    cdnow = load_cdnow()
    assert list(cdnow.columns) == ["customer_id", "date", "quantity", "amount"]
    assert len(cdnow) == 6919
    assert sorted(cdnow["customer_id"].unique()) == list(range(1, 2358))
    assert str(cdnow["date"].min()) == "1997-01-01 00:00:00"
    assert str(cdnow["date"].max()) == "1998-06-30 00:00:00"
    total = cdnow.groupby("customer_id")["amount"].sum()
    assert (total == 0).sum() == 8
    holdout = cdnow[cdnow["date"] > "1997-09-30"]
    assert holdout["amount"].sum() == pytest.approx(70976.39, abs=0.005)


def test_cdnow_master_is_the_published_one() -> None:
    cdnow = load_cdnow("master")
    assert len(cdnow) == 69659
    assert cdnow["customer_id"].nunique() == 23570
    assert cdnow.isna().sum().sum() == 0
    assert (cdnow.groupby("customer_id")["amount"].sum() == 0).sum() == 68


def test_cdnow_needs_no_import_of_lifetimes() -> None:
    code = (
        "import sys; from clv.datasets import load_cdnow; load_cdnow(); "
        "sys.exit('lifetimes' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_cdnow_without_lifetimes_names_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets, "find_spec", lambda name: None)
    with pytest.raises(UnreadableFileError, match=r'pip install "predictive-clv\[lifetimes\]"'):
        load_cdnow()
    assert [d.name for d in list_datasets() if not d.available] == ["cdnow", "cdnow-master"]


def test_cdnow_of_an_unknown_kind() -> None:
    with pytest.raises(DataError, match="knows 'sample' and 'master', not 'full'"):
        load_cdnow("full")  # type: ignore[arg-type]


def test_shop_outside_a_checkout_names_the_remedy(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(datasets, "_data_folder", lambda: tmp_path)
    with pytest.raises(UnreadableFileError, match=r"clone the repository.*pip install -e \."):
        load_shop()
    assert [d.name for d in list_datasets() if not d.available] == ["shop"]


# --- the generated shop ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def regenerated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shop")
    # -B: no __pycache__ beside the data files.
    subprocess.run(
        [sys.executable, "-B", str(SHOP / "generate.py"), "--output", str(folder)],
        check=True,
        capture_output=True,
    )
    return folder


@pytest.mark.parametrize("name", FILES)
def test_generator_writes_the_same_bytes(regenerated: Path, name: str) -> None:
    kept, fresh = (hashlib.sha256((f / name).read_bytes()).hexdigest() for f in (SHOP, regenerated))
    assert kept == fresh, f"data/shop/{name} is not what generate.py writes"


def test_source_states_the_counts() -> None:
    text = (SHOP / "SOURCE.md").read_text(encoding="utf-8")
    stated = dict(re.findall(r"^\| `(\w+)` \| ([\d,]+) \|", text, flags=re.MULTILINE))
    assert {name: int(n.replace(",", "")) for name, n in stated.items()} == counts()


def test_every_row_of_orders_is_accounted_for() -> None:
    count = counts()
    causes = ("missing_", "blank_", "unreadable_", "text_", "not_finite_", "empty_")
    assert count["rows"] == len(rows("orders.csv"))
    assert count["rows"] == count["usable_rows"] + count["unusable_rows"]
    assert count["unusable_rows"] == sum(n for k, n in count.items() if k.startswith(causes))


def test_jalali_file_has_the_same_days_and_money() -> None:
    """Against persiantools, which the generator does not use."""
    from persiantools import digits
    from persiantools.jdatetime import JalaliDate

    def plain(text: str) -> str:
        return str(digits.fa_to_en(text)).translate(str.maketrans("٫", ".", "٬,"))

    gregorian: dict[tuple[str, str], float] = {}
    for row in rows("orders.csv"):
        try:
            day = datetime.fromisoformat(row["timestamp"]).date()
            amount = int(plain(row["quantity"])) * float(plain(row["unit_price"]))
        except ValueError:
            continue
        if math.isfinite(amount):
            key = (row["customer_id"], day.isoformat())
            gregorian[key] = gregorian.get(key, 0.0) + amount
    persian: dict[tuple[str, str], float] = {}
    for row in rows("orders_jalali.csv"):
        day = JalaliDate(*map(int, plain(row["تاریخ"]).split("/"))).to_gregorian()
        key = (row["مشتری"], day.isoformat())
        persian[key] = persian.get(key, 0.0) + float(plain(row["مبلغ"]))
    assert len(persian) > 10_000
    assert {k: v for k, v in gregorian.items() if k[0].strip()} == pytest.approx(persian, abs=1e-6)


def test_customers_table() -> None:
    people = rows("customers.csv")
    ids = [row["customer_id"] for row in people]
    assert len(ids) == len(set(ids)) == counts()["customers_in_table"]
    assert {row["country"] for row in people} == {"DE", "FR", "GB", "US", "IR"}
    known = set(ids) | {""}
    assert all(
        row["referred_by"] in known and row["referred_by"] != i
        for row, i in zip(people, ids, strict=True)
    )
    assert all((row["channel"] == "") == (row["acquisition_cost"] == "") for row in people)
    hosts = {row["email"].strip().lower().partition("@")[2] for row in people if row["email"]}
    assert hosts == {"example.com", "example.net", "example.org", "bücher.example"}
    first_letters = {row["first_name"][0] for row in people}
    assert first_letters > set("=+-@\t\n<")


def test_every_buyer_signed_up_before_buying() -> None:
    signup = {row["customer_id"]: row["signup_date"] for row in rows("customers.csv")}
    for row in rows("orders.csv"):
        try:
            day = datetime.fromisoformat(row["timestamp"]).date()
        except ValueError:
            continue
        assert signup.get(row["customer_id"], "") <= day.isoformat(), row


# --- read by this package --------------------------------------------------------------------


@pytest.fixture(scope="module")
def orders() -> clv.Transactions:
    shop = load_shop()
    return clv.read_transactions(shop.orders, **shop.columns)


def test_reading_finds_what_was_planted(orders: clv.Transactions) -> None:
    quality, count = orders.quality, counts()
    assert quality.rows == count["rows"]
    assert quality.used == count["usable_rows"]
    assert quality.rejected == len(orders.rejected) == count["unusable_rows"]
    assert quality.refund_rows == count["refund_rows"] - zero_price_refunds()
    assert quality.zero_rows == count["zero_price_rows"]
    assert quality.customers == count["customers_in_orders"]
    guests = count["missing_customer_id"] + count["blank_customer_id"] + count["empty_rows"]
    assert quality.reasons["customer_id is missing"] == guests


def zero_price_refunds() -> int:
    """A gift that is sent back: quantity -1 at 0.00 takes nothing off anything."""
    return sum(
        row["quantity"].startswith("-") and row["unit_price"] == "0.00"
        for row in rows("orders.csv")
        if row["customer_id"].strip()
    )


def test_both_calendars_give_the_same_table(orders: clv.Transactions) -> None:
    shop = load_shop()
    jalali = clv.read_transactions(shop.orders_jalali, **shop.columns_jalali)
    assert jalali.quality.rejected == 0
    ours, theirs = (
        clv.rfm_summary(read, observation_period_end=end, calibration_period_end=cut)
        for read, cut, end in (
            (orders, "2024-12-31", "2025-06-30"),
            (jalali, "1403/10/11", "1404/04/09"),
        )
    )
    assert ours.notes == theirs.notes
    assert ours.unmatched_refunds.customers == counts()["unmatched_refund_lines"]
    for name in ours.columns:
        if ours.values(name).dtype.kind == "f":
            np.testing.assert_allclose(ours.array(name), theirs.array(name), atol=1e-9)
        else:
            np.testing.assert_array_equal(ours.values(name), theirs.values(name))
