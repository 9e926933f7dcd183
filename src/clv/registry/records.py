"""JSON that knows its own checksum, and what it takes to be sure that a file is on the disk."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from clv.errors import RegistryError, StorageError
from clv.files import beside

_SEAL = "sha256"


def sealed(record: dict[str, Any]) -> str:
    """A record as text, with its checksum as the last entry."""
    text = json.dumps(record, sort_keys=True, separators=(",", ":"), allow_nan=False)
    seal = hashlib.sha256(text.encode()).hexdigest()
    return json.dumps({**record, _SEAL: seal}, indent=2, allow_nan=False) + "\n"


def write_record(path: Path, record: dict[str, Any]) -> None:
    """Put a record in the place of `path`: the old one or the new one is there, never half."""
    with beside(path) as scratch:
        scratch.write_text(sealed(record), encoding="utf-8")
    sync_folder(path.parent)


def read_record(path: Path) -> dict[str, Any]:
    """Read a record back.

    Raises
    ------
    RegistryError
        If it cannot be read, or is not byte for byte what was written.
    """
    try:
        written = path.read_bytes()
    except OSError as error:
        raise RegistryError(f"{path}: {error.strerror}") from error
    try:
        record = json.loads(written)
        record.pop(_SEAL)
        same = sealed(record).encode() == written
    except (ValueError, KeyError, AttributeError, TypeError):
        same = False
    if not same:
        raise changed(path)
    assert isinstance(record, dict)
    return record


def changed(path: Path) -> RegistryError:
    """The error about a file that is not what was written."""
    return RegistryError(f"{path} does not match its checksum: it was changed since it was saved")


def checksum(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sync_folder(folder: Path) -> None:
    """Make sure that a rename in a folder survives the power going."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def storing(what: str) -> Iterator[None]:
    """Turn what the operating system says of a full or read-only disk into an error of ours."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        place = "" if error.filename is None else f" ({error.filename})"
        raise StorageError(
            f"{what} could not be written: {reason}{place}. What was there before is unchanged"
        ) from error
