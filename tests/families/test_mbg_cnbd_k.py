"""MBG/CNBD-k: k = 1 is MBG/NBD to the last digit; CDNOW, and buyers who are regular."""

from __future__ import annotations

import numpy as np
import pytest
from contract import Example
from oracles import cdnow
from oracles.individual import RegularCoin

from clv.families import mbg_cnbd_k, mbg_nbd
from clv.inference.variants import VariantFit, maximize_variants
from clv.numerics import backend
from clv.numerics.histories import IntervalHistory, PurchaseHistory
from clv.numerics.sampling import simulate_histories

EXAMPLES = (
    Example({"r": 1.2, "alpha": 9.0, "a": 0.8, "b": 2.4}, variant=4),
    Example({"r": 3.0, "alpha": 12.0, "a": 1.4, "b": 9.0}, span=30.0, variant=2),
)
INDIVIDUAL = RegularCoin(first_coin=True)

#: what the tests of BTYDplus simulate from
REGULAR = mbg_cnbd_k.variant(3).Parameters(0.85, 1.45, 0.79, 2.42)


@pytest.fixture(scope="module")
def regular() -> IntervalHistory:
    ages = np.random.default_rng(1).uniform(12, 96, 3000)
    return simulate_histories(mbg_cnbd_k.variant(3), REGULAR, ages, seed=2)


@pytest.fixture(scope="module")
def fit(regular: IntervalHistory) -> VariantFit:
    return maximize_variants(mbg_cnbd_k, regular, np.ones(3000), {"time": 54.0})


def test_one_stage_is_the_plain_model() -> None:
    p = mbg_nbd.Parameters(0.2426, 4.414, 0.793, 2.426)
    one = mbg_cnbd_k.variant(1)
    same = one.Parameters(*p)
    rows = PurchaseHistory(*(v[::40] for v in cdnow.summary()[:3]))
    with_any = IntervalHistory(*rows, np.full(len(rows.T), np.nan))
    t = np.array([[0.5], [39.0], [4000.0]])

    def equal(function: str, *arguments: object) -> None:
        mine, other = (getattr(f, function) for f in (one, mbg_nbd))
        states = [f.alive_state(q, rows) for f, q in ((one, same), (mbg_nbd, p))]
        news = [f.new_customer(q)[1] for f, q in ((one, same), (mbg_nbd, p))]
        for a, b in (states, news):
            np.testing.assert_array_equal(mine(a, *arguments), other(b, *arguments), function)

    for history in (rows, with_any):
        np.testing.assert_array_equal(
            one.log_likelihood(same, history, backend), mbg_nbd.log_likelihood(p, rows, backend)
        )
        np.testing.assert_array_equal(
            one.probability_alive(same, history), mbg_nbd.probability_alive(p, rows)
        )
    assert one.new_customer(same)[0] == mbg_nbd.new_customer(p)[0]
    for verb in ("survival", "expected_purchases", "no_purchase_probability"):
        equal(verb, t)
    equal("purchase_count_pmf", 2, t)
    equal("next_purchase_quantile", 0.3)
    equal("time_scale")
    equal("expected_purchases_ever")
    draws = [
        f.sample_purchases(f.alive_state(q, rows), 39.0, np.random.default_rng(3), rows.T.shape)
        for f, q in ((one, same), (mbg_nbd, p))
    ]
    np.testing.assert_array_equal(draws[0].times, draws[1].times)


def test_regularity_is_found(regular: IntervalHistory, fit: VariantFit) -> None:
    """It is worth hundreds of log-likelihood points, and k comes out with the rest."""
    assert fit.number == 3
    assert fit.failed == ()
    assert fit.estimate.convergence.converged
    assert list(fit.profile) == [1, 2, 3, 4, 5, 6]
    assert fit.profile[3] == fit.estimate.log_likelihood > fit.profile[1] + 500
    off = np.log(fit.estimate.parameters / np.array(REGULAR))
    # chi-squared with 4 degrees of freedom: beyond this once in 100,000
    assert off @ np.linalg.solve(fit.estimate.log_covariance, off) < 28.5
    true = mbg_cnbd_k.variant(3).log_likelihood(REGULAR, regular, backend).sum()
    assert true < fit.estimate.log_likelihood < true + 15


def test_the_mean_of_equal_rows_stands_for_them(regular: IntervalHistory) -> None:
    """Only the total of the logs enters, so equal rows may share its mean."""
    family = mbg_cnbd_k.variant(3)
    two = IntervalHistory(*(np.repeat(v[:50], 2) for v in regular))
    logs = two.sum_log_intervals * np.tile([0.9, 1.1], 50)
    statistics = family.sufficient_statistics(two._replace(sum_log_intervals=logs), np.ones(100))
    each = family.log_likelihood(REGULAR, two._replace(sum_log_intervals=logs), backend).sum()
    mean = IntervalHistory(*(v[:50] for v in regular))
    shared = 2 * family.log_likelihood(REGULAR, mean, backend).sum()
    assert shared == pytest.approx(each, rel=1e-13)
    value = family.log_likelihood_derivatives(REGULAR, statistics)[0]
    assert value == pytest.approx(each, rel=1e-12)
