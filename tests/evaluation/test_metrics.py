"""Metrics: small cases by hand, the tie formulas against every order of the ties."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from clv.errors import DataError
from clv.evaluation import metrics

PAIRS = [
    metrics.bias,
    metrics.mean_bias,
    metrics.mean_absolute_error,
    metrics.root_mean_squared_error,
]
RANKINGS = [
    metrics.spearman,
    metrics.spearman_tie_expected,
    metrics.normalised_gini,
    metrics.top_share_captured,
]


@st.composite
def tied_pairs(draw: st.DrawFn, most: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """Few distinct values, so that ties are the rule."""
    n = draw(st.integers(2, most))
    few = st.integers(0, 4).map(float)
    return draw(arrays(np.float64, n, elements=few)), draw(arrays(np.float64, n, elements=few))


def every_order(values: np.ndarray) -> list[np.ndarray]:
    """All rankings 1..n that agree with the values, ties broken in every way."""
    groups = [np.flatnonzero(values == v) for v in np.unique(values)]
    rankings = []
    for orders in product(*(permutations(g) for g in groups)):
        ranking = np.empty(values.size)
        ranking[np.concatenate(orders).astype(int)] = np.arange(1, values.size + 1)
        rankings.append(ranking)
    return rankings


# -- by hand ------------------------------------------------------------------------------------


def test_errors_by_hand() -> None:
    actual, prediction = [0, 0, 10, 30], [2, 0, 6, 22]
    assert metrics.bias(actual, prediction) == pytest.approx(-0.25)
    assert metrics.mean_bias(actual, prediction) == pytest.approx(-2.5)
    assert metrics.mean_absolute_error(actual, prediction) == pytest.approx(3.5)
    assert metrics.root_mean_squared_error(actual, prediction) == pytest.approx(21**0.5)


def test_concentration_by_hand() -> None:
    # best first: 30 and 10 tied, then 0, then 0: corners (0, 0) (1/2, 1) (1, 1)
    assert metrics.normalised_gini([30, 10, 0, 0], [5, 5, 2, 1]) == pytest.approx(0.25 / 0.3125)
    assert metrics.top_share_captured([30, 10, 0, 0], [5, 5, 2, 1], 0.25) == pytest.approx(0.5)
    # a share within a customer: all of the first and half of the second of four
    assert metrics.top_share_captured([30, 10, 0, 0], [9, 5, 2, 1], 0.375) == pytest.approx(0.875)
    assert metrics.normalised_gini([30, 10, 0, 0], [1, 2, 3, 4]) == pytest.approx(-1.0)


def test_decile_calibration_by_hand() -> None:
    actual = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
    table = metrics.decile_calibration(actual, [1.0] * 5 + [2.0] * 5, groups=5)
    assert table.group.tolist() == [1, 2, 3, 4, 5]
    assert table.customers.tolist() == [2, 2, 2, 2, 2]
    assert table.mean_prediction.tolist() == pytest.approx([2, 2, 1.5, 1, 1])
    assert table.mean_actual.tolist() == pytest.approx([7, 7, 4.5, 2, 2])


def test_intervals_by_hand() -> None:
    actual, low, high = [0, 3, 10, 4], [0, 4, 2, 1], [2, 6, 8, 4]
    assert metrics.interval_coverage(actual, low, high) == 0.5
    assert metrics.interval_width(low, high) == pytest.approx(13 / 4)
    # misses by 1 and by 2, each fined 2 / 0.2 per unit
    assert metrics.interval_score(actual, low, high, 0.8) == pytest.approx((13 + 30) / 4)


def test_pit_coverage_by_hand() -> None:
    below, up_to = [0.0, 0.6, 0.9, 0.96], [0.6, 0.9, 0.96, 1.0]
    # of [0.1, 0.9]: five sixths, all, none, none
    assert metrics.pit_coverage(below, up_to, 0.8) == pytest.approx((5 / 6 + 1) / 4)
    # a count of probability zero counts by where it lies
    assert metrics.pit_coverage([0.5, 1.0], [0.5, 1.0], 0.8) == pytest.approx(0.5)


# -- oracles ------------------------------------------------------------------------------------


@given(tied_pairs())
def test_spearman_is_scipys(pair: tuple[np.ndarray, np.ndarray]) -> None:
    actual, score = pair
    ours = metrics.spearman(actual, score)
    if np.ptp(actual) == 0 or np.ptp(score) == 0:
        assert np.isnan(ours)
    else:
        assert ours == pytest.approx(stats.spearmanr(actual, score).statistic, abs=1e-12)
    np.testing.assert_array_equal(metrics.mid_ranks(score), stats.rankdata(score))


@given(tied_pairs(most=5))
def test_tie_expected_is_the_mean_over_every_order(pair: tuple[np.ndarray, np.ndarray]) -> None:
    actual, score = pair
    left, right = np.array(every_order(actual)), np.array(every_order(score))
    # of two permutations: 1 - 6 sum(d**2) / (n**3 - n)
    squares = ((left[:, None, :] - right[None, :, :]) ** 2).sum(axis=2)
    every = 1 - 6 * squares / (actual.size**3 - actual.size)
    assert metrics.spearman_tie_expected(actual, score) == pytest.approx(np.mean(every), abs=1e-12)


def test_tie_expected_by_simulation() -> None:
    rng = np.random.default_rng(3)
    actual, score = rng.poisson(0.6, 200), rng.poisson(1.0, 200)
    actual = actual + score * (rng.random(200) < 0.4)
    drawn = []
    for _ in range(4_000):
        a = np.lexsort((rng.random(200), actual)).argsort()
        s = np.lexsort((rng.random(200), score)).argsort()
        drawn.append(np.corrcoef(a, s)[0, 1])
    error = np.std(drawn) / len(drawn) ** 0.5
    assert metrics.spearman_tie_expected(actual, score) == pytest.approx(
        np.mean(drawn), abs=4 * error
    )


@given(tied_pairs(most=6), st.sampled_from([0.1, 0.25, 0.5, 0.7]))
def test_concentration_is_the_mean_over_every_order(
    pair: tuple[np.ndarray, np.ndarray], share: float
) -> None:
    actual, score = pair
    if actual.sum() == 0 or np.ptp(actual) == 0:
        return
    n = actual.size
    customers = np.arange(n + 1) / n
    curves = []
    for ranking in every_order(score):
        best_first = np.argsort(-ranking)
        curves.append(np.append(0, np.cumsum(actual[best_first])) / actual.sum())
    mean = np.mean(curves, axis=0)
    best = np.append(0, np.cumsum(np.sort(actual)[::-1])) / actual.sum()
    gini = (np.trapezoid(mean, customers) - 0.5) / (np.trapezoid(best, customers) - 0.5)
    assert metrics.normalised_gini(actual, score) == pytest.approx(gini, abs=1e-12)
    assert metrics.top_share_captured(actual, score, share) == pytest.approx(
        np.interp(share, customers, mean), abs=1e-12
    )


@given(st.lists(st.integers(0, 12), min_size=1, max_size=30), st.floats(0.1, 0.95))
def test_pit_coverage_is_the_mean_of_the_randomised(counts: list[int], level: float) -> None:
    n = np.array(counts)
    below, up_to = stats.poisson.cdf(n - 1, 2.5), stats.poisson.cdf(n, 2.5)
    u = (np.arange(4_000) + 0.5) / 4_000
    inside = [
        metrics.interval_coverage(
            metrics.randomised_pit(below, up_to, uniform=np.full(n.size, v)),
            np.full(n.size, (1 - level) / 2),
            np.full(n.size, (1 + level) / 2),
        )
        for v in u[:: max(1, 4_000 // 400)]
    ]
    assert metrics.pit_coverage(below, up_to, level) == pytest.approx(np.mean(inside), abs=0.01)


def test_pit_coverage_is_nominal_for_the_true_distribution() -> None:
    rng = np.random.default_rng(5)
    rate = rng.gamma(0.5, 1.0, 40_000)
    n = rng.poisson(rate)
    below, up_to = stats.poisson.cdf(n - 1, rate), stats.poisson.cdf(n, rate)
    for level in (0.5, 0.8, 0.9, 0.95):
        assert metrics.pit_coverage(below, up_to, level) == pytest.approx(level, abs=0.01)
        pit = metrics.randomised_pit(below, up_to, seed=1)
        assert np.mean(np.abs(pit - 0.5) <= level / 2) == pytest.approx(level, abs=0.01)
    np.testing.assert_array_equal(pit, metrics.randomised_pit(below, up_to, seed=1))


def test_interval_score_is_best_at_the_true_quantiles() -> None:
    actual = np.random.default_rng(6).exponential(1.0, 50_000)
    low, high = -np.log([0.95, 0.05])

    def score(lower: float, upper: float) -> float:
        ones = np.ones(actual.size)
        return metrics.interval_score(actual, lower * ones, upper * ones, 0.9)

    assert score(low, high) < min(score(0.0, high), score(low, 2.0), score(low, 5.0))


# -- properties ---------------------------------------------------------------------------------


@given(tied_pairs(), st.randoms(use_true_random=False))
def test_the_order_of_the_rows_does_not_matter(pair, random) -> None:  # type: ignore[no-untyped-def]
    actual, prediction = pair
    order = np.array(random.sample(range(actual.size), actual.size))
    for metric in [*PAIRS, *RANKINGS]:
        assert metric(actual[order], prediction[order]) == pytest.approx(
            metric(actual, prediction), abs=1e-12, nan_ok=True
        )
    groups = min(3, actual.size)
    here = metrics.decile_calibration(actual, prediction, groups)
    there = metrics.decile_calibration(actual[order], prediction[order], groups)
    np.testing.assert_allclose(here, there, atol=1e-12)


@given(tied_pairs())
def test_a_ranking_is_all_that_counts(pair: tuple[np.ndarray, np.ndarray]) -> None:
    actual, score = pair
    for metric in RANKINGS:
        assert metric(actual, np.exp(score) - 7) == pytest.approx(
            metric(actual, score), abs=1e-12, nan_ok=True
        )


@given(tied_pairs())
def test_nothing_ranks_better_than_the_truth(pair: tuple[np.ndarray, np.ndarray]) -> None:
    actual, score = pair
    if actual.sum() > 0 and np.ptp(actual) > 0:
        assert metrics.normalised_gini(actual, actual) == pytest.approx(1)
        assert metrics.normalised_gini(actual, score) <= 1 + 1e-12
        assert metrics.normalised_gini(actual, -actual) == pytest.approx(-1)
        assert metrics.spearman(actual, actual) == pytest.approx(1)
        assert metrics.top_share_captured(actual, score) <= (
            metrics.top_share_captured(actual, actual) + 1e-12
        )
    expected = metrics.spearman_tie_expected
    most = expected(actual, actual) * expected(score, score)
    assert expected(actual, score) ** 2 <= most + 1e-12


@given(tied_pairs())
def test_decile_calibration_keeps_the_totals(pair: tuple[np.ndarray, np.ndarray]) -> None:
    actual, prediction = pair
    table = metrics.decile_calibration(actual, prediction, 2)
    assert table.customers @ table.mean_actual == pytest.approx(actual.sum())
    assert table.customers @ table.mean_prediction == pytest.approx(prediction.sum())
    assert table.mean_prediction[0] >= table.mean_prediction[1]


# -- by name: what is undefined, what is refused --------------------------------------------------


def test_nothing_but_ties() -> None:
    flat, rising = [2.0, 2.0, 2.0], [1.0, 2.0, 3.0]
    assert np.isnan(metrics.spearman(flat, rising))
    assert np.isnan(metrics.spearman(rising, flat))
    assert metrics.spearman_tie_expected(rising, flat) == 0
    assert metrics.spearman_tie_expected(flat, rising) == 0
    assert metrics.normalised_gini(rising, flat) == pytest.approx(0)
    assert np.isnan(metrics.normalised_gini(flat, rising))
    assert metrics.top_share_captured(rising, flat, 0.5) == pytest.approx(0.5)


def test_a_total_of_zero() -> None:
    nothing, something = [0.0, 0.0, 0.0], [1.0, 2.0, 3.0]
    assert np.isnan(metrics.bias(nothing, something))
    assert metrics.mean_bias(nothing, something) == 2
    assert np.isnan(metrics.normalised_gini(nothing, something))
    assert np.isnan(metrics.top_share_captured(nothing, something))
    assert np.isnan(metrics.top_share_captured([-1.0, 0.0, 1.0], something))


def test_one_customer() -> None:
    assert np.isnan(metrics.spearman([1.0], [1.0]))
    assert np.isnan(metrics.spearman_tie_expected([1.0], [1.0]))
    assert np.isnan(metrics.normalised_gini([1.0], [1.0]))
    assert metrics.top_share_captured([1.0], [1.0]) == pytest.approx(0.1)
    assert metrics.bias([1.0], [2.0]) == 1


@pytest.mark.parametrize("metric", [*PAIRS, *RANKINGS, metrics.decile_calibration])
@pytest.mark.parametrize(
    ("actual", "other", "message"),
    [
        ([1, np.nan, np.nan], [1, 2, 3], r"actual has 2 missing or infinite .* position 1 \(nan\)"),
        ([1, 2, 3], [1, 2, np.inf], r"has 1 missing or infinite entries, the first at position 2"),
        ([1, 2, 3], [1, 2], r"differ in length: actual has 3, \w+ has 2"),
        ([], [], "no customer"),
        ([[1, 2]], [[1, 2]], r"shape \(n,\), not \(1, 2\)"),
        (["a", "b"], [1, 2], "actual cannot be read as numbers"),
    ],
)
def test_refusals(metric: Callable[..., object], actual: list, other: list, message: str) -> None:  # type: ignore[type-arg]
    with pytest.raises(DataError, match=message):
        metric(actual, other)


def test_more_refusals() -> None:
    with pytest.raises(DataError, match="share must lie between 0 and 1, not 10"):
        metrics.top_share_captured([1.0, 2.0], [1.0, 2.0], 10)
    with pytest.raises(DataError, match="groups must lie between 2 and the 3 customers, not 10"):
        metrics.decile_calibration([1, 2, 3], [1, 2, 3])
    with pytest.raises(DataError, match=r"low lies above high for 1 customers.*position 1"):
        metrics.interval_coverage([1, 2], [0, 3], [1, 2])
    with pytest.raises(DataError, match="level must lie between 0 and 1, not 90"):
        metrics.interval_score([1], [0], [2], 90)
    with pytest.raises(DataError, match="1 pairs do not, the first at position 0"):
        metrics.pit_coverage([0.7, 0.1], [0.5, 0.2], 0.9)
    with pytest.raises(DataError, match="uniform has 1, probability_below has 2"):
        metrics.randomised_pit([0.1, 0.2], [0.2, 0.3], uniform=[0.5])
