"""Put models together by what a backtest says of each: weights by held-out log score."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clv.calibration import Calibration
from clv.errors import DataError
from clv.evaluation.backtest import Backtest
from clv.evaluation.calibration import Pair, known_by, learn
from clv.evaluation.candidates import Candidate
from clv.evaluation.cut import Cut
from clv.evaluation.metrics import LEAST
from clv.evaluation.table import ResultTable
from clv.spend_model import SpendModel
from clv.stacked_model import StackedModel

Floats = NDArray[np.float64]

#: Members with less weight than this are left out: they only cost time.
LEAST_WEIGHT = 0.02

_ITERATIONS = 2_000
_STEP = 1e-6  #: in a weight, at which the search ends


@dataclass(frozen=True, repr=False)
class Stack:
    """How to put models together, as a backtest has it. Made by `stack`.

    Attributes
    ----------
    purchases
        A `StackedModel`, not fitted.
    spend
        The spend model that foresaw best what customers spent, not fitted.
    table
        A row per purchase model: its weight, and its log score at the cuts.
    spend_table
        A row per spend model: mean deviance of what was spent, the lower the better.
    cuts
        The days of the cuts that it was learned from.
    notes
        What should be known of it, in sentences.
    """

    purchases: StackedModel
    spend: SpendModel
    table: ResultTable
    spend_table: ResultTable
    cuts: tuple[str, ...]
    notes: tuple[str, ...]
    tried: Backtest
    weights: dict[str, float]
    spend_name: str
    before: Any = None

    def calibration(self) -> Calibration:
        """What the same cuts say about the level and the width of the stack's forecast.

        Raises
        ------
        DataError
            If fewer than two cuts do not overlap; see `clv.calibrate`.
        """

        def expected(cut: Cut) -> Pair | None:
            purchases = _mixed(cut.predictions("purchases"), self.weights)
            value = _mixed(
                cut.predictions("value"),
                {f"{name} + {self.spend_name}": w for name, w in self.weights.items()},
            )
            return None if purchases is None or value is None else Pair(purchases, value)

        return learn(self.tried, "the stack", expected, self.before)

    def __repr__(self) -> str:
        notes = (textwrap.fill(note, width=100, subsequent_indent="  ") for note in self.notes)
        return "\n".join([repr(self.table), "", repr(self.spend_table), "", *notes])

    def _repr_html_(self) -> str:
        notes = "".join(f"<p>{escape(note)}</p>" for note in self.notes)
        return f"<div>{self.table._repr_html_()}{self.spend_table._repr_html_()}{notes}</div>"


def stack(tried: Backtest, models: Sequence[str] | None = None, *, before: Any = None) -> Stack:
    """Learn from a backtest how to put purchase models together, and which spend model to take.

    The weights are those with which the stack would have held what customers did at the cuts most
    probable. A model that is right about some customers and wrong about others keeps a weight; one
    that adds nothing loses it.

    Parameters
    ----------
    tried
        From `clv.backtest`.
    models
        Names of purchase models of the backtest; by default all.
    before
        A day: only cuts whose horizon had ended by then are learned from. By default all.

    Returns
    -------
    Stack
        ``purchases`` and ``spend`` are models to fit; ``calibration()`` is of their forecast.

    Raises
    ------
    DataError
        If a name is not known, or there is no cut to learn from.

    Notes
    -----
    Weights of a linear pool that maximise the mean log score of held-out data (Hall & Mitchell
    2007, International Journal of Forecasting 23: 1-13; Yao, Vehtari, Simpson & Gelman 2018,
    Bayesian Analysis 13: 917-1007, for stacking). The problem is concave; it is solved by
    expectation maximisation. The spend model is judged by the Poisson deviance of the stack's
    expected values, which is proper for the mean (Gneiting 2011, JASA 106: 746-762).

    Examples
    --------
    >>> import clv
    >>> transactions = clv.read_transactions(clv.datasets.load_cdnow())
    >>> tried = clv.backtest(
    ...     transactions, ["nbd", "bg_nbd"], horizon="13 weeks", cuts=["1997-09-30"],
    ...     spend=[clv.GammaGammaModel(), clv.GammaGammaModel(purchases="all")], draws=10,
    ... )
    >>> learned = clv.stack(tried)
    >>> learned.spend
    GammaGammaModel(purchases='all')
    >>> [round(weight, 1) for weight in learned.purchases.weights]
    [0.2, 0.8]
    """
    cuts = known_by(tried, before)
    if not cuts:
        raise DataError(
            f"there is no cut to learn from{'' if before is None else f' that ended by {before}'}; "
            "give the backtest more cuts"
        )
    labels = tried.labels("purchases", models=True)
    names = list(labels if models is None else models)
    unknown = [name for name in names if name not in labels]
    if unknown or not names:
        raise DataError(
            f"{', '.join(unknown) or 'no model'}: not in the backtest, which tried "
            f"{', '.join(labels)}"
        )
    by_name = {candidate.name: candidate for candidate in tried.candidates}
    usable, notes = _usable(names, cuts, labels, by_name)
    probabilities = np.concatenate([_probabilities(cut, usable) for cut in cuts])
    weights = _without_idlers(usable, probabilities)
    spend_rows = _spend_rows(tried, cuts, weights)
    spend_name = str(spend_rows[0]["name"])
    kept = list(weights)
    pooled = probabilities[:, [usable.index(name) for name in kept]] @ list(weights.values())
    rows = [
        {
            "name": name,
            "label": labels[name],
            "weight": weights.get(name, 0.0),
            "log_score": float(np.log(probabilities[:, place]).mean()),
        }
        for place, name in enumerate(usable)
    ]
    rows.append(
        {
            "name": "stack",
            "label": "the stack, at the same cuts",
            "weight": 1.0,
            "log_score": float(np.log(pooled).mean()),
        }
    )
    days = tuple(cut.cut.isoformat() for cut in cuts)
    notes.append(
        f"Learned from {len(cuts)} cut{'s' if len(cuts) > 1 else ''} ({', '.join(days)}), "
        f"{tried.horizon:.4g} {tried.time_unit}s each. The stack's own log score is of the cuts "
        "that chose its weights: judge it by a cut after these."
    )
    return Stack(
        purchases=StackedModel(
            [by_name[name].model for name in kept], [weights[name] for name in kept]
        ),
        spend=by_name[spend_name].model,
        table=ResultTable.of("Weights by held-out log score", rows, "name"),
        spend_table=ResultTable.of("Spend models by held-out deviance", spend_rows, "name"),
        cuts=days,
        notes=tuple(notes),
        tried=tried,
        weights=weights,
        spend_name=spend_name,
        before=before,
    )


def _usable(
    names: list[str], cuts: list[Cut], labels: dict[str, str], by_name: dict[str, Candidate]
) -> tuple[list[str], list[str]]:
    """Models with a forecast at every cut that can be part of a stack; what became of others."""
    kept, notes = [], []
    for name in names:
        found = [cut.foreseen["purchases"][name] for cut in cuts]
        failed = next((f.ended for f in found if f.distribution is None), None)
        nested = isinstance(by_name[name].model, StackedModel)
        varying = any(f.fitted is not None and f.fitted.form for f in found)
        if failed is not None:
            notes.append(f"{labels[name]} is left out: {failed}")
        elif nested or varying:
            notes.append(f"{labels[name]} is left out: it cannot be part of a stack.")
        else:
            kept.append(name)
    if not kept:
        raise DataError(f"no model can be part of a stack. {' '.join(notes)}")
    return kept, notes


def _probabilities(cut: Cut, names: list[str]) -> Floats:
    """How probable each model held what each customer did, shape (n, models)."""
    columns = []
    for name in names:
        distribution = cut.foreseen["purchases"][name].distribution
        assert distribution is not None
        assert distribution.probability is not None
        columns.append(np.maximum(distribution.probability, LEAST))
    return np.stack(columns, axis=1)


def pool_weights(probabilities: Floats) -> Floats:
    """Weights that maximise ``mean(log(probabilities @ weights))``, shape (models,).

    Examples
    --------
    One model knows the first customer, the other the rest:

    >>> pool_weights(np.array([[0.9, 0.0], [0.0, 0.9], [0.0, 0.9]])).round(3).tolist()
    [0.333, 0.667]
    """
    weights = np.full(probabilities.shape[1], 1.0 / probabilities.shape[1])
    for _ in range(_ITERATIONS):
        shares = (probabilities / (probabilities @ weights)[:, None]).mean(axis=0) * weights
        moved = float(np.abs(shares - weights).max())
        weights = shares / shares.sum()
        if moved < _STEP:
            break
    return weights


def _without_idlers(names: list[str], probabilities: Floats) -> dict[str, float]:
    """Weights by name, without models that say what another says, or nearly nothing."""
    distinct = [
        place
        for place in range(len(names))
        if not any(
            np.allclose(probabilities[:, place], probabilities[:, earlier], rtol=1e-6)
            for earlier in range(place)
        )
    ]
    chosen = probabilities[:, distinct]
    weights = pool_weights(chosen)
    busy = np.flatnonzero(weights >= min(LEAST_WEIGHT, weights.max()))
    weights = pool_weights(chosen[:, busy])
    return {
        names[distinct[place]]: float(weight) for place, weight in zip(busy, weights, strict=True)
    }


def _mixed(predictions: dict[str, Floats], weights: dict[str, float]) -> Floats | None:
    """The weighted mean of what methods foresaw; None where one did not."""
    if any(name not in predictions for name in weights):
        return None
    return np.asarray(sum(weight * predictions[name] for name, weight in weights.items()))


def _spend_rows(
    tried: Backtest, cuts: list[Cut], weights: dict[str, float]
) -> list[dict[str, Any]]:
    """Spend models by the deviance of the stack's values with each, best first."""
    rows = []
    for candidate in tried.candidates:
        if not isinstance(candidate.model, SpendModel):
            continue
        of_pair = {f"{name} + {candidate.name}": weight for name, weight in weights.items()}
        found = [(cut.actual["value"], _mixed(cut.predictions("value"), of_pair)) for cut in cuts]
        if any(expected is None for _, expected in found):
            continue
        deviance = np.concatenate([_deviance(a, e) for a, e in found if e is not None])
        rows.append(
            {"name": candidate.name, "label": candidate.label, "deviance": float(deviance.mean())}
        )
    if not rows:
        raise DataError("no spend model has a forecast at every cut; see tried.fits")
    return sorted(rows, key=lambda row: row["deviance"])


def _deviance(actual: Floats, expected: Floats) -> Floats:
    """Poisson deviance of each customer; sums below 0, all refunds, count as 0."""
    spent, expected = np.maximum(actual, 0.0), np.maximum(expected, 1e-12)
    logs = np.log(np.where(spent > 0, spent, 1.0) / np.where(spent > 0, expected, 1.0))
    return np.asarray(2.0 * (spent * logs - spent + expected))
