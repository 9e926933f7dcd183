"""Customer lifetime value: transactions in, a forecast out, proven against history.

The usual path::

    import clv

    transactions = clv.read_transactions("orders.csv", customer_id="customer", date="day",
                                         amount="total")
    rfm = clv.rfm_summary(transactions, observation_period_end="2024-12-31")
    purchases = clv.BetaGeoModel().fit(rfm)
    spend = clv.GammaGammaModel().fit(rfm)
    forecast = clv.forecast(rfm, purchases, spend, horizon="52 weeks", discount_rate=0.1)

Names are imported when they are first used, so ``import clv`` stays quick.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clv.evaluation.backtest import Backtest as Backtest
    from clv.evaluation.calibration import calibrate as calibrate
    from clv.evaluation.choice import Choice as Choice
    from clv.evaluation.choice import choose as choose
    from clv.evaluation.comparison import Comparison as Comparison
    from clv.evaluation.comparison import compare as compare
    from clv.evaluation.rolling import backtest as backtest
    from clv.evaluation.stacking import stack as stack
    from clv.fitted import Fitted as Fitted
    from clv.forecast import Forecast as Forecast
    from clv.forecast import forecast as forecast
    from clv.history import (
        historical_forecasts as historical_forecasts,
    )
    from clv.history import (
        historical_value as historical_value,
    )
    from clv.inference.priors import Prior as Prior
    from clv.interop import from_lifetimes as from_lifetimes
    from clv.model import model_class as model_class
    from clv.retention import retention_curve as retention_curve
    from clv.saving import load as load
    from clv.stacked_model import StackedModel as StackedModel
    from clv.tables.contracts import Contracts as Contracts
    from clv.tables.contracts import contracts_from_survivors as contracts_from_survivors
    from clv.tables.contracts import contracts_table as contracts_table
    from clv.tables.opportunities import opportunity_summary as opportunity_summary
    from clv.tables.ready_made import rfm_table as rfm_table
    from clv.tables.rfm import RFM as RFM
    from clv.tables.summary import rfm_summary as rfm_summary
    from clv.tables.time_varying import time_varying_covariates as time_varying_covariates
    from clv.tables.transactions import (
        Transactions as Transactions,
    )
    from clv.tables.transactions import (
        read_transactions as read_transactions,
    )

_PUBLIC = {
    "Backtest": "clv.evaluation.backtest",
    "Choice": "clv.evaluation.choice",
    "Comparison": "clv.evaluation.comparison",
    "Contracts": "clv.tables.contracts",
    "Fitted": "clv.fitted",
    "Forecast": "clv.forecast",
    "Prior": "clv.inference.priors",
    "RFM": "clv.tables.rfm",
    "StackedModel": "clv.stacked_model",
    "Transactions": "clv.tables.transactions",
    "backtest": "clv.evaluation.rolling",
    "calibrate": "clv.evaluation.calibration",
    "choose": "clv.evaluation.choice",
    "compare": "clv.evaluation.comparison",
    "contracts_from_survivors": "clv.tables.contracts",
    "contracts_table": "clv.tables.contracts",
    "forecast": "clv.forecast",
    "from_lifetimes": "clv.interop",
    "historical_forecasts": "clv.history",
    "historical_value": "clv.history",
    "load": "clv.saving",
    "model_class": "clv.model",
    "opportunity_summary": "clv.tables.opportunities",
    "read_transactions": "clv.tables.transactions",
    "retention_curve": "clv.retention",
    "rfm_summary": "clv.tables.summary",
    "rfm_table": "clv.tables.ready_made",
    "stack": "clv.evaluation.stacking",
    "time_varying_covariates": "clv.tables.time_varying",
}
_NAMESPACES = (
    *(
        "actions",
        "datasets",
        "economics",
        "errors",
        "evaluation",
        "export",
        "families",
        "joint",
        "lifecycle",
    ),
    *("plots", "report", "tiers"),
)


def __getattr__(name: str) -> Any:
    if name == "__all__":  # asked for, not listed: a model is public because its file exists
        from clv.model import class_names

        return [*_PUBLIC, *class_names()]
    if name in _PUBLIC:
        value = getattr(importlib.import_module(_PUBLIC[name]), name)
        globals()[name] = value
        return value
    if name in _NAMESPACES:
        return importlib.import_module(f"clv.{name}")
    if name == "__version__":
        from importlib.metadata import version

        return version("predictive-clv")
    if name.endswith("Model"):
        from clv.model import class_names, model_class

        if name in class_names():
            return model_class(name)
    raise AttributeError(f"module 'clv' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*__getattr__("__all__"), *_NAMESPACES, "__version__"})


class _Package(ModuleType):
    """Keeps ``clv.forecast`` the function, also after somebody imported the file of that name."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in _PUBLIC and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
