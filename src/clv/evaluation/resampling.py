"""How sure is a difference between two methods: resample the customers, compare again.

The predictions stay as they are; only which customers happened to be in the table varies, and
every method sees the same customers each time (a paired bootstrap). A resample is a row of
weights, how often each customer was drawn, so that all metrics of many resamples are matrix
products and running sums over customers sorted once. Formulas are those of `metrics`, which
the tests hold them to.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from clv.evaluation import metrics

Floats = NDArray[np.float64]

METRICS: tuple[str, ...] = (
    "bias",
    "absolute_bias",
    "mean_absolute_error",
    "root_mean_squared_error",
    "spearman",
    "spearman_tie_expected",
    "normalised_gini",
    "top_share_captured",
)

_CHUNK_ENTRIES = 1_000_000
"""Entries of one block of weights: a dozen of these are alive at once, some 100 MB."""

_MOST_ENTRIES = 10_000_000
"""Weights drawn in all before fewer resamples are taken: some five seconds."""

_FEWEST_RESAMPLES = 200
"""Below this, tail quantiles of a bootstrap are mostly noise."""

_SMALLEST_BLOCK = 1_000
_MOST_BLOCKS = 200


class Resampled(NamedTuple):
    """Values of every metric in every resample.

    Attributes
    ----------
    values
        By method, then metric: shape (resamples,).
    scale
        Factor from the spread over `values` to that of the estimate from all customers.
    how
        In words, for the reader of the interval.
    """

    values: dict[str, dict[str, Floats]]
    scale: float
    how: str

    def interval(self, value: float, spread: Floats, level: float) -> tuple[float, float]:
        """Interval around `value` from resampled values of the same thing, `spread`."""
        spread = spread[np.isfinite(spread)]
        if spread.size < 2 or not np.isfinite(value):
            return float("nan"), float("nan")
        if self.scale == 1.0:
            low, high = np.quantile(spread, [(1 - level) / 2, (1 + level) / 2])
            return float(low), float(high)
        from scipy.special import stdtrit

        quantile = stdtrit(spread.size - 1, (1 + level) / 2)
        reach = float(quantile * np.std(spread, ddof=1) * self.scale)
        return value - reach, value + reach


def all_metrics(actual: Floats, prediction: Floats, top: float) -> dict[str, float]:
    """Every metric of `METRICS` for one method on all customers."""
    relative = metrics.bias(actual, prediction)
    return {
        "bias": relative,
        "absolute_bias": abs(relative),
        "mean_absolute_error": metrics.mean_absolute_error(actual, prediction),
        "root_mean_squared_error": metrics.root_mean_squared_error(actual, prediction),
        "spearman": metrics.spearman(actual, prediction),
        "spearman_tie_expected": metrics.spearman_tie_expected(actual, prediction),
        "normalised_gini": metrics.normalised_gini(actual, prediction),
        "top_share_captured": metrics.top_share_captured(actual, prediction, top),
    }


def resample(
    actual: Floats,
    methods: Mapping[str, Floats],
    *,
    top: float,
    resamples: int,
    seed: int,
) -> Resampled:
    """Every metric of every method on resampled customers.

    Up to 10 million drawn weights (1,000 resamples of 10,000 customers) it is the bootstrap that
    was asked for; then with fewer resamples, down to 200; above 50,000 customers the customers
    are divided by lot into blocks of at least 1,000, and the spread of a metric over the blocks,
    divided by the root of their number, is its standard error (Politis, Romano & Wolf 1999,
    *Subsampling*).

    Parameters
    ----------
    actual
        Shape (n_customers,).
    methods
        By name, the prediction of each method, shape (n_customers,).
    top
        Share of the customers for `top_share_captured`.
    resamples
        How many resamples are wanted.
    seed
        Of the lot.
    """
    affordable = _MOST_ENTRIES // actual.size
    if resamples > affordable and affordable < _FEWEST_RESAMPLES:
        return _blocks(actual, methods, top=top, seed=seed)
    used = min(resamples, max(affordable, _FEWEST_RESAMPLES))
    return _bootstrap(actual, methods, top=top, resamples=used, wanted=resamples, seed=seed)


def _blocks(actual: Floats, methods: Mapping[str, Floats], *, top: float, seed: int) -> Resampled:
    number = min(_MOST_BLOCKS, actual.size // _SMALLEST_BLOCK)
    order = np.random.default_rng(seed).permutation(actual.size)
    blocks = [order[start::number] for start in range(number)]
    values = {
        name: _columns([all_metrics(actual[b], prediction[b], top) for b in blocks])
        for name, prediction in methods.items()
    }
    how = (
        f"from the spread over {number} blocks of about {actual.size // number:,} customers, "
        "drawn by lot (there are too many customers for a bootstrap of all of them)"
    )
    return Resampled(values, float(1 / np.sqrt(number)), how)


def _columns(rows: Sequence[Mapping[str, float]]) -> dict[str, Floats]:
    return {name: np.array([row[name] for row in rows]) for name in METRICS}


def _bootstrap(
    actual: Floats,
    methods: Mapping[str, Floats],
    *,
    top: float,
    resamples: int,
    wanted: int,
    seed: int,
) -> Resampled:
    truth = _Sorted.of(actual)
    sorted_methods = {name: _Sorted.of(prediction) for name, prediction in methods.items()}
    errors = {name: prediction - actual for name, prediction in methods.items()}
    found: dict[str, list[dict[str, Floats]]] = {name: [] for name in methods}
    for weights in _weights(actual.size, resamples, np.random.default_rng(seed)):
        total = weights @ actual
        drawn = truth.running(weights)
        truth_ranks = _truth_ranks(truth, drawn, weights)
        value = weights * actual
        perfect = _curve(truth, drawn, value, total).area
        for name, prediction in methods.items():
            score = sorted_methods[name]
            drawn = score.running(weights)
            curve = _curve(score, drawn, value, total)
            relative = _ratio(weights @ prediction, total) - 1
            found[name].append(
                {
                    "bias": relative,
                    "absolute_bias": np.abs(relative),
                    "mean_absolute_error": weights @ np.abs(errors[name]) / actual.size,
                    "root_mean_squared_error": np.sqrt(weights @ errors[name] ** 2 / actual.size),
                    **_spearman(truth_ranks, score, drawn),
                    "normalised_gini": _ratio(curve.area, perfect),
                    "top_share_captured": curve.at(top),
                }
            )
    values = {
        name: {metric: np.concatenate([c[metric] for c in chunks]) for metric in METRICS}
        for name, chunks in found.items()
    }
    how = f"bootstrap over customers, {resamples:,} resamples"
    if resamples < wanted:
        how += f" (of the {wanted:,} asked for: there are many customers)"
    return Resampled(values, 1.0, how)


def _weights(n: int, resamples: int, rng: np.random.Generator) -> Iterator[Floats]:
    """Blocks of rows, each how often every customer is drawn in n draws with replacement."""
    most = max(1, _CHUNK_ENTRIES // n)
    for start in range(0, resamples, most):
        rows = min(most, resamples - start)
        drawn = rng.integers(0, n, size=(rows, n)) + np.arange(rows)[:, None] * n
        counts = np.bincount(drawn.ravel(), minlength=rows * n)
        yield counts.reshape(rows, n).astype(np.float64)


def _ratio(top: Floats, bottom: Floats) -> Floats:
    result: Floats = np.divide(top, bottom, out=np.full(top.shape, np.nan), where=bottom != 0)
    return result


# -- metrics of many resamples at once: weights have shape (resamples, customers) ---------------


class _Sorted(NamedTuple):
    """Customers in descending order of a score, and where each tie ends."""

    order: NDArray[np.intp]
    last: NDArray[np.intp]
    tie_of: NDArray[np.intp]

    @classmethod
    def of(cls, score: Floats) -> _Sorted:
        order = np.argsort(-score, kind="stable")
        ordered = score[order]
        last = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))
        tie_of = np.empty(score.size, dtype=np.intp)
        tie_of[order] = np.searchsorted(last, np.arange(score.size))
        return cls(order, last, tie_of)

    def running(self, weights: Floats) -> Floats:
        """Sum over the customers up to the end of each tie, shape (resamples, ties)."""
        sums = np.cumsum(np.take(weights, self.order, axis=1), axis=1)
        return sums if self.last.size == self.order.size else np.take(sums, self.last, axis=1)


def _steps(running: Floats) -> Floats:
    """Undo the running sum: what each tie adds."""
    return np.diff(running, axis=1, prepend=0.0)


class _Curve(NamedTuple):
    """Concentration curves; `customers` in drawn customers, `value` as a share of the total."""

    customers: Floats
    value: Floats
    area: Floats

    def at(self, share: float) -> Floats:
        """Value held by the top `share` of the customers."""
        border = share * self.customers[:, -1]
        tie = np.argmax(self.customers >= border[:, None], axis=1)
        row = np.arange(border.size)
        before = np.maximum(tie - 1, 0)
        c0 = np.where(tie > 0, self.customers[row, before], 0.0)
        v0 = np.where(tie > 0, self.value[row, before], 0.0)
        c1, v1 = self.customers[row, tie], self.value[row, tie]
        result: Floats = v0 + (v1 - v0) * (border - c0) / (c1 - c0)
        return result


def _curve(score: _Sorted, customers: Floats, value_drawn: Floats, total: Floats) -> _Curve:
    usable = np.where(total > 0, total, np.nan)[:, None]
    value = score.running(value_drawn) / usable
    # trapezoids: each tie's customers times the mean of the curve at its two ends
    middle = value - _steps(value) / 2
    area = np.einsum("ij,ij->i", _steps(customers), middle) / customers[:, -1] - 0.5
    return _Curve(customers, value, area)


class _TruthRanks(NamedTuple):
    weighted: Floats
    spread: Floats


def _centred_ranks(running: Floats) -> tuple[Floats, Floats]:
    """Mid-ranks less their mean, per tie, and how many drawn customers share each."""
    drawn = _steps(running)
    return running[:, -1:] / 2 - (running - drawn / 2), drawn


def _truth_ranks(truth: _Sorted, running: Floats, weights: Floats) -> _TruthRanks:
    ranks, drawn = _centred_ranks(running)
    weighted = weights * np.take(ranks, truth.tie_of, axis=1)
    return _TruthRanks(weighted, np.einsum("ij,ij,ij->i", drawn, ranks, ranks))


def _spearman(truth: _TruthRanks, score: _Sorted, running: Floats) -> dict[str, Floats]:
    ranks, drawn = _centred_ranks(running)
    product = np.einsum("ij,ij->i", _steps(score.running(truth.weighted)), ranks)
    n = truth.weighted.shape[1]
    scale = np.sqrt(truth.spread * np.einsum("ij,ij,ij->i", drawn, ranks, ranks))
    return {
        "spearman": _ratio(product, scale),
        "spearman_tie_expected": 12 * product / (n * (n**2 - 1.0)),
    }
