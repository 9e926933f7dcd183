"""Tables that are kept outside of this process's memory: on disk, or in a cluster.

`Rows` says what such a place can do; everything else is written once on top of it. A table is
worked on in parts, each an Arrow table of whole rows, and what is found of the parts is put
together by the caller.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import narwhals as nw
import numpy as np

from clv.numerics.compress import Weighted
from clv.tables._arrow import to_arrow
from clv.tables._frame import AnyArray, Column

if TYPE_CHECKING:
    import pyarrow as pa


class Rows(Protocol):
    """The rows of a table, sorted by customer."""

    @property
    def names(self) -> tuple[str, ...]:
        """The columns."""

    def __len__(self) -> int: ...

    def column(self, name: str) -> pa.ChunkedArray:
        """One column, whole."""

    def whole(self) -> pa.Table:
        """All rows at once."""

    def head(self, count: int) -> pa.Table:
        """The first rows."""

    def tables(self) -> Iterator[pa.Table]:
        """All rows, in parts."""

    def weighted(self, names: Sequence[str]) -> Weighted:
        """Distinct rows of some columns of numbers, and how often each occurs."""

    def pairs(self, count: str, mean: str) -> Weighted:
        """Rows of two columns with both above 0; equal rows may have been collapsed."""

    def gather(
        self, function: Callable[[pa.Table], Any], names: Sequence[str] | None = None
    ) -> list[Any]:
        """What a function finds of each part, which has these columns only, if given."""

    def map(
        self,
        function: Callable[[pa.Table], tuple[pa.Table, Any]],
        example: Callable[[pa.Table], pa.Table],
    ) -> tuple[Rows, list[Any]]:
        """Rows made of these, part by part, in the same place; and what was found on the way.

        `example` makes the same columns of a few rows quickly.
        """

    def native(self) -> Any:
        """The table in its own engine; None where it has none."""


class Columns(Mapping[str, Column]):
    """The columns of `Rows`, each loaded when it is asked for, and not kept."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    def __getitem__(self, name: str) -> Column:
        if name not in self._rows.names:
            raise KeyError(name)
        return column_of(name, self._rows.column(name))

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows.names)

    def __len__(self) -> int:
        return len(self._rows.names)

    def __contains__(self, name: object) -> bool:
        return name in self._rows.names


# -- between Arrow and the columns of our tables ---------------------------------------------


def columns_of(table: pa.Table) -> dict[str, Column]:
    """The columns of an Arrow table, as `Table.data` holds them."""
    return {name: column_of(name, table[name]) for name in table.column_names}


def column_of(name: str, values: pa.ChunkedArray) -> Column:
    """A column: ids stay as they are, numbers and dates become arrays, missing nan and NaT."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if name == "customer_id":
        ids: nw.Series[Any] = nw.from_native(values, series_only=True)
        return ids
    if pa.types.is_date(values.type):
        days = pc.fill_null(values.cast(pa.int32()).cast(pa.int64()), np.iinfo(np.int64).min)
        return to_numpy(days).astype("datetime64[D]")
    if values.null_count:
        values = pc.fill_null(values.cast(pa.float64()), np.nan)
    return to_numpy(values)


def to_numpy(values: pa.ChunkedArray) -> AnyArray:
    """The numbers of a column without missing ones; not by way of pandas, whose import is slow."""
    chunks = [np.from_dlpack(chunk) for chunk in values.chunks if len(chunk)]
    if not chunks:
        return np.empty(0, values.type.to_pandas_dtype())
    return chunks[0] if len(chunks) == 1 else np.concatenate(chunks)


def table_of(columns: Mapping[str, Any]) -> pa.Table:
    """An Arrow table of columns; nan stays nan."""
    import pyarrow as pa

    return pa.table(
        {
            name: values.to_arrow() if isinstance(values, nw.Series) else to_arrow(values)
            for name, values in columns.items()
        }
    )
