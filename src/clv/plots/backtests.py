"""Pictures of a backtest: what all customers did, and each cohort, and what was foreseen."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from clv.errors import DataError
from clv.plots import _axes, numbers
from clv.plots.backtest_scores import (
    UNITS,
    deciles,
    interval_coverage,
    metric,
    pit_histogram,
    reliability,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from clv.evaluation.backtest import Backtest
    from clv.evaluation.foreseen import Quantity
    from clv.evaluation.segments import CohortLength

Floats = NDArray[np.float64]

#: Columns of a heat map, at most, that leave room for a number in each cell.
MOST_NUMBERS = 18


class CutTracking(NamedTuple):
    """Repeat purchases of the customers known at a cut, period by period.

    Attributes
    ----------
    last_day
        Last day of each period, in days since 1970-01-01, shape (periods,).
    actual, expected
        Up to the cut the model knows the day of each first purchase only; after it, everything
        known at the cut.
    low, high
        Predictive interval; missing up to the cut.
    cut_day
        Last day known.
    """

    last_day: NDArray[np.int64]
    actual: Floats
    expected: Floats
    low: Floats
    high: Floats
    cut_day: int


def tracking_numbers(
    tried: Backtest,
    *,
    method: str | None = None,
    cut: Any = -1,
    cumulative: bool = False,
    days_per_period: int = 7,
    level: float = 0.9,
) -> CutTracking:
    """What `tracking` draws; parameters are told there."""
    from clv.evaluation.aggregates import period_actual, period_futures
    from clv.fitted import FittedPurchases
    from clv.tables.daily import DailyPurchases

    name, where = tried.model("purchases", method), tried.cut(cut)
    actual = period_actual(where, tried.base.days, days_per_period, "year")
    futures = period_futures(where, name, days_per_period, "year", seed=tried.seed)
    model = where.fitted(name)
    assert isinstance(model, FittedPurchases)
    daily = DailyPurchases(actual.first_day, actual.newcomers, np.zeros(actual.newcomers.size))
    before = numbers.per_period(numbers.expected_by_day(model, where.table, daily), days_per_period)
    happened = actual.purchases.sum(axis=0)
    ahead = futures.purchases.sum(axis=0)
    if cumulative:
        before = np.cumsum(before)
        ahead = happened[: before.size].sum() + np.cumsum(ahead, axis=1)
        happened = np.cumsum(happened)
    low, high = np.quantile(ahead, [(1 - level) / 2, (1 + level) / 2], axis=0)
    missing = np.full(before.size, np.nan)
    return CutTracking(
        actual.last_day,
        happened,
        np.concatenate([before, ahead.mean(axis=0)]),
        np.concatenate([missing, low]),
        np.concatenate([missing, high]),
        int(futures.last_day[0]) - days_per_period,
    )


def tracking(
    tried: Backtest,
    *,
    method: str | None = None,
    cut: Any = -1,
    cumulative: bool = False,
    days_per_period: int = 7,
    level: float = 0.9,
    ax: Axes | None = None,
) -> Axes:
    """Repeat purchases of the customers known at a cut, week by week, actual and foreseen.

    Parameters
    ----------
    tried
        From `clv.backtest`.
    method
        A model of purchases; by default the best.
    cut
        Which, by place or day; by default the last.
    cumulative
        Draw the purchases since the beginning instead of those of each week.
    days_per_period
        7 is a week. Weeks begin after the cut; an incomplete one at the end is left out.
    level
        Of the predictive interval.
    ax
        Where to draw; None makes a new figure.

    Returns
    -------
    matplotlib.axes.Axes
    """
    drawn = tracking_numbers(
        tried,
        method=method,
        cut=cut,
        cumulative=cumulative,
        days_per_period=days_per_period,
        level=level,
    )
    name, where = tried.model("purchases", method), tried.cut(cut)
    ax = _axes.prepare(ax)
    days = _axes.as_datetime(drawn.last_day)
    style = _axes.style(0)
    ax.fill_between(
        days,
        drawn.low,
        drawn.high,
        color=style.color,
        alpha=0.2,
        linewidth=0,
        label=f"{level:.0%} interval",
    )
    ax.plot(days, drawn.actual, label="actual", **_axes.ACTUAL.line)
    label = f"expected by {tried.labels('purchases')[name]}"
    ax.plot(days, drawn.expected, label=label, **style.line)
    _axes.mark_cut(ax, drawn.cut_day)
    _axes.dates(ax)
    _axes.separate_thousands(ax, "y")
    _axes.room_above(ax, 1.1 if cumulative else 1.3)
    period = "week" if days_per_period == 7 else f"{days_per_period} days"
    _axes.label(
        ax,
        f"Repeat purchases of the {len(where.table):,} customers known on {where.cut}",
        f"end of the {period}" if days_per_period == 7 else "end of the period",
        "repeat purchases since the beginning" if cumulative else f"repeat purchases per {period}",
    )
    columns = 1 if cumulative else 3
    _axes.legend(ax, loc="upper left", bbox_to_anchor=(0, 0.95), ncols=columns, fontsize="small")
    return ax


def cohort_retention(
    tried: Backtest,
    *,
    method: str | None = None,
    cut: Any = -1,
    show: Literal["actual", "model", "difference"] = "difference",
    days_per_period: int = 28,
    ax: Axes | None = None,
) -> Axes:
    """Which share of each cohort buys in each four weeks: a heat map.

    Parameters
    ----------
    tried
        From `clv.backtest`.
    method
        A model of purchases; by default the best.
    cut
        Which; by default the last.
    show
        "actual": what happened, before and after the cut. "model": the same, with what was
        foreseen after the cut in the place of what happened. "difference": foreseen less actual,
        after the cut.
    days_per_period
        Length of a period; they begin after the cut.
    ax
        Where to draw; None makes a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        With a colour bar beside it. A period in which not all of a cohort had come is blank.
    """
    from clv.evaluation.aggregates import period_actual, period_futures
    from clv.evaluation.segments import cohorts

    if show not in ("actual", "model", "difference"):
        raise DataError(f"show must be 'actual', 'model' or 'difference', not {show!r}")
    name, where = tried.model("purchases", method), tried.cut(cut)
    length = _cohort_length(tried, where.cut)
    actual = period_actual(where, tried.base.days, days_per_period, length)
    futures = period_futures(where, name, days_per_period, length, seed=tried.seed)
    size = futures.customers[:, None]
    happened = np.where(actual.known >= size, actual.active / size, np.nan)
    foreseen = futures.active.mean(axis=1) / size
    split = happened.shape[1] - foreseen.shape[1]
    grid = {
        "actual": happened,
        "model": np.concatenate([happened[:, :split], foreseen], axis=1),
        "difference": foreseen - happened[:, split:],
    }[show]
    names, _ = cohorts(where.table.values("first_purchase"), length)
    ax = _axes.prepare(ax, height=1.9 + 0.3 * len(names))
    ax.grid(visible=False)
    columns = np.arange(grid.shape[1]) - (0 if show == "difference" else split) + 1
    if show == "difference":
        reach = float(np.nanmax(np.abs(grid), initial=0.01))
        scale: dict[str, Any] = {"cmap": "PuOr", "vmin": -reach, "vmax": reach}
    else:
        scale = {"cmap": "cividis", "vmin": 0, "vmax": float(np.nanmax(happened, initial=0.01))}
    rows = np.arange(len(names))
    image = ax.pcolormesh(columns, rows, np.ma.masked_invalid(grid), shading="nearest", **scale)
    if show == "difference":  # without colours both ends of the scale are dark
        _hatch(ax, [(float(columns[k]), float(row)) for row, k in np.argwhere(grid < 0)])
    if grid.shape[1] <= MOST_NUMBERS:
        _write_shares(ax, grid, columns, scale)
    figure = ax.get_figure()
    if figure is not None:
        from matplotlib.ticker import PercentFormatter

        digits = 1 if scale["vmax"] < 0.05 else 0
        bar = figure.colorbar(image, ax=ax, format=PercentFormatter(1.0, decimals=digits))
        bar.outline.set_visible(False)
    if show != "difference":
        ax.axvline(0.5, color=_axes.BLACK, linewidth=1.5)
    ax.set_yticks(rows, names)
    ax.invert_yaxis()
    ax.tick_params(length=0)
    _axes.whole_numbers(ax)
    said = {
        "actual": "Share of each cohort that bought",
        "model": f"Share of each cohort that buys: actual, then {tried.labels('purchases')[name]}",
        "difference": f"Share that buys: {tried.labels('purchases')[name]} less actual; "
        "hatched where too low",
    }[show]
    length_of_each = (
        f"{days_per_period // 7} weeks" if days_per_period % 7 == 0 else f"{days_per_period} days"
    )
    _axes.label(
        ax,
        said,
        f"periods of {length_of_each}; 1 is the first after {where.cut}",
        f"{length} of the first purchase",
    )
    return ax


def _hatch(ax: Axes, cells: list[tuple[float, float]]) -> None:
    """Hatch cells of a heat map, given by their middles."""
    from matplotlib.collections import PatchCollection
    from matplotlib.patches import Rectangle

    squares = [Rectangle((x - 0.5, y - 0.5), 1.0, 1.0) for x, y in cells]
    look: dict[str, Any] = {"facecolor": "none", "edgecolor": _axes.GREY, "linewidth": 0}
    ax.add_collection(PatchCollection(squares, hatch="//", **look), autolim=False)


def _write_shares(ax: Axes, grid: Floats, columns: NDArray[Any], scale: dict[str, Any]) -> None:
    """The numbers on the cells, dark on light and light on dark."""
    import matplotlib as mpl

    shade = mpl.colormaps[scale["cmap"]]
    span = scale["vmax"] - scale["vmin"]
    for (row, k), share in np.ndenumerate(grid):
        if not np.isfinite(share):
            continue
        red, green, blue, _ = shade((share - scale["vmin"]) / span)
        light = 0.299 * red + 0.587 * green + 0.114 * blue > 0.5
        digits = 1 if span < 0.2 else 0
        text = f"{100 * share:{'+' if scale['vmin'] < 0 else ''}.{digits}f}"
        ax.text(
            float(columns[k]),
            float(row),
            text,
            ha="center",
            va="center",
            fontsize="x-small",
            color=_axes.BLACK if light else "white",
        )


def cohort_value(
    tried: Backtest,
    *,
    quantity: Quantity = "value",
    method: str | None = None,
    cut: Any = -1,
    level: float = 0.9,
    ax: Axes | None = None,
) -> Axes:
    """Total value of each cohort after a cut: foreseen with its interval, and actual.

    Parameters
    ----------
    tried
        From `clv.backtest`.
    quantity
        "value" or "purchases".
    method
        A model; by default the best.
    cut
        Which; by default the last.
    level
        Of the predictive intervals.
    ax
        Where to draw; None makes a new figure.

    Returns
    -------
    matplotlib.axes.Axes
    """
    name, where = tried.model(quantity, method), tried.cut(cut)
    table = tried.totals(quantity, name, cut=cut, level=level)
    rows = np.flatnonzero(table.values("segment") != "all")
    place, style = np.arange(rows.size), _axes.style(0)
    expected = table.array("expected")[rows]
    reach = [expected - table.array("low")[rows], table.array("high")[rows] - expected]
    ax = _axes.prepare(ax)
    ax.errorbar(
        place,
        expected,
        yerr=reach,
        fmt=style.marker,
        color=style.color,
        capsize=4,
        markersize=6,
        label=f"{tried.labels(quantity)[name]}, {level:.0%} interval",
    )
    ax.plot(
        place,
        table.array("actual")[rows],
        "o",
        color=_axes.BLACK,
        label="actual",
        markersize=5,
        fillstyle="none",
        markeredgewidth=1.6,
    )
    step = max(1, -(-rows.size // 12))
    ax.set_xticks(place[::step], table.values("segment")[rows][::step].tolist())
    ax.set_xlim(-0.5, rows.size - 0.5)
    _axes.separate_thousands(ax, "y")
    _axes.room_above(ax, 1.15)
    _axes.label(
        ax,
        f"Total {quantity} of each cohort from {where.cut} to {where.end}",
        f"{_cohort_length(tried, where.cut)} of the first purchase",
        f"total ({UNITS[quantity]})",
    )
    _axes.legend(ax)
    return ax


def _cohort_length(tried: Backtest, cut: Any) -> CohortLength:
    from clv.evaluation.segments import cohort_length

    return cohort_length((tried.usable[-1].cut - tried.base.first).days)


PICTURES: dict[str, Callable[..., Axes]] = {
    "tracking": tracking,
    "reliability": reliability,
    "deciles": deciles,
    "cohort_retention": cohort_retention,
    "cohort_value": cohort_value,
    "pit_histogram": pit_histogram,
    "interval_coverage": interval_coverage,
    "metric": metric,
}
"""By what `Backtest.plot` calls them."""
