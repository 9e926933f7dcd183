"""Lines of any engine, a few at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import narwhals as nw
import numpy as np

from clv.errors import DataError
from clv.tables._arrow import to_arrow
from clv.tables._frame import collect

if TYPE_CHECKING:
    import pyarrow as pa

#: Lines that are taken from an engine at a time where they are all wanted in the end.
BATCH = 100_000


def batches(lines: Any, size: int) -> Iterator[pa.Table]:
    """The rows of a frame of any engine as Arrow tables of about this many rows."""
    import pyarrow as pa

    native = lines.to_native()
    if isinstance(lines, nw.DataFrame):
        table = lines.to_arrow()
        for start in range(0, table.num_rows, size):
            yield table.slice(start, size)
    elif lines.implementation.is_duckdb():
        for batch in native.to_arrow_reader(size):
            yield pa.Table.from_batches([batch])
    elif lines.implementation.is_polars():
        for frame in native.collect_batches(chunk_size=size, engine="streaming"):
            yield frame.to_arrow()
    else:
        yield from batches(lines.collect("pyarrow"), size)


def collected(lines: nw.DataFrame[Any] | nw.LazyFrame[Any], most: int) -> nw.DataFrame[Any]:
    """All rows as an eager frame, see `collect`; there are no more than `most`.

    What DuckDB would hand over in many pieces, to be joined afterwards, is written into its place
    as it comes: nothing takes longer than memory that is used for the first time.

    Raises
    ------
    DataError
        If there are more: somebody is writing to the source.
    """
    if isinstance(lines, nw.DataFrame) or not lines.implementation.is_duckdb():
        return collect(lines)
    import pyarrow as pa

    reader = lines.to_native().to_arrow_reader(BATCH)
    numbers = {
        field.name: np.empty(most, field.type.to_pandas_dtype())
        for field in reader.schema
        if pa.types.is_integer(field.type) or pa.types.is_floating(field.type)
    }
    texts: dict[str, list[pa.Array]] = {n: [] for n in reader.schema.names if n not in numbers}
    rows = 0
    for batch in reader:
        start, rows = rows, rows + batch.num_rows
        if rows > most:
            raise DataError("the source has got more rows while it was read; read it again")
        for name, column in numbers.items():
            column[start:rows] = np.from_dlpack(batch[name])
        for name, pieces in texts.items():
            pieces.append(batch[name])
    columns = {
        field.name: pa.chunked_array(texts[field.name], field.type)
        if field.name in texts
        else to_arrow(numbers[field.name][:rows])
        for field in reader.schema
    }
    return nw.from_native(pa.table(columns), eager_only=True)
