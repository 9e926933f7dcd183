"""From facts to one HTML file in a language."""

from __future__ import annotations

import base64
import hashlib
import math
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from markupsafe import Markup

from clv.fitted import Fitted
from clv.report.against_history import METRICS, Judgement
from clv.report.facts import Facts
from clv.report.language import Language, language
from clv.report.people import LEAVING, Person
from clv.report.pictures import pictures

if TYPE_CHECKING:
    from jinja2 import Template

FOLDER = Path(__file__).parent / "template"

SECTIONS = (
    *("headlines", "tested", "tiers", "stages", "segments", "retention", "worth", "channels"),
    *("risk", "customers", "quality", "models"),
)

#: Shades of the table of cohorts, in style.css.
_SHADES = 7

_QUOTED = (0.25, 0.95)


def page(
    facts: Facts,
    code: str = "en",
    *,
    title: str | None = None,
    currency: str | None = None,
) -> str:
    """The page as one HTML document.

    Parameters
    ----------
    facts
        From `clv.report.gather`.
    code
        "en", or "fa" for Persian: right to left, with Persian digits and days of the Iranian
        calendar.
    title
        Above the page; None for one in the page's language.
    currency
        What amounts are in, as it is to be written.

    Raises
    ------
    DataError
        If there is no such language, or it needs a package that is not installed.
    """
    words = language(code)
    style, script = (_file("style.css"), _file("script.js"))
    return _template().render(
        facts=facts,
        words=words,
        title=title or words.plain("page.title"),
        currency=currency,
        style=style,
        style_hash=_hash(style),
        script=script,
        script_hash=_hash(script),
        pictures=pictures(facts, words),
        sections=SECTIONS,
        metrics=list(METRICS),
        metric_text=lambda metric, value: _metric(words, metric, value),
        verdict=[_said(words, judgement) for judgement in _judgements(facts)],
        length=lambda value: _length(words, value, facts.time_unit),
        heat=_shades(facts),
        worth=_worth(words, facts),
        worth_verdict=_worth_verdict(words, facts),
        leaving=LEAVING,
        why=lambda row: _why(words, row),
        person_columns=_person_columns(facts),
        quality=_quality(words, facts),
        parameters=lambda model: _parameters(words, model),
    )


@lru_cache(maxsize=1)
def _template() -> Template:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html")


@lru_cache(maxsize=4)
def _file(name: str) -> Markup:
    return Markup((FOLDER / name).read_text(encoding="utf-8"))  # ours, and nothing is filled in


def _hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


# --- parts in words -------------------------------------------------------------------------------


class _Said(NamedTuple):
    news: str
    text: Markup


def _judgements(facts: Facts) -> tuple[Judgement, ...]:
    return () if facts.tested is None else facts.tested.verdict


def _said(words: Language, judgement: Judgement) -> _Said:
    metric = judgement.key.rpartition("_")[0]
    of_bias = judgement.key.startswith("level")
    values = {}
    for name, value in judgement.numbers.items():
        if name == "method":
            values[name] = words.term("method", value)
        elif name in ("ours", "theirs"):
            values[name] = _metric(words, metric, value)
        elif name in ("top", "nominal"):
            values[name] = words.percent(value)
        elif name in ("bias", "coverage") or (of_bias and name in ("low", "high")):
            values[name] = words.percent(value, 1)
        else:
            values[name] = words.number(value)
    return _Said(judgement.news, words.text(f"verdict.{judgement.key}", **values))


def _metric(words: Language, metric: str, value: float) -> Markup:
    if metric in ("bias", "top_share_captured"):
        return words.percent(value, 1)
    return words.number(value, 3 if metric in ("spearman", "normalised_gini") else 2)


def _length(words: Language, value: float, unit: str) -> Markup:
    digits = 0 if float(value).is_integer() else 1
    return Markup("{} {}").format(words.number(value, digits), words.text(f"unit.{unit}"))


def _shades(facts: Facts) -> Any:
    most = float(np.nanmax(facts.cohorts.share, initial=0.0)) or 1.0

    def shade(value: float) -> str:
        if math.isnan(value):
            return ""
        return f"h{min(int(value / most * _SHADES), _SHADES - 1)}"

    return shade


def _worth(words: Language, facts: Facts) -> dict[str, Markup] | None:
    found = facts.retention
    if found is None:
        return None
    low, high = (float(found.table.array(f"relative_change_{end}")[0]) for end in ("low", "high"))
    return {
        "before": words.percent(found.retention_before, 1),
        "after": words.percent(found.retention_after, 1),
        "change": words.money(found.change),
        "relative": words.percent(found.relative_change, 1),
        "interval": words.percent(found.interval),
        "low": words.percent(low, 1),
        "high": words.percent(high, 1),
    }


def _worth_verdict(words: Language, facts: Facts) -> Markup:
    found = facts.retention
    if found is None:
        return Markup()
    low, high = (float(found.table.array(f"relative_change_{end}")[0]) for end in ("low", "high"))
    least, most = _QUOTED
    if high < least:
        said = "less"
    elif low > most:
        said = "more"
    else:
        said = "within" if low >= least and high <= most else "unclear"
    return words.text(f"worth.quoted_{said}")


def _why(words: Language, row: Person) -> Markup:
    churn = row.value_at_risk / row.residual_value if row.residual_value > 0 else None
    values = {"silent": words.number(row.days_silent), "churn": words.percent(churn)}
    if row.days_between_orders is None:
        return words.text("risk.reason_single", **values)
    rhythm = words.number(row.days_between_orders)
    return words.text("risk.reason_rhythm", rhythm=rhythm, **values)


def _person_columns(facts: Facts) -> list[str]:
    return [
        "customer_id",
        *(["name"] if facts.people.has_names else []),
        *("tier", "stage", "probability_alive", "expected_purchases", "residual_value"),
        *([] if facts.interval is None else ["interval"]),
        *("historical_value", "last_purchase", "next_purchase"),
    ]


def _quality(words: Language, facts: Facts) -> list[tuple[str, Markup]]:
    found = facts.quality
    counts = ("rows", "used", "rejected", "customers", "refund_rows", "zero_rows")
    return [
        *((name, words.number(getattr(found, name))) for name in counts),
        *((name, words.day(getattr(found, name))) for name in ("first_day", "last_day")),
    ]


class _Parameter(NamedTuple):
    name: str
    estimate: Markup
    error: Markup
    meaning: str


def _parameters(words: Language, model: Fitted) -> list[_Parameter]:
    given = [
        _Parameter(name, words.number(value), words.number(None), model.family.VARIANTS.meaning)
        for name, value in model.variant.items()
    ]
    return given + [
        _Parameter(
            name,
            words.number(model.parameters[name], 4),
            words.number(error, 4) if np.isfinite(error) else words.text("models.not_bounded"),
            model.family.PARAMETERS[name].meaning,
        )
        for name, error in model.standard_errors.items()
    ]
