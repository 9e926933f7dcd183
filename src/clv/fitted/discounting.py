"""Discounting, and times that must be whole: where families differ in what time is."""

from __future__ import annotations

from typing import Any

import numpy as np

from clv.errors import DataError
from clv.numerics import quadrature
from clv.numerics.backend import Array
from clv.tables.rfm import RFM
from clv.units import TimeUnit, parse_horizon


def discounted_purchases(family: Any, state: Any, horizon: float, delta: float) -> Array:
    """Expected purchases within the horizon, discounted at the continuous rate `delta`.

    The family's own function where it has one; else an integral over time.
    """
    own = getattr(family, "discounted_purchases", None)
    if own is not None:
        return np.asarray(own(state, horizon, delta))
    return quadrature.discounted_purchases(
        lambda t: family.expected_purchases(state, t), horizon, delta, family.time_scale(state)
    )


def discounted_time(family: Any, state: Any, horizon: float, delta: float) -> Array:
    """Expected time alive within the horizon, discounted likewise."""
    own = getattr(family, "discounted_time", None)
    if own is not None:
        return np.asarray(own(state, horizon, delta))
    return quadrature.discounted_time(
        lambda t: family.survival(state, t), horizon, delta, family.time_scale(state)
    )


def horizon_of(family: Any, horizon: float | str, time_unit: TimeUnit) -> float:
    """A horizon as a number of `time_unit`; of opportunities where the family counts them.

    Raises
    ------
    DataError
        If it is no length of time, or no whole number of opportunities.
    """
    t = parse_horizon(horizon, time_unit)
    if not getattr(family, "WHOLE_TIMES", False):
        return t
    if abs(t - round(t)) > 1e-9 * t or round(t) == 0:
        raise DataError(
            f"{family.TITLE} counts opportunities, one in a {time_unit}: a horizon must be a whole "
            f"number of {time_unit}s, not {horizon!r} ({t:.4g}); give such as {max(1, round(t))}"
        )
    return float(round(t))


def check_whole_times(family: Any, rfm: RFM) -> None:
    """Refuse a table of ages for a family that counts opportunities.

    Raises
    ------
    DataError
        Naming the column, how many rows, the first one and what to do.
    """
    if not getattr(family, "WHOLE_TIMES", False):
        return
    for name in ("T", "recency"):
        values = rfm.array(name)
        _refuse(family, name, values != np.rint(values), values, "no whole number")
    used, last = rfm.array("frequency"), rfm.array("recency")
    _refuse(
        family, "frequency", used > last, used, "more than recency, the number of the last one used"
    )


def _refuse(family: Any, column: str, bad: Any, values: Array, complaint: str) -> None:
    if bad.any():
        first = int(np.argmax(bad))
        raise DataError(
            f"{family.TITLE} counts opportunities to buy, each used once or not at all: {column} "
            f"is {complaint} in {int(bad.sum()):,} of {bad.size:,} rows, the first is row "
            f"{first + 1} ({values[first]:g}). Make the table with clv.opportunity_summary, or "
            "give clv.rfm_table ages that are counted in opportunities"
        )
