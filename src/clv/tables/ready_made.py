"""Tables that are summed up already, by SQL or another package."""

from __future__ import annotations

from typing import Any

from clv.errors import DataError
from clv.tables._day import parse_day
from clv.tables._frame import Table
from clv.tables._ready_made import read_ready_made
from clv.tables.rfm import RFM
from clv.units import check_time_unit


def rfm_table(
    frame: Any,
    *,
    time_unit: str,
    observation_period_end: Any = None,
    calibration_period_end: Any = None,
    customer_id: str | None = "customer_id",
    frequency: str = "frequency",
    recency: str = "recency",
    T: str = "T",
    monetary_value: str = "monetary_value",
    mean_purchase_value: str = "mean_purchase_value",
    total_value: str = "total_value",
    sum_log_intervals: str = "sum_log_intervals",
    sum_log_values: str = "sum_log_values",
    first_purchase: str = "first_purchase",
    last_purchase: str = "last_purchase",
    holdout_purchases: str = "holdout_purchases",
    holdout_spend: str = "holdout_spend",
) -> RFM:
    """Take a ready-made table, from SQL or another package, after checking it.

    Parameters
    ----------
    frame
        One row per customer, in pandas (the id may be the index), Polars, PyArrow or DuckDB.
    time_unit
        Unit of `recency` and `T`: "day", "week", "month" or "year".
    observation_period_end
        Last day observed; without it, forecasts give no dates.
    calibration_period_end
        The day on which the figures are known, if the table has a holdout.
    customer_id
        Name of the column with ids; None numbers the rows from 1.
    frequency, recency, T
        Names of the columns that are required; see `RFM` for their meaning.
    monetary_value, mean_purchase_value, total_value, sum_log_intervals, sum_log_values
        Names of columns that are used where they are there. Of the mean and the total value of
        all purchases, one gives the other.
    first_purchase, last_purchase, holdout_purchases, holdout_spend
        Likewise.

    Returns
    -------
    RFM
        In the order of the frame and in its engine.

    Raises
    ------
    MissingColumnError
        If a required column is not there.
    NoUsableRowsError
        If the table is empty.
    UnsupportedFrameError
        If `frame` is no table.
    DataError
        If an id is missing or repeated, `frequency` is no whole number, `recency` lies outside
        0..T or is 0 for others than one-time buyers, or a number is negative or not finite. The
        message tells the column, the number of rows, the first one and what to do.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame(
    ...     {"id": [1, 2], "x": [2, 0], "t_x": [30.4, 0.0], "T": [38.9, 38.9]}
    ... )
    >>> rfm = rfm_table(
    ...     frame, time_unit="week", customer_id="id", frequency="x", recency="t_x"
    ... )
    >>> len(rfm), rfm.array("frequency")
    (2, array([2., 0.]))
    """
    names = {
        "customer_id": customer_id,
        "frequency": frequency,
        "recency": recency,
        "T": T,
        "monetary_value": monetary_value,
        "mean_purchase_value": mean_purchase_value,
        "total_value": total_value,
        "sum_log_intervals": sum_log_intervals,
        "sum_log_values": sum_log_values,
        "first_purchase": first_purchase,
        "last_purchase": last_purchase,
        "holdout_purchases": holdout_purchases,
        "holdout_spend": holdout_spend,
    }
    unit = check_time_unit(time_unit)
    end, cut = (
        None if day is None else parse_day(day, what)
        for day, what in (
            (observation_period_end, "observation_period_end"),
            (calibration_period_end, "calibration_period_end"),
        )
    )
    if end is not None and cut is not None and cut >= end:
        raise DataError(
            f"calibration_period_end {cut} must lie before observation_period_end {end}"
        )
    table = read_ready_made(frame, names)
    order = [name for name in names if name in table.columns]
    return RFM(
        **Table.parts({name: table.columns[name] for name in order}, like=table.engine),
        time_unit=unit,
        observation_period_end=end,
        calibration_period_end=cut,
        notes=tuple(table.notes),
    )
