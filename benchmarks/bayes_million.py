"""Sample BG/NBD and Gamma-Gamma of a million customers, and forecast everybody with 1,000 draws.

    python benchmarks/bayes_million.py             # a few minutes, under 2 GB
    python benchmarks/bayes_million.py 100000

Customers are simulated and seen by the day. Stages are timed; the last column is the largest amount
of memory that this process has held so far.
"""

from __future__ import annotations

import argparse
import resource

import numpy as np
from bayes import purchases_of
from stopwatch import Stopwatch

import clv


def table(n: int) -> clv.RFM:
    """Purchases by BG/NBD, values in cents by Gamma-Gamma, with the parameters of CDNOW."""
    frame = purchases_of(n)
    rng = np.random.default_rng(2)
    x = frame["frequency"].to_numpy()
    level = rng.gamma(3.74, 1.0 / 15.45, n)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = np.round(rng.gamma(np.maximum(6.25 * x, 1e-9)) / (level * x), 2)
    frame["monetary_value"] = np.where(x > 0, np.maximum(mean, 0.01), np.nan)
    return clv.rfm_table(frame, time_unit="week")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("customers", nargs="?", type=int, default=1_000_000)
    n = parser.parse_args().customers
    watch = Stopwatch()

    def tell(stage: str, more: str = "") -> None:
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
        seconds = watch.stages[stage]
        print(
            f"| {stage} | {seconds['wall']:.1f} | {seconds['cpu']:.1f} | {memory:.2f} | {more} |",
            flush=True,
        )

    print("| stage | wall s | cpu s | peak memory, GB | |\n|---|---:|---:|---:|---|")
    with watch.stage("simulate"):
        rfm = table(n)
    tell("simulate", f"{len(rfm):,} customers")
    fitted = {}
    for model in ("bg_nbd", "gamma_gamma"):
        with watch.stage(model):
            fitted[model] = clv.model_class(model)().fit(
                rfm, method="mcmc", seed=1, draws=1_000, progress=False
            )
        tell(model, fitted[model].convergence.message)
    with watch.stage("forecast"):
        forecast = clv.forecast(rfm, fitted["bg_nbd"], fitted["gamma_gamma"], horizon="52 weeks")
    scored = forecast.to_pandas()
    tell("forecast", f"{len(scored):,} customers, {', '.join(scored.columns)}")


if __name__ == "__main__":
    main()
