"""From a field of the audience to a column of a file: the functions that presets name.

A transform takes the values of some customers (text as strings, the rest as it is) and the other
fields of the same customers, and returns as many values. A missing value stays missing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Literal, NamedTuple

from clv.export import people

Values = Sequence[Any]


class Rows:
    """Fields of some customers, as lists that are made when first asked for."""

    def __init__(self, columns: Mapping[str, Any], default_region: str | None) -> None:
        self._columns = columns
        self._made: dict[str, list[Any]] = {}
        self._default_region = default_region

    def __getitem__(self, field: str) -> list[Any]:
        if field not in self._made:
            self._made[field] = self._columns[field].to_pylist()
        return self._made[field]

    def regions(self) -> list[str | None]:
        """The country of each customer, where it is known; the default region elsewhere."""
        if "country" not in self._columns:
            return [self._default_region] * len(next(iter(self._columns.values())))
        found = [None if c is None else people.country(str(c)) for c in self["country"]]
        return [c or self._default_region for c in found]


class Transform(NamedTuple):
    """What is done to a column, and what comes out of it."""

    function: Callable[[Values, Rows], list[Any]]
    gives: Literal["text", "number", "whole number", "cents", "four decimals"]


def _each(function: Callable[[Any], Any]) -> Callable[[Values, Rows], list[Any]]:
    return lambda values, _: [None if v is None else function(v) for v in values]


def _text(function: Callable[[str], str | None]) -> Transform:
    return Transform(_each(lambda value: function(str(value))), "text")


def _decimals(places: int) -> Callable[[float], Decimal]:
    """Rounded as `round` does, written with all its places, and never as minus zero."""
    return lambda x: Decimal(f"{x:.{places}f}") + 0


def _of_region(function: Callable[[str, str | None], str | None]) -> Transform:
    def apply(values: Values, rows: Rows) -> list[str | None]:
        return [
            None if value is None else function(str(value), region)
            for value, region in zip(values, rows.regions(), strict=True)
        ]

    return Transform(apply, "text")


TRANSFORMS: dict[str, Transform] = {
    # text
    "text": _text(str),
    "trimmed": _text(people.trimmed),
    "lower case": _text(str.lower),
    "sha256": _text(people.sha256),
    # people
    "email": _text(people.email),
    "phone": _of_region(people.phone),
    "digits": _text(people.digits),
    "name": _text(people.name),
    "name without punctuation": _text(people.name_without_punctuation),
    "letters and digits": _text(people.letters_and_digits),
    "country": _text(people.country),
    "zip for meta": _of_region(people.zip_for_meta),
    # numbers and days
    "cents": Transform(_each(_decimals(2)), "cents"),
    "four decimals": Transform(_each(_decimals(4)), "four decimals"),
    "not negative": Transform(_each(lambda x: max(float(x), 0.0)), "number"),
    "micros": Transform(_each(lambda x: round(float(x) * 1_000_000)), "whole number"),
    "whole": Transform(_each(round), "whole number"),
    "midnight": _text(lambda day: f"{day} 00:00:00"),
}
