"""Run nights in children and kill them; a program of its own, told what to do line by line.

It imports everything once and forks for every run, so that a kill hits the run and not the
imports. A line is a JSON list: the folder, and either seconds to live or the number of the
operation on the disk (or commit) at which the child kills itself, as ["folder", 0.31, null] or
["folder", null, 7]. The answer is how long the run took or how far it came, and how it ended.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import duckdb  # noqa: F401 - once for all children
import pandas  # noqa: F401
import sqlalchemy

from clv.pipeline import load_configuration, retrain
from clv.pipeline.run import Answer

OPERATIONS = ("replace", "fsync", "symlink", "mkdir", "unlink", "rmdir", "rename", "open")


def night(folder: str, as_of: str) -> Answer:
    return retrain(load_configuration(Path(folder) / "clv.toml"), as_of=as_of)


def dying_at(operation: int) -> list[int]:
    """Let this process die by SIGKILL just before the given operation; the count so far."""
    count = [0]

    def counted(original: Any) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            count[0] += 1
            if count[0] == operation:
                os.kill(os.getpid(), signal.SIGKILL)
            return original(*arguments, **options)

        return call

    for name in OPERATIONS:
        if name != "open":
            setattr(os, name, counted(getattr(os, name)))
    connection = sqlalchemy.engine.base.Connection
    connection._commit_impl = counted(connection._commit_impl)  # type: ignore[method-assign]
    return count


def run(folder: str, seconds: float | None, operation: int | None, as_of: str) -> tuple[float, int]:
    reading, writing = os.pipe()
    started = time.monotonic()
    child = os.fork()
    if child == 0:
        try:
            count = dying_at(operation if operation is not None else 0)
            code = night(folder, as_of).exit_code
            os.write(writing, str(count[0]).encode())
        except BaseException as error:
            print(repr(error), file=sys.stderr, flush=True)
            code = 99
        os._exit(code)
    os.close(writing)
    if seconds is not None:
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    took = time.monotonic() - started
    said = os.read(reading, 99)
    os.close(reading)
    return (float(said) if operation is not None and said else took), status


if __name__ == "__main__":
    for line in sys.stdin:
        where, limit, at, day = json.loads(line)
        print(json.dumps(run(where, limit, at, day)), flush=True)
