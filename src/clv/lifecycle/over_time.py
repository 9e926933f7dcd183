"""Stages over time: from runs that were kept, or replayed from the transactions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np

from clv.errors import DataError
from clv.fitted import FittedPurchases, FittedSpend
from clv.lifecycle.stages import StageRules, Stages, stages
from clv.tables._frame import Table

if TYPE_CHECKING:
    from clv.tables.transactions import Transactions


def over_time(runs: Iterable[Stages]) -> Table:
    """Customers and value per stage, run by run.

    Parameters
    ----------
    runs
        Results of `stages` or `replay`, each of another day.

    Returns
    -------
    Table
        One row per run and stage, in order of days: ``as_of`` and the columns of `Stages.table`.

    Raises
    ------
    DataError
        If there is no run, a day is unknown, or two runs are of the same day.
    """
    found = list(runs)
    days = [run.as_of for run in found]
    if not found or None in days or len(set(days)) < len(days):
        raise DataError("stages over time need runs of different, known days, at least one")
    found.sort(key=lambda run: str(run.as_of))
    tables = [run.table for run in found]
    shared = [name for name in tables[0].columns if all(name in t.columns for t in tables)]
    columns: dict[str, Any] = {
        "as_of": np.repeat(
            np.array([run.as_of for run in found], dtype="datetime64[D]"), len(tables[0])
        )
    }
    for name in shared:
        columns[name] = np.concatenate([table.values(name) for table in tables])
    return Table.from_columns(columns, like=tables[-1])


def replay(
    transactions: Transactions,
    purchases: FittedPurchases,
    spend: FittedSpend | None = None,
    *,
    days: Sequence[str | date],
    horizon: float | str = "365 days",
    discount_rate: float = 0.1,
    margin: float = 1.0,
    customers: Any = None,
    signup: str | None = None,
    rules: StageRules | None = None,
) -> tuple[Stages, ...]:
    """Stages as they would have been on earlier days.

    Every day sees only purchases up to it. The models are today's: what is now known of the
    parameters was not known then, and a note says so.

    Parameters
    ----------
    transactions
        All that was read.
    purchases, spend
        Fitted models; without a spend model there is no value per stage.
    days
        Days to look back to.
    horizon, discount_rate, margin
        Of the value; see `clv.forecast`.
    customers, signup, rules
        As in `stages`.

    Returns
    -------
    tuple of Stages
        In the order of `days`.
    """
    from clv.forecast import forecast
    from clv.tables.summary import rfm_summary

    found = []
    for day in days:
        rfm = rfm_summary(transactions, observation_period_end=day, time_unit=purchases.time_unit)
        value = None
        if spend is not None:
            value = forecast(
                rfm,
                purchases,
                spend,
                horizon=horizon,
                discount_rate=discount_rate,
                margin=margin,
                interval=None,
            )
        run = stages(
            rfm, purchases, forecast=value, customers=customers, signup=signup, rules=rules
        )
        hindsight = "The models have seen what came after this day."
        found.append(replace(run, notes=(*run.notes, hindsight)))
    return tuple(found)
