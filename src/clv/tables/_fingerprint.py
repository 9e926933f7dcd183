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


def fingerprint(columns: Mapping[str, FloatArray], about: tuple[Any, ...]) -> str:
    """Sum over rows of a hash of each row, hashed with what holds for all rows.

    Parameters
    ----------
    columns
        Those of `HASHED` that the table has, shape (n,) each.
    about
        What holds for all rows.
    """
    n = len(columns["frequency"])
    hashed = np.zeros(n, dtype=np.uint64)
    part = np.empty(n, dtype=np.uint64)
    multiplier = 0x9E3779B97F4A7C15
    for name in HASHED:
        if name in columns:
            bits = _rounded(columns, name).view(np.uint64)
            hashed += np.multiply(bits, np.uint64(multiplier), out=part)
        multiplier = (multiplier * 0xD1342543DE82EF95 + 1) % 2**64 | 1
    for shift in (32, 29):
        hashed ^= np.right_shift(hashed, np.uint64(shift), out=part)
        hashed *= np.uint64(0xBF58476D1CE4E5B9)
    content = repr((int(np.add.reduce(hashed)), *about))
    return hashlib.sha256(content.encode()).hexdigest()


def _rounded(columns: Mapping[str, FloatArray], name: str) -> FloatArray:
    """A column without missing values; money without the digits that summing leaves open."""
    values = columns[name]
    if not name.endswith("_value"):
        return values
    filled = np.nan_to_num(values, nan=0.0)
    if name == "monetary_value":
        filled *= columns["frequency"]
    largest = float(np.abs(filled).max(initial=0.0))
    decimals = 6 if largest < 1e6 else max(0, 12 - math.ceil(math.log10(largest)))
    np.round(filled, decimals, out=filled)
    filled += 0.0
    return filled
