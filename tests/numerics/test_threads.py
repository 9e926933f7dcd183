from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

from clv.numerics import threads


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("size", [0, 1, 2, 30])
def test_what_is_found_comes_in_the_order_of_the_items(count, size):
    def slower_at_first(item: int) -> int:
        time.sleep(0.002 / (1 + item))
        return item * item

    found = list(threads.in_order(slower_at_first, range(size), count))
    assert found == [item * item for item in range(size)]


def test_items_are_worked_on_at_the_same_time():
    """Two who wait for each other: with one thread nobody would come."""
    together = threading.Barrier(2)
    assert len(list(threads.in_order(lambda _: together.wait(timeout=30), range(4), 2))) == 4


def test_not_much_more_is_taken_than_is_worked_on():
    taken = []

    def items() -> Iterator[int]:
        for item in range(1_000):
            taken.append(item)
            yield item

    found = threads.in_order(abs, items(), 3)
    assert next(found) == 0
    assert len(taken) <= 7
    found.close()
    assert len(taken) <= 7


def test_what_goes_wrong_in_a_thread_is_said_by_the_caller():
    with pytest.raises(ZeroDivisionError):
        list(threads.in_order(lambda item: 1 / item, [2, 1, 0, 3, 4], 2))


@pytest.mark.parametrize(
    ("limit", "expected"),
    [("", 4), ("1", 1), ("3,2", 3), ("0", 1), ("99", 4), ("nonsense", 4)],
)
def test_the_limit_of_other_libraries_holds_here(limit, expected, monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda _: range(4), raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", limit)
    assert threads.threads() == expected
    monkeypatch.setattr("os.sched_getaffinity", lambda _: range(500), raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert threads.threads() == 8


@pytest.mark.parametrize("size", [0, 1, 99, 100, 101, 1_000])
def test_taking_block_by_block(size, monkeypatch):
    monkeypatch.setattr(threads, "BLOCK", 100)
    monkeypatch.setattr(threads, "LARGE", 0)
    places = np.random.default_rng(size).integers(0, 30, size).astype(np.int32)
    for values in (np.arange(30) / 7, np.arange(30).astype("datetime64[D]")):
        found = threads.taken(values, places)
        assert found.dtype == values.dtype
        np.testing.assert_array_equal(found, values[places])
