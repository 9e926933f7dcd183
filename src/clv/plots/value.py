"""Pictures of value: what customers may bring, and what history would have said."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from clv.plots import _axes, numbers

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from clv.evaluation.comparison import Comparison
    from clv.forecast import Forecast


def predicted_against_historical(comparison: Comparison, *, ax: Axes | None = None) -> Axes:
    """What the model and history foresaw for tenths of the customers, and what they then spent.

    Each method orders the customers by its own forecast. A point on the diagonal is a tenth that
    spent what was foreseen; right of it too much was promised.

    Parameters
    ----------
    comparison
        From `clv.compare`.
    ax
        Where to draw; None makes a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        Both scales are square roots, so that small and large values can be read.
    """
    methods = numbers.value_deciles(comparison)
    ax = _axes.prepare(ax, height=4.8)
    ax.grid(visible=True, axis="x", color=_axes.PALE, linewidth=0.7)
    _axes.square_root(ax)
    most = max(float(m.mean_actual.max()) for m in methods.values())
    ends = [0.0, 1.15 * most]
    for k, (name, points) in enumerate(methods.items()):
        ax.plot(points.mean_prediction, points.mean_actual, label=name, **_axes.style(k).points)
    ax.plot(ends, ends, color=_axes.GREY, linewidth=1, label="as foreseen")
    ax.set_xlim(left=0)
    ax.set_ylim(0, ends[1])
    _axes.separate_thousands(ax, "x", "y")
    _axes.label(
        ax,
        f"Foreseen and actual value in {comparison.horizon:,.4g} {comparison.time_unit}s, "
        "by tenth of the customers",
        "foreseen: mean per customer (in the currency of the data)",
        "actual: mean per customer",
    )
    _axes.legend(ax, loc="lower right")
    return ax


def gains(comparison: Comparison, *, ax: Axes | None = None) -> Axes:
    """Share of the value to come that lies with the customers whom each method puts first.

    Parameters
    ----------
    comparison
        From `clv.compare`.
    ax
        Where to draw; None makes a new figure.

    Returns
    -------
    matplotlib.axes.Axes
    """
    curves = numbers.value_gains(comparison)
    ax = _axes.prepare(ax, height=4.6)
    for k, (name, curve) in enumerate(curves.items()):
        line = _axes.style(k).line
        if name == numbers.PERFECT:
            line = {"color": _axes.BLACK, "linewidth": 1.2}
        ax.plot(curve.share_of_customers, curve.share_of_value, label=name, **line)
    ax.plot([0, 1], [0, 1], color=_axes.GREY, linewidth=1, label="by lot")
    ax.set_xlim(0, 1)
    ax.set_ylim(0, 1.02)
    _axes.percent(ax, "x", "y")
    _axes.label(
        ax,
        f"Who holds the value of {comparison.horizon:,.4g} {comparison.time_unit}s",
        "share of customers, best first",
        "share of the actual value",
    )
    _axes.legend(ax, loc="lower right")
    return ax


def forecast_distribution(forecast: Forecast, *, ax: Axes | None = None) -> Axes:
    """How the value to come is spread over the customers: the share of each tenth.

    Parameters
    ----------
    forecast
        From `clv.forecast`.
    ax
        Where to draw; None makes a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        The mean expected value per customer is written on the bars.
    """
    shares = numbers.value_shares(forecast.array("residual_value"))
    ax = _axes.prepare(ax)
    bars = ax.bar(shares.group, np.nan_to_num(shares.share), 0.8, **_axes.style(0).bars)
    ax.bar_label(bars, [f"{mean:,.4g}" for mean in shares.mean], fontsize="small", padding=2)
    ax.margins(y=0.1)
    ax.set_xticks(shares.group)
    ax.tick_params(axis="x", length=0)
    _axes.percent(ax, "y")
    _axes.label(
        ax,
        f"Who holds the value expected of {len(forecast):,} customers {_period(forecast)}",
        "tenth of the customers, most valuable first (on the bars: mean per customer)",
        "share of the expected value",
    )
    return ax


def top_customers(forecast: Forecast, *, n: int = 20, ax: Axes | None = None) -> Axes:
    """The customers of whom most is expected, each with the interval of what they may bring.

    Parameters
    ----------
    forecast
        From `clv.forecast`.
    n
        How many.
    ax
        Where to draw; None makes a new figure.

    Returns
    -------
    matplotlib.axes.Axes
    """
    value = forecast.array("residual_value")
    top = np.argsort(-value, kind="stable")[:n]
    places = np.arange(len(top))
    ax = _axes.prepare(ax, height=1.4 + 0.22 * len(top))
    ax.grid(visible=False, axis="y")
    ax.grid(visible=True, axis="x", color=_axes.PALE, linewidth=0.7)
    if "residual_value_low" in forecast.columns:
        ax.hlines(
            places,
            forecast.array("residual_value_low")[top],
            forecast.array("residual_value_high")[top],
            color=_axes.style(0).color,
            linewidth=1.5,
            label=f"{forecast.interval:.0%} interval ({forecast.interval_kind})",
        )
    ax.plot(value[top], places, "o", color=_axes.BLACK, markersize=4, label="expected")
    ids = forecast.values("customer_id")[top].tolist()
    ax.set_yticks(places, [_plain_text(str(name)) for name in ids], fontsize="small")
    ax.set_ylim(len(top) + 1.5, -0.8)  # the first on top; below the last, room for the legend
    ax.set_xlim(left=min(0.0, ax.get_xlim()[0]))
    _axes.separate_thousands(ax, "x")
    _axes.label(
        ax,
        f"The {len(top)} customers of whom most is expected",
        f"value {_period(forecast)} (in the currency of the data)",
        "customer",
    )
    _axes.legend(ax, loc="lower right")
    return ax


def _period(forecast: Forecast) -> str:
    if forecast.horizon is None:
        return "for ever"
    return f"in the next {forecast.horizon:,.4g} {forecast.time_unit}s"


def _plain_text(name: str) -> str:
    """Keep matplotlib from reading a formula into a customer's number."""
    return name.replace("$", r"\$") if len(name) <= 24 else name[:23].replace("$", r"\$") + "…"
