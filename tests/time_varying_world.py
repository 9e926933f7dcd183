"""Customers whose rates change from week to week, lived through week by week.

Within a week a living customer dies after an exponential time and until then buys at a steady
rate: nothing of the package, and no formula that it uses, is needed to make them.
"""

from __future__ import annotations

import datetime as dt
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clv.inference.design import Column
from clv.inference.time_varying import Timeline
from clv.numerics.histories import PurchaseHistory

Array = NDArray[np.float64]

MONDAY = dt.date(2022, 1, 3)
COLUMNS = ("season", "mailing", "price")


class World(NamedTuple):
    start: Array  #: first purchases, in weeks, shape (n,)
    customer: NDArray[np.int64]  #: of each repeat purchase, ascending
    time: Array  #: of each, in weeks, ascending within a customer
    covariates: Array  #: shape (n, weeks, 3)


def covariates(n: int, weeks: int, rng: np.random.Generator) -> Array:
    """A season for all, mailings for some, and a price that differs from customer to customer."""
    values = np.empty((n, weeks, 3))
    values[:, :, 0] = np.sin(2 * np.pi * np.arange(weeks) / 52)
    values[:, :, 1] = rng.random((n, weeks)) < 0.25
    values[:, :, 2] = rng.normal(size=(n, weeks))
    return values


def world(
    n: int,
    weeks: int,
    parameters: tuple[float, float, float, float],
    purchase: tuple[float, ...],
    dropout: tuple[float, ...],
    seed: int,
) -> World:
    """`n` customers who come within the first 8 weeks."""
    rng = np.random.default_rng(seed)
    r, alpha, s, beta = parameters
    values = covariates(n, weeks, rng)
    start = rng.integers(0, 56, n) / 7
    rate, death_rate = rng.gamma(r, 1 / alpha, n), rng.gamma(s, 1 / beta, n)
    alive = np.ones(n, dtype=bool)
    who, when = [], []
    for week in range(weeks):
        begin = np.clip(start, week, week + 1)
        now = values[:, week]
        dies = begin + rng.exponential(size=n) / (death_rate * np.exp(now @ dropout))
        end = np.where(alive, np.minimum(dies, week + 1), begin)
        count = rng.poisson(rate * np.exp(now @ purchase) * (end - begin))
        customer = np.repeat(np.arange(n), count)
        who.append(customer)
        when.append(begin[customer] + rng.random(len(customer)) * (end - begin)[customer])
        alive &= (dies > week + 1) | (start >= week + 1)
    customer, time = np.concatenate(who), np.concatenate(when)
    order = np.lexsort((time, customer))
    return World(start, customer[order], time[order], values)


def timeline(world: World) -> tuple[Timeline, PurchaseHistory]:
    """Seen to the end, to the moment: what a fit is made of."""
    n, weeks, _ = world.covariates.shape
    x = np.bincount(world.customer, minlength=n).astype(float)
    last = np.where(x > 0, np.append(world.time, 0.0)[np.cumsum(x).astype(int) - 1], world.start)
    customer, length, after, week = [], [], [], []
    for i in range(n):
        knots = np.unique([world.start[i], last[i], *range(int(world.start[i]) + 1, weeks + 1)])
        customer += [i] * (len(knots) - 1)
        length += list(np.diff(knots))
        after += list(knots[:-1] >= last[i])
        week += list(knots[:-1].astype(int))
    at, on = (
        world.covariates[np.array(rows), np.array(weeks_of)]
        for rows, weeks_of in ((customer, week), (world.customer, world.time.astype(int)))
    )
    found = Timeline(
        x,
        np.array(customer),
        np.array(length),
        np.array(after),
        {name: Column(at[:, j], None) for j, name in enumerate(COLUMNS)},
        world.customer,
        {name: Column(on[:, j], None) for j, name in enumerate(COLUMNS)},
    )
    return found, PurchaseHistory(x, last - world.start, weeks - world.start)


def tables(world: World) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Orders by day, and the covariates of every customer and week."""
    n, weeks, _ = world.covariates.shape
    ids = np.array([f"c{i:04d}" for i in range(n)], dtype=object)
    monday = np.datetime64(MONDAY, "D")
    customer = np.concatenate([np.arange(n), world.customer])
    day = np.floor(7 * np.concatenate([world.start, world.time]) + 1e-9).astype(int)
    orders = pd.DataFrame(
        {
            "customer_id": ids[customer],
            "date": monday + day,
            "amount": 5.0 + (customer * 7 + day) % 11,
        }
    )
    periods = pd.DataFrame(
        {
            "customer_id": np.repeat(ids, weeks),
            "week": np.tile(monday + 7 * np.arange(weeks), n),
            **{name: world.covariates[:, :, j].ravel() for j, name in enumerate(COLUMNS)},
        }
    )
    return orders, periods
