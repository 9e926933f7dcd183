"""Purchases and spend jointly: whether frequent buyers spend more, and what that does to value.

Every forecast multiplies expected purchases by expected spend, as if the two had nothing to do with
each other. `correlated` asks the data: it keeps both fitted models as they are and adds the
correlation of a customer's purchase rate and spending level (`clv.inference.copula`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from clv.errors import DataError, FitError, InfiniteValueError
from clv.fitted import FittedPurchases, FittedSpend, spend_columns, spend_rows
from clv.inference import copula
from clv.inference.bayes import starts_of
from clv.inference.coordinates import coordinates_of
from clv.inference.laplace import Mode, find_mode
from clv.inference.target import Likelihood, Target
from clv.numerics.backend import Array
from clv.numerics.histories import PurchaseHistory, SpendHistory
from clv.numerics.pareto_smoothing import UNRELIABLE, pareto_smooth
from clv.numerics.sums import blocks
from clv.tables.rfm import RFM
from clv.units import parse_horizon

#: Correlations on which the posterior is worked out; the prior is uniform over them.
GRID = np.linspace(-copula.LARGEST_RHO, copula.LARGEST_RHO, 161)

#: Points in the space of both models' parameters, and how often they are chosen anew.
POINTS, ROUNDS = 120, 3

#: Of the Student distribution that they are drawn from.
_DEGREES = 5.0

#: Draws of the correlation that are kept.
DRAWS = 1_000

#: Customers with known spend that the posterior rests on: more say nothing new, only slower.
MOST_CUSTOMERS = 20_000

#: Customers whose values are worked out at a time.
ROWS = 5_000

#: Purchase models whose rates differ as Gamma(r, rate alpha).
RATES = ("bg_nbd", "mbg_nbd", "pareto_nbd", "nbd")

#: Level of intervals.
LEVEL = 0.9


@dataclass(frozen=True, repr=False)
class Joint:
    """Two fitted models and the correlation between them. Made by `correlated`.

    Attributes
    ----------
    purchases, spend
        As they were fitted, by themselves.
    correlation
        Draws of the posterior of the correlation, shape (draws,), of the normal scores of purchase
        rate and spending level; positive when frequent buyers spend more per purchase.
    estimates
        Parameters of both models in the middle of the joint posterior.
    n_customers
        Customers whose purchases tell both.
    k_hat
        Pareto diagnostic of the weights of parameter draws; above .7 the interval is a rough one.
    notes
        What should be known of it, in sentences.
    """

    purchases: FittedPurchases
    spend: FittedSpend
    correlation: Array
    estimates: tuple[Array, ...]
    n_customers: int
    k_hat: float
    notes: tuple[str, ...]

    @property
    def interval(self) -> tuple[float, float]:
        """Central 90 % interval of the correlation."""
        low, high = np.quantile(self.correlation, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        return float(low), float(high)

    @property
    def probability_positive(self) -> float:
        """P(frequent buyers spend more | data)."""
        return float(np.mean(self.correlation > 0))

    def expected_value(self, rfm: RFM, horizon: float | str) -> Array:
        """Expected worth of purchases within a horizon, shape (n,), the correlation included.

        Parameters
        ----------
        rfm
            Table with n customers.
        horizon
            As in `clv.forecast`; worth is not discounted and before any margin.

        Returns
        -------
        Array
            In the currency of the table, at `estimates` and averaged over the posterior of the
            correlation.
        """
        rho, shares = np.unique(self.correlation, return_counts=True)
        values = self._values(rfm, horizon, rho, self.estimates)
        return np.asarray(values @ (shares / shares.sum()))

    def effect(self, rfm: RFM, horizon: float | str) -> dict[str, float]:
        """What the correlation does to the forecast of all customers' value together.

        Returns
        -------
        dict
            ``independent`` and ``joint`` totals, the ``change`` as a share, and its 90 % interval
            ``low`` to ``high`` over the posterior of the correlation.
        """
        rho, shares = np.unique(self.correlation, return_counts=True)
        alone = (self.purchases.estimates, self.spend.estimates)
        independent = float(self._values(rfm, horizon, np.zeros(1), alone).sum())
        totals = self._values(rfm, horizon, rho, self.estimates).sum(axis=0)
        change = np.repeat(totals / independent - 1.0, shares)
        low, high = np.quantile(change, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        return {
            "independent": independent,
            "joint": independent * (1.0 + float(change.mean())),
            "change": float(change.mean()),
            "low": float(low),
            "high": float(high),
        }

    def _values(
        self, rfm: RFM, horizon: float | str, rho: Array, estimates: tuple[Array, ...]
    ) -> Array:
        """Expected value at each correlation, shape (n, rhos)."""
        self.purchases.check_table(rfm)
        self.spend.check_table(rfm)
        t = parse_horizon(horizon, self.purchases.time_unit)
        family = self.purchases.family
        parameters = family.Parameters(*estimates[0].tolist())
        level = self.spend.family.Parameters(*estimates[1].tolist())
        if not level.q > 1.0:
            raise InfiniteValueError(
                "the mean spend of the population is infinite (q <= 1), and so is expected value"
            )
        bought = copula.purchase_side(family, parameters)
        spent = copula.spend_side(level)
        at = copula.conditional(parameters, bought.values)
        found = []
        for history, spending in _blocks(rfm, self.spend):
            columns = PurchaseHistory(*(field[:, None] for field in history))
            alive = family.probability_alive(at, columns)
            count = alive * family.expected_purchases(family.alive_state(at, columns), t)
            with np.errstate(invalid="ignore"):
                count = np.nan_to_num(count, nan=0.0, posinf=0.0)
            a, purchases_times = copula.moments(bought, history, count)
            b, spend_times = copula.moments(spent, spending, spent.values)
            factor = np.maximum(copula.mixed(rho, a * b), copula.LEAST_FACTOR)
            worth = np.maximum(copula.mixed(rho, purchases_times * spend_times), 0.0)
            found.append(worth / factor)
        return np.concatenate(found)

    def __repr__(self) -> str:
        low, high = self.interval
        models = f"{self.purchases.family.TITLE} and {self.spend.family.TITLE} jointly"
        found = (
            f"correlation of purchase rate and spending level {self.correlation.mean():+.2f} "
            f"({LEVEL:.0%} interval {low:+.2f} to {high:+.2f}), positive with probability "
            f"{self.probability_positive:.3f}"
        )
        notes = [f"note: {note}" for note in self.notes]
        return "\n".join([f"{models}, {self.n_customers:,} customers who tell both", found, *notes])


def correlated(rfm: RFM, purchases: FittedPurchases, spend: FittedSpend, *, seed: int = 0) -> Joint:
    """The posterior of the correlation between how often customers buy and what they spend.

    Parameters
    ----------
    rfm
        The table that both models were fitted to.
    purchases
        A fitted BG/NBD, MBG/NBD, Pareto/NBD or NBD, by any method, without covariates or groups.
    spend
        A fitted Gamma-Gamma, likewise.
    seed
        For draws.

    Returns
    -------
    Joint

    Raises
    ------
    DataError
        If a model is another, or rests on another table.
    FitError
        If fewer than 10 customers tell both.

    Notes
    -----
    The prior of the correlation is uniform between -.8 and .8, those of parameters are the defaults
    of Bayesian fits (docs/bayes.md). The posterior of all of them is importance-sampled, and
    `Joint.k_hat` says how well that goes. `purchases` and `spend` say which models; what becomes of
    their parameters is averaged over.

    Examples
    --------
    >>> import clv
    >>> rfm = clv.rfm_summary(
    ...     clv.read_transactions(clv.datasets.load_cdnow()), observation_period_end="1997-09-30"
    ... )
    >>> joint = clv.joint.correlated(
    ...     rfm, clv.BetaGeoModel().fit(rfm), clv.GammaGammaModel().fit(rfm)
    ... )
    >>> joint.interval[0] > 0
    True
    """
    _check(rfm, purchases, spend)
    count, mean = spend_columns(rfm, spend.options["purchases"])
    known = np.flatnonzero((count > 0) & (mean > 0))
    if len(known) < 10:
        raise FitError(
            f"only {len(known)} customers have a purchase that tells what they spend; at least "
            "10 are needed to say whether that goes with how often they buy"
        )
    rng = np.random.default_rng(seed)
    notes: tuple[str, ...] = ()
    used = known
    if len(known) > MOST_CUSTOMERS:
        used = np.sort(rng.choice(known, MOST_CUSTOMERS, replace=False))
        notes = (f"Rests on {MOST_CUSTOMERS:,} of {len(known):,} customers, chosen at random.",)
    bought = PurchaseHistory(*(rfm.array(name)[used] for name in PurchaseHistory._fields))
    spent = SpendHistory(count[used], mean[used])
    scale = len(known) / len(used)

    def log_likelihoods(rates: Any, levels: Any) -> Array:
        """At every correlation, relative to independence, at these parameters."""
        a, b = (
            copula.moments(copula.purchase_side(purchases.family, rates), bought)[0],
            copula.moments(copula.spend_side(levels), spent)[0],
        )
        return copula.log_factors(GRID, a * b) * scale

    rows = rfm.distinct(*PurchaseHistory._fields)
    every = PurchaseHistory(*rows.columns)
    ages = float(rows.weights @ every.T) / len(rfm)
    worth, ones, *_ = spend_rows(rfm, spend.purchases)
    level = float(worth.purchases @ worth.mean_value / worth.purchases.sum())
    bases = (
        _Base.of(Likelihood(purchases.family, every, rows.weights), "time", ages),
        _Base.of(Likelihood(spend.family, worth, ones), "money", level),
    )
    density, estimates, k_hat, effective = _explore(log_likelihoods, bases, rng)
    places = (np.arange(DRAWS) + rng.uniform()) / DRAWS
    share = np.cumsum(density)
    chosen = np.minimum(np.searchsorted(share, places), GRID.size - 1)
    if not k_hat < UNRELIABLE:
        notes += (
            (
                f"The posterior of all parameters was hard to draw from (k-hat {k_hat:.2f}, "
                f"{effective:.0f} effective draws): take the interval for a rough one."
            ),
        )
    at_end = float(np.mean(np.abs(GRID[chosen]) > copula.LARGEST_RHO - 0.02))
    if at_end > 0.05:
        notes += (
            (
                f"Correlations beyond {copula.LARGEST_RHO:g} are not looked at, and the posterior "
                "reaches that end."
            ),
        )
    return Joint(purchases, spend, GRID[chosen], estimates, len(known), k_hat, notes)


def _check(rfm: RFM, purchases: FittedPurchases, spend: FittedSpend) -> None:
    if getattr(purchases, "model_name", None) not in RATES:
        raise DataError(
            f"a correlation needs a purchase model whose rates differ as a gamma distribution "
            f"({', '.join(RATES)}), not {getattr(purchases, 'model_name', purchases)!r}"
        )
    if getattr(spend, "model_name", None) != "gamma_gamma":
        raise DataError(f"a correlation needs a fitted GammaGammaModel, not {type(spend).__name__}")
    for fitted in (purchases, spend):
        fitted.check_table(rfm)
        if fitted.design is not None:
            raise DataError(
                f"this {fitted.family.TITLE} was fitted with covariates or groups; give one without"
            )
        if fitted.fingerprint != rfm.fingerprint:
            raise DataError(
                f"this {fitted.family.TITLE} was fitted to another table; give the table that "
                "both models were fitted to"
            )


class _Base(NamedTuple):
    """The posterior of one model by itself, in coordinates where it is about standard normal."""

    target: Target
    mode: Mode

    @classmethod
    def of(cls, likelihood: Likelihood, unit: str, scale: float) -> _Base:
        scales = {unit: scale}
        coordinates = coordinates_of(likelihood.family, scales)
        target = Target(likelihood, coordinates)
        return cls(target, find_mode(target, starts_of(coordinates, scales)))

    @property
    def size(self) -> int:
        """Number of parameters."""
        return self.target.size

    def coordinates(self, points: Array) -> Array:
        """Coordinates of the fit at points (n, k)."""
        return np.asarray(self.mode.point + points @ self.mode.root.T)

    def parameters(self, points: Array) -> list[Any]:
        """The family's parameters at points (n, k)."""
        found = self.target.coordinates.estimates_at(self.coordinates(points))
        return [self.target.likelihood.family.Parameters(*row.tolist()) for row in found]


def _explore(
    log_likelihoods: Callable[[Any, Any], Array],
    bases: tuple[_Base, _Base],
    rng: np.random.Generator,
) -> tuple[Array, tuple[Array, ...], float, float]:
    """The posterior of the correlation, averaged over that of all parameters.

    The log-posterior of parameters is that of the two models by themselves plus their evidence, the
    log of the mean likelihood over correlations. A quadratic fitted to it around the best place
    known says where to look next; in the end draws of a Student distribution are weighted.

    Returns
    -------
    tuple
        Probability of each correlation of `GRID`, the parameters of both models in the middle of
        the posterior, the Pareto diagnostic of the weights, and their effective number.
    """
    k = bases[0].size
    size = k + bases[1].size
    center, root = np.zeros(size), np.eye(size)
    seen, values = np.empty((0, size)), np.empty(0)
    for _ in range(ROUNDS):
        spread = np.sqrt(_DEGREES / rng.chisquare(_DEGREES, POINTS))
        standard = rng.standard_normal((POINTS, size)) * spread[:, None]
        points = center + standard @ root.T
        own = (points[:, :k], points[:, k:])
        parameters = [base.parameters(part) for base, part in zip(bases, own, strict=True)]
        logs = np.array([log_likelihoods(*pair) for pair in zip(*parameters, strict=True)])
        highest = logs.max(axis=1)
        evidence = np.log(np.mean(np.exp(logs - highest[:, None]), axis=1)) + highest
        here = evidence + sum(
            b.target.values(b.coordinates(o)) for b, o in zip(bases, own, strict=True)
        )
        here = np.where(np.isfinite(here), here, -1e300)
        seen, values = np.concatenate([seen, points]), np.concatenate([values, here])
        used_root = root
        center, root = _quadratic(seen, values)
    log_proposal = -0.5 * (_DEGREES + size) * np.log1p(np.sum(standard**2, axis=1) / _DEGREES)
    log_proposal -= np.linalg.slogdet(used_root)[1]
    log_weights, k_hat = pareto_smooth(here - log_proposal)
    weights = np.exp(log_weights)
    density = np.exp(logs - highest[:, None])
    share = weights @ (density / density.sum(axis=1, keepdims=True))
    middle = weights @ points
    estimates = tuple(
        base.target.coordinates.estimates_at(base.coordinates(own[None]))[0]
        for base, own in zip(bases, (middle[:k], middle[k:]), strict=True)
    )
    effective = float(1.0 / np.sum(weights**2))
    return share / share.sum(), estimates, float(k_hat), effective


def _quadratic(points: Array, values: Array) -> tuple[Array, Array]:
    """Where a log-density is highest, and a root of its covariance there, by a quadratic fit."""
    n, k = points.shape
    best = points[np.argmax(values)]
    i, j = np.triu_indices(k)
    away = points - best
    terms = np.concatenate([np.ones((n, 1)), away, away[:, i] * away[:, j]], axis=1)
    # far from the best place nothing need be matched; a little ridge: there are few points
    weights = np.exp(np.maximum(values - values.max(), -4.0 * k) / k)
    penalty = np.diag(np.r_[0.0, np.full(terms.shape[1] - 1, 0.01)])
    found = np.linalg.solve((terms.T * weights) @ terms + penalty, (terms.T * weights) @ values)
    curvature = np.zeros((k, k))
    curvature[i, j] = found[1 + k :]
    information, axes = np.linalg.eigh(-curvature - curvature.T)
    information = np.clip(information, 0.2, 20.0)
    step = (axes.T @ found[1 : 1 + k]) / information
    step *= min(1.0, 4.0 / max(float(np.linalg.norm(step)), 1e-12))
    return best + axes @ step, axes / np.sqrt(information)


def _blocks(rfm: RFM, spend: FittedSpend) -> Iterator[tuple[PurchaseHistory, SpendHistory]]:
    """What is known of some thousand customers at a time; of spend nothing where it is missing."""
    count, mean = spend_columns(rfm, spend.options["purchases"])
    known = (count > 0) & (mean > 0)
    spending = SpendHistory(np.where(known, count, 0.0), np.where(known, mean, 0.0))
    history = PurchaseHistory(*(rfm.array(name) for name in PurchaseHistory._fields))
    for rows in blocks(len(rfm), ROWS):
        yield history.take(rows), spending.take(rows)
