"""Files as sources, read lazily by DuckDB.

Each call has an in-memory database of its own, so that nothing is shared between calls. CSV is
read as text throughout: a sample of the file must not decide what its values are.
"""

from __future__ import annotations

import atexit
import codecs
import functools
import gc
import gzip
import io
import os
import shutil
import sys
import tempfile
import weakref
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import narwhals as nw

from clv.errors import DataError, UnreadableFileError
from clv.tables import _csv, _files
from clv.tables._csv_layout import Layout, read_layout
from clv.tables._sources import FILE, REASON, ROW, TEXT, Frame, Source, plainly_named

if TYPE_CHECKING:
    import duckdb


def open_files(
    source: str | os.PathLike[str],
    *,
    date: str,
    delimiter: str | None,
    encoding: str,
    memory: int | None = None,
) -> Source:
    """Open the files that a path, a folder or a glob stands for.

    Raises
    ------
    UnreadableFileError
        If there is none, or one cannot be read.
    """
    files = _files.find(source)
    with readable(files.label):
        if files.kind == "parquet":
            return _open_parquet(files, date, memory)
        return _open_csv(files, delimiter, _check_encoding(encoding), memory)


def _check_encoding(encoding: str) -> str:
    try:
        return codecs.lookup(encoding).name
    except LookupError as error:
        raise DataError(
            f"encoding {encoding!r} is not known; use a name such as 'utf-8', 'latin-1' or 'cp1256'"
        ) from error


@contextmanager
def readable(label: str) -> Iterator[None]:
    """Turn what DuckDB says about a damaged file into an error of ours."""
    import duckdb

    try:
        yield
    except (duckdb.BinderException, duckdb.ParserException, duckdb.OutOfMemoryException):
        raise
    except duckdb.Error as error:
        first_line = str(error).partition("\n")[0]
        raise UnreadableFileError(f"{label} cannot be read; DuckDB says: {first_line}") from error


@functools.cache
def _end_quietly() -> None:
    """Empty narwhals' caches before the interpreter ends.

    They hold DuckDB's types, and DuckDB prints a page about leaked objects at exit when somebody
    still does.
    """
    atexit.register(_empty_caches, "narwhals")


def _empty_caches(package: str) -> None:
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] == package:
            for value in list(vars(module).values()):
                if hasattr(type(value), "cache_clear"):
                    value.cache_clear()
    gc.collect()


def private_database(
    memory: int | None = None,
) -> tuple[duckdb.DuckDBPyConnection, Path]:
    """Open a database in memory, and a private folder that goes when the database goes.

    With a limit on its memory (bytes) it spills to that folder.
    """
    import duckdb

    _end_quietly()
    connection = duckdb.connect()
    folder = Path(tempfile.mkdtemp(prefix="clv-"))
    weakref.finalize(connection, shutil.rmtree, folder, ignore_errors=True)
    # Instants in a Parquet file are in UTC; the machine's own zone must never matter.
    connection.execute("SET TimeZone = 'UTC'")
    # After two seconds DuckDB would print its progress on standard output, among our answers. Where
    # it does not, as in Jupyter without widgets, it refuses even to be told so.
    if connection.execute("SELECT current_setting('enable_progress_bar')").fetchall() == [(True,)]:
        connection.execute("SET enable_progress_bar = false")
    connection.execute("SET temp_directory = ?", [str(folder / "spilled")])
    if memory is not None:
        connection.execute(f"SET memory_limit = '{memory}B'")
    return connection, folder


def _open_parquet(files: _files.Files, date: str, memory: int | None) -> Source:
    connection, _ = private_database(memory)
    zone = _stored_zone(connection, files.paths[0], date)
    if zone is not None:
        # DuckDB knows fixed offsets by names such as GMT+03:30 only.
        connection.execute("SET TimeZone = ?", [f"GMT{zone}" if zone[0] in "+-" else zone])
    several = len(files.paths) > 1
    scan = f"read_parquet({_files.quoted(files.paths)}, union_by_name = {str(several).lower()}"
    numbers, extra = f"file_row_number + 1 AS {ROW}", "file_row_number"
    if several:
        numbers, extra = f"{numbers}, filename AS {FILE}", f"{extra}, filename"
    options = f"file_row_number = true, filename = {str(several).lower()}"
    plain = f"SELECT * FROM {scan})"
    numbered = f"SELECT * EXCLUDE ({extra}), {numbers} FROM {scan}, {options})"
    return Source(
        label=files.label,
        engine="duckdb",
        frame=nw.from_native(connection.sql(plain)),
        numbered=lambda: nw.from_native(connection.sql(numbered)),
        show=_show_parquet,
        guard=functools.partial(readable, files.label),
        keep_alive=connection,
    )


def _stored_zone(connection: duckdb.DuckDBPyConnection, path: Path, date: str) -> str | None:
    """Return the time zone that whoever wrote the file kept beside its instants.

    DuckDB does not know it, and Arrow's reader is slow to import: it is asked where it matters.
    """
    import duckdb

    with suppress(duckdb.Error):  # Arrow says better what is wrong with a file
        lines = connection.sql(f"SELECT * FROM read_parquet({_files.quoted([path])})")
        kinds = dict(zip(lines.columns, map(str, lines.types), strict=True))
        if "TIME ZONE" not in kinds.get(date, ""):
            return None

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
    return plainly_named(rejected.sort(*order)).to_native().to_arrow_table().to_pandas()


# ---- CSV


@dataclass(frozen=True)
class _CsvFile:
    """One CSV file whose structure is known."""

    path: Path
    layout: Layout
    structure: _csv.Structure
    folder: Path
    """Where its copy is, if it has one."""

    def scan(self) -> str:
        """Write the SQL that reads it."""
        columns = ", ".join(f"{_literal(name)}: 'VARCHAR'" for name in self.layout.names)
        quote = "'\"'" if self.structure.quoted else "''"
        newline = r"\r\n" if self.structure.as_is and self.layout.newline == b"\r\n" else r"\n"
        path = self.path if self.structure.as_is else self.folder / "rows.csv"
        return (
            f"read_csv({_files.quoted([path])}, auto_detect = false, header = false, "
            f"skip = {self.layout.header_lines if self.structure.as_is else 0}, "
            f"columns = {{{columns}}}, delim = {_literal(self.layout.delimiter)}, "
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
        return table.rename_columns([ROW, REASON, TEXT])


def _literal(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _open_csv(
    files: _files.Files, delimiter: str | None, encoding: str, memory: int | None
) -> Source:
    connection, folder = private_database(memory)
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
        + (f", {_literal(str(table.path))} AS {FILE}" if several else "")
        + f" FROM {table.scan()}"
        for table in tables
    )
    return Source(
        label=files.label,
        engine="duckdb",
        frame=nw.from_native(connection.sql(plain)),
        numbered=lambda: nw.from_native(connection.sql(numbered)),
        show=functools.partial(_show_csv, tables=tables),
        ascii_only=all(table.structure.ascii for table in tables),
        broken=sum((table.structure.broken for table in tables), Counter()),
        records=sum(table.structure.records for table in tables),
        repeated=first.layout.repeated,
        line_number=lambda record: int(first.structure.line_numbers([record])[0]),
        guard=functools.partial(readable, files.label),
        keep_alive=connection,
    )


def _examine_csv(path: Path, folder: Path, delimiter: str | None, encoding: str) -> _CsvFile:
    folder.mkdir()
    start = _files.head(path)
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        encoding = "utf-16"
    try:
        with _in_utf8(path, start, encoding) as stream:
            layout = read_layout(stream.read(_files.HEAD_BYTES), delimiter)
        if layout is None:
            raise UnreadableFileError(f"the file {str(path)!r} holds nothing but blank lines")
        in_place = layout.header_lines == 1 and not _is_recoded(start, encoding)
        open_stream = functools.partial(_in_utf8, path, start, encoding)
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
    return plainly_named(shown).to_native().to_pandas()
