"""A million customers: the page and the exports in two gigabytes, the page in one megabyte."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

_RUN = """
import json, resource, sys
from clv.cli import program
program(sys.argv[1:], standalone_mode=False)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Orders of BG/NBD customers over two years, and a customers table with all there is."""
    n = 1_000_000
    random = np.random.default_rng(7)
    rate = random.gamma(0.5, 1 / 40, n)
    first = random.integers(0, 600, n)
    count = random.poisson(rate * (730 - first) * random.beta(1.0, 1.5, n))
    who = np.concatenate([np.arange(n), np.repeat(np.arange(n), count)])
    later = random.uniform(0, 730 - np.repeat(first, count))
    day = np.concatenate([first, np.repeat(first, count) + later.astype(int)])
    orders = pa.table(
        {
            "customer_id": pa.array(who).cast(pa.string()),
            "date": np.datetime64("2022-01-01") + day.astype("timedelta64[D]"),
            "amount": np.round(random.gamma(2.0, 20.0, len(who)) + 1, 2),
        }
    )
    number = np.arange(n).astype(str)
    customers = pa.table(
        {
            "customer_id": number,
            "first_name": np.char.add("Name", number),
            "last_name": np.char.add("Surname", number),
            "email": np.char.add(np.char.add("user.", number), "@example.com"),
            "phone": np.char.add("0912", np.char.zfill(number, 7)),
            "country": np.repeat("IR", n),
            "city": np.repeat("Tehran", n),
            "zip": np.char.zfill(number, 6),
            "channel": random.choice(["search", "social", "referral"], n),
            "acquisition_cost": np.round(random.gamma(2.0, 3.0, n), 2),
            "consent": random.choice(["yes", "no"], n),
        }
    )
    folder = tmp_path_factory.mktemp("million")
    pq.write_table(orders, folder / "orders.parquet")
    pq.write_table(customers, folder / "customers.parquet")
    return folder / "orders.parquet", folder / "customers.parquet"


def run(folder: Path, *arguments: object) -> tuple[dict[str, object], float]:
    """What a command says, and the most memory it had, in GB."""
    done = subprocess.run(
        [sys.executable, "-c", _RUN, *map(str, arguments), "--json"],
        capture_output=True,
        text=True,
        check=True,
        cwd=folder,
    )
    return json.loads(done.stdout), int(done.stderr.split()[-1]) / 1e6


@pytest.mark.slow
def test_a_page_of_a_million(files: tuple[Path, Path], tmp_path: Path) -> None:
    orders, customers = files
    said, gigabytes = run(
        tmp_path,
        *("report", orders, "--customers", customers, "--observation-period-end", "2023-12-31"),
        *("--language", "both"),
    )
    assert said["left_out"] == {}
    assert gigabytes < 2
    for language in ("en", "fa"):
        assert (tmp_path / f"report.{language}.html").stat().st_size < 1_000_000


@pytest.mark.slow
def test_exports_of_a_million(files: tuple[Path, Path], tmp_path: Path) -> None:
    orders, customers = files
    said, gigabytes = run(
        tmp_path,
        *("export", orders, "--customers", customers, "--observation-period-end", "2023-12-31"),
        *("--preset", "google-customer-match", "--preset", "meta-api", "--preset", "klaviyo"),
        *("--preset", "parquet"),
    )
    assert gigabytes < 2
    exports = {export["preset"]: export for export in said["exports"]}  # type: ignore[attr-defined]
    assert exports["klaviyo"]["rows"] == 1_000_000
    assert len(exports["klaviyo"]["files"]) > 1
    assert all(file["bytes"] <= 50_000_000 for file in exports["klaviyo"]["files"])
    assert all(file["rows"] <= 10_000 for file in exports["meta-api"]["files"])
