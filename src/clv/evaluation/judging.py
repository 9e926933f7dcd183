"""What a verdict says of a model at a cut: sentences, each with the numbers it rests on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from clv.evaluation.cut import Cut
from clv.evaluation.differences import Difference, difference
from clv.evaluation.foreseen import Quantity
from clv.evaluation.table import number
from clv.evaluation.verdict import TOLERANCE, Sentence

if TYPE_CHECKING:
    from clv.evaluation.backtest import Backtest

News = Literal["good", "bad", "even", "fact"]

_GOOD: News = "good"
_BAD: News = "bad"
_EVEN: News = "even"

#: Parts of the customers are judged where they have this many.
FEWEST_CUSTOMERS = 50


class Judged(NamedTuple):
    """What sentences are made from: a model at a cut."""

    tried: Backtest
    cut: Cut
    earlier: tuple[Cut, ...]
    method: str  #: of value
    purchases: str

    def label(self, quantity: Quantity, method: str) -> str:
        """Name of a method for people."""
        return self.tried.labels(quantity)[method]

    def at(self, quantity: Quantity, metric: str, method: str, other: str | None) -> Difference:
        """A metric at this cut, or its difference to another method."""
        return difference(
            [self.cut],
            quantity,
            metric,
            method,
            other,
            level=self.tried.interval,
            seed=self.tried.seed,
        )

    def rival(self, quantity: Quantity, metric: str) -> str | None:
        """The best of history by a metric at this cut."""
        return self.tried.best(quantity, metric, models=False, cuts=[self.cut])


def sentences(judged: Judged, how: str, top: int) -> tuple[Sentence, list[Sentence]]:
    """The headline, and what stands below it.

    Parameters
    ----------
    judged
        The model, and where.
    how
        How it was chosen, in words.
    top
        "The best customers" are this many per cent.
    """
    errors, capture = _errors(judged), _capture(judged, top)
    said = [
        _basis(judged, how),
        *_level(judged),
        *errors,
        *capture,
        *_ranking(judged),
        *_intervals(judged),
        *_groups(judged),
        *_boundary(judged),
    ]
    return _headline(judged, errors, capture, top), said


def _basis(judged: Judged, how: str) -> Sentence:
    cut, tried = judged.cut, judged.tried
    bought, value = (float(cut.actual[q].sum()) for q in ("purchases", "value"))
    return Sentence(
        "basis",
        f"{judged.label('value', judged.method)}, {how}, knew {len(cut.table):,} customers on "
        f"{cut.cut} and foresaw the next {tried.horizon:g} {tried.time_unit}s, to {cut.end}. They "
        f"then bought {number(bought)} times for {number(value)} in all.",
        "fact",
        {"customers": len(cut.table), "purchases": bought, "value": value},
    )


def _level(judged: Judged) -> list[Sentence]:
    found = judged.at("value", "bias", judged.method, None)
    totals = judged.tried.totals("value", judged.method, cut=judged.cut.cut, by="frequency")
    row = totals.row(segment="all")
    numbers = {
        "foreseen": row["expected"],
        "actual": row["actual"],
        "its interval, low": row["low"],
        "its interval, high": row["high"],
        **_numbers("relative error", found),
    }
    said = f"{number(row['expected'])} foreseen, {number(row['actual'])} actual"
    if found.value != found.value:
        text = f"Total value: {said}; nothing was spent, so no level can be judged."
        return [Sentence("level", text, "fact", numbers)]
    side = "low" if found.value < 0 else "high"
    if found.is_clear:
        text = f"The model's total value is {abs(found.value):.1%} too {side} ({said})."
    else:
        text = (
            f"The model's total value is {abs(found.value):.1%} {side} ({said}), which may be "
            "chance: another draw of customers could have turned it round."
        )
    holds = "holds" if row["holds"] else "misses"
    text += f" Its own 90% interval, {number(row['low'])} to {number(row['high'])}, {holds} it."
    good = row["holds"] and not found.is_clear
    news: News = "good" if good else "bad"
    return [Sentence("level", text, news, numbers), *_level_before(judged)]


def _level_before(judged: Judged) -> list[Sentence]:
    past = {
        cut.cut: cut.scores["value"].segments[0].metrics.get(judged.method, {}).get("bias")
        for cut in judged.earlier
    }
    known = {cut: bias for cut, bias in past.items() if bias is not None and bias == bias}
    if not known:
        return []
    low, high = min(known.values()), max(known.values())
    numbers = {f"relative error at {cut}": bias for cut, bias in known.items()}
    if len(known) == 1:
        text = f"At the earlier cut its total was off by {low:+.1%}."
    else:
        text = (
            f"At the {len(known)} earlier cuts its total was off by between {low:+.1%} and "
            f"{high:+.1%}."
        )
    return [Sentence("level", text, "fact", numbers)]


def _errors(judged: Judged) -> list[Sentence]:
    """Error per customer against total past spend and against the best of history."""
    metric = "mean_absolute_error"
    rival = judged.rival("value", metric)
    known = judged.cut.predictions("value")
    said = []
    for other in dict.fromkeys(("total_past_spend", rival)):
        if other is None or other not in known:
            continue
        gap = judged.at("value", metric, judged.method, other)
        ours = judged.at("value", metric, judged.method, None).value
        theirs = judged.at("value", metric, other, None).value
        name = judged.label("value", other)
        who = f"{name}, the best of history" if other == rival else name
        numbers = {"model": ours, name: theirs, **_numbers("difference", gap)}
        start = f"Its error per customer, {number(ours)},"
        if not gap.is_clear:
            text = f"{start} cannot be told from that of {who} ({number(theirs)})."
            said.append(Sentence("error", text, "even", numbers))
        elif gap.value < 0:
            text = f"{start} is {_share(ours / theirs)} that of {who} ({number(theirs)})."
            said.append(Sentence("error", text, "good", numbers))
        else:
            over = f"{ours / theirs - 1:.0%} above" if theirs else "above"
            text = f"{start} is {over} that of {who} ({number(theirs)})."
            said.append(Sentence("error", text, "bad", numbers))
    return said


def _share(ratio: float) -> str:
    for share, words in ((1 / 3, "a third of"), (1 / 2, "half"), (2 / 3, "two thirds of")):
        if abs(ratio - share) < 0.025:
            return f"about {words}"
    return f"{ratio:.0%} of"


def _capture(judged: Judged, top: int) -> list[Sentence]:
    metric = f"captured_top_{top}"
    rival = judged.rival("value", metric)
    ours = judged.at("value", metric, judged.method, None).value
    if rival is None or ours != ours:
        return []
    gap = judged.at("value", metric, judged.method, rival)
    theirs = judged.at("value", metric, rival, None).value
    name = judged.label("value", rival)
    numbers = {"model": ours, name: theirs, **_numbers("difference", gap)}
    text = (
        f"Choosing the best {top}% of customers: the model's list holds {ours:.1%} of what is then "
        f"spent, that of {name}, the best of history, {theirs:.1%}: {_judged(gap)}."
    )
    return [Sentence("best customers", text, _news(gap), numbers)]


def _ranking(judged: Judged) -> list[Sentence]:
    """Ranking of everybody; where ties decide who is ahead, that is what is said."""
    rival = judged.rival("value", "spearman_tie_expected")
    if rival is None:
        return []
    name = judged.label("value", rival)
    found, numbers = {}, {}
    for metric, words in (
        ("spearman_tie_expected", "Spearman, expected over ties"),
        ("spearman", "Spearman, mid-ranks"),
        ("normalised_gini", "normalised Gini"),
    ):
        gap = judged.at("value", metric, judged.method, rival)
        found[metric] = gap
        for who, method in (("model", judged.method), (name, rival)):
            numbers[f"{who}: {words}"] = judged.at("value", metric, method, None).value
        numbers |= _numbers(f"difference: {words}", gap)
    if found["spearman_tie_expected"].value != found["spearman_tie_expected"].value:
        return []
    news = {_news(gap) for gap in found.values()}
    start = f"Ranking all customers by value, against {name}"
    if len(news) > 1:
        parts = [
            f"{_winner(found[metric], name)} by {words}"
            for metric, words in (
                ("spearman_tie_expected", "rank correlation with ties in every order"),
                ("spearman", "rank correlation with ties at their mid-rank"),
                ("normalised_gini", "concentration of value (Gini)"),
            )
        ]
        text = f"{start}: {', '.join(parts)}. Do not rest on the ranking."
        return [Sentence("ranking", text, "even", numbers)]
    (same,) = news
    text = f"{start}: {_judged(found['normalised_gini'])}, by rank correlation and by Gini alike."
    return [Sentence("ranking", text, same, numbers)]


def _winner(gap: Difference, name: str) -> str:
    return (
        "no difference"
        if not gap.is_clear
        else "the model leads"
        if gap.value > 0
        else (f"{name} leads")
    )


def _intervals(judged: Judged) -> list[Sentence]:
    said = []
    methods: dict[Quantity, str] = {"value": judged.method, "purchases": judged.purchases}
    for quantity, method in methods.items():
        numbers, off = {}, []
        for level in judged.tried.levels:
            found = judged.at(quantity, f"pit_coverage_{100 * level:g}", method, None)
            numbers[f"PIT coverage of the {level:.0%} interval"] = found.value
            off.append(found.value - level)
        if not all(abs(gap) <= TOLERANCE for gap in off):
            how = (
                "are too narrow"
                if max(off) <= TOLERANCE
                else "are too wide"
                if min(off) >= -TOLERANCE
                else "have the wrong shape"
            )
            news: News = "bad"
        else:
            how, news = "hold", "good"
        level = judged.tried.interval_level
        held = numbers[f"PIT coverage of the {level:.0%} interval"]
        text = (
            f"The intervals of single customers' {quantity} {how}: {held:.1%} of the customers, "
            f"zeros shared out by lot, are within their {level:.0%} interval"
            + (
                "."
                if news == "good"
                else f"; at one level or more they are off by over {TOLERANCE * 100:.0f} points."
            )
        )
        said.append(Sentence("intervals", text, news, numbers))
    return said


def _groups(judged: Judged) -> list[Sentence]:
    """For whom it is wrong: parts of the customers whose total lies outside its interval."""
    said = []
    tried, where = judged.tried, judged.cut
    for by in dict.fromkeys(part.by for part in where.segments):
        rows = [
            row
            for row in tried.totals("value", judged.method, cut=where.cut, by=by).rows()
            if row["segment"] != "all" and row["customers"] >= FEWEST_CUSTOMERS
        ]
        if len(rows) < 2:
            continue
        missed = sorted(
            (row for row in rows if not row["holds"]),
            key=lambda row: -abs(row["expected"] - row["actual"]),
        )
        numbers: dict[str, float] = {}
        for row in rows:
            numbers[f"{row['segment']}: foreseen"] = row["expected"]
            numbers[f"{row['segment']}: actual"] = row["actual"]
        of = {"frequency": "repeat purchases so far", "cohort": "time of first purchase"}.get(
            by, by
        )
        start = f"By {of}, the 90% interval of the total holds for {len(rows) - len(missed)} of "
        start += f"{len(rows)} groups"
        worst = "; ".join(
            f"{row['segment']}: {number(row['expected'])} foreseen, {number(row['actual'])} actual"
            for row in missed[:3]
        )
        if not missed:
            text, news = f"{start}.", _GOOD
        elif _by_chance(rows) > 0.05:
            text, news = f"{start}, which may be chance. Missed: {worst}.", _EVEN
        else:
            text, news = f"{start}. Wrong for {worst}.", _BAD
        said.append(Sentence("groups", text, news, numbers))
    return said


def _by_chance(rows: Sequence[Mapping[str, Any]]) -> float:
    """Probability that totals lie as far from what was foreseen if the forecast is true.

    By the sum of squares of their distances in standard deviations, chi-squared.
    """
    from scipy.special import chdtrc, ndtri

    away = [
        (row["actual"] - row["expected"]) / max(row["high"] - row["expected"], 1e-300)
        for row in rows
    ]
    return float(chdtrc(len(rows), float(ndtri(0.95)) ** 2 * sum(z**2 for z in away)))


def _boundary(judged: Judged) -> list[Sentence]:
    found = judged.cut.foreseen["value"][judged.method]
    if not found.ended.startswith("boundary"):
        return []
    return [
        Sentence("fit", f"The fit ran to a limit of the model. {found.ended}.", "fact", {}),
    ]


def _headline(
    judged: Judged, errors: Sequence[Sentence], capture: Sequence[Sentence], top: int
) -> Sentence:
    """What the error against the best of history and the list of the best say together."""
    if not errors or not capture:
        text = f"{judged.label('value', judged.method)}: too little happened to judge it."
        return Sentence("headline", text, "fact", {})
    amounts, best = errors[-1], capture[0]
    words = {"good": "better than", "bad": "worse than", "even": "no better or worse than"}
    first = f"In amounts {words[amounts.news]} the best historical figure"
    second = f"choosing the best {top}% of customers"
    if amounts.news == best.news:
        text = f"{first}, and so in {second}."
    else:
        text = f"{first}; in {second}, {words[best.news]} it."
    news: News = (
        amounts.news
        if amounts.news == best.news
        else "bad"
        if "bad" in (amounts.news, best.news)
        else "good"
    )
    numbers: Mapping[str, float] = {
        **{f"error: {k}": v for k, v in amounts.numbers.items()},
        **{f"best customers: {k}": v for k, v in best.numbers.items()},
    }
    return Sentence("headline", text, news, numbers)


# -- wording ------------------------------------------------------------------------------------


def _news(gap: Difference) -> News:
    return "even" if not gap.is_clear else "good" if gap.value > 0 else "bad"


def _judged(gap: Difference) -> str:
    return {
        "even": "no difference that can be told from chance",
        "good": "the model is ahead",
        "bad": "history is ahead",
    }[_news(gap)]


def _numbers(name: str, found: Difference) -> dict[str, float]:
    return {name: found.value, f"{name}, low": found.low, f"{name}, high": found.high}
