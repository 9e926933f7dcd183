"""Everybody's forecast by one version."""

from __future__ import annotations

from clv.fitted import FittedPurchases, FittedSpend
from clv.forecast import Forecast, forecast
from clv.pipeline.configuration import Configuration
from clv.pipeline.data import Night


def score(
    night: Night, purchases: FittedPurchases, spend: FittedSpend, configuration: Configuration
) -> Forecast:
    """Forecast everybody known tonight, in the time unit of the models."""
    section = configuration.forecast
    return forecast(
        night.table(unit=purchases.time_unit),
        purchases,
        spend,
        horizon=None if section.horizon == "forever" else section.horizon,
        discount_rate=section.discount_rate,
        margin=section.margin,
        interval=section.interval,
        interval_kind=section.interval_kind,
        seed=configuration.models.seed,
    )
