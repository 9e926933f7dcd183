"""Dates of every kind, turned into day numbers.

A text is read as year, month, day when it begins with a four-digit year (1997-01-31, 1997/1/31,
1997.01.31, 19970131), with or without a time and a zone offset behind it. Any other order is
ambiguous, so it is only read when `date_format` says what it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import narwhals as nw

from clv.errors import DataError
from clv.tables._calendars import DAY_ZERO, Calendar, offset_minutes
from clv.tables._columns import MISSING_WORDS, PREFIX, Column, Problem, Steps, folded, trimmed

DATE_TEXT = f"{PREFIX}date_text"
LOCAL = f"{PREFIX}date_local"
WHOLE = f"{PREFIX}date_whole"
_RIGHT, _SAFE = f"{PREFIX}date_right", f"{PREFIX}date_safe"
_YEAR, _MONTH, _DAY = (f"{PREFIX}date_{part}" for part in ("year", "month", "day"))
_NUMBER = f"{PREFIX}date_number"
_TIME, _ZONE, _UTC, _LOCAL = (f"{PREFIX}date_{part}" for part in ("time", "zone", "utc", "there"))

TIME = r"(?:[01]?[0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:[.,][0-9]+)?)?"
OFFSET = r"(?:[Zz]|UTC|GMT|[+-][0-9]{2}(?::?[0-9]{2})?)"
_BEHIND = rf"(?:[T ] *{TIME}(?: ?(?:[AaPp][Mm]|{OFFSET}))?)?$"
_YEAR_FIRST = r"^[0-9]{4}(?:[-/.][0-9]{1,2}[-/.][0-9]{1,2}|[0-9]{4})" + _BEHIND
_OTHER_ORDER = r"^[0-9]{1,2}[-/. ][0-9]{1,2}[-/. ](?:[0-9]{4}|[0-9]{2})(?:[^0-9].*)?$"
_TWO_DIGITS_EACH = r"^[0-9]{4}[-/.][0-9]{2}[-/.][0-9]{2}"
_SEPARATORS = ("-", "/", ".")
_ZONED = rf":[0-9.,]+ ?{OFFSET}$"


# ---- columns that already hold dates


def native_date(column: str, name: str) -> Column:
    """Read a date or datetime column: the calendar day as it stands there."""
    year = nw.col(column).dt.year()
    before = nw.col(_YEAR) - 1
    ordinal_day = nw.col(column).dt.ordinal_day()
    number = before * 365 + before // 4 - before // 100 + before // 400 + ordinal_day - DAY_ZERO
    return Column(
        value=number,
        dtype=nw.Int64,
        steps=({_YEAR: year},),
        problems=(
            (nw.col(column).is_null(), f"{name} is missing"),
            ((nw.col(_YEAR) < 1800) | (nw.col(_YEAR) > 2199), _implausible(name, 1800, 2199)),
        ),
    )


# ---- texts


@dataclass(frozen=True)
class _Parts:
    """What to read off a text.

    `right` says whether it can be read; `safe` is it, or another text that can; the numbers are
    cut out of `safe`. Minutes since midnight and zone offset are only needed to change zones.
    """

    right: nw.Expr
    safe: nw.Expr
    year: nw.Expr
    month: nw.Expr
    day: nw.Expr
    minutes: nw.Expr
    zone: nw.Expr


def text_date(
    column: str,
    name: str,
    calendar: Calendar,
    *,
    date_format: str | None,
    timezone: str | None,
    ascii_only: bool,
) -> Column:
    """Read a text column (or numbers written as text).

    Parameters
    ----------
    column, name
        The column to read, and what to call it in reasons.
    date_format
        A strptime format; None for year-month-day and eight digits.
    timezone
        Where to bring texts that have a zone offset; None leaves their day as it is written.
    ascii_only
        Whether the column is known to hold ASCII only.
    """
    first: Steps = ({DATE_TEXT: trimmed(column)},)
    if not ascii_only:
        first += ({DATE_TEXT: folded(DATE_TEXT)},)
    text = nw.col(DATE_TEXT)
    parts = _year_first(text) if date_format is None else _by_format(text, date_format)
    exists = _exists(calendar)
    number = calendar.day_number(nw.col(_YEAR), nw.col(_MONTH), nw.col(_DAY))
    steps: Steps = (
        *first,
        {_RIGHT: parts.right},
        {_SAFE: parts.safe},
        {_YEAR: parts.year, _MONTH: parts.month, _DAY: parts.day},
        {_NUMBER: number},
    )
    if timezone is not None:
        steps += _in_zone(parts, timezone)
    return Column(
        value=nw.col(_NUMBER),
        dtype=nw.Int64,
        steps=steps,
        problems=(
            (~nw.col(_RIGHT) & text.is_in(MISSING_WORDS), f"{name} is missing"),
            *_unread(text, name, date_format),
            (
                (nw.col(_YEAR) < calendar.first_year) | (nw.col(_YEAR) > calendar.last_year),
                _implausible(name, calendar.first_year, calendar.last_year),
            ),
            (~exists, f"{name} is a day that does not exist"),
        ),
    )


def number_date(column: str, name: str, dated: Column) -> Column:
    """Let numbers with a fraction type be read as the text of a whole number (19970101.0)."""
    value = nw.col(column).cast(nw.Float64)
    strange = value.is_null() | value.is_nan() | (value > 1e9) | (value < 0)
    safe = nw.when(strange).then(nw.lit(0.5)).otherwise(value)
    whole = nw.when(safe == safe.round(0)).then(safe).otherwise(nw.lit(0.0)).cast(nw.Int64)
    missing = value.is_null() | value.is_nan()
    return Column(
        value=dated.value,
        dtype=dated.dtype,
        steps=({WHOLE: whole}, *dated.steps),
        problems=((missing, f"{name} is missing"), *dated.problems),
    )


def _unread(text: nw.Expr, name: str, date_format: str | None) -> Iterator[Problem]:
    if date_format is not None:
        yield ~nw.col(_RIGHT), f"{name} is not written as date_format={date_format!r}"
        return
    order = f"{name} may be day-month or month-day: say which with date_format="
    yield ~nw.col(_RIGHT) & text.str.contains(_OTHER_ORDER), order
    yield ~nw.col(_RIGHT), f"{name} cannot be read as a date"


def _implausible(name: str, first: int, last: int) -> str:
    return f"{name} lies outside the years {first} to {last}"


def _exists(calendar: Calendar) -> nw.Expr:
    year, month, day = nw.col(_YEAR), nw.col(_MONTH), nw.col(_DAY)
    in_year = (month >= 1) & (month <= 12)
    return in_year & (day >= 1) & (day <= calendar.month_length(year, month))


def _year_first(text: nw.Expr) -> _Parts:
    """Bring every text to two-digit months and days, and cut by position.

    Most texts are that way already; only the others are put together anew where an engine can
    choose.
    """
    regular = nw.when(text.str.contains(_TWO_DIGITS_EACH)).then(text).otherwise(_rewritten(text))
    safe = nw.col(_SAFE)
    time = text.str.replace_all(r"^[^T ]+[T ]? *", "")
    return _Parts(
        right=text.str.contains(_YEAR_FIRST),
        safe=nw.when(nw.col(_RIGHT)).then(regular).otherwise(nw.lit("1970-01-01")),
        year=safe.str.slice(0, 4).cast(nw.Int64),
        month=safe.str.slice(5, 2).cast(nw.Int64),
        day=safe.str.slice(8, 2).cast(nw.Int64),
        minutes=_clock_minutes(time),
        zone=time.str.replace_all(r"^[0-9:.,]* ?(?:[AaPp][Mm])?", ""),
    )


def _rewritten(text: nw.Expr) -> nw.Expr:
    """Write 19970105, 1997/1/5 and the like as 1997-01-05, looking where the separators are."""
    month = nw.when(_at(text, 6).is_in(_SEPARATORS)).then(_at(text, 5)).otherwise(_at(text, 5, 2))
    rest = nw.when(_at(text, 6).is_in(_SEPARATORS)).then(_at(text, 7, 2)).otherwise(_at(text, 8, 2))
    day = nw.when(rest.str.contains("^[0-9]{2}")).then(rest).otherwise(rest.str.slice(0, 1))
    parts = (_at(text, 0, 4), month.str.zfill(2), day.str.zfill(2))
    compact = (_at(text, 0, 4), _at(text, 4, 2), _at(text, 6, 2))
    return (
        nw.when(_at(text, 4).is_in(_SEPARATORS))
        .then(nw.concat_str(*parts, separator="-"))
        .otherwise(nw.concat_str(*compact, separator="-"))
    )


def _at(text: nw.Expr, position: int, length: int = 1) -> nw.Expr:
    return text.str.slice(position, length)


def _clock_minutes(time: nw.Expr) -> nw.Expr:
    """Minutes since midnight of a text that begins with hours and minutes, or is empty."""
    hours = _digits(time.str.replace_all(r":.*$", ""))
    minutes = _digits(time.str.replace_all(r"^[0-9]+:", "").str.slice(0, 2))
    return hours * 60 + minutes


def _digits(text: nw.Expr) -> nw.Expr:
    return (
        nw.when(text.str.contains("^[0-9]{1,9}$")).then(text).otherwise(nw.lit("0")).cast(nw.Int64)
    )


def _in_zone(parts: _Parts, timezone: str) -> Steps:
    """Bring the moments that have a zone offset into `timezone`; leave the others."""
    zone = nw.col(_ZONE)
    digits = zone.str.replace_all("[^0-9]", "")
    ahead = _digits(digits.str.slice(0, 2)) * 60 + _digits(digits.str.slice(2, 2))
    signed = nw.when(zone.str.starts_with("-")).then(-1 * ahead).otherwise(ahead)
    local = nw.col(_UTC) + offset_minutes(nw.col(_UTC), timezone)
    kept = nw.when(zone == "").then(nw.col(_NUMBER)).otherwise(nw.col(_LOCAL) // 1440)
    return (
        {_TIME: parts.minutes, _ZONE: parts.zone},
        {_UTC: nw.col(_NUMBER) * 1440 + nw.col(_TIME) - signed},
        {_LOCAL: local},
        {_NUMBER: kept},
    )


def has_zone(column: str, date_format: str | None) -> nw.Expr:
    """Return whether a text has a zone offset."""
    if date_format is not None:
        return nw.lit("%z" in date_format) & ~nw.col(column).is_null()
    return nw.col(column).cast(nw.String).str.contains(_ZONED)


# ---- texts in a stated format

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_NAMES = "(?i:" + "|".join(_MONTHS) + ")"
_LONG_NAMES = (
    "(?i:january|february|march|april|may|june|july|august|september|october|november|december)"
)
_DIRECTIVES = {
    "Y": "[0-9]{4}",
    "y": "[0-9]{2}",
    "m": "(?:0?[1-9]|1[0-2])",
    "d": "(?:0?[1-9]|[12][0-9]|3[01])",
    "b": _NAMES,
    "B": _LONG_NAMES,
    "a": "[A-Za-z]{2,4}",
    "A": "[A-Za-z]+",
    "H": "(?:[01]?[0-9]|2[0-3])",
    "I": "(?:0?[1-9]|1[0-2])",
    "M": "[0-5]?[0-9]",
    "S": "(?:[0-5]?[0-9]|60)",
    "f": "[0-9]{1,9}",
    "p": "[AaPp]\\.?[Mm]\\.?",
    "z": OFFSET,
    "Z": "[A-Za-z_/]+",
}
_TWO_DIGITS = frozenset("ymdHIMS")
_DIGITS_ONLY = _TWO_DIGITS | {"Y", "f"}
_SPECIAL = re.compile(r"([.^$*+?()\[\]{}|\\])")


def _by_format(text: nw.Expr, date_format: str) -> _Parts:
    """Cut each part out by removing what is before and what is behind it."""
    pieces = list(_pieces(date_format))
    patterns = [pattern for _, pattern in pieces]
    safe = nw.col(_SAFE)

    def part(directive: str) -> nw.Expr | None:
        at = next((at for at, piece in enumerate(pieces) if piece[0] == directive), None)
        if at is None:
            return None
        ahead, behind = "".join(patterns[:at]), "".join(patterns[at + 1 :])
        rest = safe.str.replace_all(f"^{ahead}", "") if ahead else safe
        return rest.str.replace_all(f"{behind}$", "") if behind else rest

    def number(directive: str) -> nw.Expr | None:
        found = part(directive)
        return None if found is None else _digits(found)

    year, short = number("Y"), number("y")
    if year is None and short is not None:
        year = nw.when(short < 69).then(short + 2000).otherwise(short + 1900)
    month = number("m")
    name = part("b")
    name = part("B") if name is None else name
    if month is None and name is not None:
        month = _month_of_name(name)
    assert year is not None
    assert month is not None
    day, zone = number("d"), part("z")
    return _Parts(
        right=text.str.contains("^" + "".join(patterns) + "$"),
        safe=nw.when(nw.col(_RIGHT)).then(text).otherwise(nw.lit(_example(date_format))),
        year=year,
        month=month,
        day=nw.lit(1) if day is None else day,
        minutes=_format_minutes(number("H"), number("I"), number("M"), part("p")),
        zone=nw.lit("") if zone is None else zone,
    )


def _pieces(date_format: str) -> Iterator[tuple[str, str]]:
    """Directives and literal texts of a format, with the pattern of each."""
    found = re.findall(r"%-?(.)|([^%]+)|%$", date_format)
    letters = [letter for letter, _ in found if letter]
    unknown = [letter for letter in letters if letter not in _DIRECTIVES and letter != "%"]
    if unknown:
        known = " ".join(f"%{letter}" for letter in _DIRECTIVES)
        raise DataError(
            f"date_format has %{unknown[0]}, which is not understood; known are {known}"
        )
    if not ({"Y", "y"} & set(letters) and {"m", "b", "B"} & set(letters)):
        raise DataError(f"date_format={date_format!r} must have a year (%Y) and a month (%m)")
    repeated = next((letter for letter in letters if letters.count(letter) > 1), None)
    if repeated is not None and repeated != "%":
        raise DataError(f"date_format={date_format!r} has %{repeated} more than once")
    for at, (letter, literal) in enumerate(found):
        if literal or letter == "%":
            yield "", _SPECIAL.sub(r"\\\1", literal or "%").replace(" ", " +")
            continue
        around = {other for other, _ in (*found[max(at - 1, 0) : at], *found[at + 1 : at + 2])}
        touching = letter in _TWO_DIGITS and not around.isdisjoint(_DIGITS_ONLY)
        yield letter, "[0-9]{2}" if touching else _DIRECTIVES[letter]


def _example(date_format: str) -> str:
    """Return a text that the format surely reads."""
    return datetime(2000, 12, 20, 10, 10, 10).strftime(date_format.replace("%z", "+0000"))


def _month_of_name(name: nw.Expr) -> nw.Expr:
    beginning = name.str.to_lowercase().str.slice(0, 3)
    return nw.sum_horizontal(
        *((beginning == month).cast(nw.Int64) * at for at, month in enumerate(_MONTHS, start=1))
    )


def _format_minutes(
    hour: nw.Expr | None, hour12: nw.Expr | None, minute: nw.Expr | None, half: nw.Expr | None
) -> nw.Expr:
    if hour is None and hour12 is not None and half is not None:
        afternoon = half.str.to_lowercase().str.starts_with("p").cast(nw.Int64)
        hour = hour12 - (hour12 // 12) * 12 + 12 * afternoon
    total: nw.Expr = nw.lit(0)
    for value, factor in ((hour, 60), (minute, 1)):
        total = total if value is None else total + value * factor
    return total
