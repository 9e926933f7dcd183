"""What covariates do: coefficients as a table, in words, and tested."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from clv.errors import DataError
from clv.inference.design import GROUPS
from clv.numerics.backend import Array

if TYPE_CHECKING:
    from clv.fitted.base import Fitted
    from clv.inference.design import Coefficient, Covariate, Design

#: Level of the intervals.
LEVEL = 0.9

#: Numbers that vary less than this are not spoken of by the unit.
SMALL = 0.02


class Effect(NamedTuple):
    """What one covariate, or one level of it, changes for customers.

    The figure that changes is that of the family: the mean rate of purchases or of dropout, the
    mean probability of dropout, or the value of a purchase, of a customer who is otherwise average
    in numbers and at the base level in texts.
    """

    group: str  #: "purchase", "dropout" or "spend"
    covariate: str
    level: str | None  #: None for a number
    base: str | None  #: the level it is compared with
    step: float  #: for a number: the difference looked at, 1 unit or a standard deviation if tiny
    before: float  #: the figure at the base, or the mean
    after: float  #: and with the level, or one unit more
    factor: float  #: after / before
    low: float  #: 90 % interval of the factor
    high: float
    sentence: str  #: the same in words

    def __str__(self) -> str:
        return self.sentence


def group_frame(fitted: Fitted) -> Any:
    """Parameters of groups as a pandas DataFrame; see `Fitted.group_parameters`."""
    import pandas as pd

    design, k = fitted.design, len(fitted.family.PARAMETERS)
    if design is None or design.groups is None:
        raise DataError(
            "this model has no groups; fit it with groups= the name of a column and method='mcmc'"
        )
    logs = np.log(fitted.draws if fitted.posterior is None else fitted.posterior.points)
    rows = []
    for level in design.groups.terms:
        for j, name in enumerate(design.parameters):
            place = next(
                i
                for i, c in enumerate(design.coefficients, start=k)
                if (c.group, c.parameter, c.level) == (GROUPS, name, level)
            )
            values = np.exp(logs[:, j] + logs[:, place])
            low, middle, high = np.quantile(values, [(1 - LEVEL) / 2, 0.5, (1 + LEVEL) / 2])
            rows.append((level, name, middle, float(values.std()), low, high))
    columns = [design.groups.name, "parameter", "estimate", "standard_error", "low", "high"]
    return pd.DataFrame(rows, columns=columns).set_index(columns[:2])


class LikelihoodRatioTest(NamedTuple):
    """Whether covariates explain more than chance would."""

    statistic: float  #: twice the difference of the log-likelihoods
    degrees: int  #: coefficients more
    p_value: float  #: of a chi-squared variable with these degrees of freedom

    def __str__(self) -> str:
        return (
            f"chi-squared {self.statistic:.4g} with {self.degrees} degrees of freedom, "
            f"p = {self.p_value:.3g}"
        )


def coefficient_frame(fitted: Fitted) -> Any:
    """Coefficients as a pandas DataFrame; see `Fitted.coefficients`."""
    import pandas as pd

    rows = coefficient_rows(fitted)
    index = pd.Index([row["label"] for row in rows], name="coefficient", dtype=object)
    # objects, so that no level stays None
    texts = {name: pd.Series([row[name] for row in rows], index, dtype=object) for name in _TEXTS}
    numbers = {name: pd.Series([row[name] for row in rows], index, float) for name in _NUMBERS}
    notes = pd.Series([row["note"] for row in rows], index, dtype=object)
    return pd.DataFrame({**texts, **numbers, "note": notes})


def coefficient_rows(fitted: Fitted) -> list[dict[str, Any]]:
    """The same as a list, with the label of each."""
    design = fitted.design
    if design is None:
        return []
    values, draws = fitted.user_logs(fitted.estimates), fitted.user_logs(fitted.draws)
    errors = np.sqrt(np.maximum(np.diag(fitted.user_covariance), 0.0))
    ends = np.quantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    rows = []
    for i, coefficient in enumerate(design.coefficients, start=len(design.parameters)):
        if coefficient.group == GROUPS:
            continue
        known = bool(fitted.user_determined[i])
        numbers = (values[i], errors[i], *ends[:, i]) if known else (values[i], *[np.nan] * 3)
        rows.append(_row(design, coefficient, numbers, "" if known else "not bounded by the data"))
    for coefficient, reason in design.undetermined:
        rows.append(_row(design, coefficient, (0.0, *[np.nan] * 3), f"undetermined: {reason}"))
    return rows


_TEXTS = ("group", "parameter", "covariate", "level", "base", "what")
_NUMBERS = ("coefficient", "standard_error", "low", "high")


def _row(
    design: Design, coefficient: Coefficient, numbers: tuple[float, ...], note: str
) -> dict[str, Any]:
    return {
        "label": coefficient.label,
        "group": coefficient.group,
        "parameter": coefficient.parameter,
        "covariate": coefficient.covariate,
        "level": coefficient.level,
        "base": _base(_covariate(design, coefficient)),
        "what": coefficient.what,
        **dict(zip(_NUMBERS, map(float, numbers), strict=True)),
        "note": note,
    }


def _covariate(design: Design, coefficient: Coefficient) -> Covariate:
    return next(c for c in design.covariates if c.name == coefficient.covariate)


def _base(covariate: Covariate) -> str | None:
    return None if covariate.levels is None else covariate.levels[0]


def effects(fitted: Fitted) -> tuple[Effect, ...]:
    """What each covariate means for customers; one entry per group and term."""
    design = fitted.design
    if design is None:
        return ()
    terms = dict.fromkeys((c.group, c.term) for c in design.coefficients if c.group != GROUPS)
    first = {(c.group, c.term): c for c in reversed(design.coefficients)}
    with np.errstate(all="ignore"):  # what has run to a limit may be 0 or infinite
        return tuple(_effect(fitted, design, first[key]) for key in terms)


def _effect(fitted: Fitted, design: Design, coefficient: Coefficient) -> Effect:
    covariate = _covariate(design, coefficient)
    moves = fitted.family.COVARIATES[coefficient.group]
    terms = sum(len(c.terms) for c in design.covariates)
    number = covariate.levels is None

    def figure(points: Array, step: float) -> Array:
        row = np.zeros(terms)
        row[coefficient.term] = step
        return np.asarray(moves.figure(fitted.parameters_at(points, row)))

    units = 1.0 if not number or covariate.scale > SMALL else covariate.scale
    step = units / covariate.scale if number else 1.0
    before, after = (float(figure(fitted.estimates, s)) for s in (0.0, step))
    drawn = np.log(figure(fitted.draws, step) / figure(fitted.draws, 0.0))
    low, high = np.exp(np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])).tolist()
    factor = after / before
    entries = [
        i
        for i, c in enumerate(design.coefficients, start=len(design.parameters))
        if (c.group, c.term) == (coefficient.group, coefficient.term)
    ]
    known = bool(fitted.determined[entries].all())
    words = moves.reading.format(factor=_short(factor), before=_short(before), after=_short(after))
    if number:
        more = "unit" if units == 1.0 else _short(units)
        who = f"With each further {more} of {covariate.name} customers"
        if units == 1.0:
            far = float(figure(fitted.estimates, 1.0)) / before
            words += f" (over a standard deviation, {_short(covariate.scale)}: {_short(far)} times)"
    else:
        who = f"Customers with {coefficient.what}, compared with {_base(covariate)},"
    sure = (
        f"{LEVEL:.0%} interval of the factor {_short(low)} to {_short(high)}"
        if known
        else "the data do not bound this"
    )
    return Effect(
        coefficient.group,
        covariate.name,
        coefficient.level,
        _base(covariate),
        units,
        before,
        after,
        factor,
        low if known else np.nan,
        high if known else np.nan,
        f"{who} {words}; {sure}.",
    )


def _short(value: float) -> str:
    """Three digits, or as many as show that it is not 1."""
    off = abs(value - 1.0)
    if not 1e-12 < off < 0.01:
        return f"{value:.3g}"
    return f"{value:.{math.ceil(-math.log10(off)) + 1}f}"


def likelihood_ratio_test(fitted: Fitted, plain: Fitted) -> LikelihoodRatioTest:
    """See `Fitted.likelihood_ratio_test`."""
    from scipy.special import chdtrc

    if plain.model_name != fitted.model_name:
        raise DataError(
            f"{plain.family.TITLE} is not nested in {fitted.family.TITLE}; compare their AIC"
        )
    same = (plain.fingerprint, plain.n_customers, plain.options) == (
        fitted.fingerprint,
        fitted.n_customers,
        fitted.options,
    )
    if not same:
        raise DataError(
            "the two models were not fitted to the same customers in the same way: their "
            "likelihoods cannot be compared"
        )
    more, fewer = _coefficients(fitted), _coefficients(plain)
    if not fewer <= more:
        raise DataError(
            "the other model is not nested in this one: it also has the coefficients "
            + ", ".join(sorted(f"{what} (for {parameter})" for what, parameter in fewer - more))
        )
    statistic = max(0.0, 2.0 * (fitted.log_likelihood - plain.log_likelihood))
    degrees = len(more) - len(fewer)
    p_value = float(chdtrc(degrees, statistic)) if degrees else 1.0
    return LikelihoodRatioTest(statistic, degrees, p_value)


def _coefficients(fitted: Fitted) -> set[tuple[str, str]]:
    design = fitted.design
    return set() if design is None else {(c.what, c.parameter) for c in design.coefficients}
