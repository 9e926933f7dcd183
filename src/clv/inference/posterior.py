"""What a Bayesian fit leaves behind: draws, how they came about, and whether to trust them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from clv.inference.coordinates import Stated
from clv.inference.priors import Prior
from clv.numerics.backend import Array

#: What a sample must reach: the largest R-hat, the smallest effective sample sizes, the smallest
#: E-BFMI, and the share of draws that may end in a divergence.
LARGEST_R_HAT, FEWEST_EFFECTIVE, SMALLEST_BFMI, DIVERGENT_SHARE = 1.01, 400.0, 0.3, 1e-3


class Diagnostics(NamedTuple):
    """How well Markov chains have explored the posterior; arrays are in the order of `names`."""

    names: tuple[str, ...]  #: parameters and coefficients
    r_hat: Array  #: rank-normalised, split
    bulk_ess: Array
    tail_ess: Array
    divergences: int
    draws: int  #: in all chains
    bfmi: Array  #: energy fraction of missing information, per chain
    relative_efficiency: float  #: effective over actual draws, for smoothing importance weights

    def problems(self) -> tuple[str, ...]:
        """What is wrong, in sentences; nothing when the sample can be trusted."""
        found = []
        for values, limit, what in (
            (self.r_hat, LARGEST_R_HAT, "R-hat"),
            (-self.bulk_ess, -FEWEST_EFFECTIVE, "bulk effective sample size"),
            (-self.tail_ess, -FEWEST_EFFECTIVE, "tail effective sample size"),
        ):
            worst = int(np.argmax(np.where(np.isnan(values), np.inf, values)))
            if not values[worst] <= limit:
                side = "over" if limit > 0 else "under"
                found.append(
                    f"{what} {abs(values[worst]):.4g} of {self.names[worst]}, {side} {abs(limit):g}"
                )
        if self.divergences > DIVERGENT_SHARE * self.draws:
            found.append(f"{self.divergences:,} of {self.draws:,} draws diverged")
        if self.bfmi.size and not np.min(self.bfmi) >= SMALLEST_BFMI:
            found.append(f"E-BFMI {np.min(self.bfmi):.2g}, under {SMALLEST_BFMI:g}")
        return tuple(found)

    def sentence(self) -> str:
        """The worst of each, for people."""
        return (
            f"R-hat at most {np.max(self.r_hat):.4f}, bulk ESS at least "
            f"{np.min(self.bulk_ess):,.0f}, tail ESS at least {np.min(self.tail_ess):,.0f}, "
            f"{self.divergences:,} divergences, E-BFMI at least {np.min(self.bfmi):.2f}"
        )


@dataclass(frozen=True, eq=False)
class Posterior:
    """Draws of a posterior, and the record of how they were made.

    Attributes
    ----------
    method
        "map", "laplace" or "mcmc".
    names
        Of the K estimates: parameters, then coefficients of covariates.
    stated
        The priors, and what they are stated on.
    samples
        Estimates, shape (chains, draws, K): parameters, and ``exp(coefficient)`` within the fit.
    statistics
        Of the sampler, by name, shape (chains, draws) each: ``lp``, ``diverging``, ``energy``, ...;
        with groups also the spread of each coordinate between them.
    sampler
        What drew them, with its version.
    chains_wanted, draws_wanted
        What was asked for; less was drawn when it was stopped from the keyboard.
    k_hat, effective
        Of an importance sample: the Pareto diagnostic, and its effective number of draws.
    diagnostics
        Of Markov chains.
    observed
        The likelihood of the weighted rows of the fit; not saved.
    coordinates
        Of the priors, to draw from them; not saved.
    """

    method: str
    names: tuple[str, ...]
    stated: tuple[Stated, ...]
    samples: Array
    statistics: Mapping[str, Array] = field(default_factory=dict)
    sampler: str = ""
    seed: int | None = None
    draws_wanted: int = 0
    k_hat: float | None = None
    effective: float | None = None
    diagnostics: Diagnostics | None = None
    observed: Any = None
    coordinates: Any = None

    def to_dict(self) -> dict[str, Any]:
        """All but the draws, in the types of JSON."""
        diagnostics = None
        if self.diagnostics is not None:
            diagnostics = {
                name: value.tolist() if isinstance(value, np.ndarray) else value
                for name, value in self.diagnostics._asdict().items()
            }
        return {
            "method": self.method,
            "names": list(self.names),
            "stated": [{**s._asdict(), "prior": s.prior.to_dict()} for s in self.stated],
            "sampler": self.sampler,
            "seed": self.seed,
            "draws_wanted": self.draws_wanted,
            "k_hat": self.k_hat,
            "effective": self.effective,
            "diagnostics": diagnostics,
        }

    @classmethod
    def from_dict(
        cls, record: Mapping[str, Any], samples: Array, statistics: Mapping[str, Array]
    ) -> Posterior:
        """The way back."""
        known = dict(record)
        stated = tuple(Stated(**{**s, "prior": Prior.of(s["prior"])}) for s in known.pop("stated"))
        diagnostics = known.pop("diagnostics")
        if diagnostics is not None:
            arrays = {n: np.array(v) for n, v in diagnostics.items() if isinstance(v, list)}
            names = tuple(diagnostics["names"])
            diagnostics = Diagnostics(**{**diagnostics, **arrays, "names": names})
        names = tuple(known.pop("names"))
        return cls(
            **known,
            names=names,
            stated=stated,
            samples=samples,
            statistics=statistics,
            diagnostics=diagnostics,
        )

    @property
    def priors(self) -> dict[str, Any]:
        """The priors by what they are stated on."""
        return {stated.name: stated.prior for stated in self.stated}

    @property
    def points(self) -> Array:
        """All draws of all chains, shape (chains * draws, K)."""
        return self.samples.reshape(-1, self.samples.shape[-1])

    @property
    def interrupted(self) -> bool:
        """Whether fewer draws were made than wanted."""
        return self.method == "mcmc" and self.samples.shape[1] < self.draws_wanted

    def thinned(self, draws: int) -> Array:
        """So many draws, evenly spaced over all chains; shape (draws, K) or fewer."""
        every = self.points
        if len(every) <= draws:
            return every
        return np.asarray(every[(np.arange(draws) * len(every)) // draws])

    def problems(self) -> tuple[str, ...]:
        """Why these draws are not to be trusted; nothing when they are."""
        from clv.inference.laplace import FEWEST_EFFECTIVE as FEWEST
        from clv.numerics.pareto_smoothing import UNRELIABLE

        if self.diagnostics is not None:
            return self.diagnostics.problems()
        found = []
        if self.k_hat is not None and not self.k_hat < UNRELIABLE:
            found.append(
                f"Pareto k-hat {self.k_hat:.2f}, over {UNRELIABLE:g}: the posterior is too far "
                "from normal for importance sampling; use method='mcmc'"
            )
        if self.effective is not None and self.effective < FEWEST:
            found.append(f"only {self.effective:,.0f} effective draws, under {FEWEST}")
        return tuple(found)

    def sentence(self) -> str:
        """How it was made and how well, in one line."""
        chains, draws, _ = self.samples.shape
        if self.method == "map":
            return "posterior mode; uncertainty is its normal approximation"
        if self.method == "laplace":
            return (
                f"Laplace approximation, importance-resampled: Pareto k-hat {self.k_hat:.2f}, "
                f"{self.effective:,.0f} effective draws"
            )
        stopped = (
            f", stopped from the keyboard at {draws:,} of {self.draws_wanted:,}"
            if self.interrupted
            else ""
        )
        how = f"{chains} chains of {draws:,} draws by {self.sampler}{stopped}"
        return how if self.diagnostics is None else f"{how}: {self.diagnostics.sentence()}"
