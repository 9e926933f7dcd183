"""What every model must satisfy. It is held to this because its file exists.

`cases` finds the families by their files and, for each, the examples in its own test,
``tests/families/test_<name>.py``. There a family says

``EXAMPLES``
    Two or more `Example`: parameters to be tested at, as unlike as the model allows.
``INDIVIDUAL``
    The same model for one customer with known traits (see `oracles.individual`), from which
    posteriors are computed by summation.
``NOT_APPLICABLE`` (optional)
    Names of checks that do not apply, each with the reason.

Every check is a function of a `Subject`. Simulations are large and seeded, and their bounds
are `SIGMAS` standard errors, so a check fails for a reason or not at all.
"""

from __future__ import annotations

import importlib.util
import itertools
import math
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import mpmath as mp
import numpy as np
import numpy.typing as npt
from oracles import individual, mp_backend

from clv import families
from clv.fitted.discounting import discounted_purchases, discounted_time
from clv.inference.covariates import objective_of
from clv.inference.design import Column, learn
from clv.inference.maximum_likelihood import maximize
from clv.numerics import backend, jets, quadrature
from clv.numerics.histories import (
    ContractHistory,
    IntervalHistory,
    PurchaseHistory,
    SpendHistory,
)
from clv.numerics.sampling import intervals, simulate_histories

Array = npt.NDArray[np.float64]

SIGMAS = 4.5
CUSTOMERS = 100_000


class Example(NamedTuple):
    """Parameters to test at, and what is a usual size there."""

    parameters: dict[str, float]
    span: float = 39.0  #: an age in the unit of the parameters, by which some have bought
    money: float = 30.0  #: what a purchase is worth
    whole_times: bool = False  #: time comes in steps of one
    variant: int = 0  #: the whole number of a family that has `VARIANTS`


class Subject:
    """A family at one example, and simulations that several checks share."""

    def __init__(self, family: Any, example: Example, test: ModuleType) -> None:
        self.family = family.variant(example.variant) if example.variant else family
        self.example = example
        self.individual = getattr(test, "INDIVIDUAL", None)

    @cached_property
    def parameters(self) -> Any:
        return self.family.Parameters(**self.example.parameters)

    def time(self, spans: float) -> float:
        """A length of time, as a multiple of the example's span."""
        t = spans * self.example.span
        return max(1.0, float(round(t))) if self.example.whole_times else t

    def history(self, x: Any, t_x: Any, T: Any) -> Any:
        """Histories of evenly spaced purchases, of the kind that the family looks at."""
        plain = PurchaseHistory(*(np.asarray(v, dtype=float) for v in (x, t_x, T)))
        if not self.knows_intervals:
            return plain
        interval = np.where(plain.frequency > 0, plain.recency, 1.0)
        interval = interval / np.maximum(plain.frequency, 1.0)
        return IntervalHistory(*plain, plain.frequency * np.log(interval))

    @property
    def knows_intervals(self) -> bool:
        return getattr(self.family, "HISTORY", PurchaseHistory) is IntervalHistory

    @cached_property
    def ages(self) -> Array:
        ages = np.random.default_rng(1).uniform(0.3, 1.5, CUSTOMERS) * self.example.span
        return frozen(np.maximum(np.round(ages), 1.0) if self.example.whole_times else ages)

    @cached_property
    def simulated(self) -> Split:
        """New customers observed to `ages`, and what they did in a span after that."""
        ahead = self.time(0.8)
        rng = np.random.default_rng(2)
        alive, state = self.family.new_customer(self.parameters)
        paths = self.family.sample_purchases(state, self.ages + ahead, rng, self.ages.shape)
        kept = rng.random(CUSTOMERS) < alive
        found = split(paths, kept, self.ages, ahead)
        return found if self.knows_intervals else found._replace(history=_without(found.history))

    @cached_property
    def spend(self) -> SpendHistory:
        """Simulated customers with their purchases and mean values."""
        n = CUSTOMERS // 5
        rng = np.random.default_rng(3)
        count = rng.geometric(0.4, n)
        total = self.family.sample_unit_totals(
            self.parameters, np.zeros(n), count, np.ones(count.sum()), rng
        )
        nobody = SpendHistory(np.zeros(n), np.zeros(n))
        total = total * self.family.scale(self.parameters, nobody)
        return SpendHistory(frozen(count.astype(float)), frozen(total / count))

    @property
    def histories(self) -> Any:
        """Simulated histories for what concerns all kinds alike."""
        if self.family.KIND == "contract":
            return self.contracts
        return self.spend if self.family.KIND == "spend" else self.simulated.history

    @cached_property
    def contracts(self) -> ContractHistory:
        """Simulated contracts, signed up to two spans ago."""
        rng = np.random.default_rng(3)
        seen = rng.integers(0, round(2 * self.example.span), CUSTOMERS)
        made = self.family.sample_renewals(self.parameters, 0, rng, (CUSTOMERS,))
        churned = (made < seen).astype(float)
        return ContractHistory(frozen(np.minimum(made, seen).astype(float)), frozen(churned))

    @cached_property
    def chosen(self) -> Any:
        """A dozen unlike histories, the rarest included."""
        if self.family.KIND == "spend":
            money = self.example.money
            return SpendHistory(
                frozen(np.array([1.0, 1.0, 2.0, 7.0, 30.0])),
                frozen(money * np.array([0.01, 4.0, 1.0, 0.6, 1.3])),
            )
        if self.family.KIND == "contract":
            return ContractHistory(
                frozen(np.array([0.0, 0.0, 1.0, 1.0, 2.0, 5.0, 11.0, 11.0, 60.0])),
                frozen(np.array([0.0, 1.0, 0.0, 1.0, 1.0, 0.0, 0.0, 1.0, 1.0])),
            )
        h = self.simulated.history
        order = np.lexsort((h.recency, h.frequency))
        ranks = np.unique(np.array([0, 0.3, 0.6, 0.8, 0.9, 0.97, 0.995, 1.0]) * (len(order) - 1))
        return h.take(order[ranks.astype(int)])


def frozen(array: Array) -> Array:
    """So that a function which changes its input fails."""
    array.flags.writeable = False
    return array


# --- finding what to test --------------------------------------------------------------------


def cases() -> Iterator[tuple[str, Callable[[], None]]]:
    """Every check of every family at every example: a name and what to run."""
    for name in families.names():
        try:
            family, test = families.find(name), _test_of(name)
            checks = _checks(family)
            examples = test.EXAMPLES
        except Exception as error:
            yield f"{name}", _raise(error)
            continue
        excused = getattr(test, "NOT_APPLICABLE", {})
        unknown = set(excused) - {check.__name__ for check in checks}
        if unknown:
            yield name, _raise(AssertionError(f"NOT_APPLICABLE names no check: {unknown}"))
        yield f"{name}-declares_what_it_must", lambda f=family, t=test: declares(f, t)
        for number, example in enumerate(examples):
            subject = Subject(family, example, test)
            for check in checks:
                if check.__name__ not in excused:
                    yield (
                        f"{name}-{number}-{check.__name__}",
                        lambda check=check, subject=subject: check(subject),
                    )


def _test_of(name: str) -> ModuleType:
    path = Path(__file__).parent / "families" / f"test_{name}.py"
    if not path.exists():
        raise AssertionError(
            f"the family {name!r} has no test: write tests/families/{path.name} with EXAMPLES "
            "and INDIVIDUAL (see tests/contract.py) and numbers published for it"
        )
    spec = importlib.util.spec_from_file_location(f"_examples_of_{name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if not hasattr(module, "EXAMPLES"):
        raise AssertionError(f"tests/families/{path.name} says no EXAMPLES")
    return module


def _raise(error: Exception) -> Callable[[], None]:
    def fail() -> None:
        raise error

    return fail


MEMBERS = (
    "NAME CLASS_NAME TITLE KIND PARAMETERS Parameters log_likelihood boundary",
    {
        "purchase": "STATE_COLUMNS probability_alive alive_state new_customer survival "
        "expected_purchases no_purchase_probability purchase_count_pmf "
        "next_purchase_quantile sample_purchases",
        "spend": "expected_spend scale sample_unit_totals",
        "contract": "survival retention_rate discounted_renewals sample_renewals",
    },
)


def declares(family: Any, test: ModuleType) -> None:
    """The members that `families._protocol` lists are there, and say consistent things."""
    common, of_kind = MEMBERS
    title = f"families/{family.__name__.rsplit('.', 1)[-1]}.py"
    kind = getattr(family, "KIND", None)
    assert kind in of_kind, f"{title}: KIND is {kind!r}; there are {', '.join(of_kind)}"
    whole = bool(getattr(family, "WHOLE_TIMES", False))
    discounting = "discounted_purchases discounted_time" if whole else "time_scale"
    needed = f"{common} {of_kind[kind]} {discounting if kind == 'purchase' else ''}"
    missing = [m for m in needed.split() if not hasattr(family, m)]
    assert not missing, f"{title} does not define {', '.join(missing)}; see families/_protocol.py"
    assert family.__name__.endswith(f".{family.NAME}"), f"{title}: NAME is {family.NAME!r}"
    assert tuple(family.PARAMETERS) == family.Parameters._fields, (
        f"{title}: PARAMETERS and Parameters name different things"
    )
    assert all(p.meaning and p.unit in ("", "time", "money") for p in family.PARAMETERS.values())
    assert family.__doc__
    assert [c for c in family.__doc__ if c.isdigit()], f"{title}: the docstring cites no source"
    assert families.class_names().get(family.CLASS_NAME) == family.NAME, (
        f'{title}: CLASS_NAME is to stand on a line of its own, as CLASS_NAME = "..."'
    )
    assert family.CLASS_NAME.isidentifier()
    assert len(test.EXAMPLES) >= 2, "give two or more EXAMPLES"
    assert hasattr(test, "INDIVIDUAL"), "give the model of one customer as INDIVIDUAL"
    if kind == "purchase":
        assert set(family.STATE_COLUMNS) <= set(PurchaseHistory._fields)
        assert all(example.whole_times == whole for example in test.EXAMPLES)
    has_fast = hasattr(family, "log_likelihood_derivatives")
    assert has_fast == hasattr(family, "sufficient_statistics")


# --- simulated customers, taken apart --------------------------------------------------------


class Split(NamedTuple):
    """Simulated customers: their history to T, and what followed within `ahead`."""

    history: Any
    ahead: float
    purchases: Array  #: in (T, T + ahead]
    first: Array  #: time from T to the first of them, infinite when there is none
    discounted: Array  #: sum of exp(-time since T / ahead) over them


def split(paths: Any, kept: Array, T: Array, ahead: float) -> Split:
    """Cut paths at T. `kept` is False for customers who were dead from the start."""
    n = len(T)
    of = np.repeat(np.arange(n), paths.counts)
    use = kept[of]
    of, times = of[use], paths.times[use]
    seen = times <= T[of]

    def count(which: Array, weights: Array | None = None) -> Array:
        return np.bincount(of[which], weights, minlength=n).astype(float)

    recency = np.zeros(n)
    np.maximum.at(recency, of[seen], times[seen])
    logs = np.log(intervals(paths.counts, paths.times))[use]
    since = times[~seen] - T[of[~seen]]
    first = np.full(n, np.inf)
    np.minimum.at(first, of[~seen], since)
    log_sums = frozen(count(seen, logs[seen]))
    history = IntervalHistory(frozen(count(seen)), frozen(recency), T, log_sums)
    return Split(history, ahead, count(~seen), first, count(~seen, np.exp(-since / ahead)))


def _without(history: IntervalHistory) -> PurchaseHistory:
    return PurchaseHistory(*history[:3])


def assert_mean(draws: Array, expected: Any, what: str) -> None:
    """The mean of draws is what it should be, within `SIGMAS` of its standard error."""
    difference = np.asarray(draws, dtype=float) - expected
    error = float(np.std(difference)) / math.sqrt(len(difference))
    slack = 1e-12
    if np.asarray(draws).dtype == bool:
        # rare events: their variance is known better than seen, and they come one by one
        chance = np.asarray(expected, dtype=float)
        error = math.sqrt(float(np.mean(chance * (1.0 - chance))) / len(difference))
        slack = 3.0 / len(difference)
    off = float(np.mean(difference))
    assert abs(off) <= SIGMAS * error + slack, (
        f"{what}: off by {off:.4g}, which is {off / max(error, 1e-300):.1f} standard errors"
    )


def close(actual: Any, expected: Any, rtol: float, atol: float = 0.0, what: str = "") -> None:
    np.testing.assert_allclose(
        np.asarray(actual, dtype=float), np.asarray(expected, dtype=float), rtol, atol, err_msg=what
    )


# --- checks of every family ------------------------------------------------------------------


def score_has_mean_zero(s: Subject) -> None:
    """At the true parameters the mean score is zero, and its variance is the information."""
    rows = s.histories.take(slice(0, 20_000))
    values = np.array(s.parameters)
    jet = s.family.log_likelihood(s.family.Parameters(*jets.variables(values)), rows, jets)
    score = jet.gradient * values[:, None]  # in the logs: one size for all
    for i, name in enumerate(s.family.PARAMETERS):
        assert_mean(score[i], 0.0, f"mean score of {name}")
        for j in range(i + 1):
            curvature = jet.hessian[i, j] * values[i] * values[j] + (i == j) * score[i]
            assert_mean(-curvature, score[i] * score[j], f"information of {name}, {j}")


def log_likelihood_keeps_its_digits(s: Subject) -> None:
    """Double precision, and derivatives by jets, against the same formula to 50 digits."""
    rows, k = s.chosen, len(s.parameters)
    values = s.family.log_likelihood(s.parameters, rows, backend)
    assert np.shape(values) == np.shape(rows[0])
    variables = s.family.Parameters(*jets.variables(s.parameters))
    jet = s.family.log_likelihood(variables, rows, jets)
    close(jet.value, values, 1e-13, 1e-13)
    with mp.workdps(50):
        point = [mp.mpf(float(p)) for p in s.parameters]
        for row in range(len(rows[0])):
            history = type(rows)(*(field[row] for field in rows))

            def function(*p: Any, history: Any = history) -> Any:
                return s.family.log_likelihood(s.family.Parameters(*p), history, mp_backend)

            close(values[row], function(*point), 1e-11, 1e-11, f"row {row}")
            for i in range(k):
                once = [int(m == i) for m in range(k)]
                close(jet.gradient[i, row], mp.diff(function, point, once), 1e-9, 1e-9)
                for j in range(i + 1):
                    twice = tuple(int(m == i) + int(m == j) for m in range(k))
                    exact = mp.diff(function, point, twice)
                    close(jet.hessian[i, j, row], exact, 1e-8, 1e-8)
                    close(jet.hessian[j, i, row], exact, 1e-8, 1e-8)


def weights_repeat_rows(s: Subject) -> None:
    """A weight is so many equal rows."""
    rows = s.histories.take(slice(0, 300))
    weights = np.random.default_rng(4).integers(1, 6, 300).astype(float)
    repeated = rows.take(np.repeat(np.arange(300), weights.astype(int)))
    one_each = np.ones(len(repeated[0]))
    expected = _by_rows(s, s.parameters, rows, weights)
    _same_derivatives(s.parameters, _by_rows(s, s.parameters, repeated, one_each), expected, 1e-11)
    if hasattr(s.family, "log_likelihood_derivatives"):
        for history, w in ((rows, weights), (repeated, one_each)):
            statistics = s.family.sufficient_statistics(history, w)
            fast = s.family.log_likelihood_derivatives(s.parameters, statistics)
            _same_derivatives(s.parameters, fast, expected, 1e-10)


def fast_derivatives_keep_their_digits(s: Subject) -> None:
    """Derivatives from sufficient statistics equal those of the rows, near the limits too."""
    if not hasattr(s.family, "log_likelihood_derivatives"):
        return
    rows = s.histories.take(slice(0, 300))
    weights = np.random.default_rng(4).integers(1, 6, 300).astype(float)
    statistics = s.family.sufficient_statistics(rows, weights)
    k = len(s.parameters)
    far = [(i,) for i in range(k)] + [(i, j) for i in range(k) for j in range(i)]
    for which in far:
        for extreme in (1e-9, 1e9):
            moved = [v * extreme if i in which else v for i, v in enumerate(s.parameters)]
            point = s.family.Parameters(*moved)
            fast = s.family.log_likelihood_derivatives(point, statistics)
            _same_derivatives(point, fast, _by_rows(s, point, rows, weights), 1e-9)


def rows_add_up(s: Subject) -> None:
    """More rows than are added up at a time: the derivatives of all are those of the parts."""
    if not hasattr(s.family, "log_likelihood_derivatives"):
        return
    borders = [0, 7_000, 14_000, 18_500]  # sums go in blocks of 8,192 rows
    parts = [
        _fast(s, s.histories.take(slice(start, stop)))
        for start, stop in itertools.pairwise(borders)
    ]
    total = tuple(sum(part[i] for part in parts) for i in range(3))
    _same_derivatives(s.parameters, _fast(s, s.histories.take(slice(0, 18_500))), total, 1e-10)


def _fast(s: Subject, rows: Any) -> tuple[Any, ...]:
    statistics = s.family.sufficient_statistics(rows, np.ones(len(rows[0])))
    found: tuple[Any, ...] = s.family.log_likelihood_derivatives(s.parameters, statistics)
    return found


def _by_rows(s: Subject, point: Any, history: Any, weights: Array) -> tuple[float, Array, Array]:
    return jets.weighted_derivatives(
        lambda v, part: s.family.log_likelihood(s.family.Parameters(*v), history.take(part), jets),
        list(point),
        weights,
    )


def _same_derivatives(
    point: Any, actual: tuple[Any, ...], expected: tuple[Any, ...], within: float
) -> None:
    """Value, gradient and Hessian in the logs of the parameters, `within` of the value's size."""
    values = np.array(point)
    size = within * max(1.0, abs(expected[0]))
    assert abs(actual[0] - expected[0]) <= size, f"value at {point}"
    gradients = (np.asarray(d[1]) * values for d in (actual, expected))
    close(*gradients, 0.0, size, f"gradient at {point}")
    hessians = (np.asarray(d[2]) * np.outer(values, values) for d in (actual, expected))
    close(*hessians, 0.0, 10 * size, f"Hessian at {point}")


def posteriors_see_the_rows(s: Subject) -> None:
    """What chains and importance samples look at in place of the rows says what these say."""
    if not hasattr(s.family, "log_likelihood_values"):
        return
    rng = np.random.default_rng(5)
    rows, weights = s.histories.take(slice(0, 1_800)), rng.integers(1, 3, 1_800).astype(float)
    moved = np.exp(rng.normal(0, 1.5, (6, len(s.parameters)))) * np.array(s.parameters)
    points = [s.family.Parameters(*point) for point in moved]
    # nobody who came back, one customer, and all
    parts = [np.flatnonzero(rows[0] == rows[0].min()), np.array([7]), np.arange(1_800)]
    for of in parts:
        some = rows.take(of)
        statistics = s.family.sufficient_statistics(some, weights[of])
        tables = getattr(s.family, "tables", lambda *_, found=statistics: found)(some, weights[of])
        expected = [_by_rows(s, point, some, weights[of])[:2] for point in points]
        many = s.family.Parameters(*np.array(points).T)
        values = s.family.log_likelihood_values(many, tables)
        close(values, [value for value, _ in expected], 1e-10, 1e-9, "values")
        if hasattr(s.family, "log_likelihood_gradient"):
            for point, by_rows in zip(points, expected, strict=True):
                found = s.family.log_likelihood_gradient(point, tables)
                _same_gradient(point, found, by_rows)
    if hasattr(s.family, "group_tables"):
        groups = s.family.group_tables(
            [s.family.sufficient_statistics(rows.take(of), weights[of]) for of in parts]
        )
        for which in itertools.combinations(points, len(parts)):
            values, gradients = s.family.log_likelihood_gradients(np.array(which).T, groups)
            for g, of in enumerate(parts):
                by_rows = _by_rows(s, which[g], rows.take(of), weights[of])[:2]
                _same_gradient(which[g], (values[g], gradients[:, g]), by_rows)


def _same_gradient(point: Any, actual: tuple[Any, Any], expected: tuple[Any, Any]) -> None:
    size = 1e-10 * max(1.0, abs(expected[0]))
    assert abs(actual[0] - expected[0]) <= size, f"value at {point}"
    gradients = (np.asarray(slope) * np.array(point) for _, slope in (actual, expected))
    close(*gradients, 0.0, size, f"gradient at {point}")


def parameters_broadcast(s: Subject) -> None:
    """Draws on a leading axis, and parameters per customer, give what a loop gives."""
    family, rows = s.family, s.chosen
    n, k = len(rows[0]), len(s.parameters)
    factors = np.exp(np.random.default_rng(5).normal(0, 0.2, (3, n, k)))
    table = factors * np.array(s.parameters)
    functions = _row_functions(s)
    for name, function in functions.items():
        by_draw = function(family.Parameters(*table[:, :1].transpose(2, 0, 1)), rows)
        by_customer = function(family.Parameters(*table[0].T), rows)
        both = function(family.Parameters(*table.transpose(2, 0, 1)), rows)
        for i in range(n):
            row = rows.take(slice(i, i + 1))
            for d in range(3):
                one = function(family.Parameters(*map(float, table[d, 0])), row)
                assert np.shape(one) == (1,), f"{name} of one row has shape {np.shape(one)}"
                close(np.broadcast_to(by_draw, (3, n))[d, i], one[0], 1e-11, 1e-300, name)
                one = function(family.Parameters(*map(float, table[d, i])), row)
                close(np.broadcast_to(both, (3, n))[d, i], one[0], 1e-11, 1e-300, name)
                if d == 0:
                    close(np.broadcast_to(by_customer, n)[i], one[0], 1e-11, 1e-300, name)


def _row_functions(s: Subject) -> dict[str, Callable[[Any, Any], Any]]:
    """What can be asked for rows: functions of parameters and history."""
    f = s.family
    functions = {"log_likelihood": lambda p, h: f.log_likelihood(p, h, backend)}
    if f.KIND == "spend":
        functions["expected_spend"] = f.expected_spend
        functions["scale"] = lambda p, h: np.broadcast_to(
            f.scale(p, h), np.broadcast_shapes(np.shape(p[0]), h[0].shape)
        )
        return functions
    if f.KIND == "contract":
        functions["survival"] = lambda p, h: f.survival(p, h.renewals)
        functions["retention_rate"] = lambda p, h: f.retention_rate(p, h.renewals + 1)
        for until in (7.0, np.inf):
            functions[f"renewals until {until}"] = lambda p, h, until=until: f.discounted_renewals(
                p, h.renewals, 0.1, until
            )
        return functions
    t = s.time(0.7)
    functions["probability_alive"] = f.probability_alive
    of_state = {
        "survival": lambda state: f.survival(state, t),
        "expected_purchases": lambda state: f.expected_purchases(state, t),
        "no_purchase_probability": lambda state: f.no_purchase_probability(state, t),
        "purchase_count_pmf": lambda state: f.purchase_count_pmf(state, 2, t),
        "next_purchase_quantile": lambda state: f.next_purchase_quantile(state, 0.3),
        "discounted_purchases": lambda state: discounted_purchases(f, state, t, 0.1),
        "discounted_time": lambda state: discounted_time(f, state, t, 0.1),
    }
    for name in ("expected_purchases_ever", "time_scale"):
        if hasattr(f, name):
            of_state[name] = getattr(f, name)
    for name, verb in of_state.items():
        functions[name] = lambda p, h, verb=verb: verb(f.alive_state(p, h))
        functions[f"{name} of a new customer"] = lambda p, h, verb=verb: np.broadcast_to(
            f.new_customer(p)[0] * verb(f.new_customer(p)[1]),
            np.broadcast_shapes(np.shape(p[0]), h[0].shape),
        )
    return functions


def limits_are_named(s: Subject) -> None:
    """Inside, no boundary; with one parameter run far away, it has a name."""
    unit = {"time": s.example.span, "money": s.example.money}
    scaled = [
        value / unit.get(p.unit, 1.0)
        for value, p in zip(s.parameters, s.family.PARAMETERS.values(), strict=True)
    ]
    assert s.family.boundary(s.family.Parameters(*scaled)) is None
    for i, name in enumerate(s.family.PARAMETERS):
        for extreme in (1e-10, 1e10):
            run = [extreme if j == i else value for j, value in enumerate(scaled)]
            said = s.family.boundary(s.family.Parameters(*run))
            assert isinstance(said, str), f"{name} = {extreme:g} is not named"
            assert len(said) > 20


def estimates_recover_the_truth(s: Subject) -> None:
    """Fitted to 8,000 simulated customers, estimates lie as near as their covariance says."""
    rows = s.histories.take(slice(0, 8_000))
    unit = {"time": s.example.span, "money": s.example.money}
    fit = maximize(s.family, rows, np.ones(8_000), unit)
    assert fit.convergence.converged, fit.convergence.message
    off = np.log(fit.parameters / np.array(s.parameters))
    distance = float(off @ np.linalg.solve(fit.log_covariance, off))
    # chi-squared with k degrees of freedom: beyond this once in 100,000
    assert distance < {1: 19.6, 2: 23.1, 3: 25.9, 4: 28.5}.get(len(off), 40.0)
    true = float(s.family.log_likelihood(s.parameters, rows, backend).sum())
    assert fit.log_likelihood >= true
    close(fit.log_likelihood, true + distance / 2, 0.0, 3.0 + 0.3 * distance)


def covariates_move_what_they_say(s: Subject) -> None:
    """With ``COVARIATES``, every customer has parameters of their own; derivatives follow."""
    declared = getattr(s.family, "COVARIATES", {})
    names = s.family.Parameters._fields
    for group, moves in declared.items():
        assert group in ("purchase", "dropout", "spend"), f"there is no group {group!r}"
        assert set(moves.parameters) <= set(names), f"{group} moves what is no parameter"
        assert set(moves.parameters.values()) <= {1, -1}
        assert float(moves.figure(s.parameters)) > 0
        assert moves.reading.format(factor="1", before="2", after="3")
    if not declared:
        return
    rows, n = s.histories.take(slice(0, 200)), 200
    z = np.random.default_rng(10).normal(3.0, 2.0, n)
    moved = {group: moves.parameters for group, moves in declared.items()}
    groups, columns = dict.fromkeys(declared, ("z",)), {"z": Column(z, None)}
    design, matrix = learn(names, moved, groups, columns, np.ones(n))
    close(matrix[:, 0] * z.std() + z.mean(), z, 1e-12)
    gammas = 0.1 + 0.05 * np.arange(len(design.coefficients))
    point = np.concatenate([np.log(s.parameters), gammas])
    objective = objective_of(s.family, rows, np.ones(n), design, matrix, np.ones(len(point)))
    value, gradient, hessian = objective(point)
    each = dict(zip(names, s.parameters, strict=True))
    for gamma, coefficient in zip(gammas, design.coefficients, strict=True):
        sign = moved[coefficient.group][coefficient.parameter]
        each[coefficient.parameter] = each[coefficient.parameter] * np.exp(
            sign * gamma * matrix[:, 0]
        )
    own = s.family.Parameters(*(np.broadcast_to(each[name], n) for name in names))
    close(value, -s.family.log_likelihood(own, rows, backend).sum(), 1e-11)
    for i in range(len(point)):
        e = 1e-5 * np.eye(len(point))[i]
        (above, slopes_above, _), (below, slopes_below, _) = (
            objective(point + e),
            objective(point - e),
        )
        close(gradient[i], (above - below) / 2e-5, 1e-6, 1e-4)
        close(hessian[i], (slopes_above - slopes_below) / 2e-5, 1e-6, 1e-4)


COMMON = (
    covariates_move_what_they_say,
    score_has_mean_zero,
    log_likelihood_keeps_its_digits,
    weights_repeat_rows,
    rows_add_up,
    posteriors_see_the_rows,
    fast_derivatives_keep_their_digits,
    parameters_broadcast,
    limits_are_named,
    estimates_recover_the_truth,
)


# --- checks of purchase families -------------------------------------------------------------


def new_customers_do_as_expected(s: Subject) -> None:
    """Simulated from the first purchase: counts, pmf, times, and P(none)."""
    f, h = s.family, s.simulated.history
    alive, state = f.new_customer(s.parameters)
    t = s.time(1.0)
    rng = np.random.default_rng(6)
    paths = f.sample_purchases(state, t, rng, (CUSTOMERS,))
    kept = rng.random(CUSTOMERS) < alive
    _agree(s, alive, state, paths, kept, t)
    # observed to different ages: the horizon is an array
    expected = alive * f.expected_purchases(state, h.T)
    assert_mean(h.frequency, expected, "purchases by age")
    assert_mean(h.frequency == 0, _none(s, alive, state, h.T), "share without a purchase by age")


def known_customers_do_as_expected(s: Subject) -> None:
    """Simulated onwards from a few histories, given alive: the same."""
    f, draws = s.family, CUSTOMERS // 4
    h = s.chosen.take((slice(None), None))
    state = f.alive_state(s.parameters, h)
    t = s.time(0.6)
    n = len(s.chosen.T)
    paths = f.sample_purchases(state, t, np.random.default_rng(7), (n, draws))
    assert paths.counts.shape == (n, draws)
    assert np.issubdtype(paths.counts.dtype, np.integer)
    ends = np.cumsum(paths.counts.sum(axis=1))
    for i in range(n):
        row = f.alive_state(s.parameters, s.chosen.take(i))
        part = type(paths)(paths.counts[i], paths.times[ends[i] - paths.counts[i].sum() : ends[i]])
        _agree(s, 1.0, row, part, np.ones(draws, dtype=bool), t)


def _agree(s: Subject, alive: Any, state: Any, paths: Any, kept: Array, t: float) -> None:
    f, n = s.family, len(kept)
    assert len(paths.times) == paths.counts.sum()
    of = np.repeat(np.arange(n), paths.counts)
    later = np.diff(paths.times) > 0
    assert (later | (np.diff(of) > 0)).all(), "times within a path do not ascend"
    assert (paths.times > 0).all()
    assert (paths.times <= t).all()
    for share in (0.3, 1.0):
        end = (
            t
            if share == 1.0
            else max(1.0, round(share * t))
            if s.example.whole_times
            else share * t
        )
        counts = np.bincount(of[paths.times <= end], minlength=n) * kept
        assert_mean(counts, alive * f.expected_purchases(state, end), f"purchases within {end:g}")
        assert_mean(counts == 0, _none(s, alive, state, end), f"P(none within {end:g})")
        for k in range(1, 5):
            exact = alive * f.purchase_count_pmf(state, k, end)
            assert_mean(counts == k, exact, f"P({k} within {end:g})")


def _none(s: Subject, alive: Any, state: Any, t: Any) -> Any:
    # a form in which nothing cancels where P(none) is small
    return (1.0 - alive) + alive * s.family.no_purchase_probability(state, t)


def futures_follow_from_histories(s: Subject) -> None:
    """Whatever is known at T, what comes after is on average what was predicted."""
    f, (h, ahead, purchases, first, discounted) = s.family, s.simulated
    alive, state = f.probability_alive(s.parameters, h), f.alive_state(s.parameters, h)
    half = s.time(0.4)
    worth = discounted_purchases(f, state, ahead, 1.0 / ahead)
    predicted = {
        "purchases": (purchases, alive * f.expected_purchases(state, ahead)),
        "discounted purchases": (discounted, alive * worth),
        "none": (purchases == 0, _none(s, alive, state, ahead)),
        "none soon": (first > half, _none(s, alive, state, half)),
        "exactly one": (purchases == 1, alive * f.purchase_count_pmf(state, 1, ahead)),
        "exactly three": (purchases == 3, alive * f.purchase_count_pmf(state, 3, ahead)),
    }
    known = {
        "all": np.ones(CUSTOMERS),
        "one-time": (h.frequency == 0).astype(float),
        "frequent": h.frequency / (1.0 + h.frequency),
        "recent": h.recency / h.T,
        "old": h.T / h.T.max(),
    }
    for what, (happened, expected) in predicted.items():
        for group, weight in known.items():
            assert_mean((happened - expected) * weight, 0.0, f"{what}, {group}")


def survival_obeys_the_tower(s: Subject) -> None:
    """The mean of P(alive at T + t | history at T) is P(alive at T + t) of a new customer."""
    f, h = s.family, s.simulated.history
    at_first, new = f.new_customer(s.parameters)
    alive, state = f.probability_alive(s.parameters, h), f.alive_state(s.parameters, h)
    assert_mean(alive, at_first * f.survival(new, h.T), "P(alive)")
    for t in (s.time(0.2), s.time(3.0)):
        expected = at_first * f.survival(new, h.T + t)
        assert_mean(alive * f.survival(state, t), expected, f"survival to T + {t:g}")


def histories_are_simulated_alike(s: Subject) -> None:
    """`simulate_histories` makes valid histories of the same distribution, by seed."""
    ages = s.ages[:20_000]
    h = simulate_histories(s.family, s.parameters, ages, seed=8)
    again = simulate_histories(s.family, s.parameters, ages, seed=8)
    assert all(np.array_equal(a, b) for a, b in zip(h, again, strict=True))
    assert ((h.recency > 0) == (h.frequency > 0)).all()
    assert (h.recency <= h.T).all()
    assert np.array_equal(h.frequency, np.floor(h.frequency))
    alive, state = s.family.new_customer(s.parameters)
    expected = alive * s.family.expected_purchases(state, ages)
    assert_mean(h.frequency, expected, "purchases")
    mine = s.simulated.history
    for name, of in {
        "recency": lambda h: h.recency / h.T,
        "recency squared of few": lambda h: (h.recency / h.T) ** 2 * (h.frequency < 3),
    }.items():
        a, b = of(h), of(mine)
        error = math.hypot(np.std(a) / math.sqrt(len(a)), np.std(b) / math.sqrt(len(b)))
        assert abs(a.mean() - b.mean()) < SIGMAS * error, name


def bayes_by_summation_agrees(s: Subject) -> None:
    """Likelihood, P(alive), and predictions of a few histories, from individuals."""
    f, span = s.family, s.time(1.0)
    t = s.time(0.7)
    cases = [(0, 0, span), (1, 0.3 * span, span), (2, 0.8 * span, span), (7, 0.9 * span, span)]
    cases += [(3, span, span), (4, 0.2 * span, 0.9 * span)]
    for x, t_x, T in cases:
        if s.example.whole_times:
            t_x, T = max(float(x), float(round(t_x))) if x else 0.0, float(round(T))
        row = s.history([x], [t_x], [T])
        exact = individual.posterior(s.individual, s.parameters, x, t_x, T, t)
        alive, state = f.probability_alive(s.parameters, row), f.alive_state(s.parameters, row)
        what = f"x={x}, t_x={t_x:g}, T={T:g}"
        value = f.log_likelihood(s.parameters, row, backend)[0]
        close(value, exact.log_likelihood, 1e-8, 1e-8, what)
        close(alive[0], exact.probability_alive, 1e-8, what=what)
        close((alive * f.survival(state, t))[0], exact.survival, 1e-8, what=what)
        predicted = (alive * f.expected_purchases(state, t))[0]
        close(predicted, exact.expected_purchases, 1e-8, what=what)
        pmf = alive * f.purchase_count_pmf(state, np.arange(6.0), t)
        pmf[0] += 1.0 - alive[0]
        close(pmf, exact.pmf, 1e-7, 1e-12, what)
        close(_none(s, alive, state, t)[0], exact.pmf[0], 1e-8, what=what)


def likelihood_is_a_density(s: Subject) -> None:
    """Integrated over the times of n purchases, the likelihood is P(n purchases)."""
    f, T = s.family, s.time(1.0)
    alive, state = f.new_customer(s.parameters)
    if s.example.whole_times:
        _likelihood_sums_up(s, alive, state, T)
        return
    if s.knows_intervals:
        for n in range(1, 4):
            row, volume = _laid_out(n, T)
            total = volume @ np.exp(f.log_likelihood(s.parameters, row, backend))
            close(total, alive * f.purchase_count_pmf(state, n, T), 1e-9, what=f"{n} purchases")
        return
    nodes, weights = quadrature.gauss_legendre(80)
    for n in range(1, 5):
        # n - 1 purchases are spread anywhere before the last one
        row = PurchaseHistory(np.full(80, float(n)), T * nodes, np.full(80, T))
        density = np.exp(f.log_likelihood(s.parameters, row, backend))
        total = T * weights @ (density * (T * nodes) ** (n - 1)) / math.factorial(n - 1)
        close(total, alive * f.purchase_count_pmf(state, n, T), 1e-9, what=f"{n} purchases")


def _likelihood_sums_up(s: Subject, alive: Any, state: Any, T: float) -> None:
    """Summed over the opportunities that n purchases may have used, it is P(n purchases)."""
    for n in range(1, int(T) + 1):
        last = np.arange(n, T + 1)
        row = PurchaseHistory(np.full(len(last), float(n)), last, np.full(len(last), T))
        # n - 1 purchases are spread anywhere before the last one
        ways = np.array([math.comb(int(t) - 1, n - 1) for t in last])
        total = ways @ np.exp(s.family.log_likelihood(s.parameters, row, backend))
        exact = alive * s.family.purchase_count_pmf(state, n, T)
        close(total, exact, 1e-10, what=f"{n} purchases")


def _laid_out(n: int, T: float) -> tuple[IntervalHistory, Array]:
    """All ways to lay n purchases into (0, T), each with its share of their volume."""
    nodes, weights = quadrature.gauss_legendre(30)
    last, volume, logs, recency = np.ones(1), np.ones(1), np.zeros(1), np.ones(1)
    for number in range(n):
        # the last purchase first; then where before it the one before was
        earlier = (last[:, None] * nodes).reshape(-1)
        logs, recency, before = (np.repeat(v, 30) for v in (logs, recency, last))
        if number == 0:
            recency = earlier
        else:
            logs = logs + np.log(before - earlier)
        volume = (volume * last)[:, None] * weights
        last, volume = earlier, volume.reshape(-1)
    logs = logs + np.log(last) + n * math.log(T)
    many = np.full(len(last), 1.0)
    return IntervalHistory(n * many, T * recency, T * many, logs), volume * T**n


def silence_updates_consistently(s: Subject) -> None:
    """Waiting without a purchase: the likelihood falls by exactly P(no purchase)."""
    f, h = s.family, s.chosen
    nobody = s.history([0.0], [0.0], [s.time(1.0)])
    alive, state = f.new_customer(s.parameters)
    log_none = f.log_likelihood(s.parameters, nobody, backend)
    close(np.exp(log_none), np.reshape(_none(s, alive, state, nobody.T), 1), 1e-12)

    alive, state = f.probability_alive(s.parameters, h), f.alive_state(s.parameters, h)
    for t in (s.time(0.1), s.time(2.0)):
        later = h._replace(T=h.T + t)
        ratio = np.exp(
            f.log_likelihood(s.parameters, later, backend)
            - f.log_likelihood(s.parameters, h, backend)
        )
        close(_none(s, alive, state, t), ratio, 1e-10)
        assert (f.probability_alive(s.parameters, later) <= alive + 1e-15).all()


def predictions_stay_in_bounds(s: Subject) -> None:
    """Probabilities are probabilities; more time, more purchases and fewer survivors."""
    f, h = s.family, s.chosen
    alive = f.probability_alive(s.parameters, h)
    assert ((alive >= 0) & (alive <= 1)).all()
    at_first, new = f.new_customer(s.parameters)
    assert np.shape(at_first) == ()
    assert 0 <= at_first <= 1
    steps = [0.0, *(s.time(x) for x in (0.05, 0.3, 1.0, 4.0, 30.0, 1000.0))]
    t = np.unique(steps)[:, None]
    for state in (f.alive_state(s.parameters, h), new):
        survival = f.survival(state, t)
        expected = f.expected_purchases(state, t)
        none = f.no_purchase_probability(state, t)
        for probability in (survival, none):
            assert ((probability >= 0) & (probability <= 1)).all()
            assert (np.diff(probability, axis=0) <= 1e-14).all()
            close(probability[0], 1.0, 1e-15)
        growth = np.diff(expected, axis=0)
        assert (growth >= 0).all()
        assert (growth[:4] > 0).all()  # after many lifetimes nothing is left to come
        close(expected[0], 0.0, 0.0, 1e-15)
        # at least one is bought with probability 1 - none
        assert (expected >= (1.0 - none) * (1 - 1e-12)).all()
        if not s.example.whole_times:
            scale = f.time_scale(state)
            assert ((scale > 0) & np.isfinite(scale)).all()


def predictions_of_one_customer_are_numbers(s: Subject) -> None:
    """Plain numbers in, a plain number out: shapes follow from broadcasting alone."""
    f, t = s.family, s.time(1.0)
    one = type(s.chosen)(*(np.float64(field[-1]) for field in s.chosen))
    for _, state in (f.new_customer(s.parameters), (1.0, f.alive_state(s.parameters, one))):
        for value in (
            f.survival(state, t),
            f.expected_purchases(state, t),
            f.no_purchase_probability(state, t),
            f.purchase_count_pmf(state, 1, t),
            f.next_purchase_quantile(state, 0.2),
            discounted_purchases(f, state, t, 0.1),
            discounted_time(f, state, t, 0.1),
        ):
            assert np.shape(value) == ()
        assert f.purchase_count_pmf(state, np.arange(4), t).shape == (4,)
        assert f.expected_purchases(state, np.ones((2, 1))).shape == (2, 1)


def nobody_is_no_trouble(s: Subject) -> None:
    """An empty table, and draws of new customers, have the shapes that they should."""
    f, t = s.family, s.time(1.0)
    none = s.history([], [], [])
    state = f.alive_state(s.parameters, none)
    for value in (
        f.probability_alive(s.parameters, none),
        f.survival(state, t),
        f.expected_purchases(state, t),
        f.no_purchase_probability(state, t),
        f.purchase_count_pmf(state, 1, t),
        f.next_purchase_quantile(state, 0.2),
        discounted_purchases(f, state, np.inf, 0.1),
        discounted_time(f, state, np.inf, 0.1),
    ):
        assert np.shape(value) == (0,)
    paths = f.sample_purchases(state, t, np.random.default_rng(1), (0,))
    assert paths.counts.shape == paths.times.shape == (0,)
    draws = f.Parameters(*(np.full((3, 1), value) for value in s.parameters))
    assert np.shape(f.new_customer(draws)[0]) == (3, 1)


def pmf_is_a_distribution(s: Subject) -> None:
    """It sums to one, its mean is the expectation, and its zero is P(no purchase)."""
    f, h = s.family, s.chosen
    t = s.time(0.5)
    n = np.arange(4000.0)[:, None]
    for state in (f.alive_state(s.parameters, h), f.new_customer(s.parameters)[1]):
        pmf = f.purchase_count_pmf(state, n, t)
        assert ((pmf >= 0) & (pmf <= 1)).all()
        assert (pmf[-1] < 1e-14).all(), "the test must go on further"
        close(pmf.sum(axis=0), 1.0, 1e-9)
        close((n * pmf).sum(axis=0), np.ravel(f.expected_purchases(state, t)), 1e-8)
        close(pmf[0], np.ravel(f.no_purchase_probability(state, t)), 1e-12)
        few = np.arange(0, 250, 50, dtype=np.uint8)[:, None]  # whose arithmetic ends at 255
        close(f.purchase_count_pmf(state, few, t), pmf[few[:, 0]], 1e-14)


def quantiles_invert(s: Subject) -> None:
    """By the q-quantile the next purchase has come with probability q."""
    f = s.family
    state = f.alive_state(s.parameters, s.chosen)
    q = np.array([1e-6, 0.05, 0.5, 0.9, 0.999])[:, None]
    t = f.next_purchase_quantile(state, q)
    assert (t >= 0).all()
    later = t[1:] >= t[:-1] if s.example.whole_times else t[1:] > t[:-1]
    assert later[np.isfinite(t[1:])].all()
    finite = np.isfinite(t) & (t < 1e200)
    come = 1.0 - f.no_purchase_probability(state, np.where(finite, t, 0.0))
    if s.example.whole_times:
        assert (come >= q - 1e-9)[finite].all()
        before = 1.0 - f.no_purchase_probability(state, np.where(finite, t, 1.0) - 1.0)
        assert (before < q)[finite].all()
        assert np.array_equal(t[finite], np.rint(t[finite]))
    else:
        close(come[finite], np.broadcast_to(q, t.shape)[finite], 1e-8)
    never = np.broadcast_to(f.no_purchase_probability(state, np.inf), t.shape)
    assert ((1.0 - never) <= q + 1e-9)[np.isposinf(t)].all()


def discounting_agrees_with_brute_force(s: Subject) -> None:
    """The family's time scale steers the quadrature well: many more nodes change nothing."""
    f, h = s.family, s.chosen
    state = f.alive_state(s.parameters, h)
    if s.example.whole_times:
        _discounting_is_a_sum(s, state)
        return
    nodes, weights = quadrature.gauss_legendre(400)
    for delta in (0.03 / s.example.span, 3.0 / s.example.span):
        for horizon in (s.time(1.0), s.time(100.0), np.inf):
            # dF integrated by parts, in the log of time to resolve every decade
            end = min(horizon, 40.0 / delta)  # beyond nothing counts
            low = 1e-12 * s.example.span
            w = np.log(low) + nodes * np.log(end / low)
            t = np.exp(w)[:, None]
            inner = f.expected_purchases(state, t) * np.exp(-delta * t) * t
            exact = f.expected_purchases(state, end) * np.exp(-delta * end)
            exact = exact + delta * np.log(end / low) * (weights @ inner)
            close(discounted_purchases(f, state, horizon, delta), exact, 1e-9)
            lifetime = discounted_time(f, state, horizon, delta)
            alive = np.log(end / low) * (weights @ (f.survival(state, t) * np.exp(-delta * t) * t))
            close(lifetime, alive + low, 1e-9)


def _discounting_is_a_sum(s: Subject, state: Any) -> None:
    """Opportunity k counts exp(-delta k) times what it brings; without end, too."""
    f = s.family
    for delta in (0.0, 0.3 / s.example.span, 3.0 / s.example.span):
        for horizon in (1.0, s.time(1.0), s.time(100.0), np.inf):
            last = min(horizon, 40.0 / delta if delta else 0.0) if horizon == np.inf else horizon
            if last == 0.0:
                continue  # undiscounted without end: see `purchases_ever_are_the_limit`
            k = np.arange(1.0, np.ceil(last) + 1)[:, None]
            bought = np.diff(f.expected_purchases(state, np.vstack([[[0.0]], k])), axis=0)
            factor = np.exp(-delta * k)
            close(
                f.discounted_purchases(state, horizon, delta), (factor * bought).sum(axis=0), 1e-9
            )
            there = factor * f.survival(state, k)
            close(f.discounted_time(state, horizon, delta), there.sum(axis=0), 1e-9)


def purchases_ever_are_the_limit(s: Subject) -> None:
    """`expected_purchases_ever`, where a family has it, is what time without end brings."""
    f = s.family
    if not hasattr(f, "expected_purchases_ever"):
        return
    state = f.alive_state(s.parameters, s.chosen)
    ever = np.broadcast_to(f.expected_purchases_ever(state), s.chosen.T.shape)
    far, farther = (f.expected_purchases(state, 10.0**k * s.example.span) for k in (10, 12))
    finite = np.isfinite(ever)
    assert (far <= ever * (1 + 1e-12)).all()
    # what is missing falls like a power of time, and so does not turn round
    gap, smaller = (ever - far)[finite], (ever - farther)[finite]
    assert (smaller <= gap + 1e-12).all()
    assert (np.abs(smaller) <= 0.05 * ever[finite]).all()
    assert (farther > 1.05 * far)[~finite].all()


def unit_of_time_does_not_matter(s: Subject) -> None:
    """Days instead of weeks: the same predictions, the density scaled by its dimension."""
    f, h, c = s.family, s.chosen, 7.0
    if not any(p.unit == "time" for p in f.PARAMETERS.values()):
        return
    scaled = f.Parameters(
        *(
            value * (c if p.unit == "time" else 1.0)
            for value, p in zip(s.parameters, f.PARAMETERS.values(), strict=True)
        )
    )
    days = h._replace(recency=h.recency * c, T=h.T * c)
    if s.knows_intervals:
        days = days._replace(sum_log_intervals=h.sum_log_intervals + h.frequency * math.log(c))
    shift = f.log_likelihood(scaled, days, backend) - f.log_likelihood(s.parameters, h, backend)
    close(shift, -h.frequency * math.log(c), 1e-9, 1e-9)
    close(f.probability_alive(scaled, days), f.probability_alive(s.parameters, h), 1e-11)
    t = s.time(0.9)
    one, other = f.alive_state(s.parameters, h), f.alive_state(scaled, days)
    for verb in (f.survival, f.expected_purchases, f.no_purchase_probability):
        close(verb(other, c * t), verb(one, t), 1e-10)
    pmf = f.purchase_count_pmf
    close(pmf(other, 2, c * t), pmf(one, 2, t), 1e-10)
    quantile = f.next_purchase_quantile
    close(quantile(other, 0.4), c * quantile(one, 0.4), 1e-10)


PURCHASE = (
    new_customers_do_as_expected,
    known_customers_do_as_expected,
    futures_follow_from_histories,
    survival_obeys_the_tower,
    histories_are_simulated_alike,
    bayes_by_summation_agrees,
    likelihood_is_a_density,
    silence_updates_consistently,
    predictions_stay_in_bounds,
    predictions_of_one_customer_are_numbers,
    nobody_is_no_trouble,
    pmf_is_a_distribution,
    quantiles_invert,
    discounting_agrees_with_brute_force,
    purchases_ever_are_the_limit,
    unit_of_time_does_not_matter,
)


# --- checks of spend families ----------------------------------------------------------------


def _totals(s: Subject, row: SpendHistory, purchases: Array, factors: Array, seed: int) -> Array:
    rng = np.random.default_rng(seed)
    unit = s.family.sample_unit_totals(s.parameters, row.purchases, purchases, factors, rng)
    assert unit.shape == purchases.shape
    return np.asarray(unit * s.family.scale(s.parameters, row))


def drawn_totals_are_unbiased(s: Subject) -> None:
    """What simulated purchases are worth is their number times the expectation."""
    n = CUSTOMERS
    rng = np.random.default_rng(9)
    purchases = rng.integers(0, 4, n)
    factors = rng.uniform(0.2, 1.0, purchases.sum())
    weight = np.bincount(np.repeat(np.arange(n), purchases), factors, minlength=n)
    nobody = SpendHistory(np.zeros(1), np.zeros(1))
    for row in (nobody, *(s.chosen.take(slice(i, i + 1)) for i in range(len(s.chosen[0])))):
        expected = s.family.expected_spend(s.parameters, row)
        totals = _totals(s, row, purchases, factors, seed=10)
        assert_mean(totals, weight * expected, f"totals given {row}")
        assert (totals[purchases == 0] == 0).all()
        assert (totals[purchases > 0] > 0).all()


def spending_follows_from_history(s: Subject) -> None:
    """The mean of the expectation given history is that of the population."""
    expected = s.family.expected_spend(s.parameters, s.spend)
    nobody = SpendHistory(np.zeros(1), np.zeros(1))
    population = s.family.expected_spend(s.parameters, nobody)
    assert population.shape == (1,)
    assert_mean(s.spend.mean_value, population, "mean value")
    assert_mean(expected, population, "expected spend")
    # who spent above what is expected of them did so by chance alone
    weight = s.spend.purchases / (1.0 + s.spend.purchases)
    assert_mean((s.spend.mean_value - population) * weight, 0.0, "spend and number of purchases")


def spending_by_summation_agrees(s: Subject) -> None:
    """Likelihood and expectation of a few histories, from individuals."""
    for i in range(len(s.chosen[0])):
        row = s.chosen.take(slice(i, i + 1))
        exact = s.individual.posterior(s.parameters, *(float(v[0]) for v in row))
        value = s.family.log_likelihood(s.parameters, row, backend)
        close(value, exact.log_likelihood, 1e-8, 1e-8)
        close(s.family.expected_spend(s.parameters, row), exact.expected_spend, 1e-8)
    exact = s.individual.posterior(s.parameters, 0.0, 0.0)
    nobody = SpendHistory(np.zeros(1), np.zeros(1))
    close(s.family.expected_spend(s.parameters, nobody), exact.expected_spend, 1e-8)


def spend_likelihood_is_a_density(s: Subject) -> None:
    """It integrates to one over the mean value, whatever the number of purchases."""
    u = np.arange(-120.0, 120.0, 0.02)
    for count in (1.0, 2.0, 9.0):
        row = SpendHistory(np.full(len(u), count), s.example.money * np.exp(u))
        density = np.exp(s.family.log_likelihood(s.parameters, row, backend))
        close(0.02 * (density * row.mean_value).sum(), 1.0, 1e-10, what=f"{count:g} purchases")


def unit_of_money_does_not_matter(s: Subject) -> None:
    """Cents instead of dollars."""
    f, h, c = s.family, s.chosen, 100.0
    scaled = f.Parameters(
        *(
            value * (c if p.unit == "money" else 1.0)
            for value, p in zip(s.parameters, f.PARAMETERS.values(), strict=True)
        )
    )
    cents = h._replace(mean_value=h.mean_value * c)
    shift = f.log_likelihood(scaled, cents, backend) - f.log_likelihood(s.parameters, h, backend)
    close(shift, -math.log(c), 1e-10)
    close(f.expected_spend(scaled, cents), c * f.expected_spend(s.parameters, h), 1e-12)


def spending_more_promises_more(s: Subject) -> None:
    """Expected spend is positive, rises with the mean value and, high up, with its weight."""
    money = s.example.money * np.array([0.1, 1.0, 10.0, 1000.0])
    counts = np.array([1.0, 5.0, 100.0])[:, None]
    expected = s.family.expected_spend(
        s.parameters, SpendHistory(np.broadcast_to(counts, (3, 4)), np.broadcast_to(money, (3, 4)))
    )
    assert (expected > 0).all()
    assert (np.diff(expected, axis=1) > 0).all()
    assert (np.diff(expected, axis=0)[:, -1] > 0).all()
    # with very many purchases, the customer's own mean
    many = SpendHistory(np.full(4, 1e9), money)
    close(s.family.expected_spend(s.parameters, many), money, 1e-6)


SPEND = (
    drawn_totals_are_unbiased,
    spending_follows_from_history,
    spending_by_summation_agrees,
    spend_likelihood_is_a_density,
    unit_of_money_does_not_matter,
    spending_more_promises_more,
)


# --- checks of contract families -------------------------------------------------------------


def renewals_are_drawn_as_expected(s: Subject) -> None:
    """Renewals of the new, and of those who have made some: how many, and discounted."""
    f, p = s.family, s.parameters
    delta, until = 0.1, s.time(1.5)
    factor = np.exp(-delta * np.arange(1.0, until + 1))
    for made in (0, 1, 4, 30):
        more = f.sample_renewals(p, made, np.random.default_rng(9 + made), (CUSTOMERS,))
        assert more.shape == (CUSTOMERS,)
        assert np.issubdtype(more.dtype, np.integer)
        assert (more >= 0).all()
        for k in (1, 2, 3, 10, 40):
            chance = f.survival(p, made + k) / f.survival(p, made)
            assert_mean(more >= k, chance, f"{k} more after {made}")
        within = np.minimum(more, int(until))
        expected = f.discounted_renewals(p, made, 0.0, until)
        assert_mean(within, expected, f"renewals after {made}")
        worth = np.concatenate([[0.0], np.cumsum(factor)])[within]
        expected = f.discounted_renewals(p, made, delta, until)
        assert_mean(worth, expected, f"discounted renewals after {made}")
    # each their own number of renewals made
    h = s.contracts.take(slice(0, 20_000))
    more = f.sample_renewals(p, h.renewals, np.random.default_rng(8), h.renewals.shape)
    assert_mean(more > 0, f.retention_rate(p, h.renewals + 1), "retention")


def contracts_end_as_expected(s: Subject) -> None:
    """Of simulated contracts, how many came up for the n-th renewal and what they did."""
    f, h = s.family, s.contracts
    for n in (1.0, 2.0, 5.0):
        came_up = (h.renewals >= n) | ((h.renewals == n - 1) & (h.churned > 0))
        renewed = h.renewals[came_up] >= n
        assert_mean(renewed, f.retention_rate(s.parameters, n), f"renewal {n:g}")


def survival_goes_with_retention(s: Subject) -> None:
    """Survival falls from 1 within bounds, and the retention rate is what is left of it."""
    f, p = s.family, s.parameters
    n = np.arange(0.0, 400.0)
    survival, retention = f.survival(p, n), f.retention_rate(p, n[1:])
    assert survival[0] == 1.0
    assert ((survival >= 0) & (survival <= 1)).all()
    assert (np.diff(survival) < 0).all()
    assert ((retention > 0) & (retention < 1)).all()
    close(retention, survival[1:] / survival[:-1], 1e-11)
    for value in (f.survival(p, 3), f.retention_rate(p, 3), f.discounted_renewals(p, 3, 0.1, 5)):
        assert np.shape(value) == ()
    assert f.discounted_renewals(p, np.zeros((2, 1)), np.full(3, 0.1), np.inf).shape == (2, 3)


def contract_likelihood_is_a_distribution(s: Subject) -> None:
    """To leave at one of the renewals, or to be there after them all: that is all."""
    f, p = s.family, s.parameters
    n = np.arange(200.0)
    left = np.exp(f.log_likelihood(p, ContractHistory(n, np.ones(200)), backend))
    close(left, f.survival(p, n) - f.survival(p, n + 1), 1e-9, 1e-15)
    close(left, f.survival(p, n) * (1 - f.retention_rate(p, n + 1)), 1e-10)
    stayed = np.exp(f.log_likelihood(p, ContractHistory(n, np.zeros(200)), backend))
    close(stayed, f.survival(p, n), 1e-10)
    close(left.sum() + f.survival(p, 200), 1.0, 1e-11)


def residual_lifetime_is_a_sum(s: Subject) -> None:
    """Discounted renewals, to an end and without one, added up one by one."""
    f, p = s.family, s.parameters
    k = np.arange(1.0, 40_001.0)[:, None]
    made = np.array([0.0, 1.0, 6.0, 50.0])
    further = f.survival(p, made + k) / f.survival(p, made)
    for delta in (0.0, 0.002, 0.0953, 2.0):
        worth = np.exp(-delta * k) * further
        for until in (1.0, 2.5, 17.0, 700.0):
            close(
                f.discounted_renewals(p, made, delta, until), worth[: int(until)].sum(axis=0), 1e-9
            )
        if delta:
            close(f.discounted_renewals(p, made, delta, np.inf), worth.sum(axis=0), 1e-9)
    ever = f.discounted_renewals(p, made, 0.0, np.inf)
    assert (ever > further.sum(axis=0) * (1 - 1e-12)).all()


def contracts_by_summation_agree(s: Subject) -> None:
    """Likelihood and retention of a few contracts, from individuals."""
    f, p = s.family, s.parameters
    for n, churned in zip(*s.chosen, strict=True):
        exact = s.individual.posterior(p, n, churned > 0)
        row = ContractHistory(np.array([n]), np.array([churned]))
        close(f.log_likelihood(p, row, backend), exact.log_likelihood, 1e-8, 1e-8)
        k = np.arange(1.0, 6.0)
        close(f.survival(p, n + k) / f.survival(p, n), exact.further, 1e-8)
        close(np.cumprod(f.retention_rate(p, n + k)), exact.further, 1e-8)
        by_hand = np.exp(-0.3 * k) @ exact.further
        close(f.discounted_renewals(p, n, 0.3, 5.0), by_hand, 1e-8)


CONTRACT = (
    renewals_are_drawn_as_expected,
    contracts_end_as_expected,
    survival_goes_with_retention,
    contract_likelihood_is_a_distribution,
    residual_lifetime_is_a_sum,
    contracts_by_summation_agree,
)


def _checks(family: Any) -> tuple[Callable[[Subject], None], ...]:
    return COMMON + {"purchase": PURCHASE, "spend": SPEND, "contract": CONTRACT}.get(
        getattr(family, "KIND", ""), ()
    )
