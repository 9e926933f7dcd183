"""The pictures of the page, in the words and digits of its language."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from markupsafe import Markup

from clv.plots import _axes
from clv.report.against_history import Tested
from clv.report.facts import Curve, Facts
from clv.report.language import Language
from clv.report.svg import SETTINGS, inline_svg

_SIZE = (4.7, 3.2)


@contextmanager
def _canvas() -> Iterator[Any]:
    """Axes of a figure that nothing else knows, under the page's settings."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(SETTINGS):
        figure = Figure(figsize=_SIZE, layout="constrained")
        yield _axes.prepare(figure.subplots())


def _share_axis(axis: Any, words: Language) -> None:
    from matplotlib.ticker import FuncFormatter

    axis.set_major_formatter(FuncFormatter(lambda value, _: words.share(value)))


def _number_axis(axis: Any, words: Language) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axis.set_major_locator(MaxNLocator(integer=True))
    axis.set_major_formatter(FuncFormatter(lambda value, _: words.written(value)))


def _finished(ax: Any, name: str, words: Language, **values: Any) -> Markup:
    return inline_svg(
        ax.figure,
        name,
        words.plain(f"picture.{name}_title"),
        words.plain(f"picture.{name}_description", **values),
    )


def gains(tested: Tested, words: Language) -> Markup:
    """Share of the value that lies with the customers each method puts first."""
    with _canvas() as ax:
        known = [m["method"] for m in tested.methods]
        for k, method in enumerate(known):
            label = words.plain(f"method.{method}")
            ax.plot(tested.gains_at, tested.gains[method], label=label, **_axes.style(k).line)
        ax.plot(
            tested.gains_at,
            tested.gains["perfect"],
            color=_axes.BLACK,
            linewidth=1.2,
            label=words.plain("method.perfect"),
        )
        ax.plot([0, 1], [0, 1], color=_axes.GREY, linewidth=1, label=words.plain("method.lot"))
        ax.set_xlim(0, 1)
        ax.set_ylim(0, 1.02)
        _share_axis(ax.xaxis, words)
        _share_axis(ax.yaxis, words)
        ax.set_xlabel(words.plain("picture.share_of_customers"))
        ax.set_ylabel(words.plain("picture.share_of_value"))
        _axes.legend(ax, loc="lower right")
        ours = float(np.interp(tested.top, tested.gains_at, tested.gains["prediction"]))
        return _finished(ax, "gains", words, top=words.share(tested.top), ours=words.share(ours))


def tiers(facts: Facts, words: Language) -> Markup:
    """What share of customers a tier takes, and what share of the value to come it brings."""
    rows = facts.tiers
    names = [_name(words, "tier", row["tier"]) for row in rows]
    with _canvas() as ax:
        place = np.arange(len(rows))
        for k, column in enumerate(("share_of_customers", "share_of_residual_value")):
            shares = np.nan_to_num([row[column] for row in rows])
            bars = ax.bar(
                place + (k - 0.5) * 0.4,
                shares,
                0.38,
                label=words.plain(f"column.{column}"),
                **_axes.style(k).bars,
            )
            ax.bar_label(bars, [words.share(s) for s in shares], fontsize="small", padding=2)
        ax.set_xticks(place, names)
        ax.tick_params(axis="x", length=0)
        ax.margins(y=0.15)
        _share_axis(ax.yaxis, words)
        _axes.legend(ax)
        best = rows[0]
        return _finished(
            ax,
            "tiers",
            words,
            tier=names[0],
            customers=words.share(best["share_of_customers"]),
            value=words.share(best["share_of_residual_value"]),
        )


def curve(found: Curve, facts: Facts, words: Language) -> Markup:
    """Who is alive by the model, and who was seen to buy again, by age."""
    lines: tuple[tuple[str, Any, dict[str, Any]], ...] = (
        ("alive", found.alive, _axes.style(0).line),
        ("expected", found.expected, _axes.style(1).line),
        ("observed", found.observed, {"color": _axes.BLACK, "linewidth": 1.2}),
    )
    with _canvas() as ax:
        for name, values, style in lines:
            ax.plot(found.age, values, label=words.plain(f"curve.{name}"), **style)
        ax.set_xlim(left=0)
        ax.set_ylim(0, 1.02)
        _number_axis(ax.xaxis, words)
        _share_axis(ax.yaxis, words)
        ax.set_xlabel(words.plain(f"picture.age_{facts.time_unit}"))
        ax.set_ylabel(words.plain("picture.share_of_customers"))
        _axes.legend(ax)
        half = len(found.age) // 2
        return _finished(
            ax,
            "curve",
            words,
            age=words.written(found.age[half]),
            alive=words.share(found.alive[half]),
            unit=words.plain(f"unit.{facts.time_unit}"),
        )


def _name(words: Language, group: str, name: str) -> str:
    key = f"{group}.{name}"
    return words.plain(key) if words.has(key) else name


def pictures(facts: Facts, words: Language) -> dict[str, Markup]:
    """Every picture that can be drawn, by name."""
    drawn = {"tiers": tiers(facts, words)}
    if facts.tested is not None:
        drawn["gains"] = gains(facts.tested, words)
    if facts.curve is not None:
        drawn["curve"] = curve(facts.curve, facts, words)
    return drawn
