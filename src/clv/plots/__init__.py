"""Pictures: each function draws on a matplotlib Axes and returns it.

Importing this imports no matplotlib. What a picture shows can be had as numbers from
`clv.plots.numbers`.
"""

from __future__ import annotations

from clv.plots.checks import predictive_check
from clv.plots.purchases import (
    calibration,
    frequency,
    probability_alive_matrix,
    retention_curve,
    tracking,
)
from clv.plots.segments import clv_to_cac, moves, stages, tiers
from clv.plots.value import (
    forecast_distribution,
    gains,
    predicted_against_historical,
    top_customers,
)

__all__ = [
    "calibration",
    "clv_to_cac",
    "forecast_distribution",
    "frequency",
    "gains",
    "moves",
    "predicted_against_historical",
    "predictive_check",
    "probability_alive_matrix",
    "retention_curve",
    "stages",
    "tiers",
    "top_customers",
    "tracking",
]
