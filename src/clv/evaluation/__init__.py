"""Proof: is the forecast right, and is it better than history.

`clv.evaluation.metrics` holds one function per metric, on plain arrays; `clv.compare` uses them.
`clv.evaluation.spend_independence` tests what spend models assume.
"""

from clv.evaluation import metrics
from clv.evaluation.checks import PredictiveCheck, posterior_check, prior_check
from clv.evaluation.independence import SpendIndependence, spend_independence

__all__ = [
    "PredictiveCheck",
    "SpendIndependence",
    "metrics",
    "posterior_check",
    "prior_check",
    "spend_independence",
]
