"""Pictures of purchases: when, how often, and whether customers are still there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from clv.plots import _axes, numbers

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from clv.fitted import FittedPurchases
    from clv.tables.rfm import RFM
    from clv.tables.transactions import Transactions


def tracking(
    transactions: Transactions,
    rfm: RFM,
    models: FittedPurchases | Sequence[FittedPurchases],
    *,
    cumulative: bool = False,
    days_per_period: int = 7,
    ax: Axes | None = None,
) -> Axes:
    """Repeat purchases week by week: what happened and what the models expected.

    Parameters
    ----------
    transactions
        What `rfm` was made from.
    rfm
        The table, whose customers are followed; with a holdout, its border is marked.
    models
        One fitted purchase model or several.
    cumulative
        Draw the purchases since the beginning instead of those of each week.
    days_per_period
        7 is a week. An incomplete last period is left out.
    ax
        Where to draw; None makes a new figure.

    Returns
    -------
    matplotlib.axes.Axes
    """
    curve = numbers.tracking(transactions, rfm, models, days_per_period=days_per_period)
    drawn = curve.cumulative() if cumulative else curve
    ax = _axes.prepare(ax)
    days = _axes.as_datetime(drawn.last_day)
    ax.plot(days, drawn.actual, label="actual", **_axes.ACTUAL.line)
    for k, (title, values) in enumerate(drawn.expected.items()):
        ax.plot(days, values, label=f"expected by {title}", **_axes.style(k).line)
    if curve.cut_day is not None:
        _axes.mark_cut(ax, curve.cut_day)
    _axes.dates(ax)
    _axes.separate_thousands(ax, "y")
    _axes.from_zero(ax)
    period = "week" if days_per_period == 7 else f"{days_per_period} days"
    _axes.label(
        ax,
        f"Repeat purchases of {curve.customers:,} customers",
        f"end of the {period}" if days_per_period == 7 else "end of the period",
        "repeat purchases since the beginning" if cumulative else f"repeat purchases per {period}",
    )
    _axes.legend(ax, loc="upper left" if cumulative else "best")
    return ax


def frequency(
    rfm: RFM,
    models: FittedPurchases | Sequence[FittedPurchases],
    *,
    most: int = 7,
    ax: Axes | None = None,
) -> Axes:
    """How many customers bought how often again, and how many the models expect.

    Parameters
    ----------
    rfm
        Table of the customers.
    models
        One fitted purchase model or several.
    most
        The last bar is for this many repeat purchases or more.
    ax
        Where to draw; None makes a new figure.

    Returns
    -------
    matplotlib.axes.Axes
    """
    counted = numbers.frequencies(rfm, models, most)
    ax = _axes.prepare(ax)
    series = {"actual": counted.actual}
    series |= {f"expected by {title}": values for title, values in counted.expected.items()}
    width = 0.84 / len(series)
    for k, (name, values) in enumerate(series.items()):
        style = _axes.style(k - 1) if k else _axes.ACTUAL
        left = counted.frequency - 0.42 + k * width
        bars = ax.bar(left, values, width, align="edge", label=name, **style.bars)
        if len(series) < 4:
            ax.bar_label(
                bars,
                [f"{value:,.0f}" for value in values],
                fontsize="x-small",
                rotation=0 if len(series) == 2 and counted.actual.max() < 1000 else 90,
                padding=2,
            )
    ax.margins(y=0.12)
    ax.set_xticks(counted.frequency, _frequency_labels(counted.frequency))
    ax.tick_params(axis="x", length=0)
    _axes.separate_thousands(ax, "y")
    _axes.label(
        ax,
        f"How often {len(rfm):,} customers came back",
        "repeat purchases",
        "customers",
    )
    _axes.legend(ax, loc="upper right")
    return ax


def calibration(
    rfm: RFM,
    models: FittedPurchases | Sequence[FittedPurchases],
    *,
    most: int = 7,
    ax: Axes | None = None,
) -> Axes:
    """Mean purchases in the holdout, actual and predicted, by repeat purchases before it.

    Parameters
    ----------
    rfm
        Table with a holdout.
    models
        One fitted purchase model or several.
    most
        Customers with this many repeat purchases or more are one group.
    ax
        Where to draw; None makes a new figure.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    DataError
        If the table has no holdout.
    """
    groups = numbers.calibration(rfm, models, most)
    ax = _axes.prepare(ax)
    ax.plot(groups.frequency, groups.actual, label="actual", **_axes.ACTUAL.points)
    for k, (title, values) in enumerate(groups.predicted.items()):
        ax.plot(groups.frequency, values, label=f"predicted by {title}", **_axes.style(k).points)
    names = _frequency_labels(groups.frequency)
    ax.set_xticks(
        groups.frequency,
        [f"{name}\n{n:,}" for name, n in zip(names, groups.customers.tolist(), strict=True)],
    )
    _axes.from_zero(ax)
    _axes.label(
        ax,
        "Purchases in the holdout by what was known before it",
        "repeat purchases before the cut (below: customers)",
        f"mean purchases in {rfm.holdout_duration:,.4g} {rfm.time_unit}s",
    )
    _axes.legend(ax, loc="upper left")
    return ax


def probability_alive_matrix(
    model: FittedPurchases,
    *,
    T: float,
    max_frequency: int = 20,
    covariates: Mapping[str, Any] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """P(alive) over the number of repeat purchases and the age at the last one.

    Parameters
    ----------
    model
        A fitted purchase model.
    T
        Age of the customers shown, in the model's time unit.
    max_frequency
        The most repeat purchases shown.
    covariates
        Of the customers shown, by name, where the model has any.
    ax
        Where to draw; None makes a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        With a colour bar beside it. Customers without a repeat purchase have no recency: theirs
        is one colour.
    """
    counts = np.arange(max_frequency + 1)
    times = np.linspace(0.0, T, 81)
    grid = numbers.probability_alive_grid(model, counts, times, T, covariates)
    grid[:, 0] = grid[0, 0]
    ax = _axes.prepare(ax, height=4.6)
    ax.grid(visible=False)
    image = ax.pcolormesh(
        counts, times, np.ma.masked_invalid(grid), cmap="cividis", vmin=0, vmax=1, shading="nearest"
    )
    figure = ax.get_figure()
    if figure is not None:
        bar = figure.colorbar(image, ax=ax, label="P(alive)")
        bar.outline.set_visible(False)
    lines = ax.contour(
        counts[1:],
        times[1:],
        grid[1:, 1:],
        levels=[0.1, 0.5, 0.9],
        colors=["white", _axes.BLACK, _axes.BLACK],
        linewidths=1,
    )
    ax.clabel(lines, fmt="%.1f", fontsize="small")
    _axes.whole_numbers(ax)
    unit = model.time_unit
    _axes.label(
        ax,
        f"P(alive) of customers who first bought {T:,.4g} {unit}s ago, {model.family.TITLE}",
        "repeat purchases",
        f"last purchase, {unit}s after the first",
    )
    return ax


def retention_curve(
    model: FittedPurchases,
    rfm: RFM | None = None,
    *,
    until: float | str,
    by: Any = None,
    points: int = 53,
    covariates: Mapping[str, Any] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Share of customers still alive by age, beside the share seen buying after it.

    Parameters
    ----------
    model
        A fitted purchase model.
    rfm
        Table of customers; without it, new customers.
    until
        Highest age: a number in the model's time unit, or a text such as "2 years".
    by
        Groups: the name of a column of the table, or one label per customer.
    points
        Number of ages.
    covariates
        Of new customers, by name, where the model has any and there is no table.
    ax
        Where to draw; None makes a new figure.

    Returns
    -------
    matplotlib.axes.Axes
    """
    from clv.retention import retention_curve as compute

    curve = compute(model, rfm, until=until, by=by, points=points, covariates=covariates)
    ax = _axes.prepare(ax)
    groups = curve.values("group")
    names = list(dict.fromkeys(groups.tolist()))
    for k, name in enumerate(names):
        rows = groups == name
        age, style = curve.array("age")[rows], _axes.style(k)
        before = f"{name}: " if len(names) > 1 else ""
        ax.plot(age, curve.array("alive")[rows], label=f"{before}alive, by the model", **style.line)
        if "still_buying_observed" not in curve.columns:
            continue
        if len(names) == 1:
            ax.plot(
                age,
                curve.array("still_buying_expected")[rows],
                label="bought again later, expected",
                **_axes.style(k + 1).line,
            )
        color = _axes.BLACK if len(names) == 1 else style.color
        ax.plot(
            age,
            curve.array("still_buying_observed")[rows],
            label=f"{before}bought again later, observed",
            color=color,
            linewidth=1.2,
        )
    ax.set_xlim(left=0)
    ax.set_ylim(0, 1.02)
    _axes.percent(ax, "y")
    unit = model.time_unit
    _axes.label(
        ax,
        f"Who is still there, {model.family.TITLE}",
        f"age: {unit}s since the first purchase",
        "share of customers",
    )
    _axes.legend(ax)
    return ax


def _frequency_labels(frequency: numbers.Integers) -> list[str]:
    *exact, last = frequency.tolist()
    return [*map(str, exact), f"{last}+"]
