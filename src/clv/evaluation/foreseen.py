"""What one method foresaw at one cut of a backtest."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from clv.evaluation.coverage import Distribution
from clv.fitted import Fitted

Floats = NDArray[np.float64]
Quantity = Literal["purchases", "value"]

QUANTITIES: tuple[Quantity, ...] = ("purchases", "value")

MAXIMUM = "maximum"
PAST = "history"


@dataclass(frozen=True)
class Foreseen:
    """What one method foresaw at one cut.

    Attributes
    ----------
    method, label
        For programs and for people.
    quantity
        "purchases" or "value".
    is_model
        Or a historical figure.
    ended
        Of models: "maximum", the boundary that the fit ran to, or why there is no forecast.
        Of historical figures: "history", or why there is none.
    expected
        Expected figure of each customer, shape (n,); None where there is no forecast.
    fitted
        The purchase model, or of values the spend model; None for historical figures.
    parts
        Of values: the purchase and the spend candidate.
    probability_alive, probability_of_purchase
        P(alive) at the cut, and P(at least one purchase within the horizon); of purchases.
    distribution
        Where the actual figures lie in the predictive distributions, and central intervals;
        None for historical figures.
    """

    method: str
    label: str
    quantity: Quantity
    is_model: bool
    ended: str
    expected: Floats | None = field(default=None, repr=False)
    fitted: Fitted | None = field(default=None, repr=False)
    parts: tuple[str, ...] = ()
    probability_alive: Floats | None = field(default=None, repr=False)
    probability_of_purchase: Floats | None = field(default=None, repr=False)
    distribution: Distribution | None = field(default=None, repr=False)
