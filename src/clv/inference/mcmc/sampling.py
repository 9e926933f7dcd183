"""Run chains: by nutpie on our own density, or by PyMC on its graph."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any, NamedTuple

import numpy as np

from clv.errors import DataError, FitError
from clv.inference.bending import bent
from clv.inference.laplace import Mode
from clv.inference.plan import Chains
from clv.inference.target import Density, Target
from clv.numerics.backend import Array

SAMPLERS = ("nutpie", "pymc")

#: Draws per chain that must be there for an interrupted run to be of use.
FEWEST_DRAWS = 50

#: What nutpie and PyMC call the same, under the names of ArviZ.
_STATISTICS = {
    "lp": ("logp", "lp"),
    "diverging": ("diverging",),
    "energy": ("energy",),
    "tree_depth": ("depth", "tree_depth"),
    "n_steps": ("n_steps", "tree_size"),
    "acceptance_rate": ("mean_tree_accept", "acceptance_rate"),
    "step_size": ("step_size",),
}


class Drawn(NamedTuple):
    """Chains, in coordinates."""

    points: Array  #: (chains, draws, K)
    statistics: dict[str, Array]  #: by name, (chains, draws) each
    sampler: str  #: with its version


def sample(target: Density, mode: Mode, *, seed: int, how: Chains) -> Drawn:
    """Sample a density, starting at its mode with the metric of its Laplace approximation.

    Parameters
    ----------
    target
        A log-density of K coordinates; PyMC takes only those of `pymc_model`, a `Target`.
    mode
        Of this density.
    seed
        Of all chains.
    how
        What runs them, how many and how long.

    Raises
    ------
    FitError
        If the sampler is not installed.
    KeyboardInterrupt
        If stopped from the keyboard before enough was drawn to be of use; later, what was drawn
        is kept.
    """
    name = choose_sampler(how.sampler)
    if name == "nutpie":
        density, at = bent(target, mode)
        found = _by_nutpie(density, at, seed, how)
        return found._replace(points=density.straight(found.points))
    if not isinstance(target, Target):
        raise FitError("PyMC samples models that it knows as a graph; use sampler='nutpie'")
    from clv.inference.mcmc.graph import sample_graph

    drawn: Drawn = sample_graph(target, mode, seed, how)
    return drawn


def choose_sampler(name: str | None) -> str:
    """The sampler wanted; without a wish nutpie where it is installed, else PyMC's own."""
    if name is None:
        for candidate in SAMPLERS:
            if _installed(candidate):
                return candidate
        raise FitError(
            "method='mcmc' needs nutpie or pymc; pip install 'predictive-clv[bayes]', or use "
            "method='laplace'"
        )
    if name not in SAMPLERS:
        raise DataError(f"sampler must be 'nutpie' or 'pymc', not {name!r}")
    if not _installed(name):
        raise FitError(f"{name} is not installed; pip install 'predictive-clv[bayes]'")
    return name


def _installed(package: str) -> bool:
    try:
        version(package)
    except PackageNotFoundError:
        return False
    return True


def cores_of(how: Chains) -> int:
    """How many chains run at a time: as many as there are cores for this process."""
    if how.cores is not None:
        return how.cores
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, min(how.chains, available or 1))


def shows_progress(wanted: bool | None) -> bool:
    """Whether to draw a progress bar: in a terminal or a notebook, and never into a pipe."""
    if wanted is not None:
        return wanted
    shell = sys.modules.get("IPython")
    running = None if shell is None else shell.get_ipython()
    if running is not None and type(running).__name__ == "ZMQInteractiveShell":
        return True
    return sys.stderr.isatty() and sys.stdout.isatty()


def whitened(target: Density, mode: Mode) -> Callable[[Array], tuple[float, Array]]:
    """The density of coordinates in which its Laplace approximation is standard normal."""
    point, root, across = mode.point, mode.root, mode.root.T.copy()

    def log_density(x: Array) -> tuple[float, Array]:
        with np.errstate(all="ignore"):
            value, gradient = target(point + root @ x)
            slope = across @ gradient
        if not (np.isfinite(value) and np.isfinite(slope).all()):
            return -np.inf, np.zeros_like(x)
        return value, slope

    return log_density


def _by_nutpie(target: Density, mode: Mode, seed: int, how: Chains) -> Drawn:
    import nutpie
    from nutpie.compiled_pyfunc import from_pyfunc

    k = len(mode.point)
    density = whitened(target, mode)
    model = from_pyfunc(
        k,
        lambda: density,
        lambda *_: lambda x: {"x": x},
        [np.dtype(np.float64)],
        [(k,)],
        ["x"],
        make_initial_point_fn=lambda s: 0.3 * np.random.default_rng(s).standard_normal(k),
    )
    trace = nutpie.sample(
        model,
        draws=how.samples,
        tune=how.tune,
        chains=how.chains,
        cores=_threads(density, k, how),
        seed=seed,
        target_accept=how.target_accept,
        progress_bar=shows_progress(how.progress),
        save_warmup=False,
    )
    if "posterior" not in groups_of(trace):
        raise KeyboardInterrupt(_TOO_EARLY)
    drawn = np.asarray(trace["posterior"]["x"].values, dtype=np.float64)
    statistics = {name: trace["sample_stats"][name].values for name in trace["sample_stats"]}
    kept, statistics = whole_chains(drawn, statistics, how)
    return Drawn(mode.point + kept @ mode.root.T, statistics, f"nutpie {version('nutpie')}")


def _threads(density: Callable[[Array], Any], k: int, how: Chains) -> int:
    """How many chains run at a time, in threads; what they draw does not depend on it.

    Threads whose densities take less time than Python leaves its lock to one of them wait for each
    other: on two cores two chains at a time take twice as long as one after another.
    """
    if how.cores is not None:
        return how.cores
    density(np.zeros(k))  # what is arranged when first needed is no part of it
    start = time.perf_counter()
    density(np.zeros(k))
    pays = time.perf_counter() - start > sys.getswitchinterval()
    return cores_of(how) if pays else 1


_TOO_EARLY = "stopped before enough was drawn to be of use; nothing was fitted"


def groups_of(trace: Any) -> list[str]:
    """Names of the groups of an InferenceData or a DataTree."""
    found = trace.groups() if callable(trace.groups) else trace.children
    return [str(name).strip("/") for name in found]


def whole_chains(
    drawn: Array, statistics: Mapping[str, Any], how: Chains
) -> tuple[Array, dict[str, Array]]:
    """What all chains have drawn; shorter than wanted when stopped from the keyboard.

    Raises
    ------
    KeyboardInterrupt
        If that is too little.
    """
    lengths = np.isfinite(drawn).all(axis=-1).sum(axis=1)
    some = lengths >= min(FEWEST_DRAWS, how.samples)
    if not some.any():
        raise KeyboardInterrupt(_TOO_EARLY)
    length = int(lengths[some].min())
    found = {}
    for name, others in _STATISTICS.items():
        known = next((o for o in others if o in statistics), None)
        if known is not None:
            found[name] = np.asarray(statistics[known])[some, :length]
    return drawn[some, :length], found
