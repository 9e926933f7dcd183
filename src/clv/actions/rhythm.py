"""A customer's own rhythm: how often they order, and how long they have been silent."""

from __future__ import annotations

import numpy as np

from clv.tables.rfm import RFM
from clv.units import DAYS_PER_UNIT


class Rhythm:
    """In days, per customer: the intervals between purchases, and the silence since the last.

    Attributes
    ----------
    intervals
        Purchases less one, shape (n,).
    span
        From the first purchase to the last.
    usual
        Mean interval; nan of who bought once.
    silence
        Since the last purchase.
    """

    def __init__(self, rfm: RFM) -> None:
        unit = DAYS_PER_UNIT[rfm.time_unit]
        self.intervals = rfm.array("frequency")
        self.span = rfm.array("recency") * unit
        self.silence = (rfm.array("T") - rfm.array("recency")) * unit
        with np.errstate(invalid="ignore"):
            self.usual = self.span / self.intervals

    def text(self, k: int) -> str:
        """The rhythm of the customer in row `k`, in words."""
        days = round(float(self.silence[k]))
        ago = "today" if days == 0 else f"{days} day{'s' if days > 1 else ''} ago"
        if self.intervals[k] == 0:
            return f"1 order, {ago}"
        return f"{self.intervals[k] + 1:.0f} orders, one every {self.usual[k]:.0f} days, last {ago}"
