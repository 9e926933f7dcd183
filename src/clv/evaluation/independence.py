"""Whether what customers spend per purchase is unrelated to how often they buy.

Spend models take it to be so, and a forecast multiplies the two. Here is the correlation, and what
a relation that there is does to the forecast, in numbers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from html import escape
from typing import Any, NamedTuple

import numpy as np

from clv.errors import DataError
from clv.evaluation import metrics
from clv.evaluation.table import ResultTable
from clv.fitted import FittedPurchases, FittedSpend, spend_columns
from clv.fitted.effects import LikelihoodRatioTest
from clv.model import model_class
from clv.numerics.backend import Array
from clv.spend_model import FEWEST_BUYERS
from clv.tables._frame import Table
from clv.tables.rfm import RFM
from clv.units import parse_horizon

#: Classes of customers by purchases begin here; those with fewer customers join the one below.
_CLASSES, _FEWEST = (1, 2, 3, 4, 6, 10), 20

_COLUMN = "number of purchases"


class Correlation(NamedTuple):
    """A correlation, and how often chance alone would give one as far from 0."""

    value: float
    p_value: float


@dataclass(frozen=True, repr=False)
class SpendIndependence:
    """Made by `spend_independence`; prints itself.

    Attributes
    ----------
    n
        Customers whose purchases count.
    correlation, rank_correlation
        Of their number of purchases with the mean value of these: Pearson's, and Spearman's.
    classes
        Table by number of purchases: customers, the mean of their mean values, the mean of what
        the model expects of them, and the first over the second.
    test
        Whether the level of spending differs between these classes: the spend model with a
        coefficient for each class against the one without. None if there is but one class.
    value, value_by_class
        Expected purchases x expected spend within the horizon, in all: by the model as it is, and
        with a level of spending for each class. None without a purchase model.
    notes
        What was assumed.
    """

    n: int
    correlation: Correlation
    rank_correlation: Correlation
    classes: ResultTable
    test: LikelihoodRatioTest | None
    value: float | None
    value_by_class: float | None
    notes: tuple[str, ...]

    @property
    def change(self) -> float | None:
        """By which share the forecast of value changes when each class has its own level."""
        if self.value is None or self.value_by_class is None:
            return None
        return self.value_by_class / self.value - 1.0

    def sentences(self) -> tuple[str, ...]:
        """The findings in words."""
        first = (
            f"Correlation of the number of purchases with their mean value, {self.n:,} customers: "
            f"{_written(self.correlation)}; of their ranks {_written(self.rank_correlation)}."
        )
        found = [first]
        if self.test is not None:
            found.append(f"A level of spending for each class of customers: {self.test}.")
        if self.change is not None and self.value_by_class is not None:
            found.append(
                f"It changes the forecast of all value by {self.change:+.1%}, from "
                f"{self.value:,.0f} to {self.value_by_class:,.0f}."
            )
        return tuple(found)

    def __repr__(self) -> str:
        notes = [f"note: {note}" for note in self.notes]
        return "\n".join([repr(self.classes), "", *self.sentences(), *notes])

    def _repr_html_(self) -> str:
        below = "".join(f"<p>{escape(text)}</p>" for text in (*self.sentences(), *self.notes))
        return f"<div>{self.classes._repr_html_()}{below}</div>"


def spend_independence(
    rfm: RFM,
    spend: FittedSpend,
    purchases: FittedPurchases | None = None,
    *,
    horizon: float | str = "1 year",
) -> SpendIndependence:
    """Test whether spending is unrelated to the number of purchases, and what it matters.

    Parameters
    ----------
    rfm
        Table with n customers.
    spend
        The fitted spend model; which purchases count is as in it.
    purchases
        A fitted purchase model, for what the relation does to a forecast of value.
    horizon
        Of that forecast.

    Returns
    -------
    SpendIndependence

    Raises
    ------
    DataError
        If fewer than `clv.spend_model.FEWEST_BUYERS` customers have purchases that count.

    Notes
    -----
    p-values of the correlations are those of Student's t with n - 2 degrees of freedom (of ranks,
    approximately). The correlation is of what was observed: the mean of few purchases varies by
    chance, which hides a part of it. The classes of the likelihood ratio test are 1, 2, 3, 4-5,
    6-9 and 10 or more purchases; those of few customers join the one below.

    Examples
    --------
    >>> import clv
    >>> transactions = clv.read_transactions(clv.datasets.load_cdnow())
    >>> rfm = clv.rfm_summary(
    ...     transactions,
    ...     calibration_period_end="1997-09-30",
    ...     observation_period_end="1998-06-30",
    ... )
    >>> found = clv.evaluation.spend_independence(rfm, clv.GammaGammaModel().fit(rfm))
    >>> found.n, round(found.correlation.value, 4)
    (946, 0.1139)
    """
    spend.check_table(rfm)
    basis = str(spend.options.get("purchases", "repeat"))
    count, mean = spend_columns(rfm, basis)
    usable = np.flatnonzero((count > 0) & (mean > 0))
    if len(usable) < FEWEST_BUYERS:
        raise DataError(
            f"{len(usable)} customers have purchases that count, and at least {FEWEST_BUYERS} are "
            "needed to see whether spending goes with their number"
        )
    of, starts = _classes(count, usable)
    known = of[usable]
    expected = spend.expected_spend(rfm)
    rows = []
    for i, label in enumerate(_labels(starts)):
        members = usable[known == i]
        actual, foreseen = float(mean[members].mean()), float(expected[members].mean())
        rows.append(
            {
                "purchases": label,
                "customers": len(members),
                "mean_value": actual,
                "expected_spend": foreseen,
                "ratio": actual / foreseen,
            }
        )
    by_class, test = _level_of_each_class(rfm, spend, _labels(starts), of)
    value = value_by_class = None
    notes = []
    if purchases is not None:
        bought = purchases.expected_purchases(rfm, parse_horizon(horizon, rfm.time_unit))
        value, value_by_class = float(bought @ expected), float(bought @ by_class)
        if not (count > 0).all():
            notes.append(
                "Customers without a purchase that counts are given the level of the lowest class."
            )
    return SpendIndependence(
        len(usable),
        pearson(count[usable], mean[usable]),
        pearson(metrics.mid_ranks(count[usable]), metrics.mid_ranks(mean[usable])),
        ResultTable.of(f"Mean value of a purchase by number of purchases ({basis})", rows),
        test,
        value,
        value_by_class,
        tuple(notes),
    )


def pearson(x: Array, y: Array) -> Correlation:
    """Pearson's correlation of two arrays (n,), with its two-sided p-value.

    Examples
    --------
    >>> value, p_value = pearson(np.array([1.0, 2.0, 3.0, 4.0]), np.array([1.0, 3.0, 2.0, 4.0]))
    >>> round(value, 12), round(p_value, 12)
    (0.8, 0.2)
    """
    from scipy.special import stdtr

    dx, dy = x - x.mean(), y - y.mean()
    size = float(np.sqrt((dx @ dx) * (dy @ dy)))
    if not size > 0:
        return Correlation(float("nan"), float("nan"))
    r = min(1.0, max(-1.0, float(dx @ dy) / size))
    freedom = len(x) - 2
    t = np.inf if abs(r) == 1.0 else abs(r) * np.sqrt(freedom / (1.0 - r * r))
    return Correlation(r, float(2.0 * stdtr(freedom, -t)))


def _classes(count: Array, usable: Any) -> tuple[Any, list[int]]:
    """The class of each customer, and where classes begin; none has few customers."""
    starts = list(_CLASSES)
    while True:
        of = np.maximum(np.searchsorted(starts, count, side="right") - 1, 0)
        sizes = np.bincount(of[usable], minlength=len(starts))
        few = np.flatnonzero(sizes[1:] < _FEWEST) + 1
        if not len(few):
            break
        del starts[int(few[-1])]
    if len(starts) > 1 and sizes[0] < _FEWEST:
        del starts[1]
        of = np.maximum(np.searchsorted(starts, count, side="right") - 1, 0)
    return of, starts


def _labels(starts: list[int]) -> list[str]:
    ends = [start - 1 for start in starts[1:]]
    exact = [str(a) if a == b else f"{a}-{b}" for a, b in zip(starts, ends, strict=False)]
    return [*exact, f"{starts[-1]}+"]


def _level_of_each_class(
    rfm: RFM, spend: FittedSpend, labels: list[str], of: Any
) -> tuple[Array, LikelihoodRatioTest | None]:
    """Expected spend with a level for each class, and the test of these levels."""
    if len(labels) == 1:
        return spend.expected_spend(rfm), None
    columns = {**rfm.data, _COLUMN: np.array(labels, dtype=object)[of]}
    table = replace(rfm, **Table.parts(columns, like=rfm))
    model = model_class(spend.model_name)
    basis = str(spend.options.get("purchases", "repeat"))
    ours = spend.fingerprint == rfm.fingerprint and spend.method == "mle"
    plain = spend if ours else model(purchases=basis, covariates=spend.covariates).fit(rfm)
    fitted = model(purchases=basis, covariates=(*spend.covariates, _COLUMN)).fit(table)
    return fitted.expected_spend(table), fitted.likelihood_ratio_test(plain)


def _written(found: Correlation) -> str:
    return f"{found.value:.3f} (p = {found.p_value:.2g})"
