"""A model as a real ``pm.Model``: to look at, to change, and to sample with PyMC's own tools."""

from __future__ import annotations

import warnings
from importlib.metadata import version
from typing import Any, Literal

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from pytensor.graph.op import Op

from clv.inference.coordinates import COMPLEMENT, ITSELF, LOG
from clv.inference.laplace import Mode
from clv.inference.mcmc import backend
from clv.inference.mcmc.sampling import Drawn, cores_of, shows_progress, whole_chains
from clv.inference.plan import Chains
from clv.inference.target import LARGEST, Likelihood, Target
from clv.numerics.backend import Array

#: How the likelihood enters: our own value and gradient, or the family's formula as a graph.
Form = Literal["op", "graph"]

#: Names of the coefficients of covariates in a ``pm.Model``, numbered.
COEFFICIENT = "coefficient"


class LogLikelihood(Op):  # type: ignore[misc]  # pytensor is untyped
    """The log-likelihood of all customers, and its gradient, in the logs of estimates (K,).

    Both come from one pass over the rows, so the gradient costs next to nothing.
    """

    itypes = [pt.dvector]  # noqa: RUF012 - as pytensor wants it
    otypes = [pt.dscalar, pt.dvector]  # noqa: RUF012
    __props__ = ("likelihood",)

    def __init__(self, likelihood: Likelihood) -> None:
        self.likelihood = likelihood

    def perform(self, node: Any, inputs: Any, outputs: Any) -> None:
        """Evaluate; where nothing can be evaluated the density is 0."""
        logs = np.asarray(inputs[0])
        value, gradient = -np.inf, np.zeros_like(logs)
        if np.abs(logs).max() < LARGEST:  # nor where a first step has gone much too far
            with np.errstate(all="ignore"):
                value, gradient = self.likelihood.gradient(logs)
        usable = np.isfinite(value) and np.isfinite(gradient).all()
        outputs[0][0] = np.asarray(value if usable else -np.inf)
        outputs[1][0] = gradient if usable else np.zeros_like(gradient)

    def pullback(self, inputs: Any, outputs: Any, cotangents: Any) -> Any:
        """The chain rule; only the value is differentiated."""
        return [cotangents[0] * outputs[1]]

    def grad(self, inputs: Any, output_grads: Any) -> Any:
        """The same under its older name."""
        return self.pullback(inputs, self(*inputs, return_list=True), output_grads)


def pymc_model(target: Target, likelihood: Form = "op", start: Array | None = None) -> pm.Model:
    """The ``pm.Model`` of a target.

    Its free variables are what priors are stated on, in the order of `Coordinates`, under these
    names; coefficients of covariates are ``coefficient_0``, ``coefficient_1``, ... Parameters that
    are not free variables are deterministic, and the likelihood is a potential of that name.

    Parameters
    ----------
    target
        Likelihood and priors.
    likelihood
        "op": our own value and gradient, quick at any number of rows. "graph": the family's formula
        in PyTensor on the distinct rows, whose every node can be looked at.
    start
        Coordinates at which sampling is to begin; by default PyMC's own choice.
    """
    coordinates, k = target.coordinates, len(target.likelihood.family.PARAMETERS)
    with pm.Model() as model:
        free = [
            _free(
                name_of(stated.name, coordinates.estimates[k:]),
                stated.prior,
                None if start is None else float(stated.prior.quantity(start[i]).value),
            )
            for i, stated in enumerate(coordinates.stated)
        ]
        features = [_feature(kind, free[i]) for i, kind in coordinates.features]
        logs = pt.dot(pt.as_tensor_variable(coordinates.matrix), pt.stack(features))
        for j, name in enumerate(coordinates.estimates[:k]):
            if name not in model.named_vars:
                pm.Deterministic(name, pt.exp(logs[j]))
        if likelihood == "op":
            value = LogLikelihood(target.likelihood)(logs)[0]
        else:
            value = _formula(target.likelihood, logs)
        pm.Potential("likelihood", value)
    return model


def name_of(stated: str, coefficients: tuple[str, ...]) -> str:
    """The name of a free variable."""
    if stated in coefficients:
        return f"{COEFFICIENT}_{coefficients.index(stated)}"
    return stated


def _free(name: str, prior: Any, start: float | None) -> Any:
    more: dict[str, Any] = {} if start is None else {"initval": start}
    if prior.distribution == "LogitNormal":  # PyMC leaves it as it is
        more["default_transform"] = pm.distributions.transforms.logodds
    return getattr(pm, prior.distribution)(name, **prior.parameters, **more)


def _feature(kind: str, variable: Any) -> Any:
    return {LOG: pt.log, COMPLEMENT: lambda q: pt.log1p(-q), ITSELF: lambda q: q}[kind](variable)


def _formula(likelihood: Likelihood, logs: Any) -> Any:
    """The family's own formula, on the distinct rows and with their weights."""
    family, design = likelihood.family, likelihood.design
    if design is None or likelihood.matrix is None:
        values = [pt.exp(logs[j]) for j in range(len(family.PARAMETERS))]
    else:
        values = [
            pt.exp(pt.dot(pt.as_tensor_variable(factors), logs[place]))
            for place, factors in design.blocks(likelihood.matrix)
        ]
    rows = family.log_likelihood(family.Parameters(*values), likelihood.history, backend)
    return pt.sum(pt.as_tensor_variable(likelihood.weights) * rows)


def sample_graph(target: Target, mode: Mode, seed: int, how: Chains) -> Drawn:
    """PyMC's own NUTS on the graph, from the mode with the Laplace metric."""
    model = pymc_model(target)
    rng = np.random.default_rng(seed)
    names = [variable.name for variable in model.free_RVs]
    starts = []
    for _ in range(how.chains):
        z = mode.point + 0.3 * mode.root @ rng.standard_normal(len(mode.point))
        at = [
            float(stated.prior.quantity(z[i]).value)
            for i, stated in enumerate(target.coordinates.stated)
        ]
        starts.append(dict(zip(names, at, strict=True)))
    with model, warnings.catch_warnings():
        # PyMC and PyTensor warn of their own doings, which a user of ours cannot mend
        warnings.simplefilter("ignore")
        step = pm.NUTS(scaling=mode.covariance, is_cov=True, target_accept=how.target_accept)
        trace = pm.sample(
            draws=how.samples,
            tune=how.tune,
            chains=how.chains,
            cores=cores_of(how),
            step=step,
            initvals=starts,
            random_seed=seed,
            progressbar=shows_progress(how.progress),
            compute_convergence_checks=False,
            discard_tuned_samples=True,
        )
    natural = np.stack([np.asarray(trace["posterior"][name].values) for name in names], axis=-1)
    statistics = {name: trace["sample_stats"][name].values for name in trace["sample_stats"]}
    kept, statistics = whole_chains(natural, statistics, how)
    points = np.stack(
        [s.prior.coordinate(kept[..., i]) for i, s in enumerate(target.coordinates.stated)], axis=-1
    )
    return Drawn(points, statistics, f"pymc {version('pymc')}")
