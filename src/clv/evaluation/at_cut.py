"""One cut of a backtest: fit on what was known, foresee what came after. Runs in its own process.

Nothing here sees what came after the cut but the scores: models are fitted to the columns of the
table that tell what was known, and the actual figures enter where a forecast that stands already
is compared with them.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from clv.errors import BoundaryWarning, ClvError
from clv.evaluation.baselines import BASELINES
from clv.evaluation.candidates import Candidate
from clv.evaluation.coverage import CountDistribution, count_distribution
from clv.evaluation.holdout import rounded
from clv.evaluation.origins import Known, newcomers
from clv.fitted import Fitted, FittedPurchases, FittedSpend
from clv.tables.rfm import RFM

Floats = NDArray[np.float64]
Quantity = Literal["purchases", "value"]

MAXIMUM = "maximum"
PAST = "history"


@dataclass(frozen=True)
class Foreseen:
    """What one method foresaw at one cut.

    Attributes
    ----------
    method, label
        For programs and for people.
    quantity
        "purchases" or "value".
    is_model
        Or a historical figure.
    ended
        Of models: "maximum", the boundary that the fit ran to, or why there is no forecast.
        Of historical figures: "history", or why there is none.
    expected
        Expected figure of each customer, shape (n,); None where there is no forecast.
    fitted
        The purchase model, or of values the spend model; None for historical figures.
    parts
        Of values: the purchase and the spend candidate.
    probability_alive, probability_of_purchase
        P(alive) at the cut, and P(at least one purchase within the horizon); of purchases.
    distribution
        Of purchases, a `CountDistribution`: where the actual figures lie in the predictive
        distributions, how probable they were held, and central intervals.
    """

    method: str
    label: str
    quantity: Quantity
    is_model: bool
    ended: str
    expected: Floats | None = field(default=None, repr=False)
    fitted: Fitted | None = field(default=None, repr=False)
    parts: tuple[str, ...] = ()
    probability_alive: Floats | None = field(default=None, repr=False)
    probability_of_purchase: Floats | None = field(default=None, repr=False)
    distribution: Any = field(default=None, repr=False)


class Settings(NamedTuple):
    """What is the same at every cut."""

    purchases: Sequence[Candidate]
    spend: Sequence[Candidate]
    window: int | None  #: days
    levels: tuple[float, ...]
    seed: int
    fit_options: Mapping[str, Any]


def foresee(known: Known, settings: Settings) -> list[Foreseen]:
    """Everything that was foreseen at a cut: models of purchases, of value, and history."""
    rfm = replace(known.rfm)  # a copy whose caches end with this cut
    horizon = rfm.holdout_duration
    learnt_from = newcomers(rfm, settings.window)
    found = [_purchases(c, learnt_from, rfm, horizon, settings) for c in settings.purchases]
    fits = [_fit(c, learnt_from, settings) for c in settings.spend]
    found += [
        _value(purchases, spend, fitted, rfm)
        for spend, fitted in zip(settings.spend, fits, strict=True)
        for purchases in found
        if purchases.quantity == "purchases"
    ]
    for baseline in BASELINES:
        shown = partial(Foreseen, baseline.name, baseline.label, baseline.quantity, False)
        try:
            values = rounded(baseline.foresee(known, horizon))
        except ClvError as error:
            found.append(shown(_reason(error)))
        else:
            found.append(shown(PAST, values))
    return found


def _fit(candidate: Candidate, rfm: RFM, settings: Settings) -> Fitted | str:
    """The fit, or why there is none."""
    if not len(rfm):
        return f"nobody first bought within the {settings.window:,} days before the cut"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", BoundaryWarning)  # the row tells it
            fitted: Fitted = candidate.model.fit(
                rfm, **{**settings.fit_options, **candidate.options}
            )
    except ClvError as error:
        return _reason(error)
    return fitted


def _reason(error: ClvError) -> str:
    return f"{type(error).__name__}: {error}"


def _ended(fitted: Fitted) -> str:
    boundary = fitted.convergence.boundary
    return MAXIMUM if boundary is None else f"boundary: {boundary}"


def _purchases(
    candidate: Candidate, learnt_from: RFM, rfm: RFM, horizon: float, settings: Settings
) -> Foreseen:
    shown = partial(Foreseen, candidate.name, candidate.label, "purchases", True)
    fitted = _fit(candidate, learnt_from, settings)
    if isinstance(fitted, str):
        return shown(fitted)
    assert isinstance(fitted, FittedPurchases)
    try:
        alive, expected, some = fitted.of_living(
            rfm,
            lambda state: fitted.family.expected_purchases(state, horizon),
            lambda state: 1.0 - fitted.family.no_purchase_probability(state, horizon),
            with_alive=True,
        )
        counts: CountDistribution = count_distribution(
            fitted, rfm, horizon, rfm.array("holdout_purchases"), settings.levels
        )
    except ClvError as error:
        return shown(_reason(error))
    return shown(
        _ended(fitted),
        rounded(expected),
        fitted,
        probability_alive=alive,
        probability_of_purchase=some,
        distribution=counts,
    )


def _value(purchases: Foreseen, candidate: Candidate, fitted: Any, rfm: RFM) -> Foreseen:
    shown = partial(
        Foreseen,
        f"{purchases.method} + {candidate.name}",
        f"{purchases.label} + {candidate.label}",
        "value",
        True,
        parts=(purchases.method, candidate.name),
    )
    if purchases.expected is None:
        return shown(purchases.ended)
    if isinstance(fitted, str):
        return shown(fitted)
    assert isinstance(fitted, FittedSpend)
    try:
        level = fitted.expected_spend(rfm)
    except ClvError as error:
        return shown(_reason(error))
    ended = _ended(fitted) if purchases.ended == MAXIMUM else purchases.ended
    return shown(ended, rounded(purchases.expected * level), fitted)
