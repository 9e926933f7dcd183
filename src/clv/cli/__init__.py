"""The command line: parse arguments, call the package, show what it says.

==== ==========================================================================================
0    done
1    something else: a file could not be written or a registry is damaged (one line), or a fault
     of the program (a traceback)
2    the command was not understood; nothing was read
3    the data cannot be used; nothing was written, except the rejected rows that were asked for
4    the fit did not converge
5    `clv retrain`: the challenger was refused; the champion stays and has scored everybody
75   another run is at work on the registry
130  stopped from the keyboard
==== ==========================================================================================

What was asked for goes to standard output, notes and errors to standard error.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
import warnings
from typing import Any

import click

from clv.cli.console import note
from clv.errors import (
    ClvError,
    ClvWarning,
    ConfigurationError,
    ConvergenceError,
    InfiniteValueError,
    LockedError,
    RegistryError,
    StorageError,
)

__all__ = ["main", "program"]

_COMMANDS = {
    "demo": ("clv.cli.demo", "The whole job on real data: 2,357 customers of CDNOW."),
    "forecast": ("clv.cli.forecasting", "What every customer will still buy and be worth."),
    "compare": ("clv.cli.comparing", "The forecast against history, on held-out data."),
    "export": ("clv.cli.exporting", "Customers and values for ad platforms, CRMs, spreadsheets."),
    "report": ("clv.cli.reporting", "The page a marketer opens, in English or Persian."),
    "customer": ("clv.cli.customer", "What is known and expected of one customer, and why."),
    "backtest": ("clv.cli.backtesting", "What would have been foreseen on earlier days."),
    "retrain": ("clv.cli.retraining", "The night job: retrain, judge, promote or refuse, score."),
    "backfill": ("clv.cli.retraining", "The same for many nights of the past."),
    "config": ("clv.cli.configuring", "Write and check the night job's configuration."),
    "models": ("clv.cli.versions", "Trained versions: list, show, promote, roll back."),
    "quality": ("clv.cli.reading", "What can be read, what cannot, and why not."),
    "datasets": ("clv.cli.reading", "Data sets to try things on."),
}


class _Failure(click.ClickException):
    """One line for the user, and the exit code that goes with it."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code  # type: ignore[misc]

    def show(self, file: Any = None) -> None:
        click.echo(f"clv: {self.message}", file=file or sys.stderr)


class _Program(click.Group):
    """Finds the commands when they are called for, and says what went wrong in one line."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        command = getattr(importlib.import_module(_COMMANDS[cmd_name][0]), cmd_name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, about) for name, (_, about) in _COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        with warnings.catch_warnings():
            _say_warnings()
            try:
                result = super().invoke(ctx)
                sys.stdout.flush()
            except BrokenPipeError:
                _stop_writing()
                raise click.exceptions.Exit(0) from None
            except KeyboardInterrupt:
                raise _Failure("stopped", 130) from None
            except ClvError as error:
                raise _Failure(str(error), _exit_code(error)) from error
            except OSError as error:
                if error.filename is None:
                    raise
                message = f"{error.filename}: {error.strerror}"
                raise _Failure(message, 1) from error
        return result


def _exit_code(error: ClvError) -> int:
    codes: dict[type[ClvError], int] = {
        ConvergenceError: 4,
        ConfigurationError: 2,
        InfiniteValueError: 2,
        LockedError: 75,
        RegistryError: 1,
        StorageError: 1,
    }
    return next((code for kind, code in codes.items() if isinstance(error, kind)), 3)


def _say_warnings() -> None:
    """Warnings of this package become notes; others are shown as always."""
    show = warnings.showwarning

    def say(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
        if issubclass(category, ClvWarning):
            note(str(message))
        else:
            show(message, category, *where, **more)

    warnings.simplefilter("always", ClvWarning)
    warnings.showwarning = say


def _stop_writing() -> None:
    """The reader has gone: let nothing more be written, not even when Python ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        from importlib.metadata import version

        click.echo(f"clv {version('predictive-clv')}")
        ctx.exit()


@click.group(
    cls=_Program,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_version)
def program() -> None:
    """What every customer will still buy and be worth, how sure that is, and whether it beats
    simply looking back.

    Begin with `clv demo`. For your own file:

    \b
      clv forecast orders.csv --customer-id customer --date day --amount total \\
          --observation-period-end last --horizon "52 weeks" --output forecast.parquet

    Exit codes: 0 done, 2 the command was not understood, 3 the data cannot be used,
    4 the fit did not converge; `clv retrain --help` has those of the night job.
    """  # noqa: D205, D301 - \b is click's mark for "leave the lines as they are"


def main() -> None:
    """Run the command line of this process."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    for stream in (sys.stdout, sys.stderr):
        # a customer's name that the terminal cannot write must not end a night's work
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    program(prog_name="clv")
