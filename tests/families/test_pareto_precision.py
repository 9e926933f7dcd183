"""Pareto/NBD and its special function against sixty-digit arithmetic, where textbook forms fail.

The grid holds the danger zones: beta thousands of times alpha and the reverse, alpha = beta,
death shapes at 1 and within 1e-9 of it, thousands of purchases, customers seen on their last day,
horizons of 1e5. A part of it, the same every time, is computed in the ordinary run.
"""

from __future__ import annotations

import itertools
from typing import Any, NamedTuple

import mpmath as mp
import numpy as np
import pytest
from oracles import pareto as exact

from clv.families import pareto_nbd
from clv.numerics import backend, jets, pareto, pareto_sums, quadrature
from clv.numerics.histories import PurchaseHistory

RELATIVE = 1e-8
UNDERFLOW = 1e-300  # absolute, where values underflow
NEAR_ZERO = 1e-10  # absolute, of log-likelihoods that may be 0

R = (0.02, 0.5533, 1.0, 7.3, 300.0)
ALPHA = (0.05, 10.58, 250.0)
S = (1e-3, 0.05, 0.6062, 1 - 1e-9, 1.0, 1 + 1e-9, 2.0, 40.0, 1000.0)
RATIO = (1 / 4000, 0.05, 1 - 1e-9, 1.0, 1.1, 20.0, 4000.0)  # beta / alpha
X = (0.0, 1.0, 2.0, 11.0, 100.0, 1000.0, 5000.0)
AGE = (0.5, 38.86, 900.0)
RECENCY = (1.0, 1 - 1e-6, 0.8, 0.05)  # as a share of the age
TIME = (1e-3, 1.0, 39.0, 1000.0, 1e5)
DELTA = (1e-4, 0.00183, 0.05)  # per unit of time
COUNT = (1, 2, 7, 60, 900)


class Points(NamedTuple):
    """Points of the grid; arrays of shape (n,)."""

    r: np.ndarray
    alpha: np.ndarray
    s: np.ndarray
    beta: np.ndarray
    x: np.ndarray
    recency: np.ndarray
    T: np.ndarray
    t: np.ndarray
    delta: np.ndarray
    count: np.ndarray


def grid(n: int, seed: int) -> Points:
    """Points at random, and behind them every pair of a ratio of rates and a frequency."""
    rng = np.random.default_rng(seed)
    axes = (R, ALPHA, S, RATIO, X, RECENCY, AGE, TIME, DELTA, COUNT)
    chosen = [rng.choice(axis, n) for axis in axes]
    pairs = np.array(list(itertools.product(RATIO, X)))
    chosen[3][: len(pairs)], chosen[4][: len(pairs)] = pairs.T[:, :n]
    r, alpha, s, ratio, x, share, T, t, delta, count = chosen
    recency = np.where(x > 0, share * T, 0.0)
    return Points(r, alpha, s, alpha * ratio, x, recency, T, t, delta, count)


def compare(points: Points, counts: int) -> None:
    """Every function at every point; the distribution of counts at the last `counts` of them."""
    parameters = pareto_nbd.Parameters(*points[:4])
    history = PurchaseHistory(points.x, points.recency, points.T)
    state = pareto_nbd.alive_state(parameters, history)
    rows = list(zip(*points, strict=True))
    states = list(zip(*(np.broadcast_to(f, points.x.shape) for f in state), strict=True))
    ours = {
        "log_likelihood": pareto_nbd.log_likelihood(parameters, history, backend),
        "probability_alive": pareto_nbd.probability_alive(parameters, history),
        "expected_purchases": pareto_nbd.expected_purchases(state, points.t),
        "no_purchase": pareto_nbd.no_purchase_probability(state, points.t),
        "never_again": pareto_nbd.no_purchase_probability(state, np.inf),
        "perpetuity": quadrature.discounted_purchases(
            lambda t: pareto_nbd.expected_purchases(state, t),
            None,
            points.delta,
            pareto_nbd.time_scale(state),
        ),
        "count": pareto_nbd.purchase_count_pmf(
            type(state)(*np.array(states[-counts:]).T), points.count[-counts:], points.t[-counts:]
        ),
    }
    theirs: dict[str, list[Any]] = {
        "log_likelihood": [exact.log_likelihood(*row[:7]) for row in rows],
        "probability_alive": [exact.probability_alive(*row[:7]) for row in rows],
        "expected_purchases": [
            exact.expected_purchases(*one, row[7]) for one, row in zip(states, rows, strict=True)
        ],
        "no_purchase": [
            exact.no_purchase(*one, row[7]) for one, row in zip(states, rows, strict=True)
        ],
        "never_again": [exact.no_purchase(*one, mp.inf) for one in states],
        "perpetuity": [
            exact.perpetuity(*one, row[8]) for one, row in zip(states, rows, strict=True)
        ],
        "count": [
            exact.purchase_count(*one, int(row[9]), row[7])
            for one, row in zip(states[-counts:], rows[-counts:], strict=True)
        ],
    }
    for function, values in ours.items():
        reference = np.array([float(v) for v in theirs[function]])
        assert np.isfinite(values).all(), f"{function} is not finite"
        floor = NEAR_ZERO if function == "log_likelihood" else UNDERFLOW
        error = np.abs(values - reference) / (RELATIVE * np.abs(reference) + floor)
        worst = int(error.argmax())
        at = Points(*(float(field[worst - len(error)]) for field in points))
        assert error[worst] <= 1.0, f"{function} is off by {error[worst] * RELATIVE:.2g} at {at}"


def compare_derivatives(points: Points) -> None:
    """Gradients in the logs of the parameters, of rows and of the sums that fits use."""
    for row in zip(*points, strict=True):
        values, data = row[:4], row[4:7]

        def function(*logs: Any, data: Any = data) -> Any:
            return exact.log_likelihood(*(mp.exp(v) for v in logs), *data)

        with mp.workdps(exact.DIGITS):
            logs = [mp.log(v) for v in exact.numbers(*values)]
            expected = [
                float(mp.diff(function, logs, tuple(int(i == j) for j in range(4)), h=1e-15))
                for i in range(4)
            ]
        history = PurchaseHistory(*(np.array([v]) for v in data))
        jet = pareto_nbd.log_likelihood(
            pareto_nbd.Parameters(*jets.variables(values)), history, jets
        )
        statistics = pareto_sums.sufficient_statistics(history, np.ones(1))
        fast = pareto_nbd.log_likelihood_derivatives(pareto_nbd.Parameters(*values), statistics)
        size = RELATIVE * np.abs(expected) + 1e-9 * max(1.0, abs(fast[0]))
        for gradient in (jet.gradient[:, 0], fast[1]):
            error = np.abs(gradient * np.array(values) - expected)
            assert (error <= size).all(), f"gradient at {row}: {gradient * values}, not {expected}"


def test_on_a_part_of_the_grid() -> None:
    compare(grid(60, seed=8), counts=6)


def test_derivatives_on_a_part_of_the_grid() -> None:
    compare_derivatives(Points(*(field[-6:] for field in grid(60, seed=9))))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_on_the_grid(seed: int) -> None:
    compare(grid(250, seed=100 + seed), counts=25)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_derivatives_on_the_grid(seed: int) -> None:
    compare_derivatives(grid(80, seed=200 + seed))


def test_both_forms_agree_wherever_a_fit_may_go() -> None:
    """Row formula and predictions share no formula; parameters from 1e-10 to 1e10."""
    rng = np.random.default_rng(5)
    n = 4_000
    shape, rate, s, beta = np.exp(rng.uniform(-23, 23, (4, n)))
    shape = shape + rng.choice(X, n)
    t = rng.choice([0.0, 1e-6, 1.0, 30.0], n)
    logs = pareto.log_no_purchase(shape, rate, s, beta, t, backend)
    plain = pareto.no_purchase(shape, rate, s, beta, t)
    assert (plain > 0).all()
    np.testing.assert_allclose(logs, np.log(plain), rtol=0, atol=1e-6)
    # and nearly everywhere to the last digits
    assert np.quantile(np.abs(logs - np.log(plain)), 0.99) < 1e-12
    assert (logs[t == 0] == 0).all()


def test_the_oracle_itself() -> None:
    """The 2F1 against the integral that it stands for."""
    for shape, rate, s, beta, t in ((2.5, 40.0, 0.6, 41.0, 8.4), (30.0, 2.0, 1.0, 90.0, 5.0)):
        with mp.workdps(30):
            dead = mp.quad(
                lambda u: s * beta**s * (beta + u) ** -(s + 1) * (rate / (rate + u)) ** shape,  # noqa: B023
                [0, t / 4, t],
            )
            alive = (1 + t / rate) ** -shape * (1 + t / beta) ** -s
        assert float(exact.no_purchase(shape, rate, s, beta, t) / (alive + dead)) == pytest.approx(
            1.0, rel=1e-13
        )
