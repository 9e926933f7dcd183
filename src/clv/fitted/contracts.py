"""Fitted contract models: who will renew, how often, and what that is worth.

Payments and renewals happen on the same days: a fee is paid when a contract is signed, and at every
renewal for the period that follows. Where a lifetime is asked for, it says which of these payments
it counts.
"""

from __future__ import annotations

import math
from datetime import date
from typing import Any, Literal

import numpy as np

from clv.errors import DataError, InfiniteValueError, UnitMismatchError
from clv.fitted.base import Fitted
from clv.fitted.contract_tables import ContractForecast, RenewalsDue
from clv.numerics.backend import Array
from clv.tables._arrow import take
from clv.tables._day import day_number
from clv.tables._frame import Table
from clv.tables._renewals import renewal_day
from clv.tables.contracts import Contracts
from clv.units import DAYS_PER_YEAR, discount_rate_per_unit, parse_horizon

Timing = Literal["before", "after"]


class FittedContracts(Fitted):
    """A fitted contract model: how often contracts are renewed."""

    # --- of anybody ---------------------------------------------------------------------------

    def survival(self, n: Any) -> Array:
        """P(renewed n times at least); whole numbers >= 0 of any shape."""
        n = _counts(n, least=0)
        return self.average(lambda p: self.family.survival(p, n))

    def retention_rate(self, n: Any) -> Array:
        """P(the n-th renewal is made | the one before it was); whole numbers >= 1."""
        n = _counts(n, least=1)
        return self.average(lambda p: self.family.retention_rate(p, n))

    def discounted_expected_lifetime(
        self, discount_rate: float = 0.1, renewals: int | None = None
    ) -> float:
        """Expected payments of a new customer, discounted to the day of signing (DEL).

        The payment at signing counts, undiscounted: the sum over n = 0, 1, ... of
        S(n) / (1 + d)^n, where d is the discount rate of a period.

        Parameters
        ----------
        discount_rate
            Effective per year.
        renewals
            How many renewals count; None: all there will be.

        Raises
        ------
        InfiniteValueError
            If the sum without end is infinite, or may be.
        """
        return float(1.0 + self._renewals(np.zeros(()), discount_rate, renewals))

    def discounted_expected_residual_lifetime(
        self,
        n: Any,
        discount_rate: float = 0.1,
        *,
        timing: Timing = "before",
        renewals: int | None = None,
    ) -> Array:
        """Expected payments still to come of a customer, discounted to now (DERL).

        Parameters
        ----------
        n
            Number of a renewal, whole and of any shape.
        discount_rate
            Effective per year.
        timing
            "before": the n-th renewal (n >= 1) is due now and not yet decided; if it is made, its
            payment comes at once and undiscounted. For the shifted beta geometric that is
            (beta+n-1)/(alpha+beta+n-1) 2F1(1, beta+n; alpha+beta+n; 1/(1+d)) (Fader & Hardie 2010,
            Marketing Science 29:85, where the customer has been active for n periods).
            "after": the n-th renewal (0: the signing) has just been made and paid for; the next
            payment, if it comes, is one period away.
        renewals
            How many renewals from now on count; None: all there will be.

        Raises
        ------
        InfiniteValueError
            If the sum without end is infinite, or may be.
        """
        if timing not in ("before", "after"):
            raise DataError(f"timing must be 'before' or 'after', not {timing!r}")
        n = _counts(n, least=int(timing == "before"))
        if timing == "after":
            return self._renewals(n, discount_rate, renewals)
        later = None if renewals is None else renewals - 1
        return self._due(n, discount_rate, later)

    # --- of the contracts of a table ----------------------------------------------------------

    def renewal_probability(self, contracts: Contracts) -> Array:
        """P(the next renewal is made), shape (n,); 0 for contracts that have ended."""
        renewals, running = self._state(contracts)
        return self._spread(renewals, self.retention_rate) * running

    def expected_renewals(self, contracts: Contracts, renewals: int) -> Array:
        """Of the next so many renewals, how many are expected to be made, shape (n,)."""
        made, running = self._state(contracts)
        ahead = _ahead(renewals)
        per_row = self._spread(made, lambda n: self._renewals(n - 1, 0.0, ahead))
        return per_row * running

    def contract_value(
        self,
        contracts: Contracts,
        discount_rate: float = 0.1,
        margin: float | Array = 1.0,
        renewals: int | None = None,
    ) -> Array:
        """What is still to come of each contract: fee x margin x discounted expected payments.

        The next payment comes on ``next_renewal`` if that renewal is made, and all are discounted
        to ``as_of``.

        Parameters
        ----------
        contracts
            From `clv.contracts_table`, with fees.
        discount_rate
            Effective per year.
        margin
            Gross margin as a share of the fee; a number, or one per row.
        renewals
            How many renewals from now on count; None: all there will be.

        Returns
        -------
        Array
            Shape (n,); 0 for contracts that have ended, missing where the fee is.
        """
        lifetime = self._lifetime(contracts, discount_rate, renewals)
        fee = np.where(lifetime > 0, contracts.array("fee"), 0.0)
        return np.asarray(fee * margin * lifetime)

    def renewals_due(self, contracts: Contracts, within: float | str = "30 days") -> RenewalsDue:
        """Who comes up for renewal, when, and how likely it is that they renew.

        Parameters
        ----------
        contracts
            From `clv.contracts_table`.
        within
            How far from ``as_of``: days, or a text such as "90 days", "3 months".

        Returns
        -------
        RenewalsDue
            Sorted by day, with columns ``customer_id``, ``due`` (the day), ``renewal`` (its
            number), ``probability`` (that it is made; where a contract comes up more than once,
            after those before it), and with fees ``fee`` and ``expected_fee``.
        """
        made, running = self._state(contracts)
        as_of, length = _dated(contracts), parse_horizon(within, "day")
        today = day_number(as_of)
        start = contracts.values("start").astype("datetime64[D]").astype(np.int64)
        rows, numbers, days = [], [], []
        row, number = np.flatnonzero(running), made.astype(np.int64)
        ahead = 1
        while row.size:
            due = renewal_day(start[row], number[row] + ahead, contracts.period)
            row, due = row[due - today <= length], due[due - today <= length]
            rows.append(row)
            numbers.append(number[row] + ahead)
            days.append(due)
            ahead += 1
        row, number, due = (
            np.concatenate([*v, np.empty(0, np.int64)]) for v in (rows, numbers, days)
        )
        order = np.lexsort((row, due))
        row, number, due = row[order], number[order].astype(np.int64), due[order].astype(np.int64)
        row = row.astype(np.int64)
        probability = self.average(
            lambda p: self.family.survival(p, number) / self.family.survival(p, made[row])
        )
        columns: dict[str, Any] = {
            "customer_id": take(contracts.ids, row),
            "due": due.astype("datetime64[D]"),
            "renewal": number,
            "probability": probability,
        }
        if "fee" in contracts.data:
            fee = contracts.array("fee")[row]
            columns |= {"fee": fee, "expected_fee": fee * probability}
        until = date.fromordinal(as_of.toordinal() + math.floor(length))
        parts = Table.parts(columns, like=contracts)
        return RenewalsDue(**parts, as_of=as_of, until=until, notes=self.notes)

    def forecast(
        self,
        contracts: Contracts,
        renewals: int | None = None,
        *,
        discount_rate: float = 0.1,
        margin: float | Array = 1.0,
        interval: float = 0.9,
    ) -> ContractForecast:
        """What is expected of every contract.

        Parameters
        ----------
        contracts
            From `clv.contracts_table`.
        renewals
            How many renewals ahead; None: all there will be.
        discount_rate, margin
            As in `contract_value`.
        interval
            Nominal probability of ``renewals_low`` and ``renewals_high``, which say what a
            customer will do at given parameters (exactly, from the distribution of renewals).

        Returns
        -------
        ContractForecast
            Rows in the order of the table, in its engine, with columns ``customer_id``,
            ``running`` (whether it has not ended), ``renewals``, ``next_renewal``,
            ``renewal_probability``, with a number of renewals ``survival`` (P(all are made)),
            ``expected_renewals``, ``renewals_low`` and ``renewals_high``, then
            ``discounted_lifetime`` (expected payments to come, discounted to ``as_of``), and
            ``residual_value`` where there are fees.
        """
        made, running = self._state(contracts)
        as_of = _dated(contracts)
        columns: dict[str, Any] = {
            "customer_id": contracts.data["customer_id"],
            "running": running > 0,
            "renewals": contracts.values("renewals"),
            "next_renewal": contracts.values("next_renewal"),
            "renewal_probability": self.renewal_probability(contracts),
        }
        if renewals is not None:
            if not 0 < interval < 1:
                raise DataError(f"interval must lie strictly between 0 and 1, not {interval!r}")
            ahead = _ahead(renewals)
            still = self._spread(made, lambda n: self._chances(n - 1, ahead).T).T * running
            tail = (1.0 - interval) / 2.0
            columns |= {
                "survival": still[-1],
                "expected_renewals": self.expected_renewals(contracts, ahead),
                "renewals_low": (still > 1.0 - tail).sum(axis=0),
                "renewals_high": (still > tail).sum(axis=0),
            }
        lifetime = self._lifetime(contracts, discount_rate, renewals)
        columns["discounted_lifetime"] = lifetime
        if "fee" in contracts.data:
            value = self.contract_value(contracts, discount_rate, margin, renewals)
            columns["residual_value"] = value
        return ContractForecast(
            **Table.parts(columns, like=contracts),
            as_of=as_of,
            period=contracts.period,
            horizon=renewals,
            discount_rate=discount_rate,
            interval=None if renewals is None else interval,
            notes=(*contracts.notes, *self.notes),
        )

    def simulate(self, size: int, seed: int = 0) -> Array:
        """How often simulated new customers renew, shape (size,), from the plug-in parameters."""
        rng = np.random.default_rng(seed)
        parameters = self.family.Parameters(*self.estimates)
        return np.asarray(self.family.sample_renewals(parameters, 0, rng, (size,)))

    # --- helpers ------------------------------------------------------------------------------

    def check_contracts(self, contracts: Contracts) -> None:
        """Refuse what is no table of contracts, and contracts of another period."""
        if not isinstance(contracts, Contracts):
            raise DataError(
                "expected contracts from clv.contracts_table or clv.contracts_from_survivors, not "
                f"{type(contracts).__name__}"
            )
        if contracts.period != self.time_unit:
            raise UnitMismatchError(
                f"the model was fitted to contracts by the {self.time_unit} and these are by the "
                f"{contracts.period}"
            )

    def _state(self, contracts: Contracts) -> tuple[Array, Array]:
        """Renewals made, and 1 where the contract runs, shape (n,)."""
        self.check_contracts(contracts)
        return contracts.array("renewals"), 1.0 - contracts.array("churned")

    def _spread(self, made: Array, function: Any) -> Array:
        """A function of the number of the next renewal, computed once for each."""
        distinct, inverse = np.unique(made, return_inverse=True)
        return np.asarray(function(distinct + 1.0)[inverse])

    def _chances(self, n: Array, ahead: int) -> Array:
        """P(1, 2, ... more renewals at least | n were made), shape (ahead, n)."""
        k = np.arange(1.0, ahead + 1)[:, None]
        survival = self.family.survival
        return self.average(lambda p: survival(p, n + k) / survival(p, n))

    def _renewals(self, n: Array, discount_rate: float, renewals: int | None) -> Array:
        """Discounted renewals after the n-th, the next one a period away."""
        delta, until = self._sum(discount_rate, renewals)
        total = self.average(lambda p: self.family.discounted_renewals(p, n, delta, until))
        return self._finite(total)

    def _due(self, n: Array, discount_rate: float, later: int | None) -> Array:
        """The n-th renewal, due now, and `later` ones discounted to now."""
        delta, until = self._sum(discount_rate, later)

        def value(p: Any) -> Array:
            after = self.family.discounted_renewals(p, n, delta, until)
            return np.asarray(self.family.retention_rate(p, n) * (1.0 + after))

        return self._finite(self.average(value))

    def _sum(self, discount_rate: float, renewals: int | None) -> tuple[float, float]:
        delta = discount_rate_per_unit(discount_rate, self.time_unit)
        return delta, math.inf if renewals is None else float(_ahead(renewals, least=0))

    def _finite(self, total: Array) -> Array:
        if not np.isfinite(total).all():
            raise InfiniteValueError(
                f"{self.family.TITLE} gives no finite sum of all renewals to come without "
                "discounting; give a discount_rate above 0, or a number of renewals"
            )
        return total

    def _lifetime(self, contracts: Contracts, discount_rate: float, renewals: int | None) -> Array:
        """Payments to come of each contract, discounted to `as_of`, shape (n,)."""
        made, running = self._state(contracts)
        later = None if renewals is None else _ahead(renewals) - 1
        per_row = self._spread(made, lambda n: self._due(n, discount_rate, later))
        due = contracts.values("next_renewal").astype("datetime64[D]").astype(np.int64)
        wait = np.where(running > 0, due - day_number(_dated(contracts)), 0) / DAYS_PER_YEAR
        delta = discount_rate_per_unit(discount_rate, "year")
        return np.asarray(per_row * running * np.exp(-delta * wait))


def _counts(n: Any, least: int) -> Array:
    number = np.asarray(n, dtype=np.float64)
    if not (np.isfinite(number).all() and (number == np.rint(number)).all()):
        raise DataError(f"renewals are counted in whole numbers, not {n!r}")
    if (number < least).any():
        raise DataError(
            f"n must be {least} or more, not {number.min():g}: renewals are counted from 1"
            + ("" if least else ", and 0 is the signing")
        )
    return number


def _ahead(renewals: Any, least: int = 1) -> int:
    if isinstance(renewals, bool) or renewals != int(renewals) or renewals < least:
        raise DataError(
            f"renewals must be a whole number, {least} or more, or None for all, not {renewals!r}"
        )
    return int(renewals)


def _dated(contracts: Contracts) -> date:
    if contracts.as_of is None:
        contracts.values("next_renewal")  # says what is missing
    assert contracts.as_of is not None
    return contracts.as_of
