"""What the page says of the forecast held against history, on data that it had not seen."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from clv.evaluation.comparison import Comparison
from clv.evaluation.scores import PERFECT, PREDICTION, Interval, Scores
from clv.evaluation.verdict import TOLERANCE
from clv.plots.numbers import value_gains

Floats = NDArray[np.float64]

_GAINS_POINTS = 51

#: Metrics of the comparison that the page shows, and whether less of them is better.
METRICS = {
    "bias": None,
    "mean_absolute_error": True,
    "root_mean_squared_error": True,
    "spearman": False,
    "normalised_gini": False,
    "top_share_captured": False,
}

#: Those that the verdict speaks of.
_JUDGED = ("mean_absolute_error", "root_mean_squared_error", "top_share_captured", "spearman")


class Judgement(NamedTuple):
    """One sentence of the verdict: which text, whether it is good news, and its numbers."""

    key: str
    news: str
    numbers: Mapping[str, Any]


@dataclass(frozen=True)
class Tested:
    """The forecast against history, on held-out data."""

    cut: date
    end: date
    horizon: float
    customers: int
    interval: float
    top: float
    methods: tuple[dict[str, Any], ...]
    verdict: tuple[Judgement, ...]
    gains: Mapping[str, Floats]
    """Share of the actual value held by the best customers, by method, at `gains_at`."""
    gains_at: Floats
    notes: tuple[str, ...]


def tested(comparison: Comparison) -> Tested:
    """What the page says of a comparison, without its customers."""
    scores = comparison.value_scores
    at = np.linspace(0.0, 1.0, _GAINS_POINTS)
    labels = {label: method for method, label in scores.labels.items()}
    gains = {
        labels.get(name, name): np.interp(at, curve.share_of_customers, curve.share_of_value)
        for name, curve in value_gains(comparison).items()
    }
    return Tested(
        cut=comparison.calibration_period_end,
        end=comparison.observation_period_end,
        horizon=comparison.horizon,
        customers=comparison.n_customers,
        interval=comparison.interval,
        top=comparison.top,
        methods=tuple(
            {"method": method, "label": scores.labels[method], "total": scores.totals[method]}
            | {metric: scores.metrics[method][metric] for metric in METRICS}
            for method in (PREDICTION, *scores.history)
        ),
        verdict=tuple(_verdict(comparison, scores)),
        gains=gains,
        gains_at=at,
        notes=comparison.notes,
    )


def _verdict(comparison: Comparison, scores: Scores) -> list[Judgement]:
    found = [_level(figure) for figure in (comparison.purchase_scores, scores)]
    for row in comparison.totals.rows():
        numbers = {name: row[name] for name in ("low", "high", "actual")}
        key = f"total_{row['figure']}_{'holds' if row['holds'] else 'misses'}"
        found.append(Judgement(key, "good" if row["holds"] else "bad", numbers))
    for metric in _JUDGED:
        best = scores.best_of_history(metric)
        if best is None or not math.isfinite(scores.metrics[PREDICTION][metric]):
            continue
        gap = scores.differences[best, metric]
        news = _news(gap, less_is_better=bool(METRICS[metric]))
        numbers = {
            "ours": scores.metrics[PREDICTION][metric],
            "theirs": scores.metrics[best][metric],
            "method": best,
            "top": comparison.top,
        }
        found.append(Judgement(f"{metric}_{news}", news, numbers))
    for row in comparison.coverage.rows():
        if row["figure"] == "value":
            held = abs(row["coverage"] - row["level"]) <= TOLERANCE
            numbers = {"nominal": row["level"], "coverage": row["coverage"]}
            found.append(Judgement("coverage", "good" if held else "bad", numbers))
    return found


def _level(scores: Scores) -> Judgement:
    bias = scores.intervals[PREDICTION, "bias"]
    numbers = {
        "predicted": scores.totals[PREDICTION],
        "actual": scores.totals[PERFECT],
        "bias": abs(bias.value),
        "low": bias.low,
        "high": bias.high,
    }
    if not math.isfinite(bias.value):
        return Judgement(f"level_{scores.figure}_none", "fact", numbers)
    if not bias.is_clear:
        return Judgement(f"level_{scores.figure}_even", "good", numbers)
    side = "low" if bias.value < 0 else "high"
    return Judgement(f"level_{scores.figure}_{side}", "bad", numbers)


def _news(gap: Interval, *, less_is_better: bool) -> str:
    if not gap.is_clear:
        return "even"
    return "good" if (gap.value < 0) == less_is_better else "bad"
