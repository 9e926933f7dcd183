"""What living customers will do, held against the plain model, sums, and exact simulation."""

from __future__ import annotations

import numpy as np
import pytest

from clv.families import pareto_nbd
from clv.numerics import pareto_future as future
from clv.numerics.pareto_future import Road, State
from clv.numerics.quadrature import discounted_purchases, discounted_time

COLUMNS = [
    np.array(v) for v in ([0.5, 1.3, 3.0, 20.0], [10.0, 15.0, 3.0, 40.0], [0.6, 0.6, 1.0, 3.0],
                          [11.0, 15.0, 30.0, 8.0])
]  # fmt: skip
WIDTHS = np.array([0.3, 1.0, 1.0, 1.0, 0.4, 5.0, 5.0])
END = float(WIDTHS.sum())


def changing(seed: int = 0) -> State:
    rng = np.random.default_rng(seed)
    size = (4, len(WIDTHS))
    road = Road(WIDTHS, np.exp(rng.normal(size=size)), np.exp(rng.normal(size=size)))
    return State(*COLUMNS, road)


def shortened(state: State, t: float) -> State:
    return state._replace(road=future.until(state.road, t))


def test_without_change_it_is_the_plain_model() -> None:
    one = np.ones((1, len(WIDTHS)))
    state, plain = State(*COLUMNS, Road(WIDTHS, one, one)), pareto_nbd.State(*COLUMNS)
    for found, expected in (
        (future.survival(state), pareto_nbd.survival(plain, END)),
        (future.expected_purchases(state), pareto_nbd.expected_purchases(plain, END)),
        (future.no_purchase_probability(state), pareto_nbd.no_purchase_probability(plain, END)),
        *(
            (future.purchase_count_pmf(state, n), pareto_nbd.purchase_count_pmf(plain, n, END))
            for n in (0, 1, 7, 60)
        ),
        (
            future.discounted_purchases(state, 0.03),
            discounted_purchases(
                lambda t: pareto_nbd.expected_purchases(plain, t),
                END,
                0.03,
                pareto_nbd.time_scale(plain),
            ),
        ),
        (
            future.discounted_time(state, 0.03),
            discounted_time(
                lambda t: pareto_nbd.survival(plain, t), END, 0.03, pareto_nbd.time_scale(plain)
            ),
        ),
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-9)
    q = np.array([0.1, 0.2, 0.5, 0.9])
    np.testing.assert_allclose(
        future.next_purchase_quantile(state, q),
        pareto_nbd.next_purchase_quantile(plain, q),
        rtol=1e-9,
    )


def test_counts_add_up() -> None:
    state = changing()
    n = np.arange(4000)
    pmf = np.array([future.purchase_count_pmf(state, k) for k in n[:400]])
    assert pmf.sum(axis=0)[:3] == pytest.approx(np.ones(3), abs=1e-9)
    assert (n[:400] @ pmf)[:3] == pytest.approx(future.expected_purchases(state)[:3], rel=1e-7)
    assert pmf[0] == pytest.approx(future.no_purchase_probability(state), rel=1e-9)


def test_two_stretches_are_one() -> None:
    """Purchases in all are those of a first part and, of who lives on, those of the rest."""
    state = changing(1)
    first = shortened(state, 2.3)
    a, d = (clock[:, -1] for clock in future.exposures(first.road))
    rest = State(
        state.shape,
        state.rate,
        state.s,
        state.beta + d,
        Road(WIDTHS[3:], state.road.purchase[:, 3:], state.road.dropout[:, 3:]),
    )
    rest = rest._replace(road=rest.road._replace(widths=np.array([1.0, 0.4, 5.0, 5.0])))
    again = future.survival(first) * future.expected_purchases(rest)
    np.testing.assert_allclose(
        future.expected_purchases(first) + again, future.expected_purchases(state), rtol=1e-12
    )
    silent = rest._replace(rate=state.rate + a)
    neither = (state.rate / (state.rate + a)) ** state.shape * future.survival(first)
    np.testing.assert_allclose(
        future.no_purchase_probability(first)
        - neither * (1 - future.no_purchase_probability(silent)),
        future.no_purchase_probability(state),
        rtol=1e-11,
    )


def test_quantiles_invert_the_probability() -> None:
    state = changing(2)
    most = 1 - future.no_purchase_probability(state)
    for share in (0.05, 0.5, 0.95):
        time = future.next_purchase_quantile(state, share * most)
        for i, t in enumerate(time):
            one = State(
                *(column[[i]] for column in COLUMNS),
                Road(WIDTHS, state.road.purchase[[i]], state.road.dropout[[i]]),
            )
            found = 1 - future.no_purchase_probability(shortened(one, t))[0]
            assert found == pytest.approx(share * most[i], rel=1e-8)
    assert np.isinf(future.next_purchase_quantile(state, most + 1e-9)).all()


def test_discounting_is_a_sum_over_short_stretches() -> None:
    state, delta = changing(3), 0.08
    times = np.linspace(0.0, END, 2001)[1:]
    total = np.array([future.expected_purchases(shortened(state, t)) for t in times])
    steps = np.diff(total, axis=0, prepend=0.0)
    middle = times - END / 4000
    np.testing.assert_allclose(
        np.exp(-delta * middle) @ steps, future.discounted_purchases(state, delta), rtol=1e-6
    )
    alive = np.array([future.survival(shortened(state, t)) for t in middle[::10] + 9 * END / 4000])
    weights = np.exp(-delta * (middle[::10] + 9 * END / 4000)) * END / 200
    np.testing.assert_allclose(weights @ alive, future.discounted_time(state, delta), rtol=5e-4)


def test_simulated_futures_have_these_means() -> None:
    state, draws, delta = changing(4), 40_000, 0.05
    columns = State(*(column[:, None] for column in COLUMNS), state.road)
    paths = future.sample_purchases(columns, np.random.default_rng(11), (4, draws))
    counts = paths.counts
    error = counts.std(axis=1) / np.sqrt(draws)
    assert (np.abs(counts.mean(axis=1) - future.expected_purchases(state)) < 4 * error).all()
    for n in (0, 2):
        chance = future.purchase_count_pmf(state, n)
        spread = np.sqrt(chance * (1 - chance) / draws)
        assert (np.abs((counts == n).mean(axis=1) - chance) < 4 * spread).all()
    of_customer = np.repeat(np.arange(4), counts.sum(axis=1))
    early = np.bincount(of_customer[paths.times < 2.7], minlength=4) / draws
    expected = future.expected_purchases(shortened(state, 2.7))
    assert (np.abs(early - expected) < 4 * error).all()
    worth = np.bincount(of_customer, np.exp(-delta * paths.times)) / draws
    assert (np.abs(worth - future.discounted_purchases(state, delta)) < 4 * error).all()
    path = np.repeat(np.arange(counts.size), counts.reshape(-1))
    assert (np.diff(paths.times)[np.diff(path) == 0] > 0).all()
