"""Simulation-based calibration, and the posterior of the textbook model on uncompressed rows."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy import stats

import clv
from clv import Prior
from clv.families import bg_nbd, gamma_gamma
from clv.inference.bayes import explore
from clv.inference.coordinates import coordinates_of
from clv.inference.plan import Plan
from clv.inference.target import Likelihood
from clv.numerics.compress import compress
from clv.numerics.histories import PurchaseHistory, SpendHistory
from clv.numerics.sampling import simulate_histories

DATA_SETS, CUSTOMERS, DRAWS = 300, 250, 99

#: Narrow enough that every data set says something; scales are fixed, as are ages.
PURCHASES = {
    "purchase_interval": Prior("LogNormal", mu=np.log(10.0), sigma=0.5),
    "purchase_spread": Prior("LogNormal", mu=0.2, sigma=0.4),
    "dropout_share": Prior("LogitNormal", mu=-1.0, sigma=0.7),
    "dropout_concentration": Prior("LogNormal", mu=1.0, sigma=0.6),
}
SPENDING = {
    "typical_spend": Prior("LogNormal", mu=np.log(30.0), sigma=0.5),
    "purchase_value_spread": Prior("LogNormal", mu=-0.5, sigma=0.4),
    "customer_value_spread": Prior("LogNormal", mu=-0.8, sigma=0.4),
}


def ranks(family, priors, simulate, method: str, data_sets: int = DATA_SETS) -> np.ndarray:
    """Rank of the truth among thinned draws, shape (data_sets, K)."""
    coordinates = coordinates_of(family, {}, priors)
    rng = np.random.default_rng(2006)
    options = {} if method == "laplace" else {"chains": 2, "tune": 200, "samples": 500}
    options |= {} if method == "laplace" else {"progress": False}
    found = []
    for number in range(data_sets):
        z = coordinates.sample(1, rng)[0]
        truth = coordinates.estimates_at(z)
        history, weights = simulate(family.Parameters(*truth), rng)
        plan = Plan.of(method, 2_000, number, priors, options)
        _, posterior, _ = explore(Likelihood(family, history, weights), {}, plan)
        found.append((posterior.thinned(DRAWS) < truth).sum(axis=0))
    return np.array(found)


def purchases(parameters, rng):
    seed = int(rng.integers(2**31))
    drawn = simulate_histories(bg_nbd, parameters, np.full(CUSTOMERS, 40.0), seed)
    rows = compress(list(drawn))
    return PurchaseHistory(*rows.columns), rows.weights


def spending(parameters, rng):
    count = rng.integers(1, 8, CUSTOMERS).astype(float)
    total = gamma_gamma.sample_unit_totals(
        parameters, 0.0, count.astype(np.int64), np.ones(int(count.sum())), rng
    )
    return SpendHistory(count, total * parameters.v / count), np.ones(CUSTOMERS)


def uniformity(found: np.ndarray, bins: int = 20) -> list[float]:
    """p-values of chi-squared tests, one per parameter."""
    counts = [np.bincount(column * bins // (DRAWS + 1), minlength=bins) for column in found.T]
    return [float(stats.chisquare(c).pvalue) for c in counts]


@pytest.mark.slow
@pytest.mark.parametrize("method", ["laplace", "mcmc"])
@pytest.mark.parametrize(
    ("family", "priors", "simulate"),
    [(bg_nbd, PURCHASES, purchases), (gamma_gamma, SPENDING, spending)],
    ids=["bg_nbd", "gamma_gamma"],
)
def test_ranks_of_the_truth_are_uniform(family, priors, simulate, method) -> None:
    assert min(uniformity(ranks(family, priors, simulate, method))) > 0.001


def test_a_posterior_that_is_too_narrow_is_noticed() -> None:
    """The check itself: intervals half as wide as they should be make ranks pile up at the ends."""
    rng = np.random.default_rng(1)
    truth = rng.normal(size=(DATA_SETS, 1))
    draws = truth + rng.normal(size=(DATA_SETS, 1)) + 0.5 * rng.normal(size=(DATA_SETS, DRAWS))
    assert uniformity((draws < truth).sum(axis=1)[:, None])[0] < 1e-6


def textbook(cdnow, draws: int):
    """Fader, Hardie & Lee (2005), eq. 6, typed in anew in PyTensor on all 2,357 rows, by NUTS."""
    import pymc as pm
    import pytensor.tensor as pt

    x, t_x, T = (cdnow.array(name) for name in ("frequency", "recency", "T"))
    with warnings.catch_warnings(), pm.Model():
        warnings.simplefilter("ignore")
        r, alpha = pm.Gamma("r", 2, 4), pm.Gamma("alpha", 2, 0.3)
        a, b = pm.Gamma("a", 2, 2), pm.Gamma("b", 2, 0.7)
        first = pt.gammaln(r + x) - pt.gammaln(r) + r * pt.log(alpha)
        second = pt.gammaln(a + b) + pt.gammaln(b + x) - pt.gammaln(b) - pt.gammaln(a + b + x)
        third = -(r + x) * pt.log(alpha + T)
        fourth = pt.log(a) - pt.log(b + np.maximum(x, 1) - 1) - (r + x) * pt.log(alpha + t_x)
        both = pt.switch(x > 0, pt.logaddexp(third, fourth), third)
        pm.Potential("likelihood", pt.sum(first + second + both))
        return pm.sample(
            draws,
            tune=1_000,
            chains=4,
            random_seed=2,
            progressbar=False,
            compute_convergence_checks=False,
            nuts_sampler="pymc",
        )["posterior"]


@pytest.mark.slow
def test_the_textbook_model_has_the_same_posterior(cdnow) -> None:
    """Medians within .1 posterior standard deviation, both with 5,000 effective draws."""
    import arviz

    priors = {
        "r": Prior("Gamma", alpha=2, beta=4),
        "alpha": Prior("Gamma", alpha=2, beta=0.3),
        "a": Prior("Gamma", alpha=2, beta=2),
        "b": Prior("Gamma", alpha=2, beta=0.7),
    }
    ours = clv.BetaGeoModel().fit(cdnow, method="mcmc", seed=1, samples=2_000, priors=priors)
    assert not ours.posterior.problems()
    theirs = textbook(cdnow, draws=4_000)
    for j, name in enumerate(bg_nbd.PARAMETERS):
        drawn = theirs[name].values
        assert ours.posterior.diagnostics.bulk_ess[j] >= 5_000
        assert float(arviz.ess(drawn, method="bulk")) >= 5_000
        apart = np.median(ours.posterior.points[:, j]) - np.median(drawn)
        assert abs(apart) < 0.1 * np.std(drawn), name
