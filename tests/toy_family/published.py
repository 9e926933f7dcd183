"""Poisson with death, against a number worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from contract import Example
from oracles.individual import DeathAtAnyTime

from clv.families import poisson_death

EXAMPLES = (
    Example({"interval": 9.0, "lifetime": 50.0}),
    Example({"interval": 2.0, "lifetime": 4.0}, span=20.0),
)


class EverybodyAlike(DeathAtAnyTime):
    """One rate of buying and one of dying."""

    def traits(self, parameters):
        rates = np.array([[1 / parameters.interval]]), np.array([1 / parameters.lifetime])
        return rates, np.ones((1, 1))


INDIVIDUAL = EverybodyAlike()


def test_by_hand() -> None:
    _, state = poisson_death.new_customer(poisson_death.Parameters(1.0, 2.0))
    # two purchases a lifetime; 1 - 1/e of them within a lifetime
    assert poisson_death.expected_purchases(state, 2.0) == pytest.approx(2 * (1 - np.exp(-1)))
