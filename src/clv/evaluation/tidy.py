"""The metrics of a backtest as rows: cut, method, quantity, metric, value, segment."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from clv.evaluation.resampling import all_metrics

if TYPE_CHECKING:
    from clv.evaluation.backtest import Cut


def fit_rows(cuts: Sequence[Cut]) -> list[dict[str, Any]]:
    """A row per cut and method."""
    return [
        {
            "cut": cut.cut,
            "method": found.method,
            "label": found.label,
            "quantity": quantity,
            "ended": found.ended,
            "log_likelihood": np.nan if found.fitted is None else found.fitted.log_likelihood,
            "aic": np.nan if found.fitted is None else found.fitted.aic,
        }
        for cut in cuts
        for quantity, by_method in cut.foreseen.items()
        for found in by_method.values()
    ]


def metric_rows(cuts: Sequence[Cut], levels: tuple[float, ...]) -> list[dict[str, Any]]:
    """All rows."""
    return [row for cut in cuts for row in _of_cut(cut)]


def _of_cut(cut: Cut) -> Iterator[dict[str, Any]]:
    for quantity, by_method in cut.foreseen.items():
        found = all_metrics(cut.actual[quantity], cut.predictions(quantity), 0.1)
        for method, what in by_method.items():
            for metric, value in found.get(method, {}).items():
                yield {
                    "cut": cut.cut,
                    "method": method,
                    "label": what.label,
                    "quantity": quantity,
                    "metric": metric,
                    "value": value,
                    "segment": "all",
                }
