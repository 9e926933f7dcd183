"""The shell around contract families: how often contracts are renewed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Unpack, cast

import numpy as np

from clv.errors import DataError, FitError
from clv.fitted.contracts import FittedContracts
from clv.inference.covariates import CovariateFit
from clv.inference.maximum_likelihood import maximize
from clv.inference.plan import Plan, Sampling
from clv.model import Method, Model, assemble, posterior_of
from clv.numerics.histories import ContractHistory
from clv.tables.contracts import Contracts


class ContractModel(Model):
    """A model of how often contracts are renewed."""

    def fit(
        self,
        contracts: Contracts,
        *,
        method: Method = "mle",
        draws: int | None = None,
        seed: int = 0,
        priors: Mapping[str, Any] | None = None,
        **sampling: Unpack[Sampling],
    ) -> FittedContracts:
        """Fit to contracts, or to cohorts of survivors.

        Parameters
        ----------
        contracts
            From `clv.contracts_table` or `clv.contracts_from_survivors`. Contracts that run have
            been renewed so often; what they will do is not held against them.
        method
            "mle": maximum likelihood on the distinct weighted rows, which is exact; or "mcmc",
            "laplace", "map", as in `PurchaseModel.fit`.
        draws
            Parameter draws to keep for predictions and intervals.
        seed
            For these draws.
        priors, sampling
            Of Bayesian methods, as in `PurchaseModel.fit`.

        Returns
        -------
        FittedContracts

        Raises
        ------
        FitError
            If there are fewer than two contracts, or none has come up for renewal.
        ConvergenceError
            If no maximum is found and no boundary explains why.

        Warns
        -----
        BoundaryWarning
            If the likelihood is largest at a limit of the parameters, which it names.

        Examples
        --------
        >>> import clv
        >>> cohort = clv.contracts_from_survivors([1000, 869, 743, 653, 593, 551, 517, 491])
        >>> fitted = clv.ShiftedBetaGeoModel().fit(cohort)
        >>> fitted.survival(12).round(3).item()
        0.378
        """
        if not isinstance(contracts, Contracts):
            raise DataError(
                "fit expects contracts from clv.contracts_table or clv.contracts_from_survivors, "
                f"not {type(contracts).__name__}"
            )
        plan = Plan.of(method, draws, seed, priors, sampling)
        family, rows = self.family, contracts.distinct
        history = ContractHistory(*rows.columns)
        if contracts.n_contracts < 2:
            raise FitError(
                f"{family.TITLE} cannot be fitted to one contract: its parameters describe how "
                "customers differ. Give all contracts"
            )
        if not np.any(history.renewals + history.churned > 0):
            raise FitError(
                f"{family.TITLE} cannot be fitted: none of {contracts.n_contracts:,} contracts has "
                f"come up for renewal. Wait for a {contracts.period}, or check period and start"
            )
        if plan.bayesian:
            fit = posterior_of(family, history, rows.weights, {}, plan, {}, {})
        else:
            fit = CovariateFit(None, maximize(family, history, rows.weights, {}), ())
        customers, notes = contracts.n_contracts, contracts.notes
        return cast(
            FittedContracts,
            assemble(FittedContracts, family, fit, contracts, customers, plan, notes, {}),
        )
