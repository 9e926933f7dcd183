"""Calendars and time zones as integer arithmetic on columns.

Day numbers count from 1970-01-01 (day 0). No engine's own durations, time zones or calendars are
used: they differ, and some engines lack them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Literal
from zoneinfo import ZoneInfo

import narwhals as nw

from clv.errors import DataError
from clv.tables._columns import reached

CalendarName = Literal["gregorian", "jalali"]

DAY_ZERO = 719163
"""``date(1970, 1, 1).toordinal()``."""


@dataclass(frozen=True)
class Calendar:
    """A calendar, with the years in which a purchase can plausibly lie.

    The limits catch placeholders (year 1 or 9999), the other calendar, and numbers that are not
    dates. They also make eight digits unambiguous: no day-month-year reading of eight digits
    begins with a year in these limits and continues with a month.
    """

    name: CalendarName
    first_year: int
    last_year: int
    day_number: Callable[[nw.Expr, nw.Expr, nw.Expr], nw.Expr]
    month_length: Callable[[nw.Expr, nw.Expr], nw.Expr]


def calendar_named(name: str) -> Calendar:
    """Return a calendar by its name.

    Raises
    ------
    DataError
        If it is unknown, or needs a package that is not installed.
    """
    if name == "gregorian":
        return Calendar("gregorian", 1800, 2199, _gregorian_day, _gregorian_month_length)
    if name == "jalali":
        leap_years, origin = _jalali_table()
        return Calendar(
            "jalali",
            JALALI_YEARS[0],
            JALALI_YEARS[1],
            lambda year, month, day: _jalali_day(year, month, day, leap_years, origin),
            lambda year, month: _jalali_month_length(year, month, leap_years),
        )
    raise DataError(f"calendar {name!r} is not known; use 'gregorian' or 'jalali'")


# ---- Gregorian


def _gregorian_day(year: nw.Expr, month: nw.Expr, day: nw.Expr) -> nw.Expr:
    """Count days with the year beginning in March, so that the leap day comes last."""
    early = (month <= 2).cast(nw.Int64)
    year, month = year - early, month + 12 * early - 3
    return (
        year * 365 + year // 4 - year // 100 + year // 400 + (153 * month + 2) // 5 + day - 719469
    )


def _gregorian_month_length(year: nw.Expr, month: nw.Expr) -> nw.Expr:
    century = (year // 100 * 100 == year) & (year // 400 * 400 != year)
    leap = (year // 4 * 4 == year) & ~century
    short = nw.when(month.is_in([4, 6, 9, 11])).then(nw.lit(30)).otherwise(nw.lit(31))
    february = nw.when(leap).then(nw.lit(29)).otherwise(nw.lit(28))
    return nw.when(month == 2).then(february).otherwise(short)


# ---- Jalali (Solar Hijri)

JALALI_YEARS = (1200, 1499)


@lru_cache(maxsize=1)
def _jalali_table() -> tuple[list[int], int]:
    """Leap years within the limits, and the day number of the first day of the first year."""
    try:
        from persiantools.jdatetime import JalaliDate as jalali_date
    except ImportError as error:
        raise DataError(
            "calendar='jalali' needs the package persiantools; "
            'install it with: pip install "predictive-clv[persian]"'
        ) from error
    jalali: Any = jalali_date
    first, last = JALALI_YEARS
    leap_years = [year for year in range(first, last + 1) if jalali.is_leap(year)]
    return leap_years, jalali(first, 1, 1).to_gregorian().toordinal() - DAY_ZERO


def _jalali_day(
    year: nw.Expr, month: nw.Expr, day: nw.Expr, leap_years: list[int], origin: int
) -> nw.Expr:
    leap_days = reached(year, [(leap + 1, 1) for leap in leap_years])
    late = (month > 7).cast(nw.Int64) * (month - 7)
    return (year - JALALI_YEARS[0]) * 365 + leap_days + (month - 1) * 31 - late + day - 1 + origin


def _jalali_month_length(year: nw.Expr, month: nw.Expr, leap_years: list[int]) -> nw.Expr:
    last = nw.when(year.is_in(leap_years)).then(nw.lit(30)).otherwise(nw.lit(29))
    late = nw.when(month == 12).then(last).otherwise(nw.lit(30))
    return nw.when(month <= 6).then(nw.lit(31)).otherwise(late)


# ---- time zones

ZONE_YEARS = (1970, 2050)


def check_timezone(name: str) -> str:
    """Return `name` if it is a time zone.

    Raises
    ------
    DataError
        If it is not known.
    """
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise DataError(
            f"timezone {name!r} is not known; use a name such as 'Europe/London' or 'Asia/Tehran'"
        ) from error
    return name


def offset_minutes(utc_minute: nw.Expr, timezone: str) -> nw.Expr:
    """Return how far a zone is ahead of UTC at a moment (minutes since 1970-01-01, UTC)."""
    first, changes = _zone_changes(timezone)
    return reached(utc_minute, changes) + first if changes else utc_minute * 0 + first


@lru_cache(maxsize=16)
def _zone_changes(timezone: str) -> tuple[int, list[tuple[int, int]]]:
    """Offset at the beginning, and (minute, change) of every change after it."""
    zone = ZoneInfo(timezone)

    def offset(minute: int) -> int:
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(minutes=minute)
        shift = moment.astimezone(zone).utcoffset()
        assert shift is not None
        return round(shift.total_seconds() / 60)

    week = 7 * 1440
    start, end = ((datetime(year, 1, 1) - datetime(1970, 1, 1)).days * 1440 for year in ZONE_YEARS)
    changes = []
    for before in range(start, end, week):
        low, high = before, before + week
        if offset(low) == offset(high):
            continue
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if offset(middle) == offset(low) else (low, middle)
        changes.append((high, offset(high) - offset(before)))
    return offset(start), changes
