"""CPU time and memory of a backtest: 5 cuts x 5 families x 100,000 simulated customers.

    python benchmarks/backtest.py                 # 100,000 customers, all processors
    python benchmarks/backtest.py --customers 10000 --jobs 1

Customers are simulated from a Pareto/NBD with the published CDNOW parameters and Gamma-Gamma
values, and are acquired evenly over a year, so that histories are as different as they are in a
shop. CPU time is that of all processes; memory is the largest that the main process and the
largest of its workers held, added up as if all workers were as large.
"""

from __future__ import annotations

import argparse
import json
import resource
import time

import numpy as np
import pandas as pd

import clv
from clv.families import pareto_nbd

FAMILIES = ["bg_nbd", "mbg_nbd", "pareto_nbd", "bg_cnbd_k", "mbg_cnbd_k"]
ACQUISITION_DAYS, DAYS = 365, 3 * 365


def transactions(customers: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    start = rng.integers(0, ACQUISITION_DAYS, customers)
    parameters = pareto_nbd.Parameters(0.553277, 7 * 10.577683, 0.6062398, 7 * 11.6687308)
    _, state = pareto_nbd.new_customer(parameters)
    paths = pareto_nbd.sample_purchases(state, float(DAYS), rng, (customers,))
    who = np.concatenate([np.arange(customers), np.repeat(np.arange(customers), paths.counts)])
    day = np.concatenate([start, start.repeat(paths.counts) + np.ceil(paths.times)])
    level = 15.4435167 / rng.gamma(3.7442246, size=customers)
    value = rng.gamma(6.2495738, size=who.size) * level[who]
    frame = pd.DataFrame({"customer_id": who, "day": day.astype(int), "amount": value.round(2)})
    frame = frame[frame["day"] < DAYS]
    frame["date"] = np.datetime64("2021-01-01") + frame["day"].to_numpy().astype("timedelta64[D]")
    return frame[["customer_id", "date", "amount"]]


def cpu_seconds() -> float:
    """Of this process and of all that it has waited for."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--customers", type=int, default=100_000)
    parser.add_argument("--cuts", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--families", nargs="*", default=FAMILIES)
    given = parser.parse_args()
    lines = clv.read_transactions(transactions(given.customers, given.seed))
    before, began = cpu_seconds(), time.perf_counter()
    tried = clv.backtest(
        lines,
        given.families,
        horizon="26 weeks",
        cuts=given.cuts,
        jobs=given.jobs,
        progress=False,
    )
    wall = time.perf_counter() - began
    if given.jobs > 1:
        from joblib.externals.loky import get_reusable_executor

        get_reusable_executor().shutdown(wait=True)  # only who has ended is counted
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    worker = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    print(
        json.dumps(
            {
                "customers": given.customers,
                "transactions": len(lines),
                "cuts": [f"{cut.cut}: {len(cut.table):,} customers" for cut in tried.usable],
                "families": [*given.families, "nbd"],
                "cpu_seconds": round(cpu_seconds() - before, 1),
                "wall_seconds": round(wall, 1),
                "gigabytes_main": round(own, 2),
                "gigabytes_largest_worker": round(worker, 2),
                "gigabytes_all": round(own + given.jobs * worker * (given.jobs > 1), 2),
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
