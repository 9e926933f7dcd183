"""Opportunities to buy, counted: one per calendar period, used or not."""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np

from clv.errors import DataError, NoUsableRowsError
from clv.tables import _summary
from clv.tables._arrow import take
from clv.tables._day import day_number, from_day_number
from clv.tables._days import purchase_days
from clv.tables._frame import Table, counted
from clv.tables._period import observation_period
from clv.tables.refunds import IntArray, net_refunds
from clv.tables.rfm import RFM
from clv.tables.transactions import Transactions
from clv.units import TimeUnit, check_time_unit

_MONDAY = 3  # 1969-12-29 was one, three days before day 0


def opportunity_summary(
    transactions: Transactions,
    *,
    observation_period_end: Any,
    period: str = "year",
    calibration_period_end: Any = None,
) -> RFM:
    """Summarise transactions to one row per customer, time counted in opportunities.

    Each calendar period is one opportunity to buy, used when there is a purchase in it and passed
    when there is none; all purchases of a period are one. That is what BG/BB looks at
    (`clv.BetaGeoBetaBinomModel`): gifts per year, visits per month, orders per season.

    Parameters
    ----------
    transactions
        From `clv.read_transactions`.
    observation_period_end
        Last day observed, as in `clv.rfm_summary`. A period that is not over on that day is no
        opportunity yet: it is left out, and the notes say so.
    period
        "year", "month", "week" (from Monday) or "day"; years and months are Gregorian.
    calibration_period_end
        The table is as known on that day (or at the end of the last period that was over by
        then); ``holdout_purchases`` counts the periods with a purchase after it.

    Returns
    -------
    RFM
        With `time_unit` the period. ``frequency`` is the number of opportunities used after the
        first purchase's period, ``recency`` the number of the last one used, ``T`` how many there
        were; ``monetary_value`` is the mean sum spent in a period with a repeat purchase.

    Raises
    ------
    DataError
        As in `clv.rfm_summary`, and if no period is over, or none between the two ends.
    NoUsableRowsError
        If no customer is left.

    Examples
    --------
    >>> import pandas as pd
    >>> import clv
    >>> gifts = pd.DataFrame({
    ...     "customer_id": ["a", "a", "a", "a", "b"],
    ...     "date": ["2019-03-01", "2020-05-01", "2020-11-30", "2022-02-02", "2021-07-07"],
    ...     "amount": 10.0,
    ... })
    >>> table = opportunity_summary(
    ...     clv.read_transactions(gifts), observation_period_end="2023-12-31"
    ... )
    >>> table.to_pandas()[["customer_id", "frequency", "recency", "T", "monetary_value"]]
      customer_id  frequency  recency    T  monetary_value
    0           a          2      3.0  4.0            15.0
    1           b          0      0.0  2.0             NaN
    """
    if not isinstance(transactions, Transactions):
        raise DataError(
            f"opportunity_summary needs transactions, not {type(transactions).__name__}; read a "
            "frame or file with clv.read_transactions"
        )
    unit = check_time_unit(period)
    observed = observation_period(transactions, observation_period_end, calibration_period_end)
    end = _last_whole(observed.end, unit)
    cut = None if observed.cut is None else _last_whole(observed.cut, unit)
    if cut is not None and cut == end:
        raise DataError(
            f"no {unit} is over between calibration_period_end {observed.cut} and "
            f"observation_period_end {observed.end}; set them a {unit} or more apart"
        )
    days = purchase_days(transactions, day_number(end))
    known_to = end if cut is None else cut
    is_known = days.day <= day_number(known_to)
    netted = net_refunds(2 * days.customer + ~is_known, days.value, days.lowest)
    used = is_known & netted.is_purchase
    if not used.any():
        raise NoUsableRowsError(
            f"no customer is left: nobody had a purchase by {known_to}, the end of the last "
            f"{unit} that is over; check the dates, or take a shorter period"
        )
    customer, day, value = days.customer[used], days.day[used], netted.value[used]
    index = _period_index(day, unit)
    new = np.flatnonzero((np.diff(customer, prepend=-1) != 0) | (np.diff(index, prepend=0) != 0))
    purchases = _summary.Purchases(customer[new], index[new], np.add.reduceat(value, new))
    starts = _summary.first_rows(purchases.customer)
    last = int(_period_index(np.array([day_number(known_to)]), unit)[0])
    columns: dict[str, Any] = {
        "customer_id": take(days.ids, purchases.customer[starts]),
        **_summary.known_columns(purchases, starts, last, 1.0),
    }
    first_day = _summary.first_rows(customer)
    columns["first_purchase"] = day[first_day].astype("datetime64[D]")
    columns["last_purchase"] = day[np.append(first_day[1:], day.size) - 1].astype("datetime64[D]")
    if cut is not None:
        columns |= _holdout(days, ~is_known, netted.is_purchase, purchases.customer[starts], unit)
    seen = _summary.first_rows(days.customer[is_known]).size
    unmatched = _summary.unmatched_refunds(days.customer, np.where(is_known, netted.unmatched, 0.0))
    return RFM(
        **Table.parts(columns, like=transactions.engine),
        time_unit=unit,
        observation_period_end=end,
        calibration_period_end=cut,
        notes=(
            *observed.notes,
            *_not_over(observed.end, end, unit),
            *_summary.left_out_notes(
                len(days.ids) - seen, seen - starts.size, day_number(known_to)
            ),
            *_summary.unmatched_notes(unmatched),
        ),
        unmatched_refunds=unmatched,
        holdout_opportunities=None if cut is None else _between(cut, end, unit),
    )


def _period_index(day: IntArray, unit: TimeUnit) -> IntArray:
    """Number of the calendar period that a day lies in."""
    if unit == "day":
        return day
    if unit == "week":
        return (day + _MONDAY) // 7
    code = {"month": "M", "year": "Y"}[unit]
    return day.astype("datetime64[D]").astype(f"datetime64[{code}]").astype(np.int64)


def _last_whole(day: date, unit: TimeUnit) -> date:
    """The last day, on or before this one, on which a period ends."""
    number = day_number(day)
    if unit == "day":
        return day
    tomorrow = np.array([number + 1])
    index = int(_period_index(tomorrow, unit)[0])
    if unit == "week":
        return from_day_number(7 * index - _MONDAY - 1)
    year, month = divmod(index, 12) if unit == "month" else (index, 0)
    return from_day_number(day_number(date(1970 + year, 1 + month, 1)) - 1)


def _between(start: date, end: date, unit: TimeUnit) -> int:
    first, last = _period_index(np.array([day_number(start), day_number(end)]), unit)
    return int(last - first)


def _holdout(days: Any, later: Any, bought: Any, customer: IntArray, unit: TimeUnit) -> Any:
    """Periods with a purchase, and all that was spent, after the cut."""
    size = len(days.ids)
    who, when = days.customer[later & bought], _period_index(days.day[later & bought], unit)
    new = (np.diff(who, prepend=-1) != 0) | (np.diff(when, prepend=0) != 0)
    purchases = np.bincount(who[new], minlength=size)
    spend = np.bincount(days.customer[later], weights=days.value[later], minlength=size)
    return {"holdout_purchases": purchases[customer], "holdout_spend": spend[customer]}


def _not_over(asked: date, end: date, unit: TimeUnit) -> tuple[str, ...]:
    if asked == end:
        return ()
    left_out = counted((asked - end).days, "day", "days")
    note = (
        f"The {unit} that {asked} lies in is not over, so it is no opportunity yet: the last "
        f"{left_out} are left out and the table is as of {end}."
    )
    return (note,)
