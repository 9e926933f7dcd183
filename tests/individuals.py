"""Individuals simulated one by one from their own posterior; shares no code with the package."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from clv.tables.rfm import RFM

YEAR = 365.25 / 7  # weeks


class Brute(NamedTuple):
    """What simulated individuals did: per customer and repetition, (n, repetitions)."""

    alive_now: np.ndarray
    alive_later: tuple[np.ndarray, np.ndarray]  # as things are, and with less dropout
    worth: tuple[np.ndarray, np.ndarray]  # discounted purchases


def brute_force(
    name: str,
    given: dict[str, float],
    rfm: RFM,
    repeats: int,
    *,
    horizon: float,
    delta: float = 0.0,
    kappa: float = 1.0,
) -> Brute:
    """Draw everybody's own rate and dropout given their history; then live, purchase by purchase.

    Both worlds use the same random numbers: somebody who leaves with less dropout also leaves
    with more.
    """
    rng = np.random.default_rng(7)
    x, t_x, T = (rfm.array(c)[:, None] for c in ("frequency", "recency", "T"))
    size = (len(rfm), repeats)
    r, alpha = given["r"], given["alpha"]
    rate = rng.gamma(np.broadcast_to(r + x, size)) / (alpha + T)
    if name == "pareto_nbd":
        s, beta = given["s"], given["beta"]
        grid = t_x + (T - t_x) * np.linspace(0, 1, 401)
        dead = np.trapezoid(s * (beta + grid) ** -(s + 1) * (alpha + grid) ** -(r + x), grid)
        living = ((alpha + T) ** -(r + x) * (beta + T) ** -s)[:, 0]
        death = rng.exponential(1 / (rng.gamma(s, size=size) / (beta + T)))
        ends = death, death / kappa
        leaves = np.zeros(size)
    else:
        a, b = given["a"], given["b"]
        coins = x + (name == "mbg_nbd")
        living = np.ones(len(rfm))
        dead = (a / (b + coins - 1) * ((alpha + T) / (alpha + t_x)) ** (r + x))[:, 0]
        ends = np.full(size, np.inf), np.full(size, np.inf)
        leaves = rng.beta(a, np.broadcast_to(b + coins, size))
    alive_now = rng.random(size) < (living / (living + dead))[:, None]
    end = [np.where(alive_now, e, 0.0) for e in ends]
    worth = [np.zeros(size), np.zeros(size)]
    time = np.zeros(size)
    while (time < horizon).any():
        time = np.where(time < horizon, time + rng.exponential(1 / rate), np.inf)
        coin = rng.random(size)
        for world, chance in enumerate((leaves, kappa * leaves)):
            buys = (time < horizon) & (time < end[world])
            worth[world][buys] += np.exp(-delta * time[buys])
            goes = buys & (coin < chance)
            end[world][goes] = time[goes]
    later = tuple(alive_now & (e > YEAR) for e in end)
    return Brute(alive_now, (later[0], later[1]), (worth[0], worth[1]))
