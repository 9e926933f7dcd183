"""The customers of all cuts together: their days of purchase, and what else is known of them.

Within a backtest a customer is a place in this base, a number. So tables can go to other
processes whatever the ids are, and one draw of customers is the same people at every cut.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import date
from typing import Any, NamedTuple

import narwhals as nw
import numpy as np

from clv.errors import DataError
from clv.evaluation.candidates import Candidate
from clv.evaluation.origins import More
from clv.tables._covariates import read_covariates
from clv.tables._day import day_number, from_day_number
from clv.tables._days import Days, purchase_days
from clv.tables._frame import collect
from clv.tables._matching import rows_of_customers
from clv.tables.time_varying import TimeVaryingCovariates
from clv.tables.transactions import Transactions


class CustomerBase(NamedTuple):
    """Everybody who bought up to the end of the observation.

    Attributes
    ----------
    days
        Days on which they bought or returned something.
    more
        What models may look at besides.
    segments
        Names of columns of `more` by which results are divided.
    transactions
        The lines, of customers as places in the base; only where models need them.
    engine
        What tables come back as.
    """

    days: Days
    more: More
    segments: tuple[str, ...]
    transactions: Transactions | None
    engine: str

    @property
    def first(self) -> date:
        """The first day of purchase."""
        return from_day_number(int(self.days.day.min()))


def customer_base(
    transactions: Transactions,
    end: date,
    candidates: Iterable[Candidate],
    *,
    customers: Any,
    customer_id: str,
    segments: Sequence[str],
    covariates: TimeVaryingCovariates | None,
) -> CustomerBase:
    """Read what a backtest needs, once.

    Parameters
    ----------
    transactions
        From `clv.read_transactions`.
    end
        Last day observed.
    candidates
        All models: what they name as covariates is looked for in `customers` and `covariates`.
    customers, customer_id, segments, covariates
        As in `clv.backtest`.

    Raises
    ------
    DataError
        If there is no table of customers though a model or a segment names a column of it, or a
        customer is not in it.
    """
    days = purchase_days(transactions, day_number(end))
    by_time = () if covariates is None else covariates.columns
    named = dict.fromkeys(name for c in candidates for name in c.model.covariates)
    static = tuple(name for name in named if name not in by_time)
    divide_by = (segments,) if isinstance(segments, str) else tuple(segments)
    wanted = list(dict.fromkeys((*static, *divide_by)))
    if wanted and customers is None:
        raise DataError(
            f"{', '.join(wanted)} {'is' if len(wanted) == 1 else 'are'} asked for, and there is no "
            "table that knows them; give customers=, a data frame with a row per customer"
        )
    known = read_covariates(days.ids, customers, wanted, customer_id) if wanted else {}
    more = More(known, static)
    if covariates is None:
        return CustomerBase(days, more, divide_by, None, transactions.engine)
    return CustomerBase(
        days,
        more._replace(time_varying=_numbered(covariates, days.ids)),
        divide_by,
        _numbered_lines(transactions, days, end),
        transactions.engine,
    )


def _numbered(covariates: TimeVaryingCovariates, ids: Any) -> TimeVaryingCovariates:
    """The same covariates, of customers as places in the base; those of others are negative."""
    if covariates.customer_ids is None:
        return covariates
    import pyarrow as pa

    numbers = -1 - np.arange(len(covariates.customer_ids))
    numbers[covariates.at(ids)] = np.arange(len(ids))
    return replace(covariates, customer_ids=pa.array(numbers))


def _numbered_lines(transactions: Transactions, days: Days, end: date) -> Transactions:
    import pyarrow as pa

    frame = collect(transactions.lines.filter(nw.col("day") <= day_number(end)))
    place = rows_of_customers(frame["customer_id"], days.ids)
    table = pa.table(
        {
            "customer_id": pa.array(place),
            "day": pa.array(frame["day"].to_numpy().astype(np.int64)),
            "amount": pa.array(frame["amount"].to_numpy().astype(np.float64)),
        }
    )
    return Transactions(
        nw.from_native(table),
        transactions.quality,
        "pyarrow",
        transactions.refunds,
        transactions.zero_amounts,
    )
