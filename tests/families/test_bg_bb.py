"""BG/BB against the published donations, and lifetimes."""

from __future__ import annotations

import importlib.metadata
import warnings

import numpy as np
import pandas as pd
import pytest
from contract import Example
from oracles.digits import assert_shown
from oracles.individual import CoinsAtEachOpportunity
from oracles.peers import quietly
from scipy import special

import clv
from clv.errors import DataError
from clv.families import bg_bb
from clv.numerics.histories import PurchaseHistory

EXAMPLES = (
    Example(
        {"alpha": 1.2035, "beta": 0.7497, "gamma": 0.6567, "delta": 2.7834},
        span=10.0,
        whole_times=True,
    ),
    Example({"alpha": 2.0, "beta": 6.0, "gamma": 1.8, "delta": 20.0}, span=12.0, whole_times=True),
)
INDIVIDUAL = CoinsAtEachOpportunity()

PUBLISHED = bg_bb.Parameters(1.203522, 0.749716, 0.656718, 2.783442)


def donations() -> pd.DataFrame:
    """Of 11,104 donors who first gave in 1995, what they did in the six years after."""
    path = next(
        file.locate()
        for file in importlib.metadata.files("lifetimes") or ()
        if file.name == "donations.csv"
    )
    return pd.read_csv(path)


@pytest.fixture(scope="module")
def donors() -> clv.RFM:
    rows = donations()
    return clv.rfm_table(
        rows.loc[rows.index.repeat(rows["weights"])],
        time_unit="year",
        customer_id=None,
        T="periods",
    )


@pytest.fixture(scope="module")
def fitted(donors: clv.RFM) -> clv.Fitted:
    return clv.BetaGeoBetaBinomModel().fit(donors)


def test_estimates_are_the_published_ones(fitted: clv.Fitted) -> None:
    assert fitted.convergence.converged
    assert fitted.n_customers == 11_104
    assert_shown(fitted.estimates, "1.203522 .749716 .656718 2.783442")
    assert_shown(fitted.log_likelihood, "−33225.5813")


def test_expected_in_the_next_ten_years(fitted: clv.Fitted, donors: clv.RFM) -> None:
    expected = fitted.expected_purchases(donors, "10 years")
    x, t_x = donors.array("frequency"), donors.array("recency")
    never, often = expected[(x == 0) & (t_x == 0)][0], expected[(x == 4) & (t_x == 5)][0]
    # printed .1302169 and 3.627858; the textbook's sums at these estimates are 3e-5 off that
    assert (never, often) == pytest.approx((0.1302169, 3.627858), rel=4e-5)
    p = fitted.estimates
    assert never == pytest.approx(_textbook(*p, 0, 0, 6, 10), rel=1e-12)
    assert often == pytest.approx(_textbook(*p, 4, 5, 6, 10), rel=1e-12)


def _textbook(
    alpha: float, beta: float, gamma: float, delta: float, x: int, t_x: int, n: int, ahead: int
) -> float:
    """E[purchases at the next opportunities | x, t_x, n], as beta functions one by one."""
    buys, leaves = special.beta(alpha, beta), special.beta(gamma, delta)
    seen = special.beta(alpha + x, beta + n - x) / buys * special.beta(gamma, delta + n) / leaves
    seen += sum(
        special.beta(alpha + x, beta + last - x)
        / buys
        * special.beta(gamma + 1, delta + last)
        / leaves
        for last in range(t_x, n)
    )
    used = special.beta(alpha + x + 1, beta + n - x) / buys
    return (
        used * sum(special.beta(gamma, delta + n + k) / leaves for k in range(1, ahead + 1)) / seen
    )


def test_counts_in_sample(fitted: clv.Fitted) -> None:
    counts = 11_104 * fitted.purchase_count_pmf(np.arange(7), 6)
    assert counts.sum() == pytest.approx(11_104)
    assert_shown(counts[[0, 6]], "3454.9 1253.1")


def test_discounted_to_infinity() -> None:
    """The paper's DERT: purchase k of the future is worth 1.1**-k, summed without end."""
    p = bg_bb.Parameters(1.20, 0.75, 0.66, 2.78)
    history = PurchaseHistory(*np.array([[3.0], [4.0], [6.0]]))
    state = bg_bb.alive_state(p, history)
    worth = bg_bb.discounted_purchases(state, np.inf, np.log(1.1))
    assert_shown(bg_bb.probability_alive(p, history) * worth, "1.621379")


def test_a_year_is_discounted_as_a_year(fitted: clv.Fitted, donors: clv.RFM) -> None:
    by_hand = sum(
        (
            fitted.expected_purchases(donors, k)
            - (fitted.expected_purchases(donors, k - 1) if k > 1 else 0)
        )
        / 1.1**k
        for k in range(1, 6)
    )
    np.testing.assert_allclose(
        fitted.discounted_expected_purchases(donors, "5 years", 0.1), by_hand, rtol=1e-12
    )
    forever = fitted.discounted_expected_purchases(donors, None, 0.1)
    assert (forever > by_hand).all()
    assert (forever < fitted.discounted_expected_lifetime(donors, None, 0.1)).all()


def test_lifetimes_agrees() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from lifetimes import BetaGeoBetaBinomFitter

        rows = donations()
        theirs = BetaGeoBetaBinomFitter().fit(
            rows["frequency"], rows["recency"], rows["periods"], rows["weights"]
        )
    p = bg_bb.Parameters(*(float(theirs.params_[name]) for name in bg_bb.PARAMETERS))
    np.testing.assert_allclose(p, PUBLISHED, rtol=5e-3)
    x, t_x, T, _ = rows.to_numpy(dtype=float).T
    history = PurchaseHistory(x, t_x, T)
    alive, state = bg_bb.probability_alive(p, history), bg_bb.alive_state(p, history)
    now = quietly(theirs.conditional_probability_alive, 0, x, t_x, T)
    np.testing.assert_allclose(alive, now, rtol=1e-9)
    then = quietly(theirs.conditional_probability_alive, 3, x, t_x, T)
    np.testing.assert_allclose(alive * bg_bb.survival(state, 3), then, rtol=1e-9)
    expected = quietly(theirs.conditional_expected_number_of_purchases_up_to_time, 7, x, t_x, T)
    np.testing.assert_allclose(alive * bg_bb.expected_purchases(state, 7), expected, rtol=1e-9)
    # and it can be taken over whole
    taken = clv.from_lifetimes(theirs, time_unit="year")
    assert taken.n_customers == 11_104
    assert taken.log_likelihood == pytest.approx(-33225.5813, abs=0.1)


def test_alive_between_the_last_purchase_and_now() -> None:
    """At the last purchase alive for certain, at T as likely as `probability_alive` says."""
    history = PurchaseHistory(*np.array([[3.0, 1.0], [4.0, 1.0], [9.0, 9.0]]))
    ages = np.arange(4.0, 10.0)[:, None]
    alive = bg_bb.alive_at(PUBLISHED, history, ages)
    assert alive[0, 0] == 1.0
    assert (np.diff(alive, axis=0) < 0).all()
    np.testing.assert_allclose(alive[-1], bg_bb.probability_alive(PUBLISHED, history))
    # Bayes by summation: of those who have bought nothing since, who was there at each age
    traits, prior = INDIVIDUAL.traits(PUBLISHED)
    joint = [
        (prior * traits[1] * INDIVIDUAL.alive(traits, 3.0, 4.0, last)).sum() for last in range(4, 9)
    ] + [(prior * INDIVIDUAL.alive(traits, 3.0, 4.0, 9.0)).sum()]
    there = np.cumsum(joint[::-1])[::-1] / np.sum(joint)
    np.testing.assert_allclose(alive[:, 0], there, rtol=1e-8)


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("T", [6.0, 5.5], r"T is no whole number in 1 of 2 rows, the first is row 2 \(5.5\). Make"),
        ("recency", [2.25, 0.0], r"recency is no whole number in 1 of 2 rows, the first is row 1"),
        ("frequency", [3, 0], r"frequency is more than recency, .* in 1 of 2 rows"),
    ],
)
def test_ages_are_refused(
    column: str, values: list[float], message: str, fitted: clv.Fitted
) -> None:
    frame = pd.DataFrame({"frequency": [1, 0], "recency": [2.0, 0.0], "T": [6.0, 6.0]})
    table = clv.rfm_table(frame.assign(**{column: values}), time_unit="year", customer_id=None)
    with pytest.raises(DataError, match=message):
        clv.BetaGeoBetaBinomModel().fit(table)
    with pytest.raises(DataError, match=message):
        fitted.probability_alive(table)


@pytest.mark.parametrize("horizon", [2.5, "30 months", 0.2])
def test_horizons_are_whole(horizon: float | str, fitted: clv.Fitted, donors: clv.RFM) -> None:
    with pytest.raises(DataError, match="a horizon must be a whole number of years, not"):
        fitted.expected_purchases(donors, horizon)
    with pytest.raises(DataError, match="whole number of years"):
        fitted.survival_new_customer("0.7 years")
    years = fitted.expected_purchases(donors, "24 months")
    np.testing.assert_array_equal(years, fitted.expected_purchases(donors, 2))
