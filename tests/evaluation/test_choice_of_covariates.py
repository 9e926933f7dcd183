"""Candidates that know more of customers than their purchases."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pytest
from time_varying_world import MONDAY, tables, world

import clv
from clv.errors import DataError
from clv.evaluation.choice import choose
from clv.families import pareto_nbd
from clv.fitted import FittedTimeVarying
from clv.tables.transactions import Transactions

N, END = 500, "2023-06-30"


@pytest.fixture(scope="module")
def customers() -> pd.DataFrame:
    """In another order than the orders, with a column that matters and one that does not."""
    rng = np.random.default_rng(3)
    channel = np.where(np.arange(N) % 3 == 0, "shop", "web")
    return pd.DataFrame(
        {"customer_id": np.arange(N), "channel": channel, "luck": rng.normal(size=N)}
    ).sample(frac=1.0, random_state=4)


@pytest.fixture(scope="module")
def orders(customers: pd.DataFrame) -> Transactions:
    """A year and a half in which those from the web buy three times as often."""
    rng = np.random.default_rng(5)
    start = rng.integers(0, 340, N)  # many are new at the cut: little is known but the channel
    web = (customers.sort_values("customer_id")["channel"] == "web").to_numpy()
    _, state = pareto_nbd.new_customer(
        pareto_nbd.Parameters(1.2, np.where(web, 20.0, 60.0), 0.8, 200.0)
    )
    paths = pareto_nbd.sample_purchases(state, 540.0, rng, (N,))
    who = np.repeat(np.arange(N), paths.counts)
    frame = pd.DataFrame(
        {
            "customer_id": [*range(N), *who],
            "day": [*start, *(start[who] + np.ceil(paths.times))],
            "amount": 1.0,
        }
    )
    frame = frame[frame["day"] < 540]
    frame["date"] = pd.Timestamp("2022-01-07") + pd.to_timedelta(frame["day"], unit="D")
    return clv.read_transactions(frame[["customer_id", "date", "amount"]])


def test_what_is_known_of_customers_wins(orders: Transactions, customers: pd.DataFrame) -> None:
    both = clv.ParetoNBDModel(purchase_covariates=["channel"], dropout_covariates=["luck"])
    choice = choose(
        orders,
        ["pareto_nbd", clv.ParetoNBDModel(purchase_covariates=["channel"]), both],
        observation_period_end=END,
        customers=customers,
    )  # fmt: skip
    rows = {row["label"]: row for row in choice.table.rows()}
    one = "Pareto/NBD (purchase_covariates=['channel'])"
    two = "Pareto/NBD (purchase_covariates=['channel'], dropout_covariates=['luck'])"
    known, plain = rows[one], rows["Pareto/NBD"]
    assert known["aic"] < plain["aic"] - 30
    assert known["log_score"] > plain["log_score"]
    assert [rows[name]["parameters"] for name in ("Pareto/NBD", one, two)] == [4, 5, 6]
    # the score is that of the model of the calibration, asked for each customer's own purchases
    table = clv.rfm_summary(
        orders, calibration_period_end=choice.calibration_period_end, observation_period_end=END
    ).with_covariates(customers, ["channel"])
    by_hand = clv.ParetoNBDModel(purchase_covariates=["channel"]).fit(table)
    bought = table.array("holdout_purchases")
    pmf = by_hand.purchase_count_pmf(bought, table.holdout_duration, table)
    assert known["log_score"] == pytest.approx(np.log(pmf).mean(), rel=1e-9)
    # the winner knows the covariates of everybody, and predicts for the table that comes with it
    assert choice.table.values("label")[0] in (one, two)
    assert "channel" in choice.fitted.covariates
    assert choice.rfm.covariates == ("channel", "luck")
    assert np.isfinite(choice.fitted.expected_purchases(choice.rfm, 10)).all()


def test_seasons_win_where_there_are_some() -> None:
    purchase = (0.9, 0.7, -0.3)
    frame, periods = tables(world(80, 60, (0.9, 5.0, 0.8, 10.0), purchase, (0.0,) * 3, seed=8))
    orders = clv.read_transactions(frame)
    covariates = clv.time_varying_covariates(periods, date="week")
    own = pd.DataFrame({"customer_id": np.unique(periods["customer_id"])})
    own["age"] = np.arange(len(own)) % 7.0
    choice = choose(
        orders,
        ["pareto_nbd", clv.ParetoNBDModel(purchase_covariates=["season", "mailing", "age"]),
         clv.BetaGeoModel(purchase_covariates=["mailing"])],
        observation_period_end=MONDAY + dt.timedelta(days=7 * 60 - 1),
        calibration_period_end=MONDAY + dt.timedelta(days=7 * 45 + 2),
        customers=own,
        covariates=covariates,
    )  # fmt: skip
    assert isinstance(choice.fitted, FittedTimeVarying)
    assert choice.fitted.covariates == ("season", "mailing", "age")
    assert choice.table.values("aic_rank").tolist()[:2] == [1, 2]
    last = choice.table.rows()[-1]
    assert last["model"] == "bg_nbd"
    assert "takes no covariates that change with time" in last["ended"]
    assert (choice.fitted.probability_alive(choice.rfm) <= 1).all()


def test_covariates_that_are_not_there(orders: Transactions, customers: pd.DataFrame) -> None:
    model = clv.ParetoNBDModel(purchase_covariates=["channel"])
    with pytest.raises(DataError, match="name the covariates channel; give a table"):
        choose(orders, [model], observation_period_end=END)
    with pytest.raises(DataError, match="channel"):
        choose(orders, [model], observation_period_end=END, customers=customers[["customer_id"]])
    few = customers[customers["customer_id"] > 5]
    with pytest.raises(DataError, match="has no row for 6 of 500 customers"):
        choose(orders, [model], observation_period_end=END, customers=few)
