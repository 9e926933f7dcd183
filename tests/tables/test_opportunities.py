"""Opportunities counted by `clv.opportunity_summary`, against pandas' calendar and by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pytest

import clv
from clv.errors import DataError, NoUsableRowsError


def gifts(seed: int = 0, n: int = 4_000) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    day = pd.Timestamp("2015-01-01") + pd.to_timedelta(rng.integers(0, 9 * 365, n), unit="D")
    return pd.DataFrame(
        {"customer_id": rng.integers(0, 600, n), "date": day, "amount": rng.integers(5, 90, n)}
    )


@pytest.mark.parametrize(
    ("period", "code", "end", "whole"),
    [
        ("year", "Y", "2023-10-01", "2022-12-31"),
        ("year", "Y", "2022-12-31", "2022-12-31"),
        ("month", "M", "2023-02-27", "2023-01-31"),
        ("month", "M", "2020-02-29", "2020-02-29"),
        ("week", "W", "2023-03-04", "2023-02-26"),
        ("week", "W", "2023-02-26", "2023-02-26"),
        ("day", "D", "2023-02-26", "2023-02-26"),
    ],
)
def test_periods_are_those_of_the_calendar(period: str, code: str, end: str, whole: str) -> None:
    lines = gifts()
    table = clv.opportunity_summary(
        clv.read_transactions(lines), observation_period_end=end, period=period
    )
    assert str(table.observation_period_end) == whole
    assert any("is not over" in note for note in table.notes) == (end != whole)

    lines = lines[lines["date"] <= pd.Timestamp(whole)]
    number = lines["date"].dt.to_period(code).map(lambda p: p.ordinal)
    last = pd.Timestamp(whole).to_period(code).ordinal
    spent = lines.groupby([lines["customer_id"], number.rename("number")])["amount"].sum()
    rows = spent.reset_index().groupby("customer_id")
    first = rows["number"].min()
    expected = pd.DataFrame(
        {
            "frequency": rows.size() - 1,
            "recency": rows["number"].max() - first,
            "T": last - first,
            "total_value": rows["amount"].sum(),
            "monetary_value": rows["amount"].apply(lambda a: a.iloc[1:].mean()),
        }
    ).reset_index()
    found = table.to_pandas()
    for column in expected:
        np.testing.assert_allclose(found[column], expected[column], rtol=1e-12)
    days = lines.groupby("customer_id")["date"]
    assert (found["first_purchase"].to_numpy() == days.min().to_numpy()).all()
    assert (found["last_purchase"].to_numpy() == days.max().to_numpy()).all()


def test_a_holdout_is_counted_in_periods() -> None:
    lines = gifts()
    table = clv.opportunity_summary(
        clv.read_transactions(pl.from_pandas(lines)),
        observation_period_end="2022-12-31",
        calibration_period_end="2020-03-31",
    )
    assert isinstance(table.to_native(), pl.DataFrame)
    assert str(table.calibration_period_end) == "2019-12-31"
    assert table.holdout_duration == 3.0
    known = lines[lines["date"] < "2020"]["customer_id"].unique()
    later = lines[(lines["date"] >= "2020") & (lines["date"] < "2023")]
    years = later.groupby("customer_id")["date"].agg(lambda d: d.dt.year.nunique())
    spend = later.groupby("customer_id")["amount"].sum()
    found = table.to_pandas().set_index("customer_id")
    assert sorted(found.index) == sorted(known)
    expected = years.reindex(found.index).fillna(0)
    assert (found["holdout_purchases"] == expected).all()
    assert (found["holdout_spend"] == spend.reindex(found.index).fillna(0)).all()
    short = table.array("frequency") <= table.array("recency")
    assert short.all()
    assert (table.array("T") <= 4).all()


def test_a_refunded_gift_is_none() -> None:
    days = ("2018-05", "2019-02", "2019-03", "2020-07", "2018-01", "2018-02")
    lines = pd.DataFrame(
        {
            "customer_id": ["a"] * 4 + ["b", "b"],
            "date": [f"{day}-01" for day in days],
            "amount": [20.0, 30.0, -30.0, 10.0, 5.0, -8.0],
        }
    )
    table = clv.opportunity_summary(
        clv.read_transactions(lines), observation_period_end="2021-12-31"
    )
    assert table.to_pandas()[["customer_id", "frequency", "recency", "T"]].values.tolist() == [
        ["a", 1, 2.0, 3.0]
    ]
    assert table.unmatched_refunds == (1, 3.0)
    assert any("1 customer has no purchase that was not refunded" in note for note in table.notes)


def test_the_whole_way() -> None:
    """Fit, forecast with intervals, comparison and retention on a table of opportunities."""
    model = clv.BetaGeoBetaBinomModel()
    rng = np.random.default_rng(3)
    n = 1_500
    first = rng.integers(2008, 2013, n)
    p, theta = rng.beta(1.2, 0.75, n), rng.beta(0.66, 2.78, n)
    leaves = rng.geometric(theta)
    rows = [
        (i, f"{first[i] + k}-{rng.integers(1, 13):02d}-15", float(rng.gamma(3, 10)))
        for i in range(n)
        for k in range(2020 - first[i] + 1)
        if k == 0 or (k < leaves[i] and rng.random() < p[i])
    ]
    lines = pd.DataFrame(rows, columns=["customer_id", "date", "amount"])
    table = clv.opportunity_summary(
        clv.read_transactions(lines),
        observation_period_end="2020-12-31",
        calibration_period_end="2016-12-31",
    )
    fitted, spend = model.fit(table), clv.GammaGammaModel().fit(table)
    assert fitted.convergence.converged
    forecast = clv.forecast(table, fitted, spend, horizon="4 years", draws=200)
    expected = forecast.array("expected_purchases").sum()
    assert expected == pytest.approx(table.array("holdout_purchases").sum(), rel=0.08)
    inside = (forecast.array("purchases_low") <= table.array("holdout_purchases")) & (
        table.array("holdout_purchases") <= forecast.array("purchases_high")
    )
    assert inside.mean() > 0.88
    dates = forecast.values("next_purchase_p50")
    assert (dates[~np.isnat(dates)] > np.datetime64("2016-12-31")).all()
    comparison = clv.compare(table, fitted, spend, bootstrap=20)
    assert "BG/BB" in str(comparison) or "bg_bb" in str(comparison)
    curve = clv.retention_curve(fitted, table, until="8 years", points=9)
    seen = curve.array("customers") > 100
    gap = curve.array("still_buying_observed") - curve.array("still_buying_expected")
    assert np.abs(gap[seen]).max() < 0.05


def test_what_cannot_be_done_is_said() -> None:
    transactions = clv.read_transactions(gifts())
    with pytest.raises(DataError, match="opportunity_summary needs transactions, not DataFrame"):
        clv.opportunity_summary(gifts(), observation_period_end="2020-12-31")
    with pytest.raises(DataError, match="no year is over between calibration_period_end 2020-01"):
        clv.opportunity_summary(
            transactions,
            observation_period_end="2020-12-30",
            calibration_period_end="2020-01-05",
        )
    with pytest.raises(NoUsableRowsError, match="by 2014-12-31, the end of the last year that is"):
        clv.opportunity_summary(transactions, observation_period_end="2015-06-01")
    with pytest.raises(DataError, match="time_unit 'decade'"):
        clv.opportunity_summary(transactions, observation_period_end="2020-12-31", period="decade")
