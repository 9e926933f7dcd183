"""The likelihood on two clocks, held against models that know no clock."""

from __future__ import annotations

import numpy as np
import pytest
from oracles import time_varying as oracle

from clv.families import pareto_nbd
from clv.numerics import backend
from clv.numerics import pareto_time_varying as numerics
from clv.numerics.histories import PurchaseHistory
from clv.numerics.pieces import Coefficients, Histories, Pieces, joined

NUMBERS = (0.55, 10.6, 0.61, 11.7)
SOME = Coefficients(np.array([0.4, -0.3]), np.array([-0.5, 0.2, 0.7]))


def random_histories(n: int, seed: int, weeks: int = 40) -> tuple[Histories, PurchaseHistory]:
    """Customers with weekly covariates, first seen within a week, of any age and habit."""
    rng = np.random.default_rng(seed)
    age = rng.integers(1, weeks * 7, n) / 7
    x = np.where(rng.random(n) < 0.3, 0, rng.poisson(4, n) + 1).astype(float)
    last = np.where(x > 0, np.ceil(rng.random(n) * age * 7) / 7, 0.0)
    customer, length, after = [], [], []
    for i in range(n):
        knots = np.unique([0.0, last[i], age[i], *np.arange(rng.integers(1, 8) / 7, age[i])])
        customer += [i] * (len(knots) - 1)
        length += list(np.diff(knots))
        after += list(knots[:-1] >= last[i])
    m = len(length)
    pieces = Pieces(
        np.array(customer),
        np.array(length),
        np.array(after),
        rng.normal(size=(m, 2)),
        rng.normal(size=(m, 3)),
    )
    at_purchases = rng.normal(size=(n, 2)) * x[:, None]
    return Histories(x, at_purchases, pieces), PurchaseHistory(x, last, age)


def none(histories: Histories) -> Coefficients:
    return Coefficients(np.zeros(2), np.zeros(3))


@pytest.mark.parametrize(
    ("before", "after", "at_purchases"),
    [
        ([], [3.0], []),
        ([1.0, 2.0], [2.0, 0.5, 1.0], [2.0, 0.3]),
        ([0.7], [], [1.5]),
        ([2.0, 0.2, 1.0], [0.1, 3.0], [1.0, 0.5, 2.5, 2.5, 0.4]),
    ],
)
def test_one_customer_by_quadrature_over_both_rates(
    before: list[float], after: list[float], at_purchases: list[float]
) -> None:
    numbers = (0.8, 9.0, 1.3, 7.0)
    rng = np.random.default_rng(len(before) + 10 * len(after))
    designs = rng.normal(scale=0.7, size=(len(before) + len(after), 2))
    lives = []
    for part, rows in ((before, designs[: len(before)]), (after, designs[len(before) :])):
        factors = np.exp(rows)
        lives.append(oracle.Life(part, list(factors[:, 0]), list(factors[:, 1])))
    likelihood, alive = oracle.history(numbers, *lives, at_purchases)
    one = Histories(
        np.array([float(len(at_purchases))]),
        np.array([[np.log(at_purchases).sum()]]),
        Pieces(
            np.zeros(len(designs), dtype=np.int64),
            np.array(before + after),
            np.arange(len(designs)) >= len(before),
            designs[:, :1],
            designs[:, 1:],
        ),
    )
    found = numerics.summarise(numbers, Coefficients(np.ones(1), np.ones(1)), one)
    assert found.log_likelihood[0] == pytest.approx(np.log(likelihood), rel=0, abs=1e-10)
    assert np.exp(found.log_alive[0]) == pytest.approx(alive, rel=1e-10)


@pytest.mark.parametrize(
    ("numbers", "purchases", "weeks"),
    [
        ((0.5, 8.0, 0.6, 12.0), 0, 30),
        ((0.9, 0.1, 1.0, 400.0), 5, 12),
        ((3.0, 20.0, 2.5, 0.4), 60, 20),
    ],
)
def test_one_customer_by_the_closed_form_of_the_paper(
    numbers: tuple[float, float, float, float], purchases: int, weeks: int
) -> None:
    rng = np.random.default_rng(purchases)
    designs = rng.normal(scale=0.8, size=(2 * weeks, 2))
    lengths = np.where(np.arange(2 * weeks) % 7 == 0, 0.4, 1.0)
    at = rng.normal(size=purchases)
    factors = np.exp(designs)
    if purchases == 0:
        designs, lengths, factors, weeks = designs[weeks:], lengths[weeks:], factors[weeks:], 0
    before, after = (
        oracle.Life(list(lengths[rows]), list(factors[rows, 0]), list(factors[rows, 1]))
        for rows in (slice(weeks), slice(weeks, None))
    )
    pieces = Pieces(
        np.zeros(len(lengths), dtype=np.int64),
        lengths,
        np.arange(len(lengths)) >= weeks,
        designs[:, :1],
        designs[:, 1:],
    )
    one = Histories(np.array([float(purchases)]), np.array([[at.sum()]]), pieces)
    found = numerics.summarise(numbers, Coefficients(np.ones(1), np.ones(1)), one)
    expected = oracle.log_likelihood_by_2f1(numbers, before, after, list(np.exp(at)))
    assert found.log_likelihood[0] == pytest.approx(expected, rel=1e-13, abs=1e-11)


def test_no_effect_is_the_plain_model() -> None:
    histories, plain = random_histories(300, seed=1)
    parameters = pareto_nbd.Parameters(*NUMBERS)
    found = numerics.summarise(NUMBERS, none(histories), histories)
    expected = pareto_nbd.log_likelihood(parameters, plain, backend)
    np.testing.assert_allclose(found.log_likelihood, expected, rtol=0, atol=1e-11)
    assert abs(found.log_likelihood.sum() - expected.sum()) < 1e-9
    np.testing.assert_allclose(
        np.exp(found.log_alive), pareto_nbd.probability_alive(parameters, plain), rtol=1e-10
    )
    np.testing.assert_allclose(found.purchase_exposure, plain.T, rtol=1e-12)


def test_covariates_that_do_not_change_are_static_ones() -> None:
    histories, plain = random_histories(300, seed=2)
    rng = np.random.default_rng(3)
    own = rng.normal(size=(300, 5))
    pieces = histories.pieces
    constant = Histories(
        histories.frequency,
        own[:, :2] * histories.frequency[:, None],
        pieces._replace(purchase=own[pieces.customer, :2], dropout=own[pieces.customer, 2:]),
    )
    r, alpha, s, beta = NUMBERS
    per_customer = pareto_nbd.Parameters(
        r, alpha * np.exp(-own[:, :2] @ SOME.purchase), s, beta * np.exp(-own[:, 2:] @ SOME.dropout)
    )
    found = numerics.summarise(NUMBERS, SOME, constant)
    expected = pareto_nbd.log_likelihood(per_customer, plain, backend)
    np.testing.assert_allclose(found.log_likelihood, expected, rtol=0, atol=1e-10)
    np.testing.assert_allclose(
        np.exp(found.log_alive), pareto_nbd.probability_alive(per_customer, plain), rtol=1e-9
    )


def test_derivatives_are_those_of_the_value() -> None:
    histories, _ = random_histories(60, seed=4)
    point = np.array([*NUMBERS, *SOME.purchase, *SOME.dropout])

    def at(p: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        return numerics.log_likelihood_derivatives(
            tuple(p[:4]), Coefficients(p[4:6], p[6:]), histories
        )

    value, gradient, hessian = at(point)
    alone = numerics.summarise(NUMBERS, SOME, histories)
    assert value == pytest.approx(alone.log_likelihood.sum(), rel=1e-13)
    steps = 1e-5 * np.eye(len(point))
    slopes = [(at(point + h)[0] - at(point - h)[0]) / 2e-5 for h in steps]
    np.testing.assert_allclose(gradient, slopes, rtol=1e-6, atol=1e-6 * np.abs(gradient).max())
    curvatures = np.array([(at(point + h)[1] - at(point - h)[1]) / 2e-5 for h in steps])
    size = np.sqrt(np.abs(np.outer(np.diag(hessian), np.diag(hessian))))
    np.testing.assert_allclose(hessian / size, curvatures / size, rtol=0, atol=1e-7)


def test_customers_do_not_depend_on_each_other_nor_on_cuts_without_change() -> None:
    histories, _ = random_histories(80, seed=5, weeks=200)  # several blocks
    found = numerics.summarise(NUMBERS, SOME, histories)
    pieces = histories.pieces
    for i in (0, 41, 79):
        rows = pieces.customer == i
        own = Pieces(*(column[rows] for column in pieces))._replace(
            customer=np.zeros(rows.sum(), dtype=np.int64)
        )
        halves = Pieces(*(np.repeat(column, 2, axis=0) for column in own))
        halves = halves._replace(length=halves.length / 2)
        for other in (own, halves, joined(halves)):
            one = Histories(histories.frequency[[i]], histories.at_purchases[[i]], other)
            alone = numerics.summarise(NUMBERS, SOME, one)
            for column, same in zip(found, alone, strict=True):
                assert same[0] == pytest.approx(column[i], rel=1e-12, abs=1e-12)
        assert len(joined(halves).length) == len(own.length)


def test_extreme_customers_stay_finite() -> None:
    """Just come, bought on the last day, a thousand purchases, and rates a million times apart."""
    pieces = Pieces(
        np.array([1, 2, 2, 3, 3, 3]),
        np.array([5.0, 50.0, 50.0, 1.0, 300.0, 300.0]),
        np.array([False, False, True, False, True, True]),
        np.array([[0.0], [0.0], [0.0], [0.0], [14.0], [-14.0]]),
        np.array([[0.0], [0.0], [0.0], [0.0], [-14.0], [14.0]]),
    )
    four = Histories(np.array([0.0, 3.0, 1000.0, 1.0]), np.zeros((4, 1)), pieces)
    one = Coefficients(np.ones(1), np.ones(1))
    found = numerics.summarise(NUMBERS, one, four)
    assert found.log_likelihood[0] == 0.0
    assert found.log_alive[0] == found.log_alive[1] == 0.0
    value, gradient, hessian = numerics.log_likelihood_derivatives(NUMBERS, one, four)
    for array in (found.log_likelihood, found.log_alive, gradient, hessian):
        assert np.isfinite(array).all()
    assert value == pytest.approx(found.log_likelihood.sum())
