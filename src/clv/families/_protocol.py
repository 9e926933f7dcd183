"""What a file in this folder must define to be a model.

Conventions
-----------
* Functions are pure and know only arrays. Everything broadcasts: a parameter may be a
  number, one value per posterior draw (shape (draws, 1)) or one per customer (shape (n,)).
* Times are in one unit throughout; the shell takes care of which.
* ``log_likelihood`` is written in the vocabulary of `clv.numerics.backend` only, so that it
  also runs on jets (derivatives) and on symbolic graphs (PyMC).
* A *state* is all that matters about the future of a customer who is alive now: the shell
  computes it once per distinct row, and predictions are functions of state and time. A new
  customer is a state too, so conditional and unconditional predictions share their code.
* Optional members are found with `getattr`; what is absent is derived from the rest:
  ``log_likelihood_derivatives`` with ``sufficient_statistics`` for a quick fit,
  ``log_likelihood_gradient`` and ``log_likelihood_values`` with ``tables`` (by default the
  statistics) for posteriors, which need no curvature, ``log_likelihood_gradients`` with
  ``group_tables`` for those of groups, ``QUANTITIES``, what priors are stated on,
  ``row_derivatives`` for a quick fit with covariates, ``remarks``, ``alive_at``,
  ``expected_purchases_ever``, ``COVARIATES``, without which a model takes none,
  ``HISTORY``, if the likelihood looks at more than a `PurchaseHistory`, and
  ``discounted_purchases(state, t, delta)`` and ``discounted_time(state, t, delta)``.
* A family with ``WHOLE_TIMES = True`` counts opportunities: tables and horizons with other times
  are refused, a part of an opportunity does not count, and instead of ``time_scale`` it has
  ``discounted_purchases(state, t, delta)`` and ``discounted_time(state, t, delta)``, sums where
  others are integrals.
* A file may hold a model for each whole number: then ``VARIANTS`` names the number, and
  ``variant(number)`` is a family.

A file whose name does not begin with an underscore is found by itself
(`clv.families.find`); nothing has to be registered.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np

from clv.numerics.backend import Array, Backend
from clv.numerics.histories import ContractHistory, PurchaseHistory, SpendHistory


class Parameter(NamedTuple):
    """One parameter of a family; all are positive and fitted as logarithms."""

    meaning: str
    unit: str = ""  #: "time" or "money" when the value scales with that unit


class Moves(NamedTuple):
    """What covariates do in a family; optional ``COVARIATES`` has one for each group of them.

    Groups are "purchase" and "dropout" of purchase families, and "spend". Of a customer with
    covariates z a parameter is ``base * exp(sign * coefficients'z)``.
    """

    parameters: Mapping[str, int]  #: those that are moved, and the sign
    figure: Callable[[Any], Any]  #: what that changes for customers, from the parameters
    reading: str  #: in words, with {factor} by which the figure changes, {before} and {after}


class Variants(NamedTuple):
    """A whole number that chooses among versions of a model, from 1 on; estimated, or given."""

    name: str  #: such as "k"
    meaning: str
    largest: int  #: the search does not go beyond


class Paths(NamedTuple):
    """Simulated purchases: `times` holds every path's purchase times, one path after another."""

    counts: Any  #: integers, any shape
    times: Array  #: shape (counts.sum(),), ascending within a path


class Family(Protocol):
    """Common to all families."""

    NAME: str  #: file and configuration name, such as "bg_nbd"
    CLASS_NAME: str  #: public class name, such as "BetaGeoModel"
    TITLE: str  #: for people, such as "BG/NBD"
    KIND: str  #: "purchase", "spend" or "contract"
    PARAMETERS: Mapping[str, Parameter]
    Parameters: Any  #: NamedTuple with the same names in the same order

    def boundary(self, parameters: Any) -> str | None:
        """Name the limit that (scale-free) parameters have run to; None when inside."""


class PurchaseFamily(Family, Protocol):
    """A model of when customers buy and when they leave."""

    STATE_COLUMNS: tuple[str, ...]  #: columns of the history that the state depends on

    def log_likelihood(self, parameters: Any, history: PurchaseHistory, xp: Backend) -> Any:
        """Log-density of each customer's history, shape (n,)."""

    def probability_alive(self, parameters: Any, history: PurchaseHistory) -> Array:
        """P(alive) at the end of the observation."""

    def alive_state(self, parameters: Any, history: PurchaseHistory) -> Any:
        """The state of customers given that they are alive."""

    def new_customer(self, parameters: Any) -> tuple[Array, Any]:
        """P(alive) just after the first purchase, and the state given that."""

    def time_scale(self, state: Any) -> Array:
        """The time over which expectations bend: steers quadrature."""

    def survival(self, state: Any, t: Any) -> Array:
        """P(still alive a time t from now)."""

    def expected_purchases(self, state: Any, t: Any) -> Array:
        """E[purchases within t]."""

    def no_purchase_probability(self, state: Any, t: Any) -> Array:
        """P(no purchase within t)."""

    def purchase_count_pmf(self, state: Any, n: Any, t: Any) -> Array:
        """P(n purchases within t), n whole numbers >= 0."""

    def next_purchase_quantile(self, state: Any, q: Any) -> Array:
        """Time by which the next purchase has come with probability q; inf when never."""

    def sample_purchases(
        self, state: Any, horizon: Any, rng: np.random.Generator, shape: tuple[int, ...]
    ) -> Paths:
        """Purchases within the horizon, one path per element of `shape`."""


class SpendFamily(Family, Protocol):
    """A model of what a purchase is worth."""

    def log_likelihood(self, parameters: Any, history: SpendHistory, xp: Backend) -> Any:
        """Log-density of each customer's mean value, shape (n,)."""

    def expected_spend(self, parameters: Any, history: SpendHistory) -> Array:
        """E[value of a future purchase]; inf where that expectation is infinite."""

    def scale(self, parameters: Any, history: SpendHistory) -> Array:
        """The factor by which a customer's `sample_unit_totals` are multiplied."""

    def sample_unit_totals(
        self,
        parameters: Any,
        count: Any,
        purchases: Any,
        factors: Array,
        rng: np.random.Generator,
    ) -> Array:
        """Worth of simulated purchases, in units of `scale`; see `gamma_gamma`."""


class ContractFamily(Family, Protocol):
    """A model of how often contracts are renewed. Renewals are whole numbers, counted from 1."""

    def log_likelihood(self, parameters: Any, history: ContractHistory, xp: Backend) -> Any:
        """Log-probability of each contract's renewals, shape (n,)."""

    def survival(self, parameters: Any, n: Any) -> Array:
        """P(renewed n times at least), n >= 0."""

    def retention_rate(self, parameters: Any, n: Any) -> Array:
        """P(the n-th renewal is made | the one before it was), n >= 1."""

    def discounted_renewals(self, parameters: Any, n: Any, delta: Any, until: Any) -> Array:
        """Expected renewals to come, the k-th discounted by exp(-delta k), k = 1, ..., until.

        Of somebody who has just made the n-th (0: has just signed); `until` may be infinite.
        """

    def sample_renewals(
        self, parameters: Any, n: Any, rng: np.random.Generator, shape: tuple[int, ...]
    ) -> Any:
        """How many more renewals somebody makes who has made n; whole numbers of that shape."""
