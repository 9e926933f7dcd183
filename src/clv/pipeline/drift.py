"""How tonight's customers differ from those that the champion learned from.

Both are looked at through a window of the same length, so that customers growing older is not
taken for a change.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from clv.pipeline.configuration import ContractSection, GateSection
from clv.pipeline.data import Night
from clv.pipeline.profile import FIGURES, Profile, ks_distance, stability_index
from clv.pipeline.rules import Rule
from clv.registry import Version

#: Figures that no change of behaviour moves as far as a broken file does.
_IMPOSSIBLE = ("frequency", "spend")

_LONGEST_WINDOW = 364
_SHORTEST_WINDOW = 28


def profile_record(night: Night, recent_days: int) -> dict[str, Any]:
    """What is kept of tonight's data to compare later nights with."""
    days = window_days(night)
    return {
        "window_days": days,
        "full": Profile.of(night.full).to_dict(),
        "window": Profile.of(night.window_table(days)).to_dict(),
        "new_share": new_share(night, recent_days),
    }


def window_days(night: Night) -> int:
    """Length of the window: a year, or half of what is known."""
    known = (night.as_of - night.first_day).days
    return max(_SHORTEST_WINDOW, min(_LONGEST_WINDOW, known // 2))


def new_share(night: Night, days: int) -> float:
    """Share of the customers who came in the last days."""
    return night.window(night.as_of, days).new / len(night.full)


def drift_rules(
    night: Night, gate: GateSection, contract: ContractSection, champion: Version | None
) -> list[Rule]:
    """PSI and KS of every figure, and the share of new customers, against the champion's data."""
    if champion is None or champion.manifest["data"]["time_unit"] != night.time_unit:
        return []
    kept = champion.profile
    then = Profile.from_dict(kept["window"])
    now = Profile.of(night.window_table(kept["window_days"]), like=then)
    since = f"of the last {kept['window_days']} days, against {champion.name}'s"
    measures: tuple[tuple[str, Callable[[Any, Any], float], float], ...] = (
        ("psi", stability_index, gate.psi),
        ("ks", ks_distance, gate.ks),
    )
    rules = []
    for figure in FIGURES:
        for name, measure, threshold in measures:
            value = measure(then.histograms[figure], now.histograms[figure])
            text = f"{name.upper()} of {figure} {since}"
            rules.append(Rule(f"{name}_{figure}", "drift", value, "at most", threshold, text))
            if name == "psi" and figure in _IMPOSSIBLE:
                limit = contract.max_drift_psi
                rules.append(
                    Rule(f"impossible_{name}_{figure}", "contract", value, "at most", limit, text)
                )
    before, after = kept["new_share"], new_share(night, contract.recent_days)
    factor = math.exp(abs(math.log(after / before))) if before > 0 and after > 0 else None
    rules.append(
        Rule(
            "new_customers",
            "drift",
            factor,
            "at most",
            gate.max_new_customer_factor,
            f"factor between the shares of new customers, {before:.1%} then and {after:.1%} now",
        )
    )
    return rules
