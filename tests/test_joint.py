"""The correlation of purchase rate and spending level, held to double sums and to the truth."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import integrate, stats

import clv
from clv.errors import DataError, FitError
from clv.families import bg_nbd, gamma_gamma
from clv.inference import copula
from clv.numerics import backend
from clv.numerics.histories import PurchaseHistory, SpendHistory

RATES = bg_nbd.Parameters(0.8, 6.0, 0.8, 3.0)
LEVELS = gamma_gamma.Parameters(6.0, 4.0, 15.0)
HISTORY = PurchaseHistory(
    np.array([2.0, 0.0, 26.0]), np.array([30.4, 0.0, 30.8]), np.array([38.9, 38.9, 31.0])
)
SPENT = SpendHistory(np.array([2.0, 0.0, 26.0]), np.array([30.4, 0.0, 55.0]))


def of_purchases(rate, i):
    """The likelihood of somebody with this rate, from the story: a coin after each purchase."""
    x, t_x, T = (float(field[i]) for field in HISTORY)
    a, b = RATES.a, RATES.b

    def given(p):
        alive = (1 - p) ** x * rate**x * np.exp(-rate * T)
        died = p * (1 - p) ** (x - 1) * rate**x * np.exp(-rate * t_x) if x > 0 else 0.0
        return (alive + died) * stats.beta.pdf(p, a, b)

    return integrate.quad(given, 0, 1, limit=200)[0]


def of_spend(nu, i):
    n, m = (float(field[i]) for field in SPENT)
    return stats.gamma.pdf(m, LEVELS.p * n, scale=1 / (nu * n)) if n else 1.0


def double_sum(i, rho, function=lambda rate, level: 1.0):
    """E[function] of customer i and the likelihood, by a coarse sum over both scores."""
    scores = np.linspace(-6.5, 6.5, 131)
    rate = stats.gamma.isf(stats.norm.sf(scores), RATES.r, scale=1 / RATES.alpha)
    nu = stats.gamma.isf(stats.norm.cdf(scores), LEVELS.q, scale=1 / LEVELS.v)
    first = np.array([of_purchases(v, i) for v in rate])
    second = np.array([of_spend(v, i) for v in nu])
    a, b = np.meshgrid(scores, scores, indexing="ij")
    density = stats.multivariate_normal([0, 0], [[1, rho], [rho, 1]]).pdf(np.stack([a, b], -1))
    mass = density * first[:, None] * second[None, :]
    worth = function(rate[:, None], LEVELS.p / nu[None, :])
    step = scores[1] - scores[0]
    return float((mass * worth).sum() / mass.sum()), float(mass.sum() * step**2)


@pytest.mark.parametrize("rho", [-0.7, 0.0, 0.3, 0.8])
def test_likelihood_is_the_double_sum(rho):
    bought, spent = copula.purchase_side(bg_nbd, RATES), copula.spend_side(LEVELS)
    product = copula.moments(bought, HISTORY)[0] * copula.moments(spent, SPENT)[0]
    factor = copula.mixed(np.array([rho]), product)[:, 0]
    alone = np.exp(bg_nbd.log_likelihood(RATES, HISTORY, backend))
    spending = np.ones(3)  # of somebody without a purchase that tells
    some = SPENT.purchases > 0
    spending[some] = np.exp(gamma_gamma.log_likelihood(LEVELS, SPENT.take(some), backend))
    for i in range(3):
        _, total = double_sum(i, rho)
        assert alone[i] * spending[i] * factor[i] == pytest.approx(total, rel=1e-5)


@pytest.mark.parametrize("rho", [-0.5, 0.6])
def test_expected_products_are_double_sums(rho):
    bought, spent = copula.purchase_side(bg_nbd, RATES), copula.spend_side(LEVELS)
    a, rates = copula.moments(bought, HISTORY, bought.values)
    b, levels = copula.moments(spent, SPENT, spent.values)
    at = np.array([rho])
    found = copula.mixed(at, rates * levels) / copula.mixed(at, a * b)
    for i in range(3):
        expected, _ = double_sum(i, rho, lambda rate, level: rate * level)
        assert found[i, 0] == pytest.approx(expected, rel=1e-4)


def shop(rho, n, seed):
    """Customers whose rates and levels have this correlation, as a table."""
    rng = np.random.default_rng(seed)
    a = rng.standard_normal(n)
    b = rho * a + np.sqrt(1 - rho**2) * rng.standard_normal(n)
    rate = stats.gamma.isf(stats.norm.sf(a), RATES.r, scale=1 / RATES.alpha)
    nu = stats.gamma.isf(stats.norm.cdf(b), LEVELS.q, scale=1 / LEVELS.v)
    p = rng.beta(RATES.a, RATES.b, n)
    T = np.round(rng.uniform(25, 40, n))
    x, t_x = np.zeros(n), np.zeros(n)
    for i in range(n):
        t = rng.exponential(1 / rate[i])
        while t < T[i]:
            x[i], t_x[i] = x[i] + 1, t
            if rng.random() < p[i]:
                break
            t += rng.exponential(1 / rate[i])
    mean = np.full(n, np.nan)
    some = x > 0
    mean[some] = rng.gamma(LEVELS.p * x[some]) / (nu[some] * x[some])
    frame = pd.DataFrame(
        {"customer_id": np.arange(n), "frequency": x, "recency": t_x, "T": T}
    ).assign(monetary_value=mean)
    return clv.rfm_table(frame, time_unit="week")


@pytest.fixture(scope="module")
def fitted():
    rfm = shop(0.6, 1_500, 4)
    return rfm, clv.BetaGeoModel().fit(rfm), clv.GammaGammaModel().fit(rfm)


def test_a_correlation_is_found(fitted):
    joint = clv.joint.correlated(*fitted)
    low, high = joint.interval
    assert low - 0.1 < 0.6 < high + 0.1
    assert low > 0.3
    assert joint.probability_positive > 0.999
    assert joint.k_hat < 0.7
    assert "positive with probability 1.000" in repr(joint)
    rfm, purchases, spend = fitted
    effect = joint.effect(rfm, 30)
    assert effect["low"] <= effect["change"] <= effect["high"]
    assert joint.expected_value(rfm, 30).sum() == pytest.approx(effect["joint"], rel=1e-9)
    by_themselves = purchases.expected_purchases(rfm, 30) * spend.expected_spend(rfm)
    assert effect["independent"] == pytest.approx(by_themselves.sum(), rel=1e-6)


def test_models_and_tables_that_do_not_go_are_refused(fitted):
    rfm, purchases, spend = fitted
    with pytest.raises(DataError, match="rates differ as a gamma distribution"):
        clv.joint.correlated(rfm, spend, spend)
    with pytest.raises(DataError, match="needs a fitted GammaGammaModel"):
        clv.joint.correlated(rfm, purchases, purchases)
    with pytest.raises(DataError, match="fitted to another table"):
        clv.joint.correlated(shop(0.0, 200, 1), purchases, spend)
    few = shop(0.0, 12, 2)
    buyers = int((few.array("frequency") > 0).sum())
    assert 2 <= buyers < 10, buyers
    with pytest.warns(clv.errors.BoundaryWarning):
        models = clv.BetaGeoModel().fit(few), clv.GammaGammaModel().fit(few)
    with pytest.raises(FitError, match=f"only {buyers} customers"):
        clv.joint.correlated(few, *models)


@pytest.mark.slow
def test_intervals_of_correlations_cover():
    """Of 40 shops with correlations from the prior, 90 % of the intervals hold the truth."""
    held = 0
    for seed in range(40):
        rho = float(np.random.default_rng(seed).uniform(-0.7, 0.7))
        rfm = shop(rho, 800, 100 + seed)
        joint = clv.joint.correlated(
            rfm, clv.BetaGeoModel().fit(rfm), clv.GammaGammaModel().fit(rfm)
        )
        low, high = joint.interval
        held += low <= rho <= high
    assert 31 <= held <= 40  # 36 expected, 3 standard errors of 1.9
