"""Regular buyers without end: against 2F1 and mpmath's quadrature, and integrals over time."""

from __future__ import annotations

from typing import Any

import mpmath as mp
import numpy as np
import pytest

from clv.numerics import erlang, quadrature
from clv.numerics.erlang_perpetuity import perpetuity


def by_quadrature(
    k: int, shape: float, z: float, a: float, b: float, delta: float
) -> tuple[Any, Any]:
    """Purchases and time alive: over the rates, each with the sums over purchases as 2F1."""
    with mp.workdps(25):
        R, z, a, b, delta = (mp.mpf(v) for v in (shape, z, a, b, delta))
        total = mp.fsum(mp.rf(R, j) / mp.factorial(j) * z**j for j in range(k))

        def worth(v: Any) -> tuple[Any, Any]:
            rate = mp.exp(v)
            price = rate / (rate + delta)
            bought = mp.hyp2f1(1, b, a + b, price**k)
            left = a / (a + b) * mp.hyp2f1(1, b, a + b + 1, price**k)
            density = mp.exp(R * v - rate - mp.loggamma(R)) / total
            waited = [(rate * z) ** j / mp.factorial(j) for j in range(k)]
            return (
                density * mp.fsum(w * price ** (k - j) * bought for j, w in enumerate(waited)),
                density * mp.fsum(w * (1 - price ** (k - j) * left) for j, w in enumerate(waited)),
            )

        width = 1 / mp.sqrt(R)
        ends = mp.log(R) - min(100 * width, 30 / R + 5), mp.log(R + k) + min(12 * width, 4)
        pieces = mp.linspace(*ends, 14)
        purchases, time = (mp.quad(lambda v, i=i: worth(v)[i], pieces) for i in (0, 1))
        return purchases, time / delta


CASES = (
    (2, 0.3, 0.0, 0.001, 2.0, 0.01),
    (2, 400.0, 0.999, 0.05, 30.0, 5000.0),
    (2, 235.7, 0.97, 0.134, 1.43, 396.0),
    (3, 12.0, 0.5, 1.1, 4.05, 0.02),
    (4, 0.9, 0.9, 1.2, 2.0, 1e-4),
    (15, 25.85, 0.0, 0.497, 0.426, 56.0),
)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_to_many_digits(case: tuple[Any, ...]) -> None:
    k, *arguments = case
    purchases, time = by_quadrature(*case)
    assert perpetuity("purchases", k, *arguments) == pytest.approx(float(purchases), rel=1e-10)
    assert perpetuity("survival", k, *arguments) == pytest.approx(float(time), rel=1e-10)


@pytest.mark.parametrize("k", [2, 7])
def test_it_is_the_integral_over_time(k: int) -> None:
    rng = np.random.default_rng(4)
    R, a, b, delta = (
        np.exp(rng.uniform(low, high, 40)) for low, high in ((-3, 6), (-3, 2), (-2, 4), (-6, 1))
    )
    z = rng.choice([0.0, 0.2, 0.7, 0.97, 0.999], 40)
    scale, angle = np.minimum(1.0, k / R), np.pi / k
    purchases = quadrature.discounted_purchases(
        lambda t: erlang.expected_purchases(k, R, z, a, b, t), None, delta, scale, angle
    )
    time = quadrature.discounted_time(
        lambda t: erlang.survival(k, R, z, a, b, t), None, delta, scale, angle
    )
    np.testing.assert_allclose(perpetuity("purchases", k, R, z, a, b, delta), purchases, rtol=1e-9)
    np.testing.assert_allclose(perpetuity("survival", k, R, z, a, b, delta), time, rtol=1e-9)


def test_without_discounting_only_the_coins_matter() -> None:
    """(a + b - 1) / (a - 1) purchases; and a price so high that nothing after today counts."""
    R, z = np.array([0.05, 3.0, 800.0]), np.array([0.0, 0.5, 0.99])
    np.testing.assert_allclose(perpetuity("purchases", 3, R, z, 2.5, 4.0, 1e-13)[1:], 5.5 / 1.5)
    soon = 1e9 * perpetuity("survival", 3, R, z, 2.5, 4.0, 1e9)
    np.testing.assert_allclose(soon, 1.0, rtol=2e-6)


def test_nobody() -> None:
    assert perpetuity("purchases", 2, np.empty((3, 0)), 0.0, 1.0, 1.0, 0.1).shape == (3, 0)
