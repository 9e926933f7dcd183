"""The mode of a posterior, its normal approximation, and importance sampling from that.

For the models here, whose posteriors have a handful of coordinates and thousands of customers
behind them, the normal approximation at the mode is good, and weighting draws from a wider
distribution of the same shape makes it exact but for Monte Carlo error. How well that works is
measured: by k-hat (`clv.numerics.pareto_smoothing`) and by the effective number of draws.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from clv.errors import ConvergenceError
from clv.inference.maximum_likelihood import WALL
from clv.inference.target import Density, Target
from clv.numerics.backend import Array
from clv.numerics.optimize import Minimum, minimize
from clv.numerics.pareto_smoothing import UNRELIABLE, pareto_smooth
from clv.numerics.threads import in_order

#: Degrees of freedom of the proposal: with 10, tails were too light for CDNOW.
PROPOSAL_DEGREES = 5.0

#: Draws of the proposal.
PROPOSALS = 4_000

#: Parts of them, worked on by several threads.
PIECES = 8

#: Effective draws below which an importance sample is called too small.
FEWEST_EFFECTIVE = 400

#: Rows on which the mode is first looked for, and how many more make that worth while.
_ROUGH, _MANY = 2_000, 4

#: By how much the log-density may still rise at what is called the mode.
_TOLERANCE = 1e-6

#: Coordinates with less information than this are given a standard deviation of 10.
_LEAST_CURVATURE = 1e-2


class Mode(NamedTuple):
    """Where a density is highest, and its normal approximation there."""

    point: Array  #: coordinates (K,)
    value: float  #: log-density
    covariance: Array  #: inverse of the negative Hessian, (K, K)
    root: Array  #: lower triangular, root root' = covariance
    gradient_norm: float
    decrement: float  #: by how much the log-density may still rise, to second order
    evaluations: int


class ImportanceSample(NamedTuple):
    """Weighted draws turned into equally likely ones."""

    points: Array  #: resampled coordinates (draws, K)
    proposals: Array  #: (proposals, K)
    log_weights: Array  #: smoothed and normalised, (proposals,)
    k_hat: float
    effective: float  #: 1 / sum of squared weights

    @property
    def reliable(self) -> bool:
        """Whether averages over these draws can be trusted."""
        return self.k_hat < UNRELIABLE and self.effective >= FEWEST_EFFECTIVE


def find_mode(target: Density, starts: Sequence[Array]) -> Mode:
    """Search for the mode by Newton's method from these coordinates, each of shape (K,).

    Raises
    ------
    ConvergenceError
        If there is none: the priors do not bound what the data leave open.
    """
    rough, evaluations = list(starts), 0
    if isinstance(target, Target) and len(target.likelihood) > _MANY * _ROUGH:
        few = target.thinned(_ROUGH)
        rough = [_lowest(few, rough, tolerance=1e-2).point]
    best = _lowest(target, rough, tolerance=1e-9)
    evaluations += best.iterations
    allowed = max(_TOLERANCE, 1e-13 * abs(best.value))
    if not np.isfinite(best.value) or best.on_wall.any() or best.decrement > allowed:
        raise ConvergenceError(
            "the posterior has no mode that can be found: the priors do not bound what the data "
            "leave open. State proper priors, or narrower ones"
        )
    curvature, axes = np.linalg.eigh(best.hessian)
    covariance = (axes / np.maximum(curvature, _LEAST_CURVATURE)) @ axes.T
    covariance = (covariance + covariance.T) / 2
    return Mode(
        best.point,
        -best.value,
        covariance,
        np.linalg.cholesky(covariance),
        float(np.linalg.norm(best.gradient)),
        best.decrement,
        evaluations,
    )


def _lowest(target: Density, starts: Sequence[Array], tolerance: float) -> Minimum:
    """The lowest minimum of the negative log-density; walls are measured from each start."""
    found = []
    for start in starts:
        end = minimize(
            partial(_moved, target, start), np.zeros(len(start)), wall=WALL, tolerance=tolerance
        )
        found.append(end._replace(point=start + end.point))
    return min(found, key=lambda end: end.value if np.isfinite(end.value) else np.inf)


def _moved(target: Density, start: Array, step: Array) -> tuple[float, Array, Array]:
    return target.objective(start + step)


def normal_draws(mode: Mode, draws: int, rng: np.random.Generator) -> Array:
    """Draws (draws, K) of the normal approximation, uncorrected."""
    return np.asarray(mode.point + rng.standard_normal((draws, len(mode.point))) @ mode.root.T)


def importance_sample(
    target: Density,
    mode: Mode,
    *,
    draws: int,
    rng: np.random.Generator,
    proposals: int = PROPOSALS,
) -> ImportanceSample:
    """Draw from a Student distribution around the mode, weight, smooth the weights, resample.

    Parameters
    ----------
    target
        A log-density of K coordinates.
    mode
        Of this density.
    draws
        Equally likely draws wanted.
    rng
        Source of randomness.
    proposals
        Draws of the Student distribution.
    """
    k = len(mode.point)
    normal = rng.standard_normal((proposals, k))
    spread = np.sqrt(PROPOSAL_DEGREES / rng.chisquare(PROPOSAL_DEGREES, proposals))
    standard = normal * spread[:, None]
    points = mode.point + standard @ mode.root.T
    log_proposal = (
        -0.5 * (PROPOSAL_DEGREES + k) * np.log1p(np.sum(standard**2, axis=1) / PROPOSAL_DEGREES)
    )
    values = np.concatenate(list(in_order(target.values, np.array_split(points, PIECES))))
    log_weights, k_hat = pareto_smooth(values - log_proposal)
    weights = np.exp(log_weights)
    # systematic resampling: each draw is used as often as its weight says, give or take one
    places = (np.arange(draws) + rng.uniform()) / draws
    chosen = np.minimum(np.searchsorted(np.cumsum(weights), places), proposals - 1)
    return ImportanceSample(
        points[rng.permutation(chosen)],
        points,
        log_weights,
        float(k_hat),
        float(1.0 / np.sum(weights**2)),
    )
