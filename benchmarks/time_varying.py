"""CPU seconds of a Pareto/NBD fit with time-varying covariates.

    python benchmarks/time_varying.py [customers] [repeats]

600 customers, three covariates on purchases and on dropout, two years of weeks; the customers are
lived through week by week. The target is 10 CPU seconds.
"""

from __future__ import annotations

import datetime as dt
import sys
import time

import numpy as np
import pandas as pd

import clv

WEEKS, AHEAD = 104, 26
R, ALPHA, S, BETA = 0.8, 6.0, 0.6, 12.0
PURCHASE, DROPOUT = (0.4, 0.6, -0.3), (-0.3, -0.5, 0.4)
NAMES = ["season", "mailing", "price"]
MONDAY = np.datetime64("2022-01-03")


def shop(n: int, seed: int = 1) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Orders, and covariates of every customer and week, the weeks to come included."""
    rng = np.random.default_rng(seed)
    weeks = WEEKS + AHEAD
    values = np.empty((n, weeks, 3))
    values[:, :, 0] = np.sin(2 * np.pi * np.arange(weeks) / 52)
    values[:, :, 1] = rng.random((n, weeks)) < 0.2
    values[:, :, 2] = rng.normal(size=(n, weeks))
    start = rng.integers(0, 84, n) / 7
    rate, death_rate = rng.gamma(R, 1 / ALPHA, n), rng.gamma(S, 1 / BETA, n)
    alive = np.ones(n, dtype=bool)
    who, when = [np.arange(n)], [start]
    for week in range(WEEKS):
        begin, now = np.clip(start, week, week + 1), values[:, week]
        dies = begin + rng.exponential(size=n) / (death_rate * np.exp(now @ DROPOUT))
        end = np.where(alive, np.minimum(dies, week + 1), begin)
        customer = np.repeat(
            np.arange(n), rng.poisson(rate * np.exp(now @ PURCHASE) * (end - begin))
        )
        who.append(customer)
        when.append(begin[customer] + rng.random(len(customer)) * (end - begin)[customer])
        alive &= (dies > week + 1) | (start >= week + 1)
    day = np.floor(7 * np.concatenate(when) + 1e-9).astype(int)
    orders = pd.DataFrame({"customer_id": np.concatenate(who), "date": MONDAY + day, "amount": 1.0})
    periods = pd.DataFrame(
        {
            "customer_id": np.repeat(np.arange(n), weeks),
            "week": np.tile(MONDAY + 7 * np.arange(weeks), n),
            **{name: values[:, :, j].ravel() for j, name in enumerate(NAMES)},
        }
    )
    return orders, periods


def main(customers: int = 600, repeats: int = 3) -> None:
    orders, periods = shop(customers)
    transactions = clv.read_transactions(orders)
    end = MONDAY.astype(dt.date) + dt.timedelta(days=7 * WEEKS - 1)
    rfm = clv.rfm_summary(transactions, observation_period_end=end)
    model = clv.ParetoNBDModel(purchase_covariates=NAMES, dropout_covariates=NAMES)
    seconds: dict[str, list[float]] = {"read covariates": [], "fit": [], "26 weeks ahead": []}
    for _ in range(repeats):
        clock = [time.process_time()]
        covariates = clv.time_varying_covariates(periods, date="week")
        clock.append(time.process_time())
        fitted = model.fit(rfm, covariates=covariates, transactions=transactions)
        clock.append(time.process_time())
        fitted.expected_purchases(rfm.with_time_varying_covariates(covariates), AHEAD)
        clock.append(time.process_time())
        for name, spent in zip(seconds, np.diff(clock), strict=True):
            seconds[name].append(float(spent))
    print(fitted)
    print(
        f"\n{customers:,} customers, {len(orders):,} purchases, {WEEKS} weeks, 3 covariates twice"
    )
    for name, spent in seconds.items():
        print(f"{name:16} {min(spent):7.2f} CPU s (least of {repeats})")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
