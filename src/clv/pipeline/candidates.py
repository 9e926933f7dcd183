"""Fitting what the configuration names, and choosing among it."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from clv.errors import ClvError, ClvWarning, ConvergenceError, FitError
from clv.evaluation.choice import log_scores
from clv.fitted import FittedPurchases, FittedSpend
from clv.model import model_class
from clv.pipeline.configuration import ModelsSection
from clv.tables.rfm import RFM

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Specification:
    """Which models, and how they are fitted: all that two fits to the same data can differ in."""

    purchases: str
    spend: str
    spend_purchases: str
    method: str
    time_unit: str
    seed: int

    @classmethod
    def of(cls, section: ModelsSection, purchases: str) -> Specification:
        """That of one purchase model of the configuration."""
        return cls(
            purchases,
            section.spend,
            section.spend_purchases,
            section.method,
            section.time_unit,
            section.seed,
        )

    def fit_purchases(self, rfm: RFM) -> FittedPurchases:
        """Fit the purchase model; how it ended is in its record, and the gate looks there."""
        return cast(FittedPurchases, self._fit(model_class(self.purchases)(), rfm))

    def fit_spend(self, rfm: RFM) -> FittedSpend:
        """Fit the spend model."""
        model = model_class(self.spend)(purchases=self.spend_purchases)
        return cast(FittedSpend, self._fit(model, rfm))

    def _fit(self, model: Any, rfm: RFM) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ClvWarning)
            return model.fit(rfm, method=self.method, seed=self.seed)


@dataclass(frozen=True, eq=False)
class Candidate:
    """A specification, fitted up to the cut; or why it could not be.

    Attributes
    ----------
    log_scores
        Of each customer's held-out purchases, shape (n,).
    """

    specification: Specification
    fitted: FittedPurchases | None
    log_scores: Floats | None
    error: ClvError | None = None

    @property
    def log_score(self) -> float:
        """Mean over the customers; -inf where there is no fit."""
        return -np.inf if self.log_scores is None else float(self.log_scores.mean())

    def to_dict(self) -> dict[str, Any]:
        """As it stands in the answer."""
        record: dict[str, Any] = {"model": self.specification.purchases}
        if self.fitted is None:
            return record | {"log_score": None, "error": str(self.error)}
        return record | {
            "log_score": self.log_score,
            "parameters": self.fitted.parameters,
            "boundary": self.fitted.convergence.boundary,
            "error": None,
        }


def fit_candidates(specifications: Sequence[Specification], split: RFM) -> list[Candidate]:
    """Fit each up to the cut; best first, those that failed last.

    Raises
    ------
    ConvergenceError
        If none converged.
    FitError
        If none can be fitted to such data.
    """
    tried = [try_candidate(specification, split) for specification in specifications]
    if all(one.fitted is None for one in tried):
        reasons = "; ".join(f"{one.specification.purchases}: {one.error}" for one in tried)
        stuck = any(isinstance(one.error, ConvergenceError) for one in tried)
        raise (ConvergenceError if stuck else FitError)(f"no candidate could be fitted. {reasons}")
    return sorted(tried, key=lambda one: -one.log_score)


def try_candidate(specification: Specification, split: RFM) -> Candidate:
    """Fit one up to the cut and score it on what came after."""
    try:
        fitted = specification.fit_purchases(split)
        return Candidate(specification, fitted, scores_of(fitted, split))
    except ClvError as error:
        return Candidate(specification, None, None, error)


def scores_of(fitted: FittedPurchases, split: RFM) -> Floats:
    """Log-probability of what each customer bought in the holdout, shape (n,)."""
    return log_scores(fitted, split, split.array("holdout_purchases"), split.holdout_duration)
