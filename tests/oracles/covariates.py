"""Likelihoods with covariates as the papers write them, and customers to fit them to.

Nothing here shares code with the package but the simulators, which the contract holds to closed
forms.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import betaln, gammaln, hyp2f1

from clv import families
from clv.inference.design import Column
from clv.numerics.histories import SpendHistory
from clv.numerics.sampling import simulate_histories

Array = npt.NDArray[np.float64]


class Truth(NamedTuple):
    """Base parameters, and for each moved one its sign and coefficients (web, mail, visits)."""

    base: dict[str, float]
    coefficients: dict[str, tuple[int, tuple[float, float, float]]]


TRUTHS = {
    "bg_nbd": Truth(
        {"r": 0.8, "alpha": 8.0, "a": 0.8, "b": 2.4},
        {
            "alpha": (-1, (0.4, -0.5, 0.05)),
            "a": (1, (0.5, 0.2, 0.02)),
            "b": (1, (-0.2, 0.3, -0.02)),
        },
    ),
    "mbg_nbd": Truth(
        {"r": 0.9, "alpha": 8.0, "a": 0.8, "b": 2.4},
        {
            "alpha": (-1, (0.4, -0.5, 0.05)),
            "a": (1, (0.5, 0.2, 0.02)),
            "b": (1, (-0.2, 0.3, -0.02)),
        },
    ),
    "pareto_nbd": Truth(
        {"r": 0.8, "alpha": 8.0, "s": 0.8, "beta": 20.0},
        {"alpha": (-1, (0.4, -0.5, 0.05)), "beta": (-1, (0.6, -0.4, 0.04))},
    ),
    "gamma_gamma": Truth({"p": 4.0, "q": 3.5, "v": 20.0}, {"v": (1, (0.3, -0.4, 0.05))}),
}
GROUPS = {"alpha": "purchase", "beta": "dropout", "a": "dropout", "b": "dropout", "v": "spend"}
LEVELS = ("shop", "web", "mail")
COVARIATES = ("channel", "visits")


class Customers(NamedTuple):
    """Simulated customers and what is known of them."""

    family: Any
    history: Any
    columns: dict[str, Column]
    matrix: Array  #: web, mail, visits
    groups: dict[str, tuple[str, ...]]
    scales: dict[str, float]

    @property
    def weights(self) -> Array:
        return np.ones(len(self.matrix))


def customers(name: str, n: int, seed: int, whole_days: bool = True) -> Customers:
    """With a channel (shop is the most frequent) and a number of visits.

    Purchases seen by the day are a little late, which shifts estimates from large tables.
    """
    family, truth = families.find(name), TRUTHS[name]
    rng = np.random.default_rng([seed, 5])
    channel = rng.choice(3, n, p=[0.5, 0.3, 0.2])
    visits = rng.poisson(rng.gamma(2.0, 2.0, n)).astype(float)
    matrix = np.stack([channel == 1, channel == 2, visits], axis=1).astype(float)
    parameters = family.Parameters(*at(truth.base, truth.coefficients, matrix))
    history: Any
    if family.KIND == "spend":
        count = rng.geometric(0.4, n)
        nobody = SpendHistory(np.zeros(n), np.zeros(n))
        total = family.sample_unit_totals(
            parameters, np.zeros(n), count, np.ones(count.sum()), rng
        ) * family.scale(parameters, nobody)
        history = SpendHistory(count.astype(float), total / count)
    else:
        ages = np.ceil(7 * rng.uniform(25, 80, n)) / 7
        history = simulate_histories(family, parameters, ages, seed)
        if whole_days:
            history = history._replace(recency=np.ceil(7 * history.recency) / 7)
    groups = {GROUPS[parameter]: COVARIATES for parameter in truth.coefficients}
    # levels in ascending order, as tables give them
    place = np.array([1.0, 2.0, 0.0])[channel]
    columns = {
        "channel": Column(place, tuple(sorted(LEVELS))),
        "visits": Column(visits, None),
    }
    return Customers(family, history, columns, matrix, groups, {"time": 50.0, "money": 30.0})


def at(base: dict[str, float], coefficients: Any, matrix: Array) -> list[Any]:
    """Parameters of every customer: base * exp(sign * coefficients'z)."""
    values: dict[str, Any] = dict(base)
    for parameter, (sign, gamma) in coefficients.items():
        values[parameter] = base[parameter] * np.exp(sign * matrix @ np.array(gamma))
    return list(values.values())


def true_logs(name: str) -> dict[str, float]:
    """Logs of the base parameters, and coefficients by their label."""
    truth = TRUTHS[name]
    found = {p: float(np.log(v)) for p, v in truth.base.items()}
    for parameter, (_, gamma) in truth.coefficients.items():
        for what, value in zip(("channel=web", "channel=mail", "visits"), gamma, strict=True):
            found[f"{parameter}: {what}"] = value
    return found


# --- textbook likelihoods ----------------------------------------------------------------------


def log_likelihood(name: str, parameters: list[Any], history: Any) -> Array:
    """Of each customer, in the form in which the papers print it."""
    return TEXTBOOK[name](*parameters, *history)


def _beta_geometric(
    r: Any, alpha: Any, a: Any, b: Any, x: Array, t_x: Array, T: Array, coins: Array
) -> Array:
    """Fader, Hardie & Lee (2005), eq. 6, and Batislam et al. (2007), eq. 4."""
    rate = gammaln(r + x) - gammaln(r) + r * np.log(alpha)
    alive = betaln(a, b + coins) - betaln(a, b) - (r + x) * np.log(alpha + T)
    tossed = np.maximum(coins, 1.0)
    dead = betaln(a + 1, b + tossed - 1) - betaln(a, b) - (r + x) * np.log(alpha + t_x)
    both = np.logaddexp(alive, np.where(coins > 0, dead, -np.inf))
    return np.asarray(rate + both)


def _pareto(r: Any, alpha: Any, s: Any, beta: Any, x: Array, t_x: Array, T: Array) -> Array:
    """Fader & Hardie (2005), eq. 20, with 2F1 for alpha and beta in either order."""
    rows = []
    each = np.broadcast_arrays(r, alpha, s, beta, x, t_x, T)
    for r_, alpha_, s_, beta_, x_, t_, T_ in zip(*each, strict=True):
        k = r_ + s_ + x_
        high, low = max(alpha_, beta_), min(alpha_, beta_)
        second = s_ + 1 if alpha_ >= beta_ else r_ + x_

        def f(t: float, high=high, low=low, second=second, k=k) -> float:
            return hyp2f1(k, second, k + 1, (high - low) / (high + t)) / (high + t) ** k

        alive = 1 / ((alpha_ + T_) ** (r_ + x_) * (beta_ + T_) ** s_)
        rows.append(alive + s_ / k * (f(t_) - f(T_)))
    return np.asarray(
        gammaln(r + x) - gammaln(r) + r * np.log(alpha) + s * np.log(beta) + np.log(rows)
    )


def _gamma_gamma(p: Any, q: Any, v: Any, x: Array, z: Array) -> Array:
    """Fader & Hardie (2013), eq. 1a."""
    return np.asarray(
        gammaln(p * x + q)
        - gammaln(p * x)
        - gammaln(q)
        + q * np.log(v)
        + (p * x - 1) * np.log(z)
        + p * x * np.log(x)
        - (p * x + q) * np.log(v + x * z)
    )


TEXTBOOK = {
    "bg_nbd": lambda r, al, a, b, x, t, T: _beta_geometric(r, al, a, b, x, t, T, x),
    "mbg_nbd": lambda r, al, a, b, x, t, T: _beta_geometric(r, al, a, b, x, t, T, x + 1),
    "pareto_nbd": _pareto,
    "gamma_gamma": _gamma_gamma,
}
