"""Rolling origins: what would have been foreseen on earlier days, and what then happened."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Any

from clv.errors import ClvError, DataError, FitError
from clv.evaluation.at_cut import Done, Settings, Task, work_at_cut
from clv.evaluation.backtest import Backtest
from clv.evaluation.base import CustomerBase, customer_base
from clv.evaluation.candidates import purchase_candidates, spend_candidates
from clv.evaluation.cut import Cut
from clv.evaluation.foreseen import QUANTITIES
from clv.evaluation.origins import Known, Origin, known_at, plan, whole_days
from clv.evaluation.resampling import Base
from clv.evaluation.segments import CohortLength, cohort_length, segments_of
from clv.evaluation.side_by_side import processors, side_by_side
from clv.tables._arrow import take
from clv.tables._frame import Table, counted
from clv.tables._period import observation_period
from clv.tables.time_varying import TimeVaryingCovariates
from clv.tables.transactions import Transactions
from clv.units import DAYS_PER_UNIT, TimeUnit, check_time_unit

LEVELS = (0.5, 0.8, 0.9, 0.95)

#: Customers times models, over all cuts, from which further processes are worth their start.
WORTH_PROCESSES = 100_000


def backtest(
    transactions: Transactions,
    models: Any = None,
    *,
    horizon: float | str,
    observation_period_end: Any = "last",
    cuts: int | Sequence[Any] = 4,
    step: float | str | None = None,
    window: float | str = "expanding",
    spend: Any = None,
    method: str | Sequence[str] | None = None,
    time_unit: str = "week",
    customers: Any = None,
    customer_id: str = "customer_id",
    segments: Sequence[str] = (),
    covariates: TimeVaryingCovariates | None = None,
    levels: Sequence[float] = LEVELS,
    interval: float = 0.9,
    bootstrap: int = 200,
    draws: int = 1000,
    seed: int = 0,
    jobs: int | None = None,
    progress: bool | None = None,
    fit_options: Mapping[str, Any] | None = None,
) -> Backtest:
    """Cut the past at several days, foresee at each what came next, and see who was right.

    At every cut the models are fitted anew to what was known on that day, and asked for the time
    after it. Beside them stand the historical figures of `clv.historical_forecasts` and
    `clv.historical_purchase_forecasts`, and the last period before the cut once more. NBD, in
    which nobody ever leaves, is always among the models.

    Parameters
    ----------
    transactions
        From `clv.read_transactions`.
    models
        Purchase models: names such as "bg_nbd" or models such as ``clv.BetaGeoModel()``, one or
        several, or a mapping that gives them names of one's own. Default: all, except those that
        count opportunities.
    horizon
        How far is foreseen at each cut: a number in `time_unit`, or a text such as "39 weeks".
    observation_period_end
        As in `clv.rfm_summary`; "last" takes the last day in the data.
    cuts
        How many, the last as late as the horizon allows; or the days themselves. A day that
        leaves less than the horizon is kept with that as its reason, and foresees nothing.
    step
        From one cut to the next; by default a horizon, or less where there is no room for that.
    window
        "expanding": models learn from everybody known at the cut. A length, such as "52 weeks":
        only from those who first bought within it (their histories stay whole). All customers
        known at the cut are foreseen either way.
    spend
        Spend models, likewise; by default Gamma-Gamma on repeat purchases. Each is tried with each
        purchase model.
    method
        Of fitting purchase models, such as "mle"; with several each model is tried by each.
    time_unit
        As in `clv.rfm_summary`.
    customers, customer_id
        A data frame with a row per customer and the name of its column of ids, for models with
        covariates and for `segments`. Its columns must have been known at the first cut.
    segments
        Names of its columns, such as "channel": metrics come for each of their levels too, as they
        do by cohort and by frequency.
    covariates
        Covariates that change with time, from `clv.time_varying_covariates`. A model sees those
        of the time after a cut when it foresees, as plans, never when it is fitted.
    levels
        Of the predictive intervals.
    interval
        Level of the intervals of metrics and of differences.
    bootstrap
        Resamples of the customers behind these; with many customers fewer, or blocks.
    draws
        Simulated futures per state behind predictive distributions of value.
    seed
        Source of randomness.
    jobs
        Processes that work on cuts side by side; the results are the same. Default: as many as
        there are processors where there is enough to do, otherwise 1.
    progress
        Whether to say on standard error how far it is; by default on a terminal only.
    fit_options
        What else ``fit`` is told, such as ``{"draws": 200}``.

    Returns
    -------
    Backtest
        ``summary``, ``metrics``, ``differences``, ``verdict`` and the forecasts themselves; for
        pictures see `clv.plots`.

    Raises
    ------
    DataError
        If there is no room for the cuts, or an argument cannot be understood.
    FitError
        If no model foresaw anything at any cut; the message says why.

    Notes
    -----
    Tashman (2000), "Out-of-sample tests of forecasting accuracy", International Journal of
    Forecasting 16: 437-450, on rolling origins. Nothing that happened after a cut reaches what is
    foreseen at it: refunds after a cut do not change what was known at it either.

    Examples
    --------
    >>> import clv
    >>> transactions = clv.read_transactions(clv.datasets.load_cdnow())
    >>> tried = clv.backtest(
    ...     transactions, ["bg_nbd", "pareto_nbd"], horizon="39 weeks", cuts=["1997-09-30"]
    ... )
    >>> round(tried.summary("purchases").row(method="pareto_nbd")["mean_absolute_error"], 4)
    0.7545
    """
    if not isinstance(transactions, Transactions):
        raise DataError(
            f"backtest needs transactions, not {type(transactions).__name__}: it summarises them "
            "anew at every cut; read a frame or file with clv.read_transactions"
        )
    unit = check_time_unit(time_unit)
    length = whole_days(horizon, unit, "horizon")
    settings = Settings(
        purchases=_with_nbd(purchase_candidates(models, method)),
        spend=spend_candidates(spend),
        window=None if window == "expanding" else whole_days(window, unit, "window"),
        levels=_levels(levels),
        draws=_at_least("draws", draws, 10),
        bootstrap=_at_least("bootstrap", bootstrap, 10),
        seed=seed,
        fit_options=dict(fit_options or {}),
    )
    (level,) = _levels((interval,), "interval")
    period = observation_period(transactions, observation_period_end, None)
    base = customer_base(
        transactions,
        period.end,
        (*settings.purchases, *settings.spend),
        customers=customers,
        customer_id=customer_id,
        segments=segments,
        covariates=covariates,
    )
    origins = plan(
        cuts,
        first=base.first,
        end=period.end,
        horizon=length,
        step=None if step is None else whole_days(step, unit, "step"),
        calendar=transactions.calendar,
    )
    done = _all_cuts(base, origins, period.end, unit, settings, covariates, jobs, progress)
    _check_some(done)
    result = Backtest(
        cuts=done,
        horizon=length / DAYS_PER_UNIT[unit],
        time_unit=unit,
        window="expanding" if settings.window is None else _days(settings.window),
        levels=settings.levels,
        interval=level,
        seed=seed,
        base=base,
        notes=(),
        candidates=(*settings.purchases, *settings.spend),
    )
    return replace(result, notes=(*period.notes, *_notes(result, settings)))


# -- arguments ----------------------------------------------------------------------------------


def _with_nbd(candidates: list[Any]) -> list[Any]:
    """NBD too: what a model in which nobody leaves foresees."""
    if any(candidate.model.family.NAME == "nbd" for candidate in candidates):
        return candidates
    return [*candidates, *purchase_candidates("nbd")]


def _levels(given: Sequence[float], name: str = "levels") -> tuple[float, ...]:
    levels = tuple(sorted({float(level) for level in given}))
    wrong = [level for level in levels if not 0 < level < 1]
    if wrong or not levels:
        raise DataError(
            f"{name} must lie strictly between 0 and 1, not {wrong[0] if wrong else given!r}"
        )
    return levels


def _at_least(name: str, value: int, least: int) -> int:
    if value < least:
        raise DataError(f"{name} must be at least {least}, not {value!r}")
    return int(value)


def _days(number: int) -> str:
    return counted(number, "day", "days")


# -- cuts -----------------------------------------------------------------------------------------


def _all_cuts(
    base: CustomerBase,
    origins: Sequence[Origin],
    end: date,
    unit: TimeUnit,
    settings: Settings,
    covariates: TimeVaryingCovariates | None,
    jobs: int | None,
    progress: bool | None,
) -> tuple[Cut, ...]:
    """Every cut, whatever becomes of it."""
    known = [_known(base, origin, end, unit) for origin in origins]
    last = max(origin.cut for origin in origins)
    length = cohort_length((last - base.first).days)
    tasks = [_task(base, one, length, settings) for one in known if isinstance(one, Known)]
    work = sum(len(task.known.rfm) for task in tasks) * len(settings.purchases)
    number = jobs or (processors() if work > WORTH_PROCESSES and len(tasks) > 1 else 1)
    found = zip(
        tasks,
        side_by_side(
            work_at_cut,
            tasks,
            jobs=number,
            title=f"foreseeing from {counted(len(tasks), 'cut', 'cuts')}",
            progress=progress,
        ),
        strict=True,
    )
    return tuple(
        Cut(*origin, reason=one)
        if isinstance(one, str)
        else _assembled(base, origin, *next(found), covariates)
        for origin, one in zip(origins, known, strict=True)
    )


def _known(base: CustomerBase, origin: Origin, end: date, unit: TimeUnit) -> Known | str:
    if origin.end > end:
        seen = max((end - origin.cut).days, 0)
        return (
            f"only {seen:,} of the {(origin.end - origin.cut).days:,} days after it have been "
            "observed"
        )
    try:
        return known_at(base.days, origin, unit, base.more)
    except ClvError as error:
        return f"{type(error).__name__}: {error}"


def _task(base: CustomerBase, known: Known, length: CohortLength, settings: Settings) -> Task:
    more = {name: base.more.columns[name][known.place] for name in base.segments}
    return Task(
        known,
        segments_of(known.rfm, length, more),
        Base(known.place, len(base.days.ids)),
        settings,
        base.transactions,
    )


def _assembled(
    base: CustomerBase,
    origin: Origin,
    task: Task,
    done: Done,
    covariates: TimeVaryingCovariates | None,
) -> Cut:
    known = task.known
    columns = {**known.rfm.data, "customer_id": take(base.days.ids, known.place)}
    return Cut(
        *origin,
        rfm=replace(known.rfm, **Table.parts(columns, like=base.engine), time_varying=covariates),
        actual=done.actual,
        foreseen={q: {f.method: f for f in done.foreseen if f.quantity == q} for q in QUANTITIES},
        scores=done.scores,
        place=known.place,
        segments=tuple(task.segments),
    )


def _check_some(cuts: Sequence[Cut]) -> None:
    models = [f for cut in cuts for by in cut.foreseen.values() for f in by.values() if f.is_model]
    if any(found.expected is not None for found in models):
        return
    reasons = [f"{cut.cut}: {cut.reason}" for cut in cuts if cut.reason] + [
        f"{found.label}: {found.ended}" for found in models if found.quantity == "purchases"
    ]
    raise FitError(f"no model foresaw anything at any cut. {'; '.join(dict.fromkeys(reasons))}")


# -- notes ----------------------------------------------------------------------------------------


def _notes(tried: Backtest, settings: Settings) -> list[str]:
    notes = [f"Cut {cut.cut}: {cut.reason}." for cut in tried.cuts if cut.reason]
    for cut in tried.usable:
        for by_method in cut.foreseen.values():
            notes += [
                f"{found.label} foresaw nothing at {cut.cut}: {found.ended}"
                for found in by_method.values()
                if found.expected is None
            ]
    some = tried.usable[0]
    notes.append(
        f"Intervals of metrics and of differences: {some.scores['purchases'].resampled.how}, "
        f"{tried.interval:.0%}. The same customers are drawn at every cut."
    )
    if settings.window is not None:
        notes.append(
            f"Models learnt from those who first bought within {tried.window} before the cut; all "
            "customers known at the cut were foreseen."
        )
    if some.rfm is not None and (some.cut - tried.base.first).days + 1 < (some.end - some.cut).days:
        notes.append(
            f"Before {some.cut} less than a horizon had been observed: the last period is then all "
            "that was known."
        )
    return notes
