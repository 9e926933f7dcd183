"""Customers by name: of whom most is expected, and whom to call before they are gone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from clv.actions import slipping_away
from clv.export.audience import contact
from clv.files import as_arrow
from clv.forecast import Forecast
from clv.tables.rfm import RFM
from clv.units import DAYS_PER_UNIT

Floats = NDArray[np.float64]

#: Columns of the forecast that a row shows.
_FORECAST = (
    *("probability_alive", "expected_purchases", "residual_value", "residual_value_low"),
    *("residual_value_high", "historical_value"),
)

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
    value = np.nan_to_num(forecast.array("residual_value"))
    at_risk = np.maximum(value, 0.0) * forecast.array("churn_probability")
    best = np.argsort(-value, kind="stable")[:top]  # equal ones by their place
    urgent = _slipping(rfm, forecast, calls)
    rows = np.concatenate([best, urgent])
    known = {} if customers is None else contact(rfm, customers, columns, rows)[0]
    names = _names(known, len(rows))
    persons = tuple(
        Person(name=name, value_at_risk=risk, **row)
        for name, risk, row in zip(
            names, at_risk[rows].tolist(), _records(rfm, forecast, labels, rows), strict=True
        )
    )
    return People(
        top=persons[: len(best)],
        calls=persons[len(best) :],
        value_at_risk=float(at_risk.sum()),
        customers=len(rfm),
        has_names=bool({"first_name", "last_name"} & set(known)),
    )


def _slipping(rfm: RFM, forecast: Forecast, count: int) -> NDArray[np.int64]:
    """Rows of those who are valuable and slipping away; nobody where there is no horizon."""
    import pyarrow as pa

    if forecast.horizon is None:
        return np.empty(0, dtype=np.int64)
    found = slipping_away(rfm, forecast, min_churn=LEAVING, most=count)
    ids, everybody = (as_arrow(table)["customer_id"] for table in (found.table, rfm))
    places = pa.compute.index_in(ids, value_set=everybody.combine_chunks())
    return np.asarray(places.to_numpy(), dtype=np.int64)


def _names(known: Mapping[str, Any], count: int) -> list[str | None]:
    parts = [known[f].to_pylist() for f in ("first_name", "last_name") if f in known]
    if not parts:
        return [None] * count
    return [
        " ".join(part.strip() for part in of_one if part is not None and part.strip()) or None
        for of_one in zip(*parts, strict=True)
    ]


def _records(
    rfm: RFM, forecast: Forecast, labels: Mapping[str, Any], rows: NDArray[np.int64]
) -> Iterator[dict[str, Any]]:
    """The other fields of `Person`, row by row."""

    def of(table: Any, name: str) -> list[Any]:
        return table.values(name)[rows].tolist() if name in table.columns else [None] * len(rows)

    last = of(rfm, "last_purchase")
    frequency, recency = (rfm.array(name)[rows] for name in ("frequency", "recency"))
    rhythm = recency * DAYS_PER_UNIT[rfm.time_unit] / np.maximum(frequency, 1)
    columns = {
        "customer_id": [str(name) for name in of(rfm, "customer_id")],
        **{
            name: np.asarray(values, dtype=object)[rows].tolist() for name, values in labels.items()
        },
        **{name: of(forecast, name) for name in _FORECAST},
        "last_purchase": last,
        "next_purchase": of(forecast, "next_purchase_p50"),
        "days_silent": [_days_between(day, forecast.as_of) for day in last],
        "days_between_orders": [
            float(r) if n else None for r, n in zip(rhythm, frequency, strict=True)
        ],
    }
    for values in zip(*columns.values(), strict=True):
        yield dict(zip(columns, values, strict=True))


def _days_between(first: Any, last: Any) -> float | None:
    return None if first is None or last is None else float((last - first).days)
