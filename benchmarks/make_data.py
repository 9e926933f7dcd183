"""Write the file that every contestant reads: a seeded BG/NBD and Gamma-Gamma world, day by day.

    python benchmarks/make_data.py 1000000 transactions.parquet

Parameters are CDNOW's (weeks, dollars). Customers arrive evenly over the first of two years, so
1,000,000 of them make some 2.85 million transactions.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

FIRST_DAY = np.datetime64("2022-01-01", "D")
LAST_DAY = np.datetime64("2023-12-31", "D")
R, ALPHA, A, B = 0.2425945, 4.4136023, 0.7929221, 2.4259070
P, Q, V = 6.2495738, 3.7442246, 15.4435167


def purchase_times(rng: np.random.Generator, age: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (customer, weeks since the first purchase) of every purchase, the first included."""
    rate = rng.gamma(R, 1 / ALPHA, age.size)
    dropout = rng.beta(A, B, age.size)
    who = np.arange(age.size)
    customers, times = [who], [np.zeros(age.size)]
    alive, now = who, np.zeros(age.size)
    while alive.size:
        with np.errstate(divide="ignore", over="ignore"):
            now = now + rng.exponential(size=alive.size) / rate[alive]
        bought = now <= age[alive]
        alive, now = alive[bought], now[bought]
        customers.append(alive)
        times.append(now)
        stays = rng.random(alive.size) >= dropout[alive]
        alive, now = alive[stays], now[stays]
    return np.concatenate(customers), np.concatenate(times)


def transactions(n_customers: int, seed: int = 20240229) -> pa.Table:
    """Return one row per purchase, by day: customer_id, date, amount."""
    rng = np.random.default_rng(seed)
    start = rng.integers(0, 365, n_customers)
    n_days = int((LAST_DAY - FIRST_DAY).astype(int)) + 1
    # Until the end of the last day; a purchase falls on the day its moment lies in.
    customer, weeks = purchase_times(rng, (n_days - start) / 7 - 1e-9)
    day = start[customer] + np.floor(weeks * 7).astype(np.int64)
    per_customer = 1 / rng.gamma(Q, 1 / V, n_customers)
    amount = np.maximum(rng.gamma(P, size=customer.size) * per_customer[customer], 0.01).round(2)
    order = np.lexsort((customer, day))
    return pa.table(
        {
            "customer_id": pa.array(customer[order] + 1, pa.int64()),
            "date": pa.array((FIRST_DAY + day[order]).astype("datetime64[us]")),
            "amount": pa.array(amount[order], pa.float64()),
        }
    )


def main(n_customers: int, path: Path) -> None:
    """Write the file unless it is there, whole or not at all; print the number of its rows."""
    if not path.exists():
        part = path.with_name(f".{path.name}.part")
        pq.write_table(transactions(n_customers), part, compression="zstd")
        part.rename(path)
    print(pq.read_metadata(path).num_rows)


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
