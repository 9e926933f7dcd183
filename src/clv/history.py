"""The simple historical figures: what customers have been worth, and history as a forecast.

================  =============================================================================
`total_margin`    the customer's purchases so far (refunds netted) x gross margin
`run_rate`        average order value x purchases per year x gross margin x years
`net`             total margin - acquisition cost - cost to serve and retain
================  =============================================================================

`run_rate` counts all purchases, the first included, over the time since the first: that is the
formula in common use. It is too high for young customers, whose first purchase has been spread
over little time, and it has no value where that time is 0. Its `years` is an *assumed* length
of the relationship. Multiplied by the customer's own age the formula would only give back past
revenue, so the same number of years is used for everybody.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from clv.errors import DataError, MissingColumnError
from clv.tables._frame import Table
from clv.tables.customers import MatchedCustomers, match_customers
from clv.tables.rfm import RFM
from clv.tables.summary import rfm_summary
from clv.units import DAYS_PER_UNIT, DAYS_PER_YEAR, parse_horizon

if TYPE_CHECKING:
    from datetime import date

    from clv.tables.transactions import Transactions

Floats = NDArray[np.float64]


# -- history as a forecast ----------------------------------------------------------------------


def historical_forecasts(rfm: RFM, horizon: float | str) -> dict[str, Floats]:
    """Turn what customers have spent into forecasts of what they will spend within a horizon.

    ==================  =========================================================================
    total_past_spend    all that was spent so far, as it is
    repeat_past_spend   the same without the first purchase: ``monetary_value * frequency``, 0 for
                        who bought once
    spend_per_tenure    total past spend / T x horizon; with T = 0 (first seen on the last day)
                        a customer has no rate and gets that of the base: all spend / all T
    ==================  =========================================================================

    Parameters
    ----------
    rfm
        Table with n customers, its spend as known at the end of its calibration.
    horizon
        In the time unit of the table, or a text such as "39 weeks".

    Returns
    -------
    dict
        By name, shape (n,) each, in the currency of the table.

    Raises
    ------
    DataError
        If the table has no spend, or nobody in it has any tenure.

    Notes
    -----
    The first two do not depend on the horizon: they are what a ranking by past spend assumes,
    and are what Fader, Hardie & Lee and others set models against.

    Examples
    --------
    >>> import pandas as pd
    >>> import clv
    >>> lines = pd.DataFrame(
    ...     {
    ...         "customer_id": ["ann", "ann", "bob"],
    ...         "date": ["2024-01-01", "2024-01-08", "2024-01-15"],
    ...         "amount": [10.0, 20.0, 50.0],
    ...     }
    ... )
    >>> rfm = clv.rfm_summary(
    ...     clv.read_transactions(lines, amount="amount"),
    ...     observation_period_end="2024-01-15",
    ...     time_unit="week",
    ... )
    >>> {name: list(map(float, v)) for name, v in historical_forecasts(rfm, "1 week").items()}
    {'total_past_spend': [30.0, 50.0], 'repeat_past_spend': [20.0, 0.0], \
'spend_per_tenure': [15.0, 40.0]}
    """
    length = parse_horizon(horizon, rfm.time_unit)
    total = _spend(rfm)
    repeat = rfm.array("frequency") * np.nan_to_num(rfm.array("monetary_value"), nan=0.0)
    return {
        "total_past_spend": total,
        "repeat_past_spend": repeat,
        "spend_per_tenure": _per_tenure(total, rfm.array("T")) * length,
    }


def historical_purchase_forecasts(rfm: RFM, horizon: float | str) -> dict[str, Floats]:
    """Turn past purchases into a forecast: ``frequency / T * horizon``.

    Who bought once is forecast to buy nothing (0 repeat purchases over any T); with T = 0 a
    customer has no rate and gets that of the base: all repeat purchases / all T.

    Parameters
    ----------
    rfm
        Table with n customers.
    horizon
        In the time unit of the table, or a text such as "39 weeks".

    Returns
    -------
    dict
        ``{"purchases_per_tenure": array of shape (n,)}``.

    Raises
    ------
    DataError
        If nobody in the table has any tenure.
    """
    length = parse_horizon(horizon, rfm.time_unit)
    rate = _per_tenure(rfm.array("frequency"), rfm.array("T"))
    return {"purchases_per_tenure": rate * length}


def _per_tenure(amount: Floats, tenure: Floats) -> Floats:
    if not np.any(tenure > 0):
        raise DataError(
            f"all {tenure.size:,} customers were first seen on the last day (T is 0 in every row), "
            "so no rate can be computed; use a later observation_period_end"
        )
    base = float(amount.sum() / tenure.sum())
    rate: Floats = np.divide(amount, tenure, out=np.full(amount.shape, base), where=tenure > 0)
    return rate


def total_margin(rfm: RFM, gross_margin: Floats | float = 1.0) -> Floats:
    """Total past spend x gross margin, shape (n,): the classic CRM figure.

    Raises
    ------
    DataError
        If the table does not know what each customer spent.
    """
    return np.asarray(_spend(rfm) * gross_margin)


def _spend(rfm: RFM) -> Floats:
    total = rfm.array("total_value")
    missing = np.isnan(total)
    if missing.any():
        raise DataError(
            f"total_value is missing for {int(missing.sum()):,} of {total.size:,} customers, the "
            f"first in row {int(np.argmax(missing))}; historical figures need what each customer "
            "spent: make the table with clv.rfm_summary from transactions with an amount, or "
            "give clv.rfm_table a total_value column"
        )
    return total


# -- historical value ---------------------------------------------------------------------------


@dataclass(frozen=True, repr=False, eq=False)
class HistoricalValue(Table):
    """What customers have been worth; a table with one row per customer.

    See `historical_value` for the columns.

    Attributes
    ----------
    years
        The assumed length of a relationship behind `run_rate`.
    notes
        Where that length comes from, and which figures could not be computed.
    """

    years: float = float("nan")
    notes: tuple[str, ...] = ()


def historical_value(
    source: RFM | Transactions,
    *,
    gross_margin: float | str | ArrayLike = 1.0,
    years: float | None = None,
    customers: Any = None,
    observation_period_end: str | date | None = None,
) -> HistoricalValue:
    """Compute the simple historical figures of every customer.

    Parameters
    ----------
    source
        An RFM table with n customers (with a calibration end: figures as known then), or
        transactions.
    gross_margin
        Share of the value that is left after the cost of goods: one number, one per row of the
        table, or the name of a column of `customers`.
    years
        Assumed length of a relationship, for `run_rate`. Left out, it is the mean time since the
        first purchase over all customers of the base, and the notes say how long that is.
    customers
        A data frame with `customer_id`, `acquisition_cost` and, where known, `cost_to_serve` (to
        serve and retain the customer so far), one row per customer. Without it `net` is not
        computed.
    observation_period_end
        Last day counted, when `source` is transactions; left out, the last day in them.

    Returns
    -------
    HistoricalValue
        Rows in the order of the table, in its engine, with columns

        ``customer_id``
        ``purchases``
            ``frequency + 1``.
        ``average_order_value``
            Total past spend / purchases.
        ``purchases_per_year``
            Purchases / years since the first; missing for who was first seen on the last day.
        ``total_margin``
            Total past spend x gross margin.
        ``run_rate``
            Average order value x purchases per year x gross margin x years; missing where
            purchases per year are.
        ``acquisition_cost``, ``cost_to_serve``, ``net``
            With a customers table only. ``net`` is total margin less the costs that table has
            columns for; missing for customers whose costs are.

    Raises
    ------
    DataError
        If the table has no spend, a margin or cost cannot be used, or the ids of `customers` are
        of another kind than those of the table, occur twice, or match nobody.
    MissingColumnError
        If `customers` lacks a column.

    Notes
    -----
    `total_margin` is the classic CRM figure, `run_rate` the base formula, `net` the
    profit view (Berger & Nasr 1998, Journal of Interactive Marketing 12(1): 17-30, case 1, with
    past figures); fixed costs are left out, as they are there with or without the customer.

    Examples
    --------
    >>> import pandas as pd
    >>> import clv
    >>> rfm = clv.rfm_table(
    ...     pd.DataFrame(
    ...         {
    ...             "customer_id": ["ann", "bob"],
    ...             "frequency": [1, 0],
    ...             "recency": [0.5, 0.0],
    ...             "T": [2.0, 1.0],
    ...             "monetary_value": [20.0, None],
    ...             "total_value": [30.0, 50.0],
    ...         }
    ...     ),
    ...     time_unit="year",
    ... )
    >>> value = clv.historical_value(rfm, gross_margin=0.5, years=3)
    >>> value.array("total_margin").tolist(), value.array("run_rate").tolist()
    ([15.0, 25.0], [22.5, 75.0])
    """
    rfm, notes = _as_rfm(source, observation_period_end)
    costs = None if customers is None else match_customers(rfm.customer_ids, customers)
    margin = _margin(rfm, gross_margin, costs)
    total = _spend(rfm)
    purchases = rfm.array("frequency") + 1
    tenure = rfm.array("T") * (DAYS_PER_UNIT[rfm.time_unit] / DAYS_PER_YEAR)
    rate = np.divide(purchases, tenure, out=np.full(total.shape, np.nan), where=tenure > 0)
    length, said = _relationship(years, tenure)
    notes.append(said)
    unknown = int(np.isnan(rate).sum())
    if unknown:
        notes.append(
            f"{unknown:,} customers were first seen on the last day: purchases_per_year and "
            "run_rate are missing for them."
        )
    unknown = int(np.isnan(margin).sum())
    if unknown:
        notes.append(
            f"{gross_margin!r} is missing for {unknown:,} customers, and so are their total_margin "
            "and run_rate."
        )
    margin_so_far = total * margin
    columns: dict[str, Any] = {
        "customer_id": rfm.data["customer_id"],
        "purchases": purchases.astype(np.int64),
        "average_order_value": total / purchases,
        "purchases_per_year": rate,
        "total_margin": margin_so_far,
        "run_rate": total / purchases * rate * margin * length,
    }
    if costs is not None:
        columns |= costs.columns(margin_so_far)
        notes += costs.notes()
    return HistoricalValue(**Table.parts(columns, like=rfm), years=length, notes=tuple(notes))


def _as_rfm(source: Any, end: Any) -> tuple[RFM, list[str]]:
    if isinstance(source, RFM):
        if end is not None:
            raise DataError(
                "observation_period_end belongs to transactions; an RFM table has its own"
            )
        known = source.calibration_period_end
        return source, [] if known is None else [f"Figures as known on {known}, the cut."]
    from clv.tables.transactions import Transactions

    if not isinstance(source, Transactions):
        raise DataError(
            f"historical_value needs an RFM table or transactions, not {type(source).__name__}; "
            "read a data frame with clv.read_transactions, or clv.rfm_table where it has one row "
            "per customer"
        )
    rfm = rfm_summary(source, observation_period_end=end or "last", time_unit="day")
    return rfm, list(rfm.notes)


def _relationship(years: float | None, tenure: Floats) -> tuple[float, str]:
    if years is None:
        length = float(tenure.mean())
        return length, (
            f"years = {length:.2f}, the mean time since the first purchase over the "
            f"{tenure.size:,} customers of the base: an assumption about how long a relationship "
            "lasts, not a forecast; give years= to set it."
        )
    if not (np.isfinite(years) and years > 0):
        raise DataError(f"years must be a positive, finite number of years, not {years!r}")
    return float(years), f"years = {years:g}, as given."


def _margin(rfm: RFM, given: Any, costs: MatchedCustomers | None) -> Floats:
    if isinstance(given, str):
        if costs is None:
            raise DataError(
                f"gross_margin={given!r} names a column of the customers table; give customers="
            )
        if given not in costs.table.columns:
            raise MissingColumnError(
                f"the customers table has no column {given!r} for gross_margin; it has "
                f"{', '.join(costs.table.columns)}"
            )
        margin = costs.numbers(given)
    else:
        if hasattr(given, "index") and hasattr(given, "to_numpy"):
            raise DataError(
                "gross_margin is a Series, whose order may not be that of the table; put it in a "
                "column of customers= and give its name, or an array in the order of the table"
            )
        margin = np.asarray(given, dtype=np.float64)
        if margin.ndim and margin.shape != (len(rfm),):
            raise DataError(
                f"gross_margin has {margin.size:,} values and the table {len(rfm):,} customers; "
                "give one number, or one per row"
            )
        if not np.all(np.isfinite(margin)):
            raise DataError("gross_margin must be finite")
    if np.any(margin > 1):
        raise DataError(
            f"gross_margin must be a share of value such as 0.3, not {float(np.nanmax(margin)):g}; "
            "divide percentages by 100"
        )
    return margin
