"""Retention: who is still there, by age, from the model and beside what was seen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from clv.errors import DataError
from clv.fitted import FittedPurchases
from clv.numerics.backend import Array
from clv.tables._frame import Table
from clv.tables.rfm import RFM
from clv.units import parse_horizon

#: Simulated customers behind the expected share still buying, at least.
_SIMULATED = 50_000


def retention_curve(
    purchases: FittedPurchases,
    rfm: RFM | None = None,
    *,
    until: float | str,
    points: int = 27,
    by: Any = None,
    covariates: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> Table:
    """Share of customers still alive by age, and the share still buying beside it.

    Parameters
    ----------
    purchases
        A fitted purchase model.
    rfm
        Table with n customers. Without it the curve is that of new customers.
    until
        Highest age: a number in the model's time unit, or a text such as "2 years".
    points
        Number of ages, evenly spaced from 0 to `until`.
    by
        Groups (a cohort, a channel): the name of a column of the table, or n labels.
    covariates
        Of the new customers, by name, where the model has any and there is no table.
    seed
        For the simulated histories behind ``still_buying_expected``.

    Returns
    -------
    Table
        One row per group and age, with columns

        ``group``, ``age``
            "all" or "new customers" where there are no groups; age in the model's unit.
        ``alive``
            New customers: P(alive at that age). Customers of a table: the mean of P(alive at
            that age | their history); beyond their present age it is a forecast.
        ``customers``
            How many of the group are older than that age.
        ``still_buying_observed``
            Share of these who bought again after that age.
        ``still_buying_expected``
            The same share in histories simulated from the model over the same ages.

    Notes
    -----
    "Alive" cannot be seen; "bought again after that age" can, and is what the model is held
    against.
    """
    if purchases.form == "stacked":
        raise DataError(
            "there is no retention curve of a stack; ask for those of its members, "
            "or purchases.survival(rfm, horizon) for each horizon"
        )
    if purchases.form:
        raise DataError(
            f"there is no retention curve of {purchases.family.TITLE}: at one age customers live "
            "in different periods. Ask purchases.survival(rfm, horizon) for each horizon"
        )
    end = parse_horizon(until, purchases.time_unit)
    if points < 2:
        raise DataError("points must be 2 or more")
    ages = np.linspace(0.0, end, points)
    if rfm is None:
        return Table.from_columns(
            {
                "group": np.repeat("new customers", points),
                "age": ages,
                "alive": purchases.survival_new_customer(ages, covariates=covariates),
            }
        )
    purchases.check_table(rfm)
    labels = _labels(rfm, by)
    groups, member = np.unique(labels, return_inverse=True)
    sizes = np.bincount(member)
    T, recency = rfm.array("T"), rfm.array("recency")
    repeats = -(-_SIMULATED // len(rfm))
    simulated = purchases.simulate(np.tile(T, repeats), seed, covariates=rfm)
    simulated_member = np.tile(member, repeats)

    shape = (len(groups), points)
    alive, observed, expected, customers = (np.full(shape, np.nan) for _ in range(4))
    for j, age in enumerate(ages):
        alive[:, j] = np.bincount(member, alive_at_age(purchases, rfm, float(age))) / sizes
        older = age < T
        customers[:, j] = np.bincount(member, older)
        with np.errstate(invalid="ignore"):
            observed[:, j] = np.bincount(member, older & (recency > age)) / customers[:, j]
            expected[:, j] = np.bincount(
                simulated_member, (age < simulated.T) & (simulated.recency > age)
            ) / np.bincount(simulated_member, age < simulated.T)
    return Table.from_columns(
        {
            "group": np.repeat(groups, points),
            "age": np.tile(ages, len(groups)),
            "alive": alive.reshape(-1),
            "customers": customers.reshape(-1).astype(np.int64),
            "still_buying_observed": observed.reshape(-1),
            "still_buying_expected": expected.reshape(-1),
        }
    )


def alive_at_age(purchases: FittedPurchases, rfm: RFM, age: float) -> Array:
    """P(alive at an age | history), shape (n,).

    Up to the last purchase a customer was alive for certain. Between it and the present the
    probability is the family's ``alive_at`` where it has one; without one, dropout happens
    right after a purchase, so it is P(alive now). Beyond the present age it falls with
    survival.
    """
    family, rows = purchases.family, purchases.rows_of(rfm)
    history = rows.history
    ahead = np.maximum(age - history.T, 0.0)
    parameters = purchases.parameters_at(purchases.estimates, rows.matrix)
    now = family.probability_alive(parameters, history)
    between = getattr(family, "alive_at", None)
    past = now if between is None else between(parameters, history, np.minimum(age, history.T))
    result = np.where(age <= history.recency, 1.0, past)
    future = np.flatnonzero(ahead > 0)
    if len(future):
        later = rows.take(future)
        parameters = purchases.parameters_at(purchases.estimates, later.matrix)
        state = family.alive_state(parameters, later.history)
        result[future] = now[future] * family.survival(state, ahead[future])
    return np.asarray(result[rows.inverse])


def _labels(rfm: RFM, by: Any) -> np.ndarray[Any, np.dtype[Any]]:
    if by is None:
        return np.repeat("all", len(rfm))
    values = rfm[by] if isinstance(by, str) else by
    labels = np.asarray(values).astype(str)
    if labels.shape != (len(rfm),):
        raise DataError(f"by has {labels.size:,} labels and the table {len(rfm):,} customers")
    return labels
