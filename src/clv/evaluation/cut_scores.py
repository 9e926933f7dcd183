"""Every metric of everything that was foreseen at one cut, of all customers and of parts of them.

Most metrics are means over the customers of something: these are *losses*. Those that are not
(bias, RMSE, ranks, concentration) are in `clv.evaluation.resampling`, with which the metrics of
resampled customers come too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from clv.evaluation import metrics
from clv.evaluation.foreseen import Foreseen, Quantity
from clv.evaluation.resampling import Base, Resampled, all_metrics, resample

Floats = NDArray[np.float64]

TOPS = {"captured_top_5": 0.05, "captured_top_10": 0.1, "captured_top_20": 0.2}
"""Shares of the customers whose part of the total is looked at."""

EVERYBODY = ("", "all")


class Segment(NamedTuple):
    """Some of the customers."""

    by: str  #: what they were divided by; empty for all of them
    name: str
    rows: NDArray[np.int64]  #: places in the table


class SegmentScores(NamedTuple):
    """Metrics of some of the customers, by method."""

    by: str
    name: str
    customers: int
    totals: Mapping[str, float]  #: foreseen, by method, and under "actual"
    metrics: Mapping[str, Mapping[str, float]]


class CutScores(NamedTuple):
    """Of one quantity at one cut.

    Attributes
    ----------
    segments
        All customers first, then parts of them.
    resampled
        Of all customers.
    """

    segments: tuple[SegmentScores, ...]
    resampled: Resampled


def metric_names(found: Foreseen, levels: Sequence[float]) -> list[str]:
    """Names of the metrics that a method has at a cut, had it foreseen something."""
    names = [
        *("bias", "absolute_bias", "mean_absolute_error", "root_mean_squared_error"),
        *("spearman", "spearman_tie_expected", "normalised_gini", *TOPS),
        *("mean_squared_log_error", "mean_absolute_error_of_median", "crps"),
    ]
    if not found.is_model:
        return names
    if found.quantity == "purchases":
        names += ["log_score", "brier_purchase", "log_score_purchase", "brier_alive"]
    kinds = ("pit_coverage", "coverage", "width", "interval_score")
    return names + [f"{kind}_{100 * level:g}" for level in levels for kind in kinds]


def losses(found: Foreseen, actual: Floats) -> dict[str, Floats]:
    """What each customer adds to the metrics that are means over customers, shape (n,) each."""
    assert found.expected is not None
    away = np.abs(found.expected - actual)
    result = {
        "mean_squared_log_error": metrics.squared_log_errors(actual, found.expected),
        # of a single figure, which is its own median
        "mean_absolute_error_of_median": away,
        # of a single figure instead of a distribution: Gneiting & Raftery 2007, section 4.2
        "crps": away,
    }
    spread = found.distribution
    if spread is None:
        return result
    result["mean_absolute_error_of_median"] = np.abs(spread.median - actual)
    result["crps"] = spread.crps
    if found.quantity == "purchases":
        assert found.probability_alive is not None
        assert found.probability_of_purchase is not None
        assert spread.probability is not None
        bought = (actual > 0).astype(np.float64)
        some = np.clip(found.probability_of_purchase, 0.0, 1.0)
        result |= {
            "log_score": metrics.log_scores(spread.probability),
            "brier_purchase": (some - bought) ** 2,
            "log_score_purchase": metrics.log_scores(np.where(bought == 1, some, 1.0 - some)),
            "brier_alive": (found.probability_alive - bought) ** 2,
        }
    for level, low in spread.low.items():
        high = spread.high[level]
        percent = f"{100 * level:g}"
        result |= {
            f"pit_coverage_{percent}": metrics.pit_chances(spread.below, spread.up_to, level),
            f"coverage_{percent}": ((low <= actual) & (actual <= high)).astype(np.float64),
            f"width_{percent}": (high - low).astype(np.float64),
            f"interval_score_{percent}": metrics.interval_scores(
                actual, low.astype(np.float64), high.astype(np.float64), level
            ),
        }
    return result


def score_cut(
    actual: Mapping[Quantity, Floats],
    found: Sequence[Foreseen],
    segments: Sequence[Segment],
    base: Base,
    *,
    resamples: int,
    seed: int,
) -> dict[Quantity, CutScores]:
    """Score everything that was foreseen at one cut.

    Parameters
    ----------
    actual
        By quantity, shape (n,) each.
    found
        What was foreseen; what failed is left out.
    segments
        Parts of the customers, in which every metric is computed too.
    base
        The customers of all cuts, whom resamples are drawn from.
    resamples, seed
        Of the bootstrap.
    """
    result: dict[Quantity, CutScores] = {}
    for quantity, happened in actual.items():
        usable = [f for f in found if f.quantity == quantity and f.expected is not None]
        expected = {f.method: f.expected for f in usable if f.expected is not None}
        lost = {f.method: losses(f, happened) for f in usable}
        everybody = Segment(*EVERYBODY, np.arange(happened.size))
        result[quantity] = CutScores(
            tuple(_segment(s, happened, expected, lost) for s in (everybody, *segments)),
            resample(
                happened,
                expected,
                top=TOPS,
                resamples=resamples,
                seed=seed,
                losses=lost,
                base=base,
            ),
        )
    return result


def _segment(
    segment: Segment,
    actual: Floats,
    expected: Mapping[str, Floats],
    lost: Mapping[str, Mapping[str, Floats]],
) -> SegmentScores:
    rows = segment.rows
    happened = actual[rows]
    methods = {name: values[rows] for name, values in expected.items()}
    totals = {"actual": float(happened.sum())}
    totals |= {name: float(values.sum()) for name, values in methods.items()}
    here = {m: {name: v[rows] for name, v in by.items()} for m, by in lost.items()}
    found = all_metrics(happened, methods, TOPS, here)
    return SegmentScores(segment.by, segment.name, rows.size, totals, found)
