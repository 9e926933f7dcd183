"""``clv quality`` and ``clv datasets``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from clv.cli import options, summaries, writing
from clv.cli.console import emit, table, tell, working
from clv.cli.options import Source

_ROWS_SHOWN = 10


@click.command(no_args_is_help=True)
@options.source_options
@click.option(
    "--rejected",
    metavar="FILE",
    callback=writing.checked_path,
    help="Write all rows that cannot be used, and why, as .csv, .parquet or .xlsx.",
)
@options.as_json
def quality(source: Source, rejected: Path | None, as_json: bool) -> None:
    """Read SOURCE and say what can be used, what cannot, and why not.

    Every row is either used or rejected. Exit code 3 when none can be used.
    """
    writing.keep_apart(source.name, rejected=rejected)
    transactions = source.read(rejected)
    found = transactions.quality
    first: list[dict[str, Any]] = []
    if found.rejected:
        with working("collecting the rejected rows"):
            frame = writing.as_arrow(transactions.rejected)
        first = frame.slice(0, _ROWS_SHOWN).to_pylist()

    if as_json:
        record = {"command": "quality", "source": source.name, **summaries.quality_record(found)}
        emit(
            {
                **record,
                "notes": found.notes,
                "first_rejected": first,
                "files": {} if rejected is None else {"rejected": str(rejected)},
            }
        )
        return
    tell(found)
    if first:
        tell()
        _show_rejected(first, found.rejected)
    if rejected is not None:
        tell(f"wrote {rejected}")


def _show_rejected(rows: list[dict[str, Any]], total: int) -> None:
    ahead = [name for name in ("row", "reason") if name in rows[0]]
    names = [*ahead, *(name for name in rows[0] if name not in ahead)]
    table(
        f"The first {len(rows)} of {total:,} rejected rows",
        names,
        [["" if row[name] is None else str(row[name]) for name in names] for row in rows],
    )


@click.command()
@options.as_json
def datasets(as_json: bool) -> None:
    """Data sets to try things on, as SOURCE or in Python."""
    from clv.datasets import list_datasets

    found = list_datasets()
    if as_json:
        emit(
            {
                "command": "datasets",
                "datasets": [
                    {
                        **dataset._asdict(),
                        "source": f"dataset:{dataset.name}",
                        "from": dataset.source,
                        "path": None if dataset.path is None else str(dataset.path),
                    }
                    for dataset in found
                ],
            }
        )
        return
    for dataset in found:
        tell(f"dataset:{dataset.name}")
        tell(f"  {dataset.title}")
        tell(f"  from {dataset.source} (licence: {dataset.licence})")
        tell(f"  in Python: {dataset.loader}")
        if not dataset.available:
            tell(f"  not here; to get it: {dataset.remedy}")
        tell()
