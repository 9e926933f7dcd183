"""NBD against reference numbers on CDNOW, and scipy's negative binomial."""

from __future__ import annotations

import numpy as np
from contract import Example
from oracles import cdnow
from oracles.digits import assert_shown
from oracles.individual import NeverLeaves
from scipy import stats

from clv.families import nbd
from clv.inference.maximum_likelihood import maximize
from clv.numerics.histories import PurchaseHistory

EXAMPLES = (
    Example({"r": 0.3848, "alpha": 12.07}),
    Example({"r": 3.0, "alpha": 20.0}, span=30.0),
)
INDIVIDUAL = NeverLeaves()


def test_on_cdnow() -> None:
    s = cdnow.summary()
    history = PurchaseHistory(*s[:3])
    estimate = maximize(nbd, history, np.ones(2357), {"time": 30.0})
    assert estimate.convergence.converged
    np.testing.assert_allclose(estimate.parameters[0], 0.38476612, rtol=1e-7)
    assert_shown(estimate.parameters[1], "12.07202")
    assert_shown(estimate.log_likelihood, "−9763.6577", within=1.0)  # mpmath: −9763.657615
    fitted = nbd.Parameters(*estimate.parameters)
    expected = nbd.expected_purchases(nbd.alive_state(fitted, history), 39.0)
    off = expected - s.holdout_purchases
    assert_shown(expected.sum(), "2929.8")
    assert_shown([np.abs(off).mean(), np.sqrt((off**2).mean())], "1.0410 1.8595")
    assert_shown(100 * off.sum() / s.holdout_purchases.sum(), "55.7")


def test_counts_are_negative_binomial() -> None:
    state = nbd.new_customer(nbd.Parameters(0.4, 12.0))[1]
    n = np.arange(30)
    np.testing.assert_allclose(
        nbd.purchase_count_pmf(state, n, 20.0), stats.nbinom.pmf(n, 0.4, 12 / 32), rtol=1e-10
    )
