"""Pictures of a backtest show its numbers, are labelled, and leave matplotlib as it was."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest

import clv
from clv.errors import DataError
from clv.evaluation import aggregates
from clv.evaluation.backtest import Backtest
from clv.plots import _axes
from clv.plots.backtests import PICTURES, tracking_numbers


@pytest.fixture(scope="module")
def tried() -> Backtest:
    orders = clv.read_transactions(clv.datasets.load_cdnow())
    return clv.backtest(
        orders, ["bg_nbd", "pareto_nbd"], horizon="26 weeks", cuts=2, draws=50, bootstrap=20
    )


@pytest.fixture(autouse=True)
def _quick_and_clean(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(aggregates, "MOST_FUTURES", 40)
    yield
    plt.close("all")


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        *((kind, {}) for kind in PICTURES),
        ("tracking", {"cumulative": True}),
        ("reliability", {"event": "alive", "methods": "pareto_nbd"}),
        ("cohort_retention", {"show": "actual"}),
        ("cohort_retention", {"show": "model"}),
        ("pit_histogram", {"quantity": "value"}),
        ("metric", {"metric": "captured_top_10", "methods": ["total_past_spend"]}),
    ],
)
def test_every_picture_is_labelled(tried: Backtest, kind: str, options: dict[str, Any]) -> None:
    before = dict(mpl.rcParams)
    ax = tried.plot(kind, **options)
    ax.get_figure().canvas.draw()
    assert ax.get_title(loc="left")
    assert ax.get_xlabel()
    assert ax.get_ylabel()
    assert dict(mpl.rcParams) == before
    _, own = plt.subplots()
    assert tried.plot(kind, ax=own, **options) is own


def test_tracking_adds_up_to_what_the_table_knows(tried: Backtest) -> None:
    cut = tried.cut()
    found = tracking_numbers(tried, method="pareto_nbd", cumulative=True)
    at_cut = found.actual[found.last_day == found.cut_day]
    assert at_cut.tolist() == [cut.table.array("frequency").sum()]
    bought = cut.actual["purchases"].sum()
    assert found.actual[-1] == at_cut[0] + bought  # 26 weeks are whole
    expected = cut.predictions("purchases")["pareto_nbd"].sum()
    assert found.expected[-1] - at_cut[0] == pytest.approx(expected, rel=0.03)
    after = found.last_day > found.cut_day
    assert np.isnan(found.low[~after]).all()
    assert ((found.low < found.expected) & (found.expected < found.high))[after].all()


def test_what_is_active_is_counted_once(tried: Backtest) -> None:
    """The heat map against a count by pandas."""
    cut = tried.cut()
    found = aggregates.period_actual(cut, tried.base.days, 28, "month")
    lines = clv.datasets.load_cdnow()
    first = lines.groupby("customer_id")["date"].transform("min")
    later = lines[lines["date"] > first].assign(born=first.dt.strftime("%Y-%m"))
    starts = found.last_day - 27
    number = (
        np.searchsorted(
            starts, later["date"].to_numpy().astype("datetime64[D]").astype(int), side="right"
        )
        - 1
    )
    # four weeks that are not over are not drawn
    day = later["date"].to_numpy().astype("datetime64[D]").astype(int)
    later = later.assign(number=number)[day <= found.last_day[-1]]
    by_hand = later.groupby(["born", "number"])["customer_id"].nunique().unstack(fill_value=0)
    by_hand = by_hand.reindex(columns=range(starts.size), fill_value=0)
    np.testing.assert_array_equal(found.active, by_hand.to_numpy())


def test_heat_maps_hatch_where_too_little_was_foreseen(tried: Backtest) -> None:
    ax = tried.plot("cohort_retention", show="difference")
    mesh, hatched = ax.collections
    grid = np.ma.getdata(mesh.get_array())
    too_low = {(float(k + 1), float(row)) for row, k in np.argwhere(grid < 0)}
    middles = {tuple(path.vertices[:4].mean(axis=0).tolist()) for path in hatched.get_paths()}
    assert middles == too_low
    assert 0 < len(too_low) < grid.size


def test_interval_coverage_shows_what_is_missing(tried: Backtest) -> None:
    ax = tried.plot("interval_coverage", methods="bg_nbd")
    levels, off = ax.get_lines()[-1].get_data()
    row = tried.metrics.to_pandas().query(
        "method == 'bg_nbd' and by == '' and metric == 'pit_coverage_50'"
    )
    # the picture draws the lots of the randomised transform, the metric takes their mean
    assert off[np.isclose(levels, 0.5)] == pytest.approx(row["value"].mean() - 0.5, abs=0.02)
    assert off[[0, -1]] == pytest.approx([0.0, 0.0], abs=1e-9)


def test_more_series_than_colours_differ() -> None:
    styles = [_axes.style(number) for number in range(10)]
    looks = {(style.color, style.marker, style.linewidth) for style in styles}
    assert len(looks) == len({(style.marker, style.linewidth) for style in styles}) == 10


def test_what_cannot_be_drawn_is_refused(tried: Backtest) -> None:
    with pytest.raises(DataError, match="no picture 'pie'"):
        tried.plot("pie")
    with pytest.raises(DataError, match="no model of purchases is called"):
        tried.plot("tracking", method="total_past_spend")
    with pytest.raises(DataError, match="no cut at '1990-01-01'"):
        tried.plot("tracking", cut="1990-01-01")
    with pytest.raises(DataError, match="show must be"):
        tried.plot("cohort_retention", show="both")
    with pytest.raises(DataError, match="shorter than a period"):
        tried.plot("tracking", days_per_period=400)
