"""How a CSV file is written, as its first lines say."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Layout:
    """Names and marks of a CSV file."""

    names: tuple[str, ...]
    delimiter: str
    newline: bytes
    header_lines: int
    """Lines up to and including the header."""
    repeated: frozenset[str] = frozenset()
    """Names that the header has more than once; `names` numbers them."""


def read_layout(head: bytes, delimiter: str | None = None) -> Layout | None:
    """Read names, delimiter and newlines off the beginning of a file; None if that is blank.

    The first line that is not blank is the header, always: guessing from the values whether
    there is one goes wrong silently.
    """
    text = head.decode("utf-8", errors="replace").removeprefix("\ufeff")
    lines = [f"{line}\n" for line in text.split("\n")]
    first = next((at for at, line in enumerate(lines) if line.strip()), None)
    if first is None:
        return None
    told = re.fullmatch(r"sep=([^\w\s]|\t)\s*", lines[first])
    if told and first + 1 < len(lines):
        delimiter, first = delimiter or told[1], first + 1
    delimiter = delimiter or _most_frequent_delimiter(lines[first])
    rest = io.StringIO("".join(lines[first:]), newline="")
    reader = csv.reader(rest, delimiter=delimiter, skipinitialspace=True)
    names = [name.strip() for name in next(reader)]
    return Layout(
        names=tuple(_distinct(names)),
        delimiter=delimiter,
        newline=b"\r\n" if lines[0].endswith("\r\n") else b"\n",
        header_lines=first + reader.line_num,
        repeated=frozenset(name for name in names if name and names.count(name) > 1),
    )


def _most_frequent_delimiter(header: str) -> str:
    outside_quotes = re.sub(r'"[^"]*"', "", header)
    return max(",;\t|", key=outside_quotes.count)


def _distinct(names: list[str]) -> Iterator[str]:
    """Name the unnamed columns, and number the repeated ones."""
    taken: set[str] = set()
    for position, name in enumerate(names, start=1):
        wanted = unique = name or f"column_{position}"
        number = 1
        while unique.casefold() in taken:
            number += 1
            unique = f"{wanted}_{number}"
        taken.add(unique.casefold())
        yield unique
