"""The customers table: what is known of customers beyond their transactions."""

from __future__ import annotations

from typing import Any, NamedTuple

import narwhals as nw
import numpy as np
from numpy.typing import NDArray

from clv.errors import DataError
from clv.tables._matching import customers_frame, rows_of_customers

Floats = NDArray[np.float64]

COSTS = ("acquisition_cost", "cost_to_serve")


class MatchedCustomers(NamedTuple):
    """A customers table, and which of its rows belongs to each row of the RFM table (or -1)."""

    table: nw.DataFrame[Any]
    row: NDArray[np.int64]

    @property
    def known(self) -> list[str]:
        """The cost columns that it has."""
        return [c for c in COSTS if c in self.table.columns]

    def columns(self, total_margin: Floats) -> dict[str, Floats]:
        """Costs, and what they leave of the margin; shape (n,) each."""
        costs = {column: self.numbers(column) for column in self.known}
        return {**costs, "net": total_margin - sum(costs.values())}

    def numbers(self, column: str) -> Floats:
        """Values of a column, shape (n,); missing where there are none.

        Raises
        ------
        DataError
            If they are no numbers, infinite, or negative costs.
        """
        values = column_of_numbers(self.table[column], column)
        if column in COSTS:
            _refuse(values < 0, column, "negative", values)
        return np.where(self.row >= 0, values[self.row], np.nan)

    def notes(self) -> list[str]:
        """What could not be matched, in words."""
        found = []
        without = int((self.row < 0).sum())
        unused = len(self.table) - (self.row.size - without)
        if without:
            found.append(
                f"{without:,} of {self.row.size:,} customers are not in the customers table: net "
                "is missing for them."
            )
        if unused:
            found.append(f"{unused:,} rows of the customers table belong to nobody in the table.")
        for column in self.known:
            unknown = int((np.isnan(self.numbers(column)) & (self.row >= 0)).sum())
            if unknown:
                found.append(
                    f"{column} is missing for {unknown:,} matched customers, and so is their net."
                )
        if len(self.known) == 1:
            found.append(
                "The customers table has no cost_to_serve: net is total margin less acquisition "
                "cost only."
            )
        return found


def match_customers(customer_ids: Any, customers: Any) -> MatchedCustomers:
    """Find each customer's row in a customers table.

    Parameters
    ----------
    customer_ids
        Series of n ids, of any engine.
    customers
        Data frame of any engine with `customer_id`, `acquisition_cost` and perhaps more.

    Raises
    ------
    UnsupportedFrameError
        If it is no data frame.
    MissingColumnError
        If it lacks a column.
    DataError
        If its ids are of another kind, occur twice, or none is among `customer_ids`.

    Examples
    --------
    >>> import pandas as pd
    >>> customers = pd.DataFrame({"customer_id": ["b", "a"], "acquisition_cost": [4.0, 9.0]})
    >>> match_customers(pd.Series(["a", "b", "c"]), customers).numbers("acquisition_cost")
    array([ 9.,  4., nan])
    """
    table = customers_frame(customers, "customer_id", "acquisition_cost")
    return MatchedCustomers(table, rows_of_customers(customer_ids, table["customer_id"]))


def column_of_numbers(series: nw.Series[Any], column: str) -> Floats:
    """A column of a customers table as numbers; missing ones are nan.

    Raises
    ------
    DataError
        If they are no numbers, or infinite.
    """
    try:
        values = series.cast(nw.Float64).to_numpy().astype(np.float64)
    except Exception as error:  # each engine has its own way of refusing text
        raise DataError(
            f"{column} of the customers table cannot be read as numbers ({series.dtype})"
        ) from error
    _refuse(np.isinf(values), column, "infinite", values)
    return values


def _refuse(bad: NDArray[np.bool_], column: str, what: str, values: Floats) -> None:
    if bad.any():
        first = int(np.argmax(bad))
        raise DataError(
            f"{column} of the customers table is {what} in {int(bad.sum()):,} rows, the first is "
            f"row {first + 1} ({values[first]}); correct them or leave them missing"
        )
