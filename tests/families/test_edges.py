"""At the very edges: where a limit gets its name, where a mean becomes infinite, and draws there.

What is said at a limit is in `families`; here it must be said beyond the border, and not at it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from clv import families
from clv.families import (
    _contracts,
    _limits,
    bg_bb,
    bg_cnbd_k,
    bg_nbd,
    gamma_gamma,
    nbd,
    pareto_nbd,
    shifted_beta_geo,
)
from clv.numerics.histories import PurchaseHistory, SpendHistory

E = 1e6  # beyond this, and below its inverse, parameters have left for a limit
IN, OUT = 1 / E, 0.99 / E

RATES = {
    "buy at the same rate": ((E, 1.0), (1.01 * E, 1.0)),
    "either negligible or enormous": ((IN, 1.0), (OUT, 1.0)),
    "negligible or enormous (r or alpha -> 0)": ((1.0, IN), (1.0, OUT)),
    "purchase rates vanish": ((1.0, E), (1.0, 1.01 * E)),
}
SHARES = {
    "vanish": ((1.0, E - 1), (0.99, E - 0.99)),
    "certain": ((E - 1, 1.0), (E - 0.99, 0.99)),
    "= 0.25)": ((E / 4, E * 3 / 4), (E / 2, E * 3 / 2)),
    "leaves is 0.25": ((0.25 / E, 0.75 / E), (0.2 / E, 0.6 / E)),
}
DEATHS = {
    "dropout vanishes": ((1.0, E), (0.99, E)),
    "everybody leaves right after": ((E, 1.0), (E, 0.99)),
    "share one death rate (s, beta -> infinity, s / beta = 2 ": ((E, E), (2.2 * E, 1.1 * E)),
    "all or nothing (s, beta -> 0)": ((IN, IN), (OUT, OUT)),
    "leave at once or never": ((IN, 0.5), (0.5, OUT)),
}
SPEND = {
    "every purchase has the same value": ((E, E, 1.0), (1.01 * E, 1.01 * E, 1.0)),
    "purchases all have the same": ((E, 2.0, 1.0), (1.01 * E, 2.0, 1.0)),
    "customer's purchases all have": ((E, E, 1.0), (1.01 * E, E, 1.0)),
    "all customers spend alike": ((E, E, 1.0), (E, 1.01 * E, 1.0)),
    "no finite scale": ((2.0, IN, 1.0), (2.0, OUT, 1.0)),
    "next to nothing": ((IN, 2.0, 1.0), (OUT, 2.0, 1.0)),
    "run to 0 (v)": ((2.0, 2.0, IN), (2.0, 2.0, OUT)),
    "run to infinity (v)": ((2.0, 2.0, E), (2.0, 2.0, 1.01 * E)),
}


def _said(family: str, *parameters: float) -> str | None:
    found = families.find(family)
    said: str | None = found.boundary(found.Parameters(*parameters))
    return said


def _dropout(a: float, b: float) -> str | None:
    return _limits.of_dropout_probabilities(a, b, ("a", "b"), "NBD")


LIMITS: dict[str, tuple[Any, dict[str, Any]]] = {
    "rates": (_limits.of_purchase_rates, RATES),
    "dropout": (_dropout, SHARES),
    "churn": (_contracts.boundary, SHARES),
    "bg_nbd": (lambda a, b: _said("bg_nbd", 1.0, 1.0, a, b), SHARES),
    "pareto_nbd": (lambda s, beta: _said("pareto_nbd", 1.0, 1.0, s, beta), DEATHS),
    "nbd": (lambda r, alpha: _said("nbd", r, alpha), RATES),
    "gamma_gamma": (lambda *p: _said("gamma_gamma", *p), SPEND),
    "bg_bb": (lambda c, d: _said("bg_bb", 1.0, 1.0, c, d), SHARES),
    "bg_bb purchases": (
        lambda a, b: _said("bg_bb", a, b, 1.0, 1.0),
        {
            "purchases vanish": SHARES["vanish"],
            "use every opportunity while": SHARES["certain"],
            "share one purchase probability (alpha, beta": SHARES["= 0.25)"],
            "alpha / (alpha + beta) = 0.25": SHARES["= 0.25)"],
            "that uses them is 0.25": SHARES["leaves is 0.25"],
        },
    ),
    "power of time": (
        lambda c: _said("beta_discrete_weibull", 1.0, 1.0, c),
        {"after the first renewal (c": ((IN,), (OUT,)), "second renewal": ((E,), (1.01 * E,))},
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("where", "text"), [(w, t) for w, (_, texts) in LIMITS.items() for t in texts]
)
def test_limits_are_named_beyond_their_border(where: str, text: str) -> None:
    function, texts = LIMITS[where]
    at, beyond = texts[text]
    said = function(*at)
    assert said is None or text not in said
    assert text in function(*beyond)


INSIDE = {
    "rates": [(E, 1.0), (IN, 1.0), (1.0, IN), (1.0, E), (E, E)],
    "dropout": [pair for pair, _ in SHARES.values()],
    "churn": [pair for pair, _ in SHARES.values()],
    "bg_bb purchases": [pair for pair, _ in SHARES.values()],
    "pareto_nbd": [(1.0, E), (E, 1.0), (E, E), (IN, IN), (IN, 0.5), (0.5, IN)],
    "gamma_gamma": [at for at, _ in SPEND.values()],
    "power of time": [(IN,), (E,)],
}


@pytest.mark.parametrize(("where", "at"), [(w, p) for w, ps in INSIDE.items() for p in ps])
def test_at_the_border_nothing_is_said(where: str, at: tuple[float, ...]) -> None:
    assert LIMITS[where][0](*at) is None


def test_limits_name_the_parameters_and_what_is_left() -> None:
    small, many = 0.1, 10 * E
    assert _dropout(small, many) == (
        "dropout vanishes (a / (a + b) -> 0): nobody is seen to leave, the purchases alone are "
        "described by the NBD"
    )
    assert "(gamma / (gamma + delta) -> 0)" in str(_said("bg_bb", 1, 1, small, many))
    assert str(_said("bg_bb", 1, 1, small, many)).endswith("described by the beta-binomial")
    assert "gamma, delta -> infinity, gamma / (gamma + delta) = 0.5" in str(
        _said("bg_bb", 1, 1, many, many)
    )
    assert "gamma, delta -> 0" in str(_said("bg_bb", 1, 1, 0.1 / many, 0.1 / many))
    # one shape gone, the other on its way: seen in simulated data, where the search ended there
    assert "gamma, delta -> 0" in str(_said("bg_bb", 1, 1, 1e-10, 1.5e-6))
    assert "gamma, delta -> 0" not in str(_said("bg_bb", 1, 1, 2e-6, 0.5e-3))
    both = str(_said("bg_nbd", many, 1.0, small, many))
    first, second = both.split("; ")
    assert first.startswith("dropout vanishes (a / (a + b) -> 0)")
    assert first.endswith("the purchases alone are described by the NBD")
    assert second.startswith("all customers buy at the same rate")
    assert _limits.said(None, None) is None
    assert _limits.said("one", None, "two") == "one; two"
    assert _said("beta_discrete_weibull", small, many, many) == (
        f"{_contracts.boundary(small, many)}; nobody makes a second renewal (c -> infinity)"
    )


# --- where a mean becomes infinite --------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "family", "mean"),
    [
        (bg_nbd.State(2.0, 5.0, np.array([0.5, 1.0, 1.5, 3.0]), 4.0), bg_nbd, [9.0, 3.0]),
        (pareto_nbd.State(2.0, 5.0, np.array([0.5, 1.0, 1.5, 3.0]), 10.0), pareto_nbd, [8.0, 2.0]),
        (bg_bb.State(1.0, 3.0, np.array([0.5, 1.0, 1.5, 3.0]), 4.0), bg_bb, [2.0, 0.5]),
        (
            bg_cnbd_k.State(2.0, 5.0, np.array([0.5, 1.0, 1.5, 3.0]), 4.0, 0.7, 3.0),
            bg_cnbd_k,
            [9.0, 3.0],
        ),
    ],
)
def test_purchases_ever(state: Any, family: Any, mean: list[float]) -> None:
    """E[1/p], E[lambda] E[1/mu] and E[p] (E[1/theta] - 1) by hand; at 1 and below there is none."""
    ever = family.expected_purchases_ever(state)
    np.testing.assert_allclose(ever, [np.inf, np.inf, *mean], rtol=1e-12)


def test_nobody_leaves_so_purchases_are_without_end() -> None:
    ever = nbd.expected_purchases_ever(nbd.State(np.array([0.5, 2.0]), 3.0))
    assert np.array_equal(ever, [np.inf, np.inf])


def test_mean_spend_at_the_border() -> None:
    """p n + q = 1 exactly has no mean, a little more has p (v + n m) / (p n + q - 1)."""
    n, m = np.array([0.0, 1.0, 1.0, 2.0]), np.array([np.nan, 30.0, 30.0, 40.0])
    q = np.array([1.0, 0.5, 0.25, 0.75])
    found = gamma_gamma.expected_spend(gamma_gamma.Parameters(0.5, q, 10.0), SpendHistory(n, m))
    np.testing.assert_allclose(found, [np.inf, np.inf, np.inf, 0.5 * 90.0 / 0.75], rtol=1e-13)


# --- times and draws at the edges -----------------------------------------------------------------


@pytest.mark.parametrize("family", [nbd, bg_nbd])
def test_quantiles_beyond_all_floats(family: Any) -> None:
    """(1 - q)^(-1 / shape) overflows for who hardly ever buys; with certainty only at the end."""
    shape = np.array([[1e-4], [2.0]])
    state = family.State(shape, 5.0, *(1.0, 1.0)[: len(family.State._fields) - 2])
    found = family.next_purchase_quantile(state, np.array([0.5, 1.0 - 1e-16, 1.0]))
    assert np.array_equal(np.isinf(found), [[True] * 3, [False, False, True]])
    np.testing.assert_allclose(found[1, 0], 5.0 * (np.sqrt(2.0) - 1.0), rtol=1e-14)


@pytest.mark.parametrize("name", ["nbd", "bg_nbd", "mbg_nbd", "pareto_nbd", "bg_bb"])
def test_draws_of_those_who_hardly_differ_from_never(name: str) -> None:
    """Shapes so small that draws are 0: nobody buys, or nobody leaves, in silence."""
    family, rng = families.find(name), np.random.default_rng(1)
    given = {"a": 1e-4, "gamma": 1e-4, "s": 1e-4}
    parameters = family.Parameters(*(given.get(f, 1.0) for f in family.Parameters._fields))
    _, state = family.new_customer(parameters)
    paths = family.sample_purchases(state, 50.0, rng, (4_000,))
    # purchases within 50 at a rate Gamma(1, 1), or at a chance Beta(1, 1) each
    mean = 25.0 if name == "bg_bb" else 50.0
    assert paths.counts.mean() == pytest.approx(mean, rel=0.1)
    never = family.State(*(1e-5 if i == 0 else 1.0 for i in range(len(family.State._fields))))
    counts = family.sample_purchases(never, 50.0, rng, (2_000,)).counts
    assert (counts > 0).mean() < 0.01


def test_draws_of_renewals_without_end() -> None:
    """Nobody leaves where theta underflows; everybody where it is 1."""
    rng = np.random.default_rng(2)
    stay = shifted_beta_geo.sample_renewals(
        shifted_beta_geo.Parameters(1e-5, 1.0), 3, rng, (1_000,)
    )
    assert (abs(stay - 2**52) < 9).mean() > 0.98
    leave = shifted_beta_geo.sample_renewals(
        shifted_beta_geo.Parameters(1.0, 1e-5), 0, rng, (1_000,)
    )
    assert (leave == 0).mean() > 0.98
    rise = _contracts.sample_renewals(1.0, 1.0, 1e-4, 2, rng, (1_000,))
    assert (rise[rise < 2**51] >= 0).all()
    assert (abs(rise - 2**52) < 9).mean() > 0.3


@pytest.mark.parametrize("c", [0.37, 1.0, 2.9])
def test_no_renewal_is_lost_to_rounding(c: float) -> None:
    """Who has made n and leaves at the next one has made none more: (n^c)^(1/c) is n again."""
    n = np.arange(1.0, 3_000.0)
    rng = np.random.default_rng(3)
    more = _contracts.sample_renewals(1e300, 1.0, c, n, rng, n.shape)
    assert (more == 0).all()


def test_spend_of_draws_and_of_customers() -> None:
    """Shapes per draw and per customer, and a last path without a purchase; means by hand."""
    rng = np.random.default_rng(4)
    purchases = np.tile(rng.integers(0, 4, 20_000), (2, 1))
    purchases[:, -1] = 0
    factors = rng.uniform(0.5, 1.0, purchases.sum())
    p, q, count = np.array([[0.7], [6.0]]), 4.0, 2.0
    unit = gamma_gamma.sample_unit_totals(
        gamma_gamma.Parameters(p, q, 1.0), count, purchases, factors, rng
    )
    assert unit.shape == purchases.shape
    of = np.repeat(np.arange(purchases.size), purchases.reshape(-1))
    weight = np.bincount(of, factors, minlength=purchases.size).reshape(purchases.shape)
    off = unit - weight * p / (p * count + q - 1.0)  # E[1 / level] = 1 / (p n + q - 1)
    assert (np.abs(off.mean(axis=1)) < 4.5 * off.std(axis=1) / np.sqrt(20_000)).all()
    same = [
        gamma_gamma.sample_unit_totals(
            gamma_gamma.Parameters(value, q, 1.0), count, purchases, factors,
            np.random.default_rng(5),
        )
        for value in (0.7, np.full(20_000, 0.7))
    ]  # fmt: skip
    np.testing.assert_array_equal(*same)


def test_who_never_leaves_has_the_shape_of_all_arguments() -> None:
    """Parameters per draw with histories, and rates per customer for new ones."""
    draws = nbd.Parameters(np.ones((3, 1)), 4.0)
    history = PurchaseHistory(np.ones(5), np.ones(5), np.full(5, 9.0))
    assert nbd.probability_alive(draws, history).shape == (3, 5)
    t = np.ones((2, 1, 1))
    assert nbd.survival(nbd.State(1.0, np.ones(5)), t).shape == (2, 1, 5)
    assert nbd.survival(nbd.State(np.ones((3, 1)), 2.0), t).shape == (2, 3, 1)


# --- what is remarked, and when -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("bg_nbd", "ModifiedBetaGeoModel (mbg_nbd)"),
        ("bg_cnbd_k", "ModifiedBetaGeoCNBDKModel (mbg_cnbd_k)"),
    ],
)
def test_one_time_buyers_are_remarked_on_beyond_a_half(name: str, other: str) -> None:
    family = families.find(name)
    x = np.array([0.0, 0.0, 1.0])
    history = PurchaseHistory(x, x, np.full(3, 9.0))
    assert family.remarks(None, history, np.array([1.0, 1.0, 2.0])) == ()
    (text,) = family.remarks(None, history, np.array([1.0, 2.0, 1.0]))
    assert text.startswith(f"75% of the customers bought once, and {family.TITLE} calls")
    assert f"{other} lets them" in text


def test_means_that_rest_on_a_tail_are_remarked_on() -> None:
    n, m, weights = np.array([1.0, 3.0]), np.array([10.0, 6.0]), np.array([3.0, 1.0])

    def said(q: float, mean: float) -> tuple[str, ...]:
        """With that mean of the population; the observed one is (3 * 10 + 3 * 6) / 6 = 8."""
        parameters = gamma_gamma.Parameters(2.0, q, mean * (q - 1.0) / 2.0)
        return gamma_gamma.remarks(parameters, SpendHistory(n, m), weights)

    assert said(1.5, 16.0) == ()
    (text,) = said(1.5, 16.1)
    assert "q = 1.5 is near 1" in text
    assert "16.1, rests on" in text
    assert "2.01 times the observed mean value 8." in text
    assert said(2.0, 100.0) == said(2.5, 100.0) == ()
    (text,) = gamma_gamma.remarks(
        gamma_gamma.Parameters(2.0, 1.0, 5.0), SpendHistory(n, m), weights
    )
    assert "q = 1 <= 1: the mean spend of the population is infinite" in text


def test_the_pooled_mean_alone_is_unsure() -> None:
    history = SpendHistory(np.array([1.0, 3.0]), np.array([10.0, 6.0]))
    (p, _, _), covariance = gamma_gamma.pooled(history, np.ones(2))
    assert covariance.shape == (3, 3)
    assert np.count_nonzero(covariance) == 1
    assert covariance[2, 2] == pytest.approx(1.0 / (4.0 * p))  # four purchases of 1 / sqrt(p) each


def test_an_unknown_family_is_told_which_there_are() -> None:
    with pytest.raises(KeyError) as error:
        families.find("bg")
    said = f"no model is called 'bg'; there are {', '.join(families.names())}"
    assert error.value.args == (said,)


def test_options_choose_the_variant() -> None:
    """A family without variants is itself, whatever the options."""
    assert families.chosen(bg_nbd, {"k": 3}) is bg_nbd
    assert families.chosen(bg_cnbd_k, {"k": 3, "other": 1}).number == 3
