"""One cut of a backtest: fit on what was known, foresee what came after. Runs in its own process.

Nothing here sees what came after the cut but the scores: models are fitted to the columns of the
table that tell what was known, and the actual figures enter where a forecast that stands already
is compared with them.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

from clv.errors import BoundaryWarning, ClvError
from clv.evaluation.baselines import BASELINES
from clv.evaluation.candidates import Candidate
from clv.evaluation.coverage import count_distribution
from clv.evaluation.cut_scores import CutScores, Segment, score_cut
from clv.evaluation.foreseen import MAXIMUM, PAST, Foreseen, Quantity
from clv.evaluation.holdout import rounded
from clv.evaluation.origins import Known, newcomers
from clv.evaluation.resampling import Base
from clv.evaluation.value_distribution import value_distribution
from clv.fitted import Fitted, FittedPurchases, FittedSpend
from clv.tables._frame import counted
from clv.tables.rfm import RFM
from clv.tables.transactions import Transactions


class Settings(NamedTuple):
    """What is the same at every cut."""

    purchases: Sequence[Candidate]
    spend: Sequence[Candidate]
    window: int | None  #: days
    levels: tuple[float, ...]
    draws: int
    bootstrap: int
    seed: int
    fit_options: Mapping[str, Any]


class Task(NamedTuple):
    """All that the work at one cut needs; it can go to another process."""

    known: Known
    segments: Sequence[Segment]
    base: Base
    settings: Settings
    transactions: Transactions | None  #: for models whose covariates change with time


class Done(NamedTuple):
    """What comes back from it."""

    foreseen: list[Foreseen]
    actual: dict[Quantity, Any]
    scores: dict[Quantity, CutScores]


def work_at_cut(task: Task) -> Done:
    """Foresee, and score what was foreseen."""
    settings = task.settings
    found = foresee(task.known, settings, task.transactions)
    actual: dict[Quantity, Any] = {
        "purchases": task.known.rfm.array("holdout_purchases"),
        "value": rounded(task.known.rfm.array("holdout_spend")),
    }
    scores = score_cut(
        actual,
        found,
        task.segments,
        task.base,
        resamples=settings.bootstrap,
        seed=settings.seed,
    )
    return Done(found, actual, scores)


def foresee(
    known: Known, settings: Settings, transactions: Transactions | None = None
) -> list[Foreseen]:
    """Everything that was foreseen at a cut: models of purchases, of value, and history."""
    rfm = replace(known.rfm)  # a copy whose caches end with this cut
    learnt_from = newcomers(rfm, settings.window)
    purchases = [
        _purchases(c, learnt_from, rfm, settings, transactions) for c in settings.purchases
    ]
    spends = [_fit(c, learnt_from, settings) for c in settings.spend]
    values = [
        _value(foreseen, spend, fitted, rfm, settings)
        for spend, fitted in zip(settings.spend, spends, strict=True)
        for foreseen in purchases
    ]
    return [*purchases, *values, *_history(known)]


def _history(known: Known) -> list[Foreseen]:
    found = []
    for baseline in BASELINES:
        shown = partial(Foreseen, baseline.name, baseline.label, baseline.quantity, False)
        try:
            values = rounded(baseline.foresee(known, known.rfm.holdout_duration))
        except ClvError as error:
            found.append(shown(_reason(error)))
        else:
            found.append(shown(PAST, values))
    return found


def _fit(candidate: Candidate, rfm: RFM, settings: Settings, **more: Any) -> Fitted | str:
    """The fit, or why there is none."""
    if not len(rfm):
        length = counted(settings.window or 0, "day", "days")
        return f"nobody first bought within the last {length} up to the cut"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", BoundaryWarning)  # the row tells it
            fitted: Fitted = candidate.model.fit(
                rfm, **{**settings.fit_options, **candidate.options, **more}
            )
    except ClvError as error:
        return _reason(error)
    return fitted


def _reason(error: ClvError) -> str:
    return f"{type(error).__name__}: {error}"


def _ended(fitted: Fitted) -> str:
    boundary = fitted.convergence.boundary
    return MAXIMUM if boundary is None else f"boundary: {boundary}"


def _purchases(
    candidate: Candidate,
    learnt_from: RFM,
    rfm: RFM,
    settings: Settings,
    transactions: Transactions | None,
) -> Foreseen:
    shown = partial(Foreseen, candidate.name, candidate.label, "purchases", True)
    varying = () if rfm.time_varying is None else rfm.time_varying.columns
    more = {"transactions": transactions} if {*candidate.model.covariates} & {*varying} else {}
    fitted = _fit(candidate, learnt_from, settings, **more)
    if isinstance(fitted, str):
        return shown(fitted)
    assert isinstance(fitted, FittedPurchases)
    family, horizon = fitted.family, rfm.holdout_duration
    try:
        alive, expected, some = fitted.of_living(
            rfm,
            lambda state: family.expected_purchases(state, horizon),
            lambda state: 1.0 - family.no_purchase_probability(state, horizon),
            with_alive=True,
        )
        counts = count_distribution(
            fitted, rfm, horizon, rfm.array("holdout_purchases"), settings.levels
        )
    except ClvError as error:
        return shown(_reason(error))
    return shown(
        _ended(fitted),
        rounded(expected),
        fitted,
        probability_alive=alive,
        probability_of_purchase=some,
        distribution=counts,
    )


def _value(
    purchases: Foreseen, candidate: Candidate, spend: Fitted | str, rfm: RFM, settings: Settings
) -> Foreseen:
    shown = partial(
        Foreseen,
        f"{purchases.method} + {candidate.name}",
        f"{purchases.label} + {candidate.label}",
        "value",
        True,
        parts=(purchases.method, candidate.name),
    )
    if purchases.expected is None or purchases.probability_alive is None:
        return shown(purchases.ended)
    if isinstance(spend, str):
        return shown(spend)
    assert isinstance(purchases.fitted, FittedPurchases)
    assert isinstance(spend, FittedSpend)
    try:
        level = spend.expected_spend(rfm)
        values = value_distribution(
            purchases.fitted,
            spend,
            rfm,
            rfm.holdout_duration,
            rounded(rfm.array("holdout_spend")),
            settings.levels,
            alive=purchases.probability_alive,
            draws=settings.draws,
            seed=settings.seed,
        )
    except ClvError as error:
        return shown(_reason(error))
    ended = _ended(spend) if purchases.ended == MAXIMUM else purchases.ended
    return shown(ended, rounded(purchases.expected * level), spend, distribution=values)
