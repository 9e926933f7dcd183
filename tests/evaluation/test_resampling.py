"""The fast metrics of many resamples are the plain metrics on repeated rows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clv.evaluation import metrics, resampling
from clv.evaluation.resampling import METRICS, all_metrics, resample


def plain(actual: np.ndarray, prediction: np.ndarray, top: float) -> dict[str, float]:
    """The metrics one by one."""
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


def skewed(n: int, seed: int = 0) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Mostly zeros, a long tail, one smooth and one tied score."""
    rng = np.random.default_rng(seed)
    rate = rng.gamma(0.3, 1.0, n)
    actual = rng.poisson(rate) * rng.lognormal(3, 0.6, n).round(2)
    past = rng.poisson(rate).astype(float)
    return actual, {"smooth": 20 * (past + 0.2) * rng.uniform(0.9, 1.1, n), "tied": 20 * past}


@given(st.integers(1, 60), st.integers(0, 1_000))
def test_each_resample_is_the_metric_of_the_drawn_rows(n: int, seed: int) -> None:
    actual, methods = skewed(n, seed)
    methods["nothing"] = np.zeros(n)
    found = resample(actual, methods, top=0.15, resamples=4, seed=seed)
    weights = next(resampling._weights(n, 4, np.random.default_rng(seed)))
    for i, times in enumerate(weights.astype(int)):
        drawn = np.repeat(np.arange(n), times)
        for name, prediction in methods.items():
            one_by_one = plain(actual[drawn], prediction[drawn], 0.15)
            for metric in METRICS:
                assert found.values[name][metric][i] == pytest.approx(
                    one_by_one[metric], abs=1e-9, nan_ok=True
                )


@given(st.integers(1, 40), st.integers(0, 1_000))
def test_all_metrics_are_the_metrics_one_by_one(n: int, seed: int) -> None:
    actual, methods = skewed(n, seed)
    found = all_metrics(actual, methods, 0.2)
    for name, prediction in methods.items():
        assert found[name] == pytest.approx(plain(actual, prediction, 0.2), abs=1e-9, nan_ok=True)


def test_memory_is_bounded_and_blocks_of_resamples_join(monkeypatch: pytest.MonkeyPatch) -> None:
    actual, methods = skewed(300)
    monkeypatch.setattr(resampling, "_CHUNK_ENTRIES", 1_000)
    sizes = [w.shape[0] for w in resampling._weights(300, 10, np.random.default_rng(0))]
    assert sizes == [3, 3, 3, 1]
    found = resample(actual, methods, top=0.1, resamples=10, seed=0)
    assert all(found.values["tied"][m].shape == (10,) for m in METRICS)


def test_the_bootstrap_interval_is_that_of_theory() -> None:
    rng = np.random.default_rng(1)
    actual, errors = rng.exponential(1.0, 2_000), rng.normal(0, 1.0, 2_000)
    found = resample(actual, {"a": actual + errors}, top=0.1, resamples=2_000, seed=0)
    value = np.abs(errors).mean()
    low, high = found.interval(value, found.values["a"]["mean_absolute_error"], 0.9)
    reach = 1.645 * np.abs(errors).std() / 2_000**0.5
    assert (low, high) == pytest.approx((value - reach, value + reach), rel=0.01)


def test_blocks_agree_with_the_bootstrap(monkeypatch: pytest.MonkeyPatch) -> None:
    actual, methods = skewed(60_000)
    blocks = resample(actual, methods, top=0.1, resamples=1_000, seed=0)
    assert "60 blocks of about 1,000 customers" in blocks.how
    monkeypatch.setattr(resampling, "_MOST_ENTRIES", 10**9)
    full = resample(actual, methods, top=0.1, resamples=100, seed=0)
    assert full.how == "bootstrap over customers, 100 resamples"
    for metric in METRICS:
        spread = blocks.values["smooth"][metric] - blocks.values["tied"][metric]
        other = full.values["smooth"][metric] - full.values["tied"][metric]
        if np.std(other) > 0:
            assert np.std(spread) * blocks.scale == pytest.approx(np.std(other), rel=0.4)


def test_fewer_resamples_for_many_customers_are_said() -> None:
    actual, methods = skewed(30_000)
    del methods["tied"]
    found = resample(actual, methods, top=0.1, resamples=1_000, seed=0)
    assert found.how == (
        "bootstrap over customers, 333 resamples (of the 1,000 asked for: there are many customers)"
    )


def test_an_undefined_metric_has_no_interval() -> None:
    found = resample(np.zeros(5), {"a": np.ones(5)}, top=0.1, resamples=10, seed=0)
    assert np.isnan(found.interval(float("nan"), found.values["a"]["bias"], 0.9)).all()
