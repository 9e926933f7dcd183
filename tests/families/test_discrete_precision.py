"""BG/BB and the contract models against sixty-digit arithmetic, at usual and at odd places."""

from __future__ import annotations

from typing import Any

import mpmath as mp
import numpy as np
import pytest
from oracles import opportunities as exact

from clv.families import beta_discrete_weibull, bg_bb, shifted_beta_geo
from clv.numerics import backend
from clv.numerics.histories import ContractHistory, PurchaseHistory

RELATIVE = 1e-8
NEAR_ZERO = 1e-10  # absolute, of log-likelihoods that may be 0

SHAPES = (0.02, 0.75, 1.0, 12.0, 300.0)
DROPOUT = (0.01, 0.66, 1 - 1e-9, 1.0, 1 + 1e-9, 2.0, 40.0)
SURVIVAL = (0.05, 2.8, 100.0, 5000.0)
AGES = (0, 1, 6, 40, 250)
AHEAD = (1, 10, 300, 600, 100_000)
DELTA = (0.002, 0.0953, 1.5)
POWER = (0.3, 0.8, 1.0, 1.7, 4.0)


def check(what: str, ours: Any, theirs: list[Any], at: list[Any], floor: float = 0.0) -> None:
    values = np.broadcast_to(ours, (len(at),))
    assert np.isfinite(values).all(), f"{what} is not finite"
    for value, reference, point in zip(values, theirs, at, strict=True):
        error = abs(float(mp.mpf(float(value)) - reference))
        allowed = RELATIVE * abs(float(reference)) + floor
        assert error <= allowed, (
            f"{what} is off by {error:.2g} of {float(reference):.6g} at {point}"
        )


def bg_bb_at(n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.choice(SHAPES, (2, n))
    c, d = rng.choice(DROPOUT, n), rng.choice(SURVIVAL, n)
    T = rng.choice(AGES, n)
    t_x = np.floor(rng.choice([0.0, 0.3, 0.9, 1.0], n) * T)
    x = np.where(t_x > 0, np.maximum(1, np.floor(rng.choice([0.0, 0.4, 1.0], n) * t_x)), 0.0)
    t, delta = rng.choice(AHEAD, n).astype(float), rng.choice(DELTA, n)
    count = rng.choice([0, 1, 3, 9], n)
    soon = rng.choice([1, 10, 60], n).astype(float)
    points = [tuple(map(float, row)) for row in zip(a, b, c, d, x, t_x, T, t, delta, strict=True)]

    p, history = bg_bb.Parameters(a, b, c, d), PurchaseHistory(x, t_x, T.astype(float))
    state = bg_bb.alive_state(p, history)
    with mp.workdps(exact.DIGITS):
        shapes = [tuple(map(mp.mpf, point[:4])) for point in points]
        seen = [
            exact.likelihood(*s, *(int(v) for v in point[4:7]))
            for s, point in zip(shapes, points, strict=True)
        ]
        log_likelihood = bg_bb.log_likelihood(p, history, backend)
        check("likelihood", log_likelihood, [mp.log(v) for v, _ in seen], points, NEAR_ZERO)
        alive = [living / all_ for all_, living in seen]
        check("P(alive)", bg_bb.probability_alive(p, history), alive, points)
        now = [
            (s[0] + point[4], s[1] + point[6] - point[4], s[2], s[3] + point[6])
            for s, point in zip(shapes, points, strict=True)
        ]
        share = [v[0] / (v[0] + v[1]) for v in now]
        expected = [
            s * exact.stays(v[2], v[3], int(k)) for s, v, k in zip(share, now, t, strict=True)
        ]
        check("expected", bg_bb.expected_purchases(state, t), expected, points)
        worth = [
            s * exact.perpetuity(*v[2:], mp.mpf(r))
            for s, v, r in zip(share, now, delta, strict=True)
        ]
        check("DERT", bg_bb.discounted_purchases(state, np.inf, delta), worth, points)
        stay = [exact.ratio(*v[2:], 0, int(k)) for v, k in zip(now, t, strict=True)]
        check("survival", bg_bb.survival(state, t), stay, points)
        never = [exact.never(*v) for v in now]
        check("never", bg_bb.no_purchase_probability(state, np.inf), never, points)
        # none in t: never, or all passed and one used later
        none = [
            q
            + exact.ratio(*v[:2], 0, int(k)) * s * (1 - exact.never(v[0], v[1] + k, v[2], v[3] + k))
            for q, v, k, s in zip(never, now, t, stay, strict=True)
        ]
        check("none", bg_bb.no_purchase_probability(state, t), none, points)
        pmf = [
            exact.purchase_count(*v, int(n), int(k))
            for v, n, k in zip(now, count, soon, strict=True)
        ]
        check("count", bg_bb.purchase_count_pmf(state, count, soon), pmf, points)


def contracts_at(n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    alpha, beta = (
        rng.choice([0.01, 0.7, 1.0, 15.0, 400.0], n),
        rng.choice([0.05, 1.2, 80.0, 5000.0], n),
    )
    power, made = rng.choice(POWER, n), rng.choice([0, 1, 2, 7, 60], n)
    churned = rng.choice([0.0, 1.0], n)
    delta = rng.choice([0.05, 0.0953, 1.5], n)
    history = ContractHistory(made.astype(float), churned)
    points = [
        tuple(map(float, row)) for row in zip(alpha, beta, power, made, churned, delta, strict=True)
    ]

    def survival(s: Any, times: Any) -> Any:
        return exact.ratio(s[0], s[1], 0, times ** s[2] if times else mp.mpf(0))

    for family, p in (
        (shifted_beta_geo, shifted_beta_geo.Parameters(alpha, beta)),
        (beta_discrete_weibull, beta_discrete_weibull.Parameters(alpha, beta, power)),
    ):
        with mp.workdps(exact.DIGITS):
            one = family is shifted_beta_geo
            shapes = [(*map(mp.mpf, v[:2]), mp.mpf(1) if one else mp.mpf(v[2])) for v in points]
            before = [survival(s, mp.mpf(v[3])) for s, v in zip(shapes, points, strict=True)]
            after = [survival(s, mp.mpf(v[3]) + 1) for s, v in zip(shapes, points, strict=True)]
            check("survival", family.survival(p, made + 1), after, points)
            ratio = [s / r for s, r in zip(after, before, strict=True)]
            check("retention", family.retention_rate(p, made + 1), ratio, points)
            logs = [
                mp.log(r - s if v[4] else r) for r, s, v in zip(before, after, points, strict=True)
            ]
            value = family.log_likelihood(p, history, backend)
            check("likelihood", value, logs, points, NEAR_ZERO)
            until = [5 if i % 8 else 400 for i in range(n)]
            sums = [
                mp.fsum(
                    mp.exp(-k * mp.mpf(v[5])) * survival(s, v[3] + mp.mpf(k)) / r
                    for k in range(1, last + 1)
                )
                for s, v, r, last in zip(shapes, points, before, until, strict=True)
            ]
            to_end = family.discounted_renewals(p, made, delta, np.array(until, dtype=float))
            check("renewals", to_end, sums, points)
            if one:
                worth = [
                    exact.perpetuity(s[0], s[1] + v[3], mp.mpf(v[5]))
                    for s, v in zip(shapes, points, strict=True)
                ]
                check("DERL", family.discounted_renewals(p, made, delta, np.inf), worth, points)


def test_on_a_part_of_the_grid() -> None:
    bg_bb_at(16, seed=1)
    contracts_at(16, seed=2)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_on_the_grid(seed: int) -> None:
    bg_bb_at(150, seed=100 + seed)
    contracts_at(150, seed=200 + seed)


def test_the_oracle_itself() -> None:
    """The fraction and the transformation against plain sums."""
    with mp.workdps(30):
        a, b, c, d = (mp.mpf(v) for v in ("1.2", "0.8", "3.5", "2.8"))
        plain = mp.fsum(mp.exp(-k / mp.mpf(10)) * exact.ratio(c, d, 0, k) for k in range(1, 600))
        assert abs(exact.perpetuity(c, d, mp.mpf(1) / 10) / plain - 1) < 1e-20
        half = mp.quad(
            lambda q: (
                mp.quad(
                    lambda p: q / (q + p * (1 - q)) * p ** (a - 1) * (1 - p) ** (b - 1), [0, 0.5, 1]
                )
                * q ** (c - 1)
                * (1 - q) ** (d - 1)
            ),
            [0, 0.5, 1],
        )
        assert abs(exact.never(a, b, c, d) * mp.beta(a, b) * mp.beta(c, d) / half - 1) < 1e-4
