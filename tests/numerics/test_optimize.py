"""The search: bowls, bent valleys, saddles, walls, ridges that run to infinity, bad regions."""

from __future__ import annotations

from collections.abc import Callable

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from clv.numerics.optimize import minimize

Result = tuple[float, np.ndarray, np.ndarray]


def counted(function: Callable[[np.ndarray], Result]) -> Callable[[np.ndarray], Result]:
    def call(x: np.ndarray) -> Result:
        call.count += 1  # type: ignore[attr-defined]
        return function(x)

    call.count = 0  # type: ignore[attr-defined]
    return call


def rosenbrock(p: np.ndarray) -> Result:
    x, y = p
    return (
        float((1 - x) ** 2 + 100 * (y - x * x) ** 2),
        np.array([2 * (x - 1) - 400 * x * (y - x * x), 200 * (y - x * x)]),
        np.array([[2 - 400 * (y - 3 * x * x), -400 * x], [-400 * x, 200.0]]),
    )


@given(
    st.integers(1, 5),
    st.integers(0, 10_000),
    st.floats(-3, 6, allow_nan=False),
)
def test_bowls_however_long(k: int, seed: int, spread: float) -> None:
    rng = np.random.default_rng(seed)
    axes = np.linalg.qr(rng.normal(size=(k, k)))[0]
    matrix = axes @ np.diag(np.geomspace(1.0, 10.0**spread, k)) @ axes.T
    bottom, start = rng.normal(0, 5, k), rng.normal(0, 5, k)
    found = minimize(
        lambda x: (
            float((x - bottom) @ matrix @ (x - bottom) / 2 + 3.0),
            matrix @ (x - bottom),
            matrix,
        ),
        start,
    )
    np.testing.assert_allclose(found.point, bottom, atol=1e-7)
    assert found.value == pytest.approx(3.0)
    assert found.decrement <= 1e-9
    assert not found.on_wall.any()
    assert found.iterations <= 20


@pytest.mark.parametrize("start", [(-1.2, 1.0), (5.0, -5.0), (-8.0, 20.0), (0.0, 0.0)])
def test_a_bent_valley(start: tuple[float, float]) -> None:
    function = counted(rosenbrock)
    found = minimize(function, np.array(start))
    np.testing.assert_allclose(found.point, [1, 1], atol=1e-9)
    assert found.iterations == function.count <= 60  # type: ignore[attr-defined]


def test_the_last_step_doubles_the_digits() -> None:
    # the value is flat to rounding 1e-8 around the minimum, the gradient is not
    found = minimize(
        lambda x: (1e6 + float(np.cosh(x[0] - 0.3)), np.sinh(x - 0.3), np.diag(np.cosh(x - 0.3))),
        np.array([2.0]),
        tolerance=1e-9,
    )
    assert found.point[0] == pytest.approx(0.3, abs=1e-9)


def test_a_saddle_is_left() -> None:
    def saddle(p: np.ndarray) -> Result:
        x, y = p
        return (
            float(x * x + (y * y - 1) ** 2),
            np.array([2 * x, 4 * y * (y * y - 1)]),
            np.array([[2.0, 0.0], [0.0, 12 * y * y - 4]]),
        )

    found = minimize(saddle, np.array([0.5, 0.0]))
    np.testing.assert_allclose(np.abs(found.point), [0, 1], atol=1e-8)


def test_a_minimum_outside_ends_on_the_wall() -> None:
    centre = np.array([4.0, 0.5, -9.0])
    found = minimize(
        lambda x: (float((x - centre) @ (x - centre)), 2 * (x - centre), 2 * np.eye(3)),
        np.zeros(3),
        wall=2.0,
    )
    np.testing.assert_allclose(found.point, [2.0, 0.5, -2.0], atol=1e-9)
    assert found.on_wall.tolist() == [True, False, True]
    assert found.decrement == pytest.approx(0.0, abs=1e-12)  # of what is free to move


def test_a_start_outside_is_brought_in() -> None:
    found = minimize(
        lambda x: (float(x @ x), 2 * x, 2 * np.eye(2)), np.array([50.0, -50.0]), wall=2.0
    )
    np.testing.assert_allclose(found.point, 0, atol=1e-9)


@pytest.mark.parametrize("wall", [10.0, 23.0])
def test_a_ridge_to_infinity_is_followed_to_the_wall(wall: float) -> None:
    """Falls for ever along x + y, ever more slowly; curved across."""

    def ridge(p: np.ndarray) -> Result:
        along, across = p.sum(), p[0] - p[1]
        tail = np.exp(-along)
        one = np.ones(2)
        other = np.array([1.0, -1.0])
        return (
            float(tail + across**2),
            -tail * one + 2 * across * other,
            tail * np.outer(one, one) + 2 * np.outer(other, other),
        )

    found = minimize(ridge, np.array([1.0, -3.0]), wall=wall, tolerance=1e-30)
    assert found.on_wall.any() or found.point.sum() > 30
    assert found.value < 1e-7


def test_values_that_are_not_finite_reject_the_step() -> None:
    def half(p: np.ndarray) -> Result:
        x = p[0]
        if x <= 0:
            return np.nan, np.full(1, np.nan), np.full((1, 1), np.nan)
        return float(x - np.log(x)), np.array([1 - 1 / x]), np.array([[1 / x**2]])

    found = minimize(half, np.array([9.0]))
    assert found.point[0] == pytest.approx(1.0, abs=1e-9)

    def broken(p: np.ndarray) -> Result:
        value, gradient, hessian = half(p)
        return value, gradient, hessian if p[0] > 0.5 else np.full((1, 1), np.inf)

    assert minimize(broken, np.array([9.0])).point[0] == pytest.approx(1.0, abs=1e-9)


def test_no_more_evaluations_than_allowed() -> None:
    function = counted(rosenbrock)
    found = minimize(function, np.array([-8.0, 20.0]), iterations=5)
    assert found.iterations == function.count == 5  # type: ignore[attr-defined]
    assert np.isfinite(found.value)


def test_a_flat_function_is_not_called_a_minimum() -> None:
    found = minimize(lambda x: (1.0, np.zeros(2), np.zeros((2, 2))), np.array([1.0, 2.0]))
    assert found.decrement == np.inf
    assert found.point.tolist() == [1.0, 2.0]


def test_a_start_without_a_value_ends_the_search() -> None:
    def objective(x: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        return 1.0, np.full(2, np.nan), np.full((2, 2), np.nan)

    found = minimize(objective, np.ones(2))
    assert found.value == np.inf
    assert found.iterations == 1
