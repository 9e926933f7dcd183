"""Pictures of a backtest: were chances and amounts right, do intervals hold, who was better."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from clv.evaluation.verdict import TOLERANCE
from clv.plots import _axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from clv.evaluation.backtest import Backtest
    from clv.evaluation.foreseen import Quantity

#: Of what is drawn.
UNITS = {"purchases": "purchases", "value": "in the currency of the data"}

#: Names of metrics for people.
_METRICS = {
    "bias": "total foreseen, off by",
    "mean_absolute_error": "mean absolute error",
    "mean_absolute_error_of_median": "mean absolute error of the median",
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
                label=f"expected to buy: {label}",
                **style.companion,
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
        f"foreseen: mean per customer ({UNITS[quantity]})",
        "actual: mean per customer",
    )
    _axes.legend(ax, loc="lower right")
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
    values = pit(tried.cuts_of(quantity, name, cut), quantity, name, tried.seed)
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
    _axes.room_above(ax, 1.2)
    _axes.percent(ax, "y")
    _axes.label(
        ax,
        f"Where actual {quantity} {'lie' if quantity == 'purchases' else 'lies'} in "
        f"{'their' if quantity == 'purchases' else 'its'} predictive distributions",
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
    """How many more or fewer actual figures than promised lie within intervals of 5, 10, ... %.

    At 0 if they hold; above, intervals are too wide, below, too narrow. Within the band verdicts
    say that they hold.

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
    band = f"within {100 * TOLERANCE:g} points"
    ax.axhspan(-TOLERANCE, TOLERANCE, color=_axes.PALE, alpha=0.5, label=band)
    ax.axhline(0, color=_axes.GREY, linewidth=1)
    names = _several(methods) or list(tried.labels(quantity, models=True))
    for k, name in enumerate(names):
        cuts = tried.cuts_of(quantity, name, cut)
        if not cuts:
            continue
        away = 2 * np.abs(pit(cuts, quantity, name, tried.seed) - 0.5)
        held = np.searchsorted(np.sort(away), levels, side="right") / away.size
        off, label = held - levels, tried.labels(quantity)[name]
        ax.plot(levels, off, label=label, **{**_axes.style(k).points, "markersize": 5})
    ax.set_xlim(0, 1)
    _axes.headroom(ax, -(-(len(names) + 1) // 2))
    _axes.percent(ax, "x", "y")
    _axes.label(
        ax,
        f"Do predictive intervals of {quantity} hold",
        "level of the interval",
        "customers within (randomised) less the level",
    )
    _axes.legend(ax, loc="upper left", ncols=2, fontsize="small")
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
    said = _METRICS.get(metric, metric.replace("_", " "))
    _axes.label(
        ax,
        f"{quantity.capitalize()}, {tried.horizon:g} {tried.time_unit}s ahead: {said}",
        f"cut ({tried.interval:.0%} intervals over customers)",
        said if metric.startswith(_SHARES) or metric in _METRICS else metric,
    )
    _axes.headroom(ax, len(names))
    _axes.legend(ax, loc="upper left")
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
