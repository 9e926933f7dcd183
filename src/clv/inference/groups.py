"""Fit groups of customers whose parameters come from one population; see `pooling`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from clv.errors import DataError
from clv.inference.bayes import estimate_of, starts_of
from clv.inference.coordinates import Stated, coordinates_of
from clv.inference.covariates import CovariateFit, design_notes, design_of
from clv.inference.design import UNKNOWN, Column, Design, as_levels
from clv.inference.laplace import find_mode
from clv.inference.plan import Plan
from clv.inference.pooling import Pooled, around, find_start
from clv.inference.posterior import Posterior
from clv.inference.priors import Prior
from clv.inference.target import Likelihood, Target
from clv.numerics.backend import Array

#: Name of the prior of all spreads; "group_spread: purchase_interval" is that of one.
SPREAD = "group_spread"

#: Groups one spread apart differ by a factor exp(spread): this lets most lie within 1/e to e.
OF_SPREADS = Prior("HalfNormal", sigma=0.5)

#: Groups beyond this are no groups: a dense matrix of that many coordinates is explored.
MOST_GROUPS = 200

#: Customers below which a group says little by itself.
FEW = 30


def fit_groups(
    family: Any,
    history: Any,
    weights: Array,
    scales: Mapping[str, float],
    plan: Plan,
    group: Column,
    columns: Mapping[str, Column] | None = None,
    moved: Mapping[str, Sequence[str]] | None = None,
) -> CovariateFit:
    """Fit a family whose parameters differ between groups of customers.

    Parameters
    ----------
    family, history, weights, scales
        As in `maximum_likelihood.maximize`; m rows.
    plan
        With the method "mcmc", and the name of the column of groups.
    group
        The group of each row.
    columns, moved
        Covariates, as in `bayes.fit_posterior`.

    Returns
    -------
    CovariateFit
        Its design has a term for every group, and one for groups yet unknown.

    Raises
    ------
    DataError
        If there are too few or too many groups.
    """
    by = str(plan.groups)
    names, place = _groups_of(by, group)
    bare, matrix = (
        (Design(tuple(family.PARAMETERS), (), ()), np.empty((len(weights), 0)))
        if not moved
        else design_of(family, columns or {}, moved, weights)
    )
    design = bare.with_groups(by, names)
    labels = tuple(c.label for c in bare.coefficients)
    k = len(family.PARAMETERS)
    own, for_spreads = _priors_apart(plan.priors)
    coordinates = coordinates_of(family, scales, own, labels)
    spreads = _spreads(coordinates.stated[:k], for_spreads, by)
    whole = Likelihood(family, history, weights, *((bare, matrix) if labels else ()))
    parts = tuple(whole.take(np.flatnonzero(place == g)) for g in range(len(names)))
    common = find_mode(Target(whole, coordinates), starts_of(coordinates, scales)).point
    start = find_start(parts, coordinates, common, k)
    target = Pooled(parts, coordinates, spreads, start.variance < start.spread**2)
    mode = around(target, start)
    from clv.inference import mcmc

    drawn = mcmc.sample(target, mode, seed=plan.seed, how=plan.chains)
    samples, spreads_drawn = _estimates(target, drawn.points, plan.seed)
    estimates = (*family.PARAMETERS, *(c.label for c in design.coefficients))
    # a new group is drawn for every draw: nothing there that chains could fail to explore
    explored = [
        i
        for i, coefficient in enumerate((*family.PARAMETERS, *design.coefficients))
        if getattr(coefficient, "level", None) != UNKNOWN
    ]
    posterior = Posterior(
        "mcmc",
        names=estimates,
        stated=(*coordinates.stated, *spreads),
        samples=samples,
        statistics=drawn.statistics | spreads_drawn,
        sampler=drawn.sampler,
        seed=plan.seed,
        draws_wanted=plan.chains.samples,
        diagnostics=mcmc.diagnose(
            (*(estimates[i] for i in explored), *spreads_drawn),
            np.concatenate([samples[..., explored], np.stack([*spreads_drawn.values()], -1)], -1),
            drawn.statistics,
        ),
        observed=Likelihood(family, history, weights, design, design.with_place(matrix, place)),
    )
    notes = (*design_notes(bare), *_notes(by, names, place, weights))
    return CovariateFit(design, estimate_of(posterior, mode), notes, posterior=posterior)


def _groups_of(by: str, group: Column) -> tuple[tuple[str, ...], npt.NDArray[np.int64]]:
    """Names of the groups, and the place of each row among them."""
    found = as_levels(group)
    assert found.levels is not None
    present, place = np.unique(found.values.astype(np.int64), return_inverse=True)
    names = tuple(found.levels[i] for i in present)
    if len(names) < 2:
        raise DataError(
            f"everybody has {by}={names[0]}: with one group there is nothing to pool; leave "
            "groups out"
        )
    if len(names) > MOST_GROUPS:
        raise DataError(
            f"{by} has {len(names):,} groups, and there may be {MOST_GROUPS}; merge small ones"
        )
    return names, place


def _priors_apart(priors: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Priors of the population, and those of spreads."""
    spreads = {name: prior for name, prior in priors.items() if name.startswith(SPREAD)}
    return {name: prior for name, prior in priors.items() if name not in spreads}, spreads


def _spreads(stated: Sequence[Stated], priors: Mapping[str, Any], by: str) -> tuple[Stated, ...]:
    """The prior of each spread."""
    names = [f"{SPREAD}: {of.name}" for of in stated]
    unknown = [name for name in priors if name not in (SPREAD, *names)]
    if unknown:
        raise DataError(
            f"there is no {', '.join(unknown)} to state a prior on; there are "
            f"{', '.join((SPREAD, *names))}"
        )
    found = []
    for name, of in zip(names, stated, strict=True):
        given = priors.get(name, priors.get(SPREAD))
        prior = OF_SPREADS if given is None else Prior.of(given)
        if prior.lower < 0:
            raise DataError(f"{name} is positive, and {prior!r} allows other values")
        scale = "logit" if of.prior.upper == 1.0 else "log"
        meaning = f"standard deviation of the {scale} of {of.name} between groups of {by}"
        rules_out = "" if given is not None else "groups that differ more than elevenfold"
        found.append(Stated(name, meaning, prior, rules_out, given is None))
    return tuple(found)


def _estimates(target: Pooled, points: Array, seed: int) -> tuple[Array, dict[str, Array]]:
    """Draws of the estimates (chains, draws, ...) in the order of a design, and of the spreads."""
    chains, draws, size = points.shape
    c, k, groups = len(target.coordinates.stated), len(target.spreads), len(target.parts)
    flat = points.reshape(-1, size).T
    middle = flat[:c]
    spread = np.array(
        [s.prior.quantity(v).value for s, v in zip(target.spreads, flat[c : c + k], strict=True)]
    )
    own = flat[c + k :].reshape(groups, k, -1)
    places = np.where(target.centred[..., None], own, middle[:k] + spread * own)
    # a population's next group
    fresh = np.random.default_rng([seed, 1]).standard_normal(spread.shape)
    places = np.concatenate([places, (middle[:k] + spread * fresh)[None]])
    population, _ = target.coordinates.log_estimates(middle)
    apart = []
    for place in places:
        logs, _ = target.coordinates.log_estimates(np.concatenate([place, middle[k:]]))
        apart.append(logs[:k] - population[:k])
    # (K, G + 1, draws): parameters first, then levels, as in `Design.with_groups`
    beside = np.stack(apart, axis=1).reshape(k * (groups + 1), -1)
    samples = np.exp(np.concatenate([population, beside])).T.reshape(chains, draws, -1)
    names = [stated.name for stated in target.spreads]
    return samples, dict(zip(names, spread.reshape(k, chains, draws), strict=True))


def _notes(
    by: str, names: Sequence[str], place: npt.NDArray[np.int64], weights: Array
) -> tuple[str, ...]:
    customers = np.bincount(place, weights, len(names))
    few = [name for name, n in zip(names, customers, strict=True) if n < FEW]
    note = (
        f"Parameters differ between {len(names):,} groups of {by} and are drawn towards those of "
        "all. Customers of a group that was not in the data are predicted as of a new one."
    )
    if not few:
        return (note,)
    listed = ", ".join(few[:8]) + (f" and {len(few) - 8:,} more" if len(few) > 8 else "")
    return (note, f"Groups with fewer than {FEW} customers rest on the others: {listed}.")
