"""The verdict of a backtest on one page, for somebody who has to decide.

Every sentence carries the numbers it rests on, and none says more than these: a difference whose
interval includes 0 is "no difference that can be told from chance", and what history does better
is said in the same words as what the model does better.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from clv.errors import DataError
from clv.evaluation.cut import Cut
from clv.evaluation.judging import Judged, sentences
from clv.evaluation.table import number, plain
from clv.evaluation.verdict import Sentence

if TYPE_CHECKING:
    from clv.evaluation.backtest import Backtest

_MARKS = {"good": "✓", "bad": "✗", "even": "=", "fact": "·"}


@dataclass(frozen=True, repr=False)
class Verdict:
    """One page: what a model is worth on these data. Made by `Backtest.verdict`.

    Prints as text; in a notebook, and from ``html``, as a page fragment.

    Attributes
    ----------
    headline
        In one sentence.
    sentences
        `Sentence` objects: topic, text, whether it is good news, and the numbers it rests on.
    method, label
        The model judged.
    cut
        The day from which it foresaw what is reported.
    """

    headline: Sentence
    sentences: tuple[Sentence, ...]
    method: str
    label: str
    cut: Any

    @property
    def text(self) -> str:
        """The page as text."""
        lines = [self.headline.text, ""]
        for said in self.sentences:
            mark = _MARKS[said.news]
            lines.append(
                textwrap.fill(said.text, 92, initial_indent=f"{mark} ", subsequent_indent="  ")
            )
        return "\n".join(lines)

    @property
    def html(self) -> str:
        """The page as a fragment of HTML; the numbers behind a sentence unfold below it."""
        from jinja2 import Environment

        template = Environment(autoescape=True, trim_blocks=True).from_string(_PAGE)
        return template.render(
            headline=self.headline,
            said=[
                (_MARKS[s.news], s.news, s.text, [(k, _shown(v)) for k, v in s.numbers.items()])
                for s in self.sentences
            ],
        )

    def to_dict(self) -> dict[str, Any]:
        """Everything in the types of JSON."""
        return {
            "method": self.method,
            "label": self.label,
            "cut": plain(self.cut),
            "headline": _record(self.headline),
            "sentences": [_record(said) for said in self.sentences],
        }

    def __repr__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        return self.html


def _record(said: Sentence) -> dict[str, Any]:
    return {
        "topic": said.topic,
        "text": said.text,
        "news": said.news,
        "numbers": plain(dict(said.numbers)),
    }


def _shown(value: float) -> str:
    return "–" if value != value else number(value)


_PAGE = """\
<section class="clv-verdict" style="max-width:46em;line-height:1.45">
<p style="font-size:1.15em"><b>{{ headline.text }}</b></p>
<ul style="list-style:none;padding-left:0">
{% for mark, news, text, numbers in said %}
<li class="clv-{{ news }}" style="margin:.5em 0;padding-left:1.4em">
<b style="display:inline-block;width:1.4em;margin-left:-1.4em">{{ mark }}</b>{{ text }}
{% if numbers %}
<details><summary><small>numbers</small></summary>
<table>
{% for name, value in numbers %}
<tr><td style="text-align:left">{{ name }}</td><td style="text-align:right">{{ value }}</td></tr>
{% endfor %}
</table></details>
{% endif %}
</li>
{% endfor %}
</ul>
<p><small>✓ good news · ✗ bad news · = no difference that can be told from chance</small></p>
</section>
"""


# -- which model ------------------------------------------------------------------------------


def verdict_of(tried: Backtest, method: str | None, cut: Any, top: int) -> Verdict:
    """Write the page; parameters as in `Backtest.verdict`."""
    where = tried.cut(cut)
    earlier = tuple(c for c in tried.usable if c.cut < where.cut)
    name, how = _chosen(tried, method, where, earlier)
    found = where.foreseen["value"].get(name)
    if found is None or not found.is_model or found.expected is None:
        reason = found.ended if found is not None else "there is no such model of value"
        raise DataError(f"{name!r} foresaw nothing at {where.cut}: {reason}")
    judged = Judged(tried, where, earlier, name, found.parts[0])
    headline, said = sentences(judged, how, top)
    return Verdict(headline, tuple(said), name, judged.label("value", name), where.cut)


def _chosen(
    tried: Backtest, method: str | None, where: Cut, earlier: Sequence[Cut]
) -> tuple[str, str]:
    if method is not None:
        return method, "as asked for"
    ended = [c for c in earlier if c.end <= where.cut]
    used = ended or earlier
    found = tried.best("value", cuts=used) if used else None
    if found is not None and found in where.predictions("value"):
        many = "the earlier cut" if len(used) == 1 else f"the {len(used)} earlier cuts"
        said = f"which foresaw value best (CRPS) at {many}"
        if ended:
            return found, said
        shared = "whose period overlaps" if len(used) == 1 else "whose periods overlap"
        return found, f"{said}, {shared} with this one, so it may look better than it is"
    found = tried.best("value", cuts=[where])
    if found is None:
        raise DataError(f"no model foresaw value at {where.cut}; see Backtest.fits for why")
    return found, "which foresaw value best at this very cut, so it may look better than it is"
