"""Models taken over from lifetimes predict what lifetimes predicts."""

from __future__ import annotations

import copy
import types

import numpy as np
import pandas as pd
import pytest
from oracles import cdnow, peers

import clv
from clv.errors import DataError

PURCHASES = ("BetaGeoFitter", "ModifiedBetaGeoFitter", "ParetoNBDFitter")


@pytest.fixture(scope="module")
def rfm() -> clv.RFM:
    s = cdnow.summary()
    frame = pd.DataFrame(
        {
            "customer_id": np.arange(len(s.T)),
            "frequency": s.frequency.astype(int),
            "recency": s.recency,
            "T": s.T,
            "monetary_value": np.where(s.frequency > 0, s.monetary_value, np.nan),
        }
    )
    return clv.rfm_table(frame, time_unit="week", observation_period_end="1997-09-30")


@pytest.mark.parametrize("name", PURCHASES)
def test_purchases_are_predicted_alike(name: str, rfm: clv.RFM) -> None:
    theirs = peers.fitted(name)
    ours = clv.from_lifetimes(theirs, time_unit="week")
    history = cdnow.summary()[:3]
    expected = theirs.conditional_expected_number_of_purchases_up_to_time
    np.testing.assert_allclose(
        ours.expected_purchases(rfm, 39), peers.quietly(expected, 39.0, *history), rtol=1e-6
    )
    alive = peers.quietly(theirs.conditional_probability_alive, *history)
    np.testing.assert_allclose(ours.probability_alive(rfm), np.ravel(alive), rtol=1e-6)
    new = theirs.expected_number_of_purchases_up_to_time
    np.testing.assert_allclose(
        ours.expected_purchases_new_customer(52), peers.quietly(new, 52.0), rtol=1e-6
    )
    assert ours.parameters == {p: float(theirs.params_[p]) for p in ours.parameters}
    assert ours.method == "lifetimes"
    assert ours.time_unit == "week"
    assert ours.n_customers == 2357


def test_what_lifetimes_does_not_say_is_computed(rfm: clv.RFM) -> None:
    """lifetimes stores a log-likelihood per customer on a scale of its own."""
    ours = clv.from_lifetimes(peers.fitted("BetaGeoFitter"), time_unit="week")
    fitted = clv.BetaGeoModel().fit(rfm)
    assert ours.log_likelihood == pytest.approx(-9582.4292, abs=1e-3)
    assert ours.standard_errors == pytest.approx(fitted.standard_errors, rel=1e-4)
    assert ours.convergence.decrement < 1e-4
    assert "Taken over from lifetimes" in ours.notes[0]


def test_spend_is_predicted_alike(rfm: clv.RFM) -> None:
    theirs = peers.fitted("GammaGammaFitter")
    ours = clv.from_lifetimes(theirs, time_unit="week")
    s = cdnow.summary()
    spend = peers.quietly(theirs.conditional_expected_average_profit, s.frequency, s.monetary_value)
    np.testing.assert_allclose(ours.expected_spend(rfm), spend, rtol=1e-6)
    assert ours.population_mean == pytest.approx(35.17, abs=0.01)
    assert ours.n_customers == 946
    forecast = clv.forecast(
        rfm,
        clv.from_lifetimes(peers.fitted("BetaGeoFitter"), time_unit="week"),
        ours,
        horizon="39 weeks",
    )
    assert len(forecast) == 2357


def test_weights_of_lifetimes_count() -> None:
    s = cdnow.summary()
    counted = copy.copy(peers.fitted("BetaGeoFitter"))
    counted.data = counted.data.assign(weights=2)
    ours = clv.from_lifetimes(counted, time_unit="week")
    assert ours.n_customers == 2 * len(s.T)
    assert ours.log_likelihood == pytest.approx(2 * -9582.4292, abs=2e-3)


def test_what_cannot_be_taken_over_is_said() -> None:
    with pytest.raises(DataError, match=r"DataFrame is not a lifetimes fitter.*BetaGeoFitter"):
        clv.from_lifetimes(pd.DataFrame(), time_unit="week")
    unfitted = types.new_class("BetaGeoFitter")()
    with pytest.raises(DataError, match="BetaGeoFitter is not fitted"):
        clv.from_lifetimes(unfitted, time_unit="week")
    with pytest.raises(DataError, match="fortnight"):
        clv.from_lifetimes(peers.fitted("BetaGeoFitter"), time_unit="fortnight")
