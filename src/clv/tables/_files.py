"""Finding files, and seeing whether they are what their names say."""

from __future__ import annotations

import glob
import gzip
import os
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal, cast

from clv.errors import UnreadableFileError

Kind = Literal["csv", "parquet"]

ENDINGS: dict[str, Kind] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".tab": "csv",
    ".txt": "csv",
    ".csv.gz": "csv",
    ".tsv.gz": "csv",
    ".txt.gz": "csv",
    ".parquet": "parquet",
    ".pq": "parquet",
}
READ = "CSV (.csv, .tsv, .txt, each also with .gz) and Parquet (.parquet, .pq)"
HEAD_BYTES = 1 << 16

_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"PAR1", "Parquet"),
    (b"PK\x03\x04", "a zip archive or an Excel workbook"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook"),
    (b"\x1f\x8b", "gzip-compressed data"),
    (b"\x28\xb5\x2f\xfd", "zstd-compressed data"),
    (b"BZh", "bzip2-compressed data"),
    (b"\xfd7zXZ", "xz-compressed data"),
    (b"%PDF", "a PDF document"),
    (b"SQLite format 3", "an SQLite database"),
    (b"ARROW1", "an Arrow (Feather) file"),
    (b"\x89PNG", "a picture"),
)
_MARKUP = (b"<!doctype", b"<html", b"<head", b"<?xml", b"<table", b"<!--")


@dataclass(frozen=True)
class Files:
    """Files of one kind, to be read as one table."""

    kind: Kind
    paths: tuple[Path, ...]
    label: str


def find(source: str | os.PathLike[str]) -> Files:
    """Find the files that a path, a folder or a glob stands for.

    Raises
    ------
    UnreadableFileError
        If there is none, or they are of different kinds, or not what their endings say.
    """
    name = os.fspath(source)
    path = Path(name)
    if path.is_dir():
        paths = _in_folder(path)
        label = f"the folder {name}"
    elif path.exists():
        paths, label = [path], f"the file {name}"
    elif glob.has_magic(name):
        paths = [Path(found) for found in sorted(glob.glob(name, recursive=True))]
        paths = [found for found in paths if found.is_file()]
        label = f"the files {name}"
        if not paths:
            raise UnreadableFileError(f"no file matches {name!r}")
    else:
        raise UnreadableFileError(f"there is no file {name!r}{_nearby(path)}")
    kinds = {_kind(found) for found in paths}
    if len(kinds) > 1:
        raise UnreadableFileError(
            f"{label} holds both CSV and Parquet files; name one kind, such as '{name}/*.parquet'"
        )
    for found in paths:
        _check_content(found)
    return Files(kinds.pop(), tuple(paths), label)


def _in_folder(folder: Path) -> list[Path]:
    """Files that can be read, at any depth; hidden ones and markers such as _SUCCESS left out."""
    everything = sorted(path for path in folder.rglob("*") if path.is_file())
    visible = [
        path
        for path in everything
        if not any(part.startswith((".", "_")) for part in path.relative_to(folder).parts)
    ]
    paths = [path for path in visible if _ending(path) in ENDINGS]
    if not paths:
        held = ", ".join(path.name for path in visible[:5]) or "nothing"
        raise UnreadableFileError(
            f"the folder {str(folder)!r} has no file that can be read; it holds {held}. "
            f"Read are {READ}"
        )
    return paths


def _nearby(path: Path) -> str:
    import difflib

    try:
        names = [found.name for found in path.parent.iterdir()]
    except OSError:
        return ""
    near = difflib.get_close_matches(path.name, names, n=1)
    return f"; did you mean {str(path.parent / near[0])!r}?" if near else ""


def _ending(path: Path) -> str:
    suffixes = [suffix.lower() for suffix in path.suffixes]
    return "".join(suffixes[-2:]) if suffixes[-1:] == [".gz"] else "".join(suffixes[-1:])


def _kind(path: Path) -> Kind:
    ending = _ending(path)
    if ending in ENDINGS:
        return ENDINGS[ending]
    remedy = f"read are {READ}"
    if ending in (".xlsx", ".xls", ".xlsm", ".ods"):
        remedy = "read it with pandas.read_excel and pass the frame, or save it as CSV"
    elif ending in (".zip", ".bz2", ".xz", ".zst", ".7z", ".rar"):
        remedy = f"unpack it first; {remedy}"
    raise UnreadableFileError(f"the file {str(path)!r} ends with {ending!r}: {remedy}")


def _check_content(path: Path) -> None:
    """Compare the first bytes with what the ending promises."""
    ending = _ending(path)
    if path.stat().st_size == 0:
        raise UnreadableFileError(f"the file {str(path)!r} is empty")
    with path.open("rb") as file:
        start = file.read(512)
    promised = "Parquet" if ENDINGS[ending] == "parquet" else "CSV"
    if ending.endswith(".gz"):
        if not start.startswith(b"\x1f\x8b"):
            _refuse(path, "gzip-compressed CSV", _content(start) or "not compressed")
        start = head(path)[:512]
    found = _content(start)
    if promised == "Parquet" and found is None:
        found = "text, perhaps CSV"
    if found is not None and found != promised:
        _refuse(path, promised, found)
    if promised == "Parquet":
        with path.open("rb") as file:
            file.seek(-4, os.SEEK_END)
            if file.read() != b"PAR1":
                raise UnreadableFileError(
                    f"the file {str(path)!r} is Parquet but its end is missing: it was cut off, "
                    "or is still being written"
                )


def _refuse(path: Path, promised: str, found: str) -> None:
    raise UnreadableFileError(
        f"the file {str(path)!r} should be {promised} by its ending, but what it holds is {found}"
    )


def _content(start: bytes) -> str | None:
    """Name what bytes obviously are; None for text, CSV among it."""
    for magic, what in _MAGIC:
        if start.startswith(magic):
            return what
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if text.startswith(_MARKUP):
        return "an HTML or XML page"
    if text.startswith((b"{", b"[{", b"[\n")):
        return "JSON"
    if b"\0" in start and not start.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "binary data"
    return None


def open_bytes(path: Path) -> IO[bytes]:
    """Open a file, unpacking it on the way."""
    if _ending(path).endswith(".gz"):
        return cast("IO[bytes]", gzip.open(path, "rb"))
    return path.open("rb")


def head(path: Path) -> bytes:
    """Return the first bytes of a file, unpacked.

    Raises
    ------
    UnreadableFileError
        If they cannot be unpacked.
    """
    try:
        with open_bytes(path) as file:
            return file.read(HEAD_BYTES)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise UnreadableFileError(f"the file {str(path)!r} cannot be unpacked: {error}") from error


def quoted(paths: Sequence[Path]) -> str:
    """Write paths as an SQL list of texts, taken literally."""
    names = (glob.escape(str(path)).replace("'", "''") for path in paths)
    return "[" + ", ".join(f"'{name}'" for name in names) + "]"
