"""Every family against the shared contract, and the contract against families that are wrong."""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any

import contract
import numpy as np
import pytest

from clv import families
from clv.families import bg_bb, bg_nbd, gamma_gamma, pareto_nbd, shifted_beta_geo

CASES = dict(contract.cases())


@pytest.mark.parametrize("name", CASES)
def test_contract(name: str) -> None:
    CASES[name]()


# --- does it bite? ---------------------------------------------------------------------------


def spoilt(family: Any, **members: Any) -> Any:
    """The family with some members replaced; None takes one away."""
    copy = types.SimpleNamespace(**{n: getattr(family, n) for n in dir(family) if n[0] != "_"})
    copy.__name__, copy.__doc__ = family.__name__, family.__doc__
    for name, value in members.items():
        delattr(copy, name) if value is None else setattr(copy, name, value)
    return copy


def fails(family: Any, original: Any, name: str) -> bool:
    """Whether the family fails the check of this name at the first example of the original."""
    test = contract._test_of(original.NAME)
    (check,) = (c for c in contract._checks(original) if c.__name__ == name)
    check(contract.Subject(original, test.EXAMPLES[0], test))  # the original does not
    try:
        check(contract.Subject(family, test.EXAMPLES[0], test))
    except AssertionError:
        return True
    return False


def _times(factor: float, name: str, family: Any = bg_nbd) -> Callable[..., Any]:
    return lambda *arguments: factor * getattr(family, name)(*arguments)


def _one_purchase_too_many(state: Any, horizon: Any, rng: Any, shape: Any) -> Any:
    return bg_nbd.sample_purchases(state, 1.03 * horizon, rng, shape)


def _uniform_times(state: Any, horizon: Any, rng: Any, shape: Any) -> Any:
    """Not the first order statistics, but any times: what the design warns of."""
    paths = bg_nbd.sample_purchases(state, horizon, rng, shape)
    counts = paths.counts.reshape(-1)
    of = np.repeat(np.arange(counts.size), counts)
    times = rng.random(of.size) * np.broadcast_to(horizon, shape).reshape(-1)[of]
    return type(paths)(paths.counts, times[np.lexsort((times, of))])


def _last_coin_forgotten(parameters: Any, history: Any) -> Any:
    return bg_nbd.State(
        parameters.r + history.frequency,
        parameters.alpha + history.T,
        parameters.a,
        parameters.b + np.maximum(history.frequency - 1, 0),
    )


SABOTAGE: dict[str, tuple[dict[str, Any], str]] = {
    "expectation": (
        {"expected_purchases": _times(1.02, "expected_purchases")},
        "known_customers_do_as_expected",
    ),
    "survival": ({"survival": _times(0.98, "survival")}, "survival_obeys_the_tower"),
    "P(alive)": (
        {"probability_alive": _times(0.97, "probability_alive")},
        "silence_updates_consistently",
    ),
    "constant of the likelihood": (
        {"log_likelihood": lambda *a: bg_nbd.log_likelihood(*a) - 0.01},
        "likelihood_is_a_density",
    ),
    "state": ({"alive_state": _last_coin_forgotten}, "futures_follow_from_histories"),
    "simulated horizon": (
        {"sample_purchases": _one_purchase_too_many},
        "new_customers_do_as_expected",
    ),
    "order of times": ({"sample_purchases": _uniform_times}, "new_customers_do_as_expected"),
    "time scale": (
        {"time_scale": _times(1e4, "time_scale")},
        "discounting_agrees_with_brute_force",
    ),
    "quantile": (
        {"next_purchase_quantile": _times(1.001, "next_purchase_quantile")},
        "quantiles_invert",
    ),
    "mass": ({"purchase_count_pmf": _times(1.001, "purchase_count_pmf")}, "pmf_is_a_distribution"),
    "boundary": ({"boundary": lambda _: None}, "limits_are_named"),
}


@pytest.mark.parametrize("what", SABOTAGE)
def test_a_wrong_purchase_family_is_caught(what: str) -> None:
    members, check = SABOTAGE[what]
    assert fails(spoilt(bg_nbd, **members), bg_nbd, check)


def test_wrong_derivatives_are_caught() -> None:
    def derivatives(parameters: Any, statistics: Any) -> Any:
        value, gradient, hessian = bg_nbd.log_likelihood_derivatives(parameters, statistics)
        return value, gradient, hessian * np.where(np.eye(4) > 0, 1.0, 1.0 + 1e-7)

    wrong = spoilt(bg_nbd, log_likelihood_derivatives=derivatives)
    assert fails(wrong, bg_nbd, "weights_repeat_rows")


def test_wrong_derivatives_by_row_are_caught() -> None:
    def derivatives(parameters: Any, history: Any) -> Any:
        value, gradient, hessian = pareto_nbd.row_derivatives(parameters, history)
        return value, gradient, hessian * np.where(np.eye(4)[..., None] > 0, 1.0, 1.001)

    wrong = spoilt(pareto_nbd, row_derivatives=derivatives)
    assert fails(wrong, pareto_nbd, "covariates_move_what_they_say")


def test_a_wrong_spend_family_is_caught() -> None:
    def one_level_each(parameters: Any, count: Any, purchases: Any, factors: Any, rng: Any) -> Any:
        return 1.05 * gamma_gamma.sample_unit_totals(parameters, count, purchases, factors, rng)

    wrong = spoilt(gamma_gamma, sample_unit_totals=one_level_each)
    assert fails(wrong, gamma_gamma, "drawn_totals_are_unbiased")
    assert fails(wrong, gamma_gamma, "spending_follows_from_history")
    wrong = spoilt(gamma_gamma, expected_spend=_times(1.01, "expected_spend", gamma_gamma))
    assert fails(wrong, gamma_gamma, "spending_by_summation_agrees")
    assert fails(wrong, gamma_gamma, "spending_more_promises_more")


OF_OPPORTUNITIES: dict[str, tuple[str, float, str]] = {
    "DERT": ("discounted_purchases", 1.001, "discounting_agrees_with_brute_force"),
    "lifetime": ("discounted_time", 1.001, "discounting_agrees_with_brute_force"),
    "quantile": ("next_purchase_quantile", 2.0, "quantiles_invert"),
    "likelihood": ("log_likelihood", 1.01, "likelihood_is_a_density"),
}


@pytest.mark.parametrize("what", OF_OPPORTUNITIES)
def test_a_wrong_family_of_opportunities_is_caught(what: str) -> None:
    member, factor, check = OF_OPPORTUNITIES[what]
    assert fails(spoilt(bg_bb, **{member: _times(factor, member, bg_bb)}), bg_bb, check)


def _one_renewal_more(parameters: Any, n: Any, rng: Any, shape: Any) -> Any:
    more = shifted_beta_geo.sample_renewals(parameters, n, rng, shape)
    return more + (rng.random(shape) < 0.05)


OF_CONTRACTS: dict[str, tuple[dict[str, Any], str]] = {
    "draws": ({"sample_renewals": _one_renewal_more}, "renewals_are_drawn_as_expected"),
    "draws in a history": ({"sample_renewals": _one_renewal_more}, "contracts_end_as_expected"),
    "retention": (
        {"retention_rate": _times(0.999, "retention_rate", shifted_beta_geo)},
        "survival_goes_with_retention",
    ),
    "likelihood": (
        {"log_likelihood": _times(1.001, "log_likelihood", shifted_beta_geo)},
        "contract_likelihood_is_a_distribution",
    ),
    "lifetime": (
        {"discounted_renewals": _times(1.001, "discounted_renewals", shifted_beta_geo)},
        "residual_lifetime_is_a_sum",
    ),
    "survival": (
        {"survival": lambda p, n: shifted_beta_geo.survival(p, n) ** 1.01},
        "contracts_by_summation_agree",
    ),
}


@pytest.mark.parametrize("what", OF_CONTRACTS)
def test_a_wrong_contract_family_is_caught(what: str) -> None:
    members, check = OF_CONTRACTS[what]
    assert fails(spoilt(shifted_beta_geo, **members), shifted_beta_geo, check)


@pytest.mark.parametrize("member", ["survival", "Parameters", "STATE_COLUMNS", "new_customer"])
def test_a_missing_member_is_named(member: str) -> None:
    test = contract._test_of("bg_nbd")
    with pytest.raises(AssertionError, match=f"bg_nbd.py does not define {member}; see"):
        contract.declares(spoilt(bg_nbd, **{member: None}), test)


def test_an_unknown_kind_is_named() -> None:
    with pytest.raises(AssertionError, match="KIND is 'lease'; there are purchase, spend"):
        contract.declares(spoilt(bg_nbd, KIND="lease"), contract._test_of("bg_nbd"))


def test_a_family_without_a_test_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(families, "names", lambda: ("toy",))
    monkeypatch.setattr(families, "find", lambda _: bg_nbd)
    ((name, check),) = contract.cases()
    assert name == "toy"
    with pytest.raises(AssertionError, match=r"write tests/families/test_toy.py with EXAMPLES"):
        check()
