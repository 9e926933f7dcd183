"""Several cores for work on arrays: numpy and Arrow let go of Python's lock while they compute.

What is computed never depends on how many threads there are: work is divided by the data alone,
and what is found is handed back in the order of the parts.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

Item = TypeVar("Item")
Found = TypeVar("Found")
Kind = TypeVar("Kind", bound=np.generic)

#: More than these wait for each other: between two numpy calls a thread needs Python's lock.
_MOST = 8

#: Elements that are worked on at a time, so that what is worked out on the way stays in the cache.
BLOCK = 131_072

#: With fewer elements than this, starting threads takes longer than they save.
LARGE = 4_000_000

#: Elements that are taken at a time: numpy makes places of eight bytes of them on the way.
_TAKEN = 8_192


def threads() -> int:
    """How many threads to compute with: one for each core that this process may use.

    ``OMP_NUM_THREADS``, which numerical libraries obey, limits it.

    Examples
    --------
    >>> 1 <= threads() <= 8
    True
    """
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity is not None else os.cpu_count() or 1
    limit = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    return max(1, min(cores, _MOST, int(limit) if limit.isdecimal() else cores))


def in_order(
    function: Callable[[Item], Found], items: Iterable[Item], count: int | None = None
) -> Iterator[Found]:
    """What a function finds of each item, in the order of the items.

    Parameters
    ----------
    function
        Called in several threads at the same time.
    items
        Taken a few at a time, so that not much more is held than is worked on.
    count
        Of threads; by default `threads`. With one, everything happens in the caller's.

    Examples
    --------
    >>> list(in_order(abs, [-3, 2, -1], count=2))
    [3, 2, 1]
    """
    count = threads() if count is None else count
    rest = iter(items)
    first = list(islice(rest, 2))
    if count == 1 or len(first) < 2:
        yield from map(function, first)
        yield from map(function, rest)
        return
    with ThreadPoolExecutor(count) as pool:
        waiting: deque[Future[Found]] = deque(pool.submit(function, item) for item in first)
        waiting.extend(pool.submit(function, item) for item in islice(rest, 2 * count - 2))
        try:
            while waiting:
                yield waiting.popleft().result()
                waiting.extend(pool.submit(function, item) for item in islice(rest, 1))
        finally:
            for future in waiting:
                future.cancel()


def by_block(function: Callable[[slice], Found], size: int) -> list[Found]:
    """What a function finds of every block of `size` elements, in their order.

    Examples
    --------
    >>> values = np.arange(300_000)
    >>> by_block(lambda rows: int(values[rows].max()), values.size)
    [131071, 262143, 299999]
    """
    count = 1 if size < LARGE else None
    blocks = (slice(start, min(start + BLOCK, size)) for start in range(0, size, BLOCK))
    return list(in_order(function, blocks, count))


def taken(
    values: npt.NDArray[Kind], places: npt.NDArray[np.signedinteger[Any]]
) -> npt.NDArray[Kind]:
    """The same as ``values[places]`` for places >= 0, block by block.

    Examples
    --------
    >>> taken(np.array([5.0, 7.0]), np.array([1, 1, 0]))
    array([7., 7., 5.])
    """
    found = np.empty(places.size, values.dtype)

    def take(block: slice) -> None:
        for start in range(block.start, block.stop, _TAKEN):
            rows = slice(start, min(start + _TAKEN, block.stop))
            np.take(values, places[rows], out=found[rows], mode="clip")

    by_block(take, places.size)
    return found
