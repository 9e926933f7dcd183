"""What a model knows of its customers, as plain arrays."""

from __future__ import annotations

from typing import Any, NamedTuple

from clv.numerics.backend import Array


class PurchaseHistory(NamedTuple):
    """When customers bought. Every field has shape (n,), times in the table's unit."""

    frequency: Array  #: x: repeat purchases
    recency: Array  #: t_x: age at the last purchase
    T: Array  #: age at the end of the observation

    def take(self, rows: Any) -> PurchaseHistory:
        """The chosen rows."""
        return PurchaseHistory(*(field[rows] for field in self))


class IntervalHistory(NamedTuple):
    """A `PurchaseHistory` that also tells how regular the purchases were."""

    frequency: Array  #: x: repeat purchases
    recency: Array  #: t_x: age at the last purchase
    T: Array  #: age at the end of the observation
    sum_log_intervals: Array  #: sum of ln(interval between successive purchases)

    def take(self, rows: Any) -> IntervalHistory:
        """The chosen rows."""
        return IntervalHistory(*(field[rows] for field in self))


class SpendHistory(NamedTuple):
    """How much customers spent. Every field has shape (n,), in the table's currency."""

    purchases: Array  #: how many are behind the mean
    mean_value: Array  #: mean value of these purchases

    def take(self, rows: Any) -> SpendHistory:
        """The chosen rows."""
        return SpendHistory(*(field[rows] for field in self))


class ValueHistory(NamedTuple):
    """A `SpendHistory` that also tells how much the purchases of a customer differ."""

    purchases: Array  #: how many are behind the mean
    mean_value: Array  #: mean value of these purchases
    sum_log_values: Array  #: sum of ln(value of a purchase)

    def take(self, rows: Any) -> ValueHistory:
        """The chosen rows."""
        return ValueHistory(*(field[rows] for field in self))


class ContractHistory(NamedTuple):
    """How often contracts were renewed. Every field has shape (n,)."""

    renewals: Array  #: how often so far
    churned: Array  #: 1 where the next renewal was not made, 0 where it has not come up

    def take(self, rows: Any) -> ContractHistory:
        """The chosen rows."""
        return ContractHistory(*(field[rows] for field in self))
