"""Pictures show the numbers they claim to show, and leave matplotlib as they found it."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cached_property

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes

import clv
from clv.errors import DataError
from clv.plots import _axes, numbers
from clv.tables.daily import daily_purchases


class Story:
    """CDNOW, fitted to 39 weeks and followed for 39 more."""

    def __init__(self) -> None:
        self.transactions = clv.read_transactions(clv.datasets.load_cdnow(), amount="amount")
        self.rfm = clv.rfm_summary(
            self.transactions,
            observation_period_end="1998-06-30",
            calibration_period_end="1997-09-30",
        )
        self.bg = clv.BetaGeoModel().fit(self.rfm)
        self.mbg = clv.ModifiedBetaGeoModel().fit(self.rfm)
        self.spend = clv.GammaGammaModel().fit(self.rfm)

    @cached_property
    def comparison(self) -> clv.Comparison:
        return clv.compare(self.rfm, self.bg, self.spend, bootstrap=10)

    @cached_property
    def forecast(self) -> clv.Forecast:
        return clv.forecast(self.rfm, self.bg, self.spend, horizon=52, draws=100)

    @cached_property
    def customers(self) -> pd.DataFrame:
        ids = list(self.rfm.customer_ids)
        channels = (["web", "shop", "friends"] * len(ids))[: len(ids)]
        return pd.DataFrame({"customer_id": ids, "channel": channels, "acquisition_cost": 20.0})

    @cached_property
    def returns(self) -> clv.economics.GroupReturns:
        books = clv.economics.books(
            self.rfm, self.bg, self.spend, self.customers, horizon=52, draws=50
        )
        return clv.economics.returns(books)

    @cached_property
    def tiers(self) -> clv.tiers.Tiers:
        return clv.tiers.assign(self.forecast)

    @cached_property
    def runs(self) -> tuple[clv.lifecycle.Stages, ...]:
        return clv.lifecycle.replay(
            self.transactions, self.bg, self.spend, days=["1997-06-30", "1998-06-30"]
        )


@pytest.fixture(scope="module")
def story() -> Story:
    return Story()


@pytest.fixture(autouse=True)
def _close() -> Iterator[None]:
    yield
    plt.close("all")


PICTURES: dict[str, Callable[..., Axes]] = {
    "tracking": lambda s, **k: clv.plots.tracking(s.transactions, s.rfm, [s.bg, s.mbg], **k),
    "tracking, cumulative": lambda s, **k: clv.plots.tracking(
        s.transactions, s.rfm, s.bg, cumulative=True, **k
    ),
    "frequency": lambda s, **k: clv.plots.frequency(s.rfm, [s.bg, s.mbg], **k),
    "calibration": lambda s, **k: clv.plots.calibration(s.rfm, [s.bg, s.mbg], **k),
    "P(alive)": lambda s, **k: clv.plots.probability_alive_matrix(s.bg, T=39, **k),
    "retention": lambda s, **k: clv.plots.retention_curve(s.bg, s.rfm, until=39, **k),
    "retention, new": lambda s, **k: clv.plots.retention_curve(s.bg, until="2 years", **k),
    "predicted, historical": lambda s, **k: clv.plots.predicted_against_historical(
        s.comparison, **k
    ),
    "gains": lambda s, **k: clv.plots.gains(s.comparison, **k),
    "forecast": lambda s, **k: clv.plots.forecast_distribution(s.forecast, **k),
    "tiers": lambda s, **k: clv.plots.tiers(s.tiers, **k),
    "stages": lambda s, **k: clv.plots.stages(s.runs[0], **k),
    "stages over time": lambda s, **k: clv.plots.stages(
        clv.lifecycle.over_time(s.runs), value=True, **k
    ),
    "moves": lambda s, **k: clv.plots.moves(clv.lifecycle.moves(*s.runs), **k),
    "CLV to CAC": lambda s, **k: clv.plots.clv_to_cac(s.returns, **k),
    "top customers": lambda s, **k: clv.plots.top_customers(s.forecast, **k),
}


# --- manners ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PICTURES)
def test_every_picture_is_labelled_and_changes_nothing_global(story: Story, name: str) -> None:
    before = plt.rcParams.copy()
    ax = PICTURES[name](story)
    ax.get_figure().canvas.draw()
    assert isinstance(ax, Axes)
    assert all([ax.get_xlabel(), ax.get_ylabel(), ax.get_title(loc="left")])
    assert plt.rcParams == before


@pytest.mark.parametrize("name", PICTURES)
def test_every_picture_draws_where_it_is_told_to(story: Story, name: str) -> None:
    figure, (left, right) = plt.subplots(1, 2, figsize=(14, 4))
    assert PICTURES[name](story, ax=right) is right
    assert not left.has_data()
    assert right.has_data() or right.collections
    assert plt.get_fignums() == [figure.number]


def test_importing_plots_imports_no_matplotlib() -> None:
    code = "import sys, clv; clv.plots.tracking; sys.exit('matplotlib' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_styles_differ_without_colour() -> None:
    styles = [_axes.style(k) for k in range(5)]
    for field in ("linestyle", "marker", "hatch", "color"):
        assert len({str(getattr(style, field)) for style in styles}) == 5
    looks = {(s.linestyle, s.marker, s.linewidth) for s in map(_axes.style, range(10))}
    assert len(looks) == 10


# --- repeat purchases week by week -----------------------------------------------------------


def test_daily_purchases_are_those_of_the_table(story: Story) -> None:
    daily = daily_purchases(story.transactions, story.rfm)
    days_known = (pd.Timestamp("1997-09-30") - pd.Timestamp("1997-01-01")).days + 1
    assert daily.newcomers.sum() == len(story.rfm) == 2357
    assert daily.repeats[:days_known].sum() == story.rfm.array("frequency").sum() == 2457
    assert daily.repeats[days_known:].sum() == story.rfm.array("holdout_purchases").sum() == 1882


def test_tracking_against_a_sum_over_customers(story: Story) -> None:
    curve = numbers.tracking(story.transactions, story.rfm, story.bg).cumulative()
    assert len(curve.actual) == 78
    assert curve.actual[[38, 77]].tolist() == [2457, 2457 + 1882]
    first = story.rfm.values("first_purchase").astype("datetime64[D]").astype(int)
    for week in (3, 38, 77):
        age = (curve.last_day[week] - first) / 7
        one_by_one = story.bg.expected_purchases_new_customer(age[age > 0]).sum()
        assert curve.expected["BG/NBD"][week] == pytest.approx(one_by_one, rel=1e-12)
    assert np.datetime64(int(curve.cut_day or 0), "D") == np.datetime64("1997-09-30")


def test_tracking_of_repeat_customers_counts_no_first_purchase() -> None:
    newcomers, expectation = np.array([3.0, 0.0, 0.0, 1.0]), np.array([0.0, 0.1, 0.2, 0.3])
    total = numbers.expected_repeat_purchases(newcomers, expectation)
    assert total == pytest.approx([0, 0.3, 0.6, 0.9])


def test_an_incomplete_last_period_is_left_out(story: Story) -> None:
    assert numbers.per_period(np.ones(10), 7).tolist() == [7]
    curve = numbers.tracking(story.transactions, story.rfm, story.bg, days_per_period=100)
    assert len(curve.actual) == 5
    with pytest.raises(DataError, match=r"spans 546 days, less than one period of 1000 days"):
        numbers.tracking(story.transactions, story.rfm, story.bg, days_per_period=1000)


def test_tracking_needs_the_transactions_of_the_table(story: Story) -> None:
    lines = clv.datasets.load_cdnow().query("customer_id > 5")
    other = clv.read_transactions(lines, amount="amount")
    with pytest.raises(DataError, match=r"the table has 2,357 customers .* 2,352"):
        numbers.tracking(other, story.rfm, story.bg)


def test_tracking_draws_its_numbers(story: Story) -> None:
    curve = numbers.tracking(story.transactions, story.rfm, story.bg)
    ax = clv.plots.tracking(story.transactions, story.rfm, story.bg)
    actual, expected, cut = ax.get_lines()
    assert np.asarray(actual.get_ydata()) == pytest.approx(curve.actual)
    assert np.asarray(expected.get_ydata()) == pytest.approx(curve.expected["BG/NBD"])
    assert np.datetime64(cut.get_xdata()[0], "D") == np.datetime64("1997-10-01")
    assert "2,357 customers" in ax.get_title(loc="left")


# --- how often, how many ---------------------------------------------------------------------


def test_frequencies(story: Story) -> None:
    counted = numbers.frequencies(story.rfm, [story.bg, story.mbg])
    assert counted.actual.tolist() == [1411, 439, 214, 100, 62, 38, 29, 64]
    assert list(counted.expected) == ["BG/NBD", "MBG/NBD"]
    for model in (story.bg, story.mbg):
        expected = counted.expected[model.family.TITLE]
        assert expected.sum() == pytest.approx(2357)
        ages = Counter(story.rfm.array("T").tolist())
        twice = sum(n * float(model.purchase_count_pmf(2, age)) for age, n in ages.items())
        assert expected[2] == pytest.approx(twice, rel=1e-10)


def test_customers_of_age_zero_are_expected_not_to_have_come_back(story: Story) -> None:
    frame = pd.DataFrame({"customer_id": [1, 2], "frequency": 0, "recency": 0.0, "T": 0.0})
    counted = numbers.frequencies(clv.rfm_table(frame, time_unit="week"), story.bg, most=2)
    assert counted.expected["BG/NBD"].tolist() == [2, 0, 0]


def test_frequency_draws_its_numbers(story: Story) -> None:
    counted = numbers.frequencies(story.rfm, story.bg, most=4)
    ax = clv.plots.frequency(story.rfm, story.bg, most=4)
    heights = [[bar.get_height() for bar in bars] for bars in ax.containers]
    assert heights[0] == counted.actual.tolist()
    assert heights[1] == pytest.approx(counted.expected["BG/NBD"])
    assert [text.get_text() for text in ax.get_xticklabels()] == ["0", "1", "2", "3", "4+"]


def test_two_fits_of_one_family_keep_apart(story: Story) -> None:
    assert list(numbers.by_title([story.bg, story.bg])) == ["BG/NBD", "BG/NBD (2)"]


def test_frequencies_need_a_whole_limit(story: Story) -> None:
    with pytest.raises(DataError, match="1 or more, not 0"):
        numbers.frequencies(story.rfm, story.bg, most=0)


# --- the holdout -----------------------------------------------------------------------------


def test_calibration_is_the_published_one(story: Story) -> None:
    """Fader, Hardie & Lee 2005, figure 5; digits recomputed elsewhere."""
    groups = numbers.calibration(story.rfm, story.bg)
    assert groups.customers.tolist() == [1411, 439, 214, 100, 62, 38, 29, 64]
    assert groups.actual == pytest.approx(
        [0.237, 0.697, 1.393, 1.560, 2.532, 2.947, 3.862, 6.359], abs=5e-4
    )
    assert groups.predicted["BG/NBD"] == pytest.approx(
        [0.225, 0.523, 1.044, 1.520, 2.164, 2.654, 3.504, 6.157], abs=5e-4
    )


def test_calibration_draws_its_numbers(story: Story) -> None:
    groups = numbers.calibration(story.rfm, story.bg)
    ax = clv.plots.calibration(story.rfm, story.bg)
    actual, predicted = ax.get_lines()
    assert np.asarray(actual.get_ydata()) == pytest.approx(groups.actual)
    assert np.asarray(predicted.get_ydata()) == pytest.approx(groups.predicted["BG/NBD"])
    assert ax.get_ylabel() == "mean purchases in 39 weeks"


def test_calibration_needs_a_holdout(story: Story) -> None:
    whole = clv.rfm_summary(story.transactions, observation_period_end="1998-06-30")
    with pytest.raises(DataError, match="calibration_period_end="):
        clv.plots.calibration(whole, story.bg)


# --- P(alive) --------------------------------------------------------------------------------


def test_probability_alive_grid(story: Story) -> None:
    grid = numbers.probability_alive_grid(
        story.bg, np.array([0, 2, 26]), np.array([0.0, 30.857]), 31.0
    )
    possible = [[True, False, False], [False, True, True]]
    assert np.isfinite(grid).tolist() == possible
    assert grid[0, 0] == 1
    # customer 1516
    assert grid[1, 2] == pytest.approx(0.968851231, abs=1e-7)


def test_probability_alive_matrix_draws_its_numbers(story: Story) -> None:
    ax = clv.plots.probability_alive_matrix(story.mbg, T=20, max_frequency=5)
    drawn = np.asarray(ax.collections[0].get_array())
    grid = numbers.probability_alive_grid(story.mbg, np.arange(6), np.linspace(0, 20, 81), 20)
    assert drawn[1:, 1:] == pytest.approx(grid[1:, 1:])
    assert drawn[:, 0] == pytest.approx(np.full(81, grid[0, 0]))


# --- retention and value ---------------------------------------------------------------------


def test_retention_draws_its_numbers(story: Story) -> None:
    ax = clv.plots.retention_curve(story.mbg, until=26, points=14)
    (line,) = ax.get_lines()
    ages = np.linspace(0, 26, 14)
    assert np.asarray(line.get_ydata()) == pytest.approx(story.mbg.survival_new_customer(ages))


def test_retention_by_group_has_a_line_for_each(story: Story) -> None:
    early = np.where(story.rfm.array("T") > 32, "early", "late")
    ax = clv.plots.retention_curve(story.bg, story.rfm, until=26, by=early, points=5)
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert [label for label in labels if "alive" in label] == [
        "early: alive, by the model",
        "late: alive, by the model",
    ]


def test_value_deciles_keep_the_totals(story: Story) -> None:
    deciles = numbers.value_deciles(story.comparison)
    customers = story.comparison.customers
    assert list(deciles) == [
        "BG/NBD + Gamma-Gamma",
        "total past spend",
        "repeat past spend",
        "spend per tenure",
    ]
    for table in deciles.values():
        actual = (table.mean_actual * table.customers).sum()
        assert actual == pytest.approx(customers.array("actual_value").sum())


def test_predicted_against_historical_draws_its_numbers(story: Story) -> None:
    deciles = numbers.value_deciles(story.comparison)
    ax = clv.plots.predicted_against_historical(story.comparison)
    lines = {line.get_label(): line for line in ax.get_lines()}
    for name, table in deciles.items():
        assert np.asarray(lines[name].get_xdata()) == pytest.approx(table.mean_prediction)
        assert np.asarray(lines[name].get_ydata()) == pytest.approx(table.mean_actual)


def test_gains_pass_through_what_the_comparison_says(story: Story) -> None:
    curves = numbers.value_gains(story.comparison)
    for name, metrics in story.comparison.value_scores.metrics.items():
        label = story.comparison.value_scores.labels[name]
        if label in curves:
            at_top = np.interp(0.1, curves[label].share_of_customers, curves[label].share_of_value)
            assert at_top == pytest.approx(metrics["top_share_captured"], abs=2e-3)


def test_forecast_distribution_draws_its_numbers(story: Story) -> None:
    value = story.forecast.array("residual_value")
    ax = clv.plots.forecast_distribution(story.forecast)
    heights = [bar.get_height() for bar in ax.patches]
    assert sum(heights) == pytest.approx(1)
    best = np.sort(value)[::-1]
    tenth = (best[:235].sum() + 0.7 * best[235]) / value.sum()
    assert heights[0] == pytest.approx(tenth)


def test_top_customers_draws_its_numbers(story: Story) -> None:
    value = story.forecast.array("residual_value")
    ax = clv.plots.top_customers(story.forecast, n=7)
    (points,) = ax.get_lines()
    assert np.asarray(points.get_xdata()) == pytest.approx(np.sort(value)[::-1][:7])
    ids = story.forecast.values("customer_id")
    labels = [text.get_text() for text in ax.get_yticklabels()]
    assert labels[0] == str(ids[np.argmax(value)])


def test_a_customer_number_cannot_become_a_formula(story: Story) -> None:
    frame = story.rfm.to_pandas().head(50)
    frame["customer_id"] = [f"$\\frac{{{k}}}$" for k in range(50)]
    rfm = clv.rfm_table(frame, time_unit="week")
    forecast = clv.forecast(rfm, story.bg, story.spend, horizon=52, interval=None)
    ax = clv.plots.top_customers(forecast, n=3)
    ax.get_figure().canvas.draw()
    assert all(text.get_text().count(r"\$") == 2 for text in ax.get_yticklabels())


# --- tiers, stages, channels -----------------------------------------------------------------


def test_bars_of_tiers_are_their_shares(story: Story) -> None:
    ax = clv.plots.tiers(story.tiers)
    heights = [bar.get_height() for bar in ax.patches]
    table = story.tiers.table
    for k, name in enumerate(
        ("share_of_customers", "share_of_historical_value", "share_of_residual_value")
    ):
        np.testing.assert_allclose(heights[5 * k : 5 * k + 5], table.array(name))


def test_stages_stack_up_to_everybody(story: Story) -> None:
    history = clv.lifecycle.over_time(story.runs)
    ax = clv.plots.stages(history)
    tops = {round(bar.get_x(), 3): 0.0 for bar in ax.patches}
    for bar in ax.patches:
        tops[round(bar.get_x(), 3)] += bar.get_height()
    assert list(tops.values()) == [len(run.customers) for run in story.runs]
    without = clv.lifecycle.stages(story.rfm, story.bg)
    with pytest.raises(DataError, match="know no value"):
        clv.plots.stages(without, value=True)


def test_numbers_in_the_picture_of_moves(story: Story) -> None:
    found = clv.lifecycle.moves(*story.runs)
    ax = clv.plots.moves(found)
    written = sum(int(text.get_text().replace(",", "")) for text in ax.texts)
    assert written == found.counts.sum()


def test_only_known_costs_are_drawn(story: Story) -> None:
    ax = clv.plots.clv_to_cac(story.returns)
    middle = story.returns.table.array("clv_to_cac")
    drawn = ax.lines[0].get_xdata()
    np.testing.assert_allclose(sorted(drawn), sorted(middle))
    free = story.customers.assign(acquisition_cost=0.0)
    books = clv.economics.books(story.rfm, story.bg, story.spend, free, horizon=52, draws=20)
    with pytest.raises(DataError, match="no group has a known"):
        clv.plots.clv_to_cac(clv.economics.returns(books))
