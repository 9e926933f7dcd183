"""One cut of a backtest, as its user sees it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

import numpy as np
import numpy.typing as npt

from clv.errors import DataError
from clv.evaluation.cut_scores import CutScores, Segment
from clv.evaluation.foreseen import Foreseen, Quantity
from clv.fitted import Fitted
from clv.numerics.backend import Array
from clv.tables._frame import Table
from clv.tables.rfm import RFM


@dataclass(frozen=True, repr=False)
class Cut:
    """One cut of a backtest: what was known, what every method foresaw, and what came.

    Attributes
    ----------
    cut, end
        Last day known, and last day foreseen.
    rfm
        One row for each of the n customers known at the cut, with the holdout; None where
        nobody was.
    actual
        By quantity ("purchases", "value"): what each customer did, shape (n,).
    foreseen
        By quantity, then method: `Foreseen`.
    scores
        By quantity: metrics, and those of resampled customers.
    place
        Of each customer among those of all cuts, shape (n,).
    segments
        Parts of the customers: cohorts, classes of frequency, and what was asked for.
    reason
        Why nothing was foreseen; empty otherwise.
    """

    cut: date
    end: date
    rfm: RFM | None = None
    actual: Mapping[Quantity, Array] = field(default_factory=dict)
    foreseen: Mapping[Quantity, Mapping[str, Foreseen]] = field(default_factory=dict)
    scores: Mapping[Quantity, CutScores] = field(default_factory=dict)
    place: npt.NDArray[np.int64] | None = field(default=None, repr=False)
    segments: tuple[Segment, ...] = field(default=(), repr=False)
    reason: str = ""

    def __repr__(self) -> str:
        if self.rfm is None:
            return f"Cut at {self.cut}: {self.reason}"
        return (
            f"Cut at {self.cut}: {len(self.rfm):,} customers, who then bought "
            f"{self.actual['purchases'].sum():,.0f} times up to {self.end}"
        )

    @property
    def table(self) -> RFM:
        """The table of customers.

        Raises
        ------
        DataError
            If nobody was known at the cut, or the time after it has not been observed.
        """
        if self.rfm is None:
            raise DataError(f"nothing was foreseen at {self.cut}: {self.reason}")
        return self.rfm

    def predictions(self, quantity: Quantity) -> dict[str, Array]:
        """By method, what it expected of each customer, shape (n,); without those that failed."""
        return {
            name: found.expected
            for name, found in self.foreseen.get(quantity, {}).items()
            if found.expected is not None
        }

    def fitted(self, method: str) -> Fitted:
        """The model that a method fitted at this cut: of purchases, or (of a value) of spend.

        Raises
        ------
        DataError
            If there is none.
        """
        for by_method in self.foreseen.values():
            found = by_method.get(method)
            if found is not None and found.fitted is not None:
                return found.fitted
        known = [m for by in self.foreseen.values() for m, f in by.items() if f.fitted is not None]
        raise DataError(
            f"no model {method!r} was fitted at {self.cut}; there are {', '.join(known) or 'none'}"
        )

    def customers(self, quantity: Quantity = "purchases") -> Table:
        """A row per customer: id, what happened (``actual``), and what each method expected."""
        columns = {"customer_id": self.table.data["customer_id"], "actual": self.actual[quantity]}
        return Table.from_columns({**columns, **self.predictions(quantity)}, like=self.table)
