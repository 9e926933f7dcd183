"""Tables that are kept outside of memory, and still are tables.

They answer every call that the tables in memory do. Models fit to them, and forecasts of them
are made, part by part; any other question loads the columns that it looks at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from clv.errors import DataError
from clv.numerics.compress import Weighted, compress, places
from clv.tables._fingerprint import HASHED, decimals_of, hashed_rows, largest, seal
from clv.tables._frame import FloatArray, Table
from clv.tables._rows import Columns, Rows, column_of, columns_of
from clv.tables.rfm import RFM
from clv.tables.time_varying import TimeVaryingCovariates

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa


@dataclass(frozen=True, repr=False, eq=False)
class Large(Table):
    """A table whose rows are elsewhere.

    Attributes
    ----------
    rows
        Where they are, and what can be asked of them there.
    """

    rows: Rows | None = None

    in_memory = False

    @staticmethod
    def kept(rows: Rows, engine: str) -> dict[str, Any]:
        """The fields of a table of these rows, as `Table.parts` gives them for columns."""
        return {"rows": rows, "data": Columns(rows), "engine": engine}

    @property
    def place(self) -> Rows:
        """The rows."""
        assert self.rows is not None
        return self.rows

    def __len__(self) -> int:
        return len(self.place)

    def tables(self) -> Iterator[pa.Table]:
        """All rows, in parts that fit into memory."""
        return self.place.tables()

    def array(self, column: str) -> FloatArray:
        """One column (n,) of numbers as float64, missing values as nan; loaded, not kept."""
        values = self.values(column)
        if values.dtype.kind not in "biuf":
            raise DataError(
                f"column {column!r} holds {values.dtype}, not numbers; "
                f"take table[{column!r}] or table.values({column!r})"
            )
        return np.asarray(values, dtype=np.float64)

    def sum(self, column: str) -> float:
        """The sum of a column of numbers, without loading it."""
        return float(sum(self.place.gather(partial(_sum, column))))

    def best(self, column: str, count: int) -> Table:
        """The rows with the largest numbers in a column, the largest first."""
        import pyarrow as pa

        found = pa.concat_tables(self.place.gather(partial(_best, column, count)))
        return Table.from_columns(columns_of(_best(column, count, found)))

    def to_native(self) -> Any:
        """The table in its own engine, where it is; of rows on disk: a pandas frame."""
        native = self.place.native()
        return super().to_native() if native is None else native

    def to_pandas(self) -> pd.DataFrame:
        """A new pandas frame of all rows."""
        return self._loaded().to_pandas()

    def to_polars(self) -> pl.DataFrame:
        """A new Polars frame of all rows."""
        return self._loaded().to_polars()

    def to_arrow(self) -> pa.Table:
        """A new PyArrow table of all rows."""
        return self._loaded().to_arrow()

    def _loaded(self) -> Table:
        return Table.from_columns(columns_of(self.place.whole()))

    def _head(self) -> dict[str, list[str]]:
        return Table.from_columns(columns_of(self.place.head(5)))._head()


def _sum(column: str, table: pa.Table) -> float:
    return float(np.sum(column_of(column, table[column])))


def _best(column: str, count: int, table: pa.Table) -> pa.Table:
    values = np.asarray(column_of(column, table[column]), dtype=np.float64)
    return table.take(np.argsort(-values, kind="stable")[:count])


@dataclass(frozen=True, repr=False, eq=False)
class LargeRFM(Large, RFM):
    """An `RFM` table whose rows are elsewhere: made by `clv.rfm_summary` where they do not fit."""

    def weighted(self, *columns: str) -> Weighted:
        """Distinct rows of some columns and their weights; collapsed where the rows are."""
        if columns not in self._weighted:
            self._weighted[columns] = self.place.weighted(columns)
        return self._weighted[columns]

    @cached_property
    def _weighted(self) -> dict[tuple[str, ...], Weighted]:
        return {}

    def mean_of_distinct(self, column: str, *columns: str) -> FloatArray:
        """The mean of a column over the customers behind each of `weighted(*columns)`."""
        found = self.place.gather(partial(_totals, column, columns))
        rows = self.weighted(*columns)
        total = np.zeros(rows.weights.size)
        for distinct, sums in found:
            total[places(rows.columns, distinct)] += sums
        return np.asarray(total / rows.weights)

    def pairs(self, count: str, mean: str) -> Weighted:
        """Rows of two columns that are both above 0, and their weights."""
        return self.place.pairs(count, mean)

    @property
    def part(self) -> Callable[[pa.Table], RFM]:
        """Makes tables in memory of some of the rows; can be sent to other processes."""
        return partial(_part, self._about())

    def collect(self) -> RFM:
        """The whole table, in memory."""
        return RFM(**Table.parts(self._loaded().data, like=self), **self._about())

    def _about(self) -> dict[str, Any]:
        own = {field.name for field in fields(Table)}
        return {f.name: getattr(self, f.name) for f in fields(RFM) if f.name not in own}

    def with_covariates(
        self, customers: Any, columns: Sequence[str], *, customer_id: str = "customer_id"
    ) -> RFM:
        """As of any table; the whole table is loaded into memory."""
        return self.collect().with_covariates(customers, columns, customer_id=customer_id)

    def with_time_varying_covariates(self, covariates: TimeVaryingCovariates) -> RFM:
        """As of any table; the whole table is loaded into memory."""
        return self.collect().with_time_varying_covariates(covariates)

    @cached_property
    def fingerprint(self) -> str:
        """As of the same table in memory."""
        names = [name for name in HASHED if name in self.data]
        found = self.place.gather(partial(_largest, names))
        decimals = decimals_of({name: max(part[name] for part in found) for name in names})
        total = sum(self.place.gather(partial(_hashed, decimals)))
        return seal(total, (len(self), self.time_unit, self._period()))


def _part(about: dict[str, Any], table: pa.Table) -> RFM:
    return RFM(**Table.parts(columns_of(table)), **about)


def _floats(table: pa.Table, names: Sequence[str]) -> dict[str, FloatArray]:
    return {name: np.asarray(column_of(name, table[name]), dtype=np.float64) for name in names}


def _totals(column: str, columns: tuple[str, ...], table: pa.Table) -> tuple[Any, FloatArray]:
    values = _floats(table, (column, *columns))
    rows = compress([values[name] for name in columns])
    sums = np.bincount(rows.inverse, np.nan_to_num(values[column]), rows.weights.size)
    return rows.columns, np.asarray(sums, dtype=np.float64)


def _largest(names: list[str], table: pa.Table) -> dict[str, float]:
    return largest(_floats(table, names))


def _hashed(decimals: dict[str, int | None], table: pa.Table) -> int:
    return hashed_rows(_floats(table, list(decimals)), decimals)
