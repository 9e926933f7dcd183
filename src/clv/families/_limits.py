"""Names of limits that parameters of several models run to."""

from __future__ import annotations

from collections.abc import Iterable

EXTREME = 1e6  #: beyond this (times in units of the mean age) a parameter has left for a limit

#: With one shape gone, a sum of both below `NEARLY` is at the same limit: the other hardly matters.
GONE, NEARLY = 1e-9, 1e-3


def said(*found: str | None) -> str | None:
    """The limits that apply, in one text; None where there is none."""
    return "; ".join(limit for limit in found if limit) or None


def of_purchase_rates(r: float, alpha: float) -> str | None:
    """Of rates that are Gamma(shape r, rate alpha) across customers."""
    if r > EXTREME:
        return "all customers buy at the same rate (r, alpha -> infinity)"
    if alpha < 1 / EXTREME or r < 1 / EXTREME:
        return (
            "purchase rates are either negligible or enormous (r or alpha -> 0): "
            "too few customers repeat"
        )
    if alpha > EXTREME:
        return "purchase rates vanish (alpha -> infinity): nobody seems to repeat"
    return None


def of_dropout_probabilities(a: float, b: float, names: Iterable[str], without: str) -> str | None:
    """Of dropout probabilities that are Beta(a, b) across customers.

    Parameters
    ----------
    a, b
        Their values, and `names` their names.
    without
        The model that is left when nobody leaves.
    """
    first, second = names
    share, mean = a / (a + b), f"{first} / ({first} + {second})"
    if share < 1 / EXTREME:
        return (
            f"dropout vanishes ({mean} -> 0): nobody is seen to leave, "
            f"the purchases alone are described by the {without}"
        )
    if b / (a + b) < 1 / EXTREME:
        return f"dropout is certain ({mean} -> 1): everybody leaves at the first chance"
    if a + b > EXTREME:
        return (
            f"all customers share one dropout probability ({first}, {second} -> infinity, "
            f"{mean} = {share:.3g})"
        )
    if a + b < 1 / EXTREME or (min(a, b) < GONE and a + b < NEARLY):
        return (
            f"dropout is all or nothing ({first}, {second} -> 0): customers leave at once or "
            f"never, the share that leaves is {share:.3g}"
        )
    return None
