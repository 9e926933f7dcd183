"""What every fitted model has in common.

A `Fitted` holds parameters and their uncertainty, never a customer. Predictions are numpy
arrays aligned with the rows of the table they are asked for.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from clv.errors import DataError, UnitMismatchError
from clv.inference.maximum_likelihood import Convergence
from clv.numerics.backend import Array
from clv.tables.rfm import RFM
from clv.units import TimeUnit


@dataclass(frozen=True, repr=False, eq=False)
class Fitted:
    """A fitted model. Made by ``Model.fit``, `clv.load` or `clv.from_lifetimes`.

    Attributes
    ----------
    family
        The module of `clv.families` it belongs to.
    estimates
        Parameter values in the order of ``family.PARAMETERS``, shape (k,).
    log_covariance
        Covariance of their logarithms, shape (k, k).
    determined
        Shape (k,): False where the data do not bound the parameter.
    draws
        Parameter uncertainty as draws, shape (draws, k).
    log_likelihood
        On the data's own scale, constants included, so that AIC compares across families.
    n_customers
        Customers that the likelihood is a sum over.
    time_unit, observation_period_end
        Of the table it was fitted on; the end is the last day that the fit has seen.
    fingerprint
        Of that table's content.
    convergence
        How the search ended.
    notes
        What a user should know, in sentences.
    options
        What the model was told beyond the table.
    """

    family: Any
    estimates: Array
    log_covariance: Array
    determined: npt.NDArray[np.bool_]
    draws: Array
    log_likelihood: float
    n_customers: int
    time_unit: TimeUnit
    observation_period_end: date | None
    fingerprint: str
    convergence: Convergence
    method: str = "mle"
    notes: tuple[str, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def model_name(self) -> str:
        """Name of the family, such as "bg_nbd"."""
        return str(self.family.NAME)

    @property
    def kind(self) -> str:
        """What the model is of: "purchase" or "spend" (its families' `KIND`)."""
        return str(self.family.KIND)

    @property
    def parameters(self) -> dict[str, float]:
        """Parameter values by name."""
        return dict(zip(self.family.PARAMETERS, self.estimates.tolist(), strict=True))

    @property
    def covariance(self) -> Array:
        """Covariance of the parameters (delta method from their logarithms), shape (k, k)."""
        known = np.where(self.determined, self.estimates, np.nan)
        return np.asarray(self.log_covariance * np.outer(known, known))

    @property
    def standard_errors(self) -> dict[str, float]:
        """From the observed information; nan where the data do not bound the parameter."""
        return dict(
            zip(self.family.PARAMETERS, np.sqrt(np.diag(self.covariance)).tolist(), strict=True)
        )

    @property
    def aic(self) -> float:
        """Akaike's criterion, ``2 k - 2 lnL``."""
        return 2 * len(self.estimates) - 2 * self.log_likelihood

    @property
    def bic(self) -> float:
        """Schwarz's criterion, ``k ln(customers) - 2 lnL``."""
        return len(self.estimates) * math.log(self.n_customers) - 2 * self.log_likelihood

    def at(self, parameters: Array) -> Self:
        """The same model at other parameter values, shape (k,), without uncertainty."""
        return replace(self, estimates=np.asarray(parameters), method="given")

    def summary(self) -> Any:
        """Parameters with standard errors and 90 % intervals, as a pandas DataFrame."""
        import pandas as pd

        low, high = np.quantile(self.draws, [0.05, 0.95], axis=0)
        rows = {
            "estimate": self.estimates,
            "standard_error": list(self.standard_errors.values()),
            "low": np.where(self.determined, low, np.nan),
            "high": np.where(self.determined, high, np.nan),
            "meaning": [p.meaning for p in self.family.PARAMETERS.values()],
        }
        return pd.DataFrame(rows, index=pd.Index(list(self.family.PARAMETERS), name="parameter"))

    def save(self, path: str | Path) -> Path:
        """Write the model into a folder: JSON and arrays, checksums, no customers.

        The folder appears whole or not at all. See `clv.load`.
        """
        from clv.saving import save

        return save(self, path)

    def __repr__(self) -> str:
        from clv.display import fitted_text

        return fitted_text(self)

    def _repr_html_(self) -> str:
        from clv.display import fitted_html

        return fitted_html(self)

    # --- one prediction path for point estimates and posteriors ---------------------------

    def _points(self) -> list[Any]:
        """Parameter values that an expectation is averaged over: one for a plug-in estimate."""
        points = self.draws if self.method == "mcmc" else self.estimates[None, :]
        return [self.family.Parameters(*point) for point in points]

    def average(self, function: Callable[[Any], Array]) -> Array:
        """Mean over the parameter values, one at a time: memory does not grow with draws."""
        points = self._points()
        total = function(points[0])
        for point in points[1:]:
            total = total + function(point)
        return np.asarray(total / len(points)) if len(points) > 1 else np.asarray(total)

    def check_table(self, rfm: RFM) -> None:
        """Refuse what is not a table, and a table in another time unit."""
        if not isinstance(rfm, RFM):
            raise DataError(
                f"expected a table from clv.rfm_summary or clv.rfm_table, not "
                f"{type(rfm).__name__}; wrap a data frame with "
                "clv.rfm_table(frame, time_unit=...)"
            )
        if rfm.time_unit != self.time_unit:
            raise UnitMismatchError(
                f"the model was fitted in {self.time_unit}s and the table is in "
                f"{rfm.time_unit}s; make the table with time_unit={self.time_unit!r}"
            )
