"""Transactions: clean lines, the rows that could not be used, and the account of both."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from html import escape
from typing import Any, Literal, get_args

import narwhals as nw

from clv.errors import DataError, NoUsableRowsError, UnreadableFileError
from clv.tables._calendars import CalendarName, check_timezone
from clv.tables._columns import Problem
from clv.tables._database_source import Place
from clv.tables._day import from_day_number
from clv.tables._examine import (
    AMOUNT,
    CODE,
    DAY,
    ID,
    TRIMMED,
    Examination,
    Names,
    Reading,
    examine,
)
from clv.tables._memory import Budget, parse_memory
from clv.tables._sources import ROW, Frame, Source, open_source
from clv.tables.quality import Quality

Refunds = Literal["net", "drop", "error"]
ZeroAmounts = Literal["keep", "drop"]


def _plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def _no_rows() -> None:
    return None


@dataclass(frozen=True, repr=False, eq=False)
class Transactions:
    """Clean transaction lines of many customers.

    Attributes
    ----------
    lines
        Usable rows only, in the engine of the source, lazy where that engine is lazy, with
        exactly the columns ``customer_id`` (string or integer, never missing), ``day``
        (Int64, days since 1970-01-01) and ``amount`` (Float64, finite; negative = refund).
    quality
        How many rows were used, and why the others were not.
    engine
        The engine that results should come back in: "pandas", "polars", "pyarrow", "duckdb" ...
    refunds, zero_amounts
        The policies in force; the rows that "drop" drops are already gone from `lines`.
    calendar
        In which dates were written, and in which `clv.rfm_summary` reads its ends.
    source
        What was read, in words.
    memory
        How much of it all that is made of these transactions may take; None: as much as it needs.
    """

    lines: nw.DataFrame[Any] | nw.LazyFrame[Any]
    quality: Quality
    engine: str
    refunds: Refunds = "net"
    zero_amounts: ZeroAmounts = "keep"
    calendar: CalendarName = "gregorian"
    source: str = "a table"
    memory: Budget | None = None
    make_rejected: Callable[[], Any] = field(default=_no_rows)
    keep_alive: Any = field(default=None)

    @cached_property
    def rejected(self) -> Any:
        """Every row that could not be used, as it was, with its `row` number and `reason`.

        A frame of the engine of the source (pandas for files), made when first asked for. `row`
        counts from 1; in a CSV file it is the number of the line, the header being line 1, and
        the `text` of lines that are not even rows is kept. Tables without an order (DuckDB
        relations) have no row numbers. If the source has columns of these names, ours get an
        underscore.
        """
        return self.make_rejected()

    def __len__(self) -> int:
        return self.quality.used

    def __repr__(self) -> str:
        quality = self.quality
        return (
            f"Transactions: {_plural(quality.used, 'row')} of "
            f"{_plural(quality.customers, 'customer')}, {quality.first_day} to "
            f"{quality.last_day}, {quality.rejected or 'none'} rejected; {self.source}"
        )

    def _repr_html_(self) -> str:
        title = f"<b>Transactions</b> from {escape(self.source)}"
        return f"<div>{title}{self.quality._repr_html_()}</div>"


def read_transactions(
    source: Any,
    *,
    customer_id: str = "customer_id",
    date: str = "date",
    amount: str | float | None = None,
    quantity: str | None = None,
    unit_price: str | None = None,
    order_id: str | None = None,
    calendar: CalendarName = "gregorian",
    date_format: str | None = None,
    timezone: str | None = None,
    decimal: Literal[".", ","] = ".",
    refunds: Refunds = "net",
    zero_amounts: ZeroAmounts = "keep",
    delimiter: str | None = None,
    encoding: str = "utf-8",
    table: str | None = None,
    schema: str | None = None,
    query: str | None = None,
    parameters: Mapping[str, Any] | None = None,
    memory: str | int | None = None,
) -> Transactions:
    """Read transactions from a file or a frame, and set aside the rows that cannot be used.

    Rows are order lines: a customer may have several on a day. Nothing vanishes: the number of
    rows is always that of rows used plus that of rows rejected, and every rejected row is kept,
    with its reason, in `Transactions.rejected`. The source is never changed.

    Parameters
    ----------
    source
        A path to CSV (.csv, .tsv, .txt, also .gz) or Parquet: one file, a folder, a glob.
        Or a database: a URL of SQLAlchemy such as "postgresql://host/database" (PostgreSQL,
        SQLite, DuckDB, and others by their driver) or an engine, with `table` or `query`. Or a
        pandas or Polars frame (eager or lazy), a PyArrow table, a DuckDB relation. Files and lazy
        frames stay lazy: they are scanned, not loaded; a database is streamed in batches.
    customer_id
        Column of the customer. Text stays text ("007" is not "7"; only invisible characters at
        its ends go, which `quality` notes), whole numbers become integers, also when they are
        fractions only because some are missing (17850.0). In CSV everything is text. Missing are
        "", and the usual words of exports ("NULL", "NaN", "NA", "None", ...).
    date
        Column of the day: dates, datetimes, texts that begin with a four-digit year ("1997-01-31",
        "1997/1/31 08:26", "1997-01-31T08:26:00+01:00"), eight digits ("19970131", text or
        number), or texts in `date_format`. Persian and Arabic-Indic digits are understood. Texts
        in another order are rejected unless `date_format` is given: day and month are not
        guessed. So are days before 1800 and after 2199.
    amount
        Column of the amount: numbers or texts such as "1,234.50" or "۱٬۲۳۴٫۵۰"; negative for
        refunds; missing, infinite and other texts (currencies) are rejected. A number instead of
        a column says what every row is worth. Default: the column "amount".
    quantity, unit_price
        Columns whose product is the amount.
    order_id
        Column of the order. Purchases are counted per calendar day, so it is only checked to be
        there.
    calendar
        "gregorian", or "jalali" for texts and numbers such as "1403-01-15", ۱۴۰۳/۰۱/۱۵, 14030115.
    date_format
        A format such as "%d/%m/%Y" for texts (directives of `datetime.strptime`).
    timezone
        Where instants that know their zone are brought before their day is taken, for instance
        "Europe/London". Without it the day is that of the column's own zone (the zone kept in a
        Parquet file, else UTC; the connection's for a DuckDB relation) or as the text is written.
        Datetimes without a zone are taken as they are.
    decimal
        "," for texts such as "1.234,50" or "1 234,50".
    refunds
        What to do with negative amounts: "net" them against purchases, "drop" them (they become
        rejected rows), or "error".
    zero_amounts
        "keep" rows with an amount of exactly zero as purchases, or "drop" them.
    delimiter
        Between fields of a CSV file; default: the most frequent of , ; tab | in its header.
    encoding
        Of a CSV file.
    table, schema
        Of a database: the table or view, and its schema. Only the columns named here are fetched.
    query
        Of a database: one SELECT instead of a table.
    parameters
        Values for names such as ``:as_of`` in the query.
    memory
        "2GB", or a number of bytes: how much memory reading, and everything that is made of the
        transactions later, may take. What does not fit is kept on disk, in the folder for
        temporary files. Models and forecasts are the same as without.

    Returns
    -------
    Transactions
        Its `lines`, `rejected` and `quality`.

    Raises
    ------
    MissingColumnError
        If a column is not there; the message says which there are.
    NoUsableRowsError
        If no row can be used; the message says why, and its `rejected` has the rows.
    UnreadableFileError
        If a file is missing, empty, damaged, or not what its ending says.
    UnsupportedFrameError
        If `source` is of an unknown type.
    DatabaseError
        If a database cannot be reached or read.
    DataError
        If options contradict each other, a column has an impossible type, or there are refunds
        and `refunds` is "error".

    Examples
    --------
    >>> import clv
    >>> import pandas as pd
    >>> orders = pd.DataFrame({
    ...     "customer": ["ann", "bob", "ann", None],
    ...     "day": ["2024-01-05", "2024-02-30", "2024-03-01", "2024-03-02"],
    ...     "total": ["1,200.50", "10", "-3", "5"],
    ... })
    >>> transactions = clv.read_transactions(
    ...     orders, customer_id="customer", date="day", amount="total"
    ... )
    >>> transactions
    Transactions: 2 rows of 1 customer, 2024-01-05 to 2024-03-01, 2 rejected; the pandas table
    >>> transactions.lines.to_native()
      customer_id    day  amount
    0         ann  19727  1200.5
    1         ann  19783    -3.0
    >>> list(transactions.rejected["reason"])
    ['day is a day that does not exist', 'customer is missing']
    """
    names = _check_names(Names(customer_id, date, amount, quantity, unit_price, order_id))
    _check_choices(refunds, zero_amounts, decimal, delimiter)
    reading = Reading(
        calendar, date_format, check_timezone(timezone) if timezone else None, decimal
    )
    place = None
    if (table, schema, query, parameters) != (None, None, None, None):
        place = Place(table, schema, query, parameters)
    budget = None if memory is None else parse_memory(memory)
    opened = open_source(
        source,
        date=date,
        delimiter=delimiter,
        encoding=encoding,
        place=place,
        columns=list(names.columns().values()),
        memory=None if budget is None else budget.of_engine,
    )
    with opened.guard():
        examination = examine(opened, names, reading, tuple(_policies(refunds, zero_amounts)))
        transactions = _assemble(opened, names, examination, refunds, zero_amounts)
        return replace(transactions, calendar=calendar, memory=budget)


# ---- options


def _check_names(names: Names) -> Names:
    """Settle what the amount is."""
    parts = (names.quantity, names.unit_price)
    if names.amount is not None and parts != (None, None):
        raise DataError("give either amount= or quantity= and unit_price=, not both")
    if names.amount is None and parts == (None, None):
        return replace(names, amount="amount")
    if names.amount is None and None in parts:
        raise DataError("quantity= and unit_price= belong together: give both")
    if isinstance(names.amount, float | int) and not math.isfinite(names.amount):
        raise DataError(f"amount={names.amount!r} is not a finite number")
    return names


def _check_choices(refunds: str, zero_amounts: str, decimal: str, delimiter: str | None) -> None:
    choices = (
        ("refunds", refunds, get_args(Refunds)),
        ("zero_amounts", zero_amounts, get_args(ZeroAmounts)),
        ("decimal", decimal, (".", ",")),
    )
    for option, value, allowed in choices:
        if value not in allowed:
            raise DataError(
                f"{option}={value!r} is not known; use {' or '.join(map(repr, allowed))}"
            )
    if delimiter is not None and (len(delimiter) != 1 or delimiter in '"\r\n' or delimiter > "~"):
        raise DataError(f"delimiter={delimiter!r} must be a single character, and not a quote")


def _policies(refunds: Refunds, zero_amounts: ZeroAmounts) -> Iterator[Problem]:
    if refunds == "drop":
        yield nw.col(AMOUNT) < 0, "refund (refunds='drop')"
    if zero_amounts == "drop":
        yield nw.col(AMOUNT) == 0, "amount of zero (zero_amounts='drop')"


# ---- putting it together


def _assemble(
    table: Source,
    names: Names,
    examination: Examination,
    refunds: Refunds,
    zero_amounts: ZeroAmounts,
) -> Transactions:
    applied = _settled(examination.apply(table.frame))
    counts = _counts(applied, examination.trimmed_ids is not None)
    quality = _quality(table, examination, counts)
    if quality.used == 0:
        raise NoUsableRowsError(
            _nothing_usable(table, names, examination, quality),
            quality=quality,
            make_rejected=partial(_rejected, table, examination),
        )
    if refunds == "error" and quality.refund_rows:
        first = _first_row(table, names, examination, nw.col(AMOUNT) < 0)
        raise DataError(
            f"refunds='error', and {_plural(quality.refund_rows, 'row')} with a negative amount; "
            f"the first is {first}. Use refunds='net' or refunds='drop'"
        )
    lines = examination.usable(applied, all_usable=set(counts) == {0})
    customers = partial(_count_customers, lines)
    return Transactions(
        lines=lines,
        quality=replace(quality, count_customers=customers),
        engine=table.engine,
        refunds=refunds,
        zero_amounts=zero_amounts,
        source=table.label,
        make_rejected=partial(_rejected, table, examination),
        keep_alive=table.keep_alive,
    )


def _settled(applied: Frame) -> Frame:
    """Let go of what is no longer needed, where the engine computes at once anyway."""
    if isinstance(applied, nw.LazyFrame):
        return applied
    kept = [name for name in (ID, DAY, AMOUNT, CODE, TRIMMED) if name in applied.collect_schema()]
    return applied.select(*kept)


def _counts(applied: Frame, with_trimmed: bool) -> dict[int, dict[str, Any]]:
    """Count rows by the number of their problem, in one scan."""
    marks = {"refund_rows": nw.col(AMOUNT) < 0, "zero_rows": nw.col(AMOUNT) == 0}
    if with_trimmed:
        marks["trimmed"] = nw.col(TRIMMED)
    grouped = (
        applied.select(CODE, DAY, **{name: mark.cast(nw.Int64) for name, mark in marks.items()})
        .group_by(CODE)
        .agg(
            nw.len().alias("rows"),
            nw.col(DAY).min().alias("first_day"),
            nw.col(DAY).max().alias("last_day"),
            *(nw.col(name).sum().alias(name) for name in marks),
        )
    )
    table = grouped.collect() if isinstance(grouped, nw.LazyFrame) else grouped
    return {int(row[CODE]): row for row in table.rows(named=True)}


def _quality(table: Source, examination: Examination, counts: dict[int, dict[str, Any]]) -> Quality:
    read = sum(int(row["rows"]) for row in counts.values())
    if table.records is not None and read != table.records:
        raise UnreadableFileError(
            f"{table.label} holds {table.records:,} rows but only {read:,} of them could be read"
        )
    reasons: Counter[str] = Counter(table.broken)
    for code, row in counts.items():
        if code:
            reasons[examination.reasons[code - 1]] += int(row["rows"])
    good = counts.get(0, {"rows": 0})
    trimmed = int(good.get("trimmed", 0))
    notes = examination.notes
    if trimmed:
        rows = _plural(trimmed, "row")
        notes += (f"{rows} had invisible characters around the customer id, now removed",)
    return Quality(
        rows=read + table.broken.total(),
        used=int(good["rows"]),
        rejected=reasons.total(),
        reasons=dict(reasons.most_common()),
        first_day=from_day_number(int(good["first_day"])) if good["rows"] else None,
        last_day=from_day_number(int(good["last_day"])) if good["rows"] else None,
        refund_rows=int(good.get("refund_rows", 0)),
        zero_rows=int(good.get("zero_rows", 0)),
        notes=notes,
    )


def _count_customers(lines: Frame) -> int:
    counted = lines.select(nw.col("customer_id").n_unique())
    table = counted.collect() if isinstance(counted, nw.LazyFrame) else counted
    return int(table.item())


def _rejected(table: Source, examination: Examination) -> Any:
    frame = table.numbered()
    columns = frame.collect_schema().names()
    return table.show(examination.unusable(examination.apply(frame), columns))


# ---- messages


def _nothing_usable(table: Source, names: Names, examination: Examination, quality: Quality) -> str:
    if quality.rows == 0:
        return f"{table.label} has no rows"
    reasons = "; ".join(f"{count:,} x {reason}" for reason, count in quality.reasons.items())
    message = f"none of the {quality.rows:,} rows of {table.label} can be used: {reasons}"
    if quality.rejected > table.broken.total():
        message += f". The first is {_first_row(table, names, examination, nw.col(CODE) > 0)}"
    return message


def _first_row(table: Source, names: Names, examination: Examination, condition: nw.Expr) -> str:
    """Describe the first row for which a condition holds."""
    found = examination.apply(table.numbered()).filter(condition).head(1)
    frame = found.collect() if isinstance(found, nw.LazyFrame) else found
    row = frame.rows(named=True)[0]
    values = ", ".join(f"{name}={row[name]!r}" for name in names.columns().values())
    if row[ROW] is None:
        return f"the one with {values}"
    return f"row {table.line_number(int(row[ROW]))} ({values})"
