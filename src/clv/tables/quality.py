"""What a reading found: how many rows could be used, and why the others could not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from html import escape


def _nobody() -> int:
    return 0


@dataclass(frozen=True)
class Quality:
    """The account of a reading; ``rows == used + rejected``, always.

    Attributes
    ----------
    rows, used, rejected
        Rows in the source, rows that can be used, rows that cannot.
    reasons
        Rejected rows per reason, most frequent first.
    first_day, last_day
        First and last calendar day of the rows used.
    refund_rows, zero_rows
        Rows used whose amount is negative, or exactly zero.
    notes
        Decisions worth knowing, in words (time zone, trimmed ids, ...).
    """

    rows: int
    used: int
    rejected: int
    reasons: Mapping[str, int] = field(default_factory=dict)
    first_day: date | None = None
    last_day: date | None = None
    refund_rows: int = 0
    zero_rows: int = 0
    notes: tuple[str, ...] = ()
    count_customers: Callable[[], int] = field(default=_nobody, repr=False, compare=False)

    @cached_property
    def customers(self) -> int:
        """Distinct customers among the rows used (counted when first asked for)."""
        return self.count_customers()

    def items(self) -> list[tuple[str, str]]:
        """Label and value of every line that is shown."""
        lines = [
            ("rows", f"{self.rows:,}"),
            ("used", f"{self.used:,}"),
            ("rejected", f"{self.rejected:,}"),
        ]
        lines += [(f"  {reason}", f"{count:,}") for reason, count in self.reasons.items()]
        lines += [
            ("customers", f"{self.customers:,}"),
            ("first day", str(self.first_day)),
            ("last day", str(self.last_day)),
            ("refund rows", f"{self.refund_rows:,}"),
            ("rows at zero", f"{self.zero_rows:,}"),
        ]
        return lines

    def __str__(self) -> str:
        items = self.items()
        width = max(len(label) for label, _ in items)
        table = [f"{label:<{width}}  {value:>10}" for label, value in items]
        return "\n".join(["Quality", *table, *(f"note: {note}" for note in self.notes)])

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th style='text-align:left;white-space:pre'>{escape(label)}</th>"
            f"<td style='text-align:right'>{escape(value)}</td></tr>"
            for label, value in self.items()
        )
        notes = "".join(f"<li>{escape(note)}</li>" for note in self.notes)
        return f"<table>{rows}</table>" + (f"<ul>{notes}</ul>" if notes else "")
