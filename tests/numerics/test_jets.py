"""Jets against mpmath's derivatives to thirty digits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath as mp
import numpy as np
import pytest
from oracles import mp_backend

from clv.numerics import jets

POINTS = ([0.3, 1.7, 4.0], [2.5, 0.2, 0.9], [30.0, 7.0, 0.01])

# formulas in three variables, written once for both libraries
FORMULAS: dict[str, Callable[[Any, Any, Any, Any], Any]] = {
    "sum": lambda xp, x, y, z: x + y + 2.0 + z,
    "difference": lambda xp, x, y, z: 5.0 - x - y * 3.0 - (z - 1.0),
    "product": lambda xp, x, y, z: x * y * z * 0.7 + 1.3 * x * x,
    "quotient": lambda xp, x, y, z: x / y + 2.0 / z + y / 4.0,
    "negative": lambda xp, x, y, z: -(x * y) + -z,
    "log": lambda xp, x, y, z: xp.log(x * y + z),
    "log1p": lambda xp, x, y, z: xp.log1p(x / y) * z,
    "exp": lambda xp, x, y, z: xp.exp(0.1 * x - y * z),
    "softplus": lambda xp, x, y, z: xp.softplus(x * y - z) + xp.softplus(z - x * y * 3.0),
    "gammaln": lambda xp, x, y, z: xp.gammaln(x + y) * z,
    "log_rising by data": lambda xp, x, y, z: xp.log_rising(x * y, 7.0) + xp.log_rising(z, 0.0),
    "log_rising by a variable": lambda xp, x, y, z: xp.log_rising(x + z, y * 2.0 + z),
    "log_beta": lambda xp, x, y, z: xp.log_beta(x * z, y + x),
    "log1mexp": lambda xp, x, y, z: xp.log1mexp(x * y) + xp.log1mexp(z),
    "log_beta_ratio by data": lambda xp, x, y, z: xp.log_beta_ratio(x * z, y, 4.0),
    "log_beta_ratio by a variable": lambda xp, x, y, z: xp.log_beta_ratio(x, y + z, x * z),
    "where": lambda xp, x, y, z: xp.where(True, x * y, 0.0) + xp.where(False, x, z * z),
}


def _numpy(formula: Callable[..., Any], point: list[float]) -> jets.Jet:
    class Vocabulary:
        def __getattr__(self, name: str) -> Any:
            return getattr(jets, name)

        def where(self, condition: Any, x: Any, y: Any) -> jets.Jet:
            return jets.where(np.array([condition]), x, y)

    return formula(Vocabulary(), *jets.variables(point))


@pytest.mark.parametrize("point", POINTS, ids=str)
@pytest.mark.parametrize("name", FORMULAS)
def test_first_and_second_derivatives(name: str, point: list[float]) -> None:
    formula = FORMULAS[name]
    jet = _numpy(formula, point)
    gradient = np.broadcast_to(jet.gradient, (3, 1))[:, 0]
    hessian = np.broadcast_to(jet.hessian, (3, 3, 1))[:, :, 0]
    with mp.workdps(40):
        at = [mp.mpf(p) for p in point]

        def value(*p: Any) -> Any:
            return formula(mp_backend, *p)

        assert jet.value[0] == pytest.approx(float(value(*at)), rel=1e-13, abs=3e-14)
        for i in range(3):
            first = tuple(int(m == i) for m in range(3))
            exact = float(mp.diff(value, at, first))
            assert gradient[i] == pytest.approx(exact, rel=1e-12, abs=1e-12)
            for j in range(3):
                second = tuple(int(m == i) + int(m == j) for m in range(3))
                exact = float(mp.diff(value, at, second))
                assert hessian[i, j] == pytest.approx(exact, rel=1e-11, abs=1e-11)


@pytest.mark.parametrize("point", [(0.02, 1e11, 3e9), (40.0, 1e9, 0.3), (1e8, 3.0, 1e6)])
def test_the_ratio_of_beta_functions_keeps_its_digits(point: tuple[float, ...]) -> None:
    jet = jets.log_beta_ratio(*jets.variables(point))
    with mp.workdps(60):
        a, b, c = (mp.mpf(v) for v in point)
        psi = [mp.digamma(v) for v in (b, b + c, a + b, a + b + c)]
        slopes = (psi[2] - psi[3], psi[1] + psi[2] - psi[3] - psi[0], psi[1] - psi[3])
        two = [mp.polygamma(1, v) for v in (b, b + c, a + b, a + b + c)]
        curves = (two[2] - two[3], two[1] + two[2] - two[3] - two[0], two[1] - two[3])
        value = mp.loggamma(b + c) + mp.loggamma(a + b) - mp.loggamma(a + b + c) - mp.loggamma(b)
    assert jet.value[0] == pytest.approx(float(value), rel=1e-11)
    for i in range(3):
        assert jet.gradient[i, 0] == pytest.approx(float(slopes[i]), rel=1e-11)
        assert jet.hessian[i, i, 0] == pytest.approx(float(curves[i]), rel=1e-10)
    assert jet.hessian[0, 2, 0] == pytest.approx(-float(two[3]), rel=1e-12)


def test_huge_arguments_keep_their_digits() -> None:
    x, y = jets.variables([1e11, 3.0])
    with mp.workdps(50):
        a, b = mp.mpf(1e11), mp.mpf(3)
        rising = mp.loggamma(a + b) - mp.loggamma(a)
        in_x = mp.digamma(a + b) - mp.digamma(a)
        in_xx = mp.polygamma(1, a + b) - mp.polygamma(1, a)
        beta = mp.loggamma(b) - rising
    for jet, sign, value in ((jets.log_rising(x, y), 1, rising), (jets.log_beta(x, y), -1, beta)):
        assert jet.value[0] == pytest.approx(float(value), rel=1e-14)
        assert sign * jet.gradient[0, 0] == pytest.approx(float(in_x), rel=1e-13)
        assert sign * jet.hessian[0, 0, 0] == pytest.approx(float(in_xx), rel=1e-12)


def test_softplus_does_not_overflow() -> None:
    (x,) = jets.variables([np.array([-800.0, 0.0, 800.0])])
    jet = jets.softplus(x)
    assert jet.value.tolist() == pytest.approx([0.0, np.log(2), 800.0])
    assert jet.gradient[0].tolist() == pytest.approx([0.0, 0.5, 1.0])
    assert jet.hessian[0, 0].tolist() == pytest.approx([0.0, 0.25, 0.0])


def test_arrays_on_either_side() -> None:
    (x,) = jets.variables([2.0])
    row = np.array([1.0, 3.0])
    for jet, value, slope in (
        (row * x, [2, 6], [1, 3]),
        (x * row, [2, 6], [1, 3]),
        (row - x, [-1, 1], [-1, -1]),
        (row + x, [3, 5], [1, 1]),
        (row / x, [0.5, 1.5], [-0.25, -0.75]),
        (x / row, [2, 2 / 3], [1, 1 / 3]),
    ):
        assert isinstance(jet, jets.Jet)
        assert jet.value.tolist() == pytest.approx(value)
        assert np.broadcast_to(jet.gradient, (1, 2))[0].tolist() == pytest.approx(slope)


def test_where_chooses_derivatives_too() -> None:
    x, y = jets.variables([2.0, 3.0])
    row = np.array([True, False, True])
    jet = jets.where(row, x * x, y)
    assert jet.value.tolist() == [4.0, 3.0, 4.0]
    assert jet.gradient.tolist() == [[4.0, 0.0, 4.0], [0.0, 1.0, 0.0]]
    assert jet.hessian[0, 0].tolist() == [2.0, 0.0, 2.0]
    constant = jets.where(row, 7.0, y)
    assert constant.value.tolist() == [7.0, 3.0, 7.0]
    assert constant.gradient[1].tolist() == [0.0, 1.0, 0.0]


def test_variables_may_be_arrays() -> None:
    x, y = jets.variables([np.array([1.0, 2.0]), 3.0])
    assert (x * y).gradient[0].tolist() == [3.0, 3.0]
    assert (x * y).gradient[1].tolist() == [1.0, 2.0]


@pytest.mark.parametrize("block", [1, 3, 7, 100])
def test_weighted_sums_do_not_depend_on_blocks(block: int) -> None:
    rng = np.random.default_rng(1)
    data, weights = rng.uniform(size=7), rng.uniform(size=7)

    def rows(v: list[jets.Jet], part: slice) -> jets.Jet:
        return jets.log(v[0] + v[1] * data[part]) * v[1]

    value, gradient, hessian = jets.weighted_derivatives(rows, [1.5, 0.5], weights, block)
    a, b = 1.5, 0.5
    inner = a + b * data
    log_inner = np.log(inner)
    assert value == pytest.approx(weights @ (b * log_inner))
    assert gradient == pytest.approx(
        [weights @ (b / inner), weights @ (log_inner + b * data / inner)]
    )
    cross = weights @ (1 / inner - b * data / inner**2)
    assert hessian[0, 0] == pytest.approx(-(weights @ (b / inner**2)))
    assert hessian[0, 1] == hessian[1, 0] == pytest.approx(cross)
    assert hessian[1, 1] == pytest.approx(weights @ (2 * data / inner - b * data**2 / inner**2))
