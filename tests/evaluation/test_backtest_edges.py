"""Data of other shops: small, tied, free, refunded, in another calendar, of one cohort."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import clv
from clv.errors import BoundaryWarning, DataError, FitError
from clv.evaluation.backtest import Backtest
from clv.fitted import FittedTimeVarying
from clv.tables.transactions import Transactions

QUICK: dict[str, Any] = {"bootstrap": 10, "draws": 30}


def shop(customers: int = 250, seed: int = 0, *, cohort: bool = False, closed: bool = False) -> Any:
    """A frame of orders over two years; `closed`: no sales on Sundays and in August."""
    rng = np.random.default_rng(seed)
    start = np.zeros(customers) if cohort else rng.integers(0, 500, customers)
    rate = rng.gamma(1.0, 1 / 50, customers)
    count = rng.poisson(rate * (730 - start))
    who = np.repeat(np.arange(customers), count + 1)
    day = start[who] + np.where(
        np.diff(who, prepend=-1) != 0, 0, rng.integers(1, 730 - start[who].astype(int) + 1)
    )
    frame = pd.DataFrame({"customer_id": [f"c{k}" for k in who], "amount": 10.0})
    frame["amount"] = rng.gamma(3.0, 10.0, who.size).round(2)
    frame["date"] = pd.Timestamp("2022-01-03") + pd.to_timedelta(day, unit="D")
    if closed:
        frame = frame[(frame["date"].dt.day_of_week < 6) & (frame["date"].dt.month != 8)]
    return frame


def read(frame: pd.DataFrame, **options: Any) -> Transactions:
    return clv.read_transactions(frame, **options)


def everything_shows(tried: Backtest) -> None:
    """Nothing that a user looks at first fails, and nothing warns."""
    assert repr(tried)
    assert str(tried.cuts[0].cut) in repr(tried.fits)
    assert tried._repr_html_()
    tried.to_dict()
    frame = tried.metrics.to_pandas()
    assert set(frame["quantity"]) == {"purchases", "value"}


def test_a_small_base_that_is_closed_on_sundays() -> None:
    tried = clv.backtest(
        read(shop(closed=True)), ["bg_nbd"], horizon="3 months", time_unit="month", cuts=2, **QUICK
    )
    everything_shows(tried)
    assert "customers" in tried.verdict().text


def test_one_cohort_only() -> None:
    tried = clv.backtest(read(shop(150, cohort=True)), ["bg_nbd"], horizon=10, cuts=1, **QUICK)
    everything_shows(tried)
    assert tried.totals("value").values("segment").tolist() == ["2022-01", "all"]
    assert "time of first purchase" not in tried.verdict().text


def test_nothing_costs_anything() -> None:
    tried = clv.backtest(read(shop().assign(amount=0.0)), ["bg_nbd"], horizon=10, cuts=1, **QUICK)
    everything_shows(tried)
    found = tried.cuts[0].foreseen["value"]["bg_nbd + gamma_gamma"]
    assert found.expected is None
    assert found.ended.startswith("FitError: Gamma-Gamma cannot be fitted")
    rows = tried.metrics.to_pandas().query("method == 'bg_nbd + gamma_gamma'")
    assert len(rows) > 0
    assert rows["value"].isna().all()
    assert set(rows["ended"]) == {found.ended}
    assert any("foresaw nothing" in note for note in tried.notes)
    with pytest.raises(DataError, match="no model foresaw value"):
        tried.verdict()


def test_everybody_spends_the_same() -> None:
    """Ties everywhere: ranks and concentration still have a value, and no warning comes."""
    tried = clv.backtest(read(shop().assign(amount=5.0)), ["bg_nbd"], horizon=10, cuts=1, **QUICK)
    everything_shows(tried)


def test_refunds_before_and_after_the_cut() -> None:
    frame = shop()
    back = frame.sample(60, random_state=1).assign(amount=lambda f: -f["amount"])
    back["date"] += pd.Timedelta(days=20)
    tried = clv.backtest(
        read(pd.concat([frame, back])),
        ["bg_nbd"],
        horizon=20,
        cuts=2,
        observation_period_end="2023-12-31",
        **QUICK,
    )
    for cut in tried.cuts:
        summary = clv.rfm_summary(
            read(pd.concat([frame, back])),
            calibration_period_end=cut.cut,
            observation_period_end=cut.end,
        )
        np.testing.assert_array_equal(cut.actual["purchases"], summary.array("holdout_purchases"))
        np.testing.assert_allclose(cut.actual["value"], summary.array("holdout_spend"), rtol=1e-9)
    everything_shows(tried)


def test_the_same_as_last_period_is_what_was_bought_in_it() -> None:
    frame = shop()
    tried = clv.backtest(read(frame), ["nbd"], horizon="8 weeks", cuts=1, **QUICK)
    cut = tried.cuts[0]
    end = pd.Timestamp(cut.cut)
    last = frame[(frame["date"] <= end) & (frame["date"] > end - pd.Timedelta(days=56))]
    ids = pd.Index(cut.table.values("customer_id"))
    count = last.drop_duplicates(["customer_id", "date"]).groupby("customer_id").size()
    value = last.groupby("customer_id")["amount"].sum()
    for quantity, by_hand in (("purchases", count), ("value", value)):
        found = cut.predictions(quantity)["same_as_last_period"]  # type: ignore[arg-type]
        np.testing.assert_allclose(found, by_hand.reindex(ids).fillna(0.0), atol=1e-9)


def test_jalali_dates_and_files(tmp_path: Path) -> None:
    """1401-01-01 is 2022-03-21; cuts are read in the calendar of the source."""
    frame = shop(120)
    jalali = pytest.importorskip("persiantools.jdatetime")
    days = {day: str(jalali.JalaliDate(day.date())) for day in frame["date"].unique()}
    path = tmp_path / "orders.csv"
    frame.assign(date=frame["date"].map(days)).to_csv(path, index=False)
    given: dict[str, Any] = {"models": ["bg_nbd"], "horizon": "30 days", **QUICK}
    theirs = clv.backtest(
        clv.read_transactions(str(path), calendar="jalali"), cuts=["1402-05-10"], **given
    )
    ours = clv.backtest(read(frame), cuts=["2023-08-01"], **given)
    assert theirs.cuts[0].cut == ours.cuts[0].cut
    assert theirs.summary().to_dict() == ours.summary().to_dict()


def test_parts_of_the_customers_by_what_a_user_knows() -> None:
    frame = shop()
    ids = sorted(frame["customer_id"].unique())
    known = pd.DataFrame({"customer": ids, "channel": ["web", "shop"] * (len(ids) // 2)})
    tried = clv.backtest(
        read(frame),
        {"plain": "bg_nbd", "by channel": clv.BetaGeoModel(purchase_covariates=["channel"])},
        horizon=10,
        cuts=1,
        customers=known,
        customer_id="customer",
        segments=["channel"],
        **QUICK,
    )
    rows = tried.metrics.to_pandas().query("by == 'channel' and metric == 'bias'")
    assert set(rows["segment"]) == {"shop", "web"}
    assert tried.cuts[0].table.covariates == ("channel",)
    assert {"plain", "by channel", "nbd"} == set(tried.labels("purchases", models=True))
    parts = tried.totals("purchases", "by channel", by="channel")
    whole = parts.row(segment="all")
    assert parts.array("expected")[:-1].sum() == pytest.approx(whole["expected"])
    with pytest.raises(DataError, match="no table that knows"):
        clv.backtest(read(frame), ["bg_nbd"], horizon=10, segments=["channel"])


def test_covariates_that_change_with_time() -> None:
    """They reach the model at each cut, and what is planned after it changes no fit."""
    frame = shop(80, cohort=True)
    first = pd.Timestamp("2022-01-03")
    weeks = pd.DataFrame({"week": pd.date_range(first, periods=120, freq="7D")})
    weeks["sale"] = (np.arange(120) % 9 == 0).astype(float)
    sales = clv.time_varying_covariates(weeks, customer_id=None, date="week")
    model = clv.ParetoNBDModel(purchase_covariates=["sale"])
    tried = clv.backtest(
        read(frame), [model], horizon=8, cuts=1, covariates=sales, draws=10, bootstrap=10
    )
    cut = tried.cuts[0]
    fitted = cut.fitted("pareto_nbd")
    assert isinstance(fitted, FittedTimeVarying)
    summary = clv.rfm_summary(
        read(frame), calibration_period_end=cut.cut, observation_period_end=cut.end
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BoundaryWarning)  # nobody leaves in this shop
        by_hand = model.fit(summary, covariates=sales, transactions=read(frame))
    assert fitted.log_likelihood == pytest.approx(by_hand.log_likelihood, rel=1e-9)
    found = cut.predictions("purchases")["pareto_nbd"]
    again = by_hand.expected_purchases(cut.table, 8.0)
    np.testing.assert_allclose(found, again, rtol=1e-5)


def test_processes_change_nothing() -> None:
    given: dict[str, Any] = {"horizon": 10, "cuts": 2, **QUICK}
    alone, together = (
        clv.backtest(read(shop(60)), ["bg_nbd"], jobs=jobs, **given) for jobs in (1, 2)
    )
    pd.testing.assert_frame_equal(alone.metrics.to_pandas(), together.metrics.to_pandas())


def test_nothing_to_be_foreseen() -> None:
    once = pd.DataFrame({"customer_id": range(30), "date": "2024-01-05", "amount": 3.0})
    later = once.assign(date="2024-06-30").head(1)
    with pytest.raises(FitError, match=r"no model foresaw anything.*bought once"):
        clv.backtest(read(pd.concat([once, later])), ["bg_nbd"], horizon=4, cuts=1)
    with pytest.raises(FitError, match="observed"):
        clv.backtest(read(shop(40)), ["bg_nbd"], horizon=4, cuts=["2023-12-30"])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"cuts": 0}, "cuts must be 1 or more"),
        ({"cuts": []}, "cuts is empty"),
        ({"cuts": ["2023-03-01", "2023-03-01"]}, "more than once"),
        ({"cuts": 300, "step": "1 week"}, "do not fit"),
        ({"horizon": 0.01}, "a day at least"),
        ({"levels": [1.5]}, "strictly between 0 and 1"),
        ({"bootstrap": 1}, "at least 10"),
        ({"models": []}, "no purchase model to try"),
        ({"models": ["bg_nbd", "bg_nbd"]}, "more than once"),
        ({"spend": ["bg_nbd"]}, "no spend model"),
        ({"window": "-3 weeks"}, "window '-3 weeks' cannot be read"),
        ({"step": "soon"}, "step 'soon' cannot be read"),
        ({"cuts": 2.5}, "cuts must be a whole number, or a list of days, not 2.5"),
    ],
)
def test_arguments_that_make_no_sense(given: dict[str, Any], message: str) -> None:
    options: dict[str, Any] = {"horizon": 10, "models": ["bg_nbd"], **given}
    with pytest.raises(DataError, match=message):
        clv.backtest(read(shop(40)), **options)


def test_a_window_learns_from_newcomers_only() -> None:
    tried = clv.backtest(read(shop()), ["bg_nbd"], horizon=10, cuts=1, window="40 weeks", **QUICK)
    cut = tried.cuts[0]
    born = cut.table.values("first_purchase")
    new = born > np.datetime64(cut.cut, "D") - np.timedelta64(280, "D")
    assert cut.fitted("bg_nbd").n_customers == new.sum() < len(cut.table)
    assert len(cut.predictions("purchases")["bg_nbd"]) == len(cut.table)
    assert any("280 days" in note for note in tried.notes)


def test_a_verdict_is_chosen_by_what_was_over_when_its_period_began() -> None:
    """A cut whose horizon reaches into the judged period has seen a part of it."""
    days = {"over": ["2023-01-01", "2023-04-01"], "overlaps": ["2023-03-01", "2023-04-01"]}
    transactions = read(shop())
    said = {
        name: clv.backtest(transactions, ["bg_nbd"], horizon="12 weeks", cuts=cuts, **QUICK)
        .verdict()
        .sentences[0]
        .text
        for name, cuts in days.items()
    }
    assert "may look better" not in said["over"]
    assert "whose period overlaps with this one, so it may look better" in said["overlaps"]
    both = ["2023-01-01", "2023-03-01", "2023-04-01"]
    tried = clv.backtest(transactions, ["bg_nbd"], horizon="12 weeks", cuts=both, **QUICK)
    assert "(CRPS) at the earlier cut," in tried.verdict().sentences[0].text


def test_nothing_is_said_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        clv.backtest(read(shop(60)), ["nbd"], horizon=10, cuts=1, **QUICK)
    assert capsys.readouterr() == ("", "")
