"""The comparison: CDNOW's published holdout tables, refusals, and what is shown."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import clv
from clv.errors import DataError, UnitMismatchError
from clv.evaluation.comparison import Comparison
from clv.evaluation.table import ResultTable
from clv.fitted import FittedPurchases, FittedSpend
from clv.tables.rfm import RFM


@pytest.fixture(scope="module")
def bg(cdnow: RFM, bg_nbd: FittedPurchases, gamma_gamma: FittedSpend) -> Comparison:
    return clv.compare(cdnow, bg_nbd, gamma_gamma)


@pytest.fixture(scope="module")
def mbg(cdnow: RFM, mbg_nbd: FittedPurchases, gamma_gamma: FittedSpend) -> Comparison:
    return clv.compare(cdnow, mbg_nbd, gamma_gamma, bootstrap=20)


# -- published figures, to the digits shown -------------------------------------------------------
# Computed by code that shares nothing with this package; CDNOW's 1/10 sample, 39 weeks.


@pytest.mark.parametrize(
    ("model", "method", "total", "mae", "rmse", "bias"),
    [
        # the bias is that of the totals 1653.4 and 1882
        ("bg", "prediction", 1653.4, 0.7855, 1.6080, -12.1),
        ("mbg", "prediction", 1576.7, 0.7648, 1.6072, -16.2),
        ("bg", "purchases_per_tenure", 2930, 1.0237, 2.2119, 55.7),
    ],
)
def test_purchases(
    model: str,
    method: str,
    total: float,
    mae: float,
    rmse: float,
    bias: float,
    request: pytest.FixtureRequest,
) -> None:
    row = request.getfixturevalue(model).purchases.row(method=method)
    assert row["total"] == pytest.approx(total, abs=0.05 if total % 1 else 0.5)
    assert row["mean_absolute_error"] == pytest.approx(mae, abs=5e-5)
    assert row["root_mean_squared_error"] == pytest.approx(rmse, abs=5e-5)
    assert row["bias"] * 100 == pytest.approx(bias, abs=0.05)


@pytest.mark.parametrize(
    ("model", "method", "bias", "mae", "rmse", "spearman", "captured"),
    [
        ("bg", "prediction", -15.6, 30.41, 72.30, 0.426, 50.2),
        ("mbg", "prediction", -19.5, 29.71, 71.95, 0.430, 50.3),
        ("bg", "total_past_spend", 143.9, 61.65, 172.07, 0.393, 48.1),
        ("bg", "repeat_past_spend", 34.3, 38.34, 157.91, 0.479, 49.1),
        ("bg", "spend_per_tenure", 193, 73.02, 219.19, 0.399, 50.0),
        ("bg", "perfect", 0, 0, 0, 1, 76.3),
    ],
)
def test_value(
    model: str,
    method: str,
    bias: float,
    mae: float,
    rmse: float,
    spearman: float,
    captured: float,
    request: pytest.FixtureRequest,
) -> None:
    row = request.getfixturevalue(model).value.row(method=method)
    assert row["bias"] * 100 == pytest.approx(bias, abs=0.5 if bias == 193 else 0.05)
    assert row["mean_absolute_error"] == pytest.approx(mae, abs=0.005)
    assert row["root_mean_squared_error"] == pytest.approx(rmse, abs=0.005)
    assert row["spearman"] == pytest.approx(spearman, abs=5e-4)
    assert row["top_share_captured"] * 100 == pytest.approx(captured, abs=0.05)


def test_holdout_totals(bg: Comparison) -> None:
    assert bg.purchases.row(method="perfect")["total"] == 1882
    assert bg.value.row(method="perfect")["total"] == pytest.approx(70976.39, abs=0.005)


def test_ties_turn_the_ranking_round(bg: Comparison) -> None:
    """Tie-expected Spearman and the normalised Gini of the proof issue."""
    repeat = bg.value.row(method="repeat_past_spend")
    assert repeat["spearman_tie_expected"] == pytest.approx(0.340, abs=5e-4)
    assert bg.value.row(method="spend_per_tenure")["normalised_gini"] == pytest.approx(
        0.684, abs=5e-4
    )
    assert bg.value.row(method="prediction")["normalised_gini"] == pytest.approx(0.638, abs=5e-4)


def test_the_verdict_on_cdnow(bg: Comparison) -> None:
    """What the figures above allow to be said, and no more."""
    news = {(s.topic, s.text): s.news for s in bg.verdict}
    expected = {
        "Total number of purchases: the model is 12.1% too low": "bad",
        "Total value: the model is 15.6% too low": "bad",
        "The forecast's own 90% interval of total purchases": "bad",
        "Error per customer, value (MAE 30.41): better than total past spend (61.65, 51%)": "good",
        "Foreseeing no value for anybody would have an MAE of 30.11": "even",
        "Choosing the best 10% of customers: the model's list holds 50.2%": "even",
        "Ranking everybody by value (normalised Gini, 1 is perfect): 0.638": "bad",
        "Rank correlation (Spearman): with mid-ranks for ties 0.426 against 0.479": "even",
        "Predictive intervals of purchases hold": "good",
    }
    for start, kind in expected.items():
        assert [n for (_, text), n in news.items() if text.startswith(start)] == [kind], start
    ties = next(text for _, text in news if text.startswith("Rank correlation"))
    assert "How ties are counted decides this comparison" in ties


def test_frequency_bins(bg: Comparison) -> None:
    assert list(bg.frequency["frequency"]) == ["0", "1", "2", "3", "4", "5", "6", "7+"]
    assert list(bg.frequency["customers"]) == [1411, 439, 214, 100, 62, 38, 29, 64]
    np.testing.assert_allclose(
        bg.frequency.array("mean_actual"),
        [0.237, 0.697, 1.393, 1.560, 2.532, 2.947, 3.862, 6.359],
        atol=6e-4,
    )
    np.testing.assert_allclose(
        bg.frequency.array("mean_prediction"),
        [0.225, 0.523, 1.044, 1.520, 2.164, 2.654, 3.504, 6.157],
        atol=6e-4,
    )


def test_predictive_intervals_hold(bg: Comparison, mbg: Comparison) -> None:
    for comparison in (bg, mbg):
        for row in comparison.coverage.rows():
            if row["figure"] == "purchases":
                assert abs(row["pit_coverage"] - row["level"]) <= 0.04
                assert row["coverage"] >= row["level"]
                assert row["width"] > 0
    assert bg.coverage.row(figure="value")["coverage"] == pytest.approx(0.93, abs=0.02)


# -- the parts fit together -------------------------------------------------------------------


def test_differences_are_differences(bg: Comparison) -> None:
    for row in bg.differences.rows():
        if row["metric"] == "absolute_bias":
            continue
        table = bg.value if row["figure"] == "value" else bg.purchases
        gap = (
            table.row(method="prediction")[row["metric"]]
            - table.row(method=row["method"])[row["metric"]]
        )
        assert row["difference"] == pytest.approx(gap, nan_ok=True)
        if np.isfinite(gap):
            assert row["low"] <= row["difference"] <= row["high"]
    found = bg.differences.row(
        figure="value", method="total_past_spend", metric="mean_absolute_error"
    )
    assert found["high"] < -20
    assert found["clear"]


def test_the_customers_add_up_to_the_tables(bg: Comparison, cdnow: RFM) -> None:
    customers = bg.customers
    assert len(customers) == len(cdnow) == bg.n_customers
    assert customers.array("predicted_value").sum() == pytest.approx(
        bg.value.row(method="prediction")["total"]
    )
    for method in ("total_past_spend", "repeat_past_spend", "spend_per_tenure"):
        cell = customers.values(f"cell_{method}")
        for row in bg.migration.rows():
            if row["method"] != method:
                continue
            here = cell == row["cell"]
            assert row["customers"] == here.sum()
            assert row["value"] == pytest.approx(customers.array("actual_value")[here].sum())
            people = bg.migrated(method, row["cell"])
            assert len(people) == row["customers"]
            assert (np.diff(people.array("predicted_value")) <= 0).all()
            assert set(people.values("customer_id")) == set(customers.values("customer_id")[here])
        moved = [
            bg.migration.row(method=method, cell=c)["customers"]
            for c in ("both", "history_only", "model_only")
        ]
        assert moved[0] + moved[1] == moved[0] + moved[2] == 236
    best = customers.array("rank_predicted_value").argmin()
    assert customers.array("predicted_value")[best] == customers.array("predicted_value").max()


def test_calibration_keeps_the_totals(bg: Comparison) -> None:
    table = bg.calibration.to_pandas()
    value = table[table["figure"] == "value"]
    assert len(value) == 10
    assert (value["customers"] * value["mean_actual"]).sum() == pytest.approx(70976.39, abs=0.01)
    assert value["mean_prediction"].is_monotonic_decreasing


def test_the_order_of_the_rows_does_not_matter(
    bg: Comparison, cdnow: RFM, bg_nbd: FittedPurchases, gamma_gamma: FittedSpend
) -> None:
    order = np.random.default_rng(0).permutation(len(cdnow))
    shuffled = clv.rfm_table(
        cdnow.to_pandas().iloc[order].reset_index(drop=True),
        time_unit="week",
        calibration_period_end=cdnow.calibration_period_end,
        observation_period_end=cdnow.observation_period_end,
    )
    other = clv.compare(shuffled, bg_nbd, gamma_gamma, bootstrap=10)
    for here, there in ((bg.purchases, other.purchases), (bg.value, other.value)):
        for name in here.columns[2:]:
            np.testing.assert_allclose(here.array(name), there.array(name), rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(
        bg.customers.values("cell_spend_per_tenure")[order],
        other.customers.values("cell_spend_per_tenure"),
    )


def test_the_same_seed_gives_the_same_intervals(
    cdnow: RFM, bg_nbd: FittedPurchases, gamma_gamma: FittedSpend
) -> None:
    first, again, other = (
        clv.compare(cdnow, bg_nbd, gamma_gamma, bootstrap=20, seed=seed) for seed in (1, 1, 2)
    )
    assert first.to_dict() == again.to_dict()
    assert first.to_dict() != other.to_dict()


@pytest.mark.parametrize("engine", ["polars", "pyarrow"])
def test_customers_come_back_in_the_engine_of_the_table(
    engine: str, cdnow: RFM, bg_nbd: FittedPurchases, gamma_gamma: FittedSpend
) -> None:
    frame = cdnow.to_polars() if engine == "polars" else cdnow.to_arrow()
    table = clv.rfm_table(
        frame,
        time_unit="week",
        calibration_period_end=cdnow.calibration_period_end,
        observation_period_end=cdnow.observation_period_end,
    )
    comparison = clv.compare(table, bg_nbd, gamma_gamma, bootstrap=10)
    expected = pl.DataFrame if engine == "polars" else pa.Table
    assert isinstance(comparison.customers.to_native(), expected)
    people = comparison.migrated("total_past_spend", "model_only")
    assert isinstance(people.to_native(), expected)
    assert len(people.to_native()) == 73


# -- refusals -----------------------------------------------------------------------------------


def remade(rfm: RFM, **changes: Any) -> RFM:
    keywords = {
        "time_unit": "week",
        "calibration_period_end": rfm.calibration_period_end,
        "observation_period_end": rfm.observation_period_end,
    }
    drop = changes.pop("drop", [])
    return clv.rfm_table(rfm.to_pandas().drop(columns=drop), **(keywords | changes))


def test_refusals(cdnow: RFM, bg_nbd: FittedPurchases, gamma_gamma: FittedSpend) -> None:
    with pytest.raises(DataError, match=r"no holdout.*calibration_period_end=\.\.\."):
        clv.compare(
            remade(
                cdnow,
                calibration_period_end=None,
                drop=["holdout_purchases", "holdout_spend"],
            ),
            bg_nbd,
            gamma_gamma,
        )
    with pytest.raises(UnitMismatchError, match="fitted in weeks and the table is in days"):
        clv.compare(remade(cdnow, time_unit="day"), bg_nbd, gamma_gamma)
    with pytest.raises(DataError, match="needs a fitted purchase model, not FittedSpend"):
        clv.compare(cdnow, gamma_gamma, bg_nbd)  # type: ignore[arg-type]
    with pytest.raises(DataError, match=r"expected a table from clv.rfm_summary"):
        clv.compare(cdnow.to_pandas(), bg_nbd, gamma_gamma)  # type: ignore[arg-type]
    for name, value in (("interval", 90), ("top", 0)):
        with pytest.raises(DataError, match=f"{name} must lie strictly between 0 and 1"):
            clv.compare(cdnow, bg_nbd, gamma_gamma, **{name: value})  # type: ignore[arg-type]
    with pytest.raises(DataError, match="at least 10 resamples, not 0"):
        clv.compare(cdnow, bg_nbd, gamma_gamma, bootstrap=0)


def test_a_model_that_has_seen_the_holdout_is_refused(
    cdnow: RFM, bg_nbd: FittedPurchases, gamma_gamma: FittedSpend
) -> None:
    late = remade(cdnow, calibration_period_end=None, drop=["holdout_purchases", "holdout_spend"])
    with pytest.raises(
        DataError, match="fitted to data up to 1998-06-30, which is after the calibration end"
    ):
        clv.compare(cdnow, clv.BetaGeoModel().fit(late), gamma_gamma)
    with pytest.raises(DataError, match="Gamma-Gamma was fitted to data up to 1998-06-30"):
        clv.compare(cdnow, bg_nbd, clv.GammaGammaModel().fit(late))


def test_a_cell_that_is_none(bg: Comparison) -> None:
    with pytest.raises(DataError, match="no cell 'nobody' for 'total_past_spend'; methods are"):
        bg.migrated("total_past_spend", "nobody")


def test_a_holdout_in_which_nothing_happened(
    cdnow: RFM, bg_nbd: FittedPurchases, gamma_gamma: FittedSpend
) -> None:
    frame = cdnow.to_pandas().assign(holdout_purchases=0, holdout_spend=0.0)
    quiet = clv.rfm_table(
        frame,
        time_unit="week",
        calibration_period_end=cdnow.calibration_period_end,
        observation_period_end=cdnow.observation_period_end,
    )
    comparison = clv.compare(quiet, bg_nbd, gamma_gamma, bootstrap=20)
    assert "nothing happened in the holdout" in str(comparison)
    assert "nan" not in str(comparison)
    json.dumps(comparison.to_dict(), allow_nan=False)


@pytest.mark.parametrize(
    ("rows", "changes"),
    [
        (1, {}),
        (20, {"holdout_spend": -5.0}),  # refunds of earlier purchases
        (20, {"holdout_spend": 3.0, "holdout_purchases": 1}),
        (20, {"total_value": 0.0, "mean_purchase_value": 0.0}),
    ],
)
def test_odd_tables_give_numbers_or_none(
    rows: int,
    changes: dict[str, float],
    cdnow: RFM,
    bg_nbd: FittedPurchases,
    gamma_gamma: FittedSpend,
) -> None:
    few = clv.rfm_table(
        cdnow.to_pandas()[:rows].assign(**changes),
        time_unit="week",
        calibration_period_end=cdnow.calibration_period_end,
        observation_period_end=cdnow.observation_period_end,
    )
    comparison = clv.compare(few, bg_nbd, gamma_gamma, bootstrap=20)
    assert "nan" not in str(comparison)
    json.dumps(comparison.to_dict(), allow_nan=False)


# -- what is shown ------------------------------------------------------------------------------


def test_it_prints_its_tables_and_the_verdict(bg: Comparison) -> None:
    text = str(bg)
    for part in ("Purchases per customer, 39 weeks", "BG/NBD + Gamma-Gamma", "Verdict", "76.3%"):
        assert part in text
    assert max(map(len, text.splitlines())) <= 110
    html = bg._repr_html_()
    assert html.count("<table>") == 6
    assert "cannot be told apart" in html


def test_json_has_everything_but_the_customers(bg: Comparison) -> None:
    text = json.dumps(bg.to_dict(), allow_nan=False)
    back = json.loads(text)
    assert back["calibration_period_end"] == "1997-09-30"
    assert back["models"] == ["bg_nbd", "gamma_gamma"]
    nothing = next(row for row in back["value"] if row["method"] == "nothing")
    assert nothing["spearman"] is None
    assert all(said["numbers"] for said in back["verdict"])


def test_a_result_table() -> None:
    table = ResultTable.of("T", [{"key": "a", "label": "<A>", "bias": 0.5, "clear": True}], "key")
    assert str(table).splitlines() == [
        "T",
        "------------------",
        "       bias  clear",
        "<A>  +50.0%    yes",
    ]
    assert "&lt;A&gt;" in table._repr_html_()
    assert isinstance(table.to_pandas(), pd.DataFrame)
    with pytest.raises(KeyError, match="0 rows of 'T'"):
        table.row(key="b")
