"""Learn from earlier cuts by how much the level of a forecast is off, and how unsure it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from clv.calibration import Calibration, Shift
from clv.errors import DataError
from clv.evaluation.backtest import Backtest
from clv.evaluation.cut import Cut
from clv.tables._day import parse_day

Floats = NDArray[np.float64]

#: Fewer cuts than this say nothing of how much periods differ.
FEWEST_CUTS = 2


class Pair(NamedTuple):
    """What was expected of each customer at a cut, purchases and value, shape (n,) each."""

    purchases: Floats
    value: Floats


def calibrate(tried: Backtest, method: str | None = None, *, before: Any = None) -> Calibration:
    """Learn the level correction and the width of a forecast from a backtest.

    At every cut the total that came is compared with the total that was expected. The mean of the
    logarithms of these ratios corrects the level; their spread, less what chance explains, widens
    the intervals, of the total and of every customer. Give the result to ``clv.forecast(...,
    calibration=...)``.

    Parameters
    ----------
    tried
        A backtest with the horizon of the forecast, and two cuts or more that do not overlap; of
        those that do the earlier are left out.
    method
        Of value, such as "bg_nbd + gamma_gamma": the models that the forecast is made with. By
        default the best.
    before
        A day: only cuts whose horizon had ended by then are learned from, so that a forecast from
        that day on is not told its own future. By default all.

    Returns
    -------
    Calibration

    Raises
    ------
    DataError
        If the method is not known, or fewer than two cuts can be used.

    Notes
    -----
    If the logarithms of the ratios of K periods are independent and normal with one mean and
    variance, that of the next lies in their mean ± ``t s sqrt(1 + 1 / K)``, t a quantile of
    Student's distribution with K - 1 degrees of freedom, with exactly the nominal probability
    (Hahn & Meeker 1991, Statistical Intervals, section 4.7). What chance and the customers
    contribute to a ratio is estimated at every cut from the customers' own errors, and its mean is
    taken off the variance: the forecast counts it again.

    Examples
    --------
    >>> import clv
    >>> transactions = clv.read_transactions(clv.datasets.load_cdnow())
    >>> tried = clv.backtest(transactions, ["nbd"], horizon="13 weeks", cuts=3, draws=10)
    >>> learned = clv.calibrate(tried, "nbd + gamma_gamma", before="1998-03-31")
    >>> learned.cuts, round(learned.purchases.factor, 2)
    (('1997-09-30', '1997-12-30'), 0.74)
    """
    name = method or tried.best("value")
    labels = tried.labels("value", models=True)
    if name is None or name not in labels:
        raise DataError(f"no model of value is called {name!r}; there are {', '.join(labels)}")

    def expected(cut: Cut) -> Pair | None:
        value = cut.foreseen["value"].get(name)
        purchases = value and cut.foreseen["purchases"].get(value.parts[0])
        if not value or not purchases or value.expected is None or purchases.expected is None:
            return None
        return Pair(purchases.expected, value.expected)

    return learn(tried, labels[name], expected, before)


def learn(
    tried: Backtest, label: str, expected: Callable[[Cut], Pair | None], before: Any = None
) -> Calibration:
    """As `calibrate`, of anything that says what to expect at a cut."""
    cuts = apart(known_by(tried, before))
    found = [
        (cut, pair) for cut in cuts if (pair := expected(cut)) is not None and _some(cut, pair)
    ]
    if len(found) < FEWEST_CUTS:
        when = (
            "" if before is None else f" whose {tried.horizon:g} {tried.time_unit}s end by {before}"
        )
        raise DataError(
            f"a calibration of {label} needs {FEWEST_CUTS} cuts or more that do not overlap, with "
            f"purchases expected and made after each; there "
            f"{'is' if len(found) == 1 else 'are'} {len(found)}{when}. "
            "Give the backtest more cuts, or a shorter horizon"
        )
    ratios = [_ratios(cut, pair) for cut, pair in found]
    return Calibration(
        purchases=shift_of([r.purchases for r in ratios], [r.purchases_chance for r in ratios]),
        spend=shift_of([r.spend for r in ratios], [r.spend_chance for r in ratios]),
        cuts=tuple(cut.cut.isoformat() for cut, _ in found),
        horizon=tried.horizon,
        time_unit=tried.time_unit,
        model=label,
    )


def known_by(tried: Backtest, before: Any) -> list[Cut]:
    """The usable cuts whose horizon had ended by a day; all, without one."""
    if before is None:
        return list(tried.usable)
    day = parse_day(before, "before", "gregorian")
    return [cut for cut in tried.usable if cut.end <= day]


def apart(cuts: Sequence[Cut]) -> list[Cut]:
    """Of cuts whose horizons overlap the later ones."""
    chosen: list[Cut] = []
    for cut in reversed(cuts):
        if not chosen or cut.end <= chosen[-1].cut:
            chosen.append(cut)
    return chosen[::-1]


def shift_of(logs: Sequence[float], chances: Sequence[float]) -> Shift:
    """What logarithms of ratios say of the next one.

    Parameters
    ----------
    logs
        Of actual over expected, K of them.
    chances
        The variance that each has by chance.
    """
    size = len(logs)
    variance = float(np.var(logs, ddof=1)) * (1 + 1 / size)
    beyond_chance = max(variance - float(np.mean(chances)) * (1 + 1 / size), 0.0)
    return Shift(float(np.mean(logs)), float(np.sqrt(beyond_chance)), size - 1)


class _Ratios(NamedTuple):
    purchases: float
    purchases_chance: float
    spend: float
    spend_chance: float


def _some(cut: Cut, pair: Pair) -> bool:
    totals = (cut.actual["purchases"].sum(), cut.actual["value"].sum(), *(f.sum() for f in pair))
    return all(total > 0 for total in totals)


def _ratios(cut: Cut, pair: Pair) -> _Ratios:
    """Logarithms of the ratios of totals, and their variances: customers are independent."""
    bought, spent = cut.actual["purchases"], cut.actual["value"]
    # the ratio of a total is off by the mean of these, to first order
    purchases = (bought - pair.purchases) / pair.purchases.sum()
    value = (spent - pair.value) / pair.value.sum()
    of_purchases = float(np.log(bought.sum() / pair.purchases.sum()))
    of_value = float(np.log(spent.sum() / pair.value.sum()))
    return _Ratios(
        of_purchases,
        _sum_variance(purchases),
        of_value - of_purchases,
        _sum_variance(value - purchases),
    )


def _sum_variance(parts: Floats) -> float:
    """Variance of a sum of independent parts, estimated from their spread."""
    return float(np.sum((parts - parts.mean()) ** 2))
