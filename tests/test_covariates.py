"""Models with covariates from end to end: each customer is predicted by a plain model of theirs."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from oracles import covariates as oracle

import clv
from clv.errors import BoundaryWarning, DataError, MissingColumnError
from clv.fitted import Fitted, FittedPurchases, FittedSpend
from clv.tables.rfm import RFM

N = 900
CHOICES = {"purchase_covariates": ["channel", "visits"], "dropout_covariates": ["channel"]}
NAMES = ("bg_nbd", "mbg_nbd", "pareto_nbd")


def simulated(name: str = "pareto_nbd", n: int = N) -> tuple[RFM, pd.DataFrame]:
    """A table with purchases of one family and values of Gamma-Gamma; and the covariates."""
    purchases, spend = oracle.customers(name, n, 1), oracle.customers("gamma_gamma", n, 1)
    assert np.array_equal(purchases.matrix, spend.matrix)  # the same customers
    h, truth = purchases.history, oracle.TRUTHS["gamma_gamma"]
    rng = np.random.default_rng(9)
    parameters = spend.family.Parameters(*oracle.at(truth.base, truth.coefficients, spend.matrix))
    count = np.maximum(h.frequency, 1).astype(int)
    nobody = type(spend.history)(np.zeros(n), np.zeros(n))
    total = spend.family.sample_unit_totals(
        parameters, np.zeros(n), count, np.ones(count.sum()), rng
    ) * spend.family.scale(parameters, nobody)
    frame = pd.DataFrame(
        {
            "customer_id": [f"c{i:04d}" for i in range(n)],
            "frequency": h.frequency.astype(int),
            "recency": h.recency,
            "T": h.T,
            "monetary_value": np.where(h.frequency > 0, total / count, np.nan),
        }
    )
    known = pd.DataFrame(
        {
            "customer_id": frame["customer_id"],
            "channel": np.array(oracle.LEVELS)[(purchases.matrix[:, :2] @ [1, 2]).astype(int)],
            "visits": purchases.matrix[:, 2],
            "zero": 0.0,
        }
    )
    table = clv.rfm_table(frame, time_unit="week", observation_period_end="2024-06-30")
    shuffled = known.sample(frac=1.0, random_state=3)
    return table.with_covariates(shuffled, ["channel", "visits", "zero"]), known


@pytest.fixture(scope="module")
def rfm() -> RFM:
    return simulated()[0]


@pytest.fixture(scope="module")
def fits(rfm: RFM) -> dict[str, FittedPurchases]:
    return {name: clv.model_class(name)(**CHOICES).fit(rfm) for name in NAMES}


@pytest.fixture(scope="module")
def spend(rfm: RFM) -> FittedSpend:
    return clv.GammaGammaModel(covariates=["channel", "visits"]).fit(rfm)


def plain_of(fitted: Fitted, covariates: dict[str, Any]) -> Any:
    """The plain model that customers with these covariates have."""
    assert fitted.design is not None
    row = fitted.design.row(covariates)
    k = len(fitted.family.PARAMETERS)
    at = np.array(fitted.parameters_at(fitted.estimates, row))
    draws = np.stack([np.broadcast_to(p[0], len(fitted.draws)) for p in
                      fitted.parameters_at(fitted.draws, row)], axis=1)  # fmt: skip
    return replace(
        fitted,
        estimates=at,
        draws=draws,
        design=None,
        determined=np.ones(k, bool),
        log_covariance=np.eye(k),
    )


def some(rfm: RFM, rows: np.ndarray) -> RFM:
    columns = {name: rfm.values(name)[rows] for name in rfm.columns}
    return replace(rfm, **clv.RFM.parts(columns, like=rfm))


VERBS = {
    "probability_alive": lambda m, rfm: m.probability_alive(rfm),
    "survival": lambda m, rfm: m.survival(rfm, 26),
    "retention_probability": lambda m, rfm: m.retention_probability(rfm, 26),
    "expected_purchases": lambda m, rfm: m.expected_purchases(rfm, "52 weeks"),
    "probability_no_purchase": lambda m, rfm: m.probability_no_purchase(rfm, 26),
    "probability_never_again": lambda m, rfm: m.probability_never_again(rfm),
    "discounted_expected_purchases": lambda m, rfm: m.discounted_expected_purchases(rfm),
    "discounted_expected_lifetime": lambda m, rfm: m.discounted_expected_lifetime(rfm, 52),
    "next_purchase_quantile": lambda m, rfm: m.next_purchase_quantile(rfm, 0.4),
    "purchase_count_pmf": lambda m, rfm: m.purchase_count_pmf(2, 26, rfm),
    "purchase_count_pmf of each": lambda m, rfm: m.purchase_count_pmf(
        np.arange(len(rfm)) % 3, 26, rfm
    ),
}


@pytest.mark.parametrize("name", NAMES)
def test_each_customer_is_predicted_by_a_plain_model_of_theirs(
    name: str, rfm: RFM, fits: dict[str, FittedPurchases]
) -> None:
    fitted, rows = fits[name], np.arange(0, N, 60)
    few = some(rfm, rows)
    assert len(set(few.values("channel"))) == 3
    together = {verb: ask(fitted, few) for verb, ask in VERBS.items()}
    for i in range(len(rows)):
        one = some(few, np.array([i]))
        covariates = {"channel": one.values("channel")[0], "visits": one.array("visits")[0]}
        alone = plain_of(fitted, covariates)
        for verb, ask in VERBS.items():
            if verb == "purchase_count_pmf of each":
                expected = alone.purchase_count_pmf(i % 3, 26, one)[0]
            else:
                expected = ask(alone, one)[0]
            assert together[verb][i] == pytest.approx(expected, rel=1e-9), verb
        t = np.array([3.0, 40.0])
        for verb in ("expected_purchases_new_customer", "survival_new_customer"):
            new = getattr(fitted, verb)(t, covariates=covariates)
            np.testing.assert_allclose(new, getattr(alone, verb)(t), rtol=1e-10)
        new = fitted.purchase_count_pmf([0, 1, 2], 26, covariates=covariates)
        np.testing.assert_allclose(new, alone.purchase_count_pmf([0, 1, 2], 26), rtol=1e-10)


def test_a_posterior_is_averaged_customer_by_customer(
    rfm: RFM, fits: dict[str, FittedPurchases]
) -> None:
    fitted = replace(fits["pareto_nbd"], method="mcmc", draws=fits["pareto_nbd"].draws[:5])
    few = some(rfm, np.arange(0, N, 100))
    single = [
        replace(fitted, method="mle", estimates=draw).expected_purchases(few, 26)
        for draw in fitted.draws
    ]
    np.testing.assert_allclose(
        fitted.expected_purchases(few, 26), np.mean(single, axis=0), rtol=1e-12
    )


def test_spend_of_each_customer(rfm: RFM, spend: FittedSpend) -> None:
    few = some(rfm, np.arange(0, N, 60))
    value = spend.expected_spend(few)
    for i in range(len(few)):
        one = some(few, np.array([i]))
        covariates = {"channel": one.values("channel")[0], "visits": one.array("visits")[0]}
        alone = plain_of(spend, covariates)
        assert value[i] == pytest.approx(alone.expected_spend(one)[0], rel=1e-12)
        assert spend.expected_spend_new_customer(covariates=covariates) == pytest.approx(
            alone.population_mean, rel=1e-12
        )


@pytest.mark.parametrize("kind", ["predictive", "expected"])
def test_intervals_are_those_of_plain_models(
    kind: Any, rfm: RFM, fits: dict[str, FittedPurchases], spend: FittedSpend
) -> None:
    """Exactly for expected values; up to the chance of simulation for predictive ones."""
    fitted = clv.ParetoNBDModel(["channel"], ["channel"]).fit(rfm)
    worth = clv.GammaGammaModel(covariates=["channel"]).fit(rfm)
    settings: Any = {"horizon": 26, "interval_kind": kind, "draws": 1_500}
    whole = clv.forecast(rfm, fitted, worth, **settings)
    for level in oracle.LEVELS:
        rows = np.flatnonzero(rfm.values("channel") == level)
        covariates = {"channel": level}
        part = clv.forecast(
            some(rfm, rows), plain_of(fitted, covariates), plain_of(worth, covariates), **settings
        )
        for column in ("purchases_low", "purchases_high", "residual_value_low",
                       "residual_value_high"):  # fmt: skip
            ours, theirs = whole.array(column)[rows], part.array(column)
            if kind == "expected":
                np.testing.assert_allclose(ours, theirs, rtol=1e-9)
            else:
                size = part.array(column.replace("low", "high")).mean()
                assert ours.mean() == pytest.approx(theirs.mean(), abs=0.03 * size), column
                assert np.corrcoef(ours, theirs)[0, 1] > 0.99 or column.endswith("low")
        for column in ("expected_purchases", "residual_value", "probability_alive"):
            np.testing.assert_allclose(whole.array(column)[rows], part.array(column), rtol=1e-10)
    total = whole.totals[0]
    drawn = [
        float(fitted.at(draw).expected_purchases(rfm, 26).sum()) for draw in fitted.draws[:200]
    ]
    if kind == "expected":  # the delta method against draws
        assert (total.high - total.low) / 3.29 == pytest.approx(np.std(drawn), rel=0.2)


@pytest.mark.slow
def test_intervals_cover_customers_of_every_kind() -> None:
    """Simulated onwards: nine of ten lie within, in each channel."""
    table, _ = simulated("pareto_nbd", 4_000)
    truth = oracle.customers("pareto_nbd", 4_000, 1)
    t = oracle.TRUTHS["pareto_nbd"]
    family = truth.family
    parameters = family.Parameters(*oracle.at(t.base, t.coefficients, truth.matrix))
    rng = np.random.default_rng(12)
    alive = rng.random(4_000) < family.probability_alive(parameters, truth.history)
    state = family.alive_state(parameters, truth.history)
    happened = alive * family.sample_purchases(state, 26.0, rng, (4_000,)).counts
    fitted = clv.ParetoNBDModel(["channel", "visits"], ["channel", "visits"]).fit(table)
    spend = clv.GammaGammaModel(covariates=["channel"]).fit(table)
    ahead = clv.forecast(table, fitted, spend, horizon=26)
    low, high = ahead.array("purchases_low"), ahead.array("purchases_high")
    inside = (low <= happened) & (happened <= high)
    for level in oracle.LEVELS:
        here = table.values("channel") == level
        assert 0.89 < inside[here].mean() < 0.995, level
        assert happened[here].sum() == pytest.approx(
            ahead.array("expected_purchases")[here].sum(), rel=0.12
        )


def test_retention_by_channel(rfm: RFM, fits: dict[str, FittedPurchases]) -> None:
    fitted = clv.ParetoNBDModel(["channel"], ["channel"]).fit(rfm)
    curve = clv.retention_curve(fitted, rfm, until=70, points=8, by="channel")
    for level in oracle.LEVELS:
        rows = np.flatnonzero(rfm.values("channel") == level)
        alone = plain_of(fitted, {"channel": level})
        expected = clv.retention_curve(alone, some(rfm, rows), until=70, points=8)
        here = curve.values("group") == level
        np.testing.assert_allclose(curve.array("alive")[here], expected.array("alive"), rtol=1e-9)
        seen, foreseen = (
            curve.array(f"still_buying_{what}")[here][:5] for what in ("observed", "expected")
        )
        np.testing.assert_allclose(seen, foreseen, atol=0.06)
    new = clv.retention_curve(fitted, until=70, points=8, covariates={"channel": "web"})
    np.testing.assert_allclose(
        new.array("alive"), fitted.survival_new_customer(new.array("age"), covariates={
            "channel": "web"}), rtol=1e-12,
    )  # fmt: skip


def test_simulated_customers_are_like_those_of_the_table(
    rfm: RFM, fits: dict[str, FittedPurchases]
) -> None:
    fitted = fits["bg_nbd"]
    history = fitted.simulate(np.tile(rfm.array("T"), 20), seed=1, covariates=rfm)
    for level in oracle.LEVELS:
        here = np.tile(rfm.values("channel") == level, 20)
        assert history.frequency[here].mean() == pytest.approx(
            rfm.array("frequency")[rfm.values("channel") == level].mean(), rel=0.12
        )
    one = fitted.simulate(np.full(4_000, 50.0), covariates={"channel": "web", "visits": 3})
    expected = fitted.expected_purchases_new_customer(
        50.0, covariates={"channel": "web", "visits": 3}
    )
    assert one.frequency.mean() == pytest.approx(float(expected), rel=0.08)


# --- zero covariates, tests, criteria ---------------------------------------------------------


@pytest.mark.parametrize("name", [*NAMES, "gamma_gamma"])
def test_a_column_of_zeros_is_the_plain_model(name: str, rfm: RFM) -> None:
    model = clv.model_class(name)
    plain = model().fit(rfm)
    groups = (
        {"covariates": ["zero"]}
        if name == "gamma_gamma"
        else {"purchase_covariates": ["zero"], "dropout_covariates": ["zero"]}
    )
    zero = model(**groups).fit(rfm)
    assert zero.log_likelihood == pytest.approx(plain.log_likelihood, abs=1e-9)
    assert zero.parameters == plain.parameters
    assert zero.standard_errors == plain.standard_errors
    assert (zero.aic, zero.bic) == (plain.aic, plain.bic)
    assert (zero.coefficients["coefficient"] == 0).all()
    assert zero.coefficients["standard_error"].isna().all()
    assert zero.coefficients["note"].str.startswith("undetermined: it is the same for").all()
    assert any("coefficient of zero cannot be determined" in note for note in zero.notes)
    assert zero.likelihood_ratio_test(plain) == (0.0, 0, 1.0)
    verb = "expected_spend" if name == "gamma_gamma" else "probability_alive"
    np.testing.assert_array_equal(getattr(zero, verb)(rfm), getattr(plain, verb)(rfm))
    assert "undetermined" in repr(zero)


def test_likelihood_ratio(rfm: RFM, fits: dict[str, FittedPurchases], spend: FittedSpend) -> None:
    plain = clv.ParetoNBDModel().fit(rfm)
    fitted = fits["pareto_nbd"]
    test = fitted.likelihood_ratio_test(plain)
    assert test.degrees == 5
    assert test.statistic == pytest.approx(2 * (fitted.log_likelihood - plain.log_likelihood))
    assert test.p_value < 1e-6
    assert "chi-squared" in str(test)
    assert "5 degrees of freedom" in str(test)
    assert fitted.aic == pytest.approx(2 * 9 - 2 * fitted.log_likelihood)
    between = clv.ParetoNBDModel(purchase_covariates=["visits"]).fit(rfm)
    assert fitted.likelihood_ratio_test(between).degrees == 4
    with pytest.raises(DataError, match=r"also has the coefficients channel=mail \(for alpha\)"):
        between.likelihood_ratio_test(fitted)
    with pytest.raises(DataError, match=r"BG/NBD is not nested in Pareto/NBD; compare their AIC"):
        fitted.likelihood_ratio_test(clv.BetaGeoModel().fit(rfm))
    with pytest.raises(DataError, match="not fitted to the same customers"):
        fitted.likelihood_ratio_test(clv.ParetoNBDModel().fit(some(rfm, np.arange(700))))
    assert spend.likelihood_ratio_test(clv.GammaGammaModel().fit(rfm)).p_value < 1e-6


@pytest.mark.slow
def test_the_test_rejects_noise_as_often_as_it_says() -> None:
    """A covariate that does nothing: p-values are uniform."""
    p_values = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        count = rng.geometric(0.4, 200)
        value = 20 * rng.gamma(4.0 * count) / rng.gamma(3.5, 1.0, 200) / count
        frame = pd.DataFrame({"customer_id": np.arange(200), "frequency": count, "recency": 5.0,
                              "T": 9.0, "monetary_value": value})  # fmt: skip
        noise = pd.DataFrame({"customer_id": np.arange(200), "noise": rng.normal(size=200)})
        table = clv.rfm_table(frame, time_unit="week").with_covariates(noise, ["noise"])
        full, plain = (
            clv.GammaGammaModel(covariates=["noise"]).fit(table),
            clv.GammaGammaModel().fit(table),
        )
        p_values.append(full.likelihood_ratio_test(plain).p_value)
    assert 0.35 < np.mean(p_values) < 0.65
    assert 0 < np.sum(np.array(p_values) < 0.2) < 24


# --- what users see -----------------------------------------------------------------------------


def test_effects_say_what_the_coefficients_mean(
    fits: dict[str, FittedPurchases], spend: FittedSpend
) -> None:
    fitted = fits["pareto_nbd"]
    found = {(e.group, e.covariate, e.level): e for e in fitted.effects()}
    frame = fitted.coefficients
    for (group, covariate, level), effect in found.items():
        label = f"{'alpha' if group == 'purchase' else 'beta'}: {covariate}"
        row = frame.loc[label if level is None else f"{label}={level}"]
        assert effect.factor == pytest.approx(np.exp(row["coefficient"]))
        assert effect.low == pytest.approx(np.exp(row["low"]))
        assert effect.high == pytest.approx(np.exp(row["high"]))
        assert effect.after / effect.before == pytest.approx(effect.factor)
        assert str(effect) in repr(fitted)
    web = found["purchase", "channel", "web"]
    assert web.base == "shop"
    assert f"channel=web, compared with shop, buy {web.factor:.3g} times as often" in web.sentence
    assert "drop out" in found["dropout", "channel", "mail"].sentence
    assert "times as fast" in found["dropout", "channel", "mail"].sentence
    visits = found["purchase", "visits", None]
    assert "With each further unit of visits customers buy" in visits.sentence
    assert "over a standard deviation" in visits.sentence
    assert "times as much per purchase" in spend.effects()[0].sentence

    bg = fits["bg_nbd"]
    dropout = next(e for e in bg.effects() if e.group == "dropout" and e.level == "web")
    p = bg.parameters
    assert dropout.before == pytest.approx(p["a"] / (p["a"] + p["b"]))
    a, b = (p[x] * np.exp(bg.coefficients.loc[f"{x}: channel=web", "coefficient"]) for x in "ab")
    assert dropout.after == pytest.approx(a / (a + b))
    assert f"mean probability of {dropout.after:.3g} instead of" in dropout.sentence
    assert len(bg.effects()) == 5  # a and b are one effect


def test_summary_and_display(fits: dict[str, FittedPurchases]) -> None:
    fitted = fits["pareto_nbd"]
    summary = fitted.summary()
    assert list(summary.index[:4]) == ["r", "alpha", "s", "beta"]
    assert list(summary.index[4:]) == list(fitted.coefficients.index)
    assert (summary["low"] < summary["estimate"]).all()
    assert (summary["estimate"] < summary["high"]).all()
    assert (summary["standard_error"] > 0).all()
    assert summary.loc["alpha: channel=web", "meaning"] == "coefficient of channel=web, base shop"
    for text in (repr(fitted), fitted._repr_html_()):
        assert "alpha: channel=web" in text
        assert "coefficient of channel, base shop" in text
    assert "base nan" not in repr(fitted) + summary.to_string()
    assert fitted.coefficients["base"].tolist()[2] is None
    # base parameters: no visits, and the base level
    shop = fitted.parameters_at(
        fitted.estimates, fitted.design.row({"channel": "shop", "visits": 0.0})
    )
    np.testing.assert_allclose(list(fitted.parameters.values()), shop, rtol=1e-12)


def test_standard_errors_of_base_parameters_are_those_of_their_draws(
    rfm: RFM,
) -> None:
    fitted = clv.ParetoNBDModel(["visits"]).fit(rfm, draws=20_000)
    drawn = np.exp(fitted.user_logs(fitted.draws))[:, :4].std(axis=0)
    # of beta the logs are too wide for the delta method
    np.testing.assert_allclose(list(fitted.standard_errors.values())[:3], drawn[:3], rtol=0.08)


def test_saved_and_loaded(
    tmp_path: Path, rfm: RFM, fits: dict[str, FittedPurchases], spend: FittedSpend
) -> None:
    for fitted in (*fits.values(), spend):
        back = clv.load(fitted.save(tmp_path / fitted.model_name))
        assert back.design == fitted.design
        assert repr(back) == repr(fitted)
        assert back.coefficients.equals(fitted.coefficients)
        text = (tmp_path / fitted.model_name / "model.json").read_text()
        assert "c0001" not in text
        size = sum(f.stat().st_size for f in (tmp_path / fitted.model_name).iterdir())
        assert size < 60_000
    before = clv.forecast(rfm, fits["bg_nbd"], spend, horizon=26)
    loaded = [clv.load(tmp_path / name) for name in ("bg_nbd", "gamma_gamma")]
    assert before.to_pandas().equals(clv.forecast(rfm, *loaded, horizon=26).to_pandas())


def test_engines_give_the_same_fit() -> None:
    table, known = simulated(n=600)
    plain = table.to_pandas().drop(columns=["channel", "visits", "zero"])
    found = []
    for change in (pd.DataFrame, pl.from_pandas, lambda f: pa.Table.from_pandas(f)):
        made = clv.rfm_table(change(plain), time_unit="week", observation_period_end="2024-06-30")
        made = made.with_covariates(change(known), ["channel", "visits"])
        fitted = clv.BetaGeoModel(**CHOICES).fit(made)
        found.append((fitted.estimates.tolist(), fitted.probability_alive(made).tolist()))
    assert found[0] == found[1] == found[2]


def test_the_comparison_takes_them(rfm: RFM, spend: FittedSpend) -> None:
    fitted = clv.ParetoNBDModel(**CHOICES).fit(rfm)
    frame = rfm.to_pandas()
    rng = np.random.default_rng(2)
    frame["holdout_purchases"] = rng.poisson(fitted.expected_purchases(rfm, 26))
    frame["holdout_spend"] = frame["holdout_purchases"] * 30.0
    frame["total_value"] = (frame["frequency"] + 1) * 30.0
    table = clv.rfm_table(
        frame,
        time_unit="week",
        calibration_period_end="2024-06-30",
        observation_period_end="2024-12-29",
    ).with_covariates(frame[["customer_id", "channel", "visits"]], ["channel", "visits"])
    comparison = clv.compare(table, fitted, spend, bootstrap=20)
    assert abs(comparison.purchases.row(method="prediction")["bias"]) < 0.1
    assert 0.8 < comparison.coverage.row(figure="purchases", level=0.9)["pit_coverage"] < 1


# --- refusals -------------------------------------------------------------------------------------


def test_models_without_covariates_refuse_them() -> None:
    with pytest.raises(DataError, match="NBD takes no covariates on purchases; models that do are"):
        clv.NBDModel(purchase_covariates=["channel"])
    with pytest.raises(DataError, match="channel: named more than once as a covariate"):
        clv.BetaGeoModel(purchase_covariates=["channel", "channel"])
    assert repr(clv.BetaGeoModel(purchase_covariates="channel")) == (
        "BetaGeoModel(purchase_covariates=['channel'])"
    )
    assert repr(clv.GammaGammaModel(covariates=["x"])) == (
        "GammaGammaModel(purchases='repeat', covariates=['x'])"
    )


def test_tables_without_the_columns_are_refused(
    rfm: RFM, fits: dict[str, FittedPurchases], spend: FittedSpend
) -> None:
    bare = clv.rfm_table(rfm.to_pandas(), time_unit="week")
    with pytest.raises(MissingColumnError, match=r"no covariate color; add it with rfm\.with_cov"):
        clv.BetaGeoModel(purchase_covariates=["channel", "color"]).fit(rfm)
    with pytest.raises(MissingColumnError, match=r"the table has no channel, visits; add them"):
        fits["bg_nbd"].probability_alive(bare)
    with pytest.raises(MissingColumnError, match=r"the table has no channel, visits; add them"):
        spend.expected_spend(bare)
    with pytest.raises(DataError, match="a value for each of channel, visits; those given are: n"):
        fits["bg_nbd"].expected_purchases_new_customer(10)
    with pytest.raises(DataError, match="fitted without covariates; give none"):
        clv.NBDModel().fit(bare).expected_purchases_new_customer(10, covariates={"channel": "web"})


def test_an_unseen_level_is_refused_by_name(rfm: RFM, fits: dict[str, FittedPurchases]) -> None:
    known = rfm.to_pandas()[["customer_id", "channel", "visits"]]
    known.loc[[3, 5], "channel"] = "fax"
    other = rfm.with_covariates(known, ["channel", "visits"])
    with pytest.raises(DataError, match=r"channel has 'fax', which the model has not seen in fit"):
        fits["bg_nbd"].expected_purchases(other, 26)
    text = rfm.with_covariates(known.assign(visits="many"), ["channel", "visits"])
    with pytest.raises(DataError, match=r"'fax'|visits holds texts"):
        fits["bg_nbd"].expected_purchases(text, 26)


@pytest.mark.parametrize("name", ["bg_nbd", "gamma_gamma"])
def test_awkward_numbers(name: str, tmp_path: Path) -> None:
    """Far from 0, tiny, with one value far out: finite, without a warning, or a named limit."""
    table, _ = simulated(n=400)
    visits = table.array("visits")
    awkward = {
        "far": visits + 1e6,
        "tiny": visits * 1e-12,
        "outlier": np.where(np.arange(400) == 3, 1e6, visits),
    }
    ids = table.to_pandas()["customer_id"]
    table = table.with_covariates(pd.DataFrame({"customer_id": ids, **awkward}), list(awkward))
    found = {}
    for column in ("visits", *awkward):
        model = clv.model_class(name)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", BoundaryWarning)
            fitted = (
                model(covariates=[column]) if name == "gamma_gamma" else model([column], [column])
            ).fit(table)
        predicted = (
            fitted.expected_spend(table)
            if name == "gamma_gamma"
            else fitted.expected_purchases(table, 26)
        )
        assert np.isfinite(predicted).all()
        found[column] = (fitted.log_likelihood, predicted)
        assert repr(clv.load(fitted.save(tmp_path / column))) == repr(fitted)
        fitted.summary()
        assert len(fitted.effects()) == len(model.family.COVARIATES)
        if column == "far" and name != "gamma_gamma":
            assert any("0 everywhere, which for far is too far" in note for note in fitted.notes)
    for column in ("far", "tiny"):
        assert found[column][0] == pytest.approx(found["visits"][0], abs=1e-6)
        np.testing.assert_allclose(found[column][1], found["visits"][1], rtol=1e-4)


def test_a_level_without_repeat_buyers_is_said_by_the_spend_model(rfm: RFM) -> None:
    known = rfm.to_pandas()[["customer_id"]].assign(
        came_back=np.where(rfm.array("frequency") > 0, "yes", "no")
    )
    table = rfm.with_covariates(known, ["came_back"])
    fitted = clv.GammaGammaModel(covariates=["came_back"]).fit(table)
    assert any("Nobody with came_back=no has a repeat purchase" in note for note in fitted.notes)
    with pytest.raises(DataError, match="came_back has 'no', which the model has not seen"):
        fitted.expected_spend(table)


def test_pictures_take_them(rfm: RFM, fits: dict[str, FittedPurchases]) -> None:
    import matplotlib.pyplot as plt

    from clv.plots import numbers

    fitted, nbd = fits["pareto_nbd"], clv.NBDModel().fit(rfm)
    rfm = some(rfm, np.arange(0, N, 3))
    seen = numbers.frequencies(rfm, [fitted, nbd])
    assert seen.expected["Pareto/NBD"].sum() == pytest.approx(len(rfm))
    off = np.abs(seen.expected["Pareto/NBD"] - seen.actual).sum()
    assert off < 0.15 * len(rfm)
    web = {"channel": "web", "visits": 3}
    grid = numbers.probability_alive_grid(
        fitted, np.array([0, 2]), np.array([0.0, 20.0]), 40.0, web
    )
    alone = numbers.probability_alive_grid(
        plain_of(fitted, web), np.array([0, 2]), np.array([0.0, 20.0]), 40.0
    )
    np.testing.assert_allclose(grid, alone, rtol=1e-10)
    with pytest.raises(DataError, match="a value for each of channel, visits"):
        clv.plots.probability_alive_matrix(fitted, T=40.0)
    clv.plots.probability_alive_matrix(fitted, T=40.0, covariates=web)
    clv.plots.retention_curve(fitted, until=40, points=5, covariates=web)
    plt.close("all")


def test_purchases_over_time_are_followed() -> None:
    lines = clv.datasets.load_cdnow()
    first = lines.sort_values("date").drop_duplicates("customer_id")
    customers = first[["customer_id"]].assign(many=first["quantity"] > 2)
    transactions = clv.read_transactions(lines)
    rfm = clv.rfm_summary(
        transactions, calibration_period_end="1997-09-30", observation_period_end="1998-06-30"
    ).with_covariates(customers, ["many"])
    plain = clv.BetaGeoModel().fit(rfm)
    fitted = clv.BetaGeoModel(["many"]).fit(rfm)
    from clv.plots import numbers

    found = numbers.tracking(transactions, rfm, [plain, fitted])
    without, with_them = found.expected.values()
    assert with_them.sum() == pytest.approx(without.sum(), rel=0.03)
    each = fitted.expected_purchases_new_customer(rfm.array("T"), covariates=rfm)
    assert each.sum() == pytest.approx(rfm.array("frequency").sum(), rel=0.05)
