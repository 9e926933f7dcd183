"""Metrics: one function each, plain arrays in, a number (or a small tuple of arrays) out.

Conventions
-----------
- `actual`, `prediction`, `score`: one entry per customer, shape (n,), in the same order. A
  *prediction* is in the unit of the actual figure; a *score* only has to rank, high is good.
- Nothing is left out silently: missing or infinite entries, unequal lengths and empty arrays
  raise `DataError`.
- Where a metric is undefined (a total of zero to divide by, nothing but ties to rank) the
  result is ``nan``; each docstring says when.
- Ties are never broken by the order of the rows: a metric that depends on the order among
  tied scores is averaged over all orders, in closed form.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from clv.errors import DataError

Floats = NDArray[np.float64]

LEAST = 1e-300
"""A probability below this counts as this much in logarithms."""


# -- checks -----------------------------------------------------------------------------------


def _checked(**arrays: ArrayLike) -> tuple[Floats, ...]:
    """Return the arrays as float64, one-dimensional, of one length, finite."""
    result: list[Floats] = []
    for name, values in arrays.items():
        try:
            array = np.asarray(values, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise DataError(f"{name} cannot be read as numbers: {error}") from None
        if array.ndim != 1:
            raise DataError(
                f"{name} must have one entry per customer, shape (n,), not {array.shape}"
            )
        bad = ~np.isfinite(array)
        if bad.any():
            first = int(np.argmax(bad))
            raise DataError(
                f"{name} has {int(bad.sum())} missing or infinite entries, the first at position "
                f"{first} ({array[first]}); fill them, or leave these customers out of all arrays"
            )
        result.append(array)
    lengths = {name: array.size for name, array in zip(arrays, result, strict=True)}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{name} has {size}" for name, size in lengths.items())
        raise DataError(
            f"the arrays differ in length: {told}; they must describe the same customers"
        )
    if result[0].size == 0:
        raise DataError("there is no customer to measure: the arrays are empty")
    return tuple(result)


def _checked_share(name: str, value: float) -> float:
    if not 0 < value < 1:
        raise DataError(f"{name} must lie between 0 and 1, not {value!r}")
    return float(value)


# -- level and error --------------------------------------------------------------------------


def bias(actual: ArrayLike, prediction: ArrayLike) -> float:
    """Relative error of the total: ``sum(prediction) / sum(actual) - 1``.

    Returns
    -------
    float
        -0.12 means that the total is predicted 12 % too low. ``nan`` if the actual total is 0.

    Raises
    ------
    DataError
        For missing or infinite entries, unequal lengths, empty arrays.

    Notes
    -----
    Hyndman & Koehler (2006), "Another look at measures of forecast accuracy", International
    Journal of Forecasting 22: 679-688 (percentage error, here of the total).

    Examples
    --------
    >>> bias([0, 2, 2], [1, 1, 1])
    -0.25
    """
    a, p = _checked(actual=actual, prediction=prediction)
    total = a.sum()
    return float(p.sum() / total - 1) if total != 0 else float("nan")


def mean_bias(actual: ArrayLike, prediction: ArrayLike) -> float:
    """Mean error per customer, in the unit of the figure: ``mean(prediction - actual)``.

    Raises
    ------
    DataError
        For missing or infinite entries, unequal lengths, empty arrays.

    Notes
    -----
    Hyndman & Koehler (2006), section 2.1, with the sign turned: positive is too high.

    Examples
    --------
    >>> mean_bias([0, 2, 4], [1, 1, 1])
    -1.0
    """
    a, p = _checked(actual=actual, prediction=prediction)
    return float(np.mean(p - a))


def mean_absolute_error(actual: ArrayLike, prediction: ArrayLike) -> float:
    """Mean absolute error per customer: ``mean(|prediction - actual|)``.

    It is smallest for a forecast of each customer's *median*, which is 0 for most customers:
    it rewards forecasts that are too low.

    Raises
    ------
    DataError
        For missing or infinite entries, unequal lengths, empty arrays.

    Notes
    -----
    Hyndman & Koehler (2006), section 2.1; on which functional is rewarded: Gneiting (2011),
    "Making and evaluating point forecasts", JASA 106: 746-762.

    Examples
    --------
    >>> mean_absolute_error([0, 2, 4], [1, 1, 3])
    1.0
    """
    a, p = _checked(actual=actual, prediction=prediction)
    return float(np.mean(np.abs(p - a)))


def root_mean_squared_error(actual: ArrayLike, prediction: ArrayLike) -> float:
    """Root of the mean squared error: ``sqrt(mean((prediction - actual)**2))``.

    It is smallest for a forecast of each customer's *mean*, and a few large customers decide it.

    Raises
    ------
    DataError
        For missing or infinite entries, unequal lengths, empty arrays.

    Notes
    -----
    Hyndman & Koehler (2006), section 2.1.

    Examples
    --------
    >>> root_mean_squared_error([0, 0], [3, 4]) == 12.5**0.5
    True
    """
    a, p = _checked(actual=actual, prediction=prediction)
    return float(np.sqrt(np.mean((p - a) ** 2)))


def mean_squared_log_error(actual: ArrayLike, prediction: ArrayLike) -> float:
    """Mean of ``(ln(1 + prediction) - ln(1 + actual))^2``.

    Judges by proportion rather than by amount: a customer foreseen at 10 who spends 20 weighs about
    as much as one foreseen at 100 who spends 200. Below zero (more returned than bought) counts
    as zero.

    Raises
    ------
    DataError
        For missing or infinite entries, unequal lengths, empty arrays.

    Notes
    -----
    Tofallis (2015), "A better measure of relative prediction accuracy", Journal of the
    Operational Research Society 66: 1352-1362, on errors of logarithms; 1 is added so that zeros
    have one.

    Examples
    --------
    >>> round(mean_squared_log_error([0, 1], [0, 3]), 4)
    0.2402
    """
    a, p = _checked(actual=actual, prediction=prediction)
    return float(np.mean(squared_log_errors(a, p)))


def squared_log_errors(actual: Floats, prediction: Floats) -> Floats:
    """What each customer adds to `mean_squared_log_error`, shape (n,); nothing is checked."""
    gap = np.log1p(np.maximum(prediction, 0.0)) - np.log1p(np.maximum(actual, 0.0))
    squared: Floats = gap**2
    return squared


# -- ranking ----------------------------------------------------------------------------------


def mid_ranks(values: ArrayLike) -> Floats:
    """Return ascending ranks from 1; tied entries share the mean of their ranks.

    Raises
    ------
    DataError
        For missing or infinite entries, or an empty array.

    Notes
    -----
    Kendall (1945), "The treatment of ties in ranking problems", Biometrika 33: 239-251.

    Examples
    --------
    >>> mid_ranks([10, 0, 0, 5])
    array([4. , 1.5, 1.5, 3. ])
    """
    (v,) = _checked(values=values)
    _, group, count = np.unique(v, return_inverse=True, return_counts=True)
    last = np.cumsum(count)
    ranks: Floats = (last - (count - 1) / 2)[group]
    return ranks


def spearman(actual: ArrayLike, score: ArrayLike) -> float:
    """Spearman's rank correlation, ties given mid-ranks: Pearson's correlation of the mid-ranks.

    A score with many ties is flattered: each tie lowers the variance in the denominator as if
    less had been promised. Read it beside `spearman_tie_expected`.

    Returns
    -------
    float
        Between -1 and 1; ``nan`` if all actual figures, or all scores, are tied.

    Raises
    ------
    DataError
        For missing or infinite entries, unequal lengths, empty arrays.

    Notes
    -----
    Spearman (1904), American Journal of Psychology 15: 72-101; with ties as rho_b in
    Kendall (1945), Biometrika 33: 239-251.

    Examples
    --------
    >>> spearman([0, 0, 1, 5], [0, 1, 2, 3])
    0.9486832980505138
    """
    a, s = _checked(actual=actual, score=score)
    x, y = mid_ranks(a), mid_ranks(s)
    x, y = x - x.mean(), y - y.mean()
    scale = np.sqrt((x @ x) * (y @ y))
    return float(x @ y / scale) if scale > 0 else float("nan")


def spearman_tie_expected(actual: ArrayLike, score: ArrayLike) -> float:
    """Spearman's correlation in expectation over random orders of the ties, on both sides.

    Break every tie by lot, independently among the actual figures and among the scores. Each
    side is then a permutation of 1..n, whose variance is always ``(n**2 - 1) / 12``, and the
    expected rank of an entry is its mid-rank; the draws being independent, the expected product
    is the product of the expectations. Hence::

        12 * cov(mid-ranks of actual, mid-ranks of score) / (n**2 - 1)

    with the covariance over n. A score is not rewarded for refusing to rank: all scores tied
    gives 0. Ties among the *actual* figures lower the best value that can be reached below 1;
    ``spearman_tie_expected(actual, actual)`` is that value.

    Returns
    -------
    float
        Between -1 and 1; ``nan`` for a single customer.

    Raises
    ------
    DataError
        For missing or infinite entries, unequal lengths, empty arrays.

    Notes
    -----
    Woodbury (1940), "Rank correlation when there are equal variates", Annals of Mathematical
    Statistics 11: 358-362; rho_a in Kendall (1945), Biometrika 33: 239-251.

    Examples
    --------
    Two orders of the tied scores, 1 and 0.5; their mean:

    >>> spearman_tie_expected([1, 2, 3], [0, 1, 1])
    0.75
    >>> spearman([1, 2, 3], [0, 1, 1])
    0.8660254037844387
    """
    a, s = _checked(actual=actual, score=score)
    n = a.size
    if n < 2:
        return float("nan")
    middle = (n + 1) / 2
    covariance = np.mean((mid_ranks(a) - middle) * (mid_ranks(s) - middle))
    return float(12 * covariance / (n**2 - 1))


class ConcentrationCurve(NamedTuple):
    """Share of value held by the best share of customers; straight within each tie.

    Attributes
    ----------
    share_of_customers, share_of_value
        Corners of the curve, shape (number of distinct scores + 1,), from 0 to 1.
    """

    share_of_customers: Floats
    share_of_value: Floats


def concentration_curve(actual: ArrayLike, score: ArrayLike) -> ConcentrationCurve:
    """Share of the actual total found in the top share of customers, best score first.

    Averaged over all orders of tied scores, which makes it a straight line across each tie.

    Returns
    -------
    ConcentrationCurve
        `share_of_value` is ``nan`` if the actual total is not positive.

    Raises
    ------
    DataError
        For missing or infinite entries, unequal lengths, empty arrays.

    Notes
    -----
    Lorenz (1905) when the score is the actual figure; Kakwani (1977), "Applications of Lorenz
    curves in economic analysis", Econometrica 45: 719-727, for the concentration curve.

    Examples
    --------
    >>> concentration_curve([1, 0, 3], [2, 1, 2])
    ConcentrationCurve(share_of_customers=array([0.        , 0.66666667, 1.        ]), \
share_of_value=array([0., 1., 1.]))
    """
    a, s = _checked(actual=actual, score=score)
    _, group, count = np.unique(-s, return_inverse=True, return_counts=True)
    customers = np.concatenate([[0.0], np.cumsum(count)]) / a.size
    value = np.concatenate([[0.0], np.cumsum(np.bincount(group, weights=a))])
    total = value[-1]
    return ConcentrationCurve(customers, value / total if total > 0 else value * np.nan)


def normalised_gini(actual: ArrayLike, score: ArrayLike) -> float:
    """How far towards a perfect ranking the score brings us, from 0 (by lot) to 1 (perfect).

    The area between the tie-averaged `concentration_curve` of the score and the diagonal, over
    the same area for the actual figures themselves.

    Returns
    -------
    float
        Negative if the score ranks worse than by lot. ``nan`` if the actual total is not
        positive, or all actual figures are equal.

    Raises
    ------
    DataError
        For missing or infinite entries, unequal lengths, empty arrays.

    Notes
    -----
    Frees, Meyers & Cummings (2011), "Summarizing insurance scores using a Gini index", JASA
    106: 1085-1098; Denuit, Sznajder & Trufin (2019), "Model selection based on Lorenz and
    concentration curves, Gini indices and convex order", IME 89: 128-139, for the ratio.

    Examples
    --------
    >>> normalised_gini([0, 0, 1, 3], [1, 2, 3, 4])
    1.0
    >>> normalised_gini([0, 0, 1, 3], [1, 1, 1, 1])
    0.0
    """
    a, s = _checked(actual=actual, score=score)
    if np.all(a == a[0]):
        return float("nan")
    reached = _area_above_diagonal(concentration_curve(a, s))
    return float(reached / _area_above_diagonal(concentration_curve(a, a)))


def _area_above_diagonal(curve: ConcentrationCurve) -> float:
    return float(np.trapezoid(curve.share_of_value, curve.share_of_customers)) - 0.5


def top_share_captured(actual: ArrayLike, score: ArrayLike, share: float = 0.1) -> float:
    """Share of the actual total held by the customers with the top scores.

    The `concentration_curve` at `share`: where the border falls within a tie, or within a
    customer (a tenth of 2,357 customers is 235.7), what lies on it is counted in proportion.

    Parameters
    ----------
    share
        Which part of the customers is picked; 0.1 is the best tenth.

    Returns
    -------
    float
        ``nan`` if the actual total is not positive.

    Raises
    ------
    DataError
        For missing or infinite entries, unequal lengths, empty arrays, a share outside (0, 1).

    Notes
    -----
    Malthouse & Blattberg (2005), "Can we predict customer lifetime value?", Journal of
    Interactive Marketing 19(1): 2-16, judge rankings by what the top group turns out to hold.

    Examples
    --------
    >>> top_share_captured([6, 2, 1, 1], [9, 5, 5, 0], share=0.5)
    0.75
    """
    share = _checked_share("share", share)
    curve = concentration_curve(actual, score)
    return float(np.interp(share, *curve))


# -- calibration ------------------------------------------------------------------------------


class DecileCalibration(NamedTuple):
    """Mean actual and predicted figure in groups of equal size, highest prediction first.

    Attributes
    ----------
    group
        1 is the group with the highest predictions, shape (groups,).
    customers
        Size of each group; not whole where a customer lies across a border.
    mean_prediction, mean_actual
        Per customer of the group.
    """

    group: NDArray[np.int64]
    customers: Floats
    mean_prediction: Floats
    mean_actual: Floats


def decile_calibration(
    actual: ArrayLike, prediction: ArrayLike, groups: int = 10
) -> DecileCalibration:
    """Compare mean actual and predicted figures in tenths of the customers.

    Customers are ordered by prediction, highest first, and cut into `groups` equal parts; a
    group of ties that lies across a border is divided in proportion, so the order of the rows
    does not matter.

    Raises
    ------
    DataError
        For missing or infinite entries, unequal lengths, empty arrays, fewer than two groups,
        more groups than customers.

    Notes
    -----
    Malthouse & Blattberg (2005), Journal of Interactive Marketing 19(1): 2-16 (gains table).

    Examples
    --------
    >>> table = decile_calibration([0, 1, 2, 5], [1, 1, 2, 4], groups=2)
    >>> table.mean_prediction, table.mean_actual
    (array([3., 1.]), array([3.5, 0.5]))
    """
    a, p = _checked(actual=actual, prediction=prediction)
    if not 2 <= groups <= a.size:
        raise DataError(f"groups must lie between 2 and the {a.size} customers, not {groups!r}")
    _, tie, count = np.unique(-p, return_inverse=True, return_counts=True)
    borders = np.linspace(0, a.size, groups + 1)
    size = np.diff(borders)

    def mean_per_group(values: Floats) -> Floats:
        reached = np.concatenate([[0.0], np.cumsum(np.bincount(tie, weights=values))])
        corners = np.concatenate([[0.0], np.cumsum(count)])
        means: Floats = np.diff(np.interp(borders, corners, reached)) / size
        return means

    return DecileCalibration(np.arange(1, groups + 1), size, mean_per_group(p), mean_per_group(a))


# -- intervals and distributions --------------------------------------------------------------


def interval_coverage(actual: ArrayLike, low: ArrayLike, high: ArrayLike) -> float:
    """Share of customers whose actual figure lies within ``[low, high]``, ends included.

    Counts are discrete: an interval that must hold at least 90 % holds more as a rule, so this
    runs above nominal even for the true distribution. `pit_coverage` does not.

    Raises
    ------
    DataError
        For missing or infinite entries, unequal lengths, empty arrays, low above high.

    Examples
    --------
    >>> interval_coverage([0, 1, 5, 9], [0, 0, 0, 0], [2, 2, 5, 5])
    0.75
    """
    a, lo, hi = _checked_interval(actual, low, high)
    return float(np.mean((lo <= a) & (a <= hi)))


def interval_width(low: ArrayLike, high: ArrayLike) -> float:
    """Mean width of the intervals: ``mean(high - low)``.

    Raises
    ------
    DataError
        For missing or infinite entries, unequal lengths, empty arrays, low above high.

    Examples
    --------
    >>> interval_width([0, 1], [2, 5])
    3.0
    """
    _, lo, hi = _checked_interval(low, low, high)
    return float(np.mean(hi - lo))


def interval_score(actual: ArrayLike, low: ArrayLike, high: ArrayLike, level: float) -> float:
    """Mean interval score, low is good: width, plus a fine for each miss.

    ``(high - low) + 2 / (1 - level) * (shortfall below low, or excess above high)``. It is
    proper: no interval does better in expectation than that of the true quantiles at
    ``(1 - level) / 2`` and ``(1 + level) / 2``.

    Parameters
    ----------
    level
        Nominal level of the central interval, such as 0.9.

    Raises
    ------
    DataError
        For missing or infinite entries, unequal lengths, empty arrays, low above high, a level
        outside (0, 1).

    Notes
    -----
    Gneiting & Raftery (2007), "Strictly proper scoring rules, prediction, and estimation",
    JASA 102: 359-378, equation 43.

    Examples
    --------
    >>> interval_score([1, 7], [0, 0], [4, 4], level=0.5)
    10.0
    """
    a, lo, hi = _checked_interval(actual, low, high)
    return float(np.mean(interval_scores(a, lo, hi, _checked_share("level", level))))


def interval_scores(actual: Floats, low: Floats, high: Floats, level: float) -> Floats:
    """What each customer adds to `interval_score`, shape (n,); nothing is checked."""
    miss = np.maximum(low - actual, 0) + np.maximum(actual - high, 0)
    return high - low + 2 / (1 - level) * miss


def _checked_interval(
    actual: ArrayLike, low: ArrayLike, high: ArrayLike
) -> tuple[Floats, Floats, Floats]:
    a, lo, hi = _checked(actual=actual, low=low, high=high)
    turned = lo > hi
    if turned.any():
        first = int(np.argmax(turned))
        raise DataError(
            f"low lies above high for {int(turned.sum())} customers, the first at position "
            f"{first} ({lo[first]} > {hi[first]})"
        )
    return a, lo, hi


def randomised_pit(
    probability_below: ArrayLike,
    probability_up_to: ArrayLike,
    *,
    uniform: ArrayLike | None = None,
    seed: int = 0,
) -> Floats:
    """Randomised probability integral transform of a count: uniform if the forecast is true.

    ``P(N < n) + u * (P(N <= n) - P(N < n))`` for the actual count n and uniform u.

    Parameters
    ----------
    probability_below, probability_up_to
        P(N < n) and P(N <= n) at each customer's actual count n, shape (n_customers,).
    uniform
        The u of each customer in [0, 1]; drawn from `seed` when left out.

    Returns
    -------
    ndarray
        Between 0 and 1, shape (n_customers,).

    Raises
    ------
    DataError
        For missing entries, unequal lengths, empty arrays, or what is no pair of probabilities.

    Notes
    -----
    Smith (1985), Journal of Forecasting 4: 283-291; Czado, Gneiting & Held (2009), "Predictive
    model assessment for count data", Biometrics 65: 1254-1261, equation 1.

    Examples
    --------
    >>> randomised_pit([0.0, 0.5], [0.5, 0.75], uniform=[0.5, 1.0])
    array([0.25, 0.75])
    """
    below, up_to = _checked_probabilities(probability_below, probability_up_to)
    if uniform is None:
        u = np.random.default_rng(seed).random(below.size)
    else:
        u, _ = _checked(uniform=uniform, probability_below=below)
    return below + u * (up_to - below)


def pit_coverage(probability_below: ArrayLike, probability_up_to: ArrayLike, level: float) -> float:
    """Coverage of the central interval by the randomised PIT, in expectation over its lot.

    For each customer the chance that the `randomised_pit`, uniform on ``[P(N < n), P(N <= n)]``,
    falls between ``(1 - level) / 2`` and ``(1 + level) / 2``, averaged over the customers. Equal
    to `level` in expectation when the forecast distribution is true, however discrete; above it
    when intervals are too wide, below it when too narrow. No random number is used.

    Parameters
    ----------
    level
        Nominal level of the central interval, such as 0.9.

    Raises
    ------
    DataError
        For missing entries, unequal lengths, empty arrays, what is no pair of probabilities, a
        level outside (0, 1).

    Notes
    -----
    The non-randomised PIT of Czado, Gneiting & Held (2009), Biometrics 65: 1254-1261, equation
    2, between the two ends.

    Examples
    --------
    Half of [0, 0.5] and all of [0.5, 0.75] lie between 0.25 and 0.75:

    >>> pit_coverage([0.0, 0.5], [0.5, 0.75], level=0.5)
    0.75
    """
    below, up_to = _checked_probabilities(probability_below, probability_up_to)
    return float(np.mean(pit_chances(below, up_to, _checked_share("level", level))))


def pit_chances(below: Floats, up_to: Floats, level: float) -> Floats:
    """What each customer adds to `pit_coverage`, shape (n,); nothing is checked."""
    start, end = (1 - level) / 2, (1 + level) / 2
    length = up_to - below
    overlap = np.minimum(up_to, end) - np.maximum(below, start)
    inside = ((start <= below) & (below <= end)).astype(np.float64)
    chance: Floats = np.divide(np.maximum(overlap, 0), length, out=inside, where=length > 0)
    return chance


def _checked_probabilities(below: ArrayLike, up_to: ArrayLike) -> tuple[Floats, Floats]:
    lower, upper = _checked(probability_below=below, probability_up_to=up_to)
    # rounding in a sum of probabilities may pass 0, 1 or the other end by a hair
    slack = 1e-9
    bad = (lower < -slack) | (upper > 1 + slack) | (lower > upper + slack)
    if bad.any():
        first = int(np.argmax(bad))
        raise DataError(
            f"probability_below and probability_up_to must satisfy 0 <= below <= up to <= 1; "
            f"{int(bad.sum())} pairs do not, the first at position {first} "
            f"({lower[first]}, {upper[first]})"
        )
    upper = np.clip(upper, 0.0, 1.0)
    return np.clip(lower, 0.0, upper), upper


# -- probabilities --------------------------------------------------------------------------------


def brier_score(happened: ArrayLike, probability: ArrayLike) -> float:
    """Mean of ``(probability - happened)^2``, low is good: 0 is perfect, .25 is a coin's.

    Parameters
    ----------
    happened
        1 or True where it did, 0 or False where not, shape (n_customers,).
    probability
        Foreseen, shape (n_customers,).

    Raises
    ------
    DataError
        For missing entries, unequal lengths, empty arrays, probabilities outside [0, 1].

    Notes
    -----
    Brier (1950), "Verification of forecasts expressed in terms of probability", Monthly Weather
    Review 78: 1-3, for two classes, and halved as is usual now.

    Examples
    --------
    >>> brier_score([1, 0], [0.5, 0.0])
    0.125
    """
    y, p = _checked_events(happened, probability)
    return float(np.mean((p - y) ** 2))


def binary_log_score(happened: ArrayLike, probability: ArrayLike) -> float:
    """Mean natural log of the probability of what happened, high is good: 0 is perfect.

    A probability of 0 for what happened counts as 1e-300. Parameters and errors as in
    `brier_score`.

    Notes
    -----
    Good (1952), "Rational decisions", JRSS B 14: 107-114.

    Examples
    --------
    >>> round(binary_log_score([1, 0], [0.5, 0.0]), 4)
    -0.3466
    """
    y, p = _checked_events(happened, probability)
    return float(np.mean(log_scores(np.where(y == 1, p, 1.0 - p))))


def log_score(probability: ArrayLike) -> float:
    """Mean natural log of the probability that was given to what happened, high is good.

    Proper: no forecast does better in expectation than the true one. A probability below 1e-300
    counts as 1e-300, so that one customer cannot decide by rounding.

    Parameters
    ----------
    probability
        Of each customer's actual figure, shape (n_customers,).

    Raises
    ------
    DataError
        For missing entries or empty arrays.

    Notes
    -----
    Gneiting & Raftery (2007), JASA 102: 359-378, section 4.1.

    Examples
    --------
    >>> round(log_score([0.5, 0.25]), 4)
    -1.0397
    """
    return float(np.mean(log_scores(_checked(probability=probability)[0])))


def log_scores(probability: Floats) -> Floats:
    """What each customer adds to `log_score`, shape (n,); nothing is checked."""
    logs: Floats = np.log(np.maximum(probability, LEAST))
    return logs


class ReliabilityCurve(NamedTuple):
    """Foreseen and actual shares by group of the customers, lowest probabilities first.

    Attributes
    ----------
    customers
        In the group.
    mean_probability
        Foreseen.
    share
        Of the group to whom it happened.
    low, high
        Wilson's interval of that share.
    """

    customers: NDArray[np.int64]
    mean_probability: Floats
    share: Floats
    low: Floats
    high: Floats


def reliability_curve(
    happened: ArrayLike, probability: ArrayLike, groups: int = 10, level: float = 0.9
) -> ReliabilityCurve:
    """Among those foreseen at 30 %, did it happen to 30 %: foreseen and actual share by group.

    Groups have equal numbers of customers, as far as ties of the probability allow: equal
    probabilities are never split, so there may be fewer groups.

    Parameters
    ----------
    happened, probability
        As in `brier_score`.
    groups
        How many at most.
    level
        Of the interval of each share.

    Raises
    ------
    DataError
        As in `brier_score`; or if `groups` is below 1.

    Notes
    -----
    Murphy & Winkler (1977), "Reliability of subjective probability forecasts of precipitation
    and temperature", Applied Statistics 26: 41-47. Interval: Wilson (1927), JASA 22: 209-212.

    Examples
    --------
    >>> curve = reliability_curve([0, 0, 1, 1], [0.1, 0.3, 0.5, 0.9], groups=2)
    >>> curve.mean_probability.tolist(), curve.share.tolist()
    ([0.2, 0.7], [0.0, 1.0])
    """
    from scipy.special import ndtri

    y, p = _checked_events(happened, probability)
    if groups < 1:
        raise DataError(f"groups must be 1 or more, not {groups!r}")
    z = float(ndtri((1 + _checked_share("level", level)) / 2))
    place, _ = equal_groups(p, groups)
    customers = np.bincount(place)
    share = np.bincount(place, weights=y) / customers
    centre = (share + z**2 / (2 * customers)) / (1 + z**2 / customers)
    reach = np.sqrt(share * (1 - share) / customers + z**2 / (4 * customers**2))
    reach *= z / (1 + z**2 / customers)
    return ReliabilityCurve(
        customers,
        np.bincount(place, weights=p) / customers,
        share,
        np.clip(centre - reach, 0.0, share),
        np.clip(centre + reach, share, 1.0),
    )


def equal_groups(values: Floats, groups: int) -> tuple[NDArray[np.int64], int]:
    """The group of each customer in ascending order of `values`, from 0, and how many there are.

    A tie goes as a whole where its middle lies.
    """
    group = np.minimum((groups * (mid_ranks(values) - 0.5) / values.size).astype(int), groups - 1)
    used, place = np.unique(group, return_inverse=True)
    return place, used.size


def _checked_events(happened: ArrayLike, probability: ArrayLike) -> tuple[Floats, Floats]:
    y, p = _checked(happened=happened, probability=probability)
    if not np.isin(y, (0.0, 1.0)).all():
        raise DataError("happened must be 0 or 1 for each customer")
    slack = 1e-9  # probabilities may be off by rounding
    bad = (p < -slack) | (p > 1 + slack)
    if bad.any():
        first = int(np.argmax(bad))
        raise DataError(
            f"{int(bad.sum())} probabilities lie outside [0, 1], the first at position {first} "
            f"({p[first]})"
        )
    return y, np.clip(p, 0.0, 1.0)


# -- whole distributions --------------------------------------------------------------------------


def crps_of_counts(actual: ArrayLike, cumulative: ArrayLike) -> float:
    """Mean continuous ranked probability score of counts, low is good, in purchases.

    ``sum over n = 0, 1, ... of (P(N <= n) - [actual <= n])^2``: how far the whole forecast
    distribution lies from what happened. Of a forecast that is a single figure it is the absolute
    error, so it compares those with distributions.

    Parameters
    ----------
    actual
        Whole numbers, shape (n_customers,).
    cumulative
        P(N <= 0), P(N <= 1), ... of each customer, shape (n_customers, counts), as far as that is
        below 1 or `actual` is not reached.

    Raises
    ------
    DataError
        For missing entries, empty arrays, or shapes that do not match.

    Notes
    -----
    Gneiting & Raftery (2007), JASA 102: 359-378, section 4.2; for counts Czado, Gneiting & Held
    (2009), Biometrics 65: 1254-1261, section 3.

    Examples
    --------
    >>> crps_of_counts([1], [[0.5, 1.0]])
    0.25
    """
    (a,) = _checked(actual=actual)
    cdf = np.asarray(cumulative, dtype=np.float64)
    if cdf.ndim != 2 or cdf.shape[0] != a.size or not np.isfinite(cdf).all():
        raise DataError(
            f"cumulative must have one row for each of the {a.size:,} customers and no missing "
            f"entries; its shape is {cdf.shape}"
        )
    reached = a[:, None] <= np.arange(cdf.shape[1])
    beyond = np.maximum(a - (cdf.shape[1] - 1) - 1, 0.0)  # P(N <= n) is 1 there
    return float(np.mean(((cdf - reached) ** 2).sum(axis=1) + beyond))


def crps_of_draws(actual: ArrayLike, draws: ArrayLike) -> float:
    """Mean continuous ranked probability score of simulated futures, low is good, in their unit.

    ``E|X - actual| - E|X - X'| / 2`` with X and X' different draws, so that in expectation it is
    the score of the distribution that was drawn from, however many draws there are.

    Parameters
    ----------
    actual
        Shape (n_customers,).
    draws
        Shape (n_customers, draws), 2 draws at least.

    Raises
    ------
    DataError
        For missing entries, empty arrays, or shapes that do not match.

    Notes
    -----
    Ferro (2014), "Fair scores for ensemble forecasts", Quarterly Journal of the Royal
    Meteorological Society 140: 1917-1923; computed by scoringrules (Zanetta & Allen).

    Examples
    --------
    >>> crps_of_draws([1.0], [[0.0, 2.0]])
    0.0
    """
    from scoringrules import crps_ensemble

    (a,) = _checked(actual=actual)
    ensemble = np.asarray(draws, dtype=np.float64)
    if ensemble.ndim != 2 or ensemble.shape[0] != a.size or ensemble.shape[1] < 2:
        raise DataError(
            f"draws must have one row for each of the {a.size:,} customers and two columns at "
            f"least; its shape is {ensemble.shape}"
        )
    if not np.isfinite(ensemble).all():
        raise DataError("draws has missing or infinite entries")
    return float(np.mean(crps_ensemble(a, ensemble, estimator="pwm", backend="numpy")))
