"""Prior distributions, by the names and arguments that PyMC gives them, without PyMC.

Every prior knows its density as a function of an *unconstrained* coordinate z, with its first two
derivatives, the change of variables included. That is all that a search, a Laplace approximation
or a sampler needs.

==============  ===========================  ==========================================
support         coordinate z                 distributions
==============  ===========================  ==========================================
positive        ln q                         LogNormal, Gamma, InverseGamma, Weibull, HalfNormal,
                                             HalfCauchy, HalfStudentT, Exponential, HalfFlat
above m         ln(q - m)                    Pareto
an interval     ln((q - l) / (u - q))        Beta, LogitNormal, Uniform
the line        q                            Normal, StudentT, Laplace, Flat
==============  ===========================  ==========================================
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from clv.errors import DataError
from clv.numerics import backend
from clv.numerics.backend import Array

_HALF_LOG_2PI = 0.5 * math.log(2.0 * math.pi)


class Terms(NamedTuple):
    """A function of z and its first two derivatives, elementwise."""

    value: Any
    slope: Any
    curvature: Any


class _Distribution(NamedTuple):
    """What is known of a distribution."""

    arguments: tuple[str, ...]
    support: Callable[[dict[str, float]], tuple[float, float]]
    #: log-density of z (the change of variables included) and its derivatives
    terms: Callable[[Any, dict[str, float]], Terms]
    #: draws of the quantity; None where the density has no finite integral
    draw: Callable[[np.random.Generator, dict[str, float], Any], Any] | None
    positive: tuple[str, ...]  #: arguments that must be above 0


class Prior:
    """A prior distribution of one parameter or quantity.

    Parameters
    ----------
    distribution
        Name as in PyMC: LogNormal, Gamma, InverseGamma, Weibull, HalfNormal, HalfCauchy,
        HalfStudentT, Exponential, HalfFlat, Pareto, Beta, LogitNormal, Uniform; and Normal,
        StudentT, Laplace, Flat for coefficients of covariates.
    parameters
        Its arguments, with PyMC's names and meanings.

    Raises
    ------
    DataError
        If the distribution is not known, or an argument is missing, unknown or out of range.

    Examples
    --------
    >>> Prior("Weibull", alpha=2, beta=10)
    Prior('Weibull', alpha=2, beta=10)
    """

    def __init__(self, distribution: str, **parameters: float) -> None:
        known = _DISTRIBUTIONS.get(distribution)
        if known is None:
            raise DataError(
                f"no prior is called {distribution!r}; there are {', '.join(_DISTRIBUTIONS)}"
            )
        if set(parameters) != set(known.arguments):
            wanted = ", ".join(known.arguments) or "no arguments"
            raise DataError(
                f"{distribution} takes {wanted}, and was given {', '.join(parameters) or 'none'}"
            )
        for name, value in parameters.items():
            if not np.ndim(value) == 0 or not math.isfinite(value):
                raise DataError(f"{name} of {distribution} must be a finite number, not {value!r}")
            if name in known.positive and value <= 0:
                raise DataError(f"{name} of {distribution} must be above 0, not {value!r}")
        self.distribution = distribution
        self.parameters = {name: float(parameters[name]) for name in known.arguments}
        self._known = known
        self.lower, self.upper = known.support(self.parameters)
        if not self.lower < self.upper:
            raise DataError(f"{self!r} has no room between its ends")

    def __repr__(self) -> str:
        given = "".join(f", {name}={value:g}" for name, value in self.parameters.items())
        return f"Prior({self.distribution!r}{given})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Prior) and self.to_dict() == other.to_dict()

    def __hash__(self) -> int:
        return hash((self.distribution, tuple(self.parameters.items())))

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled as its record: functions of distributions are found by name."""
        return Prior.of, (self.to_dict(),)

    @classmethod
    def of(cls, given: Any) -> Prior:
        """The prior that was meant: a `Prior`, a record of one, or an object like PyMC's.

        Whatever has ``distribution`` and ``parameters`` is read, such as the ``Prior`` of
        pymc-extras, in which pymc-marketing writes its own.
        """
        if isinstance(given, cls):
            return given
        if isinstance(given, Mapping):
            record = dict(given)
            return cls(str(record.pop("distribution", None)), **record)
        name, parameters = getattr(given, "distribution", None), getattr(given, "parameters", None)
        if not isinstance(name, str) or not isinstance(parameters, Mapping):
            raise DataError(
                f"a prior is written clv.Prior('Gamma', alpha=2, beta=1), not {given!r}"
            )
        return cls(name, **parameters)

    def to_dict(self) -> dict[str, Any]:
        """In the types of JSON; `of` is the way back."""
        return {"distribution": self.distribution, **self.parameters}

    @property
    def proper(self) -> bool:
        """Whether the density integrates to one, so that it can be drawn from."""
        return self._known.draw is not None

    # --- coordinates --------------------------------------------------------------------------

    def log_density(self, z: Any) -> Terms:
        """Log-density of the coordinate, with derivatives; numbers or arrays."""
        return self._known.terms(z, self.parameters)

    def quantity(self, z: Any) -> Terms:
        """The quantity at a coordinate, with derivatives."""
        if self.upper < math.inf:
            width = self.upper - self.lower
            share = _expit(z)
            slope = width * share * (1.0 - share)
            return Terms(self.lower + width * share, slope, slope * (1.0 - 2.0 * share))
        if self.lower > -math.inf:
            grown = np.exp(z)
            return Terms(self.lower + grown, grown, grown)
        return Terms(z, 1.0, 0.0)

    def log_quantity(self, z: Any) -> Terms:
        """Log of q at a coordinate, with derivatives; of a quantity that is positive."""
        if self.lower == 0.0 and self.upper == math.inf:
            return Terms(z, 1.0, 0.0)
        if self.lower == 0.0:
            share = _expit(z)
            return Terms(math.log(self.upper) - softplus(-z), 1.0 - share, -share * (1.0 - share))
        value, slope, curvature = self.quantity(z)
        ratio = slope / value
        return Terms(np.log(value), ratio, curvature / value - ratio**2)

    def log_complement(self, z: Any) -> Terms:
        """ln(1 - q) at a coordinate, with derivatives; of a share."""
        if self.lower == 0.0 and self.upper == 1.0:
            share = _expit(z)
            return Terms(-softplus(z), -share, -share * (1.0 - share))
        value, slope, curvature = self.quantity(z)
        ratio = slope / (1.0 - value)
        return Terms(np.log1p(-value), -ratio, -curvature / (1.0 - value) - ratio**2)

    def coordinate(self, q: Any) -> Any:
        """The coordinate of a quantity, kept off the ends of its support."""
        tiny = 1e-12
        if self.upper < math.inf:
            share = np.clip((q - self.lower) / (self.upper - self.lower), tiny, 1.0 - tiny)
            return np.log(share / (1.0 - share))
        if self.lower > -math.inf:
            return np.log(np.maximum(q - self.lower, tiny * max(1.0, abs(self.lower))))
        return q

    def sample(self, rng: np.random.Generator, size: Any) -> Array:
        """Draws of the quantity.

        Raises
        ------
        DataError
            If the prior is improper.
        """
        if self._known.draw is None:
            raise DataError(
                f"{self!r} is improper: it has no draws. A prior predictive check needs proper "
                "priors of all parameters"
            )
        return np.asarray(self._known.draw(rng, self.parameters, size), dtype=np.float64)


def softplus(z: Any) -> Any:
    """``ln(1 + exp(z))``; of a number much quicker than through an array."""
    if isinstance(z, float):
        return max(z, 0.0) + math.log1p(math.exp(-abs(z)))
    return backend.softplus(z)


def _expit(z: Any) -> Any:
    if isinstance(z, float):
        tiny = math.exp(-abs(z))
        return (1.0 if z >= 0 else tiny) / (1.0 + tiny)
    small = np.exp(-np.abs(z))
    return np.where(np.asarray(z) >= 0, 1.0, small) / (1.0 + small)


# --- densities of z ------------------------------------------------------------------------------


def _normal(z: Any, a: dict[str, float]) -> Terms:
    """Of whatever is normal in its coordinate."""
    precision = 1.0 / (a["sigma"] * a["sigma"])
    away = z - a["mu"]
    return Terms(
        -0.5 * precision * away * away - math.log(a["sigma"]) - _HALF_LOG_2PI,
        -precision * away,
        -precision,
    )


def _gamma(z: Any, a: dict[str, float]) -> Terms:
    shape, rate = a["alpha"], a["beta"]
    grown = rate * np.exp(z)
    constant = shape * math.log(rate) - math.lgamma(shape)
    return Terms(constant + shape * z - grown, shape - grown, -grown)


def _inverse_gamma(z: Any, a: dict[str, float]) -> Terms:
    value, slope, curvature = _gamma(-z, a)
    return Terms(value, -slope, curvature)


def _weibull(z: Any, a: dict[str, float]) -> Terms:
    power = a["alpha"]
    log_w = power * (z - math.log(a["beta"]))
    w = np.exp(log_w)
    return Terms(math.log(power) + log_w - w, power * (1.0 - w), -power * power * w)


def _half_normal(z: Any, a: dict[str, float]) -> Terms:
    away = z - math.log(a["sigma"])
    w = np.exp(2.0 * away)
    return Terms(0.5 * math.log(2.0 / math.pi) + away - 0.5 * w, 1.0 - w, -2.0 * w)


def _half_student(z: Any, a: dict[str, float]) -> Terms:
    nu = a["nu"]
    away = z - math.log(a["sigma"])
    constant = (
        math.log(2.0)
        + math.lgamma((nu + 1.0) / 2.0)
        - math.lgamma(nu / 2.0)
        - 0.5 * math.log(nu * math.pi)
    )
    log_w = 2.0 * away - math.log(nu)
    share = _expit(log_w)
    return Terms(
        constant + away - 0.5 * (nu + 1.0) * softplus(log_w),
        1.0 - (nu + 1.0) * share,
        -2.0 * (nu + 1.0) * share * (1.0 - share),
    )


def _half_cauchy(z: Any, a: dict[str, float]) -> Terms:
    return _half_student(z, {"nu": 1.0, "sigma": a["beta"]})


def _exponential(z: Any, a: dict[str, float]) -> Terms:
    return _gamma(z, {"alpha": 1.0, "beta": a["lam"]})


def _half_flat(z: Any, _: dict[str, float]) -> Terms:
    return Terms(1.0 * z, 1.0, 0.0)


def _flat(z: Any, _: dict[str, float]) -> Terms:
    return Terms(0.0 * z, 0.0, 0.0)


def _pareto(z: Any, a: dict[str, float]) -> Terms:
    power, least = a["alpha"], a["m"]
    log_w = z - math.log(least)
    share = _expit(log_w)
    return Terms(
        math.log(power) + log_w - (power + 1.0) * softplus(log_w),
        1.0 - (power + 1.0) * share,
        -(power + 1.0) * share * (1.0 - share),
    )


def _beta(z: Any, a: dict[str, float]) -> Terms:
    first, second = a["alpha"], a["beta"]
    constant = math.lgamma(first + second) - math.lgamma(first) - math.lgamma(second)
    share, total = _expit(z), first + second
    return Terms(
        constant - first * softplus(-z) - second * softplus(z),
        first - total * share,
        -total * share * (1.0 - share),
    )


def _uniform(z: Any, _: dict[str, float]) -> Terms:
    return _beta(z, {"alpha": 1.0, "beta": 1.0})


def _student(z: Any, a: dict[str, float]) -> Terms:
    nu, sigma = a["nu"], a["sigma"]
    constant = (
        math.lgamma((nu + 1.0) / 2.0)
        - math.lgamma(nu / 2.0)
        - 0.5 * math.log(nu * math.pi)
        - math.log(sigma)
    )
    away = (z - a["mu"]) / sigma
    spread = nu + away * away
    return Terms(
        constant - 0.5 * (nu + 1.0) * np.log1p(away * away / nu),
        -(nu + 1.0) * away / (spread * sigma),
        -(nu + 1.0) * (nu - away * away) / (spread * spread * sigma * sigma),
    )


def _laplace(z: Any, a: dict[str, float]) -> Terms:
    away = (z - a["mu"]) / a["b"]
    return Terms(-math.log(2.0 * a["b"]) - np.abs(away), -np.sign(away) / a["b"], 0.0)


# --- the table of them ---------------------------------------------------------------------------


def _positive(_: dict[str, float]) -> tuple[float, float]:
    return 0.0, math.inf


def _share(_: dict[str, float]) -> tuple[float, float]:
    return 0.0, 1.0


def _line(_: dict[str, float]) -> tuple[float, float]:
    return -math.inf, math.inf


_DISTRIBUTIONS: dict[str, _Distribution] = {
    "LogNormal": _Distribution(
        ("mu", "sigma"),
        _positive,
        _normal,
        lambda rng, a, n: rng.lognormal(a["mu"], a["sigma"], n),
        ("sigma",),
    ),
    "Gamma": _Distribution(
        ("alpha", "beta"),
        _positive,
        _gamma,
        lambda rng, a, n: rng.gamma(a["alpha"], 1.0 / a["beta"], n),
        ("alpha", "beta"),
    ),
    "InverseGamma": _Distribution(
        ("alpha", "beta"),
        _positive,
        _inverse_gamma,
        lambda rng, a, n: a["beta"] / rng.gamma(a["alpha"], 1.0, n),
        ("alpha", "beta"),
    ),
    "Weibull": _Distribution(
        ("alpha", "beta"),
        _positive,
        _weibull,
        lambda rng, a, n: a["beta"] * rng.weibull(a["alpha"], n),
        ("alpha", "beta"),
    ),
    "HalfNormal": _Distribution(
        ("sigma",),
        _positive,
        _half_normal,
        lambda rng, a, n: np.abs(rng.normal(0.0, a["sigma"], n)),
        ("sigma",),
    ),
    "HalfCauchy": _Distribution(
        ("beta",),
        _positive,
        _half_cauchy,
        lambda rng, a, n: a["beta"] * np.abs(rng.standard_cauchy(n)),
        ("beta",),
    ),
    "HalfStudentT": _Distribution(
        ("nu", "sigma"),
        _positive,
        _half_student,
        lambda rng, a, n: a["sigma"] * np.abs(rng.standard_t(a["nu"], n)),
        ("nu", "sigma"),
    ),
    "Exponential": _Distribution(
        ("lam",),
        _positive,
        _exponential,
        lambda rng, a, n: rng.exponential(1.0 / a["lam"], n),
        ("lam",),
    ),
    "HalfFlat": _Distribution((), _positive, _half_flat, None, ()),
    "Pareto": _Distribution(
        ("alpha", "m"),
        lambda a: (a["m"], math.inf),
        _pareto,
        lambda rng, a, n: a["m"] * (1.0 + rng.pareto(a["alpha"], n)),
        ("alpha", "m"),
    ),
    "Beta": _Distribution(
        ("alpha", "beta"),
        _share,
        _beta,
        lambda rng, a, n: rng.beta(a["alpha"], a["beta"], n),
        ("alpha", "beta"),
    ),
    "LogitNormal": _Distribution(
        ("mu", "sigma"),
        _share,
        _normal,
        lambda rng, a, n: _expit(rng.normal(a["mu"], a["sigma"], n)),
        ("sigma",),
    ),
    "Uniform": _Distribution(
        ("lower", "upper"),
        lambda a: (a["lower"], a["upper"]),
        _uniform,
        lambda rng, a, n: rng.uniform(a["lower"], a["upper"], n),
        (),
    ),
    "Normal": _Distribution(
        ("mu", "sigma"),
        _line,
        _normal,
        lambda rng, a, n: rng.normal(a["mu"], a["sigma"], n),
        ("sigma",),
    ),
    "StudentT": _Distribution(
        ("nu", "mu", "sigma"),
        _line,
        _student,
        lambda rng, a, n: a["mu"] + a["sigma"] * rng.standard_t(a["nu"], n),
        ("nu", "sigma"),
    ),
    "Laplace": _Distribution(
        ("mu", "b"),
        _line,
        _laplace,
        lambda rng, a, n: rng.laplace(a["mu"], a["b"], n),
        ("b",),
    ),
    "Flat": _Distribution((), _line, _flat, None, ()),
}
