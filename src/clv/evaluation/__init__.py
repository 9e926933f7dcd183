"""Proof: is the forecast right, and is it better than history.

`clv.evaluation.metrics` holds one function per metric, on plain arrays; `clv.compare` uses them.
"""

from clv.evaluation import metrics

__all__ = ["metrics"]
