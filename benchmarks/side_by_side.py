"""Measure clv, lifetimes and pymc-marketing on the same file in one run; write RESULTS.md.

    make bench                       100,000 and 1,000,000 customers, medians of 5
    make bench SIZES="100000 --repeats 1"
    python benchmarks/side_by_side.py 10000000 --repeats 1 --without pymc-marketing \\
        --without "clv, intervals" --folder /var/tmp --output ten-million.md

Every job is a fresh process with the machine's default settings; the contestants take turns, so a
slow minute hits all of them. Nothing heavy is imported here: a child's peak must be its own.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

from results import page

HERE = Path(__file__).parent

JOBS = {
    "clv": ("clv_job.py", "interval=none"),
    "clv, intervals": ("clv_job.py",),
    "lifetimes": ("lifetimes_job.py",),
    "pymc-marketing": ("pymc_marketing_job.py",),
}

PACKAGES = [
    "predictive-clv", "lifetimes", "pymc-marketing", "pymc", "pytensor", "numpy", "scipy", "pandas",
    "duckdb", "pyarrow",
]  # fmt: skip


@dataclass
class Runs:
    """What one contestant took, run by run, and what it answered."""

    stages: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    peak_mb: list[float] = field(default_factory=list)
    answers: dict[str, float] = field(default_factory=dict)

    def add(self, stage: str, wall: float, cpu: float) -> None:
        seconds = self.stages.setdefault(stage, {"wall": [], "cpu": []})
        seconds["wall"].append(wall)
        seconds["cpu"].append(cpu)

    def median(self, stage: str, clock: str) -> float:
        return statistics.median(self.stages[stage][clock])


Jobs = dict[str, tuple[str, ...]]


def run_once(job: tuple[str, ...], data: Path, runs: Runs) -> None:
    script, *options = job
    command = [sys.executable, "-W", "ignore", str(HERE / "jobs" / script), str(data), *options]
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        started = time.perf_counter()
        child = subprocess.Popen(command, stdout=out, stderr=err)
        _, status, usage = os.wait4(child.pid, 0)
        wall = time.perf_counter() - started
        child.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        if child.returncode:
            raise SystemExit(f"{' '.join(command)} failed:\n{err.read()}")
        report = json.loads(out.read().splitlines()[-1])
    for name, seconds in report["stages"].items():
        runs.add(name, seconds["wall"], seconds["cpu"])
    runs.add("whole job", wall, usage.ru_utime + usage.ru_stime)
    runs.peak_mb.append(usage.ru_maxrss / 1024)
    runs.answers = report["answers"]


def made(size: int, folder: Path) -> tuple[Path, int]:
    """Return the file of so many customers, made if it is not there, and its transactions."""
    path = folder / f"transactions-{size}.parquet"
    found = subprocess.run(
        [sys.executable, str(HERE / "make_data.py"), str(size), str(path)],
        check=True,
        capture_output=True,
        text=True,
    )
    return path, int(found.stdout)


def measure(jobs: Jobs, size: int, repeats: int, folder: Path) -> tuple[int, dict[str, Runs]]:
    """Return the number of transactions and everybody's runs at one size."""
    data, transactions = made(size, folder)
    everybody = {name: Runs() for name in jobs}
    for repeat in range(repeats):
        for name, job in jobs.items():
            run_once(job, data, everybody[name])
            wall = everybody[name].stages["whole job"]["wall"][-1]
            print(f"{size:>9,} customers, run {repeat + 1}: {name:<15} {wall:7.2f} s", flush=True)
    return transactions, everybody


def warm_up(jobs: Jobs, folder: Path) -> None:
    """Run everybody once on a small file: compiled code and cached files are there for all."""
    data, _ = made(2_000, folder)
    for name, job in jobs.items():
        run_once(job, data, Runs())
        print(f"warm-up: {name}", flush=True)


def machine() -> str:
    """Return processor, cores, memory and Python; no names of hosts."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        model = lines[0].split(":", 1)[1].strip() if lines else model
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{os.cpu_count()} cores ({model}), {memory:.0f} GiB, {platform.system()}, "
        f"Python {platform.python_version()}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("sizes", nargs="*", type=int, default=[100_000, 1_000_000])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--output", type=Path, default=HERE / "RESULTS.md")
    parser.add_argument(
        "--without", action="append", default=[], choices=list(JOBS)[1:], help="leave somebody out"
    )
    parser.add_argument("--folder", type=Path, help="where files of transactions are kept")
    arguments = parser.parse_args()
    jobs = {name: job for name, job in JOBS.items() if name not in arguments.without}

    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.folder or Path(scratch)
        warm_up(jobs, Path(scratch))
        measured = {
            size: measure(jobs, size, arguments.repeats, folder) for size in arguments.sizes
        }
    about = {
        "machine": machine(),
        "load": f"{load:.1f} before the run",
        "versions": ", ".join(
            f"{name} {version(name)}" for name in PACKAGES if name not in arguments.without
        ),
        "repeats": str(arguments.repeats),
    }
    text = page(measured, about)
    arguments.output.write_text(text)
    print(text)
    print(f"written: {arguments.output}")


if __name__ == "__main__":
    main()
