"""What each stage costs as customers become many: CPU seconds and peak memory.

    python benchmarks/scale.py 100000 1000000 10000000

Every run is a fresh process on a file of `make_data.py`, which is made once and kept in --folder.
Prints the tables that docs/scale.md has; that page explains what they say.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from results import table
from side_by_side import made
from terms import END

HERE = Path(__file__).parent

KINDS = {
    "in memory": (),
    "`--memory 2GB`": ("memory=2GB",),
    "`--memory 1GB`": ("memory=1GB",),
}
STAGES = ["import", "read", "summarise", "BG/NBD fit", "Gamma-Gamma fit", "forecast", "write"]


@dataclass
class Run:
    """What a process took, and what it said."""

    said: str
    cpu: float
    wall: float
    peak_mb: float

    def stage(self, name: str) -> float:
        """The CPU seconds of a stage, from the last line."""
        return float(json.loads(self.said.splitlines()[-1])["stages"][name]["cpu"])


def run(*command: str) -> Run:
    with tempfile.TemporaryFile("w+") as out:
        started = time.perf_counter()
        child = subprocess.Popen(command, stdout=out, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(child.pid, 0)
        wall = time.perf_counter() - started
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            raise SystemExit(f"{' '.join(command)} failed")
        out.seek(0)
        said = out.read()
    return Run(said, usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss / 1024)


def job(data: Path, *options: str) -> Run:
    """Run the stages one by one."""
    return run(sys.executable, str(HERE / "jobs" / "scale_job.py"), str(data), *options)


def command(data: Path, *options: str) -> Run:
    """Run `clv forecast`, intervals and the file included."""
    with tempfile.TemporaryDirectory() as folder:
        where = ("--observation-period-end", END, "--output", f"{folder}/forecast.parquet")
        return run(sys.executable, "-m", "clv", "forecast", str(data), *where, *options)


def stage_row(size: int, kind: str, found: Run) -> list[str]:
    seconds = [found.stage(stage) for stage in STAGES]
    return [
        *(f"{size:,}", kind, *(f"{cpu:.2f}" for cpu in seconds)),
        *(f"{found.cpu:.1f}", f"{found.wall:.1f}", f"{found.peak_mb:,.0f} MB"),
    ]


def floor_row(size: int, floor: float, found: Run) -> list[str]:
    """How many times each stage takes what reading the three columns alone takes."""
    read, summary, bg, gg, scored, written = (found.stage(stage) / floor for stage in STAGES[1:])
    times = (read, summary, bg + gg, scored, written)
    return [f"{size:,}", f"{floor:.2f}", *(f"{ratio:.1f} x" for ratio in times)]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("sizes", nargs="*", type=int, default=[100_000, 1_000_000, 10_000_000])
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--intervals", action="store_true", help="with predictive intervals")
    arguments = parser.parse_args()
    more = ("intervals=yes",) if arguments.intervals else ()
    load, floors, stages, commands = os.getloadavg()[0], [], [], []
    for size in arguments.sizes:
        data, _ = made(size, arguments.folder)
        floor = job(data, "floor=yes").stage("floor")
        for kind, options in KINDS.items():
            found = job(data, *options, *more)
            print(f"{size:,} customers, {kind}: {found.cpu:.1f} CPU s", file=sys.stderr, flush=True)
            stages.append(stage_row(size, kind, found))
            if not options:
                floors.append(floor_row(size, floor, found))
        for options in ((), ("--memory", "1GB")):
            found = command(data, *options)
            words = ["clv forecast", *options]
            took = f"{found.cpu:.1f}", f"{found.wall:.1f}", f"{found.peak_mb:,.0f} MB"
            commands.append([f"{size:,}", f"`{' '.join(words)}`", *took])
    print(f"Load {load:.1f} before the run, {os.cpu_count()} cores. CPU seconds:\n")
    last = ["whole job", "its wall time", "peak"]
    print(table(["customers", "", *STAGES, *last], stages))
    print("\nThe command, with intervals, checks, sums and a file:\n")
    print(table(["customers", "command", "CPU s", "wall s", "peak"], commands))
    print("\nTimes the CPU seconds of reading the three columns and nothing else:\n")
    above = ["read", "summarise", "both fits", "forecast", "write"]
    print(table(["customers", "CPU s of the floor", *above], floors))


if __name__ == "__main__":
    main()
