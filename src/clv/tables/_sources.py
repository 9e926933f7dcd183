"""Opening whatever transactions come in, as a frame of the columns they have.

A `Source` is the same for every kind: a narwhals frame, the same with row numbers for when the
rejected rows are asked for, and what a file's structure has already cost.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import narwhals as nw

from clv.databases import is_database
from clv.errors import DataError, UnsupportedFrameError
from clv.tables._columns import PREFIX

if TYPE_CHECKING:
    from clv.tables._database_source import Place

Frame = nw.DataFrame[Any] | nw.LazyFrame[Any]

ROW, FILE, REASON, TEXT = (f"{PREFIX}{name}" for name in ("row", "file", "reason", "text"))

ACCEPTED = (
    "a path to CSV or Parquet (a file, a folder or a glob), the URL of a database, a pandas or "
    "Polars frame (eager or lazy), a PyArrow table, a DuckDB relation, or a Spark frame"
)


@dataclass(frozen=True)
class Source:
    """A table of transactions as it came in.

    Attributes
    ----------
    label
        What to call it in messages.
    engine
        The engine that results come back in.
    frame
        Its columns, lazy where the engine is.
    numbered
        Makes the same frame with row numbers `ROW`, and `FILE` where there are several files.
    show
        Turns rejected rows, with `ROW` and `REASON`, into the table that a user gets.
    ascii_only
        Whether its texts are known to be ASCII.
    broken
        Rows lost to the structure of a file, by reason.
    records
        Number of rows in `frame`, where it is known without reading them.
    repeated
        Names that several columns have.
    line_number
        Turns a row number into what a user sees.
    guard
        A context in which scanning it gives errors that a user understands.
    keep_alive
        What must live as long as anything is scanned.
    """

    label: str
    engine: str
    frame: Frame
    numbered: Callable[[], Frame]
    show: Callable[[Frame], Any]
    ascii_only: bool = False
    broken: Counter[str] = field(default_factory=Counter)
    records: int | None = None
    repeated: frozenset[str] = frozenset()
    line_number: Callable[[int], int] = int
    guard: Callable[[], AbstractContextManager[None]] = nullcontext
    keep_alive: Any = None


def open_source(
    source: Any,
    *,
    date: str,
    delimiter: str | None = None,
    encoding: str = "utf-8",
    place: Place | None = None,
    columns: Sequence[str] = (),
    memory: int | None = None,
) -> Source:
    """Open a file, several files, a database, or a frame of any engine.

    `place` says where in a database, and `columns` which columns of a table there.
    `memory` limits the engine that files are read with, in bytes.

    Raises
    ------
    UnreadableFileError
        If files cannot be read.
    UnsupportedFrameError
        If the object is neither a path nor a frame of a known engine.
    """
    if is_database(source):
        from clv.tables._database_source import Place, open_database_table

        return open_database_table(source, place or Place(), columns, memory)
    if place is not None:
        raise DataError(
            "table=, schema=, query= and parameters= are of databases; give a URL such as "
            "postgresql://host/database, or leave them out"
        )
    if isinstance(source, str | os.PathLike):
        from clv.tables._file_sources import open_files

        return open_files(source, date=date, delimiter=delimiter, encoding=encoding, memory=memory)
    return _open_frame(source)


def is_spark(frame: Frame) -> bool:
    """Whether a frame is in a Spark cluster."""
    return frame.implementation.is_pyspark() or frame.implementation.is_pyspark_connect()


# ---- frames in memory, and lazy ones


def _open_frame(native: Any) -> Source:
    try:
        frame: Frame = nw.from_native(native)
        frame.collect_schema()
    except TypeError as error:
        kind = f"{type(native).__module__}.{type(native).__qualname__}"
        raise UnsupportedFrameError(
            f"transactions of type {kind.removeprefix('builtins.')} cannot be read; give {ACCEPTED}"
        ) from error
    except nw.exceptions.DuplicateError as error:
        raise DataError(f"the table has several columns of one name: {error}") from error
    engine = frame.implementation.value
    return Source(
        label=f"the {engine} table",
        engine=engine,
        frame=frame,
        numbered=partial(_number_frame, frame),
        show=_show_frame,
    )


def _number_frame(frame: Frame) -> Frame:
    """Number the rows where they have an order that can be relied on."""
    if isinstance(frame, nw.DataFrame):
        return frame.with_row_index(ROW).with_columns(nw.col(ROW).cast(nw.Int64) + 1)
    if frame.implementation.is_polars():
        numbered: Frame = nw.from_native(frame.to_native().with_row_index(ROW, offset=1))
        return numbered.with_columns(nw.col(ROW).cast(nw.Int64))
    return frame.with_columns(nw.lit(None).cast(nw.Int64).alias(ROW))


def _show_frame(rejected: Frame) -> Any:
    if isinstance(rejected, nw.LazyFrame) and rejected.implementation.is_polars():
        rejected = rejected.collect()
    return plainly_named(rejected).to_native()


def plainly_named(rejected: Frame) -> Frame:
    """Give our columns their plain names, unless the source has columns of these names."""
    names = rejected.collect_schema().names()
    plain = {}
    for name in (FILE, ROW, REASON, TEXT):
        if name in names:
            wanted = name.removeprefix(PREFIX)
            while wanted in names:
                wanted += "_"
            plain[name] = wanted
    return rejected.rename(plain)
