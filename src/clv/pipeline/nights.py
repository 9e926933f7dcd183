"""Many nights of the past, one after the other, each with what was known then."""

from __future__ import annotations

import calendar
import datetime as dt
from collections.abc import Callable, Iterator
from typing import Any

from clv.errors import ClvError, ConfigurationError
from clv.pipeline.configuration import Configuration
from clv.pipeline.data import read, reads_the_same_every_night
from clv.pipeline.run import CONVERGENCE, DATA, DONE, FAILED, LOCKED, REFUSED, Answer, retrain

#: Of several nights the first of these that any of them ended with is the answer.
_WORST_FIRST = (LOCKED, FAILED, DATA, CONVERGENCE, REFUSED)

_DAYS = {"day": 1, "week": 7}


def nights(first: dt.date, last: dt.date, every: str = "month") -> Iterator[dt.date]:
    """The nights from the first to the last, both included.

    Months keep the day of the first; the last day of a month stays the last day.

    Raises
    ------
    ConfigurationError
        If `every` is none of "day", "week" and "month", or the last night lies before the first.

    Examples
    --------
    >>> [str(d) for d in nights(dt.date(2024, 12, 31), dt.date(2025, 3, 30))]
    ['2024-12-31', '2025-01-31', '2025-02-28']
    """
    if every not in (*_DAYS, "month"):
        raise ConfigurationError(f"every must be day, week or month, not {every!r}")
    if last < first:
        raise ConfigurationError(f"the last night, {last}, lies before the first, {first}")
    return _nights(first, last, every)


def _nights(first: dt.date, last: dt.date, every: str) -> Iterator[dt.date]:
    night, count = first, 0
    ends = first.day == calendar.monthrange(first.year, first.month)[1]
    while night <= last:
        yield night
        count += 1
        if every in _DAYS:
            night = first + dt.timedelta(days=count * _DAYS[every])
            continue
        year, month = divmod(first.year * 12 + first.month - 1 + count, 12)
        longest = calendar.monthrange(year, month + 1)[1]
        night = dt.date(year, month + 1, longest if ends else min(first.day, longest))


def backfill(
    configuration: Configuration,
    first: dt.date,
    last: dt.date,
    every: str = "month",
    *,
    dry_run: bool = False,
    wait: float = 0.0,
    log: Any = None,
    each: Callable[[Answer], None] = lambda answer: None,
) -> list[Answer]:
    """Run `retrain` for every night; `each` is called with every answer as it comes.

    The source is read once, unless its query asks for the night. A night that fails does not keep
    the next from running; one that finds another run at work ends it all.
    """
    shared = None
    if reads_the_same_every_night(configuration.source):
        try:
            shared = read(configuration, last)
        except ConfigurationError:
            raise
        except ClvError:
            shared = None  # every night says for itself what is wrong
    answers = []
    for night in nights(first, last, every):
        answer = retrain(
            configuration,
            as_of=night,
            dry_run=dry_run,
            wait=wait,
            transactions=shared,
            log=None if log is None else log.bind(as_of=night.isoformat()),
        )
        answers.append(answer)
        each(answer)
        if answer.exit_code == LOCKED:
            break
    return answers


def exit_code(answers: list[Answer]) -> int:
    """One code for all nights."""
    codes = {answer.exit_code for answer in answers}
    return next((code for code in _WORST_FIRST if code in codes), DONE)
