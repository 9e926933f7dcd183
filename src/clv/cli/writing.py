"""Tables to files: whole or not at all, and no cell a spreadsheet would run as a formula."""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from clv.cli.console import note

if TYPE_CHECKING:
    import pyarrow as pa

#: Text that spreadsheets take for a formula begins with one of these, full-width forms
#: included. The apostrophe is among them so that taking one away again is always right.
_FORMULA = r"^['=+\-@\t\r\n＝＋－＠]"

_EXCEL_ROWS = 1_048_575


def checked_path(ctx: click.Context, option: click.Parameter, value: str | None) -> Path | None:
    """A file that can be written, judged by its ending and folder, before any work is done."""
    if value is None:
        return None
    path = Path(value)
    if path.suffix.lower() not in _WRITERS:
        raise click.BadParameter(
            f"{value!r} must end in {', '.join(_WRITERS)}: the ending decides the format", ctx
        )
    if not path.parent.is_dir():
        raise click.BadParameter(f"there is no folder {str(path.parent)!r}", ctx)
    if path.is_dir():
        raise click.BadParameter(f"{value!r} is a folder", ctx)
    if not os.access(path.parent, os.W_OK):
        raise click.BadParameter(f"the folder {str(path.parent)!r} cannot be written to", ctx)
    if path.suffix.lower() == ".xlsx":
        _require_xlsxwriter(ctx)
    return path


def keep_apart(source: str, **outputs: Path | None) -> None:
    """Refuse to write over what is read, or two things into one file."""
    seen = {Path(source).resolve(): "SOURCE"}
    for name, path in outputs.items():
        if path is None:
            continue
        other = seen.setdefault(path.resolve(), f"--{name}")
        if other != f"--{name}":
            raise click.UsageError(f"--{name} would overwrite {other}, {path}")


def _require_xlsxwriter(ctx: click.Context) -> None:
    from importlib.util import find_spec

    if find_spec("xlsxwriter") is None:
        raise click.BadParameter(
            'Excel files need one more package; run: pip install "predictive-clv[excel]"', ctx
        )


def write_table(frame: Any, path: Path) -> None:
    """Write a table of any engine, in the format that the ending of the path names.

    Text in CSV files that a spreadsheet would take for a formula gets an apostrophe in front,
    which a note says; Parquet and Excel files hold it as it is, since text is text there.
    """
    table, ending = as_arrow(frame), path.suffix.lower()
    if ending == ".csv":
        table = _without_formulas(table, path.name)
    with beside(path) as scratch:
        _WRITERS[ending](table, scratch)


def write_text(text: str, path: Path) -> None:
    """Write a text file."""
    with beside(path) as scratch:
        scratch.write_text(text, encoding="utf-8")


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


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


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


def _is_text(kind: pa.DataType) -> bool:
    from pyarrow import types

    return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind))


def _without_formulas(table: pa.Table, name: str) -> pa.Table:
    import pyarrow as pa
    import pyarrow.compute as pc

    def marked(text: pa.ChunkedArray) -> tuple[pa.ChunkedArray, int]:
        risky = pc.match_substring_regex(text, _FORMULA)
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
    if changed:
        note(
            f"{changed:,} cells of {name} begin like a formula and got an apostrophe in front; "
            "Parquet and Excel files keep them as they are"
        )
    headings = marked(pa.chunked_array([pa.array(table.column_names, pa.string())]))[0]
    return pa.table(columns, names=headings.to_pylist())


# --- one writer per ending ---------------------------------------------------------------------


def _write_parquet(table: pa.Table, path: Path) -> None:
    import pyarrow.parquet as pq

    # no pandas index, no machine's paths: the columns and nothing else
    pq.write_table(table.replace_schema_metadata(None), path, compression="zstd")


def _write_csv(table: pa.Table, path: Path) -> None:
    from pyarrow import csv

    csv.write_csv(table, path)


def _write_xlsx(table: pa.Table, path: Path) -> None:
    import pyarrow as pa
    import xlsxwriter

    if table.num_rows > _EXCEL_ROWS:
        raise click.UsageError(
            f"{table.num_rows:,} rows do not fit into an Excel sheet; write .csv or .parquet"
        )
    options = {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
    with xlsxwriter.Workbook(str(path), options) as book:
        sheet = book.add_worksheet("clv")
        heading = book.add_format({"bold": True})
        day = book.add_format({"num_format": "yyyy-mm-dd"})
        sheet.freeze_panes(1, 1)
        for column, field in enumerate(table.schema):
            sheet.write_string(0, column, field.name, heading)
            sheet.set_column(column, column, max(10, len(field.name) + 2))
        writers: list[Callable[..., Any]] = [
            _cell_writer(sheet, field.type, day, pa) for field in table.schema
        ]
        row = 0
        for batch in table.to_batches(max_chunksize=10_000):
            for values in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                row += 1
                for column, value in enumerate(values):
                    if value is not None:
                        writers[column](row, column, value)


def _cell_writer(sheet: Any, kind: Any, day: Any, pa: Any) -> Callable[..., Any]:
    def number(row: int, column: int, value: Any) -> None:
        if math.isfinite(value):
            sheet.write_number(row, column, value)

    def date(row: int, column: int, value: Any) -> None:
        sheet.write_datetime(row, column, value.replace(tzinfo=None) if timed else value, day)

    def text(row: int, column: int, value: Any) -> None:
        sheet.write_string(row, column, str(value))

    timed = pa.types.is_timestamp(kind)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return number
    return date if timed or pa.types.is_date(kind) else text


_WRITERS: dict[str, Callable[[Any, Path], None]] = {
    ".parquet": _write_parquet,
    ".csv": _write_csv,
    ".xlsx": _write_xlsx,
}
