"""The metrics of a backtest as rows: cut, method, quantity, metric, value, segment."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from clv.evaluation.cut import Cut
from clv.evaluation.cut_scores import EVERYBODY, metric_names
from clv.evaluation.resampling import Resampled


def fit_rows(cuts: Sequence[Cut]) -> list[dict[str, Any]]:
    """A row per cut and method: how it ended."""
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


def metric_rows(
    cuts: Sequence[Cut], levels: Sequence[float], level: float
) -> Iterator[dict[str, Any]]:
    """A row per cut, method, quantity, metric and segment.

    Parameters
    ----------
    cuts
        At which something was foreseen.
    levels
        Of the predictive intervals.
    level
        Of the intervals of metrics, which those of all customers have.
    """
    for cut in cuts:
        for quantity, scores in cut.scores.items():
            for segment in scores.segments:
                whole = (segment.by, segment.name) == EVERYBODY
                for method, found in cut.foreseen[quantity].items():
                    about = {"cut": cut.cut, "method": method, "label": found.label}
                    about |= {"quantity": quantity}
                    about |= {"by": segment.by, "segment": segment.name}
                    about["customers"] = segment.customers
                    values = segment.metrics.get(method)
                    if values is None:
                        values = dict.fromkeys(metric_names(found, levels), np.nan)
                    for metric, value in values.items():
                        low, high = (
                            _interval(scores.resampled, method, metric, value, level)
                            if whole
                            else (np.nan, np.nan)
                        )
                        yield {
                            **about,
                            "metric": metric,
                            "value": value,
                            "low": low,
                            "high": high,
                            "ended": found.ended,
                        }


def _interval(
    resampled: Resampled, method: str, metric: str, value: float, level: float
) -> tuple[float, float]:
    spread = resampled.values.get(method, {}).get(metric)
    if spread is None:
        return float("nan"), float("nan")
    return resampled.interval(value, spread, level)
