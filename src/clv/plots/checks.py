"""Pictures of predictive checks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clv.plots import _axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from clv.evaluation.checks import PredictiveCheck


def predictive_check(
    check: PredictiveCheck, *, over_time: bool = False, ax: Axes | None = None
) -> Axes:
    """What was seen, and the 90 % band of simulated customer bases around it.

    Parameters
    ----------
    check
        From `clv.evaluation.prior_check` or `clv.evaluation.posterior_check`.
    over_time
        Repeat purchases by week instead of customers by their number; the check must have been
        given transactions.
    ax
        Where to draw; None makes a new figure.

    Returns
    -------
    matplotlib.axes.Axes
    """
    from clv.errors import DataError

    band = check.repeat_purchases if over_time else check.customers
    if band is None:
        raise DataError("give transactions to the check to see repeat purchases over time")
    ax = _axes.prepare(ax)
    spend = band.place.max() < 1
    ax.fill_between(band.place, band.low, band.high, alpha=0.25, label="90 % of simulations")
    ax.plot(band.place, band.median, label="median simulation")
    ax.plot(band.place, band.actual, "k.-", label="actual")
    _axes.separate_thousands(ax, "y")
    if spend:
        what, x, y = "Deciles of mean purchase values", "share of customers below", "mean value"
    elif over_time:
        what, x, y = "Repeat purchases by week", "days since the first customer", "purchases"
    else:
        what, x, y = "How often customers came back", "repeat purchases", "customers"
    _axes.label(ax, f"{what}: {check.title}", x, y)
    if check.of == "prior":
        ax.set_yscale("log" if spend else "symlog")
    _axes.legend(ax, loc="best")
    return ax
