"""R-hat, effective sample sizes and E-BFMI, by ArviZ: of its lines 0 and 1 alike."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from clv.inference.posterior import Diagnostics
from clv.numerics.backend import Array

#: Probabilities whose estimation the tail effective sample size is about.
_TAILS = (0.05, 0.95)


def diagnose(
    names: tuple[str, ...], samples: Array, statistics: Mapping[str, Array]
) -> Diagnostics:
    """Diagnostics of chains.

    Parameters
    ----------
    names
        Of the K columns.
    samples
        Shape (chains, draws, K).
    statistics
        Of the sampler, by name, shape (chains, draws): ``diverging`` and ``energy`` are looked at.
    """
    import arviz

    chains, draws, k = samples.shape
    columns = [np.ascontiguousarray(samples[:, :, j]) for j in range(k)]
    if draws < 4:  # nothing can be said of so few
        empty = np.full(k, np.nan)
        return Diagnostics(names, empty, empty, empty, 0, chains * draws, np.full(1, np.nan), 1.0)
    mean_ess = np.array([float(arviz.ess(c, method="mean")) for c in columns])
    energy = statistics.get("energy")
    diverging = statistics.get("diverging")
    return Diagnostics(
        names,
        np.array([float(arviz.rhat(c)) for c in columns]) if chains > 1 else np.full(k, np.nan),
        np.array([float(arviz.ess(c, method="bulk")) for c in columns]),
        np.array([float(arviz.ess(c, method="tail", prob=_TAILS)) for c in columns]),
        0 if diverging is None else int(np.sum(diverging)),
        chains * draws,
        np.empty(0) if energy is None else np.asarray(arviz.bfmi(np.asarray(energy))),
        float(mean_ess.mean() / (chains * draws)),
    )
