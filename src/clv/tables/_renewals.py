"""The days on which contracts come up for renewal."""

from __future__ import annotations

import numpy as np

from clv.tables.refunds import IntArray
from clv.units import TimeUnit

_DAYS = {"day": 1, "week": 7}
_MONTHS = {"month": 1, "year": 12}


def renewal_day(start: IntArray, number: IntArray, period: TimeUnit) -> IntArray:
    """The day (since 1970-01-01) of a renewal; 0 is the start itself.

    Months and years are the calendar's: the same day of the month, or its last day where there is
    none (a contract of 31 January renews on 28 or 29 February, then on 31 March).

    Examples
    --------
    >>> day = np.array(["2024-01-31"], "datetime64[D]").astype(int)
    >>> [str(renewal_day(day, np.array([n]), "month").astype("datetime64[D]")[0]) for n in (1, 2)]
    ['2024-02-29', '2024-03-31']
    """
    if period in _DAYS:
        return np.asarray(start + number * _DAYS[period])
    month = start.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)
    of_month = start - _first_day(month)
    target = month + number * _MONTHS[period]
    length = _first_day(target + 1) - _first_day(target)
    return np.asarray(_first_day(target) + np.minimum(of_month, length - 1))


def _first_day(month: IntArray) -> IntArray:
    """The day (since 1970-01-01) on which a month (since January 1970) begins."""
    return month.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)


def renewals_until(start: IntArray, day: IntArray, period: TimeUnit) -> IntArray:
    """How many renewals fall on days after the start, up to and including `day`.

    Examples
    --------
    >>> days = np.array(["2024-01-31", "2024-02-28", "2024-02-29"], "datetime64[D]").astype(int)
    >>> renewals_until(days[[0, 0]], days[1:], "month").tolist()
    [0, 1]
    """
    if period in _DAYS:
        number = (day - start) // _DAYS[period]
    else:
        months = [v.astype("datetime64[D]").astype("datetime64[M]") for v in (start, day)]
        number = (months[1] - months[0]).astype(np.int64) // _MONTHS[period]
        number = number - (renewal_day(start, number, period) > day)
    return np.asarray(np.maximum(number, 0))
