"""For `make mutants`: the quickest tests first, and those that take long not at all.

A pytest plugin. mutmut has measured how long every test takes; most mutants fail the first.
"""

from __future__ import annotations

import gc
import json
import os
from pathlib import Path

import pytest

#: Seconds; a mutant that survives these tests is tried with all of them by ``LONGEST=1000``.
LONGEST = float(os.environ.get("LONGEST", "0.5"))


def pytest_configure() -> None:
    gc.freeze()  # what a process inherits need not be searched for garbage in every one


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    measured = Path("mutmut-stats.json")
    if os.environ.get("MUTANT_UNDER_TEST") in ("stats", "list_all_tests") or not measured.exists():
        return
    seconds = json.loads(measured.read_text())["duration_by_test"]
    items[:] = sorted(
        (item for item in items if seconds.get(item.nodeid, 0.0) <= LONGEST),
        key=lambda item: seconds.get(item.nodeid, 0.0),
    )
