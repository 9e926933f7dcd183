"""Whether what was foreseen is right, group by group, over one cut or all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from clv.errors import DataError
from clv.evaluation import metrics
from clv.evaluation.aggregates import foreseen_by_model
from clv.evaluation.cut import Cut
from clv.evaluation.foreseen import Foreseen, Quantity

Floats = NDArray[np.float64]
Event = Literal["purchase", "alive"]

EVENTS = {"purchase": "buys within the horizon", "alive": "P(alive)"}


def reliability_rows(
    cuts: Sequence[Cut], method: str, event: Event, groups: int, level: float
) -> list[dict[str, Any]]:
    """Foreseen and actual share by group of the customers of all these cuts together.

    Of "alive" nobody sees whether it is true; what is seen is who bought again, which not all
    who are alive do. So beside the share that bought stands the share that the model expects to
    buy, ``expected``; for "purchase" it is ``foreseen`` itself.
    """
    if event not in EVENTS:
        raise DataError(f"event must be {' or '.join(map(repr, EVENTS))}, not {event!r}")
    found = [foreseen_by_model(cut, "purchases", method) for cut in cuts]
    bought = np.concatenate([cut.actual["purchases"] > 0 for cut in cuts]).astype(np.float64)
    some = _joined([f.probability_of_purchase for f in found])
    foreseen = some if event == "purchase" else _joined([f.probability_alive for f in found])
    curve = metrics.reliability_curve(bought, foreseen, groups, level)
    means = _group_means(foreseen, some, groups) if event == "alive" else curve.mean_probability
    columns = dict(zip(curve._fields, curve, strict=True))
    return [
        {
            "group": number + 1,
            "customers": int(columns["customers"][number]),
            "foreseen": float(columns["mean_probability"][number]),
            "expected": float(means[number]),
            "happened": float(columns["share"][number]),
            "low": float(columns["low"][number]),
            "high": float(columns["high"][number]),
        }
        for number in range(curve.customers.size)
    ]


def _joined(parts: Sequence[Floats | None]) -> Floats:
    joined: Floats = np.concatenate([part for part in parts if part is not None])
    return np.minimum(np.maximum(joined, 0.0), 1.0)


def _group_means(by: Floats, values: Floats, groups: int) -> Floats:
    """Means of `values` in the groups of `metrics.reliability_curve` by `by`."""
    place, number = metrics.equal_groups(by, groups)
    sums = np.bincount(place, weights=values, minlength=number)
    means: Floats = sums / np.bincount(place, minlength=number)
    return means


def decile_rows(
    cuts: Sequence[Cut], quantity: Quantity, method: str, groups: int
) -> list[dict[str, Any]]:
    """Mean foreseen and actual figure by group of the customers, highest foreseen first."""
    actual, foreseen = [], []
    for cut in cuts:
        expected = cut.predictions(quantity).get(method)
        if expected is None:
            raise DataError(f"{method!r} foresaw no {quantity} at {cut.cut}")
        actual.append(cut.actual[quantity])
        foreseen.append(expected)
    happened = np.concatenate(actual)
    table = metrics.decile_calibration(
        happened, np.concatenate(foreseen), max(2, min(groups, happened.size))
    )
    return [
        dict(zip(table._fields, row, strict=True))
        for row in zip(*(column.tolist() for column in table), strict=True)
    ]


def pit(cuts: Sequence[Cut], quantity: Quantity, method: str, seed: int) -> Floats:
    """Randomised probability integral transform of everybody at all these cuts."""
    found: list[Foreseen] = [foreseen_by_model(cut, quantity, method) for cut in cuts]
    spreads = [f.distribution for f in found if f.distribution is not None]
    return metrics.randomised_pit(
        np.concatenate([s.below for s in spreads]),
        np.concatenate([s.up_to for s in spreads]),
        seed=seed,
    )
