"""The structure of a CSV file: which lines are rows, and which are broken.

Readers that are quick are not careful with broken quotes: an unclosed one can swallow thousands
of good rows without a word. So the structure is checked here, in one pass over the bytes, and the
database that reads the file only ever sees rows known to be whole.

A *line* ends with a newline. A *record* is one row: mostly one line, more when a quoted field
holds newlines. A line is broken when it is not valid UTF-8, when its quotation marks are not
closed or out of place, or when its record has another number of fields than the header. A broken
line costs only itself: the lines after it stand on their own again.

Blocks whose lines are plainly in order (nearly all) are recognised with numpy; only the others
are taken line by line. A file that cannot be read as it lies is copied without what is broken;
the copy lives in a private temporary folder for as long as it is needed.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from clv.tables._csv_layout import Layout

BLOCK_BYTES = 4 << 20
SMALLEST_WINDOW = 2_000
LONGEST_CARRY = 16 << 20
LONGEST_LINE = 1_000_000
LONGEST_RECORD = 1_000
TEXT_KEPT = 500

Codes = npt.NDArray[np.uint8]

_NEWLINE, _RETURN, _QUOTE = 10, 13, 34
_QUOTED_FIELD = re.compile(rb'"(?:[^"]|"")*+"')
_BAD_QUOTES = "quotation mark is not closed, or out of place"
_BAD_UTF8 = "line is not valid UTF-8 (is another encoding= needed?)"
_TOO_LONG = f"line is longer than {LONGEST_LINE:,} bytes"
_UNFINISHED = "unfinished"


class Rows(NamedTuple):
    """Whole records; `as_is` says that they can be read as they stand in the file."""

    text: bytes
    records: int
    lines: int
    as_is: bool = True


class Lost(NamedTuple):
    """A line that is no row: broken for a reason, or blank (no reason)."""

    text: bytes
    reason: str | None


@dataclass
class Structure:
    """What one pass over a file found."""

    records: int = 0
    lines: int = 0
    quoted: bool = False
    multiline: bool = False
    ascii: bool = True
    as_is: bool = True
    broken: Counter[str] = field(default_factory=Counter)
    shifts: list[tuple[int, int]] = field(default_factory=list)
    """(records before, lines in the file that are no record of their own)."""

    def line_numbers(self, records: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Line in the file, from 1, of records given by their number, from 1."""
        number = np.asarray(records, dtype=np.int64)
        before, extra = np.array(self.shifts, dtype=np.int64).reshape(-1, 2).T
        total: npt.NDArray[np.int64] = np.concatenate([np.zeros(1, np.int64), np.cumsum(extra)])
        lines: npt.NDArray[np.int64] = total[np.searchsorted(before, number - 1, side="right")]
        return number + lines


def inspect(
    open_stream: Callable[[], IO[bytes]], layout: Layout, folder: Path, *, in_place: bool = True
) -> Structure:
    """Check every line of a file.

    Parameters
    ----------
    open_stream
        Opens the file, in UTF-8, at its first byte.
    layout
        What its first lines say.
    folder
        If the file cannot be read as it lies (`as_is` is False then), its whole records are
        written here as ``rows.csv``, without a header, and its broken lines as ``broken.csv``
        (line number, reason, beginning of the text).
    in_place
        Whether the file may be read as it lies, if nothing in it is broken.
    """
    if in_place:
        with open_stream() as stream:
            found = _fold(pieces(stream, layout), layout, folder=None)
        if found.as_is:
            return found
    with open_stream() as stream:
        return _fold(pieces(stream, layout), layout, folder=folder)


def _fold(parts: Iterator[Rows | Lost], layout: Layout, folder: Path | None) -> Structure:
    """Add up the pieces of a file; write them to `folder`, or stop where that is needed."""
    found = Structure(lines=layout.header_lines, as_is=folder is None)
    found.shifts.append((0, layout.header_lines))
    with _Nowhere() if folder is None else _Copy(folder) as copy:
        for part in parts:
            if isinstance(part, Rows):
                _count(found, part)
                copy.keep(part.text)
            else:
                found.lines += 1
                found.shifts.append((found.records, 1))
                if part.reason is not None:
                    found.broken[part.reason] += 1
                    copy.lose(found.lines, part)
            if found.as_is and not _stays(part):
                found.as_is = False
                break
    return found


def _count(found: Structure, rows: Rows) -> None:
    found.records += rows.records
    found.lines += rows.lines
    found.quoted |= b'"' in rows.text
    found.ascii &= rows.text.isascii()
    if rows.lines > rows.records:
        found.multiline = True
        found.shifts.append((found.records, rows.lines - rows.records))


def _stays(part: Rows | Lost) -> bool:
    """Whether this piece is harmless where it is."""
    if isinstance(part, Rows):
        return part.as_is
    return part.reason is None and part.text.strip(b"\r") == b""


class _Nowhere:
    """A copy that is not made."""

    def __enter__(self) -> _Nowhere:
        return self

    def __exit__(self, *_: object) -> None: ...

    def keep(self, text: bytes) -> None: ...

    def lose(self, line: int, lost: Lost) -> None: ...


class _Copy(_Nowhere):
    """The copy of a file without what is broken, and the list of that."""

    def __init__(self, folder: Path) -> None:
        self.rows = (folder / "rows.csv").open("wb")
        self.broken = (folder / "broken.csv").open("w", encoding="utf-8", newline="")
        self.writer: Any = csv.writer(self.broken)
        self.writer.writerow(["row", "reason", "text"])

    def __exit__(self, *_: object) -> None:
        self.rows.close()
        self.broken.close()

    def keep(self, text: bytes) -> None:
        self.rows.write(text.replace(b"\r\n", b"\n"))

    def lose(self, line: int, lost: Lost) -> None:
        text = lost.text[:TEXT_KEPT].decode("utf-8", errors="replace")
        self.writer.writerow([line, lost.reason, text.rstrip("\r\n").replace("\0", "\ufffd")])


def pieces(stream: IO[bytes], layout: Layout) -> Iterator[Rows | Lost]:
    """Take a file apart, after its header, into whole records and lost lines, in order."""
    for _ in range(layout.header_lines):
        stream.readline()
    carried = b""
    while block := stream.read(BLOCK_BYTES):
        block = carried + block + (b"" if block.endswith(b"\n") else stream.readline())
        carried = yield from _block(block, layout, last=False)
    yield from _block(carried, layout, last=True)


def _block(block: bytes, layout: Layout, *, last: bool) -> Generator[Rows | Lost, None, bytes]:
    """Take a block of whole lines apart; return what must wait for the next block.

    What is not in order as a whole is tried in ever smaller windows, so that only the lines
    around something broken are looked at one by one.
    """
    at, window = 0, len(block)
    while at < len(block):
        end = block.find(b"\n", at + window - 1) + 1 or len(block)
        rows = _rows_in_order(block[at:end], layout)
        if rows is not None:
            yield Rows(block[at:end], rows, rows)
            at, window = end, window * 2
        elif window > SMALLEST_WINDOW:
            window //= 8
        else:
            while at < end:
                part, length = _next_piece(block, at, layout, last=last)
                if part is None:
                    return block[at:]
                yield part
                at += length
    return b""


# ---- the quick way: is every line of this block one whole record?


def _rows_in_order(block: bytes, layout: Layout) -> int | None:
    """Number of rows of a block that is in order; None if it has to be looked at closely."""
    if not block.endswith(b"\n"):
        block += layout.newline
    if not (_newlines_agree(block, layout.newline) and _is_utf8(block)) or _has_long_line(block):
        return None
    codes = np.frombuffer(block, np.uint8)
    breaks = (codes == ord(layout.delimiter)) | (codes == _NEWLINE)
    if b'"' not in block:
        return _count_rows(codes[breaks], len(layout.names))
    if not _quotes_in_place(codes, np.flatnonzero(codes == _QUOTE), layout):
        return None
    marks = codes[breaks | (codes == _QUOTE)]
    inside = np.cumsum(marks == _QUOTE, dtype=np.uint8) & 1  # wraps around, stays odd or even
    if np.any((marks == _NEWLINE) & (inside == 1)):
        return None
    return _count_rows(marks[(marks != _QUOTE) & (inside == 0)], len(layout.names))


def _newlines_agree(block: bytes, newline: bytes) -> bool:
    if newline == b"\n":
        return b"\r" not in block
    return block.count(b"\n") == block.count(newline) == block.count(b"\r")


def _has_long_line(block: bytes) -> bool:
    """Whether a line may be too long: one that is has no newline in some stretch of half that."""
    half = LONGEST_LINE // 2
    return any(block.find(b"\n", at, at + half) < 0 for at in range(0, len(block) - half, half))


def _quotes_in_place(codes: Codes, at: npt.NDArray[np.intp], layout: Layout) -> bool:
    """Whether quotes open after, and close before, a delimiter, a newline or another quote."""
    if len(at) % 2:
        return False
    edge = np.zeros(256, bool)
    edge[[ord(layout.delimiter), _NEWLINE, _QUOTE, _RETURN]] = True
    opening, closing = at[0::2], at[1::2]
    before = edge[codes[opening - 1]] | (opening == 0)
    return bool(before.all() and edge[codes[closing + 1]].all())


def _count_rows(marks: Codes, fields: int) -> int | None:
    """Number of rows if the marks are ``fields - 1`` delimiters and a newline, again and again."""
    ends = marks[fields - 1 :: fields]
    rows, rest = divmod(len(marks), fields)
    in_order = rest == 0 and np.all(ends == _NEWLINE) and np.sum(marks == _NEWLINE) == rows
    return rows if in_order else None


# ---- the careful way: one record after the other


def _next_piece(
    block: bytes, at: int, layout: Layout, *, last: bool
) -> tuple[Rows | Lost | None, int]:
    """Return the record or lost line that begins at a position, and its length in bytes.

    None stands for a record whose end is not in this block, when there is more to come.
    """
    end = block.find(b"\n", at) + 1 or len(block)
    text = block[at:end]
    line = text.rstrip(b"\r\n")
    if not line.strip():
        return Lost(line, None), len(text)
    if len(line) > LONGEST_LINE:
        return Lost(line, _TOO_LONG), len(text)
    fields = _count_fields(line, layout.delimiter)
    if fields is None and line.count(b'"') % 2:
        text, problem = _closed(block, at, layout)
        if problem == _UNFINISHED and not last and len(block) < LONGEST_CARRY:
            return None, 0
    else:
        problem = _problem(line, fields, layout)
    if problem is not None:
        return Lost(line, _BAD_QUOTES if problem == _UNFINISHED else problem), end - at
    clean = text.rstrip(b"\r\n") + layout.newline
    lines = text.count(b"\n", 0, len(text) - 1) + 1
    as_is = text in (clean, clean.removesuffix(layout.newline)) and b"\r\n" not in clean[:-2]
    return Rows(clean, 1, lines, as_is), len(text)


def _closed(block: bytes, at: int, layout: Layout) -> tuple[bytes, str | None]:
    """Close an open quote on a later line, unless a line in between is a whole row itself."""
    quotes, end = 0, at
    for number in range(LONGEST_RECORD):
        start, end = end, block.find(b"\n", end) + 1 or len(block)
        line = block[start:end].rstrip(b"\r\n")
        quotes += line.count(b'"')
        if quotes % 2 == 0:
            record = block[at:end].rstrip(b"\r\n")
            fields = _count_fields(record, layout.delimiter)
            if fields is not None and _problem(record, fields, layout) is None:
                return block[at:end], None
        if number and _count_fields(line, layout.delimiter) == len(layout.names):
            return b"", _BAD_QUOTES
        if end == len(block):
            return b"", _UNFINISHED
        if end - at > LONGEST_LINE:
            break
    return b"", _BAD_QUOTES


def _count_fields(record: bytes, delimiter: str) -> int | None:
    """Number of fields; None when quotes are open or out of place."""
    if b'"' not in record and b"\r" not in record:
        return record.count(delimiter.encode()) + 1
    if _record_pattern(delimiter).fullmatch(record) is None:
        return None
    return _QUOTED_FIELD.sub(b"", record).count(delimiter.encode()) + 1


@lru_cache(maxsize=8)
def _record_pattern(delimiter: str) -> re.Pattern[bytes]:
    mark = re.escape(delimiter.encode())
    quoted = rb' *"(?:[^"]|"")*+" *'
    bare = rb'(?! *")[^' + mark + rb"\r\n]*+"
    one = rb"(?:" + quoted + rb"|" + bare + rb")"
    return re.compile(one + rb"(?:" + mark + one + rb")*+")


def _problem(record: bytes, fields: int | None, layout: Layout) -> str | None:
    if fields is None:
        return _BAD_QUOTES
    if fields != len(layout.names):
        return f"line has {fields} fields, the header has {len(layout.names)}"
    return None if _is_utf8(record) else _BAD_UTF8


def _is_utf8(text: bytes) -> bool:
    if text.isascii():
        return True
    try:
        text.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
