"""From days to the pieces of time within which nothing changes.

A day is a moment here, as in `clv.rfm_summary`: a customer's time runs from the day of the first
purchase to the end of the observation, and a period begins at its first day. So a purchase on the
first day of a period belongs to that period.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from clv.errors import DataError
from clv.tables._day import day_number, from_day_number
from clv.tables._frame import FloatArray, counted
from clv.tables.daily import purchases_behind
from clv.tables.refunds import BoolArray, IntArray
from clv.tables.rfm import RFM
from clv.tables.time_varying import TimeVaryingCovariates
from clv.tables.transactions import Transactions
from clv.units import DAYS_PER_UNIT


class Past(NamedTuple):
    """Customers' time up to the end of the observation, in m pieces; see `numerics`."""

    customer: IntArray  #: position in the table, ascending, shape (m,)
    length: FloatArray  #: in the table's unit, shape (m,)
    after_last: BoolArray  #: shape (m,)
    row: IntArray  #: of the covariates, shape (m,)


class Bought(NamedTuple):
    """Repeat purchases up to the end of the observation."""

    customer: IntArray  #: position in the table, shape (b,)
    row: IntArray  #: of the covariates on that day


class Ahead(NamedTuple):
    """The periods of a horizon."""

    widths: FloatArray  #: in the table's unit, shape (K,); the last may be infinite
    row: IntArray  #: of the covariates, shape (n, K); (1, K) where they are everybody's


def past(rfm: RFM, covariates: TimeVaryingCovariates) -> Past:
    """Cut the customers' time into pieces.

    Raises
    ------
    DataError
        If the table has no days, or the covariates do not cover them.
    """
    first, last = _days(rfm, "first_purchase"), _days(rfm, "last_purchase")
    end, borders = _end(rfm), covariates.borders
    who = covariates.at(rfm.customer_ids)
    _check_covered(rfm, covariates, who, first, end)
    begin = np.searchsorted(borders, first, side="right") - 1
    inner = np.maximum(np.searchsorted(borders, end, side="left") - 1 - begin, 0)
    split = (first < last) & (last < end) & ~np.isin(last, borders)
    old = np.flatnonzero(first < end)
    inner, within = np.where(first < end, inner, 0), np.flatnonzero(split)
    step = np.arange(inner.sum()) - np.repeat(np.cumsum(inner) - inner, inner)
    customer = np.concatenate([old, np.repeat(np.arange(len(first)), inner), within])
    start = np.concatenate([first[old], borders[np.repeat(begin + 1, inner) + step], last[within]])
    order = np.lexsort((start, customer))
    customer, start = customer[order], start[order]
    stop = np.append(start[1:], end)
    stop[np.flatnonzero(np.diff(customer, append=-1))] = end
    return Past(
        customer,
        (stop - start) / DAYS_PER_UNIT[rfm.time_unit],
        start >= last[customer],
        _rows(covariates, who[customer], start),
    )


def bought(rfm: RFM, covariates: TimeVaryingCovariates, transactions: Transactions) -> Bought:
    """The repeat purchases behind a table.

    Raises
    ------
    DataError
        If the transactions are not those of the table.
    """
    import narwhals as nw
    import pyarrow.compute as pc

    found = purchases_behind(transactions, rfm)
    ids = nw.from_native(rfm.customer_ids, series_only=True).to_arrow()
    place = pc.index_in(found.ids.to_arrow().cast(ids.type), value_set=ids)
    rows = pc.fill_null(place, -1).to_numpy().astype(np.int64)
    customer = rows[found.customer]
    known = found.day <= _end(rfm)
    first = np.zeros(len(rfm), dtype=np.int64)
    first[customer[found.is_first]] = found.day[found.is_first]
    repeat = known & ~found.is_first
    frequency = np.bincount(customer[repeat], minlength=len(rfm))
    wrong = np.flatnonzero(
        (first != _days(rfm, "first_purchase")) | (frequency != rfm.array("frequency"))
    )
    if (rows < 0).any() or len(wrong):
        raise DataError(
            f"the transactions are not those of the table: "
            f"{counted(max(len(wrong), 1), 'customer', 'customers')} differ in days of purchase; "
            "give the transactions that clv.rfm_summary made the table from"
        )
    customer = customer[repeat]
    who = covariates.at(rfm.customer_ids)
    return Bought(customer, _rows(covariates, who[customer], found.day[repeat]))


def ahead(rfm: RFM, covariates: TimeVaryingCovariates, horizon: float | None) -> Ahead:
    """The periods from the end of the observation on, for a horizon in the table's unit.

    None takes as many as all customers have; where something holds afterwards, the last of them
    has no end.

    Raises
    ------
    DataError
        If the covariates do not reach so far; the message says what is missing.
    """
    end, borders = _end(rfm), covariates.borders
    who = covariates.at(rfm.customer_ids)
    last = borders[covariates.first_period + covariates.periods]
    reach, days = last[who], DAYS_PER_UNIT[rfm.time_unit]
    if covariates.afterwards is not None:
        horizon, reach = math.inf, np.full(len(who), math.inf)
    target = float(reach.min()) if horizon is None else end + horizon * days
    short = np.flatnonzero(reach < target - 1e-6)
    if len(short) and math.isinf(target):
        raise DataError(
            "a forecast without end needs covariates without end; give a horizon that the "
            "time-varying covariates reach, or say what holds afterwards: "
            "clv.time_varying_covariates(..., afterwards={column: value})"
        )
    if len(short):
        missing = int(reach[short].min())
        count = (
            "all customers"
            if len(short) == len(reach)
            else (
                f"{counted(len(short), 'customer', 'customers')} of {len(reach):,}, the first is "
                f"{_name(rfm, int(short[0]))}"
            )
        )
        raise DataError(
            f"the forecast needs covariates up to {from_day_number(int(np.ceil(target)) - 1)}, and "
            f"there are none from {from_day_number(missing)} on for {count}; add the rows of these "
            "periods (what is planned), or shorten the horizon"
        )
    inner = borders[(borders > end) & (borders < target - 1e-9)]
    starts = np.concatenate([[end], inner])
    widths = np.diff(np.append(starts, target)) / days
    persons = np.zeros(1, dtype=np.int64) if covariates.customer_ids is None else who
    if covariates.afterwards is None:
        row = _rows(covariates, persons[:, None], starts[None, :])
    else:
        known = np.minimum(starts[None, :], last[persons, None] - 1)
        row = _rows(covariates, persons[:, None], known)
        row = np.where(starts[None, :] < last[persons, None], row, covariates.afterwards)
    return Ahead(widths[widths > 0], row[:, widths > 0])


def by_day(
    rfm: RFM, covariates: TimeVaryingCovariates, start: int, days: int
) -> tuple[BoolArray, IntArray]:
    """For each customer and day from `start` on: whether they have come, and the covariates' row.

    Shape (n, days) both; before they have come the row is that of their first day.

    Raises
    ------
    DataError
        If the covariates do not cover these days.
    """
    first = _days(rfm, "first_purchase")
    who = covariates.at(rfm.customer_ids)
    _check_covered(rfm, covariates, who, first, start + days - 1)
    day = np.arange(start, start + days)[None, :]
    row = _rows(covariates, who[:, None], np.maximum(day, first[:, None]))
    return day >= first[:, None], row


def _rows(covariates: TimeVaryingCovariates, who: IntArray, day: IntArray) -> IntArray:
    period = np.searchsorted(covariates.borders, day, side="right") - 1
    return np.asarray(covariates.first_row[who] + period - covariates.first_period[who])


def _days(rfm: RFM, column: str) -> IntArray:
    if column not in rfm.data:
        raise DataError(
            f"time-varying covariates need the days of purchase, and the table has no {column}; "
            "make it with clv.rfm_summary"
        )
    return np.asarray(rfm.values(column)).astype("datetime64[D]").astype(np.int64)


def _end(rfm: RFM) -> int:
    end = rfm.as_of
    if end is None:
        raise DataError(
            "the table does not say when its observation ends; make it with clv.rfm_summary"
        )
    return day_number(end)


def _check_covered(
    rfm: RFM, covariates: TimeVaryingCovariates, who: IntArray, first: IntArray, end: int
) -> None:
    start = covariates.borders[covariates.first_period][who]
    stop = covariates.borders[covariates.first_period + covariates.periods][who]
    for bad, what, remedy in (
        (start > first, "begin after the first purchase", "add the rows of earlier periods"),
        (
            stop <= end,
            f"end before the observation does ({from_day_number(end)})",
            "add the rows of later periods",
        ),
    ):
        rows = np.flatnonzero(bad)
        if len(rows):
            i = int(rows[0])
            everybody = counted(len(first), "customer", "customers")
            raise DataError(
                f"the covariates of {len(rows):,} of {everybody} {what}; the first is "
                f"{_name(rfm, i)}, with covariates from {from_day_number(int(start[i]))} to "
                f"{from_day_number(int(stop[i]) - 1)} and a first purchase on "
                f"{from_day_number(int(first[i]))}; {remedy}"
            )


def _name(rfm: RFM, row: int) -> Any:
    import narwhals as nw

    ids = nw.from_native(rfm.customer_ids, series_only=True).to_arrow()
    return repr(ids[row].as_py())
