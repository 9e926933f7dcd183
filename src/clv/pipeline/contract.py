"""The data contract: what must hold of tonight's data before anything is made of them.

Rules of the first kind look at tonight's data alone. Those named ``history_...`` look at the past
as it was told on an earlier night and as it is told tonight, which must be the same but for rows
that came late: whatever rewrites it (dates shuffled, rows lost or doubled, another currency,
other ids) is seen there, however customers may have changed since.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from clv.errors import DataError
from clv.pipeline.configuration import ContractSection
from clv.pipeline.data import Night, Window
from clv.pipeline.profile import FIGURES, Profile, ks_distance, stability_index
from clv.pipeline.rules import Bound, Rule
from clv.registry import Version

#: A stretch of days with fewer rows than this says nothing about the usual volume.
_FEWEST_ROWS = 30
#: Stretches of days that what is usual is taken from, and the fewest of them.
_WINDOWS = 6
_FEWEST_WINDOWS = 3


def contract_rules(
    night: Night, section: ContractSection, earlier: Version | None, today: dt.date
) -> list[Rule]:
    """All rules of the contract as applied to a night.

    Parameters
    ----------
    night
        Tonight's data.
    section
        Thresholds.
    earlier
        The newest version of an earlier night, or of the same one; None on the first.
    today
        By the clock: later rows are of the future.
    """
    quality = night.transactions.quality

    def rule(
        name: str, value: float, threshold: float, text: str, bound: Bound = "at most"
    ) -> Rule:
        return Rule(name, "contract", value, bound, threshold, text)

    missing = (night.as_of - night.last_day).days
    rules = [
        rule(
            "rejected_rows",
            quality.rejected / max(1, quality.rows),
            section.max_rejected,
            f"{quality.rejected:,} of {quality.rows:,} rows cannot be used",
        ),
        rule(
            "days_missing",
            missing,
            section.max_days_missing,
            f"the last row is of {night.last_day}, {missing} days before {night.as_of}",
        ),
        rule(
            "customers",
            len(night.full),
            section.min_customers,
            f"{len(night.full):,} customers bought up to {night.as_of}",
            "at least",
        ),
        rule(
            "customer_share",
            night.largest_customer_share,
            section.max_customer_share,
            "share of the rows that one single customer has",
        ),
        rule(
            "duplicates",
            night.repeated_share,
            section.max_duplicates,
            "share of the rows that repeat another (same customer, day and amount)",
        ),
        rule(
            "future_rows",
            night.share_after(today + dt.timedelta(days=1)),
            section.max_future,
            f"share of the rows that are dated after today, {today}",
        ),
    ]
    rules += _volume(night, section)
    return rules + _history(night, section, earlier)


# --- volume and amounts --------------------------------------------------------------------------


def _volume(night: Night, section: ContractSection) -> list[Rule]:
    """The last days against the same number of days before them, several times over."""
    days = section.recent_days
    step = dt.timedelta(days=days)
    before = [
        night.window(night.as_of - k * step, days)
        for k in range(1, _WINDOWS + 1)
        if night.as_of - (k + 1) * step >= night.first_day - dt.timedelta(days=1)
    ]
    recent = night.window(night.as_of, days)
    usual = {
        name: float(np.median([getattr(window, name) for window in before])) if before else 0.0
        for name in Window.__dataclass_fields__
    }
    known = len(before) >= _FEWEST_WINDOWS and usual["rows"] >= _FEWEST_ROWS
    why = "" if known else f"fewer than {_FEWEST_WINDOWS} stretches of {days} days before to go by"

    def ratio(name: str) -> float | None:
        if not known or usual[name] <= 0:
            return None
        return float(getattr(recent, name) / usual[name])

    def rule(name: str, value: float | None, bound: Bound, threshold: float, text: str) -> Rule:
        return Rule(name, "contract", value, bound, threshold, why or text)

    volume = ratio("rows")
    said = f"rows of the last {days} days over the usual number ({usual['rows']:,.0f})"
    limit = section.max_amount_ratio
    rules = [
        rule("volume_low", volume, "at least", section.min_volume, said),
        rule("volume_high", volume, "at most", section.max_volume, said),
        _thinned(volume, recent, before, usual, section),
    ]
    for name in ("median_amount", "mean_amount"):
        value = ratio(name)
        apart = None if value is None or value <= 0 else math.exp(abs(math.log(value)))
        text = f"{name.replace('_', ' ')} of the last {days} days over the usual or the reverse"
        rules.append(rule(name, apart, "at most", limit * (1 if "median" in name else 2), text))
    return rules


def _thinned(
    volume: float | None,
    recent: Window,
    before: list[Window],
    usual: dict[str, float],
    section: ContractSection,
) -> Rule:
    """Whether there are fewer rows because rows are missing, or because customers buy less.

    Customers who buy less still put as much into a basket, and as many new ones come; a file that
    lacks rows here and there lacks parts of baskets and new customers, too.
    """

    def rule(value: float | None, text: str) -> Rule:
        return Rule("rows_thinned", "contract", value, "at least", section.min_not_thinned, text)

    if volume is None or volume >= section.suspicious_volume:
        return rule(None, "the number of rows is not suspiciously low")
    baskets = float(np.median([w.rows / max(1, w.new + w.repeat) for w in before]))
    basket = recent.rows / max(1, recent.new + recent.repeat) / baskets
    known = usual["new"] >= _FEWEST_ROWS
    new = min(1.0, recent.new / usual["new"]) if known else 1.0
    return rule(
        basket * new,
        f"{volume:.0%} of the usual rows; rows per purchase ({basket:.0%} of the usual)"
        + (f" times new customers ({new:.0%})" if known else ""),
    )


# --- the past, told again ------------------------------------------------------------------------


def _history(night: Night, section: ContractSection, earlier: Version | None) -> list[Rule]:
    names = ("customers", "purchases", "value")
    if earlier is None or earlier.manifest["data"]["time_unit"] != night.time_unit:
        why = "no earlier night to compare with"
        return [
            Rule(f"history_{name}", "contract", None, "at most", section.max_history_change, why)
            for name in names
        ]
    told = Profile.from_dict(earlier.profile["full"])
    since = f"up to {earlier.as_of}, as told then and now"
    try:
        again = Profile.of(night.table(earlier.as_of), like=told)
    except DataError as error:
        text = f"nothing is known of the time {since} ({error})"
        return [Rule("history_customers", "contract", 1.0, "at most", 0.0, text)]

    def change(name: str) -> float:
        before, after = getattr(told, name), getattr(again, name)
        return float(abs(after - before) / abs(before)) if before else float(after != 0)

    rules = [
        Rule(
            f"history_{name}",
            "contract",
            change(name),
            "at most",
            section.max_history_change,
            f"change of the {name} {since}: {getattr(told, name):,.0f} and "
            f"{getattr(again, name):,.0f}",
        )
        for name in names
    ]
    measures: tuple[tuple[str, Callable[[Any, Any], float], float], ...] = (
        ("psi", stability_index, section.max_history_psi),
        ("ks", ks_distance, section.max_history_ks),
    )
    for figure in FIGURES:
        for name, measure, threshold in measures:
            value = measure(told.histograms[figure], again.histograms[figure])
            text = f"{name.upper()} of {figure} {since}"
            rules.append(
                Rule(f"history_{name}_{figure}", "contract", value, "at most", threshold, text)
            )
    return rules
