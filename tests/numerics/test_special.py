"""Gamma-function differences and Beta expectations against mpmath, limits and identities."""

from __future__ import annotations

import itertools
from typing import Any

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import hyp1f1

from clv.numerics import _beta_series, _beta_trapezoid, special
from clv.numerics.quadrature import gauss_legendre

purchases, survival = special.beta_geometric_purchases, special.beta_geometric_survival

# --- oracles ---------------------------------------------------------------------------------

# formulas around z = 1 have poles at whole numbers; next to them the values are the same
_BESIDE = mpmath.mpf("1.2345678e-40")


def _digits(*values: float) -> list[Any]:
    return [mpmath.mpf(float(v)) for v in values]


def _hypergeometric(first: Any, second: Any, third: Any, tau: Any) -> Any:
    """2F1 at -tau, by its series in z = tau / (1 + tau) or, near z = 1, by mpmath."""
    z = tau / (1 + tau)
    if tau > 100:
        return (1 + tau) ** -first * mpmath.hyp2f1(first, second, third, z)
    term = total = mpmath.mpf(1)
    k = 0
    while abs(term) > 1e-60 * abs(total) or k < -second:
        term *= (first + k) * (second + k) / ((third + k) * (k + 1)) * z
        total += term
        k += 1
    return (1 + tau) ** -first * total


def exact_survival(a: float, b: float, rho: float, tau: float) -> Any:
    with mpmath.workdps(110):
        a, b, rho, tau = _digits(a, b, rho, tau)
        a += _BESIDE
        return _hypergeometric(a, a + b - rho, a + b, tau)


def exact_purchases(a: float, b: float, rho: float, tau: float) -> Any:
    with mpmath.workdps(110):
        a, b, rho, tau = _digits(a, b, rho, tau)
        e = a - 1 + _BESIDE
        return (e + b) / e * (1 - _hypergeometric(e, e + b - rho, e + b, tau))


def _relative_error(value: float, exact: Any) -> float:
    if exact < 1e-290:  # where double precision ends
        return abs(float(value - exact))
    return float(abs(value - exact) / exact)


A = (1e-3, 0.1, 0.5, 0.8, 1 - 1e-9, 1.0, 1 + 1e-9, 1.5, 2.0, 5.0, 50.0)
B = (1e-2, 0.5, 2.4, 30.0, 1e4)
X = (0, 1, 2, 10, 100, 1000, 5000)
R = (0.01, 0.24, 1.0, 3.0, 50.0)
TAU = (1e-8, 1e-4, 0.01, 0.3, 1.0, 4.0, 30.0, 400.0, 1e4, 1e6)


def _worst(points: list[tuple[float, ...]]) -> float:
    a, b, rho, tau = np.array(points).T
    worst = 0.0
    for function, exact in ((purchases, exact_purchases), (survival, exact_survival)):
        values = function(a, b, rho, tau)
        errors = [_relative_error(v, exact(*p)) for v, p in zip(values, points, strict=True)]
        worst = max(worst, *errors)
    return worst


@pytest.mark.parametrize("a", A)
def test_expectations_against_mpmath(a: float) -> None:
    rng = np.random.default_rng(int(1000 * a))
    # every value of every axis, in random company
    axes = [rng.permutation(np.resize(values, 12)) for values in (B, X, R, TAU)]
    points = [(a, b + x, r + x, tau) for b, x, r, tau in zip(*axes, strict=True)]
    assert _worst(points) < 1e-9


@pytest.mark.slow
@pytest.mark.parametrize("a", A)
@pytest.mark.parametrize("x", X)
def test_expectations_against_mpmath_everywhere(a: float, x: int) -> None:
    points = [(a, b + x, r + x, tau) for b, r, tau in itertools.product(B, R, TAU)]
    assert _worst(points) < 1e-9


@pytest.mark.parametrize(
    ("a", "b", "rho", "tau"), [(0.8, 2.4, 1.3, 7.0), (1.0, 0.5, 30.0, 2.0), (3.0, 12.0, 5.2, 900.0)]
)
def test_the_oracle_is_the_integral(a: float, b: float, rho: float, tau: float) -> None:
    with mpmath.workdps(30):
        weight = 1 / mpmath.beta(a, b)

        def mean(f: Any) -> Any:
            return mpmath.quad(
                lambda p: weight * p ** (a - 1) * (1 - p) ** (b - 1) * f(p), [0, 0.01, 0.5, 1]
            )

        assert float(mean(lambda p: (1 + p * tau) ** -rho)) == pytest.approx(
            float(exact_survival(a, b, rho, tau)), rel=1e-7
        )
        assert float(mean(lambda p: (1 - (1 + p * tau) ** -rho) / p)) == pytest.approx(
            float(exact_purchases(a, b, rho, tau)), rel=1e-7
        )


# --- differences of gamma functions ----------------------------------------------------------

DIFFERENCES = [
    (special.log_rising, mpmath.loggamma),
    (special.digamma_rising, mpmath.digamma),
    (special.trigamma_rising, lambda z: mpmath.polygamma(1, z)),
]


@pytest.mark.parametrize(("function", "exact"), DIFFERENCES)
def test_rising_against_mpmath(function: Any, exact: Any) -> None:
    z = np.array([1e-8, 1e-3, 0.3, 1.0, 1.46, 2.0, 9.99, 10.0, 10.5, 37.0, 1e3, 1e6, 1e12])
    n = np.array([0.0, 1e-9, 0.5, 1.0, 2.0, 7.0, 100.0, 1e5])
    values = function(z[:, np.newaxis], n)
    assert values.shape == (z.size, n.size)
    with mpmath.workdps(60):
        for (i, j), value in np.ndenumerate(values):
            low, step = _digits(z[i], n[j])
            expected = exact(low + step) - exact(low)
            assert abs(value - expected) <= 1e-12 * abs(expected)


@pytest.mark.parametrize(("function", "exact"), DIFFERENCES)
def test_rising_keeps_its_digits_where_it_passes_through_zero(function: Any, exact: Any) -> None:
    with mpmath.workdps(40):
        expected = float(exact(mpmath.mpf(1.5)) - exact(mpmath.mpf(0.5)))
    assert float(function(0.5, 1.0)) == pytest.approx(expected, rel=1e-14)
    assert abs(float(special.log_rising(1.0, 1.0))) < 1e-14


def test_rising_takes_scalars_empty_and_mixed_shapes() -> None:
    assert special.log_rising(2.0, 3).shape == ()
    assert special.log_rising(np.empty((0, 3)), np.ones(3)).shape == (0, 3)
    many = special.log_rising(np.linspace(0.1, 50.0, 20_000), 4.0)
    assert many[12_345] == special.log_rising(np.linspace(0.1, 50.0, 20_000)[12_345], 4.0)


# --- identities of the expectations ----------------------------------------------------------


def powers(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(low, high).map(lambda e: 10.0**e)


parameters = st.tuples(
    powers(-3, 3), powers(-2, 4), powers(-2, 2), st.sampled_from([0.0, 0.0, 1.0, 7.0, 100.0, 5e3])
).map(lambda p: (p[0], p[1] + p[3], p[2] + p[3]))
times = powers(-8, 6)


@settings(max_examples=60)
@given(parameters, times)
def test_bounds(p: tuple[float, float, float], tau: float) -> None:
    a, b, rho = p
    alive, bought = float(survival(a, b, rho, tau)), float(purchases(a, b, rho, tau))
    # Jensen, both functions being convex in p
    log_at_mean = -rho * np.log1p(a / (a + b) * tau)
    assert np.exp(log_at_mean) * (1 - 1e-9) <= alive <= 1.0
    at_mean = -np.expm1(log_at_mean) * (a + b) / a
    assert at_mean * (1 - 1e-9) <= bought <= rho * tau * (1 + 1e-12)
    if a > 1:
        assert bought <= (a + b - 1) / (a - 1) * (1 + 1e-9)  # E[1/p]


@settings(max_examples=60)
@given(parameters, times)
def test_monotone_in_time(p: tuple[float, float, float], tau: float) -> None:
    later = tau * np.array([1.0, 1.0 + 1e-6, 1.001, 1.1, 2.0, 10.0])
    assert (np.diff(purchases(*p, later)) >= -1e-9 * purchases(*p, later[1:])).all()
    assert (np.diff(survival(*p, later)) <= 1e-9 * survival(*p, later[1:])).all()


@settings(max_examples=60)
@given(parameters, times)
def test_purchases_come_at_the_rate_of_those_alive(
    p: tuple[float, float, float], tau: float
) -> None:
    a, b, rho = p
    nodes, weights = gauss_legendre(40)
    step = np.log1p(1.0 / (rho + 1.0))  # in ln(1 + tau), so that the rate falls little
    ahead = np.expm1(np.log1p(tau) + step * nodes)
    rate = rho * survival(a, b, rho + 1.0, ahead)
    gained = step * np.sum(weights * rate * (1.0 + ahead))
    before, after = purchases(a, b, rho, np.array([tau, np.expm1(np.log1p(tau) + step)]))
    assert before + gained == pytest.approx(after, rel=1e-9)


@settings(max_examples=60)
@given(parameters, times)
def test_both_methods_agree(p: tuple[float, float, float], tau: float) -> None:
    a, b, rho = (np.array([v]) for v in p)
    t = np.array([tau])
    for kind in ("purchases", "survival"):
        if _beta_series.is_easy(kind, a, b, rho, t).all():
            one = _beta_series.series(kind, a, b, rho, t[np.newaxis])[0]
            other = _beta_trapezoid.trapezoid(kind, a, b, rho, t)
            np.testing.assert_allclose(one, other, rtol=1e-9)


# --- limits ----------------------------------------------------------------------------------

WIDE = 10.0 ** np.linspace(-14.0, 12.0, 40)


@pytest.mark.parametrize(
    ("a", "b", "rho"),
    [
        (1e-4, 1e-3, 1e-4),
        (1e-4, 1e10, 1e10),
        (1e10, 1.0, 3.0),
        (1e10, 1e10, 1e10),
        (1.0, 1e-3, 1e10),
        (1.127, 1.248, 3.5e6),
        (5.0, 4.4, 5.0),
        (1e5, 1e-2, 0.3),
    ],
)
def test_far_outside_is_sane(a: float, b: float, rho: float) -> None:
    bought, alive = purchases(a, b, rho, WIDE), survival(a, b, rho, WIDE)
    assert np.isfinite(bought).all()
    assert (np.diff(bought) >= -1e-9 * bought[1:]).all()
    assert ((alive >= 0) & (alive <= 1)).all()
    assert (np.diff(alive) <= 1e-9 * alive[1:]).all()


@pytest.mark.parametrize("p", [0.01, 0.3, 0.9])
@pytest.mark.parametrize("rho", [0.24, 5.0, 1e4, 1e10])
def test_one_dropout_probability_for_all(p: float, rho: float) -> None:
    tau = np.array([1e-3, 0.1, 1.0, 10.0]) / max(1.0, rho)
    log_alive = -rho * np.log1p(p * tau)
    n = 1e10
    np.testing.assert_allclose(survival(p * n, (1 - p) * n, rho, tau), np.exp(log_alive), rtol=1e-7)
    np.testing.assert_allclose(
        purchases(p * n, (1 - p) * n, rho, tau), -np.expm1(log_alive) / p, rtol=1e-7
    )


@pytest.mark.parametrize("a", [0.1, 0.8, 1.0, 3.0])
def test_one_purchase_rate_for_all(a: float) -> None:
    expected = np.array([1e-3, 0.5, 2.0, 20.0])
    np.testing.assert_allclose(
        survival(a, 2.4, 1e10, expected / 1e10), hyp1f1(a, a + 2.4, -expected), rtol=1e-8
    )


def test_nobody_drops_out() -> None:
    tau = np.array([0.01, 1.0, 100.0])
    np.testing.assert_allclose(purchases(1e-9, 2.4, 3.2, tau), 3.2 * tau, rtol=1e-5)
    np.testing.assert_allclose(survival(1e-9, 2.4, 3.2, tau), 1.0, rtol=1e-7)


@pytest.mark.parametrize("a", [0.5, 1.0, 50.0])
def test_nothing_happens_in_no_time(a: float) -> None:
    assert purchases(a, 2.4, 3.2, 0.0) == 0.0
    assert survival(a, 2.4, 3.2, 0.0) == pytest.approx(1.0, rel=1e-11)
    assert survival(a, 2.4, 3.2, 0.0) <= 1.0


def test_published_value() -> None:
    # CDNOW, the customer with x = 2, t_x = 30.43, T = 38.86: expected purchases in 39 weeks
    # (Fader, Hardie & Lee 2005, spreadsheet note)
    r, alpha, a, b = 0.2425945, 4.4136023, 0.7929221, 2.4259070
    x, t_x, T = 2, 30.43, 38.86
    dead = a / (b + x - 1) * ((alpha + T) / (alpha + t_x)) ** (r + x)
    bought = purchases(a, b + x, r + x, 39.0 / (alpha + T)) / (1.0 + dead)
    assert float(bought) == pytest.approx(1.226, abs=5e-4)


# --- shapes ----------------------------------------------------------------------------------


@pytest.mark.parametrize("function", [purchases, survival])
@pytest.mark.parametrize(
    "shapes",
    [
        [(), (), (), ()],
        [(), (5,), (5,), (7, 5)],  # nodes of a quadrature
        [(3, 1), (3, 5), (3, 5), (3, 5)],  # draws, customers
        [(3, 1), (3, 5), (3, 5), (7, 3, 5)],
        [(5,), (5,), (5,), (5, 1)],
        [(4, 1, 5), (1, 1, 5), (), (4, 6, 5)],  # nodes in the middle
        [(), (), (), (4, 2)],
        [(0,), (), (), (3, 1)],
        [(2,), (2,), (2,), (0, 2)],
    ],
)
def test_broadcasting(function: Any, shapes: list[tuple[int, ...]]) -> None:
    rng = np.random.default_rng(0)
    a, b, rho, tau = (
        10.0 ** rng.uniform(low, high, shape)
        for (low, high), shape in zip([(-1, 1.5), (-1, 2), (-1, 1), (-2, 4)], shapes, strict=True)
    )
    value = function(a, b, rho, tau)
    assert value.shape == np.broadcast_shapes(*shapes)
    indices = list(np.ndindex(value.shape))
    for index in indices[:: max(1, len(indices) // 10)]:
        one = [np.broadcast_to(v, value.shape)[index] for v in (a, b, rho, tau)]
        np.testing.assert_allclose(value[index], function(*one), rtol=1e-11)


def test_customers_with_as_many_purchases_share_coefficients() -> None:
    x = np.arange(5000) % 30
    tau = np.linspace(0.01, 50.0, 5000)
    shared = purchases(0.8, 2.4 + x, 0.24 + x, tau)
    row_by_row = purchases(np.linspace(0.8, 0.8 + 1e-15, 5000), 2.4 + x, 0.24 + x, tau)
    np.testing.assert_allclose(shared, row_by_row, rtol=1e-12)
    # as many with b, but not with rho
    mixed = purchases(0.8, 2.4 + x, 0.24 + np.sqrt(np.arange(5000.0)) / 50, tau)
    assert mixed[777] == pytest.approx(
        float(purchases(0.8, 2.4 + x[777], 0.24 + np.sqrt(777.0) / 50, tau[777])), rel=1e-12
    )


def test_missing_values_pass_through() -> None:
    value = purchases(0.8, [2.4, np.nan, 2.4], 0.24, [1.0, 1.0, np.nan])
    assert np.isnan(value).tolist() == [False, True, True]


def test_arguments_are_left_alone() -> None:
    arguments = [np.full(4, v) for v in (0.8, 2.4, 0.24, 1e5)] + [np.full(4, 2.0)]
    for v in arguments:
        v.flags.writeable = False
    purchases(*arguments[:4])
    purchases(*arguments[:3], arguments[4])
    special.log_rising(arguments[0], arguments[1])


# --- gamma function ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("function", "oracle"),
    [
        (special.gammaln, mpmath.loggamma),
        (special.digamma, mpmath.digamma),
        (special.trigamma, lambda z: mpmath.psi(1, z)),
    ],
)
def test_the_gamma_function_and_its_derivatives(function: Any, oracle: Any) -> None:
    z = np.concatenate([np.geomspace(1e-12, 1e12, 400), np.linspace(0.3, 30.0, 300)])
    exact = np.array([float(oracle(mpmath.mpf(float(v)))) for v in z])
    # near the zeros of the first two only the absolute error says something
    np.testing.assert_allclose(function(z), exact, rtol=1e-13, atol=2e-14)
    assert function(z.reshape(7, 100)).shape == (7, 100)
    assert np.shape(function(3.0)) == ()
