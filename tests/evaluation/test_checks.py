"""Predictive checks: simulated customers are those of the model, in number and over time."""

from __future__ import annotations

import numpy as np
import pytest

import clv
from clv import Prior
from clv.errors import DataError


def test_frequencies_are_those_of_the_model(cdnow, mbg_nbd) -> None:
    """The median of many simulated bases beside the exact expectation."""
    check = clv.evaluation.posterior_check(mbg_nbd, cdnow, draws=60, seed=1)
    ages, customers = np.unique(cdnow.array("T"), return_counts=True)
    for n in range(4):
        exact = customers @ mbg_nbd.purchase_count_pmf(n, ages)
        assert check.customers.median[n] == pytest.approx(exact, rel=0.08)
    assert (check.customers.low <= check.customers.high).all()
    assert check.customers.actual.sum() == len(cdnow)
    assert check.customers.outside <= 0.2


def test_repeat_purchases_over_time_add_up() -> None:
    transactions = clv.read_transactions(clv.datasets.load_cdnow())
    rfm = clv.rfm_summary(transactions, observation_period_end="1998-06-30")
    fitted = clv.BetaGeoModel().fit(rfm)
    check = clv.evaluation.posterior_check(fitted, rfm, transactions, draws=40)
    weeks = check.repeat_purchases
    assert weeks.actual.sum() == pytest.approx(rfm.array("frequency").sum(), rel=0.02)
    assert weeks.median.sum() == pytest.approx(weeks.actual.sum(), rel=0.1)
    assert "weeks" in repr(check)
    ax = clv.plots.predictive_check(check, over_time=True)
    assert ax.get_xlabel() == "days since the first customer"


def test_values_are_those_of_the_model(cdnow, gamma_gamma) -> None:
    check = clv.evaluation.posterior_check(gamma_gamma, cdnow, draws=40)
    assert check.customers.median == pytest.approx(check.customers.actual, rel=0.25)
    assert clv.plots.predictive_check(check).get_ylabel() == "mean value"


def test_a_prior_that_contradicts_the_data_is_seen(cdnow) -> None:
    slow = {"purchase_interval": Prior("LogNormal", mu=9.0, sigma=0.1)}
    check = clv.evaluation.prior_check(clv.BetaGeoModel(), cdnow, priors=slow, draws=40)
    assert check.customers.outside > 0.5
    usual = clv.evaluation.prior_check(clv.BetaGeoModel(), cdnow, draws=60)
    assert usual.customers.outside == 0.0


def test_what_cannot_be_checked_is_refused(cdnow, bg_nbd) -> None:
    with pytest.raises(DataError, match="improper"):
        clv.evaluation.prior_check(clv.BetaGeoModel(), cdnow, priors={"r": Prior("HalfFlat")})
    check = clv.evaluation.posterior_check(bg_nbd, cdnow, draws=5)
    with pytest.raises(DataError, match="give transactions"):
        clv.plots.predictive_check(check, over_time=True)
