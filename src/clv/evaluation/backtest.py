"""What came of a backtest: metrics as a tidy table, summaries, differences, and every forecast."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from html import escape
from typing import Any

import numpy as np

from clv.errors import DataError
from clv.evaluation.aggregates import GroupTotals
from clv.evaluation.backtest_rows import (
    difference_rows,
    record,
    summary_rows,
    total_rows,
    totals_by,
)
from clv.evaluation.base import CustomerBase
from clv.evaluation.candidates import Candidate
from clv.evaluation.curves import EVENTS, Event, decile_rows, reliability_rows
from clv.evaluation.cut import Cut
from clv.evaluation.cut_scores import TOPS
from clv.evaluation.differences import Difference, best_of, difference
from clv.evaluation.foreseen import QUANTITIES, Quantity
from clv.evaluation.page import Verdict, verdict_of
from clv.evaluation.table import ResultTable
from clv.evaluation.tidy import fit_rows, metric_rows
from clv.tables._frame import Table, counted
from clv.units import TimeUnit


@dataclass(frozen=True, repr=False)
class Backtest:
    """What would have been foreseen on earlier days, and how right it was. Made by `backtest`.

    Attributes
    ----------
    cuts
        `Cut` objects, earliest first; they hold every forecast, every fit and what happened.
    horizon, time_unit
        Length of what was foreseen at each.
    window
        "expanding", or the length of the window that models learnt from.
    levels
        Of the predictive intervals.
    interval
        Level of the intervals of metrics and of differences.
    seed
        Source of randomness.
    base
        The customers of all cuts.
    notes
        What should be known of it, in sentences.
    candidates
        The models that were tried, not fitted: of purchases, then of spend.
    """

    cuts: tuple[Cut, ...]
    horizon: float
    time_unit: TimeUnit
    window: str
    levels: tuple[float, ...]
    interval: float
    seed: int
    base: CustomerBase = field(repr=False)
    notes: tuple[str, ...]
    candidates: tuple[Candidate, ...] = field(default=(), repr=False)

    @property
    def usable(self) -> tuple[Cut, ...]:
        """Cuts at which something was foreseen."""
        return tuple(cut for cut in self.cuts if not cut.reason)

    def labels(self, quantity: Quantity, *, models: bool | None = None) -> dict[str, str]:
        """Names of the methods for people, by method; of models only, or of history only."""
        return {
            name: found.label
            for cut in self.usable
            for name, found in cut.foreseen[quantity].items()
            if models is None or found.is_model is models
        }

    # -- tables ----------------------------------------------------------------------------

    @cached_property
    def metrics(self) -> Table:
        """All metrics, one row for each.

        Columns ``cut``, ``method``, ``label``, ``quantity`` ("purchases" or "value"), ``by`` and
        ``segment`` (empty and "all", or what divides the customers and which part it is),
        ``customers``, ``metric``, ``value``, ``low`` and ``high`` (over customers; of all
        customers only) and ``ended``: how the fit ended, or why there is no forecast; the values
        are then missing.
        """
        rows = list(metric_rows(self.usable, self.levels, self.interval))
        names = list(rows[0]) if rows else []
        columns: dict[str, Any] = {name: [row[name] for row in rows] for name in names}
        columns["cut"] = np.array(columns["cut"], dtype="datetime64[D]")
        return Table.from_columns(columns, like=self.base.engine)

    @cached_property
    def fits(self) -> ResultTable:
        """A row per cut and method: how the fit ended, and what it says of itself."""
        return ResultTable.of(
            "What became of every method at every cut", fit_rows(self.cuts), "method"
        )

    def summary(self, quantity: Quantity = "value") -> ResultTable:
        """A row per method: means over the cuts at which it foresaw something.

        Parameters
        ----------
        quantity
            "purchases" or "value".
        """
        _check_quantity(quantity)
        return ResultTable.of(self._title(quantity), summary_rows(self, quantity), "method")

    @property
    def interval_level(self) -> float:
        """The level of predictive intervals that summaries speak of: 90 %, or what is nearest."""
        return min(self.levels, key=lambda level: (abs(level - 0.9), level))

    # -- comparisons -----------------------------------------------------------------------

    def mean(self, quantity: Quantity, method: str, metric: str) -> Difference:
        """Mean of a metric over the cuts, with its intervals."""
        return self._difference(quantity, metric, method, None)

    def difference(self, quantity: Quantity, metric: str, method: str, other: str) -> Difference:
        """Mean over the cuts of the metric of a method less that of another, with intervals.

        Parameters
        ----------
        quantity
            "purchases" or "value".
        metric
            As in `metrics`.
        method, other
            Names of methods, as in `metrics`.

        Raises
        ------
        DataError
            If there is no such method.
        """
        return self._difference(quantity, metric, method, other)

    def differences(self, quantity: Quantity, method: str) -> ResultTable:
        """A method less every other one, in the metrics of `summary`.

        Columns ``difference``, ``low`` and ``high`` (over customers), ``low_cuts`` and
        ``high_cuts`` (over customers and cuts), ``cuts``.
        """
        rows = difference_rows(self, quantity, method)
        return ResultTable.of(
            f"{self.labels(quantity).get(method, method)} less the others, {quantity}, mean of the "
            f"cuts, {self.interval:.0%} intervals",
            rows,
            "method",
        )

    def best(
        self,
        quantity: Quantity = "purchases",
        metric: str | None = None,
        *,
        models: bool | None = True,
        cuts: Sequence[Cut] | None = None,
    ) -> str | None:
        """The method with the best mean of a metric over the cuts.

        Parameters
        ----------
        quantity
            "purchases" or "value".
        metric
            By default what is proper for it: the log score of purchases, the CRPS of values.
        models
            True: of the models; False: of history; None: of all.
        cuts
            Those that count; by default all.

        Returns
        -------
        str or None
            Of equals the first; None where the metric is defined for none. Methods that foresaw
            something at fewer cuts than others are left out.
        """
        _check_quantity(quantity)
        metric = metric or ("log_score" if quantity == "purchases" else "crps")
        used = self.usable if cuts is None else tuple(cuts)
        return best_of(used, quantity, metric, list(self.labels(quantity, models=models)))

    def _difference(
        self, quantity: Quantity, metric: str, method: str, other: str | None
    ) -> Difference:
        _check_quantity(quantity)
        known = self.labels(quantity)
        unknown = [name for name in (method, other) if name is not None and name not in known]
        if unknown:
            raise DataError(
                f"no method of {quantity} is called {unknown[0]!r}; there are {', '.join(known)}"
            )
        return difference(
            self.usable, quantity, metric, method, other, level=self.interval, seed=self.seed
        )

    # -- one method closely ----------------------------------------------------------------

    def cut(self, which: Any = -1) -> Cut:
        """One of the usable cuts: by place (-1 is the last), or by its day.

        Raises
        ------
        DataError
            If there is none.
        """
        known = {cut.cut.isoformat(): cut for cut in self.usable}
        if isinstance(which, int) and -len(known) <= which < len(known):
            return self.usable[which]
        day = str(which)[:10]
        if day not in known:
            raise DataError(f"there is no cut at {which!r}; there are {', '.join(known)}")
        return known[day]

    def model(self, quantity: Quantity, method: str | None = None) -> str:
        """The name of a model: the one given, or the best by what is proper for the quantity.

        Raises
        ------
        DataError
            If there is none.
        """
        found = method or self.best(quantity)
        if found is None or found not in self.labels(quantity, models=True):
            known = self.labels(quantity, models=True)
            raise DataError(
                f"no model of {quantity} is called {found!r}; there are {', '.join(known)}"
            )
        return found

    def reliability(
        self,
        method: str | None = None,
        *,
        event: Event = "purchase",
        cut: Any = None,
        groups: int = 10,
    ) -> ResultTable:
        """Of those of whom something was held 30 % probable, to how many it happened.

        Parameters
        ----------
        method
            A model of purchases; by default the best.
        event
            "purchase": buys within the horizon. "alive": P(alive), beside the share who bought,
            and the share of whom the model expected it: not all who are alive buy.
        cut
            Which; by default all together.
        groups
            Of customers with similar probabilities, at most.

        Returns
        -------
        ResultTable
            ``group``, ``customers``, ``foreseen``, ``expected`` (share to buy), ``happened`` (share
            who bought), ``low`` and ``high`` (its interval).
        """
        name = self.model("purchases", method)
        rows = reliability_rows(
            self.cuts_of("purchases", name, cut), name, event, groups, self.interval
        )
        return ResultTable.of(f"{self.labels('purchases')[name]}: {EVENTS[event]}", rows)

    def calibration(
        self,
        quantity: Quantity = "value",
        method: str | None = None,
        *,
        cut: Any = None,
        groups: int = 10,
    ) -> ResultTable:
        """Mean foreseen and actual figure by tenth of the customers, highest foreseen first.

        Parameters
        ----------
        quantity
            "purchases" or "value".
        method
            By default the best model; historical figures can be asked for as well.
        cut
            Which; by default all together.
        groups
            How many parts.
        """
        name = method or self.model(quantity)
        rows = decile_rows(self.cuts_of(quantity, name, cut), quantity, name, groups)
        return ResultTable.of(
            f"{self.labels(quantity)[name]}: {quantity} by part of the customers", rows
        )

    def totals(
        self,
        quantity: Quantity = "value",
        method: str | None = None,
        *,
        cut: Any = -1,
        by: str = "cohort",
        level: float = 0.9,
    ) -> ResultTable:
        """Totals of cohorts (or other parts of the customers) and of all, with intervals.

        Parameters
        ----------
        quantity
            "purchases" or "value".
        method
            A model; by default the best.
        cut
            Which; by default the last.
        by
            "cohort", "frequency", or a column given in ``segments``.
        level
            Of the predictive intervals. They know chance and that parameters are estimates.

        Returns
        -------
        ResultTable
            ``segment``, ``customers``, ``expected``, ``low``, ``high``, ``actual``, ``holds``.
        """
        name, where = self.model(quantity, method), self.cut(cut)
        key = (where.cut, quantity, name, by)
        if key not in self._totals:
            self._totals[key] = totals_by(where, quantity, name, by)
        rows = total_rows(self._totals[key], level)
        return ResultTable.of(
            f"{self.labels(quantity)[name]}: {quantity} from {where.cut} to {where.end} by {by}, "
            f"{level:.0%} intervals",
            rows,
        )

    @cached_property
    def _totals(self) -> dict[Any, GroupTotals]:
        return {}

    def verdict(self, method: str | None = None, *, cut: Any = -1, top: int = 10) -> Verdict:
        """One page for somebody who has to decide: is it right, better than history, for whom.

        Parameters
        ----------
        method
            A model of value. By default the one that foresaw value best at the earlier cuts whose
            horizon had ended, so that it is judged by what did not choose it.
        cut
            At which it is judged; by default the last.
        top
            "The best customers" are this many per cent: 5, 10 or 20.

        Returns
        -------
        Verdict
            Sentences with the numbers behind each; shows itself as text and as HTML.

        Raises
        ------
        DataError
            If there is no such model, or it foresaw nothing at this cut.
        """
        if f"captured_top_{top}" not in TOPS:
            raise DataError(f"top must be 5, 10 or 20 (per cent), not {top!r}")
        return verdict_of(self, method, cut, top)

    def plot(self, kind: str, **options: Any) -> Any:
        """Draw it: one of the pictures of backtests in `clv.plots`, such as "tracking".

        Parameters
        ----------
        kind
            "tracking", "reliability", "deciles", "cohort_retention", "cohort_value",
            "pit_histogram", "interval_coverage" or "metric".
        options
            Of that function.

        Returns
        -------
        matplotlib.axes.Axes
        """
        from clv.plots import backtests

        if kind not in backtests.PICTURES:
            raise DataError(
                f"there is no picture {kind!r}; there are {', '.join(backtests.PICTURES)}"
            )
        return backtests.PICTURES[kind](self, **options)

    def cuts_of(self, quantity: Quantity, method: str, which: Any) -> list[Cut]:
        """The cuts at which a method foresaw something: all, or the one that is asked for."""
        if which is not None:
            return [self.cut(which)]
        return [cut for cut in self.usable if method in cut.predictions(quantity)]

    # -- shown -----------------------------------------------------------------------------

    def _title(self, quantity: str) -> str:
        what = "Purchases" if quantity == "purchases" else "Value"
        cuts = counted(len(self.usable), "cut", "cuts")
        return (
            f"{what} per customer, {self.horizon:g} {self.time_unit}s ahead: mean of {cuts}, "
            f"{self.usable[0].cut} to {self.usable[-1].cut}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Summaries, fits and notes in the types of JSON; `metrics` has all the rest."""
        return record(self)

    def __repr__(self) -> str:
        tables = [str(self.summary(quantity)) for quantity in QUANTITIES]
        notes = "\n".join(
            textwrap.fill(f"note: {note}", width=100, subsequent_indent="  ") for note in self.notes
        )
        return "\n\n".join([*tables, notes])

    def _repr_html_(self) -> str:
        tables = "".join(self.summary(quantity)._repr_html_() for quantity in QUANTITIES)
        notes = "".join(f"<p><small>{escape(note)}</small></p>" for note in self.notes)
        return f"<div>{tables}{notes}</div>"


def _check_quantity(quantity: str) -> None:
    if quantity not in QUANTITIES:
        raise DataError(f"quantity must be 'purchases' or 'value', not {quantity!r}")
