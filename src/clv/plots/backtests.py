"""Pictures of a backtest: was the level right, were the chances, do the intervals hold."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from clv.errors import DataError
from clv.plots import _axes, numbers

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from clv.evaluation.backtest import Backtest
    from clv.evaluation.foreseen import Quantity
    from clv.evaluation.segments import CohortLength

Floats = NDArray[np.float64]

_UNITS = {"purchases": "purchases", "value": "in the currency of the data"}

#: Names of metrics for people.
_METRICS = {
    "bias": "total foreseen, off by",
    "mean_absolute_error": "mean absolute error",
    "root_mean_squared_error": "root mean squared error",
    "crps": "CRPS",
    "log_score": "log score",
    "spearman": "Spearman, mid-ranks",
    "spearman_tie_expected": "Spearman, expected over ties",
    "normalised_gini": "normalised Gini",
    "captured_top_5": "share captured in the best 5%",
    "captured_top_10": "share captured in the best 10%",
    "captured_top_20": "share captured in the best 20%",
}
_SHARES = ("bias", "captured", "pit_coverage", "coverage")


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
    _room_above(ax, 1.1 if cumulative else 1.3)
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


def _room_above(ax: Axes, factor: float) -> None:
    """Let the y axis begin at zero and leave room at the top for a legend."""
    ax.set_ylim(0, factor * ax.get_ylim()[1])


def reliability(
    tried: Backtest,
    *,
    methods: str | Sequence[str] | None = None,
    event: Literal["purchase", "alive"] = "purchase",
    cut: Any = None,
    groups: int = 10,
    ax: Axes | None = None,
) -> Axes:
    """Of those of whom something was held 30 % probable, to how many it happened.

    Parameters
    ----------
    tried
        From `clv.backtest`.
    methods
        One model of purchases or several; by default the best.
    event
        "purchase": buys within the horizon. "alive": P(alive); then a second, thin line says how
        many of them the model expects to buy, since not all who are alive do.
    cut
        Which; by default all together.
    groups
        Of customers, at most.
    ax
        Where to draw; None makes a new figure.

    Returns
    -------
    matplotlib.axes.Axes
    """
    ax = _axes.prepare(ax, height=4.8)
    names = _several(methods) or [tried.model("purchases")]
    for k, name in enumerate(names):
        table = tried.reliability(name, event=event, cut=cut, groups=groups)
        style, label = _axes.style(k), tried.labels("purchases")[name]
        foreseen, happened = table.array("foreseen"), table.array("happened")
        reach = [happened - table.array("low"), table.array("high") - happened]
        ax.errorbar(foreseen, happened, yerr=reach, fmt="none", ecolor=style.color, elinewidth=1.2)
        ax.plot(foreseen, happened, label=f"bought: {label}", **style.points)
        if event == "alive":
            ax.plot(
                foreseen,
                table.array("expected"),
                color=style.color,
                linewidth=1,
                label=f"expected to buy: {label}",
            )
    if event == "purchase":
        ax.plot([0, 1], [0, 1], color=_axes.GREY, linewidth=1, label="as foreseen")
    ax.set_xlim(0, 1.02)
    ax.set_ylim(0, 1.02)
    _axes.percent(ax, "x", "y")
    _axes.label(
        ax,
        f"Who buys again within {tried.horizon:g} {tried.time_unit}s, by what was foreseen",
        "P(alive) at the cut: mean of the group"
        if event == "alive"
        else "foreseen probability: mean of the group",
        f"share who bought ({tried.interval:.0%} intervals)",
    )
    _axes.legend(ax, loc="upper left")
    return ax


def deciles(
    tried: Backtest,
    *,
    quantity: Quantity = "value",
    methods: str | Sequence[str] | None = None,
    cut: Any = None,
    groups: int = 10,
    ax: Axes | None = None,
) -> Axes:
    """Foreseen and actual figures by tenth of the customers, each method in its own order.

    Parameters
    ----------
    tried
        From `clv.backtest`.
    quantity
        "purchases" or "value".
    methods
        One or several; by default the best model and the best of history.
    cut
        Which; by default all together.
    groups
        How many parts.
    ax
        Where to draw; None makes a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        Both scales are square roots, so that small and large figures can be read.
    """
    ax = _axes.prepare(ax, height=4.8)
    ax.grid(visible=True, axis="x", color=_axes.PALE, linewidth=0.7)
    _axes.square_root(ax)
    names = _several(methods) or _best_of_both(tried, quantity, "root_mean_squared_error")
    most = 0.0
    for k, name in enumerate(names):
        table = tried.calibration(quantity, name, cut=cut, groups=groups)
        foreseen, happened = table.array("mean_prediction"), table.array("mean_actual")
        ax.plot(foreseen, happened, label=tried.labels(quantity)[name], **_axes.style(k).points)
        most = max(most, float(happened.max()))
    ends = [0.0, 1.15 * most or 1.0]
    ax.plot(ends, ends, color=_axes.GREY, linewidth=1, label="as foreseen")
    ax.set_xlim(left=0)
    ax.set_ylim(0, ends[1])
    _axes.separate_thousands(ax, "x", "y")
    what = "purchases" if quantity == "purchases" else "value"
    _axes.label(
        ax,
        f"Foreseen and actual {what} in {tried.horizon:g} {tried.time_unit}s, by tenth of the "
        "customers",
        f"foreseen: mean per customer ({_UNITS[quantity]})",
        "actual: mean per customer",
    )
    _axes.legend(ax, loc="lower right")
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
    image = ax.pcolormesh(
        columns, np.arange(len(names)), np.ma.masked_invalid(grid), shading="nearest", **scale
    )
    if grid.size <= 200:
        _write_shares(ax, grid, columns, scale)
    figure = ax.get_figure()
    if figure is not None:
        from matplotlib.ticker import PercentFormatter

        bar = figure.colorbar(image, ax=ax, format=PercentFormatter(1.0, decimals=0))
        bar.outline.set_visible(False)
    if show != "difference":
        ax.axvline(0.5, color=_axes.BLACK, linewidth=1.5)
    ax.set_yticks(np.arange(len(names)), names)
    ax.invert_yaxis()
    ax.tick_params(length=0)
    _axes.whole_numbers(ax)
    said = {
        "actual": "Share of each cohort that bought",
        "model": f"Share of each cohort that buys: actual, then {tried.labels('purchases')[name]}",
        "difference": f"Share that buys: {tried.labels('purchases')[name]} less actual",
    }[show]
    period = f"{days_per_period // 7} weeks" if days_per_period % 7 == 0 else "period"
    _axes.label(
        ax,
        said,
        f"number of the {period}, 1 is the first after {where.cut}",
        f"{length} of the first purchase",
    )
    return ax


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
    _room_above(ax, 1.15)
    _axes.label(
        ax,
        f"Total {quantity} of each cohort from {where.cut} to {where.end}",
        f"{_cohort_length(tried, where.cut)} of the first purchase",
        f"total ({_UNITS[quantity]})",
    )
    _axes.legend(ax)
    return ax


def pit_histogram(
    tried: Backtest,
    *,
    quantity: Quantity = "purchases",
    method: str | None = None,
    cut: Any = None,
    ax: Axes | None = None,
) -> Axes:
    """Where actual figures lie in their predictive distributions: even if these are right.

    Heaps at both ends: intervals are too narrow; in the middle: too wide; at the right: more
    happened than was foreseen.

    Parameters
    ----------
    tried
        From `clv.backtest`.
    quantity
        "purchases" or "value".
    method
        A model; by default the best.
    cut
        Which; by default all together.
    ax
        Where to draw; None makes a new figure.

    Returns
    -------
    matplotlib.axes.Axes
    """
    from clv.evaluation.curves import pit

    name = tried.model(quantity, method)
    values = pit(tried._cuts_of(quantity, name, cut), quantity, name, tried.seed)
    share = np.histogram(values, bins=20, range=(0, 1))[0] / values.size
    ax = _axes.prepare(ax)
    ax.bar(
        np.arange(20) / 20 + 0.025,
        share,
        0.046,
        label=tried.labels(quantity)[name],
        **_axes.style(0).bars,
    )
    ax.axhline(1 / 20, color=_axes.BLACK, linewidth=1, label="if the forecast is true")
    ax.set_xlim(0, 1)
    _room_above(ax, 1.2)
    _axes.percent(ax, "y")
    _axes.label(
        ax,
        f"Where actual {quantity} lie in their predictive distributions",
        "randomised probability integral transform",
        "share of customers",
    )
    _axes.legend(ax, loc="upper left", ncols=2)
    return ax


def interval_coverage(
    tried: Backtest,
    *,
    quantity: Quantity = "purchases",
    methods: str | Sequence[str] | None = None,
    cut: Any = None,
    ax: Axes | None = None,
) -> Axes:
    """How many actual figures lie within intervals of 10, 20, ... %: on the diagonal if right.

    Parameters
    ----------
    tried
        From `clv.backtest`.
    quantity
        "purchases" or "value".
    methods
        One model or several; by default all.
    cut
        Which; by default all together.
    ax
        Where to draw; None makes a new figure.

    Returns
    -------
    matplotlib.axes.Axes
    """
    from clv.evaluation.curves import pit

    ax = _axes.prepare(ax, height=4.8)
    levels = np.linspace(0, 1, 21)
    names = _several(methods) or list(tried.labels(quantity, models=True))
    for k, name in enumerate(names):
        cuts = tried._cuts_of(quantity, name, cut)
        if not cuts:
            continue
        away = 2 * np.abs(pit(cuts, quantity, name, tried.seed) - 0.5)
        held = np.searchsorted(np.sort(away), levels, side="right") / away.size
        ax.plot(levels, held, label=tried.labels(quantity)[name], **_axes.style(k).line)
    ax.plot([0, 1], [0, 1], color=_axes.GREY, linewidth=1, label="as promised")
    ax.set_xlim(0, 1)
    ax.set_ylim(0, 1)
    _axes.percent(ax, "x", "y")
    _axes.label(
        ax,
        f"Do predictive intervals of {quantity} hold",
        "level of the interval",
        "customers within (randomised)",
    )
    _axes.legend(ax, loc="upper left")
    return ax


def metric(
    tried: Backtest,
    *,
    metric: str = "mean_absolute_error",
    quantity: Quantity = "value",
    methods: str | Sequence[str] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """A metric at every cut, with its interval over customers.

    Parameters
    ----------
    tried
        From `clv.backtest`.
    metric
        One of those in `Backtest.metrics`.
    quantity
        "purchases" or "value".
    methods
        One or several; by default the best model and the best of history by this metric.
    ax
        Where to draw; None makes a new figure.

    Returns
    -------
    matplotlib.axes.Axes
    """
    names = _several(methods) or _best_of_both(tried, quantity, metric)
    ax = _axes.prepare(ax)
    days = np.array([cut.cut for cut in tried.usable], dtype="datetime64[D]")
    place = np.arange(days.size)
    for k, name in enumerate(names):
        found = np.array([_at(cut, quantity, name, metric, tried.interval) for cut in tried.usable])
        style = _axes.style(k)
        moved = place + 0.06 * (k - (len(names) - 1) / 2)
        reach = np.abs(found[:, 1:] - found[:, :1]).T
        ax.errorbar(moved, found[:, 0], yerr=reach, fmt="none", ecolor=style.color, elinewidth=1.2)
        ax.plot(moved, found[:, 0], label=tried.labels(quantity)[name], **style.points)
    if metric == "bias":
        ax.axhline(0, color=_axes.GREY, linewidth=1)
    if metric.startswith(_SHARES):
        _axes.percent(ax, "y")
    ax.set_xticks(place, days.astype(str).tolist())
    ax.set_xlim(-0.5, days.size - 0.5)
    ax.margins(y=0.15)
    said = _METRICS.get(metric, metric.replace("_", " "))
    _axes.label(
        ax,
        f"{quantity.capitalize()}, {tried.horizon:g} {tried.time_unit}s ahead: {said}",
        f"cut ({tried.interval:.0%} intervals over customers)",
        said if metric.startswith(_SHARES) or metric in _METRICS else metric,
    )
    _axes.legend(ax)
    return ax


def _at(cut: Any, quantity: Quantity, name: str, metric: str, level: float) -> tuple[float, ...]:
    scores = cut.scores[quantity]
    value = scores.segments[0].metrics.get(name, {}).get(metric, np.nan)
    if not np.isfinite(value):
        return (np.nan, np.nan, np.nan)
    return (value, *scores.resampled.interval(value, scores.resampled.values[name][metric], level))


def _several(methods: str | Sequence[str] | None) -> list[str]:
    return [methods] if isinstance(methods, str) else list(methods or ())


def _best_of_both(tried: Backtest, quantity: Quantity, metric: str) -> list[str]:
    found = [tried.best(quantity)]
    if tried.labels(quantity, models=False):
        found.append(tried.best(quantity, metric, models=False))
    return [name for name in found if name is not None]


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
