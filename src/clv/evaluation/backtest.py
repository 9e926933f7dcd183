"""Rolling origins: what would have been foreseen on earlier days, and what then happened."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

from clv.errors import ClvError, DataError, FitError
from clv.evaluation.at_cut import Foreseen, Quantity, Settings, foresee
from clv.evaluation.candidates import purchase_candidates, spend_candidates
from clv.evaluation.origins import Integers, Known, Origin, known_at, plan, whole_days
from clv.evaluation.table import ResultTable
from clv.fitted import Fitted
from clv.numerics.backend import Array
from clv.tables._arrow import take
from clv.tables._day import day_number
from clv.tables._days import Days, purchase_days
from clv.tables._frame import Table
from clv.tables._period import observation_period
from clv.tables.rfm import RFM
from clv.tables.transactions import Transactions
from clv.units import DAYS_PER_UNIT, TimeUnit, check_time_unit

LEVELS = (0.5, 0.8, 0.9, 0.95)


@dataclass(frozen=True, repr=False)
class Cut:
    """One cut of a backtest: what was known, what every method foresaw, and what came.

    Attributes
    ----------
    cut, end
        Last day known, and last day foreseen.
    rfm
        One row for each of the n customers known at the cut, with the holdout; None where
        nobody was.
    actual
        By quantity ("purchases", "value"): what each customer did, shape (n,).
    foreseen
        By quantity, then method: `Foreseen`.
    place
        Of each customer among those of all cuts, shape (n,).
    reason
        Why nothing was foreseen; empty otherwise.
    """

    cut: date
    end: date
    rfm: RFM | None = None
    actual: Mapping[Quantity, Array] = field(default_factory=dict)
    foreseen: Mapping[Quantity, Mapping[str, Foreseen]] = field(default_factory=dict)
    place: Integers | None = field(default=None, repr=False)
    reason: str = ""

    def predictions(self, quantity: Quantity) -> dict[str, Array]:
        """By method, what it expected of each customer, shape (n,); without those that failed."""
        return {
            name: found.expected
            for name, found in self.foreseen.get(quantity, {}).items()
            if found.expected is not None
        }

    def fitted(self, method: str) -> Fitted:
        """The model that a method fitted at this cut, of purchases or (by method of value) spend.

        Raises
        ------
        DataError
            If there is none.
        """
        for by_method in self.foreseen.values():
            found = by_method.get(method)
            if found is not None and found.fitted is not None:
                return found.fitted
        known = [m for by in self.foreseen.values() for m, f in by.items() if f.fitted is not None]
        raise DataError(
            f"no model {method!r} was fitted at {self.cut}; there are {', '.join(known) or 'none'}"
        )

    def customers(self, quantity: Quantity = "purchases") -> Table:
        """A row per customer: id, what happened (``actual``), and what each method expected."""
        if self.rfm is None:
            raise DataError(f"nothing was foreseen at {self.cut}: {self.reason}")
        columns = {"customer_id": self.rfm.data["customer_id"], "actual": self.actual[quantity]}
        return Table.from_columns({**columns, **self.predictions(quantity)}, like=self.rfm)


@dataclass(frozen=True, repr=False)
class Backtest:
    """What would have been foreseen on earlier days, and how right it was. Made by `backtest`.

    Attributes
    ----------
    cuts
        `Cut` objects, earliest first.
    horizon, time_unit
        Length of what was foreseen at each.
    window
        "expanding", or the length of the window that models learnt from.
    levels
        Of the predictive intervals.
    notes
        What should be known of it, in sentences.
    """

    cuts: tuple[Cut, ...]
    horizon: float
    time_unit: TimeUnit
    window: str
    levels: tuple[float, ...]
    notes: tuple[str, ...]
    days: Days = field(repr=False)

    @property
    def usable(self) -> tuple[Cut, ...]:
        """Cuts at which something was foreseen."""
        return tuple(cut for cut in self.cuts if not cut.reason)

    def labels(self, quantity: Quantity) -> dict[str, str]:
        """Names of the methods for people, by method."""
        return {
            name: found.label
            for cut in self.usable
            for name, found in cut.foreseen[quantity].items()
        }

    @property
    def fits(self) -> ResultTable:
        """A row per cut and method: how it ended, and what the fit says of itself."""
        from clv.evaluation.tidy import fit_rows

        return ResultTable.of("What became of every method at every cut", fit_rows(self.cuts))

    @property
    def metrics(self) -> ResultTable:
        """One row per cut, method, quantity, metric and segment."""
        from clv.evaluation.tidy import metric_rows

        return ResultTable.of("Metrics", metric_rows(self.usable, self.levels))


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
    levels: Sequence[float] = LEVELS,
    seed: int = 0,
    fit_options: Mapping[str, Any] | None = None,
) -> Backtest:
    """Cut the past at several days, foresee at each what came next, and see who was right.

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
        How many, the last as late as the horizon allows; or the days themselves.
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
        Of fitting, such as "mle"; with several each model is tried by each.
    time_unit
        As in `clv.rfm_summary`.
    levels
        Of the predictive intervals.
    seed
        Source of randomness.
    fit_options
        What else ``fit`` is told.

    Returns
    -------
    Backtest

    Raises
    ------
    DataError
        If there is no room for the cuts, or an argument cannot be understood.
    FitError
        If nothing could be foreseen at any cut; the message says why.

    Examples
    --------
    >>> import clv
    >>> transactions = clv.read_transactions(clv.datasets.load_cdnow())
    >>> tried = clv.backtest(transactions, ["bg_nbd"], horizon="13 weeks", cuts=["1997-09-30"])
    >>> tried.cuts[0].predictions("purchases")["bg_nbd"].shape
    (2357,)
    """
    if not isinstance(transactions, Transactions):
        raise DataError(
            f"backtest needs transactions, not {type(transactions).__name__}: it summarises them "
            "anew at every cut; read a frame or file with clv.read_transactions"
        )
    unit = check_time_unit(time_unit)
    period = observation_period(transactions, observation_period_end, None)
    length = whole_days(horizon, unit, "horizon")
    settings = Settings(
        purchases=purchase_candidates(models, method),
        spend=spend_candidates(spend),
        window=None if window == "expanding" else whole_days(window, unit, "window"),
        levels=tuple(sorted(levels)),
        seed=seed,
        fit_options=dict(fit_options or {}),
    )
    days = purchase_days(transactions, day_number(period.end))
    first = date.fromisoformat(str(days.day.min().astype("datetime64[D]")))
    origins = plan(
        cuts,
        first=first,
        end=period.end,
        horizon=length,
        step=None if step is None else whole_days(step, unit, "step"),
        calendar=transactions.calendar,
    )
    done = tuple(_cut(days, origin, period.end, unit, settings, transactions) for origin in origins)
    _check_some(done)
    return Backtest(
        cuts=done,
        horizon=length / DAYS_PER_UNIT[unit],
        time_unit=unit,
        window="expanding" if settings.window is None else str(window),
        levels=settings.levels,
        notes=period.notes,
        days=days,
    )


def _cut(
    days: Days, origin: Origin, end: date, unit: TimeUnit, settings: Settings, like: Transactions
) -> Cut:
    """One cut, whatever becomes of it."""
    if origin.end > end:
        short = (end - origin.cut).days
        reason = (
            f"only {max(short, 0):,} of the {(origin.end - origin.cut).days:,} days after it have "
            "been observed"
        )
        return Cut(*origin, reason=reason)
    try:
        known = known_at(days, origin, unit)
    except ClvError as error:
        return Cut(*origin, reason=f"{type(error).__name__}: {error}")
    found = foresee(known, settings)
    return _assembled(origin, known, found, days, like)


def _assembled(
    origin: Origin, known: Known, found: Sequence[Foreseen], days: Days, like: Transactions
) -> Cut:
    from clv.evaluation.holdout import rounded

    ids = take(days.ids, known.place)
    columns = {**known.rfm.data, "customer_id": ids}
    quantities: tuple[Quantity, ...] = ("purchases", "value")
    return Cut(
        *origin,
        rfm=replace(known.rfm, **Table.parts(columns, like=like.engine)),
        actual={
            "purchases": known.rfm.array("holdout_purchases"),
            "value": rounded(known.rfm.array("holdout_spend")),
        },
        foreseen={q: {f.method: f for f in found if f.quantity == q} for q in quantities},
        place=known.place,
    )


def _check_some(cuts: Sequence[Cut]) -> None:
    models = [f for cut in cuts for by in cut.foreseen.values() for f in by.values() if f.is_model]
    if any(found.expected is not None for found in models):
        return
    reasons = [f"{cut.cut}: {cut.reason}" for cut in cuts if cut.reason] + [
        f"{found.label}: {found.ended}" for found in models
    ]
    raise FitError(f"no model foresaw anything at any cut. {'; '.join(dict.fromkeys(reasons))}")
