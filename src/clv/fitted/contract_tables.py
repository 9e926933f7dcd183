"""What fitted contract models answer in tables."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np

from clv.tables._frame import Table, counted


@dataclass(frozen=True, repr=False, eq=False)
class RenewalsDue(Table):
    """Renewals that come up within some days; a table with one row for each. See `renewals_due`."""

    as_of: date | None = None
    until: date | None = None
    notes: tuple[str, ...] = ()

    def _title(self) -> str:
        due, made = len(self), float(np.sum(self.array("probability")))
        number = counted(due, "renewal", "renewals")
        return f"{number} due from {self.as_of} to {self.until}, {made:,.1f} expected to be made"


@dataclass(frozen=True, repr=False, eq=False)
class ContractForecast(Table):
    """What is expected of contracts; a table with one row for each. See `forecast`."""

    as_of: date | None = None
    period: str = "year"
    horizon: int | None = None
    discount_rate: float = 0.0
    interval: float | None = None
    notes: tuple[str, ...] = ()

    def _title(self) -> str:
        ahead = (
            "without end"
            if self.horizon is None
            else counted(self.horizon, "renewal", "renewals") + " ahead"
        )
        return f"Forecast of {counted(len(self), 'contract', 'contracts')}, {ahead} of {self.as_of}"
