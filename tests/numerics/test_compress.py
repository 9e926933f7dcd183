from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from clv.numerics.compress import Compressed, compress
from clv.units import DAYS_PER_UNIT


def check(columns: list[np.ndarray]) -> Compressed:
    """Exact, complete, distinct and in order."""
    result = compress(columns)
    for distinct, column in zip(result.columns, columns, strict=True):
        np.testing.assert_array_equal(distinct[result.inverse], column)
        assert distinct.dtype == np.float64
    assert result.weights.dtype == np.float64
    np.testing.assert_array_equal(
        result.weights, np.bincount(result.inverse, minlength=len(result.weights))
    )
    rows = list(zip(*(c.tolist() for c in result.columns), strict=True))
    assert rows == sorted(set(rows)) or any(np.isnan(c).any() for c in columns)
    return result


def ages(days: np.ndarray, unit: str) -> np.ndarray:
    return days / DAYS_PER_UNIT[unit]


@pytest.mark.parametrize("unit", DAYS_PER_UNIT)
@pytest.mark.parametrize("n", [1, 10, 5_000, 200_000])
def test_ages_in_every_unit(unit, n):
    rng = np.random.default_rng(n)
    frequency = rng.poisson(rng.gamma(0.5, 3, n)).astype(float)
    age = rng.integers(0, 800, n)
    recency = np.where(frequency > 0, (age * rng.random(n)).astype(int), 0)
    result = check([frequency, ages(recency, unit), ages(age, unit)])
    stacked = np.column_stack([frequency, ages(recency, unit), ages(age, unit)])
    expected, counts = np.unique(stacked, axis=0, return_counts=True)
    np.testing.assert_array_equal(np.column_stack(result.columns), expected)
    np.testing.assert_array_equal(result.weights, counts)


def test_counting_below_and_sorting_above_the_border_meet(monkeypatch):
    from clv.numerics import compress as module

    rng = np.random.default_rng(3)
    # Many rows with few keys, then few rows with many keys.
    first = np.concatenate([np.zeros(5_000), rng.integers(1, 300, 1_000)])
    second = rng.integers(0, 500, 6_000).astype(float)
    called = []
    for name in ("_distinct_by_counting", "_distinct_by_sorting"):
        original = getattr(module, name)
        monkeypatch.setattr(
            module, name, lambda *a, f=original, name=name: (called.append(name), f(*a))[1]
        )
    check([first, second])
    assert sorted(called) == ["_distinct_by_counting", "_distinct_by_sorting"]


values = st.one_of(
    st.floats(-1e9, 1e9),
    st.integers(-(2**40), 2**40).map(float),
    st.integers(0, 900).map(lambda days: days / 7),
    st.sampled_from([0.0, -0.0, 1.5, np.inf, -np.inf]),
)


@given(st.integers(1, 4).flatmap(lambda k: hnp.arrays(float, (k, 30), elements=values)))
def test_any_numbers(rows):
    check(list(rows))


@given(hnp.arrays(np.int8, (3, 50), elements=st.integers(0, 2)))
def test_many_equal_rows(rows):
    check([row.astype(float) for row in rows])


def test_missing_values_are_equal():
    result = check([np.array([np.nan, 1.0, np.nan])])
    np.testing.assert_array_equal(result.weights, [1, 2])


def test_more_combinations_than_a_key_can_hold():
    rng = np.random.default_rng(5)
    columns = [rng.permutation(3_000) * 1e7 + rng.random() for _ in range(7)]
    columns.append(columns[0])
    assert len(check([*columns]).weights) == 3_000
    doubled = [np.concatenate([c, c]) for c in columns]
    np.testing.assert_array_equal(check(doubled).weights, np.full(3_000, 2.0))


def test_a_fraction_beyond_the_first_thousand_rows_is_seen():
    column = np.arange(5_000.0)
    column[4_000] += 1e-9
    check([column])


def test_no_rows():
    result = compress([[], []])
    assert len(result.columns) == 2
    assert result.weights.size == 0
    assert result.inverse.size == 0


def test_the_caller_keeps_their_arrays():
    column = np.array([3.0, 1.0, 3.0])
    column.flags.writeable = False
    check([column, np.array([1.0, 2.0, 1.0])])


@pytest.mark.parametrize("columns", [[], [[1.0], [1.0, 2.0]], [[[1.0]]]])
def test_unusable_columns(columns):
    with pytest.raises(ValueError, match="columns of one length"):
        compress(columns)


@pytest.mark.parametrize("odd", [0.5, np.nan, np.inf, 3e9])
def test_one_number_off_the_grid_among_many_blocks(odd, monkeypatch):
    """The first rows say which grid it is; what none of them shows is found all the same."""
    monkeypatch.setattr("clv.numerics.threads.BLOCK", 500)
    monkeypatch.setattr("clv.numerics.threads.LARGE", 0)
    ages = np.random.default_rng(4).integers(-40, 60, 5_000).astype(float)
    plain = compress([ages])
    assert plain.columns[0].tolist() == sorted(set(ages.tolist()))
    np.testing.assert_array_equal(plain.columns[0][plain.inverse], ages)
    ages[3_210] = odd
    found = compress([ages])
    np.testing.assert_array_equal(found.columns[0][found.inverse], ages)
    assert found.columns[0].size == plain.columns[0].size + 1
