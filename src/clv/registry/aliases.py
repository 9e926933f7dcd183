"""Which version is in use, which one waits, and how that came about."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from datetime import date
from typing import Any, Literal

from clv.errors import RegistryError

Action = Literal["register", "promote", "rollback"]

#: The names under which a version may be asked for.
ALIASES = ("champion", "challenger", "previous")


@dataclass(frozen=True)
class Change:
    """One line of the history.

    Attributes
    ----------
    action
        "register" (a new version), "promote" (it is in use now), or "rollback" (the one before it
        is in use again).
    version
        Which the action is about; of a rollback, the one that was taken out of use.
    champion
        In use afterwards.
    as_of
        Day up to which the version knows customers.
    at
        When it happened.
    by
        "gate" or "user".
    reason
        In words.
    """

    action: Action
    version: str
    champion: str | None
    as_of: str
    at: str
    by: str
    reason: str


@dataclass(frozen=True)
class Aliases:
    """The content of ``aliases.json``."""

    history: tuple[Change, ...] = ()

    @property
    def _in_use(self) -> tuple[str, ...]:
        """Versions by when they were put into use; the last is the champion."""
        stack: list[str] = []
        for change in self.history:
            if change.action == "promote":
                stack.append(change.version)
            elif change.action == "rollback":
                stack.pop()
        return tuple(stack)

    @property
    def champion(self) -> str | None:
        """The version in use."""
        return self._in_use[-1] if self._in_use else None

    @property
    def previous(self) -> str | None:
        """The version that a rollback puts back into use."""
        return self._in_use[-2] if len(self._in_use) > 1 else None

    @property
    def challenger(self) -> str | None:
        """The newest version, if it is not in use."""
        newest = [change.version for change in self.history if change.action == "register"]
        return newest[-1] if newest and newest[-1] != self.champion else None

    @property
    def withdrawn(self) -> frozenset[str]:
        """Versions that were rolled back and not put into use again since."""
        out: set[str] = set()
        for change in self.history:
            if change.action == "rollback":
                out.add(change.version)
            elif change.action == "promote":
                out.discard(change.version)
        return frozenset(out)

    def champion_before(self, day: date) -> str | None:
        """The version that was in use before anything of this day or later was promoted."""
        then = [change for change in self.history if date.fromisoformat(change.as_of) < day]
        return Aliases(tuple(then)).champion if then else None

    def latest_champion_day(self) -> date | None:
        """The last day that any version known when put into use."""
        days = [
            date.fromisoformat(change.as_of)
            for change in self.history
            if change.action == "promote"
        ]
        return max(days, default=None)

    def with_change(self, change: Change) -> Aliases:
        """The same and one line more."""
        return replace(self, history=(*self.history, change))

    def to_dict(self) -> dict[str, Any]:
        """As it is written: the aliases for people, the history for us."""
        return {
            "format": 1,
            **{name: getattr(self, name) for name in ALIASES},
            "history": [asdict(change) for change in self.history],
        }

    @classmethod
    def from_dict(cls, record: dict[str, Any]) -> Aliases:
        """Read it back."""
        if record.get("format") != 1:
            raise RegistryError(
                f"aliases.json is in format {record.get('format')!r} and this version reads 1; "
                "update predictive-clv"
            )
        return cls(tuple(Change(**change) for change in record["history"]))
