"""Pictures: each function draws on a matplotlib Axes and returns it.

Importing this imports no matplotlib. What a picture shows can be had as numbers from
`clv.plots.numbers`.
"""

from __future__ import annotations

from clv.plots.purchases import (
    calibration,
    frequency,
    probability_alive_matrix,
    retention_curve,
    tracking,
)
from clv.plots.value import (
    forecast_distribution,
    gains,
    predicted_against_historical,
    top_customers,
)

__all__ = [
    "calibration",
    "forecast_distribution",
    "frequency",
    "gains",
    "predicted_against_historical",
    "probability_alive_matrix",
    "retention_curve",
    "top_customers",
    "tracking",
]
