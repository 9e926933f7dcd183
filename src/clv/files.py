"""Tables to files: whole or not at all, and no cell a spreadsheet would run as a formula.

Every format has a *sink*: a context manager that is given a path and a schema and yields a
function that takes one table after the other, so that a file can be larger than memory.
"""

from __future__ import annotations

import csv
import json
import math
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from clv.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

#: Text that spreadsheets take for a formula begins with one of these, full-width forms
#: included. The apostrophe is among them so that taking one away again is always right.
FORMULA = r"^['=+\-@\t\r\n＝＋－＠]"

#: A sheet of Excel has this many rows below its headings, and this many characters in a cell.
EXCEL_ROWS = 1_048_575
EXCEL_CELL = 32_767

#: Rows that are turned into Python objects at once.
_BATCH = 10_000

Write = Callable[["pa.Table"], None]
Sink = Callable[[Path, "pa.Schema"], AbstractContextManager[Write]]


# --- whole or not at all -----------------------------------------------------------------------


@contextmanager
def beside(path: Path) -> Iterator[Path]:
    """A scratch file that takes the place of `path` once it is complete."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    os.close(handle)
    scratch = Path(name)
    try:
        yield scratch
        with scratch.open("rb+") as written:
            os.fsync(written.fileno())
        os.chmod(scratch, 0o666 & ~_umask())
        os.replace(scratch, path)
    finally:
        scratch.unlink(missing_ok=True)


@contextmanager
def folder_beside(target: Path) -> Iterator[Path]:
    """A scratch folder that takes the place of `target` once it is complete."""
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        yield scratch
        for file in scratch.rglob("*"):
            if file.is_file():
                with file.open("rb+") as written:
                    os.fsync(written.fileno())
        os.chmod(scratch, 0o777 & ~_umask())
        swap(scratch, target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def swap(scratch: Path, target: Path) -> None:
    """Put a folder in the place of another, which is moved away first, then removed."""
    old = Path(tempfile.mkdtemp(prefix=f".{target.name}.old.", dir=target.parent))
    try:
        if target.exists():
            os.replace(target, old / "content")
        os.replace(scratch, target)
    except OSError:
        if (old / "content").exists() and not target.exists():
            os.replace(old / "content", target)
        raise
    finally:
        shutil.rmtree(old, ignore_errors=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_text(text: str, path: Path) -> None:
    """Write a text file."""
    with beside(path) as scratch:
        scratch.write_text(text, encoding="utf-8")


def write_table(frame: Any, path: Path) -> int:
    """Write a table of any engine, in the format that the ending of the path names.

    Text in CSV files that a spreadsheet would take for a formula gets an apostrophe in front;
    Parquet, Excel and JSON files hold it as it is, since text is text there.

    Returns
    -------
    int
        How many cells got an apostrophe.

    Raises
    ------
    DataError
        If the table does not fit into the format.
    """
    ending, marked = path.suffix.lower(), 0

    def tables() -> Iterator[pa.Table]:
        nonlocal marked
        for table in in_parts(frame):
            if ending == ".csv":
                table, count = without_formulas(table)
                marked += count
            yield table

    with beside(path) as scratch:
        WRITERS[ending](tables(), scratch)
    return marked


def in_parts(frame: Any) -> Iterator[pa.Table]:
    """A table of any engine as Arrow tables, at least one: several where it is not in memory."""
    if getattr(frame, "in_memory", True):
        return iter([as_arrow(frame)])
    tables: Iterator[pa.Table] = frame.tables()
    return tables


# --- tables --------------------------------------------------------------------------------------


def as_arrow(frame: Any) -> pa.Table:
    """A table of any engine as an Arrow table."""
    import narwhals as nw
    import pyarrow as pa

    if hasattr(frame, "to_arrow") and isinstance(found := frame.to_arrow(), pa.Table):
        return found
    narwhals = nw.from_native(frame)
    if isinstance(narwhals, nw.LazyFrame):
        narwhals = narwhals.collect(backend="pyarrow")
    return narwhals.to_arrow()


class Unformulated(NamedTuple):
    """A table without text that looks like a formula, and how many cells were changed."""

    table: pa.Table
    marked: int


def without_formulas(table: pa.Table) -> Unformulated:
    """Put an apostrophe before text (headings included) that begins like a formula.

    Text that begins with an apostrophe gets another, so that taking one away always gives the
    text back.

    Examples
    --------
    >>> import pyarrow as pa
    >>> without_formulas(pa.table({"id": ["=1+1", "'a", "b"]})).table["id"].to_pylist()
    ["'=1+1", "''a", 'b']
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    def marked(text: pa.ChunkedArray) -> tuple[pa.ChunkedArray, int]:
        risky = pc.match_substring_regex(text, FORMULA)
        count = int(pc.sum(risky).as_py() or 0)
        return pc.if_else(risky, pc.binary_join_element_wise("'", text, ""), text), count

    columns, changed = [], 0
    for column in table.columns:
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        if _is_text(column.type):
            column, count = marked(column.cast(pa.string()))
            changed += count
        columns.append(column)
    headings = marked(pa.chunked_array([pa.array(table.column_names, pa.string())]))[0]
    return Unformulated(pa.table(columns, names=headings.to_pylist()), changed)


def _is_text(kind: pa.DataType) -> bool:
    from pyarrow import types

    return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind))


# --- one sink per format -------------------------------------------------------------------------


@contextmanager
def parquet_sink(path: Path, schema: pa.Schema) -> Iterator[Write]:
    """Parquet, compressed: the columns and nothing else, no pandas index, no machine's paths."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    plain = schema.remove_metadata()
    # numbers seldom repeat: looking for those that do takes longer than writing them
    repeated = [field.name for field in plain if not pa.types.is_floating(field.type)]
    with pq.ParquetWriter(path, plain, compression="zstd", use_dictionary=repeated) as writer:
        yield lambda table: writer.write_table(table.replace_schema_metadata(None))


@contextmanager
def csv_sink(path: Path, schema: pa.Schema) -> Iterator[Write]:
    """CSV in UTF-8 with commas: text in quotes, missing values empty, lines end with LF."""
    from pyarrow import csv as arrow_csv

    with path.open("wb") as file:
        file.write(csv_line(schema.names).encode())
        options = arrow_csv.WriteOptions(include_header=False)
        with arrow_csv.CSVWriter(file, schema, write_options=options) as writer:
            yield writer.write_table


def csv_line(cells: list[str]) -> str:
    """One line of CSV with quotes only where they are needed."""
    import io

    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(cells)
    return line.getvalue()


@contextmanager
def jsonl_sink(path: Path, schema: pa.Schema) -> Iterator[Write]:
    """JSON lines: one object per row; missing values and numbers that are none are null."""
    with path.open("w", encoding="utf-8", newline="\n") as file:

        def write(table: pa.Table) -> None:
            for batch in table.to_batches(max_chunksize=_BATCH):
                file.writelines(json_line(row) for row in batch.to_pylist())

        yield write


def json_line(record: Any) -> str:
    r"""One line of JSON, which no reader breaks in two.

    Examples
    --------
    >>> json_line({"name": "a" + chr(0x2028) + "b", "value": float("nan")})
    '{"name": "a\\u2028b", "value": null}\n'
    """
    text = json.dumps(_plain(record), ensure_ascii=False, allow_nan=False)
    for separator in "\x85\u2028\u2029":  # some readers end a line here
        text = text.replace(separator, f"\\u{ord(separator):04x}")
    return text + "\n"


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, (str, int)) else str(value)


@contextmanager
def xlsx_sink(path: Path, schema: pa.Schema) -> Iterator[Write]:
    """An Excel sheet in which text is text, whatever it begins with."""
    import pyarrow as pa
    import xlsxwriter

    options = {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
    with xlsxwriter.Workbook(str(path), options) as book:
        sheet = book.add_worksheet("clv")
        heading = book.add_format({"bold": True})
        day = book.add_format({"num_format": "yyyy-mm-dd"})
        sheet.freeze_panes(1, 1)
        for column, field in enumerate(schema):
            sheet.write_string(0, column, field.name, heading)
            sheet.set_column(column, column, max(10, len(field.name) + 2))
        writers: list[Callable[..., Any]] = [
            _cell_writer(sheet, field.type, day, pa) for field in schema
        ]
        row = 0

        def write(table: pa.Table) -> None:
            nonlocal row
            if row + table.num_rows > EXCEL_ROWS:
                raise DataError(
                    f"{row + table.num_rows:,} rows do not fit into an Excel sheet; write .csv or "
                    ".parquet"
                )
            for batch in table.to_batches(max_chunksize=_BATCH):
                for values in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                    row += 1
                    for column, value in enumerate(values):
                        if value is not None:
                            writers[column](row, column, value)

        yield write


def _cell_writer(sheet: Any, kind: Any, day: Any, pa: Any) -> Callable[..., Any]:
    def number(row: int, column: int, value: Any) -> None:
        if math.isfinite(value):
            sheet.write_number(row, column, value)

    def date(row: int, column: int, value: Any) -> None:
        sheet.write_datetime(row, column, value.replace(tzinfo=None) if timed else value, day)

    def text(row: int, column: int, value: Any) -> None:
        cell = str(value)
        if len(cell) > EXCEL_CELL:
            raise DataError(
                f"row {row} has a text of {len(cell):,} characters, more than the {EXCEL_CELL:,} "
                "of an Excel cell; write .csv or .parquet"
            )
        sheet.write_string(row, column, cell)

    timed = pa.types.is_timestamp(kind)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return number
    return date if timed or pa.types.is_date(kind) else text


def _writer(sink: Sink) -> Callable[[Iterator[Any], Path], None]:
    def write(tables: Iterator[pa.Table], path: Path) -> None:
        first = next(tables)
        with sink(path, first.schema) as out:
            out(first)
            for table in tables:
                out(table)

    return write


SINKS: dict[str, Sink] = {
    ".parquet": parquet_sink,
    ".csv": csv_sink,
    ".xlsx": xlsx_sink,
    ".jsonl": jsonl_sink,
}

#: What `write_table` calls for each ending, with one table or more.
WRITERS = {ending: _writer(sink) for ending, sink in SINKS.items()}
