"""Gamma-Gamma: what a purchase is worth, given what the customer's purchases were worth.

Values of one customer are Gamma(shape p, rate nu), and nu ~ Gamma(shape q, rate v) across
customers; spending is taken to be independent of how often they buy. The data are the
number of purchases and their mean value (Fader & Hardie 2013, note 025, eq. 1a), or, in a
`ValueHistory`, the value of each of them. The mean says next to nothing of how much the purchases
of one customer differ: where most have bought once, p and q are told apart by the shape of a
distribution alone. Each value says it. Only the sum of the logs is new in the likelihood.

Given n purchases of mean value m, nu ~ Gamma(p n + q, rate v + n m): a future purchase is
``v + n m`` times a variable that depends on n alone, which is what the draws below use.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from clv.families._limits import EXTREME
from clv.families._protocol import Moves, Parameter
from clv.families._quantities import Block, Quantity
from clv.numerics.backend import Array, Backend, log_beta
from clv.numerics.histories import SpendHistory, ValueHistory
from clv.numerics.special import digamma, digamma_rising, gammaln, trigamma, trigamma_rising
from clv.numerics.sums import blocks, dot

NAME = "gamma_gamma"
CLASS_NAME = "GammaGammaModel"
TITLE = "Gamma-Gamma"
KIND = "spend"
PARAMETERS = {
    "p": Parameter("shape of the values of one customer's purchases"),
    "q": Parameter("shape of the customers' spending levels"),
    "v": Parameter("scale of the values: the higher, the more is spent", unit="money"),
}
QUANTITIES = (
    Block(
        ("p", "q", "v"),
        (
            Quantity(
                "typical_spend",
                "value of a purchase of a customer whose level is the mean one, p v / q; finite "
                "also where the mean of the population is not",
                ("LogNormal", {"mu": 0.0, "sigma": 1.5}),
                "less than 1/19 of the observed mean value, or more than 19 times it",
                {"p": 1.0, "v": 1.0, "q": -1.0},
                "money",
            ),
            Quantity(
                "purchase_value_spread",
                "how much the purchases of one customer differ: standard deviation over mean, "
                "1 / sqrt(p)",
                ("LogNormal", {"mu": -0.5, "sigma": 0.75}),
                "purchases that are all but equal (below .14) or wild (above 2.6)",
                {"p": -0.5},
            ),
            Quantity(
                "customer_value_spread",
                "how much customers differ in their level, 1 / sqrt(q)",
                ("LogNormal", {"mu": -0.8, "sigma": 0.6}),
                "customers who are all but alike (q above 52), and levels without a scale (q below "
                ".47)",
                {"q": -0.5},
            ),
        ),
    ),
)

#: v alone: as values are v times a variable that p and q describe, every value of a customer is
#: multiplied by the same factor. People with other covariates spend more or less, and vary
#: neither more nor less for their level.
COVARIATES = {
    "spend": Moves({"v": 1}, lambda p: p.v, "spend {factor} times as much per purchase"),
}


class Parameters(NamedTuple):
    """p shape within a customer; q shape and v rate across customers."""

    p: Any
    q: Any
    v: Any


def log_likelihood(
    parameters: Parameters, history: SpendHistory | ValueHistory, xp: Backend
) -> Any:
    """Log-density of the mean value, in a form that keeps its digits as p or q and v grow.

    ``- ln B(p n, q) - q ln(1 + n m / v) - p n ln(1 + v / (n m)) - ln m``

    Of a `ValueHistory` that of all values: given their sum n m, their shares of it are
    Dirichlet(p, ..., p), which adds

    ``ln Gamma(p n) - n ln Gamma(p) + (p - 1) sum ln(value / (n m)) - (n - 1) ln(n m) - ln n``
    """
    p, q, v = parameters
    n, m = history[:2]
    shape, total = p * n, n * m
    of_mean = (
        -xp.log_beta(q, shape) - q * xp.log1p(total / v) - shape * xp.log1p(v / total) - np.log(m)
    )
    if not isinstance(history, ValueHistory):
        return of_mean
    shares = history.sum_log_values - n * np.log(total)
    rest = (n - 1.0) * np.log(total) + np.log(n)
    return of_mean + xp.gammaln(shape) - n * xp.gammaln(p) + (p - 1.0) * shares - rest


def expected_spend(parameters: Parameters, history: SpendHistory) -> Array:
    """E[value of a future purchase] = p (v + n m) / (p n + q - 1) (note 025, eq. 5).

    With n = 0 that is the population's mean. Infinite where p n + q <= 1.
    """
    p, q, _ = parameters
    n = history[0]
    shape = p * n + q - 1.0
    with np.errstate(divide="ignore"):
        return np.asarray(np.where(shape > 0, p * scale(parameters, history) / shape, np.inf))


def scale(parameters: Parameters, history: SpendHistory) -> Array:
    """``v + n m``: the factor by which `sample_unit_totals` is multiplied."""
    n, m = history[:2]
    return np.asarray(parameters.v + n * np.where(n > 0, m, 0.0))


def sample_unit_totals(
    parameters: Parameters,
    count: Any,
    purchases: npt.NDArray[np.int64],
    factors: Array,
    rng: np.random.Generator,
) -> Array:
    """Draw what simulated purchases are worth in all, in units of `scale`.

    Parameters
    ----------
    parameters
        Numbers, or arrays that broadcast to the shape of `purchases`.
    count
        Purchases that the customer's mean value rests on; broadcasts likewise.
    purchases
        How many future purchases each path has; any shape.
    factors
        What each of them counts (a discount factor), path by path: shape (purchases.sum(),).
    rng
        Source of randomness.

    Returns
    -------
    Array
        Shape of `purchases`. One spending level is drawn per path, so that the purchases of
        one path share it.
    """
    p, q, _ = parameters
    shape = purchases.shape
    # a draw underflows to 0 when the shape is tiny; the value is then as good as infinite
    level = np.maximum(rng.standard_gamma(np.broadcast_to(p * count + q, shape)), 1e-100)
    flat = purchases.reshape(-1)
    path = np.repeat(np.arange(flat.size), flat)
    shape_of_each = p if np.ndim(p) == 0 else np.broadcast_to(p, shape).reshape(-1)[path]
    values = rng.standard_gamma(shape_of_each, size=path.size) * factors
    totals = np.bincount(path, values, minlength=flat.size).reshape(shape)
    return np.asarray(totals / level)


# --- fast path: derivatives from sums that depend on v alone --------------------------------


class Statistics(NamedTuple):
    """Weighted rows, and the histogram of n that all gamma functions collapse to."""

    n: Array
    total: Array  #: n m
    weights: Array
    weighted_n: Array
    distinct_n: Array
    weight_of_n: Array
    sum_log_mean: float
    sum_log_total: float
    sum_n_log_total: float
    sum_log_shares: float | None  #: of values, in the sum of a customer's; None: only means known
    sum_rest: float  #: what does not depend on the parameters


def sufficient_statistics(history: SpendHistory | ValueHistory, weights: Array) -> Statistics:
    """Collapse what can be collapsed; exact."""
    n, m = history[:2]
    histogram = np.bincount(n.astype(np.int64), weights).astype(np.float64)
    present = np.flatnonzero(histogram)
    distinct_n, weight_of_n = present.astype(np.float64), histogram[present]
    weighted_n = weights * n
    log_mean, log_n = np.log(m), np.log(distinct_n)
    sum_log_mean = dot(weights, log_mean)
    sum_log_total = sum_log_mean + dot(weight_of_n, log_n)
    sum_n_log_total = dot(weighted_n, log_mean) + dot(weight_of_n, distinct_n * log_n)
    sum_log_shares, sum_rest = None, 0.0
    if isinstance(history, ValueHistory):
        sum_log_shares = dot(weights, history.sum_log_values) - sum_n_log_total
        sum_rest = sum_n_log_total - sum_log_mean
    return Statistics(
        n,
        n * m,
        weights,
        weighted_n,
        distinct_n,
        weight_of_n,
        sum_log_mean,
        sum_log_total,
        sum_n_log_total,
        sum_log_shares,
        sum_rest,
    )


def log_likelihood_derivatives(
    parameters: Parameters, statistics: Statistics
) -> tuple[float, Array, Array]:
    """Log-likelihood, its gradient (3,) and its Hessian (3, 3) in (p, q, v)."""
    p, q, v = (float(x) for x in parameters)
    s = statistics
    x, w = s.distinct_n, s.weight_of_n
    customers, purchases = float(w.sum()), dot(w, x)
    # one logarithm serves both ln(1 + total / v) and ln(1 + v / total), which differ by
    # ln(total / v): the smaller is computed and the other follows without losing digits
    v_is_small = s.sum_log_total > customers * np.log(v)

    sums = np.zeros(6)
    for rows in blocks(len(s.n)):
        total, weights, weighted_n = s.total[rows], s.weights[rows], s.weighted_n[rows]
        share = np.log1p(v / total if v_is_small else total / v)
        inverse = 1 / (v + total)
        # 1 / v - 1 / (v + total) is fraction / v: subtracted, it would lose digits as v grows
        fraction = total * inverse
        sums += [
            dot(share, weights),
            dot(share, weighted_n),
            dot(fraction, weights),
            dot(fraction * inverse, weights),
            dot(inverse, weighted_n),
            dot(inverse * inverse, weighted_n),
        ]
    sum_share, sum_rest, sum_fraction, sum_curve, sum_n_inverse, sum_n_square = sums
    if v_is_small:
        sum_share += s.sum_log_total - customers * np.log(v)
    else:
        sum_rest += purchases * np.log(v) - s.sum_n_log_total

    shape = p * x
    value = -dot(w, log_beta(q, shape)) - q * sum_share - p * sum_rest - s.sum_log_mean
    gradient = np.array(
        [
            dot(w * x, digamma_rising(shape, q)) - sum_rest,
            dot(w, digamma_rising(q, shape)) - sum_share,
            q * sum_fraction / v - p * sum_n_inverse,
        ]
    )
    pp = dot(w * x * x, trigamma_rising(shape, q))
    pq = dot(w * x, trigamma(shape + q))
    qq = dot(w, trigamma_rising(q, shape))
    qv = sum_fraction / v
    vv = p * sum_n_square - q / v * (sum_fraction / v + sum_curve)
    hessian = np.array([[pp, pq, -sum_n_inverse], [pq, qq, qv], [-sum_n_inverse, qv, vv]])
    if s.sum_log_shares is not None:
        value += float(_of_shares(np.array(p), s))
        gradient[0] += s.sum_log_shares + dot(w * x, digamma(shape) - digamma(np.array(p)))
        hessian[0, 0] += dot(w * x, x * trigamma(shape) - trigamma(np.array(p)))
    return value, gradient, hessian


def _of_shares(p: Array, s: Statistics) -> Array:
    """What the shares of values in their sums add to the log-likelihood, at each p."""
    if s.sum_log_shares is None:
        return np.zeros(p.shape)
    x, w = s.distinct_n, s.weight_of_n
    known = gammaln(p[..., None] * x) @ w - gammaln(p) * dot(w, x)
    return np.asarray(known + (p - 1.0) * s.sum_log_shares - s.sum_rest)


def log_likelihood_values(parameters: Parameters, statistics: Statistics) -> Array:
    """Log-likelihood (n,) at n points, parameters of shape (n,) each."""
    p, q, v = (np.asarray(value, dtype=np.float64) for value in parameters)
    s = statistics
    x, w = s.distinct_n[:, None], s.weight_of_n
    sum_log, sum_n_log = np.zeros(len(v)), np.zeros(len(v))
    for rows in blocks(len(s.n), max(1, 65_536 // max(1, len(v)))):
        logs = np.log(s.total[rows, None] + v)
        sum_log += s.weights[rows] @ logs
        sum_n_log += s.weighted_n[rows] @ logs
    return np.asarray(
        -(w @ log_beta(q, p * x))
        - q * (sum_log - float(w.sum()) * np.log(v))
        - p * (sum_n_log - s.sum_n_log_total)
        - s.sum_log_mean
        + _of_shares(p, s)
    )


# --- limits ----------------------------------------------------------------------------------


def boundary(parameters: Parameters) -> str | None:
    """Name the limit that the parameters (money measured in mean values) have run to."""
    p, q, v = (float(x) for x in parameters)
    if p > EXTREME and q > EXTREME:
        return "every purchase has the same value (p, q -> infinity)"
    if p > EXTREME:
        return "a customer's purchases all have the same value (p -> infinity, v -> 0)"
    if q > EXTREME:
        return "all customers spend alike (q, v -> infinity)"
    if q < 1 / EXTREME:
        return "spending levels have no finite scale (q -> 0)"
    if p < 1 / EXTREME:
        return "most purchases are worth next to nothing (p -> 0, v -> infinity)"
    if v < 1 / EXTREME or v > EXTREME:
        return f"the scale of spending levels has run to {'0' if v < 1 else 'infinity'} (v)"
    return None


#: A mean of the population this many times the observed one rests on a tail nobody has seen.
FAR = 2.0


def remarks(parameters: Parameters, history: SpendHistory, weights: Array) -> tuple[str, ...]:
    """What a user of the fitted model should know about these data."""
    p, q, v = (float(x) for x in parameters)
    if q <= 1:
        return (
            (
                f"q = {q:.3g} <= 1: the mean spend of the population is infinite under this model, "
                "so customers without repeat purchases are given the observed mean value instead. "
                "Intervals of a total do not know how much a few very large spenders could add."
            ),
        )
    n, m = history[:2]
    observed = dot(weights * n, m) / dot(weights, n)
    mean = p * v / (q - 1.0)
    if q < 2 and mean > FAR * observed:
        return (
            (
                f"q = {q:.3g} is near 1: the mean spend of the population, {mean:.4g}, rests on "
                f"very large spenders and is {mean / observed:.3g} times the observed mean value "
                f"{observed:.4g}. Customers without repeat purchases are given it; "
                "GammaGammaModel(purchases='all') looks at their first purchase instead."
            ),
        )
    return ()


#: Stands for infinity in `pooled`: everybody spends alike to ten digits.
ALIKE = 1e10


def pooled(history: SpendHistory, weights: Array) -> tuple[Parameters, Array]:
    """The limit in which all customers spend alike, for when few customers have bought.

    q and v are without end, and their ratio is such that everybody is expected to spend the pooled
    mean of all purchases. p follows from how far the customers' means lie from it, in the
    manner of Pearson's dispersion: differences between customers count as differences between
    purchases, so the intervals of what a customer will spend are wide enough. One customer is
    added whose purchases vary as much as an exponential variable, lest two who happen to agree
    be taken for proof that values hardly vary.

    Returns
    -------
    tuple
        The parameters, and the covariance (3, 3) of their logs, in which only the mean is unsure.
    """
    n, m = history[:2]
    purchases = dot(weights, n)
    mean = dot(weights * n, m) / purchases
    spread = (dot(weights * n, (m / mean - 1.0) ** 2) + 1.0) / float(weights.sum())
    p = 1.0 / spread
    covariance = np.zeros((3, 3))
    covariance[2, 2] = 1.0 / (p * purchases)
    return Parameters(p, ALIKE, mean * ALIKE / p), covariance
