"""Pareto/NBD on two clocks as a family: where covariates do not change, it is the static model."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from clv.families import _pareto_nbd_changing as changing
from clv.families import pareto_nbd
from clv.families._pareto_nbd_changing import BeyondTheRoad, Lives, Moving
from clv.fitted.discounting import discounted_purchases, discounted_time
from clv.numerics.histories import PurchaseHistory
from clv.numerics.pieces import Coefficients, Histories, Pieces

NUMBERS = (0.8, 6.0, 1.6, 14.0)
GAMMA = Coefficients(np.array([0.4, -0.3]), np.array([0.7]))
N = 7
X = np.array([0.0, 1.0, 2.0, 5.0, 9.0, 0.0, 3.0])
LAST = np.array([0.0, 1.5, 9.0, 11.0, 12.0, 0.0, 4.0])
AGE = np.array([2.0, 12.0, 12.0, 11.5, 13.0, 30.0, 5.0])
ENDLESS = np.array([0.5, 2.0, np.inf])


def standing(widths: Any, at: np.ndarray | None = None) -> Moving:
    """Customers each of whom keeps their covariates; `at` says whose, or one for everybody."""
    own = np.random.default_rng(1).normal(size=(N, 3))
    if at is not None:
        own = np.tile(own[at], (N, 1))
    customer, length, after = [], [], []
    for i in range(N):
        for size, later in ((LAST[i], False), (AGE[i] - LAST[i], True)):
            if size > 0:
                customer, length, after = [*customer, i], [*length, size], [*after, later]
    who = np.array(customer)
    pieces = Pieces(who, np.array(length), np.array(after), own[who, :2], own[who, 2:])
    histories = Histories(X, own[:, :2] * X[:, None], pieces)
    # distinct rows in another order than the customers'
    order = np.arange(N)[::-1]
    place = np.tile(np.argsort(order)[:, None], (1, len(widths)))
    if at is not None:
        place = place[:1]
    lives = Lives(histories, np.asarray(widths), own[order, :2], own[order, 2:], place)
    return Moving(NUMBERS, GAMMA, lives)


def static(moving: Moving) -> pareto_nbd.Parameters:
    """The parameters of each of these customers."""
    r, alpha, s, beta = NUMBERS
    pieces = moving.lives.histories.pieces
    first = np.searchsorted(pieces.customer, np.arange(N))
    purchase, dropout = (pieces.purchase[first] @ GAMMA[0], pieces.dropout[first] @ GAMMA[1])
    return pareto_nbd.Parameters(
        np.full(N, r), alpha * np.exp(-purchase), np.full(N, s), beta * np.exp(-dropout)
    )


HISTORY = PurchaseHistory(X, LAST, AGE)


@pytest.mark.parametrize("block", [1, 5, 200_000])
@pytest.mark.parametrize("one", [None, np.array([2])])
def test_who_stands_still_is_static(
    one: np.ndarray | None, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changing, "_BLOCK", block)
    moving = standing(ENDLESS, one)
    mine, plain = changing.alive_state(moving, None), static(moving)
    other = pareto_nbd.alive_state(plain, HISTORY)
    np.testing.assert_allclose(
        changing.probability_alive(moving, None),
        pareto_nbd.probability_alive(plain, HISTORY),
        rtol=1e-9,
    )
    for t in (0.2, 0.5, 1.7, 40.0):
        for verb in ("survival", "expected_purchases", "no_purchase_probability"):
            np.testing.assert_allclose(
                getattr(changing, verb)(mine, t), getattr(pareto_nbd, verb)(other, t), rtol=1e-9
            )
        for n in (0, 3, np.arange(N) % 4):
            np.testing.assert_allclose(
                changing.purchase_count_pmf(mine, n, t),
                pareto_nbd.purchase_count_pmf(other, n, t),
                rtol=1e-8,
            )
    for t in (1.7, np.inf):
        np.testing.assert_allclose(
            changing.discounted_purchases(mine, t, 0.02),
            discounted_purchases(pareto_nbd, other, t, 0.02),
            rtol=1e-9,
        )
        np.testing.assert_allclose(
            changing.discounted_time(mine, t, 0.02),
            discounted_time(pareto_nbd, other, t, 0.02),
            rtol=1e-9,
        )
    np.testing.assert_allclose(
        changing.expected_purchases_ever(mine), pareto_nbd.expected_purchases_ever(other), rtol=1e-9
    )
    np.testing.assert_allclose(
        changing.no_purchase_probability(mine, np.inf),
        pareto_nbd.no_purchase_probability(other, np.inf),
        rtol=1e-9,
    )
    q = np.linspace(0.05, 0.5, N)
    np.testing.assert_allclose(
        changing.next_purchase_quantile(mine, q),
        pareto_nbd.next_purchase_quantile(other, q),
        rtol=1e-8,
    )


def test_a_road_has_an_end() -> None:
    state = changing.alive_state(standing([0.5, 2.0]), None)
    at_end = changing.expected_purchases(state, 2.5 * (1 + 1e-13))  # but for rounding
    assert (at_end > changing.expected_purchases(state, 2.4)).all()
    for t in (2.5 * (1 + 1e-11), 3.0, np.inf):
        with pytest.raises(BeyondTheRoad, match=f"do not reach {t:g} from now") as error:
            changing.survival(state, t)
        assert error.value.time == t
    never = changing.no_purchase_probability(state, np.inf)
    assert never.shape == (N,)
    assert np.isnan(never).all()
    nobody = state.take(slice(0, 0))
    assert changing.survival(nobody, 1.0).shape == (0,)


def test_some_of_the_customers_in_another_order() -> None:
    rows = np.array([4, 1, 1])
    for one in (None, np.array([3])):
        moving = standing(ENDLESS, one)
        part = moving._replace(lives=moving.lives.take(rows))
        for verb in (changing.probability_alive, lambda m, _: changing.alive_state(m, _).shape):
            np.testing.assert_allclose(verb(part, None), verb(moving, None)[rows], rtol=1e-13)
        np.testing.assert_allclose(
            changing.expected_purchases(changing.alive_state(part, None), 9.0),
            changing.expected_purchases(changing.alive_state(moving, None), 9.0)[rows],
            rtol=1e-12,
        )


def test_futures_are_drawn_path_by_path() -> None:
    """Two draws of the parameters, the first with 300 copies: hardly anybody buys in it."""
    often = standing(ENDLESS)
    seldom = often._replace(base=(NUMBERS[0], 1e12, *NUMBERS[2:]))
    copies, horizon = np.array([300, 3_000]), 6.0
    paths = changing.sample_futures([seldom, often], horizon, np.random.default_rng(2), copies)
    assert paths.counts.shape == (N, 3_300)
    assert paths.counts[:, :300].sum() == 0
    state = changing.alive_state(often, None)
    drawn = paths.counts[:, 300:]
    error = drawn.std(axis=1) / np.sqrt(3_000)
    expected = changing.expected_purchases(state, horizon)
    assert (np.abs(drawn.mean(axis=1) - expected) < 4.5 * error).all()
    of = np.repeat(np.arange(paths.counts.size), paths.counts.reshape(-1))
    assert len(of) == len(paths.times)
    assert ((np.diff(paths.times) > 0) | (np.diff(of) > 0)).all()
    assert ((paths.times > 0) & (paths.times <= horizon)).all()
    # what is discounted along the paths is each customer's own
    worth = np.bincount(of, np.exp(-0.3 * paths.times), minlength=paths.counts.size)
    worth = worth.reshape(N, -1)[:, 300:]
    exact = changing.discounted_purchases(state, horizon, 0.3)
    assert (np.abs(worth.mean(axis=1) - exact) < 4.5 * worth.std(axis=1) / np.sqrt(3_000)).all()


def test_lives_are_simulated_as_they_were_seen() -> None:
    moving = standing(ENDLESS)
    plain = static(moving)
    found = [changing.simulate(moving, AGE, seed) for seed in range(400)]
    again = changing.simulate(moving, AGE, 3)
    assert all(np.array_equal(a, b) for a, b in zip(again, found[3], strict=True))
    count, last = (np.stack([getattr(h, f) for h in found]) for f in ("frequency", "recency"))
    assert np.array_equal(found[0].T, AGE)
    assert found[0].T is not AGE
    assert count.dtype == np.float64
    assert ((last > 0) == (count > 0)).all()
    assert (last <= AGE * (1 + 1e-12)).all()
    _, new = pareto_nbd.new_customer(plain)
    error = count.std(axis=0) / np.sqrt(len(count))
    off = count.mean(axis=0) - pareto_nbd.expected_purchases(new, AGE)
    assert (np.abs(off) < 4.5 * error).all()
    # of those with one purchase, when it came: the likelihood says how much more often late
    for half in (0.25, 0.5):
        early = (last <= half * AGE).mean(axis=0)
        none_since = np.array([_silent(plain, i, half * AGE[i], AGE[i]) for i in range(N)])
        spread = np.sqrt(none_since * (1 - none_since) / len(count))
        assert (np.abs(early - none_since) < 4.5 * spread + 1e-9).all()


def _silent(plain: pareto_nbd.Parameters, i: int, start: float, end: float) -> float:
    """P(no purchase between two ages): dead at the first, or alive and silent until the second."""
    r, alpha, s, beta = (float(v[i]) for v in plain)
    rng = np.random.default_rng(5)
    rate, death = rng.gamma(r, 1 / alpha, 400_000), rng.gamma(s, 1 / beta, 400_000)
    alive = np.exp(-death * start)
    both = rate + death
    quiet = death / both + rate / both * np.exp(-both * (end - start))
    return float(np.mean(1.0 - alive + alive * quiet))
