"""Small result tables: all rows shown, written as a person would, and ready for JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, Self

from clv.tables._frame import Table

_HEADINGS = {
    "label": "",
    "mean_absolute_error": "MAE",
    "mean_absolute_error_of_median": "of median",
    "root_mean_squared_error": "RMSE",
    "spearman": "Spearman",
    "spearman_tie_expected": "tie-expected",
    "normalised_gini": "Gini",
    "top_share_captured": "top captured",
    "captured_top_10": "top 10% captured",
    "crps": "CRPS",
    "log_score": "log score",
    "pit_coverage": "PIT coverage",
    "aic": "AIC",
}
_SHARES = frozenset(
    (
        "bias",
        "top_share_captured",
        "captured_top_10",
        "level",
        "coverage",
        "pit_coverage",
        "share_of_value",
    )
)
_RANKS = frozenset(("spearman", "spearman_tie_expected", "normalised_gini"))


@dataclass(frozen=True, repr=False, eq=False)
class ResultTable(Table):
    """A table of few rows.

    Attributes
    ----------
    title
        What it shows.
    hidden
        Columns that are there for programs and left out of what is shown to people.
    """

    title: str = ""
    hidden: tuple[str, ...] = ()

    @classmethod
    def of(cls, title: str, rows: Sequence[Mapping[str, Any]], *hidden: str) -> Self:
        """Turn rows that have the same keys into a table."""
        names = list(rows[0]) if rows else []
        columns = {name: [row[name] for row in rows] for name in names}
        return cls(**cls.parts(columns), title=title, hidden=hidden)

    def rows(self) -> list[dict[str, Any]]:
        """One dictionary per row."""
        names = self.columns
        lists = [self.values(name).tolist() for name in names]
        return [dict(zip(names, row, strict=True)) for row in zip(*lists, strict=True)]

    def row(self, **where: Any) -> dict[str, Any]:
        """The one row whose columns have these values.

        Raises
        ------
        KeyError
            If there is none, or more than one.
        """
        found = [row for row in self.rows() if all(row[k] == v for k, v in where.items())]
        if len(found) != 1:
            raise KeyError(f"{len(found)} rows of {self.title!r} have {where}")
        return found[0]

    def to_dict(self) -> list[dict[str, Any]]:
        """Rows in the types of JSON; what is undefined becomes None."""
        return [{name: plain(value) for name, value in row.items()} for row in self.rows()]

    def __repr__(self) -> str:
        names, cells = self._shown()
        grid = [_headings(names), *cells]
        widths = [max(map(len, column)) for column in zip(*grid, strict=True)]
        lines = [
            "  ".join(
                cell.ljust(width) if self._is_text(name) else cell.rjust(width)
                for name, cell, width in zip(names, line, widths, strict=True)
            ).rstrip()
            for line in grid
        ]
        rule = "-" * max(len(line) for line in [self.title, *lines])
        return "\n".join([self.title, rule, *lines])

    def _repr_html_(self) -> str:
        names, cells = self._shown()
        sides = ["left" if self._is_text(name) else "right" for name in names]

        def line(values: Sequence[str], tag: str) -> str:
            inner = "".join(
                f'<{tag} style="text-align:{side}">{escape(value)}</{tag}>'
                for value, side in zip(values, sides, strict=True)
            )
            return f"<tr>{inner}</tr>"

        body = "".join(line(values, "td") for values in cells)
        return (
            f'<table><caption style="text-align:left"><b>{escape(self.title)}</b></caption>'
            f"<thead>{line(_headings(names), 'th')}</thead><tbody>{body}</tbody></table>"
        )

    def _shown(self) -> tuple[list[str], list[list[str]]]:
        names = [name for name in self.columns if name not in self.hidden]
        return names, [[self._write(n, row[n]) for n in names] for row in self.rows()]

    def _is_text(self, name: str) -> bool:
        return self.values(name).dtype.kind in "UO"

    @staticmethod
    def _write(name: str, value: Any) -> str:
        if isinstance(value, str):
            return value
        if value is None or (isinstance(value, float) and math.isnan(value)):
            return "–"
        if isinstance(value, bool):
            return "yes" if value else "no"
        if hasattr(value, "isoformat"):
            return str(value.isoformat())
        if name in _SHARES:
            return f"{value:+.1%}" if name == "bias" else f"{value:.1%}"
        if name in _RANKS:
            return f"{value:.3f}"
        return number(value)


def _headings(names: Sequence[str]) -> list[str]:
    return [_HEADINGS.get(name, name.replace("_", " ")) for name in names]


def number(value: float) -> str:
    """Write a number as a reader wants it: thousands apart, four digits where it is small.

    Examples
    --------
    >>> number(70976.39), number(1882.0), number(30.4079), number(0.785512)
    ('70,976', '1,882', '30.41', '0.7855')
    """
    if float(value).is_integer() and abs(value) < 1e15:
        return f"{value:,.0f}"
    size = abs(value)
    decimals = 0 if size >= 10_000 else 1 if size >= 1_000 else 2 if size >= 10 else 4
    return f"{value:,.{decimals}f}"


def plain(value: Any) -> Any:
    """In a type of JSON.

    Examples
    --------
    >>> import numpy as np
    >>> plain(np.float64("nan")), plain(np.int64(3)), plain((1, "a"))
    (None, 3, [1, 'a'])
    """
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, (list, tuple)):
        return [plain(entry) for entry in value]
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if hasattr(value, "isoformat"):
        return value.isoformat()
    return value
