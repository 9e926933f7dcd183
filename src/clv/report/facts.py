"""What the page says, as numbers: no language, no layout."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from importlib.metadata import version
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from clv import economics, lifecycle, tiers
from clv.errors import ClvError, DataError
from clv.evaluation.comparison import Comparison
from clv.fitted import Fitted, FittedPurchases, FittedSpend
from clv.forecast import Forecast
from clv.report.against_history import Tested, tested
from clv.report.cohorts import Cohorts, cohorts
from clv.report.people import People, Person, people
from clv.retention import retention_curve
from clv.tables.quality import Quality
from clv.tables.rfm import RFM
from clv.tables.transactions import Transactions

Floats = NDArray[np.float64]

#: Customers behind the retention curve, at most: more would not move a line on a page.
_CURVE_CUSTOMERS = 100_000
_CURVE_POINTS = 27


class Headline(NamedTuple):
    """A figure for everybody, with its interval where there is one."""

    name: str
    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Curve:
    """Who is still there, by age in the table's unit."""

    age: Floats
    alive: Floats
    observed: Floats
    expected: Floats


@dataclass(frozen=True)
class Facts:
    """Everything the page says; made by `gather`. A part that could not be made is None."""

    as_of: date
    time_unit: str
    horizon: float | None
    discount_rate: float
    margin: float
    interval: float | None
    headlines: tuple[Headline, ...]
    tested: Tested | None
    tiers: tuple[dict[str, Any], ...]
    stages: tuple[dict[str, Any], ...]
    conversion_rate: float
    repurchase_rate: float
    segments: tuple[dict[str, Any], ...]
    curve: Curve | None
    cohorts: Cohorts
    retention: economics.RetentionValue | None
    channels: tuple[dict[str, Any], ...] | None
    people: People
    quality: Quality
    models: tuple[Fitted, ...]
    left_out: Mapping[str, str]
    """Sections that could not be made, or not wholly, and why."""
    notes: tuple[str, ...]
    package_version: str

    @property
    def top(self) -> Sequence[Person]:
        """The customers of whom most is expected."""
        return self.people.top


def gather(
    transactions: Transactions,
    rfm: RFM,
    purchases: FittedPurchases,
    spend: FittedSpend,
    forecast: Forecast,
    *,
    margin: float = 1.0,
    customers: Any = None,
    columns: Mapping[str, str] | None = None,
    comparison: Comparison | Tested | str | None = None,
    top: int = 200,
    calls: int = 20,
) -> Facts:
    """Work out everything the page says.

    Parameters
    ----------
    transactions, rfm, purchases, spend, forecast
        Of one and the same customers: the table without a holdout.
    margin
        What the forecast was made with.
    customers
        Customers table, for names, prospects and channels.
    columns
        What its columns are called: see `clv.export.audience`.
    comparison
        From `clv.compare`, on an earlier cut of the same data, or what `tested` makes of
        one; or why there is none.
    top, calls
        How many customers the two lists hold.

    Raises
    ------
    DataError
        If the forecast does not say of which day it is.
    """
    if forecast.as_of is None:
        raise DataError(
            "the table does not say when its observation ends, so the page would have no date; "
            "give observation_period_end when making it"
        )
    left_out: dict[str, str] = {}
    if forecast.horizon is None:
        left_out["risk"] = (
            "for ever, everybody leaves: value at risk needs a forecast with a horizon"
        )
    tier = tiers.assign(forecast)
    stage = lifecycle.stages(rfm, purchases, forecast=forecast, customers=customers)
    segment = lifecycle.rfm_segments(rfm, forecast=forecast, customers=customers)
    labels = {"tier": tier.customers.values("tier")}
    test = tested(comparison) if isinstance(comparison, Comparison) else comparison
    if isinstance(test, str):
        left_out["tested"] = test
    curve = _or_why(left_out, "retention", lambda: _curve(purchases, rfm))
    worth = _or_why(
        left_out,
        "worth",
        lambda: economics.retention_value(
            rfm,
            purchases,
            spend,
            horizon=forecast.horizon,
            discount_rate=forecast.discount_rate,
            margin=margin,
            by=labels,
        ),
    )
    books = None
    if customers is not None:
        books = _or_why(
            left_out,
            "channels",
            lambda: economics.books(
                rfm,
                purchases,
                spend,
                customers,
                horizon=forecast.horizon,
                discount_rate=forecast.discount_rate,
                margin=margin,
            ),
        )
    return Facts(
        as_of=forecast.as_of,
        time_unit=forecast.time_unit,
        horizon=forecast.horizon,
        discount_rate=forecast.discount_rate,
        margin=margin,
        interval=forecast.interval,
        headlines=_headlines(forecast),
        tested=test if isinstance(test, Tested) else None,
        tiers=_rows(tier.table),
        stages=_rows(stage.table),
        conversion_rate=stage.conversion_rate,
        repurchase_rate=stage.repurchase_rate,
        segments=_rows(segment.table),
        curve=curve,
        cohorts=cohorts(transactions, rfm),
        retention=worth,
        channels=_or_why(left_out, "channels", lambda: _channels(books, columns or {})),
        people=people(
            rfm,
            forecast,
            customers,
            columns=columns or {},
            labels={**labels, "stage": stage.customers.values("stage")[: len(rfm)]},
            top=top,
            calls=calls,
        ),
        quality=transactions.quality,
        models=(purchases, spend),
        left_out=left_out,
        notes=tuple(
            dict.fromkeys(
                [
                    *transactions.quality.notes,
                    *rfm.notes,
                    *forecast.notes,
                    *tier.notes,
                    *stage.notes,
                    *(test.notes if isinstance(test, Tested) else ()),
                ]
            )
        ),
        package_version=version("predictive-clv"),
    )


def _or_why(left_out: dict[str, str], part: str, make: Any) -> Any:
    """A part of the page, or None, and why it cannot be made, in words."""
    try:
        return make()
    except ClvError as error:
        left_out[part] = str(error)
        return None


def _rows(table: Any) -> tuple[dict[str, Any], ...]:
    columns = {name: table.values(name).tolist() for name in table.columns}
    return tuple(
        dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)
    )


# --- headlines -----------------------------------------------------------------------------------


def _headlines(forecast: Forecast) -> tuple[Headline, ...]:
    totals = {total.name: total for total in forecast.totals}

    def of(name: str, total: str, more: float = 0.0) -> Headline:
        value = float(np.nansum(forecast.array(name)))
        if total not in totals:
            return Headline(name, value)
        return Headline(name, value, totals[total].low + more, totals[total].high + more)

    so_far = float(np.nansum(forecast.array("historical_value")))
    return (
        Headline("customers", len(forecast)),
        Headline("alive", float(forecast.array("probability_alive").sum())),
        of("expected_purchases", "expected_purchases"),
        of("residual_value", "residual_value"),
        Headline("historical_value", so_far),
        of("lifetime_value", "residual_value", so_far),
    )


# --- channels ------------------------------------------------------------------------------------


def _channels(
    books: economics.Books | None, columns: Mapping[str, str]
) -> tuple[dict[str, Any], ...] | None:
    if books is None:
        return None
    name = columns.get("channel", "channel")
    rows = _rows(economics.returns(books, name).table)
    return tuple({**row, "channel": row[name]} for row in rows)


# --- retention -----------------------------------------------------------------------------------


def _curve(purchases: FittedPurchases, rfm: RFM) -> Curve:
    sample = _sample(rfm)
    until = float(sample.array("T").max())
    if until <= 0:
        raise DataError("all customers first bought on the last day")
    found = retention_curve(purchases, sample, until=until, points=_CURVE_POINTS)
    seen = found.array("customers") >= 1
    return Curve(
        found.array("age"),
        found.array("alive"),
        np.where(seen, found.array("still_buying_observed"), np.nan),
        np.where(seen, found.array("still_buying_expected"), np.nan),
    )


def _sample(rfm: RFM) -> RFM:
    """Every k-th customer, where there are very many."""
    step = -(-len(rfm) // _CURVE_CUSTOMERS)
    if step == 1:
        return rfm
    from dataclasses import replace

    from clv.tables._frame import Table

    rows = np.arange(0, len(rfm), step)
    columns = {name: rfm.values(name)[rows] for name in rfm.columns}
    return replace(rfm, **Table.parts(columns, like=rfm))
