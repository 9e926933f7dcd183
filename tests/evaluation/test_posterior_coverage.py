"""Predictive intervals of holdout purchases on CDNOW, from posteriors."""

from __future__ import annotations

import numpy as np
import pytest

import clv

MOST = 60
LEVELS = (0.5, 0.8, 0.9)


def coverage(fitted, rfm, seed: int = 0) -> list[dict[str, float]]:
    """Randomised-PIT and plain coverage, mean width and interval score at each level.

    The predictive distribution is exact: the probabilities of 0, 1, 2, ... purchases, averaged
    over draws of the parameters.
    """
    horizon, actual = rfm.holdout_duration, rfm.array("holdout_purchases").astype(int)
    pmf = np.stack([fitted.purchase_count_pmf(n, horizon, rfm) for n in range(MOST)], axis=1)
    cdf = np.minimum(np.cumsum(pmf, axis=1), 1.0)
    rows = np.arange(len(actual))
    below = np.where(actual > 0, cdf[rows, np.maximum(actual - 1, 0)], 0.0)
    pit = below + np.random.default_rng(seed).uniform(size=len(rows)) * pmf[rows, actual]
    found = []
    for level in LEVELS:
        tail = (1 - level) / 2
        low, high = ((cdf < q).sum(axis=1) for q in (tail, 1 - tail))
        width = high - low
        missed = np.maximum(low - actual, 0) + np.maximum(actual - high, 0)
        found.append(
            {
                "level": level,
                "pit": float(np.mean(np.abs(pit - 0.5) <= level / 2)),
                "plain": float(np.mean((actual >= low) & (actual <= high))),
                "width": float(width.mean()),
                "score": float(np.mean(width + 2 / (1 - level) * missed)),
            }
        )
    return found


@pytest.mark.parametrize(
    "name", ["bg_nbd", "mbg_nbd", pytest.param("pareto_nbd", marks=pytest.mark.slow)]
)
def test_intervals_cover_what_they_say(name, cdnow) -> None:
    fitted = clv.model_class(name)().fit(cdnow, method="laplace", draws=50)
    assert fitted.posterior.k_hat < 0.7
    for row in coverage(fitted, cdnow):
        assert row["pit"] == pytest.approx(row["level"], abs=0.04), row
        assert row["plain"] >= row["level"] - 0.04, row
