"""Maximum likelihood with covariates: every customer has parameters of their own.

A family's log-likelihood is evaluated at one set of parameters per row, with its derivatives in
these; the chain to base parameters and coefficients is a product of matrices, because the log of
every parameter is linear in them. So the search is Newton's with exact derivatives here too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from clv.inference.design import Column, Design, learn
from clv.inference.maximum_likelihood import Estimate, judge, maximize, search
from clv.numerics import jets
from clv.numerics.backend import Array
from clv.numerics.sums import blocks

if TYPE_CHECKING:
    from clv.inference.posterior import Posterior

#: Rows at a time: derivatives stay in the cache.
BLOCK = 4_096

#: A coefficient (of a level, or per standard deviation) that moves a parameter by more than this
#: factor has left for a limit.
EXTREME = float(np.log(1e6))

#: Of a parameter that can be written down.
LARGEST_LOG = 300.0

#: Tables with at most so many distinct rows are also searched from other starts than the plain
#: fit, this far from it.
SMALL, OTHER_STARTS, FAR = 20_000, 2, 0.7


class CovariateFit(NamedTuple):
    """A design (None: no covariates), the estimates in its terms, and what a user should know."""

    design: Design | None
    estimate: Estimate
    notes: tuple[str, ...]
    variant: int | None = None  #: of a family that has several
    posterior: Posterior | None = None  #: of a Bayesian fit


def maximize_with_covariates(
    family: Any,
    history: Any,
    weights: Array,
    scales: Mapping[str, float],
    columns: Mapping[str, Column],
    groups: Mapping[str, Sequence[str]],
) -> CovariateFit:
    """Fit a family whose parameters depend on covariates.

    Parameters
    ----------
    family
        A module of `clv.families` with ``COVARIATES``.
    history, weights, scales
        As in `maximum_likelihood.maximize`; m rows.
    columns
        The covariates of these rows, by name.
    groups
        For each group of ``COVARIATES``, the names of its covariates.

    Raises
    ------
    ConvergenceError
        If no maximum was found and no boundary explains it.
    """
    design, matrix = design_of(family, columns, groups, weights)
    plain = maximize(family, history, weights, scales)
    notes = design_notes(design)
    if not design.coefficients:
        return CovariateFit(design, plain, notes)
    units = np.array([scales.get(p.unit, 1.0) for p in family.PARAMETERS.values()])
    units = np.concatenate([units, np.ones(len(design.coefficients))])
    objective = objective_of(family, history, weights, design, matrix, units)
    start = np.zeros(len(units))
    start[: len(design.parameters)] = np.log(plain.parameters / units[: len(design.parameters)])
    points = [start]
    if len(weights) <= SMALL:
        rng = np.random.default_rng(2007)
        points += [start + rng.choice([-FAR, FAR], len(units)) for _ in range(OTHER_STARTS)]
    best = search(objective, points)
    estimate = judge(
        best,
        units,
        names=(*design.parameters, *(c.label for c in design.coefficients)),
        title=family.TITLE,
        boundary=boundary_of(family, design, best.point),
        customers=float(weights.sum()),
        starts=len(points),
    )
    return CovariateFit(design, estimate, (*notes, *_far_from_zero(design, estimate)))


def design_of(
    family: Any,
    columns: Mapping[str, Column],
    groups: Mapping[str, Sequence[str]],
    weights: Array,
) -> tuple[Design, Array]:
    """The design of a family's covariates and the matrix of these rows; see `design.learn`."""
    moves = {group: family.COVARIATES[group].parameters for group in groups}
    return learn(tuple(family.PARAMETERS), moves, groups, columns, weights)


def _far_from_zero(design: Design, estimate: Estimate) -> tuple[str, ...]:
    """Where 0 is so far from the data that parameters there cannot be written down."""
    logs = design.to_user[: len(design.parameters)] @ np.log(estimate.parameters)
    if np.abs(logs).max() < LARGEST_LOG:
        return ()
    far = [c.name for c in design.covariates if abs(c.center) > 10.0 * c.scale]
    return (
        (
            f"Parameters are those of a customer with 0 everywhere, which for {', '.join(far)} is "
            "too far from what was seen for numbers to hold them. Subtract a typical value to read "
            "them; predictions are the same."
        ),
    )


def objective_of(
    family: Any, history: Any, weights: Array, design: Design, matrix: Array, units: Array
) -> Callable[[Array], tuple[float, Array, Array]]:
    """The negative log-likelihood and its derivatives in the logs of the scaled estimates (K,)."""
    k = len(design.parameters)
    parts = []
    for rows in blocks(len(weights), BLOCK):
        local = matrix[rows]
        parts.append((history.take(rows), weights[rows], local, design.blocks(local)))
    derivatives = getattr(family, "row_derivatives", _by_jets(family))

    def objective(point: Array) -> tuple[float, Array, Array]:
        total, gradient, hessian = 0.0, np.zeros(len(point)), np.zeros((len(point), len(point)))
        with np.errstate(all="ignore"):  # a step too far is seen by its infinite value
            estimates = np.exp(point) * units
            for known, customers, local, linear in parts:
                values = design.parameters_at(estimates, local)
                value, slope, curvature = derivatives(family.Parameters(*values), known)
                total += float(np.sum(customers * value))
                for j in range(k):
                    (place, factors), here = linear[j], values[j]
                    slope_log = here * slope[j] * customers
                    gradient[place] += factors.T @ slope_log
                    for m in range(j + 1):
                        weight = here * values[m] * curvature[j, m] * customers
                        if m == j:
                            weight = weight + slope_log
                        others, other_factors = linear[m]
                        block = factors.T @ (weight[:, None] * other_factors)
                        hessian[np.ix_(place, others)] += block
                        if m < j:
                            hessian[np.ix_(others, place)] += block.T
        return -total, -gradient, -hessian

    return objective


def _by_jets(family: Any) -> Callable[[Any, Any], tuple[Array, Array, Array]]:
    """Derivatives (k, m) and (k, k, m) of the row formula in the parameters of each row."""

    def derivatives(parameters: Any, history: Any) -> tuple[Array, Array, Array]:
        k, m = len(parameters), len(history[0])
        variables = family.Parameters(*jets.variables(parameters))
        jet = family.log_likelihood(variables, history, jets)
        return (
            np.broadcast_to(jet.value, m),
            np.broadcast_to(jet.gradient, (k, m)),
            np.broadcast_to(jet.hessian, (k, k, m)),
        )

    return derivatives


def boundary_of(
    family: Any,
    design: Design,
    point: Array,
    why: str = "the customers concerned are too few, or all alike",
) -> str | None:
    """Name the limit that base parameters or coefficients have run to, and why the latter do."""
    k = len(design.parameters)
    base = family.boundary(family.Parameters(*np.exp(point[:k])))
    found = [] if base is None else [base]
    for coefficient, value in zip(design.coefficients, point[k:], strict=True):
        if abs(value) > EXTREME:
            end = "infinity" if value > 0 else "-infinity"
            found.append(
                f"the {coefficient.group} coefficient of {coefficient.what} for "
                f"{coefficient.parameter} has run to {end}: {why}"
            )
    return "; ".join(found) or None


def design_notes(design: Design) -> tuple[str, ...]:
    """Which coefficients no data could determine, in sentences."""
    return tuple(
        dict.fromkeys(
            f"The {c.group} coefficient of {c.what} cannot be determined: {reason}. It is left "
            "out (0)."
            for c, reason in design.undetermined
        )
    )
