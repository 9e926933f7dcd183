"""Lists of the best customers, and who is on which."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clv.evaluation.migration import best, cells, matrix_rows


def test_cells_by_hand() -> None:
    history = best(np.array([9.0, 8.0, 1.0, 0.0]), 0.5)
    model = best(np.array([9.0, 1.0, 8.0, 0.0]), 0.5)
    cell = cells(history, model)
    assert cell.tolist() == ["both", "history_only", "model_only", "neither"]
    rows = matrix_rows("m", "M", cell, np.array([4.0, 3, 2, 1]), np.array([40.0, 30, 20, 10]))
    assert [row["customers"] for row in rows] == [1, 1, 1, 1]
    assert [row["value"] for row in rows] == [40, 30, 20, 10]
    assert [row["share_of_value"] for row in rows] == pytest.approx([0.4, 0.3, 0.2, 0.1])
    same = matrix_rows("m", "M", cells(history, history), np.ones(4), np.zeros(4))
    assert np.isnan(same[1]["value_per_customer"])
    assert np.isnan(same[0]["share_of_value"])


def test_ties_at_the_border() -> None:
    score, spent = np.array([1.0, 1.0, 1.0, 0.0]), np.array([1.0, 3.0, 2.0, 9.0])
    assert best(score, 0.5, spent).tolist() == [False, True, True, False]
    assert best(score, 0.5).tolist() == [True, True, False, False]
    assert best(np.ones(3), 0.01).sum() == 1


@given(st.lists(st.integers(0, 4), min_size=1, max_size=30), st.floats(0.01, 0.99))
def test_a_list_has_its_length_and_nobody_outside_scores_higher(
    values: list[int], share: float
) -> None:
    score = np.array(values, dtype=float)
    chosen = best(score, share)
    assert chosen.sum() == max(1, round(share * score.size))
    if not chosen.all():
        assert score[chosen].min() >= score[~chosen].max()
