"""Moves between stages from one run to the next: how many, which way, nobody lost on the way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import narwhals as nw
import numpy as np
from numpy.typing import NDArray

from clv.errors import DataError
from clv.lifecycle.stages import STAGES, Stages
from clv.tables._frame import Table
from clv.tables.everybody import as_table

if TYPE_CHECKING:
    import pandas as pd

#: Where customers come from who are in the later run only, and go who are in the earlier only.
ABSENT = "(not there)"


@dataclass(frozen=True, eq=False)
class Moves:
    """How many customers went from which stage to which; made by `moves`.

    Attributes
    ----------
    table
        One row per pair of stages that somebody took: ``before``, ``after``, ``customers``,
        ``share_of_before`` (of those in that stage before) and, where both runs know it,
        ``residual_value_before`` and ``residual_value_after`` of these customers.
    states
        Names of all stages, `ABSENT` last.
    counts
        Customers by stage before (rows) and after (columns), in the order of `states`.
    """

    table: Table
    states: tuple[str, ...]
    counts: NDArray[np.int64]

    @property
    def matrix(self) -> pd.DataFrame:
        """`counts` with names, as a pandas frame with sums over rows and columns."""
        import pandas as pd

        frame = pd.DataFrame(
            self.counts,
            index=pd.Index(self.states, name="before"),
            columns=pd.Index(self.states, name="after"),
        )
        frame["all"] = frame.sum(axis=1)
        frame.loc["all"] = frame.sum(axis=0)
        return frame

    @property
    def stayed(self) -> int:
        """How many are in the same stage as before."""
        return int(np.trace(self.counts))

    @property
    def appeared(self) -> int:
        """How many are in the later run only."""
        return int(self.counts[-1].sum())

    @property
    def gone(self) -> int:
        """How many were in the earlier run only."""
        return int(self.counts[:, -1].sum())

    def __repr__(self) -> str:
        return self.matrix.to_string()

    def _repr_html_(self) -> str:
        return str(self.matrix.to_html())


def moves(before: Any, after: Any, *, column: str = "stage") -> Moves:
    """Count who moved from which stage to which.

    Parameters
    ----------
    before, after
        Two results of `stages`; or tables of customers that were written from them, in any order.
    column
        The column with the stage; with ``tier`` or ``segment`` moves between these are counted.

    Returns
    -------
    Moves
        Rows sum to the stages before, columns to those after: who is in one run only comes from,
        or goes to, `ABSENT`.

    Raises
    ------
    DataError
        If a customer is in one of the tables twice, or the ids are of different kinds.

    Examples
    --------
    >>> import pandas as pd
    >>> march = pd.DataFrame({"customer_id": ["a", "b"], "stage": ["new", "active"]})
    >>> april = pd.DataFrame({"customer_id": ["c", "a"], "stage": ["new", "active"]})
    >>> found = moves(march, april)
    >>> found.table.to_pandas()[["before", "after", "customers"]].values.tolist()
    [['new', 'active', 1], ['active', '(not there)', 1], ['(not there)', 'new', 1]]
    """
    first, second = _table(before), _table(after)
    names = [first.values(column).astype(object), second.values(column).astype(object)]
    known = STAGES if column == "stage" else ()
    others = sorted({str(name) for values in names for name in set(values)} - set(known))
    states = (*known, *others, ABSENT)
    place = {name: k for k, name in enumerate(states)}
    old, new = (
        np.fromiter((place[str(v)] for v in values), np.int64, len(values)) for values in names
    )
    row = _rows(first, second)  # of each customer of the later run in the earlier one, or -1
    came_from = np.where(row >= 0, old[row] if len(old) else 0, len(states) - 1)
    left = np.ones(len(old), dtype=bool)
    left[row[row >= 0]] = False
    gone = old[left]
    size = len(states)
    pairs = np.concatenate([came_from * size + new, gone * size + size - 1])
    counts = np.bincount(pairs, minlength=size * size).reshape(size, size)
    return Moves(_listing(first, second, row, left, pairs, counts, states), states, counts)


def _table(source: Any) -> Table:
    return source.customers if isinstance(source, Stages) else as_table(source)


def _listing(
    first: Table,
    second: Table,
    row: NDArray[np.int64],
    left: NDArray[np.bool_],
    pairs: NDArray[np.int64],
    counts: NDArray[np.int64],
    states: tuple[str, ...],
) -> Table:
    size = len(states)
    i, j = np.nonzero(counts)
    names = np.array(states, dtype=object)
    columns: dict[str, Any] = {
        "before": names[i],
        "after": names[j],
        "customers": counts[i, j],
        "share_of_before": counts[i, j] / counts.sum(axis=1)[i],
    }
    if "residual_value" in first.columns and "residual_value" in second.columns:
        worth, later = (np.nan_to_num(t.array("residual_value")) for t in (first, second))
        was = np.where(row >= 0, worth[row] if len(worth) else 0.0, 0.0)
        values = {
            "residual_value_before": np.concatenate([was, worth[left]]),
            "residual_value_after": np.concatenate([later, np.zeros(int(left.sum()))]),
        }
        for name, value in values.items():
            columns[name] = np.bincount(pairs, value, minlength=size * size)[i * size + j]
    return Table.from_columns(columns, like=second)


def _rows(first: Table, second: Table) -> NDArray[np.int64]:
    import pyarrow as pa
    import pyarrow.compute as pc

    ids = []
    for name, table in (("earlier", first), ("later", second)):
        series = nw.from_native(table["customer_id"], series_only=True)
        found: Any = series.to_arrow()
        if isinstance(found, pa.ChunkedArray):
            found = found.combine_chunks()
        twice = len(found) - pc.count_distinct(found, mode="all").as_py()
        if twice:
            raise DataError(
                f"customer_id occurs more than once in {twice:,} rows of the {name} run; keep one "
                "row per customer"
            )
        ids.append(found)
    try:
        earlier = ids[0].cast(ids[1].type)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise DataError(
            f"customer_id is {ids[0].type} in the earlier run and {ids[1].type} in the later; "
            "make them the same"
        ) from error
    row = pc.fill_null(pc.index_in(ids[1], value_set=earlier), -1)
    return np.asarray(row.to_numpy(zero_copy_only=False)).astype(np.int64)
