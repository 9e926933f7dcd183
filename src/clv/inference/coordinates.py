"""From priors to the coordinates that are sampled, and from these to parameters.

A family groups its parameters in blocks and says which quantities mean the same (`QUANTITIES`, see
`clv.families._quantities`). Priors are stated on quantities or on parameters, as many in each block
as it has parameters. Each has a coordinate z of its own, free to be any number, and the logs of all
parameters are a fixed linear function of *features*: the logs of quantities, the logs of what
shares leave, and coefficients of covariates as they are. So the density of z is the product of the
priors' own, no determinant is left over, and all derivatives are products of matrices.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from clv.errors import DataError
from clv.families._quantities import Block, Quantity
from clv.inference.priors import Prior, Terms
from clv.numerics.backend import Array

#: Of a coefficient: a level, or a standard deviation of a number, changes a rate by a factor
#: between 1/7 and 7.
OF_COEFFICIENTS = Prior("Normal", mu=0.0, sigma=1.0)

#: Of a parameter that a family says nothing about, in units of the data.
OF_PARAMETERS = ("LogNormal", {"mu": 0.0, "sigma": 2.0})

#: Feature of a coordinate: its log, the log of what it leaves of 1, or itself.
LOG, COMPLEMENT, ITSELF = "log", "complement", "itself"


class Stated(NamedTuple):
    """A prior, and what it is stated on."""

    name: str
    meaning: str
    prior: Prior
    rules_out: str  #: of defaults
    default: bool


@dataclass(frozen=True)
class Coordinates:
    """K unconstrained coordinates, one for each stated prior.

    Attributes
    ----------
    stated
        The priors, in the order of the coordinates.
    estimates
        Names of what they determine: parameters, then coefficients (as ``exp(coefficient)``).
    features
        Coordinate and kind of each feature, F of them.
    matrix
        Shape (K, F): takes features to the logs of estimates.
    """

    stated: tuple[Stated, ...]
    estimates: tuple[str, ...]
    features: tuple[tuple[int, str], ...]
    matrix: Array

    @property
    def names(self) -> tuple[str, ...]:
        """What each coordinate is a prior of."""
        return tuple(stated.name for stated in self.stated)

    @property
    def priors(self) -> dict[str, Prior]:
        """By name."""
        return {stated.name: stated.prior for stated in self.stated}

    @property
    def deviations(self) -> tuple[int, ...]:
        """Coordinates of standard deviations: a shape is a power -2 of them."""
        of_logs = [j for j, (_, kind) in enumerate(self.features) if kind == LOG]
        return tuple(
            self.features[j][0]
            for j in of_logs
            if (self.matrix[:, j] == -2.0).any() and self._positive(self.features[j][0])
        )

    def _positive(self, i: int) -> bool:
        """Whether a coordinate is the log of any positive number."""
        prior = self.stated[i].prior
        return prior.lower == 0.0 and prior.upper == np.inf

    def log_prior(self, z: Array) -> tuple[Any, Array, Array]:
        """Log-density of the coordinates, its gradient and its curvature, all along the first axis.

        `z` has shape (K,), or (K, n) for n points.
        """
        if z.ndim == 1:  # numbers are much quicker than arrays of one
            terms = [s.prior.log_density(q) for s, q in zip(self.stated, z.tolist(), strict=True)]
            values, first, second = zip(*terms, strict=True)
            return sum(values), np.array(first), np.array(second)
        terms = [s.prior.log_density(z[i]) for i, s in enumerate(self.stated)]
        slopes, curvatures = (
            np.array([np.broadcast_to(t[j], np.shape(z[0])) for t in terms], dtype=np.float64)
            for j in (1, 2)
        )
        return sum(t.value for t in terms), slopes, curvatures

    def log_estimates(self, z: Array) -> tuple[Array, list[Terms]]:
        """Logs of the estimates, shape (K,) or (K, n), and the features they are made of."""
        columns = z.tolist() if z.ndim == 1 else z
        features = [self._feature(kind, i, columns[i]) for i, kind in self.features]
        return self.matrix @ np.array([f.value for f in features]), features

    def gradient(self, features: Sequence[Terms], slope: Array) -> Array:
        """The chain rule: from a slope (K,) in logs of estimates to one in coordinates.

        With a slope (K, n) for n points, of the features at these.
        """
        total = np.zeros((len(self.stated), *slope.shape[1:]))
        along = self.matrix.T @ slope
        for (i, _), feature, one in zip(
            self.features, features, along.tolist() if slope.ndim == 1 else along, strict=True
        ):
            total[i] += one * feature.slope
        return total

    def hessian(self, features: Sequence[Terms], slope: Array, curvature: Array) -> Array:
        """Its second order, from slope (K,) and curvature (K, K) in logs of estimates."""
        jacobian = np.zeros((len(self.stated), len(self.stated)))
        bend = np.zeros(len(self.stated))
        along = slope @ self.matrix
        for j, ((i, _), feature) in enumerate(zip(self.features, features, strict=True)):
            jacobian[:, i] += self.matrix[:, j] * feature.slope
            bend[i] += along[j] * feature.curvature
        return np.asarray(jacobian.T @ curvature @ jacobian + np.diag(bend))

    def estimates_at(self, points: Array) -> Array:
        """Estimates at coordinates of shape (..., K)."""
        logs, _ = self.log_estimates(np.moveaxis(points, -1, 0).reshape(len(self.stated), -1))
        return np.asarray(np.exp(logs).T.reshape(points.shape))

    def quantities_at(self, points: Array) -> dict[str, Array]:
        """What priors are stated on, by name, at coordinates of shape (..., K)."""
        return {
            s.name: np.asarray(s.prior.quantity(points[..., i]).value)
            for i, s in enumerate(self.stated)
        }

    def sample(self, draws: int, rng: np.random.Generator) -> Array:
        """Coordinates drawn from the prior, shape (draws, K)."""
        columns = [s.prior.coordinate(s.prior.sample(rng, draws)) for s in self.stated]
        return np.stack(columns, axis=1)

    def _feature(self, kind: str, i: int, z: Any) -> Terms:
        prior = self.stated[i].prior
        if kind == LOG:
            return prior.log_quantity(z)
        return prior.log_complement(z) if kind == COMPLEMENT else prior.quantity(z)


def coordinates_of(
    family: Any,
    scales: Mapping[str, float],
    priors: Mapping[str, Any] | None = None,
    coefficients: Sequence[str] = (),
) -> Coordinates:
    """Choose what priors are stated on, and how that determines the parameters.

    Parameters
    ----------
    family
        A module of `clv.families`.
    scales
        A typical value for each unit that quantities have ("time", "money"): the unit of defaults.
    priors
        Priors by name of a parameter, a quantity, a coefficient, or "coefficients" for all that
        have none of their own; in the unit of the table.
    coefficients
        Labels of the coefficients of covariates.

    Raises
    ------
    DataError
        If a name is not known, a prior allows what cannot be, or names say the same thing twice.

    Examples
    --------
    >>> from clv.families import bg_nbd
    >>> coordinates_of(bg_nbd, {"time": 30.0}, {"r": Prior("Gamma", alpha=2, beta=2)}).names
    ('r', 'purchase_interval', 'dropout_share', 'dropout_concentration')
    """
    blocks = blocks_of(family)
    given = _by_own_name(family, blocks, priors or {}, coefficients)
    stated: list[Stated] = []
    features: list[tuple[int, str]] = []
    parameters = tuple(family.PARAMETERS)
    rows: list[tuple[int, int, float]] = []
    for block in blocks:
        chosen, kinds, part = _solve(family, block, given, scales)
        start, place = len(stated), len(features)
        stated += chosen
        features += [(start + i, kind) for i, kind in kinds]
        for j, name in enumerate(block.parameters):
            rows += [(parameters.index(name), place + f, v) for f, v in enumerate(part[j])]
    for label in coefficients:
        prior = given.get(label, given.get("coefficients"))
        rows.append((len(stated), len(features), 1.0))
        features.append((len(stated), ITSELF))
        stated.append(
            Stated(
                label,
                f"coefficient {label}",
                prior or OF_COEFFICIENTS,
                "" if prior else "a level, or a standard deviation, that changes it sevenfold",
                prior is None,
            )
        )
    matrix = np.zeros((len(stated), len(features)))
    for i, j, value in rows:
        matrix[i, j] = value
    return Coordinates(tuple(stated), (*parameters, *coefficients), tuple(features), matrix)


def blocks_of(family: Any) -> tuple[Block, ...]:
    """The blocks of a family; of one that names none, each parameter for itself."""
    found = getattr(family, "QUANTITIES", None)
    if found is not None:
        return tuple(found)
    return tuple(
        Block(
            (name,),
            (
                Quantity(
                    name,
                    parameter.meaning,
                    OF_PARAMETERS,
                    "less than 1/50 and more than 50 in units of the data",
                    {name: 1.0},
                    parameter.unit,
                ),
            ),
        )
        for name, parameter in family.PARAMETERS.items()
    )


def _by_own_name(
    family: Any, blocks: Sequence[Block], priors: Mapping[str, Any], coefficients: Sequence[str]
) -> dict[str, Prior]:
    """The priors given, under our own names."""
    also = {q.also: q.name for block in blocks for q in block.quantities if q.also}
    known = {*family.PARAMETERS, *coefficients}
    known |= {q.name for block in blocks for q in block.quantities}
    if coefficients:
        known.add("coefficients")
    found: dict[str, Prior] = {}
    for name, prior in priors.items():
        own = also.get(name, name)
        if own not in known:
            raise DataError(
                f"{family.TITLE} has no parameter or quantity {name!r} to state a prior on; there "
                f"are {', '.join(sorted(known))}"
            )
        if own in found:
            raise DataError(f"two priors are given for {own}, one as {name!r}")
        found[own] = Prior.of(prior)
    return found


def _solve(
    family: Any, block: Block, given: Mapping[str, Prior], scales: Mapping[str, float]
) -> tuple[list[Stated], list[tuple[int, str]], Array]:
    """What a block's priors are stated on, its features, and the logs of parameters in these."""
    quantities = {q.name: q for q in block.quantities}
    on_parameters = [n for n in block.parameters if n in given and n not in quantities]
    on_quantities = [n for n in quantities if n in given]
    if any(q.powers is None for q in block.quantities):
        if on_parameters and (on_quantities or len(on_parameters) < len(block.parameters)):
            raise DataError(
                f"state priors on {' and '.join(block.parameters)}, or on "
                f"{' and '.join(quantities)}, not on {' and '.join(on_parameters + on_quantities)}"
            )
        if not on_parameters:
            return (
                [
                    _stated(family, name, block, given, scales, share=i == 0)
                    for i, name in enumerate(quantities)
                ],
                [(0, LOG), (0, COMPLEMENT), (1, LOG)],
                np.array([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]]),
            )
    directions = {n: np.eye(len(block.parameters))[i] for i, n in enumerate(block.parameters)}
    for name, quantity in quantities.items():
        if quantity.powers is not None:
            directions[name] = np.array([quantity.powers.get(p, 0.0) for p in block.parameters])
    wanted = [n for n in (*block.parameters, *quantities) if n in given]
    chosen: list[str] = []
    for name in [*dict.fromkeys(wanted), *quantities, *block.parameters]:
        if name in chosen or name not in directions:
            continue
        if np.linalg.matrix_rank(np.array([directions[n] for n in (*chosen, name)])) > len(chosen):
            chosen.append(name)
        elif name in given:
            raise DataError(
                f"the prior of {name} is one too many: {', '.join(n for n in chosen if n in given)}"
                f" already say it, because {' and '.join(block.parameters)} have only "
                f"{len(block.parameters)} degrees of freedom"
            )
    order = {n: i for i, n in enumerate((*block.parameters, *quantities))}
    chosen.sort(key=order.__getitem__)
    powers = np.array([directions[n] for n in chosen])
    return (
        [_stated(family, name, block, given, scales) for name in chosen],
        [(i, LOG) for i in range(len(chosen))],
        np.linalg.inv(powers),
    )


def _stated(
    family: Any,
    name: str,
    block: Block,
    given: Mapping[str, Prior],
    scales: Mapping[str, float],
    share: bool = False,
) -> Stated:
    quantity = next((q for q in block.quantities if q.name == name), None)
    meaning = family.PARAMETERS[name].meaning if quantity is None else quantity.meaning
    if name in given:
        prior = given[name]
        if prior.lower < 0 or (share and prior.upper > 1):
            possible = "between 0 and 1" if share else "positive"
            raise DataError(f"{name} is {possible}, and {prior!r} allows other values")
        return Stated(name, meaning, prior, "", False)
    assert quantity is not None  # parameters are only chosen when a prior is given for them
    distribution, arguments = quantity.prior
    moved = dict(arguments)
    if quantity.unit:
        moved["mu"] += float(np.log(scales.get(quantity.unit, 1.0)))
    return Stated(name, meaning, Prior(distribution, **moved), quantity.rules_out, True)
