"""Every metric of every method on the same customers, with how sure the differences are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from clv.evaluation.resampling import METRICS, all_metrics, resample
from clv.evaluation.table import ResultTable

Floats = NDArray[np.float64]

PREDICTION = "prediction"
NOTHING = "nothing"
PERFECT = "perfect"

LOWER_IS_BETTER = frozenset(("absolute_bias", "mean_absolute_error", "root_mean_squared_error"))


class Interval(NamedTuple):
    """An estimate with the interval that resampling gives it."""

    value: float
    low: float
    high: float

    @property
    def is_clear(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True)
class Scores:
    """How well each method foresaw one figure.

    Attributes
    ----------
    figure
        "purchases" or "value".
    labels
        Names for people, by method. Besides the prediction and the methods of history there are
        "nothing" (0 for everybody) and "perfect" (the actual figures), the ends of the scale.
    totals
        By method.
    metrics
        By method, then metric of `METRICS`.
    intervals, differences
        By (method, metric): of the metric itself; of the prediction's less that of another
        method (those of history, and "nothing").
    level
        Of these intervals.
    how
        How they were found, in words.
    """

    figure: str
    labels: dict[str, str]
    totals: dict[str, float]
    metrics: dict[str, dict[str, float]]
    intervals: dict[tuple[str, str], Interval] = field(repr=False)
    differences: dict[tuple[str, str], Interval] = field(repr=False)
    level: float
    how: str

    @property
    def history(self) -> tuple[str, ...]:
        """Methods of history."""
        return tuple(m for m in self.labels if m not in (PREDICTION, NOTHING, PERFECT))

    def best_of_history(self, metric: str) -> str | None:
        """Best method of history by this metric; None where it is undefined for all."""
        sign = 1.0 if metric in LOWER_IS_BETTER else -1.0
        ranked = [(sign * self.metrics[m][metric], m) for m in self.history]
        defined = [pair for pair in ranked if np.isfinite(pair[0])]
        return min(defined)[1] if defined else None

    def table(self, title: str) -> ResultTable:
        """One row per method."""
        rows = [
            {
                "method": method,
                "label": label,
                "total": self.totals[method],
                **{m: v for m, v in self.metrics[method].items() if m != "absolute_bias"},
            }
            for method, label in self.labels.items()
        ]
        return ResultTable.of(title, rows, "method")

    def difference_rows(self) -> list[dict[str, object]]:
        """Prediction less each other method, one row per method and metric."""
        return [
            {
                "figure": self.figure,
                "method": method,
                "label": self.labels[method],
                "metric": metric,
                "difference": found.value,
                "low": found.low,
                "high": found.high,
                "clear": found.is_clear,
            }
            for (method, metric), found in self.differences.items()
        ]


def score(
    figure: str,
    actual: Floats,
    methods: Mapping[str, Floats],
    labels: Mapping[str, str],
    *,
    level: float,
    top: float,
    resamples: int,
    seed: int,
) -> Scores:
    """Score the prediction and the methods of history against what happened.

    Parameters
    ----------
    figure
        Name of what is foreseen.
    actual
        Shape (n_customers,).
    methods
        The prediction, under `PREDICTION`, and the methods of history, shape (n_customers,) each.
    labels
        Their names for people.
    level, resamples, seed
        Of the intervals.
    top
        Share of customers for `top_share_captured`.
    """
    compared = {**methods, NOTHING: np.zeros(actual.size)}
    everything = {**compared, PERFECT: actual}
    metrics = all_metrics(actual, everything, top)
    drawn = resample(actual, compared, top=top, resamples=resamples, seed=seed)
    intervals, differences = {}, {}
    for metric in METRICS:
        ours = metrics[PREDICTION][metric]
        for name in compared:
            own, spread = metrics[name][metric], drawn.values[name][metric]
            intervals[name, metric] = Interval(own, *drawn.interval(own, spread, level))
            if name != PREDICTION:
                gap = ours - own
                spread = drawn.values[PREDICTION][metric] - spread
                differences[name, metric] = Interval(gap, *drawn.interval(gap, spread, level))
    return Scores(
        figure=figure,
        labels={
            **labels,
            NOTHING: "0 for everybody",
            PERFECT: "perfect",
        },
        totals={name: float(values.sum()) for name, values in everything.items()},
        metrics=metrics,
        intervals=intervals,
        differences=differences,
        level=level,
        how=drawn.how,
    )
