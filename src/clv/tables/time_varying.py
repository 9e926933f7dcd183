"""Covariates that change with time: a table of customers, periods and columns.

Periods are days, weeks, months or any other steady number of days; a value holds from the
first day of its period to the day before the next one. Nothing is filled in: what is missing is
named, so that no model invents a campaign.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import narwhals as nw
import numpy as np
import numpy.typing as npt

from clv.errors import DataError, MissingColumnError, NoUsableRowsError, UnsupportedFrameError
from clv.tables._day import day_number, from_day_number, parse_day
from clv.tables._frame import FloatArray, collect, counted, levels_of
from clv.tables.refunds import IntArray


@dataclass(frozen=True, repr=False, eq=False)
class TimeVaryingCovariates:
    """Covariates by customer and period; made by `time_varying_covariates`.

    Attributes
    ----------
    columns
        Names of the covariates.
    values
        Of every column, shape (rows,): numbers, or which of `levels` holds.
    levels
        Of every column of texts: its distinct texts in ascending order.
    borders
        First days of all periods and the day after the last one, in days since 1970-01-01.
    customer_ids
        Distinct ids, an Arrow array; None when the values are those of everybody.
    first_row, first_period, periods
        Of each customer: where its rows begin, with which period, and how many there are.
    afterwards
        The row of `values` that holds for everybody beyond their periods; None if nothing does.
    """

    columns: tuple[str, ...]
    values: Mapping[str, FloatArray]
    levels: Mapping[str, tuple[str, ...]]
    borders: IntArray
    customer_ids: Any
    first_row: IntArray
    first_period: IntArray
    periods: IntArray
    afterwards: int | None = None

    @property
    def first_day(self) -> date:
        """The first day that some row covers."""
        return from_day_number(int(self.borders[0]))

    @property
    def last_day(self) -> date:
        """The last day that some row covers."""
        return from_day_number(int(self.borders[-1]) - 1)

    def __repr__(self) -> str:
        who = (
            "everybody"
            if self.customer_ids is None
            else counted(len(self.customer_ids), "customer", "customers")
        )
        count = len(self.borders) - 1
        return (
            f"Time-varying covariates {', '.join(self.columns)}: {who}, "
            f"{counted(count, 'period', 'periods')} from {self.first_day} to {self.last_day}"
            + ("" if self.afterwards is None else f", afterwards {self.what_holds_afterwards()}")
        )

    def what_holds_afterwards(self) -> str:
        """The values beyond the last period, such as "sale=0, season=low"."""
        row = self.afterwards
        if row is None:
            return "nothing"
        values = {column: float(self.values[column][row]) for column in self.columns}
        return ", ".join(
            f"{column}={self.levels[column][int(value)] if column in self.levels else f'{value:g}'}"
            for column, value in values.items()
        )

    def at(self, customer_ids: Any) -> IntArray:
        """Index of each customer among those of the covariates, shape (n,).

        Raises
        ------
        DataError
            If one is not there.
        """
        if self.customer_ids is None:
            return np.zeros(len(customer_ids), dtype=np.int64)
        import pyarrow as pa
        import pyarrow.compute as pc

        ours = nw.from_native(customer_ids, series_only=True).to_arrow()
        try:
            theirs = self.customer_ids.cast(ours.type)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise DataError(
                f"customer_id is {self.customer_ids.type} in the covariates and {ours.type} in "
                "the transactions; make them the same"
            ) from error
        found = pc.fill_null(pc.index_in(ours, value_set=theirs), -1).to_numpy().astype(np.int64)
        lost = np.flatnonzero(found < 0)
        if len(lost):
            raise DataError(
                f"the covariates have no rows for {counted(len(lost), 'customer', 'customers')} "
                f"of {len(found):,}, the first is {ours[int(lost[0])].as_py()!r}; add their rows"
            )
        return np.asarray(found)


def time_varying_covariates(
    table: Any,
    *,
    customer_id: str | None = "customer_id",
    date: str = "date",
    columns: Sequence[str] | None = None,
    afterwards: Mapping[str, Any] | None = None,
) -> TimeVaryingCovariates:
    """Read covariates that change with time.

    Parameters
    ----------
    table
        Data frame of any engine with a row per customer and period, in any order.
    customer_id
        Name of the column with ids; None when there is none because the values are those of
        everybody (seasons), with one row per period.
    date
        Name of the column with the first day of each period: dates, datetimes or texts such as
        "2024-01-29". Periods are steady: days, weeks, any number of days, or calendar months.
    columns
        Names of the covariates: numbers, or texts, categories and true/false, whose levels
        models tell apart. Default: all other columns.
    afterwards
        Values of all columns that hold for everybody from the day after their last period on, so
        that forecasts without end have a meaning. An assumption, which forecasts name. By default
        nothing is known of that time, and no forecast goes there.

    Returns
    -------
    TimeVaryingCovariates
        For ``fit(rfm, covariates=..., transactions=...)`` and
        ``rfm.with_time_varying_covariates``.

    Raises
    ------
    UnsupportedFrameError, MissingColumnError, NoUsableRowsError
        If it is no data frame, lacks a column, or is empty.
    DataError
        If a value is missing or infinite, a customer has two rows for a period or none for one
        in between, the periods are not steady, or `afterwards` lacks a column or has another
        level.

    Examples
    --------
    >>> import pandas as pd
    >>> weeks = pd.DataFrame({"week": ["2024-01-01", "2024-01-08", "2024-01-15"],
    ...                       "sale": [0, 1, 0]})
    >>> time_varying_covariates(weeks, customer_id=None, date="week")
    Time-varying covariates sale: everybody, 3 periods from 2024-01-01 to 2024-01-21
    """
    frame = _frame(table)
    keys = [date] if customer_id is None else [customer_id, date]
    wanted = [c for c in frame.columns if c not in keys] if columns is None else list(columns)
    _check_columns(frame, keys, wanted)
    day = _days(frame[date], date)
    ids: Any = None
    code = np.zeros(len(day), dtype=np.int64)
    if customer_id is not None:
        ids, code = _codes(frame[customer_id], customer_id)

    def name(row: int) -> str:
        who = "" if ids is None else f"{ids[int(code[row])].as_py()!r}, "
        return f"{who}{from_day_number(int(day[row]))}"

    values, levels = {}, {}
    for column in wanted:
        values[column], found = _values(frame[column], column, name)
        if found:
            levels[column] = found
    order = np.lexsort((day, code))
    borders = _borders(np.unique(day), date)
    period = np.searchsorted(borders, day[order])
    customer = code[order]
    same = np.diff(customer) == 0
    step = np.diff(period)
    _refuse(
        np.flatnonzero(same & (step == 0)) + 1,
        lambda i: name(int(order[i])),
        "{rows} of the covariates repeat a customer and period"
        if ids is not None
        else "{rows} of the covariates repeat a period (customer_id=None says that the values are "
        "those of everybody)",
        "keep one row for each",
    )
    _refuse(
        np.flatnonzero(same & (step > 1)),
        lambda i: (
            f"that of {ids[int(customer[i])].as_py()!r}, who has none for "
            f"{from_day_number(int(borders[period[i] + 1]))}"
        ),
        "the covariates have gaps: the next period is missing after {rows}",
        "add the rows of these periods",
    )
    first_row = np.flatnonzero(np.diff(customer, prepend=-1))
    later = None if afterwards is None else _afterwards(afterwards, wanted, levels)
    return TimeVaryingCovariates(
        columns=tuple(wanted),
        values={
            column: _sorted(array, order, [] if later is None else [later[column]])
            for column, array in values.items()
        },
        levels=levels,
        borders=borders,
        customer_ids=ids,
        first_row=first_row,
        first_period=period[first_row],
        periods=np.diff(first_row, append=len(order)),
        afterwards=None if later is None else len(order),
    )


# -- reading ---------------------------------------------------------------------------------


def _frame(table: Any) -> nw.DataFrame[Any]:
    try:
        return collect(nw.from_native(table))
    except TypeError as error:
        raise UnsupportedFrameError(
            f"the covariates are a {type(table).__name__}, which is no data frame that is known; "
            "give a pandas, Polars or PyArrow frame"
        ) from error


def _check_columns(frame: nw.DataFrame[Any], keys: list[str], wanted: list[str]) -> None:
    for column in (*keys, *wanted):
        if column not in frame.columns:
            raise MissingColumnError(
                f"the covariates have no column {column!r}; they have {', '.join(frame.columns)}"
            )
    if not wanted:
        raise DataError("the covariates have no columns beside the customer and the period")
    if len(set(wanted)) < len(wanted) or set(wanted) & set(keys):
        raise DataError(f"columns names a column twice, or a key: {', '.join(wanted)}")
    if not len(frame):
        raise NoUsableRowsError("the covariates have no rows")


def _dictionary(series: nw.Series[Any]) -> Any:
    import pyarrow as pa

    array = series.to_arrow()
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    if pa.types.is_dictionary(array.type):
        array = array.cast(array.type.value_type)
    return array.dictionary_encode()


def _codes(series: nw.Series[Any], name: str) -> tuple[Any, IntArray]:
    coded = _dictionary(series)
    _refuse_missing(coded, name)
    codes: IntArray = coded.indices.to_numpy().astype(np.int64)
    return coded.dictionary, codes


def _days(series: nw.Series[Any], name: str) -> IntArray:
    """First days of periods as numbers; there are few distinct ones."""
    coded = _dictionary(series)
    _refuse_missing(coded, name)
    days = [day_number(parse_day(value, name)) for value in coded.dictionary.to_pylist()]
    return np.asarray(np.array(days, dtype=np.int64)[coded.indices.to_numpy()])


def _refuse_missing(coded: Any, name: str) -> None:
    missing = coded.indices.is_null().to_numpy(zero_copy_only=False)
    _refuse(
        np.flatnonzero(missing),
        lambda i: f"row {i + 1}",
        f"{name} is missing in {{rows}} of the covariates",
        "fill it in or leave these rows out",
    )


def _values(
    series: nw.Series[Any], column: str, name: Any
) -> tuple[FloatArray, tuple[str, ...] | None]:
    remedy = "fill it in: a model would have to invent a value"
    if series.dtype.is_numeric():
        numbers = series.cast(nw.Float64).to_numpy().astype(np.float64)
        bad = np.flatnonzero(~np.isfinite(numbers))
        _refuse(bad, name, f"{column} is missing or infinite in {{rows}} of the covariates", remedy)
        return numbers, None
    unusable = DataError(
        f"{column} of the covariates holds {series.dtype}; it must hold numbers, texts, "
        "categories or true/false"
    )
    if not isinstance(series.dtype, nw.String | nw.Categorical | nw.Enum | nw.Boolean | nw.Object):
        raise unusable
    try:
        coded = _dictionary(series)
    except (ValueError, TypeError, NotImplementedError) as error:  # Arrow's are among these
        raise unusable from error
    texts = np.array([*map(_text, coded.dictionary.to_pylist()), ""], dtype=object)
    rows = texts[coded.indices.fill_null(len(texts) - 1).to_numpy()]
    bad = np.flatnonzero(rows == "")
    _refuse(bad, name, f"{column} is missing in {{rows}} of the covariates", remedy)
    codes, levels = levels_of(rows)
    return codes, levels


def _text(value: Any) -> str:
    return str(value).strip()


def _borders(starts: IntArray, name: str) -> IntArray:
    """First days of all periods and the day after the last, if they are steady."""
    if len(starts) < 2:
        raise DataError(
            f"{name} of the covariates has one period only, so its length is not known; give the "
            "first days of at least two"
        )
    steps = np.diff(starts)
    if (steps == steps[0]).all() and steps[0] not in (28, 29, 30, 31):
        return np.append(starts, starts[-1] + steps[0])
    days = starts.astype("datetime64[D]")
    months = days.astype("datetime64[M]")
    of_month = (days - months.astype("datetime64[D]")).astype(np.int64)
    if (of_month == of_month[0]).all() and of_month[0] < 28:
        start, end = (int(month) for month in months[[0, -1]].astype(np.int64))
        every = np.arange(start, end + 2).astype("datetime64[M]").astype("datetime64[D]")
        every = every.astype(np.int64)
        every += of_month[0]
    else:
        sizes, times = np.unique(steps, return_counts=True)
        usual = sizes[int(times.argmax())]
        every = np.arange(starts[0], starts[-1] + 2 * usual, usual)
    every = every[: int(np.searchsorted(every, starts[-1])) + 2]
    known = np.isin(every[:-1], starts)
    if not np.isin(starts, every).all():
        odd = starts[int(np.flatnonzero(~np.isin(starts, every))[0])]
        raise DataError(
            f"{name} of the covariates has no steady periods: they are {steps.min():,} to "
            f"{steps.max():,} days long, and {from_day_number(int(odd))} is the first out of "
            "step; give the first day of each period of a week, a month or a number of days"
        )
    if not known.all():
        first = from_day_number(int(every[:-1][~known][0]))
        raise DataError(
            f"the covariates have no rows for {counted(int((~known).sum()), 'period', 'periods')}"
            f", the first begins on {first}; add the rows of these periods"
        )
    return np.asarray(every, dtype=np.int64)


def _afterwards(
    given: Mapping[str, Any], columns: list[str], levels: Mapping[str, tuple[str, ...]]
) -> dict[str, float]:
    """What holds after the last period, as it stands in the columns."""
    if set(given) != set(columns):
        raise DataError(
            f"afterwards must have a value for each of {', '.join(columns)} and nothing else, not "
            f"{', '.join(map(str, given)) or 'nothing'}"
        )
    found = {}
    for column in columns:
        value = given[column]
        if column in levels:
            if _text(value) not in levels[column]:
                raise DataError(
                    f"afterwards: {column} has no level {value!r}; there are "
                    f"{', '.join(levels[column])}"
                )
            found[column] = float(levels[column].index(_text(value)))
        else:
            try:
                found[column] = float(value)
            except (TypeError, ValueError):
                found[column] = np.nan
            if not np.isfinite(found[column]):
                raise DataError(f"afterwards: {column} must be a finite number, not {value!r}")
    return found


def _sorted(
    array: FloatArray, order: npt.NDArray[np.intp], later: Sequence[float] = ()
) -> FloatArray:
    result = np.append(array[order], later)
    result.flags.writeable = False
    return result


def _refuse(bad: Any, name: Any, what: str, remedy: str) -> None:
    if len(bad):
        rows = counted(len(bad), "row", "rows")
        raise DataError(f"{what.format(rows=rows)}, the first is {name(int(bad[0]))}; {remedy}")
