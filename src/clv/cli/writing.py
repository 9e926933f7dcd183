"""Files that the user names: judged before any work is done, and what was done to them noted."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from clv.cli.console import note
from clv.errors import DataError
from clv.files import WRITERS as _WRITERS
from clv.files import as_arrow, beside, write_text
from clv.files import write_table as _write_table

__all__ = [
    "as_arrow",
    "beside",
    "checked_folder",
    "checked_path",
    "keep_apart",
    "write_table",
    "write_text",
]


def checked_path(ctx: click.Context, option: click.Parameter, value: str | None) -> Path | None:
    """A file that can be written, judged by its ending and folder, before any work is done."""
    if value is None:
        return None
    path = Path(value)
    if path.suffix.lower() not in _WRITERS:
        raise click.BadParameter(
            f"{value!r} must end in {', '.join(_WRITERS)}: the ending decides the format", ctx
        )
    checked_folder(ctx, path)
    if path.suffix.lower() == ".xlsx":
        _require_xlsxwriter(ctx)
    return path


def checked_folder(ctx: click.Context, path: Path) -> Path:
    """A file whose folder is there and can be written to."""
    if not path.parent.is_dir():
        raise click.BadParameter(f"there is no folder {str(path.parent)!r}", ctx)
    if path.is_dir():
        raise click.BadParameter(f"{str(path)!r} is a folder", ctx)
    if not os.access(path.parent, os.W_OK):
        raise click.BadParameter(f"the folder {str(path.parent)!r} cannot be written to", ctx)
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
    """Write a table of any engine, and say how many cells of a CSV file were changed."""
    try:
        marked = _write_table(frame, path)
    except DataError as error:
        raise click.UsageError(str(error)) from error
    if marked:
        note(
            f"{marked:,} cells of {path.name} begin like a formula and got an apostrophe in front; "
            "Parquet and Excel files keep them as they are"
        )
