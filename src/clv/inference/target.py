"""The log-density that a Bayesian fit explores: likelihood times priors, in free coordinates.

Value, gradient and Hessian are exact, and come from the same derivatives that maximum likelihood
uses, on the same weighted rows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Protocol, Self

import numpy as np

from clv.families._pickling import HoldsFamilies
from clv.inference import covariates, maximum_likelihood
from clv.inference.coordinates import Coordinates
from clv.inference.design import Design
from clv.numerics import backend
from clv.numerics.backend import Array

#: Elements of a matrix of rows times points that are worked on at a time.
BLOCK = 200_000

#: Logs of parameters beyond this are a limit; there the density is taken to be 0.
LARGEST = 200.0


class Density(Protocol):
    """A log-density of K free coordinates, all that samplers and approximations ask for."""

    @property
    def size(self) -> int:
        """K."""

    def __call__(self, z: Array, /) -> tuple[float, Array]:
        """Value and gradient (K,) at z (K,); -inf where the density vanishes."""

    def objective(self, z: Array, /) -> tuple[float, Array, Array]:
        """The negative value, its gradient (K,) and its Hessian (K, K)."""

    def values(self, points: Array) -> Array:
        """Values (n,) at points (n, K)."""


@dataclass(frozen=True, eq=False)
class Likelihood(HoldsFamilies):
    """The log-likelihood of weighted rows as a function of the logs of estimates.

    Attributes
    ----------
    family
        A module of `clv.families`.
    history
        Distinct rows, m of them.
    weights
        Shape (m,): customers behind each row.
    design, matrix
        How covariates enter, and their matrix (m, terms); None without.
    """

    family: Any
    history: Any
    weights: Array
    design: Design | None = None
    matrix: Array | None = None

    def __len__(self) -> int:
        return len(self.weights)

    def __getstate__(self) -> dict[str, Any]:
        """Without the function that is made when first needed: processes make their own."""
        state = super().__getstate__()
        return {k: v for k, v in state.items() if k not in ("_objective", "_tables")}

    @cached_property
    def _tables(self) -> Any:
        """What the family's quick functions look at."""
        make = getattr(self.family, "tables", self.family.sufficient_statistics)
        return make(self.history, self.weights)

    @cached_property
    def _objective(self) -> Callable[[Array], tuple[float, Array, Array]]:
        if self.design is not None and self.matrix is not None:
            units = np.ones(len(self.design.parameters) + len(self.design.coefficients))
            return covariates.objective_of(
                self.family, self.history, self.weights, self.design, self.matrix, units
            )
        units = np.ones(len(self.family.PARAMETERS))
        return maximum_likelihood.objective_of(self.family, self.history, self.weights, units)

    def derivatives(self, logs: Array) -> tuple[float, Array, Array]:
        """Value, gradient (K,) and Hessian (K, K) at the logs of estimates."""
        value, gradient, hessian = self._objective(logs)
        return -value, -gradient, -hessian

    def gradient(self, logs: Array) -> tuple[float, Array]:
        """Value and gradient alone."""
        quick = getattr(self.family, "log_likelihood_gradient", None)
        if quick is None or self.design is not None:
            value, gradient, _ = self._objective(logs)
            return -value, -gradient
        parameters = np.exp(logs)
        value, slope = quick(self.family.Parameters(*parameters), self._tables)
        return value, slope * parameters

    def of_rows(self, logs: Array, rows: slice = slice(None)) -> Array:
        """Log-likelihood of *one* customer of each row, shape (rows, n), at logs (K, n)."""
        points = np.exp(logs)
        if self.design is not None and self.matrix is not None:
            values = self.design.parameters_at(points.T, self.matrix[rows])
        else:
            values = list(points[:, None, :])
        history = type(self.history)(*(field[rows, None] for field in self.history))
        with np.errstate(all="ignore"):
            found = self.family.log_likelihood(self.family.Parameters(*values), history, backend)
        return np.asarray(np.broadcast_to(found, (len(self.weights[rows]), logs.shape[1])))

    def values(self, logs: Array) -> Array:
        """Log-likelihood (n,) of all customers at logs of estimates (K, n)."""
        quick = getattr(self.family, "log_likelihood_values", None)
        if quick is not None and self.design is None:
            with np.errstate(all="ignore"):
                found: Array = quick(self.family.Parameters(*np.exp(logs)), self._tables)
            return found
        total = np.zeros(logs.shape[1])
        step = max(1, min(len(self), 4_096))
        width = max(1, BLOCK // step)
        for first in range(0, logs.shape[1], width):
            points = slice(first, first + width)
            for start in range(0, len(self), step):
                rows = slice(start, start + step)
                total[points] += self.weights[rows] @ self.of_rows(logs[:, points], rows)
        return total

    def take(self, rows: Any) -> Self:
        """The likelihood of some rows."""
        return replace(
            self,
            history=self.history.take(rows),
            weights=self.weights[rows],
            matrix=None if self.matrix is None else self.matrix[rows],
        )

    def thinned(self, rows: int) -> Self:
        """Every so-maniest row, with the weight of the others: for a rough search."""
        few = self.take(slice(None, None, max(1, len(self) // rows)))
        return replace(few, weights=few.weights * (self.weights.sum() / few.weights.sum()))


@dataclass(frozen=True, eq=False)
class Target:
    """Likelihood times priors: the `Density` of an ordinary fit."""

    likelihood: Likelihood
    coordinates: Coordinates

    @property
    def size(self) -> int:
        """Number of coordinates."""
        return len(self.coordinates.stated)

    def __call__(self, z: Array) -> tuple[float, Array]:
        """Value and gradient (K,)."""
        prior, prior_slope, _ = self.coordinates.log_prior(z)
        logs, features = self.coordinates.log_estimates(z)
        if not np.abs(logs).max() < LARGEST:
            return -np.inf, np.zeros(len(z))
        value, slope = self.likelihood.gradient(logs)
        return float(value + prior), prior_slope + self.coordinates.gradient(features, slope)

    def objective(self, z: Array) -> tuple[float, Array, Array]:
        """The negative log-density, its gradient and its Hessian."""
        prior, prior_slope, prior_curvature = self.coordinates.log_prior(z)
        logs, features = self.coordinates.log_estimates(z)
        if not np.abs(logs).max() < LARGEST:
            return np.inf, np.zeros(len(z)), np.eye(len(z))
        value, slope, curvature = self.likelihood.derivatives(logs)
        gradient = prior_slope + self.coordinates.gradient(features, slope)
        hessian = self.coordinates.hessian(features, slope, curvature) + np.diag(prior_curvature)
        return -float(value + prior), -gradient, -hessian

    def values(self, points: Array) -> Array:
        """Log-density (n,) at points (n, K)."""
        prior, _, _ = self.coordinates.log_prior(points.T)
        logs, _ = self.coordinates.log_estimates(points.T)
        inside = np.abs(logs).max(axis=0) < LARGEST
        found = np.full(len(points), -np.inf)
        found[inside] = self.likelihood.values(logs[:, inside])
        found += prior
        return np.where(np.isnan(found), -np.inf, found)

    def thinned(self, rows: int) -> Self:
        """On fewer rows: for a rough search."""
        return replace(self, likelihood=self.likelihood.thinned(rows))
