"""What one column becomes: steps, a value, and the reasons for which a row is unusable.

Everything here is an expression, so that one description of the work serves every engine, lazy
or not. Expressions are given in steps, each a set of named columns built from earlier ones, so
that engines without a query optimiser compute nothing twice.

Two habits avoid most differences between engines: a missing text becomes "" before anything is
done with it, and a value that cannot be read is replaced by one that can before it is cast.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import reduce

import narwhals as nw

PREFIX = "_clv_"

INVISIBLE = (
    " \t\r\n\x0b\x0c\x1c\x1d\x1e\x1f\x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006"
    "\u2007\u2008\u2009\u200a\u200b\u200c\u200d\u200e\u200f\u2028\u2029\u202f\u205f\u2060\u3000"
    "\u061c\ufeff"
)
"""White space and marks that cannot be seen, trimmed from both ends of every text."""

MISSING_WORDS = (
    "",
    *("NULL", "null", "Null", "NaN", "nan", "NAN", "None", "none", "NONE", "NaT", "nat"),
    *("NA", "N/A", "n/a", "#N/A", "<NA>", "\\N"),
)
"""How exports write a missing value."""

Steps = tuple[dict[str, nw.Expr], ...]
Problem = tuple[nw.Expr, str]


@dataclass(frozen=True)
class Column:
    """What a column becomes.

    Attributes
    ----------
    value
        The value, in terms of the source's columns and of those that `steps` make. It means
        something only where no problem applies, and is to be cast to `dtype` only there.
    steps
        Columns to make first, set after set.
    problems
        Condition and reason; the first that holds is the reason why a row is rejected.
    """

    value: nw.Expr
    dtype: type[nw.Int64 | nw.Float64] | None
    steps: Steps = ()
    problems: tuple[Problem, ...] = field(default=())


def merge_steps(columns: Sequence[Column]) -> Steps:
    """Make the steps of several columns side by side."""
    depth = max(len(column.steps) for column in columns)
    return tuple(
        {
            name: expression
            for column in columns
            for name, expression in (
                column.steps[level] if level < len(column.steps) else {}
            ).items()
        }
        for level in range(depth)
    )


def first_problem(problems: Sequence[Problem]) -> nw.Expr:
    """Return the number, from 1, of the first problem that holds, or 0."""
    code: nw.Expr = nw.lit(0)
    for number, (condition, _) in reversed(list(enumerate(problems, start=1))):
        code = nw.when(condition).then(nw.lit(number)).otherwise(code)
    return code


def trimmed(column: str) -> nw.Expr:
    """Return a text without invisible characters at its ends, and "" where it is missing.

    Stripping is slow in DuckDB, so only what needs it is stripped where an engine can choose.
    """
    text = nw.col(column).cast(nw.String).fill_null("")
    stripped = text.str.strip_chars(INVISIBLE)
    return nw.when(text.str.contains(_FRAYED)).then(stripped).otherwise(text)


def is_plain(column: str) -> nw.Expr:
    """Return whether a text is visible ASCII throughout, and not a word for a missing value."""
    text = nw.col(column).cast(nw.String)
    return text.str.contains("^[!-~]+$") & ~text.is_in(MISSING_WORDS)


def folded(text: str, *, decimal: str = ".") -> nw.Expr:
    """Write Persian and Arabic-Indic digits, separators and the minus sign in ASCII.

    Only texts that hold other characters than ASCII are worked on where an engine can choose.
    """
    thousands = "," if decimal == "." else "."
    pairs = [
        (f"[{persian}{arabic}]", str(digit)) for digit, (persian, arabic) in enumerate(_DIGITS)
    ]
    pairs += [("\u066b", decimal), ("\u066c", thousands), ("\u2212", "-"), ("\u060d", "/")]
    pairs += [("[\u200e\u200f\u061c]", "")]
    ascii_text = reduce(
        lambda done, pair: done.str.replace_all(pair[0], pair[1]), pairs, nw.col(text)
    )
    return nw.when(nw.col(text).str.contains(NOT_ASCII)).then(ascii_text).otherwise(nw.col(text))


NOT_ASCII = "[^\x01-\x7f]"
_FRAYED = "^[^!-~]|[^!-~]$"
_DIGITS = tuple(zip("۰۱۲۳۴۵۶۷۸۹", "٠١٢٣٤٥٦٧٨٩", strict=True))


def reached(value: nw.Expr, changes: Sequence[tuple[int, int]]) -> nw.Expr:
    """Add up the changes whose position a value has reached: a step function without a join."""
    return nw.sum_horizontal(
        *((value >= position).cast(nw.Int64) * change for position, change in changes)
    )
