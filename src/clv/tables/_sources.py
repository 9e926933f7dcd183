"""Opening whatever transactions come in, as a frame of the columns they have.

A `Source` is the same for every kind: a narwhals frame, the same with row numbers for when the
rejected rows are asked for, and what a file's structure has already cost. Files are read by
DuckDB, each call in an in-memory database of its own, so that nothing is shared between calls.
"""

from __future__ import annotations

import codecs
import gzip
import io
import os
import shutil
import tempfile
import weakref
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import narwhals as nw

from clv.errors import DataError, UnreadableFileError, UnsupportedFrameError
from clv.tables import _csv, _files
from clv.tables._columns import PREFIX

if TYPE_CHECKING:
    import duckdb

Frame = nw.DataFrame[Any] | nw.LazyFrame[Any]

ROW, FILE, REASON = f"{PREFIX}row", f"{PREFIX}file", f"{PREFIX}reason"

ACCEPTED = (
    "a path to CSV or Parquet (a file, a folder or a glob), a pandas or Polars frame (eager or "
    "lazy), a PyArrow table, or a DuckDB relation"
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
    line_number
        Turns a row number into what a user sees.
    """

    label: str
    engine: str
    frame: Frame
    numbered: Callable[[], Frame]
    show: Callable[[Frame], Any]
    ascii_only: bool = False
    broken: Counter[str] = field(default_factory=Counter)
    records: int | None = None
    line_number: Callable[[int], int] = int
    from_file: bool = False
    keep_alive: Any = None


def open_source(
    source: Any, *, date: str, delimiter: str | None = None, encoding: str = "utf-8"
) -> Source:
    """Open a file, several files, or a frame of any engine.

    Raises
    ------
    UnreadableFileError
        If files cannot be read.
    UnsupportedFrameError
        If the object is neither a path nor a frame of a known engine.
    """
    if isinstance(source, str | os.PathLike):
        files = _files.find(source)
        with readable(files.label):
            if files.kind == "parquet":
                return _open_parquet(files, date)
            return _open_csv(files, delimiter, encoding)
    return _open_frame(source)


@contextmanager
def readable(label: str) -> Iterator[None]:
    """Turn what DuckDB says about a damaged file into an error of ours."""
    import duckdb

    try:
        yield
    except (duckdb.IOException, duckdb.InvalidInputException, duckdb.ConversionException) as error:
        first_line = str(error).partition("\n")[0]
        raise UnreadableFileError(f"{label} cannot be read; DuckDB says: {first_line}") from error


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
    return _named(rejected).to_native()


def _named(rejected: Frame) -> Frame:
    """Give our columns their plain names, unless the source has columns of these names."""
    names = rejected.collect_schema().names()
    plain = {}
    for name in (FILE, ROW, REASON):
        if name in names:
            wanted = name.removeprefix(PREFIX)
            while wanted in names:
                wanted += "_"
            plain[name] = wanted
    return rejected.rename(plain)


# ---- files


def _connect() -> duckdb.DuckDBPyConnection:
    import duckdb

    connection = duckdb.connect()
    # Instants in a Parquet file are in UTC; the machine's own zone must never matter.
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET temp_directory = ?", [str(Path(tempfile.gettempdir(), "clv-duckdb"))])
    return connection


def _open_parquet(files: _files.Files, date: str) -> Source:
    connection = _connect()
    zone = _stored_zone(files.paths[0], date)
    if zone is not None:
        connection.execute("SET TimeZone = ?", [zone])
    several = len(files.paths) > 1
    options = "union_by_name = true" if several else "union_by_name = false"
    scan = f"read_parquet({_files.quoted(files.paths)}, {options}, file_row_number = true"
    numbered = f"SELECT * EXCLUDE (file_row_number), file_row_number + 1 AS {ROW} FROM {scan})"
    if several:
        numbered = (
            f"SELECT * EXCLUDE (file_row_number, filename), file_row_number + 1 AS {ROW}, "
            f"filename AS {FILE} FROM {scan}, filename = true)"
        )
    plain = f"SELECT * EXCLUDE (file_row_number) FROM {scan})"
    return Source(
        label=files.label,
        engine="duckdb",
        frame=nw.from_native(connection.sql(plain)),
        numbered=lambda: nw.from_native(connection.sql(numbered)),
        show=_show_parquet,
        from_file=True,
        keep_alive=connection,
    )


def _stored_zone(path: Path, date: str) -> str | None:
    """Return the time zone that whoever wrote the file kept beside its instants."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        schema = pq.read_schema(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise UnreadableFileError(f"the file {str(path)!r} cannot be read: {error}") from error
    if date not in schema.names:
        return None
    return getattr(schema.field(date).type, "tz", None)


def _show_parquet(rejected: Frame) -> Any:
    order = [name for name in (FILE, ROW) if name in rejected.collect_schema().names()]
    return _named(rejected.sort(*order)).to_native().to_arrow_table().to_pandas()


# ---- CSV


@dataclass(frozen=True)
class _CsvFile:
    """One CSV file whose structure is known."""

    path: Path
    layout: _csv.Layout
    structure: _csv.Structure
    folder: Path
    """Where its copy is, if it has one."""

    def scan(self) -> str:
        """Write the SQL that reads it."""
        columns = ", ".join(f"{_text(name)}: 'VARCHAR'" for name in self.layout.names)
        quote = "'\"'" if self.structure.quoted else "''"
        newline = r"\r\n" if self.structure.as_is and self.layout.newline == b"\r\n" else r"\n"
        path = self.path if self.structure.as_is else self.folder / "rows.csv"
        return (
            f"read_csv({_files.quoted([path])}, auto_detect = false, header = false, "
            f"skip = {self.layout.header_lines if self.structure.as_is else 0}, "
            f"columns = {{{columns}}}, delim = {_text(self.layout.delimiter)}, "
            f"quote = {quote}, escape = {quote}, new_line = '{newline}', "
            f"compression = '{'gzip' if path.suffix == '.gz' else 'none'}', "
            f"parallel = {str(not self.structure.multiline).lower()})"
        )

    def broken(self) -> Any:
        """Return the broken lines as an Arrow table."""
        import pyarrow as pa
        from pyarrow import csv

        path = self.folder / "broken.csv"
        if not self.structure.broken:
            return None
        types = {"row": pa.int64(), "reason": pa.string(), "text": pa.string()}
        table = csv.read_csv(
            path,
            parse_options=csv.ParseOptions(newlines_in_values=True),
            convert_options=csv.ConvertOptions(column_types=types, strings_can_be_null=False),
        )
        return table.rename_columns([ROW, REASON, "text"])


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _open_csv(files: _files.Files, delimiter: str | None, encoding: str) -> Source:
    folder = Path(tempfile.mkdtemp(prefix="clv-"))
    connection = _connect()
    weakref.finalize(connection, shutil.rmtree, folder, ignore_errors=True)
    tables = [
        _examine_csv(path, folder / str(number), delimiter, encoding)
        for number, path in enumerate(files.paths)
    ]
    first = tables[0]
    for table in tables[1:]:
        if table.layout.names != first.layout.names:
            raise UnreadableFileError(
                f"{files.label} do not have the same columns: {first.path.name} has "
                f"{list(first.layout.names)}, {table.path.name} has {list(table.layout.names)}"
            )
    several = len(tables) > 1
    plain = " UNION ALL ".join(f"SELECT * FROM {table.scan()}" for table in tables)
    numbered = " UNION ALL ".join(
        f"SELECT *, row_number() OVER () AS {ROW}"
        + (f", {_text(str(table.path))} AS {FILE}" if several else "")
        + f" FROM {table.scan()}"
        for table in tables
    )
    return Source(
        label=files.label,
        engine="duckdb",
        frame=nw.from_native(connection.sql(plain)),
        numbered=lambda: nw.from_native(connection.sql(numbered)),
        show=partial(_show_csv, tables=tables),
        ascii_only=all(table.structure.ascii for table in tables),
        broken=sum((table.structure.broken for table in tables), Counter()),
        records=sum(table.structure.records for table in tables),
        line_number=lambda record: int(first.structure.line_numbers([record])[0]),
        from_file=True,
        keep_alive=connection,
    )


def _examine_csv(path: Path, folder: Path, delimiter: str | None, encoding: str) -> _CsvFile:
    folder.mkdir()
    start = _files.head(path)
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        encoding = "utf-16"
    try:
        with _in_utf8(path, start, encoding) as stream:
            layout = _csv.read_layout(stream.read(_files.HEAD_BYTES), delimiter)
        if layout is None:
            raise UnreadableFileError(f"the file {str(path)!r} holds nothing but blank lines")
        in_place = layout.header_lines == 1 and not _is_recoded(start, encoding)
        open_stream = partial(_in_utf8, path, start, encoding)
        structure = _csv.inspect(open_stream, layout, folder, in_place=in_place)
    except UnicodeDecodeError as error:
        raise UnreadableFileError(
            f"the file {str(path)!r} is not encoded in {encoding!r}: {error.reason}; "
            "say what it is with encoding="
        ) from error
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise UnreadableFileError(
            f"the file {str(path)!r} cannot be unpacked to its end: {error}"
        ) from error
    return _CsvFile(path, layout, structure, folder)


def _is_recoded(start: bytes, encoding: str) -> bool:
    return codecs.lookup(encoding).name != "utf-8" or _only_returns(start)


def _only_returns(start: bytes) -> bool:
    """Whether lines end as they did on old Macs."""
    return b"\r" in start and b"\n" not in start


def _in_utf8(path: Path, start: bytes, encoding: str) -> IO[bytes]:
    """Open a file as UTF-8 with ordinary newlines, whatever it is written in."""
    stream = _files.open_bytes(path)
    if not _is_recoded(start, encoding):
        return stream
    return io.BufferedReader(_Recoded(stream, encoding))


class _Recoded(io.RawIOBase):
    """A stream of UTF-8 made from one in another encoding."""

    def __init__(self, stream: IO[bytes], encoding: str) -> None:
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder(encoding)()
        self._newlines = io.IncrementalNewlineDecoder(None, translate=True)
        self._ready = b""

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        self._stream.close()
        super().close()

    def readinto(self, buffer: Any) -> int:
        while not self._ready:
            block = self._stream.read(_csv.BLOCK_BYTES)
            text = self._newlines.decode(self._decoder.decode(block, not block), not block)
            self._ready = text.encode("utf-8", errors="replace")
            if not block:
                break
        taken = self._ready[: len(buffer)]
        buffer[: len(taken)] = taken
        self._ready = self._ready[len(taken) :]
        return len(taken)


def _show_csv(rejected: Frame, tables: list[_CsvFile]) -> Any:
    """Turn record numbers into line numbers, and add the lines that are no records."""
    import pyarrow as pa
    import pyarrow.compute as pc

    found = rejected.to_native().to_arrow_table()
    parts = []
    for table in tables:
        part = found
        if len(tables) > 1:
            part = found.filter(pc.equal(found[FILE], str(table.path)))
        lines = table.structure.line_numbers(part[ROW].to_numpy())
        part = part.set_column(part.schema.get_field_index(ROW), ROW, pa.array(lines))
        broken = table.broken()
        if broken is not None:
            part = pa.concat_tables([part, broken], promote_options="default")
        if len(tables) > 1:
            file = pa.array([str(table.path)] * len(part), pa.string())
            part = part.set_column(part.schema.get_field_index(FILE), FILE, file)
        parts.append(part.sort_by(ROW))
    shown = nw.from_native(pa.concat_tables(parts, promote_options="default"))
    return _named(shown).to_native().to_pandas()
