"""Fitted spend models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from clv.errors import MissingColumnError
from clv.fitted.base import Fitted
from clv.numerics.backend import Array
from clv.numerics.histories import SpendHistory, ValueHistory
from clv.tables.rfm import RFM


class FittedSpend(Fitted):
    """A fitted spend model: what a purchase is worth."""

    @property
    def title(self) -> str:
        """Its name for people; says so where it looks at all purchases."""
        return f"{super().title}{LOOKED_AT.get(self.purchases, '')}"

    @property
    def purchases(self) -> str:
        """Which purchases it looks at: "repeat", or "all" or "each", the first included."""
        return str(self.options.get("purchases", "repeat"))

    def history(self, rfm: RFM) -> SpendHistory:
        """What the model looks at: purchases and their mean value, 0 and 0 where none count."""
        self.check_table(rfm)
        count, mean = self._columns(rfm)
        usable = (count > 0) & np.isfinite(mean)
        return SpendHistory(np.where(usable, count, 0.0), np.where(usable, mean, 0.0))

    def _columns(self, rfm: RFM) -> tuple[Array, Array]:
        return spend_columns(rfm, self.purchases)

    def expected_spend(self, rfm: RFM) -> Array:
        """E[value of a future purchase | history], shape (n,), in the table's currency.

        Customers without a purchase that counts get the population's mean; where that is
        infinite (q <= 1), the observed mean value of a purchase, as the notes say.
        """
        self.check_table(rfm)
        count, mean = self._columns(rfm)
        known = np.flatnonzero((count > 0) & np.isfinite(mean))
        matrix = self.spend_matrix(rfm)
        unknown = self.average(lambda p: self.family.expected_spend(p, _NOBODY), matrix)
        value = np.array(np.broadcast_to(unknown, len(rfm)))
        some = SpendHistory(count[known], mean[known])
        local = None if matrix is None else matrix[known]
        value[known] = self.average(lambda p: self.family.expected_spend(p, some), local)
        value[np.isinf(value)] = self.options["pooled_mean"]
        return value

    def expected_spend_new_customer(self, *, covariates: Mapping[str, Any] | None = None) -> float:
        """E[value of a purchase] of somebody unknown; infinite when q <= 1.

        `covariates` gives their values by name where the model has any.
        """
        matrix = self.matrix_of_one(covariates)
        return float(self.average(lambda p: self.family.expected_spend(p, _NOBODY), matrix)[0])

    @property
    def population_mean(self) -> float:
        """E[value of a purchase] of somebody unknown; infinite when q <= 1.

        With covariates there is no such figure for everybody: see `expected_spend_new_customer`.
        """
        return self.expected_spend_new_customer()

    def spend_matrix(self, rfm: RFM) -> Array | None:
        """What the design makes of every row of the table; None without covariates."""
        return self.matrix_of(rfm, {name: rfm.numbers(name) for name in self.covariates})


#: What follows the name of a spend model, by the purchases that it looks at.
LOOKED_AT = {"all": " of all purchases", "each": " of each purchase"}

_NOBODY = SpendHistory(np.zeros(1), np.zeros(1))


def spend_columns(rfm: RFM, purchases: str) -> tuple[Array, Array]:
    """Number of purchases and their mean value: of the repeat purchases, or of all."""
    frequency = rfm.array("frequency")
    if purchases == "repeat":
        return frequency, rfm.array("monetary_value")
    return frequency + 1.0, rfm.array("mean_purchase_value")


class SpendRows(NamedTuple):
    """What a spend model is fitted to."""

    history: SpendHistory | ValueHistory
    weights: Array
    places: Any  #: rows of the table, in memory, that they are
    candidates: int  #: customers with a purchase of the kind, of whatever value


def spend_rows(rfm: RFM, purchases: str) -> SpendRows:
    """The customers whose mean value, or every single value, can be used.

    Raises
    ------
    MissingColumnError
        If each value is to be looked at and the table does not tell them.
    """
    if purchases == "each" and "sum_log_values" not in rfm.data:
        raise MissingColumnError(
            "purchases='each' looks at the value of each purchase, and the table has no "
            "sum_log_values; make it with clv.rfm_summary, name the column in "
            "clv.rfm_table(..., sum_log_values=), or take purchases='all'"
        )
    if not rfm.in_memory:
        return _rows_elsewhere(rfm, purchases)
    count, mean = spend_columns(rfm, purchases)
    candidates = int(np.count_nonzero(count > 0))
    if purchases == "each":
        logs = rfm.array("sum_log_values")
        usable = np.flatnonzero(np.isfinite(logs) & (mean > 0))
        history: Any = ValueHistory(count[usable], mean[usable], logs[usable])
    else:
        usable = np.flatnonzero((count > 0) & (mean > 0))
        history = SpendHistory(count[usable], mean[usable])
    return SpendRows(history, np.ones(len(usable)), usable, candidates)


def _rows_elsewhere(rfm: Any, purchases: str) -> SpendRows:
    if purchases == "each":
        every = rfm.weighted("frequency", "mean_purchase_value", "sum_log_values")
        usable = np.flatnonzero(np.isfinite(every.columns[2]))
        count, mean, logs = (column[usable] for column in every.columns)
        values = ValueHistory(count + 1.0, mean, logs)
        return SpendRows(values, every.weights[usable], None, len(rfm))
    if purchases == "all":
        every = rfm.weighted("frequency", "mean_purchase_value")
        usable = np.flatnonzero(every.columns[1] > 0)
        history = SpendHistory(every.columns[0][usable] + 1.0, every.columns[1][usable])
        return SpendRows(history, every.weights[usable], None, len(rfm))
    rows = rfm.pairs("frequency", "monetary_value")
    (frequency,), weights = rfm.weighted("frequency")
    return SpendRows(
        SpendHistory(*rows.columns), rows.weights, None, int(weights[frequency > 0].sum())
    )
