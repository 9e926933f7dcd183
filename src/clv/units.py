"""Time units and discount rates: the one place that knows how long a year is.

A year has 365.25 days and a month is a twelfth of it. A time unit only scales ages;
it never decides which purchases are merged.
"""

from __future__ import annotations

import math
import re
from typing import Literal, cast, get_args

from clv.errors import DataError

TimeUnit = Literal["day", "week", "month", "year"]

DAYS_PER_YEAR = 365.25

DAYS_PER_UNIT: dict[TimeUnit, float] = {
    "day": 1.0,
    "week": 7.0,
    "month": DAYS_PER_YEAR / 12,
    "year": DAYS_PER_YEAR,
}

_LENGTH = re.compile(r"\s*([0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*([A-Za-z]+)\s*")


def check_time_unit(name: str) -> TimeUnit:
    """Return `name` as a `TimeUnit`; plurals are understood.

    Raises
    ------
    DataError
        If it is none of "day", "week", "month", "year".

    Examples
    --------
    >>> check_time_unit("weeks")
    'week'
    """
    unit = str(name).strip().lower().removesuffix("s")
    if unit not in get_args(TimeUnit):
        raise DataError(
            f"time_unit {name!r} is not known; use one of 'day', 'week', 'month', 'year'"
        )
    return cast(TimeUnit, unit)


def parse_horizon(horizon: float | str, time_unit: TimeUnit, name: str = "horizon") -> float:
    """Turn a horizon into a number of `time_unit`.

    Parameters
    ----------
    horizon
        A number, taken to be in `time_unit`, or a text such as "52 weeks" or "1 year".
    time_unit
        The unit of the result.
    name
        What messages call it.

    Raises
    ------
    DataError
        If it cannot be read, or is not a positive finite length of time.

    Examples
    --------
    >>> parse_horizon("365.25 days", "year")
    1.0
    >>> parse_horizon(39, "week")
    39.0
    """
    if isinstance(horizon, str):
        match = _LENGTH.fullmatch(horizon)
        if match is None:
            raise DataError(
                f"{name} {horizon!r} cannot be read; write a number of {time_unit}s, "
                "or a text such as '52 weeks' or '365 days'"
            )
        unit = check_time_unit(match[2])
        value = float(match[1]) * DAYS_PER_UNIT[unit] / DAYS_PER_UNIT[time_unit]
    else:
        value = float(horizon)
    if not (math.isfinite(value) and value > 0):
        raise DataError(f"{name} must be a positive, finite length of time, not {horizon!r}")
    return value


def discount_rate_per_unit(discount_rate: float, time_unit: TimeUnit) -> float:
    """Turn an effective yearly rate into a continuous rate per `time_unit`.

    ``delta = ln(1 + discount_rate) * days per unit / 365.25``, so that a payment after one
    year is worth ``1 / (1 + discount_rate)`` in every unit.

    Raises
    ------
    DataError
        If the rate is negative or not finite, or looks like a percentage (10 and above).

    Examples
    --------
    >>> round(discount_rate_per_unit(0.10, "year"), 6)
    0.09531
    """
    if not (math.isfinite(discount_rate) and 0 <= discount_rate < 10):
        raise DataError(
            f"discount_rate must be an effective rate per year such as 0.10, not {discount_rate!r}"
        )
    return math.log1p(discount_rate) * DAYS_PER_UNIT[time_unit] / DAYS_PER_YEAR
