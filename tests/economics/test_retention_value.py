"""More retention: the closed form against individuals simulated one by one, sharing no code."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from individuals import YEAR, brute_force

import clv
from clv.economics import retention_value
from clv.errors import DataError, InfiniteValueError
from clv.fitted import FittedPurchases, FittedSpend
from clv.tables._frame import Table
from clv.tables.rfm import RFM

HORIZON = 3 * YEAR
DELTA = np.log(1.1) / YEAR


@pytest.fixture(scope="module")
def pareto_nbd(cdnow: RFM) -> FittedPurchases:
    return clv.ParetoNBDModel().fit(cdnow)


@pytest.fixture(scope="module")
def repeaters(cdnow: RFM) -> RFM:
    """Customers of whom enough is known that chance does not drown the change."""
    frame = cdnow.to_pandas()
    return clv.rfm_table(frame[frame["frequency"] > 0].reset_index(drop=True), time_unit="week")


@pytest.mark.parametrize("name", ["bg_nbd", "mbg_nbd", "pareto_nbd"])
def test_agrees_with_individuals(
    request: pytest.FixtureRequest, name: str, repeaters: RFM, gamma_gamma: FittedSpend
) -> None:
    model = request.getfixturevalue(name)
    heavy = np.where(repeaters.array("frequency") > 3, "heavy", "light")
    found = retention_value(
        repeaters, model, gamma_gamma, horizon=HORIZON, margin=0.4, by={"group": heavy}
    )
    lived = brute_force(
        name, model.parameters, repeaters, 120, kappa=found.kappa, horizon=HORIZON, delta=DELTA
    )

    # retention, measured: customers are weighted as they are alive
    alive = lived.alive_now.sum()
    for after, claimed in zip(
        lived.alive_later, (found.retention_before, found.retention_after), strict=True
    ):
        error = np.sqrt(claimed * (1 - claimed) / alive)
        assert after.sum() / alive == pytest.approx(claimed, abs=4 * error)
    both = (lived.alive_later[1].astype(float) - lived.alive_later[0])[lived.alive_now]
    error = both.std() / np.sqrt(alive)
    assert both.mean() == pytest.approx(0.05, abs=4 * error)
    assert error < 0.001

    p, q, v = (gamma_gamma.parameters[k] for k in "pqv")
    x, m = repeaters.array("frequency"), np.nan_to_num(repeaters.array("monetary_value"))
    level = np.where(m > 0, p * (v + x * m) / (p * x + q - 1), p * v / (q - 1)) * 0.4
    gain = (lived.worth[1] - lived.worth[0]) * level[:, None]
    value = lived.worth[0] * level[:, None]
    rows = found.table.to_pandas().set_index("group")
    for group, who in (
        ("everybody", heavy != ""),
        ("heavy", heavy == "heavy"),
        ("light", heavy == "light"),
    ):
        for column, lives, limit in (("residual_value", value, 0.02), ("change", gain, 0.06)):
            totals = lives[who].sum(axis=0)  # one total per repetition
            error = totals.std(ddof=1) / np.sqrt(totals.size)
            assert totals.mean() == pytest.approx(rows.loc[group, column], abs=4 * error)
            assert error < limit * totals.mean()  # else the test says nothing
    assert rows.loc["everybody", "relative_change"] == pytest.approx(
        gain.sum() / value.sum(), rel=0.1
    )


def test_groups_add_up_and_are_within_their_intervals(
    cdnow: RFM, mbg_nbd: FittedPurchases, gamma_gamma: FittedSpend
) -> None:
    groups = {"a": cdnow.array("frequency") > 1, "b": np.arange(len(cdnow)) % 3}
    table = retention_value(cdnow, mbg_nbd, gamma_gamma, by=groups).table.to_pandas()
    for column in ("customers", "residual_value", "change"):
        sums = table.groupby("grouped_by")[column].sum()
        assert sums["a"] == pytest.approx(sums["everybody"])
        assert sums["b"] == pytest.approx(sums["everybody"])
    assert (table["change_low"] < table["change"]).all()
    assert (table["change"] < table["change_high"]).all()
    forecast = clv.forecast(cdnow, mbg_nbd, gamma_gamma, horizon=None, interval=None)
    assert table["residual_value"][0] == pytest.approx(forecast.array("residual_value").sum())


def test_the_interval_is_that_of_parameter_draws(
    cdnow: RFM, mbg_nbd: FittedPurchases, gamma_gamma: FittedSpend
) -> None:
    some = clv.rfm_table(cdnow.to_pandas().iloc[::6], time_unit="week")
    found = retention_value(some, mbg_nbd, gamma_gamma, horizon=52.0)
    changes = []
    for k in range(12):
        draw = mbg_nbd.at(mbg_nbd.draws[k]), gamma_gamma.at(gamma_gamma.draws[k])
        changes.append(retention_value(some, *draw, horizon=52.0).change)
    row = found.table.to_pandas().loc[0]
    width = row["change_high"] - row["change_low"]
    assert width == pytest.approx(2 * 1.645 * np.std(changes), rel=0.5)


def test_service_costs_and_more_points(
    cdnow: RFM, mbg_nbd: FittedPurchases, gamma_gamma: FittedSpend
) -> None:
    plain = retention_value(cdnow, mbg_nbd, gamma_gamma, horizon=52.0)
    more = retention_value(cdnow, mbg_nbd, gamma_gamma, horizon=52.0, points=0.1)
    dear = retention_value(cdnow, mbg_nbd, gamma_gamma, horizon=52.0, cost_to_serve_rate=5.0)
    assert more.change > plain.change > dear.change > 0
    assert more.kappa < plain.kappa == dear.kappa
    forecast = clv.forecast(
        cdnow, mbg_nbd, gamma_gamma, horizon=52.0, cost_to_serve_rate=5.0, interval=None
    )
    assert dear.table.array("residual_value")[0] == pytest.approx(
        forecast.array("residual_value").sum()
    )


def test_the_quoted_figure_stands_beside_it(
    cdnow: RFM, mbg_nbd: FittedPurchases, gamma_gamma: FittedSpend
) -> None:
    found = retention_value(cdnow, mbg_nbd, gamma_gamma)
    assert "5 points more retention" in found.verdict
    assert "the often quoted 25 to 95 %" in found.verdict
    assert found.verdict in repr(found)
    assert found.verdict in found._repr_html_()

    def said(low: float, high: float) -> str:
        ends = {"": (low + high) / 2, "_low": low, "_high": high}
        columns = {f"relative_change{end}": [value] for end, value in ends.items()}
        return replace(found, table=Table.from_columns(columns)).verdict

    assert "less than the often" in said(0.1, 0.2)
    assert "within the often" in said(0.3, 0.5)
    assert "more than the often" in said(1.0, 1.2)
    assert "not clearly within or outside" in said(0.2, 0.3)
    one = retention_value(cdnow, mbg_nbd, gamma_gamma, points=0.01)
    assert "quoted" not in one.verdict  # the figure is about five points
    assert one.relative_change < found.relative_change


def test_refusals(cdnow: RFM, mbg_nbd: FittedPurchases, gamma_gamma: FittedSpend) -> None:
    with pytest.raises(DataError, match="NBD is none; use bg_nbd, mbg_nbd or pareto_nbd"):
        retention_value(cdnow, clv.NBDModel().fit(cdnow), gamma_gamma)
    with pytest.raises(DataError, match="are not to be had: mean retention is"):
        retention_value(cdnow, mbg_nbd, gamma_gamma, points=0.5)
    with pytest.raises(DataError, match=r"0\.05 for five points, not 5"):
        retention_value(cdnow, mbg_nbd, gamma_gamma, points=5)
    with pytest.raises(DataError, match="2 labels for 2,357 customers"):
        retention_value(cdnow, mbg_nbd, gamma_gamma, by={"tier": ["a", "b"]})
    with pytest.raises(InfiniteValueError, match="a horizon or a discount_rate"):
        retention_value(cdnow, mbg_nbd, gamma_gamma, discount_rate=0.0)
