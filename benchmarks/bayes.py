"""Effective draws per second of a BG/NBD posterior, beside pymc-marketing on the same rows.

    python benchmarks/bayes.py cdnow 100000

Wall time, compiling and the search for the mode included, with PyMC, nutpie and ArviZ imported for
all. Of chains it is the minimum over parameters of the bulk effective sample size, of importance
samples ``(sum of weights)**2 / sum of squared weights``.
"""

from __future__ import annotations

import argparse
import json
import os
import time
import warnings

import numpy as np
import pandas as pd

import clv
from clv import Prior
from clv.families import bg_nbd
from clv.numerics.sampling import simulate_histories

THEIR_PRIORS = {
    "r": Prior("Weibull", alpha=2, beta=1),
    "alpha": Prior("Weibull", alpha=2, beta=10),
    "phi_dropout": Prior("Uniform", lower=0, upper=1),
    "kappa_dropout": Prior("Pareto", alpha=1, m=1),
}


def table(size: str) -> clv.RFM:
    if size == "cdnow":
        return clv.rfm_summary(
            clv.read_transactions(clv.datasets.load_cdnow()),
            observation_period_end="1998-06-30",
            calibration_period_end="1997-09-30",
        )
    n = int(size)
    T = np.random.default_rng(0).integers(27 * 7, 273, n) / 7
    drawn = simulate_histories(bg_nbd, bg_nbd.Parameters(0.2426, 4.414, 0.793, 2.426), T, 1)
    days = np.maximum(np.ceil(drawn.recency * 7), 1.0) / 7  # whole days, as in life
    recency = np.where(drawn.frequency > 0, np.minimum(days, T), 0.0)
    frame = pd.DataFrame(
        {"customer_id": np.arange(n), "frequency": drawn.frequency, "recency": recency, "T": T}
    )
    return clv.rfm_table(frame, time_unit="week")


def ours(rfm: clv.RFM, method: str, **options: object) -> dict[str, float]:
    start = time.perf_counter()
    fitted = (
        clv.BetaGeoModel().fit(
            rfm, method=method, priors=THEIR_PRIORS, seed=1, progress=False, **options
        )
        if method == "mcmc"
        else clv.BetaGeoModel().fit(rfm, method=method, priors=THEIR_PRIORS, seed=1)
    )
    seconds = time.perf_counter() - start
    posterior = fitted.posterior
    if method == "laplace":
        effective = posterior.effective
    else:
        effective = float(posterior.diagnostics.bulk_ess.min())
    return {"effective": effective, "seconds": seconds, **_summary(posterior.points.T)}


def ours_by_pymc(rfm: clv.RFM) -> dict[str, float]:
    """The path of somebody who changes the pm.Model: PyMC's own sampler on it."""
    import arviz
    import pymc

    start = time.perf_counter()
    fitted = clv.BetaGeoModel().fit(rfm, method="map", priors=THEIR_PRIORS)
    with fitted.pymc_model():
        trace = pymc.sample(
            chains=4, random_seed=1, progressbar=False, compute_convergence_checks=False
        )
    seconds = time.perf_counter() - start
    names = list(bg_nbd.PARAMETERS)
    effective = min(float(arviz.ess(trace["posterior"][n].values)) for n in names)
    points = [trace["posterior"][n].values.ravel() for n in names]
    return {"effective": effective, "seconds": seconds, **_summary(points)}


def theirs(rfm: clv.RFM, sampler: str, draws: int) -> dict[str, float]:
    import arviz
    from pymc_marketing.clv import BetaGeoModel

    data = rfm.to_pandas()[["customer_id", "frequency", "recency", "T"]]
    start = time.perf_counter()
    model = BetaGeoModel(data=data)
    model.build_model()
    trace = model.fit(
        nuts_sampler=sampler, draws=draws, tune=1_000, chains=4, random_seed=1, progressbar=False
    )
    seconds = time.perf_counter() - start
    posterior = getattr(trace, "posterior", trace)
    names = list(bg_nbd.PARAMETERS)
    effective = min(float(arviz.ess(posterior[n].values)) for n in names)
    return {
        "effective": effective,
        "seconds": seconds,
        **_summary([posterior[n].values.ravel() for n in names]),
    }


def _summary(columns: object) -> dict[str, float]:
    return {
        f"{what} {name}": float(of(values))
        for name, values in zip(bg_nbd.PARAMETERS, columns, strict=True)
        for what, of in (("mean", np.mean), ("sd", np.std))
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("sizes", nargs="*", default=["cdnow"])
    parser.add_argument("--draws", type=int, default=1_000, help="per chain of pymc-marketing")
    parser.add_argument("--without-peer", action="store_true")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    import arviz  # noqa: F401 - not part of what is timed
    import pymc  # noqa: F401

    for size in arguments.sizes:
        rfm = table(size)
        runs = {
            "laplace": lambda rfm=rfm: ours(rfm, "laplace"),
            "mcmc, nutpie": lambda rfm=rfm: ours(rfm, "mcmc", sampler="nutpie"),
            "own pm.Model, PyMC": lambda rfm=rfm: ours_by_pymc(rfm),
        }
        if not arguments.without_peer:
            for sampler in ("pymc", "nutpie"):
                runs[f"pymc-marketing, {sampler}"] = lambda rfm=rfm, s=sampler: theirs(
                    rfm, s, arguments.draws
                )
        for name, run in runs.items():
            try:
                found = run()
            except Exception as error:  # a peer's sampler that is not there
                print(f"{size:>8}  {name:<24} {error!r:.80}", flush=True)
                continue
            rate = found["effective"] / found["seconds"]
            print(
                f"{size:>8}  {name:<24} {found['effective']:>8,.0f} effective in "
                f"{found['seconds']:>7.2f} s: {rate:>9,.1f} per second  (load "
                f"{os.getloadavg()[0]:.1f})",
                flush=True,
            )
            print(" " * 10 + json.dumps({k: round(v, 4) for k, v in found.items()}), flush=True)


if __name__ == "__main__":
    main()
