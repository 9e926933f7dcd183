"""How well a pair of models foresaw a holdout, and how sure a difference is.

Intervals come from a paired bootstrap over customers. What is resampled are sums over groups of
customers, dealt by lot: for means and ratios of sums that gives the spread that resampling single
customers would, at a cost that does not grow with them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clv.evaluation import metrics
from clv.evaluation.coverage import count_distribution
from clv.fitted import FittedPurchases, FittedSpend
from clv.history import historical_purchase_forecasts
from clv.pipeline.candidates import scores_of
from clv.tables.rfm import RFM

Floats = NDArray[np.float64]

#: Groups of customers that are resampled.
_GROUPS = 1_000

#: Level of the predictive intervals whose coverage is checked.
COVERAGE = 0.9


@dataclass(frozen=True)
class Interval:
    """A number and the interval that resampling gives it."""

    value: float
    low: float
    high: float

    @property
    def ends(self) -> tuple[float, float]:
        """Low and high."""
        return (self.low, self.high)


@dataclass(frozen=True)
class Resampling:
    """The same resamples for everything that is compared: shape (resamples, groups)."""

    group_of: NDArray[np.int64]
    weights: Floats
    confidence: float

    @classmethod
    def of(cls, customers: int, resamples: int, confidence: float, seed: int) -> Resampling:
        """Deal customers into groups, and draw the groups with replacement."""
        rng = np.random.default_rng(seed)
        groups = min(customers, _GROUPS)
        group_of = rng.permutation(customers) % groups
        drawn = rng.multinomial(groups, np.full(groups, 1 / groups), size=resamples)
        return cls(group_of, drawn.astype(np.float64), confidence)

    def mean(self, values: Floats) -> Interval:
        """Mean over customers."""
        return self.ratio(values, np.ones_like(values))

    def ratio(self, top: Floats, bottom: Floats, less: float = 0.0) -> Interval:
        """Ratio of two sums over customers, less a constant."""
        groups = self.weights.shape[1]
        above, below = (
            self.weights @ np.bincount(self.group_of, weights=part, minlength=groups)
            for part in (top, bottom)
        )
        total = float(bottom.sum())
        if total == 0:
            return Interval(float("nan"), float("nan"), float("nan"))
        drawn = np.divide(above, below, out=np.full(above.shape, np.nan), where=below != 0) - less
        tail = (1 - self.confidence) / 2
        low, high = np.nanquantile(drawn, [tail, 1 - tail])
        return Interval(float(top.sum()) / total - less, float(low), float(high))


@dataclass(frozen=True, eq=False)
class Judgement:
    """What a pair of models said of the holdout of a table, against what happened.

    Attributes
    ----------
    split
        Table with a holdout; the models know nothing of it.
    purchases, spend
        The models.
    resampling
        Shared by all that are compared.
    """

    split: RFM
    purchases: FittedPurchases
    spend: FittedSpend
    resampling: Resampling

    @cached_property
    def log_scores(self) -> Floats:
        """Per customer, shape (n,)."""
        return scores_of(self.purchases, self.split)

    @cached_property
    def expected(self) -> Floats:
        """Expected purchases in the holdout, shape (n,)."""
        return self.purchases.expected_purchases(self.split, self.split.holdout_duration)

    @property
    def actual(self) -> Floats:
        """Purchases in the holdout, shape (n,)."""
        return np.asarray(self.split.array("holdout_purchases"))

    @cached_property
    def bias(self) -> Interval:
        """Expected purchases over actual ones, less 1."""
        return self.resampling.ratio(self.expected, self.actual, less=1.0)

    @cached_property
    def spend_bias(self) -> Interval:
        """What was expected for the purchases that were made over what was paid, less 1."""
        foreseen = self.spend.expected_spend(self.split) * self.actual
        return self.resampling.ratio(foreseen, self.split.array("holdout_spend"), less=1.0)

    @cached_property
    def calibration_error(self) -> float:
        """Mean gap between expected and actual purchases by tenth, over the mean of the latter."""
        groups = min(10, self.actual.size)
        if groups < 2 or not self.actual.sum():
            return float("nan")
        table = metrics.decile_calibration(self.actual, self.expected, groups)
        gaps = np.abs(table.mean_prediction - table.mean_actual)
        return float((table.customers * gaps).sum() / self.actual.sum())

    @cached_property
    def coverage(self) -> float:
        """Share of customers inside their predictive interval, by the randomised PIT."""
        split = self.split
        found = count_distribution(
            self.purchases, split, split.holdout_duration, self.actual, (COVERAGE,)
        )
        return metrics.pit_coverage(found.below, found.up_to, COVERAGE)

    @cached_property
    def against_history(self) -> float:
        """Root mean squared error over that of the best simple forecast of purchases."""
        simple = historical_purchase_forecasts(self.split, self.split.holdout_duration)
        errors = [metrics.root_mean_squared_error(self.actual, f) for f in simple.values()]
        own = metrics.root_mean_squared_error(self.actual, self.expected)
        best = min(errors)
        return own / best if best else float("nan")

    def gain_over(self, other: Judgement) -> Interval:
        """Mean log score less that of the other, over the same customers."""
        return self.resampling.mean(self.log_scores - other.log_scores)

    def to_dict(self) -> dict[str, Any]:
        """As it stands in the answer."""
        return {
            "customers": len(self.split),
            "purchases": float(self.actual.sum()),
            "model": self.purchases.model_name,
            "log_score": float(self.log_scores.mean()),
            "bias": self.bias.value,
            "spend_bias": self.spend_bias.value,
            "calibration_error": self.calibration_error,
            "coverage": self.coverage,
            "against_history": self.against_history,
        }
