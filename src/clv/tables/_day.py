"""Calendar days as whole numbers: 1970-01-01 is 0."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

import numpy as np

from clv.errors import DataError

_EPOCH = date(1970, 1, 1).toordinal()
_DIGITS = str.maketrans("۰۱۲۳۴۵۶۷۸۹٠١٢٣٤٥٦٧٨٩", "01234567890123456789")


def day_number(day: date) -> int:
    """Days since 1970-01-01."""
    return day.toordinal() - _EPOCH


def from_day_number(number: int) -> date:
    """The inverse of `day_number`."""
    return date.fromordinal(number + _EPOCH)


def parse_day(value: Any, what: str, calendar: str = "gregorian") -> date:
    """Read a day that a user has typed.

    Parameters
    ----------
    value
        A date, datetime or pandas Timestamp, a numpy datetime64, or a text such as
        "1998-06-30"; a text is a Jalali date when `calendar` is "jalali".
    what
        Name of the argument, for the message.

    Raises
    ------
    DataError
        If it cannot be read as a day.

    Examples
    --------
    >>> parse_day("1998-06-30", "observation_period_end")
    datetime.date(1998, 6, 30)
    """
    if isinstance(value, np.datetime64):
        value = value.astype("datetime64[D]").item()
    if isinstance(value, datetime):
        # pandas' NaT is a datetime that is not equal to itself.
        value = value.date() if value == value else None
    if isinstance(value, date):
        return value
    if isinstance(value, str):
        text = value.strip().translate(_DIGITS).replace("/", "-")
        try:
            return _jalali(text) if calendar == "jalali" else datetime.fromisoformat(text).date()
        except ValueError as error:
            raise DataError(
                f"{what} {value!r} is no {calendar.title()} date; write year-month-day, such as "
                + ("'1403-06-31'" if calendar == "jalali" else "'1998-06-30'")
            ) from error
    raise DataError(
        f"{what} must be a date or a text such as '1998-06-30', not {value!r} "
        f"({type(value).__name__})"
    )


def jalali_text(day: date) -> str:
    """A day of the Iranian calendar as year/month/day.

    Examples
    --------
    >>> jalali_text(date(2025, 6, 30))
    '1404/04/09'
    """
    found = _jalali_date()(day)
    return f"{found.year:04d}/{found.month:02d}/{found.day:02d}"


def _jalali(text: str) -> date:
    from clv.tables._calendars import JALALI_YEARS

    year, month, day = (int(part) for part in text.split(" ")[0].split("T")[0].split("-"))
    if not JALALI_YEARS[0] <= year <= JALALI_YEARS[1]:  # such as a Gregorian 2025-06-30
        raise ValueError
    gregorian: date = _jalali_date()(year, month, day).to_gregorian()
    return gregorian


def _jalali_date() -> Any:
    try:
        from persiantools.jdatetime import JalaliDate
    except ImportError as error:
        raise DataError(
            "Jalali dates need persiantools; install it with: pip install 'predictive-clv[persian]'"
        ) from error
    return JalaliDate
