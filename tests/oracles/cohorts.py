"""Survivors of 1,000 customers, years 0 to 12: Fader & Hardie (2007), Table 1."""

from __future__ import annotations

from typing import Any

import numpy as np

from clv.inference.maximum_likelihood import Estimate, maximize
from clv.numerics.histories import ContractHistory

REGULAR = [1000, 631, 468, 382, 326, 289, 262, 241, 223, 207, 194, 183, 173]
HIGH_END = [1000, 869, 743, 653, 593, 551, 517, 491, 468, 445, 427, 409, 394]


def fit(family: Any, survivors: list[int]) -> Estimate:
    """Fit to one cohort."""
    count = np.array(survivors, dtype=float)
    years = np.arange(len(count))
    history = ContractHistory(
        np.append(years[:-1], years[-1]).astype(float), (years < len(count) - 1).astype(float)
    )
    return maximize(family, history, np.append(-np.diff(count), count[-1]), {})
