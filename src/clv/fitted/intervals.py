"""How regular purchases were, for the models that look at it."""

from __future__ import annotations

import numpy as np

from clv.errors import DataError, MissingColumnError
from clv.numerics.histories import IntervalHistory, PurchaseHistory
from clv.tables.rfm import RFM

#: Rounding that sums of logs are allowed, relative to their size.
_ROUNDING = 1e-6


def with_intervals(title: str, history: PurchaseHistory, rfm: RFM) -> IntervalHistory:
    """Add the mean of ``sum_log_intervals`` over the customers behind each distinct row.

    Only their total enters a likelihood, so the mean stands for them exactly.

    Raises
    ------
    MissingColumnError
        If the table does not have the column.
    DataError
        If it cannot be right: of all ways to lay x intervals, equal ones have the largest sum of
        logs.
    """
    if "sum_log_intervals" not in rfm.data:
        raise MissingColumnError(
            f"{title} learns from the intervals between purchases how regular they are, and the "
            "table has no sum_log_intervals; make it with clv.rfm_summary, name the column in "
            "clv.rfm_table(..., sum_log_intervals=), or give k=1"
        )
    if rfm.in_memory:  # other tables are of our own making
        _check_sums(rfm)
    return IntervalHistory(
        *history, rfm.mean_of_distinct("sum_log_intervals", *PurchaseHistory._fields)
    )


def _check_sums(rfm: RFM) -> None:
    values = rfm.array("sum_log_intervals")
    x, recency = rfm.array("frequency"), rfm.array("recency")
    some = x > 0
    even = x[some] * np.log(recency[some] / x[some])
    wrong = np.flatnonzero(some)[values[some] > even + _ROUNDING * (1.0 + np.abs(even))]
    if wrong.size:
        first = wrong[0]
        raise DataError(
            f"sum_log_intervals is too large in {wrong.size:,} rows, first in row {first + 1}: "
            f"{values[first]:.6g}, and {x[first]:.0f} intervals within {recency[first]:.6g} "
            f"{rfm.time_unit}s give {x[first] * np.log(recency[first] / x[first]):.6g} at most. It "
            "is the sum of the natural logs of the intervals in the unit of the table"
        )
