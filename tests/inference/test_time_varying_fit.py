"""Fits to customers who were lived through week by week."""

from __future__ import annotations

import numpy as np
import pytest
from time_varying_world import COLUMNS, timeline, world

from clv.families import pareto_nbd
from clv.inference.covariates import CovariateFit
from clv.inference.design import Column
from clv.inference.maximum_likelihood import Estimate, maximize
from clv.inference.time_varying import Timeline, maximize_time_varying
from clv.numerics.histories import PurchaseHistory

NUMBERS = (0.9, 5.0, 0.8, 10.0)
PURCHASE, DROPOUT = (0.5, 0.7, -0.3), (-0.4, 0.6, 0.3)
BOTH = {"purchase": COLUMNS, "dropout": COLUMNS}


def plain_fit(history: PurchaseHistory) -> tuple[Estimate, dict[str, float]]:
    scales = {"time": float(history.T.mean())}
    return maximize(pareto_nbd, history, np.ones(len(history.T)), scales), scales


def fit(
    time: Timeline, history: PurchaseHistory, groups: dict[str, tuple[str, ...]]
) -> CovariateFit:
    plain, scales = plain_fit(history)
    return maximize_time_varying(pareto_nbd, time, groups, plain, scales)


def standardised(found: CovariateFit) -> np.ndarray:
    """(estimate - truth) / standard error, of logs of parameters and of coefficients."""
    transform = found.design.to_user
    values = transform @ np.log(found.estimate.parameters)
    errors = np.sqrt(np.diag(transform @ found.estimate.log_covariance @ transform.T))
    truth = np.array([*np.log(NUMBERS), *PURCHASE, *DROPOUT])
    return np.asarray((values - truth) / errors)


def test_the_truth_is_recovered() -> None:
    found = fit(*timeline(world(400, 60, NUMBERS, PURCHASE, DROPOUT, seed=1)), BOTH)
    assert found.estimate.convergence.converged
    assert np.abs(standardised(found)).max() < 3.5


@pytest.mark.slow
def test_the_truth_is_recovered_at_the_nominal_rate() -> None:
    sets = 24
    z = np.array(
        [
            standardised(fit(*timeline(world(500, 60, NUMBERS, PURCHASE, DROPOUT, seed)), BOTH))
            for seed in range(100, 100 + sets)
        ]
    )
    assert np.mean(np.abs(z) < 3.0) > 0.98
    assert np.abs(z.mean(axis=0)).max() < 4.5 / np.sqrt(sets)
    assert ((z.std(axis=0) > 0.6) & (z.std(axis=0) < 1.5)).all()


def test_covariates_of_zeros_leave_the_plain_fit() -> None:
    time, history = timeline(world(80, 30, NUMBERS, (0.0,) * 3, (0.0,) * 3, seed=2))
    zeros = {name: Column(np.zeros(len(c.values)), None) for name, c in time.columns.items()}
    at = {name: Column(np.zeros(len(c.values)), None) for name, c in time.at_purchases.items()}
    plain, scales = plain_fit(history)
    found = maximize_time_varying(
        pareto_nbd, time._replace(columns=zeros, at_purchases=at), BOTH, plain, scales
    )
    assert found.estimate is plain
    assert len(found.design.undetermined) == 6
    assert all("cannot be determined" in note for note in found.notes)


def test_what_is_the_same_as_another_is_left_out_and_named() -> None:
    time, history = timeline(world(150, 50, NUMBERS, PURCHASE, DROPOUT, seed=4))
    time.columns["twice"] = Column(2.0 * time.columns["price"].values + 1.0, None)
    time.at_purchases["twice"] = Column(2.0 * time.at_purchases["price"].values + 1.0, None)
    found = fit(time, history, {"purchase": ("price", "twice")})
    alone = fit(time, history, {"purchase": ("price",)})
    assert found.estimate.log_likelihood == pytest.approx(alone.estimate.log_likelihood, abs=1e-8)
    (note,) = found.notes
    assert "twice" in note
    assert "price" in note


def test_periods_in_which_nobody_buys_are_named_as_a_limit() -> None:
    """A shop that closes for two weeks: nothing bounds the coefficient, and all else stays."""
    time, history = timeline(world(200, 40, NUMBERS, (0.0,) * 3, (0.0,) * 3, seed=6))
    price = time.columns["price"].values
    quiet = price > np.quantile(price, 0.9)
    time.columns["shop"] = Column(1.0 - quiet, ("closed", "open"))
    time.at_purchases["shop"] = Column(np.zeros(len(time.bought_by)), ("open",))
    found = fit(time, history, {"purchase": ("shop",)})
    assert not found.estimate.convergence.converged
    assert "shop=closed for alpha has run to -infinity" in str(found.estimate.convergence.boundary)
    assert found.estimate.determined.tolist() == [True, True, True, True, False]
