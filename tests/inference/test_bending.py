"""Standard deviations bent for sampling: the same distribution in other coordinates."""

from __future__ import annotations

import numpy as np
import pytest

import clv
from clv import Prior
from clv.families import bg_nbd
from clv.inference.bending import Bent, C, bent
from clv.inference.coordinates import coordinates_of
from clv.inference.laplace import find_mode
from clv.inference.target import Likelihood, Target
from clv.numerics.histories import PurchaseHistory


@pytest.fixture(scope="module")
def target() -> Target:
    """Sixty customers, of whom the data leave much open."""
    rng = np.random.default_rng(3)
    T = rng.uniform(20, 40, 60)
    x = rng.poisson(2.0, 60).astype(float)
    history = PurchaseHistory(x, np.where(x > 0, 0.8 * T, 0.0), T)
    return Target(Likelihood(bg_nbd, history, np.ones(60)), coordinates_of(bg_nbd, {"time": 30.0}))


def test_variances_are_straight_where_large_and_logs_where_small(target) -> None:
    density = Bent(target, (1,))
    w = np.array([[5.0, 3.0], [5.0, -3.0]])
    z = density.straight(w)
    assert z[:, 0] == pytest.approx([5.0, 5.0])
    assert np.exp(2 * z[0, 1]) == pytest.approx(3.0, rel=1e-5)
    assert 2 * z[1, 1] == pytest.approx(-3.0 * C - np.log(C), rel=1e-5)
    for line, back in zip(z, w, strict=True):
        assert density.bend(line) == pytest.approx(back, rel=1e-9)


def test_density_and_its_derivatives_belong_together(target) -> None:
    density, _ = bent(target, find_mode(target, [np.zeros(4)]))
    assert density.which == (1,)  # the purchase spread
    for w in np.random.default_rng(1).normal(0.2, 0.4, (4, 4)):
        steps = 1e-5 * np.eye(4)
        value, gradient = density(w)
        # the density of w is that of z times the slope
        slope = (density.straight(w + steps[1]) - density.straight(w - steps[1]))[1] / 2e-5
        assert value == pytest.approx(target(density.straight(w))[0] + np.log(slope), rel=1e-8)
        assert density.values(w[None])[0] == pytest.approx(value, rel=1e-12)
        numeric = [(density(w + s)[0] - density(w - s)[0]) / 2e-5 for s in steps]
        assert gradient == pytest.approx(numeric, rel=1e-6, abs=1e-6)
        negative, downhill, hessian = density.objective(w)
        assert -negative == pytest.approx(value, rel=1e-12)
        assert -downhill == pytest.approx(gradient, rel=1e-10)
        curved = [-(density(w + s)[1] - density(w - s)[1]) / 2e-5 for s in steps]
        assert hessian == pytest.approx(np.array(curved), rel=1e-5, abs=1e-4)


def test_where_nothing_is_stated_on_a_spread_nothing_is_bent(target) -> None:
    priors = {"r": Prior("Gamma", alpha=2, beta=2), "alpha": Prior("Gamma", alpha=2, beta=0.1)}
    plain = Target(target.likelihood, coordinates_of(bg_nbd, {}, priors))
    mode = find_mode(plain, [np.zeros(4)])
    density, same = bent(plain, mode)
    assert same is mode
    z = mode.point + 0.1
    assert density(z)[0] == plain(z)[0]


def test_lifetimes_that_may_all_be_alike_are_sampled_well(cdnow) -> None:
    """With the log of their spread instead, k-hat is about .7 and 1,700 draws are effective."""
    fitted = clv.ParetoNBDModel().fit(cdnow, method="laplace")
    assert fitted.posterior.k_hat < 0.5
    assert fitted.posterior.effective > 2_500
    assert fitted.convergence.converged
