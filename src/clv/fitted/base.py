"""What every fitted model has in common.

A `Fitted` holds parameters and their uncertainty, never a customer. Predictions are numpy
arrays aligned with the rows of the table they are asked for.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from clv.errors import DataError, MissingColumnError, UnitMismatchError
from clv.families._pickling import HoldsFamilies
from clv.inference.design import Column, Design
from clv.inference.maximum_likelihood import Convergence
from clv.numerics.backend import Array
from clv.tables.rfm import RFM
from clv.units import TimeUnit

if TYPE_CHECKING:
    from clv.inference.leave_one_out import LeaveOneOut
    from clv.inference.posterior import Posterior
    from clv.inference.target import Target

#: Methods whose draws are the fit: expectations are averaged over them.
_AVERAGED = ("laplace", "mcmc")

#: Covariates move no customer's parameter by more than this factor, as a log, in predictions.
FARTHEST = 30.0


@dataclass(frozen=True, repr=False, eq=False)
class Fitted(HoldsFamilies):
    """A fitted model. Made by ``Model.fit``, `clv.load` or `clv.from_lifetimes`.

    Attributes
    ----------
    family
        The module of `clv.families` it belongs to.
    estimates
        Parameter values in the order of ``family.PARAMETERS``, shape (k,). With covariates also
        ``exp(coefficient)`` of each, and all in the terms of `design`; users read `parameters`
        and `coefficients`.
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
    design
        How covariates enter; None for a model without.
    posterior
        All draws of a Bayesian fit, with their priors and diagnostics; None for others.
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
    design: Design | None = None
    posterior: Posterior | None = None

    form: ClassVar[str] = ""  #: tells fits of one family apart that predict in different ways

    @classmethod
    def family_of(cls, family: Any) -> Any:
        """What fits of this form use of a family."""
        return family

    @property
    def model_name(self) -> str:
        """Name of the family, such as "bg_nbd"."""
        return str(self.family.NAME)

    @property
    def title(self) -> str:
        """Its name for people, such as "BG/NBD"."""
        return str(self.family.TITLE)

    @property
    def kind(self) -> str:
        """What the model is of: "purchase" or "spend" (its families' `KIND`)."""
        return str(self.family.KIND)

    @property
    def parameters(self) -> dict[str, float]:
        """Parameter values by name; the whole number of a model that has one comes first.

        With covariates: those of a customer with 0 in every number and the base level of every
        text; see `coefficients`.
        """
        moved = self.user_logs(self.estimates) - np.log(self.estimates)  # 0 without covariates
        with np.errstate(over="ignore"):
            values = self.estimates * np.exp(moved)
        return {**self.variant, **dict(zip(self.family.PARAMETERS, values.tolist(), strict=False))}

    @property
    def variant(self) -> dict[str, int]:
        """The whole number of a model that has one, such as k; {} of others."""
        variants = getattr(self.family, "VARIANTS", None)
        return {} if variants is None else {variants.name: self.options[variants.name]}

    @property
    def degrees(self) -> int:
        """Number of estimated parameters, an estimated whole number and coefficients included."""
        return len(self.estimates) + sum(bool(self.options[f"{n}_estimated"]) for n in self.variant)

    @property
    def covariance(self) -> Array:
        """Covariance of the parameters (delta method from their logarithms), shape (k, k)."""
        k = len(self.family.PARAMETERS)
        values = np.array([self.parameters[name] for name in self.family.PARAMETERS])
        known = np.where(self.user_determined[:k] & np.isfinite(values), values, np.nan)
        with np.errstate(over="ignore"):
            return np.asarray(self.user_covariance[:k, :k] * np.outer(known, known))

    @property
    def standard_errors(self) -> dict[str, float]:
        """From the observed information; nan where the data do not bound the parameter."""
        return dict(
            zip(self.family.PARAMETERS, np.sqrt(np.diag(self.covariance)).tolist(), strict=True)
        )

    @property
    def aic(self) -> float:
        """Akaike's criterion, ``2 k - 2 lnL``."""
        return 2 * self.degrees - 2 * self.log_likelihood

    @property
    def bic(self) -> float:
        """Schwarz's criterion, ``k ln(customers) - 2 lnL``."""
        return self.degrees * math.log(self.n_customers) - 2 * self.log_likelihood

    def at(self, parameters: Array) -> Self:
        """The same model at other parameter values, shape (k,), without uncertainty."""
        return replace(self, estimates=np.asarray(parameters), method="given")

    def summary(self) -> Any:
        """Parameters with standard errors and 90 % intervals, as a pandas DataFrame.

        Coefficients of covariates follow where there are any; see `coefficients`.
        """
        import pandas as pd

        with np.errstate(over="ignore"):
            low, high = np.exp(np.quantile(self.user_logs(self.draws), [0.05, 0.95], axis=0))
        k, known = len(self.family.PARAMETERS), self.user_determined
        rows = {
            "estimate": [self.parameters[name] for name in self.family.PARAMETERS],
            "standard_error": list(self.standard_errors.values()),
            "low": np.where(known, low, np.nan)[:k],
            "high": np.where(known, high, np.nan)[:k],
            "meaning": [p.meaning for p in self.family.PARAMETERS.values()],
        }
        table = pd.DataFrame(rows, index=pd.Index(list(self.family.PARAMETERS), name="parameter"))
        for name, number in self.variant.items():
            whole = pd.DataFrame(
                {"estimate": float(number), "meaning": self.family.VARIANTS.meaning}, index=[name]
            )
            table = pd.concat([whole, table])[list(table.columns)].rename_axis("parameter")
        if self.design is None:
            return table
        more = self.coefficients
        meaning = [
            f"coefficient of {what}" if base is None else f"coefficient of {what}, base {base}"
            for what, base in zip(more["what"], more["base"], strict=True)
        ]
        more = more.rename(columns={"coefficient": "estimate"}).assign(meaning=meaning)
        return pd.concat([table, more[list(table.columns)].rename_axis("parameter")])

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

    # --- posteriors ---------------------------------------------------------------------------

    def _known_posterior(self) -> Posterior:
        if self.posterior is None:
            raise DataError(
                f"this {self.family.TITLE} was fitted by maximum likelihood and has no posterior; "
                "fit it with method='mcmc' or method='laplace'"
            )
        return self.posterior

    @property
    def priors(self) -> Any:
        """What was believed before the data, as a pandas DataFrame with one row per prior.

        Columns: ``prior``, ``default`` (whether it is ours), ``meaning`` and ``rules_out``.
        """
        import pandas as pd

        stated = self._known_posterior().stated
        return pd.DataFrame(
            {
                "prior": [repr(s.prior) for s in stated],
                "default": [s.default for s in stated],
                "meaning": [s.meaning for s in stated],
                "rules_out": [s.rules_out for s in stated],
            },
            index=pd.Index([s.name for s in stated], name="stated_on"),
        )

    @property
    def diagnostics(self) -> Any:
        """Of Markov chains, as a pandas DataFrame with one row per parameter.

        Columns: ``r_hat``, ``bulk_ess`` and ``tail_ess``. Divergences and E-BFMI are in
        ``posterior.diagnostics``.

        Raises
        ------
        DataError
            If the model was not fitted by Markov chains.
        """
        import pandas as pd

        found = self._known_posterior().diagnostics
        if found is None:
            raise DataError(f"method {self.method!r} has no chains; see fitted.convergence")
        return pd.DataFrame(
            {"r_hat": found.r_hat, "bulk_ess": found.bulk_ess, "tail_ess": found.tail_ess},
            index=pd.Index(found.names, name="parameter"),
        )

    @property
    def inference_data(self) -> Any:
        """The posterior for ArviZ: an InferenceData of its line 0, a DataTree of its line 1.

        Groups ``posterior``, ``sample_stats``, ``prior``, and as long as the model has not been
        saved and loaded ``observed_data`` (the distinct rows, with the ``weight`` of each) and
        ``log_likelihood`` of *one* customer of each row: `loo` adds them up over customers.
        """
        from clv.inference.mcmc import archive

        posterior = self._known_posterior()
        k = len(self.family.PARAMETERS)
        labels = () if self.design is None else tuple(c.label for c in self.design.coefficients)
        return archive.inference_data(
            posterior, posterior.names[:k], labels, self.user_logs, posterior.coordinates
        )

    def _target(self, what: str) -> Target:
        from clv.inference.target import Target

        posterior = self._known_posterior()
        if posterior.observed is None:
            raise DataError(
                f"a loaded model has no customer rows, and {what} needs them: fit again"
            )
        return Target(posterior.observed, posterior.coordinates)

    def pymc_model(self, likelihood: str = "op") -> Any:
        """The model as a real ``pm.Model``: change it, add to it, sample it yourself.

        Its free variables are what priors are stated on (`priors`), parameters are deterministic
        unless a prior is stated on them, coefficients are ``coefficient_0``, ``coefficient_1``, ...
        in the order of `coefficients`, and the likelihood is the potential ``likelihood``.
        `with_draws` takes the result back. Any Bayesian fit will do; "map" is the quickest.

        Parameters
        ----------
        likelihood
            "op": our own value and gradient, on as few rows as say the same. "graph": the formula
            in PyTensor, on all distinct rows.

        Raises
        ------
        DataError
            If the model has no posterior, or was loaded: then it has no rows.
        """
        from clv.inference.mcmc.own import own_model

        return own_model(self._target("a model of them"), likelihood)

    def with_draws(self, trace: Any, draws: int = 1_000) -> Self:
        """The same model with draws that you have made, such as from `pymc_model`.

        Parameters
        ----------
        trace
            What ``pm.sample`` returns; its posterior must have all parameters.
        draws
            Parameter draws to keep for predictions.
        """
        from clv.inference.mcmc.own import from_trace

        estimate, posterior = from_trace(self._target("reading draws"), trace)
        return replace(
            self,
            estimates=estimate.parameters,
            log_covariance=estimate.log_covariance,
            determined=estimate.determined,
            draws=posterior.thinned(draws),
            log_likelihood=estimate.log_likelihood,
            convergence=estimate.convergence,
            method="mcmc",
            posterior=posterior,
        )

    def loo(self) -> LeaveOneOut:
        """How well customers would be foreseen by a fit to all the others (PSIS-LOO).

        Sums are over customers, and what is left out is one customer.

        Raises
        ------
        DataError
            If the model has no posterior, or was loaded: then it has no rows.
        """
        from clv.inference.leave_one_out import leave_one_out

        return leave_one_out(self._known_posterior())

    # --- covariates ---------------------------------------------------------------------------

    @property
    def covariates(self) -> tuple[str, ...]:
        """Names of the columns that the model needs beyond those of every table."""
        return () if self.design is None else self.design.names

    @property
    def coefficients(self) -> Any:
        """Coefficients of covariates, as a pandas DataFrame with one row for each.

        Columns: ``group`` ("purchase", "dropout" or "spend"), ``parameter``, ``covariate``,
        ``level``, ``base`` (the level that others are compared with), ``what``,
        ``coefficient``, ``standard_error``, ``low``, ``high`` (90 %) and ``note``. A coefficient
        is per unit of a number, and that of a level against the base.
        """
        from clv.fitted.effects import coefficient_frame

        return coefficient_frame(self)

    def coefficient_rows(self) -> list[dict[str, Any]]:
        """The rows of `coefficients`, each with its label."""
        from clv.fitted.effects import coefficient_rows

        return coefficient_rows(self)

    @property
    def group_parameters(self) -> Any:
        """Parameters of each group of customers, as a pandas DataFrame.

        Index: the group (``"(a new group)"`` is one that the fit has not seen) and the parameter.
        Columns: ``estimate`` (posterior median), ``standard_error``, ``low`` and ``high`` (90 %).

        Raises
        ------
        DataError
            If the model was fitted without groups.
        """
        from clv.fitted.effects import group_frame

        return group_frame(self)

    def effects(self) -> tuple[Any, ...]:
        """What each covariate means for customers, in this model: `clv.fitted.effects.Effect`."""
        from clv.fitted.effects import effects

        return effects(self)

    def likelihood_ratio_test(self, plain: Fitted) -> Any:
        """Test against a model with fewer covariates, or none, fitted to the same customers.

        Returns
        -------
        LikelihoodRatioTest
            ``statistic`` (chi-squared if the covariates do nothing), ``degrees`` of freedom and
            ``p_value``.

        Raises
        ------
        DataError
            If the models are not nested, or rest on other customers.
        """
        from clv.fitted.effects import likelihood_ratio_test

        return likelihood_ratio_test(self, plain)

    def user_logs(self, points: Array) -> Array:
        """Logs of parameters, then coefficients, on the users' scale; of shape (..., K)."""
        logs = np.log(points)
        return logs if self.design is None else np.asarray(logs @ self.design.to_user.T)

    @property
    def user_covariance(self) -> Array:
        """Covariance of `user_logs`, shape (K, K)."""
        if self.design is None:
            return self.log_covariance
        return np.asarray(self.design.to_user @ self.log_covariance @ self.design.to_user.T)

    @property
    def user_determined(self) -> npt.NDArray[np.bool_]:
        """Which of `user_logs` the data bound, shape (K,)."""
        if self.design is None:
            return self.determined
        return np.asarray(((self.design.to_user != 0) & ~self.determined).sum(axis=1) == 0)

    def matrix_of(self, rfm: RFM, numbers: Mapping[str, Array]) -> Array | None:
        """What the design makes of rows with these covariates; None without a design.

        `numbers` are as in `RFM.numbers`, by name.
        """
        if self.design is None:
            return None
        columns = {name: Column(numbers[name], rfm.levels(name)) for name in self.covariates}
        return self.design.matrix(columns)

    def matrix_of_one(self, covariates: Mapping[str, Any] | None) -> Array | None:
        """The same of a single customer with these values."""
        if self.design is not None:
            return self.design.row({} if covariates is None else covariates)
        if covariates:
            raise DataError(f"this {self.family.TITLE} was fitted without covariates; give none")
        return None

    # --- one prediction path for point estimates and posteriors ---------------------------

    def parameters_at(self, points: Array, matrix: Array | None = None) -> Any:
        """The family's parameters: numbers, or one per row of `matrix` where a covariate moves.

        `points` has shape (K,), or (draws, K): then parameters are (1, draws), or (rows, draws).
        """
        if self.design is not None and matrix is not None:
            found = self.design.parameters_at(points, matrix, FARTHEST)
            return self.family.Parameters(*found)
        return self.family.Parameters(*(points if points.ndim == 1 else points.T[:, None, :]))

    def points(self) -> Array:
        """Parameter values that an expectation is averaged over: one for a plug-in estimate."""
        return self.draws if self.method in _AVERAGED else self.estimates[None, :]

    def average(self, function: Callable[[Any], Array], matrix: Array | None = None) -> Array:
        """Mean over the parameter values, one at a time: memory does not grow with draws."""
        points = self.points()
        total = function(self.parameters_at(points[0], matrix))
        for point in points[1:]:
            total = total + function(self.parameters_at(point, matrix))
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
        missing = [name for name in self.covariates if name not in rfm.data]
        if missing:
            raise MissingColumnError(
                f"the model was fitted with covariates, and the table has no {', '.join(missing)}; "
                f"add them with rfm.with_covariates(customers, {list(self.covariates)})"
            )
