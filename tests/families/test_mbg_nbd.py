"""MBG/NBD against reference numbers (Batislam et al. 2007; 40 digits) and lifetimes, on CDNOW."""

from __future__ import annotations

import numpy as np
import pytest
from contract import Example
from oracles import cdnow, peers
from oracles.digits import assert_shown
from oracles.individual import CoinAfterPurchase

from clv.families import mbg_nbd
from clv.inference.maximum_likelihood import Estimate, maximize
from clv.numerics import quadrature
from clv.numerics.histories import PurchaseHistory

EXAMPLES = (
    Example({"r": 0.5248, "alpha": 6.183, "a": 0.8914, "b": 1.614}),
    Example({"r": 3.0, "alpha": 20.0, "a": 1.4, "b": 9.0}, span=30.0),
)
INDIVIDUAL = CoinAfterPurchase(first_coin=True)

CDNOW = mbg_nbd.Parameters(0.5248433, 6.1830863, 0.8913592, 1.6140015)


def customers(*rows: tuple[float, float, float]) -> PurchaseHistory:
    return PurchaseHistory(*np.array(rows, dtype=float).T)


def expected(history: PurchaseHistory, t: float) -> np.ndarray:
    state = mbg_nbd.alive_state(CDNOW, history)
    return mbg_nbd.probability_alive(CDNOW, history) * mbg_nbd.expected_purchases(state, t)


@pytest.fixture(scope="module")
def estimate() -> Estimate:
    history = PurchaseHistory(*cdnow.summary()[:3])
    return maximize(mbg_nbd, history, np.ones(2357), {"time": 30.0})


def test_estimates_are_the_published_ones(estimate: Estimate) -> None:
    assert estimate.convergence.converged
    np.testing.assert_allclose(estimate.parameters, CDNOW, rtol=1e-6)
    assert_shown(estimate.log_likelihood, "−9582.1357")


def test_known_customers() -> None:
    assert_shown(expected(customers((2, 30.43, 38.86)), 39.0), "1.2626693")
    best = customers((26, 30.857, 31))
    assert_shown(expected(best, 52.0), "23.9981076")
    assert_shown(mbg_nbd.probability_alive(CDNOW, best), ".965481246")


def test_discounted_purchases_to_infinity() -> None:
    history = customers((26, 216 / 7, 31), (2, 213 / 7, 272 / 7), (0, 0, 272 / 7), (0, 0, 27))
    state = mbg_nbd.alive_state(CDNOW, history)
    for rate, shown in (
        (0.10, "72.549860 5.960313 .905521 1.177073"),
        (0.15, "61.508588 4.922649 .724493 .952837"),
    ):
        worth = quadrature.discounted_purchases(
            lambda t: mbg_nbd.expected_purchases(state, t),
            np.inf,
            np.log1p(rate) / 52,
            mbg_nbd.time_scale(state),
        )
        assert_shown(mbg_nbd.probability_alive(CDNOW, history) * worth, shown, within=1.5)


def test_all_of_cdnow() -> None:
    s = cdnow.summary()
    history = PurchaseHistory(*s[:3])
    assert_shown(mbg_nbd.probability_alive(CDNOW, history).mean(), ".449")
    predicted, actual = expected(history, 39.0), s.holdout_purchases
    off = predicted - actual
    assert_shown(predicted.sum(), "1576.7")
    assert_shown([np.abs(off).mean(), np.sqrt((off**2).mean())], ".7648 1.6072")
    assert_shown(100 * off.sum() / actual.sum(), "−16.2")


def test_lifetimes_agrees(estimate: Estimate) -> None:
    theirs = peers.fitted("ModifiedBetaGeoFitter")
    p = peers.parameters("ModifiedBetaGeoFitter", mbg_nbd)
    np.testing.assert_allclose(estimate.parameters, p, rtol=1e-3)
    history = PurchaseHistory(*cdnow.summary()[:3])
    alive, state = mbg_nbd.probability_alive(p, history), mbg_nbd.alive_state(p, history)
    at_first, new = mbg_nbd.new_customer(p)
    t = np.array([1.0, 20.0, 78.0])
    for ours, name, arguments in (
        (alive, "conditional_probability_alive", history),
        (
            alive * mbg_nbd.expected_purchases(state, 39.0),
            "conditional_expected_number_of_purchases_up_to_time",
            (39.0, *history),
        ),
        (
            at_first * mbg_nbd.expected_purchases(new, t),
            "expected_number_of_purchases_up_to_time",
            (t,),
        ),
    ):
        np.testing.assert_allclose(
            ours, peers.quietly(getattr(theirs, name), *arguments), rtol=1e-6, err_msg=name
        )
