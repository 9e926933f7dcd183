"""Whom history calls its best customers and the model does not, and the other way round."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

BOTH, HISTORY_ONLY, MODEL_ONLY, NEITHER = "both", "history_only", "model_only", "neither"

CELLS: Mapping[str, str] = {
    BOTH: "best by both",
    HISTORY_ONLY: "best by history only",
    MODEL_ONLY: "best by the model only",
    NEITHER: "best by neither",
}


def best(score: Floats, share: float, *tie_breakers: Floats) -> NDArray[np.bool_]:
    """Who is among the best `share` of the customers, as True or False per customer.

    As many as ``round(share * n)``, at least one. Ties at the border go to who is higher on the
    tie breakers, then to who comes first in the table: a list has to end somewhere, while the
    metrics average over such ties.

    Examples
    --------
    >>> best(np.array([1.0, 5.0, 5.0, 0.0]), 0.25, np.array([0.0, 1.0, 2.0, 3.0]))
    array([False, False,  True, False])
    """
    number = max(1, round(share * score.size))
    order = np.lexsort((np.arange(score.size), *(-t for t in tie_breakers[::-1]), -score))
    chosen = np.zeros(score.size, dtype=np.bool_)
    chosen[order[:number]] = True
    return chosen


def cells(by_history: NDArray[np.bool_], by_model: NDArray[np.bool_]) -> NDArray[np.str_]:
    """The cell of each customer, one of `CELLS`, shape (n,)."""
    return np.select(
        [by_history & by_model, by_history, by_model], [BOTH, HISTORY_ONLY, MODEL_ONLY], NEITHER
    )


def matrix_rows(
    method: str,
    label: str,
    cell: NDArray[np.str_],
    purchases: Floats,
    value: Floats,
) -> list[dict[str, Any]]:
    """How many customers each cell has, and what they did in the holdout.

    Parameters
    ----------
    method, label
        The method of history, for programs and for people.
    cell
        From `cells`, shape (n,).
    purchases, value
        Of the holdout, shape (n,).
    """
    total = float(value.sum())
    rows = []
    for name, words in CELLS.items():
        here = cell == name
        customers = int(here.sum())
        worth = float(value[here].sum())
        rows.append(
            {
                "method": method,
                "label": label,
                "cell": name,
                "customers_are": words,
                "customers": customers,
                "purchases": float(purchases[here].sum()),
                "value": worth,
                "value_per_customer": worth / customers if customers else float("nan"),
                "share_of_value": worth / total if total else float("nan"),
            }
        )
    return rows
