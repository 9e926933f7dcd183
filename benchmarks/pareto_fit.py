"""CPU seconds of a Pareto/NBD fit: ours, lifetimes', pymc-marketing's (MAP), beside our BG/NBD.

    .venv-bench/bin/python benchmarks/pareto_fit.py [customers] [repeats]

The same Parquet file for everybody, one fresh process each in turn, tables made beforehand; all
that a user must call to get estimates counts. Targets at 100,000 customers: at most 8 times our
BG/NBD fit, a 60th of lifetimes', a 40th of pymc-marketing's.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from stopwatch import Stopwatch
from terms import END

HERE = Path(__file__).parent


def ours(data: str) -> None:
    import clv

    rfm = clv.rfm_summary(clv.read_transactions(data), observation_period_end=END).to_arrow()
    watch = Stopwatch()
    clv.BetaGeoModel().fit(clv.rfm_table(rfm, time_unit="week"))  # loads what is loaded once
    for stage, model in (("BG/NBD", clv.BetaGeoModel()), ("Pareto/NBD", clv.ParetoNBDModel())):
        table = clv.rfm_table(rfm, time_unit="week")  # nothing of one fit helps the other
        with watch.stage(stage):
            fitted = model.fit(table)
    watch.report(**fitted.parameters)


def lifetimes(data: str) -> None:
    from lifetimes import ParetoNBDFitter

    rfm = _weeks(data)
    watch = Stopwatch()
    with watch.stage("Pareto/NBD"):
        fitter = ParetoNBDFitter().fit(rfm["frequency"], rfm["recency"], rfm["T"])
    watch.report(**{name: float(value) for name, value in fitter.params_.items()})


def pymc_marketing(data: str) -> None:
    from pymc_marketing.clv import ParetoNBDModel

    rfm = _weeks(data).reset_index()
    watch = Stopwatch()
    with watch.stage("Pareto/NBD"):
        model = ParetoNBDModel()
        model.fit(rfm, method="map", progressbar=False)
    posterior = model.posterior
    watch.report(**{name: float(posterior[name].mean()) for name in ("r", "alpha", "s", "beta")})


def _weeks(data: str):
    import pandas as pd
    from lifetimes.utils import summary_data_from_transaction_data

    lines = pd.read_parquet(data)
    return summary_data_from_transaction_data(
        lines, "customer_id", "date", observation_period_end=END, freq="D", freq_multiplier=7
    )


CONTESTANTS = {"clv": ours, "lifetimes": lifetimes, "pymc-marketing": pymc_marketing}


def main(customers: int = 100_000, repeats: int = 3) -> None:
    seconds: dict[tuple[str, str], list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        data = str(Path(folder) / "transactions.parquet")
        python = [sys.executable, "-W", "ignore"]
        subprocess.run([*python, str(HERE / "make_data.py"), str(customers), data], check=True)
        for _ in range(repeats):
            for name in CONTESTANTS:
                command = [*python, __file__, "--contestant", name, data]
                said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
                report = json.loads(said.splitlines()[-1])
                for stage, spent in report["stages"].items():
                    seconds.setdefault((name, stage), []).append(spent["cpu"])
                print(f"{name:15} {report['answers']}", flush=True)
    median = {key: statistics.median(spent) for key, spent in seconds.items()}
    fit = median["clv", "Pareto/NBD"]
    print(f"\n{customers:,} customers, CPU seconds, medians of {repeats}")
    for (name, stage), spent in median.items():
        print(f"{name:15} {stage:11} {spent:8.3f}   {spent / fit:7.2f} of our Pareto/NBD fit")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--contestant"]:
        CONTESTANTS[sys.argv[2]](sys.argv[3])
    else:
        main(*map(int, sys.argv[1:]))
