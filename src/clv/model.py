"""The shell around the families: one class per family, one verb, ``fit``.

The classes are made from the files in `clv.families`; a family file is all there is to a
new model.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from functools import cache
from inspect import cleandoc
from typing import Any, ClassVar, Literal, Unpack, cast

import numpy as np

from clv import families
from clv.errors import (
    BoundaryWarning,
    ConvergenceWarning,
    DataError,
    FitError,
    MissingColumnError,
)
from clv.fitted import (
    HISTORY_COLUMNS,
    Fitted,
    FittedPurchases,
    FittedSpend,
    FittedTimeVarying,
    timeline,
    with_intervals,
)
from clv.fitted.discounting import check_whole_times
from clv.inference.bayes import fit_posterior
from clv.inference.covariates import CovariateFit, maximize_with_covariates
from clv.inference.design import Column
from clv.inference.maximum_likelihood import Estimate, maximize
from clv.inference.plan import Plan, Sampling, check_method
from clv.inference.time_varying import maximize_time_varying
from clv.inference.variants import maximize_variants
from clv.numerics.backend import Array
from clv.numerics.compress import Weighted
from clv.numerics.histories import PurchaseHistory
from clv.numerics.sums import dot
from clv.tables.contracts import Contracts
from clv.tables.rfm import RFM
from clv.tables.time_varying import TimeVaryingCovariates
from clv.tables.transactions import Transactions

Method = Literal["mle", "map", "laplace", "mcmc"]


class Model:
    """Base of all models; use a subclass such as ``clv.BetaGeoModel``.

    Nothing is stored by fitting: ``fit`` returns a new, frozen `Fitted`.
    """

    family: ClassVar[Any]
    #: names of covariates by the group of parameters that they move
    groups: Mapping[str, tuple[str, ...]] = {}

    def __repr__(self) -> str:
        given = ", ".join(f"{name}={value!r}" for name, value in self.arguments().items())
        return f"{type(self).__name__}({given})"

    def arguments(self) -> dict[str, Any]:
        """What the model was told, as its constructor takes it."""
        return {f"{group}_covariates": list(names) for group, names in self.groups.items()}

    def _take_covariates(self, **groups: Sequence[str]) -> None:
        """Check and keep the names of covariates."""
        moved = getattr(self.family, "COVARIATES", {})
        found: dict[str, tuple[str, ...]] = {}
        for group, given in groups.items():
            names = (given,) if isinstance(given, str) else tuple(given)
            if names and group not in moved:
                raise DataError(
                    f"{self.family.TITLE} takes no covariates on {_GROUPS[group]}"
                    + (
                        f", only on {' and '.join(_GROUPS[g] for g in moved)}"
                        if moved
                        else f"; models that do are {', '.join(_with_covariates(group))}"
                    )
                )
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise DataError(f"{', '.join(twice)}: named more than once as a covariate")
            if names:
                found[group] = names
        self.groups = found

    def _estimate(
        self,
        rfm: RFM,
        history: Any,
        weights: Array,
        scales: Mapping[str, float],
        numbers: Any,
        plan: Plan,
    ) -> CovariateFit:
        """The fit; `numbers` are the values of covariates by name, as in `RFM.numbers`."""
        columns = _as_columns(rfm, numbers)
        if plan.bayesian:
            return _posterior(self.family, history, weights, scales, plan, columns, self.groups)
        if not columns:
            return CovariateFit(None, maximize(self.family, history, weights, scales), ())
        return maximize_with_covariates(self.family, history, weights, scales, columns, self.groups)

    @property
    def covariates(self) -> tuple[str, ...]:
        """Names of all covariates, each once."""
        return tuple(dict.fromkeys(name for names in self.groups.values() for name in names))

    def _columns(self, plan: Plan) -> tuple[str, ...]:
        """Columns of the table that a fit looks at besides its history."""
        return self.covariates if plan.groups is None else (*self.covariates, plan.groups)

    def _check(
        self, rfm: RFM, method: str, without: Sequence[str] = (), groups: str | None = None
    ) -> None:
        if not isinstance(rfm, RFM):
            raise DataError(
                f"fit expects a table from clv.rfm_summary or clv.rfm_table, not "
                f"{type(rfm).__name__}; wrap a data frame with "
                "clv.rfm_table(frame, time_unit=...)"
            )
        check_method(method)
        missing = [name for name in self.covariates if name not in (*rfm.data, *without)]
        if missing:
            raise MissingColumnError(
                f"the table has no covariate {', '.join(missing)}; add it with "
                f"rfm.with_covariates(customers, {missing})"
            )
        if groups is None:
            return
        if groups not in rfm.data:
            raise MissingColumnError(
                f"the table has no column {groups} of groups; add it with "
                f"rfm.with_covariates(customers, [{groups!r}])"
            )
        if groups in self.covariates:
            raise DataError(f"{groups} is a covariate and the column of groups; choose one")


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
            and ``samples`` per chain (400, 1,000), ``cores``, ``target_accept`` (.8),
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
            columns = _as_columns(rfm, numbers)
            fit = _posterior(family, history, weights, scales, plan, columns, {})
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


_GROUPS = {"purchase": "purchases", "dropout": "dropout", "spend": "spend"}


def _posterior(
    family: Any,
    history: Any,
    weights: Array,
    scales: Mapping[str, float],
    plan: Plan,
    columns: Mapping[str, Column],
    moved: Mapping[str, Sequence[str]],
) -> CovariateFit:
    """The Bayesian fit, of groups or of all as one."""
    if plan.groups is None:
        return fit_posterior(family, history, weights, scales, plan, columns, moved)
    from clv.inference.groups import fit_groups

    own = {name: column for name, column in columns.items() if name != plan.groups}
    group = columns[plan.groups]
    return fit_groups(family, history, weights, scales, plan, group, own, moved)


def _as_columns(rfm: RFM, numbers: Mapping[str, Array]) -> dict[str, Column]:
    """Columns of a table, by name, from the numbers that stand for them."""
    return {
        name: Column(values, rfm.levels(name), _most_frequent(rfm, name))
        for name, values in numbers.items()
    }


def _most_frequent(rfm: RFM, name: str) -> str | None:
    """The level that others are compared with, the same for every model; ties go by name."""
    levels = rfm.levels(name)
    if levels is None:
        return None
    return levels[int(np.argmax(np.bincount(rfm.numbers(name).astype(np.int64))))]


def _with_covariates(group: str) -> list[str]:
    found = map(families.find, families.names())
    return [f.CLASS_NAME for f in found if group in getattr(f, "COVARIATES", {})]


def remarks_of(family: Any, estimate: Estimate, history: Any, weights: Array) -> tuple[str, ...]:
    """The family's own; of the base parameters where there are covariates."""
    base = family.Parameters(*estimate.parameters[: len(family.PARAMETERS)])
    return tuple(getattr(family, "remarks", lambda *_: ())(base, history, weights))


def remarks_on_end(family: Any, fit: CovariateFit, stacklevel: int) -> tuple[str, ...]:
    """What is wrong with how a fit has ended, if anything; said as a warning too."""
    end = fit.estimate.convergence
    if end.boundary is None and (fit.posterior is None or end.converged):
        return ()
    remark = f"{family.TITLE}: {end.message}."
    category = BoundaryWarning if end.boundary is not None else ConvergenceWarning
    warnings.warn(remark, category, stacklevel=stacklevel)
    return (remark,)


def assemble(
    cls: type[Fitted],
    family: Any,
    fit: CovariateFit,
    table: RFM | Contracts,
    n_customers: int,
    plan: Plan,
    remarks: tuple[str, ...],
    options: dict[str, Any],
) -> Fitted:
    """What `fit` returns; a limit that the fit ran to is the first remark, and a warning."""
    estimate, posterior = fit.estimate, fit.posterior
    remarks = (*remarks_on_end(family, fit, stacklevel=4), *fit.notes, *remarks)
    return cls(
        family=family,
        estimates=estimate.parameters,
        log_covariance=estimate.log_covariance,
        determined=estimate.determined,
        draws=plan.draws_of(estimate, posterior),
        log_likelihood=estimate.log_likelihood,
        n_customers=n_customers,
        time_unit=table.time_unit,
        observation_period_end=table.as_of,
        fingerprint=table.fingerprint,
        convergence=estimate.convergence,
        method=plan.method,
        notes=remarks,
        options=options,
        design=fit.design,
        posterior=posterior,
    )


def _base(family: Any) -> type[Model]:
    if hasattr(family, "VARIANTS"):
        return RegularPurchaseModel
    if family.KIND == "contract":
        from clv.contract_model import ContractModel

        return ContractModel
    if family.KIND == "spend":
        from clv.spend_model import SpendModel

        return SpendModel
    return PurchaseModel


@cache
def model_class(name: str) -> type[Any]:
    """The model class of a family, by the family's name or by the name of the class.

    Examples
    --------
    >>> model_class("bg_nbd").__name__
    'BetaGeoModel'
    """
    if name in ("stacked", "StackedModel"):  # of families, and none itself
        from clv.stacked_model import StackedModel

        return StackedModel
    family = families.find(families.class_names().get(name, name))
    base = _base(family)
    _, heading, parameters = cleandoc(base.__doc__ or "").partition("\n\nParameters\n")
    doc = (family.__doc__ or "").strip() + heading + parameters
    return type(family.CLASS_NAME, (base,), {"family": family, "__doc__": doc})


def class_names() -> tuple[str, ...]:
    """Names of the model classes."""
    return tuple(families.class_names())


def fitted_class(family: Any, form: str = "") -> type[Fitted]:
    """The class of a family's fits, of that form."""
    if form == FittedTimeVarying.form:
        return FittedTimeVarying
    if family.KIND == "contract":
        from clv.fitted.contracts import FittedContracts

        return FittedContracts
    return FittedPurchases if family.KIND == "purchase" else FittedSpend
