"""What each stage costs as customers become many: CPU seconds and peak memory.

    python benchmarks/scale.py 100000 1000000 10000000

Every run is a fresh process on a file of `make_data.py`, which is made once and kept in
--folder. Prints a table; docs/scale.md explains what it found.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent

KINDS = {
    "in memory": (),
    "--memory 2GB": ("memory=2GB",),
    "--memory 1GB": ("memory=1GB",),
}


def run(data: Path, *options: str) -> tuple[dict[str, Any], float, float]:
    """Return what the job reports, its CPU seconds and its peak in MB."""
    command = [sys.executable, str(HERE / "jobs" / "scale_job.py"), str(data), *options]
    with tempfile.TemporaryFile("w+") as out:
        child = subprocess.Popen(command, stdout=out)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            raise SystemExit(f"{' '.join(command)} failed")
        out.seek(0)
        report = json.loads(out.read().splitlines()[-1])
    return report, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def made(size: int, folder: Path) -> Path:
    path = folder / f"transactions-{size}.parquet"
    if not path.exists():
        command = [sys.executable, str(HERE / "make_data.py"), str(size), str(path)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return path


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("sizes", nargs="*", type=int, default=[100_000, 1_000_000, 10_000_000])
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--intervals", action="store_true", help="with predictive intervals")
    arguments = parser.parse_args()
    more = ("intervals=yes",) if arguments.intervals else ()
    print(f"load {os.getloadavg()[0]:.1f} before the run, {os.cpu_count()} cores")
    for size in arguments.sizes:
        data = made(size, arguments.folder)
        floor = run(data, "floor=yes")[0]["stages"]["floor"]["cpu"]
        print(f"\n{size:,} customers; reading the three columns: {floor:.2f} CPU s")
        for kind, options in KINDS.items():
            report, cpu, peak = run(data, *options, *more)
            stages = "  ".join(
                f"{name} {seconds['cpu']:.2f}" for name, seconds in report["stages"].items()
            )
            print(f"  {kind}: {cpu:.1f} CPU s, peak {peak:,.0f} MB\n    {stages}", flush=True)


if __name__ == "__main__":
    main()
