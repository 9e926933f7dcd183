"""``clv customer``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from clv.cli import options
from clv.cli.console import emit, facts, printable, tell, working
from clv.cli.customer_texts import Words, words
from clv.cli.scoring import Scoring, customers_option, read_customers, scoring_options

if TYPE_CHECKING:
    from clv.actions import CustomerCard


@click.command(no_args_is_help=True)
@click.argument("wanted", metavar="ID")
@scoring_options
@customers_option
@click.option(
    "--language",
    type=click.Choice(["en", "fa"]),
    default="en",
    show_default=True,
    help="fa: Persian, with Persian digits and the Iranian calendar.",
)
@options.as_json
def customer(
    wanted: str, scoring: Scoring, customers: str | None, language: str, as_json: bool
) -> None:
    """Say what is known and expected of one customer.

    Last order, number of orders, customer since, rhythm, when the next order is due, what is
    expected, which stage and tier, and why. SOURCE is as in `clv forecast`; an ID that begins with
    a dash goes after --. With --calendar jalali days are Iranian ones.
    """
    from clv.actions import card

    table = read_customers(customers, scoring.source)
    scored = scoring.run()
    with working("looking up"):
        found = card(wanted, scored.rfm, scored.purchases, scored.forecast, customers=table)
    if as_json:
        record = {**asdict(found), "why": found.why.text, "rule": found.why.rule}
        emit({"command": "customer", "source": scoring.source.name, "customer": record})
        return
    said = words(language, str(scoring.source.columns.get("calendar", "gregorian")))
    tell(said.text("title", id=printable(str(found.customer_id)), day=said.day(found.as_of)))
    facts(_lines(found, said))
    if found.details:
        tell()
        tell(said.text("details"))
        facts(found.details.items())


def _lines(found: CustomerCard, said: Words) -> Iterator[tuple[str, Any]]:
    yield said.text("stage"), said.term(found.stage)
    yield said.text("why"), said.reason(found.why.rule, found.why.numbers)
    if found.orders == 0:
        yield said.text("orders"), said.text("never")
        return
    if found.tier is not None:
        yield said.text("tier"), _tier(found, said)
    if found.segment is not None:
        yield said.text("segment"), said.term(found.segment)
    if found.first_order is not None:
        yield said.text("since"), said.day(found.first_order)
    yield said.text("orders"), said.number(found.orders)
    if found.last_order is not None and found.silent_days is not None:
        key = {0: "today", 1: "yesterday"}.get(int(found.silent_days), "ago")
        days = said.number(found.silent_days)
        yield said.text("last"), said.text(key, day=said.day(found.last_order), days=days)
    rhythm = said.text("no_rhythm")
    if found.rhythm_days is not None:
        rhythm = said.text("every", days=said.number(found.rhythm_days))
    yield said.text("rhythm"), rhythm
    if found.spent is not None and found.mean_order is not None:
        total, mean = said.number(found.spent, 2), said.number(found.mean_order, 2)
        yield said.text("spent"), said.text("per_order", total=total, mean=mean)
    if found.probability_alive is not None:
        p = said.share(found.probability_alive)
        yield said.text("alive"), said.text("with_probability", p=p)
    yield said.text("next"), _next(found, said)
    ahead = said.text("for_ever")
    if found.horizon_days is not None:
        ahead = said.text("within", days=said.number(found.horizon_days))
    if found.expected_orders is not None:
        yield ahead, _expected(found, said, "expected_orders", 1, 0)
    if found.horizon_days is not None and found.probability_no_purchase is not None:
        p = said.share(found.probability_no_purchase)
        yield said.text("silent"), said.text("with_probability", p=p)
    if found.expected_value is not None:
        yield said.text("worth"), _expected(found, said, "expected_value", 2, 0)
    if found.lifetime_value is not None:
        yield said.text("in_all"), said.number(found.lifetime_value, 2)


def _tier(found: CustomerCard, said: Words) -> str:
    share = said.share(found.worth_more_than or 0.0)
    return said.text("tier_why", tier=said.term(str(found.tier)), share=share)


def _next(found: CustomerCard, said: Words) -> str:
    low, middle, high = (
        None if day is None else said.day(day)
        for day in (found.next_order_from, found.next_order, found.next_order_to)
    )
    if low is None:
        return said.text("none")
    around = said.text("unlikely") if middle is None else said.text("around", middle=middle)
    more = said.text("from", low=low) if high is None else said.text("range", low=low, high=high)
    return f"{around} ({more})"


def _expected(found: CustomerCard, said: Words, name: str, digits: int, of_ends: int) -> str:
    value = said.number(getattr(found, name), digits)
    low, high = getattr(found, f"{name}_low"), getattr(found, f"{name}_high")
    if low is None or high is None or found.interval is None:
        return said.text("expected", value=value)
    return said.text(
        "interval",
        value=value,
        share=said.share(found.interval),
        low=said.number(low, of_ends),
        high=said.number(high, of_ends),
    )
