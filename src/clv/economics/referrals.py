"""Referrals: what the customers whom somebody brought are worth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import narwhals as nw
import numpy as np
from numpy.typing import NDArray

from clv.economics.books import Books
from clv.numerics.backend import Array
from clv.tables._frame import Table
from clv.tables._shown import Shown
from clv.tables.everybody import chosen


@dataclass(frozen=True, eq=False, repr=False)
class Referrals(Shown):
    """Who brought whom, and what that is worth; made by `referrals`.

    Attributes
    ----------
    table
        One row per referrer, the most valuable first; see `referrals`.
    referred
        How many customers and prospects name a referrer who is known.
    value
        What they have brought and will bring, of all referrers together.
    unknown
        How many name somebody who is not known, or themselves.
    share_of_buyers
        Share of the buyers who brought somebody.
    interval
        Nominal probability of the intervals.
    notes
        What was left out, in words.
    """

    table: Table
    referred: int
    value: float
    unknown: int
    share_of_buyers: float
    interval: float
    notes: tuple[str, ...] = ()


def referrals(books: Books, column: str = "referred_by") -> Referrals:
    """Value what each customer's referrals bring.

    Parameters
    ----------
    books
        From `books`.
    column
        Of the customers table: the ``customer_id`` of who brought this customer.

    Returns
    -------
    Referrals
        Its `table` has the columns

        ``customer_id``, ``referred``, ``referred_buyers``
            The referrer, how many they brought, and how many of these have bought.
        ``referred_value``, ``referred_value_low``, ``referred_value_high``
            Realised and residual value of those they brought themselves.
        ``referred_in_all``, ``value_in_all``
            The same counted on: those whom the referred brought, and so forth.
        ``own_value``
            The referrer's own realised and residual value.
        ``acquisition_cost``
            Of those they brought themselves.

    Raises
    ------
    MissingColumnError
        If the customers table has no such column.

    Notes
    -----
    Every referred customer counts once in ``referred_value``; in ``value_in_all`` they count for
    everybody above them, so that column must not be summed. Circles of referrals, which are
    mistakes in the data, are broken where they close.
    """
    people, n = books.people, books.buyers
    parent, unknown = _parents(books, column)
    value = np.zeros(len(people))
    value[:n] = books.realised + books.valuation.value
    referrers = np.unique(parent[parent >= 0])
    place = np.full(len(people), -1, dtype=np.int64)
    place[referrers] = np.arange(len(referrers))
    whose = np.where(parent >= 0, place[parent], -1)
    later = books.valuation.sums(whose[:n], len(referrers), books.interval)

    def total(values: Array) -> Array:
        some = whose >= 0
        return np.bincount(whose[some], values[some], len(referrers)).astype(np.float64)

    bought = np.arange(len(people)) < n
    seen = total(np.where(bought, np.pad(books.realised, (0, people.prospects)), 0.0))
    below, below_value, circles = _counted_on(parent, value)
    columns: dict[str, Any] = {
        "customer_id": chosen(people.ids, referrers),
        "referred": total(np.ones(len(people))).astype(np.int64),
        "referred_buyers": total(bought.astype(np.float64)).astype(np.int64),
        "referred_value": seen + later.value,
        "referred_value_low": seen + later.low,
        "referred_value_high": seen + later.high,
        "referred_in_all": below[referrers],
        "value_in_all": below_value[referrers],
        "own_value": value[referrers],
        "acquisition_cost": total(np.nan_to_num(books.acquisition_cost)),
    }
    ids = np.asarray([str(i) for i in chosen(people.ids, referrers)], dtype=object)
    order = np.lexsort((ids, -columns["referred_value"])) if len(ids) else np.zeros(0, np.int64)
    notes = []
    if unknown:
        notes.append(f"{unknown:,} name a referrer who is not known, or themselves; left out.")
    if circles:
        notes.append(f"{circles:,} referrals close a circle; the circle was broken there.")
    table = {name: chosen(values, order) for name, values in columns.items()}
    return Referrals(
        table=Table.from_columns(table, like=books.rfm),
        referred=int((parent >= 0).sum()),
        value=float(value[parent >= 0].sum()),
        unknown=unknown,
        share_of_buyers=float((referrers < n).sum() / n) if n else float("nan"),
        interval=books.interval,
        notes=tuple(notes),
    )


def _parents(books: Books, column: str) -> tuple[NDArray[np.int64], int]:
    """The place of each one's referrer, or -1; and how many name nobody who is known."""
    texts = books.people.texts(column)
    ids = books.people.ids
    known = ids.to_list() if isinstance(ids, nw.Series) else ids.tolist()
    place = {str(value).strip(): k for k, value in enumerate(known)}
    parent = np.array([-1 if t is None else place.get(t, -2) for t in texts], dtype=np.int64)
    parent[parent == np.arange(len(parent))] = -2
    unknown = int((parent == -2).sum())
    parent[parent == -2] = -1
    return parent, unknown


def _counted_on(parent: NDArray[np.int64], value: Array) -> tuple[NDArray[np.int64], Array, int]:
    """Of everybody: how many are below them, what these are worth; and how many circles there are.

    Leaves first: who has handed everything up is taken off. What is left then is in a circle, and
    is opened at its first member.
    """
    above = parent.copy()
    below, worth = np.zeros(len(above), dtype=np.int64), np.zeros(len(above))
    waiting = np.bincount(above[above >= 0], minlength=len(above))
    ready = [int(k) for k in np.flatnonzero(waiting == 0)]
    done = np.zeros(len(above), dtype=bool)
    circles = 0
    while True:
        while ready:
            k = ready.pop()
            done[k] = True
            if (up := int(above[k])) >= 0:
                below[up] += below[k] + 1
                worth[up] += worth[k] + value[k]
                waiting[up] -= 1
                if not waiting[up]:
                    ready.append(up)
        left = np.flatnonzero(~done)
        if not len(left):
            return below, worth, circles
        first = int(left[0])
        up = int(above[first])
        above[first], circles = -1, circles + 1
        waiting[up] -= 1
        if not waiting[up]:
            ready.append(up)
