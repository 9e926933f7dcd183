"""Lines divided by customer into files that fit into memory, and summarised file by file.

The borders between the files are customer ids, found by looking at some of them, so that the
summaries of the files, one after the other, are the summary of everything in its order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import narwhals as nw
import numpy as np
import numpy.typing as npt

from clv.tables._arrow import to_arrow
from clv.tables._days import blocks_of, lines_until
from clv.tables._memory import MOST_FILES, Budget
from clv.tables._rows import table_of, to_numpy
from clv.tables._stored import Scratch, StoredRows
from clv.tables._streams import batches
from clv.tables._summary import Account, Some, together
from clv.tables.transactions import Transactions

if TYPE_CHECKING:
    import pyarrow as pa

    from clv.tables._days import Blocks

#: Lines that are taken from an engine at a time.
BATCH = 200_000

#: Customer ids that the borders between files are chosen from.
SAMPLE = 100_000


def summarise_divided(
    transactions: Transactions, end: int, budget: Budget, summarise: Callable[[Blocks], Some]
) -> tuple[StoredRows, Account]:
    """The summary of transactions that do not fit into memory, on disk.

    Parameters
    ----------
    transactions
        Whose lines the engine can hand over a few at a time.
    end
        Last day that is looked at.
    budget
        How much memory there is.
    summarise
        Turns days of purchase of some customers into their columns.
    """
    scratch = Scratch()
    accounts: list[Account] = []

    def summaries() -> Iterator[pa.Table]:
        for path in _divide(transactions, end, budget, scratch.path):
            columns, account = summarise(blocks_of(_stored(path)))
            path.unlink()
            accounts.append(account)
            if account.kept:
                yield from _parts(table_of(columns), budget.customers)
        if not any(account.kept for account in accounts):
            yield table_of({"customer_id": np.empty(0)})

    rows = StoredRows.write(summaries())
    return rows, together(accounts)


def _parts(table: pa.Table, size: int) -> Iterator[pa.Table]:
    for start in range(0, table.num_rows, size):
        yield table.slice(start, size)


def _stored(path: Path) -> nw.DataFrame[Any]:
    import pyarrow as pa

    with pa.OSFile(str(path)) as file, pa.ipc.open_stream(file) as reader:
        return nw.from_native(reader.read_all(), eager_only=True)


def _divide(transactions: Transactions, end: int, budget: Budget, folder: Path) -> list[Path]:
    """Write the lines into files, each of whole customers, in the order of customers."""
    import pyarrow as pa

    lines = lines_until(transactions, end)
    borders = _borders(lines, transactions.quality.used, budget.lines)
    paths = [folder / f"lines-{number}.arrow" for number in range(len(borders) + 1)]
    with ExitStack() as files:
        writers: dict[int, Any] = {}
        for table in batches(lines, BATCH):
            number = _file_of(table["customer_id"], borders)
            order = np.argsort(number, kind="stable")
            ordered = table.take(to_arrow(order)) if len(borders) else table
            ends = np.searchsorted(number[order], np.arange(len(paths)), side="right")
            start = 0
            for file, stop in enumerate(ends.tolist()):
                if stop > start:
                    if file not in writers:
                        sink = files.enter_context(pa.OSFile(str(paths[file]), "wb"))
                        writer = pa.ipc.new_stream(sink, table.schema)
                        writers[file] = files.enter_context(writer)
                    writers[file].write_table(ordered.slice(start, stop - start))
                start = stop
    return [paths[file] for file in sorted(writers)]


def _borders(lines: Any, used: int, lines_per_file: int) -> Any:
    """Customer ids, ascending, that divide the lines evenly; an id begins the file after it."""
    import pyarrow as pa
    import pyarrow.compute as pc

    wanted = min(MOST_FILES, -(-used // lines_per_file))
    if wanted <= 1:
        return pa.array([], pa.int64())
    stride = max(1, used // SAMPLE)
    some = [
        table["customer_id"].take(to_arrow(np.arange(0, table.num_rows, stride)))
        for table in batches(lines.select("customer_id"), BATCH)
    ]
    ids = pa.chunked_array([chunk for column in some for chunk in column.chunks])
    ordered = ids.take(pc.sort_indices(ids))
    places = np.arange(1, wanted) * len(ordered) // wanted
    return pc.unique(ordered.take(to_arrow(places)))


def _file_of(ids: pa.ChunkedArray, borders: Any) -> npt.NDArray[np.uint8]:
    """How many borders each id has reached."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_integer(ids.type):
        edges = to_numpy(pa.chunked_array([borders]))
        return np.searchsorted(edges, to_numpy(ids), side="right").astype(np.uint8)
    number = np.zeros(len(ids), dtype=np.uint8)
    for border in borders:
        number += to_numpy(pc.greater_equal(ids, border).cast(pa.uint8()))
    return number
