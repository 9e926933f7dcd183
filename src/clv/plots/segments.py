"""Pictures of tiers, stages and channels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from clv.errors import DataError
from clv.plots import _axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from clv.economics import GroupReturns
    from clv.lifecycle import Moves, Stages
    from clv.tables._frame import Table
    from clv.tiers import Tiers


def tiers(tiers: Tiers, *, ax: Axes | None = None) -> Axes:
    """What each tier brings: share of the customers, of past and of predicted value.

    Parameters
    ----------
    tiers
        From `clv.tiers.assign`.
    ax
        Where to draw; None makes a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        The classic share of profit is a black mark, where the rules name one.
    """
    table = tiers.table
    series = {
        "of the customers": "share_of_customers",
        "of the value so far": "share_of_historical_value",
        "of the predicted value": "share_of_residual_value",
    }
    known = {label: table.array(name) for label, name in series.items() if name in table.columns}
    names = [str(name) for name in table.values("tier")]
    place, width = np.arange(len(names)), 0.8 / len(known)
    ax = _axes.prepare(ax)
    for k, (label, shares) in enumerate(known.items()):
        ax.bar(
            place + (k - (len(known) - 1) / 2) * width,
            np.nan_to_num(shares),
            width,
            label=label,
            **_axes.style(k).bars,
        )
    classic = table.array("classic_share_of_profit")
    if not np.isnan(classic).all():
        ax.hlines(
            classic,
            place - 0.42,
            place + 0.42,
            color=_axes.BLACK,
            linewidth=1.6,
            label="of the profit, classic figure",
        )
    ax.set_xticks(place, names)
    ax.set_ylim(0, 1.25 * ax.get_ylim()[1])  # room for the legend
    _axes.percent(ax, "y")
    _axes.label(ax, "What the tiers bring", "tier", "share")
    _axes.legend(ax)
    return ax


def stages(stages: Stages | Table, *, value: bool = False, ax: Axes | None = None) -> Axes:
    """Customers per stage, now or over time.

    Parameters
    ----------
    stages
        From `clv.lifecycle.stages`, or the table of `clv.lifecycle.over_time`.
    value
        Draw residual value per stage instead of customers.
    ax
        Where to draw; None makes a new figure.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    DataError
        If value is asked for and the stages were made without a forecast.
    """
    table: Any = getattr(stages, "table", stages)
    column = "residual_value" if value else "customers"
    if column not in table.columns:
        raise DataError("these stages know no value; make them with forecast=")
    what = "residual value" if value else "customers"
    ax = _axes.prepare(ax)
    if "as_of" not in table.columns:
        names = [str(name) for name in table.values("stage")]
        ax.bar(names, table.array(column), **_axes.style(0).bars)
        _axes.label(ax, f"{what.capitalize()} by life-cycle stage", "stage", what)
    else:
        runs, size = _over_time(ax, table, column)
        ax.set_xticks(np.arange(size), runs)
        _axes.label(ax, f"{what.capitalize()} by life-cycle stage over time", "as of", what)
        _axes.legend(ax, loc="upper left", bbox_to_anchor=(1.0, 1.0), reverse=True)
    _axes.separate_thousands(ax, "y")
    return ax


def _over_time(ax: Axes, table: Table, column: str) -> tuple[list[str], int]:
    """Stacked bars, a bar per run; their labels and number."""
    days = table.values("as_of").astype("datetime64[D]")
    runs, run = np.unique(days, return_inverse=True)
    stage = table.values("stage")
    names = list(dict.fromkeys(stage.tolist()))
    bottom = np.zeros(len(runs))
    for k, name in enumerate(names):
        height = np.zeros(len(runs))
        mine = stage == name
        height[run[mine]] = table.array(column)[mine]
        look = _axes.style(k).bars
        if k >= len(_axes.SERIES):  # the sixth, lost: grey, and without a pattern
            look = {**look, "color": _axes.GREY, "hatch": ""}
        ax.bar(np.arange(len(runs)), height, 0.7, bottom=bottom, label=str(name), **look)
        bottom += height
    return [str(day) for day in runs], len(runs)


def moves(moves: Moves, *, ax: Axes | None = None) -> Axes:
    """Who went from which stage to which.

    Parameters
    ----------
    moves
        From `clv.lifecycle.moves`.
    ax
        Where to draw; None makes a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        The darker, the larger the share of those in the stage before; numbers are customers.
    """
    counts = moves.counts
    sums = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, sums, out=np.zeros(counts.shape), where=sums > 0)
    ax = _axes.prepare(ax, height=5.0)
    ax.grid(visible=False)
    ax.imshow(shares, cmap="Blues", vmin=0, vmax=1.25, aspect="auto")
    for i, j in zip(*np.nonzero(counts), strict=True):
        dark = shares[i, j] > 0.6
        ax.text(
            j,
            i,
            f"{counts[i, j]:,}",
            ha="center",
            va="center",
            fontsize="small",
            color="white" if dark else "black",
        )
    names = list(moves.states)
    ax.set_xticks(range(len(names)), names, rotation=30, ha="right")
    ax.set_yticks(range(len(names)), names)
    _axes.label(ax, "Moves between stages (customers)", "after", "before")
    return ax


def clv_to_cac(returns: GroupReturns, *, ax: Axes | None = None) -> Axes:
    """Lifetime value over acquisition cost, with intervals; the line is where costs are met.

    Parameters
    ----------
    returns
        From `clv.economics.returns`.
    ax
        Where to draw; None makes a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        A logarithmic scale; groups without a known cost are left out.

    Raises
    ------
    DataError
        If no group has a known cost.
    """
    table = returns.table
    middle, low, high = (table.array(f"clv_to_cac{end}") for end in ("", "_low", "_high"))
    known = np.flatnonzero((low > 0) & np.isfinite(high))
    if not len(known):
        raise DataError("no group has a known acquisition cost")
    known = known[::-1]  # the first row on top
    names = [str(table.values(table.columns[0])[k]) for k in known]
    place = np.arange(len(known))
    ax = _axes.prepare(ax)
    ax.grid(visible=False, axis="y")
    ax.grid(visible=True, axis="x", color=_axes.PALE, linewidth=0.7)
    ax.errorbar(
        middle[known],
        place,
        xerr=[(middle - low)[known], (high - middle)[known]],
        fmt=_axes.style(0).marker,
        color=_axes.style(0).color,
        capsize=3,
    )
    ax.axvline(1.0, color=_axes.BLACK, linewidth=1)
    from matplotlib.ticker import LogLocator, NullFormatter

    ax.set_xscale("log")
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.xaxis.set_minor_formatter(NullFormatter())
    _axes.separate_thousands(ax, "x")
    ax.set_yticks(place, names)
    share = f"{returns.interval:.0%}"
    _axes.label(
        ax,
        f"Lifetime value over acquisition cost ({share} intervals)",
        "value per unit of cost",
        returns.by.replace(":", " by "),
    )
    return ax
