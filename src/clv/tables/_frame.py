"""A result table: columns that show themselves and turn into a frame of any engine.

Results are numpy columns (and, for customer ids, a series of the caller's engine); a frame is
made when somebody asks for one. Tables of this package are dataclasses on top of `Table`::

    @dataclass(frozen=True, repr=False, eq=False)
    class Forecast(Table):
        horizon: float | None = None

    Forecast(**Table.parts(columns, like=rfm), horizon=52.0)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from html import escape
from typing import TYPE_CHECKING, Any, ClassVar, Self

import narwhals as nw
import numpy as np
import numpy.typing as npt

from clv.errors import DataError, MissingColumnError
from clv.tables._arrow import to_arrow

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa

FloatArray = npt.NDArray[np.float64]
AnyArray = npt.NDArray[Any]
Column = AnyArray | nw.Series[Any]

_EAGER = ("pandas", "polars", "pyarrow")
_ROWS_SHOWN = 5
_WIDTH_SHOWN = 100
_MISSING = "–"


@dataclass(frozen=True, repr=False, eq=False)
class Table:
    """Columns of one length, in a fixed order.

    Attributes
    ----------
    data
        Name and values of every column: read-only numpy arrays, or narwhals series.
    engine
        What `to_native` returns: "pandas", "polars" or "pyarrow".
    """

    data: Mapping[str, Column] = field(default_factory=dict)
    engine: str = "pandas"

    in_memory: ClassVar[bool] = True  #: whether the columns are here; see `clv.tables.large`

    @classmethod
    def parts(
        cls, columns: Mapping[str, Any], *, like: Table | str | None = None
    ) -> dict[str, Any]:
        """The fields of a `Table`, to make an object of a subclass with.

        Parameters
        ----------
        columns
            Name and values (n,) of every column: arrays, lists or series of any engine.
            Numbers that are nan and dates that are NaT become missing values of the engine.
        like
            A table, or the name of an engine, that says what `to_native` returns. Engines
            without eager frames (a DuckDB relation, a file) give pandas.

        Raises
        ------
        DataError
            If the columns differ in length.
        """
        data = {name: _as_column(values) for name, values in columns.items()}
        lengths = {name: len(values) for name, values in data.items()}
        if len(set(lengths.values())) > 1:
            raise DataError(f"the columns of a table must have one length, not {lengths}")
        wanted = like.engine if isinstance(like, Table) else like
        return {"data": data, "engine": wanted if wanted in _EAGER else "pandas"}

    @classmethod
    def from_columns(cls, columns: Mapping[str, Any], *, like: Table | str | None = None) -> Self:
        """A table of these columns; see `parts`."""
        return cls(**cls.parts(columns, like=like))

    # -- columns ---------------------------------------------------------------------------

    @property
    def columns(self) -> list[str]:
        """Names of the columns."""
        return list(self.data)

    def __len__(self) -> int:
        return next((len(values) for values in self.data.values()), 0)

    def __iter__(self) -> Iterator[str]:
        return iter(self.data)

    def __getitem__(self, column: str) -> Any:
        """One column as a series of the table's engine."""
        values = self._column(column)
        return _series_of(self.engine, column, values)

    def values(self, column: str) -> AnyArray:
        """One column (n,) as it is: whole numbers, floats, dates (datetime64) or objects."""
        values = self._column(column)
        return values.to_numpy() if isinstance(values, nw.Series) else values

    def array(self, column: str) -> FloatArray:
        """One column (n,) of numbers as float64, missing values as nan; read-only, cached.

        Raises
        ------
        MissingColumnError
            If there is no such column.
        DataError
            If the column does not hold numbers.
        """
        if column not in self._arrays:
            values = self.values(column)
            if values.dtype.kind not in "biuf":
                raise DataError(
                    f"column {column!r} holds {values.dtype}, not numbers; "
                    f"take table[{column!r}] or table.values({column!r})"
                )
            self._arrays[column] = _read_only(values.astype(np.float64, copy=False))
        return self._arrays[column]

    @cached_property
    def _arrays(self) -> dict[str, FloatArray]:
        return {}

    def sum(self, column: str) -> float:
        """The sum of a column of numbers."""
        return float(self.array(column).sum())

    def best(self, column: str, count: int) -> Table:
        """The rows with the largest numbers in a column, the largest first."""
        order = np.argsort(-self.array(column), kind="stable")[:count]
        return Table.from_columns({n: values[order] for n, values in self.data.items()}, like=self)

    def _column(self, name: str) -> Column:
        if name not in self.data:
            raise MissingColumnError(self._missing_column(name))
        return self.data[name]

    def _missing_column(self, name: str) -> str:
        return f"there is no column {name!r}; there are {', '.join(self.data)}"

    # -- frames ----------------------------------------------------------------------------

    @cached_property
    def frame(self) -> nw.DataFrame[Any]:
        """The table as an eager narwhals frame of its engine."""
        return nw.from_native(self.to_native(), eager_only=True)

    def to_native(self) -> Any:
        """A new frame of the engine that the data came from (files: pandas)."""
        return {"pandas": self.to_pandas, "polars": self.to_polars, "pyarrow": self.to_arrow}[
            self.engine
        ]()

    def to_pandas(self) -> pd.DataFrame:
        """A new pandas frame."""
        import pandas as pd

        columns = {name: _pandas_series(name, values) for name, values in self.data.items()}
        return pd.DataFrame(columns)

    def to_polars(self) -> pl.DataFrame:
        """A new Polars frame."""
        import polars as pl

        return pl.DataFrame([_polars_series(name, v) for name, v in self.data.items()])

    def to_arrow(self) -> pa.Table:
        """A new PyArrow table."""
        import pyarrow as pa

        return pa.table({name: _arrow_array(v) for name, v in self.data.items()})

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """Lets ``pl.DataFrame(table)``, ``pa.table(table)`` and DuckDB read the table."""
        return self.to_arrow().__arrow_c_stream__(requested_schema)

    # -- shown -----------------------------------------------------------------------------

    def _title(self) -> str:
        """What stands above the table when it shows itself."""
        return f"{type(self).__name__}: {counted(len(self), 'row', 'rows')}"

    def _remarks(self) -> tuple[str, ...]:
        """What stands below the table when it shows itself."""
        return tuple(getattr(self, "notes", ()))

    def _head(self) -> dict[str, list[str]]:
        """The first rows as text."""
        return {
            name: [_as_text(name, value) for value in _first(values, _ROWS_SHOWN)]
            for name, values in self.data.items()
        }

    def __repr__(self) -> str:
        head = self._head()
        lines = _text_table(head)
        if len(self) > _ROWS_SHOWN:
            lines.append(_more_rows(len(self)))
        return "\n".join([self._title(), *lines, *(f"note: {note}" for note in self._remarks())])

    def _repr_html_(self) -> str:
        head = self._head()
        top = "".join(f"<th>{escape(name)}</th>" for name in head)
        rows = "".join(
            "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>"
            for row in zip(*head.values(), strict=True)
        )
        more = [_more_rows(len(self))] if len(self) > _ROWS_SHOWN else []
        below = (f"<p><small>{escape(text)}</small></p>" for text in (*more, *self._remarks()))
        return (
            f"<div><p><b>{escape(self._title())}</b></p>"
            f"<div style='overflow-x:auto'><table><thead><tr>{top}</tr></thead>"
            f"<tbody>{rows}</tbody></table></div>{''.join(below)}</div>"
        )


# -- reading frames --------------------------------------------------------------------------


def collect(frame: nw.DataFrame[Any] | nw.LazyFrame[Any]) -> nw.DataFrame[Any]:
    """An eager frame: Polars stays Polars, other lazy engines give PyArrow."""
    if isinstance(frame, nw.DataFrame):
        return frame
    return frame.collect("polars" if frame.implementation.is_polars() else "pyarrow")


# -- one column ------------------------------------------------------------------------------


def _as_column(values: Any) -> Column:
    if isinstance(values, nw.Series):
        return nw.maybe_reset_index(values)
    series = nw.from_native(values, series_only=True, pass_through=True)
    if isinstance(series, nw.Series):
        return nw.maybe_reset_index(series)
    array = np.asarray(values)
    if array.ndim != 1:
        raise DataError(f"a column of a table has one dimension, not shape {array.shape}")
    return _read_only(array)


def _read_only(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    view = array.view()
    view.flags.writeable = False
    return view


def _pandas_series(name: str, values: Column) -> Any:
    import pandas as pd

    if isinstance(values, nw.Series):
        return nw.maybe_reset_index(values).to_pandas().rename(name)
    plain = values.astype(object) if values.dtype.kind == "U" else values
    return pd.Series(plain, name=name, copy=True)


def _polars_series(name: str, values: Column) -> Any:
    import polars as pl

    if isinstance(values, nw.Series):
        return values.to_polars().alias(name)
    if values.dtype.kind in "OU":
        return pl.Series(name, values.tolist())
    return pl.Series(name, values, nan_to_null=True)


def _arrow_array(values: Column) -> Any:
    import pyarrow as pa

    if isinstance(values, nw.Series):
        return values.to_arrow()
    if values.dtype.kind in "iu":
        return to_arrow(values)
    if values.dtype.kind == "f":
        return to_arrow(values, np.isnan(values))
    if values.dtype == np.dtype("datetime64[D]"):
        return to_arrow(values, np.isnat(values))
    plain = values.astype(object) if values.dtype.kind == "U" else values
    return pa.array(plain, from_pandas=True)


def _series_of(engine: str, name: str, values: Column) -> Any:
    if engine == "polars":
        return _polars_series(name, values)
    if engine == "pandas":
        return _pandas_series(name, values)
    import pyarrow as pa

    array = _arrow_array(values)
    return array if isinstance(array, pa.ChunkedArray) else pa.chunked_array([array])


def levels_of(texts: AnyArray) -> tuple[FloatArray, tuple[str, ...]]:
    """The distinct texts of a column in ascending order, and the place of each row's among them.

    Examples
    --------
    >>> levels_of(np.array(["web", "shop", "web"], dtype=object))
    (array([1., 0., 1.]), ('shop', 'web'))
    """
    import pyarrow as pa

    coded = pa.array(texts, type=pa.large_string()).dictionary_encode()
    levels = coded.dictionary.to_pylist()
    order = sorted(range(len(levels)), key=levels.__getitem__)
    place = np.empty(len(levels), dtype=np.float64)
    place[order] = np.arange(len(levels))
    codes = _read_only(place[coded.indices.to_numpy()])
    return codes, tuple(levels[i] for i in order)


def counted(number: int, one: str, many: str) -> str:
    """A number and the word that fits it."""
    return f"{number:,} {one if number == 1 else many}"


# -- text ------------------------------------------------------------------------------------


def _more_rows(rows: int) -> str:
    return f"… {counted(rows - _ROWS_SHOWN, 'more row', 'more rows')}"


def _first(values: Column, count: int) -> list[Any]:
    return values.head(count).to_list() if isinstance(values, nw.Series) else list(values[:count])


def _as_text(name: str, value: Any) -> str:
    if value is None or value != value:
        return _MISSING
    if isinstance(value, np.datetime64):
        return str(value.astype("datetime64[D]"))
    if isinstance(value, (bool, np.bool_, str, date)) or name.endswith("_id"):
        return str(value)
    if isinstance(value, (int, np.integer)):
        return f"{value:,}"
    if isinstance(value, (float, np.floating)):
        number = float(value)
        return f"{number:,.2f}" if 100 <= abs(number) < 1e15 else f"{number:.4g}"
    return str(value)


def _text_table(cells: Mapping[str, list[str]]) -> list[str]:
    """Right-aligned columns, broken into blocks where they are too many for a line."""
    lines: list[str] = []
    block: list[list[str]] = []
    width = 0
    for name, values in cells.items():
        size = max(map(len, [name, *values]))
        if block and width + size + 2 > _WIDTH_SHOWN:
            lines += ["  ".join(row) for row in zip(*block, strict=True)]
            block, width = [], 0
        block.append([text.rjust(size) for text in [name, *values]])
        width += size + 2
    return lines + ["  ".join(row) for row in zip(*block, strict=True)]
