"""Who is likely to buy, overdue, slipping away, or about to renew; with a reason per row."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clv.actions.rhythm import Rhythm
from clv.errors import DataError
from clv.fitted import FittedPurchases
from clv.forecast import Forecast
from clv.numerics.backend import Array
from clv.tables._day import parse_day
from clv.tables._frame import Table
from clv.tables._matching import customers_frame
from clv.tables._shown import Shown
from clv.tables.contracts import Contracts
from clv.tables.everybody import Everybody, as_table, chosen, same_customers
from clv.tables.rfm import RFM
from clv.units import DAYS_PER_UNIT, parse_horizon

#: Rows of a list, at most, if nothing else is said: reasons are for people to read.
MOST = 1000


@dataclass(frozen=True, eq=False, repr=False)
class Actions(Shown):
    """A list of customers to look after, the most pressing first.

    Attributes
    ----------
    table
        One row per customer and occasion: ``customer_id``, ``occasion``, ``score`` (what the list
        is ordered by), ``day`` (due, where there is one), ``residual_value`` (where a forecast was
        given) and ``reason``, in words.
    found
        How many there are in all; the table may be cut short.
    """

    table: Table
    found: int

    def __len__(self) -> int:
        return len(self.table)

    def _remarks(self) -> tuple[str, ...]:
        return (f"{len(self):,} of {self.found:,}",)


def likely_to_buy(
    rfm: RFM,
    purchases: FittedPurchases,
    *,
    within: float | str = "30 days",
    at_least: float = 0.5,
    forecast: Any = None,
    most: int = MOST,
) -> Actions:
    """Customers who probably buy within the next days.

    Parameters
    ----------
    rfm, purchases
        A table with n customers and a fitted purchase model.
    within
        How soon.
    at_least
        Smallest P(at least one purchase within that time).
    forecast
        Of the same customers, for their value.
    most
        Rows of the list, at most.

    Returns
    -------
    Actions
        Ordered by that probability, the ``score``.

    Examples
    --------
    >>> import clv
    >>> transactions = clv.read_transactions(clv.datasets.load_cdnow(), amount="amount")
    >>> rfm = clv.rfm_summary(transactions, observation_period_end="1998-06-30")
    >>> print(likely_to_buy(rfm, clv.BetaGeoModel().fit(rfm)).table["reason"][0])
    buys within 30 days with probability 87%; 41 orders, one every 12 days, last 4 days ago
    """
    chance = 1.0 - purchases.probability_no_purchase(rfm, within)
    days = _days(within, rfm)
    rhythm = Rhythm(rfm)

    def reason(k: int) -> str:
        return f"buys within {days:g} days with probability {chance[k]:.0%}; {rhythm.text(k)}"

    return _listed(rfm, "likely to buy", chance, chance >= at_least, reason, forecast, most)


def overdue(
    rfm: RFM,
    purchases: FittedPurchases,
    *,
    by_chance: float = 0.1,
    alive_at_least: float = 0.2,
    min_purchases: int = 3,
    forecast: Any = None,
    most: int = MOST,
) -> Actions:
    """Customers who have been silent for longer than their own rhythm explains.

    Parameters
    ----------
    rfm, purchases
        A table with n customers and a fitted purchase model.
    by_chance
        Overdue is who, buying on in their own rhythm, would be silent for so long with a
        probability below this. With x intervals that took t_x together it is (1 + silence /
        t_x)^-x: exponential intervals whose rate is known from these x alone.
    alive_at_least
        Who is probably gone for good, with P(alive) below this, is left out.
    min_purchases
        Purchases that make a rhythm.
    forecast
        Of the same customers, for their value.
    most
        Rows of the list, at most.

    Returns
    -------
    Actions
        Ordered by silence as a multiple of the usual interval, the ``score``; ``day`` is when the
        order was due.
    """
    rhythm = Rhythm(rfm)
    with np.errstate(divide="ignore", invalid="ignore"):
        chance = (1.0 + rhythm.silence / rhythm.span) ** -rhythm.intervals
        multiple = rhythm.silence / rhythm.usual
    alive = purchases.probability_alive(rfm)
    wanted = (
        (rhythm.intervals + 1 >= min_purchases) & (chance < by_chance) & (alive >= alive_at_least)
    )

    def reason(k: int) -> str:
        return (
            f"silent for {rhythm.silence[k]:.0f} days, usually orders every {rhythm.usual[k]:.0f}: "
            f"{multiple[k]:.1f} times as long, by chance in {chance[k]:.1%} of cases; "
            f"still a customer with probability {alive[k]:.0%}"
        )

    due = None
    as_of = rfm.as_of
    if as_of is not None:
        late = np.where(wanted, rhythm.silence - rhythm.usual, 0.0)
        due = np.datetime64(as_of, "D") - np.rint(late).astype("timedelta64[D]")
    return _listed(rfm, "overdue", multiple, wanted, reason, forecast, most, due)


def slipping_away(rfm: RFM, forecast: Any, *, min_churn: float = 0.3, most: int = MOST) -> Actions:
    """Valuable customers who may leave: value at risk.

    Parameters
    ----------
    rfm
        Table with n customers.
    forecast
        Of the same customers, with a horizon.
    min_churn
        Smallest probability of having left by the end of the horizon.
    most
        Rows of the list, at most.

    Returns
    -------
    Actions
        Ordered by value at risk, the ``score``: residual value x probability of leaving
        (``churn_probability``).

    Raises
    ------
    DataError
        If the forecast is without horizon: for ever, everybody leaves.
    """
    source = as_table(forecast)
    if isinstance(forecast, Forecast) and forecast.horizon is None:
        raise DataError(
            "for ever, everybody leaves: value at risk needs a forecast with a horizon, such as "
            "clv.forecast(..., horizon='365 days')"
        )
    same_customers(rfm, source, "the forecast")
    value, churn = source.array("residual_value"), source.array("churn_probability")
    at_risk = value * churn
    rhythm = Rhythm(rfm)

    def reason(k: int) -> str:
        return (
            f"worth {value[k]:,.2f} from here on, leaves with probability {churn[k]:.0%}: "
            f"{at_risk[k]:,.2f} at risk; {rhythm.text(k)}"
        )

    wanted = (churn >= min_churn) & (at_risk > 0)
    return _listed(rfm, "slipping away", at_risk, wanted, reason, source, most)


def ending(
    source: Any,
    column: str | None = None,
    *,
    as_of: str | date | None = None,
    within: float | str = "30 days",
    what: str | None = None,
    calendar: str = "gregorian",
    most: int = MOST,
) -> Actions:
    """Customers whose contract, renewal or warranty ends within the next days.

    Parameters
    ----------
    source
        A customers table with a column of days, or contracts from `clv.contracts_table`.
    column
        Name of that column; of contracts ``next_renewal``.
    as_of
        Today; of contracts the day they are known up to.
    within
        How soon: a text such as "30 days", or a number of days. Both ends count.
    what
        What ends, in words; the name of the column where nothing is said.
    calendar
        Of days that are written as text.
    most
        Rows of the list, at most.

    Returns
    -------
    Actions
        Ordered by days to go, the ``score``; ``day`` is when it ends.

    Raises
    ------
    MissingColumnError
        If there is no such column.
    DataError
        If a day cannot be read, or today is not said.

    Examples
    --------
    >>> import pandas as pd
    >>> known = pd.DataFrame({"customer_id": ["a", "b"], "warranty": ["2025-07-12", "2026-01-01"]})
    >>> ending(known, "warranty", as_of="2025-06-30").table["reason"].tolist()
    ['warranty on 2025-07-12, in 12 days']
    """
    if isinstance(source, Contracts):
        column, what = column or "next_renewal", what or "contract renews"
        today, ids, found = source.as_of, source.data["customer_id"], source.values(column)
        engine = source.engine
    else:
        if column is None:
            raise DataError("column= names the column of the customers table with the days")
        frame = customers_frame(source, "customer_id", column)
        everybody = Everybody(
            frame["customer_id"], 0, np.arange(len(frame)), frame, frame.implementation.value
        )
        today, ids, found = None, everybody.ids, everybody.days(column, calendar)
        engine = everybody.engine
    if as_of is not None:
        today = parse_day(as_of, "as_of", calendar)
    if today is None:
        raise DataError("as_of= says which day the days to come are counted from")
    said = what or str(column).replace("_", " ")
    days = found.astype("datetime64[D]")
    left = np.asarray((days - np.datetime64(today, "D")) / np.timedelta64(1, "D"))
    wanted = (left >= 0) & (left <= parse_horizon(within, "day"))

    def reason(k: int) -> str:
        go = int(left[k])
        return f"{said} on {days[k]}, {'today' if go == 0 else f'in {go} day' + 's' * (go > 1)}"

    rows = _order(np.flatnonzero(wanted), -left, ids)
    table = _table(ids, said, left, reason, rows[:most], days)
    return Actions(Table.from_columns(table, like=engine), len(rows))


def opportunities(
    rfm: RFM,
    purchases: FittedPurchases,
    forecast: Any,
    *,
    customers: Any = None,
    ends: Mapping[str, str] | None = None,
    within: str = "30 days",
    calendar: str = "gregorian",
    most: int = MOST,
) -> Actions:
    """All lists in one: likely to buy, overdue, slipping away, and what ends.

    Parameters
    ----------
    rfm, purchases, forecast
        A table, a fitted purchase model, and a forecast with a horizon.
    customers
        A customers table, for `ends`.
    ends
        Its columns with days, and what ends then, in words.
    within
        How soon.
    calendar
        Of days that are written as text.
    most
        Rows of each list, at most.

    Returns
    -------
    Actions
        One list after another; a customer may be in several.
    """
    found = [
        slipping_away(rfm, forecast, most=most),
        overdue(rfm, purchases, forecast=forecast, most=most),
        likely_to_buy(rfm, purchases, within=within, forecast=forecast, most=most),
    ]
    as_of = rfm.as_of
    for column, what in (ends or {}).items():
        found.append(
            ending(
                customers,
                column,
                as_of=as_of,
                within=within,
                what=what,
                calendar=calendar,
                most=most,
            )
        )
    names = ("customer_id", "occasion", "score", "day", "residual_value", "reason")
    columns = {
        name: np.concatenate([_padded(part.table, name) for part in found]) for name in names
    }
    return Actions(Table.from_columns(columns, like=rfm), sum(part.found for part in found))


def _padded(table: Table, name: str) -> NDArray[Any]:
    if name in table.columns:
        values = table.values(name)
        return values.astype(object) if name == "customer_id" else values
    missing = np.datetime64("NaT", "D") if name == "day" else np.nan
    return np.full(len(table), missing)


# --- a list -----------------------------------------------------------------------------------


def _days(length: float | str, rfm: RFM) -> float:
    return round(parse_horizon(length, rfm.time_unit) * DAYS_PER_UNIT[rfm.time_unit], 6)


def _listed(
    rfm: RFM,
    occasion: str,
    score: Array,
    wanted: NDArray[np.bool_],
    reason: Callable[[int], str],
    forecast: Any,
    most: int,
    day: NDArray[np.datetime64] | None = None,
) -> Actions:
    rows = _order(np.flatnonzero(wanted), score, rfm.data["customer_id"])
    kept = rows[:most]
    columns = _table(rfm.data["customer_id"], occasion, score, reason, kept, day)
    if forecast is not None:
        source = as_table(forecast)
        same_customers(rfm, source, "the forecast")
        columns["residual_value"] = source.array("residual_value")[kept]
    columns["reason"] = columns.pop("reason")  # the words come last
    return Actions(Table.from_columns(columns, like=rfm), len(rows))


def _order(rows: NDArray[np.int64], score: Array, ids: Any) -> NDArray[np.int64]:
    """By score, the largest first; equals by id, so that the order of the table does not matter."""
    if not len(rows):
        return rows
    names = np.array([str(name) for name in chosen(ids, rows)])
    return rows[np.lexsort((names, -score[rows]))]


def _table(
    ids: Any,
    occasion: str,
    score: Array,
    reason: Callable[[int], str],
    rows: NDArray[np.int64],
    day: NDArray[np.datetime64] | None,
) -> dict[str, Any]:
    return {
        "customer_id": chosen(ids, rows),
        "occasion": np.full(len(rows), occasion, dtype=object),
        "score": score[rows],
        "day": np.full(len(rows), np.datetime64("NaT", "D")) if day is None else day[rows],
        "reason": np.array([reason(int(k)) for k in rows], dtype=object),
    }
