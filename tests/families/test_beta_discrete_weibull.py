"""Beta discrete Weibull against the published cohorts, and shifted beta geometric at c = 1."""

from __future__ import annotations

import numpy as np
import pytest
from contract import Example
from oracles import cohorts
from oracles.digits import assert_shown
from oracles.individual import OwnChurn

from clv.families import beta_discrete_weibull as family
from clv.families import shifted_beta_geo
from clv.numerics import backend
from clv.numerics.histories import ContractHistory

EXAMPLES = (
    Example({"alpha": 0.4556, "beta": 0.7793, "c": 1.2835}, span=8.0),
    Example({"alpha": 1.5, "beta": 4.0, "c": 0.8}, span=9.0),
)
INDIVIDUAL = OwnChurn()


@pytest.mark.parametrize(
    ("cohort", "estimates", "log_likelihood", "survival"),
    [
        (cohorts.REGULAR, ".4556 .7793 1.2835", "−1679.6028", ".1773"),
        (cohorts.HIGH_END, ".2143 1.4266 1.7236", "−1605.3142", ".4039"),
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
    seen = np.array(cohort[8:]) / 1000
    np.testing.assert_allclose(family.survival(p, np.arange(8, 13)), seen, rtol=0.04)


def test_with_power_one_it_is_shifted_beta_geometric() -> None:
    n = np.arange(60.0)
    for alpha, beta in ((0.7, 1.2), (40.0, 300.0), (1e-3, 2.0)):
        plain = shifted_beta_geo.Parameters(alpha, beta)
        p = family.Parameters(alpha, beta, 1.0)
        for churned in (np.zeros(60), np.ones(60)):
            history = ContractHistory(n, churned)
            np.testing.assert_allclose(
                family.log_likelihood(p, history, backend),
                shifted_beta_geo.log_likelihood(plain, history, backend),
                rtol=1e-12,
                atol=1e-12,
            )
        for until in (5.0, np.inf):
            np.testing.assert_allclose(
                family.discounted_renewals(p, n, 0.0953, until),
                shifted_beta_geo.discounted_renewals(plain, n, 0.0953, until),
                rtol=1e-10,
            )


def test_a_sum_without_end_and_discount_is_not_attempted() -> None:
    p = family.Parameters(2.0, 3.0, 1.5)
    assert family.discounted_renewals(p, 0, 0.0, np.inf) == np.inf
    both = family.discounted_renewals(p, 0, np.array([0.0, 0.1]), np.inf)
    assert np.isinf(both[0])
    assert both[1] == pytest.approx(float(family.discounted_renewals(p, 0, 0.1, np.inf)))
