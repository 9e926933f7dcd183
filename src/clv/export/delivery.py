"""Write an export: its files, who was left out and why, and a manifest; all of it or nothing."""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from clv.errors import DataError
from clv.export import layouts
from clv.export.audience import Audience
from clv.export.prepare import REASONS, ConsentRule, Prepared, prepare
from clv.export.preset import Preset, read_preset
from clv.files import SINKS, csv_line, folder_beside, without_formulas, write_table

if TYPE_CHECKING:
    import pyarrow as pa

Formulas = Literal["mark", "keep"]

FORMAT = 1
MANIFEST = "manifest.json"
LEFT_OUT = "left_out.csv"

#: Rows whose size as CSV is measured at once where a file has a largest size.
_MEASURED = 1_000


@dataclass(frozen=True)
class Delivery:
    """What an export came to.

    Attributes
    ----------
    folder
        Where its files are.
    files
        Paths of the files to upload, in order.
    manifest
        What ``manifest.json`` says.
    """

    folder: Path
    files: tuple[Path, ...]
    manifest: Mapping[str, Any]

    @property
    def rows(self) -> int:
        """Customers exported."""
        return int(self.manifest["rows"])

    def __str__(self) -> str:
        left = self.manifest["left_out"]
        files = f"{len(self.files)} file{'s' if len(self.files) != 1 else ''} under {self.folder}"
        if "database" in self.manifest:
            files = f"{self.manifest['database_table']} of {self.manifest['database']}"
        of = f"{self.rows:,} of {self.manifest['customers']:,} customers"
        lines = [f"{self.manifest['title']}: {of} in {files}"]
        lines += [f"  left out: {n:,} ({REASONS[why]})" for why, n in left["reasons"].items()]
        return "\n".join([*lines, *(f"  {note}" for note in self.manifest["notes"])])


def export(
    audience: Audience,
    preset: str | Path | Preset,
    folder: str | Path,
    *,
    consent: ConsentRule | None = None,
    default_region: str | None = None,
    formulas: Formulas = "mark",
    database: Any = None,
    database_table: str = "clv_customers",
) -> Delivery:
    """Write an audience as a platform wants it.

    Parameters
    ----------
    audience
        From `clv.export.audience`.
    preset
        A name of `clv.export.presets`, a TOML file of your own, or a `Preset`.
    folder
        Where to write; a folder of the preset's name is made in it, or replaced if an export
        is there.
    consent
        Who may be exported: see `clv.export.prepare.prepare`. None is what the preset says.
    default_region
        Two-letter country for telephone numbers without a country's code.
    formulas
        "mark": text in CSV files that a spreadsheet would run as a formula gets an apostrophe in
        front. "keep": it is left alone, for files that only a program reads.
    database, database_table
        URL or SQLAlchemy engine of the database, and the table in it, for a preset that goes into
        one: rows are upserted by customer and day in one transaction. Manifest and list of who is
        left out still go into the folder.

    Returns
    -------
    Delivery

    Raises
    ------
    DataError
        If the preset is not known, needs consent or fields that are not there, or the folder
        holds something that is no export.
    StorageError
        If nothing was written into the database, and why.

    Examples
    --------
    >>> import tempfile
    >>> import clv
    >>> transactions = clv.read_transactions(clv.datasets.load_cdnow())
    >>> rfm = clv.rfm_summary(transactions, observation_period_end="1998-06-30")
    >>> purchases, spend = clv.BetaGeoModel().fit(rfm), clv.GammaGammaModel().fit(rfm)
    >>> forecast = clv.forecast(rfm, purchases, spend, horizon="52 weeks", interval=None)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     done = clv.export.export(clv.export.audience(rfm, forecast), "csv", folder)
    ...     print(done.files[0].name, done.rows, done.manifest["left_out"]["customers"])
    csv.csv 2357 0
    """
    chosen = read_preset(preset)
    if chosen.format == "database" and database is None:
        raise DataError(f"{chosen.name} goes into a database: say into which")
    target = Path(folder) / chosen.name
    if target.exists() and not (target / MANIFEST).is_file() and any(target.iterdir()):
        raise DataError(f"{target} exists and is no export; choose another folder")
    rule = consent or chosen.consent
    prepared = prepare(audience, chosen, consent=rule, default_region=default_region)
    # one number for all files of an export, so it is worked out once
    session = layouts.session_id(prepared.table) if chosen.layout == "meta payload" else 0
    with folder_beside(target) as scratch:
        stored = _stored(prepared, chosen, database, database_table)
        files = [
            {
                "name": part.name,
                **_written(part, chosen, formulas, rule, prepared, session, scratch),
            }
            for part in _parts(prepared, chosen, formulas)
        ]
        marked = write_table(prepared.left_out, scratch / LEFT_OUT)
        manifest = _manifest(audience, chosen, prepared, files, rule)
        manifest |= stored
        manifest["left_out"]["cells_marked"] = marked
        text = json.dumps(manifest, indent=2, ensure_ascii=False, allow_nan=False)
        (scratch / MANIFEST).write_text(text + "\n", encoding="utf-8")
    return Delivery(target, tuple(target / file["name"] for file in files), manifest)


# --- files ---------------------------------------------------------------------------------------


class _Part(NamedTuple):
    """Rows of one file; `number` counts from 1 among the files of a group."""

    name: str
    rows: pa.Table
    number: int
    last: bool


def _parts(prepared: Prepared, preset: Preset, formulas: Formulas) -> Iterator[_Part]:
    if preset.format == "database":
        return
    for suffix, table in _groups(prepared):
        pieces = list(_pieces(table, preset, formulas))
        for number, piece in enumerate(pieces, 1):
            count = f"-{number:04d}" if len(pieces) > 1 else ""
            ending = "json" if preset.layout == "meta payload" else preset.format
            name = f"{preset.name}{suffix}{count}.{ending}"
            yield _Part(name, piece, number, number == len(pieces))


def _groups(prepared: Prepared) -> Iterator[tuple[str, pa.Table]]:
    import pyarrow as pa

    if prepared.group is None:
        yield "", prepared.table
        return
    labels = pa.compute.fill_null(prepared.group, "none")
    used: set[str] = set()
    for label in sorted(labels.unique().to_pylist()):
        slug = re.sub(r"[^\w]+", "-", label.strip().lower()).strip("-") or "none"
        while slug in used:  # two names that differ in punctuation alone
            slug += "-"
        used.add(slug)
        yield f"-{slug}", prepared.table.filter(pa.compute.equal(labels, label))


def _pieces(table: pa.Table, preset: Preset, formulas: Formulas) -> Iterator[pa.Table]:
    """The rows in files that are not longer than the preset allows; one file at least."""
    if preset.max_bytes is None:
        step = preset.max_rows or max(table.num_rows, 1)
        yield from (table.slice(i, step) for i in range(0, max(table.num_rows, 1), step))
        return
    heading = len(csv_line(table.column_names).encode())
    start, size, row = 0, heading, 0
    most = preset.max_rows or table.num_rows
    for block, length in _blocks(table, preset, formulas):
        if heading + length > preset.max_bytes:
            raise DataError(
                f"a customer alone takes more than the {preset.max_bytes:,} bytes of a file of "
                f"{preset.name}"
            )
        if row > start and (size + length > preset.max_bytes or row + block - start > most):
            yield table.slice(start, row - start)
            start, size = row, heading
        size, row = size + length, row + block
    yield table.slice(start)


def _blocks(table: pa.Table, preset: Preset, formulas: Formulas) -> Iterator[tuple[int, int]]:
    """Numbers of rows, and their bytes as CSV; row by row where a block would be much of a file."""
    assert preset.max_bytes is not None
    step = min(_MEASURED, preset.max_rows or _MEASURED)
    for start in range(0, table.num_rows, step):
        block = table.slice(start, step)
        length = _size(block, preset, formulas)
        if length <= preset.max_bytes / 100:
            yield block.num_rows, length
        else:
            for row in range(block.num_rows):
                yield 1, _size(block.slice(row, 1), preset, formulas)


def _size(table: pa.Table, preset: Preset, formulas: Formulas) -> int:
    from pyarrow import csv

    sink = io.BytesIO()
    options = csv.WriteOptions(include_header=False)
    csv.write_csv(_safe(table, preset, formulas)[0], sink, options)
    return sink.getbuffer().nbytes


def _safe(table: pa.Table, preset: Preset, formulas: Formulas) -> tuple[pa.Table, int]:
    """The same without text that looks like a formula, and how many cells were changed.

    Columns that are exempt hold what a transform made: a telephone number begins with +.
    """
    if formulas == "keep" or preset.format != "csv":
        return table, 0
    safe, marked = without_formulas(table)
    exempt = {column.name for column in preset.columns if column.exempt and column.apply}
    for place, name in enumerate(table.column_names):
        if name in exempt:
            marked -= _differ(table[name], safe.column(place))
            safe = safe.set_column(place, name, table[name])
    return safe, marked


def _differ(one: Any, other: Any) -> int:
    import pyarrow as pa

    return int(pa.compute.sum(pa.compute.not_equal(one, other)).as_py() or 0)


def _written(
    part: _Part,
    preset: Preset,
    formulas: Formulas,
    consent: ConsentRule,
    prepared: Prepared,
    session: int,
    folder: Path,
) -> dict[str, Any]:
    path = folder / part.name
    table, marked = part.rows, 0
    if preset.layout == "google user data":
        layouts.google_user_data(table, path, consented=consent == "required")
    elif preset.layout == "meta payload":
        layouts.meta_payload(
            table,
            path,
            batch=part.number,
            last=part.last,
            total=prepared.table.num_rows,
            session=session,
        )
    else:
        table, marked = _safe(table, preset, formulas)
        with SINKS[f".{preset.format}"](path, table.schema) as write:
            write(table)
    return {
        "rows": part.rows.num_rows,
        "bytes": path.stat().st_size,
        "sha256": _checksum(path),
        "cells_marked": marked,
    }


def _stored(prepared: Prepared, preset: Preset, database: Any, table: str) -> dict[str, Any]:
    """Upsert the rows where they go into a database; what the manifest says of that."""
    if preset.format != "database":
        return {}
    from clv.databases import label_of, upsert

    key = [c.name for c in preset.columns if c.field in ("customer_id", "as_of")]
    upsert(database, prepared.table, table=table, key=key)
    return {"database": label_of(database), "database_table": table}


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# --- the manifest --------------------------------------------------------------------------------


def _manifest(
    audience: Audience,
    preset: Preset,
    prepared: Prepared,
    files: Sequence[dict[str, Any]],
    consent: ConsentRule,
) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "package_version": version("predictive-clv"),
        "preset": preset.name,
        "title": preset.title,
        **audience.about,
        "customers": len(audience),
        "rows": prepared.table.num_rows,
        "columns": [
            {"name": c.name, "field": c.field, "apply": list(c.apply)}
            for c in preset.columns
            if c.name in prepared.table.column_names
        ],
        "files": list(files),
        "consent": consent,
        "left_out": {
            "customers": prepared.left_out.num_rows,
            "reasons": prepared.reasons,
            "file": LEFT_OUT,
        },
        "cells_unusable": prepared.unusable,
        "values_raised_to_zero": prepared.raised,
        "notes": list(_notes(preset, prepared, files)),
    }


def _notes(preset: Preset, prepared: Prepared, files: Sequence[dict[str, Any]]) -> Iterator[str]:
    for column, count in prepared.unusable.items():
        yield f"{count:,} cells of {column} were given but cannot be used, and are empty"
    for column, count in prepared.raised.items():
        yield f"{count:,} values below zero became 0 in {column}"
    marked = sum(file["cells_marked"] for file in files)
    if marked:
        yield (
            f"{marked:,} cells begin like a formula and got an apostrophe in front; taking one "
            "away gives them back"
        )
    if preset.one_file_per is not None and prepared.group is None:
        yield f"no {preset.one_file_per} is known, so there is one file for everybody"
