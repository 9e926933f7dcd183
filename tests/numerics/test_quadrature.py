"""Discounted integrals against closed forms, mpmath and published values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.special import betaln

from clv.numerics.quadrature import (
    discounted_purchases,
    discounted_time,
    gauss_legendre,
    node_count,
)
from clv.numerics.special import beta_geometric_purchases, beta_geometric_survival

DELTAS = [np.log(1.1) / 52, np.log(1.15) / 52, np.log(1.5) / 52, 1e-4]


def powers(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(low, high).map(lambda e: 10.0**e)


def test_gauss_legendre_is_exact_for_polynomials() -> None:
    nodes, weights = gauss_legendre(6)
    for degree in range(12):
        assert weights @ nodes**degree == pytest.approx(1.0 / (degree + 1), rel=1e-14)
    assert gauss_legendre(6)[0] is nodes
    with pytest.raises(ValueError, match="read-only"):
        nodes[0] = 0.0


@given(powers(-3, 3), powers(-6, 0), st.one_of(st.none(), powers(-3, 5)))
def test_exponential_lifetimes(rate: float, delta: float, horizon: float | None) -> None:
    scale = 1.0 / rate
    h = np.inf if horizon is None else horizon
    time = -np.expm1(-(rate + delta) * h) / (rate + delta)
    alive = discounted_time(lambda t: np.exp(-rate * t), horizon, delta, scale)
    assert float(alive) == pytest.approx(time, rel=1e-9)
    bought = discounted_purchases(lambda t: -np.expm1(-rate * t), horizon, delta, scale)
    assert float(bought) == pytest.approx(rate * time, rel=1e-9)


@pytest.mark.parametrize("horizon", [0.0, 1e-3, 1.0, 52.0, 1e5, None])
@pytest.mark.parametrize("delta", DELTAS)
@pytest.mark.parametrize("scale", [0.01, 4.4, 500.0])
def test_pareto_lifetimes(horizon: float | None, delta: float, scale: float) -> None:
    with mpmath.workdps(30):
        # integral of exp(-delta t) (1 + t/scale)^-r, by incomplete gamma functions
        r, c = mpmath.mpf("0.7"), mpmath.mpf(delta) * scale
        end = mpmath.inf if horizon is None else c * (1 + mpmath.mpf(horizon) / scale)
        exact = scale * mpmath.exp(c) * c ** (r - 1) * mpmath.gammainc(1 - r, c, end)
    value = discounted_time(lambda t: (1.0 + t / scale) ** -0.7, horizon, delta, scale)
    assert float(value) == pytest.approx(float(exact), rel=1e-9, abs=1e-300)


def test_no_discount_and_no_time() -> None:
    scale = np.array([1.0, 30.0])
    undiscounted = discounted_purchases(np.sqrt, 9.0, 0.0, scale)
    assert undiscounted.tolist() == [3.0, 3.0]
    assert discounted_purchases(np.sqrt, 0.0, 0.1, scale).tolist() == [0.0, 0.0]
    assert discounted_time(np.exp, 0.0, 0.1, scale).tolist() == [0.0, 0.0]
    # nearly no discount: F(h) less delta times the first moment
    nearly = discounted_purchases(np.log1p, 9.0, 1e-9, scale)
    np.testing.assert_allclose(nearly, np.log(10.0), rtol=1e-8)


def test_rows_may_differ_in_everything() -> None:
    horizon = np.array([1.0, 52.0, np.inf])
    delta = np.array([0.5, 0.0, 0.01])
    scale = np.array([[0.1], [10.0]])
    value = discounted_time(np.ones_like, horizon, delta, scale)
    assert value.shape == (2, 3)
    expected = [-np.expm1(-0.5) / 0.5, 52.0, 100.0]
    np.testing.assert_allclose(value, [expected, expected], rtol=1e-10)
    assert discounted_time(np.ones_like, 1.0, 0.1, np.empty(0)).shape == (0,)


def test_nodes_come_first() -> None:
    shapes = []

    def survival(t: Any) -> Any:
        shapes.append(t.shape)
        return np.exp(-t)

    discounted_time(survival, None, 0.1, np.ones((4, 5)))
    assert len(shapes) == 1
    assert shapes[0][1:] == (4, 5)


@pytest.mark.parametrize(
    ("horizon", "delta", "scale", "message"),
    [
        (None, 0.0, 1.0, "infinite horizon"),
        (np.array([1.0, np.inf]), 0.0, 1.0, "infinite horizon"),
        (-1.0, 0.1, 1.0, "horizon must"),
        (np.nan, 0.1, 1.0, "horizon must"),
        (1.0, -0.1, 1.0, "delta must"),
        (1.0, 0.1, 0.0, "scale must"),
        (1.0, 0.1, np.inf, "scale must"),
    ],
)
def test_domain(horizon: Any, delta: float, scale: float, message: str) -> None:
    for function in (discounted_purchases, discounted_time):
        with pytest.raises(ValueError, match=message):
            function(np.log1p, horizon, delta, scale)


def test_more_nodes_for_longer_intervals_and_stronger_decay() -> None:
    counts = [node_count(width, 0.1) for width in (0.0, 0.1, 1.0, 6.0, 12.0)]
    assert counts == sorted(counts)
    assert counts[0] == 1
    assert node_count(np.array([0.1, 6.0]), 0.1) == counts[3]
    assert node_count(2.0, 5.0) > node_count(2.0, 0.1)
    assert node_count(np.empty(0), 0.1) == 1


# --- BG/NBD ----------------------------------------------------------------------------------

r, alpha, a, b = 0.2425945, 4.4136023, 0.7929221, 2.4259070  # CDNOW, r and alpha per week


def _cumulative(x: Any, T: Any) -> Callable[[Any], Any]:
    return lambda t: beta_geometric_purchases(a, b + x, r + x, t / (alpha + T))


def _survival(x: Any, T: Any) -> Callable[[Any], Any]:
    return lambda t: beta_geometric_survival(a, b + x, r + x, t / (alpha + T))


def _scale(x: Any, T: Any) -> Any:
    return (alpha + T) * np.minimum(1.0, (a + b + x) / (r + x))


def test_discounted_purchases_of_four_customers() -> None:
    x = np.array([26.0, 2.0, 0.0, 0.0])
    t_x, T = np.array([216.0, 213.0, 0.0, 0.0]) / 7, np.array([217.0, 272.0, 272.0, 189.0]) / 7
    last_coin = np.maximum(x, 1.0) - 1.0
    dead = (x > 0) * a / (b + last_coin) * ((alpha + T) / (alpha + t_x)) ** (r + x)
    value = discounted_purchases(_cumulative(x, T), None, DELTAS[0], _scale(x, T)) / (1.0 + dead)
    np.testing.assert_allclose(value, [85.187812, 6.360728, 1.299305, 1.578324], rtol=4e-7)


@pytest.mark.parametrize("delta", DELTAS)
@pytest.mark.parametrize(("x", "T"), [(0, 0.0), (2, 38.86), (26, 31.0), (1000, 500.0)])
def test_perpetuities_of_bg_nbd(delta: float, x: int, T: float) -> None:
    rate, rho, left = alpha + T, r + x, b + x

    def mean(f: Callable[[float], float]) -> float:
        log_beta = betaln(a, left)

        def weighted(p: float) -> float:
            p = min(max(p, 1e-14), 1.0 - 1e-14)
            return f(p) * float(np.exp((left - 1.0) * np.log1p(-p) - log_beta))

        value, _ = quad(
            weighted,
            *(0.0, 1.0),
            weight="alg",
            wvar=(a - 1.0, 0.0),
            epsabs=0.0,
            epsrel=1e-11,
            limit=200,
        )
        return float(value)

    # given p, the integral over time is a generalised exponential integral
    bought = mean(lambda p: rho / p * _scaled_expint(rho + 1.0, delta * rate / p))
    value = discounted_purchases(_cumulative(x, T), None, delta, _scale(x, T))
    assert float(value) == pytest.approx(bought, rel=1e-9)
    alive = mean(lambda p: rate / p * _scaled_expint(rho, delta * rate / p))
    value = discounted_time(_survival(x, T), None, delta, _scale(x, T))
    assert float(value) == pytest.approx(alive, rel=1e-9)


def _scaled_expint(n: float, c: float) -> float:
    """exp(c) E_n(c)."""
    if c < 3.0 and n < 20.0:
        return float(mpmath.exp(c) * mpmath.expint(n, c))
    value = 0.0
    for k in range(200, 0, -1):  # DLMF 8.19.17
        value = (n + k - 1.0) / (1.0 + k / (c + value))
    return 1.0 / (c + value)


def test_many_customers_at_once_are_as_good_as_one() -> None:
    rng = np.random.default_rng(0)
    x, T = rng.geometric(0.2, 2000) - 1.0, rng.uniform(0.0, 78.0, 2000)
    together = discounted_purchases(_cumulative(x, T), None, DELTAS[0], _scale(x, T))
    for i in (0, 7, 1999):
        alone = discounted_purchases(_cumulative(x[i], T[i]), None, DELTAS[0], _scale(x[i], T[i]))
        assert together[i] == pytest.approx(float(alone), rel=1e-10)


@pytest.mark.parametrize("first", [0.1, 1.0, 8.0, 60.0])
def test_scale_follows_the_dropout(first: float) -> None:
    # many purchases and a young customer: the bend comes long before alpha + T
    rate, rho, left = 3.0, 400.2, 0.6
    scale = rate * min(1.0, (first + left) / (rho * max(1.0, first)))

    def alive(t: Any) -> Any:
        return beta_geometric_survival(first, left, rho, t / rate)

    coarse = discounted_time(alive, 52.0, DELTAS[0], scale)
    # the same integral over 40 pieces
    ends = scale * np.expm1(np.linspace(0.0, np.log1p(52.0 / scale), 41))
    nodes, weights = gauss_legendre(20)
    t = ends[:-1] + nodes[:, np.newaxis] * np.diff(ends)
    fine = np.sum(weights[:, np.newaxis] * np.diff(ends) * np.exp(-DELTAS[0] * t) * alive(t))
    assert float(coarse) == pytest.approx(float(fine), rel=1e-9)
