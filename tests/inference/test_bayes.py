"""Bayesian fits: mode, importance sampling and Markov chains, on CDNOW."""

from __future__ import annotations

import numpy as np
import pytest

import clv
from clv import Prior
from clv.errors import DataError
from clv.families import bg_nbd
from clv.inference.coordinates import coordinates_of
from clv.inference.target import Likelihood, Target
from clv.numerics.histories import PurchaseHistory


@pytest.fixture(scope="module")
def target(cdnow) -> Target:
    rows = cdnow.distinct("frequency", "recency", "T")
    likelihood = Likelihood(bg_nbd, PurchaseHistory(*rows.columns), rows.weights)
    return Target(likelihood, coordinates_of(bg_nbd, {"time": 30.0}))


@pytest.fixture(scope="module")
def laplace(cdnow):
    return clv.BetaGeoModel().fit(cdnow, method="laplace")


@pytest.fixture(scope="module")
def sampled(cdnow):
    return clv.BetaGeoModel().fit(cdnow, method="mcmc", seed=3, samples=500)


def test_value_gradient_and_hessian_belong_together(target) -> None:
    z = np.array([2.9, 0.6, -1.2, 1.0])
    value, gradient = target(z)
    negative, slope, curvature = target.objective(z)
    assert value == pytest.approx(-negative, rel=1e-12)
    assert gradient == pytest.approx(-slope, rel=1e-10)
    assert target.values(np.stack([z, z + 0.1]))[0] == pytest.approx(value, rel=1e-12)
    steps = 1e-5 * np.eye(4)
    numeric = [(target(z + s)[0] - target(z - s)[0]) / 2e-5 for s in steps]
    assert gradient == pytest.approx(numeric, rel=1e-6)
    curved = [(target(z + s)[1] - target(z - s)[1]) / 2e-5 for s in steps]
    assert -curvature == pytest.approx(np.array(curved), rel=1e-5, abs=1e-3)


def test_far_away_the_density_vanishes_quietly(target) -> None:
    z = np.array([500.0, 0.6, -1.2, 1.0])
    assert target(z)[0] == -np.inf
    assert target.values(z[None])[0] == -np.inf


def test_laplace_and_mcmc_agree(laplace, sampled) -> None:
    for name in bg_nbd.PARAMETERS:
        assert laplace.parameters[name] == pytest.approx(
            sampled.parameters[name], abs=0.15 * sampled.standard_errors[name]
        )
        assert laplace.standard_errors[name] == pytest.approx(
            sampled.standard_errors[name], rel=0.1
        )


def test_a_fit_says_how_it_went(laplace, sampled, cdnow) -> None:
    assert laplace.convergence.converged
    assert laplace.posterior.k_hat < 0.5
    assert laplace.posterior.effective > 2_000
    assert "k-hat" in repr(laplace)
    found = sampled.posterior.diagnostics
    assert sampled.convergence.converged
    assert found.names == ("r", "alpha", "a", "b")
    assert (found.r_hat < 1.01).all()
    assert (found.bulk_ess > 1_000).all()
    assert found.divergences == 0
    assert "nutpie" in repr(sampled)
    assert sampled.draws.shape == (1_000, 4)


def test_predictions_average_over_draws(sampled, bg_nbd, cdnow) -> None:
    expected = sampled.expected_purchases(cdnow, 39)
    at_draws = [sampled.at(draw).expected_purchases(cdnow, 39) for draw in sampled.draws[:40]]
    assert expected.sum() == pytest.approx(np.mean(at_draws, axis=0).sum(), rel=0.02)
    assert expected == pytest.approx(bg_nbd.expected_purchases(cdnow, 39), rel=0.2, abs=0.05)


def test_the_unit_of_time_does_not_matter(cdnow) -> None:
    lines = clv.datasets.load_cdnow()
    read = clv.read_transactions(lines, customer_id="customer_id", date="date", amount="amount")
    fits = [
        clv.BetaGeoModel().fit(
            clv.rfm_summary(read, observation_period_end="1998-06-30", time_unit=unit),
            method="laplace",
        )
        for unit in ("day", "week")
    ]
    days, weeks = (fit.draws for fit in fits)
    assert days == pytest.approx(weeks * np.array([1, 7, 1, 1]), rel=1e-6)


def test_the_unit_of_money_does_not_matter(cdnow) -> None:
    frame = cdnow.to_pandas()
    rials = clv.rfm_table(
        frame.assign(monetary_value=frame["monetary_value"] * 42_000), time_unit="week"
    )
    dollars = clv.GammaGammaModel().fit(cdnow, method="laplace")
    same = clv.GammaGammaModel().fit(rials, method="laplace")
    assert same.draws == pytest.approx(dollars.draws * np.array([1, 1, 42_000]), rel=1e-6)


def test_the_mode_moves_with_a_prior(cdnow) -> None:
    free = clv.BetaGeoModel().fit(cdnow, method="map")
    held = clv.BetaGeoModel().fit(
        cdnow, method="map", priors={"dropout_share": Prior("Beta", alpha=9_000, beta=1_000)}
    )
    share = held.parameters["a"] / (held.parameters["a"] + held.parameters["b"])
    assert share > 0.8  # 0.25 by the data alone
    assert free.parameters["r"] == pytest.approx(0.243, abs=0.01)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"method": "bayes"}, "method 'bayes' is not known"),
        ({"method": "mle", "priors": {"r": Prior("HalfFlat")}}, "priors are for"),
        ({"method": "laplace", "chains": 2}, "only for method='mcmc'"),
        ({"method": "mcmc", "thin": 2}, "not an option of fit"),
        ({"method": "mcmc", "chains": 0}, "chains must be"),
        ({"method": "mcmc", "sampler": "stan"}, "'nutpie' or 'pymc'"),
    ],
)
def test_what_makes_no_sense_is_refused(cdnow, arguments, says) -> None:
    with pytest.raises(DataError, match=says):
        clv.BetaGeoModel().fit(cdnow, **arguments)
