"""Covariates as a matrix: which columns, coded how, moving which parameters.

A family says which parameters its covariates move and in which direction
(``COVARIATES``, see `clv.families._protocol`). Of a customer with covariates z a moved parameter
is ``base * exp(sign * coefficients'z)`` (Fader & Hardie 2007, Incorporating time-invariant
covariates into the Pareto/NBD and BG/NBD models). So a fit is a vector of base parameters and
``exp(coefficient)``, all positive, and its logarithms are searched, averaged and drawn alike.

Within the fit numbers are centred and scaled, for the sake of the search; what users see is on
their own scale, where base parameters are those of a customer with 0 everywhere and the base
level of every text (`Design.to_user`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from clv.errors import DataError
from clv.numerics.backend import Array

#: Levels of a text: beyond that it is a name, not a group.
MOST_LEVELS = 100


#: Levels of a column of groups that are no group: the population's middle, and groups yet unknown.
POPULATION, UNKNOWN = "(all groups)", "(a new group)"

#: What coefficients of groups are of.
GROUPS = "groups"


class Column(NamedTuple):
    """A covariate of m rows: numbers, or for texts the place of each among the levels."""

    values: Array
    levels: tuple[str, ...] | None
    base: str | None = None  #: the level others are compared with; None: the most frequent


class Covariate(NamedTuple):
    """A column as the fit has seen it."""

    name: str
    levels: tuple[str, ...] | None  #: of texts, the base level first
    center: float = 0.0  #: of numbers: subtracted, and divided by, within the fit
    scale: float = 1.0
    pooled: bool = False  #: groups: other levels are those of a new group

    @property
    def terms(self) -> list[str | None]:
        """The columns of the matrix: one for each level but the base, one for a number."""
        return [None] if self.levels is None else list(self.levels[1:])


class Coefficient(NamedTuple):
    """What a covariate, or a level of it, does to the log of a parameter."""

    group: str  #: "purchase", "dropout" or "spend"
    parameter: str
    covariate: str
    level: str | None
    sign: int
    term: int  #: column of the matrix

    @property
    def what(self) -> str:
        """The covariate, and the level if there is one."""
        return self.covariate if self.level is None else f"{self.covariate}={self.level}"

    @property
    def label(self) -> str:
        """For tables: "alpha: channel=web"."""
        return f"{self.parameter}: {self.what}"


@dataclass(frozen=True)
class Design:
    """Which covariates a fit has, and which of their coefficients were estimated.

    Attributes
    ----------
    parameters
        Names of the family's parameters, the first entries of a vector of estimates.
    covariates
        In the order of the matrix.
    coefficients
        Those estimated: the further entries of a vector of estimates, as ``exp(coefficient)``.
    undetermined
        Those that no data could determine, with the reason; they are 0.
    """

    parameters: tuple[str, ...]
    covariates: tuple[Covariate, ...]
    coefficients: tuple[Coefficient, ...]
    undetermined: tuple[tuple[Coefficient, str], ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns."""
        return tuple(covariate.name for covariate in self.covariates)

    def columns_of(self, group: str) -> tuple[str, ...]:
        """Names of the columns that move the parameters of a group."""
        every = (*self.coefficients, *(c for c, _ in self.undetermined))
        used = {c.covariate for c in every if c.group == group}
        return tuple(name for name in self.names if name in used)

    # --- groups ------------------------------------------------------------------------------

    @property
    def groups(self) -> Covariate | None:
        """The column of groups, if parameters differ between groups."""
        return next((c for c in self.covariates if c.pooled), None)

    def with_groups(self, by: str, names: Sequence[str]) -> Design:
        """The same, and every parameter differs between groups of a column.

        Base parameters are then those of the population's middle. The coefficients come last:
        for each parameter all groups, and a group that is not known yet.
        """
        covariate = Covariate(by, (POPULATION, *names, UNKNOWN), pooled=True)
        first = sum(len(c.terms) for c in self.covariates)
        own = tuple(
            Coefficient(GROUPS, parameter, by, level, 1, first + term)
            for parameter in self.parameters
            for term, level in enumerate(covariate.terms)
        )
        return replace(
            self,
            covariates=(*self.covariates, covariate),
            coefficients=(*self.coefficients, *own),
        )

    def with_place(self, matrix: Array, place: npt.NDArray[np.int64]) -> Array:
        """The matrix of rows of other covariates, with the columns of groups."""
        assert self.groups is not None
        own = place[:, None] == np.arange(len(self.groups.terms))
        return np.concatenate([matrix, own.astype(np.float64)], axis=1)

    # --- rows --------------------------------------------------------------------------------

    def matrix(self, columns: Mapping[str, Column]) -> Array:
        """The matrix (m, terms) of these rows.

        Raises
        ------
        DataError
            If a column holds texts where the fit has seen numbers or the other way round, or a
            level that the fit has not seen.
        """
        parts = [_terms(covariate, columns[covariate.name]) for covariate in self.covariates]
        return np.concatenate(parts, axis=1)

    def row(self, values: Mapping[str, Any]) -> Array:
        """The matrix of a single customer, shape (terms,), from values by name."""
        known = ", ".join(self.names)
        if set(values) != set(self.names):
            given = ", ".join(map(str, values)) or "none"
            raise DataError(
                f"covariates must give a value for each of {known}; those given are: {given}"
            )
        columns = {}
        for covariate in self.covariates:
            value = values[covariate.name]
            if covariate.levels is not None:
                columns[covariate.name] = Column(np.zeros(1), (str(value),))
                continue
            try:
                number = float(value)
            except (TypeError, ValueError):
                number = np.nan
            if not np.isfinite(number):
                raise DataError(f"{covariate.name} must be a finite number, not {value!r}")
            columns[covariate.name] = Column(np.array([number]), None)
        return np.asarray(self.matrix(columns)[0])

    def parameters_at(self, points: Array, matrix: Array, farthest: float = np.inf) -> list[Array]:
        """Parameters of rows.

        Parameters
        ----------
        points
            Estimates of shape (K,), or draws of shape (draws, K).
        matrix
            Shape (m, terms), or (terms,) for a single customer.
        farthest
            Logs move no farther than this: what lies beyond is a limit, and the same.

        Returns
        -------
        list
            For each parameter a number, or an array of shape (m,); with draws (1, draws) where
            no covariate moves it, else (m, draws).
        """
        logs = np.log(points)
        found = []
        for j, (place, sign, term) in enumerate(self._moved):
            one = points[j] if points.ndim == 1 else points[None, :, j]
            if len(place):
                factors, coefficients = matrix[..., term] * sign, logs[..., place]
                if points.ndim == 1:
                    moved = np.einsum("...c,c->...", factors, coefficients)
                else:
                    moved = np.atleast_2d(factors) @ coefficients.T
                one = one * np.exp(np.clip(moved, -farthest, farthest))
            found.append(np.asarray(one))
        return found

    @cached_property
    def _moved(self) -> list[tuple[Any, Array, Any]]:
        """Of each parameter: the entries of the vector that move it, their signs and terms."""
        k = len(self.parameters)
        moved = []
        for name in self.parameters:
            which = [i for i, c in enumerate(self.coefficients) if c.parameter == name]
            moved.append(
                (
                    np.array([k + i for i in which], dtype=np.intp),
                    np.array([self.coefficients[i].sign for i in which], dtype=np.float64),
                    np.array([self.coefficients[i].term for i in which], dtype=np.intp),
                )
            )
        return moved

    def blocks(self, matrix: Array) -> list[tuple[Any, Array]]:
        """Of each parameter: entries of the vector that its log is linear in, and their factors."""
        one = np.ones((len(matrix), 1))
        return [
            (np.concatenate([[j], place]), np.concatenate([one, matrix[:, term] * sign], axis=1))
            for j, (place, sign, term) in enumerate(self._moved)
        ]

    # --- the users' scale --------------------------------------------------------------------

    @cached_property
    def to_user(self) -> Array:
        """The matrix (K, K) that takes logs of a vector of estimates to the users' scale."""
        k = len(self.parameters)
        matrix = np.eye(k + len(self.coefficients))
        scales = {c.name: (c.center, c.scale) for c in self.covariates}
        for i, coefficient in enumerate(self.coefficients, start=k):
            center, scale = scales[coefficient.covariate]
            matrix[i, i] = 1.0 / scale
            matrix[self.parameters.index(coefficient.parameter), i] = (
                -coefficient.sign * center / scale
            )
        return matrix

    # --- saving ------------------------------------------------------------------------------

    def to_dict(self) -> dict[str, Any]:
        """In the types of JSON."""
        return asdict(self) | {
            "covariates": [c._asdict() for c in self.covariates],
            "coefficients": [c._asdict() for c in self.coefficients],
            "undetermined": [[c._asdict(), reason] for c, reason in self.undetermined],
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Design:
        """The way back."""
        return cls(
            tuple(record["parameters"]),
            tuple(
                Covariate(**{**c, "levels": None if c["levels"] is None else tuple(c["levels"])})
                for c in record["covariates"]
            ),
            tuple(Coefficient(**c) for c in record["coefficients"]),
            tuple((Coefficient(**c), reason) for c, reason in record["undetermined"]),
        )


def as_levels(column: Column) -> Column:
    """A column of groups; numbers, such as years, become texts."""
    if column.levels is not None:
        return column
    numbers, place = np.unique(column.values, return_inverse=True)
    return Column(place.astype(np.float64), tuple(f"{number:.15g}" for number in numbers))


def _terms(covariate: Covariate, column: Column) -> Array:
    name, levels = covariate.name, covariate.levels
    if covariate.pooled and levels is not None:
        column = as_levels(column)
        known = [level if level in levels else UNKNOWN for level in column.levels or ()]
        column = column._replace(levels=tuple(known))
    if (levels is None) != (column.levels is None):
        seen, here = ("numbers", "texts") if levels is None else ("texts", "numbers")
        raise DataError(f"{name} holds {here}, and the model was fitted with {seen}")
    if levels is None or column.levels is None:
        return np.asarray(((column.values - covariate.center) / covariate.scale)[:, None])
    unseen = [level for level in column.levels if level not in levels]
    if unseen:
        raise DataError(
            f"{name} has {_named(unseen)}, which the model has not seen in fitting; it knows "
            f"{_named(levels)}. Leave these customers out, or fit to a table that has them"
        )
    place = np.array([levels.index(level) for level in column.levels])
    of_row = place[column.values.astype(np.int64)]
    return np.asarray((of_row[:, None] == np.arange(1, len(levels))).astype(np.float64))


def _named(levels: Sequence[str]) -> str:
    shown = ", ".join(repr(level) for level in levels[:8])
    return shown if len(levels) <= 8 else f"{shown} and {len(levels) - 8} more"


# --- learning the design from the rows of a fit ----------------------------------------------


def learn(
    parameters: Sequence[str],
    moves: Mapping[str, Mapping[str, int]],
    groups: Mapping[str, Sequence[str]],
    columns: Mapping[str, Column],
    weights: Array,
) -> tuple[Design, Array]:
    """Code the columns of a fit, and find which coefficients can be told apart.

    Parameters
    ----------
    parameters
        Names of the family's parameters.
    moves
        For each group, the parameters that it moves and in which direction.
    groups
        For each group, the names of its covariates.
    columns
        Their values, m rows.
    weights
        Customers behind each row, shape (m,).

    Returns
    -------
    tuple
        The design, and the matrix of these rows.
    """
    names = list(dict.fromkeys(name for group in groups.values() for name in group))
    covariates = tuple(_covariate(name, columns[name], weights) for name in names)
    bare = Design(tuple(parameters), covariates, ())
    matrix = (
        bare.matrix({name: _only_present(columns[name], weights) for name in names})
        if names
        else np.empty((len(weights), 0))
    )
    place: dict[tuple[str, str | None], int] = {}
    for covariate in covariates:
        for level in covariate.terms:
            place[covariate.name, level] = len(place)
    coefficients: list[Coefficient] = []
    undetermined: list[tuple[Coefficient, str]] = []
    for group, members in groups.items():
        terms = [key for key in place if key[0] in members]
        terms.sort(key=lambda key: (list(members).index(key[0]), place[key]))
        reasons = _aliased([place[key] for key in terms], matrix, weights)
        label = {place[key]: Coefficient(group, "", *key, 1, 0).what for key in terms}
        for parameter, sign in moves[group].items():
            for key in terms:
                found = Coefficient(group, parameter, *key, sign, place[key])
                partners = reasons.get(found.term)
                if partners is None:
                    coefficients.append(found)
                elif not partners:
                    undetermined.append((found, "it is the same for everybody"))
                else:
                    says = "says" if len(partners) == 1 else "together say"
                    others = " and ".join(label[i] for i in partners)
                    undetermined.append((found, f"{others} {says} the same as it"))
    return Design(tuple(parameters), covariates, tuple(coefficients), tuple(undetermined)), matrix


def _covariate(name: str, column: Column, weights: Array) -> Covariate:
    if column.levels is not None:
        if len(column.levels) > MOST_LEVELS:
            raise DataError(
                f"{name} has {len(column.levels):,} levels, and a covariate may have "
                f"{MOST_LEVELS}, because each has a coefficient; group them"
            )
        customers = np.bincount(column.values.astype(np.int64), weights, len(column.levels))
        # the most frequent first, then by name: these are in ascending order already
        order = [int(i) for i in np.argsort(-customers, kind="stable") if customers[i] > 0]
        base = next((i for i in order if column.levels[i] == column.base), order[0])
        others = sorted(i for i in order if i != base)
        return Covariate(name, tuple(column.levels[i] for i in (base, *others)))
    center = float(weights @ column.values / weights.sum())
    spread = column.values - center
    scale = float(np.sqrt(weights @ spread**2 / weights.sum()))
    if scale <= 1e-12 * max(1.0, abs(center)):  # constant, but for rounding
        return Covariate(name, None, float(column.values[0]), 1.0)
    return Covariate(name, None, center, scale)


def _only_present(column: Column, weights: Array) -> Column:
    """Without the levels that no row of the fit has."""
    if column.levels is None:
        return column
    present, values = np.unique(column.values.astype(np.int64), return_inverse=True)
    return Column(values.astype(np.float64), tuple(column.levels[i] for i in present))


def _aliased(terms: Sequence[int], matrix: Array, weights: Array) -> dict[int, list[int]]:
    """Terms that others before them determine, with these; none for a constant."""
    share = weights / weights.sum()
    one = np.ones((len(matrix), 1))
    X = np.concatenate([one, matrix[:, list(terms)]], axis=1)
    gram = X.T @ (X * share[:, None])
    kept, found = [0], {}
    for j, term in enumerate(terms, start=1):
        on = np.linalg.solve(gram[np.ix_(kept, kept)], gram[kept, j])
        rest = gram[j, j] - float(gram[kept, j] @ on)
        if rest > 1e-9 * max(gram[j, j], 1e-300):
            kept.append(j)
            continue
        size = np.abs(on) * np.sqrt(np.diag(gram)[kept])
        found[term] = [
            terms[i - 1] for i, s in zip(kept, size, strict=True) if i and s > 1e-4 * size.max()
        ]
    return found
