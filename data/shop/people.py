"""Who the customers are, when they order and what: everything that happens before the faults."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

from dice import Dice
from names import COUNTRIES, Country

FIRST_DAY = date(2023, 1, 1)
LAST_DAY = date(2025, 6, 30)
DAYS = (LAST_DAY - FIRST_DAY).days + 1

PERSIAN_DIGITS = str.maketrans("0123456789,.", "۰۱۲۳۴۵۶۷۸۹٬٫")


class Channel(NamedTuple):
    """Where customers come from, and how those who come from there behave.

    Purchases: rate ~ Gamma(r, alpha) a week, probability of leaving after each purchase, the
    first included, ~ Beta(a, b). Order values: Gamma(p, nu) with nu ~ Gamma(q, v). Euros.
    """

    name: str
    share: float
    r: float
    alpha: float
    a: float
    b: float
    p: float
    q: float
    v: float
    acquisition_cost: float
    cost_to_serve: float


CHANNELS = (
    Channel("organic", 0.28, 0.90, 8.0, 0.80, 3.2, 6.0, 4.0, 24.0, 2.5, 3.0),
    Channel("paid_search", 0.24, 0.75, 9.0, 0.90, 2.6, 5.5, 4.0, 23.0, 19.0, 3.5),
    Channel("social_ads", 0.20, 0.60, 9.5, 1.10, 1.9, 5.0, 4.0, 19.0, 15.0, 5.0),
    Channel("referral", 0.10, 1.20, 8.5, 0.70, 4.2, 6.5, 4.0, 27.0, 8.0, 2.5),
    Channel("newsletter", 0.08, 1.10, 7.5, 0.80, 3.6, 6.0, 4.5, 24.0, 4.0, 2.0),
    Channel("marketplace", 0.10, 0.50, 10.0, 1.20, 1.6, 5.0, 4.5, 17.0, 9.0, 6.5),
)


Basket = list[tuple[str, int, float]]  # article, pieces, price of one
Order = tuple[datetime, str, Basket]


class Product(NamedTuple):
    """One article of the catalogue."""

    sku: str
    price: float


def season(day: date) -> float:
    """How busy the shop is on a day: presents in December, Nowruz in March, a quiet August."""
    if (day.month, day.day) >= (11, 20) and (day.month, day.day) <= (12, 22):
        return 1.4
    if day.month == 3 and 6 <= day.day <= 20:
        return 1.2
    return 0.85 if day.month == 8 else 1.0


BUSIEST = 1.4


def catalogue(dice: Dice) -> list[Product]:
    kinds = (
        ("TEA", 30, 6.0),
        ("SPI", 25, 4.5),
        ("CUP", 18, 14.0),
        ("POT", 12, 38.0),
        ("SET", 5, 95.0),
    )
    return [
        Product(f"{kind}-{number:03d}", round(typical * math.exp(0.35 * dice.normal()) * 20) / 20)
        for kind, count, typical in kinds
        for number in range(1, count + 1)
    ]


def at_time(dice: Dice, day: date) -> datetime:
    """A time of day: few at night, most in the evening."""
    hours = (2, 1, 1, 0, 0, 1, 3, 6, 8, 9, 10, 10, 11, 10, 9, 9, 10, 12, 14, 17, 19, 16, 10, 5)
    hour = dice.pick_weighted(range(24), hours)
    return datetime(day.year, day.month, day.day, hour, dice.below(60), dice.below(60))


def purchase_days(dice: Dice, channel: Channel, first: int) -> list[int]:
    """Day numbers of a customer's orders, the first one given; two may fall on one day."""
    rate = dice.gamma(channel.r, channel.alpha) / 7
    leaving = dice.beta(channel.a, channel.b)
    days, now = [first], first + dice.uniform()
    while not dice.chance(leaving):
        while True:
            # Thinning: candidates come as fast as in the busiest season.
            now += dice.exponential(1 / (rate * BUSIEST))
            if now >= DAYS or dice.chance(season(FIRST_DAY + timedelta(int(now))) / BUSIEST):
                break
        if now >= DAYS:
            break
        days.append(int(now))
    return days


def basket(dice: Dice, products: Sequence[Product], value: float, day: date) -> Basket:
    """Articles, quantities and prices that together cost about `value`."""
    inflation = 1.04 ** ((day - FIRST_DAY).days // 365)
    n_lines = min(1 + int(dice.exponential(0.75)), 5)
    parts = [dice.gamma(2.0, 1.0) for _ in range(n_lines)]
    articles = []
    for part in parts:
        target = value * part / sum(parts)
        product = min(dice.sample(products, 8), key=lambda p: abs(math.log(p.price / target)))
        price = round(product.price * inflation * 20) / 20
        articles.append((product.sku, max(1, round(target / price)), price))
    if dice.chance(0.03):
        articles.append(("GIFT-001", 1, 0.0))
    if dice.chance(0.0006):
        articles.append(("SAMOVAR-1", 1, 1249.0))
    return articles


def phone_number(dice: Dice, country: Country) -> str:
    local = dice.fill(dice.pick(country.phones))
    if dice.chance(0.35):
        return f"{country.calling_code} {local.lstrip('0')}"
    if country.code == "IR" and dice.chance(0.3):
        return local.translate(PERSIAN_DIGITS)
    return local


def mail_address(dice: Dice, country: Country, first: str, last: str, number: int) -> str:
    if dice.chance(0.006):
        return f"{first.replace(' ', '')}{number}@bücher.example"
    latin = dict(country.romanised)
    words = [latin.get(name, name) for name in (first, last)]
    plain = unicodedata.normalize("NFKD", ".".join(words).replace("ß", "ss"))
    name = "".join(c for c in plain if c.isascii() and (c.isalnum() or c in ".-")).lower()
    address = f"{name}{number}@example.{dice.pick(('com', 'net', 'org'))}"
    if dice.chance(0.03):
        return f" {address.upper()}"
    return address


def person(
    dice: Dice, number: int, known: Sequence[dict[str, Any]]
) -> tuple[dict[str, Any], Channel]:
    """One row of the customers table. `known` are the customers who signed up before."""
    channel = dice.pick_weighted(CHANNELS, [c.share for c in CHANNELS])
    country = dice.pick_weighted(COUNTRIES, [c.share for c in COUNTRIES])
    first, last = dice.pick(country.first_names), dice.pick(country.last_names)
    city, postal_code = dice.pick(country.cities)
    spread = math.exp(0.3 * dice.normal())
    row = {
        "customer_id": f"C{number:05d}",
        "first_name": first,
        "last_name": last,
        "email": mail_address(dice, country, first, last, number) if dice.chance(0.94) else "",
        "phone": phone_number(dice, country) if dice.chance(0.72) else "",
        "country": country.code,
        "city": city,
        "zip": dice.fill(postal_code),
        "channel": channel.name,
        "acquisition_cost": f"{channel.acquisition_cost * spread:.2f}",
        "cost_to_serve_per_year": f"{channel.cost_to_serve * (0.6 + 0.8 * dice.uniform()):.2f}",
        "consent": dice.pick_weighted(("true", "false", ""), (0.68, 0.27, 0.05)),
        "referred_by": "",
        "club_renewal": "",
    }
    if channel.name == "referral" and known and dice.chance(0.9):
        row["referred_by"] = dice.pick(known)["customer_id"]
    return row, channel


def sign_up_days(dice: Dice, n: int) -> list[int]:
    """In order: a shop that grows, with its seasons."""
    days: list[int] = []
    while len(days) < n:
        day = int(DAYS * dice.uniform() ** 0.85)
        if dice.chance(season(FIRST_DAY + timedelta(day)) / BUSIEST):
            days.append(day)
    return sorted(days)


def people_and_orders(dice: Dice, n: int) -> tuple[list[dict[str, Any]], list[Order]]:
    products = catalogue(dice)
    people: list[dict[str, Any]] = []
    orders = []
    for number, day in enumerate(sign_up_days(dice, n), start=1):
        row, channel = person(dice, number, people)
        signup = FIRST_DAY + timedelta(day)
        row["signup_date"] = signup.isoformat()
        people.append(row)
        if dice.chance(0.06):
            continue  # never buys: a prospect
        first = day if dice.chance(0.7) else day + int(dice.exponential(14))
        if first >= DAYS:
            continue
        days = purchase_days(dice, channel, first)
        if len(days) > 4 and dice.chance(0.5):
            renewal = LAST_DAY + timedelta(dice.between(-30, 335))
            row["club_renewal"] = renewal.isoformat()
        nu = dice.gamma(channel.q, channel.v)
        for order_day in days:
            time = at_time(dice, FIRST_DAY + timedelta(order_day))
            value = max(dice.gamma(channel.p, nu), 3.0)
            orders.append((time, row["customer_id"], basket(dice, products, value, time.date())))
    orders.sort(key=lambda order: (order[0], order[1]))
    return people, orders
