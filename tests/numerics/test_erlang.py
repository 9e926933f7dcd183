"""Expectations of regular buyers against sums to forty digits, and at k = 1 against BG/NBD's."""

from __future__ import annotations

from typing import Any

import mpmath as mp
import numpy as np
import pytest

from clv.numerics import erlang, special

RNG = np.random.default_rng(20)


def by_stages(k: int, shape: float, z: float, a: float, b: float, tau: float) -> tuple[Any, Any]:
    """Survival and purchases: for each stage now, over the stages to come, negative binomial."""
    with mp.workdps(40):
        shape, z, a, b, tau = (mp.mpf(float(v)) for v in (shape, z, a, b, tau))
        most = int((shape + 60 + mp.sqrt(120 * shape)) * tau * 1.5 + 200)
        stays, allowed = [mp.mpf(1)], [mp.mpf(0)]
        for m in range(most // k + 3):
            allowed.append(allowed[-1] + stays[-1])
            stays.append(stays[-1] * (b + m) / (a + b + m))
        weights = [mp.rf(shape, j) / mp.factorial(j) * z**j for j in range(k)]
        alive = purchases = mp.mpf(0)
        for j, weight in enumerate(weights):
            term = weight / sum(weights) * (1 + tau) ** -(shape + j)
            for n in range(most):
                alive += term * stays[(n + j) // k]
                purchases += term * allowed[(n + j) // k]
                term *= (shape + j + n) / (n + 1) * tau / (1 + tau)
        return alive, purchases


CASES = [
    (
        int(k),
        float(np.exp(RNG.uniform(-3, 5))),
        float(RNG.choice([0.0, RNG.uniform(0, 0.95)])),
        float(np.exp(RNG.uniform(-5, 3))),
        float(np.exp(RNG.uniform(-2, 4))),
        float(np.exp(RNG.uniform(-6, 2.5))),
    )
    for k in RNG.integers(1, 9, 25)
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_sums_to_forty_digits(case: tuple[Any, ...]) -> None:
    k, *arguments = case
    alive, purchases = (float(v) for v in by_stages(*case))
    assert erlang.survival(k, *arguments) == pytest.approx(alive, rel=1e-12)
    assert erlang.expected_purchases(k, *arguments) == pytest.approx(purchases, rel=1e-12)
    # the method for large counts has digits to lose only where hardly anything is bought
    rows = [np.array([v]) for v in arguments]
    assert erlang._by_roots("survival", k, *rows)[0] == pytest.approx(alive, rel=1e-10)
    many = erlang._by_roots("purchases", k, *rows)[0]
    assert many == pytest.approx(purchases, rel=1e-10, abs=1e-13)


def test_one_stage_is_beta_geometric() -> None:
    """Far out as well: rates and times over many decades."""
    n = 2000
    shape, a, b, tau = (
        np.exp(RNG.uniform(low, high, n)) for low, high in ((-5, 9), (-7, 6), (-4, 8), (-9, 28))
    )
    z = RNG.uniform(0, 0.99, n)  # of no consequence
    for name in ("survival", "expected_purchases"):
        value = getattr(erlang, name)(1, shape, z, a, b, tau)
        exact = getattr(special, f"beta_geometric_{name.removeprefix('expected_')}")(
            a, b, shape, tau
        )
        some = exact > 1e-100
        np.testing.assert_allclose(value[some], exact[some], rtol=1e-9)


@pytest.mark.parametrize("k", [2, 5, 20])
def test_both_methods_agree_where_they_meet(k: int) -> None:
    n = 200
    shape, a, b = (np.exp(RNG.uniform(low, high, n)) for low, high in ((-1, 5), (-5, 3), (-2, 5)))
    tau, z = 400.0 / (shape + 40.0), RNG.uniform(0, 0.9, n)
    for kind in ("survival", "purchases"):
        one, other = (m(kind, k, shape, z, a, b, tau)
                      for m in (erlang._by_counting, erlang._by_roots))  # fmt: skip
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("k", [2, 3, 10])
def test_to_the_end_of_time(k: int) -> None:
    """In the end only the coins matter: E[1 / p] purchases, and nobody is left."""
    shape, z = np.array([0.3, 2.0, 500.0]), np.array([0.0, 0.9, 0.3])
    value = erlang.expected_purchases(k, shape, z, 2.5, 4.0, 1e14)
    np.testing.assert_allclose(value, (2.5 + 4.0 - 1) / 1.5, rtol=1e-3)
    assert (np.diff(erlang.survival(k, 2.0, 0.4, 0.9, 3.0, np.logspace(-8, 15, 60))) < 0).all()
    assert erlang.no_purchase(k, 2.0, 0.4, np.inf) == 0.0


@pytest.mark.parametrize("k", [2, 3, 10])
def test_quantiles_far_out(k: int) -> None:
    q = np.array([1e-12, 1e-6, 0.3, 1 - 1e-12])[:, None]
    shape, z = np.array([0.02, 0.7, 40.0, 3000.0]), np.array([0.0, 0.5, 0.999, 0.2])
    tau = erlang.no_purchase_quantile(k, shape, z, q)
    assert (np.diff(tau, axis=0)[np.isfinite(tau[1:])] > 0).all()
    finite = np.isfinite(tau)
    come = erlang.at_least(k, shape, z, 1.0, np.where(finite, tau, 1.0))
    np.testing.assert_allclose(come[finite], np.broadcast_to(q, tau.shape)[finite], rtol=1e-9)
    # who hardly ever buys: beyond all floats
    assert np.isinf(tau[-1, 0])


def test_nothing_to_do() -> None:
    nothing = np.empty((3, 0))
    assert erlang.survival(2, 1.0, 0.0, 1.0, 1.0, nothing).shape == (3, 0)
