"""How sure is a difference between two methods: resample the customers, compare again.

The predictions stay as they are; only which customers happened to be in the table varies, and
every method sees the same customers each time (a paired bootstrap). A resample is a row of
weights, how often each customer was drawn, so that all metrics of many resamples are matrix
products and running sums over customers sorted once. Formulas are those of `metrics`, which
the tests hold them to.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

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


Losses = Mapping[str, Mapping[str, Floats]]
"""By method, then metric: what each customer adds to a metric that is a mean over customers."""

Shares = Mapping[str, float]
"""By name of the metric: share of the customers whose part of the total is looked at."""


def _shares(top: float | Shares) -> Shares:
    return {"top_share_captured": top} if isinstance(top, float | int) else top


def all_metrics(
    actual: Floats,
    methods: Mapping[str, Floats],
    top: float | Shares,
    losses: Losses | None = None,
) -> dict[str, dict[str, float]]:
    """Every metric of `METRICS` of every method on all customers; each figure is sorted once.

    Parameters as in `resample`.
    """
    figures = _Sorted.all(actual, methods)
    found = _evaluate(figures, np.ones((1, actual.size)), _shares(top), losses or {})
    return {
        name: {metric: float(value[0]) for metric, value in values.items()}
        for name, values in found.items()
    }


def resample(
    actual: Floats,
    methods: Mapping[str, Floats],
    *,
    top: float | Shares,
    resamples: int,
    seed: int,
    losses: Losses | None = None,
    base: Base | None = None,
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
        Share of the customers for `top_share_captured`; or several, by name.
    resamples
        How many resamples are wanted.
    seed
        Of the lot.
    losses
        Further metrics: means over the customers of these.
    base
        Who is drawn, where that is not these customers but all of whom they are a part: the same
        seed then draws the same people whichever part is looked at.
    """
    everybody = Base(np.arange(actual.size), actual.size) if base is None else base
    parts = (actual, methods, _shares(top), losses or {}, everybody)
    affordable = _MOST_ENTRIES // everybody.size
    if resamples > affordable and affordable < _FEWEST_RESAMPLES:
        return _blocks(*parts, seed=seed)
    used = min(resamples, max(affordable, _FEWEST_RESAMPLES))
    return _bootstrap(*parts, resamples=used, wanted=resamples, seed=seed)


class Base(NamedTuple):
    """All customers there are, and which of them are looked at."""

    place: NDArray[np.int64]
    size: int


def _blocks(
    actual: Floats,
    methods: Mapping[str, Floats],
    shares: Shares,
    losses: Losses,
    base: Base,
    *,
    seed: int,
) -> Resampled:
    number = min(_MOST_BLOCKS, base.size // _SMALLEST_BLOCK)
    block_of = np.empty(base.size, dtype=np.int64)
    block_of[np.random.default_rng(seed).permutation(base.size)] = np.arange(base.size) % number
    order = np.argsort(block_of[base.place], kind="stable")
    borders = np.searchsorted(block_of[base.place][order], np.arange(number + 1))
    found = [
        all_metrics(
            actual[block],
            {name: p[block] for name, p in methods.items()},
            shares,
            {m: {name: v[block] for name, v in by.items()} for m, by in losses.items()},
        )
        if block.size
        else None  # of the customers that are looked at nobody is in this block
        for block in (order[start:end] for start, end in pairwise(borders.tolist()))
    ]
    values = {
        name: {
            metric: np.array([np.nan if here is None else here[name][metric] for here in found])
            for metric in metrics
        }
        for name, metrics in next((here for here in found if here is not None), {}).items()
    }
    how = (
        f"from the spread over {number} blocks of about {base.size // number:,} customers, "
        "drawn by lot (there are too many customers for a bootstrap of all of them)"
    )
    return Resampled(values, float(1 / np.sqrt(number)), how)


def _bootstrap(
    actual: Floats,
    methods: Mapping[str, Floats],
    shares: Shares,
    losses: Losses,
    base: Base,
    *,
    resamples: int,
    wanted: int,
    seed: int,
) -> Resampled:
    figures = _Sorted.all(actual, methods)
    rng = np.random.default_rng(seed)
    whole = base.size == actual.size
    with np.errstate(divide="ignore", invalid="ignore"):  # a part from which nobody was drawn
        chunks = [
            _evaluate(figures, w if whole else w[:, base.place], shares, losses)
            for w in _weights(base.size, resamples, rng)
        ]
    values = {
        name: {m: np.concatenate([c[name][m] for c in chunks]) for m in metrics}
        for name, metrics in chunks[0].items()
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
    """A figure, customers in descending order of it, and where each tie ends."""

    figure: Floats
    order: NDArray[np.intp]
    last: NDArray[np.intp]

    @classmethod
    def of(cls, figure: Floats) -> _Sorted:
        order = np.argsort(-figure, kind="stable")
        ordered = figure[order]
        return cls(figure, order, np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True)))

    @classmethod
    def all(cls, actual: Floats, methods: Mapping[str, Floats]) -> _Figures:
        return _Figures(cls.of(actual), {name: cls.of(p) for name, p in methods.items()})

    @property
    def tie_of(self) -> NDArray[np.intp]:
        """The tie that each customer is in."""
        tie = np.empty(self.order.size, dtype=np.intp)
        tie[self.order] = np.repeat(np.arange(self.last.size), np.diff(self.last, prepend=-1))
        return tie

    def running(self, weights: Floats) -> Floats:
        """Sum over the customers up to the end of each tie, shape (resamples, ties)."""
        sums = np.cumsum(np.take(weights, self.order, axis=1), axis=1)
        return sums if self.last.size == self.order.size else np.take(sums, self.last, axis=1)


class _Figures(NamedTuple):
    truth: _Sorted
    methods: dict[str, _Sorted]


def _evaluate(
    figures: _Figures, weights: Floats, shares: Shares, losses: Losses
) -> dict[str, dict[str, Floats]]:
    truth, actual = figures.truth, figures.truth.figure
    value, total = weights * actual, weights @ actual
    people = weights.sum(axis=1)
    drawn = truth.running(weights)
    truth_ranks = _truth_ranks(truth, drawn, weights)
    perfect = _curve(truth, drawn, value, total).area
    found = {}
    for name, method in figures.methods.items():
        error = method.figure - actual
        drawn = method.running(weights)
        curve = _curve(method, drawn, value, total)
        relative = _ratio(weights @ method.figure, total) - 1
        found[name] = {
            "bias": relative,
            "absolute_bias": np.abs(relative),
            "mean_absolute_error": weights @ np.abs(error) / people,
            "root_mean_squared_error": np.sqrt(weights @ error**2 / people),
            **_spearman(truth_ranks, method, drawn),
            # all figures equal: an area of 0 but for rounding
            "normalised_gini": _ratio(curve.area, np.where(perfect > 1e-12, perfect, 0.0)),
            **{metric: curve.at(share) for metric, share in shares.items()},
            **{m: weights @ loss / people for m, loss in losses.get(name, {}).items()},
        }
    return found


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
    n = running[:, -1]
    scale = np.sqrt(truth.spread * np.einsum("ij,ij,ij->i", drawn, ranks, ranks))
    return {
        "spearman": _ratio(product, scale),
        "spearman_tie_expected": _ratio(12 * product, n * (n**2 - 1.0)),
    }
