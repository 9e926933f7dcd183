"""Make the files of a small online shop that never existed.

    python data/shop/generate.py            write the files beside this one
    python data/shop/generate.py --output FOLDER --seed 1 --customers 500

Only the standard library is used, and the same seed gives the same bytes on every version of
Python (see dice.py). What the columns mean, how many bad rows are planted and what the behaviour
is made of is told in SOURCE.md.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from dice import Dice
from names import NASTY_IDS, NASTY_NAMES
from people import FIRST_DAY, LAST_DAY, PERSIAN_DIGITS, Order, at_time, people_and_orders

SEED = 20230101
CUSTOMERS = 4000
ARABIC_DIGITS = str.maketrans("0123456789,.", "٠١٢٣٤٥٦٧٨٩٬٫")


class Line(NamedTuple):
    """One row of the orders file, before anything is spoilt."""

    order_id: int
    customer_id: str
    time: datetime
    sku: str
    quantity: int
    unit_price: float


def with_refunds(
    dice: Dice,
    orders: list[Order],
    counts: Counter[str],
) -> list[Line]:
    """Number the orders, and add the negative rows of cancellations and returns."""
    end = datetime(LAST_DAY.year, LAST_DAY.month, LAST_DAY.day, 23, 59, 59)
    lines: list[Line] = []
    for order_id, (time, customer, articles) in enumerate(orders, start=100001):
        bought = [Line(order_id, customer, time, *article) for article in articles]
        lines += bought
        midnight = datetime(time.year, time.month, time.day, 23, 59, 59)
        same_day = time + (midnight - time) * dice.uniform()
        if dice.chance(0.012):
            later = same_day if dice.chance(0.75) else time + timedelta(hours=30)
            if later <= end:
                same = later.date() == time.date()
                counts["cancelled_orders_same_day" if same else "cancelled_orders_next_day"] += 1
                lines += [
                    line._replace(time=later.replace(microsecond=0), quantity=-line.quantity)
                    for line in bought
                ]
            continue
        for line in bought:
            if line.unit_price == 0 or not dice.chance(0.035):
                continue
            back = time + timedelta(days=3 + dice.exponential(9))
            same = dice.chance(0.15)
            when = (same_day if same else back).replace(microsecond=0)
            if when > end:
                continue
            counts["returned_lines_same_day" if same else "returned_lines_later"] += 1
            lines.append(line._replace(time=when, quantity=-dice.between(1, line.quantity)))
    return lines


def unmatched_refunds(
    dice: Dice, people: Sequence[dict[str, Any]], buyers: set[str], n: int
) -> list[Line]:
    """Money back for orders older than the file: half to later buyers, half to others."""
    early = people[n * 10 : n * 100]
    known = dice.sample([p for p in early if p["customer_id"] in buyers], n // 2)
    strangers = dice.sample([p for p in early if p["customer_id"] not in buyers], n - n // 2)
    for row in known + strangers:
        row["signup_date"] = (FIRST_DAY - timedelta(dice.between(5, 60))).isoformat()
    return [
        Line(
            90000 + k,
            row["customer_id"],
            at_time(dice, FIRST_DAY + timedelta(dice.below(3))),
            f"POT-{dice.between(1, 12):03d}",
            -dice.between(1, 3),
            round(dice.gamma(8, 0.2) * 20) / 20,
        )
        for k, row in enumerate(known + strangers, start=1)
    ]


def as_text(line: Line) -> dict[str, str]:
    return {
        "order_id": str(line.order_id),
        "customer_id": line.customer_id,
        "timestamp": line.time.isoformat(sep=" "),
        "sku": line.sku,
        "quantity": str(line.quantity),
        "unit_price": f"{line.unit_price:.2f}",
    }


# What is done to ordinary rows so that they cannot be used: column, new values, how many.
SPOILT = {
    "missing_customer_id": ("customer_id", ("",), 40),
    "blank_customer_id": ("customer_id", ("  ",), 3),
    "missing_timestamp": ("timestamp", ("",), 4),
    "unreadable_timestamp": (
        "timestamp",
        ("2024-02-30 10:00:00", "0000-00-00 00:00:00", "yesterday", "31.13.2024", "2023-"),
        12,
    ),
    "missing_unit_price": ("unit_price", ("",), 5),
    "text_unit_price": ("unit_price", ("n/a", "on request", "12.50.00", "EUR"), 8),
    "not_finite_unit_price": ("unit_price", ("NaN", "inf"), 4),
    "missing_quantity": ("quantity", ("",), 3),
    "text_quantity": ("quantity", ("two", "1 box"), 4),
}
# What is done to ordinary rows that can still be used.
WRITTEN_DIFFERENTLY = {
    "persian_digits": (PERSIAN_DIGITS, 24),
    "arabic_digits": (ARABIC_DIGITS, 6),
}
EMPTY_ROWS = 3

CUSTOMER_COLUMNS = [
    "customer_id",
    "first_name",
    "last_name",
    "email",
    "phone",
    "country",
    "city",
    "zip",
    "channel",
    "acquisition_cost",
    "cost_to_serve",
    "cost_to_serve_per_year",
    "signup_date",
    "consent",
    "referred_by",
    "club_renewal",
]


def spoil(dice: Dice, rows: list[dict[str, str]], counts: Counter[str]) -> set[int]:
    """Change rows in place; return the positions of those that cannot be used any more."""
    wanted = sum(n for _, _, n in SPOILT.values())
    different = sum(n for _, n in WRITTEN_DIFFERENTLY.values())
    positions = dice.sample(range(len(rows)), wanted + different)
    unusable = set(positions[:wanted])
    for name, (column, values, n) in SPOILT.items():
        counts[name] = n
        for k in range(n):
            rows[positions.pop(0)][column] = values[k % len(values)]
    for name, (digits, n) in WRITTEN_DIFFERENTLY.items():
        counts[name] = n
        for position in (positions.pop(0) for _ in range(n)):
            for column in ("quantity", "unit_price"):
                rows[position][column] = rows[position][column].translate(digits)
    for row in rows:
        if row["unit_price"] == "1249.00":
            row["unit_price"] = "1,249.00"
            counts["thousands_separators"] += 1
    return unusable


def jalali(day: date) -> str:
    """The day as year/month/day of the Iranian calendar, in Persian digits."""
    new_years = {
        1401: date(2022, 3, 21),
        1402: date(2023, 3, 21),
        1403: date(2024, 3, 20),
        1404: date(2025, 3, 21),
    }
    year, start = max((y, s) for y, s in new_years.items() if s <= day)
    passed = (day - start).days
    # Six months of 31 days, then months of 30.
    month, day_of_month = divmod(passed, 31) if passed < 186 else divmod(passed - 186, 30)
    month += 0 if passed < 186 else 6
    return f"{year}/{month + 1:02d}/{day_of_month + 1:02d}".translate(PERSIAN_DIGITS)


def jalali_rows(lines: Iterable[Line]) -> list[dict[str, str]]:
    """One row per order, day and sign, as an Iranian shop would export it."""
    totals: dict[tuple[date, int, str, bool], float] = {}
    for line in lines:
        key = (line.time.date(), line.order_id, line.customer_id, line.quantity < 0)
        totals[key] = totals.get(key, 0.0) + line.quantity * line.unit_price
    return [
        {
            "شماره سفارش": str(order_id).translate(PERSIAN_DIGITS),
            "مشتری": customer,
            "تاریخ": jalali(day),
            "مبلغ": f"{total:,.2f}".translate(PERSIAN_DIGITS),
        }
        for (day, order_id, customer, _), total in sorted(totals.items())
    ]


def rename_customers(dice: Dice, people: list[dict[str, Any]], buyers: set[str]) -> dict[str, str]:
    """Give the nasty ids to buyers, the nasty names to others, and blank some channels."""
    chosen = dice.sample(sorted(buyers), len(NASTY_IDS) + len(NASTY_NAMES) + 12)
    new_ids = dict(zip(chosen[: len(NASTY_IDS)], NASTY_IDS, strict=True))
    names = dict(zip(chosen[len(NASTY_IDS) :], NASTY_NAMES, strict=False))
    no_channel = set(chosen[-12:])
    for row in people:
        customer = row["customer_id"]
        if customer in names:
            row["first_name"], row["last_name"] = names[customer]
        if customer in no_channel:
            row["channel"] = row["acquisition_cost"] = ""
        row["customer_id"] = new_ids.get(customer, customer)
        row["referred_by"] = new_ids.get(row["referred_by"], row["referred_by"])
    return new_ids


def write_csv(path: Path, rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def generate(output: Path, seed: int = SEED, n_customers: int = CUSTOMERS) -> dict[str, int]:
    """Write the shop's files to a folder and return what was counted on the way."""
    dice = Dice(seed)
    counts: Counter[str] = Counter()
    people, orders = people_and_orders(dice, n_customers)
    lines = with_refunds(dice, orders, counts)
    buyers = {line.customer_id for line in lines}
    refunds = unmatched_refunds(dice, people, buyers, 10)
    counts["unmatched_refund_lines"] = len(refunds)
    new_ids = rename_customers(dice, people, buyers)
    lines = sorted(
        (
            line._replace(customer_id=new_ids.get(line.customer_id, line.customer_id))
            for line in lines + refunds
        ),
        key=lambda line: (line.time, line.order_id),
    )
    rows = [as_text(line) for line in lines]
    unusable = spoil(dice, rows, counts)
    usable = [line for k, line in enumerate(lines) if k not in unusable]
    columns = list(rows[0])
    for position in sorted(dice.sample(range(len(rows)), EMPTY_ROWS), reverse=True):
        rows.insert(position, dict.fromkeys(columns, ""))
    counts["empty_rows"] = EMPTY_ROWS

    # A few customers were deleted from the CRM although their orders are still there.
    deleted = set(dice.sample(sorted(buyers - set(new_ids)), 6))
    kept = [row for row in people if row["customer_id"] not in deleted]
    for row in kept:
        if row["referred_by"] in deleted:
            row["referred_by"] = ""

    for row in kept:
        years = (LAST_DAY - date.fromisoformat(row["signup_date"])).days / 365.25
        row["cost_to_serve"] = f"{float(row['cost_to_serve_per_year']) * years:.2f}"

    output.mkdir(parents=True, exist_ok=True)
    persian = jalali_rows(usable)
    write_csv(output / "orders.csv", rows, columns)
    write_csv(output / "orders_jalali.csv", persian, list(persian[0]))
    write_csv(output / "customers.csv", kept, CUSTOMER_COLUMNS)

    seen = {line.customer_id for line in usable}
    counts.update(
        rows=len(rows),
        unusable_rows=len(unusable) + EMPTY_ROWS,
        usable_rows=len(usable),
        refund_rows=sum(line.quantity < 0 for line in usable),
        zero_price_rows=sum(line.unit_price == 0 for line in usable),
        orders=len({line.order_id for line in usable if line.quantity > 0}),
        customers_in_orders=len(seen),
        customers_in_table=len(kept),
        customers_missing_from_table=len(seen - {row["customer_id"] for row in kept}),
        prospects=len({row["customer_id"] for row in kept} - seen),
        customers_without_channel=sum(row["channel"] == "" for row in kept),
        jalali_rows=len(persian),
    )
    result = dict(sorted(counts.items()))
    (output / "counts.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return result


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--output", type=Path, default=Path(__file__).parent)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--customers", type=int, default=CUSTOMERS)
    arguments = parser.parse_args()
    print(json.dumps(generate(arguments.output, arguments.seed, arguments.customers), indent=2))
