"""The Pareto/NBD log-likelihood of a whole table, with exact first and second derivatives.

Apart from gamma functions a customer contributes ``ln M`` with::

    M = e(T) + integral from t_x to T of s / (beta + u) e(u) du
    e(u) = (1 + u / alpha)**-(r + x) (1 + u / beta)**-s

Customers with as many purchases share the integrand. Where they are many and their times lie on
a grid (days), the integral is tabulated from every time to the last one, cell by cell, and each
customer takes two numbers out of the table; otherwise it is computed for the customer alone, with
as many Gauss-Legendre nodes as it needs (`clv.numerics.pareto`). No grid is looked for: a table
is used where it has fewer nodes than its customers would have.

Derivatives are taken under the integral. The sum of the second derivatives of M needs no table:
customers' weights are added up at every node instead, and derivatives there depend on x only
through powers of r + x.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from clv.numerics.backend import Array
from clv.numerics.histories import PurchaseHistory
from clv.numerics.pareto import NEGLIGIBLE, by_node_count
from clv.numerics.quadrature import gauss_legendre
from clv.numerics.sums import BLOCK, blocks, dot

_ERROR = 1e-13  # of a cell, relative
_CELL_NODES = (2, 3, 4, 5, 6, 8, 10, 12, 16)
_RANGE = 600.0  # a table holds numbers from e^-_RANGE to e^_RANGE
_MARGINAL = 20.0  # work per customer without a table, in units of that per node of a table
_FIXED = 6_000  # and the overhead of a table

Indices = NDArray[np.intp]


class Table(NamedTuple):
    """Customers with neighbouring numbers of purchases, whose integrals are tabulated."""

    x: Array  #: distinct numbers of purchases, shape (k,)
    times: Array  #: distinct t_x and T, ascending, shape (m,)
    at_last: Indices  #: position of (x, t_x) in a table (k, m), shape (n,)
    at_end: Indices  #: position of (x, T)
    weights: Array


class Statistics(NamedTuple):
    """All that the likelihood needs of the data."""

    more_than: Array  #: customers with x > j, shape (max x,)
    tables: tuple[Table, ...]
    rest: tuple[PurchaseHistory, Array]  #: customers without a table, and their weights


def sufficient_statistics(history: PurchaseHistory, weights: Array) -> Statistics:
    """Arrange weighted rows; exact."""
    x = history.frequency
    histogram = np.bincount(x.astype(np.int64), weights)
    more_than = np.asarray(histogram[::-1].cumsum()[::-1][1:], dtype=np.float64)
    tables, rest = [], []
    for rows in _neighbours(x):
        table = _table(history.take(rows), weights[rows])
        if table is None:
            rest.append(rows)
        else:
            tables.append(table)
    others = np.concatenate([*rest, np.empty(0, np.intp)])
    return Statistics(more_than, tuple(tables), (history.take(others), weights[others]))


def _neighbours(x: Array) -> Iterator[Indices]:
    """Rows with x = 0, 1, 2, 3 to 4, 5 to 8, ..."""
    band = np.ceil(np.log2(np.maximum(x, 0.5))).astype(np.int64)
    order = np.argsort(band, kind="stable")
    yield from np.split(order, np.flatnonzero(np.diff(band[order])) + 1)


def _table(history: PurchaseHistory, weights: Array) -> Table | None:
    """None where customers are too few for it."""
    n = len(weights)
    times, position = np.unique(
        np.concatenate([history.recency, history.T]), return_inverse=True
    )
    x, which = np.unique(history.frequency, return_inverse=True)
    if len(x) * len(times) + _FIXED > _MARGINAL * n or len(times) < 2:
        return None
    first = which * len(times)
    return Table(x, times, first + position[:n], first + position[n:], weights)


def log_likelihood_derivatives(
    parameters: tuple[float, float, float, float], statistics: Statistics
) -> tuple[float, Array, Array]:
    """Log-likelihood, its gradient (4,) and its Hessian (4, 4) in (r, alpha, s, beta)."""
    r, alpha, _, _ = parameters
    more_than = statistics.more_than
    z = r + np.arange(len(more_than), dtype=np.float64)
    purchases = float(more_than.sum())
    value = dot(more_than, np.log(z)) - purchases * float(np.log(alpha))
    gradient, hessian = np.zeros(4), np.zeros((4, 4))
    gradient[0], gradient[1] = dot(more_than, 1 / z), -purchases / alpha
    hessian[0, 0], hessian[1, 1] = -dot(more_than, z**-2), purchases / alpha**2
    for table in statistics.tables:
        value += _tabulated(parameters, table, gradient, hessian)
    value += _one_by_one(parameters, *statistics.rest, gradient, hessian)
    return value, gradient, hessian


class _Point(NamedTuple):
    """What derivatives of e(u) are made of, at times u."""

    by_r: Array  #: ln(1 + u / alpha); minus the derivative of ln e in r
    by_alpha: Array  #: derivative of ln e in alpha, over r + x
    alpha_twice: Array  #: its derivative
    by_s: Array  #: of ln e, or of ln(e s / (beta + u))
    by_beta: Array
    beta_once_more: Array  #: derivative of by_beta in s
    beta_twice: Array  #: and in beta
    s_twice: float  #: derivative of by_s in s


def _point(parameters: tuple[float, float, float, float], u: Array, *, dying: bool) -> _Point:
    _, alpha, s, beta = parameters
    relative_alpha, relative_beta = u / alpha, u / beta
    in_alpha, in_beta = 1 / (alpha + u), 1 / (beta + u)
    a, b = relative_alpha * in_alpha, relative_beta * in_beta
    extra, inverse = (in_beta, 1 / s) if dying else (np.zeros_like(u), 0.0)
    return _Point(
        np.log1p(relative_alpha),
        a,
        -a * (in_alpha + 1 / alpha),
        inverse - np.log1p(relative_beta),
        s * b - extra,
        b,
        extra * extra - s * b * (in_beta + 1 / beta),
        -inverse * inverse,
    )


def _add_second(
    hessian: Array, point: _Point, plain: Array, times_shape: Array, twice: Array
) -> None:
    """Second derivatives of M, summed over nodes with a weight each.

    `times_shape` and `twice` are the weights times r + x and its square, summed likewise.
    """
    r, a, s, b = point.by_r, point.by_alpha, point.by_s, point.by_beta
    weighted_r, weighted_s, weighted_b = plain * r, plain * s, plain * b
    shaped = times_shape * a
    terms = np.empty((4, 4))
    terms[0, 0] = dot(weighted_r, r)
    terms[0, 1] = dot(plain, a) - dot(shaped, r)
    terms[0, 2] = -dot(weighted_r, s)
    terms[0, 3] = -dot(weighted_r, b)
    terms[1, 1] = dot(twice * a, a) + dot(times_shape, point.alpha_twice)
    terms[1, 2] = dot(shaped, s)
    terms[1, 3] = dot(shaped, b)
    terms[2, 2] = dot(weighted_s, s) + point.s_twice * float(plain.sum())
    terms[2, 3] = dot(weighted_s, b) + dot(plain, point.beta_once_more)
    terms[3, 3] = dot(weighted_b, b) + dot(plain, point.beta_twice)
    hessian += np.triu(terms) + np.triu(terms, 1).T


def _add_first(gradient: Array, hessian: Array, slopes: Array, weights: Array) -> None:
    """Of ln M, whose slopes are (4, n): gradient, and minus their products."""
    for rows in blocks(len(weights), BLOCK // 2):
        part = slopes[:, rows]
        weighted = part * weights[rows]
        gradient += weighted.sum(axis=1)
        hessian -= weighted @ part.T


# --- customers without a table -----------------------------------------------------------------


def _one_by_one(
    parameters: tuple[float, float, float, float],
    history: PurchaseHistory,
    weights: Array,
    gradient: Array,
    hessian: Array,
) -> float:
    """Sum of ln M, its derivatives added; in units of e(t_x)."""
    r, alpha, s, beta = parameters
    if not len(weights):
        return 0.0
    x, t_x, T = history
    shape, rate, rate_of_death = r + x, alpha + t_x, beta + t_x
    c = 1 / ((shape + 1) / rate + (s + 1) / rate_of_death)
    with np.errstate(over="ignore"):
        end = np.minimum(
            rate * np.expm1(NEGLIGIBLE / shape), rate_of_death * np.expm1(NEGLIGIBLE / s)
        )
    idle = T - t_x
    length = np.log1p(np.minimum(idle, end) / c)
    value = 0.0
    for nodes, node_weights, i in by_node_count(length):
        for part in blocks(len(i), max(64, 4 * BLOCK // len(nodes))):
            rows = i[part]
            value += _some(
                parameters,
                *(v[rows] for v in (shape, t_x, T, weights, c, length)),
                nodes,
                node_weights,
                gradient,
                hessian,
            )
    return value


def _some(
    parameters: tuple[float, float, float, float],
    shape: Array,
    t_x: Array,
    T: Array,
    weights: Array,
    c: Array,
    length: Array,
    nodes: Array,
    node_weights: Array,
    gradient: Array,
    hessian: Array,
) -> float:
    _, alpha, s, beta = parameters
    q = nodes * length
    since = c * np.expm1(q)
    u = t_x + since
    rate, rate_of_death = alpha + t_x, beta + t_x
    fall = shape * np.log1p(since / rate) + s * np.log1p(since / rate_of_death)
    dying = node_weights * np.exp(q - fall) / (beta + u) * (s * c * length)
    idle = T - t_x
    alive = np.exp(-shape * np.log1p(idle / rate) - s * np.log1p(idle / rate_of_death))
    M = alive + dying.sum(axis=0)
    alive /= M
    dying /= M
    within, at_end = _point(parameters, u, dying=True), _point(parameters, T, dying=False)
    slopes = np.stack(
        [
            -(dying * within.by_r).sum(axis=0) - alive * at_end.by_r,
            shape * ((dying * within.by_alpha).sum(axis=0) + alive * at_end.by_alpha),
            (dying * within.by_s).sum(axis=0) + alive * at_end.by_s,
            (dying * within.by_beta).sum(axis=0) + alive * at_end.by_beta,
        ]
    )
    _add_first(gradient, hessian, slopes, weights)
    for point, share in ((within, weights * dying), (at_end, weights * alive)):
        shaped = share * shape
        flat = _Point(*(np.ravel(f) if np.ndim(f) else f for f in point))
        _add_second(hessian, flat, share.ravel(), shaped.ravel(), (shaped * shape).ravel())
    before = shape * np.log1p(t_x / alpha) + s * np.log1p(t_x / beta)
    return dot(weights, np.log(M) - before)


# --- customers with a table --------------------------------------------------------------------


def _tabulated(
    parameters: tuple[float, float, float, float],
    table: Table,
    gradient: Array,
    hessian: Array,
) -> float:
    """Sum of ln M, its derivatives added; in units of e at a time in the middle."""
    r, alpha, s, beta = parameters
    times, k = table.times, len(table.x)
    count = _nodes_per_cell(parameters, table)
    if count is None:
        return _one_by_one(parameters, *_without_table(table), gradient, hessian)
    shape = (r + table.x)[:, None]
    ends = _point(parameters, times, dying=False)
    log_end = -shape * ends.by_r + s * ends.by_s
    unit = 0.5 * (log_end[:, :1] + log_end[:, -1:])

    nodes, node_weights = gauss_legendre(count)
    width = np.diff(times)
    u = (times[:-1, None] + width[:, None] * nodes).ravel()
    within = _point(parameters, u, dying=True)
    log_weight = np.log((width[:, None] * node_weights).ravel() * s / (beta + u))
    log_weight += s * (within.by_s - 1 / s)
    dying = np.exp(log_weight - unit - shape * within.by_r)  # (k, nodes)
    alive = np.exp(log_end - unit)  # (k, m)

    # M and its derivatives: e(T) less the integral from T on, plus that from t_x on
    features = np.stack([np.ones_like(u), -within.by_r, within.by_alpha, within.by_s,
                         within.by_beta])  # fmt: skip
    cells = (dying[:, None] * features).reshape(k, 5, len(width), count).sum(axis=3)
    onwards = np.zeros((k, len(times), 5))
    onwards[:, -2::-1] = np.cumsum(cells[:, :, ::-1], axis=2).transpose(0, 2, 1)
    at_T = alive[:, :, None] * np.stack(
        [np.ones_like(times), -ends.by_r, ends.by_alpha, ends.by_s, ends.by_beta], axis=1
    )
    at_T -= onwards
    for array in (onwards, at_T):
        array[:, :, 2] *= shape
    found = onwards.reshape(-1, 5)[table.at_last]
    found += at_T.reshape(-1, 5)[table.at_end]
    M = found[:, 0].copy()
    found /= M[:, None]
    _add_first(gradient, hessian, np.ascontiguousarray(found[:, 1:].T), table.weights)

    size = k * len(times)
    share = table.weights / M
    leaving = np.bincount(table.at_end, share, size).reshape(k, -1)
    staying = np.bincount(table.at_last, share, size).reshape(k, -1) - leaving
    staying = np.cumsum(staying, axis=1)[:, :-1]  # whose integral runs over the cell
    powers = np.stack([np.ones(k), shape[:, 0], shape[:, 0] ** 2])
    dying *= np.repeat(staying, count, axis=1)
    _add_second(hessian, within, *_over(powers, dying))
    _add_second(hessian, ends, *_over(powers, leaving * alive))
    customers = np.bincount(table.at_end // len(times), table.weights, k)
    return dot(table.weights, np.log(M)) + dot(customers, unit[:, 0])


def _over(powers: Array, weights: Array) -> Array:
    """Weights (k, nodes) summed over k, as they are and times powers of r + x."""
    return np.asarray(np.einsum("pk,kn->pn", powers, weights))


def _nodes_per_cell(
    parameters: tuple[float, float, float, float], table: Table
) -> int | None:
    """Enough for the steepest cell; None where a table would not do."""
    r, alpha, s, beta = parameters
    times = table.times
    left, width = times[:-1], np.diff(times)
    shape = r + float(table.x[-1])
    reach = shape * np.log1p((times[-1] - times[0]) / (alpha + times[0]))
    reach += s * np.log1p((times[-1] - times[0]) / (beta + times[0]))
    if not reach < _RANGE:
        return None
    rate = width * (shape / (alpha + left) + (s + 1) / (beta + left))
    near = width / (min(alpha, beta) + left)
    worst = int(np.argmax(rate))
    steepest, nearest = float(rate[worst]), float(near.max())
    for count in _CELL_NODES:
        j = np.arange(2 * count)
        # bounds the derivative of order 2 count, of the remainder of Gauss-Legendre's rule
        log_error = float(np.log(steepest + j * nearest).sum()) + _log_remainder(count)
        if log_error < np.log(_ERROR):
            return count
    return None


def _log_remainder(n: int) -> float:
    """Abramowitz & Stegun 25.4.30 on [0, 1]: ln of (n!)^4 / ((2n + 1) ((2n)!)^3)."""
    from math import lgamma, log

    return 4 * lgamma(n + 1) - log(2 * n + 1) - 3 * lgamma(2 * n + 1)


def _without_table(table: Table) -> tuple[PurchaseHistory, Array]:
    m = len(table.times)
    history = PurchaseHistory(
        table.x[table.at_end // m], table.times[table.at_last % m], table.times[table.at_end % m]
    )
    return history, table.weights
