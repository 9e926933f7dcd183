"""Tables that others have summarised, checked before anything is believed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import narwhals as nw
import numpy as np

from clv.errors import DataError, MissingColumnError, NoUsableRowsError, UnsupportedFrameError
from clv.tables._frame import FloatArray, collect, counted
from clv.tables.refunds import BoolArray

REQUIRED = ("customer_id", "frequency", "recency", "T")
COUNTS = ("frequency", "holdout_purchases")
DATES = ("first_purchase", "last_purchase")

#: Of the log of a value: means are often rounded to cents.
_ROUNDING = 0.01


class ReadyMade(NamedTuple):
    """Checked columns under our names, the engine they came in, and remarks."""

    columns: dict[str, Any]
    engine: str
    notes: list[str]


def read_ready_made(frame: Any, names: Mapping[str, str | None]) -> ReadyMade:
    """Take the columns of a frame and check them.

    Parameters
    ----------
    frame
        A frame of any engine with one row per customer.
    names
        Our name and the frame's name of every column; a column that is not required may be
        missing if its name was not changed, and customers without ids are numbered from 1.
    """
    table, engine = _eager(frame, names["customer_id"])
    if len(table) == 0:
        raise NoUsableRowsError("the table has no rows; give one row per customer")
    chosen = _chosen_names(table, names)
    ids = _ids(table, names["customer_id"])
    columns: dict[str, Any] = {"customer_id": ids}
    for ours, theirs in chosen.items():
        values = table[theirs]
        columns[ours] = _dates(values) if ours in DATES else _numbers(values, theirs)
    notes = _check(columns, chosen, ids)
    for ours in COUNTS:
        if ours in columns:
            columns[ours] = columns[ours].astype(np.int64)
    _derive(columns)
    _check_log_values(columns, chosen, ids)
    return ReadyMade(columns, engine, notes)


# -- reading ---------------------------------------------------------------------------------


def _eager(frame: Any, customer_id: str | None) -> tuple[nw.DataFrame[Any], str]:
    try:
        known = nw.from_native(frame)
    except TypeError as error:
        raise UnsupportedFrameError(
            f"a {type(frame).__name__} is no table that is known; give a pandas, Polars or "
            "PyArrow frame or a DuckDB relation with one row per customer"
        ) from error
    native = known.to_native()
    if (
        known.implementation.is_pandas()
        and customer_id is not None
        and customer_id not in known.columns
        and customer_id in native.index.names
    ):
        known = nw.from_native(native.reset_index())
    return collect(known), known.implementation.name.lower()


def _chosen_names(table: nw.DataFrame[Any], names: Mapping[str, str | None]) -> dict[str, str]:
    chosen: dict[str, str] = {}
    for ours, theirs in names.items():
        if theirs is None:
            continue
        if theirs in table.columns:
            if ours != "customer_id":
                chosen[ours] = theirs
        elif ours in REQUIRED or theirs != ours:
            raise MissingColumnError(
                f"the table has no column {theirs!r} for {ours}; it has "
                f"{', '.join(table.columns)}. Name it: rfm_table(..., {ours}=...)"
            )
    return chosen


def _ids(table: nw.DataFrame[Any], name: str | None) -> nw.Series[Any]:
    if name is None:
        numbers = np.arange(1, len(table) + 1)
        return nw.new_series("customer_id", numbers, nw.Int64(), backend=table.implementation)
    ids = nw.maybe_reset_index(table[name])
    _require(
        ids.is_null().to_numpy(),
        ids,
        name,
        "have no id",
        "give every customer an id, or leave these rows out",
    )
    if ids.n_unique() < len(ids):
        _require(
            (~ids.is_first_distinct()).to_numpy(),
            ids,
            name,
            "repeat an id",
            "one row per customer is needed: make the table from transactions with "
            "clv.rfm_summary, or sum it up",
        )
    return ids


def _numbers(values: nw.Series[Any], name: str) -> FloatArray:
    if not values.dtype.is_numeric():
        raise DataError(
            f"column {name!r} holds {values.dtype}, not numbers; convert it before calling "
            "clv.rfm_table"
        )
    numbers: FloatArray = values.cast(nw.Float64()).to_numpy().astype(np.float64)
    return numbers


def _dates(values: nw.Series[Any]) -> Any:
    if not values.dtype.is_temporal():
        raise DataError(
            f"column {values.name!r} holds {values.dtype}, not dates; convert it, or leave it out"
        )
    return values.to_numpy().astype("datetime64[D]")


# -- checking --------------------------------------------------------------------------------


def _require(
    is_wrong: BoolArray, ids: nw.Series[Any], name: str, complaint: str, remedy: str
) -> None:
    """Raise a DataError that names the column, how many rows, the first and the remedy."""
    if not is_wrong.any():
        return
    first = int(np.argmax(is_wrong))
    raise DataError(
        f"{name}: {int(is_wrong.sum()):,} of {is_wrong.size:,} rows {complaint}; the first is "
        f"row {first + 1} (customer {ids[first]!r}). To do: {remedy}"
    )


def _check(columns: dict[str, Any], theirs: Mapping[str, str], ids: nw.Series[Any]) -> list[str]:
    """Raise on the first column that cannot be right; return remarks on what was mended."""

    def require(ours: str, is_wrong: BoolArray, complaint: str, remedy: str) -> None:
        _require(is_wrong, ids, theirs[ours], complaint, remedy)

    frequency, recency, age = (columns[name] for name in REQUIRED[1:])
    for name in ("frequency", "recency", "T", "holdout_purchases", "holdout_spend"):
        if name in columns:
            require(
                name,
                ~np.isfinite(columns[name]),
                "are missing or not finite",
                "leave these rows out, or fill in what is known",
            )
    for name in COUNTS:
        if name in columns:
            require(
                name,
                (columns[name] < 0) | (columns[name] != np.rint(columns[name])),
                "are negative or no whole number",
                "count days of purchase" + (" after the first one" if name == "frequency" else ""),
            )
    require("recency", recency < 0, "are negative", "recency is the age at the last purchase")
    # Half a second in years is a rounding of T, not a purchase after the end.
    require(
        "recency",
        recency > age * (1 + 1e-9),
        f"exceed {theirs['T']}",
        "recency is the age at the last purchase (last - first), not the time since it; and both "
        "are in one unit",
    )
    np.minimum(recency, age, out=recency)
    require(
        "recency",
        (recency > 0) & (frequency == 0),
        "are positive although there was no repeat purchase",
        "recency is 0 for customers who bought once; it is not the time since that purchase",
    )
    require(
        "recency",
        (recency == 0) & (frequency > 0),
        "are 0 although there were repeat purchases",
        "frequency counts purchases on later days: neither the first purchase nor others of the "
        "same day",
    )
    return _check_money(columns, frequency, require)


def _check_money(columns: dict[str, Any], frequency: FloatArray, require: Any) -> list[str]:
    for name in ("monetary_value", "mean_purchase_value", "total_value", "sum_log_intervals"):
        if name not in columns:
            continue
        values = columns[name]
        needed = frequency > 0 if name == "monetary_value" else np.ones(values.size, np.bool_)
        require(
            name,
            (needed & np.isnan(values)) | np.isinf(values),
            "are missing or not finite"
            + (" although there were repeat purchases" if name == "monetary_value" else ""),
            "fill them in or leave these rows out",
        )
        if name != "sum_log_intervals":
            require(name, values < 0, "are negative", "take refunds off the purchases first")
    if "monetary_value" not in columns:
        return ["The table has no monetary_value: spend models cannot be fitted to it."]
    money = columns["monetary_value"]
    ignored = int(((frequency == 0) & (money > 0)).sum())
    money[frequency == 0] = np.nan
    if not ignored:
        return []
    note = (
        f"monetary_value of {counted(ignored, 'customer', 'customers')} without repeat purchases "
        "was set to missing: it is the mean value of repeat purchases."
    )
    return [note]


def _derive(columns: dict[str, Any]) -> None:
    """total_value and mean_purchase_value each follow from the other."""
    purchases = columns["frequency"] + 1
    if "total_value" in columns and "mean_purchase_value" not in columns:
        columns["mean_purchase_value"] = columns["total_value"] / purchases
    elif "mean_purchase_value" in columns and "total_value" not in columns:
        columns["total_value"] = columns["mean_purchase_value"] * purchases


def _check_log_values(columns: dict[str, Any], theirs: Mapping[str, str], ids: Any) -> None:
    """Of all values with the same mean, equal ones have the largest sum of logs."""
    if "sum_log_values" not in columns:
        return
    logs, purchases = columns["sum_log_values"], columns["frequency"] + 1.0
    known = columns.get("mean_purchase_value", np.full(logs.size, np.nan))
    most = purchases * (np.log(np.where(known > 0, known, np.inf)) + _ROUNDING)
    _require(
        np.isinf(logs) | (logs > most),
        ids,
        theirs["sum_log_values"],
        "are infinite or larger than the mean value allows",
        "it is the sum of the natural logs of the values of all purchases, the first included, and "
        "missing where one was worth nothing",
    )
