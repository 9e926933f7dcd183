"""A script that reads a file ends without a word."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

SCRIPT = """
import sys
import clv
transactions = clv.read_transactions(sys.argv[1])
rfm = clv.rfm_summary(transactions, observation_period_end="2024-03-31")
print(len(rfm))
"""


def test_nothing_is_said_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "orders.parquet"
    pq.write_table(
        pa.table(
            {
                "customer_id": [1, 1, 2],
                "date": ["2024-01-01", "2024-02-01", "2024-01-15"],
                "amount": [10.0, 5.0, 7.0],
            }
        ),
        path,
    )
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(path)], capture_output=True, text=True, check=True
    )
    assert done.stdout == "2\n"
    assert done.stderr == ""
