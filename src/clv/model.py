"""The shell around the families: one class per family, one verb, ``fit``.

The classes are made from the files in `clv.families`; a family file is all there is to a
new model.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from functools import cache
from inspect import cleandoc
from typing import Any, ClassVar, Literal

import numpy as np

from clv import families
from clv.errors import (
    BoundaryWarning,
    ConvergenceWarning,
    DataError,
    MissingColumnError,
)
from clv.fitted import (
    Fitted,
    FittedPurchases,
    FittedSpend,
    FittedTimeVarying,
)
from clv.inference.covariates import CovariateFit, maximize_with_covariates
from clv.inference.design import Column
from clv.inference.maximum_likelihood import Estimate, maximize
from clv.inference.plan import Plan, check_method
from clv.numerics.backend import Array
from clv.tables.contracts import Contracts
from clv.tables.rfm import RFM

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
        columns = as_columns(rfm, numbers)
        if plan.bayesian:
            return posterior_of(self.family, history, weights, scales, plan, columns, self.groups)
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


_GROUPS = {"purchase": "purchases", "dropout": "dropout", "spend": "spend"}


def posterior_of(
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
        from clv.inference.bayes import fit_posterior

        return fit_posterior(family, history, weights, scales, plan, columns, moved)
    from clv.inference.groups import fit_groups

    own = {name: column for name, column in columns.items() if name != plan.groups}
    group = columns[plan.groups]
    return fit_groups(family, history, weights, scales, plan, group, own, moved)


def as_columns(rfm: RFM, numbers: Mapping[str, Array]) -> dict[str, Column]:
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
    if family.KIND == "contract":
        from clv.contract_model import ContractModel

        return ContractModel
    if family.KIND == "spend":
        from clv.spend_model import SpendModel

        return SpendModel
    from clv.purchase_model import PurchaseModel, RegularPurchaseModel

    return RegularPurchaseModel if hasattr(family, "VARIANTS") else PurchaseModel


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
    return _class_of(families.class_names().get(name, name))


@cache
def _class_of(name: str) -> type[Any]:
    family = families.find(name)
    base = _base(family)
    _, heading, parameters = cleandoc(base.__doc__ or "").partition("\n\nParameters\n")
    doc = (family.__doc__ or "").strip() + heading + parameters
    # users, and pickle, find it in `clv`
    return type(family.CLASS_NAME, (base,), {"family": family, "__doc__": doc, "__module__": "clv"})


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
