"""BG/NBD against published numbers (Fader, Hardie & Lee 2005) and lifetimes, on CDNOW."""

from __future__ import annotations

import numpy as np
import pytest
from contract import Example
from oracles import cdnow, peers
from oracles.digits import assert_shown
from oracles.individual import CoinAfterPurchase
from scipy import stats

from clv.families import bg_nbd
from clv.inference.maximum_likelihood import Estimate, maximize
from clv.numerics import backend, quadrature
from clv.numerics.histories import PurchaseHistory

EXAMPLES = (
    Example({"r": 0.2426, "alpha": 4.414, "a": 0.793, "b": 2.426}),
    Example({"r": 3.0, "alpha": 20.0, "a": 1.4, "b": 9.0}, span=30.0),
)
INDIVIDUAL = CoinAfterPurchase(first_coin=False)

CDNOW = bg_nbd.Parameters(0.2425945, 4.4136023, 0.7929221, 2.4259070)
NEW = bg_nbd.new_customer(CDNOW)[1]


def customers(*rows: tuple[float, float, float]) -> PurchaseHistory:
    return PurchaseHistory(*np.array(rows, dtype=float).T)


def expected(history: PurchaseHistory, t: float) -> np.ndarray:
    state = bg_nbd.alive_state(CDNOW, history)
    return bg_nbd.probability_alive(CDNOW, history) * bg_nbd.expected_purchases(state, t)


@pytest.fixture(scope="module")
def estimate() -> Estimate:
    history = PurchaseHistory(*cdnow.summary()[:3])
    return maximize(bg_nbd, history, np.ones(2357), {"time": 30.0})


def test_estimates_are_the_published_ones(estimate: Estimate) -> None:
    assert estimate.convergence.converged
    np.testing.assert_allclose(estimate.parameters, CDNOW, rtol=1e-6)
    assert_shown(estimate.parameters, ".243 4.414 .793 2.426")
    assert_shown(estimate.log_likelihood, "−9582.4292")
    errors = estimate.parameters * np.sqrt(np.diag(estimate.log_covariance))
    assert_shown(errors, ".01256 .37822 .18573 .70541")


def test_new_customers() -> None:
    t = np.array([1 / 7, 1, 3, 31.857, 32, 78, 52])
    assert_shown(
        bg_nbd.expected_purchases(NEW, t),
        ".00781366652 .0531842833 .150630817 1.04048672 1.04373189 1.85795812 1.44401219",
    )
    assert_shown(bg_nbd.purchase_count_pmf(NEW, 0, 39.0), ".574307206")
    assert_shown(bg_nbd.purchase_count_pmf(NEW, 10, 2.0), "1.07670952e-7")
    assert_shown(
        bg_nbd.purchase_count_pmf(NEW, np.arange(11, 21), 30.0),
        ".00199605624 .00151437138 .00116126575 .000898718492 .000701111453 .000550801643 "
        ".00043540654 .000346091146 .000276459695 .00022182257",
    )


def test_known_customers() -> None:
    assert_shown(expected(customers((2, 30.43, 38.86)), 39.0), "1.2259068")
    best = customers((26, 30.857, 31))
    assert_shown(expected(best, 52.0), "25.7572506")
    assert_shown(bg_nbd.probability_alive(CDNOW, best), ".968851231")
    # the more often somebody bought, the more their silence says
    paradox = customers(*((x, 20, 39) for x in (10, 15, 20, 25)))
    assert_shown(expected(paradox, 52.0), ".347483756 .0428370149 .00415927426 .000358393826")
    once = bg_nbd.alive_state(CDNOW, customers((0, 0, 38.86)))
    assert_shown(bg_nbd.no_purchase_probability(once, 39.0), ".855671458")


def test_discounted_purchases_to_infinity() -> None:
    history = customers((26, 216 / 7, 31), (2, 213 / 7, 272 / 7), (0, 0, 272 / 7), (0, 0, 27))
    state = bg_nbd.alive_state(CDNOW, history)
    for rate, shown in (
        (0.10, "85.187812 6.360728 1.299305 1.578324"),
        (0.15, "71.067369 5.169807 1.017298 1.249514"),
    ):
        worth = quadrature.discounted_purchases(
            lambda t: bg_nbd.expected_purchases(state, t),
            np.inf,
            np.log1p(rate) / 52,
            bg_nbd.time_scale(state),
        )
        assert_shown(bg_nbd.probability_alive(CDNOW, history) * worth, shown, within=1.5)


def test_all_of_cdnow() -> None:
    s = cdnow.summary()
    history = PurchaseHistory(*s[:3])
    assert_shown(bg_nbd.probability_alive(CDNOW, history).mean(), ".813")
    predicted, actual = expected(history, 39.0), s.holdout_purchases
    group = np.minimum(s.frequency, 7).astype(int)
    size = np.bincount(group)
    assert size.tolist() == [1411, 439, 214, 100, 62, 38, 29, 64]
    assert_shown(
        np.bincount(group, predicted) / size, ".225 .523 1.044 1.520 2.164 2.654 3.504 6.157"
    )
    assert_shown(np.bincount(group, actual) / size, ".237 .697 1.393 1.560 2.532 2.947 3.862 6.359")
    off = predicted - actual
    assert_shown(predicted.sum(), "1653.4")
    assert_shown([np.abs(off).mean(), np.sqrt((off**2).mean())], ".7855 1.6080")
    assert_shown(100 * off.sum() / actual.sum(), "−12.1")


def test_lifetimes_agrees(estimate: Estimate) -> None:
    theirs = peers.fitted("BetaGeoFitter")
    p = peers.parameters("BetaGeoFitter", bg_nbd)
    np.testing.assert_allclose(estimate.parameters, p, rtol=1e-3)
    history = PurchaseHistory(*cdnow.summary()[:3])
    alive, state = bg_nbd.probability_alive(p, history), bg_nbd.alive_state(p, history)
    new = bg_nbd.new_customer(p)[1]
    t = np.array([1.0, 20.0, 78.0])
    for ours, name, arguments in (
        (alive, "conditional_probability_alive", history),
        (
            alive * bg_nbd.expected_purchases(state, 39.0),
            "conditional_expected_number_of_purchases_up_to_time",
            (39.0, *history),
        ),
        (bg_nbd.expected_purchases(new, t), "expected_number_of_purchases_up_to_time", (t,)),
        (
            bg_nbd.purchase_count_pmf(new, 3, 20.0),
            "probability_of_n_purchases_up_to_time",
            (20.0, 3),
        ),
    ):
        np.testing.assert_allclose(
            ours, peers.quietly(getattr(theirs, name), *arguments), rtol=1e-6, err_msg=name
        )


def test_without_dropout_it_is_the_nbd() -> None:
    p = CDNOW._replace(a=1e-12)
    state = bg_nbd.new_customer(p)[1]
    n = np.arange(8)
    nbd = stats.nbinom.pmf(n, p.r, p.alpha / (p.alpha + 20.0))
    np.testing.assert_allclose(bg_nbd.purchase_count_pmf(state, n, 20.0), nbd, rtol=1e-9)
    np.testing.assert_allclose(
        bg_nbd.expected_purchases(state, 20.0), p.r * 20.0 / p.alpha, rtol=1e-9
    )
    np.testing.assert_allclose(bg_nbd.survival(state, 20.0), 1.0, rtol=1e-9)
    history = customers((3, 10, 20), (0, 0, 20))
    assert bg_nbd.probability_alive(p, history) == pytest.approx(1.0, rel=1e-9)
    # the density of purchase times given their number n is n! / T^n
    density = stats.nbinom.pmf([3, 0], p.r, p.alpha / (p.alpha + 20.0)) * [6 / 20**3, 1]
    value = bg_nbd.log_likelihood(p, history, backend)
    np.testing.assert_allclose(np.exp(value), density, rtol=1e-9)


def test_of_customers_who_are_all_alike() -> None:
    rate, dropout, size = 0.2, 0.3, 1e11
    p = bg_nbd.Parameters(size, size / rate, dropout * size, (1 - dropout) * size)
    state = bg_nbd.new_customer(p)[1]
    t = np.array([0.5, 10.0, 100.0])
    np.testing.assert_allclose(bg_nbd.survival(state, t), np.exp(-rate * dropout * t), rtol=1e-8)
    np.testing.assert_allclose(
        bg_nbd.expected_purchases(state, t), -np.expm1(-rate * dropout * t) / dropout, rtol=1e-8
    )
    np.testing.assert_allclose(bg_nbd.no_purchase_probability(state, t), np.exp(-rate * t), 1e-8)
    history = customers((3, 10, 20))
    alive = rate**3 * np.exp(-rate * 20) * (1 - dropout) ** 3
    dead = rate**3 * np.exp(-rate * 10) * (1 - dropout) ** 2 * dropout
    value = np.exp(bg_nbd.log_likelihood(p, history, backend))
    np.testing.assert_allclose(value, alive + dead, rtol=1e-8)
    np.testing.assert_allclose(
        bg_nbd.probability_alive(p, history), alive / (alive + dead), rtol=1e-8
    )


def test_one_time_buyers_are_called_alive_and_that_is_said() -> None:
    history = PurchaseHistory(*cdnow.summary()[:3])
    weights = np.ones(len(history.T))
    assert (bg_nbd.probability_alive(CDNOW, history)[history.frequency == 0] == 1).all()
    (remark,) = bg_nbd.remarks(CDNOW, history, weights)
    assert "60%" in remark
    assert "mbg_nbd" in remark
    few = history.take(history.frequency > 0)
    assert bg_nbd.remarks(CDNOW, few, weights[: len(few.T)]) == ()
