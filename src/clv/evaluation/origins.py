"""Where the past is cut for a backtest, and what was known on each of these days."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from clv.errors import DataError
from clv.tables._arrow import as_numpy
from clv.tables._day import day_number, parse_day
from clv.tables._days import Days
from clv.tables._frame import FloatArray, Table, counted
from clv.tables._summary import runs_of, summarise
from clv.tables.refunds import net_refunds
from clv.tables.rfm import RFM
from clv.tables.time_varying import TimeVaryingCovariates
from clv.units import DAYS_PER_UNIT, TimeUnit, parse_horizon

Integers = npt.NDArray[np.int64]


class Origin(NamedTuple):
    """A day on which the past is cut, and the last day of what is then foreseen."""

    cut: date
    end: date


def whole_days(length: Any, time_unit: TimeUnit, what: str) -> int:
    """A length of time, such as 39 or "39 weeks", in whole days.

    Raises
    ------
    DataError
        If it is shorter than a day, or no length.
    """
    days = round(parse_horizon(length, time_unit, what) * DAYS_PER_UNIT[time_unit])
    if days < 1:
        raise DataError(f"{what} must be a day at least, not {length!r}")
    return days


def plan(
    cuts: int | Sequence[Any],
    *,
    first: date,
    end: date,
    horizon: int,
    step: int | None,
    calendar: str,
) -> list[Origin]:
    """The cuts, earliest first.

    Parameters
    ----------
    cuts
        How many, counted back from the last day that leaves a whole horizon to look at; or the
        days themselves.
    first, end
        First and last day observed.
    horizon
        Days that are foreseen.
    step
        Days from one cut to the next. None: a horizon, so that no day is foreseen twice, but no
        more than lets the first cut lie as far from the first day as from the next cut.
    calendar
        In which days are written.

    Raises
    ------
    DataError
        If there is no room for a single cut, or days cannot be read or are there twice.
    """
    if isinstance(cuts, bool) or not isinstance(cuts, int | np.integer):
        return _given(cuts, first, horizon, calendar)
    if cuts < 1:
        raise DataError(f"cuts must be 1 or more, or a list of days, not {cuts!r}")
    last = end - timedelta(days=horizon)
    room = (last - first).days
    if room < 1:
        raise DataError(
            f"the transactions span {(end - first).days + 1:,} days, from {first} to {end}: too "
            f"few to foresee {horizon:,} of them from what came before; take a shorter horizon"
        )
    apart = max(1, min(horizon, room // (cuts + 1))) if step is None else step
    days = [last - timedelta(days=apart * back) for back in reversed(range(cuts))]
    if days[0] <= first:
        raise DataError(
            f"{counted(cuts, 'cut', 'cuts')} {counted(apart, 'day', 'days')} apart do not fit "
            f"between {first}, the first day, and {last}, the last that leaves {horizon:,} days to "
            "look at; take fewer cuts, or a shorter step or horizon"
        )
    return [Origin(day, day + timedelta(days=horizon)) for day in days]


def _given(cuts: Any, first: date, horizon: int, calendar: str) -> list[Origin]:
    if not isinstance(cuts, str | date | Iterable):
        raise DataError(f"cuts must be a whole number, or a list of days, not {cuts!r}")
    entries = [cuts] if isinstance(cuts, str | date) else list(cuts)
    days = sorted(parse_day(entry, "cuts", calendar) for entry in entries)
    if not days:
        raise DataError("cuts is empty; give the number of cuts, or days")
    twice = sorted({day for day in days if days.count(day) > 1})
    if twice:
        raise DataError(f"cuts has {', '.join(map(str, twice))} more than once")
    if days[0] < first:
        early = [day for day in days if day < first]
        raise DataError(
            f"{counted(len(early), 'cut lies', 'cuts lie')} before the first transaction, {first}; "
            f"the first is {early[0]}"
        )
    return [Origin(day, day + timedelta(days=horizon)) for day in days]


# -- what was known on a day -------------------------------------------------------------------


class Known(NamedTuple):
    """What was known at a cut, and what came after it.

    Attributes
    ----------
    rfm
        As of `clv.rfm_summary` with the cut as calibration end and the end of the horizon as
        observation end; ``customer_id`` is the place of the customer in the base.
    last_purchases, last_value
        Of each customer in the last period before the cut that is as long as the horizon, the
        first purchase included; shape (n,).
    """

    rfm: RFM
    last_purchases: FloatArray
    last_value: FloatArray

    @property
    def place(self) -> Integers:
        """Of each customer in the base, shape (n,)."""
        return np.asarray(self.rfm.values("customer_id"))


class More(NamedTuple):
    """What is known of customers beyond their purchases, of the whole base.

    Attributes
    ----------
    columns
        By name, shape (base,).
    covariates
        Names of those that models may look at.
    time_varying
        Covariates that change with time, in which a customer is a place in the base.
    """

    columns: Mapping[str, npt.NDArray[Any]] = {}
    covariates: tuple[str, ...] = ()
    time_varying: TimeVaryingCovariates | None = None


def known_at(days: Days, origin: Origin, time_unit: TimeUnit, more: More | None = None) -> Known:
    """Summarise what was known at a cut.

    Parameters
    ----------
    days
        Days of purchase of the whole base.
    origin
        The cut, and the end of its holdout.
    time_unit
        Of the table.
    more
        Of the customers.

    Raises
    ------
    NoUsableRowsError
        If nobody had bought by then.
    """
    import narwhals as nw
    import pyarrow as pa

    cut, end = day_number(origin.cut), day_number(origin.end)
    seen = days.day <= end
    places = nw.from_native(
        pa.chunked_array([pa.array(np.arange(len(days.ids)))]), series_only=True
    )
    within = Days(places, days.customer[seen], days.day[seen], days.value[seen], days.lowest[seen])
    summary = summarise(runs_of(within), end=end, cut=cut, days_per_unit=DAYS_PER_UNIT[time_unit])
    more = more or More()
    place, size = as_numpy(summary.columns["customer_id"]), len(days.ids)
    known_of = {name: more.columns[name][place] for name in more.covariates}
    columns = {**summary.columns, "customer_id": place, **known_of}
    rfm = RFM(
        **Table.parts(columns),
        time_unit=time_unit,
        observation_period_end=origin.end,
        calibration_period_end=origin.cut,
        notes=tuple(summary.notes),
        unmatched_refunds=summary.unmatched,
        covariates=more.covariates,
        time_varying=more.time_varying,
    )
    known = days.day <= cut
    customer, value = days.customer[known], days.value[known]
    bought = net_refunds(customer, value, days.lowest[known]).is_purchase
    last = days.day[known] > cut - (end - cut)
    return Known(
        rfm,
        np.bincount(customer[last & bought], minlength=size)[place].astype(np.float64),
        np.bincount(customer[last], weights=value[last], minlength=size)[place],
    )


def newcomers(rfm: RFM, window: int | None) -> RFM:
    """The customers of a table whose first purchase lies within the last `window` days.

    Their histories stay whole: a model counts age from the first purchase, so a history without
    its beginning would be that of another customer.
    """
    if window is None:
        return rfm
    assert rfm.calibration_period_end is not None
    start = np.datetime64(rfm.calibration_period_end, "D") - np.timedelta64(window, "D")
    return rows_of(rfm, rfm.values("first_purchase") > start)


def rows_of(rfm: RFM, chosen: npt.NDArray[Any]) -> RFM:
    """The chosen rows of a table, by place or by True and False."""
    places = np.flatnonzero(chosen) if chosen.dtype == np.bool_ else chosen
    columns = {
        name: values[places] if isinstance(values, np.ndarray) else values[places.tolist()]
        for name, values in rfm.data.items()
    }
    return replace(rfm, **Table.parts(columns, like=rfm))
