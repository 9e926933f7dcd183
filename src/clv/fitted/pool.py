"""What a state of a stack is, and who answers questions about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np

from clv.families._pickling import HoldsFamilies
from clv.fitted import discounting
from clv.fitted.purchases import HISTORY_COLUMNS
from clv.numerics.backend import Array


class PooledState(NamedTuple):
    """A state of one member, and which one."""

    place: int
    state: Any


class Pool(HoldsFamilies):
    """The families of a stack, as far as functions of a state go: each asks its own."""

    NAME = "stacked"
    KIND = "purchase"
    PARAMETERS: ClassVar[Mapping[str, Any]] = {}
    STATE_COLUMNS = HISTORY_COLUMNS  #: the members' states depend on different parts of histories

    def __init__(self, families: Sequence[Any]) -> None:
        self.families = tuple(families)
        self.TITLE = f"Stack of {', '.join(str(family.TITLE) for family in families)}"

    def survival(self, state: PooledState, t: Any) -> Array:
        """P(still alive a time t from now)."""
        return np.asarray(self.families[state.place].survival(state.state, t))

    def expected_purchases(self, state: PooledState, t: Any) -> Array:
        """E[purchases within t]."""
        return np.asarray(self.families[state.place].expected_purchases(state.state, t))

    def no_purchase_probability(self, state: PooledState, t: Any) -> Array:
        """P(no purchase within t)."""
        return np.asarray(self.families[state.place].no_purchase_probability(state.state, t))

    def expected_purchases_ever(self, state: PooledState) -> Any:
        """Expected purchases without end; infinite where a member's are."""
        ever = getattr(self.families[state.place], "expected_purchases_ever", None)
        return np.inf if ever is None else ever(state.state)

    def discounted_purchases(self, state: PooledState, t: float, delta: float) -> Array:
        """Expected purchases within t, each discounted."""
        return discounting.discounted_purchases(self.families[state.place], state.state, t, delta)

    def discounted_time(self, state: PooledState, t: float, delta: float) -> Array:
        """Expected time alive within t, discounted."""
        return discounting.discounted_time(self.families[state.place], state.state, t, delta)
