"""The verdict in words: every sentence stands on numbers it carries along, bad news included.

Two rules. A difference whose interval includes 0 is never called better or worse: the methods
"cannot be told apart". And what history does better is said in the same words as what the model
does better.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from clv.evaluation.migration import BOTH, HISTORY_ONLY, MODEL_ONLY
from clv.evaluation.scores import NOTHING, PERFECT, PREDICTION, Interval, Scores
from clv.evaluation.table import number

TOLERANCE = 0.04
"""Coverage this close to nominal counts as held."""


News = Literal["good", "bad", "even", "fact"]


class Sentence(NamedTuple):
    """One sentence of the verdict.

    Attributes
    ----------
    topic
        What it is about.
    text
        For people.
    news
        "good", "bad", "even" (cannot be told apart) or "fact".
    numbers
        What the sentence rests on.
    """

    topic: str
    text: str
    news: News
    numbers: Mapping[str, float]


def verdict(
    *,
    basis: str,
    purchases: Scores,
    value: Scores,
    totals: Sequence[Mapping[str, Any]],
    coverage: Sequence[Mapping[str, Any]],
    frequency: Sequence[Mapping[str, Any]],
    migration: Sequence[Mapping[str, Any]],
    top: float,
) -> tuple[Sentence, ...]:
    """Put the comparison in words.

    Parameters
    ----------
    basis
        The customers and the period, in words.
    purchases, value
        The scores.
    totals, coverage, frequency, migration
        Rows of the tables of the same names.
    top
        Share of the customers that "the best" are.
    """
    happened = {"purchases": purchases.totals[PERFECT], "value": value.totals[PERFECT]}
    bought = f"{number(happened['purchases'])} purchases worth {number(happened['value'])}"
    return (
        Sentence("basis", f"{basis} {bought}.", "fact", happened),
        _level(purchases),
        _level(value),
        *_totals(totals, value.level),
        *_error(purchases, "mean_absolute_error", "MAE"),
        *_error(value, "mean_absolute_error", "MAE"),
        *_error(value, "root_mean_squared_error", "RMSE"),
        *_capture(value, top),
        *_ranking(value),
        *_ties(value),
        *_migration(value, migration, top),
        *_coverage(coverage),
        *_one_time(frequency),
    )


# -- level and error ----------------------------------------------------------------------------


def _level(scores: Scores) -> Sentence:
    relative = scores.intervals[PREDICTION, "bias"]
    history = [(scores.labels[m], scores.metrics[m]["bias"]) for m in scores.history]
    numbers = {
        "predicted": scores.totals[PREDICTION],
        "actual": scores.totals[PERFECT],
        **_numbers("bias", relative),
        **{f"bias of {label}": of_history for label, of_history in history},
    }
    start = f"Total {'number of ' if scores.figure == 'purchases' else ''}{scores.figure}"
    if scores.totals[PERFECT] == 0:
        text = f"{start}: nothing happened in the holdout, so no level can be judged."
        return Sentence("level", text, "fact", numbers)
    totals = f"{number(numbers['predicted'])} predicted, {number(numbers['actual'])} actual"
    span = f"{scores.level:.0%} interval over customers {relative.low:+.1%} to {relative.high:+.1%}"
    if relative.is_clear:
        side = "low" if relative.value < 0 else "high"
        said = f"{start}: the model is {abs(relative.value):.1%} too {side} ({totals}; {span})"
    else:
        said = (
            f"{start}: the model is off by {relative.value:+.1%} ({totals}), which cannot be told "
            f"from 0 ({span})"
        )
    others = ", ".join(f"{label} by {of_history:+.1%}" for label, of_history in history)
    return Sentence(
        "level",
        f"{said}. History misses it: {others}.",
        "bad" if relative.is_clear else "good",
        numbers,
    )


def _totals(rows: Sequence[Mapping[str, Any]], level: float) -> list[Sentence]:
    sentences = []
    for row in rows:
        numbers = {name: row[name] for name in ("prediction", "low", "high", "actual")}
        text = (
            f"The forecast's own {level:.0%} interval of total {row['figure']}, "
            f"{number(row['low'])} to {number(row['high'])}, "
            + ("holds" if row["holds"] else "misses")
            + f" the actual {number(row['actual'])}."
        )
        sentences.append(Sentence("level", text, "good" if row["holds"] else "bad", numbers))
    return sentences


def _error(scores: Scores, metric: str, short: str) -> list[Sentence]:
    ours = scores.metrics[PREDICTION][metric]
    sentences = []
    news_of: dict[str, News] = {"better": "good", "worse": "bad", "even": "even"}
    for words, news in news_of.items():
        found = {m: scores.differences[m, metric] for m in scores.history}
        here = {m: gap for m, gap in found.items() if _error_word(gap) == words}
        if not here:
            continue
        numbers = {short: ours}
        for m, gap in here.items():
            numbers[f"{short} of {scores.labels[m]}"] = scores.metrics[m][metric]
            numbers |= _numbers(f"difference to {scores.labels[m]}", gap)
        listed = _listed(
            [_against(scores, m, metric, gap, words) for m, gap in here.items()],
        )
        start = f"Error per customer, {scores.figure} ({short} {number(ours)})"
        said = "cannot be told apart from" if words == "even" else f"{words} than"
        sentences.append(Sentence("error", f"{start}: {said} {listed}.", news, numbers))
    if metric == "mean_absolute_error":
        sentences += _nothing(scores, metric, short)
    return sentences


def _error_word(gap: Interval) -> str:
    return "even" if not gap.is_clear else "better" if gap.value < 0 else "worse"


def _against(scores: Scores, method: str, metric: str, gap: Interval, words: str) -> str:
    theirs = scores.metrics[method][metric]
    if words == "even":
        return f"{scores.labels[method]} ({number(theirs)}; {_span(gap, scores.level)})"
    by = f", {abs(gap.value) / theirs:.0%}" if theirs else ""
    return f"{scores.labels[method]} ({number(theirs)}{by})"


def _nothing(scores: Scores, metric: str, short: str) -> list[Sentence]:
    gap = scores.differences[NOTHING, metric]
    zero = scores.metrics[NOTHING][metric]
    if gap.high < 0:
        return []
    judged = "is worse than that" if gap.is_clear else "cannot be told apart from that"
    text = (
        f"Foreseeing no {scores.figure} for anybody would have an {short} of {number(zero)}; the "
        f"model ({number(scores.metrics[PREDICTION][metric])}) {judged} "
        f"({_span(gap, scores.level)}). {short} rewards forecasts that are too low: read it beside "
        "RMSE and the total."
    )
    numbers = {f"{short} of 0 for everybody": zero, **_numbers("difference", gap)}
    return [Sentence("error", text, "bad" if gap.is_clear else "even", numbers)]


# -- ranking ------------------------------------------------------------------------------------


def _capture(scores: Scores, top: float) -> list[Sentence]:
    metric = "top_share_captured"
    rival = scores.best_of_history(metric)
    if rival is None:
        return []
    gap = scores.differences[rival, metric]
    ours, theirs = scores.metrics[PREDICTION][metric], scores.metrics[rival][metric]
    most = scores.metrics[PERFECT][metric]
    text = (
        f"Choosing the best {top:.0%} of customers: the model's list holds {ours:.1%} of the "
        f"{scores.figure} to come, that of {scores.labels[rival]}, the best of history, "
        f"{theirs:.1%}: {_judged(gap, scores.level, '+.1%')}. "
        f"A perfect list would hold {most:.1%}."
    )
    numbers = {"model": ours, scores.labels[rival]: theirs, "perfect": most}
    return [Sentence("best customers", text, _news(gap), numbers | _numbers("difference", gap))]


def _ranking(scores: Scores) -> list[Sentence]:
    metric = "normalised_gini"
    rival = scores.best_of_history(metric)
    if rival is None:
        return []
    gap = scores.differences[rival, metric]
    ours, theirs = scores.metrics[PREDICTION][metric], scores.metrics[rival][metric]
    text = (
        f"Ranking everybody by {scores.figure} (normalised Gini, 1 is perfect): {ours:.3f} for the "
        f"model, {theirs:.3f} for {scores.labels[rival]}, the best of history: "
        f"{_judged(gap, scores.level, '+.3f')}."
    )
    numbers = {"model": ours, scores.labels[rival]: theirs}
    return [Sentence("ranking", text, _news(gap), numbers | _numbers("difference", gap))]


def _ties(scores: Scores) -> list[Sentence]:
    """Rank correlation both ways, and a warning where ties decide who is ahead."""
    rival = scores.best_of_history("spearman")
    if rival is None:
        return []
    label = scores.labels[rival]
    mid, lot = (scores.differences[rival, m] for m in ("spearman", "spearman_tie_expected"))
    numbers: dict[str, float] = {}
    parts = []
    for metric, words, gap in (
        ("spearman", "with mid-ranks for ties", mid),
        ("spearman_tie_expected", "in expectation over the order of ties", lot),
    ):
        ours, theirs = scores.metrics[PREDICTION][metric], scores.metrics[rival][metric]
        numbers |= {f"model, {words}": ours, f"{label}, {words}": theirs}
        numbers |= _numbers(f"difference, {words}", gap)
        judged = _judged(gap, scores.level, "+.3f")
        parts.append(f"{words} {ours:.3f} against {theirs:.3f} for {label}: {judged}")
    text = f"Rank correlation (Spearman): {'; '.join(parts)}."
    if _news(mid) != _news(lot):
        text += " How ties are counted decides this comparison, so do not rest on it."
        return [Sentence("ranking", text, "even", numbers)]
    return [Sentence("ranking", text, _news(lot), numbers)]


def _migration(scores: Scores, rows: Sequence[Mapping[str, Any]], top: float) -> list[Sentence]:
    rival = scores.best_of_history("top_share_captured")
    here = {row["cell"]: row for row in rows if row["method"] == rival}
    if rival is None or not here[MODEL_ONLY]["customers"]:
        return []
    gone, come, stay = here[HISTORY_ONLY], here[MODEL_ONLY], here[BOTH]
    gap = scores.differences[rival, "top_share_captured"]
    text = (
        f"Of the best {top:.0%} by {scores.labels[rival]}, the model keeps "
        f"{stay['customers']:,} and replaces {gone['customers']:,}: those it drops were then worth "
        f"{number(gone['value_per_customer'])} each, those it takes in "
        f"{number(come['value_per_customer'])}"
        + ("." if gap.is_clear else "; what the two lists hold in all cannot be told apart.")
    )
    numbers = {
        "kept": stay["customers"],
        "replaced": gone["customers"],
        "value per customer dropped": gone["value_per_customer"],
        "value per customer taken in": come["value_per_customer"],
    }
    return [Sentence("best customers", text, "fact", numbers)]


# -- intervals and calibration --------------------------------------------------------------------


def _coverage(rows: Sequence[Mapping[str, Any]]) -> list[Sentence]:
    sentences = []
    counts = [row for row in rows if row["figure"] == "purchases"]
    if counts:
        off = [row["pit_coverage"] - row["level"] for row in counts]
        held = all(abs(gap) <= TOLERANCE for gap in off)
        listed = _listed([f"{row['pit_coverage']:.1%} at {row['level']:.0%}" for row in counts])
        how = (
            "hold"
            if held
            else "are too wide"
            if all(gap > -TOLERANCE for gap in off)
            else "are too narrow"
            if all(gap < TOLERANCE for gap in off)
            else "have the wrong shape"
        )
        plain = _listed([f"{row['coverage']:.1%}" for row in counts])
        text = (
            f"Predictive intervals of purchases {how}: randomised-PIT coverage {listed} "
            f"({'all' if held else 'not all'} within {TOLERANCE * 100:.0f} points). As whole "
            f"numbers they hold {plain} of the customers, with a mean width of "
            f"{_listed([number(row['width']) for row in counts])}."
        )
        numbers = {f"PIT coverage at {row['level']:.0%}": row["pit_coverage"] for row in counts}
        sentences.append(Sentence("intervals", text, "good" if held else "bad", numbers))
    for row in rows:
        if row["figure"] != "value":
            continue
        gap = row["coverage"] - row["level"]
        how = "miss too many" if gap < -TOLERANCE else "hold at least what they promise"
        text = (
            f"{row['level']:.0%} predictive intervals of value {how}: {row['coverage']:.1%} of the "
            f"customers lie within (mean width {number(row['width'])})."
        )
        numbers = {f"coverage at {row['level']:.0%}": row["coverage"], "width": row["width"]}
        sentences.append(
            Sentence("intervals", text, "bad" if gap < -TOLERANCE else "good", numbers)
        )
    return sentences


def _one_time(rows: Sequence[Mapping[str, Any]]) -> list[Sentence]:
    once = [row for row in rows if row["frequency"] == "0"]
    if not once or not once[0]["customers"]:
        return []
    row = once[0]
    text = (
        f"The {row['customers']:,} customers who had bought once bought "
        f"{number(row['mean_actual'])} times on average; {number(row['mean_prediction'])} were "
        "foreseen."
    )
    numbers = {"actual": row["mean_actual"], "predicted": row["mean_prediction"]}
    return [Sentence("one-time buyers", text, "fact", numbers)]


# -- wording ------------------------------------------------------------------------------------


def _news(gap: Interval) -> Literal["good", "bad", "even"]:
    return "even" if not gap.is_clear else "good" if gap.value > 0 else "bad"


def _judged(gap: Interval, level: float, style: str) -> str:
    span = _span(gap, level, style)
    if not gap.is_clear:
        return f"they cannot be told apart ({span})"
    return f"{'the model' if gap.value > 0 else 'history'} is ahead ({span})"


def _span(gap: Interval, level: float, style: str = "+.4g") -> str:
    return f"{level:.0%} interval of the difference {gap.low:{style}} to {gap.high:{style}}"


def _numbers(name: str, interval: Interval) -> dict[str, float]:
    return {name: interval.value, f"{name}, low": interval.low, f"{name}, high": interval.high}


def _listed(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
