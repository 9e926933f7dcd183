"""BG/NBD and MBG/NBD against forty-digit arithmetic, where textbook forms fail.

The grid holds the danger zones: dropout shapes at 1 and next to it (a pole of the closed form),
vanishing dropout, thousands of purchases, horizons of 1e5, customers seen buying on their last
day. A part of it, the same every time, is computed in the ordinary run; `slow` does more.
"""

from __future__ import annotations

import itertools
from typing import Any, NamedTuple

import numpy as np
import pytest
from oracles import beta_geometric as exact

from clv import families
from clv.numerics import backend, quadrature
from clv.numerics.histories import PurchaseHistory

RELATIVE = 1e-8
UNDERFLOW = 1e-300  # absolute, where values underflow
NEAR_ZERO = 1e-10  # absolute, of log-likelihoods that may be 0

R = (0.02, 0.2426, 1.0, 7.3, 300.0)
ALPHA = (0.05, 4.4136, 250.0)
A = (1e-3, 0.05, 0.793, 1 - 1e-9, 1.0, 1 + 1e-9, 1 + 1e-5, 2.0, 2.7, 40.0, 1000.0)
B = (0.05, 1.0, 2.426, 30.0, 2000.0)
X = (0.0, 1.0, 2.0, 11.0, 100.0, 1000.0, 5000.0)
AGE = (0.5, 38.86, 900.0)
RECENCY = (1.0, 1 - 1e-6, 0.8, 0.05)  # as a share of the age
TIME = (1e-3, 1.0, 39.0, 1000.0, 1e5)
DELTA = (1e-4, 0.00183, 0.05)  # per unit of time


class Points(NamedTuple):
    """Points of the grid; arrays of shape (n,)."""

    r: np.ndarray
    alpha: np.ndarray
    a: np.ndarray
    b: np.ndarray
    x: np.ndarray
    recency: np.ndarray
    T: np.ndarray
    t: np.ndarray
    delta: np.ndarray


def grid(n: int, seed: int) -> Points:
    """Points at random, and behind them every pair of a dropout shape and a frequency."""
    rng = np.random.default_rng(seed)
    axes = (R, ALPHA, A, B, X, RECENCY, AGE, TIME, DELTA)
    chosen = [rng.choice(axis, n) for axis in axes]
    pairs = np.array(list(itertools.product(A, X)))
    chosen[2][: len(pairs)], chosen[4][: len(pairs)] = pairs.T[:, :n]
    r, alpha, a, b, x, share, T, t, delta = chosen
    return Points(r, alpha, a, b, x, np.where(x > 0, share * T, 0.0), T, t, delta)


def errors(name: str, points: Points, discounted: int) -> dict[str, np.ndarray]:
    """Errors in units of what is allowed (1 is the limit), for each function and point.

    The last (`discounted`) points only are discounted: that takes a double integral.
    """
    family = families.find(name)
    parameters = family.Parameters(*points[:4])
    history = PurchaseHistory(points.x, points.recency, points.T)
    state = family.alive_state(parameters, history)
    last = slice(len(points.x) - discounted, None)
    late = type(state)(*(np.broadcast_to(field, points.x.shape)[last] for field in state))
    ours = {
        "log_likelihood": family.log_likelihood(parameters, history, backend),
        "probability_alive": family.probability_alive(parameters, history),
        "survival": family.survival(state, points.t),
        "expected_purchases": family.expected_purchases(state, points.t),
        "discounted_purchases": quadrature.discounted_purchases(
            lambda t: family.expected_purchases(late, t),
            points.t[last],
            points.delta[last],
            family.time_scale(late),
        ),
    }
    first_coin = name.startswith("mbg")
    theirs: dict[str, list[Any]] = {function: [] for function in ours}
    for i, (r, alpha, a, b, x, t_x, T, t, delta) in enumerate(zip(*points, strict=True)):
        arguments = (r, alpha, a, b, x, t_x, T, x + first_coin)
        alive = (r + x, alpha + T, a, b + x + first_coin)
        theirs["log_likelihood"].append(exact.log_likelihood(*arguments))
        theirs["probability_alive"].append(exact.probability_alive(*arguments))
        survival, purchases = exact.survival_and_purchases(*alive, t)
        theirs["survival"].append(survival)
        theirs["expected_purchases"].append(purchases)
        if i >= last.start:
            theirs["discounted_purchases"].append(exact.discounted_purchases(*alive, t, delta))
    allowed = {"log_likelihood": NEAR_ZERO}
    result = {}
    for function, values in ours.items():
        assert np.isfinite(values).all(), f"{function} is not finite at {_first(values, points)}"
        reference = np.array([float(v) for v in theirs[function]])
        limit = RELATIVE * np.abs(reference) + allowed.get(function, UNDERFLOW)
        result[function] = np.abs(values - reference) / limit
    return result


def _first(values: np.ndarray, points: Points) -> Any:
    row = int(np.flatnonzero(~np.isfinite(values))[0])
    return Points(*(field[row] for field in points))


def _check(name: str, points: Points, discounted: int) -> None:
    for function, error in errors(name, points, discounted).items():
        worst = int(error.argmax())
        at = Points(*(float(field[worst - len(error)]) for field in points))
        assert error[worst] <= 1.0, f"{function} is off by {error[worst] * RELATIVE:.2g} at {at}"


@pytest.mark.parametrize("name", ["bg_nbd", "mbg_nbd"])
def test_on_a_part_of_the_grid(name: str) -> None:
    _check(name, grid(85, seed=8), discounted=85)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("name", ["bg_nbd", "mbg_nbd"])
def test_on_the_grid(name: str, seed: int) -> None:
    _check(name, grid(300, seed=100 + seed), discounted=850)


@pytest.mark.parametrize("name", ["bg_nbd", "mbg_nbd"])
def test_perpetuities_to_twelve_digits(name: str) -> None:
    family = families.find(name)
    parameters = family.Parameters(0.2426, 4.4136, 0.793, 2.426)
    history = PurchaseHistory(*np.array([(26, 30.857, 31), (2, 30.43, 38.86), (0, 0, 27.0)]).T)
    state = family.alive_state(parameters, history)
    ours = quadrature.discounted_purchases(
        lambda t: family.expected_purchases(state, t), np.inf, 0.0018, family.time_scale(state)
    )
    for i, value in enumerate(ours):
        row = (v[i] if np.ndim(v) else v for v in state)
        forever = exact.discounted_purchases(*row, 1e9, 0.0018)
        assert value == pytest.approx(float(forever), rel=1e-11)


def test_the_oracle_itself() -> None:
    """The sum over the dropout probability against the closed form, where that is good."""
    import mpmath as mp

    for shape, rate, a, b, t in ((2.24, 43.2, 0.79, 4.4, 39.0), (100.2, 4.4, 3.3, 100.0, 1000.0)):
        with mp.workdps(60):
            p = tuple(map(mp.mpf, (shape, rate, a, b, t)))
            z = p[4] / (p[1] + p[4])
            rest = (1 - z) ** p[0] * mp.hyp2f1(p[0], p[3], p[2] + p[3] - 1, z)
            closed = (p[2] + p[3] - 1) / (p[2] - 1) * (1 - rest)
            alive = (1 - z) ** p[0] * mp.hyp2f1(p[0], p[3], p[2] + p[3], z)
        survival, purchases = exact.survival_and_purchases(shape, rate, a, b, t)
        assert abs(purchases / closed - 1) < 1e-13
        assert abs(survival / alive - 1) < 1e-13
    for arguments in (
        (26.24, 35.0, 0.79, 28.4, 1e5, 0.0018),
        (5000.0, 40.0, 1.0, 5000.0, 1e3, 0.01),
        (0.24, 4.4, 1e-3, 2.4, 1e5, 0.0018),
        (0.24, 4.4, 50.0, 2.4, 1e5, 0.0018),
        (3.0, 4.4, 2.7, 0.05, 1e5, 0.0018),
    ):
        by_2f1 = exact.discounted_purchases_by_2f1(*arguments)
        assert abs(exact.discounted_purchases(*arguments) / by_2f1 - 1) < 1e-13
