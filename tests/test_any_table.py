"""Whatever the table: a fit with finite forecasts, or one clear error. Never a silent nan."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import clv
from clv.errors import BoundaryWarning, FitError
from clv.families import find
from clv.numerics.sampling import simulate_histories
from clv.tables.rfm import RFM


@st.composite
def tables(draw: st.DrawFn) -> RFM:
    """Bases of 2 to 150 customers, from hardly any repeat purchases to a hundred each."""
    n = draw(st.integers(2, 150))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = np.exp(draw(st.floats(-3, 3)))
    mean = np.exp(draw(st.floats(-3, 4.5)))
    leave = draw(st.floats(0.005, 0.9))
    alike = np.exp(draw(st.floats(-2, 4)))
    family = find(draw(st.sampled_from(["bg_nbd", "mbg_nbd"])))
    parameters = family.Parameters(shape, shape * 50 / mean, leave * alike, (1 - leave) * alike)
    history = simulate_histories(family, parameters, rng.uniform(1, 100, n), draw(st.integers(0)))
    bought = np.maximum(history.frequency, 1)
    value = rng.gamma(np.exp(draw(st.floats(-1, 4))) * bought) / bought
    value /= rng.gamma(np.exp(draw(st.floats(-0.5, 3))), size=n)
    frame = pd.DataFrame(history._asdict())
    frame["customer_id"] = np.arange(n)
    frame["monetary_value"] = np.where(history.frequency > 0, value, np.nan)
    frame["total_value"] = value * (history.frequency + 1)
    return clv.rfm_table(frame, time_unit="week", observation_period_end="2024-06-30")


@given(tables(), st.sampled_from(["BetaGeoModel", "ModifiedBetaGeoModel"]))
@settings(max_examples=12)
def test_a_forecast_is_finite_or_refused(rfm: RFM, model: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BoundaryWarning)
        try:
            purchases = getattr(clv, model)().fit(rfm)
            spend = clv.GammaGammaModel().fit(rfm)
        except FitError as error:
            assert "cannot be fitted" in str(error)  # noqa: PT017 - the other branch goes on
            return
    for horizon, kind in (("1 year", "predictive"), (None, "predictive"), (9, "expected")):
        forecast = clv.forecast(
            rfm, purchases, spend, horizon=horizon, draws=50, interval_kind=kind
        )
        for name in forecast.columns:
            if name == "customer_id" or name.startswith("next_purchase"):
                continue
            if name == "expected_purchases" and horizon is None:
                continue  # infinite for many parameters, and then missing
            values = forecast.array(name)
            assert np.isfinite(values).all(), name
            assert (values >= 0).all(), name
            if name.startswith(("probability", "survival", "churn")):
                assert (values <= 1).all(), name


@pytest.mark.parametrize("model", ["BetaGeoModel", "ModifiedBetaGeoModel"])
def test_extreme_histories_among_ordinary_ones(cdnow: RFM, model: str) -> None:
    """A customer who buys daily for years, and one seen first on the last day."""
    frame = cdnow.to_pandas()[
        ["customer_id", "frequency", "recency", "T", "monetary_value", "total_value"]
    ]
    extra = pd.DataFrame(
        {
            "customer_id": [-1, -2],
            "frequency": [5_000, 0],
            "recency": [5_000 / 7, 0.0],
            "T": [5_001 / 7, 0.0],
            "monetary_value": [20.0, np.nan],
            "total_value": [100_000.0, 5.0],
        }
    )
    rfm = clv.rfm_table(pd.concat([frame, extra], ignore_index=True), time_unit="week")
    purchases = getattr(clv, model)().fit(rfm)
    assert purchases.convergence.converged
    spend = clv.GammaGammaModel().fit(rfm)
    forecast = clv.forecast(rfm, purchases, spend, horizon="1 year")
    assert forecast.array("expected_purchases")[-2] == pytest.approx(365, rel=0.1)
    assert forecast.array("expected_purchases")[-1] > 0
    for name in ("residual_value", "residual_value_low", "residual_value_high"):
        assert np.isfinite(forecast.array(name)).all()
