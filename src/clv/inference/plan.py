"""What a user asks of a fit: the method, draws, priors and how chains are run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict

from clv.errors import DataError
from clv.inference.maximum_likelihood import Estimate, parameter_draws
from clv.numerics.backend import Array

if TYPE_CHECKING:
    from clv.inference.posterior import Posterior

#: Methods, and how many parameter draws each keeps for predictions.
METHODS = {"mle": 400, "map": 400, "laplace": 1_000, "mcmc": 1_000}


class Sampling(TypedDict, total=False):
    """How Markov chains are run; what is not given keeps the default of `Chains`."""

    sampler: str | None
    chains: int
    tune: int
    samples: int
    cores: int | None
    target_accept: float | None
    progress: bool | None


class Chains(NamedTuple):
    """How Markov chains are run.

    Examples
    --------
    >>> Chains().samples
    1000
    """

    sampler: str | None = None  #: "nutpie" or "pymc"; None: nutpie where it is installed
    chains: int = 4
    tune: int | None = None  #: draws of each chain thrown away; None: 200, and 400 with groups
    samples: int = 1_000  #: draws of each chain that are kept
    cores: int | None = None  #: chains at a time; None: as many as there are cores and it pays
    target_accept: float | None = None  #: None: .75, and .9 with groups
    progress: bool | None = None  #: None: a bar in a terminal or a notebook, none in a pipe


class Plan(NamedTuple):
    """One fit."""

    method: str
    draws: int
    seed: int
    priors: Mapping[str, Any]
    chains: Chains
    groups: str | None = None  #: column of groups with parameters of their own

    @classmethod
    def of(
        cls,
        method: str,
        draws: int | None,
        seed: int,
        priors: Mapping[str, Any] | None,
        sampling: Sampling,
        groups: str | None = None,
    ) -> Plan:
        """Check what was asked for.

        Raises
        ------
        DataError
            If the method or an option is not known, or does not go with the method.
        """
        check_method(method)
        unknown = [name for name in sampling if name not in Chains._fields]
        if unknown:
            raise DataError(
                f"{', '.join(unknown)}: not an option of fit; those of sampling are "
                f"{', '.join(Chains._fields)}"
            )
        if sampling and method != "mcmc":
            raise DataError(f"{', '.join(sampling)}: only for method='mcmc', not {method!r}")
        if priors and method == "mle":
            raise DataError("priors are for method='mcmc', 'laplace' or 'map', not 'mle'")
        kept = METHODS[method] if draws is None else draws
        if kept != int(kept) or kept < 1:
            raise DataError(f"draws must be a whole number above 0, not {draws!r}")
        if groups is not None and method != "mcmc":
            raise DataError(
                f"groups={groups!r} needs Markov chains: use method='mcmc', not {method!r}"
            )
        chains = Chains(**sampling)
        # near a normal, which posteriors of a whole base are, chains may go in long steps
        tune, accept = (200, 0.75) if groups is None else (400, 0.9)
        chains = chains._replace(
            tune=tune if chains.tune is None else chains.tune,
            target_accept=accept if chains.target_accept is None else chains.target_accept,
        )
        for name in ("chains", "tune", "samples"):
            value, least = getattr(chains, name), 0 if name == "tune" else 1
            if value != int(value) or value < least:
                raise DataError(f"{name} must be a whole number, {least} or more, not {value!r}")
        return cls(method, int(kept), seed, dict(priors or {}), chains, groups)

    @property
    def bayesian(self) -> bool:
        """Whether there are priors and a posterior."""
        return self.method != "mle"

    def draws_of(self, estimate: Estimate, posterior: Posterior | None) -> Array:
        """Parameter draws for predictions, shape (draws, K)."""
        if posterior is None:
            return parameter_draws(estimate, self.draws, self.seed)
        return posterior.thinned(self.draws)


def check_method(method: str) -> None:
    """Refuse a method that is not known."""
    if method not in METHODS:
        raise DataError(
            f"method {method!r} is not known; there are {', '.join(map(repr, METHODS))}"
        )
