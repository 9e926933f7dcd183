"""Parts of the customers known at a cut: by cohort, by frequency, and by what a user knows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from clv.evaluation.cut_scores import Segment
from clv.tables.rfm import RFM

CohortLength = Literal["month", "quarter", "year"]

#: Lower ends of the classes of repeat purchases.
FREQUENCY_CLASSES = (0, 1, 2, 4, 8)

#: More levels than this of a user's column are no segments but names.
MOST_LEVELS = 50


def cohort_length(days: int) -> CohortLength:
    """Months of the first purchase for a base of up to two years, quarters up to ten, or years."""
    return "month" if days <= 2 * 366 else "quarter" if days <= 10 * 366 else "year"


def cohorts(first_purchase: NDArray[Any], length: CohortLength) -> tuple[list[str], NDArray[Any]]:
    """Names of the cohorts, oldest first, and the one that each customer is in, shape (n,)."""
    months = first_purchase.astype("datetime64[M]").astype(np.int64)
    number = months // {"month": 1, "quarter": 3, "year": 12}[length]
    distinct, code = np.unique(number, return_inverse=True)
    return [_cohort_name(int(k), length) for k in distinct], code


def _cohort_name(number: int, length: CohortLength) -> str:
    if length == "year":
        return str(1970 + number)
    if length == "quarter":
        return f"{1970 + number // 4}Q{number % 4 + 1}"
    return f"{1970 + number // 12}-{number % 12 + 1:02d}"


def segments_of(
    rfm: RFM, length: CohortLength, more: Mapping[str, NDArray[Any]] | None = None
) -> list[Segment]:
    """Divide the customers of a table.

    Parameters
    ----------
    rfm
        Table with n customers.
    length
        Of a cohort.
    more
        By name of a column, the value of each customer, shape (n,).
    """
    found = _divided("cohort", *cohorts(rfm.values("first_purchase"), length))
    frequency = rfm.array("frequency")
    code = np.searchsorted(FREQUENCY_CLASSES, frequency, side="right") - 1
    found += _divided("frequency", _class_names(), code)
    for name, values in (more or {}).items():
        levels, level = np.unique(values.astype(str), return_inverse=True)
        found += _divided(name, levels.tolist(), level)
    return found


def _class_names() -> list[str]:
    ends = [end - 1 for end in FREQUENCY_CLASSES[1:]]
    names = [
        str(low) if low == high else f"{low}-{high}"
        for low, high in zip(FREQUENCY_CLASSES, ends, strict=False)
    ]
    return [*names, f"{FREQUENCY_CLASSES[-1]}+"]


def _divided(by: str, names: Sequence[str], code: NDArray[Any]) -> list[Segment]:
    order = np.argsort(code, kind="stable")
    borders = np.searchsorted(code[order], np.arange(len(names) + 1))
    return [
        Segment(by, name, order[borders[k] : borders[k + 1]])
        for k, name in enumerate(names)
        if borders[k] < borders[k + 1]
    ]
