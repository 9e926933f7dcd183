"""The days on which an observation ends and on which it is cut."""

from __future__ import annotations

from datetime import date
from typing import Any, NamedTuple

import narwhals as nw

from clv.errors import DataError, NoUsableRowsError
from clv.tables._day import day_number, from_day_number, parse_day
from clv.tables._frame import collect, counted
from clv.tables.transactions import Transactions


class Period(NamedTuple):
    end: date
    cut: date | None
    notes: tuple[str, ...]


def observation_period(transactions: Transactions, end: Any, cut: Any) -> Period:
    first, last = _first_and_last_day(transactions)
    notes: list[str] = []
    if isinstance(end, str) and end.strip().lower() == "last":
        notes.append(f"observation_period_end is the last day in the data, {last}.")
        end_day = last
    else:
        end_day = parse_day(end, "observation_period_end", transactions.calendar)
    if end_day < first:
        raise DataError(
            f"observation_period_end {end_day} lies before the first transaction, {first}; "
            + (
                "a Jalali date needs calendar='jalali' when reading the transactions"
                if end_day.year < 1600
                else f"give a day up to which everything was observed, such as {last}"
            )
        )
    if end_day < last:
        later = _count_after(transactions.lines, day_number(end_day))
        notes.append(
            f"{counted(later, 'line', 'lines')} after observation_period_end ({end_day}) "
            f"{'was' if later == 1 else 'were'} left out; the last is of {last}."
        )
    if cut is None:
        return Period(end_day, None, tuple(notes))
    cut_day = parse_day(cut, "calibration_period_end", transactions.calendar)
    if cut_day >= end_day:
        raise DataError(
            f"calibration_period_end {cut_day} must lie before observation_period_end {end_day}; "
            "the holdout is the time between them"
        )
    if cut_day < first:
        raise NoUsableRowsError(
            f"no customer is left: calibration_period_end {cut_day} lies before the first "
            f"transaction, {first}; give a later day"
        )
    return Period(end_day, cut_day, tuple(notes))


def _first_and_last_day(transactions: Transactions) -> tuple[date, date]:
    quality = transactions.quality
    if quality.first_day is not None and quality.last_day is not None:
        return quality.first_day, quality.last_day
    frame = collect(
        transactions.lines.select(
            nw.col("day").min().alias("first"), nw.col("day").max().alias("last")
        )
    )
    first, last = frame["first"].to_list(), frame["last"].to_list()
    if not first or first[0] is None:
        raise NoUsableRowsError("there are no transactions; see transactions.quality")
    return from_day_number(int(first[0])), from_day_number(int(last[0]))


def _count_after(lines: nw.DataFrame[Any] | nw.LazyFrame[Any], end: int) -> int:
    late = lines.filter(nw.col("day") > end).select(nw.col("day").count())
    return int(collect(late)["day"].to_list()[0])
