"""Fitted Pareto/NBD with covariates that change with time."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from clv.errors import DataError, MissingColumnError
from clv.families import _pareto_nbd_changing as changing
from clv.families import pareto_nbd
from clv.families._pareto_nbd_changing import BeyondTheRoad, Lives, Moving
from clv.families._protocol import Paths
from clv.fitted.base import Fitted
from clv.fitted.purchases import HISTORY_COLUMNS, FittedPurchases, Rows
from clv.inference.design import Column
from clv.inference.time_varying import Timeline, coefficients_of, histories_of, terms_of
from clv.numerics import pareto_future
from clv.numerics.backend import Array
from clv.numerics.histories import PurchaseHistory
from clv.tables import _timeline
from clv.tables.rfm import RFM
from clv.tables.time_varying import TimeVaryingCovariates
from clv.tables.transactions import Transactions
from clv.units import DAYS_PER_UNIT, discount_rate_per_unit, parse_horizon

Indices = npt.NDArray[np.int64]

_BLOCK = 200_000  #: customers times days at a time


class FittedTimeVarying(FittedPurchases):
    """A fitted Pareto/NBD whose rates change with covariates over time.

    Predictions take the covariates to come from the table: attach them with
    ``rfm.with_time_varying_covariates(covariates)``. They need a horizon that these reach: there is
    no "ever" without covariates for ever, as ``time_varying_covariates(..., afterwards=)`` gives.
    """

    form: ClassVar[str] = "time_varying"

    @classmethod
    def family_of(cls, family: Any) -> Any:
        """Pareto/NBD's, on two clocks."""
        return changing

    def check_table(self, rfm: RFM) -> None:
        """Refuse what is not a table with the covariates of the fit."""
        Fitted.check_table(replace_design(self), rfm)
        check_columns(rfm, self.covariates)

    # --- what the verbs of all purchase models are built on --------------------------------------

    def _rows(self, rfm: RFM, columns: tuple[str, ...]) -> Rows:
        self.check_table(rfm)
        history = PurchaseHistory(*(rfm.array(name) for name in HISTORY_COLUMNS))
        every = np.arange(len(rfm))
        return Rows(history, _Chosen(self._lives(rfm), every), every)

    def _state_of_row(self, rfm: RFM) -> Indices:
        return np.arange(len(rfm))

    def parameters_at(self, points: Array, matrix: Any = None) -> Any:
        """The parameters of customers' lives; otherwise as in `Fitted.parameters_at`."""
        if not isinstance(matrix, _Chosen):
            return super().parameters_at(points, matrix)
        if points.ndim > 1:
            raise TypeError("one point at a time")
        return self._moving(points, matrix.lives())

    def _moving(self, point: Array, lives: Lives) -> Moving:
        assert self.design is not None
        r, alpha, s, beta = (float(v) for v in point[:4])
        return Moving((r, alpha, s, beta), coefficients_of(self.design, point), lives)

    def _lives(self, rfm: RFM) -> Lives:
        assert self.design is not None
        key = ("lives", self.design)
        if key not in rfm.scratch:
            rfm.scratch[key] = _lives(rfm, self.design)
        found: Lives = rfm.scratch[key]
        return found

    def of_living(
        self, rfm: RFM, *functions: Callable[[Any], Array], with_alive: bool = False
    ) -> list[Array]:
        """As in `FittedPurchases.of_living`.

        Raises
        ------
        DataError
            If the covariates do not reach as far as a function looks; it says what is missing.
        """
        with _Explained(rfm):
            return super().of_living(rfm, *functions, with_alive=with_alive)

    def sample_futures(
        self, points: Array, rows: Rows, horizon: float, rng: np.random.Generator
    ) -> Paths:
        """Exact draws of the purchases of the living, one for each draw of the parameters."""
        lives = _lives_of(rows)
        distinct, copies = np.unique(points, axis=0, return_counts=True)
        draws = [self._moving(point, lives) for point in distinct]
        return changing.sample_futures(draws, horizon, rng, copies)

    def alive_at_draws(self, points: Array, rows: Rows) -> Array:
        """P(alive) of m rows at draws of the parameters, shape (m, draws)."""
        lives = _lives_of(rows)
        moving = (self._moving(point, lives) for point in points)
        return np.stack([changing.probability_alive(one, None) for one in moving], axis=1)

    def at_draws(
        self, points: Array, rows: Rows, *functions: Callable[[Any], Array]
    ) -> list[Array]:
        """Functions of the state of m rows at draws of the parameters, shape (m, draws) each."""
        lives = _lives_of(rows)
        states = [changing.alive_state(self._moving(point, lives), None) for point in points]
        return [np.stack([function(s) for s in states], axis=1) for function in functions]

    # --- verbs that need other formulas ----------------------------------------------------------

    def purchase_count_pmf(
        self,
        n: Any,
        horizon: Any,
        rfm: RFM | None = None,
        *,
        covariates: Mapping[str, Any] | RFM | None = None,
    ) -> Array:
        """P(n purchases within the horizon); see `FittedPurchases.purchase_count_pmf`.

        Without a table: of a new customer whose covariates stay as given.
        """
        if rfm is None:
            return self._like(covariates).purchase_count_pmf(n, horizon, covariates=covariates)
        with _Explained(rfm):
            return super().purchase_count_pmf(n, horizon, rfm)

    def expected_purchases_new_customer(
        self, horizon: Any, *, covariates: Mapping[str, Any] | RFM | None = None
    ) -> Array:
        """E[X(t)] of a new customer whose covariates stay as given."""
        like = self._like(covariates)
        return like.expected_purchases_new_customer(horizon, covariates=covariates)

    def survival_new_customer(
        self, horizon: Any, *, covariates: Mapping[str, Any] | RFM | None = None
    ) -> Array:
        """P(alive) of a new customer whose covariates stay as given."""
        return self._like(covariates).survival_new_customer(horizon, covariates=covariates)

    def simulate(
        self, T: Any = None, seed: int = 0, *, covariates: Mapping[str, Any] | RFM | None = None
    ) -> PurchaseHistory:
        """Simulate new customers from the plug-in parameters.

        Parameters
        ----------
        T
            Ages to observe them to; None with a table.
        seed
            Source of randomness.
        covariates
            Values by name that all have and keep; or a table with covariates, whose customers'
            time (first purchase to end of observation) is lived through once more.
        """
        if not isinstance(covariates, RFM):
            return self._like(covariates).simulate(T, seed, covariates=covariates)
        self.check_table(covariates)
        moving = self._moving(self.estimates, self._lives(covariates))
        return changing.simulate(moving, covariates.array("T"), seed)

    def expected_repeats_by_day(self, rfm: RFM, start: int, days: int) -> Array:
        """Repeat purchases that were to be expected of a table's customers when they came.

        Parameters
        ----------
        rfm
            Table with covariates that cover these days.
        start, days
            First day (since 1970-01-01) and number of days.

        Returns
        -------
        Array
            Of each day, shape (days,), summed over the customers who have come by then.
        """
        self.check_table(rfm)
        design, total = self.design, np.zeros(days + 1)
        assert design is not None
        come, row = _timeline.by_day(rfm, changing_of(rfm), start, days)
        r, alpha, s, beta = (float(v) for v in self.estimates[:4])
        coefficients = coefficients_of(design, self.estimates)
        size = max(1, _BLOCK // days)
        for first in range(0, len(rfm), size):
            rows = np.arange(first, min(first + size, len(rfm)))
            customer = np.broadcast_to(rows[:, None], (len(rows), days)).reshape(-1)
            matrix = design.matrix(columns_at(rfm, design.names, customer, row[rows].reshape(-1)))
            purchase, dropout = (
                np.exp(matrix[:, terms_of(design, group)[1]] @ of).reshape(len(rows), days)
                for group, of in zip(("purchase", "dropout"), coefficients, strict=True)
            )
            widths = come[rows] / DAYS_PER_UNIT[self.time_unit]
            expected = pareto_future.expected_of_new_customers(
                (r, alpha, s, beta), widths, purchase, dropout
            )
            total[1:] += expected.sum(axis=0)  # who comes on a day can come back on the next
        return total[:-1]

    def _like(self, covariates: Mapping[str, Any] | RFM | None) -> FittedPurchases:
        """The same model for customers whose covariates do not change: a static one."""
        if isinstance(covariates, RFM):
            raise DataError(
                "covariates of the customers of this table change with time, so there is no one "
                "figure for a new customer like one of them; give values that stay, by name"
            )
        given = {f.name: getattr(self, f.name) for f in fields(self)}
        return FittedPurchases(**{**given, "family": pareto_nbd})

    def discounter(
        self, horizon: float | str | None, discount_rate: float
    ) -> Callable[[Any], Array]:
        """The function of a state that `discounted_expected_purchases` averages."""
        t, delta = self._ahead(horizon, discount_rate)
        if math.isinf(t) and delta == 0:
            return self._purchases_ever
        return lambda state: changing.discounted_purchases(state, t, delta)

    def lifetime_discounter(
        self, horizon: float | str | None, discount_rate: float
    ) -> Callable[[Any], Array]:
        """The function of a state that `discounted_expected_lifetime` averages."""
        t, delta = self._ahead(horizon, discount_rate)
        if math.isinf(t) and delta == 0:
            return super().lifetime_discounter(None, discount_rate)
        return lambda state: changing.discounted_time(state, t, delta)

    def _ahead(self, horizon: float | str | None, discount_rate: float) -> tuple[float, float]:
        delta = discount_rate_per_unit(discount_rate, self.time_unit)
        if horizon is None or horizon == math.inf:
            return math.inf, delta
        return parse_horizon(horizon, self.time_unit), delta


class _Chosen:
    """Some of the customers of a table; stands where static models have a matrix."""

    def __init__(self, every: Lives, customers: Indices) -> None:
        self.every = every
        self.customers = customers

    def __getitem__(self, rows: Any) -> _Chosen:
        return _Chosen(self.every, self.customers[rows])

    def lives(self) -> Lives:
        return self.every.take(self.customers)


def _lives_of(rows: Rows) -> Lives:
    chosen: _Chosen = rows.matrix
    return chosen.lives()


class _Explained:
    """Turns "the covariates do not reach so far" into what is missing of whom."""

    def __init__(self, rfm: RFM) -> None:
        self.rfm = rfm

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, BeyondTheRoad):
            _timeline.ahead(self.rfm, changing_of(self.rfm), error.time)


def replace_design(fitted: Fitted) -> Fitted:
    """Without covariates, as far as checks of a table go."""
    return replace(fitted, design=None)


# --- from tables to arrays -----------------------------------------------------------------------


def changing_of(rfm: RFM) -> TimeVaryingCovariates:
    """The covariates of a table that change with time."""
    if rfm.time_varying is None:
        raise MissingColumnError(
            "the table has no time-varying covariates; attach them, those of the horizon included, "
            "with rfm.with_time_varying_covariates(covariates)"
        )
    return rfm.time_varying


def check_columns(rfm: RFM, names: tuple[str, ...]) -> None:
    """Refuse a table that lacks a covariate, changing or not."""
    varying = changing_of(rfm)
    known = (*varying.columns, *rfm.covariates)
    missing = [name for name in names if name not in known]
    if missing:
        raise MissingColumnError(
            f"there is no covariate {', '.join(missing)}; time-varying ones are "
            f"{', '.join(varying.columns)}, and those of the table "
            f"{', '.join(rfm.covariates) or 'none'}"
        )


def columns_at(
    rfm: RFM, names: tuple[str, ...], customer: Indices, row: Indices
) -> dict[str, Column]:
    """Covariates at rows of the time-varying ones, and of customers for the others."""
    varying = changing_of(rfm)
    return {
        name: _present(varying.values[name][row], varying.levels.get(name))
        if name in varying.columns
        else _present(rfm.numbers(name)[customer], rfm.levels(name))
        for name in names
    }


def _present(values: Array, levels: tuple[str, ...] | None) -> Column:
    """Of texts only the levels that these rows have: others are not theirs to know."""
    if levels is None:
        return Column(values, None)
    codes, place = np.unique(values.astype(np.int64), return_inverse=True)
    return Column(place.astype(np.float64), tuple(levels[code] for code in codes))


def timeline(rfm: RFM, names: tuple[str, ...], transactions: Transactions | None) -> Timeline:
    """What the likelihood is made of; without transactions what predictions need of it."""
    varying = changing_of(rfm)
    past = _timeline.past(rfm, varying)
    none = np.zeros(0, dtype=np.int64)
    bought = _timeline.Bought(none, none)
    if transactions is not None:
        bought = _timeline.bought(rfm, varying, transactions)
    return Timeline(
        rfm.array("frequency"),
        past.customer,
        past.length,
        past.after_last,
        columns_at(rfm, names, past.customer, past.row),
        bought.customer,
        columns_at(rfm, names, bought.customer, bought.row),
    )


def _lives(rfm: RFM, design: Any) -> Lives:
    names, varying = design.names, changing_of(rfm)
    ahead = _timeline.ahead(rfm, varying, None)
    row, changing_only = ahead.row, set(names) <= set(varying.columns)
    customer = np.zeros_like(row)
    if not changing_only:  # everybody has a road of their own
        customer, row = np.broadcast_arrays(np.arange(len(rfm))[:, None], row)
    if changing_only:
        distinct, place = np.unique(row, return_inverse=True)
        coded = design.matrix(columns_at(rfm, names, np.zeros_like(distinct), distinct))
    else:
        coded = design.matrix(columns_at(rfm, names, customer.reshape(-1), row.reshape(-1)))
        place = np.arange(row.size)
    return Lives(
        histories_of(design, timeline(rfm, names, None)),
        ahead.widths,
        coded[:, terms_of(design, "purchase")[1]],
        coded[:, terms_of(design, "dropout")[1]],
        place.reshape(row.shape),
    )
