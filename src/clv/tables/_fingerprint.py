"""A hash of what a table says of purchases: the same for the same customers in any order."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from clv.tables._frame import FloatArray

HASHED = ("frequency", "recency", "T", "monetary_value", "total_value")
"""The columns that enter."""

BLOCK = 32_768
"""Rows at a time, so that the work stays in the cache."""


def fingerprint(columns: Mapping[str, FloatArray], about: tuple[Any, ...]) -> str:
    """Sum over rows of a hash of each row, hashed with what holds for all rows.

    Parameters
    ----------
    columns
        Those of `HASHED` that the table has, shape (n,) each.
    about
        What holds for all rows.
    """
    present = {name: columns[name] for name in HASHED if name in columns}
    return seal(hashed_rows(present, decimals_of(largest(present))), about)


def largest(columns: Mapping[str, FloatArray]) -> dict[str, float]:
    """The largest size of a number in each column; 0 without any."""
    return {
        name: float(max(np.nanmax(values, initial=0.0), -np.nanmin(values, initial=0.0)))
        for name, values in columns.items()
    }


def decimals_of(sizes: Mapping[str, float]) -> dict[str, int | None]:
    """How many decimals of a column of money say something; None for other columns."""
    return {name: _decimals(sizes, name) for name in sizes}


def hashed_rows(columns: Mapping[str, FloatArray], decimals: Mapping[str, int | None]) -> int:
    """Sum of the hashes of some rows."""
    total = 0
    for start in range(0, len(columns["frequency"]), BLOCK):
        part = {name: values[start : start + BLOCK] for name, values in columns.items()}
        total += int(np.add.reduce(_hash_of_rows(part, decimals)))
    return total


def seal(total: int, about: tuple[Any, ...]) -> str:
    """The hash of the sum over all rows, and of what holds for all rows."""
    return hashlib.sha256(repr((total % 2**64, *about)).encode()).hexdigest()


def _hash_of_rows(columns: Mapping[str, FloatArray], decimals: Mapping[str, int | None]) -> Any:
    hashed = np.zeros(len(columns["frequency"]), dtype=np.uint64)
    multiplier = 0x9E3779B97F4A7C15
    for name in HASHED:
        if name in columns:
            bits = _rounded(columns, name, decimals[name]).view(np.uint64)
            hashed += bits * np.uint64(multiplier)
        multiplier = (multiplier * 0xD1342543DE82EF95 + 1) % 2**64 | 1
    for shift in (32, 29):
        hashed ^= hashed >> np.uint64(shift)
        hashed *= np.uint64(0xBF58476D1CE4E5B9)
    return hashed


def _decimals(sizes: Mapping[str, float], name: str) -> int | None:
    if not name.endswith("_value"):
        return None
    size = sizes[name]
    if name == "monetary_value":
        size *= sizes["frequency"]
    return 6 if size < 1e6 else max(0, 12 - math.ceil(math.log10(size)))


def _rounded(columns: Mapping[str, FloatArray], name: str, decimals: int | None) -> FloatArray:
    """Some rows of a column without missing values; money without what summing leaves open."""
    values = columns[name]
    if decimals is None:
        return values
    filled = np.nan_to_num(values, nan=0.0)
    if name == "monetary_value":
        filled *= columns["frequency"]
    np.round(filled, decimals, out=filled)
    filled += 0.0
    return filled
