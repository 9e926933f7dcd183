"""The pass behind `clv.rfm_summary`: from days of purchase to the columns of an RFM table.

What depends on order (intervals, first purchases, refunds, the cut between calibration and
holdout) is worked out here in numpy, for blocks of whole customers that stay in the cache.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from clv.errors import NoUsableRowsError
from clv.numerics.threads import in_order
from clv.tables._arrow import take
from clv.tables._days import Blocks, Days
from clv.tables._frame import AnyArray, FloatArray, counted
from clv.tables.refunds import (
    NONE_UNMATCHED,
    BoolArray,
    IntArray,
    UnmatchedRefunds,
    net_refunds,
)

#: Days that are worked on at a time, and however many more the last customer has.
RUN = 32_768


class Account(NamedTuple):
    """Who is in a table, and what did not get into it."""

    customers: int = 0  #: with a line up to the end of the observation
    seen: int = 0  #: of them, with one up to the day that the table is as of
    kept: int = 0  #: of them, in the table
    unmatched: UnmatchedRefunds = NONE_UNMATCHED

    def notes(self, horizon: int) -> list[str]:
        """In words; `horizon` is the day that the table is as of."""
        late, refunded = self.customers - self.seen, self.seen - self.kept
        return left_out_notes(late, refunded, horizon) + unmatched_notes(self.unmatched)

    def check(self, horizon: int) -> None:
        """Refuse a table without customers.

        Raises
        ------
        NoUsableRowsError
            If nobody is left.
        """
        if not self.kept:
            refunded = " that was not refunded" if self.seen else ""
            raise NoUsableRowsError(
                f"no customer is left: nobody had a purchase by {np.datetime64(horizon, 'D')}"
                f"{refunded}; check the dates and amounts"
            )


def together(accounts: Sequence[Account]) -> Account:
    """The account of several sets of customers."""
    return Account(
        sum(one.customers for one in accounts),
        sum(one.seen for one in accounts),
        sum(one.kept for one in accounts),
        UnmatchedRefunds(
            sum(one.unmatched.customers for one in accounts),
            sum(one.unmatched.amount for one in accounts),
        ),
    )


class Summary(NamedTuple):
    """Columns of the table, and what did not get into them."""

    columns: dict[str, Any]
    unmatched: UnmatchedRefunds
    notes: list[str]


def summarise(blocks: Blocks, end: int, cut: int | None, days_per_unit: float) -> Summary:
    """The columns of `clv.tables.rfm.RFM`, sorted by customer.

    Parameters
    ----------
    blocks
        Days of purchase up to `end`.
    end, cut
        Last day observed, and last day of the calibration if there is a holdout.
    days_per_unit
        Days in a unit of time.

    Raises
    ------
    NoUsableRowsError
        If no customer is left.
    """
    horizon = end if cut is None else cut
    columns, account = summarise_some(blocks, end, cut, days_per_unit)
    account.check(horizon)
    return Summary(columns, account.unmatched, account.notes(horizon))


class Some(NamedTuple):
    """Some customers of a table: their columns, sorted by customer, and who is in them."""

    columns: dict[str, Any]
    account: Account


def summarise_some(blocks: Blocks, end: int, cut: int | None, days_per_unit: float) -> Some:
    """The same of some of all customers, who may all have been left out; see `summarise`."""
    horizon = end if cut is None else cut

    def part(days: Callable[[], Days]) -> _Part:
        return _summarise_part(days(), horizon, cut is not None, days_per_unit)

    accounts: list[Account] = []

    def parts() -> Iterator[dict[str, AnyArray]]:
        for found in in_order(part, blocks.parts):
            accounts.append(found.account)
            yield found.columns

    columns: dict[str, Any] = _joined(parts(), len(blocks.ids))
    account = together(accounts)._replace(customers=len(blocks.ids))
    kept: IntArray = columns.pop("customer", np.empty(0, np.int64))
    ids = blocks.ids if kept.size == len(blocks.ids) else take(blocks.ids, kept)
    return Some({"customer_id": ids, **columns}, account)


def _joined(parts: Iterable[dict[str, AnyArray]], most: int) -> dict[str, AnyArray]:
    """Columns in parts, each written into its place: there are no more than `most` rows."""
    columns: dict[str, AnyArray] = {}
    rows = 0
    for part in parts:
        start, rows = rows, rows + len(part["customer"])
        for name, values in part.items():
            if name not in columns:
                columns[name] = np.empty(most, values.dtype)
            columns[name][start:rows] = values
    return {name: column[:rows] for name, column in columns.items()}


def runs_of(days: Days) -> Blocks:
    """Days in parts of whole customers, some `RUN` days at a time."""
    starts = first_rows(days.customer)
    edges = starts[np.searchsorted(starts, np.arange(0, days.day.size, RUN), side="right") - 1]
    borders = [*edges[first_rows(edges)].tolist(), days.day.size]
    return Blocks(days.ids, [partial(_rows, days, *edge) for edge in pairwise(borders)])


def _rows(days: Days, start: int, stop: int) -> Days:
    rows = slice(start, stop)
    return Days(days.ids, days.customer[rows], days.day[rows], days.value[rows], days.lowest[rows])


# -- one part --------------------------------------------------------------------------------


class _Part(NamedTuple):
    """What some customers contribute."""

    columns: dict[str, AnyArray]  #: of the table, and "customer", the index into the ids
    account: Account


def _summarise_part(days: Days, horizon: int, with_holdout: bool, days_per_unit: float) -> _Part:
    is_known = days.day <= horizon
    # A refund is netted within its side of the cut only.
    group = 2 * days.customer + ~is_known if with_holdout else days.customer
    netted = net_refunds(group, days.value, days.lowest)
    known = _select(days, netted.value, is_known & netted.is_purchase)
    starts = first_rows(known.customer)
    columns = {
        "customer": known.customer[starts],
        **known_columns(known, starts, horizon, days_per_unit),
    }
    if with_holdout:
        columns |= _holdout_columns(days, ~is_known, netted.is_purchase, columns["customer"])
    unmatched = unmatched_refunds(days.customer, np.where(is_known, netted.unmatched, 0.0))
    customers = first_rows(days.customer).size
    seen = first_rows(days.customer[is_known]).size
    return _Part(columns, Account(customers, seen, starts.size, unmatched))


def first_rows(customer: IntArray) -> IntArray:
    """Where a customer's days begin: wherever a number >= 0 differs from the one before."""
    return np.flatnonzero(np.diff(customer, prepend=-1))


class Purchases(NamedTuple):
    """Days of purchase in order: a selection of `Days`."""

    customer: IntArray
    day: IntArray
    value: FloatArray


def _select(days: Days, value: FloatArray, rows: BoolArray) -> Purchases:
    if rows.all():
        return Purchases(days.customer, days.day, value)
    return Purchases(days.customer[rows], days.day[rows], value[rows])


def known_columns(
    purchases: Purchases, starts: IntArray, horizon: int, days_per_unit: float
) -> dict[str, AnyArray]:
    count = np.diff(starts, append=purchases.day.size)
    frequency = count - 1
    first = purchases.day[starts]
    last = purchases.day[starts + frequency]
    total = _sums(purchases.value, starts)
    return {
        "frequency": frequency,
        "recency": (last - first) / days_per_unit,
        "T": (horizon - first) / days_per_unit,
        "monetary_value": _mean_repeat(purchases.value, starts, frequency),
        "mean_purchase_value": total / count,
        "total_value": total,
        "sum_log_intervals": _sums(_log_intervals(purchases.day, starts, days_per_unit), starts),
        "sum_log_values": _sums(_log_values(purchases.value), starts),
        "first_purchase": first.astype("datetime64[D]"),
        "last_purchase": last.astype("datetime64[D]"),
    }


def _sums(values: FloatArray, starts: IntArray) -> FloatArray:
    return np.add.reduceat(values, starts) if starts.size else np.empty(0)


def _mean_repeat(value: FloatArray, starts: IntArray, frequency: IntArray) -> FloatArray:
    repeat = value.copy()
    repeat[starts] = 0.0
    mean = np.full(frequency.size, np.nan)
    np.divide(_sums(repeat, starts), frequency, out=mean, where=frequency > 0)
    return mean


def _log_intervals(day: IntArray, starts: IntArray, days_per_unit: float) -> FloatArray:
    """Of each day of purchase, ln(time since the one before); 0 for the first."""
    interval = np.diff(day, prepend=0)
    interval[starts] = 1
    logs = np.log(interval)
    logs -= np.log(days_per_unit)
    logs[starts] = 0.0
    return logs


def _log_values(value: FloatArray) -> FloatArray:
    """ln(value), missing where nothing was paid."""
    return np.log(value, out=np.full(value.shape, np.nan), where=value > 0)


def _holdout_columns(
    days: Days, is_holdout: BoolArray, is_purchase: BoolArray, customer: AnyArray
) -> dict[str, AnyArray]:
    first = int(days.customer[0])
    who = days.customer - first
    size = int(who[-1]) + 1
    purchases = np.bincount(who[is_holdout & is_purchase], minlength=size)
    spend = np.bincount(who[is_holdout], weights=days.value[is_holdout], minlength=size)
    spend = spend.astype(np.float64, copy=False)  # of nothing numpy makes whole numbers
    rows = customer - first
    return {"holdout_purchases": purchases[rows], "holdout_spend": spend[rows]}


# -- what is left out ------------------------------------------------------------------------


def unmatched_refunds(customer: IntArray, amounts: FloatArray) -> UnmatchedRefunds:
    rows = np.flatnonzero(amounts)
    return UnmatchedRefunds(first_rows(customer[rows]).size, float(amounts[rows].sum()))


def unmatched_notes(unmatched: UnmatchedRefunds) -> list[str]:
    if not unmatched.customers:
        return []
    who = counted(unmatched.customers, "customer exceed", "customers exceed")
    note = (
        f"Refunds of {who} the purchases before them by {unmatched.amount:,.2f}, which is in no "
        "column."
    )
    return [note]


def left_out_notes(late: int, refunded: int, horizon: int) -> list[str]:
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
