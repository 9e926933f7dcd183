"""Maximum likelihood with covariates that change with time (Pareto/NBD).

Estimates are those of a fit with static covariates, in the same order and scale: base parameters
and ``exp(coefficient)``, whose logarithms are searched. See `clv.inference.design`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from clv.inference.covariates import CovariateFit, boundary_of, design_notes
from clv.inference.design import Column, Design, learn
from clv.inference.maximum_likelihood import Estimate, judge, search
from clv.numerics import pareto_time_varying as numerics
from clv.numerics.backend import Array
from clv.numerics.optimize import Minimum, minimize
from clv.numerics.pieces import Coefficients, Histories, Pieces, chosen, joined

#: Customers on whom starting points are tried, where there are many more.
SUBSAMPLE = 400

#: The plain fit is a start; so are points this far from it, and from typical values if it lies
#: farther than that.
OTHER_STARTS, FAR, FARTHEST = 2, 0.7, 6.0

#: Evaluations of a search for the end of a ridge; each takes as long as many plain ones.
PATIENCE = 40

#: Where there is no maximum, a coefficient (of a level, or per standard deviation) beyond this,
#: a factor of 150, is what runs away.
LARGE = 5.0


class Timeline(NamedTuple):
    """Customers' time before the covariates are coded: m pieces and b repeat purchases."""

    frequency: Array  #: shape (n,)
    customer: Any  #: of the pieces, shape (m,), ascending
    length: Array  #: shape (m,)
    after_last: Any  #: shape (m,)
    columns: Mapping[str, Column]  #: covariates in the pieces, m rows
    bought_by: Any  #: customer of each purchase, shape (b,)
    at_purchases: Mapping[str, Column]  #: covariates at the purchases, b rows


def terms_of(design: Design, group: str) -> tuple[list[int], list[int]]:
    """Of a group's coefficients: their places in a vector of estimates, and matrix columns."""
    k = len(design.parameters)
    found = [(k + i, c.term) for i, c in enumerate(design.coefficients) if c.group == group]
    return [place for place, _ in found], [term for _, term in found]


def coefficients_of(design: Design, estimates: Array) -> Coefficients:
    """The coefficients on the log scale of the rates; alpha and beta move the other way."""
    logs = np.log(estimates)
    return Coefficients(*(logs[terms_of(design, group)[0]] for group in ("purchase", "dropout")))


def histories_of(design: Design, timeline: Timeline) -> Histories:
    """What the likelihood needs, with pieces joined where no covariate changes."""
    matrix = design.matrix(timeline.columns)
    purchase, dropout = (matrix[:, terms_of(design, g)[1]] for g in ("purchase", "dropout"))
    pieces = joined(
        Pieces(timeline.customer, timeline.length, timeline.after_last, purchase, dropout)
    )
    at = design.matrix(timeline.at_purchases)[:, terms_of(design, "purchase")[1]]
    n = len(timeline.frequency)
    sums = [np.bincount(timeline.bought_by, column, n) for column in at.T]
    return Histories(
        timeline.frequency, np.stack(sums, axis=1) if sums else np.zeros((n, 0)), pieces
    )


def maximize_time_varying(
    family: Any,
    timeline: Timeline,
    groups: Mapping[str, Sequence[str]],
    plain: Estimate,
    scales: Mapping[str, float],
) -> CovariateFit:
    """Fit Pareto/NBD to customers' time.

    Parameters
    ----------
    family
        `clv.families.pareto_nbd`.
    timeline
        The data.
    groups
        For "purchase" and "dropout", the names of the covariates.
    plain
        The fit without covariates: where the search begins.
    scales
        As in `maximum_likelihood.maximize`.

    Raises
    ------
    ConvergenceError
        If no maximum was found and no boundary explains it.
    """
    moves = {group: family.COVARIATES[group].parameters for group in groups}
    design, _ = learn(tuple(family.PARAMETERS), moves, groups, timeline.columns, timeline.length)
    notes = design_notes(design)
    if not design.coefficients:
        return CovariateFit(design, plain, notes)
    histories = histories_of(design, timeline)
    units = np.array([scales.get(p.unit, 1.0) for p in family.PARAMETERS.values()])
    units = np.concatenate([units, np.ones(len(design.coefficients))])
    objective = objective_of(design, histories, units)
    points, tried = _starts(objective, design, histories, units, plain)
    best = search(objective, points, PATIENCE)
    best = best._replace(iterations=best.iterations + tried)
    estimate = judge(
        best,
        units,
        names=(*design.parameters, *(c.label for c in design.coefficients)),
        title=family.TITLE,
        boundary=_limit(family, design, best),
        customers=float(len(histories.frequency)),
        starts=1 + OTHER_STARTS,
    )
    return CovariateFit(design, estimate, notes)


def _limit(family: Any, design: Design, best: Minimum) -> str | None:
    """Name the limit that a search has run to; None at a maximum, and where nothing explains it."""
    why = "next to nothing happens in the periods concerned, or they are too few to say"
    found = boundary_of(family, design, best.point, why)
    if found is not None or (np.isfinite(best.decrement) and not best.on_wall.any()):
        return found
    k = len(design.parameters)
    names = (*design.parameters, *(f"coefficient of {c.label}" for c in design.coefficients))
    gone = best.on_wall.copy()
    gone[k:] |= np.abs(best.point[k:]) > LARGE
    run = [
        f"{name} -> {'infinity' if value > 0 else '0' if i < k else '-infinity'}"
        for i, (name, value) in enumerate(zip(names, best.point, strict=True))
        if gone[i]
    ]
    return (
        f"the data do not bound {', '.join(run)}: too few customers leave or return"
        if run
        else None
    )


def objective_of(
    design: Design, histories: Histories, units: Array
) -> Callable[[Array], tuple[float, Array, Array]]:
    """The negative log-likelihood and its derivatives in the logs of the scaled estimates (K,)."""
    k = len(design.parameters)
    purchase, dropout = (terms_of(design, group)[0] for group in ("purchase", "dropout"))
    order = [*range(k), *purchase, *dropout]

    def objective(point: Array) -> tuple[float, Array, Array]:
        with np.errstate(all="ignore"):  # a step too far is seen by its infinite value
            base = np.exp(point[:k]) * units[:k]
            r, alpha, s, beta = (float(v) for v in base)
            value, gradient, hessian = numerics.log_likelihood_derivatives(
                (r, alpha, s, beta), Coefficients(point[purchase], point[dropout]), histories
            )
            scale = np.concatenate([base, np.ones(len(order) - k)])
            slope, curvature = scale * gradient, np.outer(scale, scale) * hessian
            curvature[range(k), range(k)] += slope[:k]
        back = np.argsort(order)
        return -value, -slope[back], -curvature[np.ix_(back, back)]

    return objective


def _starts(
    objective: Any, design: Design, histories: Histories, units: Array, plain: Estimate
) -> tuple[list[Array], int]:
    """Where the search on all customers begins: the best of several points on a few of them.

    And how often it took the likelihood of all to find it.
    """
    k, n = len(design.parameters), len(histories.frequency)
    start = np.zeros(len(units))
    start[:k] = np.clip(np.log(plain.parameters / units[:k]), -FARTHEST, FARTHEST)
    rng = np.random.default_rng(2021)
    points = [start]
    points += [start + rng.choice([-FAR, FAR], len(units)) for _ in range(OTHER_STARTS)]
    if n > 2 * SUBSAMPLE:
        some = chosen(histories, np.arange(0, n, n // SUBSAMPLE))
        objective = objective_of(design, some, units)
    found = [minimize(objective, point, wall=FARTHEST + 4.0, tolerance=1e-2) for point in points]
    tried = 0 if n > 2 * SUBSAMPLE else sum(minimum.iterations for minimum in found)
    finite = [m for m in found if np.isfinite(m.value)]
    return ([min(finite, key=lambda m: m.value).point] if finite else points), tried
