"""Why a customer is in a stage: the rule that held, and its numbers."""

from __future__ import annotations

from typing import NamedTuple

from clv.lifecycle.stages import STAGES, Stages
from clv.units import DAYS_PER_UNIT, TimeUnit, parse_horizon


class Reason(NamedTuple):
    """A rule by name, and the numbers it was decided on."""

    rule: str
    numbers: dict[str, float]

    @property
    def text(self) -> str:
        """In words."""
        return TEXTS[self.rule].format(**self.numbers)


#: What each rule says; {silence}, {limit} and {ahead} are days, {alive} and {silent} probabilities.
TEXTS = {
    "prospect": "in the customers table, but has not ordered yet",
    "new": "the first order was {silence:.0f} days ago (new for {limit:.0f} days)",
    "lost_inactive": "silent for {silence:.0f} days (lost after {limit:.0f})",
    "lost_alive": "still a customer with probability {alive:.0%} only (lost below {limit:.0%})",
    "lost_silent": "no order within {ahead:.0f} days with probability {silent:.0%} "
    "(lost above {limit:.0%})",
    "at_risk_once": "one order only, {silence:.0f} days ago (new for {limit:.0f} days)",
    "at_risk_alive": "still a customer with probability {alive:.0%} (at risk below {limit:.0%})",
    "at_risk_silent": "no order within {ahead:.0f} days with probability {silent:.0%} "
    "(at risk above {limit:.0%})",
    "loyal": "{purchases:.0f} orders (loyal from {limit:.0f} on), still a customer with "
    "probability {alive:.0%}",
    "active": "{purchases:.0f} orders, the last {silence:.0f} days ago, still a customer with "
    "probability {alive:.0%}",
}


def stage_reason(stages: Stages, row: int, time_unit: TimeUnit) -> Reason:
    """Why the customer in a row of `stages` is in their stage.

    Parameters
    ----------
    stages
        From `stages`.
    row
        Place of the customer in ``stages.customers``.
    time_unit
        Of the table that the stages were made from.

    Returns
    -------
    Reason
        Of the rules that put somebody into "lost" or "at risk" the first in the order inactivity,
        P(alive), P(no purchase).
    """
    rules, table = stages.rules, stages.customers
    days = DAYS_PER_UNIT[time_unit]

    def in_days(length: str | float) -> float:
        return round(parse_horizon(length, time_unit) * days, 6)

    alive, silent, idle, purchases = (
        float(table.array(name)[row])
        for name in ("probability_alive", "probability_no_purchase", "inactivity", "purchases")
    )
    numbers = {
        "alive": alive,
        "silent": silent,
        "silence": round(idle * days, 6),
        "purchases": purchases,
        "ahead": in_days(rules.silence),
    }
    stage = STAGES[stages.codes[row]]
    rule, limit = stage, 0.0
    if stage == "new":
        limit = in_days(rules.new_for)
    elif stage == "loyal":
        limit = float(rules.loyal_from)
    elif stage == "lost":
        if numbers["silence"] > in_days(rules.inactive_after):
            rule, limit = "lost_inactive", in_days(rules.inactive_after)
        elif alive < rules.lost_below:
            rule, limit = "lost_alive", rules.lost_below
        else:
            rule, limit = "lost_silent", rules.lost_above
    elif stage == "at risk":
        if purchases == 1:
            rule, limit = "at_risk_once", in_days(rules.new_for)
        elif alive < rules.at_risk_below:
            rule, limit = "at_risk_alive", rules.at_risk_below
        else:
            rule, limit = "at_risk_silent", rules.at_risk_above
    return Reason(rule, {**numbers, "limit": limit})
