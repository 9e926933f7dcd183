"""One row per customer: how often, how recently, for how long and for how much they bought.

The table carries its time unit and the days on which observation ended, so that nobody has to
say them twice, or differently.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property
from typing import Any

import numpy as np

from clv.errors import DataError
from clv.numerics.compress import Compressed, compress
from clv.tables._covariates import check_names, read_covariates
from clv.tables._day import day_number, parse_day
from clv.tables._days import purchase_days
from clv.tables._fingerprint import HASHED, fingerprint
from clv.tables._frame import FloatArray, Table, counted, levels_of
from clv.tables._period import observation_period
from clv.tables._ready_made import read_ready_made
from clv.tables._summary import summarise
from clv.tables.refunds import NONE_UNMATCHED, IntArray, UnmatchedRefunds
from clv.tables.time_varying import TimeVaryingCovariates
from clv.tables.transactions import Transactions
from clv.units import DAYS_PER_UNIT, TimeUnit, check_time_unit

_HOLDOUT_COLUMNS = ("holdout_purchases", "holdout_spend")
_COLUMNS = (
    *("customer_id", "frequency", "recency", "T", "monetary_value", "mean_purchase_value"),
    *("total_value", "sum_log_intervals", "first_purchase", "last_purchase"),
    *_HOLDOUT_COLUMNS,
)


@dataclass(frozen=True, repr=False, eq=False)
class RFM(Table):
    """One row per customer; made by `rfm_summary` from transactions, or by `rfm_table`.

    Ages are in `time_unit`, money is in the currency of the transactions.

    =====================  ============================================================
    column                 meaning
    =====================  ============================================================
    ``customer_id``        as in the source
    ``frequency``          repeat purchases: days of purchase - 1
    ``recency``            age at the last purchase: last - first
    ``T``                  age at the end of observation: end - first
    ``monetary_value``     mean value of the repeat purchases; missing without any
    ``mean_purchase_value``  mean value of all purchases
    ``total_value``        sum of all purchases, refunds taken off
    ``sum_log_intervals``  sum of ln(interval between successive purchases)
    ``first_purchase``     day of the first purchase
    ``last_purchase``      day of the last purchase
    ``holdout_purchases``  with a calibration end: days of purchase after it
    ``holdout_spend``      with a calibration end: sum of all amounts after it
    =====================  ============================================================

    Attributes
    ----------
    time_unit
        Unit of `recency`, `T` and the intervals.
    observation_period_end
        Last day observed; None if a ready-made table came without it.
    calibration_period_end
        The cut: all columns but the holdout's are as known on that day.
    notes
        What was left out, and refunds that matched nothing, in words.
    unmatched_refunds
        How many customers, and how much.
    covariates
        Names of the columns that `with_covariates` added.
    time_varying
        Covariates that change with time, from `with_time_varying_covariates`.
    holdout_opportunities
        Length of the holdout where time is counted in calendar periods.
    """

    time_unit: TimeUnit = "week"
    observation_period_end: date | None = None
    calibration_period_end: date | None = None
    notes: tuple[str, ...] = ()
    unmatched_refunds: UnmatchedRefunds = NONE_UNMATCHED
    covariates: tuple[str, ...] = ()
    time_varying: TimeVaryingCovariates | None = None
    holdout_opportunities: int | None = None

    @property
    def customer_ids(self) -> Any:
        """Customer ids (n,) as a series of the table's engine."""
        return self["customer_id"]

    @property
    def has_holdout(self) -> bool:
        """Whether the table knows what was bought after its calibration end."""
        return "holdout_purchases" in self.data

    @property
    def holdout_duration(self) -> float:
        """Length of the holdout in `time_unit`.

        Raises
        ------
        DataError
            If the table has no calibration end.
        """
        if self.calibration_period_end is None or self.observation_period_end is None:
            raise DataError(
                "the table has no holdout of a known length; give calibration_period_end and "
                "observation_period_end when making it"
            )
        if self.holdout_opportunities is not None:  # calendar years differ by a day
            return float(self.holdout_opportunities)
        days = (self.observation_period_end - self.calibration_period_end).days
        return days / DAYS_PER_UNIT[self.time_unit]

    def distinct(self, *columns: str) -> Compressed:
        """Distinct rows of some columns, their weights and the way back; cached.

        Examples
        --------
        >>> import pandas as pd
        >>> frame = pd.DataFrame({"customer_id": ["a", "b"], "frequency": 0, "recency": 0.0,
        ...                       "T": 38.0})
        >>> rfm_table(frame, time_unit="week").distinct("frequency", "T").weights
        array([2.])
        """
        if columns not in self._distinct:
            wider = next((known for known in self._distinct if set(columns) < set(known)), None)
            self._distinct[columns] = (
                compress([self.numbers(name) for name in columns])
                if wider is None
                else self._narrowed(wider, columns)
            )
        return self._distinct[columns]

    def _narrowed(self, wider: tuple[str, ...], columns: tuple[str, ...]) -> Compressed:
        """The same from rows that are distinct in more columns already, which are fewer."""
        rows, among = self.distinct(*wider), self._among(wider, columns)
        weights = np.bincount(among.inverse, rows.weights, among.weights.size)
        return Compressed(
            among.columns, weights.astype(np.float64), among.inverse.take(rows.inverse)
        )

    def numbers(self, column: str) -> FloatArray:
        """One column (n,) as numbers: of a column of texts, the place of each in `levels`."""
        if column in self._coded:
            return self._coded[column][0]
        if self.values(column).dtype.kind != "O":
            return self.array(column)
        self._coded[column] = levels_of(self.values(column))
        return self._coded[column][0]

    def levels(self, column: str) -> tuple[str, ...] | None:
        """The distinct texts of a column in ascending order; None for a column of numbers."""
        self.numbers(column)
        return self._coded[column][1] if column in self._coded else None

    @cached_property
    def _coded(self) -> dict[str, tuple[FloatArray, tuple[str, ...]]]:
        return {}

    def with_covariates(
        self, customers: Any, columns: Sequence[str], *, customer_id: str = "customer_id"
    ) -> RFM:
        """A new table that also knows these columns of a customers table.

        Parameters
        ----------
        customers
            Data frame of any engine with a row for each customer of this table, in any order;
            rows of others are left alone.
        columns
            Names of its columns to take: numbers, or texts, categories and true/false, whose
            levels models tell apart. They must be known at the end of the calibration: what
            customers did later would let a model see what it is to predict.
        customer_id
            Name of its column with ids.

        Returns
        -------
        RFM
            With the columns, in this order; a covariate of the same name is replaced.

        Raises
        ------
        MissingColumnError, UnsupportedFrameError
            If `customers` is no data frame, or lacks a column.
        DataError
            If a customer is not in it or there twice, a value is missing or not finite, or a
            name is that of a column every table has.

        Examples
        --------
        >>> import pandas as pd
        >>> frame = pd.DataFrame({"customer_id": ["a", "b"], "frequency": 0, "recency": 0.0,
        ...                       "T": 38.0})
        >>> known = pd.DataFrame({"customer_id": ["b", "a"], "channel": ["web", "shop"]})
        >>> rfm = rfm_table(frame, time_unit="week").with_covariates(known, ["channel"])
        >>> rfm.to_pandas()["channel"].tolist()
        ['shop', 'web']
        """
        own = [name for name in self.data if name not in self.covariates]
        wanted = check_names(columns, (*own, *_COLUMNS))
        found = read_covariates(self.customer_ids, customers, wanted, customer_id)
        kept = {name: values for name, values in self.data.items() if name not in found}
        return replace(
            self,
            **Table.parts({**kept, **found}, like=self),
            covariates=(*(name for name in self.covariates if name not in found), *found),
        )

    def with_time_varying_covariates(self, covariates: TimeVaryingCovariates) -> RFM:
        """A new table that also knows covariates that change with time, past and planned.

        Parameters
        ----------
        covariates
            From `clv.time_varying_covariates`; they replace those that the table has.

        Raises
        ------
        DataError
            If they are something else, or a covariate of the table has the name of one of them.

        Examples
        --------
        >>> import clv
        >>> import pandas as pd
        >>> frame = pd.DataFrame({"customer_id": ["a", "b"], "frequency": 0, "recency": 0.0,
        ...                       "T": 38.0})
        >>> weeks = pd.DataFrame({"week": ["2024-01-01", "2024-01-08"], "sale": [0, 1]})
        >>> sales = clv.time_varying_covariates(weeks, customer_id=None, date="week")
        >>> rfm_table(frame, time_unit="week").with_time_varying_covariates(sales).time_varying
        Time-varying covariates sale: everybody, 2 periods from 2024-01-01 to 2024-01-14
        """
        if not isinstance(covariates, TimeVaryingCovariates):
            raise DataError(
                f"expected covariates from clv.time_varying_covariates, not "
                f"{type(covariates).__name__}; columns that do not change are added with "
                "rfm.with_covariates(customers, columns)"
            )
        both = [name for name in covariates.columns if name in self.covariates]
        if both:
            raise DataError(
                f"{', '.join(both)} is a covariate of the table and a time-varying one; rename one"
            )
        return replace(self, time_varying=covariates)

    @cached_property
    def scratch(self) -> dict[Any, Any]:
        """What models have worked out of this table, kept for their next question."""
        return {}

    @property
    def compressed(self) -> Compressed:
        """Distinct (frequency, recency, T) rows: all that purchase models need to know."""
        return self.distinct("frequency", "recency", "T")

    def state_of_row(self, columns: tuple[str, ...], fewer: tuple[str, ...]) -> IntArray:
        """For each of `distinct(*columns)`, which of `distinct(*fewer)` it contains.

        `fewer` are some of `columns`.
        """
        return self._among(columns, fewer).inverse

    def _among(self, columns: tuple[str, ...], fewer: tuple[str, ...]) -> Compressed:
        """Distinct rows of some columns, found among the distinct rows of more columns; cached."""
        if (columns, fewer) not in self._distinct_among:
            rows = dict(zip(columns, self.distinct(*columns).columns, strict=True))
            self._distinct_among[columns, fewer] = compress([rows[name] for name in fewer])
        return self._distinct_among[columns, fewer]

    @cached_property
    def _distinct(self) -> dict[tuple[str, ...], Compressed]:
        return {}

    @cached_property
    def _distinct_among(self) -> dict[tuple[tuple[str, ...], tuple[str, ...]], Compressed]:
        return {}

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the content, customer ids left out; the order of the rows does not matter.

        Covariates are left out too, so that models with and without them can be seen to rest on
        the same customers.

        Money enters rounded, because sums of the same amounts differ in their last digits.
        """
        columns = {name: self.array(name) for name in HASHED if name in self.data}
        period = (str(self.observation_period_end), str(self.calibration_period_end))
        return fingerprint(columns, (len(self), self.time_unit, period))

    def _title(self) -> str:
        title = (
            f"RFM table: {counted(len(self), 'customer', 'customers')}, ages in {self.time_unit}s"
        )
        if self.observation_period_end is not None:
            title += f", observed to {self.observation_period_end}"
        if self.calibration_period_end is not None:
            title += f", figures as known on {self.calibration_period_end}"
        return title

    def _missing_column(self, name: str) -> str:
        message = super()._missing_column(name)
        if name in _HOLDOUT_COLUMNS:
            return message + "; make the table with clv.rfm_summary(..., calibration_period_end=)"
        return message + (
            "; clv.rfm_summary makes every column from transactions, and clv.rfm_table takes "
            "those that a ready-made table has"
        )


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
        Sorted by customer id, in every engine; the columns are told there.

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
    summary = summarise(
        purchase_days(transactions, day_number(period.end)),
        end=day_number(period.end),
        cut=None if period.cut is None else day_number(period.cut),
        days_per_unit=DAYS_PER_UNIT[unit],
    )
    return RFM(
        **Table.parts(summary.columns, like=transactions.engine),
        time_unit=unit,
        observation_period_end=period.end,
        calibration_period_end=period.cut,
        notes=(*period.notes, *summary.notes),
        unmatched_refunds=summary.unmatched,
    )


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
    monetary_value, mean_purchase_value, total_value, sum_log_intervals
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
