"""Shifted beta geometric against the published cohorts."""

from __future__ import annotations

import mpmath as mp
import numpy as np
import pytest
from contract import Example
from oracles import cohorts
from oracles.digits import assert_shown
from oracles.individual import OwnChurn

from clv.families import shifted_beta_geo as family

EXAMPLES = (
    Example({"alpha": 0.7041, "beta": 1.182}, span=8.0),
    Example({"alpha": 1.9, "beta": 11.0}, span=6.0),
)
INDIVIDUAL = OwnChurn()


@pytest.mark.parametrize(
    ("cohort", "estimates", "log_likelihood", "survival"),
    [
        (cohorts.REGULAR, ".7041 1.1820", "−1680.2652", ".170"),
        (cohorts.HIGH_END, ".6681 3.8061", "−1611.1581", ".378"),
    ],
)
def test_published_fits(
    cohort: list[int], estimates: str, log_likelihood: str, survival: str
) -> None:
    fit = cohorts.fit(family, cohort[:8])
    assert fit.convergence.converged
    assert fit.determined.all()
    assert_shown(fit.parameters, estimates)
    assert_shown(fit.log_likelihood, log_likelihood)
    p = family.Parameters(*fit.parameters)
    assert_shown(family.survival(p, 12), survival)
    # the projection: within a tenth of what was seen in the five years that followed
    seen = np.array(cohort[8:]) / 1000
    np.testing.assert_allclose(family.survival(p, np.arange(8, 13)), seen, rtol=0.1)


def test_residual_lifetime_is_the_published_formula() -> None:
    """Fader & Hardie (2010), eq. 6: the n-th renewal is due, and if made is paid at once."""
    for alpha, beta in ((0.7041, 1.182), (0.668, 3.806), (1.0, 1.0), (30.0, 2.0), (1e-3, 500.0)):
        p = family.Parameters(alpha, beta)
        for n in (1, 2, 5, 40):
            for d in (0.1, 0.5, 1e-4):
                ours = family.retention_rate(p, n) * (
                    1 + family.discounted_renewals(p, n, np.log1p(d), np.inf)
                )
                a, b, v = mp.mpf(alpha), mp.mpf(beta), 1 / (1 + mp.mpf(d))
                exact = (b + n - 1) / (a + b + n - 1) * mp.hyp2f1(1, b + n, a + b + n, v)
                assert float(ours / exact - 1) == pytest.approx(0, abs=1e-9)


def test_lifetime_without_discounting() -> None:
    """E[1 / theta] - 1 renewals, infinite where alpha <= 1."""
    ever = family.discounted_renewals(family.Parameters(np.array([1.0, 1.5]), 2.0), 0, 0.0, np.inf)
    assert ever.tolist() == [np.inf, 4.0]
