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
from clv.numerics.compress import Compressed, Weighted, compress
from clv.numerics.threads import taken
from clv.tables._covariates import check_names, read_covariates
from clv.tables._fingerprint import HASHED, fingerprint
from clv.tables._frame import FloatArray, Table, counted, levels_of
from clv.tables.refunds import NONE_UNMATCHED, IntArray, UnmatchedRefunds
from clv.tables.time_varying import TimeVaryingCovariates
from clv.units import DAYS_PER_UNIT, TimeUnit

_HOLDOUT_COLUMNS = ("holdout_purchases", "holdout_spend")
_COLUMNS = (
    *("customer_id", "frequency", "recency", "T", "monetary_value", "mean_purchase_value"),
    *("total_value", "sum_log_intervals", "sum_log_values", "first_purchase", "last_purchase"),
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
    ``sum_log_values``     sum of ln(value of a purchase); missing if one was worth nothing
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
    def as_of(self) -> date | None:
        """The last day that `frequency`, `recency` and `T` know of; None if the table has none."""
        return self.calibration_period_end or self.observation_period_end

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

    def collect(self) -> RFM:
        """The table with its rows in memory; see `clv.tables.large`."""
        return self

    def distinct(self, *columns: str) -> Compressed:
        """Distinct rows of some columns, their weights and the way back; cached.

        Examples
        --------
        >>> import clv
        >>> import pandas as pd
        >>> frame = pd.DataFrame({"customer_id": ["a", "b"], "frequency": 0, "recency": 0.0,
        ...                       "T": 38.0})
        >>> clv.rfm_table(frame, time_unit="week").distinct("frequency", "T").weights
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

    def weighted(self, *columns: str) -> Weighted:
        """Distinct rows of some columns and their weights: all that a fit looks at."""
        return Weighted(*self.distinct(*columns)[:2])

    def mean_of_distinct(self, column: str, *columns: str) -> FloatArray:
        """The mean of a column over the customers behind each of `weighted(*columns)`."""
        rows = self.distinct(*columns)
        values = np.nan_to_num(self.array(column))
        return np.asarray(np.bincount(rows.inverse, values, rows.weights.size) / rows.weights)

    def _narrowed(self, wider: tuple[str, ...], columns: tuple[str, ...]) -> Compressed:
        """The same from rows that are distinct in more columns already, which are fewer."""
        rows, among = self.distinct(*wider), self._among(wider, columns)
        weights = np.bincount(among.inverse, rows.weights, among.weights.size)
        return Compressed(
            among.columns, weights.astype(np.float64), taken(among.inverse, rows.inverse)
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
        >>> import clv
        >>> import pandas as pd
        >>> frame = pd.DataFrame({"customer_id": ["a", "b"], "frequency": 0, "recency": 0.0,
        ...                       "T": 38.0})
        >>> known = pd.DataFrame({"customer_id": ["b", "a"], "channel": ["web", "shop"]})
        >>> rfm = clv.rfm_table(frame, time_unit="week").with_covariates(known, ["channel"])
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
        >>> import clv
        >>> import pandas as pd
        >>> frame = pd.DataFrame({"customer_id": ["a", "b"], "frequency": 0, "recency": 0.0,
        ...                       "T": 38.0})
        >>> weeks = pd.DataFrame({"week": ["2024-01-01", "2024-01-08"], "sale": [0, 1]})
        >>> sales = clv.time_varying_covariates(weeks, customer_id=None, date="week")
        >>> clv.rfm_table(frame, time_unit="week").with_time_varying_covariates(sales).time_varying
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
        return fingerprint(columns, (len(self), self.time_unit, self._period()))

    def _period(self) -> tuple[str, str]:
        return str(self.observation_period_end), str(self.calibration_period_end)

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
