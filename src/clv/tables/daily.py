"""First and repeat purchases of a table's customers, day by day."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from clv.errors import DataError
from clv.tables._arrow import take
from clv.tables._day import day_number
from clv.tables._days import purchase_days
from clv.tables.refunds import BoolArray, FloatArray, IntArray, net_refunds
from clv.tables.rfm import RFM
from clv.tables.transactions import Transactions


class DailyPurchases(NamedTuple):
    """Purchases on every day from the first one to the end of the observation.

    Attributes
    ----------
    first_day
        The day that the arrays begin with, in days since 1970-01-01.
    newcomers
        Customers whose first purchase falls on the day, shape (days,).
    repeats
        Repeat purchases on the day, by customers who are in the table, shape (days,).
    """

    first_day: int
    newcomers: FloatArray
    repeats: FloatArray


class Purchases(NamedTuple):
    """Purchases of a table's customers, by customer and then by day, the holdout's included."""

    ids: Any  #: narwhals series of the customers
    customer: IntArray  #: index into `ids`, shape (m,)
    day: IntArray  #: days since 1970-01-01, shape (m,)
    is_first: BoolArray  #: shape (m,)
    end: int  #: last day of the observation


def daily_purchases(transactions: Transactions, rfm: RFM) -> DailyPurchases:
    """Count the purchases behind a table by day.

    The customers are those of the table: with a calibration end, who first bought by then. Days
    and refunds count as in `clv.rfm_summary`, so that the sums of `repeats` up to and after the
    cut are those of ``frequency`` and ``holdout_purchases``.

    Parameters
    ----------
    transactions
        What the table was made from.
    rfm
        Made by `clv.rfm_summary`.

    Raises
    ------
    DataError
        If the table does not say when its observation ends, or was made from other
        transactions.

    Examples
    --------
    >>> import pandas as pd
    >>> import clv
    >>> days = ["2024-01-01", "2024-01-03", "2024-01-03"]
    >>> orders = pd.DataFrame({"customer_id": ["a", "a", "b"], "date": days, "amount": 5.0})
    >>> transactions = clv.read_transactions(orders)
    >>> rfm = clv.rfm_summary(transactions, observation_period_end="2024-01-04")
    >>> daily_purchases(transactions, rfm)[1:]
    (array([1., 0., 1., 0.]), array([0., 0., 1., 0.]))
    """
    found = purchases_behind(transactions, rfm)
    day, is_first = found.day, found.is_first
    start = int(day.min())
    length = found.end - start + 1
    return DailyPurchases(
        start,
        np.bincount(day[is_first] - start, minlength=length).astype(np.float64),
        np.bincount(day[~is_first] - start, minlength=length).astype(np.float64),
    )


def purchases_behind(transactions: Transactions, rfm: RFM) -> Purchases:
    """The days on which the customers of a table bought; parameters as in `daily_purchases`.

    Raises
    ------
    DataError
        If the table does not say when its observation ends, or was made from other
        transactions.
    """
    if rfm.observation_period_end is None or rfm.as_of is None:
        raise DataError(
            "the table does not say when its observation ends; make it with clv.rfm_summary"
        )
    end = day_number(rfm.observation_period_end)
    cut = day_number(rfm.as_of)
    days = purchase_days(transactions, end)
    is_known = days.day <= cut
    netted = net_refunds(2 * days.customer + ~is_known, days.value, days.lowest)
    is_purchase = netted.is_purchase
    in_table = np.bincount(days.customer, weights=is_purchase & is_known) > 0
    counted = is_purchase & in_table[days.customer]
    customer, day = days.customer[counted], days.day[counted]
    is_first = np.diff(customer, prepend=-1) != 0
    if int(is_first.sum()) != len(rfm):
        raise DataError(
            f"the table has {len(rfm):,} customers and the transactions {int(is_first.sum()):,} "
            "with a purchase by the same day; give the transactions that the table was made from"
        )
    kept = np.flatnonzero(in_table)
    place = np.cumsum(in_table) - 1
    return Purchases(take(days.ids, kept), place[customer], day, is_first, end)
