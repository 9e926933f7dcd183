"""Reading contracts: which rows can be used, and what they say.

Columns are read as those of transactions are (`_parse`, `_dates`); an end or a fee may be missing.
Two columns of dates use helper columns of the same names, so one is read after the other.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import narwhals as nw
import numpy as np

from clv.errors import DataError, MissingColumnError, NoUsableRowsError, UnsupportedFrameError
from clv.tables import _dates, _parse
from clv.tables._calendars import calendar_named
from clv.tables._columns import PREFIX, Column, Problem, first_problem
from clv.tables._examine import _NO_DATES, _NO_NUMBERS, CODE
from clv.tables._frame import FloatArray, collect
from clv.tables._objects import plain_column
from clv.tables._sources import REASON, ROW, Frame, Source, open_source
from clv.tables.refunds import IntArray

_VALUE, _GIVEN = f"{PREFIX}value_of_", f"{PREFIX}given_"


class Rows(NamedTuple):
    """Usable rows, in the order of the source."""

    ids: nw.Series[Any]
    start: IntArray  #: days since 1970-01-01
    end: FloatArray  #: likewise; nan where there is none
    fee: FloatArray | None  #: nan where it is missing; None without the column


@dataclass(frozen=True)
class _Part:
    """A column of the contracts, under our name."""

    role: str
    column: Column
    missing: nw.Expr | None  #: where it may be missing


class Read(NamedTuple):
    """What a source holds."""

    rows: Rows
    engine: str
    reasons: dict[str, int]  #: of rows that cannot be used, most frequent first
    rejected: partial[Any]  #: makes their table


def read_contracts(source: Any, names: dict[str, str | None], as_of: int) -> Read:
    """Read a frame or file; `names` gives the source's name of each of our columns."""
    try:
        table = open_source(source, date=str(names["start"]))
    except UnsupportedFrameError as error:
        raise UnsupportedFrameError(str(error).replace("transactions", "contracts", 1)) from error
    chosen = {role: name for role, name in names.items() if name is not None}
    with table.guard():
        _check(chosen, table)
        parts = _parts(chosen, table.frame)
        problems = [*(p for part in parts for p in part.column.problems), *_order(names, as_of)]
        applied = _apply(table.frame, parts, problems, chosen)
        reasons = _reasons(applied, problems, table)
        rows = _usable(applied, parts)
    return Read(rows, table.engine, reasons, partial(_rejected, table, parts, problems, chosen))


def _check(chosen: dict[str, str], table: Source) -> None:
    schema = table.frame.collect_schema()
    for role, name in chosen.items():
        if name not in schema:
            raise MissingColumnError(
                f"{table.label} has no column {name!r} for {role}; it has {', '.join(schema)}. "
                f"Name it: contracts_table(..., {role}=...)"
            )
        refused = _NO_DATES if role in ("start", "end") else _NO_NUMBERS
        if schema[name] in refused:
            raise DataError(
                f"column {name!r}, named as {role}, holds {schema[name]} values; needed are "
                + ("dates or text" if role in ("start", "end") else "numbers or text")
            )


def _plain(frame: Frame, chosen: dict[str, str]) -> Frame:
    """Make columns that can be worked on from columns of Python objects, and of nothing."""
    schema = frame.collect_schema()
    if isinstance(frame, nw.DataFrame):
        mixed = {name for name in chosen.values() if schema[name] == nw.Object}
        if mixed:
            frame = frame.with_columns(*(plain_column(frame[name]).alias(name) for name in mixed))
    unknown = [name for name in set(chosen.values()) if schema[name] == nw.Unknown]
    if unknown:
        frame = frame.with_columns(*(nw.col(name).cast(nw.String) for name in unknown))
    return frame


def _parts(chosen: dict[str, str], frame: Frame) -> list[_Part]:
    schema = _plain(frame, chosen).collect_schema()
    parts = []
    for role, name in chosen.items():
        dtype = schema[name]
        if role == "customer_id":
            column = _parse.customer_id(name, name, dtype, plain=False)
        elif role == "fee":
            column = _parse.amount(name, name, dtype, role="fee", decimal=".", ascii_only=False)
        else:
            column = _date(name, dtype)
        if role in ("end", "fee"):
            (missing, _), *others = column.problems
            parts.append(_Part(role, replace(column, problems=tuple(others)), missing))
        else:
            parts.append(_Part(role, column, None))
    return parts


def _date(name: str, dtype: Any) -> Column:
    if dtype in (nw.Date, nw.Datetime):
        return _dates.native_date(name, name)
    whole = dtype.is_integer() or not dtype.is_numeric()
    dated = _dates.text_date(
        name if whole else _dates.WHOLE,
        name,
        calendar_named("gregorian"),
        date_format=None,
        timezone=None,
        ascii_only=False,
    )
    return dated if whole else _dates.number_date(name, name, dated)


def _order(names: dict[str, str | None], as_of: int) -> list[Problem]:
    """What cannot be although every column by itself can be read."""
    start, end, fee = (nw.col(f"{_VALUE}{role}") for role in ("start", "end", "fee"))
    found = [(start > as_of, f"{names['start']} lies after as_of")]
    if names["end"] is not None:
        before = nw.col(f"{_GIVEN}end") & (end < start)
        found.append((before, f"{names['end']} lies before {names['start']}"))
    if names["fee"] is not None:
        negative = nw.col(f"{_GIVEN}fee") & (fee < 0)
        found.append((negative, f"{names['fee']} is negative"))
    return found


def _apply(
    frame: Frame, parts: list[_Part], problems: list[Problem], chosen: dict[str, str]
) -> Frame:
    """Add values, whether they are given, and the number of the first problem, 0 for none."""
    frame = _plain(frame, chosen)
    code: nw.Expr = nw.lit(0)
    offset = 0
    frame = frame.with_columns(nw.lit(0).alias(CODE))
    for part in parts:
        for step in part.column.steps:
            frame = frame.with_columns(**step)
        own = first_problem(part.column.problems)
        if part.missing is not None:
            frame = frame.with_columns((~part.missing).alias(f"{_GIVEN}{part.role}"))
            own = nw.when(nw.col(f"{_GIVEN}{part.role}")).then(own).otherwise(nw.lit(0))
        frame = frame.with_columns(
            part.column.value.alias(f"{_VALUE}{part.role}"), own.alias(f"{CODE}_own")
        )
        code = nw.when(nw.col(f"{CODE}_own") > 0).then(nw.col(f"{CODE}_own") + offset)
        frame = frame.with_columns(
            nw.when(nw.col(CODE) > 0).then(nw.col(CODE)).otherwise(code.otherwise(0)).alias(CODE)
        )
        offset += len(part.column.problems)
    late = first_problem(problems[offset:])
    late = nw.when(late > 0).then(late + offset).otherwise(nw.lit(0))
    return frame.with_columns(
        nw.when(nw.col(CODE) > 0).then(nw.col(CODE)).otherwise(late).alias(CODE)
    )


def _reasons(applied: Frame, problems: list[Problem], table: Source) -> dict[str, int]:
    grouped = collect(applied.group_by(CODE).agg(nw.len().alias("rows")))
    counts = dict(zip(grouped[CODE].to_list(), grouped["rows"].to_list(), strict=True))
    reasons: Counter[str] = Counter(table.broken)
    for code, rows in counts.items():
        if code:
            reasons[problems[code - 1][1]] += rows
    if not counts.get(0):
        total = sum(counts.values()) + table.broken.total()
        told = "; ".join(f"{count:,} x {reason}" for reason, count in reasons.most_common())
        raise NoUsableRowsError(
            f"none of the {total:,} rows of {table.label} can be used: {told}"
            if total
            else f"{table.label} has no rows"
        )
    return dict(reasons.most_common())


def _usable(applied: Frame, parts: list[_Part]) -> Rows:
    roles = {part.role: part for part in parts}
    identity = nw.col(f"{_VALUE}customer_id")
    dtype = roles["customer_id"].column.dtype
    wanted = [(identity if dtype is None else identity.cast(dtype)).alias("customer_id")]
    wanted.append(nw.col(f"{_VALUE}start").cast(nw.Int64).alias("start"))
    for role in ("end", "fee"):
        if role in roles:
            # a value that is not given may be anything, so it is made one that can be cast
            given = nw.when(nw.col(f"{_GIVEN}{role}")).then(nw.col(f"{_VALUE}{role}"))
            wanted.append(given.otherwise(None).cast(nw.Float64).alias(role))
    frame = nw.maybe_reset_index(collect(applied.filter(nw.col(CODE) == 0).select(*wanted)))

    def numbers(role: str) -> FloatArray:
        return np.asarray(frame[role].to_numpy(), dtype=np.float64)

    start = np.asarray(frame["start"].to_numpy(), dtype=np.int64)
    return Rows(
        frame["customer_id"],
        start,
        numbers("end") if "end" in roles else np.full(start.size, np.nan),
        numbers("fee") if "fee" in roles else None,
    )


def _rejected(
    table: Source, parts: list[_Part], problems: list[Problem], chosen: dict[str, str]
) -> Any:
    """The rows that cannot be used as they were, with the number and the reason of each."""
    numbered = table.numbered()
    columns = numbered.collect_schema().names()
    own = {f"{PREFIX}kept_{i}": name for i, name in enumerate(columns)}
    kept = numbered.with_columns(**{ours: nw.col(name) for ours, name in own.items()})
    applied = _apply(kept, parts, problems, chosen)
    reason: nw.Expr = nw.lit(None).cast(nw.String)
    for number, (_, text) in enumerate(problems, start=1):
        reason = nw.when(nw.col(CODE) == number).then(nw.lit(text)).otherwise(reason)
    rows = applied.filter(nw.col(CODE) > 0).with_columns(**{REASON: reason})
    order = [ours for ours, name in own.items() if name == ROW]
    order += [ours for ours in own if ours not in order]
    return table.show(rows.select(*(nw.col(ours).alias(own[ours]) for ours in order), REASON))
