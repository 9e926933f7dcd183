"""The pass behind `clv.rfm_summary`: from lines to the columns of an RFM table.

The engine of the data does what engines are good at: it collapses lines into one row per
customer and day, and puts them in order. That is one narwhals expression for every engine.
What depends on order (intervals, first purchases, refunds, the cut between calibration and
holdout) is one pass over these ordered rows in numpy, so that it cannot differ between
engines, and needs neither windows nor joins. The pass works on any run of whole customers.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import narwhals as nw
import numpy as np

from clv.errors import NoUsableRowsError
from clv.tables._arrow import as_numpy, take
from clv.tables._frame import AnyArray, FloatArray, collect, counted
from clv.tables.refunds import BoolArray, IntArray, UnmatchedRefunds, net_refunds

Lines = nw.DataFrame[Any] | nw.LazyFrame[Any]


class Summary(NamedTuple):
    """Columns of the table, and what did not get into them."""

    columns: dict[str, Any]
    unmatched: UnmatchedRefunds
    notes: list[str]


def summarise(lines: Lines, end: int, cut: int | None, days_per_unit: float) -> Summary:
    """The columns of `clv.tables.rfm.RFM`, sorted by customer.

    Parameters
    ----------
    lines
        ``customer_id``, ``day`` and ``amount``, as in `Transactions`.
    end, cut
        Last day observed, and last day of the calibration if there is a holdout.
    days_per_unit
        Days in a unit of time.

    Raises
    ------
    NoUsableRowsError
        If no customer is left.
    """
    days = purchase_days(lines, end)
    horizon = end if cut is None else cut
    is_known = days.day <= horizon
    # A refund is netted within its side of the cut only.
    group = days.customer if cut is None else 2 * days.customer + ~is_known
    netted = net_refunds(group, days.value, days.lowest)
    known = _select(days, netted.value, is_known & netted.is_purchase)
    if known.customer.size == 0:
        refunded = " that was not refunded" if bool(is_known.any()) else ""
        raise NoUsableRowsError(
            f"no customer is left: nobody had a purchase by {np.datetime64(horizon, 'D')}"
            f"{refunded}; check the dates and amounts"
        )
    starts = _starts(known.customer)
    customer = known.customer[starts]
    columns: dict[str, Any] = {
        "customer_id": take(days.ids, customer),
        **_known_columns(known, starts, horizon, days_per_unit),
    }
    if cut is not None:
        columns |= _holdout_columns(days, ~is_known, netted.is_purchase, customer)
    unmatched = _unmatched(days.customer, np.where(is_known, netted.unmatched, 0.0))
    notes = _left_out(days, is_known, customer.size, horizon) + _unmatched_note(unmatched)
    return Summary(columns, unmatched, notes)


# -- days of purchase ------------------------------------------------------------------------


class Days(NamedTuple):
    """One element per customer and day, in the order of customers and then of days."""

    ids: Any  #: narwhals series of the distinct customer ids
    customer: IntArray  #: index into `ids`
    day: IntArray
    value: FloatArray  #: sum of the day's amounts
    lowest: FloatArray  #: the lowest of them


def purchase_days(lines: Lines, end: int) -> Days:
    collapsed = (
        lines.filter(nw.col("day") <= end)
        .group_by("customer_id", "day")
        .agg(nw.col("amount").sum().alias("value"), nw.col("amount").min().alias("lowest"))
        .sort("customer_id", "day")
    )
    frame = collect(collapsed)
    ids = frame["customer_id"]
    is_start = _is_start(ids)
    return Days(
        ids=take(ids, np.flatnonzero(is_start)),
        customer=np.cumsum(is_start) - 1,
        day=as_numpy(frame["day"]).astype(np.int64, copy=False),
        value=as_numpy(frame["value"]),
        lowest=as_numpy(frame["lowest"]),
    )


def _is_start(ids: nw.Series[Any]) -> BoolArray:
    """Where a sorted id differs from the one before it."""
    is_start = np.ones(len(ids), dtype=np.bool_)
    if ids.dtype.is_integer():
        # Not by shifting the series: pandas would make floats of large integers.
        values = as_numpy(ids)
        np.not_equal(values[1:], values[:-1], out=is_start[1:])
    elif len(ids) > 1:
        is_start[1:] = (ids.tail(len(ids) - 1) != ids.head(len(ids) - 1)).to_numpy()
    return is_start


def _starts(customer: IntArray) -> IntArray:
    return np.flatnonzero(np.diff(customer, prepend=-1))


class _Purchases(NamedTuple):
    """Days of purchase in order: a selection of `Days`."""

    customer: IntArray
    day: IntArray
    value: FloatArray


def _select(days: Days, value: FloatArray, rows: BoolArray) -> _Purchases:
    if rows.all():
        return _Purchases(days.customer, days.day, value)
    return _Purchases(days.customer[rows], days.day[rows], value[rows])


# -- columns ---------------------------------------------------------------------------------


def _known_columns(
    purchases: _Purchases, starts: IntArray, cut: int, days_per_unit: float
) -> dict[str, AnyArray]:
    count = np.diff(starts, append=purchases.day.size)
    frequency = count - 1
    first = purchases.day[starts]
    last = purchases.day[starts + frequency]
    total = np.add.reduceat(purchases.value, starts)

    repeat = purchases.value.copy()
    repeat[starts] = 0.0
    interval = np.diff(purchases.day, prepend=0)
    interval[starts] = 0
    log_interval = np.log(np.arange(int(interval.max()) + 1).clip(1) / days_per_unit)
    log_interval[0] = 0.0

    has_repeats = frequency > 0
    mean_repeat = np.full(frequency.size, np.nan)
    np.divide(np.add.reduceat(repeat, starts), frequency, out=mean_repeat, where=has_repeats)
    return {
        "frequency": frequency,
        "recency": (last - first) / days_per_unit,
        "T": (cut - first) / days_per_unit,
        "monetary_value": mean_repeat,
        "mean_purchase_value": total / count,
        "total_value": total,
        "sum_log_intervals": np.add.reduceat(log_interval[interval], starts),
        "first_purchase": first.astype("datetime64[D]"),
        "last_purchase": last.astype("datetime64[D]"),
    }


def _holdout_columns(
    days: Days, is_holdout: BoolArray, is_purchase: BoolArray, customer: IntArray
) -> dict[str, AnyArray]:
    size = len(days.ids)
    purchases = np.bincount(days.customer[is_holdout & is_purchase], minlength=size)
    spend = np.bincount(days.customer[is_holdout], weights=days.value[is_holdout], minlength=size)
    return {"holdout_purchases": purchases[customer], "holdout_spend": spend[customer]}


# -- what is left out ------------------------------------------------------------------------


def _unmatched(customer: IntArray, amounts: FloatArray) -> UnmatchedRefunds:
    rows = np.flatnonzero(amounts)
    return UnmatchedRefunds(_starts(customer[rows]).size, float(amounts[rows].sum()))


def _unmatched_note(unmatched: UnmatchedRefunds) -> list[str]:
    if not unmatched.customers:
        return []
    who = counted(unmatched.customers, "customer exceed", "customers exceed")
    note = (
        f"Refunds of {who} the purchases before them by {unmatched.amount:,.2f}, which is in no "
        "column."
    )
    return [note]


def _left_out(days: Days, is_known: BoolArray, kept: int, horizon: int) -> list[str]:
    seen = len(days.ids) if is_known.all() else _starts(days.customer[is_known]).size
    late, refunded = len(days.ids) - seen, seen - kept
    notes = []
    if late:
        notes.append(
            f"{counted(late, 'customer was', 'customers were')} first seen after "
            f"{np.datetime64(horizon, 'D')} and {'is' if late == 1 else 'are'} not in the table."
        )
    if refunded:
        notes.append(
            f"{counted(refunded, 'customer has', 'customers have')} no purchase that was not "
            f"refunded and {'is' if refunded == 1 else 'are'} not in the table."
        )
    return notes
