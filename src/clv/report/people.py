"""Customers by name: of whom most is expected, and whom to call before they are gone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from clv.actions import slipping_away
from clv.export.audience import audience
from clv.files import as_arrow
from clv.forecast import Forecast
from clv.tables.rfm import RFM

Floats = NDArray[np.float64]

#: Who leaves with a smaller probability within the horizon need not be called.
LEAVING = 0.3


class Person(NamedTuple):
    """A row of a list of customers."""

    customer_id: str
    name: str | None
    tier: str
    stage: str
    probability_alive: float
    expected_purchases: float
    residual_value: float
    residual_value_low: float | None
    residual_value_high: float | None
    historical_value: float
    last_purchase: Any
    next_purchase: Any
    days_silent: float | None
    days_between_orders: float | None
    value_at_risk: float


class People(NamedTuple):
    """Lists of customers, and what is at risk in all.

    Attributes
    ----------
    top
        Of whom most is expected, the most valuable first.
    calls
        With the most value at risk among those who will leave with some probability.
    value_at_risk
        Of everybody: value to come x probability of leaving within the horizon.
    customers
        How many there are.
    has_names
        Whether a customers table knows their names.
    """

    top: tuple[Person, ...]
    calls: tuple[Person, ...]
    value_at_risk: float
    customers: int
    has_names: bool


def people(
    rfm: RFM,
    forecast: Forecast,
    customers: Any,
    *,
    columns: Mapping[str, str],
    labels: Mapping[str, Any],
    top: int,
    calls: int,
) -> People:
    """Make the lists; parameters as in `clv.report.facts.gather`."""
    table = audience(
        rfm, forecast, customers, columns=columns, labels=labels, value="residual_value"
    ).table
    value = np.nan_to_num(table["residual_value"].to_numpy())
    at_risk = np.maximum(value, 0.0) * table["churn_probability"].to_numpy()
    best = np.argsort(-value, kind="stable")[:top]  # equal ones by their place
    return People(
        top=_persons(table, best, at_risk, forecast),
        calls=_persons(table, _slipping(rfm, forecast, table, calls), at_risk, forecast),
        value_at_risk=float(at_risk.sum()),
        customers=len(rfm),
        has_names=bool({"first_name", "last_name"} & set(table.column_names)),
    )


def _slipping(rfm: RFM, forecast: Forecast, table: Any, count: int) -> NDArray[np.int64]:
    """Rows of those who are valuable and slipping away; nobody where there is no horizon."""
    import pyarrow as pa

    if forecast.horizon is None:
        return np.empty(0, dtype=np.int64)
    found = slipping_away(rfm, forecast, min_churn=LEAVING, most=count)
    ids = as_arrow(found.table)["customer_id"]
    places = pa.compute.index_in(ids, value_set=table["customer_id"].combine_chunks())
    return np.asarray(places.to_numpy(), dtype=np.int64)


def _persons(
    table: Any, rows: NDArray[np.int64], at_risk: Floats, forecast: Forecast
) -> tuple[Person, ...]:
    import pyarrow as pa

    found = table.take(pa.array(rows)).to_pylist()
    return tuple(
        Person(
            customer_id=str(row["customer_id"]),
            name=" ".join(
                part.strip()
                for part in (row.get("first_name"), row.get("last_name"))
                if part is not None and part.strip()
            )
            or None,
            tier=row["tier"],
            stage=row["stage"],
            probability_alive=row["probability_alive"],
            expected_purchases=row["expected_purchases"],
            residual_value=row["residual_value"],
            residual_value_low=row.get("residual_value_low"),
            residual_value_high=row.get("residual_value_high"),
            historical_value=row["historical_value"],
            last_purchase=row["last_purchase"],
            next_purchase=row.get("next_purchase_p50"),
            days_silent=_days_between(row["last_purchase"], forecast.as_of),
            days_between_orders=row["average_days_between_orders"],
            value_at_risk=float(risk),
        )
        for row, risk in zip(found, at_risk[rows].tolist(), strict=True)
    )


def _days_between(first: Any, last: Any) -> float | None:
    return None if first is None or last is None else float((last - first).days)
