"""Work in several processes, in the order given, with progress on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")


def side_by_side(
    function: Callable[[Task], Result],
    tasks: Sequence[Task],
    *,
    jobs: int,
    title: str,
    progress: bool | None,
) -> list[Result]:
    """Apply a function to all tasks; the results do not depend on how many processes do it.

    Parameters
    ----------
    function
        Of a module, so that other processes find it.
    tasks
        What it is applied to.
    jobs
        Processes; 1 works in this one. Each keeps to one thread of linear algebra.
    title
        What is being done.
    progress
        Whether to say how far it is; None: on a terminal only.
    """
    with _told(title, len(tasks), sys.stderr.isatty() if progress is None else progress) as step:
        results = []
        for result in _results(function, tasks, min(jobs, len(tasks))):
            results.append(result)
            step()
        return results


def _results(
    function: Callable[[Task], Result], tasks: Sequence[Task], jobs: int
) -> Iterator[Result]:
    if jobs <= 1:
        yield from map(function, tasks)
        return
    from joblib import Parallel, delayed, parallel_config

    # loky needs no `if __name__ == "__main__"` in the user's script
    with parallel_config(backend="loky", inner_max_num_threads=1):
        workers = Parallel(n_jobs=jobs, return_as="generator", pre_dispatch=jobs, batch_size=1)
        yield from workers(delayed(function)(task) for task in tasks)


def processors() -> int:
    """How many this process may use."""
    from joblib import cpu_count

    return int(cpu_count())


@contextmanager
def _told(title: str, total: int, shown: bool) -> Iterator[Any]:
    if not shown:
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    with Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
    ) as bar:
        task = bar.add_task(title, total=total)
        yield lambda: bar.advance(task)
