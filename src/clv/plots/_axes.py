"""How every picture looks: colours, lines, ticks. Nothing global is changed.

Colours are those of Okabe and Ito (2008), which colour-blind readers can tell apart; what really
happened is black, and every model has a line style and a marker of its own, so that a grey print
can be read too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BLACK = "#000000"
GREY = "#8c8c8c"
PALE = "#d9d9d9"


class Style(NamedTuple):
    """What tells one series from another, by colour and without it."""

    color: str
    linestyle: Any  # a name, or an offset with lengths of dashes and gaps
    marker: str
    hatch: str
    linewidth: float = 1.8

    @property
    def line(self) -> dict[str, Any]:
        """Arguments of `Axes.plot`."""
        return {"color": self.color, "linestyle": self.linestyle, "linewidth": self.linewidth}

    @property
    def points(self) -> dict[str, Any]:
        """Arguments of `Axes.plot` for a few points, joined."""
        return {**self.line, "marker": self.marker, "markersize": 7, "markeredgecolor": "white"}

    @property
    def companion(self) -> dict[str, Any]:
        """Arguments of `Axes.plot` for what belongs to these points: thin, with hollow markers."""
        hollow = {"markerfacecolor": "white", "markeredgecolor": self.color, "markersize": 5}
        return {**self.points, **hollow, "linewidth": 0.8}

    @property
    def bars(self) -> dict[str, Any]:
        """Arguments of `Axes.bar`."""
        return {"color": self.color, "hatch": self.hatch, "edgecolor": "white", "linewidth": 0.5}


ACTUAL = Style(BLACK, "-", "o", "")
SERIES = (
    Style("#0072B2", "--", "s", "///"),
    Style("#D55E00", "-.", "^", "..."),
    Style("#009E73", ":", "D", "xx"),
    Style("#CC79A7", (0, (5, 1, 1, 1, 1, 1)), "v", "++"),
    Style("#E69F00", (0, (1, 1)), "P", "oo"),
)

MORE = ("o", "<", ">", "p", "X")


def style(number: int) -> Style:
    """The style of the series with this number; after the last they come thin, with other markers.

    Examples
    --------
    >>> [(style(k).marker, style(k).linewidth) for k in (0, 5)]
    [('s', 1.8), ('o', 0.9)]
    """
    found = SERIES[number % len(SERIES)]
    again = number // len(SERIES)
    return found if not again else found._replace(marker=MORE[number % len(MORE)], linewidth=0.9)


def prepare(ax: Axes | None, *, height: float = 4.2) -> Axes:
    """Return `ax`, or the axes of a new figure, without a box and with a faint grid."""
    if ax is None:
        import matplotlib.pyplot as plt

        _, ax = plt.subplots(figsize=(7.5, height), layout="constrained")
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(visible=True, axis="y", color=PALE, linewidth=0.7)
    ax.set_axisbelow(True)
    return ax


def label(ax: Axes, title: str, x: str, y: str) -> None:
    """Title on the left, where reading begins, and both axes named."""
    ax.set_title(title, loc="left", fontsize="medium", fontweight="bold")
    ax.set_xlabel(x)
    ax.set_ylabel(y)


def legend(ax: Axes, **options: Any) -> None:
    """A legend without a frame."""
    ax.legend(frameon=False, **options)


def separate_thousands(ax: Axes, *axes: str) -> None:
    """Write 12000 as 12,000 on these axes ("x", "y")."""
    from matplotlib.ticker import FuncFormatter

    for name in axes:
        getattr(ax, f"{name}axis").set_major_formatter(FuncFormatter(lambda v, _: f"{v:,.10g}"))


def percent(ax: Axes, *axes: str) -> None:
    """Write .25 as 25% on these axes."""
    from matplotlib.ticker import PercentFormatter

    for name in axes:
        getattr(ax, f"{name}axis").set_major_formatter(PercentFormatter(1.0))


def whole_numbers(ax: Axes) -> None:
    """Ticks of the x axis at whole numbers only."""
    from matplotlib.ticker import MaxNLocator

    ax.xaxis.set_major_locator(MaxNLocator(integer=True))


def dates(ax: Axes) -> None:
    """Short, unambiguous dates on the x axis, which holds datetime64 values."""
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    locator = AutoDateLocator()  # type: ignore[no-untyped-call]
    ax.xaxis.set_major_locator(locator)
    ax.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]


def square_root(ax: Axes) -> None:
    """Square-root scales: small values keep apart, and zero can be shown."""

    def forward(values: NDArray[np.float64]) -> NDArray[np.float64]:
        root: NDArray[np.float64] = np.sqrt(np.maximum(values, 0.0))
        return root

    ax.set_xscale("function", functions=(forward, np.square))
    ax.set_yscale("function", functions=(forward, np.square))


def from_zero(ax: Axes) -> None:
    """Let the y axis begin at zero, so that heights can be compared."""
    ax.set_ylim(bottom=0)


def room_above(ax: Axes, factor: float) -> None:
    """Let the y axis begin at zero and leave room at the top for a legend."""
    ax.set_ylim(0, factor * ax.get_ylim()[1])


def headroom(ax: Axes, entries: int) -> None:
    """Leave room above everything drawn for a legend of so many lines."""
    low, high = ax.get_ylim()
    ax.set_ylim(low, high + (0.04 + 0.075 * entries) * (high - low))


def as_datetime(days: NDArray[np.int64]) -> NDArray[np.datetime64]:
    """Days since 1970-01-01 as datetime64."""
    return np.asarray(days, dtype=np.int64).astype("datetime64[D]")


def mark_cut(ax: Axes, day: int) -> None:
    """A vertical line at the end of a day: fitted on what is left of it, tested on the rest."""
    border: Any = as_datetime(np.array([day + 1]))[0]
    ax.axvline(border, color=GREY, linewidth=1)
    for text, shift, side in (("fitted on", -4, "right"), ("tested on", 4, "left")):
        ax.annotate(
            text,
            (border, 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(shift, -2),
            textcoords="offset points",
            ha=side,
            va="top",
            fontsize="small",
            color="#595959",
        )
