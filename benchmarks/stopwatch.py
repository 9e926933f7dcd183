"""Wall and CPU seconds of each stage, this process and its children, all threads."""

from __future__ import annotations

import json
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager


def cpu_seconds() -> float:
    """Return user and system seconds so far; a compiler started on the way counts too."""
    usages = (
        resource.getrusage(resource.RUSAGE_SELF),
        resource.getrusage(resource.RUSAGE_CHILDREN),
    )
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


class Stopwatch:
    """Collect stages, then print them as one line of JSON for the parent to read."""

    def __init__(self) -> None:
        self.stages: dict[str, dict[str, float]] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        wall, cpu = time.perf_counter(), cpu_seconds()
        yield
        self.stages[name] = {
            "wall": time.perf_counter() - wall,
            "cpu": cpu_seconds() - cpu,
        }

    def report(self, **answers: object) -> None:
        print(json.dumps({"stages": self.stages, "answers": answers}))
