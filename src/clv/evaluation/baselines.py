"""What looking back would have foreseen: every historical figure as a forecast for a horizon."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

from clv.evaluation.holdout import LABELS
from clv.evaluation.origins import Known
from clv.history import historical_forecasts, historical_purchase_forecasts
from clv.tables._frame import FloatArray

LAST_PERIOD = "same_as_last_period"


class Baseline(NamedTuple):
    """One way of looking back."""

    name: str
    quantity: Literal["purchases", "value"]
    foresee: Callable[[Known, float], FloatArray]

    @property
    def label(self) -> str:
        """For people."""
        return LABELS[self.name]


def _purchases(name: str) -> Callable[[Known, float], FloatArray]:
    return lambda known, horizon: historical_purchase_forecasts(known.rfm, horizon)[name]


def _value(name: str) -> Callable[[Known, float], FloatArray]:
    return lambda known, horizon: historical_forecasts(known.rfm, horizon)[name]


BASELINES = (
    Baseline(
        "purchases_per_tenure",
        "purchases",
        _purchases("purchases_per_tenure"),
    ),
    Baseline(LAST_PERIOD, "purchases", lambda known, _: known.last_purchases),
    Baseline("total_past_spend", "value", _value("total_past_spend")),
    Baseline("repeat_past_spend", "value", _value("repeat_past_spend")),
    Baseline("spend_per_tenure", "value", _value("spend_per_tenure")),
    Baseline(LAST_PERIOD, "value", lambda known, _: known.last_value),
)
"""All of them: `clv.historical_forecasts`, `clv.historical_purchase_forecasts`, and the last
period before the cut that is as long as the horizon, once more."""
