"""Several fitted purchase models as one: what each foresees, weighted."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from clv.errors import DataError
from clv.fitted.base import Fitted
from clv.fitted.pool import Pool, PooledState
from clv.fitted.purchases import HISTORY_COLUMNS, FittedPurchases, Rows
from clv.inference.maximum_likelihood import Convergence
from clv.numerics.backend import Array
from clv.numerics.histories import PurchaseHistory
from clv.tables.rfm import RFM

#: Halvings of the time of a next purchase: to a thousandth of a second in ten years.
_HALVINGS = 40


class _Matrices:
    """Of every member what stands in `Rows.matrix`."""

    def __init__(self, every: Sequence[Any]) -> None:
        self.every = tuple(every)

    def __getitem__(self, rows: Any) -> _Matrices:
        return _Matrices([None if matrix is None else matrix[rows] for matrix in self.every])


@dataclass(frozen=True, repr=False, eq=False)
class Stacked(FittedPurchases):
    """Several fitted purchase models as one. Made by `StackedModel.fit` or `Stacked.of`.

    Every probability and every expectation is the weighted mean of the members': with weight w
    it is the first who is right, for everybody. A linear opinion pool.

    Attributes
    ----------
    members
        The fitted models.
    weights
        Shape (members,), positive, summing to 1.
    """

    members: tuple[FittedPurchases, ...] = ()
    weights: tuple[float, ...] = ()

    form: ClassVar[str] = "stacked"

    @classmethod
    def of(cls, members: Sequence[FittedPurchases], weights: Sequence[float]) -> Stacked:
        """Put fitted models together.

        Parameters
        ----------
        members
            Purchase models in one time unit, of customers whose time runs on.
        weights
            As many, none negative; they are scaled to sum to 1, and members of weight 0 are left
            out.

        Raises
        ------
        DataError
            If weights and members do not fit together, or units differ.
        """
        given = [
            (member, float(weight))
            for member, weight in zip(members, checked_weights(weights, len(members)), strict=True)
            if weight > 0
        ]
        kept = tuple(member for member, _ in given)
        total = math.fsum(weight for _, weight in given)
        unfit = [
            member.title
            for member in kept
            if member.form or getattr(member.family, "WHOLE_TIMES", False)
        ]
        if unfit:
            raise DataError(
                f"{', '.join(unfit)} cannot be part of a stack: it takes models of customers who "
                "may buy at any time, without covariates that change with time"
            )
        first = kept[0]
        units = sorted({str(member.time_unit) for member in kept})
        if len(units) > 1:
            raise DataError(f"the models of a stack are in different time units: {units}")
        ends = [m.observation_period_end for m in kept if m.observation_period_end is not None]
        known = len(ends) == len(kept)
        draws = min(len(member.draws) for member in kept)
        sizes = [len(member.estimates) for member in kept]
        covariance = np.zeros((sum(sizes), sum(sizes)))
        for member, end in zip(kept, np.cumsum(sizes).tolist(), strict=True):
            place = slice(end - len(member.estimates), end)
            covariance[place, place] = member.log_covariance
        return cls(
            family=Pool([member.family for member in kept]),
            estimates=np.concatenate([member.estimates for member in kept]),
            log_covariance=covariance,
            determined=np.concatenate([member.determined for member in kept]),
            draws=np.concatenate([member.draws[:draws] for member in kept], axis=1),
            log_likelihood=math.nan,
            n_customers=first.n_customers,
            time_unit=first.time_unit,
            observation_period_end=max(ends) if known else None,
            fingerprint=first.fingerprint,
            convergence=_together([member.convergence for member in kept]),
            notes=tuple(dict.fromkeys(note for member in kept for note in member.notes)),
            members=kept,
            weights=tuple(weight / total for _, weight in given),
        )

    @property
    def title(self) -> str:
        """Its name for people."""
        return str(self.family.TITLE)

    @property
    def parameters(self) -> dict[str, float]:
        """The weights by name of the member; their own parameters are with `members`."""
        return {f"weight of {_name(m)}": w for m, w in zip(self.members, self.weights, strict=True)}

    @property
    def covariates(self) -> tuple[str, ...]:
        """Names of the columns that the members need beyond those of every table."""
        return tuple(dict.fromkeys(name for member in self.members for name in member.covariates))

    def summary(self) -> Any:
        """A row per member: its weight, and how its fit ended, as a pandas DataFrame."""
        import pandas as pd

        return pd.DataFrame(
            {
                "weight": self.weights,
                "model": [member.title for member in self.members],
                "log_likelihood": [member.log_likelihood for member in self.members],
                "ended": [member.convergence.message for member in self.members],
            },
            index=pd.Index([_name(member) for member in self.members], name="member"),
        )

    def __repr__(self) -> str:
        lines = [
            f"  {weight:6.1%}  {member.title}"
            for member, weight in zip(self.members, self.weights, strict=True)
        ]
        end = self.observation_period_end
        seen = "" if end is None else f" up to {end}"
        head = (
            f"Stack of {len(self.members)} purchase models, fitted to {self.n_customers:,} "
            f"customers{seen}, times in {self.time_unit}s"
        )
        return "\n".join([head, *lines, *self.notes])

    def _repr_html_(self) -> str:
        from html import escape

        return f"<pre>{escape(repr(self))}</pre>"

    def at(self, parameters: Array) -> Self:
        """The same stack with other parameters, all members' in one array, without uncertainty."""
        ends = np.cumsum([len(member.estimates) for member in self.members])[:-1]
        moved = zip(self.members, np.split(np.asarray(parameters), ends), strict=True)
        return replace(
            self,
            estimates=np.asarray(parameters),
            method="given",
            members=tuple(member.at(part) for member, part in moved),
        )

    def check_table(self, rfm: RFM) -> None:
        """Refuse a table that a member refuses."""
        for member in self.members:
            member.check_table(rfm)

    # --- predictions: weighted means of the members' -------------------------------------------

    def probability_alive(self, rfm: RFM) -> Array:
        """P(alive) at the end of the observation, shape (n,)."""
        return self._mean(lambda member: member.probability_alive(rfm))

    def of_living(
        self, rfm: RFM, *functions: Callable[[Any], Array], with_alive: bool = False
    ) -> list[Array]:
        """``P(alive) * function(state)`` for every row, the weighted mean of the members'."""
        totals: list[Array] = []
        for place, (member, weight) in enumerate(zip(self.members, self.weights, strict=True)):
            own = [_of_member(place, function) for function in functions]
            found = member.of_living(rfm, *own, with_alive=with_alive)
            parts = [weight * values for values in found]
            totals = parts if not totals else [a + b for a, b in zip(totals, parts, strict=True)]
        return totals

    def purchase_count_pmf(
        self,
        n: Any,
        horizon: Any,
        rfm: RFM | None = None,
        *,
        covariates: Mapping[str, Any] | RFM | None = None,
    ) -> Array:
        """P(n purchases within the horizon); see `FittedPurchases.purchase_count_pmf`."""
        return self._mean(
            lambda member: member.purchase_count_pmf(
                n, horizon, rfm, covariates=_known_to(member, covariates)
            )
        )

    def _new(
        self,
        function: Callable[[Array, Any], Array],
        covariates: Mapping[str, Any] | RFM | None,
    ) -> Array:
        total: Any = 0.0
        for place, (member, weight) in enumerate(zip(self.members, self.weights, strict=True)):

            def own(alive: Array, state: Any, place: int = place) -> Array:
                return function(alive, PooledState(place, state))

            total = total + weight * member._new(own, _known_to(member, covariates))
        return np.asarray(total)

    def simulate(
        self, T: Any, seed: int = 0, *, covariates: Mapping[str, Any] | RFM | None = None
    ) -> PurchaseHistory:
        """Simulate new customers, each by a member that is drawn by weight."""
        ages = np.asarray(T, dtype=np.float64)
        rng = np.random.default_rng([seed, 3])
        who = rng.choice(len(self.members), len(ages), p=self.weights)
        columns = np.zeros((len(HISTORY_COLUMNS), len(ages)))
        for place, member in enumerate(self.members):
            like = _known_to(member, covariates)
            # everybody is simulated, so that customer i is like row i of a table of covariates
            history = member.simulate(ages, seed + place, covariates=like)
            for column, values in zip(columns, history[: len(columns)], strict=True):
                column[who == place] = values[who == place]
        return PurchaseHistory(*columns)

    def next_purchase_quantiles_of_rows(
        self, rfm: RFM, levels: Sequence[float]
    ) -> tuple[list[Array], npt.NDArray[np.signedinteger[Any]]]:
        """Time by which the next purchase has come with a probability, per distinct row.

        The weighted mean of the members' probabilities has no inverse in closed form; it is found
        by halving, between the members' own quantiles.
        """
        rows = self.rows_of(rfm)
        own = [member.next_purchase_quantiles_of_rows(rfm, levels) for member in self.members]
        first = np.zeros(len(rows.history.T), dtype=np.int64)
        first[rows.inverse] = np.arange(len(rows.inverse))
        result = []
        for number, q in enumerate(levels):
            times = np.stack([found[number][inverse[first]] for found, inverse in own])
            result.append(self._time_of(q, rows, times))
        return result, rows.inverse

    def _time_of(self, q: float, rows: Rows, times: Array) -> Array:
        """Where P(bought again by then) reaches q; infinite where it never does."""
        low = times.min(axis=0)
        ever = self._bought_by(rows, np.inf)
        can = np.flatnonzero((ever > q) & np.isfinite(low))
        time = np.full(len(low), np.inf)
        chosen, low = rows.take(can), low[can]
        high = np.where(np.isfinite(times[:, can]), times[:, can], 0.0).max(axis=0)
        high = np.maximum(high, low)
        for _ in range(60):  # a member who never comes back may hold the others up
            short = self._bought_by(chosen, high) < q
            if not short.any():
                break
            high = np.where(short, 2.0 * high, high)
        for _ in range(_HALVINGS):
            middle = (low + high) / 2.0
            reached = self._bought_by(chosen, middle) >= q
            low, high = np.where(reached, low, middle), np.where(reached, middle, high)
        time[can] = high
        return time

    def _bought_by(self, rows: Rows, time: Any) -> Array:
        total = np.zeros(len(rows.history.T))
        for member, weight, own in self.parts(rows):
            parameters = member.parameters_at(member.estimates, own.matrix)
            alive = member.family.probability_alive(parameters, own.history)
            state = member.family.alive_state(parameters, own.history)
            none = member.family.no_purchase_probability(state, time)
            total += weight * alive * (1.0 - none)
        return total

    # --- rows --------------------------------------------------------------------------------

    def _rows(self, rfm: RFM, columns: tuple[str, ...]) -> Rows:
        """Distinct whole histories: the members' states depend on different parts of them."""
        self.check_table(rfm)
        rows = rfm.distinct(*HISTORY_COLUMNS, *self.covariates)
        given = dict(zip((*HISTORY_COLUMNS, *self.covariates), rows.columns, strict=True))
        history = PurchaseHistory(*(given[name] for name in HISTORY_COLUMNS))
        matrices = [member.matrix_of(rfm, given) for member in self.members]
        return Rows(history, _Matrices(matrices), rows.inverse)

    def parts(self, rows: Rows) -> list[tuple[FittedPurchases, float, Rows]]:
        """Each member with its weight, and rows as it sees them."""
        return [
            (member, weight, rows._replace(matrix=matrix))
            for member, weight, matrix in zip(
                self.members, self.weights, rows.matrix.every, strict=True
            )
        ]

    def count_pmf_of_rows(self, rows: Rows, n: int, t: float) -> Array:
        """P(n purchases within t) of rows, shape (m,)."""
        total = np.zeros(len(rows.history.T))
        for member, weight, own in self.parts(rows):
            total += weight * member.count_pmf_of_rows(own, n, t)
        return total

    def living_at_draws(
        self,
        points: Array,
        rows: Rows,
        states: Rows,
        chosen: npt.NDArray[np.signedinteger[Any]],
        *functions: Callable[[Any], Array],
    ) -> list[Array]:
        """``P(alive) * function(state)`` at draws of all members' parameters."""
        ends = np.cumsum([len(member.estimates) for member in self.members])[:-1]
        totals = [np.zeros((len(chosen), len(points))) for _ in functions]
        for place, (part, (member, weight, own)) in enumerate(
            zip(np.split(points, ends, axis=1), self.parts(rows), strict=True)
        ):
            of_member = [_of_member(place, function) for function in functions]
            # the states of a stack are its rows, and so are those of its members here
            found = member.living_at_draws(part, own, own, chosen, *of_member)
            for total, values in zip(totals, found, strict=True):
                total += weight * values
        return totals

    def _mean(self, function: Callable[[FittedPurchases], Array]) -> Array:
        total: Any = 0.0
        for member, weight in zip(self.members, self.weights, strict=True):
            total = total + weight * function(member)
        return np.asarray(total)


def checked_weights(weights: Sequence[float], members: int) -> Array:
    """Weights as an array; refuses what are none."""
    array = np.asarray(weights, dtype=np.float64)
    if array.shape != (members,) or not members:
        raise DataError(f"a stack of {members} models needs as many weights, not {weights!r}")
    if not np.isfinite(array).all() or (array < 0).any() or not array.any():
        raise DataError(f"weights must be 0 or more and not all 0, not {weights!r}")
    return array


def _of_member(place: int, function: Callable[[Any], Array]) -> Callable[[Any], Array]:
    return lambda state: function(PooledState(place, state))


def _known_to(
    member: Fitted, covariates: Mapping[str, Any] | RFM | None
) -> Mapping[str, Any] | RFM | None:
    """A new customer's covariates, without those that a member does not know."""
    if covariates is None or isinstance(covariates, RFM):
        return covariates
    return {name: value for name, value in covariates.items() if name in member.covariates} or None


def _name(member: Fitted) -> str:
    told = ", ".join(f"{name}={number}" for name, number in member.variant.items())
    named = ", ".join(member.covariates)
    more = "; ".join(text for text in (told, named) if text)
    return f"{member.model_name} ({more})" if more else member.model_name


def _together(ended: Sequence[Convergence]) -> Convergence:
    """How the fits ended, taken together: the first one's word where all is well."""
    return next((one for one in ended if one.boundary is not None), ended[0])
