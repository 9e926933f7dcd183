"""Groups of customers: density by the textbook, pooling, unknown groups, what is refused."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import special, stats

import clv
from clv.errors import DataError, MissingColumnError
from clv.families import bg_nbd, mbg_nbd
from clv.inference.coordinates import coordinates_of
from clv.inference.design import UNKNOWN, Column, as_levels
from clv.inference.groups import OF_SPREADS, fit_groups
from clv.inference.plan import Plan
from clv.inference.pooling import Pooled, find_start
from clv.inference.target import Likelihood
from clv.numerics import backend
from clv.numerics.compress import compress
from clv.numerics.histories import PurchaseHistory
from clv.numerics.sampling import simulate_histories

pytest.importorskip("nutpie")

SHORT = {"samples": 100, "tune": 120, "chains": 2, "progress": False}
SHORTER = {"samples": 50, "tune": 60, "chains": 1, "progress": False}
MIDDLE = np.array([np.log(8.0), np.log(1.2), -1.0, np.log(3.0)])
SPREAD = np.array([0.5, 0.2, 0.4, 0.3])


def parameters(place):
    """BG/NBD's of the interval, spread, share and concentration at these coordinates."""
    interval, spread, concentration = np.exp(place[[0, 1, 3]])
    share = special.expit(place[2])
    r = spread**-2
    return bg_nbd.Parameters(r, interval * r, share * concentration, (1 - share) * concentration)


def shop(sizes, seed, spread=SPREAD):
    """Customers of groups by the model itself: histories (3, n), group of each, z of each group."""
    rng = np.random.default_rng(seed)
    columns, places = [], MIDDLE + spread * rng.standard_normal((len(sizes), 4))
    for g, n in enumerate(sizes):
        T = np.round(rng.uniform(20, 60, n), 1)
        seed_here = int(rng.integers(2**31))
        history = simulate_histories(bg_nbd, parameters(places[g]), T, seed_here)
        columns.append(np.stack([history.frequency, history.recency, T]))
    return np.concatenate(columns, axis=1), np.repeat(np.arange(len(sizes)), sizes), places


def density_of(sizes, seed=3):
    columns, group, _ = shop(sizes, seed)
    coordinates = coordinates_of(bg_nbd, {"time": 40.0})
    parts = tuple(
        Likelihood(bg_nbd, PurchaseHistory(*columns[:, group == g]), np.ones(n))
        for g, n in enumerate(sizes)
    )
    spreads = tuple(s._replace(prior=OF_SPREADS) for s in coordinates.stated)
    centred = np.random.default_rng(seed).random((len(sizes), 4)) < 0.5
    return Pooled(parts, coordinates, spreads, centred), columns, group


def test_density_is_that_of_the_textbook():
    """Normal groups around the middle, usual priors, the likelihood customer by customer."""
    target, columns, group = density_of([30, 7, 1])
    rng = np.random.default_rng(1)
    for _ in range(3):
        middle, log_spread = MIDDLE + 0.3 * rng.standard_normal(4), rng.normal(-1.0, 0.5, 4)
        spread = np.exp(log_spread)
        places = middle + spread * rng.standard_normal((3, 4))
        own = np.where(target.centred, places, (places - middle) / spread)
        value, _ = target(np.concatenate([middle, log_spread, own.ravel()]))

        expected = stats.norm.logpdf(middle[0], np.log(40.0), 2.0)
        expected += stats.norm.logpdf(middle[1], 0.0, 1.0)
        expected += stats.norm.logpdf(middle[2], -1.0, 1.5)
        expected += stats.norm.logpdf(middle[3], 1.0, 1.5)
        expected += np.sum(stats.halfnorm.logpdf(spread, scale=0.5) + log_spread)
        normal = stats.norm.logpdf(places, middle, spread)
        # in e the density is that in z times the spread; constants of the normal are left out
        expected += np.sum(np.where(target.centred, normal, normal + log_spread))
        expected += 12 * 0.5 * np.log(2 * np.pi)
        for g in range(3):
            history = PurchaseHistory(*columns[:, group == g])
            expected += bg_nbd.log_likelihood(parameters(places[g]), history, backend).sum()
        assert value == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize("family", [bg_nbd, mbg_nbd])
def test_all_groups_at_once_are_each_by_itself(family):
    """Groups without a repeat purchase, and with one customer, among them."""
    columns, group, places = shop([30, 7, 1, 4, 50], 8)
    columns[:2, group == 3] = 0.0
    columns = np.round(columns)
    parts = tuple(
        Likelihood(family, PurchaseHistory(*rows.columns), rows.weights)
        for rows in (compress([*columns[:, group == g]]) for g in range(5))
    )
    coordinates = coordinates_of(family, {"time": 40.0})
    spreads = tuple(s._replace(prior=OF_SPREADS) for s in coordinates.stated)
    target = Pooled(parts, coordinates, spreads, np.zeros((5, 4), dtype=bool))
    logs, _ = coordinates.log_estimates(places.T)
    values, slopes = target._gradients(logs)
    for g, part in enumerate(parts):
        value, slope = part.gradient(logs[:, g])
        assert values[g] == pytest.approx(value, rel=1e-12)
        assert slopes[:, g] == pytest.approx(slope, rel=1e-9, abs=1e-9)


def test_gradient_is_the_numerical_derivative():
    target, _, _ = density_of([30, 7, 1])
    z = 0.3 * np.random.default_rng(2).standard_normal(target.size)
    z[:4] += MIDDLE
    step = 1e-5
    numerical = [
        (target(z + step * e)[0] - target(z - step * e)[0]) / (2 * step) for e in np.eye(len(z))
    ]
    np.testing.assert_allclose(target(z)[1], numerical, rtol=1e-6, atol=1e-6)


def test_information_is_the_curvature_at_given_spreads():
    target, _, _ = density_of([30, 7, 1])
    z = 0.2 * np.random.default_rng(2).standard_normal(target.size)
    z[:4] += MIDDLE
    rest = np.r_[0:4, 8 : target.size]
    step = 1e-5
    numerical = np.array(
        [-(target(z + step * e)[1] - target(z - step * e)[1]) / (2 * step) for e in np.eye(len(z))]
    )
    np.testing.assert_allclose(
        target.information(z)[np.ix_(rest, rest)], numerical[np.ix_(rest, rest)], atol=2e-5
    )


def test_the_start_finds_groups_that_differ_and_groups_that_do_not():
    coordinates = coordinates_of(bg_nbd, {"time": 40.0})
    found = {}
    for spread in (0.0, 0.8):
        columns, group, _ = shop([400] * 8, 5, np.array([spread, 0.0, 0.0, 0.0]))
        parts = [
            Likelihood(bg_nbd, PurchaseHistory(*columns[:, group == g]), np.ones(400))
            for g in range(8)
        ]
        found[spread] = find_start(parts, coordinates, MIDDLE, 4).spread[0]
    assert found[0.0] < 0.12
    assert 0.4 < found[0.8] < 1.5


# -- a whole fit ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def table():
    """300 customers of one channel, 100 and 20 of two others, and one alone."""
    columns, group, _ = shop([300, 100, 20, 1], 11, np.array([0.7, 0.1, 0.1, 0.1]))
    n = len(group)
    frame = pd.DataFrame(dict(zip(("frequency", "recency", "T"), columns, strict=True)))
    frame["customer_id"] = np.arange(n)
    rng = np.random.default_rng(0)
    frame["monetary_value"] = np.where(
        frame["frequency"] > 0, rng.gamma(5.0, 4.0 + 6.0 * group, n), np.nan
    )
    rfm = clv.rfm_table(frame, time_unit="week", observation_period_end="2024-12-31")
    names = np.array(["web", "shop", "fair", "friend"])
    customers = pd.DataFrame({"customer_id": np.arange(n), "channel": names[group]})
    customers["year"] = 2020 + group
    return rfm.with_covariates(customers, ["channel", "year"])


@pytest.fixture(scope="module")
def fitted(table):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", clv.errors.ConvergenceWarning)  # short chains
        return clv.BetaGeoModel().fit(table, method="mcmc", groups="channel", seed=4, **SHORT)


def test_large_groups_speak_for_themselves_and_small_ones_are_drawn_in(table, fitted):
    intervals = {}
    for name, rows in fitted.group_parameters.groupby(level="channel"):
        estimate = rows["estimate"].droplevel("channel")
        intervals[name] = estimate["alpha"] / estimate["r"]
    alone = np.flatnonzero(table.values("channel") == "web")
    rows = table.to_pandas().iloc[alone][["customer_id", "frequency", "recency", "T"]]
    web = clv.BetaGeoModel().fit(clv.rfm_table(rows, time_unit="week"))
    by_itself = web.parameters["alpha"] / web.parameters["r"]
    assert intervals["web"] == pytest.approx(by_itself, rel=0.15)
    # one customer says next to nothing: theirs is the interval of a new group, give or take
    assert intervals["friend"] == pytest.approx(intervals[UNKNOWN], rel=0.5)
    widths = fitted.group_parameters["standard_error"].xs("r", level="parameter")
    assert widths["web"] < widths["shop"] < widths[UNKNOWN]


def test_customers_of_unknown_groups_are_predicted_from_the_whole(table, fitted):
    here = table.to_pandas()[["customer_id", "channel"]]
    moved = table.with_covariates(here.assign(channel="spacecraft"), ["channel"])
    theirs = fitted.expected_purchases(moved, 20)
    ours = fitted.expected_purchases(table, 20)
    assert np.isfinite(theirs).all()
    web = table.values("channel") == "web"
    assert np.abs(theirs[web] - ours[web]).max() > 1e-3
    new = fitted.expected_purchases_new_customer(20, covariates={"channel": "spacecraft"})
    known = fitted.expected_purchases_new_customer(20, covariates={"channel": "web"})
    assert new > 0
    assert known > 0
    assert new != known


def test_forecasts_and_saving_work_as_for_any_fit(table, fitted, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", clv.errors.ConvergenceWarning)
        spend = clv.GammaGammaModel().fit(table, method="mcmc", groups="channel", **SHORTER)
    level = spend.group_parameters["estimate"].unstack("parameter")
    mean = level["p"] * level["v"] / (level["q"] - 1)
    assert mean["shop"] > 1.5 * mean["web"]
    forecast = clv.forecast(table, fitted, spend, horizon="20 weeks").to_pandas()
    assert (forecast["purchases_low"] <= forecast["purchases_high"]).all()
    fitted.save(tmp_path / "model")
    again = clv.load(tmp_path / "model")
    np.testing.assert_allclose(
        again.expected_purchases(table, 20), fitted.expected_purchases(table, 20), rtol=1e-12
    )
    pd.testing.assert_frame_equal(again.group_parameters, fitted.group_parameters)
    assert "channel" in " ".join(again.notes)


def test_years_are_groups_too(table):
    column = as_levels(Column(table.numbers("year"), table.levels("year")))
    assert column.levels == ("2020", "2021", "2022", "2023")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"groups": "channel"}, "use method='mcmc', not 'mle'"),
        ({"groups": "channel", "method": "laplace"}, "use method='mcmc', not 'laplace'"),
        (
            {
                "groups": "channel",
                "method": "mcmc",
                "priors": {"group_spread: size": clv.Prior("HalfNormal", sigma=1.0)},
            },
            "there are group_spread, group_spread: purchase_interval",
        ),
        (
            {
                "groups": "channel",
                "method": "mcmc",
                "priors": {"group_spread": clv.Prior("Normal", mu=0.0, sigma=1.0)},
            },
            "is positive",
        ),
    ],
)
def test_what_cannot_be_is_refused(table, options, said):
    with pytest.raises(DataError, match=said):
        clv.BetaGeoModel().fit(table, **options)


def test_columns_that_are_no_groups_are_refused(table):
    with pytest.raises(MissingColumnError, match="the table has no column country of groups"):
        clv.BetaGeoModel().fit(table, method="mcmc", groups="country")
    with pytest.raises(DataError, match="channel is a covariate and the column of groups"):
        clv.BetaGeoModel(purchase_covariates=["channel"]).fit(
            table, method="mcmc", groups="channel"
        )
    here = table.to_pandas()[["customer_id"]]
    alike = table.with_covariates(here.assign(channel="web"), ["channel"])
    with pytest.raises(DataError, match="everybody has channel=web"):
        clv.BetaGeoModel().fit(alike, method="mcmc", groups="channel")
    each = table.with_covariates(here.assign(channel=here["customer_id"].astype(str)), ["channel"])
    with pytest.raises(DataError, match="421 groups, and there may be 200"):
        clv.BetaGeoModel().fit(each, method="mcmc", groups="channel")
    gaps = here.assign(channel=["web", None] + ["shop"] * (len(here) - 2))
    with pytest.raises(DataError, match="channel is missing for 1 customer, the first is 1"):
        table.with_covariates(gaps, ["channel"])


def test_priors_of_spreads_hold_groups_together(table):
    """With spreads held near 0 all groups are one."""
    tight = {"group_spread": clv.Prior("HalfNormal", sigma=1e-2)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", clv.errors.ConvergenceWarning)
        held = clv.BetaGeoModel().fit(
            table, method="mcmc", groups="channel", priors=tight, **SHORTER
        )
    alpha = held.group_parameters["estimate"].xs("alpha", level="parameter")
    assert alpha.max() / alpha.min() < 1.1


def intervals_that_hold(seed: int) -> dict[float, int]:
    """How many of 24 intervals hold the truth: 6 groups drawn from the population itself."""
    spread = np.abs(np.random.default_rng([seed, 9]).normal(0.0, 0.5, 4))
    sizes = np.random.default_rng([seed, 10]).choice([20, 60, 200, 600], 6)
    columns, group, places = shop(sizes, seed, spread)
    rows = compress([*np.round(columns, 1), group.astype(float)])
    options = {"samples": 400, "tune": 200, "chains": 2, "progress": False}
    fit = fit_groups(
        bg_nbd,
        PurchaseHistory(*rows.columns[:3]),
        rows.weights,
        {"time": 40.0},
        Plan.of("mcmc", None, seed, None, options, "group"),
        Column(rows.columns[3], tuple(f"{g:02}" for g in range(6))),
    )
    logs = np.log(fit.posterior.points)
    held = dict.fromkeys((0.5, 0.9), 0)
    for g in range(6):
        truth = np.log(np.array(parameters(places[g])))
        for j in range(4):
            draws = logs[:, j] + logs[:, 4 + 7 * j + g]
            for level in held:
                low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
                held[level] += low <= truth[j] <= high
    return held


@pytest.mark.slow
def test_intervals_of_groups_cover_at_the_nominal_rate():
    """960 intervals in 40 data sets; within a data set they are alike: about 240 independent."""
    found = [intervals_that_hold(seed) for seed in range(40)]
    for level in (0.5, 0.9):
        share = sum(held[level] for held in found) / (40 * 24)
        assert share == pytest.approx(level, abs=3 * np.sqrt(level * (1 - level) / 240))
