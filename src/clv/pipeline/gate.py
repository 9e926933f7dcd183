"""The gate: whether a challenger takes the champion's place.

A new fit is not a better model. It takes the place of the one in use only if it foresees held-out
purchases better by more than noise and by enough to matter, or if the one in use has drifted:
what it foresees is off by more than noise and by enough to matter, and the new fit, which has
seen what has changed, is no worse on the same rows. A fit that is as good changes nothing; one
that is worse is refused.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

from clv.fitted import FittedPurchases, FittedSpend
from clv.pipeline.candidates import Candidate, Specification, try_candidate
from clv.pipeline.configuration import GateSection
from clv.pipeline.data import Night
from clv.pipeline.judgement import COVERAGE, Interval, Judgement, Resampling
from clv.pipeline.rules import Bound, Rule, broken
from clv.registry import Version

Verdict = Literal["promoted", "kept", "refused"]

#: Against a champion that is itself off, a challenger may be off by this much more.
_SLACK = 1.1

#: A base to compare on has at least so many customers and held-out purchases.
_FEWEST = 10


@dataclass(frozen=True)
class Decision:
    """What the gate says.

    Attributes
    ----------
    verdict
        "promoted", "kept" (the champion stays, the challenger is as good) or "refused".
    reason
        In words.
    rules
        All that were applied.
    challenger, champion
        How both foresaw the same rows; the champion's is None on the first night.
    compared
        How the champion was compared: "as trained" or "refitted".
    """

    verdict: Verdict
    reason: str
    rules: list[Rule]
    challenger: dict[str, Any]
    champion: dict[str, Any] | None
    compared: str | None

    def to_dict(self) -> dict[str, Any]:
        """As it is kept with the version."""
        return {
            "verdict": self.verdict,
            "reason": self.reason,
            "compared": self.compared,
            "challenger": self.challenger,
            "champion": self.champion,
            "rules": [rule.to_dict() for rule in self.rules],
        }


@dataclass(frozen=True, eq=False)
class Challenger:
    """The best candidate, fitted up to the cut (to be judged) and to everything (to be used)."""

    specification: Specification
    judged: tuple[FittedPurchases, FittedSpend]
    used: tuple[FittedPurchases, FittedSpend]


def judge(
    night: Night,
    challenger: Challenger,
    champion: Version | None,
    withdrawn: list[Version],
    candidates: list[Candidate],
    gate: GateSection,
    seed: int,
    drift: list[Rule],
) -> Decision:
    """Apply every rule, and decide.

    Parameters
    ----------
    night
        Tonight's data.
    challenger
        What was fitted tonight.
    champion
        The version in use.
    withdrawn
        Versions that were rolled back.
    candidates
        Fits up to the cut, so that the champion's specification need not be fitted twice.
    gate
        Thresholds.
    seed
        Of the resampling.
    drift
        Rules about the data, which decide nothing but stand in the answer.
    """
    resampling = Resampling.of(len(night.split), gate.resamples, gate.confidence, seed)
    ours = Judgement(night.split, *challenger.judged, resampling)
    theirs, compared = _champion(night, champion, challenger, candidates, resampling)
    gain = None if theirs is None else ours.gain_over(theirs)
    material = 0.0 if theirs is None else gate.min_gain * abs(float(theirs.log_scores.mean()))
    rules = [
        *_convergence(challenger, gate),
        _no_worse(gain, material, compared),
        *_own(ours, theirs, gate),
        *_parameters(challenger, champion, night, gate),
        _not_withdrawn(night, challenger, withdrawn),
    ]
    if theirs is not None and compared == "as trained":
        rules += _drifted(theirs, gate)
    rules += drift
    verdict, reason = _verdict(rules, champion, gain, material, compared)
    return Decision(
        verdict,
        reason,
        rules,
        ours.to_dict(),
        None
        if theirs is None or champion is None
        else {"version": champion.name, **theirs.to_dict()},
        compared,
    )


def _verdict(
    rules: list[Rule],
    champion: Version | None,
    gain: Interval | None,
    material: float,
    compared: str | None,
) -> tuple[Verdict, str]:
    faults = broken(rules, "quality")
    if faults:
        return "refused", "; ".join(rule.sentence for rule in faults)
    if champion is None:
        return "promoted", "there was no champion"
    if gain is None:
        return "promoted", f"{champion.name} cannot be fitted to tonight's data any more"
    if gain.low > 0 and gain.value >= material:
        return "promoted", (
            f"it foresees held-out purchases better than {champion.name}: log score "
            f"{_spread(gain)} higher"
        )
    drifted = broken(rules, "champion")
    if drifted:
        return "promoted", f"{champion.name} has drifted: {drifted[0].sentence}"
    if compared == "refitted":
        return "kept", (
            f"{champion.name} stays: it is younger than the holdout, and no other specification "
            f"is better than its own by more than noise (log score {_spread(gain)} higher)"
        )
    return "kept", (
        f"{champion.name} stays: the challenger is as good, not better (log score "
        f"{_spread(gain)} higher, {material:.2g} would matter)"
    )


def _spread(gain: Interval) -> str:
    return f"{gain.value:+.5f} ({gain.low:+.5f} to {gain.high:+.5f})"


# --- the champion on the same rows ---------------------------------------------------------------


def _champion(
    night: Night,
    champion: Version | None,
    challenger: Challenger,
    candidates: list[Candidate],
    resampling: Resampling,
) -> tuple[Judgement | None, str | None]:
    """The champion's judgement, fairly.

    As it was trained if it knows nothing of the holdout; else its specification is fitted again up
    to the challenger's cut. A champion in another time unit is compared in its own, so its split
    has the same customers in the same order.
    """
    if champion is None:
        return None, None
    specification = Specification(**champion.specification)
    if champion.as_of <= night.cut:
        split = night.table(cut=night.cut, unit=specification.time_unit)
        return Judgement(split, champion.purchases, champion.spend, resampling), "as trained"
    if specification == challenger.specification:
        return Judgement(night.split, *challenger.judged, resampling), "refitted"
    split = night.table(cut=night.cut, unit=specification.time_unit)
    known = [one for one in candidates if one.specification == specification]
    again = known[0] if known else try_candidate(specification, split)
    if again.fitted is None:
        return None, "refitted"
    return Judgement(split, again.fitted, specification.fit_spend(split), resampling), "refitted"


# --- rules ---------------------------------------------------------------------------------------


def _convergence(challenger: Challenger, gate: GateSection) -> list[Rule]:
    rules = []
    for fitted in challenger.used:
        ended = fitted.convergence
        limit = ended.boundary is not None
        good = ended.converged or (limit and gate.allow_boundary)
        state = f"ran to a boundary: {ended.boundary}" if limit else ended.message
        rules.append(
            Rule(
                f"convergence_{fitted.model_name}",
                "quality",
                float(ended.converged),
                "at least",
                0.0 if limit and gate.allow_boundary else 1.0,
                f"{fitted.model_name} {state or 'reached a maximum'}",
                verdict=good,
            )
        )
    return rules


def _no_worse(gain: Interval | None, material: float, compared: str | None) -> Rule:
    """Worse is: by more than noise, and by enough to matter."""
    if gain is None:
        return Rule(
            "log_score", "quality", None, "at least", 0.0, "there is no champion to compare"
        )
    worse = gain.high < 0 and gain.value < -material
    return Rule(
        "log_score",
        "quality",
        gain.value,
        "at least",
        -material,
        f"mean held-out log score less that of the champion ({compared}), same customers",
        interval=gain.ends,
        verdict=not worse,
    )


def _own(ours: Judgement, theirs: Judgement | None, gate: GateSection) -> list[Rule]:
    """Absolute limits; a champion that is further off itself makes room for as much."""

    def rule(name: str, value: float, limit: float, other: float | None, text: str) -> Rule:
        bound: Bound = "at most"
        if not math.isfinite(value):
            return Rule(name, "quality", None, bound, limit, "nothing was bought in the holdout")
        room = limit if other is None or not math.isfinite(other) else max(limit, _SLACK * other)
        return Rule(name, "quality", value, bound, room, text)

    if float(ours.actual.sum()) < _FEWEST:
        why = f"only {ours.actual.sum():.0f} purchases in the holdout"
        return [Rule("bias", "quality", None, "at most", gate.max_bias, why)]
    off = None if theirs is None else _how_far_off(theirs)

    def room(name: str) -> float | None:
        return None if off is None else off[name]

    own = _how_far_off(ours)
    texts = {
        "bias": (gate.max_bias, f"expected purchases were off by {ours.bias.value:+.1%}"),
        "spend_bias": (
            gate.max_spend_bias,
            f"expected value of a purchase was off by {ours.spend_bias.value:+.1%}",
        ),
        "calibration": (
            gate.max_calibration_error,
            "gap between expected and actual purchases by tenth of the customers, relative",
        ),
        "coverage": (
            gate.max_coverage_error,
            f"{ours.coverage:.1%} of the customers were inside their {COVERAGE:.0%} intervals",
        ),
        "against_history": (
            gate.max_against_history,
            "root mean squared error over that of simply looking back",
        ),
    }
    return [rule(name, own[name], limit, room(name), text) for name, (limit, text) in texts.items()]


def _how_far_off(judgement: Judgement) -> dict[str, float]:
    return {
        "bias": abs(judgement.bias.value),
        "spend_bias": abs(judgement.spend_bias.value),
        "calibration": judgement.calibration_error,
        "coverage": abs(judgement.coverage - COVERAGE),
        "against_history": judgement.against_history,
    }


def _drifted(theirs: Judgement, gate: GateSection) -> list[Rule]:
    """Whether what the champion foresees is off: by more than noise, and by enough to matter."""
    rules = []
    for name, bias, limit, what in (
        ("champion_bias", theirs.bias, gate.champion_bias, "purchases"),
        ("champion_spend_bias", theirs.spend_bias, gate.champion_spend_bias, "value of a purchase"),
    ):
        if not math.isfinite(bias.value) or float(theirs.actual.sum()) < _FEWEST:
            why = "too few purchases in the holdout"
            rules.append(Rule(name, "champion", None, "at most", limit, why))
            continue
        clear = bias.low > 0 or bias.high < 0
        rules.append(
            Rule(
                name,
                "champion",
                abs(bias.value),
                "at most",
                limit,
                f"the champion's expected {what} was off by {bias.value:+.1%}",
                interval=bias.ends,
                verdict=not (clear and abs(bias.value) > limit),
            )
        )
    return rules


def _parameters(
    challenger: Challenger, champion: Version | None, night: Night, gate: GateSection
) -> list[Rule]:
    """What the parameters mean, against the champion's: the letters differ between models."""
    if champion is None:
        return []
    theirs = (champion.purchases, champion.spend)
    before, after = (_meaning(*pair) for pair in (theirs, challenger.used))
    rules = []
    for name, text in (
        ("purchases", "purchases that a new customer will make in a year"),
        ("survival", "share of new customers that are still there after a year"),
        ("spend", "mean value of a purchase"),
    ):
        a, b = before[name], after[name]
        factor = math.exp(abs(math.log(b / a))) if a > 0 and b > 0 else None
        rules.append(
            Rule(
                f"parameters_{name}",
                "quality",
                factor,
                "at most",
                gate.max_parameter_factor,
                f"factor between the {text}: {a:.4g} by {champion.name}, {b:.4g} now",
            )
        )
    return rules


def _meaning(purchases: FittedPurchases, spend: FittedSpend) -> dict[str, float]:
    mean = float(spend.population_mean)
    return {
        "purchases": float(purchases.expected_purchases_new_customer("1 year")),
        "survival": float(purchases.survival_new_customer("1 year")),
        "spend": mean if math.isfinite(mean) else 0.0,
    }


def _not_withdrawn(night: Night, challenger: Challenger, withdrawn: list[Version]) -> Rule:
    """The same model on the same data as one that was rolled back is that one again."""
    specification = challenger.specification
    same = [
        version.name
        for version in withdrawn
        if version.data_fingerprint == night.fingerprint
        and Specification(**version.specification) == specification
    ]
    text = (
        f"the same data and specification as {', '.join(same)}, which was rolled back"
        if same
        else f"{len(withdrawn)} versions were rolled back, none like this one"
    )
    return Rule("not_rolled_back", "quality", float(len(same)), "at most", 0.0, text)
