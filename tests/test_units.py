"""Time units, horizons and discount rates."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clv.errors import DataError
from clv.units import DAYS_PER_UNIT, check_time_unit, discount_rate_per_unit, parse_horizon

UNITS = st.sampled_from(list(DAYS_PER_UNIT))


@given(st.floats(0.01, 1e4), UNITS, UNITS)
def test_a_text_means_the_same_in_every_unit(length: float, written: str, wanted: str) -> None:
    value = parse_horizon(f"{length:.6f} {written}s", wanted)  # type: ignore[arg-type]
    days = float(f"{length:.6f}") * DAYS_PER_UNIT[written]  # type: ignore[index]
    assert value * DAYS_PER_UNIT[wanted] == pytest.approx(days)  # type: ignore[index]


@given(st.floats(0, 3), UNITS)
def test_a_payment_in_a_year_is_worth_the_same_in_every_unit(rate: float, unit: str) -> None:
    delta = discount_rate_per_unit(rate, unit)  # type: ignore[arg-type]
    units_per_year = 365.25 / DAYS_PER_UNIT[unit]  # type: ignore[index]
    assert math.exp(-delta * units_per_year) == pytest.approx(1 / (1 + rate))


@pytest.mark.parametrize("text", ["", "weeks", "52 fortnights", "-3 weeks", "1e3 days", "nan"])
def test_what_cannot_be_read(text: str) -> None:
    with pytest.raises(DataError):
        parse_horizon(text, "week")


@pytest.mark.parametrize("value", [0, -1, math.nan, math.inf])
def test_lengths_that_are_none(value: float) -> None:
    with pytest.raises(DataError, match="positive, finite"):
        parse_horizon(value, "week")


@pytest.mark.parametrize("rate", [-0.1, 10, math.nan, math.inf])
def test_rates_that_are_none(rate: float) -> None:
    with pytest.raises(DataError, match="effective rate per year"):
        discount_rate_per_unit(rate, "week")


def test_unit_names() -> None:
    assert [check_time_unit(name) for name in ("Day", "WEEKS", " month ")] == [
        "day",
        "week",
        "month",
    ]
    with pytest.raises(DataError, match="'quarter' is not known; use one of"):
        check_time_unit("quarter")
