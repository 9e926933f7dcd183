"""From transactions to one row per customer."""

from __future__ import annotations

from functools import partial
from typing import Any

from clv.errors import DataError
from clv.tables._day import day_number
from clv.tables._days import purchase_blocks
from clv.tables._frame import Table
from clv.tables._period import Period, observation_period
from clv.tables._rows import Rows
from clv.tables._sources import is_spark
from clv.tables._summary import summarise, summarise_some
from clv.tables.rfm import RFM
from clv.tables.transactions import Transactions
from clv.units import DAYS_PER_UNIT, check_time_unit


def rfm_summary(
    transactions: Transactions,
    *,
    observation_period_end: Any,
    time_unit: str = "week",
    calibration_period_end: Any = None,
) -> RFM:
    """Summarise transactions to one row per customer.

    All lines of a customer on one calendar day are one purchase, whatever the time unit. Of
    refunds see `clv.tables.refunds`; those dated on or before a cut change what was known at the
    cut, and later ones never do.

    Parameters
    ----------
    transactions
        From `clv.read_transactions`.
    observation_period_end
        Last day observed: a date, or a text such as "1998-06-30" (in the calendar of the
        transactions). Later lines are left out and counted in the notes. "last" takes the last
        day in the data, which is right only if nothing is missing after it.
    time_unit
        "day", "week", "month" (365.25 / 12 days) or "year": the unit of all ages.
    calibration_period_end
        Splits the time: the table is as known on that day, and ``holdout_purchases`` and
        ``holdout_spend`` tell what came after it, up to `observation_period_end`. Customers
        whose first purchase is later are not in the table. A refund in the holdout of an
        earlier purchase lowers the holdout spend and nothing else.

    Returns
    -------
    RFM
        Sorted by customer id, in every engine; the columns are told there. Of transactions that
        were read with ``memory=`` the rows are on disk, and only parts of them in memory; of a
        Spark frame they stay in the cluster.

    Raises
    ------
    DataError
        If a date cannot be read, the end lies before the first day, or the calibration end does
        not lie before the end.
    NoUsableRowsError
        If no customer is left.

    Examples
    --------
    >>> import pandas as pd
    >>> import clv
    >>> orders = pd.DataFrame({
    ...     "customer_id": ["a", "a", "a", "b"],
    ...     "date": ["2024-01-01", "2024-01-15", "2024-01-15", "2024-01-10"],
    ...     "amount": [10.0, 20.0, 5.0, 8.0],
    ... })
    >>> rfm = clv.rfm_summary(
    ...     clv.read_transactions(orders), observation_period_end="2024-01-29"
    ... )
    >>> rfm.to_pandas()[["customer_id", "frequency", "recency", "T", "monetary_value"]]
      customer_id  frequency  recency         T  monetary_value
    0           a          1      2.0  4.000000            25.0
    1           b          0      0.0  2.714286             NaN
    """
    if not isinstance(transactions, Transactions):
        raise DataError(
            f"rfm_summary needs transactions, not {type(transactions).__name__}; read a frame or "
            "file with clv.read_transactions, or take a ready-made table with clv.rfm_table"
        )
    unit = check_time_unit(time_unit)
    period = observation_period(transactions, observation_period_end, calibration_period_end)
    end = day_number(period.end)
    cut = None if period.cut is None else day_number(period.cut)
    scale = DAYS_PER_UNIT[unit]
    about: dict[str, Any] = {
        "time_unit": unit,
        "observation_period_end": period.end,
        "calibration_period_end": period.cut,
    }
    if transactions.memory is not None or is_spark(transactions.lines):
        return _large(transactions, period, end, cut, scale, about)
    summary = summarise(purchase_blocks(transactions, end), end, cut, scale)
    return RFM(
        **Table.parts(summary.columns, like=transactions.engine),
        **about,
        notes=(*period.notes, *summary.notes),
        unmatched_refunds=summary.unmatched,
    )


def _large(
    transactions: Transactions,
    period: Period,
    end: int,
    cut: int | None,
    scale: float,
    about: dict[str, Any],
) -> RFM:
    from clv.tables.large import Large, LargeRFM

    summarise = partial(summarise_some, end=end, cut=cut, days_per_unit=scale)
    rows: Rows
    if is_spark(transactions.lines):
        from clv.tables._spark import summarise_in_spark

        rows, account = summarise_in_spark(transactions, end, summarise)
    else:
        from clv.tables._divided import summarise_divided

        assert transactions.memory is not None
        rows, account = summarise_divided(transactions, end, transactions.memory, summarise)
    horizon = end if cut is None else cut
    account.check(horizon)
    return LargeRFM(
        **Large.kept(rows, Table.parts({}, like=transactions.engine)["engine"]),
        **about,
        notes=(*period.notes, *account.notes(horizon)),
        unmatched_refunds=account.unmatched,
    )
