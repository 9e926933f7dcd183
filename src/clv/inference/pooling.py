"""Partial pooling: groups of customers with parameters of their own, drawn from one population.

In coordinates z (`coordinates`), where every number is possible, group g has::

    z_g = m + s * e_g,   e_g ~ Normal(0, 1),   one spread s for each coordinate

with the priors of an ordinary fit on the population's middle m, and half-normal priors on the
spreads: a group of many customers speaks for itself, one of few is drawn towards the others, and
how strongly, the data tell. A group that was not in the data is m + s * e for a new e.
Coefficients of covariates are the same in all groups.

Sampled is e_g where a group says less of a coordinate than the population does, and z_g itself
where it says more (Betancourt & Girolami 2015, "Hamiltonian Monte Carlo for hierarchical models"):
either choice alone makes chains crawl for the other kind of group.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from clv.inference.coordinates import Coordinates, Stated
from clv.inference.laplace import Mode
from clv.inference.maximum_likelihood import WALL
from clv.inference.target import LARGEST, Likelihood
from clv.numerics.backend import Array
from clv.numerics.optimize import Objective, minimize

#: Rounds of the search for the spreads that chains begin at, and where it begins.
_ROUNDS, _FIRST_SPREAD, _LEAST_SPREAD = 12, 0.3, 0.02


class _Point(NamedTuple):
    """A vector of all coordinates, taken apart."""

    middle: Array  #: of the population, and coefficients (C,)
    spread: Array  #: (K,)
    log_slope: Array  #: of the log of each spread along its own coordinate (K,)
    own: Array  #: z_g or e_g (G, K)
    places: Array  #: z_g, with the coefficients (G, C)


@dataclass(frozen=True)
class Pooled:
    """The log-density of a hierarchical fit, a `Density` of C + K + G K coordinates.

    Attributes
    ----------
    parts
        The likelihood of each of the G groups.
    coordinates
        Of the population: K coordinates that determine parameters, then coefficients; C in all.
    spreads
        The priors of the K spreads.
    centred
        Shape (G, K): where z_g is sampled itself.
    """

    parts: tuple[Likelihood, ...]
    coordinates: Coordinates
    spreads: tuple[Stated, ...]
    centred: npt.NDArray[np.bool_]

    @property
    def size(self) -> int:
        """Number of coordinates."""
        return len(self.coordinates.stated) + len(self.spreads) * (1 + len(self.parts))

    def unpack(self, z: Array) -> _Point:
        """A vector (size,) taken apart."""
        c, k = len(self.coordinates.stated), len(self.spreads)
        middle, own = z[:c], z[c + k :].reshape(-1, k)
        terms = [s.prior.quantity(v) for s, v in zip(self.spreads, z[c : c + k], strict=True)]
        spread = np.array([float(t.value) for t in terms])
        log_slope = np.array([float(t.slope) for t in terms]) / spread
        places = np.tile(middle, (len(own), 1))
        places[:, :k] = np.where(self.centred, own, middle[:k] + spread * own)
        return _Point(middle, spread, log_slope, own, places)

    def __call__(self, z: Array) -> tuple[float, Array]:
        """Value and gradient."""
        at = self.unpack(z)
        c, k = len(self.coordinates.stated), len(self.spreads)
        value, middle_slope, _ = self.coordinates.log_prior(at.middle)
        terms = [s.prior.log_density(v) for s, v in zip(self.spreads, z[c : c + k], strict=True)]
        spread_slope = np.array([float(t.slope) for t in terms])
        total = float(value) + float(sum(t.value for t in terms))
        away = np.where(self.centred, (at.own - at.middle[:k]) / at.spread, at.own)
        total -= float(0.5 * np.sum(away**2) + np.sum(self.centred * np.log(at.spread)))
        logs, features = self.coordinates.log_estimates(at.places.T)
        if not np.abs(logs).max() < LARGEST:
            return -np.inf, np.zeros_like(z)
        found, slope = self._gradients(logs)
        total += float(found.sum())
        slopes = self.coordinates.gradient(features, slope).T
        along = slopes[:, :k]
        own_slope = np.where(self.centred, along - away / at.spread, along * at.spread - at.own)
        to_middle = np.where(self.centred, away / at.spread, along)
        to_spread = np.where(self.centred, away**2 - 1.0, along * at.spread * at.own)
        gradient = np.concatenate(
            [
                middle_slope,
                spread_slope + to_spread.sum(axis=0) * at.log_slope,
                own_slope.ravel(),
            ]
        )
        gradient[:k] += to_middle.sum(axis=0)
        gradient[k:c] += slopes[:, k:].sum(axis=0)
        return total, gradient

    def _gradients(self, logs: Array) -> tuple[Array, Array]:
        """Log-likelihoods (G,) of the groups and their gradients (C, G), at logs (C, G)."""
        if self._tables is None:
            found = [part.gradient(logs[:, g]) for g, part in enumerate(self.parts)]
            return np.array([v for v, _ in found]), np.array([s for _, s in found]).T
        parameters = np.exp(logs)
        values, slopes = self._family.log_likelihood_gradients(parameters, self._tables)
        return values, slopes * parameters

    @property
    def _family(self) -> Any:
        return self.parts[0].family

    @cached_property
    def _tables(self) -> Any:
        """What a family that can do all groups at once looks at; None: one after another."""
        if self.parts[0].design is not None or not hasattr(self._family, "group_tables"):
            return None
        statistics = [
            self._family.sufficient_statistics(part.history, part.weights) for part in self.parts
        ]
        return self._family.group_tables(statistics)

    def objective(self, z: Array) -> tuple[float, Array, Array]:
        """The negative value and gradient; in place of the Hessian that of fixed spreads."""
        value, gradient = self(z)
        return -value, -gradient, self.information(z)

    def values(self, points: Array) -> Array:
        """Values (n,) at points (n, size)."""
        return np.array([self(point)[0] for point in points])

    def information(self, z: Array) -> Array:
        """The negative Hessian (size, size), but for what spreads have to do with the rest."""
        at = self.unpack(z)
        c, k, size = len(self.coordinates.stated), len(self.spreads), self.size
        total = np.zeros((size, size))
        for g, part in enumerate(self.parts):
            curvature = -curvature_of(self.coordinates, part, at.places[g])
            here = np.arange(c + k + g * k, c + 2 * k + g * k)
            used = np.concatenate([np.arange(c), here])
            jacobian = np.zeros((c, c + k))
            jacobian[:, :c] = np.eye(c)
            jacobian[np.arange(k), np.arange(k)] = ~self.centred[g]
            jacobian[np.arange(k), c + np.arange(k)] = np.where(self.centred[g], 1.0, at.spread)
            total[np.ix_(used, used)] += jacobian.T @ curvature @ jacobian
            precision = np.where(self.centred[g], at.spread**-2, 1.0)
            total[here, here] += precision
            held = np.flatnonzero(self.centred[g])
            total[held, held] += precision[held]
            total[held, here[held]] -= precision[held]
            total[here[held], held] -= precision[held]
        _, _, prior = self.coordinates.log_prior(at.middle)
        total[np.arange(c), np.arange(c)] -= prior
        # a spread is known about as well as one of so many normal values
        total[np.arange(c, c + k), np.arange(c, c + k)] = 1.0 + 2.0 * self.centred.sum(axis=0)
        return total


def curvature_of(coordinates: Coordinates, likelihood: Likelihood, place: Array) -> Array:
    """The Hessian (C, C) of a log-likelihood in coordinates."""
    logs, features = coordinates.log_estimates(place)
    _, slope, curvature = likelihood.derivatives(logs)
    return coordinates.hessian(features, slope, curvature)


class Start(NamedTuple):
    """Where chains begin."""

    middle: Array  #: (C,)
    spread: Array  #: (K,)
    places: Array  #: (G, C)
    variance: Array  #: of a group's coordinates by its own customers alone (G, K); inf if unknown


def find_start(
    parts: Sequence[Likelihood], coordinates: Coordinates, common: Array, k: int
) -> Start:
    """Spreads of about the right size, by a few rounds of the EM algorithm (Dempster et al. 1977).

    Every group's mode given population and spread is found by Newton's method; its normal
    approximation stands for the group's posterior.
    """
    middle, spread = common.copy(), np.full(k, _FIRST_SPREAD)
    places = np.tile(common, (len(parts), 1))
    variance = np.empty((len(parts), k))
    for round_ in range(_ROUNDS):
        for g, part in enumerate(parts):
            places[g, k:] = middle[k:]
            objective = _of_group(part, coordinates, places[g].copy(), middle[:k], spread)
            end = minimize(objective, np.zeros(k), wall=WALL, tolerance=1e-6, iterations=30)
            places[g, :k] += end.point
            variance[g] = np.diag(_inverse(end.hessian))
        if round_ < _ROUNDS - 1:
            middle[:k] = places[:, :k].mean(axis=0)
            moment = np.sum((places[:, :k] - middle[:k]) ** 2 + variance, axis=0)
            spread = np.maximum(np.sqrt(moment / (len(parts) + 1)), _LEAST_SPREAD)
    own = 1.0 / np.maximum(1.0 / variance - spread**-2, 1e-12)
    return Start(middle, spread, places, own)


def _of_group(
    part: Likelihood, coordinates: Coordinates, start: Array, middle: Array, spread: Array
) -> Objective:
    """The negative log-density of a group's coordinates, as a step (K,) from a start."""
    k = len(middle)

    def objective(step: Array) -> tuple[float, Array, Array]:
        place = np.concatenate([start[:k] + step, start[k:]])
        logs, features = coordinates.log_estimates(place)
        if not np.abs(logs).max() < LARGEST:
            return np.inf, np.zeros(k), np.eye(k)
        away = (place[:k] - middle) / spread
        value, slope, curvature = part.derivatives(logs)
        gradient = coordinates.gradient(features, slope)[:k] - away / spread
        hessian = coordinates.hessian(features, slope, curvature)[:k, :k] - np.diag(spread**-2)
        return -(value - 0.5 * float(away @ away)), -gradient, -hessian

    return objective


def _inverse(information: Array) -> Array:
    curvature, axes = np.linalg.eigh(information)
    return np.asarray((axes / np.maximum(curvature, 1e-6)) @ axes.T)


def around(target: Pooled, start: Start) -> Mode:
    """The start as coordinates, with a normal approximation of their distribution there."""
    k = len(target.spreads)
    spreads = [
        float(stated.prior.coordinate(value))
        for stated, value in zip(target.spreads, start.spread, strict=True)
    ]
    away = (start.places[:, :k] - start.middle[:k]) / start.spread
    own = np.where(target.centred, start.places[:, :k], away)
    point = np.concatenate([start.middle, spreads, own.ravel()])
    value, gradient = target(point)
    covariance = _inverse(target.information(point))
    covariance = (covariance + covariance.T) / 2
    root = np.asarray(np.linalg.cholesky(covariance), dtype=np.float64)
    return Mode(point, value, covariance, root, float(np.linalg.norm(gradient)), 0.0, _ROUNDS)
