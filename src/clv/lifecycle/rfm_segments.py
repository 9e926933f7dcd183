"""RFM segments: the eleven names marketers know, from recency, frequency and value.

Each buyer gets three scores from 1 to 5. *Recency*: fifths of the buyers by how long ago they
bought last, 5 the most recent. *Frequency*: 1 for who bought once; 2 to 5 are quarters of the
repeat buyers. *Value*: fifths by total value. Who is equal gets the same score. Then:

=======  ================  ================  =============================================
recency  bought once (F1)  a few times (F2-3)  often (F4-5)
=======  ================  ================  =============================================
5        new               active            champions if value is 4 or 5, else loyal
4        promising         active            loyal
3        needs attention   needs attention   loyal
2        almost lost       almost lost       at risk
1        dormant           dormant           previously loyal
=======  ================  ================  =============================================

and prospects are those in the customers table who have not bought.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clv.errors import DataError
from clv.lifecycle.stages import VALUES
from clv.numerics.ordering import settled
from clv.tables._frame import Table
from clv.tables._shown import Shown
from clv.tables.everybody import as_table, everybody, same_customers
from clv.tables.rfm import RFM
from clv.units import DAYS_PER_UNIT

SEGMENTS = (
    *("champions", "loyal", "active", "new", "promising", "needs attention", "at risk"),
    *("almost lost", "previously loyal", "dormant", "prospects"),
)

_PLACE = {name: k for k, name in enumerate(SEGMENTS)}

#: By recency score (1 to 5) and whether somebody bought once, a few times, or often.
_RULES = (
    ("dormant", "dormant", "previously loyal"),
    ("almost lost", "almost lost", "at risk"),
    ("needs attention", "needs attention", "loyal"),
    ("promising", "active", "loyal"),
    ("new", "active", "loyal"),
)


@dataclass(frozen=True)
class SegmentRules:
    """Borders of the scores; None where the buyers themselves set them.

    Scores from the buyers move with them: a fifth is always "most recent". Fixed borders make
    segments of different days comparable.

    Attributes
    ----------
    recency_days
        Four ascending numbers: who bought last within the first many days scores 5, within the
        second 4, and so on; who is beyond the last scores 1.
    purchases
        Three ascending numbers above 1: from so many purchases on a repeat buyer scores 3, 4, 5.
    value
        Four ascending numbers: from so much total value on the score is 2, 3, 4, 5.
    """

    recency_days: tuple[float, float, float, float] | None = None
    purchases: tuple[int, int, int] | None = None
    value: tuple[float, float, float, float] | None = None

    def __post_init__(self) -> None:
        for name, length in (("recency_days", 4), ("purchases", 3), ("value", 4)):
            given = getattr(self, name)
            if given is None:
                continue
            object.__setattr__(self, name, tuple(given))
            if len(given) != length or not all(np.diff(np.asarray(given, dtype=float)) > 0):
                raise DataError(f"{name} takes {length} ascending numbers, not {given!r}")


@dataclass(frozen=True, eq=False, repr=False)
class RFMSegments(Shown):
    """Who is in which segment; made by `rfm_segments`.

    Attributes
    ----------
    customers
        One row per customer, prospects last: ``customer_id``, ``segment``, ``recency_score``,
        ``frequency_score``, ``value_score`` (0 of prospects).
    table
        One row per segment, in the order of `SEGMENTS`: ``segment``, ``customers``,
        ``share_of_customers``, ``total_value`` so far, mean ``purchases``, mean
        ``inactive_days`` and, with a forecast, sums of its values.
    rules
        The borders.
    codes
        The segment of each customer as its place in `SEGMENTS`.
    """

    customers: Table
    table: Table
    rules: SegmentRules
    codes: NDArray[np.int8]


def rfm_segments(
    rfm: RFM,
    *,
    forecast: Any = None,
    customers: Any = None,
    signup: str | None = None,
    rules: SegmentRules | None = None,
) -> RFMSegments:
    """Find every customer's RFM segment.

    Parameters
    ----------
    rfm
        Table with n customers and their total value.
    forecast
        A forecast of the same customers in the same order, for the value per segment.
    customers, signup
        A customers table with prospects, and its column with the day of signing up.
    rules
        Borders of the scores.

    Raises
    ------
    MissingColumnError
        If the table has no ``total_value``.
    DataError
        If the forecast is of other customers.

    Examples
    --------
    >>> import clv
    >>> transactions = clv.read_transactions(clv.datasets.load_cdnow(), amount="amount")
    >>> rfm = clv.rfm_summary(transactions, observation_period_end="1998-06-30")
    >>> found = rfm_segments(rfm)
    >>> int(found.table["customers"].sum()), found.customers["segment"][0]
    (2357, 'loyal')
    """
    rules = SegmentRules() if rules is None else rules
    rfm = rfm if rfm.in_memory else rfm.collect()
    as_of = rfm.as_of
    people = everybody(rfm, customers, signup=signup, as_of=as_of)
    source = None if forecast is None else as_table(forecast)
    if source is not None:
        same_customers(rfm, source, "the forecast")
    scores = _scores(rfm, rules)
    codes = np.full(len(people), _PLACE["prospects"], dtype=np.int8)
    codes[: len(rfm)] = _segments(*scores)
    more = np.zeros(people.prospects, dtype=np.int8)
    names = ("recency_score", "frequency_score", "value_score")
    return RFMSegments(
        customers=Table.from_columns(
            {
                "customer_id": people.ids,
                "segment": np.array(SEGMENTS, dtype=object)[codes],
                **{n: np.concatenate([s, more]) for n, s in zip(names, scores, strict=True)},
            },
            like=rfm,
        ),
        table=_summary(rfm, codes, source),
        rules=rules,
        codes=codes,
    )


def _scores(rfm: RFM, rules: SegmentRules) -> tuple[NDArray[np.int8], ...]:
    # whole days are whole numbers again: borders are met, and equals are equal
    idle = np.round((rfm.array("T") - rfm.array("recency")) * DAYS_PER_UNIT[rfm.time_unit], 6)
    purchases, value = rfm.array("frequency") + 1.0, np.nan_to_num(rfm.array("total_value"))
    value = settled(value)
    again = purchases > 1
    if rules.recency_days is None:
        recency = 6 - _parts(idle, 5)
    else:
        recency = 5 - np.searchsorted(rules.recency_days, idle, side="left")
    frequency = np.ones(len(rfm), dtype=np.int64)
    if rules.purchases is None:
        frequency[again] = 1 + _parts(purchases[again], 4)
    else:
        frequency[again] = 2 + np.searchsorted(rules.purchases, purchases[again], side="right")
    if rules.value is None:
        worth = _parts(value, 5)
    else:
        worth = 1 + np.searchsorted(rules.value, value, side="right")
    return tuple(np.asarray(s, dtype=np.int8) for s in (recency, frequency, worth))


def _parts(values: NDArray[np.float64], parts: int) -> NDArray[np.int64]:
    """1 to `parts` by rank; equals share the middle of their ranks, so order does not matter."""
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    middle = (np.cumsum(count) - count / 2) / max(len(values), 1)
    return np.minimum(np.floor(middle * parts).astype(np.int64) + 1, parts)[place]


def _segments(
    recency: NDArray[np.int8], frequency: NDArray[np.int8], worth: NDArray[np.int8]
) -> NDArray[np.int8]:
    rules = np.array([[_PLACE[name] for name in row] for row in _RULES], dtype=np.int8)
    found = rules[recency - 1, np.searchsorted([2, 4], frequency, side="right")]
    champion = (recency == 5) & (frequency >= 4) & (worth >= 4)
    return np.where(champion, np.int8(_PLACE["champions"]), found)


def _summary(rfm: RFM, codes: NDArray[np.int8], source: Table | None) -> Table:
    k, buyers = len(SEGMENTS), codes[: len(rfm)]
    count, known = np.bincount(codes, minlength=k), np.bincount(buyers, minlength=k)
    idle = (rfm.array("T") - rfm.array("recency")) * DAYS_PER_UNIT[rfm.time_unit]

    def total(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.bincount(buyers, np.nan_to_num(values), minlength=k).astype(np.float64)

    with np.errstate(invalid="ignore"):
        columns: dict[str, Any] = {
            "segment": list(SEGMENTS),
            "customers": count,
            "share_of_customers": count / max(len(codes), 1),
            "total_value": total(rfm.array("total_value")),
            "purchases": total(rfm.array("frequency") + 1.0) / known,
            "inactive_days": total(idle) / known,
        }
    for name in VALUES:
        if source is not None and name in source.columns:
            columns[name] = total(source.array(name))
    return Table.from_columns(columns, like=rfm)
