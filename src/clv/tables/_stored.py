"""Rows on disk: an Arrow file in a folder that goes when nobody needs it any more."""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from clv.numerics.compress import Weighted, compress, merge
from clv.tables._rows import column_of

if TYPE_CHECKING:
    import pyarrow as pa


class Scratch:
    """A private folder, removed with the last object that holds it, or when Python ends."""

    def __init__(self) -> None:
        # a worker of Spark has a place of its own, which Spark tidies up
        place = os.environ.get("SPARK_LOCAL_DIRS", "").split(",")[0] or None
        self.path = Path(tempfile.mkdtemp(prefix="clv-", dir=place))
        weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)


class StoredRows:
    """Rows in an Arrow file, one record batch for each part. See `Rows`."""

    def __init__(self, path: Path, scratch: Scratch) -> None:
        self._path, self._scratch = path, scratch
        with self._open() as reader:
            self.names = tuple(reader.schema.names)
            self._schema = reader.schema
            self._parts = reader.num_record_batches
        self._length = sum(table.num_rows for table in self.tables(self.names[-1:]))

    @classmethod
    def write(cls, tables: Iterable[pa.Table]) -> StoredRows:
        """Store tables with the same columns, at least one."""
        import pyarrow as pa

        scratch = Scratch()
        path = scratch.path / "rows.arrow"
        writer = None
        for table in tables:
            if writer is None:
                writer = pa.ipc.new_file(str(path), table.schema)
            for batch in table.combine_chunks().to_batches():
                writer.write_batch(batch)
        assert writer is not None, "no tables"
        writer.close()
        return cls(path, scratch)

    def __len__(self) -> int:
        return int(self._length)

    def _open(self, names: Sequence[str] | None = None) -> Any:
        import pyarrow as pa

        chosen = None if names is None else [self._schema.get_field_index(n) for n in names]
        options = pa.ipc.IpcReadOptions(included_fields=chosen, use_threads=False)
        return pa.ipc.open_file(pa.OSFile(str(self._path)), options=options)

    def tables(self, names: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """All rows, or some of their columns, in parts."""
        import pyarrow as pa

        with self._open(names) as reader:
            for part in range(self._parts):
                table = pa.Table.from_batches([reader.get_batch(part)])
                yield table if names is None else table.select(names)

    def column(self, name: str) -> pa.ChunkedArray:
        """One column, whole."""
        import pyarrow as pa

        return pa.concat_tables(self.tables([name]))[name]

    def whole(self) -> pa.Table:
        """All rows at once."""
        import pyarrow as pa

        return pa.concat_tables(self.tables())

    def head(self, count: int) -> pa.Table:
        """The first rows."""
        import pyarrow as pa

        found: list[pa.Table] = []
        for table in self.tables():
            found.append(table.slice(0, count - sum(map(len, found))))
            if sum(map(len, found)) == count:
                break
        return pa.concat_tables(found)

    def weighted(self, names: Sequence[str]) -> Weighted:
        """Distinct rows of some columns of numbers, and how often each occurs."""
        total: Weighted | None = None
        for table in self.tables(names):
            found = compress([column_of(name, table[name]) for name in names])
            part = Weighted(found.columns, found.weights)
            total = part if total is None else merge([total, part])
        assert total is not None
        return total

    def pairs(self, count: str, mean: str) -> Weighted:
        """Rows of two columns with both above 0, as they are."""
        found: tuple[list[Any], list[Any]] = ([], [])
        for table in self.tables([count, mean]):
            columns = [
                np.asarray(column_of(name, table[name]), dtype=np.float64) for name in (count, mean)
            ]
            usable = np.flatnonzero((columns[0] > 0) & (columns[1] > 0))
            for kept, column in zip(found, columns, strict=True):
                kept.append(column[usable])
        counts, means = (np.concatenate(kept) for kept in found)
        return Weighted((counts, means), np.ones(len(counts)))

    def gather(
        self, function: Callable[[pa.Table], Any], names: Sequence[str] | None = None
    ) -> list[Any]:
        """What a function finds of each part, which has these columns only, if given."""
        return [function(table) for table in self.tables(names)]

    def map(
        self,
        function: Callable[[pa.Table], tuple[pa.Table, Any]],
        example: Callable[[pa.Table], pa.Table],
    ) -> tuple[StoredRows, list[Any]]:
        """Rows made of these, part by part; and what was found on the way."""
        found = []

        def made() -> Iterator[pa.Table]:
            for part in self.tables():
                table, also = function(part)
                found.append(also)
                yield table

        return StoredRows.write(made()), found

    def native(self) -> Any:
        """None: there is no engine."""
        return None
