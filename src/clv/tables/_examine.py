"""Examining a source: every row gets its id, day and amount, or the number of its problem."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from typing import Any

import narwhals as nw

from clv.errors import DataError, MissingColumnError
from clv.tables import _dates, _parse
from clv.tables._calendars import calendar_named
from clv.tables._columns import (
    NOT_ASCII,
    PREFIX,
    Column,
    Problem,
    first_problem,
    is_plain,
    merge_steps,
)
from clv.tables._objects import plain_column
from clv.tables._sources import FILE, REASON, ROW, Frame, Source

ID, DAY, AMOUNT = (f"{PREFIX}{name}" for name in ("id", "day", "value"))
CODE, TRIMMED = f"{PREFIX}code", f"{PREFIX}trimmed"

# What narwhals does not know is read as text (UUIDs, and pandas' zones with an underscore).
_TEXTS = (nw.String, nw.Categorical, nw.Enum, nw.Unknown)
_NO_DATES = (nw.Boolean, nw.Duration, nw.Time, nw.List, nw.Struct, nw.Array, nw.Binary)
_NO_NUMBERS = (*_NO_DATES, nw.Date, nw.Datetime)


@dataclass(frozen=True)
class Names:
    """Which column is what; a number as `amount` is what every row is worth."""

    customer_id: str
    date: str
    amount: str | float | None = None
    quantity: str | None = None
    unit_price: str | None = None
    order_id: str | None = None

    def columns(self) -> dict[str, str]:
        """Role and column of everything that must be there."""
        roles: dict[str, Any] = {
            "customer_id": self.customer_id,
            "date": self.date,
            "amount": self.amount,
            "quantity": self.quantity,
            "unit_price": self.unit_price,
            "order_id": self.order_id,
        }
        return {role: name for role, name in roles.items() if isinstance(name, str)}


@dataclass(frozen=True)
class Reading:
    """How texts are to be understood."""

    calendar: str = "gregorian"
    date_format: str | None = None
    timezone: str | None = None
    decimal: str = "."


@dataclass(frozen=True)
class Examination:
    """What to make of each row; `examine` makes it.

    Attributes
    ----------
    prepare
        Adds the helper columns that no expression can make.
    problems
        Condition and reason, in order of precedence.
    trimmed_ids
        Condition that an id had invisible characters at its ends; None where ids are numbers.
    """

    prepare: Callable[[Frame], Frame]
    customer_id: Column
    day: Column
    amount: Column
    problems: tuple[Problem, ...]
    trimmed_ids: nw.Expr | None
    notes: tuple[str, ...]

    def apply(self, frame: Frame) -> Frame:
        """Add `ID`, `DAY`, `AMOUNT` and `CODE`: 0, or the number of the problem from 1."""
        frame = self.prepare(frame)
        for step in merge_steps((self.customer_id, self.day, self.amount)):
            frame = frame.with_columns(**step)
        values = {ID: self.customer_id.value, DAY: self.day.value, AMOUNT: self.amount.value}
        if self.trimmed_ids is not None:
            values[TRIMMED] = self.trimmed_ids
        frame = frame.with_columns(**values)
        return frame.with_columns(**{CODE: first_problem(self.problems)})

    def usable(self, applied: Frame, *, all_usable: bool) -> Frame:
        """Keep the usable rows, in the columns and types that everything else builds on."""
        rows = applied if all_usable else applied.filter(nw.col(CODE) == 0)
        dtype = self.customer_id.dtype
        customer_id = nw.col(ID) if dtype is None else nw.col(ID).cast(dtype)
        lines = rows.select(
            customer_id.alias("customer_id"),
            nw.col(DAY).cast(nw.Int64).alias("day"),
            nw.col(AMOUNT).cast(nw.Float64).alias("amount"),
        )
        return nw.maybe_reset_index(lines)

    def unusable(self, applied: Frame, columns: Sequence[str]) -> Frame:
        """Keep the other rows as they were, with the number and the reason of each."""
        reason: nw.Expr = nw.lit(None).cast(nw.String)
        for number, text in enumerate(self.reasons, start=1):
            reason = nw.when(nw.col(CODE) == number).then(nw.lit(text)).otherwise(reason)
        rows = applied.filter(nw.col(CODE) > 0).with_columns(**{REASON: reason})
        numbers = [name for name in (FILE, ROW) if name in columns]
        own = [name for name in columns if name not in numbers]
        return rows.select(*numbers, *own, REASON)

    @property
    def reasons(self) -> list[str]:
        """The reason of each problem, in the order of their numbers."""
        return [reason for _, reason in self.problems]


def check_names(names: Names, schema: Mapping[str, Any], source: Source) -> None:
    """Find every named column, or say which one is missing and what there is.

    Raises
    ------
    MissingColumnError
        If one is not there.
    DataError
        If one is there more than once.
    """
    for role, name in names.columns().items():
        if name not in schema:
            raise MissingColumnError(_missing(role, name, list(schema), source.label))
        if name in source.repeated:
            raise DataError(
                f"{source.label} has several columns {name!r}; rename all but one of them"
            )


def _missing(role: str, name: str, present: list[str], label: str) -> str:
    plain = {_letters(column): column for column in reversed(present)}
    near = [plain[found] for found in get_close_matches(_letters(name), plain, n=3, cutoff=0.5)]
    shown = ", ".join(repr(column) for column in present[:20]) + (" ..." if present[20:] else "")
    asked = f"column {name!r}, asked for as {role}," if name != role else f"column {name!r}"
    example = near[0] if near else "..."
    meant = f" Did you mean {' or '.join(repr(column) for column in near)}?" if near else ""
    return (
        f"{asked} is not in {label}; its columns are {shown or 'none'}.{meant} "
        f"Name it with read_transactions(..., {role}={example!r})"
        + (", or quantity= and unit_price=" if role == "amount" else "")
    )


def _letters(name: str) -> str:
    return "".join(letter for letter in str(name).casefold() if letter.isalnum())


def examine(
    source: Source, names: Names, reading: Reading, policies: Sequence[Problem] = ()
) -> Examination:
    """Work out from the types of the columns what to do with each row.

    Parameters
    ----------
    policies
        Further problems, in terms of `AMOUNT`.

    Raises
    ------
    MissingColumnError
        If a column is not there.
    DataError
        If a column has a type that cannot be what it is named as.
    """
    schema = dict(source.frame.collect_schema())
    check_names(names, schema, source)
    plain = _plain_columns(source.frame, names, schema)
    columns = {
        role: plain[name].name if name in plain else name for role, name in names.columns().items()
    }
    types = {**schema, **{series.name: series.dtype for series in plain.values()}}
    _check_types(names, columns, types)
    zoned, zone_notes = _zone(names.date, schema[names.date], reading.timezone, source)

    def prepare(frame: Frame) -> Frame:
        if plain:
            frame = frame.with_columns(*plain.values())
        return zoned(frame)

    texts = _Texts.seen(source, prepare, columns, types, reading)
    customer_id = _parse.customer_id(
        columns["customer_id"],
        names.customer_id,
        types[columns["customer_id"]],
        plain=texts.plain_ids,
    )
    day = _day(names, columns["date"], types, reading, texts)
    amount = _amount(names, columns, types, reading, texts)
    found = (*customer_id.problems, *day.problems, *amount.problems)
    return Examination(
        prepare=prepare,
        customer_id=customer_id,
        day=day,
        amount=amount,
        problems=(*found, *policies),
        trimmed_ids=_trimmed_ids(columns["customer_id"], customer_id),
        notes=(*zone_notes, *texts.notes(names.date, reading.timezone)),
    )


def _trimmed_ids(column: str, customer_id: Column) -> nw.Expr | None:
    if not any(_parse.ID_TEXT in step for step in customer_id.steps):
        return None
    return nw.col(column).cast(nw.String).fill_null("") != nw.col(_parse.ID_TEXT)


def _plain_columns(
    frame: Frame, names: Names, schema: Mapping[str, Any]
) -> dict[str, nw.Series[Any]]:
    """Make columns that can be worked on from columns of Python objects."""
    if not isinstance(frame, nw.DataFrame):
        return {}
    mixed = {name for name in names.columns().values() if schema[name] == nw.Object}
    return {name: plain_column(frame[name]).alias(f"{PREFIX}plain_{name}") for name in mixed}


# ---- types


def _check_types(names: Names, columns: Mapping[str, str], types: Mapping[str, Any]) -> None:
    for role, name in names.columns().items():
        dtype = types[columns[role]]
        refused = _NO_DATES if role == "date" else _NO_NUMBERS
        if role != "order_id" and dtype in refused:
            wanted = {
                "customer_id": "text or whole numbers",
                "date": "dates, text or numbers such as 19970131",
            }.get(role, "numbers or text")
            raise DataError(
                f"column {name!r}, named as {role}, holds {dtype} values; needed are {wanted}"
            )


# ---- days


def _zone(
    name: str, dtype: Any, timezone: str | None, source: Source
) -> tuple[Callable[[Frame], Frame], tuple[str, ...]]:
    """Bring zone-aware instants into `timezone`; without it, their own zone says the day."""
    own = getattr(dtype, "time_zone", None)
    if own is None:
        native = dtype in (nw.Date, nw.Datetime)
        note = f"{name} carries no time zone: timezone={timezone!r} has no effect"
        return _unchanged, ((note,) if native and timezone else ())
    if timezone is None:
        return _unchanged, (f"{name} is the calendar day in its own time zone, {own}",)
    note = f"{name} is the calendar day in {timezone}, converted from {own}"
    return partial(_convert_zone, name=name, timezone=timezone), (note,)


def _unchanged(frame: Frame) -> Frame:
    return frame


def _convert_zone(frame: Frame, name: str, timezone: str) -> Frame:
    """Add `LOCAL`; DuckDB keeps a zone in the connection, so it is asked in its own words."""
    if frame.implementation.is_duckdb():
        column = '"' + name.replace('"', '""') + '"'
        local = f"timezone('{timezone}', {column}) AS {_dates.LOCAL}"
        converted: Frame = nw.from_native(frame.to_native().project(f"*, {local}"))
        return converted
    local_time = nw.col(name).dt.convert_time_zone(timezone)
    return frame.with_columns(local_time.alias(_dates.LOCAL))


def _day(
    names: Names, column: str, types: Mapping[str, Any], reading: Reading, texts: _Texts
) -> Column:
    dtype, name = types[column], names.date
    calendar = calendar_named(reading.calendar)
    if dtype in (nw.Date, nw.Datetime):
        if calendar.name != "gregorian":
            raise DataError(
                f"calendar={calendar.name!r} is for texts such as '1403-01-15' or numbers such as "
                f"14030115; column {name!r} already holds {dtype} values"
            )
        converted = getattr(dtype, "time_zone", None) is not None and reading.timezone is not None
        return _dates.native_date(_dates.LOCAL if converted else column, name)
    whole = dtype.is_integer() or not dtype.is_numeric()
    dated = _dates.text_date(
        column if whole else _dates.WHOLE,
        name,
        calendar,
        date_format=reading.date_format,
        timezone=reading.timezone if texts.zoned else None,
        ascii_only="date" not in texts.foreign,
    )
    return dated if whole else _dates.number_date(column, name, dated)


# ---- amounts


def _amount(
    names: Names,
    columns: Mapping[str, str],
    types: Mapping[str, Any],
    reading: Reading,
    texts: _Texts,
) -> Column:
    def read(role: str) -> Column:
        return _parse.amount(
            columns[role],
            names.columns()[role],
            types[columns[role]],
            role=role,
            decimal=reading.decimal,
            ascii_only=role not in texts.foreign,
        )

    if isinstance(names.amount, str):
        return read("amount")
    if names.amount is not None:
        return _parse.constant(names.amount)
    return _parse.times(read("quantity"), read("unit_price"))


# ---- a look at the texts beforehand


@dataclass(frozen=True)
class _Texts:
    """What texts need: a look at all of them is cheaper than care for each.

    Attributes
    ----------
    foreign
        Roles whose texts hold other characters than ASCII.
    zoned
        Whether dates have zone offsets that matter.
    plain_ids
        Whether ids are known to need no care.
    """

    foreign: frozenset[str]
    zoned: bool
    plain_ids: bool

    @classmethod
    def seen(
        cls,
        source: Source,
        prepare: Callable[[Frame], Frame],
        columns: Mapping[str, str],
        types: Mapping[str, Any],
        reading: Reading,
    ) -> _Texts:
        """Look, in one scan, and only where there are texts.

        A CSV file is all texts and slow to scan, so there every text gets all the care that the
        inspection of the file has not shown to be needless.
        """
        roles = {role for role, column in columns.items() if types[column] in _TEXTS}
        in_csv = source.records is not None
        questions: dict[str, nw.Expr] = {}
        if not in_csv:
            for role in roles - {"customer_id", "order_id"}:
                text = nw.col(columns[role]).cast(nw.String)
                questions[role] = text.str.contains(NOT_ASCII)
            if "customer_id" in roles:
                questions["customer_id"] = ~is_plain(columns["customer_id"])
        if reading.timezone is not None and "date" in roles:
            questions["zoned"] = _dates.has_zone(columns["date"], reading.date_format)
        true = _any(prepare(source.frame), questions) if questions else set()
        return cls(
            foreign=frozenset(roles if in_csv and not source.ascii_only else true & roles),
            zoned="zoned" in true,
            plain_ids=not in_csv and "customer_id" in roles - true,
        )

    def notes(self, name: str, timezone: str | None) -> tuple[str, ...]:
        if not self.zoned:
            return ()
        return (
            f"{name}: texts with a zone offset are brought to {timezone}, others left as written",
        )


def _any(frame: Frame, questions: Mapping[str, nw.Expr]) -> set[str]:
    """Return the questions that are true of some row."""
    answers = frame.select(
        *(question.fill_null(False).any().alias(name) for name, question in questions.items())
    )
    table = answers.collect() if isinstance(answers, nw.LazyFrame) else answers
    return {name for name, answer in table.rows(named=True)[0].items() if answer}
