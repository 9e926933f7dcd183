"""How much memory a job may take, and how that is divided."""

from __future__ import annotations

import re
from typing import NamedTuple

from clv.errors import DataError

_UNITS = {
    prefix + unit: base**power
    for power, prefix in enumerate(("", "K", "M", "G", "T"))
    for unit, base in (("B", 1000), ("IB", 1024))
}

#: Python and the libraries take some 200 MB before there is any data.
LEAST = 500 * 10**6

#: Bytes that the work on one line, and on one customer with all their columns, takes.
BYTES_PER_LINE, BYTES_PER_CUSTOMER = 400, 4_000

#: Lines are divided among this many files at most.
MOST_FILES = 250


class Budget(NamedTuple):
    """The whole, in bytes, and what parts of the work get of it."""

    total: int

    @property
    def of_engine(self) -> int:
        """Bytes for the engine that reads."""
        return self.total * 3 // 10

    @property
    def lines(self) -> int:
        """Lines that are worked on at a time."""
        return max(1, self.total // BYTES_PER_LINE)

    @property
    def customers(self) -> int:
        """Customers that are worked on at a time."""
        return max(1, self.total // BYTES_PER_CUSTOMER)


def parse_memory(memory: str | int) -> Budget:
    """Read "2GB", "800 MB", "1.5GiB" or a number of bytes.

    Raises
    ------
    DataError
        If it is none of these, or too little to work in.

    Examples
    --------
    >>> parse_memory("2GB").total
    2000000000
    """
    found = re.fullmatch(r"\s*([0-9]*\.?[0-9]+)\s*([KMGT]I?B|B)\s*", str(memory), re.IGNORECASE)
    if isinstance(memory, int) and not isinstance(memory, bool):
        total = memory
    elif found is None:
        raise DataError(f"memory={memory!r} is not understood; write it as '2GB' or '800MB'")
    else:
        total = int(float(found[1]) * _UNITS[found[2].upper()])
    if total < LEAST:
        raise DataError(
            f"memory={memory!r} is too little: the libraries alone take 200 MB; give at least "
            f"{LEAST // 10**6}MB"
        )
    return Budget(total)
