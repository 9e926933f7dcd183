"""One customer's card: what the CRM desk asks, answered."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import narwhals as nw
import numpy as np

from clv.errors import DataError
from clv.fitted import FittedPurchases
from clv.forecast import Forecast
from clv.lifecycle import StageRules, rfm_segments, stages
from clv.lifecycle.reasons import Reason, stage_reason
from clv.tables._day import parse_day
from clv.tables.everybody import same_customers
from clv.tables.rfm import RFM
from clv.tiers import CLASSIC, TierRules, assign
from clv.units import DAYS_PER_UNIT


@dataclass(frozen=True)
class CustomerCard:
    """Answers about one customer; made by `card`. What is not known is None.

    Attributes
    ----------
    customer_id, as_of
        Who, and the day of the answers.
    stage, tier, segment
        Life-cycle stage, tier and RFM segment.
    orders
        Days with a purchase; 0 of prospects.
    first_order, last_order
        Days; since when somebody is a customer, and when they bought last.
    silent_days
        Since the last order.
    rhythm_days
        Mean time between orders; None of who has ordered once.
    spent, mean_order
        All so far, refunds taken off; and per order.
    probability_alive
        Still a customer.
    probability_no_purchase
        No order within the horizon.
    next_order, next_order_from, next_order_to
        Days by which the next order has come with probability 50, 10 and 90 %; None where it never
        does with that probability, or too far ahead.
    horizon_days
        The time that the following look ahead; None for ever.
    expected_orders, expected_orders_low, expected_orders_high
        Within the horizon, and the interval.
    expected_value, expected_value_low, expected_value_high
        Residual value, and the interval.
    interval
        Nominal probability of the intervals; None without.
    historical_value, lifetime_value
        So far, and in all.
    worth_more_than
        Share of the buyers whose residual value is smaller.
    why
        The rule that decided on the stage, with its numbers.
    details
        What the customers table says, by column.
    """

    customer_id: Any
    as_of: date | None
    stage: str
    tier: str | None
    segment: str | None
    orders: int
    first_order: date | None
    last_order: date | None
    silent_days: float | None
    rhythm_days: float | None
    spent: float | None
    mean_order: float | None
    probability_alive: float | None
    probability_no_purchase: float | None
    next_order: date | None
    next_order_from: date | None
    next_order_to: date | None
    horizon_days: float | None
    expected_orders: float | None
    expected_orders_low: float | None
    expected_orders_high: float | None
    expected_value: float | None
    expected_value_low: float | None
    expected_value_high: float | None
    interval: float | None
    historical_value: float | None
    lifetime_value: float | None
    worth_more_than: float | None
    why: Reason
    details: dict[str, str] = field(default_factory=dict)


def card(
    customer_id: Any,
    rfm: RFM,
    purchases: FittedPurchases,
    forecast: Forecast,
    *,
    customers: Any = None,
    stage_rules: StageRules | None = None,
    tier_rules: TierRules = CLASSIC,
) -> CustomerCard:
    """Answer what the CRM desk asks of one customer.

    Parameters
    ----------
    customer_id
        Whom; compared as text.
    rfm, purchases, forecast
        A table, a fitted purchase model, and a forecast of the table's customers.
    customers
        A customers table: for prospects, and for what else is known.
    stage_rules, tier_rules
        Thresholds.

    Raises
    ------
    DataError
        If there is no such customer; the message names similar ids.

    Examples
    --------
    >>> import clv
    >>> transactions = clv.read_transactions(clv.datasets.load_cdnow(), amount="amount")
    >>> rfm = clv.rfm_summary(transactions, observation_period_end="1998-06-30")
    >>> purchases, spend = clv.BetaGeoModel().fit(rfm), clv.GammaGammaModel().fit(rfm)
    >>> forecast = clv.forecast(rfm, purchases, spend, horizon="52 weeks", interval=None)
    >>> found = card(1, rfm, purchases, forecast)
    >>> found.orders, str(found.last_order), found.stage
    (4, '1997-12-12', 'active')
    """
    same_customers(rfm, forecast, "the forecast")
    found = stages(rfm, purchases, forecast=forecast, customers=customers, rules=stage_rules)
    row = _row(found.customers.data["customer_id"], customer_id)
    common: dict[str, Any] = {
        "customer_id": _plain(found.customers.values("customer_id")[row]),
        "as_of": found.as_of,
        "stage": str(found.customers.values("stage")[row]),
        "why": stage_reason(found, row, rfm.time_unit),
        "details": _details(customers, found.customers.values("customer_id")[row]),
        "interval": forecast.interval,
    }
    if row >= len(rfm):
        blank = dict.fromkeys(CustomerCard.__dataclass_fields__, None)
        return CustomerCard(**{**blank, **common, "orders": 0})
    tier = assign(forecast, tier_rules)
    days, frequency = DAYS_PER_UNIT[rfm.time_unit], float(rfm.array("frequency")[row])
    value = forecast.array("residual_value")

    def of(name: str) -> float | None:
        return _number(forecast.array(name)[row]) if name in forecast.columns else None

    spent = _number(rfm.array("total_value")[row]) if "total_value" in rfm.columns else None
    segment = None
    if spent is not None:
        segment = str(rfm_segments(rfm).customers.values("segment")[row])
    return CustomerCard(
        **common,
        tier=str(tier.customers.values("tier")[row]),
        segment=segment,
        orders=int(frequency) + 1,
        first_order=_day(rfm, "first_purchase", row),
        last_order=_day(rfm, "last_purchase", row),
        silent_days=round(float(rfm.array("T")[row] - rfm.array("recency")[row]) * days, 6),
        rhythm_days=float(rfm.array("recency")[row]) * days / frequency if frequency else None,
        spent=spent,
        mean_order=None if spent is None else spent / (frequency + 1),
        probability_alive=of("probability_alive"),
        probability_no_purchase=of("probability_no_purchase"),
        next_order=_day(forecast, "next_purchase_p50", row),
        next_order_from=_day(forecast, "next_purchase_p10", row),
        next_order_to=_day(forecast, "next_purchase_p90", row),
        horizon_days=None if forecast.horizon is None else forecast.horizon * days,
        expected_orders=of("expected_purchases"),
        expected_orders_low=of("purchases_low"),
        expected_orders_high=of("purchases_high"),
        expected_value=of("residual_value"),
        expected_value_low=of("residual_value_low"),
        expected_value_high=of("residual_value_high"),
        historical_value=of("historical_value"),
        lifetime_value=of("lifetime_value"),
        worth_more_than=float(np.mean(value < value[row])),
    )


def _texts(ids: Any) -> list[str]:
    return [str(value) for value in (ids.to_list() if isinstance(ids, nw.Series) else ids.tolist())]


def _row(ids: Any, wanted: Any) -> int:
    known = _texts(ids)
    text = str(wanted)
    if text in known:
        return known.index(text)
    trimmed = [value.strip().casefold() for value in known]
    if trimmed.count(text.strip().casefold()) == 1:
        return trimmed.index(text.strip().casefold())
    near = difflib.get_close_matches(text, known[:200_000], n=3)
    hint = f"; similar ids are {', '.join(map(repr, near))}" if near else ""
    raise DataError(f"there is no customer {text!r}{hint}")


def _details(customers: Any, wanted: Any) -> dict[str, str]:
    if customers is None:
        return {}
    from clv.tables._matching import customers_frame

    frame = customers_frame(customers, "customer_id")
    known = _texts(frame["customer_id"])
    if str(wanted) not in known:
        return {}
    row = known.index(str(wanted))
    found = {name: frame[name][row] for name in frame.columns if name != "customer_id"}
    return {
        name: str(value)
        for name, value in found.items()
        if value is not None and value == value and str(value).strip()
    }


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _number(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None


def _day(table: Any, column: str, row: int) -> date | None:
    if column not in table.columns:
        return None
    value = table.values(column)[row]
    if value is None or value != value:
        return None
    return parse_day(value, column)
