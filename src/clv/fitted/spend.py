"""Fitted spend models."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from clv import families
from clv.errors import MissingColumnError
from clv.fitted.base import Fitted
from clv.inference.maximum_likelihood import Derivatives, derivatives_of
from clv.numerics.backend import Array
from clv.numerics.histories import SpendHistory, ValueHistory
from clv.numerics.sums import dot
from clv.tables._rows import column_of
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
    return _columns(purchases, rfm.array)


def _columns(purchases: str, array: Callable[[str], Array]) -> tuple[Array, Array]:
    frequency = array("frequency")
    if purchases == "repeat":
        return frequency, array("monetary_value")
    return frequency + 1.0, array("mean_purchase_value")


class SpendRows(NamedTuple):
    """What a spend model is fitted to."""

    history: SpendHistory | ValueHistory
    weights: Array
    places: Any  #: rows of the table, in memory, that they are
    candidates: int  #: customers with a purchase of the kind, of whatever value
    buyers: int  #: customers whose values can be used
    mean: float  #: of all their purchases
    derivatives: Derivatives | None = None  #: of all rows, where those above are only some


def spend_rows(rfm: RFM, purchases: str, sums: str | None = None) -> SpendRows:
    """The customers whose mean value, or every single value, can be used.

    Parameters
    ----------
    rfm, purchases
        The table, and what a spend model looks at.
    sums
        The family that is content with some rows, and sums over all, where these are too many to
        come here; None: all rows are needed.

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
        return _rows_elsewhere(rfm, purchases, sums)
    history, places, candidates = _usable(purchases, rfm.array)
    return _every(history, np.ones(len(places)), places, candidates)


def _usable(purchases: str, array: Callable[[str], Array]) -> tuple[Any, Any, int]:
    """Histories that can be used, the rows that they are, and how many have such a purchase."""
    count, mean = _columns(purchases, array)
    candidates = int(np.count_nonzero(count > 0))
    if purchases == "each":
        logs = array("sum_log_values")
        usable = np.flatnonzero(np.isfinite(logs) & (mean > 0))
        return ValueHistory(count[usable], mean[usable], logs[usable]), usable, candidates
    usable = np.flatnonzero((count > 0) & (mean > 0))
    return SpendHistory(count[usable], mean[usable]), usable, candidates


def _every(history: Any, weights: Array, places: Any, candidates: int) -> SpendRows:
    """All rows there are."""
    bought = weights * history.purchases
    worth, number = dot(bought, history.mean_value), float(bought.sum())
    return SpendRows(
        history, weights, places, candidates, int(weights.sum()), worth / number if number else 0.0
    )


# --- rows that are elsewhere -----------------------------------------------------------------

#: With more buyers than this outside of memory, sums over them come to a fit, and `SOME` rows.
MOST, SOME = 20_000_000, 500_000


def _rows_elsewhere(rfm: Any, purchases: str, sums: str | None) -> SpendRows:
    (frequency,), weights = rfm.weighted("frequency")
    candidates = int(weights[frequency > 0].sum()) if purchases == "repeat" else len(rfm)
    if sums is not None and candidates > MOST:
        return _some(rfm, purchases, candidates, sums)
    if purchases == "repeat":
        rows = rfm.pairs("frequency", "monetary_value")
        return _every(SpendHistory(*rows.columns), rows.weights, None, candidates)
    every = rfm.weighted(*_NAMES[purchases])
    column = dict(zip(_NAMES[purchases], every.columns, strict=True))
    history, usable, _ = _usable(purchases, column.__getitem__)
    return _every(history, every.weights[usable], None, candidates)


_NAMES = {
    "repeat": ("frequency", "monetary_value"),
    "all": ("frequency", "mean_purchase_value"),
    "each": ("frequency", "mean_purchase_value", "sum_log_values"),
}


def _some(rfm: Any, purchases: str, candidates: int, family: str) -> SpendRows:
    """Some of the rows, and what is asked of all of them where they are."""
    every = max(1, candidates // SOME)
    found = rfm.place.gather(partial(_tally, purchases, every), _NAMES[purchases])
    buyers, bought, worth = (sum(part[i] for part in found) for i in range(3))
    kind = ValueHistory if purchases == "each" else SpendHistory
    history = kind(
        *(np.concatenate(columns) for columns in zip(*(part[3] for part in found), strict=True))
    )
    weights = np.full(len(history.purchases), buyers / max(1, len(history.purchases)))

    def derivatives(parameters: Array) -> tuple[float, Array, Array]:
        part = partial(_derivatives, family, purchases, parameters)
        parts = rfm.place.gather(part, _NAMES[purchases])
        return tuple(sum(part[i] for part in parts) for i in range(3))

    return SpendRows(
        history, weights, None, candidates, buyers, worth / max(1.0, bought), derivatives
    )


def _of_part(purchases: str, table: Any) -> Any:
    def array(name: str) -> Array:
        return np.asarray(column_of(name, table[name]), dtype=np.float64)

    return _usable(purchases, array)[0]


def _tally(purchases: str, step: int, table: Any) -> tuple[int, float, float, tuple[Array, ...]]:
    """Of one part: its buyers, their purchases, what these were worth, and every `step`-th row."""
    history = _of_part(purchases, table)
    count, mean = history[:2]
    few = tuple(column[::step] for column in history)
    return len(count), float(count.sum()), dot(count, mean), few


def _derivatives(
    family: str, purchases: str, parameters: Array, table: Any
) -> tuple[float, Array, Array]:
    """Of one part: the log-likelihood and its derivatives."""
    history = _of_part(purchases, table)
    ones = np.ones(len(history.purchases))
    with np.errstate(all="ignore"):  # a step too far is seen by its infinite value
        return derivatives_of(families.find(family), history, ones)(parameters)
