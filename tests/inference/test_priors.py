"""Priors and coordinates: densities, derivatives, and the way from quantities to parameters."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import integrate, stats

from clv import Prior, families
from clv.errors import DataError
from clv.families import bg_nbd, gamma_gamma
from clv.inference.coordinates import coordinates_of

#: Each distribution with its density in SciPy, which shares no code with ours.
KNOWN = [
    (Prior("LogNormal", mu=0.4, sigma=0.7), stats.lognorm(0.7, scale=math.exp(0.4))),
    (Prior("Gamma", alpha=2.3, beta=0.7), stats.gamma(2.3, scale=1 / 0.7)),
    (Prior("InverseGamma", alpha=2.3, beta=0.7), stats.invgamma(2.3, scale=0.7)),
    (Prior("Weibull", alpha=2, beta=10), stats.weibull_min(2, scale=10)),
    (Prior("HalfNormal", sigma=3), stats.halfnorm(scale=3)),
    (Prior("HalfCauchy", beta=3), stats.halfcauchy(scale=3)),
    (Prior("Exponential", lam=0.2), stats.expon(scale=5)),
    (Prior("Pareto", alpha=1, m=1), stats.pareto(1)),
    (Prior("Beta", alpha=2, beta=0.6), stats.beta(2, 0.6)),
    (Prior("Uniform", lower=0, upper=1), stats.uniform()),
    (Prior("Uniform", lower=0.2, upper=7), stats.uniform(0.2, 6.8)),
    (Prior("Normal", mu=-1, sigma=2), stats.norm(-1, 2)),
    (Prior("StudentT", nu=4, mu=1, sigma=2), stats.t(4, 1, 2)),
    (Prior("Laplace", mu=1, b=2), stats.laplace(1, 2)),
]
Z = np.array([-2.1, -0.4, 0.3, 1.2])


@pytest.mark.parametrize(("prior", "theirs"), KNOWN, ids=lambda value: str(value)[:25])
def test_densities_are_scipys_with_the_change_of_variables(prior, theirs) -> None:
    q = prior.quantity(Z)
    expected = theirs.logpdf(q.value) + np.log(q.slope * np.ones(4))
    assert prior.log_density(Z).value == pytest.approx(expected, rel=1e-12, abs=1e-12)
    assert prior.coordinate(q.value) == pytest.approx(Z, abs=1e-9)
    drawn = prior.sample(np.random.default_rng(3), 20_000)
    assert stats.kstest(drawn, theirs.cdf).pvalue > 1e-3


@pytest.mark.parametrize(
    "prior",
    [
        *(prior for prior, _ in KNOWN),
        Prior("HalfStudentT", nu=3, sigma=2),
        Prior("LogitNormal", mu=-1, sigma=1.5),
        Prior("HalfFlat"),
        Prior("Flat"),
    ],
    ids=str,
)
def test_derivatives_are_those_of_the_density(prior) -> None:
    step = 1e-5
    for z in (Z, float(Z[1])):
        terms = prior.log_density(z)
        up, down = prior.log_density(z + step), prior.log_density(z - step)
        assert terms.slope == pytest.approx((up.value - down.value) / (2 * step), abs=1e-6)
        assert terms.curvature * np.ones(np.shape(z)) == pytest.approx(
            (np.asarray(up.slope) - down.slope) / (2 * step), abs=1e-6
        )
    if prior.proper:
        total = integrate.quad(
            lambda z: math.exp(float(prior.log_density(z).value)), -40, 40, points=[-5, 0, 5]
        )[0]
        assert total == pytest.approx(1.0, abs=1e-4)


@pytest.mark.parametrize("name", families.names())
def test_coordinates_lead_to_parameters_and_back(name) -> None:
    family = families.find(name)
    family = family.variant(2) if hasattr(family, "VARIANTS") else family
    coordinates = coordinates_of(family, {"time": 30.0, "money": 40.0})
    rng = np.random.default_rng(5)
    z = rng.normal(size=len(coordinates.stated))
    along = rng.normal(size=len(z))

    def logs(point):
        return coordinates.log_estimates(point)[0]

    def slope(point):
        return coordinates.gradient(coordinates.log_estimates(point)[1], along)

    steps = 1e-6 * np.eye(len(z))
    numeric = [along @ (logs(z + s) - logs(z - s)) / 2e-6 for s in steps]
    assert slope(z) == pytest.approx(numeric, abs=1e-7)
    curved = np.array([(slope(z + s) - slope(z - s)) / 2e-6 for s in steps])
    exact = coordinates.hessian(coordinates.log_estimates(z)[1], along, np.zeros(curved.shape))
    assert exact == pytest.approx(curved, abs=1e-7)
    # what the quantities claim to be, from the parameters
    values = dict(zip(coordinates.estimates, coordinates.estimates_at(z), strict=True))
    found = coordinates.quantities_at(z)
    for block in family.QUANTITIES:
        for quantity in block.quantities:
            if quantity.powers is not None:
                product = math.prod(values[p] ** e for p, e in quantity.powers.items())
            else:
                total = sum(values[p] for p in block.parameters)
                is_share = quantity is block.quantities[0]
                product = values[block.parameters[0]] / total if is_share else total
            assert found[quantity.name] == pytest.approx(product, rel=1e-10)


def test_priors_on_parameters_and_on_quantities_mix() -> None:
    priors = {
        "r": Prior("Weibull", alpha=2, beta=1),
        "alpha": Prior("Weibull", alpha=2, beta=10),
        "phi_dropout": Prior("Uniform", lower=0, upper=1),
        "kappa_dropout": {"distribution": "Pareto", "alpha": 1, "m": 1},
    }
    coordinates = coordinates_of(bg_nbd, {"time": 30.0}, priors)
    assert coordinates.names == ("r", "alpha", "dropout_share", "dropout_concentration")
    z = np.array([0.1, 2.0, -1.0, 0.5])
    r, alpha, a, b = coordinates.estimates_at(z)
    share, total = 1 / (1 + math.e), 1 + math.exp(0.5)
    assert (r, alpha) == pytest.approx((math.exp(0.1), math.exp(2.0)))
    assert (a, b) == pytest.approx((share * total, (1 - share) * total))


def test_defaults_move_with_the_unit() -> None:
    z = np.array([0.3, -0.2, 0.5])
    there = coordinates_of(gamma_gamma, {"money": 40.0})
    rials = coordinates_of(gamma_gamma, {"money": 40.0 * 42_000})
    shift = np.array([math.log(42_000), 0, 0])
    assert there.log_prior(z)[0] == pytest.approx(rials.log_prior(z + shift)[0])
    scaled = rials.estimates_at(z + shift) / there.estimates_at(z)
    assert scaled == pytest.approx([1, 1, 42_000])


@pytest.mark.parametrize(
    ("priors", "says"),
    [
        ({"rr": Prior("HalfFlat")}, "no parameter or quantity 'rr'"),
        ({"a": Prior("HalfFlat")}, "state priors on a and b"),
        ({"r": Prior("HalfFlat"), "purchase_spread": Prior("HalfFlat")}, "one too many"),
        ({"r": Prior("Normal", mu=0, sigma=1)}, "r is positive"),
        ({"dropout_share": Prior("HalfNormal", sigma=1)}, "between 0 and 1"),
        ({"dropout_share": Prior("HalfFlat"), "phi_dropout": Prior("HalfFlat")}, "two priors"),
        ({"r": 3}, "a prior is written clv.Prior"),
        ({"r": {"distribution": "Cauchy"}}, "no prior is called 'Cauchy'"),
    ],
)
def test_priors_that_make_no_sense_are_refused(priors, says) -> None:
    with pytest.raises(DataError, match=says):
        coordinates_of(bg_nbd, {"time": 30.0}, priors)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"alpha": 1}, "takes alpha, beta"),
        ({"alpha": 1, "beta": -1}, "must be above 0"),
        ({"alpha": math.nan, "beta": 1}, "finite"),
    ],
)
def test_arguments_are_checked(arguments, says) -> None:
    with pytest.raises(DataError, match=says):
        Prior("Gamma", **arguments)


def test_an_improper_prior_has_no_draws() -> None:
    with pytest.raises(DataError, match="improper"):
        Prior("HalfFlat").sample(np.random.default_rng(0), 3)
