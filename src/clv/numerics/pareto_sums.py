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
from clv.numerics.pareto_rows import one_by_one
from clv.numerics.quadrature import gauss_legendre
from clv.numerics.special import gammaln, log_rising
from clv.numerics.sums import BLOCK, blocks, dot

_ERROR = 1e-13  # of a cell, relative
_CELL_NODES = np.array([2, 3, 4, 5, 6, 8, 10, 12, 16])
# on [0, 1], Abramowitz & Stegun 25.4.30: ln of (n!)^4 / ((2n + 1) ((2n)!)^3)
_LOG_REMAINDER = (
    4 * gammaln(_CELL_NODES + 1) - np.log(2 * _CELL_NODES + 1) - 3 * gammaln(2 * _CELL_NODES + 1)
)
_RANGE = 600.0  # a table holds numbers from e^-_RANGE to e^_RANGE
_ALONE = 22  # work for a customer without a table, in units of that per node of a table
_OVERHEAD = 8_000  # of a table, likewise

Indices = NDArray[np.intp]
_Numbers = tuple[float, float, float, float]  # r, alpha, s, beta


class Table(NamedTuple):
    """Customers with neighbouring numbers of purchases, whose integrals are tabulated."""

    x: Array  #: distinct numbers of purchases, shape (k,)
    times: Array  #: distinct t_x and T, ascending, shape (m,)
    at_last: Indices  #: position of (x, t_x) in a table (k, m), shape (n,)
    at_end: Indices  #: position of (x, T)
    weights: Array
    customers: Array  #: their sum for each x, shape (k,)


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
    times, position = np.unique(np.concatenate([history.recency, history.T]), return_inverse=True)
    x, which = np.unique(history.frequency, return_inverse=True)
    nodes = len(x) * len(times) * (3.0 + x[-1] / 4.0)
    # customers who bought once begin at 0, alone, and are no more than there are T
    if x[0] == 0 or nodes + _OVERHEAD > _ALONE * n:
        return None
    first = which * len(times)
    return Table(
        x,
        times,
        first + position[:n],
        first + position[n:],
        weights,
        np.bincount(which, weights, len(x)).astype(np.float64),
    )


def log_likelihood_derivatives(
    parameters: _Numbers, statistics: Statistics
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
    value += one_by_one(parameters, *statistics.rest, gradient, hessian)
    return value, gradient, np.triu(hessian) + np.triu(hessian, 1).T


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


def _point(parameters: _Numbers, u: Array, *, dying: bool) -> _Point:
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
    """Second derivatives of M, summed over nodes with a weight each; the upper triangle.

    `times_shape` and `twice` are the weights times r + x and its square, summed likewise.
    """
    r, a, s, b = (f.ravel() for f in (point.by_r, point.by_alpha, point.by_s, point.by_beta))
    weighted_r, weighted_s, shaped = plain * r, plain * s, times_shape * a
    hessian[0, 0] += dot(weighted_r, r)
    hessian[0, 1] += dot(plain, a) - dot(shaped, r)
    hessian[0, 2] -= dot(weighted_r, s)
    hessian[0, 3] -= dot(weighted_r, b)
    hessian[1, 1] += dot(twice * a, a) + dot(times_shape, point.alpha_twice.ravel())
    hessian[1, 2] += dot(shaped, s)
    hessian[1, 3] += dot(shaped, b)
    hessian[2, 2] += dot(weighted_s, s) + point.s_twice * float(plain.sum())
    hessian[2, 3] += dot(weighted_s, b) + dot(plain, point.beta_once_more.ravel())
    hessian[3, 3] += dot(plain * b, b) + dot(plain, point.beta_twice.ravel())


def _add_first(gradient: Array, hessian: Array, slopes: Array, weights: Array) -> None:
    """Of ln M, whose slopes are (4, n): gradient, and minus their products."""
    for rows in blocks(len(weights), BLOCK // 2):
        part = slopes[:, rows]
        weighted = part * weights[rows]
        gradient += weighted.sum(axis=1)
        hessian -= weighted @ part.T


# --- customers with a table --------------------------------------------------------------------


def _tabulated(
    parameters: _Numbers,
    table: Table,
    gradient: Array,
    hessian: Array,
) -> float:
    """Sum of ln M, its derivatives added; in units of e at a time in the middle."""
    r, _, s, beta = parameters
    times, k = table.times, len(table.x)
    count = _nodes_per_cell(parameters, table)
    if count is None:
        return one_by_one(parameters, *_without_table(table), gradient, hessian)
    shape = (r + table.x)[:, None]
    ends = _point(parameters, times, dying=False)
    log_end = -shape * ends.by_r + s * ends.by_s
    unit = 0.5 * (log_end[:, :1] + log_end[:, -1:])

    # everything below is laid out as (nodes of a cell, k, cells)
    nodes, node_weights = (v[:, None, None] for v in gauss_legendre(count))
    width = np.diff(times)
    u = times[:-1] + nodes * width
    within = _point(parameters, u, dying=True)
    log_weight = np.log(node_weights * width * s / (beta + u)) + s * (within.by_s - 1 / s)
    dying = np.exp(log_weight - unit - shape * within.by_r)
    alive = np.exp(log_end - unit)

    # M and its derivatives: the integral from t_x on, plus e(T) less the integral from T on
    onwards = np.zeros((5, k, len(times)))
    at_T = np.empty_like(onwards)
    for j, (inside, at_end) in enumerate(
        zip((None, *within[:2], *within[3:5]), (None, *ends[:2], *ends[3:5]), strict=True)
    ):
        cells = (dying if inside is None else dying * inside).sum(axis=0)
        np.cumsum(cells[:, ::-1], axis=1, out=onwards[j, :, -2::-1])
        np.multiply(alive, 1.0 if at_end is None else at_end, out=at_T[j])
    at_T -= onwards
    for array in (onwards, at_T):
        array[1] *= -1.0
        array[2] *= shape
    value, share = _customers(onwards.reshape(5, -1), at_T.reshape(5, -1), table, gradient, hessian)

    size = k * len(times)
    leaving = np.bincount(table.at_end, share, size).reshape(k, -1)
    staying = np.bincount(table.at_last, share, size).reshape(k, -1) - leaving
    dying *= np.cumsum(staying, axis=1)[:, :-1]  # whose integral runs over the cell
    powers = np.stack([np.ones(k), shape[:, 0], shape[:, 0] ** 2])
    _add_second(hessian, within, *(powers @ dying).transpose(1, 0, 2).reshape(3, -1))
    _add_second(hessian, ends, *(powers @ (leaving * alive)))
    return value + dot(table.customers, unit[:, 0])


def _customers(
    onwards: Array, at_T: Array, table: Table, gradient: Array, hessian: Array
) -> tuple[float, Array]:
    """Sum of ln M, its first derivatives added; and every customer's weight over M."""
    value = 0.0
    share = np.empty_like(table.weights)
    for rows in blocks(len(share)):
        found = np.take(onwards, table.at_last[rows], axis=1)
        found += np.take(at_T, table.at_end[rows], axis=1)
        weights = table.weights[rows]
        np.divide(weights, found[0], out=share[rows])
        found[1:] /= found[0]
        _add_first(gradient, hessian, found[1:], weights)
        value += dot(weights, np.log(found[0]))
    return value, share


def _nodes_per_cell(parameters: _Numbers, table: Table) -> int | None:
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
    steepest, nearest = float(rate.max()), float(near.max())
    # the derivative of order 2 count, times the remainder of Gauss-Legendre's rule
    log_error = log_rising(steepest / nearest, 2 * _CELL_NODES) + 2 * _CELL_NODES * np.log(nearest)
    enough = np.flatnonzero(log_error + _LOG_REMAINDER < np.log(_ERROR))
    return int(_CELL_NODES[enough[0]]) if len(enough) else None


def _without_table(table: Table) -> tuple[PurchaseHistory, Array]:
    m = len(table.times)
    history = PurchaseHistory(
        table.x[table.at_end // m], table.times[table.at_last % m], table.times[table.at_end % m]
    )
    return history, table.weights
