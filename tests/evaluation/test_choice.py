"""The choice of a purchase model: scores by hand, known winners, and candidates that fail."""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import pytest

import clv
from clv.errors import DataError, FitError
from clv.evaluation.candidates import purchase_candidates
from clv.evaluation.choice import Choice, choose, log_scores
from clv.families import bg_cnbd_k
from clv.purchase_model import PurchaseModel
from clv.tables.rfm import RFM
from clv.tables.transactions import Transactions

END, CUT = "1998-06-30", "1997-09-30"


@pytest.fixture(scope="module")
def orders() -> Transactions:
    return clv.read_transactions(clv.datasets.load_cdnow())


@pytest.fixture(scope="module")
def choice(orders: Transactions) -> Choice:
    names = ["nbd", "bg_nbd", "mbg_nbd", "pareto_nbd", "bg_cnbd_k"]
    return choose(orders, names, observation_period_end=END, calibration_period_end=CUT)


@pytest.fixture(scope="module")
def regular() -> Transactions:
    """A year and a half of customers who buy every k = 4 stages, in whole days."""
    rng = np.random.default_rng(1)
    n = 600
    start = rng.integers(0, 200, n)
    family = bg_cnbd_k.variant(4)
    _, state = family.new_customer(family.Parameters(3.0, 9.0, 0.7, 8.0))
    paths = family.sample_purchases(state, 540.0, rng, (n,))
    who = np.repeat(np.arange(n), paths.counts)
    day = start[who] + np.ceil(paths.times)
    frame = pd.DataFrame({"customer_id": [*range(n), *who], "day": [*start, *day], "amount": 1.0})
    frame = frame[frame["day"] < 540]
    frame["date"] = pd.Timestamp("2023-01-01") + pd.to_timedelta(frame["day"], unit="D")
    return clv.read_transactions(frame[["customer_id", "date", "amount"]])


def test_scores_are_those_of_the_models(choice: Choice, cdnow: RFM) -> None:
    """Of each customer, the log of what the model of the calibration said of their purchases."""
    model = clv.BetaGeoModel().fit(cdnow)
    bought = cdnow.array("holdout_purchases").astype(int)
    by_hand = np.empty(len(cdnow))
    for n in np.unique(bought):
        here = bought == n
        by_hand[here] = np.log(model.purchase_count_pmf(int(n), cdnow.holdout_duration, cdnow))[
            here
        ]
    row = choice.table.row(model="bg_nbd")
    assert row["log_score"] == pytest.approx(by_hand.mean(), rel=1e-9)
    assert row["aic"] == pytest.approx(model.aic, rel=1e-9)
    assert row["log_likelihood"] == pytest.approx(-9582.4292, abs=1e-3)
    assert row["bias"] == pytest.approx(1653.4 / 1882 - 1, abs=1e-4)  # both published
    best = log_scores(choice.candidates["MBG/NBD"], cdnow, cdnow.array("holdout_purchases"), 39.0)
    assert row["behind"] == pytest.approx((best - by_hand).mean(), rel=1e-6)
    assert row["standard_error"] == pytest.approx((best - by_hand).std() / 2357**0.5, rel=1e-6)


def test_the_winner_on_cdnow(choice: Choice) -> None:
    labels = choice.table.values("label").tolist()
    assert labels == ["MBG/NBD", "BG/NBD", "BG/CNBD-k (k = 1)", "Pareto/NBD", "NBD"]
    assert choice.table.values("log_score_rank").tolist() == [1, 2, 3, 4, 5]
    assert choice.table.values("aic_rank").tolist() == [1, 2, 3, 4, 5]
    assert list(choice.candidates) == labels
    # fitted again, to everything
    assert choice.fitted.model_name == "mbg_nbd"
    assert choice.fitted.observation_period_end == date(1998, 6, 30)
    assert choice.fitted.fingerprint == choice.rfm.fingerprint
    assert choice.candidates["MBG/NBD"].observation_period_end == date(1997, 9, 30)
    assert not choice.rfm.has_holdout


def test_equals_are_told_apart_by_their_parameters(choice: Choice) -> None:
    """BG/CNBD-k with k = 1 is BG/NBD, with one parameter more."""
    one, other = (choice.table.row(model=name) for name in ("bg_nbd", "bg_cnbd_k"))
    assert one["log_score"] == other["log_score"]
    assert (one["parameters"], other["parameters"]) == (4, 5)
    assert one["log_score_rank"] < other["log_score_rank"]


def test_it_shows_itself(choice: Choice) -> None:
    text = repr(choice)
    for part in (
        "2,357 customers",
        "1,882 purchases",
        "Pareto/NBD",
        "MBG/NBD is chosen by held-out",
    ):
        assert part in text
    assert "behind by less than two" in text
    assert "<table>" in choice._repr_html_()


def test_regular_buyers_are_found(regular: Transactions) -> None:
    """By both criteria, clearly, and with the k that they have."""
    found = choose(
        regular,
        ["bg_nbd", "pareto_nbd", "bg_cnbd_k", clv.BetaGeoCNBDKModel(k=2)],
        observation_period_end="last",
        time_unit="day",
    )
    assert found.fitted.parameters["k"] == 4
    first, *rest = found.table.rows()
    assert first["aic_rank"] == 1
    assert all(row["behind"] > 2 * row["standard_error"] for row in rest)
    assert "BG/CNBD-k (k=2)" in found.candidates
    assert len(found.notes) == 1
    # a third of the time is held out
    end = found.observation_period_end
    first_day = pd.Timestamp(found.rfm.values("first_purchase").min()).date()
    assert (end - found.calibration_period_end).days == round((end - first_day).days / 3)


def test_the_criterion_decides(orders: Transactions) -> None:
    found = {
        criterion: choose(
            orders,
            ["bg_nbd", "mbg_nbd"],
            observation_period_end=END,
            calibration_period_end="1997-06-30",
            criterion=criterion,
        )
        for criterion in ("aic", "log_score")
    }
    for criterion, choice in found.items():
        assert choice.table.values(f"{criterion}_rank").tolist() == [1, 2]
    labels = [choice.table.values("label")[0] for choice in found.values()]
    said = ["By " in note for choice in found.values() for note in choice.notes]
    assert any(said) == (labels[0] != labels[1])


class _Breaks(PurchaseModel):
    """A model that fails to fit, wherever it is told to."""

    family = clv.families.find("nbd")

    def __init__(self, up_to: str) -> None:
        super().__init__()
        self.up_to = date.fromisoformat(up_to)

    def fit(self, rfm: RFM, **options: Any) -> Any:
        if (rfm.calibration_period_end or rfm.observation_period_end) <= self.up_to:
            raise FitError("there is too little to learn from")
        return super().fit(rfm, **options)


def test_a_failure_is_told_in_its_row(orders: Transactions) -> None:
    choice = choose(orders, [_Breaks("1998-01-01"), "bg_nbd"], observation_period_end=END)
    assert choice.fitted.model_name == "bg_nbd"
    last = choice.table.rows()[-1]
    assert last["ended"] == "FitError: there is too little to learn from"
    assert np.isnan(last["aic"])
    assert np.isnan(last["log_score_rank"])
    assert list(choice.candidates) == ["BG/NBD"]
    assert "too little" in repr(choice)


def test_a_boundary_is_told_in_its_row() -> None:
    """Everybody buys until the very end: dropout vanishes, and NBD is enough."""
    rng = np.random.default_rng(2)
    rate = rng.gamma(2.0, 0.05, 200)
    who = np.repeat(np.arange(200), rng.poisson(rate * 365))
    frame = pd.DataFrame(
        {
            "customer_id": [*range(200), *who],
            "date": pd.Timestamp("2023-01-01")
            + pd.to_timedelta([*[0] * 200, *rng.integers(1, 365, len(who))], unit="D"),
            "amount": 1.0,
        }
    )
    choice = choose(
        clv.read_transactions(frame), ["nbd", "bg_nbd"], observation_period_end="2023-12-31"
    )
    assert choice.fitted.model_name == "nbd"
    row = choice.table.row(model="bg_nbd")
    assert row["ended"].startswith("boundary: dropout ")
    assert np.isfinite(row["log_score"])


class TestRefusals:
    def test_all_fail(self, orders: Transactions) -> None:
        broken = [_Breaks("2000-01-01")]
        with pytest.raises(FitError, match="NBD: FitError: there is too little"):
            choose(orders, broken, observation_period_end=END)

    @pytest.mark.parametrize(
        ("candidates", "message"),
        [
            (["no_such"], "no model is called 'no_such'"),
            ([], "must be a list of models"),
            ("bg_nbd", "must be a list of models"),
            (["gamma_gamma"], "is no purchase model"),
            ([3], "is no purchase model"),
        ],
    )
    def test_no_such_candidates(self, orders: Transactions, candidates: Any, message: str) -> None:
        with pytest.raises(DataError, match=message):
            choose(orders, candidates, observation_period_end=END)

    def test_no_such_criterion(self, orders: Transactions) -> None:
        with pytest.raises(DataError, match="criterion must be"):
            choose(orders, observation_period_end=END, criterion="bic")  # type: ignore[arg-type]

    def test_too_short_to_hold_out(self) -> None:
        frame = pd.DataFrame({"customer_id": [1, 2], "date": ["2024-01-01"] * 2, "amount": 1.0})
        with pytest.raises(DataError, match="too few to hold out"):
            choose(clv.read_transactions(frame), observation_period_end="2024-01-02")


def test_all_purchase_models_are_tried_by_default() -> None:
    names = [found.name for found in purchase_candidates(None)]
    assert {"nbd", "bg_nbd", "mbg_nbd", "pareto_nbd", "bg_cnbd_k", "mbg_cnbd_k"} <= set(names)
    assert "bg_bb" not in names
    assert "gamma_gamma" not in names
