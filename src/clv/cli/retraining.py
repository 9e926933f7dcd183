"""``clv retrain`` and ``clv backfill``."""

from __future__ import annotations

import json
from typing import Any

import click

from clv.cli.console import tell

_config = click.argument("config", type=click.Path(dir_okay=False))
_dry_run = click.option("--dry-run", is_flag=True, help="Do everything but write.")
_wait = click.option(
    "--wait",
    type=click.FloatRange(0),
    default=0.0,
    metavar="SECONDS",
    help="How long to wait for another run to end.  [default: not at all, exit code 75]",
)
_log = click.option(
    "--log",
    type=click.Choice(["json", "text", "none"]),
    default="json",
    show_default=True,
    help="Of the log on standard error.",
)


@click.command(no_args_is_help=True)
@_config
@click.option(
    "--as-of",
    metavar="DATE",
    help="Last day that is known, or 'last' for the last day in the data.  [default: yesterday]",
)
@_dry_run
@click.option(
    "--accept-data", is_flag=True, help="Go on although the data contract is broken, this once."
)
@_wait
@_log
def retrain(
    config: str, as_of: str | None, dry_run: bool, accept_data: bool, wait: float, log: str
) -> None:
    """Run the night job of CONFIG: retrain, judge, promote or refuse, score everybody, write.

    One JSON object on standard output, logs on standard error.

    \b
    Exit codes:
      0   done: the challenger was promoted, or the champion kept
      2   the command or the configuration was not understood
      3   the data contract is broken: nothing was written
      4   no candidate converged: nothing was written
      5   the challenger was refused: the champion stays and scored tonight's customers
      75  another run holds the lock
      1   something else, such as a full disk
    """  # noqa: D301 - \b is click's mark for "leave the lines as they are"
    from clv.pipeline import load_configuration, make_logger
    from clv.pipeline.run import retrain as run

    configuration = load_configuration(config)
    answer = run(
        configuration,
        as_of=as_of,
        dry_run=dry_run,
        wait=wait,
        accept_data=accept_data,
        log=make_logger(log, model=configuration.models.name),
    )
    _emit(answer.record, answer.exit_code)


@click.command(no_args_is_help=True)
@_config
@click.option("--from", "first", metavar="DATE", required=True, help="The first night.")
@click.option("--to", "last", metavar="DATE", required=True, help="The last night.")
@click.option(
    "--every", type=click.Choice(["day", "week", "month"]), default="month", show_default=True
)
@_dry_run
@_wait
@_log
def backfill(
    config: str, first: str, last: str, every: str, dry_run: bool, wait: float, log: str
) -> None:
    """Run the night job of CONFIG for many nights of the past, each with what was known then.

    From the end of a month every month means the ends of months. The exit code is 0 if every
    night ended with it, else the first of 75, 1, 3, 4, 5 that any night ended with.
    """
    from clv.errors import DataError
    from clv.pipeline import load_configuration, make_logger
    from clv.pipeline.nights import backfill as run
    from clv.pipeline.nights import exit_code
    from clv.tables._day import parse_day

    configuration = load_configuration(config)
    calendar = configuration.source.calendar
    days = []
    for option, text in (("--from", first), ("--to", last)):
        try:
            days.append(parse_day(text, "the night", calendar))
        except DataError as error:
            raise click.BadParameter(str(error), param_hint=f"'{option}'") from error
    answers = run(
        configuration,
        days[0],
        days[1],
        every,
        dry_run=dry_run,
        wait=wait,
        log=make_logger(log, model=configuration.models.name),
    )
    code = exit_code(answers)
    kept = ("as_of", "outcome", "exit_code", "champion", "challenger", "scored_by", "reason")
    _emit(
        {
            "command": "backfill",
            "name": configuration.models.name,
            "nights": [
                {
                    **{name: answer.record.get(name) for name in kept},
                    "broken_rules": [
                        rule["rule"]
                        for rule in answer.record.get("rules", ())
                        if not rule["passed"]
                    ],
                }
                for answer in answers
            ],
            "exit_code": code,
        },
        code,
    )


def _emit(record: dict[str, Any], code: int) -> None:
    tell(json.dumps(record, indent=2, allow_nan=False))
    if code:
        raise click.exceptions.Exit(code)
