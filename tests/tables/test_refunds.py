from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracles.naive_summary import net

from clv.tables.refunds import net_refunds

lines_of_one = st.lists(st.tuples(st.integers(0, 15), st.integers(-40, 40)), min_size=1)


def days(customers):
    """Lines of several customers as the arrays that net_refunds takes."""
    group, day, value, lowest = [], [], [], []
    for number, lines in enumerate(customers):
        for d in sorted({d for d, _ in lines}):
            amounts = [cents / 100 for own, cents in lines if own == d]
            group.append(number)
            day.append(d)
            value.append(sum(amounts))
            lowest.append(min(amounts))
    return np.array(group), np.array(day), np.array(value), np.array(lowest)


@given(st.lists(lines_of_one, min_size=1, max_size=6))
def test_against_counting_cents_one_by_one(customers):
    group, day, value, lowest = days(customers)
    netted = net_refunds(group, value, lowest)
    for number, lines in enumerate(customers):
        expected = net(lines)
        rows = (group == number) & netted.is_purchase
        assert day[rows].tolist() == sorted(expected.purchases)
        np.testing.assert_allclose(
            netted.value[rows],
            [expected.purchases[d] / 100 for d in sorted(expected.purchases)],
            atol=1e-9,
        )
        assert netted.unmatched[group == number].sum() == pytest.approx(
            expected.unmatched / 100, abs=1e-9
        )
    assert np.all(netted.value[~netted.is_purchase] == 0)


@given(st.lists(lines_of_one, min_size=1, max_size=6))
def test_nothing_is_lost(customers):
    group, _, value, lowest = days(customers)
    netted = net_refunds(group, value, lowest)
    assert netted.value.sum() - netted.unmatched.sum() == pytest.approx(value.sum(), abs=1e-9)
    assert np.all(netted.unmatched >= 0)
    assert np.all(netted.value >= 0)


@given(lines_of_one)
def test_a_later_refund_leaves_the_days_after_it_alone(lines):
    """What happens after a refund has no part in what it is taken from."""
    group, _day, value, lowest = days([lines])
    refunds = np.flatnonzero(value < 0)
    if refunds.size == 0:
        return
    last = refunds[-1] + 1
    whole = net_refunds(group, value, lowest)
    before = net_refunds(group[:last], value[:last], lowest[:last])
    np.testing.assert_array_equal(whole.is_purchase[:last], before.is_purchase)
    np.testing.assert_allclose(whole.value[:last], before.value, atol=1e-9)
    np.testing.assert_allclose(whole.value[last:], value[last:], atol=1e-9)


def netted(*amounts, group=None):
    value = np.array(amounts, dtype=float)
    group = np.zeros(value.size, dtype=np.int64) if group is None else np.array(group)
    return net_refunds(group, value, np.minimum(value, 0.0))


def test_last_in_first_out_and_cascading():
    result = netted(10, 20, 30, -45, 5, -3)
    assert result.value.tolist() == [10, 5, 0, 0, 2, 0]
    assert result.is_purchase.tolist() == [True, True, False, False, True, False]
    assert result.unmatched.tolist() == [0] * 6


def test_what_is_left_over_is_reported():
    result = netted(10, -25, 8, -3)
    assert result.value.tolist() == [0, 0, 5, 0]
    assert result.unmatched.tolist() == [0, 15, 0, 0]


def test_refunds_stay_with_their_customer():
    result = netted(10, 20, -5, -30, group=[0, 1, 2, 2])
    assert result.value.tolist() == [10, 20, 0, 0]
    assert result.unmatched.tolist() == [0, 0, 5, 30]


def test_a_free_day_is_a_purchase_that_refunds_pass_over():
    result = netted(10, 0, 0, -4, 0, -6)
    assert result.value.tolist() == [0, 0, 0, 0, 0, 0]
    assert result.is_purchase.tolist() == [False, True, True, False, True, False]


def test_a_day_refunded_to_zero_is_no_purchase():
    value, lowest = np.array([5.0, 0.0]), np.array([5.0, -7.0])
    assert net_refunds(np.zeros(2, np.int64), value, lowest).is_purchase.tolist() == [True, False]


def test_rounding_is_not_a_purchase():
    same_day = 0.1 + 0.2 - 0.3  # 5.6e-17
    result = net_refunds(np.zeros(1, np.int64), np.array([same_day]), np.array([-0.3]))
    assert not result.is_purchase[0]
    later = netted(0.1 + 0.2, -0.3)
    assert not later.is_purchase.any()
    assert later.unmatched.sum() == 0
    cents_in_millions = netted(1e6, 0.01, -0.01)
    assert cents_in_millions.value.tolist() == [1e6, 0, 0]


def test_nothing_to_do_without_refunds():
    value = np.array([1.0, 0.0])
    result = net_refunds(np.zeros(2, np.int64), value, value)
    assert result.value is value
    assert result.is_purchase.all()


def test_the_input_is_left_alone():
    value = np.array([10.0, -4.0])
    value.flags.writeable = False
    assert net_refunds(np.zeros(2, np.int64), value, value).value.tolist() == [6, 0]


@pytest.mark.parametrize("shape", ["one customer", "many customers", "one large purchase"])
def test_time_is_linear_in_refunds(shape):
    n = 200_000
    value = np.tile([2.0, -1.0], n)
    group = np.zeros(2 * n, np.int64) if shape == "one customer" else np.arange(2 * n) // 8
    if shape == "one large purchase":
        group = np.zeros(2 * n, np.int64)
        value = np.concatenate([[1e9], np.zeros(n), np.full(n - 1, -1.0)])
    started = time.process_time()
    net_refunds(group, value, np.minimum(value, 0))
    assert time.process_time() - started < 3
