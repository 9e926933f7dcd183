"""The Pareto/NBD log-likelihood when rates change with covariates, with exact derivatives.

A customer buys at the rate ``lambda exp(gamma_p' x(t))`` and dies at the rate
``mu exp(gamma_d' x(t))``, lambda ~ Gamma(r, rate alpha), mu ~ Gamma(s, rate beta), where x(t) is
constant within a period (Bachmann, Meierer & Naef 2021, "The role of time-varying contextual
factors in latent attrition models for customer base analysis", Marketing Science 40:783-809).
With the exposures A(u) and D(u), the integrals of the two exponentials from the first purchase to
age u, the likelihood of purchases at t_1 ... t_x is that of Pareto/NBD on two clocks::

    L = prod exp(gamma_p' x(t_j)) Gamma(r+x)/Gamma(r) alpha**r beta**s * {e(T)
        + integral from t_x to T of s exp(gamma_d' x(u)) / (beta + D(u)) e(u) du}
    e(u) = (alpha + A(u))**-(r+x) (beta + D(u))**-s

Within a period both clocks run evenly, so the integral over a period is the one of plain
Pareto/NBD with alpha and beta replaced by ``(alpha + A) exp(-gamma_p' x)`` and ``(beta + D)
exp(-gamma_d' x)`` (`clv.numerics.pareto`), and is computed like that one. A customer's time is cut
into pieces within which nothing changes; where covariates do not change, nothing is cut.

Derivatives are taken under the integral. The exposures are sums of exponentials, so their
second derivatives enter as one number per piece: what all later nodes weigh.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from clv.numerics.backend import Array
from clv.numerics.pareto import NEGLIGIBLE, by_node_count
from clv.numerics.pieces import Coefficients, Histories, Indices, Pieces
from clv.numerics.special import digamma_rising, log_rising, trigamma_rising

_BLOCK = 2_048  #: pieces at a time: their nodes stay in the cache
_GONE = 80.0  #: where e has fallen by e^-80 since the last purchase, nothing more is added


class Summary(NamedTuple):
    """What predictions need of a customer's past, shape (n,) each."""

    log_likelihood: Array
    log_alive: Array  #: ln P(alive at T)
    purchase_exposure: Array  #: A(T)
    dropout_exposure: Array  #: D(T)


_Numbers = tuple[float, float, float, float]  # r, alpha, s, beta


def summarise(parameters: _Numbers, coefficients: Coefficients, histories: Histories) -> Summary:
    """Log-likelihood and P(alive) of each customer, and the exposures up to T.

    Examples
    --------
    Without covariates it is Pareto/NBD, here of one purchase at 30 weeks, seen for 40:

    >>> pieces = Pieces(np.zeros(2, int), np.array([30.0, 10.0]), np.array([False, True]),
    ...                 np.zeros((2, 0)), np.zeros((2, 0)))
    >>> none = Coefficients(np.zeros(0), np.zeros(0))
    >>> one = Histories(np.ones(1), np.zeros((1, 0)), pieces)
    >>> found = summarise((0.55, 10.6, 0.61, 11.7), none, one)
    >>> found.log_likelihood.round(6), np.exp(found.log_alive).round(6), found.purchase_exposure
    (array([-6.132937]), array([0.85647]), array([40.]))
    """
    parts = [_block(parameters, coefficients, block, None, None) for block in _blocks(histories)]
    return Summary(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def log_likelihood_derivatives(
    parameters: _Numbers, coefficients: Coefficients, histories: Histories
) -> tuple[float, Array, Array]:
    """Log-likelihood, its gradient (k,) and its Hessian (k, k).

    The order is r, alpha, s, beta, coefficients of the purchase rate, of the dropout rate.
    """
    size = 4 + len(coefficients.purchase) + len(coefficients.dropout)
    gradient, hessian = np.zeros(size), np.zeros((size, size))
    value = 0.0
    for block in _blocks(histories):
        found = _block(parameters, coefficients, block, gradient, hessian)
        value += float(found.log_likelihood.sum())
    return value, gradient, (hessian + hessian.T) / 2


def _blocks(histories: Histories) -> Iterator[Histories]:
    """Runs of whole customers with a bounded number of pieces."""
    pieces, n = histories.pieces, len(histories.frequency)
    first = np.searchsorted(pieces.customer, np.arange(n + 1))
    start = 0
    while start < n:
        reach = int(np.searchsorted(first, first[start] + _BLOCK, side="right")) - 1
        stop = min(max(reach, start + 1), n, start + _BLOCK)
        rows, customers = slice(first[start], first[stop]), slice(start, stop)
        part = pieces.take(rows)
        yield Histories(
            histories.frequency[customers],
            histories.at_purchases[customers],
            part._replace(customer=part.customer - start),
        )
        start = stop


class _Clock(NamedTuple):
    """One of the two exposures of a block: of the purchase rate, or of the dropout rate."""

    rate: Array  #: exp(gamma' x) of every piece, shape (m,)
    length: Array  #: of every piece on this clock
    start: Array  #: exposure at the beginning of a piece
    at_last: Array  #: and of a customer at the last purchase, shape (n,)
    at_end: Array  #: and at T
    start_slope: Array  #: derivative of `start` in the coefficients, shape (m, k)
    end_slope: Array  #: and of `at_end`, shape (n, k)


def _clock(design: Array, coefficients: Array, pieces: Pieces, n: int) -> _Clock:
    rate = np.exp(design @ coefficients)
    length = rate * pieces.length
    start, at_end = _running(length, pieces.customer, n)
    slope, end_slope = _running(length[:, None] * design, pieces.customer, n)
    before = np.where(pieces.after_last, 0.0, length)
    at_last = np.bincount(pieces.customer, before, n).astype(np.float64)
    return _Clock(rate, length, start, at_last, at_end, slope, end_slope)


def _running(values: Array, customer: Indices, n: int) -> tuple[Array, Array]:
    """Sums of what came before within a customer, and of all."""
    total = np.concatenate([np.zeros((1, *values.shape[1:])), np.cumsum(values, axis=0)])
    first = np.searchsorted(customer, np.arange(n + 1))
    return total[:-1] - total[first[customer]], total[first[1:]] - total[first[:-1]]


class _Nodes(NamedTuple):
    """Nodes of the integral over the time of death, of all pieces of a block, shape (q,) each."""

    piece: Indices
    time: Array  #: since the beginning of the piece
    log_weight: Array  #: of the node, with ``s exp(gamma_d' x) / (beta + D)``


def _block(
    parameters: _Numbers,
    coefficients: Coefficients,
    histories: Histories,
    gradient: Array | None,
    hessian: Array | None,
) -> Summary:
    """Summary of a block; its derivatives are added where they are wanted."""
    r, alpha, s, beta = parameters
    x, at_purchases, pieces = histories
    n = len(x)
    bought = _clock(pieces.purchase, coefficients.purchase, pieces, n)
    died = _clock(pieces.dropout, coefficients.dropout, pieces, n)
    shape = r + x

    # e(u) in units of e(t_x)
    log_last = (
        log_rising(r, x)
        + at_purchases @ coefficients.purchase
        - r * np.log1p(bought.at_last / alpha)
        - x * np.log(alpha + bought.at_last)
        - s * np.log1p(died.at_last / beta)
    )
    rate, rate_of_death = alpha + bought.at_last, beta + died.at_last

    def log_fall(customer: Indices | slice, a: Array, d: Array) -> Array:
        """Of e, from t_x to exposures a and d."""
        by_rate = np.log1p((a - bought.at_last[customer]) / rate[customer])
        by_death = np.log1p((d - died.at_last[customer]) / rate_of_death[customer])
        return np.asarray(shape[customer] * by_rate + s * by_death)

    nodes = _nodes(parameters, shape, pieces, bought, died, log_fall)
    customer = pieces.customer[nodes.piece]
    a = bought.start[nodes.piece] + bought.rate[nodes.piece] * nodes.time
    d = died.start[nodes.piece] + died.rate[nodes.piece] * nodes.time
    dying = np.exp(nodes.log_weight - log_fall(customer, a, d)) / (beta + d)
    log_end = -log_fall(slice(None), bought.at_end, died.at_end)
    alive = np.exp(log_end)
    total = alive + np.bincount(customer, dying, n)
    log_total = np.log(total)
    if gradient is not None and hessian is not None:
        dying /= total[customer]
        alive /= total
        shares = _Shares(
            np.concatenate([customer, np.arange(n)]),
            np.concatenate([dying, alive]),
            np.concatenate([a, bought.at_end]),
            np.concatenate([d, died.at_end]),
            len(dying),
        )
        _add_derivatives(parameters, histories, shares, nodes, bought, died, gradient, hessian)
    return Summary(log_last + log_total, log_end - log_total, bought.at_end, died.at_end)


def _nodes(
    parameters: _Numbers,
    shape: Array,
    pieces: Pieces,
    bought: _Clock,
    died: _Clock,
    log_fall: Callable[..., Array],
) -> _Nodes:
    _, alpha, s, beta = parameters
    used = np.flatnonzero(pieces.after_last)
    customer = pieces.customer[used]
    fallen = log_fall(customer, bought.start[used], died.start[used])
    used = used[fallen < _GONE]
    k = shape[pieces.customer[used]]
    rate = (alpha + bought.start[used]) / bought.rate[used]
    rate_of_death = (beta + died.start[used]) / died.rate[used]
    c = 1.0 / ((k + 1.0) / rate + (s + 1.0) / rate_of_death)
    with np.errstate(over="ignore"):
        end = np.minimum(rate * np.expm1(NEGLIGIBLE / k), rate_of_death * np.expm1(NEGLIGIBLE / s))
    length = np.log1p(np.minimum(pieces.length[used], end) / c)
    log_height = np.log(s * died.rate[used] * c * length)
    found: list[tuple[Indices, Array, Array]] = []
    for points, weights, i in by_node_count(length):
        q = points * length[i]
        found.append(
            (
                np.broadcast_to(used[i], q.shape).ravel(),
                (c[i] * np.expm1(q)).ravel(),
                (q + log_height[i] + np.log(weights)).ravel(),
            )
        )
    if not found:
        return _Nodes(np.zeros(0, np.int64), np.zeros(0), np.zeros(0))
    return _Nodes(*(np.concatenate(column) for column in zip(*found, strict=True)))


class _Shares(NamedTuple):
    """Nodes and, behind them, the ends of the customers: what each adds to the likelihood."""

    customer: Indices
    share: Array  #: of the customer's likelihood
    a: Array  #: exposures there
    d: Array
    nodes: int  #: how many are nodes


def _add_derivatives(
    parameters: _Numbers,
    histories: Histories,
    shares: _Shares,
    nodes: _Nodes,
    bought: _Clock,
    died: _Clock,
    gradient: Array,
    hessian: Array,
) -> None:
    r, alpha, s, beta = parameters
    x, at_purchases, pieces = histories
    n, q = len(x), shares.nodes
    k_p, k_d = at_purchases.shape[1], pieces.dropout.shape[1]
    in_p, in_d = slice(4, 4 + k_p), slice(4 + k_p, 4 + k_p + k_d)
    customer, share = shares.customer, shares.share
    dying = np.zeros(len(share))
    dying[:q] = 1.0

    # how the log of each share changes: slopes (k, q + n)
    slopes = np.empty((len(gradient), len(share)))
    in_a, in_b = 1.0 / (alpha + shares.a), 1.0 / (beta + shares.d)
    by_a, by_b = -(r + x)[customer] * in_a, -(s + dying) * in_b
    slope_a = _slopes(bought, pieces.purchase, nodes)
    slope_d = _slopes(died, pieces.dropout, nodes)
    slopes[0] = -np.log1p(shares.a / alpha)
    slopes[1] = by_a
    slopes[2] = dying / s - np.log1p(shares.d / beta)
    slopes[3] = by_b
    slopes[in_p] = by_a * slope_a
    slopes[in_d] = by_b * slope_d
    slopes[in_d, :q] += pieces.dropout.T[:, nodes.piece]

    mean = np.stack([np.bincount(customer, share * row, n) for row in slopes])
    gradient += mean.sum(axis=1)
    gradient[0] += float(digamma_rising(r, x).sum())
    gradient[1] += n * r / alpha
    gradient[3] += n * s / beta
    gradient[in_p] += at_purchases.sum(axis=0)

    # second derivatives: the covariance of the slopes, and the mean of the slopes' own slopes
    slopes -= mean[:, customer]
    hessian += (slopes * share) @ slopes.T
    hessian[0, 0] += float(trigamma_rising(r, x).sum())
    hessian[1, 1] -= n * r / alpha**2
    hessian[3, 3] -= n * s / beta**2
    hessian[2, 2] -= float(share[:q].sum()) / s**2
    own = np.zeros_like(hessian)
    own[0, 1] = 1.0 * n / alpha - float(share @ in_a)
    own[2, 3] = 1.0 * n / beta - float(share @ in_b)
    own[0, in_p] = -(slope_a @ (share * in_a))
    own[2, in_d] = -(slope_d @ (share * in_b))
    for at, block, slope, first, inverse in (
        (1, in_p, slope_a, by_a, in_a),
        (3, in_d, slope_d, by_b, in_b),
    ):
        twice = -share * first * inverse
        own[at, at] = 0.5 * float(twice.sum())
        own[at, block] = slope @ twice
        own[block, block] = 0.5 * (slope * twice) @ slope.T
    hessian += own + own.T
    for block, design, clock, first in (
        (in_p, pieces.purchase, bought, by_a),
        (in_d, pieces.dropout, died, by_b),
    ):
        weight = _weight_of_pieces(share * first, nodes, pieces, clock, n)
        hessian[block, block] += (design * weight[:, None]).T @ design


def _slopes(clock: _Clock, design: Array, nodes: _Nodes) -> Array:
    """Derivative of an exposure in the coefficients, at all nodes and ends: (k, q + n)."""
    inside = (clock.rate[nodes.piece] * nodes.time)[:, None] * design[nodes.piece]
    return np.concatenate([clock.start_slope[nodes.piece] + inside, clock.end_slope]).T


def _weight_of_pieces(
    weights: Array, nodes: _Nodes, pieces: Pieces, clock: _Clock, n: int
) -> Array:
    """By how much a piece's exposure enters: what later nodes and the end weigh, and its own."""
    m, q = len(pieces.length), len(nodes.piece)
    at_nodes = np.bincount(nodes.piece, weights[:q], m).astype(np.float64)
    own = np.bincount(nodes.piece, weights[:q] * nodes.time, m) * clock.rate
    before, total = _running(at_nodes, pieces.customer, n)
    later = (total + weights[q:])[pieces.customer] - before - at_nodes
    return np.asarray(later * clock.length + own)
