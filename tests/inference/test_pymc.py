"""The ``pm.Model``: the same density as ours, to be changed, sampled and handed back.

Compiling takes most of the time, so few of these run ordinarily.
"""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

import clv
from clv import Prior
from clv.numerics.sampling import simulate_histories

MARKETING_RATES = {
    "r": Prior("Weibull", alpha=2, beta=1),
    "alpha": Prior("Weibull", alpha=2, beta=10),
}
MARKETING_DROPOUT = {
    "phi_dropout": Prior("Uniform", lower=0, upper=1),
    "kappa_dropout": Prior("Pareto", alpha=1, m=1),
}


@pytest.mark.parametrize(
    "priors",
    [MARKETING_RATES, pytest.param(MARKETING_DROPOUT, marks=pytest.mark.slow)],
    ids=["rates", "dropout"],
)
def test_density_and_gradient_are_those_of_the_graph(cdnow, priors) -> None:
    """Of the family's formula in PyTensor, with PyMC's own priors and transforms.

    Priors of pymc-marketing 0.19, by name; the others are our defaults.
    """
    fitted = clv.BetaGeoModel().fit(cdnow, method="map", priors=priors)
    target = fitted._target("a test")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of PyTensor, about its own set-up
        model = fitted.pymc_model("graph")
        density = model.compile_logp(mode="FAST_COMPILE")
        slope = model.compile_dlogp(mode="FAST_COMPILE")
    names = [variable.name for variable in model.value_vars]
    for z in np.random.default_rng(2).normal(0, 0.5, (4, 4)):
        z = z + np.array([1.0, 0.3, -0.5, 0.5])
        value, gradient = target(z)
        point = dict(zip(names, z, strict=True))
        assert value == pytest.approx(float(density(point)), rel=1e-10)
        assert gradient == pytest.approx(slope(point), rel=1e-7, abs=1e-7)


def test_the_op_takes_steps_that_go_much_too_far(cdnow) -> None:
    """PyMC's first steps do: the density is 0 there, and nothing is raised."""
    from clv.inference.mcmc.graph import LogLikelihood

    fitted = clv.BetaGeoModel().fit(cdnow, method="map")
    op = LogLikelihood(fitted.posterior.observed)
    here = np.log(list(fitted.parameters.values()))
    too_far = np.where(np.arange(4) == 2, here - 900.0, here)
    for logs in (too_far, here * np.nan, here + 900.0):
        outputs = [[None], [None]]
        op.perform(None, [logs], outputs)
        assert outputs[0][0] == -np.inf
        assert (outputs[1][0] == 0.0).all()
    outputs = [[None], [None]]
    op.perform(None, [here], outputs)
    assert outputs[0][0] == pytest.approx(fitted.log_likelihood, rel=1e-12)


@pytest.mark.slow
def test_a_changed_model_is_sampled_and_handed_back(cdnow) -> None:
    import pymc as pm

    fitted = clv.BetaGeoModel().fit(cdnow, method="map")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with fitted.pymc_model() as model:
            # somebody knows that about a tenth drop out after a purchase
            share = model["a"] / (model["a"] + model["b"])
            pm.Potential("expert", -0.5 * ((share - 0.1) / 0.01) ** 2)
            trace = pm.sample(
                500,
                tune=500,
                chains=2,
                random_seed=1,
                progressbar=False,
                compute_convergence_checks=False,
            )
    back = fitted.with_draws(trace)
    assert back.method == "mcmc"
    drawn = back.draws[:, 2] / (back.draws[:, 2] + back.draws[:, 3])
    assert np.mean(drawn) == pytest.approx(0.12, abs=0.03)
    assert back.expected_purchases(cdnow, 39).sum() > 1_000
    assert "your own sampling" in back.convergence.message


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["mbg_nbd", "pareto_nbd", "nbd", "bg_cnbd_k", "gamma_gamma", "bg_bb"]
)
def test_every_family_is_a_graph(name, cdnow) -> None:
    """The formula in PyTensor and our own sums agree, gradients included."""
    table = cdnow
    if name == "bg_bb":
        family = clv.families.find("bg_bb")
        donors = family.Parameters(1.2, 0.75, 0.66, 2.8)
        drawn = simulate_histories(family, donors, np.full(400, 6.0), 1)
        table = clv.rfm_table(pd.DataFrame(drawn._asdict()), time_unit="year")
    options = {"k": 1} if name == "bg_cnbd_k" else {}
    fitted = clv.model_class(name)(**options).fit(table, method="map")
    target = fitted._target("a test")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = fitted.pymc_model("graph")
        density = model.compile_logp(mode="FAST_COMPILE")
        slope = model.compile_dlogp(mode="FAST_COMPILE")
    names = [variable.name for variable in model.value_vars]
    z = np.array([target.coordinates.stated[i].prior.coordinate(0.4) for i in range(target.size)])
    value, gradient = target(z)
    point = dict(zip(names, z, strict=True))
    assert value == pytest.approx(float(density(point)), rel=1e-8)
    assert gradient == pytest.approx(slope(point), rel=1e-5, abs=1e-4)


@pytest.mark.slow
def test_pymcs_own_sampler_agrees(cdnow) -> None:
    theirs = clv.BetaGeoModel().fit(
        cdnow, method="mcmc", sampler="pymc", seed=2, chains=2, samples=1_000
    )
    ours = clv.BetaGeoModel().fit(cdnow, method="laplace")
    assert "pymc" in theirs.posterior.sampler
    for name, error in ours.standard_errors.items():
        assert theirs.parameters[name] == pytest.approx(ours.parameters[name], abs=0.2 * error)
