"""What the pictures show, as numbers: arrays and tables in, named arrays out, nothing drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from clv.errors import DataError
from clv.tables._frame import Table
from clv.units import DAYS_PER_UNIT

if TYPE_CHECKING:
    from clv.evaluation.comparison import Comparison
    from clv.evaluation.metrics import ConcentrationCurve, DecileCalibration
    from clv.fitted import FittedPurchases
    from clv.tables.daily import DailyPurchases
    from clv.tables.rfm import RFM
    from clv.tables.transactions import Transactions

#: Customers, at most, whose covariates a mean is taken over.
_CUSTOMERS = 1_000

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


def by_title(models: FittedPurchases | Sequence[FittedPurchases]) -> dict[str, FittedPurchases]:
    """One model or several, by a title that tells them apart."""
    several = models if isinstance(models, Sequence) else (models,)
    titled: dict[str, FittedPurchases] = {}
    for model in several:
        title, number = str(model.family.TITLE), 2
        while title in titled:
            title, number = f"{model.family.TITLE} ({number})", number + 1
        titled[title] = model
    return titled


# --- repeat purchases week by week -----------------------------------------------------------


class Tracking(NamedTuple):
    """Repeat purchases of a group of customers, period by period.

    Attributes
    ----------
    last_day
        Last day of each period, in days since 1970-01-01, shape (periods,).
    actual
        Repeat purchases in each period.
    expected
        By model: what it expects of customers of whom only the day of the first purchase is
        known.
    cut_day
        Last day that the models were fitted on; None where nothing was held out.
    customers
        Size of the group.
    days_per_period
        Length of a period.
    """

    last_day: Integers
    actual: Floats
    expected: dict[str, Floats]
    cut_day: int | None
    customers: int
    days_per_period: int

    def cumulative(self) -> Tracking:
        """The same, each period with all that came before."""
        return self._replace(
            actual=np.cumsum(self.actual),
            expected={name: np.cumsum(values) for name, values in self.expected.items()},
        )


def expected_repeat_purchases(newcomers: Floats, expectation: Floats) -> Floats:
    """Repeat purchases expected by the end of each day.

    Parameters
    ----------
    newcomers
        Customers whose first purchase falls on day 0, 1, ..., shape (days,).
    expectation
        E[X(age)] at the age of 0, 1, ... days, shape (days,).

    Returns
    -------
    numpy.ndarray
        Cumulative, shape (days,): the sum over customers of E[X(day - day of first purchase)].

    Notes
    -----
    Fader, Hardie & Lee (2005), Marketing Science 24:275-284, figures 3 and 4.

    Examples
    --------
    >>> expected_repeat_purchases(np.array([2., 1., 0.]), np.array([0., .5, .9]))
    array([0. , 1. , 2.3])
    """
    total: Floats = np.convolve(newcomers, expectation)[: len(newcomers)]
    return total


def per_period(daily: Floats, days_per_period: int) -> Floats:
    """Sums over whole periods from the first day on; an incomplete last one is left out."""
    periods = len(daily) // days_per_period
    sums: Floats = daily[: periods * days_per_period].reshape(periods, -1).sum(axis=1)
    return sums


def tracking(
    transactions: Transactions,
    rfm: RFM,
    models: FittedPurchases | Sequence[FittedPurchases],
    days_per_period: int = 7,
) -> Tracking:
    """Repeat purchases of a table's customers by period, actual and expected.

    Parameters
    ----------
    transactions
        What the table was made from.
    rfm
        Its customers are followed to its end of observation.
    models
        One fitted purchase model or several.
    days_per_period
        7 is a week. Periods begin with the first purchase; an incomplete last one is left out.

    Raises
    ------
    DataError
        If the table does not belong to the transactions, or spans less than one period.
    """
    from clv.tables._day import day_number
    from clv.tables.daily import daily_purchases

    daily = daily_purchases(transactions, rfm)
    days = len(daily.newcomers)
    periods = days // days_per_period if days_per_period >= 1 else 0
    if periods == 0:
        raise DataError(
            f"the table spans {days:,} days, less than one period of {days_per_period!r} days"
        )
    expected = {}
    for title, model in by_title(models).items():
        model.check_table(rfm)
        expected[title] = per_period(expected_by_day(model, rfm, daily), days_per_period)
    cut = rfm.calibration_period_end
    return Tracking(
        last_day=daily.first_day + days_per_period * np.arange(1, periods + 1) - 1,
        actual=per_period(daily.repeats, days_per_period),
        expected=expected,
        cut_day=None if cut is None else day_number(cut),
        customers=len(rfm),
        days_per_period=days_per_period,
    )


def expected_by_day(model: FittedPurchases, rfm: RFM, daily: DailyPurchases) -> Floats:
    """Expected repeat purchases of each day, whose covariates may be its own."""
    from clv.fitted import FittedTimeVarying

    days = len(daily.newcomers)
    if isinstance(model, FittedTimeVarying):
        return model.expected_repeats_by_day(rfm, daily.first_day, days)
    ages = np.arange(days) / DAYS_PER_UNIT[model.time_unit]
    total = expected_repeat_purchases(daily.newcomers, _new_customer(model, rfm, ages))
    return np.diff(total, prepend=0.0)


def _new_customer(model: FittedPurchases, rfm: RFM, ages: Floats) -> Floats:
    """Expected repeat purchases by age: with covariates, the mean over customers of the table."""
    if not model.covariates:
        return np.asarray(model.expected_purchases_new_customer(ages))
    some = np.unique(np.linspace(0, len(rfm) - 1, _CUSTOMERS).astype(np.int64))
    columns = {name: rfm.values(name)[some] for name in rfm.columns}
    like = replace(rfm, **Table.parts(columns, like=rfm))
    return np.array(
        [model.expected_purchases_new_customer(age, covariates=like).mean() for age in ages]
    )


# --- how many customers bought how often -----------------------------------------------------


class Frequencies(NamedTuple):
    """Customers by number of repeat purchases; the last entry is "that many or more"."""

    frequency: Integers  #: shape (most + 1,)
    actual: Floats
    expected: dict[str, Floats]  #: by model


def frequencies(
    rfm: RFM, models: FittedPurchases | Sequence[FittedPurchases], most: int = 7
) -> Frequencies:
    """Customers with 0, 1, ... repeat purchases, and how many each model expects.

    The expectation is the sum of P(X(T) = n) over customers, each observed for their own T.

    Parameters
    ----------
    rfm
        Table with n customers.
    models
        One fitted purchase model or several.
    most
        Where counts are lumped together.

    Notes
    -----
    Fader, Hardie & Lee (2005), figure 2.
    """
    if most < 1:
        raise DataError(f"most must be a whole number of purchases, 1 or more, not {most!r}")
    counts = np.arange(most + 1)
    observed = np.minimum(rfm.array("frequency"), most).astype(np.int64)
    ages = rfm.distinct("T")
    expected = {}
    for title, model in by_title(models).items():
        if model.covariates:
            times, weights = rfm.array("T"), np.ones(len(rfm))
            pmf = np.array(model.purchase_count_pmf(counts[:, None], times, covariates=rfm))
        else:
            times, weights = ages.columns[0], ages.weights
            pmf = np.array(model.purchase_count_pmf(counts[:, None], times))
        pmf[-1] = np.maximum(0.0, 1.0 - pmf[:-1].sum(axis=0))  # that many or more
        expected[title] = pmf @ weights
    return Frequencies(
        counts, np.bincount(observed, minlength=most + 1).astype(np.float64), expected
    )


# --- held-out purchases by what was known ----------------------------------------------------


class Calibration(NamedTuple):
    """Mean purchases in the holdout by number of repeat purchases before it."""

    frequency: Integers  #: shape (groups,); the last entry is "that many or more"
    customers: Integers
    actual: Floats  #: per customer of the group; nan in an empty one
    predicted: dict[str, Floats]  #: by model


def require_holdout(rfm: RFM) -> None:
    """Refuse a table without a holdout."""
    if not rfm.has_holdout:
        raise DataError(
            "this picture needs held-out purchases and the table has none; make it with "
            "clv.rfm_summary(..., calibration_period_end=...)"
        )


def calibration(
    rfm: RFM, models: FittedPurchases | Sequence[FittedPurchases], most: int = 7
) -> Calibration:
    """Mean purchases in the holdout, actual and predicted, by frequency at the cut.

    Parameters
    ----------
    rfm
        Table with a holdout.
    models
        One fitted purchase model or several.
    most
        Where frequencies are lumped together.

    Raises
    ------
    DataError
        If the table has no holdout.

    Notes
    -----
    Fader, Hardie & Lee (2005), figure 5.
    """
    require_holdout(rfm)
    group = np.minimum(rfm.array("frequency"), most).astype(np.int64)
    customers = np.bincount(group, minlength=most + 1)

    def mean(values: Any) -> Floats:
        with np.errstate(invalid="ignore"):
            means: Floats = np.bincount(group, values, minlength=most + 1) / customers
        return means

    predicted = {
        title: mean(model.expected_purchases(rfm, rfm.holdout_duration))
        for title, model in by_title(models).items()
    }
    return Calibration(
        np.arange(most + 1), customers, mean(rfm.array("holdout_purchases")), predicted
    )


# --- P(alive) --------------------------------------------------------------------------------


def probability_alive_grid(
    model: FittedPurchases,
    frequency: Integers,
    recency: Floats,
    T: float,
    covariates: Mapping[str, Any] | None = None,
) -> Floats:
    """P(alive) of customers of age `T`, shape (len(recency), len(frequency)).

    `covariates` are those of all of them, by name, where the model has any. nan where no customer
    can be: a single purchase has recency 0, and repeat purchases have a recency above it.
    """
    import pyarrow as pa

    from clv.tables.ready_made import rfm_table

    x, t_x = np.meshgrid(frequency, np.asarray(recency, dtype=np.float64))
    possible = (x == 0) == (t_x == 0)
    customers = pa.table(
        {
            "customer_id": np.arange(possible.sum()),
            "frequency": x[possible],
            "recency": t_x[possible],
            "T": np.full(possible.sum(), float(T)),
        }
    )
    grid = np.full(x.shape, np.nan)
    model.matrix_of_one(covariates)  # says what is missing
    table = rfm_table(customers, time_unit=model.time_unit)
    if covariates:
        given = {name: [value] * len(table) for name, value in covariates.items()}
        ids = customers.column("customer_id")
        table = table.with_covariates(pa.table({"customer_id": ids, **given}), list(given))
    grid[possible] = model.probability_alive(table)
    return grid


# --- value -----------------------------------------------------------------------------------

PERFECT = "perfect"


def value_forecasts(comparison: Comparison) -> dict[str, Floats]:
    """The prediction and the figures of history, by their names for people."""
    labels = comparison.value_scores.labels
    column = {"prediction": "predicted_value"}
    methods = ("prediction", *comparison.value_scores.history)
    return {labels[m]: comparison.customers.array(column.get(m, m)) for m in methods}


def value_deciles(comparison: Comparison, groups: int = 10) -> dict[str, DecileCalibration]:
    """Mean foreseen and actual value by tenth of the customers, each method in its own order."""
    from clv.evaluation.metrics import decile_calibration

    actual = comparison.customers.array("actual_value")
    groups = max(2, min(groups, len(actual)))
    return {
        name: decile_calibration(actual, values, groups)
        for name, values in value_forecasts(comparison).items()
    }


def value_gains(comparison: Comparison) -> dict[str, ConcentrationCurve]:
    """Share of actual value over share of customers, in the order of each method and the best."""
    from clv.evaluation.metrics import concentration_curve

    actual = comparison.customers.array("actual_value")
    orders = {**value_forecasts(comparison), PERFECT: actual}
    return {name: concentration_curve(actual, score) for name, score in orders.items()}


class ValueShares(NamedTuple):
    """Expected value by tenth of the customers, the most valuable first."""

    group: Integers  #: 1, 2, ...
    mean: Floats  #: per customer
    share: Floats  #: of the total; nan where the total is not above 0


def value_shares(value: Floats, groups: int = 10) -> ValueShares:
    """Share of the total that each tenth of the customers holds, ties averaged.

    Examples
    --------
    >>> value_shares(np.array([1.0, 6.0, 0.0, 3.0]), groups=2).share
    array([0.9, 0.1])
    """
    from clv.evaluation.metrics import decile_calibration

    table = decile_calibration(value, value, max(2, min(groups, len(value))))
    total = float(value.sum())
    held = table.mean_actual * table.customers
    return ValueShares(
        table.group, table.mean_actual, held / total if total > 0 else np.full(held.shape, np.nan)
    )
