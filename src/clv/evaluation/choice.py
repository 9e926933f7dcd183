"""Which purchase model: by what it says of purchases that it has not seen, and by AIC."""

from __future__ import annotations

import textwrap
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from html import escape
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from clv.errors import BoundaryWarning, ClvError, DataError, FitError
from clv.evaluation import metrics
from clv.evaluation.candidates import purchase_candidates
from clv.evaluation.table import ResultTable
from clv.fitted import FittedPurchases
from clv.purchase_model import PurchaseModel
from clv.tables.rfm import RFM
from clv.tables.summary import rfm_summary
from clv.tables.time_varying import TimeVaryingCovariates
from clv.tables.transactions import Transactions

Criterion = Literal["log_score", "aic"]

#: Share of the time observed that is held out when nobody says otherwise.
HELD_OUT = 1 / 3

_CRITERIA = {"log_score": "held-out log score", "aic": "AIC"}


@dataclass(frozen=True, repr=False)
class Choice:
    """The purchase model that describes a customer base best. Made by `choose`.

    Attributes
    ----------
    fitted
        The winner, fitted to everything up to the observation end.
    table
        One row per candidate, best first, those that failed last; see `choose` for its columns.
    criterion
        What decided: "log_score" or "aic".
    candidates
        The fits up to the calibration end, by label, without those that failed.
    rfm
        Table of everything, which `fitted` was fitted to.
    calibration_period_end, observation_period_end
        The held-out purchases lie between them.
    notes
        What should be known of the choice, in sentences.
    """

    fitted: FittedPurchases
    table: ResultTable
    criterion: Criterion
    candidates: Mapping[str, FittedPurchases]
    rfm: RFM
    calibration_period_end: date
    observation_period_end: date
    notes: tuple[str, ...]

    def __repr__(self) -> str:
        notes = (textwrap.fill(note, width=100, subsequent_indent="  ") for note in self.notes)
        return "\n".join([repr(self.table), "", *notes])

    def _repr_html_(self) -> str:
        notes = "".join(f"<p>{escape(note)}</p>" for note in self.notes)
        return f"<div>{self.table._repr_html_()}{notes}</div>"


class _Tried(NamedTuple):
    """A candidate, and what became of it."""

    label: str
    model: PurchaseModel
    fitted: FittedPurchases | None
    log_scores: NDArray[np.float64] | None  #: of each customer, shape (n,)
    purchases: float  #: expected in the holdout, of all customers
    ended: str

    @property
    def log_score(self) -> float:
        return -np.inf if self.log_scores is None else float(self.log_scores.mean())

    @property
    def aic(self) -> float:
        return np.inf if self.fitted is None else self.fitted.aic

    @property
    def degrees(self) -> int:
        return 0 if self.fitted is None else self.fitted.degrees


def choose(
    transactions: Transactions,
    candidates: Sequence[str | PurchaseModel] | None = None,
    *,
    observation_period_end: Any,
    calibration_period_end: Any = None,
    time_unit: str = "week",
    criterion: Criterion = "log_score",
    customers: Any = None,
    covariates: TimeVaryingCovariates | None = None,
) -> Choice:
    """Fit several purchase models, and keep the one that foresees best what it has not seen.

    Each candidate is fitted to the time up to the calibration end. Then it is asked how probable it
    held the number of purchases that each customer made after that, given the customer's history
    (dead or alive): the mean of the natural logs is its held-out log score. No model can do better
    in expectation than the one that is true. The winner is fitted again, to everything.

    Parameters
    ----------
    transactions
        From `clv.read_transactions`.
    candidates
        Names such as "bg_nbd" or models such as ``clv.BetaGeoCNBDKModel(k=2)``. By default all
        purchase models, except those that count opportunities.
    observation_period_end, time_unit
        As in `clv.rfm_summary`.
    calibration_period_end
        Last day that the candidates know. By default the last third of the time between the
        first purchase and the observation end is held out.
    criterion
        What decides: "log_score" (default), or "aic", which needs no held-out purchases but trusts
        the models' assumptions. Both are computed from the fits up to the calibration end. Of
        equals the one with fewer parameters wins.
    customers
        Data frame with a row per customer, where candidates name covariates: these columns of it,
        by ``customer_id``, as in ``rfm.with_covariates``. What is only known after the
        calibration end would let a candidate see what it is to predict.
    covariates
        From `clv.time_varying_covariates`, where candidates name some that change with time. They
        must reach the observation end.

    Returns
    -------
    Choice
        ``fitted`` is the winner. ``table`` has a row per candidate with the columns

        ``model``, ``label``
            Name of the model, and what it is called here.
        ``parameters``
            How many were estimated.
        ``log_likelihood``, ``aic``, ``aic_rank``
            Of the fit up to the calibration end; ranks count from 1.
        ``log_score``, ``log_score_rank``
            Mean log-probability of a customer's held-out purchases: the higher the better.
        ``behind``, ``standard_error``
            Mean log score of the best less this one's, over the same customers, and the standard
            error of that difference: a gap of less than two of them may be chance.
        ``bias``
            Expected held-out purchases of all customers / actual ones - 1.
        ``ended``
            "maximum"; or the boundary that the fit ran to, whose predictions still count; or why
            there is none: then the other columns are missing values.

    Raises
    ------
    DataError
        If a candidate is no purchase model, the criterion is not known, or covariates of the
        candidates are not there.
    FitError
        If no candidate can be fitted; the message says why of each.

    Examples
    --------
    >>> import clv
    >>> transactions = clv.read_transactions(clv.datasets.load_cdnow())
    >>> choice = clv.choose(
    ...     transactions, ["nbd", "bg_nbd", "pareto_nbd"],
    ...     observation_period_end="1998-06-30", calibration_period_end="1997-09-30",
    ... )
    >>> choice.table.values("label").tolist()
    ['BG/NBD', 'Pareto/NBD', 'NBD']
    >>> choice.fitted.model_name, choice.fitted.observation_period_end
    ('bg_nbd', datetime.date(1998, 6, 30))
    """
    if criterion not in _CRITERIA:
        raise DataError(f"criterion must be 'log_score' or 'aic', not {criterion!r}")
    models = _models(candidates)
    named = _covariates(models.values(), customers, covariates)

    def with_covariates(rfm: RFM) -> RFM:
        rfm = rfm if covariates is None else rfm.with_time_varying_covariates(covariates)
        return rfm.with_covariates(customers, named) if named else rfm

    everything = rfm_summary(
        transactions, observation_period_end=observation_period_end, time_unit=time_unit
    )
    cut = _last_third(everything) if calibration_period_end is None else calibration_period_end
    known = rfm_summary(
        transactions,
        observation_period_end=everything.observation_period_end,
        calibration_period_end=cut,
        time_unit=time_unit,
    )
    everything, known = map(with_covariates, (everything, known))
    tried = [_try(label, model, known, transactions) for label, model in models.items()]
    best_first = sorted(tried, key=_order(criterion))
    best = best_first[0]
    if best.fitted is None:
        reasons = "; ".join(f"{one.label}: {one.ended}" for one in tried)
        raise FitError(f"no candidate can be fitted. {reasons}")
    actual = float(known.array("holdout_purchases").sum())
    start, end = known.calibration_period_end, known.observation_period_end
    assert start is not None
    assert end is not None
    title = (
        f"Purchase models by {_CRITERIA[criterion]}: {len(known):,} customers known up to {start}, "
        f"{actual:,.0f} purchases held out up to {end}"
    )
    rows = _rows(best_first, actual)
    return Choice(
        fitted=best.model.fit(everything, transactions=transactions),
        table=ResultTable.of(title, rows, "model"),
        criterion=criterion,
        candidates={one.label: one.fitted for one in best_first if one.fitted is not None},
        rfm=everything,
        calibration_period_end=start,
        observation_period_end=end,
        notes=tuple(_notes(best_first, rows, criterion, end)),
    )


# -- candidates ---------------------------------------------------------------------------------


def _models(candidates: Sequence[str | PurchaseModel] | None) -> dict[str, PurchaseModel]:
    """Models by the label that they go by."""
    if candidates is not None and (isinstance(candidates, str) or not len(candidates)):
        raise DataError(
            f"candidates must be a list of models or their names, not {candidates!r}; leave it out "
            "to try all"
        )
    return {found.label: found.model for found in purchase_candidates(candidates)}


def _covariates(
    models: Iterable[PurchaseModel], customers: Any, changing: TimeVaryingCovariates | None
) -> list[str]:
    """Columns of `customers` that the models name, each once.

    Raises
    ------
    DataError
        If they name some and there is no such table.
    """
    every = dict.fromkeys(name for model in models for name in model.covariates)
    named = [name for name in every if changing is None or name not in changing.columns]
    if named and customers is None:
        raise DataError(
            f"candidates name the covariates {', '.join(named)}; give a table with them as "
            "customers=, or as covariates= if they change with time"
        )
    return named


def _last_third(rfm: RFM) -> date:
    end = rfm.observation_period_end
    assert end is not None
    first: date = rfm.values("first_purchase").min().astype(object)
    cut = end - timedelta(days=round((end - first).days * HELD_OUT))
    if not first < cut < end:
        raise DataError(
            f"all purchases lie within {(end - first).days} days: too few to hold out a third of "
            "them; give calibration_period_end, or more data"
        )
    return cut


def _try(label: str, model: PurchaseModel, known: RFM, transactions: Transactions) -> _Tried:
    """Fit and score; what goes wrong becomes the candidate's own row."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", BoundaryWarning)  # the row tells it
            fitted = model.fit(known, transactions=transactions)
        horizon = known.holdout_duration
        scores = log_scores(fitted, known, known.array("holdout_purchases"), horizon)
        purchases = float(fitted.expected_purchases(known, horizon).sum())
    except ClvError as error:
        return _Tried(label, model, None, None, np.nan, f"{type(error).__name__}: {error}")
    if fitted.variant and label == model.family.TITLE:
        label += f" ({', '.join(f'{name} = {n}' for name, n in fitted.variant.items())})"
    boundary = fitted.convergence.boundary
    ended = "maximum" if boundary is None else f"boundary: {boundary}"
    return _Tried(label, model, fitted, scores, purchases, ended)


def log_scores(
    fitted: FittedPurchases, rfm: RFM, purchases: NDArray[np.float64], horizon: float
) -> NDArray[np.float64]:
    """Log-probability of the purchases that each customer made within the horizon, shape (n,).

    A probability below `metrics.LEAST` counts as that much.

    Parameters
    ----------
    fitted
        A purchase model in the time unit of the table.
    rfm
        Table with n customers.
    purchases
        Whole numbers, shape (n,).
    horizon
        In that unit.
    """
    probability = fitted.purchase_count_pmf(purchases, horizon, rfm)
    return metrics.log_scores(np.asarray(probability))


# -- what comes of it -----------------------------------------------------------------------------


def _order(criterion: Criterion) -> Callable[[_Tried], tuple[float, ...]]:
    """Sorts the best to the front, and failures to the end."""

    def key(one: _Tried) -> tuple[float, ...]:
        value = -one.log_score if criterion == "log_score" else one.aic
        return (float(one.fitted is None), value, one.degrees)

    return key


def _rows(best_first: list[_Tried], actual: float) -> list[dict[str, Any]]:
    fitted = [one for one in best_first if one.fitted is not None]
    criteria: tuple[Criterion, ...] = ("log_score", "aic")
    ranks = {name: [one.label for one in sorted(fitted, key=_order(name))] for name in criteria}
    best = next(one for one in fitted if one.label == ranks["log_score"][0])
    return [_row(one, best, ranks, actual) for one in best_first]


def _row(
    one: _Tried, best: _Tried, ranks: Mapping[Any, list[str]], actual: float
) -> dict[str, Any]:
    row: dict[str, Any] = {"model": one.model.family.NAME, "label": one.label}
    if one.fitted is None or one.log_scores is None or best.log_scores is None:
        missing = "parameters log_likelihood aic aic_rank log_score log_score_rank behind"
        nothing = dict.fromkeys([*missing.split(), "standard_error", "bias"], np.nan)
        return row | nothing | {"ended": one.ended}
    behind = best.log_scores - one.log_scores
    return row | {
        "parameters": float(one.fitted.degrees),
        "log_likelihood": one.fitted.log_likelihood,
        "aic": one.fitted.aic,
        "aic_rank": 1.0 + ranks["aic"].index(one.label),
        "log_score": one.log_score,
        "log_score_rank": 1.0 + ranks["log_score"].index(one.label),
        "behind": float(behind.mean()),
        "standard_error": float(behind.std() / np.sqrt(len(behind))),
        "bias": one.purchases / actual - 1.0 if actual else np.nan,
        "ended": one.ended,
    }


def _notes(
    best_first: list[_Tried], rows: list[dict[str, Any]], criterion: Criterion, end: date
) -> list[str]:
    best, first = best_first[0], rows[0]
    by = _CRITERIA[criterion]
    notes = [f"{best.label} is chosen by {by}, and fitted again to everything up to {end}."]
    close = [
        row["label"]
        for row in rows[1:]
        if criterion == "log_score" and row["behind"] < 2.0 * row["standard_error"]
    ]
    if close:
        notes.append(
            f"{', '.join(close)} {'is' if len(close) == 1 else 'are'} behind by less than two "
            "standard errors: another choice of customers might have put it first."
        )
    other = "aic" if criterion == "log_score" else "log_score"
    if first[f"{other}_rank"] != 1:
        preferred = next(row["label"] for row in rows if row[f"{other}_rank"] == 1)
        notes.append(f"By {_CRITERIA[other]} it would be {preferred}.")
    if best.ended != "maximum":
        notes.append(f"Up to the calibration end {best.label} ran to a {best.ended}.")
    return notes
