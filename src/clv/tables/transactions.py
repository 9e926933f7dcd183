"""Transactions: clean lines, the rows that could not be used, and the account of both."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import narwhals as nw

from clv.tables.quality import Quality

Refunds = Literal["net", "drop", "error"]
ZeroAmounts = Literal["keep", "drop"]


def _no_rows() -> None:
    return None


@dataclass(frozen=True, repr=False, eq=False)
class Transactions:
    """Clean transaction lines of many customers.

    Attributes
    ----------
    lines
        Usable rows only, in the engine of the source, lazy where that engine is lazy, with
        exactly the columns ``customer_id`` (string or integer, never missing), ``day``
        (Int64, days since 1970-01-01) and ``amount`` (Float64, finite; negative = refund).
    quality
        How many rows were used, and why the others were not.
    engine
        The engine that results should come back in: "pandas", "polars", "pyarrow", "duckdb" ...
    refunds, zero_amounts
        The policies in force; the rows that "drop" drops are already gone from `lines`.
    """

    lines: nw.DataFrame[Any] | nw.LazyFrame[Any]
    quality: Quality
    engine: str
    refunds: Refunds = "net"
    zero_amounts: ZeroAmounts = "keep"
    make_rejected: Callable[[], Any] = field(default=_no_rows)
    keep_alive: Any = field(default=None)

    @cached_property
    def rejected(self) -> Any:
        """Every row that could not be used, as it was, with its `row` and `reason`."""
        return self.make_rejected()

    def __len__(self) -> int:
        return self.quality.used
