"""Pareto/NBD with changing rates, for one customer, straight from the story that is told of them.

Given both rates the customer's history has a likelihood that is a sum of exponentials; its mean
over the two gamma distributions is taken by Gauss-Laguerre quadrature. No exposure, no clock and
no formula of the package is used. Beside it the closed form of the paper, to many digits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import mpmath as mp
import numpy as np
from numpy.typing import NDArray
from scipy.special import roots_genlaguerre

Array = NDArray[np.float64]


class Life(NamedTuple):
    """Stretches of time of one customer, and what multiplies their rates in each."""

    lengths: list[float]
    purchase: list[float]
    dropout: list[float]


def _mean(
    r: float, alpha: float, s: float, beta: float, of: Callable[[Array, Array], Array]
) -> float:
    """Over rates of buying and of dying."""
    lam, weights = roots_genlaguerre(90, r - 1.0)
    mu, others = roots_genlaguerre(90, s - 1.0)
    values = of(lam[:, None] / alpha, mu[None, :] / beta)
    return float(weights @ values @ others / weights.sum() / others.sum())


def history(
    parameters: tuple[float, float, float, float],
    before: Life,
    after: Life,
    at_purchases: list[float],
) -> tuple[float, float]:
    """Likelihood of purchases at moments with these factors, then of silence; P(alive).

    `before` ends with the last purchase, `after` begins with it.
    """

    def survived(life: Life, lam: Array, mu: Array) -> Array:
        fall = sum(
            (w * (lam * a + mu * d) for w, a, d in zip(*life, strict=True)), 0.0 * (lam + mu)
        )
        return np.asarray(np.exp(-fall))

    def buying(lam: Array, mu: Array) -> Array:
        each = np.prod(at_purchases) * lam ** len(at_purchases)
        return np.asarray(each * survived(before, lam, mu))

    def alive(lam: Array, mu: Array) -> Array:
        return buying(lam, mu) * survived(after, lam, mu)

    def dead(lam: Array, mu: Array) -> Array:
        total, left = 0.0 * (lam + mu), np.ones(np.broadcast_shapes(lam.shape, mu.shape))
        for w, a, d in zip(*after, strict=True):
            hazard = lam * a + mu * d
            total = total - left * mu * d / hazard * np.expm1(-w * hazard)
            left = left * np.exp(-w * hazard)
        return buying(lam, mu) * total

    living, gone = _mean(*parameters, alive), _mean(*parameters, dead)
    return living + gone, living / (living + gone)


def log_likelihood_by_2f1(
    parameters: tuple[float, float, float, float],
    before: Life,
    after: Life,
    at_purchases: list[float],
) -> float:
    """Bachmann, Meierer & Naef (2021): a difference of two 2F1 for each period, to 60 digits."""
    with mp.workdps(60):
        r, alpha, s, beta = map(mp.mpf, parameters)
        x = len(at_purchases)
        a, d = alpha, beta
        for w, by, out in zip(*before, strict=True):
            a, d = a + mp.mpf(w) * mp.mpf(by), d + mp.mpf(w) * mp.mpf(out)

        def gone_from(a: Any, b: Any) -> Any:
            power = r + s + x
            return mp.hyp2f1(power, s + 1, power + 1, 1 - b / a) / a**power

        total = mp.mpf(0)
        for w, by, out in zip(*after, strict=True):
            ratio = mp.mpf(by) / mp.mpf(out)
            a_end, d_end = a + mp.mpf(w) * mp.mpf(by), d + mp.mpf(w) * mp.mpf(out)
            total += ratio**s * (gone_from(a, d * ratio) - gone_from(a_end, d_end * ratio))
            a, d = a_end, d_end
        inside = s / (r + s + x) * total + a ** -(r + x) * d**-s
        known = mp.loggamma(r + x) - mp.loggamma(r) + r * mp.log(alpha) + s * mp.log(beta)
        return float(known + sum(mp.log(mp.mpf(v)) for v in at_purchases) + mp.log(inside))
