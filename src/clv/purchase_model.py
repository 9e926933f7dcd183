"""The shell around purchase families: when customers buy, and when they leave."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Unpack, cast

import numpy as np

from clv import families
from clv.errors import DataError, FitError
from clv.fitted import (
    HISTORY_COLUMNS,
    FittedPurchases,
    FittedTimeVarying,
    timeline,
    with_intervals,
)
from clv.fitted.discounting import check_whole_times
from clv.inference.covariates import CovariateFit
from clv.inference.maximum_likelihood import maximize
from clv.inference.plan import Plan, Sampling
from clv.inference.time_varying import maximize_time_varying
from clv.inference.variants import maximize_variants
from clv.model import Method, Model, as_columns, assemble, posterior_of, remarks_of
from clv.numerics.backend import Array
from clv.numerics.compress import Weighted
from clv.numerics.histories import PurchaseHistory
from clv.numerics.sums import dot
from clv.tables.rfm import RFM
from clv.tables.time_varying import TimeVaryingCovariates
from clv.tables.transactions import Transactions


class PurchaseModel(Model):
    """A model of when customers buy and when they leave.

    Parameters
    ----------
    purchase_covariates
        Names of columns, added with ``rfm.with_covariates``, that change how often customers
        buy.
    dropout_covariates
        Names of those that change how they leave; the same or others.
    """

    def __init__(
        self, purchase_covariates: Sequence[str] = (), dropout_covariates: Sequence[str] = ()
    ) -> None:
        self._take_covariates(purchase=purchase_covariates, dropout=dropout_covariates)

    def fit(
        self,
        rfm: RFM,
        *,
        covariates: TimeVaryingCovariates | None = None,
        transactions: Transactions | None = None,
        method: Method = "mle",
        draws: int | None = None,
        seed: int = 0,
        priors: Mapping[str, Any] | None = None,
        groups: str | None = None,
        **sampling: Unpack[Sampling],
    ) -> FittedPurchases:
        """Fit to a table of frequency, recency and T.

        Parameters
        ----------
        rfm
            One row per customer, from `clv.rfm_summary` or `clv.rfm_table`.
        covariates
            Covariates that change with time, from `clv.time_varying_covariates`, unless the
            table has them already (``rfm.with_time_varying_covariates``). Pareto/NBD only. What
            lies after the end of the observation changes no fit.
        transactions
            What the table was made from: with such covariates it matters when customers bought.
        method
            "mle": maximum likelihood on the distinct weighted rows, which is exact. "mcmc": the
            posterior by Markov chains. "laplace": the same by importance sampling around its mode,
            in a fraction of the time. "map": only its mode, with a normal approximation.
        draws
            Parameter draws to keep for predictions and intervals: 400 of maximum likelihood,
            1,000 of a posterior unless another number is given.
        seed
            For these draws, and for Markov chains.
        priors
            Of a Bayesian fit: `clv.Prior` by name of a parameter or of what it means, such as
            "purchase_interval"; others keep their defaults (docs/bayes.md).
        groups
            Name of a column, added with ``rfm.with_covariates``, of groups of customers whose
            parameters differ, such as channels or countries: with "mcmc". Groups of few customers
            are drawn towards the others, and unknown ones predicted from the whole
            (docs/groups.md).
        sampling
            How Markov chains are run: ``sampler`` ("nutpie" or "pymc"), ``chains`` (4), ``tune``
            and ``samples`` per chain (200, 1,000), ``cores``, ``target_accept`` (.75),
            ``progress`` (None: a bar in a terminal or notebook). See `clv.inference.plan.Sampling`.

        Returns
        -------
        FittedPurchases

        Raises
        ------
        FitError
            If the table has fewer than two customers or no repeat purchase.
        ConvergenceError
            If no maximum is found and no boundary explains why.

        Warns
        -----
        BoundaryWarning
            If the likelihood is largest at a limit of the parameters, which it names.
        ConvergenceWarning
            If the draws of a posterior do not pass their diagnostics.
        """
        plan = Plan.of(method, draws, seed, priors, sampling, groups)
        varying: tuple[str, ...] = ()
        if isinstance(rfm, RFM):
            if covariates is not None:
                rfm = rfm.with_time_varying_covariates(covariates)
            varying = self._time_varying(rfm)
            if covariates is not None and not varying:
                raise DataError(
                    f"{self!r} names none of the time-varying covariates "
                    f"({', '.join(covariates.columns)}); name those that matter in "
                    "purchase_covariates and dropout_covariates"
                )
        self._check(rfm, method, without=varying, groups=groups)
        family = self.family
        check_whole_times(family, rfm)
        static = () if varying else self._columns(plan)
        rows = rfm.weighted(*HISTORY_COLUMNS, *static)
        known = len(HISTORY_COLUMNS)
        history = self._history(rfm, rows)
        if len(rfm) < 2:
            raise FitError(
                f"{family.TITLE} cannot be fitted to one customer: its parameters describe how "
                "customers differ. Give the whole customer base"
            )
        if not np.any(history.frequency > 0):
            raise FitError(
                f"{family.TITLE} cannot be fitted: all {len(rfm):,} customers bought once "
                "(frequency is 0 in every row), so nothing is known of how often customers "
                "come back. Use a longer period, or check that customer ids repeat"
            )
        scales = {"time": dot(rows.weights, history.T) / len(rfm)}
        form: type[FittedPurchases] = FittedPurchases
        if varying:
            if transactions is None:
                raise DataError(
                    f"{', '.join(varying)} change with time, so it matters when customers bought: "
                    "give transactions=, what the table was made from"
                )
            if plan.bayesian:
                raise DataError(
                    f"{', '.join(varying)} change with time: such a model is fitted by maximum "
                    "likelihood only; use method='mle'"
                )
            form = FittedTimeVarying
            plain = maximize(family, history, rows.weights, scales)
            time = timeline(rfm, self.covariates, transactions)
            fit = maximize_time_varying(family, time, self.groups, plain, scales)
        else:
            numbers = dict(zip(static, rows.columns[known:], strict=True))
            fit = self._estimate(rfm, history, rows.weights, scales, numbers, plan)
        options = self._found(fit)
        family = families.chosen(family, options)
        remarks = remarks_of(family, fit.estimate, history, rows.weights)
        family = form.family_of(family)
        return cast(
            FittedPurchases,
            assemble(form, family, fit, rfm, len(rfm), plan, remarks, options),
        )

    def _time_varying(self, rfm: RFM) -> tuple[str, ...]:
        """The covariates of the model that change with time."""
        if rfm.time_varying is None:
            return ()
        found = tuple(name for name in self.covariates if name in rfm.time_varying.columns)
        if found and self.family.NAME != "pareto_nbd":
            raise DataError(
                f"{self.family.TITLE} takes no covariates that change with time "
                f"({', '.join(found)}); ParetoNBDModel does"
            )
        return found

    def _history(self, rfm: RFM, rows: Weighted) -> Any:
        """What the likelihood looks at, per distinct row."""
        return PurchaseHistory(*rows.columns[: len(HISTORY_COLUMNS)])

    def _found(self, fit: CovariateFit) -> dict[str, Any]:
        """What the fitted model must remember beyond its parameters."""
        return {}


class RegularPurchaseModel(PurchaseModel):
    """A model of customers who may buy regularly.

    Parameters
    ----------
    k
        How regularly: 1 is at random, as in the model without k, and the intervals between the
        purchases of a customer vary by ``1 / sqrt(k)`` of their mean. By default it is estimated
        with the other parameters, which needs the column ``sum_log_intervals`` of the table.
    """

    def __init__(self, k: int | None = None) -> None:
        name, _, largest = self.family.VARIANTS
        if k is not None and (k != int(k) or not 1 <= k <= largest):
            raise DataError(f"{name} must be a whole number from 1 to {largest}, not {k!r}")
        super().__init__()
        self.k = None if k is None else int(k)

    def arguments(self) -> dict[str, Any]:
        """What the model was told, as its constructor takes it."""
        return {} if self.k is None else {"k": self.k}

    def _history(self, rfm: RFM, rows: Weighted) -> Any:
        plain = super()._history(rfm, rows)
        return plain if self.k == 1 else with_intervals(self.family.TITLE, plain, rfm)

    def _estimate(
        self,
        rfm: RFM,
        history: Any,
        weights: Array,
        scales: Mapping[str, float],
        numbers: Any,
        plan: Plan,
    ) -> CovariateFit:
        if self.k is None:
            found = maximize_variants(self.family, history, weights, scales)
            notes = tuple(f"k = {k} did not converge and was passed over." for k in found.failed)
            fit = CovariateFit(None, found.estimate, notes, found.number)
        if plan.bayesian:
            number = fit.variant if self.k is None else self.k
            family = self.family.variant(number)
            columns = as_columns(rfm, numbers)
            fit = posterior_of(family, history, weights, scales, plan, columns, {})
            fit = fit._replace(variant=number)
            if self.k is None:
                said = f"k = {number} was chosen by maximum likelihood and then taken as known."
                fit = fit._replace(notes=(said, *notes, *fit.notes))
        elif self.k is not None:
            estimate = maximize(self.family.variant(self.k), history, weights, scales)
            fit = CovariateFit(None, estimate, (), self.k)
        return fit

    def _found(self, fit: CovariateFit) -> dict[str, Any]:
        return {"k": fit.variant, "k_estimated": self.k is None}
