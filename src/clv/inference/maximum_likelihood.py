"""Maximum likelihood with a convergence test, and a name for the limit when there is no maximum.

Parameters are positive and searched as logarithms, in units of a typical time or value, so
that "large" means the same for every table. The search is Newton's with the exact Hessian,
from several starts. It ends in one of three ways:

* a maximum: the gradient vanishes and the Hessian is negative definite;
* a boundary: the likelihood still rises, or no longer changes, as parameters run to a
  limit, and the family names that limit;
* `ConvergenceError`: neither; nothing is returned.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from clv.errors import ConvergenceError
from clv.numerics import jets
from clv.numerics.backend import Array
from clv.numerics.optimize import Minimum, minimize

#: Log-parameters are kept within this distance of their typical value.
WALL = float(np.log(1e10))

#: A standard error of a log-parameter beyond this calls for a look along the ridge, and says
#: that the data leave the direction open: a normal approximation would be absurd there.
RIDGE = 3.0

#: Log-likelihood units: what a maximum may still be short of.
TOLERANCE = 1e-7

#: Starting points: the typical values, and corners of a cube this far from them.
STARTS, CORNER = 17, 2.5

#: Tables with more distinct rows than `LARGE` have one maximum in practice; smaller ones can
#: have several, so all starts are used for them.
LARGE, STARTS_OF_LARGE = 40_000, 2

#: Distinct rows of the subsamples on which starts are tried first, and how many of the maxima
#: found there go on.
SUBSAMPLES = ((2_000, 4), (20_000, 1))


#: A value with its gradient (k,) and Hessian (k, k), of parameters (k,).
Derivatives = Callable[[Array], tuple[float, Array, Array]]


class Convergence(NamedTuple):
    """How the search ended."""

    converged: bool  #: a maximum with a negative definite Hessian was found
    boundary: str | None  #: else the limit that the parameters ran to
    message: str  #: the same in a sentence
    gradient_norm: float  #: of the log-likelihood in log-parameters, per customer
    decrement: float  #: by how much the log-likelihood could still rise, to second order
    evaluations: int  #: of the log-likelihood on all rows
    starts: int  #: starting points tried


class Estimate(NamedTuple):
    """The outcome of `maximize`. k is the number of parameters."""

    parameters: Array  #: shape (k,)
    log_covariance: Array  #: of the log-parameters, shape (k, k); 0 along a boundary
    determined: npt.NDArray[np.bool_]  #: (k,), False where the data leave the parameter open
    log_likelihood: float
    convergence: Convergence


def maximize(
    family: Any,
    history: Any,
    weights: Array,
    scales: Mapping[str, float],
    near: Array | None = None,
) -> Estimate:
    """Fit a family to weighted rows.

    Parameters
    ----------
    family
        A module of `clv.families`.
    history
        `PurchaseHistory` or `SpendHistory` with n rows.
    weights
        Shape (n,): how many customers each row stands for.
    scales
        A typical value for each unit that parameters have ("time", "money").
    near
        Parameters (k,) to start from, where the maximum is all but known: then no others are
        tried, but the typical ones.

    Raises
    ------
    ConvergenceError
        If no maximum was found and no boundary explains why.
    """
    units = _units(family, scales)
    objective = objective_of(family, history, weights, units)
    points = _starting_points(len(units))
    if near is not None:
        points = [np.clip(np.log(near / units), -WALL, WALL), points[0]]
    elif len(weights) > LARGE:
        points = points[:STARTS_OF_LARGE]
    starts = len(points)
    for size, kept in SUBSAMPLES:
        if len(weights) > 2 * size:
            every = slice(0, None, len(weights) // size)
            rough = objective_of(family, history.take(every), weights[every], units)
            points = _apart(_minima(rough, points, tolerance=1e-2))[:kept]
    return _judged(family, search(objective, points), units, float(weights.sum()), starts)


def maximize_sums(
    family: Any, derivatives: Derivatives, near: Estimate, scales: Mapping[str, float], n: int
) -> Estimate:
    """Fit a family to rows that nobody sees here, of which only sums come.

    Parameters
    ----------
    family, scales
        As in `maximize`.
    derivatives
        The log-likelihood of all rows with its gradient (k,) and Hessian (k, k), at parameters
        (k,).
    near
        A fit of some of the rows.
    n
        Customers in all.

    Raises
    ------
    ConvergenceError
        As in `maximize`.
    """
    units = _units(family, scales)
    start = np.clip(np.log(near.parameters / units), -WALL, WALL)
    best = search(_objective(derivatives, units), [start])
    return _judged(family, best, units, float(n), near.convergence.starts)


def _units(family: Any, scales: Mapping[str, float]) -> Array:
    return np.array([scales.get(p.unit, 1.0) for p in family.PARAMETERS.values()])


def _judged(family: Any, best: Minimum, units: Array, customers: float, starts: int) -> Estimate:
    return judge(
        best,
        units,
        names=tuple(family.PARAMETERS),
        title=family.TITLE,
        boundary=family.boundary(family.Parameters(*np.exp(best.point))),
        customers=customers,
        starts=starts,
    )


def evaluate(family: Any, history: Any, weights: Array, parameters: Array) -> Estimate:
    """Log-likelihood and curvature at given parameters, which need not be the maximum.

    Parameters are as in `maximize`; ``convergence.decrement`` says how far from it they are.
    """
    value, slope, curvature = objective_of(family, history, weights, parameters)(
        np.zeros(len(parameters))
    )
    covariance, determined = _covariance(curvature)
    short = float(0.5 * slope @ covariance @ slope)
    return Estimate(
        parameters,
        covariance,
        determined,
        -value,
        Convergence(
            short <= TOLERANCE,
            None,
            f"the log-likelihood {-value:.6g} could still rise by {short:.2g}",
            float(np.linalg.norm(slope)) / float(weights.sum()),
            short,
            1,
            0,
        ),
    )


def objective_of(
    family: Any, history: Any, weights: Array, units: Array
) -> Callable[[Array], tuple[float, Array, Array]]:
    """The negative log-likelihood and its derivatives in the logs of the scaled parameters."""
    return _objective(derivatives_of(family, history, weights), units)


def _objective(derivatives: Derivatives, units: Array) -> Derivatives:
    def objective(point: Array) -> tuple[float, Array, Array]:
        parameters = np.exp(point) * units
        with np.errstate(all="ignore"):  # a step too far is seen by its infinite value
            value, gradient, hessian = derivatives(parameters)
            slope = parameters * gradient
            curvature = np.outer(parameters, parameters) * hessian + np.diag(slope)
        return -value, -slope, -curvature

    return objective


def derivatives_of(family: Any, history: Any, weights: Array) -> Derivatives:
    """The log-likelihood of weighted rows with its gradient and Hessian, as a function.

    The family's own derivatives where it has them, else those of its row formula.
    """
    if hasattr(family, "log_likelihood_derivatives"):
        statistics = family.sufficient_statistics(history, weights)

        def fast(parameters: Array) -> tuple[float, Array, Array]:
            point = family.Parameters(*parameters)
            found: tuple[float, Array, Array] = family.log_likelihood_derivatives(point, statistics)
            return found

        return fast

    def general(parameters: Array) -> tuple[float, Array, Array]:
        return jets.weighted_derivatives(
            lambda variables, rows: family.log_likelihood(
                family.Parameters(*variables), history.take(rows), jets
            ),
            list(parameters),
            weights,
        )

    return general


def _starting_points(k: int) -> list[Array]:
    """The typical values themselves, and the corners of a cube around them, mixed."""
    corners = np.array(list(itertools.product((-CORNER, CORNER), repeat=k)))
    mixed = np.random.default_rng(2005).permutation(corners)
    return [np.zeros(k), *mixed[: STARTS - 1]]


def search(objective: Any, points: list[Array], patience: int = 200) -> Minimum:
    """The lowest minimum reached from these points, or the end of the ridge that it lies on.

    `patience` limits the evaluations after a jump along a ridge.
    """
    return _follow_ridge(objective, _minima(objective, points, tolerance=1e-9)[0], patience)


def _minima(objective: Any, points: list[Array], tolerance: float) -> list[Minimum]:
    """The minima reached from these points, lowest first."""
    found = [minimize(objective, point, wall=WALL, tolerance=tolerance) for point in points]
    finite = [minimum for minimum in found if np.isfinite(minimum.value)]
    if not finite:
        raise ConvergenceError("the log-likelihood is not finite at any starting point")
    return sorted(finite, key=lambda minimum: minimum.value)


def _apart(found: list[Minimum]) -> list[Array]:
    """The points of these minima, those left out that lie beside a lower one."""
    points: list[Array] = []
    for minimum in found:
        if all(np.abs(minimum.point - point).max() > 0.2 for point in points):
            points.append(minimum.point)
    return points


def _follow_ridge(objective: Any, best: Minimum, patience: int) -> Minimum:
    """Where a direction is hardly determined, see whether the likelihood rises to its end.

    A search stops where rounding hides the slope, which on a ridge may be well before the
    limit. Here we jump along the ridge in both directions and keep what is no worse.
    """
    if best.on_wall.any():
        return best
    curvature, axes = np.linalg.eigh(best.hessian)
    for axis in axes.T[curvature < RIDGE**-2]:
        for direction in (axis, -axis):
            reach = (0.95 * WALL - np.sign(direction) * best.point) / np.maximum(
                np.abs(direction), 1e-6
            )
            far = minimize(
                objective,
                best.point + float(reach.min()) * direction,
                wall=WALL,
                tolerance=1e-9,
                iterations=patience,
            )
            if far.value <= best.value + 1e-9 * max(1.0, abs(best.value)) ** 0.5:
                best = far
    return best


def judge(
    best: Minimum,
    units: Array,
    *,
    names: tuple[str, ...],
    title: str,
    boundary: str | None,
    customers: float,
    starts: int,
) -> Estimate:
    """Whether a search has converged, ended at a limit that has a name, or failed.

    Parameters
    ----------
    best
        Where it ended, in logs of the k estimates.
    units, names
        Scale and name of each of them.
    title
        Of the model.
    boundary
        The limit that they have run to, if any.
    customers
        That the likelihood is a sum over.
    starts
        Starting points tried.
    """
    parameters = np.exp(best.point)
    norm = float(np.linalg.norm(best.gradient)) / customers
    # rounding in a sum of this size limits how well the gradient can vanish
    allowed = max(TOLERANCE, 1e-13 * abs(best.value))
    converged = boundary is None and not best.on_wall.any() and best.decrement <= allowed
    if converged:
        message = f"converged in {best.iterations} evaluations"
    elif boundary is not None:
        message = (
            f"no maximum inside: {boundary}. The parameters given are the limit as far as it "
            "can be told from these data; predictions are those of the limiting model"
        )
    else:
        values = ", ".join(
            f"{name} = {value:.4g}" for name, value in zip(names, parameters * units, strict=True)
        )
        raise ConvergenceError(
            f"{title} did not converge: at {values} the log-likelihood "
            f"{-best.value:.6g} could still rise by {best.decrement:.2g}. Check the table for "
            "a few extreme rows, or try another model"
        )
    covariance, determined = _covariance(best.hessian)
    return Estimate(
        parameters * units,
        covariance,
        determined & ~best.on_wall,
        -best.value,
        Convergence(converged, boundary, message, norm, best.decrement, best.iterations, starts),
    )


def _covariance(hessian: Array) -> tuple[Array, npt.NDArray[np.bool_]]:
    """Inverse of the information, without the directions that the data leave open."""
    curvature, axes = np.linalg.eigh(hessian)
    known = curvature > RIDGE**-2
    inverse = np.where(known, 1.0 / np.where(known, curvature, 1.0), 0.0)
    open_share = np.sum(axes**2 * ~known, axis=1)
    covariance = (axes * inverse) @ axes.T
    return np.asarray((covariance + covariance.T) / 2), np.asarray(open_share < 0.01)


def parameter_draws(estimate: Estimate, draws: int, seed: int) -> Array:
    """Draws from the asymptotic normal distribution of the log-parameters.

    Returns
    -------
    Array
        Shape (draws, k), positive.
    """
    curvature, axes = np.linalg.eigh(estimate.log_covariance)
    root = axes * np.sqrt(np.maximum(curvature, 0.0))
    noise = np.random.default_rng(seed).standard_normal((draws, len(curvature)))
    return np.asarray(np.exp(np.log(estimate.parameters) + noise @ root.T))
