"""Order statistics against sorting, and histories against a simulation step by step."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from clv.families import bg_nbd, mbg_nbd
from clv.numerics.sampling import first_order_statistics, simulate_histories


@pytest.mark.parametrize(("arrivals", "kept"), [(1, 1), (5, 1), (5, 3), (5, 5), (40, 2)])
def test_order_statistics_are_distributed_as_sorted_uniforms(arrivals: int, kept: int) -> None:
    n, horizon = 4000, 7.0
    rng = np.random.default_rng(arrivals * 100 + kept)
    times = first_order_statistics(np.full(n, arrivals), np.full(n, kept), horizon, rng)
    times = times.reshape(n, kept)
    sorted_uniforms = np.sort(np.random.default_rng(1).uniform(0, horizon, (n, arrivals)))
    assert (np.diff(times, axis=1) > 0).all()
    for k in range(kept):
        law = stats.beta(k + 1, arrivals - k)  # of the k-th of so many uniforms
        assert stats.kstest(times[:, k] / horizon, law.cdf).pvalue > 1e-4
        assert stats.ks_2samp(times[:, k], sorted_uniforms[:, k]).pvalue > 1e-4
    if kept > 1:  # jointly too
        gaps, true = times[:, 1] - times[:, 0], sorted_uniforms[:, 1] - sorted_uniforms[:, 0]
        assert stats.ks_2samp(gaps, true).pvalue > 1e-4
        assert np.corrcoef(times[:, 0], times[:, -1])[0, 1] == pytest.approx(
            np.corrcoef(sorted_uniforms[:, 0], sorted_uniforms[:, kept - 1])[0, 1], abs=0.06
        )


def test_paths_come_one_after_another() -> None:
    arrivals = np.array([[3, 0, 2], [5, 1, 4]])
    kept = np.array([[2, 0, 2], [1, 0, 4]])
    horizon = np.array([[1.0, 1.0, 100.0], [1.0, 1.0, 1e-3]])
    times = first_order_statistics(arrivals, kept, horizon, np.random.default_rng(1))
    assert len(times) == 9
    parts = np.split(times, np.cumsum(kept.ravel())[:-1])
    for part, end in zip(parts, horizon.ravel(), strict=True):
        assert ((part > 0) & (part < end)).all()
        assert (np.diff(part) > 0).all()
    assert parts[2].max() > 1
    assert len(first_order_statistics(arrivals, 0 * kept, 1.0, np.random.default_rng(0))) == 0


@pytest.mark.parametrize("family", [bg_nbd, mbg_nbd])
def test_histories_as_by_a_simulation_purchase_by_purchase(family: object) -> None:
    n, p = 6000, bg_nbd.Parameters(0.8, 6.0, 0.9, 2.0)
    rng = np.random.default_rng(3)
    rows = np.zeros((n, 2))
    T = rng.uniform(5, 40, n)
    for i in range(n):
        rate, dropout = rng.gamma(p.r, 1 / p.alpha), rng.beta(p.a, p.b)
        clock, alive = 0.0, family is bg_nbd or rng.random() >= dropout
        while alive:
            clock += rng.exponential(1 / rate)
            if clock > T[i]:
                break
            rows[i] = rows[i, 0] + 1, clock
            alive = rng.random() >= dropout
    ours = simulate_histories(family, p, T, seed=4)
    assert stats.ks_2samp(ours.frequency, rows[:, 0]).pvalue > 1e-4
    assert stats.ks_2samp(ours.recency / T, rows[:, 1] / T).pvalue > 1e-4
    assert (
        stats.ks_2samp(ours.recency * (ours.frequency == 2), rows[:, 1] * (rows[:, 0] == 2))[1]
        > 1e-4
    )


def test_histories_leave_the_ages_alone() -> None:
    T = np.array([10.0, 20.0])
    p = bg_nbd.Parameters(0.8, 6.0, 0.9, 2.0)
    history = simulate_histories(bg_nbd, p, T, seed=5)
    assert history.T is not T
    assert history.T.tolist() == T.tolist()
    assert history.frequency.dtype == np.float64
    other = simulate_histories(bg_nbd, p, np.full(500, 30.0), seed=6)
    again = simulate_histories(bg_nbd, p, np.full(500, 30.0), seed=7)
    assert not np.array_equal(other.recency, again.recency)
