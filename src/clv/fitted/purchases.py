"""Fitted purchase models: one prediction path for every family."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from clv.errors import DataError, InfiniteValueError
from clv.fitted import discounting
from clv.fitted.base import Fitted
from clv.numerics.backend import Array
from clv.numerics.histories import PurchaseHistory
from clv.numerics.threads import taken
from clv.tables.rfm import RFM
from clv.units import discount_rate_per_unit

HISTORY_COLUMNS = PurchaseHistory._fields


class Rows(NamedTuple):
    """Distinct rows of a table, as far as a model looks at them."""

    history: PurchaseHistory
    matrix: Any  #: of covariates (m, terms), None without, or customers' lives (time_varying)
    inverse: npt.NDArray[np.signedinteger[Any]]  #: the place of each customer, shape (n,)

    def take(self, rows: Any) -> Rows:
        """The chosen rows; `inverse` is that of the whole."""
        matrix = None if self.matrix is None else self.matrix[rows]
        return Rows(self.history.take(rows), matrix, self.inverse)


class FittedPurchases(Fitted):
    """A fitted purchase model: when customers will buy, and whether they are still there."""

    def probability_alive(self, rfm: RFM) -> Array:
        """P(alive) at the end of the observation, shape (n,)."""
        history, matrix, inverse = self.rows_of(rfm)
        alive = self.average(lambda p: self.family.probability_alive(p, history), matrix)
        return np.asarray(alive[inverse])

    def survival(self, rfm: RFM, horizon: float | str) -> Array:
        """P(still alive at the end of the horizon), shape (n,)."""
        t = self._horizon(horizon)
        return self.of_living(rfm, lambda state: self.family.survival(state, t))[0]

    def churn_probability(self, rfm: RFM, horizon: float | str) -> Array:
        """1 - survival: gone by the end of the horizon, or gone already."""
        return np.asarray(1.0 - self.survival(rfm, horizon))

    def retention_probability(self, rfm: RFM, horizon: float | str) -> Array:
        """P(still alive at the end of the horizon | alive now), shape (n,)."""
        return np.asarray(self.survival(rfm, horizon) / self.probability_alive(rfm))

    def expected_purchases(self, rfm: RFM, horizon: float | str) -> Array:
        """E[purchases in (T, T + horizon] | history], shape (n,)."""
        t = self._horizon(horizon)
        return self.of_living(rfm, lambda state: self.family.expected_purchases(state, t))[0]

    def probability_no_purchase(self, rfm: RFM, horizon: float | str) -> Array:
        """P(no purchase in (T, T + horizon] | history), shape (n,)."""
        t = math.inf if horizon == math.inf else self._horizon(horizon)
        return np.asarray(
            1.0 - self.of_living(rfm, lambda s: 1.0 - self.family.no_purchase_probability(s, t))[0]
        )

    def probability_never_again(self, rfm: RFM) -> Array:
        """P(no purchase ever again | history), shape (n,)."""
        return self.probability_no_purchase(rfm, math.inf)

    def discounted_expected_purchases(
        self, rfm: RFM, horizon: float | str | None = None, discount_rate: float = 0.1
    ) -> Array:
        """Expected purchases, each discounted continuously to today (DET, DERT).

        Parameters
        ----------
        rfm
            Table with n customers.
        horizon
            None: to infinity (DERT).
        discount_rate
            Effective per year.

        Returns
        -------
        Array
            Shape (n,).

        Raises
        ------
        InfiniteValueError
            Without horizon and discounting, when expected purchases are infinite.
        """
        return self.of_living(rfm, self.discounter(horizon, discount_rate))[0]

    def discounter(
        self, horizon: float | str | None, discount_rate: float
    ) -> Callable[[Any], Array]:
        """The function of a state that `discounted_expected_purchases` averages."""
        delta = discount_rate_per_unit(discount_rate, self.time_unit)
        if horizon is None:
            if delta == 0:
                return self._purchases_ever
            t = math.inf
        else:
            t = self._horizon(horizon)
            if delta == 0:
                return lambda state: self.family.expected_purchases(state, t)
        return lambda state: discounting.discounted_purchases(self.family, state, t, delta)

    def discounted_expected_lifetime(
        self, rfm: RFM, horizon: float | str | None = None, discount_rate: float = 0.1
    ) -> Array:
        """Expected time alive within the horizon, discounted continuously, shape (n,).

        Raises
        ------
        InfiniteValueError
            Without horizon and discounting.
        """
        return self.of_living(rfm, self.lifetime_discounter(horizon, discount_rate))[0]

    def lifetime_discounter(
        self, horizon: float | str | None, discount_rate: float
    ) -> Callable[[Any], Array]:
        """The function of a state that `discounted_expected_lifetime` averages."""
        delta = discount_rate_per_unit(discount_rate, self.time_unit)
        if horizon is None and delta == 0:
            raise InfiniteValueError(
                "the expected time alive need not be finite without a horizon and without "
                "discounting; give a horizon or a discount_rate above 0"
            )
        t = math.inf if horizon is None else self._horizon(horizon)
        return lambda state: discounting.discounted_time(self.family, state, t, delta)

    def next_purchase_quantile(self, rfm: RFM, q: float) -> Array:
        """Time from now by which the next purchase has come with probability `q`, shape (n,).

        Infinite where the customer never buys again with probability above ``1 - q``: the
        distribution is defective, so it has quantiles but no useful mean.
        """
        (time,), row_of = self.next_purchase_quantiles_of_rows(rfm, (q,))
        return np.asarray(time[row_of])

    def next_purchase_quantiles_of_rows(
        self, rfm: RFM, levels: Sequence[float]
    ) -> tuple[list[Array], npt.NDArray[np.signedinteger[Any]]]:
        """`next_purchase_quantile` per distinct row, for several levels, and each row's place."""
        rows = self.rows_of(rfm)
        parameters = self.parameters_at(self.estimates, rows.matrix)
        alive = self.family.probability_alive(parameters, rows.history)
        result = []
        for q in levels:
            if not 0 < q < 1:
                raise DataError(f"q must lie strictly between 0 and 1, not {q!r}")
            can = np.flatnonzero(alive > q)
            chosen = rows.take(can)
            parameters = self.parameters_at(self.estimates, chosen.matrix)
            state = self.family.alive_state(parameters, chosen.history)
            time = np.full(len(alive), np.inf)
            time[can] = self.family.next_purchase_quantile(state, q / alive[can])
            result.append(time)
        return result, rows.inverse

    def purchase_count_pmf(
        self,
        n: Any,
        horizon: Any,
        rfm: RFM | None = None,
        *,
        covariates: Mapping[str, Any] | RFM | None = None,
    ) -> Array:
        """P(n purchases within the horizon).

        Parameters
        ----------
        n
            Whole numbers >= 0; any shape for a new customer. With a table: one number, or one
            for each of its rows.
        horizon
            How far ahead; without a table also an array of times that broadcasts with `n`.
        rfm
            Without it: for a new customer, from the first purchase on (not counting it).
        covariates
            Of the new customer, by name, where the model has any. Or a table: new customers like
            each of its rows, along the last axis.
        """
        n = np.asarray(n)
        if np.any(n < 0) or np.any(n != np.floor(n)):
            raise DataError("n must be whole numbers of purchases, 0 or more")
        if rfm is None:
            times = self._times(horizon)
            positive = np.where(times > 0, times, 1.0)
            new = self._new(
                lambda alive, state: (
                    alive * self.family.purchase_count_pmf(state, n, positive)
                    + (1.0 - alive) * (n == 0)
                ),
                covariates,
            )
            return np.asarray(np.where(times > 0, new, n == 0))
        t = self._horizon(horizon)
        rows = self.rows_of(rfm)
        inverse = rows.inverse
        if n.ndim:
            rows, inverse = rows.take(inverse), np.arange(len(rfm))
        history = rows.history

        def pmf(parameters: Any) -> Array:
            alive = self.family.probability_alive(parameters, history)
            state = self.family.alive_state(parameters, history)
            living = alive * self.family.purchase_count_pmf(state, n, t)
            return np.asarray(living + (1.0 - alive) * (n == 0))

        return np.asarray(self.average(pmf, rows.matrix)[inverse])

    def expected_purchases_new_customer(
        self, horizon: Any, *, covariates: Mapping[str, Any] | RFM | None = None
    ) -> Array:
        """E[X(t)]: expected repeat purchases within the horizon after the first purchase.

        `horizon` may be an array of times in the model's unit; `covariates` gives the customer's
        values by name where the model has any, or a table: one customer like each of its rows.
        """
        t = self._times(horizon)
        return self._new(
            lambda alive, state: alive * self.family.expected_purchases(state, t), covariates
        )

    def survival_new_customer(
        self, horizon: Any, *, covariates: Mapping[str, Any] | RFM | None = None
    ) -> Array:
        """P(alive a time `horizon` after the first purchase); an array of times is allowed."""
        t = self._times(horizon)
        return self._new(lambda alive, state: alive * self.family.survival(state, t), covariates)

    def simulate(
        self, T: Any, seed: int = 0, *, covariates: Mapping[str, Any] | RFM | None = None
    ) -> PurchaseHistory:
        """Simulate new customers from the plug-in parameters.

        Parameters
        ----------
        T
            Ages to observe them to, shape (n,).
        seed
            Source of randomness.
        covariates
            Where the model has any: the values by name that all have, or a table whose
            customers they are like, in turn.

        Returns
        -------
        PurchaseHistory
            Arrays of shape (n,); of models that look at intervals, with ``sum_log_intervals``.
        """
        from clv.numerics.sampling import simulate_histories

        if isinstance(covariates, RFM):
            rows = self.rows_of(covariates)
            like = np.resize(rows.inverse, len(T))
            matrix = None if rows.matrix is None else rows.matrix[like]
        else:
            matrix = self.matrix_of_one(covariates)
        parameters = self.parameters_at(self.estimates, matrix)
        ages = np.asarray(T, dtype=np.float64)
        history: PurchaseHistory = simulate_histories(self.family, parameters, ages, seed)
        return history

    def check_table(self, rfm: RFM) -> None:
        """Refuse what is not a table, another time unit, and ages where opportunities count."""
        super().check_table(rfm)
        discounting.check_whole_times(self.family, rfm)

    # --- helpers -----------------------------------------------------------------------------

    def _horizon(self, horizon: float | str) -> float:
        return discounting.horizon_of(self.family, horizon, self.time_unit)

    def _times(self, horizon: Any) -> Any:
        if isinstance(horizon, str):
            return self._horizon(horizon)
        t = np.asarray(horizon, dtype=np.float64)
        if not (np.isfinite(t).all() and (t >= 0).all()):
            raise DataError("horizons must be finite lengths of time, 0 or more")
        return t

    def _new(
        self,
        function: Callable[[Array, Any], Array],
        covariates: Mapping[str, Any] | RFM | None,
    ) -> Array:
        if isinstance(covariates, RFM):
            self.check_table(covariates)
            numbers = {name: covariates.numbers(name) for name in self.covariates}
            matrix = self.matrix_of(covariates, numbers)
        else:
            matrix = self.matrix_of_one(covariates)
        return self.average(lambda p: function(*self.family.new_customer(p)), matrix)

    def rows_of(self, rfm: RFM) -> Rows:
        """Distinct rows of what P(alive) depends on."""
        return self._rows(rfm, HISTORY_COLUMNS)

    def states_of(self, rfm: RFM) -> Rows:
        """Distinct rows of what a state depends on; the rest of the history is blank."""
        return self._rows(rfm, self.family.STATE_COLUMNS)

    def _rows(self, rfm: RFM, columns: tuple[str, ...]) -> Rows:
        self.check_table(rfm)
        rows = rfm.distinct(*columns, *self.covariates)
        given = dict(zip((*columns, *self.covariates), rows.columns, strict=True))
        blank = np.zeros_like(rows.columns[0])
        history = PurchaseHistory(*(given.get(name, blank) for name in HISTORY_COLUMNS))
        return Rows(history, self.matrix_of(rfm, given), rows.inverse)

    def _state_of_row(self, rfm: RFM) -> npt.NDArray[np.signedinteger[Any]]:
        """For each of `rows_of`, which of `states_of` it contains."""
        columns = (*self.family.STATE_COLUMNS, *self.covariates)
        return rfm.state_of_row((*HISTORY_COLUMNS, *self.covariates), columns)

    def of_living(
        self, rfm: RFM, *functions: Callable[[Any], Array], with_alive: bool = False
    ) -> list[Array]:
        """Compute ``P(alive) * function(state)`` for every row, for each function.

        P(alive) is computed once per distinct row, and what a state decides once per distinct
        state, for all functions together. `with_alive` puts P(alive) itself in front.
        """
        rows, states = self.rows_of(rfm), self.states_of(rfm)
        of_row = self._state_of_row(rfm)
        points = self.points()
        totals = [np.zeros(len(rows.history.T)) for _ in range(len(functions) + 1)]
        for point in points:
            alive, state = self._alive(point, rows), self._state(point, states)
            totals[0] += alive
            for total, function in zip(totals[1:], functions, strict=True):
                total += alive * function(state)[of_row]
        means = [taken(total / len(points), rows.inverse) for total in totals]
        return means if with_alive else means[1:]

    # --- draws of the parameters -------------------------------------------------------------

    def sample_futures(
        self, points: Array, rows: Rows, horizon: float, rng: np.random.Generator
    ) -> Any:
        """Exact draws of the purchases of m living customers within the horizon.

        One future for each draw of the parameters (draws, K): `families.Paths` with counts of
        shape (m, draws).
        """
        state = self._states_at(points, rows)
        return self.family.sample_purchases(state, horizon, rng, (len(rows.history.T), len(points)))

    def alive_at_draws(self, points: Array, rows: Rows) -> Array:
        """P(alive) of m rows at draws of the parameters, shape (m, draws)."""
        parameters = self.parameters_at(points, rows.matrix)
        return np.asarray(self.family.probability_alive(parameters, _column(rows.history)))

    def at_draws(
        self, points: Array, rows: Rows, *functions: Callable[[Any], Array]
    ) -> list[Array]:
        """Functions of the state of m rows at draws of the parameters, shape (m, draws) each."""
        state, size = self._states_at(points, rows), (len(rows.history.T), len(points))
        flat = type(state)(*(np.broadcast_to(s, size).reshape(-1) for s in state))
        return [function(flat).reshape(size) for function in functions]

    def living_at_draws(
        self,
        points: Array,
        rows: Rows,
        states: Rows,
        chosen: npt.NDArray[np.signedinteger[Any]],
        *functions: Callable[[Any], Array],
    ) -> list[Array]:
        """``P(alive) * function(state)`` of chosen customers at draws, shape (m, draws) each.

        `rows` and `states` are `rows_of` and `states_of` their table.
        """
        used, local = np.unique(states.inverse[chosen], return_inverse=True)
        found = self.at_draws(points, states.take(used), *functions)
        alive = self.alive_at_draws(points, rows.take(rows.inverse[chosen]))
        return [alive * values[local] for values in found]

    def count_pmf_of_rows(self, rows: Rows, n: int, t: float) -> Array:
        """P(n purchases within t) of rows, shape (m,)."""

        def pmf(parameters: Any) -> Array:
            alive = self.family.probability_alive(parameters, rows.history)
            state = self.family.alive_state(parameters, rows.history)
            within = np.asarray(alive * self.family.purchase_count_pmf(state, n, t))
            return within + (1.0 - alive) if n == 0 else within

        return self.average(pmf, rows.matrix)

    def _states_at(self, points: Array, rows: Rows) -> Any:
        parameters = self.parameters_at(points, rows.matrix)
        return self.family.alive_state(parameters, _column(rows.history))

    def _alive(self, point: Array, rows: Rows) -> Array:
        parameters = self.parameters_at(point, rows.matrix)
        return np.asarray(self.family.probability_alive(parameters, rows.history))

    def _state(self, point: Array, rows: Rows) -> Any:
        return self.family.alive_state(self.parameters_at(point, rows.matrix), rows.history)

    def _purchases_ever(self, state: Any) -> Array:
        ever = getattr(self.family, "expected_purchases_ever", None)
        total = np.inf if ever is None else ever(state)
        if not np.all(np.isfinite(total)):
            raise InfiniteValueError(
                f"{self.family.TITLE} expects infinitely many purchases when there is neither "
                "a horizon nor discounting; give a horizon or a discount_rate above 0"
            )
        return np.asarray(total)


def _column(history: PurchaseHistory) -> PurchaseHistory:
    return history.take((slice(None), None))
