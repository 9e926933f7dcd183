"""Contracts: when they began, how often they were renewed, and which are still running."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from typing import Any

import narwhals as nw
import numpy as np

from clv.errors import DataError
from clv.numerics.compress import Compressed, compress
from clv.tables._day import day_number, parse_day
from clv.tables._frame import AnyArray, Table, counted
from clv.tables._renewals import renewal_day, renewals_until
from clv.units import TimeUnit, check_time_unit


def _nothing() -> None:
    return None


@dataclass(frozen=True, repr=False, eq=False)
class Contracts(Table):
    """One row per contract, from `contracts_table`, or cohorts, from `contracts_from_survivors`.

    =================  =======================================================================
    column             meaning
    =================  =======================================================================
    ``customer_id``    as in the source
    ``start``          day the contract began
    ``end``            day it ended; missing for those that run on `as_of`
    ``fee``            paid at the start and at every renewal; missing where it is not known
    ``renewals``       how often it was renewed
    ``churned``        whether the next renewal was not made
    ``next_renewal``   day on which the next one is due; missing where it has churned
    ``customers``      of cohorts: how many customers the row stands for
    ``cohort``         of cohorts: which
    =================  =======================================================================

    Attributes
    ----------
    period
        From one renewal to the next: "day", "week", "month" or "year".
    as_of
        The day that all is known up to; None for cohorts.
    notes
        What a user should know, in sentences.
    reasons
        Rows that could not be used, by reason.
    """

    period: TimeUnit = "year"
    as_of: date | None = None
    notes: tuple[str, ...] = ()
    reasons: Mapping[str, int] = field(default_factory=dict)
    make_rejected: Callable[[], Any] = _nothing

    @cached_property
    def rejected(self) -> Any:
        """Every row that could not be used, as it was, with its `row` number and `reason`."""
        return self.make_rejected()

    @property
    def ids(self) -> nw.Series[Any]:
        """Customer ids (n,), as they came."""
        column = self._column("customer_id")
        assert isinstance(column, nw.Series)
        return column

    @cached_property
    def distinct(self) -> Compressed:
        """Distinct (renewals, churned): all that a model needs to know.

        For cohorts the weights are customers, and `inverse` gives each row's place as always.
        """
        rows = compress([self.array("renewals"), self.array("churned")])
        if "customers" not in self.data:
            return rows
        weights = np.bincount(rows.inverse, self.array("customers"), len(rows.weights))
        return rows._replace(weights=weights.astype(np.float64))

    @property
    def time_unit(self) -> TimeUnit:
        """Time counts in periods."""
        return self.period

    @property
    def n_contracts(self) -> int:
        """How many contracts there are."""
        return round(float(self.distinct.weights.sum()))

    @cached_property
    def fingerprint(self) -> str:
        """Hash of what a model is fitted to."""
        renewals, churned = (column.tobytes() for column in self.distinct.columns)
        about = repr((self.period, str(self.as_of))).encode()
        content = renewals + churned + self.distinct.weights.tobytes() + about
        return hashlib.sha256(content).hexdigest()

    def _title(self) -> str:
        running = self.distinct.weights @ (self.distinct.columns[1] == 0)
        known = "" if self.as_of is None else f" on {self.as_of}"
        number = counted(self.n_contracts, "contract", "contracts")
        return f"{number} by the {self.period}, {running:,.0f} of them running{known}"

    def _missing_column(self, name: str) -> str:
        message = super()._missing_column(name)
        if "cohort" in self.data:
            return f"{message}; cohorts of survivors have no dates, fees or customers"
        return f"{message}; give contracts_table(..., {name}=) the name of the column"


def contracts_table(
    source: Any,
    *,
    as_of: Any,
    period: str,
    customer_id: str = "customer_id",
    start: str = "start",
    end: str | None = "end",
    fee: str | None = None,
) -> Contracts:
    """Read contracts that are paid for in advance and renewed period by period.

    Parameters
    ----------
    source
        A path to CSV or Parquet, or a pandas, Polars, PyArrow or DuckDB table, one row per
        contract. A customer may have several.
    as_of
        The day up to which everything is known, and on which contracts without an end run.
    period
        "month", "year", "week" or "day": how long a fee pays for. Months and years are the
        calendar's, counted from each contract's own start.
    customer_id, start, end, fee
        Names of the columns. `end` is the day the contract ended, the last or the first day
        without it: a contract is renewed on every renewal day *before* its end. It is missing
        for contracts that run, and a day after `as_of` says no more than that. None: all run.
        `fee` is the price of a period and may be missing.

    Returns
    -------
    Contracts
        Rows that cannot be used (a start that is missing, no day, or after `as_of`, an end
        before the start, a negative fee) are in its `rejected`, with the reason.

    Raises
    ------
    MissingColumnError
        If a column is not there.
    NoUsableRowsError
        If no row can be used; the message says why.
    UnsupportedFrameError
        If `source` is of an unknown type.
    DataError
        If a column has an impossible type, or `as_of` cannot be read.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({
    ...     "customer_id": ["a", "b", "c"],
    ...     "start": ["2021-03-15", "2022-01-31", "2023-06-01"],
    ...     "end": ["2023-03-15", None, "2022-01-01"],
    ... })
    >>> contracts = contracts_table(frame, as_of="2024-12-31", period="year")
    >>> contracts.to_pandas()[["customer_id", "renewals", "churned", "next_renewal"]]
      customer_id  renewals  churned next_renewal
    0           a         1     True          NaT
    1           b         2    False   2025-01-31
    >>> list(contracts.rejected["reason"])
    ['end lies before start']
    """
    from clv.tables._contract_rows import read_contracts

    unit = check_time_unit(period)
    today = parse_day(as_of, "as_of")
    names = {"customer_id": customer_id, "start": start, "end": end, "fee": fee}
    read = read_contracts(source, names, day_number(today))
    rows, now = read.rows, day_number(today)
    churned = rows.end <= now
    last = np.where(churned, rows.end - 1, now).astype(np.int64)
    renewals = renewals_until(rows.start, last, unit)
    due = renewal_day(rows.start, renewals + 1, unit)
    columns: dict[str, Any] = {
        "customer_id": rows.ids,
        "start": rows.start.astype("datetime64[D]"),
        "end": _days(np.where(churned, rows.end, np.nan)),
        **({} if rows.fee is None else {"fee": rows.fee}),
        "renewals": renewals,
        "churned": churned,
        "next_renewal": _days(np.where(churned, np.nan, due)),
    }
    return Contracts(
        **Table.parts(columns, like=read.engine),
        period=unit,
        as_of=today,
        notes=tuple(_notes(columns, rows.end > now, read.reasons)),
        reasons=read.reasons,
        make_rejected=read.rejected,
    )


def _days(number: AnyArray) -> AnyArray:
    """Days since 1970-01-01 as dates, nan as missing."""
    known = np.isfinite(number)
    days = np.where(known, number, 0).astype(np.int64).astype("datetime64[D]")
    return np.where(known, days, np.datetime64("NaT", "D"))


def _notes(columns: dict[str, Any], later: AnyArray, reasons: Mapping[str, int]) -> list[str]:
    found = []
    if reasons:
        told = "; ".join(f"{count:,} x {reason}" for reason, count in reasons.items())
        found.append(
            f"{counted(sum(reasons.values()), 'row', 'rows')} could not be used ({told}); see "
            ".rejected."
        )
    if later.any():
        ends = counted(int(later.sum()), "contract ends", "contracts end")
        found.append(f"{ends} after as_of, and counts as running until then.")
    several = len(columns["customer_id"]) - columns["customer_id"].n_unique()
    if several:
        more = counted(several, "contract is", "contracts are")
        found.append(f"{more} of a customer who has another; each counts for itself.")
    if "fee" in columns and np.isnan(columns["fee"]).any():
        without = counted(int(np.isnan(columns["fee"]).sum()), "contract has", "contracts have")
        found.append(f"{without} no fee; what they are worth is missing.")
    return found


def contracts_from_survivors(
    survivors: Sequence[float] | Mapping[Any, Sequence[float]] | Sequence[Sequence[float]],
    *,
    period: str = "year",
) -> Contracts:
    """Contracts of whole cohorts, from how many customers were left after each renewal.

    Parameters
    ----------
    survivors
        Customers at the start, after the first renewal, after the second, ... Several cohorts: a
        list of such lists, or a mapping from their names; they may differ in length.
    period
        From one renewal to the next: "day", "week", "month" or "year".

    Returns
    -------
    Contracts
        One row for each number of renewals at which customers left, and one for those who are
        left at the end; `customers` says how many.

    Raises
    ------
    DataError
        If a cohort has fewer than two counts, or they are no whole numbers, or rise.

    Examples
    --------
    >>> contracts = contracts_from_survivors([1000, 869, 743])
    >>> contracts.to_pandas()
       cohort  renewals  churned  customers
    0       1         0     True        131
    1       1         1     True        126
    2       1         2    False        743
    """
    unit = check_time_unit(period)
    cohorts = _cohorts(survivors)
    label, renewals, churned, customers = [], [], [], []
    for name, given in cohorts.items():
        count = _checked(name, given)
        left = np.append(count[:-1] - count[1:], count[-1])
        number = np.minimum(np.arange(len(count)), len(count) - 1)
        some = np.flatnonzero(left)
        label += [name] * some.size
        renewals.append(number[some])
        churned.append(some < len(count) - 1)
        customers.append(left[some])
    columns = {
        "cohort": np.array(label),
        "renewals": np.concatenate(renewals),
        "churned": np.concatenate(churned),
        "customers": np.concatenate(customers),
    }
    return Contracts(**Table.parts(columns), period=unit)


def _cohorts(survivors: Any) -> dict[Any, Any]:
    if isinstance(survivors, Mapping):
        return dict(survivors)
    rows = list(survivors)
    if rows and np.ndim(rows[0]) == 1:
        return dict(enumerate(rows, start=1))
    return {1: rows}


def _checked(name: Any, given: Any) -> AnyArray:
    count = np.asarray(given, dtype=np.float64)
    if count.ndim != 1 or count.size < 2:
        raise DataError(
            f"cohort {name!r} needs the number of customers at the start and after one renewal at "
            "least"
        )
    whole = np.isfinite(count) & (count >= 0) & (count == np.rint(count))
    for bad, complaint in (
        (~whole, "no whole number of customers"),
        (np.append(False, count[1:] > count[:-1]), "more than before; who has left stays away"),
    ):
        if bad.any():
            first = int(np.argmax(bad))
            raise DataError(
                f"cohort {name!r}: {int(bad.sum()):,} of {count.size:,} counts are wrong, the "
                f"first is that after {counted(first, 'renewal', 'renewals')} ({count[first]:g}): "
                f"{complaint}"
            )
    if count[0] == 0:
        raise DataError(f"cohort {name!r} begins with no customers; leave it out")
    return count.astype(np.int64)
