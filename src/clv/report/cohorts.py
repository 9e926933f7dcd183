"""Who came back when: cohorts by their first purchase, and the share that bought in each period."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from clv.tables.daily import purchases_behind
from clv.tables.rfm import RFM
from clv.tables.transactions import Transactions

Floats = NDArray[np.float64]

#: Most rows and columns of the table.
_MOST = 12

#: Days of a period, the shortest first; the first one is taken that needs no more than `_MOST`.
_PERIODS = (30, 91, 182, 365, 730)


@dataclass(frozen=True)
class Cohorts:
    """Customers by first purchase, and how many bought again in each period after it.

    Attributes
    ----------
    days
        Length of cohorts and periods.
    first_day
        First day of each cohort (c).
    customers
        In each cohort, shape (c,).
    share
        Share of a cohort that bought again in each period since their first purchase, shape
        (c, p); nan where not all of them could be seen for the whole of it.
    """

    days: int
    first_day: tuple[date, ...]
    customers: NDArray[np.int64]
    share: Floats


def cohorts(transactions: Transactions, rfm: RFM) -> Cohorts:
    """Follow the cohorts of a table.

    Parameters
    ----------
    transactions
        What the table was made from.
    rfm
        Table with n customers, by `clv.rfm_summary`.

    Examples
    --------
    >>> import clv
    >>> import pandas as pd
    >>> days = ["2024-01-01", "2024-01-01", "2024-01-15", "2024-03-01"]
    >>> orders = pd.DataFrame({"customer_id": list("abba"), "date": days, "amount": 1.0})
    >>> transactions = clv.read_transactions(orders)
    >>> rfm = clv.rfm_summary(transactions, observation_period_end="2024-03-31")
    >>> cohorts(transactions, rfm).share[0]
    array([0.5, 0.5, 0. ])
    """
    found = purchases_behind(transactions, rfm)
    first = found.day[found.is_first]  # by customer, as purchases are
    start, last = int(first.min()), found.end
    span = last - start + 1
    days = next((d for d in _PERIODS if span <= d * _MOST), -(-span // _MOST))
    cohort = (first - start) // days
    seen = (last - first) // days  # whole periods after the first purchase
    rows, periods = int(cohort.max()) + 1, max(int(seen.max()), 1)

    again = ~found.is_first
    who = found.customer[again]
    period = (found.day[again] - first[who] - 1) // days
    whole = period < periods
    pairs = np.unique(who[whole] * periods + period[whole])  # once, however often
    place = cohort[pairs // periods] * periods + pairs % periods
    bought = np.bincount(place, minlength=rows * periods)
    customers = np.bincount(cohort, minlength=rows)
    complete = np.full(rows, periods)  # periods that all of a cohort could be seen for
    np.minimum.at(complete, cohort, seen)
    share = bought.reshape(rows, periods) / np.maximum(customers, 1)[:, None]
    share[np.arange(periods) >= complete[:, None]] = np.nan
    share = share[:, : max(int(complete.max()), 1)]
    origin = date(1970, 1, 1).toordinal() + start
    return Cohorts(
        days,
        tuple(date.fromordinal(origin + k * days) for k in range(rows)),
        customers,
        share,
    )
