"""Newton's method within a trust region, for a few parameters and an exact Hessian.

The problems here have three to a few dozen variables, a cheap exact Hessian and, when a
parameter has no finite estimate, a ridge that runs to infinity. So each step solves the
trust-region problem exactly by eigenvalues, steps grow along ridges, and every variable is
kept in a box; a solution on the wall of the box is reported as such.

Source: Nocedal & Wright (2006), Numerical Optimization, algorithm 4.1 and section 4.3.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from clv.numerics.backend import Array

#: Steps that promise less than this share of the tolerance are not worth an evaluation.
_NEGLIGIBLE = 1e-9

#: A function that is to be made small: value, gradient (k,), Hessian (k, k).
Objective = Callable[[Array], tuple[float, Array, Array]]


class Minimum(NamedTuple):
    """Where the search ended."""

    point: Array
    value: float
    gradient: Array
    hessian: Array
    iterations: int
    decrement: float  #: by how much the value could still fall, to second order
    on_wall: npt.NDArray[np.bool_]  #: which variables sit on the wall of the box


def minimize(
    objective: Objective,
    start: Array,
    *,
    wall: float = np.inf,
    tolerance: float = 1e-10,
    iterations: int = 200,
) -> Minimum:
    """Find a local minimum.

    Parameters
    ----------
    objective
        Returns value, gradient and Hessian; what is not finite rejects the step, and at the start
        ends the search there with an infinite value.
    start
        Shape (k,).
    wall
        Every variable is kept within [-wall, wall].
    tolerance
        Stop when no step is expected to lower the value by more than this.
    iterations
        At most this many evaluations.

    Examples
    --------
    >>> bowl = lambda x: (float(x @ x), 2 * x, 2 * np.eye(2))
    >>> minimize(bowl, np.array([3.0, -4.0])).point.round(6).tolist()
    [0.0, 0.0]
    """
    point = np.clip(np.asarray(start, dtype=np.float64), -wall, wall)
    value, gradient, hessian = objective(point)
    on_wall = np.abs(point) >= wall * (1 - 1e-12)
    if not _usable(value, gradient, hessian):  # nowhere to start from
        return Minimum(point, np.inf, gradient, hessian, 1, np.inf, on_wall)
    radius = 1.0
    count = 1
    while count < iterations:
        free = _free(point, gradient, wall)
        step = np.zeros_like(point)
        step[free] = _trust_region_step(gradient[free], hessian[free][:, free], radius)
        trial = np.clip(point + step, -wall, wall)
        step = trial - point
        expected = -float(gradient @ step + 0.5 * step @ hessian @ step)
        # what rounding alone can do to the value
        noise = 4e-16 * abs(value)
        inside = bool(np.linalg.norm(step) < 0.5 * radius)
        if inside and expected <= _NEGLIGIBLE * tolerance:
            break
        last = inside and expected <= max(tolerance, noise)
        count += 1
        trial_value, trial_gradient, trial_hessian = objective(trial)
        if last:
            # Newton's last step doubles the correct digits though the value cannot show it
            if np.linalg.norm(trial_gradient) < np.linalg.norm(gradient):
                point, value = trial, trial_value
                gradient, hessian = trial_gradient, trial_hessian
            break
        usable = _usable(trial_value, trial_gradient, trial_hessian)
        ratio = (value - trial_value + noise) / max(expected, noise) if usable else -1.0
        if ratio < 0.25:
            radius = 0.25 * float(np.linalg.norm(step))
        elif ratio > 0.75 and np.linalg.norm(step) > 0.8 * radius:
            radius = min(2.0 * radius, 8.0)
        if ratio > 1e-4:
            point, value, gradient, hessian = trial, trial_value, trial_gradient, trial_hessian
        if radius < 1e-10:
            break
    free = _free(point, gradient, wall)
    return Minimum(
        point,
        value,
        gradient,
        hessian,
        count,
        _decrement(gradient[free], hessian[free][:, free]),
        np.abs(point) >= wall * (1 - 1e-12),
    )


def _usable(value: float, gradient: Array, hessian: Array) -> bool:
    """Whether everything is finite."""
    return bool(np.isfinite(value) and np.isfinite(gradient).all() and np.isfinite(hessian).all())


def _free(point: Array, gradient: Array, wall: float) -> npt.NDArray[np.bool_]:
    """Variables that are not pressed against the wall."""
    pressed = ((point >= wall) & (gradient <= 0)) | ((point <= -wall) & (gradient >= 0))
    return np.asarray(~pressed)


def _trust_region_step(gradient: Array, hessian: Array, radius: float) -> Array:
    """The step within `radius` that lowers the quadratic model most."""
    if len(gradient) == 0:
        return gradient
    curvature, axes = np.linalg.eigh(hessian)
    slope = axes.T @ gradient
    floor = 1e-14 * max(float(np.abs(curvature).max()), 1e-300)

    def length(shift: float) -> float:
        scaled = slope / (curvature + shift)
        return float(np.sqrt(scaled @ scaled))

    lowest = float(curvature[0])
    if lowest > floor and length(0.0) <= radius:
        return np.asarray(-axes @ (slope / curvature))
    low = max(0.0, -lowest) + floor
    if length(low) <= radius:
        # saddle or flat: the slope has nothing along the lowest axis, go along it as well
        step = -axes @ (slope / (curvature + low))
        rest = np.sqrt(max(radius**2 - float(step @ step), 0.0))
        side = -1.0 if slope[0] > 0 else 1.0
        return np.asarray(step + (rest * side * axes[:, 0] if lowest < -floor else 0.0))
    high = max(2.0 * low, 1e-8 * float(np.abs(curvature).max()))
    while length(high) > radius:
        high *= 4.0
    for _ in range(60):
        middle = np.sqrt(low * high) if low > 0 else 0.5 * high
        if length(middle) > radius:
            low = middle
        else:
            high = middle
        if high - low < 1e-3 * high:
            break
    return np.asarray(-axes @ (slope / (curvature + high)))


def _decrement(gradient: Array, hessian: Array) -> float:
    """Half the squared Newton decrement; infinite where the Hessian is not positive definite."""
    if len(gradient) == 0:
        return 0.0
    try:
        factor = np.linalg.cholesky(hessian)
    except np.linalg.LinAlgError:
        return np.inf
    return float(0.5 * np.sum(np.linalg.solve(factor, gradient) ** 2))
