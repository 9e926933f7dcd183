"""``clv config init`` and ``clv config check``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from clv.cli import options
from clv.cli.console import emit, tell, working
from clv.cli.options import Source


@click.group(no_args_is_help=True)
def config() -> None:
    """Write and check the configuration of the night job."""


@config.command(no_args_is_help=True)
@options.source_options
@click.option(
    "--output",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("clv.toml"),
    show_default=True,
    help="The file to write; one that is there is not overwritten.",
)
@click.option("--name", default="customers", show_default=True, help="Of the model.")
def init(source: Source, output: Path, name: str) -> None:
    """Write a commented configuration for SOURCE, with what its data suggest.

    Columns are recognised by common names; say which is which where they are not.
    """
    from clv.files import write_text
    from clv.pipeline.starting import starting_text

    if output.exists():
        raise click.UsageError(f"{output} is there already; remove it, or give another --output")
    if not output.parent.is_dir():
        raise click.UsageError(f"there is no folder {str(output.parent)!r}")
    with working(f"reading {source.name}"):
        text = starting_text(source.name, source.columns, name=name, folder=output.parent)
    write_text(text, output)
    tell(f"wrote {output}")
    tell(f"next: clv config check {output}")


@config.command(no_args_is_help=True)
@click.argument("file", metavar="CONFIG", type=click.Path(dir_okay=False))
@options.as_json
def check(file: str, as_json: bool) -> None:
    """Prove CONFIG: run a whole night as of the last day in the data, and write nothing.

    Exit codes are those of `clv retrain`.
    """
    from clv.pipeline import load_configuration, retrain
    from clv.pipeline.starting import unwritable

    configuration = load_configuration(file)
    with working("running a night without writing"):
        answer = retrain(configuration, as_of="last", dry_run=True)
    record = {**answer.record, "command": "config check", "unwritable": unwritable(configuration)}
    code = answer.exit_code or int(bool(record["unwritable"]))
    if as_json:
        emit({**record, "exit_code": code})
    else:
        _describe(record)
    if code:
        raise click.exceptions.Exit(code)


def _describe(record: dict[str, Any]) -> None:
    tell(f"as of {record['as_of']}: {record['outcome']}. {record['reason']}")
    for rule in record.get("rules", ()):
        value = "does not apply" if rule["value"] is None else f"{rule['value']:.4g}"
        held = "" if rule["value"] is None else f"{rule['bound']} {rule['threshold']:.4g}"
        mark = "ok  " if rule["passed"] else "FAIL"
        tell(f"  {mark} {rule['rule']:<28} {value:>14}  {held}")
    for place in record["unwritable"]:
        tell(f"  FAIL {place}")
    tell("nothing was written")
