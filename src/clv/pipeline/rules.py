"""A rule: a number, the threshold it is held against, and whether it passed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

#: "contract": the data; broken, nothing is written. "quality": the challenger; broken, it is
#: refused. "champion": the model in use; broken, it is replaced by a challenger that is no worse.
#: "drift": worth a notice, decides nothing.
Group = Literal["contract", "quality", "champion", "drift"]
Bound = Literal["at most", "at least"]


@dataclass(frozen=True)
class Rule:
    """One rule as it was applied.

    Attributes
    ----------
    name, group
        What it looks at, and what follows if it is broken.
    value
        The number; None where there was nothing to apply it to, and `text` says why.
    bound, threshold
        What the number is held against.
    text
        In words, with whatever else is needed to understand it.
    interval
        Of the number, where it has one.
    """

    name: str
    group: Group
    value: float | None
    bound: Bound
    threshold: float
    text: str
    interval: tuple[float, float] | None = None
    #: decided elsewhere, where a comparison with the threshold is not all there is to it
    verdict: bool | None = None

    @property
    def passed(self) -> bool:
        """Whether it holds; a rule that does not apply holds."""
        if self.verdict is not None:
            return self.verdict
        if self.value is None:
            return True
        if math.isnan(self.value):
            return False
        if self.bound == "at most":
            return self.value <= self.threshold
        return self.value >= self.threshold

    @property
    def sentence(self) -> str:
        """For a person, in one line."""
        if self.value is None:
            return f"{self.name}: does not apply ({self.text})"
        state = "holds" if self.passed else "is broken"
        return (
            f"{self.name} {state}: {self.text}; {self.value:.4g}, {self.bound} {self.threshold:.4g}"
        )

    def to_dict(self) -> dict[str, Any]:
        """As it stands in the answer."""
        return {
            "rule": self.name,
            "group": self.group,
            "passed": self.passed,
            "applies": self.value is not None,
            "value": self.value,
            "bound": self.bound,
            "threshold": self.threshold,
            "interval": None if self.interval is None else list(self.interval),
            "text": self.text,
        }


def broken(rules: list[Rule], group: Group) -> list[Rule]:
    """Those of a group that do not hold."""
    return [rule for rule in rules if rule.group == group and not rule.passed]
