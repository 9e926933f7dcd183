"""Effective draws per second of BG/NBD posteriors, and whether ours are those of pymc-marketing.

    python benchmarks/bayes.py                  # CDNOW, 10,000 and 100,000 customers: half an hour
    python benchmarks/bayes.py cdnow --ours     # without pymc-marketing: a minute

Every run has a process of its own with nothing compiled beforehand. Seconds are of the wall (and
of the processor, children included); compiling and the search for the mode count, imports do not.
Effective draws are the minimum over parameters of the bulk effective sample size of chains, and
``(sum of weights)**2 / sum of squared weights`` of importance samples. Priors are the defaults of
pymc-marketing, ours set to them by name. Written to the standard output: tables in Markdown.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
from stopwatch import cpu_seconds

import clv
from clv import Prior
from clv.families import bg_nbd
from clv.numerics.sampling import simulate_histories

#: Of pymc-marketing 0.19.
THEIR_PRIORS = {
    "bg_nbd": {
        "r": Prior("Weibull", alpha=2, beta=1),
        "alpha": Prior("Weibull", alpha=2, beta=10),
        "phi_dropout": Prior("Uniform", lower=0, upper=1),
        "kappa_dropout": Prior("Pareto", alpha=1, m=1),
    },
    "gamma_gamma": {name: Prior("HalfFlat") for name in ("p", "q", "v")},
}

#: Chains are as many and as long for everybody, on all cores.
CHAINS, DRAWS, CORES = 4, 1_000, len(os.sched_getaffinity(0))


def table(size: str) -> clv.RFM:
    """CDNOW, or so many simulated customers who are seen by the day."""
    if size == "cdnow":
        return clv.rfm_summary(
            clv.read_transactions(clv.datasets.load_cdnow()),
            observation_period_end="1998-06-30",
            calibration_period_end="1997-09-30",
        )
    return clv.rfm_table(purchases_of(int(size)), time_unit="week")


def purchases_of(n: int) -> pd.DataFrame:
    """Simulated customers, with the parameters of CDNOW."""
    T = np.random.default_rng(0).integers(27 * 7, 273, n) / 7
    drawn = simulate_histories(bg_nbd, bg_nbd.Parameters(0.2426, 4.414, 0.793, 2.426), T, 1)
    days = np.maximum(np.ceil(drawn.recency * 7), 1.0) / 7  # whole days, as in life
    recency = np.where(drawn.frequency > 0, np.minimum(days, T), 0.0)
    return pd.DataFrame(
        {"customer_id": np.arange(n), "frequency": drawn.frequency, "recency": recency, "T": T}
    )


# --- contestants: each returns draws by name (chains, draws), and what is known of them -----------

Drawn = tuple[dict[str, np.ndarray], dict[str, float]]


def by_laplace(rfm: clv.RFM, model: str) -> Drawn:
    fitted = clv.model_class(model)().fit(rfm, method="laplace", priors=THEIR_PRIORS[model], seed=1)
    posterior = fitted.posterior
    return _columns(fitted), {"effective": posterior.effective, "k_hat": posterior.k_hat}


def by_mcmc(rfm: clv.RFM, model: str) -> Drawn:
    fitted = clv.model_class(model)().fit(
        rfm,
        method="mcmc",
        sampler="nutpie",
        priors=THEIR_PRIORS[model],
        seed=1,
        chains=CHAINS,
        samples=DRAWS,
        progress=False,
    )
    return _columns(fitted), {}


def _columns(fitted: Any) -> dict[str, np.ndarray]:
    return {name: fitted.posterior.samples[..., i] for i, name in enumerate(fitted.parameters)}


def by_own_model(rfm: clv.RFM, model: str) -> Drawn:
    """The path of somebody who changes the ``pm.Model``: ``pm.sample``, as docs/bayes.md has it."""
    import pymc

    fitted = clv.model_class(model)().fit(rfm, method="map", priors=THEIR_PRIORS[model])
    with fitted.pymc_model():
        trace = pymc.sample(
            DRAWS,
            chains=CHAINS,
            cores=CORES,
            init="jitter+adapt_full",
            random_seed=1,
            nuts_sampler="pymc",
            progressbar=False,
            compute_convergence_checks=False,
        )
    return {name: trace["posterior"][name].values for name in fitted.parameters}, {}


def by_pymc_marketing(rfm: clv.RFM, model: str, sampler: str) -> Drawn:
    from pymc_marketing import clv as theirs

    data = rfm.to_pandas()
    if model == "gamma_gamma":
        data = data.loc[data["frequency"] > 0, ["customer_id", "frequency", "monetary_value"]]
    else:
        data = data[["customer_id", "frequency", "recency", "T"]]
    made = getattr(theirs, clv.model_class(model).__name__)(data=data)
    trace = made.fit(
        nuts_sampler=sampler,
        draws=DRAWS,
        tune=1_000,
        chains=CHAINS,
        cores=CORES,
        random_seed=1,
        progressbar=False,
    )
    names = clv.families.find(model).PARAMETERS
    return {name: trace["posterior"][name].values for name in names}, {}


PATHS: dict[str, Callable[[clv.RFM, str], Drawn]] = {
    'clv, "laplace"': by_laplace,
    'clv, "mcmc" (nutpie)': by_mcmc,
    "clv, own pm.Model (PyMC)": by_own_model,
    "pymc-marketing (PyMC)": lambda rfm, model: by_pymc_marketing(rfm, model, "pymc"),
    "pymc-marketing (nutpie)": lambda rfm, model: by_pymc_marketing(rfm, model, "nutpie"),
}
OURS = [name for name in PATHS if name.startswith("clv")]
THEIRS = [name for name in PATHS if name not in OURS]


# --- one run in a process of its own --------------------------------------------------------------


def run_here(path: str, model: str, size: str) -> None:
    """Time one contestant; a line of JSON is its answer."""
    warnings.simplefilter("ignore")
    import arviz
    import nutpie  # noqa: F401 - not part of what is timed
    import pymc  # noqa: F401

    by_laplace(table("cdnow"), model)  # imports what is imported when first needed
    rfm = table(size)
    wall, cpu = time.perf_counter(), cpu_seconds()
    columns, found = PATHS[path](rfm, model)
    found |= {"wall": time.perf_counter() - wall, "cpu": cpu_seconds() - cpu}
    if "effective" not in found:
        found["effective"] = min(float(arviz.ess(c, method="bulk")) for c in columns.values())
    figures = {
        name: {
            "mean": float(c.mean()),
            "sd": float(c.std()),
            "mcse": float(c.std() / np.sqrt(arviz.ess(c, method="mean"))) if len(c) > 1 else None,
        }
        for name, c in columns.items()
    }
    print(json.dumps({**found, "parameters": figures}))


def run(path: str, model: str, size: str) -> dict[str, Any]:
    """The same in a new process, with nothing compiled; what it says goes to the standard error."""
    with tempfile.TemporaryDirectory() as empty:
        environment = {**os.environ, "PYTENSOR_FLAGS": f"base_compiledir={empty}"}
        done = subprocess.run(
            [sys.executable, __file__, "--only", path, model, size],
            capture_output=True,
            text=True,
            env=environment,
            check=False,
        )
    if done.returncode:
        sys.stderr.write(done.stderr)
        raise SystemExit(f"{path} failed on {size}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(f"{size} {model} {path}: {found}", file=sys.stderr, flush=True)
    return found


# --- tables ---------------------------------------------------------------------------------------


def speeds(size: str, paths: list[str]) -> Iterator[str]:
    """Rows of one size; ratios to the better sampler of pymc-marketing."""
    found = {path: run(path, "bg_nbd", size) for path in paths}
    rate = {path: f["effective"] / f["wall"] for path, f in found.items()}
    best = max((rate[path] for path in paths if path in THEIRS), default=float("nan"))
    for path, f in found.items():
        k_hat = f"{f['k_hat']:.2f}" if "k_hat" in f else ""
        yield (
            f"| {size} | {path} | {f['effective']:,.0f} | {k_hat} | {f['wall']:.2f} | "
            f"{f['cpu']:.2f} | {rate[path]:,.0f} | {rate[path] / best:,.1f} |"
        )


def agreement(model: str) -> Iterator[str]:
    """Means of both on CDNOW, and their difference in Monte Carlo standard errors."""
    ours, theirs = (run(p, model, "cdnow")["parameters"] for p in (OURS[1], THEIRS[0]))
    for name, a in ours.items():
        b = theirs[name]
        z = (a["mean"] - b["mean"]) / np.hypot(a["mcse"], b["mcse"])
        yield (
            f"| {clv.families.find(model).TITLE} | {name} | {a['mean']:.4f} ± {a['mcse']:.4f} | "
            f"{b['mean']:.4f} ± {b['mcse']:.4f} | {a['sd']:.4f} | {b['sd']:.4f} | {z:+.2f} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sizes", nargs="*", default=["cdnow", "10000", "100000"])
    parser.add_argument("--ours", action="store_true", help="without pymc-marketing")
    parser.add_argument("--agreement", action="store_true", help="only whether posteriors agree")
    parser.add_argument("--only", nargs=3, metavar=("PATH", "MODEL", "SIZE"), help="one run")
    arguments = parser.parse_args()
    if arguments.only:
        run_here(*arguments.only)
        return
    print(f"{CORES} cores, load {os.getloadavg()[0]:.1f} before the run.\n")
    if not arguments.agreement:
        print("| customers | by | effective | k-hat | wall s | cpu s | effective per s | ratio |")
        print("|---|---|---:|---:|---:|---:|---:|---:|", flush=True)
        for size in arguments.sizes:
            for row in speeds(size, OURS if arguments.ours else list(PATHS)):
                print(row, flush=True)
    if not arguments.ours:
        print("\n| model | parameter | mean, clv | mean, pymc-marketing | sd | their sd | z |")
        print("|---|---|---:|---:|---:|---:|---:|", flush=True)
        for model in THEIR_PRIORS:
            for row in agreement(model):
                print(row, flush=True)


if __name__ == "__main__":
    main()
