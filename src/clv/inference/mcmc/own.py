"""The ``pm.Model`` for those who want it, and the way back from what they sampled."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import numpy as np

from clv.errors import DataError
from clv.inference.bayes import estimate_of, lighter, starts_of
from clv.inference.laplace import find_mode
from clv.inference.maximum_likelihood import Estimate
from clv.inference.mcmc.diagnostics import diagnose
from clv.inference.mcmc.graph import name_of, pymc_model
from clv.inference.mcmc.sampling import groups_of
from clv.inference.posterior import Posterior
from clv.inference.target import Target


def own_model(target: Target, likelihood: str) -> Any:
    """The ``pm.Model`` of a target, on fewer rows where these say the same; it begins at the mode.

    With "graph" it is on all distinct rows, and begins where PyMC likes.
    """
    if likelihood == "graph":
        return pymc_model(target, "graph")
    if likelihood != "op":
        raise DataError(f"likelihood must be 'op' or 'graph', not {likelihood!r}")
    mode = find_mode(target, starts_of(target.coordinates, {}))
    return pymc_model(lighter(target, mode), "op", mode.point)


def from_trace(target: Target, trace: Any) -> tuple[Estimate, Posterior]:
    """What a fit by Markov chains returns, from draws that somebody else has made.

    Parameters
    ----------
    target
        Likelihood and priors; the latter only say what is what, since they may have been changed.
    trace
        InferenceData or DataTree with a group ``posterior`` that has all parameters.

    Raises
    ------
    DataError
        If a parameter or a coefficient is missing in it.
    """
    if "posterior" not in groups_of(trace):
        raise DataError("there is no group 'posterior' in what was given")
    drawn = trace["posterior"]
    coordinates = target.coordinates
    k = len(target.likelihood.family.PARAMETERS)
    labels = coordinates.estimates[k:]
    wanted = [*coordinates.estimates[:k], *(name_of(label, labels) for label in labels)]
    missing = [name for name in wanted if name not in drawn]
    if missing:
        raise DataError(
            f"the posterior has no {', '.join(missing)}; it has {', '.join(map(str, drawn))}"
        )
    columns = [np.asarray(drawn[name].values, dtype=np.float64) for name in wanted]
    samples = np.stack([*columns[:k], *map(np.exp, columns[k:])], axis=-1)
    if samples.ndim != 3 or not (np.isfinite(samples).all() and (samples > 0).all()):
        raise DataError(
            "parameters must be positive numbers, one for each chain and draw; "
            f"their shape is {samples.shape[:-1]}"
        )
    statistics = {}
    if "sample_stats" in groups_of(trace):
        known = trace["sample_stats"]
        statistics = {n: known[n].values for n in ("diverging", "energy", "lp") if n in known}
    posterior = Posterior(
        "mcmc",
        coordinates.estimates,
        coordinates.stated,
        samples,
        statistics,
        sampler=f"your own sampling, read with arviz {version('arviz')}",
        draws_wanted=samples.shape[1],
        diagnostics=diagnose(coordinates.estimates, samples, statistics),
        observed=target.likelihood,
        coordinates=coordinates,
    )
    return estimate_of(posterior, None), posterior
