"""Rows in a Spark cluster, classic or through Spark Connect.

The lines are sorted by customer there and every worker runs the pass that `clv.rfm_summary` runs
here; only distinct weighted rows, and sums, come to the driver. Nothing but data frames,
``mapInArrow`` and ``groupBy`` is used, which both kinds of session know. The workers need this
package.
"""

from __future__ import annotations

import json
import pickle
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import narwhals as nw
import numpy as np

from clv.numerics.compress import Weighted, merge
from clv.tables._days import blocks_of, lines_until
from clv.tables._rows import column_of, table_of
from clv.tables._summary import Account, Some, together
from clv.tables.refunds import UnmatchedRefunds
from clv.tables.transactions import Transactions

if TYPE_CHECKING:
    import pyarrow as pa

    from clv.tables._days import Blocks

#: Lines, and customers, that a worker works on at a time.
LINES, CUSTOMERS = 1_000_000, 250_000

_ACCOUNT, _FOUND, _NUMBER = "_clv_account", "_clv_found", "_clv_number"

#: Spark's names of the types of our columns.
_TYPES = {"int64": "bigint", "double": "double", "string": "string", "date32[day]": "date"}


def summarise_in_spark(
    transactions: Transactions, end: int, summarise: Callable[[Blocks], Some]
) -> tuple[SparkRows, Account]:
    """The summary of transactions in a cluster, which stays there.

    Parameters
    ----------
    transactions
        Whose lines are a Spark frame.
    end
        Last day that is looked at.
    summarise
        Turns days of purchase of some customers into their columns.
    """
    lines = lines_until(transactions, end).to_native()
    ordered = lines.repartitionByRange("customer_id").sortWithinPartitions("customer_id")
    schema = _summarised(summarise, _example(lines)).schema
    everything = ordered.mapInArrow(partial(_summaries, summarise, schema), _ddl(schema)).persist()
    accounts = everything.filter(everything[_ACCOUNT].isNotNull()).select(_ACCOUNT).collect()
    account = together([_account_of(row[0]) for row in accounts])
    kept = everything.filter(everything[_ACCOUNT].isNull()).drop(_ACCOUNT)
    return SparkRows(kept, account.kept, everything), account


def _example(lines: Any) -> pa.Table:
    """One line in the types of the lines, as `_summaries` gets them."""
    import pyarrow as pa

    text = dict(lines.dtypes)["customer_id"] == "string"
    ids = pa.array(["a"]) if text else pa.array([1], pa.int64())
    return pa.table({"customer_id": ids, "day": pa.array([0], pa.int32()), "value": [1.0]})


def _summaries(
    summarise: Callable[[Blocks], Some], schema: pa.Schema, batches: Iterable[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    """The pass over one partition, whose lines are sorted by customer.

    Spark knows columns by their places, so there are all of them even where nobody is left.
    """
    import pyarrow as pa

    for lines in _whole_customers(_parts(batches, LINES)):
        found = [schema.empty_table(), _summarised(summarise, lines)]
        yield from pa.concat_tables(found, promote_options="default").to_batches()


def _whole_customers(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """The same rows, divided where customers change."""
    import pyarrow as pa
    import pyarrow.compute as pc

    rest: pa.Table | None = None
    for table in tables:
        known = table if rest is None else pa.concat_tables([rest, table]).combine_chunks()
        ids = known["customer_id"]
        border = pc.index(ids, ids[-1]).as_py()
        if border:
            yield known.slice(0, border)
        rest = known.slice(border)
    if rest is not None:
        yield rest


def _summarised(summarise: Callable[[Blocks], Some], lines: pa.Table) -> pa.Table:
    """Columns of the customers in some lines, and a row with the account of them."""
    import pyarrow as pa

    columns, account = summarise(blocks_of(nw.from_native(lines, eager_only=True)))
    record = {_ACCOUNT: pa.array([json.dumps(account)])}
    if not account.kept:
        return pa.table(record)
    table = _with_nulls(table_of(columns))
    table = table.append_column(_ACCOUNT, pa.nulls(table.num_rows, pa.string()))
    return pa.concat_tables([table, pa.table(record)], promote_options="default")


def _account_of(text: str) -> Account:
    customers, seen, kept, unmatched = json.loads(text)
    return Account(customers, seen, kept, UnmatchedRefunds(*unmatched))


def _with_nulls(table: pa.Table) -> pa.Table:
    """Missing values as Spark has them: null, not nan; and texts as it knows them."""
    import pyarrow as pa
    import pyarrow.compute as pc

    columns = []
    for column in table.columns:
        if pa.types.is_floating(column.type):
            column = pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)
        elif not (pa.types.is_integer(column.type) or pa.types.is_date(column.type)):
            column = column.cast(pa.string())
        columns.append(column)
    return pa.table(columns, names=table.column_names)


def _parts(batches: Iterable[pa.RecordBatch], size: int) -> Iterator[pa.Table]:
    """Batches put together until there are so many rows; none is empty."""
    import pyarrow as pa

    held: list[pa.RecordBatch] = []
    rows = 0
    for batch in batches:
        if batch.num_rows:
            held.append(batch)
            rows += batch.num_rows
        if rows >= size:
            yield pa.Table.from_batches(held).combine_chunks()
            held, rows = [], 0
    if held:
        yield pa.Table.from_batches(held).combine_chunks()


def _ddl(schema: pa.Schema) -> str:
    """The columns of a table, as Spark writes them."""
    return ", ".join(f"`{field.name}` {_TYPES[str(field.type)]}" for field in schema)


class SparkRows:
    """Rows in a cluster, sorted by customer within and over partitions. See `Rows`."""

    def __init__(self, frame: Any, length: int, persisted: Any = None) -> None:
        self.names: tuple[str, ...] = tuple(frame.columns)
        self._frame, self._length = frame, length
        if persisted is not None:
            weakref.finalize(self, _release, persisted).atexit = False
        self._persisted = persisted

    def __len__(self) -> int:
        return self._length

    def column(self, name: str) -> pa.ChunkedArray:
        """One column, whole."""
        return self._frame.select(name).toArrow()[name]

    def whole(self) -> pa.Table:
        """All rows at once."""
        return self._frame.toArrow()

    def head(self, count: int) -> pa.Table:
        """The first rows."""
        return self._frame.limit(count).toArrow()

    def tables(self) -> Iterator[pa.Table]:
        """All rows, partition by partition."""
        from pyspark.sql import functions as f

        # kept meanwhile, or every partition would be made again for each
        numbered = self._frame.withColumn(_NUMBER, f.spark_partition_id()).persist()
        try:
            found = numbered.select(_NUMBER).distinct().collect()
            for number in sorted(row[0] for row in found):
                yield numbered.filter(numbered[_NUMBER] == number).drop(_NUMBER).toArrow()
        finally:
            _release(numbered)

    def weighted(self, names: Sequence[str]) -> Weighted:
        """Distinct rows of some columns of numbers, counted in the cluster."""
        return _counted(self._frame.groupBy(*names).count().toArrow(), names)

    def pairs(self, count: str, mean: str) -> Weighted:
        """Distinct rows of two columns with both above 0, counted in the cluster."""
        frame = self._frame.filter((self._frame[count] > 0) & (self._frame[mean] > 0))
        return _counted(frame.groupBy(count, mean).count().toArrow(), (count, mean))

    def gather(
        self, function: Callable[[pa.Table], Any], names: Sequence[str] | None = None
    ) -> list[Any]:
        """What a function finds of each part, which has these columns only, if given.

        It comes back as Spark sends the function there, pickled: from our own workers to the driver
        that has started them, and into no file.
        """
        frame = self._frame if names is None else self._frame.select(*names)
        rows = frame.mapInArrow(partial(_gathered, function), f"{_FOUND} binary").collect()
        return [pickle.loads(row[0]) for row in rows]

    def map(
        self,
        function: Callable[[pa.Table], tuple[pa.Table, Any]],
        example: Callable[[pa.Table], pa.Table],
    ) -> tuple[SparkRows, list[Any]]:
        """Rows made of these in the cluster, when they are asked for; what is found, now."""
        schema = _ddl(_with_nulls(example(self.head(5))).schema)
        made = self._frame.mapInArrow(partial(_mapped, function), schema)
        rows = SparkRows(made, self._length)
        rows._persisted = self  # keeps what it is made of
        return rows, self.gather(partial(_second, function))

    def native(self) -> Any:
        """The Spark frame."""
        return self._frame


def _release(frame: Any) -> None:
    with suppress(Exception):  # the session may have ended
        frame.unpersist()


def _counted(table: pa.Table, names: Sequence[str]) -> Weighted:
    columns = [np.asarray(column_of(name, table[name]), dtype=np.float64) for name in names]
    weights = np.asarray(column_of("count", table["count"]), dtype=np.float64)
    return merge([Weighted(tuple(columns), weights)])


def _gathered(
    function: Callable[[pa.Table], Any], batches: Iterable[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa

    for table in _parts(batches, CUSTOMERS):
        found = pa.array([pickle.dumps(function(table))], pa.binary())
        yield pa.RecordBatch.from_arrays([found], [_FOUND])


def _mapped(
    function: Callable[[pa.Table], tuple[pa.Table, Any]], batches: Iterable[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    for table in _parts(batches, CUSTOMERS):
        yield from _with_nulls(function(table)[0]).to_batches()


def _second(function: Callable[[pa.Table], tuple[pa.Table, Any]], table: pa.Table) -> Any:
    return function(table)[1]
