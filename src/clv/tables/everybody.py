"""Everybody a shop knows: who has bought, and prospects, who only stand in its customers table."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import narwhals as nw
import numpy as np
from numpy.typing import NDArray

from clv.errors import DataError, MissingColumnError
from clv.tables._day import parse_day
from clv.tables._frame import Column, Table
from clv.tables._matching import customers_frame, rows_of_customers
from clv.tables.customers import column_of_numbers
from clv.tables.rfm import RFM

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Days = NDArray[np.datetime64]

#: Groups of customers of whom it is not known to which group they belong.
NOT_IN_TABLE = "(not in the customers table)"


@dataclass(frozen=True, eq=False)
class Everybody:
    """Buyers in the order of their table, then prospects in the order of the customers table.

    Attributes
    ----------
    ids
        Customer ids (n + m), n buyers and m prospects.
    buyers
        n.
    row
        The row of each in the customers table, shape (n + m,); -1 for who is not in it.
    table
        The customers table; None without one, and then there are no prospects.
    engine
        What tables of these customers come back as.
    """

    ids: Column
    buyers: int
    row: Integers
    table: nw.DataFrame[Any] | None
    engine: str

    def __len__(self) -> int:
        return len(self.row)

    @property
    def prospects(self) -> int:
        """m: rows of the customers table that belong to nobody who has bought."""
        return len(self) - self.buyers

    def has(self, column: str) -> bool:
        """Whether the customers table has this column."""
        return self.table is not None and column in self.table.columns

    def numbers(self, column: str) -> Floats:
        """A column of the customers table as numbers, shape (n + m,); missing ones are nan."""
        return self._spread(column_of_numbers(self._own(column), column), np.nan)

    def texts(self, column: str) -> NDArray[np.object_]:
        """A column as texts, shape (n + m,); None where there is none, or only spaces."""
        return np.asarray(self._spread(self._texts(column), None))

    def days(self, column: str, calendar: str = "gregorian") -> Days:
        """A column as days, shape (n + m,); NaT where there is none.

        Raises
        ------
        DataError
            If a text is no day, with its row.
        """
        values = self._own(column).to_numpy()
        if values.dtype.kind == "M":
            found = values.astype("datetime64[D]")
        else:
            found = self._read_days(column, calendar)
        return self._spread(found, np.datetime64("NaT", "D"))

    def groups(self, column: str, missing: str) -> tuple[NDArray[np.int64], list[str]]:
        """The group of each by a column of texts, shape (n + m,), and the names of the groups.

        Names are in alphabetical order; after them come `missing`, for those without a text, and
        `NOT_IN_TABLE`, where there are such customers.
        """
        texts = self.texts(column)
        names = sorted({text for text in texts if text is not None})
        place: Mapping[str | None, int] = {name: k for k, name in enumerate(names)}
        member = np.fromiter((place.get(t, -1) for t in texts), np.int64, len(texts))
        absent = self.row < 0
        for name, who in ((missing, (member < 0) & ~absent), (NOT_IN_TABLE, absent)):
            if who.any():
                member[who] = len(names)
                names.append(name)
        return member, names

    def _own(self, column: str) -> nw.Series[Any]:
        if self.table is None:
            raise DataError(f"{column!r} is a column of the customers table; give customers=")
        if column not in self.table.columns:
            raise MissingColumnError(
                f"the customers table has no column {column!r}; it has "
                f"{', '.join(self.table.columns)}"
            )
        return self.table[column]

    def _spread(self, values: NDArray[Any], missing: Any) -> NDArray[Any]:
        if not len(values):
            return np.full(len(self), missing, dtype=values.dtype)
        found = values[self.row]
        found[self.row < 0] = missing
        return found

    def _texts(self, column: str) -> NDArray[np.object_]:
        values = self._own(column).to_list()
        found = np.empty(len(values), dtype=object)
        for k, value in enumerate(values):
            text = None if value is None or value != value else str(value).strip()
            found[k] = text or None
        return found

    def _read_days(self, column: str, calendar: str) -> Days:
        texts = self._texts(column)
        known: dict[Any, Any] = {None: np.datetime64("NaT", "D")}
        for row, text in enumerate(texts):
            if text not in known:
                try:
                    known[text] = np.datetime64(parse_day(text, column, calendar), "D")
                except DataError as error:
                    raise DataError(f"row {row + 1} of the customers table: {error}") from error
        return np.array([known[text] for text in texts], dtype="datetime64[D]")


def everybody(
    rfm: RFM,
    customers: Any = None,
    *,
    signup: str | None = None,
    as_of: date | None = None,
    calendar: str = "gregorian",
) -> Everybody:
    """Put the buyers of a table together with the prospects of a customers table.

    Parameters
    ----------
    rfm
        Table with n customers.
    customers
        A customers table with `customer_id`, one row per customer, of any engine; None: no
        prospects, and nothing known of anybody.
    signup, as_of
        Name of its column with the day of signing up, and a day: who signed up later is no
        prospect yet. Without them everybody in the table counts.
    calendar
        Of days that are written as text.

    Raises
    ------
    DataError
        If ids are of another kind than those of the table, occur twice, or match nobody.

    Examples
    --------
    >>> import clv
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"customer_id": ["a", "b"], "frequency": 0, "recency": 0.0, "T": 38.0})
    >>> known = pd.DataFrame({"customer_id": ["c", "b"], "channel": ["web", " "]})
    >>> found = everybody(clv.rfm_table(frame, time_unit="week"), known)
    >>> found.prospects, found.row.tolist(), found.texts("channel").tolist()
    (1, [-1, 1, 0], [None, None, 'web'])
    """
    n = len(rfm)
    if customers is None:
        none = np.full(n, -1, dtype=np.int64)
        return Everybody(rfm.data["customer_id"], n, none, None, rfm.engine)
    table = customers_frame(customers, "customer_id")
    row = rows_of_customers(rfm.customer_ids, table["customer_id"])
    alone = np.ones(len(table), dtype=bool)
    alone[row[row >= 0]] = False
    others = np.flatnonzero(alone)
    found = Everybody(
        _joined(rfm, table, others), n, np.concatenate([row, others]), table, rfm.engine
    )
    if signup is None or as_of is None:
        return found
    there = ~(found.days(signup, calendar)[n:] > np.datetime64(as_of, "D"))
    ids = _joined(rfm, table, others[there])
    return Everybody(ids, n, np.concatenate([row, others[there]]), table, rfm.engine)


def _joined(rfm: RFM, table: nw.DataFrame[Any], rows: Integers) -> Column:
    """Ids of the buyers, then those of some rows of the customers table."""
    if not len(rows):
        return rfm.data["customer_id"]
    import pyarrow as pa

    ours: Any = nw.from_native(rfm.customer_ids, series_only=True).to_arrow()
    theirs: Any = table["customer_id"].to_arrow()
    # views of strings cannot be taken from
    kind = pa.large_string() if pa.types.is_string_view(ours.type) else ours.type
    parts: list[Any] = []
    for ids in (ours.cast(kind), theirs.cast(kind).take(pa.array(rows))):
        parts += ids.chunks if isinstance(ids, pa.ChunkedArray) else [ids]
    both = pa.chunked_array(parts, type=kind)
    joined: nw.Series[Any] = nw.from_native(both, series_only=True)
    return joined


def read_customers(source: Any, *, delimiter: str = ",", encoding: str = "utf-8") -> Any:
    """Read a customers table: a frame is taken as it is, a file is read.

    Parameters
    ----------
    source
        A data frame of any engine, or the path of a CSV or Parquet file. Of a CSV file every
        column is text, so that ids and postal codes keep their zeros; an empty field is missing.
    delimiter, encoding
        Of a CSV file.

    Raises
    ------
    UnreadableFileError
        If the file is not there, or cannot be read.

    Examples
    --------
    >>> import clv
    >>> read_customers(clv.datasets.load_shop().customers)["zip"].iloc[0]
    '50450'
    """
    if not isinstance(source, (str, os.PathLike)):
        return source
    import pandas as pd

    from clv.errors import UnreadableFileError
    from clv.tables._files import find

    files = find(source)
    try:
        parts = [
            pd.read_parquet(path)
            if files.kind == "parquet"
            else pd.read_csv(
                path,
                dtype=str,
                keep_default_na=False,
                na_values=[""],
                sep=delimiter,
                encoding=encoding,
            )
            for path in files.paths
        ]
    except (ValueError, OSError) as error:
        raise UnreadableFileError(f"{files.label} cannot be read: {error}") from error
    return pd.concat(parts, ignore_index=True) if len(parts) > 1 else parts[0]


def same_customers(first: Table, second: Table, what: str) -> None:
    """Refuse two tables whose rows are not the same customers in the same order.

    Raises
    ------
    DataError
        Naming the first row that differs.
    """
    ours, theirs = first.values("customer_id"), second.values("customer_id")
    if len(ours) != len(theirs):
        raise DataError(
            f"{what} has {len(theirs):,} customers and the table {len(ours):,}; make both from the "
            "same table"
        )
    differ = np.flatnonzero(ours != theirs)
    if differ.size:
        k = int(differ[0])
        raise DataError(
            f"{what} has other customers than the table in {differ.size:,} rows, the first is row "
            f"{k + 1} ({theirs[k]!r}, not {ours[k]!r}); make both from the same table"
        )


def chosen(values: Column, rows: Any) -> Column:
    """Some rows of a column, in that order."""
    if not isinstance(values, nw.Series):
        return np.asarray(values[rows])
    if values.implementation.is_pyarrow():
        import pyarrow as pa

        native = values.to_native()
        if pa.types.is_string_view(native.type):  # views of strings cannot be taken from
            values = nw.from_native(native.cast(pa.large_string()), series_only=True)
    some: nw.Series[Any] = values[np.asarray(rows, dtype=np.int64).tolist()]
    return some


def as_table(frame: Any) -> Table:
    """A `Table` as it is; a data frame (such as a forecast read from a file) as one."""
    if isinstance(frame, Table):
        return frame
    found = customers_frame(frame, "customer_id")
    return Table.from_columns({name: found[name] for name in found.columns})
