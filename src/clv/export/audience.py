"""The audience: one row per customer with everything a preset may ask for."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from clv.errors import DataError, MissingColumnError
from clv.files import as_arrow
from clv.fitted import Fitted
from clv.forecast import Forecast
from clv.tables._matching import customers_frame, rows_of_customers
from clv.tables.rfm import RFM
from clv.units import DAYS_PER_UNIT

if TYPE_CHECKING:
    import pyarrow as pa

ValueName = Literal["lifetime_value", "residual_value", "historical_value"]

#: What is known of people, and the headings under which a customers table has it.
CONTACT = (
    *("first_name", "last_name", "email", "phone", "country", "state", "city", "zip"),
    *("channel", "consent"),
)
_OF_RFM = ("first_purchase", "last_purchase", "mean_purchase_value", "total_value")
_BUCKETS = 10


@dataclass(frozen=True)
class Audience:
    """Customers, what is known of them and what is forecast; made by `audience`.

    Attributes
    ----------
    table
        Arrow table in the order of `customer_id`: the columns of `clv.forecast`, contact data
        under the names in `CONTACT` as far as they are known, ``orders``, ``first_purchase``,
        ``last_purchase``, ``average_days_between_orders``, ``value`` (the one of `value_name`),
        ``value_bucket`` (1 low to 10 high), ``as_of`` and, if given, ``tier``, ``stage`` and
        ``segment``.
    in_customers_table
        Whether each customer has a row in the customers table, shape (n,).
    about
        What the manifest says of it: day, horizon, models.
    """

    table: pa.Table
    in_customers_table: np.ndarray[Any, np.dtype[np.bool_]]
    about: Mapping[str, Any]

    def __len__(self) -> int:
        return int(self.table.num_rows)


def audience(
    rfm: RFM,
    forecast: Forecast,
    customers: Any = None,
    *,
    columns: Mapping[str, str] | None = None,
    labels: Mapping[str, Any] | None = None,
    value: ValueName = "lifetime_value",
    models: Sequence[Fitted] = (),
    version: str | None = None,
) -> Audience:
    """Put together what is known and forecast of every customer.

    Parameters
    ----------
    rfm, forecast
        A table with n customers, and its forecast.
    customers
        Customers table of any engine; without one there is nobody to write to, only values.
    columns
        What the columns of `customers` are called where they have other names than `CONTACT` and
        "customer_id": ``{"email": "E-Mail"}``.
    labels
        Further columns (n,) by name, such as "tier" and "stage".
    value
        Which value ``value`` and ``value_bucket`` are of.
    models
        The models behind the forecast, for the manifest.
    version
        Their version; without one it is made from their parameters.

    Raises
    ------
    MissingColumnError
        If a column that `columns` names is not there.
    DataError
        If the forecast is of other customers, or has no such value.

    Examples
    --------
    >>> import clv
    >>> import pandas as pd
    >>> transactions = clv.read_transactions(clv.datasets.load_cdnow())
    >>> rfm = clv.rfm_summary(transactions, observation_period_end="1998-06-30")
    >>> purchases, spend = clv.BetaGeoModel().fit(rfm), clv.GammaGammaModel().fit(rfm)
    >>> forecast = clv.forecast(rfm, purchases, spend, horizon="52 weeks", interval=None)
    >>> mail = pd.DataFrame({"customer_id": [1, 2], "email": ["a@example.com", None]})
    >>> known = audience(rfm, forecast, mail, models=[purchases, spend])
    >>> known.table["email"].null_count, known.about["as_of"]
    (2356, '1998-06-30')
    """
    import pyarrow as pa

    if value not in ("lifetime_value", "residual_value", "historical_value"):
        raise DataError(
            f"value must be 'lifetime_value', 'residual_value' or 'historical_value', not {value!r}"
        )
    ahead = as_arrow(forecast)
    ids = ahead["customer_id"]
    if len(rfm) != len(forecast) or not as_arrow(rfm)["customer_id"].equals(ids):
        raise DataError(
            f"the forecast is of {len(forecast):,} customers that are not those of the table, in "
            "its order; forecast this table"
        )
    found: dict[str, Any] = dict(zip(ahead.column_names, ahead.columns, strict=True))
    found |= _history(rfm)
    found["value"] = found[value]
    if np.isnan(forecast.array(value)).all() and len(forecast):
        raise DataError(f"{value} is missing for everybody; choose another value")
    found["value_bucket"] = pa.array(_bucket(forecast.array(value)), from_pandas=True)
    found["as_of"] = pa.array([forecast.as_of] * len(rfm), pa.date32())
    known = np.zeros(len(rfm), dtype=bool)
    if customers is not None:
        of_customers, known = contact(rfm, customers, columns or {})
        found |= of_customers
    for name, values in (labels or {}).items():
        if len(values) != len(rfm):
            raise DataError(
                f"label {name!r} has {len(values):,} values and the table {len(rfm):,} customers"
            )
        found[name] = pa.array(np.asarray(values, dtype=object), pa.string(), from_pandas=True)
    table, order = pa.table(found), pa.compute.sort_indices(ids).to_numpy()
    if np.any(order[1:] < order[:-1]):  # a large table is not copied where it is in order
        table, known = table.take(pa.array(order)), known[order]
    return Audience(table, known, _about(forecast, value, models, version))


def _history(rfm: RFM) -> dict[str, Any]:
    import pyarrow as pa

    table = as_arrow(rfm)
    frequency, recency = rfm.array("frequency"), rfm.array("recency")
    repeat = frequency > 0
    days = np.full(len(rfm), np.nan)
    days[repeat] = recency[repeat] / frequency[repeat] * DAYS_PER_UNIT[rfm.time_unit]
    empty = pa.nulls(len(rfm), pa.float64())
    return {
        "orders": pa.array(frequency.astype(np.int64) + 1),
        "average_days_between_orders": pa.array(days, from_pandas=True),
        **{n: table[n] if n in table.column_names else empty for n in _OF_RFM},
    }


def _bucket(values: np.ndarray[Any, np.dtype[np.float64]]) -> np.ndarray[Any, Any]:
    """1 (low) to 10 (high) by rank; equal values share a bucket, missing ones have none."""
    result = np.full(len(values), np.nan)
    known = np.flatnonzero(~np.isnan(values))
    _, place, count = np.unique(values[known], return_inverse=True, return_counts=True)
    middle = np.cumsum(count) - count / 2  # of the ranks of equal values
    share = middle[place] / max(len(known), 1)
    result[known] = np.minimum(np.floor(share * _BUCKETS) + 1, _BUCKETS)
    return result


def contact(
    rfm: RFM, customers: Any, columns: Mapping[str, str], rows: Any = None
) -> tuple[dict[str, Any], np.ndarray[Any, np.dtype[np.bool_]]]:
    """What a customers table knows of the customers of a table, or of some rows of it.

    Returns
    -------
    tuple
        Arrow columns by field of `CONTACT`, and whether each customer has a row there.
    """
    import pyarrow as pa

    unknown = sorted(set(columns) - {*CONTACT, "customer_id"})
    if unknown:
        raise DataError(
            f"there is no field {unknown[0]!r}; fields are customer_id, {', '.join(CONTACT)}"
        )
    id_column = columns.get("customer_id", "customer_id")
    frame = customers_frame(customers, id_column)
    row = rows_of_customers(rfm.customer_ids, frame[id_column])
    if rows is not None:
        row = row[rows]
    places = pa.array(np.where(row >= 0, row, 0), mask=row < 0)
    found = {}
    for field in CONTACT:
        name = columns.get(field, field)
        if name in frame.columns:
            column = as_arrow(frame.select(name).to_native())[name]
            if pa.types.is_dictionary(column.type):  # a category is text to everybody else
                column = column.cast(column.type.value_type)
            found[field] = column.take(places)
        elif field in columns:
            raise MissingColumnError(
                f"the customers table has no column {name!r} ({field}); it has "
                f"{', '.join(frame.columns)}"
            )
    return found, row >= 0


def _about(
    forecast: Forecast, value: str, models: Sequence[Fitted], version: str | None
) -> dict[str, Any]:
    fitted = [
        {
            "kind": str(model.kind),
            "model": model.model_name,
            "parameters": model.parameters,
            "customers": model.n_customers,
            "fitted_to": None
            if model.observation_period_end is None
            else model.observation_period_end.isoformat(),
            "data_fingerprint": model.fingerprint,
        }
        for model in models
    ]
    text = json.dumps(fitted, sort_keys=True)
    made = hashlib.sha256(text.encode()).hexdigest()[:12] if fitted else None
    return {
        "as_of": None if forecast.as_of is None else forecast.as_of.isoformat(),
        "horizon": forecast.horizon,
        "time_unit": forecast.time_unit,
        "discount_rate": forecast.discount_rate,
        "interval": forecast.interval,
        "value": value,
        "model_version": version or made,
        "models": fitted,
    }
