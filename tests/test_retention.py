"""Retention curves: the model's, and what was seen."""

from __future__ import annotations

import numpy as np
import pytest

import clv
from clv.errors import DataError
from clv.fitted import FittedPurchases
from clv.retention import alive_at_age
from clv.tables.rfm import RFM


def test_new_customers(mbg_nbd: FittedPurchases) -> None:
    curve = clv.retention_curve(mbg_nbd, until="2 years", points=5)
    np.testing.assert_allclose(curve.array("age"), np.linspace(0, 2 * 365.25 / 7, 5))
    np.testing.assert_allclose(
        curve.array("alive"), mbg_nbd.survival_new_customer(curve.array("age"))
    )
    b, a = mbg_nbd.parameters["b"], mbg_nbd.parameters["a"]
    assert curve.array("alive")[0] == pytest.approx(b / (a + b))  # the first coin is tossed
    assert (np.diff(curve.array("alive")) < 0).all()


def test_customers_of_a_table(cdnow: RFM, bg_nbd: FittedPurchases) -> None:
    curve = clv.retention_curve(bg_nbd, cdnow, until=60, points=31)
    age, alive = curve.array("age"), curve.array("alive")
    assert alive[0] == 1
    assert (np.diff(alive) <= 1e-12).all()
    # beyond every customer's age it is the forecast of survival
    future = alive_at_age(bg_nbd, cdnow, 80.0)
    for i in (0, 5, 40):
        one = clv.rfm_table(cdnow.to_pandas().iloc[[i]], time_unit="week")
        ahead = 80.0 - cdnow.array("T")[i]
        assert future[i] == pytest.approx(bg_nbd.survival(one, ahead)[0])
    observed, expected = curve.array("still_buying_observed"), curve.array("still_buying_expected")
    share = float(np.mean(cdnow.array("frequency") > 0))
    assert observed[0] == pytest.approx(share)
    seen = curve.array("customers") > 500
    assert np.abs(observed - expected)[seen].max() < 0.03  # BG/NBD describes the calibration well
    assert np.isnan(observed[age >= cdnow.array("T").max()]).all()


def test_groups_add_up_to_the_whole(cdnow: RFM, bg_nbd: FittedPurchases) -> None:
    heavy = np.where(cdnow.array("frequency") > 2, "heavy", "light")
    curve = clv.retention_curve(bg_nbd, cdnow, until=39, points=4, by=heavy).to_pandas()
    whole = clv.retention_curve(bg_nbd, cdnow, until=39, points=4)
    share = np.mean(heavy == "heavy")
    groups = {name: part["alive"].to_numpy() for name, part in curve.groupby("group")}
    np.testing.assert_allclose(
        share * groups["heavy"] + (1 - share) * groups["light"], whole.array("alive")
    )


def test_refusals(cdnow: RFM, bg_nbd: FittedPurchases) -> None:
    with pytest.raises(DataError, match="3 labels and the table 2,357"):
        clv.retention_curve(bg_nbd, cdnow, until=39, by=["a", "b", "c"])
    with pytest.raises(DataError, match="points must be 2 or more"):
        clv.retention_curve(bg_nbd, until=39, points=1)
