"""Two methods over several cuts: how far apart, and how sure, over customers and over cuts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from clv.evaluation.cut import Cut
from clv.evaluation.foreseen import Quantity
from clv.evaluation.scores import LOWER_IS_BETTER

Floats = NDArray[np.float64]


class Difference(NamedTuple):
    """Mean over the cuts of a metric, or of the metric of one method less that of another.

    Attributes
    ----------
    value
        Of all customers.
    low, high
        Interval over customers: had others been in the base, the same cuts.
    low_cuts, high_cuts
        Over customers and cuts: had other cuts been taken, too. Undefined with one cut.
    cuts
        How many there are: those at which both methods have a value.
    """

    value: float
    low: float
    high: float
    low_cuts: float
    high_cuts: float
    cuts: int

    @property
    def is_clear(self) -> bool:
        """Whether the interval over customers leaves out 0."""
        return self.low > 0 or self.high < 0

    @property
    def is_clear_over_cuts(self) -> bool:
        """Whether the wider interval leaves out 0."""
        return self.low_cuts > 0 or self.high_cuts < 0


_NAN = float("nan")
_UNDEFINED = Difference(_NAN, _NAN, _NAN, _NAN, _NAN, 0)


def difference(
    cuts: Sequence[Cut],
    quantity: Quantity,
    metric: str,
    method: str,
    other: str | None,
    *,
    level: float,
    seed: int,
) -> Difference:
    """Metric of a method less that of another; or, without another, the metric itself.

    Notes
    -----
    The same customers are drawn at every cut, so that somebody who is in the base at several is
    one person in the bootstrap too. Over cuts: cuts are drawn with replacement for each resample
    of the customers, which is all that can be done with few cuts, and too narrow with very few.
    """
    values, spreads, scale = [], [], 1.0
    for cut in cuts:
        scores = cut.scores[quantity]
        points, drawn = scores.segments[0].metrics, scores.resampled
        if metric not in points.get(method, {}) or (
            other is not None and metric not in points.get(other, {})
        ):
            continue
        value, spread = points[method][metric], drawn.values[method][metric]
        if other is not None:
            value = value - points[other][metric]
            spread = spread - drawn.values[other][metric]
        if np.isfinite(value):
            values.append(value)
            spreads.append(spread)
            scale = drawn.scale
    if not values:
        return _UNDEFINED
    middle = float(np.mean(values))
    drawn_customers = np.stack(spreads)
    customers = _customers(middle, drawn_customers, scale, level)
    over_cuts = _cuts(np.array(values), drawn_customers, scale, level, seed)
    return Difference(middle, *customers, *over_cuts, len(values))


def _customers(middle: float, drawn: Floats, scale: float, level: float) -> tuple[float, float]:
    means = drawn.mean(axis=0)
    means = means[np.isfinite(means)]
    if means.size < 2:
        return float("nan"), float("nan")
    if scale == 1.0:
        low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
        return float(low), float(high)
    from scipy.special import stdtrit

    reach = float(stdtrit(means.size - 1, (1 + level) / 2) * np.std(means, ddof=1) * scale)
    return middle - reach, middle + reach


def _cuts(
    values: Floats, drawn: Floats, scale: float, level: float, seed: int
) -> tuple[float, float]:
    number = len(values)
    if number < 2:
        return float("nan"), float("nan")
    if scale == 1.0:
        chosen = np.random.default_rng([seed, 2]).integers(0, number, (number, drawn.shape[1]))
        means = np.take_along_axis(drawn, chosen, axis=0).mean(axis=0)
        means = means[np.isfinite(means)]
        if means.size < 2:
            return float("nan"), float("nan")
        low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
        return float(low), float(high)
    from scipy.special import stdtrit

    means = drawn.mean(axis=0)
    of_customers = float(np.nanvar(means, ddof=1)) * scale**2
    of_cuts = float(np.var(values, ddof=1)) / number
    reach = float(stdtrit(number - 1, (1 + level) / 2)) * (of_customers + of_cuts) ** 0.5
    return float(values.mean()) - reach, float(values.mean()) + reach


def best_of(
    cuts: Sequence[Cut], quantity: Quantity, metric: str, methods: Sequence[str]
) -> str | None:
    """The method with the best mean of a metric over the cuts at which most have a value.

    Of equals the first; None where the metric is defined for none. Methods with a value at fewer
    cuts than others are left out.
    """
    means = {}
    for method in methods:
        points = (cut.scores[quantity].segments[0].metrics.get(method, {}) for cut in cuts)
        found = [of_cut.get(metric, np.nan) for of_cut in points]
        means[method] = [value for value in found if np.isfinite(value)]
    most = max(map(len, means.values()), default=0)
    sign = 1.0 if _lower_is_better(metric) else -1.0
    ranked = {m: sign * float(np.mean(v)) for m, v in means.items() if len(v) == most and most}
    return min(ranked, key=ranked.__getitem__) if ranked else None


_HIGH_IS_GOOD = ("spearman", "normalised_gini", "captured", "top_share", "log_score")


def _lower_is_better(metric: str) -> bool:
    """Whether a method with less of a metric is better; of coverage and bias neither is."""
    return metric in LOWER_IS_BETTER or not metric.startswith(_HIGH_IS_GOOD)
