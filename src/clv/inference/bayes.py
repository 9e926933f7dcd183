"""Bayesian fits: the mode, an importance sample around it, or Markov chains."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from clv.inference.bending import bent
from clv.inference.condensed import condense
from clv.inference.conflict import contradictions
from clv.inference.coordinates import Coordinates, coordinates_of
from clv.inference.covariates import CovariateFit, design_notes, design_of
from clv.inference.design import Column
from clv.inference.laplace import (
    PROPOSAL_DEGREES,
    Mode,
    find_mode,
    importance_sample,
    normal_draws,
)
from clv.inference.maximum_likelihood import Convergence, Estimate
from clv.inference.plan import Plan
from clv.inference.posterior import Posterior
from clv.inference.target import Likelihood, Target
from clv.numerics.backend import Array

#: Where fewer rows are held against all of them: so many places, scattered wider than draws.
PLACES, WIDER = 8, 1.5


def fit_posterior(
    family: Any,
    history: Any,
    weights: Array,
    scales: Mapping[str, float],
    plan: Plan,
    columns: Mapping[str, Column] | None = None,
    groups: Mapping[str, Sequence[str]] | None = None,
) -> CovariateFit:
    """Fit a family by a Bayesian method.

    Parameters
    ----------
    family
        A module of `clv.families`, or a variant of one.
    history, weights, scales
        As in `maximum_likelihood.maximize`; scales are the units of default priors.
    plan
        Method, priors, seed and how chains are run.
    columns, groups
        Covariates, as in `covariates.maximize_with_covariates`; none by default.

    Returns
    -------
    CovariateFit
        With a posterior; the estimate is its mode ("map"), or the medians of its draws.

    Raises
    ------
    ConvergenceError
        If there is no mode: improper priors, and data that leave something open.
    """
    notes: tuple[str, ...] = ()
    if not groups:
        likelihood = Likelihood(family, history, weights)
    else:
        design, matrix = design_of(family, columns or {}, groups, weights)
        likelihood = Likelihood(family, history, weights, design, matrix)
        notes = design_notes(design)
    estimate, posterior, contradicted = explore(likelihood, scales, plan)
    return CovariateFit(likelihood.design, estimate, (*contradicted, *notes), posterior=posterior)


def explore(
    likelihood: Likelihood, scales: Mapping[str, float], plan: Plan
) -> tuple[Estimate, Posterior, tuple[str, ...]]:
    """The posterior of a likelihood under the priors of a plan, and what to report of it.

    That is medians or the mode, and a sentence for each prior that the data contradict.
    """
    design = likelihood.design
    labels = () if design is None else tuple(c.label for c in design.coefficients)
    coordinates = coordinates_of(likelihood.family, scales, plan.priors, labels)
    target = Target(likelihood, coordinates)
    mode = find_mode(target, starts_of(coordinates, scales))
    rng = np.random.default_rng(plan.seed)
    quick = target if plan.method == "map" else lighter(target, mode)
    shared: dict[str, Any] = {
        "names": coordinates.estimates,
        "stated": coordinates.stated,
        "seed": plan.seed,
        "observed": likelihood,
        "coordinates": coordinates,
    }
    if plan.method == "map":
        points = normal_draws(mode, plan.draws, rng)
        posterior = Posterior("map", samples=_chain(target, points), **shared)
        return (
            _estimate_at_mode(target, mode, posterior),
            posterior,
            contradictions(coordinates, points),
        )
    if plan.method == "laplace":
        density, at = bent(quick, mode)
        sample = importance_sample(density, at, draws=plan.draws, rng=rng)
        points = density.straight(sample.points)
        posterior = Posterior(
            "laplace",
            samples=_chain(target, points),
            k_hat=sample.k_hat,
            effective=sample.effective,
            sampler="importance sampling from a Student-t(5) around the mode",
            **shared,
        )
        return estimate_of(posterior, mode), posterior, contradictions(coordinates, points)
    from clv.inference import mcmc

    drawn = mcmc.sample(quick, mode, seed=plan.seed, how=plan.chains)
    samples = coordinates.estimates_at(drawn.points)
    posterior = Posterior(
        "mcmc",
        samples=samples,
        statistics=drawn.statistics,
        sampler=drawn.sampler,
        draws_wanted=plan.chains.samples,
        diagnostics=mcmc.diagnose(coordinates.estimates, samples, drawn.statistics),
        **shared,
    )
    points = drawn.points.reshape(-1, target.size)
    return estimate_of(posterior, mode), posterior, contradictions(coordinates, points)


def lighter(target: Target, mode: Mode) -> Target:
    """The same target on fewer rows, as exact as makes no difference; see `condensed`."""
    spread = np.random.default_rng(11).standard_t(PROPOSAL_DEGREES, (PLACES, target.size))
    points = np.concatenate([mode.point[None], mode.point + WIDER * spread @ mode.root.T])
    logs, _ = target.coordinates.log_estimates(points.T)
    return replace(target, likelihood=condense(target.likelihood, logs))


def starts_of(coordinates: Coordinates, scales: Mapping[str, float]) -> list[Array]:
    """Where the search for the mode begins: the middle of the priors, and beside it."""
    rng = np.random.default_rng(7)
    typical = scales.get("time", scales.get("money", 1.0))
    middle = np.empty(len(coordinates.stated))
    for i, stated in enumerate(coordinates.stated):
        prior = stated.prior
        if prior.proper:
            middle[i] = np.median(prior.coordinate(prior.sample(rng, 501)))
        else:
            middle[i] = 0.0 if prior.lower < 0 else np.log(typical) * (stated.name in _SCALED)
    return [middle, *(middle + rng.choice([-1.5, 1.5], len(middle)) for _ in range(2))]


#: Parameters of the papers that have a unit: where the search begins if their prior is flat.
_SCALED = ("alpha", "beta", "v")


def _chain(target: Target, points: Array) -> Array:
    return target.coordinates.estimates_at(points)[None]


def estimate_of(posterior: Posterior, mode: Mode | None) -> Estimate:
    """Medians of the draws, and what the record of convergence says; of a mode if one is known."""
    logs = np.log(posterior.points)
    return _estimate(posterior, mode, np.median(logs, axis=0), np.atleast_2d(np.cov(logs.T)))


def _estimate_at_mode(target: Target, mode: Mode, posterior: Posterior) -> Estimate:
    """The mode, and its normal approximation."""
    coordinates = target.coordinates
    center, features = coordinates.log_estimates(mode.point)
    jacobian = np.zeros((len(center), target.size))
    for j, ((i, _), feature) in enumerate(zip(coordinates.features, features, strict=True)):
        jacobian[:, i] += coordinates.matrix[:, j] * feature.slope
    return _estimate(posterior, mode, center, jacobian @ mode.covariance @ jacobian.T)


def _estimate(
    posterior: Posterior, mode: Mode | None, center: Array, covariance: Array
) -> Estimate:
    problems = posterior.problems()
    message = posterior.sentence()
    if problems:
        message = f"not to be trusted ({'; '.join(problems)}); {message}"
    likelihood = posterior.observed
    return Estimate(
        np.exp(center),
        covariance,
        np.ones(len(center), dtype=np.bool_),
        float(likelihood.values(center[:, None])[0]),
        Convergence(
            not problems,
            None,
            message,
            0.0 if mode is None else mode.gradient_norm / float(likelihood.weights.sum()),
            0.0 if mode is None else mode.decrement,
            0 if mode is None else mode.evaluations,
            1,
        ),
    )
