"""Gamma-Gamma against published numbers (Fader & Hardie 2013, note 025) and lifetimes."""

from __future__ import annotations

import numpy as np
import pytest
from contract import Example
from oracles import cdnow, peers
from oracles.digits import assert_shown
from oracles.individual import GammaSpending

from clv.families import gamma_gamma
from clv.inference.maximum_likelihood import Estimate, maximize
from clv.numerics.histories import SpendHistory

EXAMPLES = (
    Example({"p": 6.25, "q": 3.744, "v": 15.44}, money=35.0),
    Example({"p": 0.7, "q": 5.0, "v": 400.0}, money=70.0),
)
INDIVIDUAL = GammaSpending()

CDNOW = gamma_gamma.Parameters(6.2495738, 3.7442246, 15.4435167)
NOBODY = SpendHistory(np.zeros(1), np.zeros(1))


def repeat_buyers() -> SpendHistory:
    s = cdnow.summary()
    bought = s.frequency > 0
    return SpendHistory(s.frequency[bought], s.monetary_value[bought])


@pytest.fixture(scope="module")
def estimate() -> Estimate:
    return maximize(gamma_gamma, repeat_buyers(), np.ones(946), {"money": 35.0})


def test_estimates_are_the_published_ones(estimate: Estimate) -> None:
    assert estimate.convergence.converged
    np.testing.assert_allclose(estimate.parameters, CDNOW, rtol=1e-6)
    assert_shown(estimate.parameters, "6.25 3.74 15.44")
    assert_shown(estimate.log_likelihood, "−4055.91769")
    errors = estimate.parameters * np.sqrt(np.diag(estimate.log_covariance))
    assert_shown(errors, "1.190 .2901 4.159")


def test_what_customers_spend() -> None:
    s = cdnow.summary()
    rows = SpendHistory(s.frequency, s.monetary_value)
    assert_shown(gamma_gamma.expected_spend(CDNOW, NOBODY), "35.1704")
    assert_shown(
        gamma_gamma.expected_spend(CDNOW, rows)[:10],
        "24.65 18.91 35.17 35.17 35.17 71.46 18.91 35.17 27.28 35.17",
    )
    assert_shown(np.corrcoef(*repeat_buyers())[0, 1], ".1139")


def test_lifetimes_agrees(estimate: Estimate) -> None:
    theirs = peers.fitted("GammaGammaFitter")
    p = peers.parameters("GammaGammaFitter", gamma_gamma)
    np.testing.assert_allclose(estimate.parameters, p, rtol=1e-3)
    rows = repeat_buyers()
    spend = peers.quietly(theirs.conditional_expected_average_profit, *rows)
    np.testing.assert_allclose(gamma_gamma.expected_spend(p, rows), spend, rtol=1e-6)


def test_expected_spend_lies_between_the_customer_and_the_population() -> None:
    rows = repeat_buyers()
    population = gamma_gamma.expected_spend(CDNOW, NOBODY)
    own = CDNOW.p * rows.purchases / (CDNOW.p * rows.purchases + CDNOW.q - 1)
    np.testing.assert_allclose(
        gamma_gamma.expected_spend(CDNOW, rows),
        own * rows.mean_value + (1 - own) * population,
        rtol=1e-12,
    )


def test_an_infinite_mean_is_infinite_and_that_is_said() -> None:
    p = gamma_gamma.Parameters(2.0, 0.9, 10.0)
    rows = SpendHistory(np.array([0.0, 1.0]), np.array([0.0, 20.0]))
    spend = gamma_gamma.expected_spend(p, rows)
    assert np.isinf(spend[0])
    assert np.isfinite(spend[1])
    (remark,) = gamma_gamma.remarks(p, rows, np.ones(2))
    assert "q = 0.9 <= 1" in remark
    assert gamma_gamma.remarks(CDNOW, rows, np.ones(2)) == ()
    edge = gamma_gamma.expected_spend(gamma_gamma.Parameters(2.0, 1.0, 10.0), NOBODY)
    assert np.isinf(edge).all()


def test_limits_say_what_they_mean() -> None:
    def said(p: float, q: float, v: float) -> str | None:
        return gamma_gamma.boundary(gamma_gamma.Parameters(p, q, v))

    assert said(6.0, 4.0, 0.5) is None
    assert "same value (p, q" in str(said(1e8, 1e8, 1.0))
    assert "a customer's purchases all have the same value" in str(said(1e8, 4.0, 1e-8))
    assert "all customers spend alike" in str(said(6.0, 1e8, 1e8))
    assert "no finite scale" in str(said(6.0, 1e-8, 0.5))
    assert "next to nothing" in str(said(1e-8, 4.0, 1e8))
    assert "infinity (v)" in str(said(6.0, 4.0, 1e8))
    assert "run to 0 (v)" in str(said(6.0, 4.0, 1e-8))


def test_a_mean_that_rests_on_a_tail_is_said() -> None:
    """q just above 1: finite, and many times what was ever observed."""
    history, weights = SpendHistory(np.array([1.0, 2.0]), np.array([9.0, 12.0])), np.ones(2)
    (note,) = gamma_gamma.remarks(gamma_gamma.Parameters(3.0, 1.05, 5.0), history, weights)
    assert "q = 1.05 is near 1: the mean spend of the population, 300, rests" in note
    assert "27.3 times the observed mean value 11" in note
    assert gamma_gamma.remarks(gamma_gamma.Parameters(3.0, 1.8, 5.0), history, weights) == ()
    (note,) = gamma_gamma.remarks(gamma_gamma.Parameters(3.0, 1.0, 5.0), history, weights)
    assert "q = 1 <= 1: the mean spend of the population is infinite" in note


def test_everybody_alike() -> None:
    """The limit: expected spend is the pooled mean, and values spread as the means did."""
    rng = np.random.default_rng(6)
    count = rng.integers(1, 6, 4_000).astype(float)
    history = SpendHistory(count, 25.0 * rng.gamma(2.5 * count) / (2.5 * count))
    parameters, covariance = gamma_gamma.pooled(history, np.ones(4_000))
    mean = float(count @ history.mean_value / count.sum())
    np.testing.assert_allclose(gamma_gamma.expected_spend(parameters, history), mean, rtol=1e-7)
    assert parameters.p == pytest.approx(2.5, rel=0.06)
    error = np.sqrt(covariance[2, 2])
    assert error == pytest.approx(1 / np.sqrt(2.5 * count.sum()), rel=0.05)
    draws = gamma_gamma.sample_unit_totals(
        parameters, 0.0, np.ones(20_000, dtype=np.int64), np.ones(20_000), rng
    ) * gamma_gamma.scale(parameters, SpendHistory(np.zeros(1), np.zeros(1)))
    assert draws.mean() == pytest.approx(mean, rel=0.02)
    assert (draws.std() / draws.mean()) ** 2 == pytest.approx(1 / parameters.p, rel=0.06)
    # two customers who agree are no proof that values hardly vary
    agree = SpendHistory(np.array([3.0, 1.0]), np.array([8.0, 8.0]))
    assert gamma_gamma.pooled(agree, np.ones(2))[0].p == pytest.approx(2.0)
