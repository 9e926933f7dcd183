"""Fits with covariates against textbook likelihoods, numerical derivatives, and known effects."""

from __future__ import annotations

import numpy as np
import pytest
from oracles import covariates as oracle
from oracles.covariates import TRUTHS
from scipy import optimize

from clv import families
from clv.errors import DataError
from clv.inference.covariates import _by_jets, maximize_with_covariates, objective_of
from clv.inference.design import MOST_LEVELS, Column, Design, learn
from clv.inference.maximum_likelihood import maximize
from clv.numerics.compress import compress

FAMILIES = list(TRUTHS)  # what holds of every family with covariates is in the contract


def fit(c: oracle.Customers):
    return maximize_with_covariates(c.family, c.history, c.weights, c.scales, c.columns, c.groups)


def user_logs(result) -> dict[str, float]:
    """Estimates on the users' scale by label."""
    design = result.design
    values = design.to_user @ np.log(result.estimate.parameters)
    return dict(zip(labels(design), values.tolist(), strict=True))


def labels(design: Design) -> list[str]:
    return [*design.parameters, *(c.label for c in design.coefficients)]


def user_errors(result) -> dict[str, float]:
    to_user = result.design.to_user
    covariance = to_user @ result.estimate.log_covariance @ to_user.T
    return dict(zip(labels(result.design), np.sqrt(np.diag(covariance)).tolist(), strict=True))


@pytest.mark.parametrize("name", FAMILIES)
def test_value_and_derivatives(name: str) -> None:
    """At a random point: the textbook sum over customers, and its central differences."""
    c = oracle.customers(name, 60, 1)
    moves = {group: c.family.COVARIATES[group].parameters for group in c.groups}
    design, matrix = learn(c.family.Parameters._fields, moves, c.groups, c.columns, c.weights)
    weights = np.random.default_rng(2).integers(1, 4, 60).astype(float)
    K = len(design.parameters) + len(design.coefficients)
    units = np.ones(K)
    objective = objective_of(c.family, c.history, weights, design, matrix, units)
    start = np.concatenate([np.log(list(TRUTHS[name].base.values())), np.zeros(K)])[:K]
    point = start + np.random.default_rng(3).normal(0, 0.3, K)
    value, gradient, hessian = objective(point)

    user = dict(zip(labels(design), (design.to_user @ point).tolist(), strict=True))
    base = {p: float(np.exp(user[p])) for p in design.parameters}
    terms = ("channel=web", "channel=mail", "visits")
    coefficients = {
        parameter: (sign, [user[f"{parameter}: {term}"] for term in terms])
        for parameter, (sign, _) in TRUTHS[name].coefficients.items()
    }
    textbook = oracle.log_likelihood(name, oracle.at(base, coefficients, c.matrix), c.history)
    assert value == pytest.approx(-float(weights @ textbook), rel=1e-10)

    step = 1e-5
    for i in range(K):
        e = step * np.eye(K)[i]
        (up, slope_up, _), (down, slope_down, _) = objective(point + e), objective(point - e)
        assert gradient[i] == pytest.approx((up - down) / (2 * step), rel=1e-5, abs=1e-4)
        np.testing.assert_allclose(
            hessian[i], (slope_up - slope_down) / (2 * step), rtol=1e-5, atol=1e-4
        )


@pytest.mark.parametrize("name", [n for n in FAMILIES if n != "pareto_nbd"])
def test_an_ordinary_search_of_the_textbook_likelihood_ends_in_the_same_place(name: str) -> None:
    check_against_search(name, 1_200)


@pytest.mark.slow
def test_it_does_for_pareto_nbd() -> None:
    check_against_search("pareto_nbd", 400)


def check_against_search(name: str, n: int) -> None:
    c = oracle.customers(name, n, 4)
    result = fit(c)
    assert result.estimate.convergence.converged
    truth = TRUTHS[name]
    k = len(truth.base)

    def negative(point: np.ndarray) -> float:
        base = dict(zip(truth.base, np.exp(point[:k]).tolist(), strict=True))
        coefficients = {
            parameter: (sign, point[k + 3 * i : k + 3 * i + 3])
            for i, (parameter, (sign, _)) in enumerate(truth.coefficients.items())
        }
        values = oracle.at(base, coefficients, c.matrix)
        return -float(oracle.log_likelihood(name, values, c.history).sum())

    ours = user_logs(result)
    order = list(oracle.true_logs(name))
    best = negative(np.array([ours[label] for label in order]))
    assert best == pytest.approx(-result.estimate.log_likelihood, rel=1e-9)
    found = optimize.minimize(negative, list(oracle.true_logs(name).values()), method="BFGS")
    assert found.fun >= best - 1e-6
    assert found.fun == pytest.approx(best, abs=2e-3)
    errors = user_errors(result)
    for label, theirs in zip(order, found.x.tolist(), strict=True):
        assert ours[label] == pytest.approx(theirs, abs=0.05 * errors[label] + 1e-3)


@pytest.mark.parametrize("name", FAMILIES)
def test_equal_rows_are_weighted_ones(name: str) -> None:
    c = oracle.customers(name, 1_000, 6)
    if name == "gamma_gamma":  # round, so that there are equal rows
        c = c._replace(history=c.history._replace(mean_value=np.ceil(c.history.mean_value / 4) * 4))
    rows = compress([*c.history, *(column.values for column in c.columns.values())])
    assert len(rows.weights) < 1_000
    k = len(c.history)
    columns = {
        column: Column(values, c.columns[column].levels)
        for column, values in zip(c.columns, rows.columns[k:], strict=True)
    }
    history = type(c.history)(*rows.columns[:k])
    short = maximize_with_covariates(c.family, history, rows.weights, c.scales, columns, c.groups)
    full = fit(c)
    assert short.estimate.log_likelihood == pytest.approx(full.estimate.log_likelihood, rel=1e-12)
    np.testing.assert_allclose(short.estimate.parameters, full.estimate.parameters, rtol=1e-7)
    np.testing.assert_allclose(
        short.estimate.log_covariance, full.estimate.log_covariance, rtol=1e-6, atol=1e-9
    )
    assert short.design.coefficients == full.design.coefficients


def recovery(name: str, seeds: range, n: int) -> np.ndarray:
    """Errors of all estimates, in standard errors: shape (data sets that have a maximum, K)."""
    found = []
    for seed in seeds:
        result = fit(oracle.customers(name, n, seed, whole_days=False))
        if not result.estimate.convergence.converged:
            assert result.estimate.convergence.boundary
            continue
        ours, errors, true = user_logs(result), user_errors(result), oracle.true_logs(name)
        assert set(ours) == set(true)
        found.append([(ours[label] - true[label]) / errors[label] for label in true])
    return np.array(found)


@pytest.mark.parametrize("name", FAMILIES)
def test_known_effects_are_recovered(name: str) -> None:
    off = recovery(name, range(100, 103), 1_000)
    assert len(off) >= 2
    assert (np.abs(off) < 3).mean() > 0.96
    assert np.abs(off).max() < 4.5


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_known_effects_are_recovered_at_the_nominal_rate(name: str) -> None:
    """99.73 % within 3 standard errors, 90 % within 1.645; of 3,000 customers each."""
    off = recovery(name, range(120), 3_000)
    assert len(off) >= 114
    assert (np.abs(off) < 3).mean() > 0.99
    assert (np.abs(off) < 1.645).mean() == pytest.approx(0.9, abs=0.03)
    assert np.abs(off.mean(axis=0)).max() < 0.35


@pytest.mark.parametrize("name", FAMILIES)
def test_columns_that_say_nothing_leave_the_plain_model(name: str) -> None:
    c = oracle.customers(name, 800, 7)
    nothing = {"zero": Column(np.zeros(800), None), "one": Column(np.zeros(800), ("only",))}
    groups = dict.fromkeys(c.groups, ("zero", "one"))
    result = maximize_with_covariates(c.family, c.history, c.weights, c.scales, nothing, groups)
    plain = maximize(c.family, c.history, c.weights, c.scales)
    assert result.estimate.log_likelihood == pytest.approx(plain.log_likelihood, abs=1e-9)
    np.testing.assert_array_equal(result.estimate.parameters, plain.parameters)
    assert result.design.coefficients == ()
    assert {c.what for c, _ in result.design.undetermined} == {"zero"}
    assert all("zero cannot be determined: it is the same for" in note for note in result.notes)
    assert len(result.notes) == len(groups)


def test_columns_that_say_the_same_are_named() -> None:
    c = oracle.customers("pareto_nbd", 800, 8)
    visits = c.columns["visits"].values
    columns = {
        **c.columns,
        "clicks": Column(7.0 - 3.0 * visits, None),
        "digital": Column((c.columns["channel"].values != 1.0).astype(float), None),
    }
    groups = {"purchase": ("channel", "visits", "clicks", "digital"), "dropout": ("clicks",)}
    result = maximize_with_covariates(c.family, c.history, c.weights, c.scales, columns, groups)
    assert result.notes == (
        (
            "The purchase coefficient of clicks cannot be determined: visits says the same as it. "
            "It is left out (0)."
        ),
        (
            "The purchase coefficient of digital cannot be determined: channel=mail and "
            "channel=web together say the same as it. It is left out (0)."
        ),
    )
    assert [x.label for x in result.design.coefficients] == [
        *("alpha: channel=mail", "alpha: channel=web", "alpha: visits", "beta: clicks"),
    ]


def test_a_covariate_far_from_zero_is_no_trouble() -> None:
    """Years: estimates on the users' scale belong to year 0, predictions to this century."""
    c = oracle.customers("pareto_nbd", 800, 9)
    plain = fit(c)
    visits = c.columns["visits"].values
    moved = c._replace(columns={**c.columns, "visits": Column(2_000.0 + visits, None)})
    result = fit(moved)
    assert result.estimate.log_likelihood == pytest.approx(plain.estimate.log_likelihood, abs=1e-8)
    ours, theirs = user_logs(result), user_logs(plain)
    for label in theirs:
        if ":" in label or label in "rs":
            assert ours[label] == pytest.approx(theirs[label], rel=1e-6)
    assert ours["alpha"] == pytest.approx(
        theirs["alpha"] + 2_000 * theirs["alpha: visits"], rel=1e-6
    )


def test_a_level_in_which_nobody_came_back_is_named() -> None:
    c = oracle.customers("bg_nbd", 600, 10)
    lazy = np.arange(600) < 40
    history = c.history._replace(
        frequency=np.where(lazy, 0.0, c.history.frequency),
        recency=np.where(lazy, 0.0, c.history.recency),
    )
    columns = {"list": Column(lazy.astype(float), ("own", "rented"))}
    result = maximize_with_covariates(
        c.family, history, c.weights, c.scales, columns, {"purchase": ("list",)}
    )
    boundary = result.estimate.convergence.boundary
    assert boundary is not None
    assert "the purchase coefficient of list=rented for alpha has run to -infinity" in boundary
    assert not result.estimate.determined[-1]
    assert result.estimate.determined[:-1].all()


@pytest.mark.parametrize(
    "name", [n for n in FAMILIES if hasattr(families.find(n), "row_derivatives")]
)
def test_derivatives_row_by_row(name: str) -> None:
    c = oracle.customers(name, 400, 11)
    truth = TRUTHS[name]
    parameters = c.family.Parameters(*oracle.at(truth.base, truth.coefficients, c.matrix))
    fast = c.family.row_derivatives(parameters, c.history)
    for ours, exact in zip(fast, _by_jets(c.family)(parameters, c.history), strict=True):
        np.testing.assert_allclose(ours, exact, rtol=1e-7, atol=1e-11)


# --- the design ------------------------------------------------------------------------------


def design_of(channel: list[str], visits: list[float]) -> Design:
    levels = tuple(sorted(set(channel)))
    columns = {
        "channel": Column(np.array([float(levels.index(x)) for x in channel]), levels),
        "visits": Column(np.array(visits), None),
    }
    groups = {"purchase": ("visits",), "dropout": ("channel",)}
    moves = {"purchase": {"alpha": -1}, "dropout": {"a": 1, "b": 1}}
    weights = np.ones(len(channel))
    return learn(("r", "alpha", "a", "b"), moves, groups, columns, weights)[0]


def test_the_base_is_the_most_frequent_level_and_ties_go_by_name() -> None:
    for channel, base in ((["x", "b", "b", "a"], "b"), (["x", "b", "a", "x", "b", "a"], "a")):
        design = design_of(channel, list(np.arange(len(channel))))
        levels = design.covariates[1].levels
        assert levels is not None
        assert levels[0] == base
        assert list(levels[1:]) == sorted(set(channel) - {base})


def test_what_a_new_customer_must_give() -> None:
    design = design_of(["a", "a", "b", "b", "a"], [1.0, 2.0, 3.0, 4.0, 6.0])
    row = design.row({"visits": 3.2, "channel": "b"})
    np.testing.assert_allclose(row, [0.0, 1.0], atol=1e-12)
    unseen = "channel has 'fax', which the model has not seen in fitting; it knows 'a', 'b'"
    for values, message in (
        ({}, "each of visits, channel; those given are: none"),
        ({"visits": 1.0}, "each of visits, channel; those given are: visits"),
        ({"visits": 1.0, "channel": "a", "x": 1}, "those given are: visits, channel, x"),
        ({"visits": "many", "channel": "a"}, "visits must be a finite number, not 'many'"),
        ({"visits": np.nan, "channel": "a"}, "visits must be a finite number, not nan"),
        ({"visits": 1.0, "channel": "fax"}, unseen),
    ):
        with pytest.raises(DataError, match=message):
            design.row(values)


def test_texts_and_numbers_are_not_mixed_up() -> None:
    design = design_of(["a", "a", "b"], [1.0, 2.0, 4.0])
    columns = {"channel": Column(np.zeros(1), None), "visits": Column(np.zeros(1), None)}
    with pytest.raises(DataError, match="channel holds numbers, and the model was fitted with"):
        design.matrix(columns)


def test_parameters_of_rows_draws_and_one_customer() -> None:
    design = design_of(["a", "a", "b", "b", "a"], [1.0, 2.0, 3.0, 4.0, 6.0])
    K = 4 + len(design.coefficients)
    draws = np.exp(np.random.default_rng(1).normal(0, 1, (7, K)))
    matrix = np.random.default_rng(2).normal(0, 1, (5, 2))
    of_draws = design.parameters_at(draws, matrix)
    assert [p.shape for p in of_draws] == [(1, 7), (5, 7), (5, 7), (5, 7)]
    for d in range(7):
        of_rows = design.parameters_at(draws[d], matrix)
        assert [p.shape for p in of_rows] == [(), (5,), (5,), (5,)]
        for ours, all_draws in zip(of_rows, of_draws, strict=True):
            np.testing.assert_allclose(np.broadcast_to(all_draws, (5, 7))[:, d], ours, rtol=1e-12)
        for i in range(5):
            of_one = design.parameters_at(draws[d], matrix[i])
            for one, rows in zip(of_one, of_rows, strict=True):
                assert one.shape == ()
                assert one == pytest.approx(np.broadcast_to(rows, 5)[i])
    assert Design.from_dict(design.to_dict()) == design


def test_a_name_is_no_covariate() -> None:
    names = tuple(f"c{i:03d}" for i in range(MOST_LEVELS + 1))
    columns = {"name": Column(np.arange(MOST_LEVELS + 1.0), names)}
    with pytest.raises(DataError, match="name has 101 levels, and a covariate may have 100"):
        learn(("r",), {"purchase": {"r": 1}}, {"purchase": ("name",)}, columns, np.ones(101))
