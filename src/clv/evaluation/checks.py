"""Predictive checks: do data like these come out of the model, before and after it has seen them.

Whole customer bases are simulated, each with one draw of the parameters: from the prior, to see
what the priors hold possible, or from the posterior, to see whether the model can look like the
data at all. Gelman et al. (2013), Bayesian Data Analysis, chapter 6; Gabry et al. (2019),
Visualization in Bayesian workflow, JRSS A 182:389-402.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from clv.errors import DataError
from clv.fitted import Fitted, spend_columns
from clv.numerics.backend import Array

if TYPE_CHECKING:
    from clv.model import Model
    from clv.tables.rfm import RFM
    from clv.tables.transactions import Transactions

#: Customers simulated per draw, at most; figures are scaled to all.
MOST_CUSTOMERS = 20_000

#: Probability of the bands.
LEVEL = 0.9


class Band(NamedTuple):
    """What was seen, and the middle and 90 % band of what was simulated; arrays of one length."""

    place: npt.NDArray[Any]  #: repeat purchases, the end of a period in days, or a level
    actual: Array
    low: Array
    median: Array
    high: Array

    @property
    def outside(self) -> float:
        """The share of places at which what was seen lies outside the band."""
        return float(np.mean((self.actual < self.low) | (self.actual > self.high)))


@dataclass(frozen=True, eq=False)
class PredictiveCheck:
    """Simulated customer bases beside the real one.

    Attributes
    ----------
    title
        Of the model, and where its parameters came from.
    of
        "prior" or "posterior".
    customers
        By number of repeat purchases, the last number standing for it and more; of a spend model
        deciles of the customers' mean values.
    repeat_purchases
        Of all customers by week, where transactions were given; else None.
    """

    title: str
    of: str
    customers: Band
    repeat_purchases: Band | None = None

    def __repr__(self) -> str:
        what = "deciles" if self.customers.place.max() < 1 else "frequencies"
        parts = [f"{self.title}: {self.customers.outside:.0%} of the {what}"]
        if self.repeat_purchases is not None:
            parts.append(f"{self.repeat_purchases.outside:.0%} of the weeks")
        return f"{' and '.join(parts)} lie outside the {LEVEL:.0%} band of simulated customers"


def posterior_check(
    fitted: Fitted,
    rfm: RFM,
    transactions: Transactions | None = None,
    *,
    draws: int = 200,
    most: int = 7,
    seed: int = 0,
) -> PredictiveCheck:
    """Simulate customer bases like the one fitted, from draws of the parameters.

    Parameters
    ----------
    fitted
        A purchase or spend model, without covariates; of maximum likelihood the draws are those of
        its asymptotic distribution.
    rfm
        The table it was fitted to.
    transactions
        What the table was made from: adds repeat purchases by week.
    draws
        Customer bases to simulate.
    most
        The last number of repeat purchases stands for it and more.
    seed
        Source of randomness.

    Examples
    --------
    >>> import clv
    >>> rfm = clv.rfm_summary(
    ...     clv.read_transactions(clv.datasets.load_cdnow()), observation_period_end="1997-09-30"
    ... )
    >>> fitted = clv.BetaGeoModel().fit(rfm, method="laplace")
    >>> clv.evaluation.posterior_check(fitted, rfm, draws=50).customers.outside
    0.0
    """
    fitted.check_table(rfm)
    if fitted.design is not None:
        raise DataError("predictive checks are for models without covariates")
    rng = np.random.default_rng(seed)
    points = fitted.draws[rng.integers(len(fitted.draws), size=draws)]
    basis = str(fitted.options.get("purchases", "repeat"))
    return _check(fitted.family, "posterior", points, rfm, transactions, most, basis, rng)


def prior_check(
    model: Model,
    rfm: RFM,
    transactions: Transactions | None = None,
    *,
    priors: Mapping[str, Any] | None = None,
    draws: int = 200,
    most: int = 7,
    seed: int = 0,
) -> PredictiveCheck:
    """Simulate customer bases from the priors alone; `rfm` gives their ages and number.

    Parameters
    ----------
    model
        Not fitted, such as ``clv.BetaGeoModel()``.
    priors
        As in ``fit``.
    rfm, transactions, draws, most, seed
        As in `posterior_check`.

    Raises
    ------
    DataError
        If a prior is improper: it has no draws.

    Examples
    --------
    >>> import clv
    >>> rfm = clv.rfm_summary(
    ...     clv.read_transactions(clv.datasets.load_cdnow()), observation_period_end="1997-09-30"
    ... )
    >>> check = clv.evaluation.prior_check(clv.BetaGeoModel(), rfm, draws=50)
    >>> bool((check.customers.high > check.customers.actual).all())
    True
    """
    from clv.inference.coordinates import coordinates_of

    family = model.family
    if hasattr(family, "VARIANTS"):
        family = family.variant(getattr(model, "k", None) or 1)
    basis = str(getattr(model, "purchases", "repeat"))
    if family.KIND == "spend":
        count, mean = spend_columns(rfm, basis)
        some = (count > 0) & (mean > 0)
        scales = {"money": float(np.average(mean[some], weights=count[some]))}
    else:
        scales = {"time": float(rfm.array("T").mean())}
    coordinates = coordinates_of(family, scales, priors)
    rng = np.random.default_rng(seed)
    points = coordinates.estimates_at(coordinates.sample(draws, rng))
    return _check(family, "prior", points, rfm, transactions, most, basis, rng)


def _check(
    family: Any,
    of: str,
    points: Array,
    rfm: RFM,
    transactions: Transactions | None,
    most: int,
    basis: str,
    rng: np.random.Generator,
) -> PredictiveCheck:
    title = f"{family.TITLE}, {of}"
    if family.KIND == "spend":
        return PredictiveCheck(title, of, _mean_values(family, points, rfm, basis, rng))
    if family.KIND != "purchase" or getattr(family, "WHOLE_TIMES", False):
        raise DataError(f"there is no predictive check of {family.TITLE}")
    customers = _frequencies(family, points, rfm, most, rng)
    if transactions is None:
        return PredictiveCheck(title, of, customers)
    return PredictiveCheck(title, of, customers, _weeks(family, points, rfm, transactions, rng))


def _paths(family: Any, point: Array, ages: Array, rng: np.random.Generator) -> Any:
    """Purchases of new customers until these ages, at one value of the parameters."""
    alive, state = family.new_customer(family.Parameters(*point))
    paths = family.sample_purchases(state, ages, rng, ages.shape)
    gone = rng.uniform(size=ages.shape) >= alive
    if not gone.any():
        return paths
    kept = np.repeat(~gone, paths.counts)
    return paths._replace(counts=np.where(gone, 0, paths.counts), times=paths.times[kept])


def _frequencies(family: Any, points: Array, rfm: RFM, most: int, rng: np.random.Generator) -> Band:
    ages, share = _some(rfm.array("T"), rng)
    found = np.empty((len(points), most + 1))
    for row, point in zip(found, points, strict=True):
        counts = np.minimum(_paths(family, point, ages, rng).counts, most)
        row[:] = np.bincount(counts, minlength=most + 1) / share
    observed = np.minimum(rfm.array("frequency").astype(np.int64), most)
    return _band(np.arange(most + 1), np.bincount(observed, minlength=most + 1), found)


def _weeks(
    family: Any, points: Array, rfm: RFM, transactions: Transactions, rng: np.random.Generator
) -> Band:
    from clv.tables.daily import daily_purchases
    from clv.units import DAYS_PER_UNIT

    daily = daily_purchases(transactions, rfm)
    weeks = len(daily.newcomers) // 7
    if not weeks:
        raise DataError("the table spans less than a week")
    days = np.arange(len(daily.newcomers), dtype=np.float64)
    start, share = _some(np.repeat(days, daily.newcomers.astype(np.int64)), rng)
    unit = DAYS_PER_UNIT[rfm.time_unit]
    ages = np.maximum(len(daily.newcomers) - 1 - start, 0.0) / unit
    found = np.empty((len(points), weeks))
    for row, point in zip(found, points, strict=True):
        paths = _paths(family, point, np.maximum(ages, 1e-9), rng)
        week = (np.repeat(start, paths.counts) + paths.times * unit) // 7
        row[:] = np.bincount(week.astype(np.int64), minlength=weeks)[:weeks] / share
    actual = daily.repeats[: 7 * weeks].reshape(weeks, 7).sum(axis=1)
    return _band(7 * np.arange(1, weeks + 1), actual, found)


def _mean_values(
    family: Any, points: Array, rfm: RFM, basis: str, rng: np.random.Generator
) -> Band:
    count, mean = spend_columns(rfm, basis)
    some = (count > 0) & (mean > 0)
    levels = np.arange(0.1, 1.0, 0.1)
    chosen, _ = _some(count[some], rng)
    purchases = chosen.astype(np.int64)
    found = np.empty((len(points), len(levels)))
    ones = np.ones(int(purchases.sum()))
    for row, point in zip(found, points, strict=True):
        parameters = family.Parameters(*point)
        total = family.sample_unit_totals(parameters, 0.0, purchases, ones, rng) * parameters.v
        row[:] = np.quantile(total / purchases, levels)
    return _band(levels, np.quantile(mean[some], levels), found)


def _some(values: Array, rng: np.random.Generator) -> tuple[Array, float]:
    """At most `MOST_CUSTOMERS` of them, and their share of all."""
    if len(values) <= MOST_CUSTOMERS:
        return values, 1.0
    return rng.choice(values, MOST_CUSTOMERS, replace=False), MOST_CUSTOMERS / len(values)


def _band(place: npt.NDArray[Any], actual: npt.NDArray[Any], found: Array) -> Band:
    low, median, high = np.quantile(found, [(1 - LEVEL) / 2, 0.5, (1 + LEVEL) / 2], axis=0)
    return Band(place, actual.astype(np.float64), low, median, high)
