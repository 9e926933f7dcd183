"""What the user sees: text and tables, notes, progress, JSON."""

from __future__ import annotations

import json
import sys
import textwrap
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import click

#: Seconds of work after which progress is shown.
_PATIENCE = 1.0

#: Formatting characters that scripts need; all others are written as their numbers.
_JOINERS = "\u200c\u200d"


def tell(text: object = "") -> None:
    """Write to standard output."""
    click.echo(str(text))


def note(text: str) -> None:
    """Write a note to standard error, once however often it is said."""
    context = click.get_current_context(silent=True)
    said: set[str] = set() if context is None else context.meta.setdefault("clv.said", set())
    if text not in said:
        said.add(text)
        click.echo(f"note: {printable(text)}", err=True)


def notes(*sources: Iterable[str]) -> None:
    """Write all of these notes."""
    for source in sources:
        for text in source:
            note(text)


def emit(record: Mapping[str, Any]) -> None:
    """Write one JSON object; what is undefined or infinite is null."""
    from clv.evaluation.table import plain

    click.echo(json.dumps(plain(record), indent=2, allow_nan=False))


def table(title: str, headings: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a table; the first column to the left, the others to the right."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=SIMPLE_HEAD, pad_edge=False)
    for number, heading in enumerate(headings):
        drawn.add_column(Text(heading), justify="right" if number else "left")
    for row in rows:
        drawn.add_row(*(Text(printable(str(cell))) for cell in row))
    width = None if sys.stdout.isatty() else 120
    console = Console(width=width, markup=False, emoji=False, highlight=False)
    with console.capture() as captured:
        console.print(drawn)
    lines = [line.rstrip() for line in captured.get().splitlines()]
    tell("\n".join([title, *filter(None, lines)] if title else filter(None, lines)))


def wrapped(text: str, bullet: str = "") -> None:
    """Write a paragraph in lines that can be read."""
    indent = " " * len(bullet)
    tell(textwrap.fill(text, 92, initial_indent=bullet, subsequent_indent=indent))


def facts(lines: Iterable[tuple[str, object]]) -> None:
    """Write labels and values in two columns."""
    shown = [(label, printable(str(value))) for label, value in lines]
    width = max((len(label) for label, _ in shown), default=0)
    for label, value in shown:
        tell(f"  {label:<{width}}  {value}".rstrip())


def printable(text: str) -> str:
    r"""The text with everything that a terminal would obey written as its number.

    Examples
    --------
    >>> printable("a\x1b[31mb"), printable("سلام")
    ('a\\x1b[31mb', 'سلام')
    """
    return "".join(
        c if c.isprintable() or c in _JOINERS else c.encode("unicode_escape").decode() for c in text
    )


@contextmanager
def working(on: str) -> Iterator[None]:
    """Show that something is being worked on, once it takes longer than a second.

    Nothing is shown where output does not go to a terminal.
    """
    if not (sys.stderr.isatty() and sys.stdout.isatty()):
        yield
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    progress = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    progress.add_task(printable(on), total=None)
    timer = threading.Timer(_PATIENCE, progress.start)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
        progress.stop()
