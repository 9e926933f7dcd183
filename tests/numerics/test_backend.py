"""The numpy vocabulary against mpmath, and that all vocabularies offer the same words."""

from __future__ import annotations

import inspect

import mpmath as mp
import numpy as np
import pytest
from oracles import mp_backend

from clv.numerics import backend, jets

WORDS = [name for name, _ in inspect.getmembers(backend.Backend, inspect.isfunction)]
WORDS = [name for name in WORDS if not name.startswith("_")]


def test_every_vocabulary_has_every_word() -> None:
    assert len(WORDS) >= 7
    for vocabulary in (backend, jets, mp_backend):
        assert not [word for word in WORDS if not hasattr(vocabulary, word)]


@pytest.mark.parametrize("word", ["log", "log1p", "exp", "softplus", "log1mexp", "gammaln"])
def test_functions_of_one_argument(word: str) -> None:
    for x in (1e-12, 0.3, 1.0, 2.0, 35.0):
        with mp.workdps(40):
            exact = float(getattr(mp_backend, word)(mp.mpf(x)))
        assert getattr(backend, word)(x) == pytest.approx(exact, rel=1e-14, abs=1e-14)


@pytest.mark.parametrize("word", ["log_rising", "log_beta"])
@pytest.mark.parametrize("a", [1e-9, 0.4, 3.0, 1e5, 1e11])
@pytest.mark.parametrize("b", [1e-9, 0.7, 12.0, 1e6, 1e11])
def test_functions_of_two_arguments(word: str, a: float, b: float) -> None:
    with mp.workdps(60):
        exact = float(getattr(mp_backend, word)(mp.mpf(a), mp.mpf(b)))
    assert getattr(backend, word)(a, b) == pytest.approx(exact, rel=1e-12)


def test_shapes_broadcast() -> None:
    column, row = np.array([[1.0], [2.0]]), np.array([1.0, 2.0, 3.0])
    for word in ("log_rising", "log_beta"):
        assert getattr(backend, word)(column, row).shape == (2, 3)
    assert backend.softplus(column).shape == (2, 1)
    assert backend.where(row > 1, row, 0.0).tolist() == [0.0, 2.0, 3.0]


def test_softplus_at_the_ends() -> None:
    assert backend.softplus([-1e4, 1e4]).tolist() == [0.0, 1e4]
    assert backend.softplus(-40.0) == pytest.approx(np.exp(-40.0), rel=1e-12)
