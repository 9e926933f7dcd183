"""Numbers, days and texts as readers of a language write them.

A number is rounded and written once, in English; another language changes its digits and marks.
So two pages in two languages cannot show different numbers.
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from markupsafe import Markup, escape

from clv.errors import DataError
from clv.tables._day import jalali_text

LanguageName = Literal["en", "fa"]

FOLDER = Path(__file__).parent / "texts"

_MISSING = "–"

#: From English marks to Persian ones: digits, thousands, decimals, per cent.
_PERSIAN = str.maketrans("0123456789,.%", "۰۱۲۳۴۵۶۷۸۹٬٫٪")


@dataclass(frozen=True)
class Language:
    """A language of the page.

    Attributes
    ----------
    code, direction
        For ``<html lang dir>``.
    texts
        By key, such as "tiers.title"; ``{names}`` in them are filled in.
    """

    code: LanguageName
    direction: Literal["ltr", "rtl"]
    texts: Mapping[str, str]

    # -- text ------------------------------------------------------------------------------

    def text(self, key: str, **values: Any) -> Markup:
        """A text, with its places filled; what is filled in is escaped."""
        return Markup(escape(self.texts[key])).format(**values)

    def plain(self, key: str, **values: Any) -> str:
        """The same for pictures and attributes: no markup."""
        return self.texts[key].format(**values)

    def has(self, key: str) -> bool:
        """Whether there is such a text."""
        return key in self.texts

    def term(self, group: str, name: str) -> Markup:
        """A word of a fixed list (a tier, a stage); one that is not in it stays as it is."""
        key = f"{group}.{name}"
        return self.text(key) if key in self.texts else Markup("<bdi>{}</bdi>").format(name)

    def reason(self, text: str) -> Markup:
        """Why rows could not be used: the name of a column and what is wrong with it."""
        for key, translated in self.texts.items():
            if key.startswith("reason.") and (found := _pattern(key).fullmatch(text)):
                column, *numbers = (part.strip() for part in found.groups())
                return Markup(escape(translated)).format(
                    *map(self._own, numbers), column=Markup("<bdi>{}</bdi>").format(column)
                )
        return self.english(text)

    def english(self, text: str) -> Markup:
        """Text that there is in English only."""
        if self.code == "en":
            return escape(text)
        return Markup('<span lang="en" dir="ltr">{}</span>').format(text)

    # -- numbers ---------------------------------------------------------------------------

    def written(self, value: float | None, digits: int = 0, mark: str = "") -> str:
        """A number as text, without markup."""
        if value is None or not math.isfinite(value):
            return _MISSING
        text = f"{value:,.{digits}f}"
        if float(text.replace(",", "")) == 0:
            text = text.removeprefix("-")
        return self._own(text.replace("-", "−") + mark)

    def share(self, value: float | None, digits: int = 0) -> str:
        """A share as per cent, without markup."""
        return self.written(None if value is None else 100 * value, digits, "%")

    def number(self, value: float | None, digits: int = 0) -> Markup:
        """A number."""
        return self._marked(self.written(value, digits), value, digits)

    def percent(self, value: float | None, digits: int = 0) -> Markup:
        """A share as per cent."""
        return self._marked(self.share(value, digits), value, digits + 2)

    def money(self, value: float | None) -> Markup:
        """An amount: whole from a thousand on, with cents below."""
        small = value is not None and math.isfinite(value) and abs(value) < 1000
        return self.number(value, 2 if small else 0)

    def day(self, value: Any) -> Markup:
        """A day."""
        found = _as_date(value)
        if found is None:
            return Markup(_MISSING)
        return Markup('<time datetime="{}">{}</time>').format(
            found.isoformat(), self.written_day(found)
        )

    def written_day(self, value: date) -> str:
        """A day as text: in Persian of the Iranian calendar."""
        if self.code != "fa":
            return value.isoformat()
        return self._own(jalali_text(value))

    def _own(self, text: str) -> str:
        return text.translate(_PERSIAN) if self.code == "fa" else text

    def _marked(self, text: str, value: float | None, digits: int) -> Markup:
        if text == _MISSING or value is None:
            return Markup(_MISSING)
        return Markup('<data value="{}">{}</data>').format(f"{value:.{digits}f}", text)


@lru_cache(maxsize=4)
def language(code: str) -> Language:
    """A language by its code.

    Raises
    ------
    DataError
        If there is none, or it needs a package that is not installed.

    Examples
    --------
    >>> english, persian = language("en"), language("fa")
    >>> english.written(1234.5, 1), persian.written(-1234.5, 1), persian.share(0.25)
    ('1,234.5', '−۱٬۲۳۴٫۵', '۲۵٪')
    >>> persian.written_day(date(2025, 3, 21))
    '۱۴۰۴/۰۱/۰۱'
    """
    if code not in ("en", "fa"):
        raise DataError(f"there is no page in {code!r}; there are 'en' and 'fa'")
    if code == "fa":
        jalali_text(date(2025, 6, 30))  # says what is to be installed, before any work is done
    with (FOLDER / f"{code}.toml").open("rb") as file:
        texts = dict(_flat(tomllib.load(file)))
    return Language("fa" if code == "fa" else "en", "rtl" if code == "fa" else "ltr", texts)


@lru_cache(maxsize=64)
def _pattern(key: str) -> re.Pattern[str]:
    """What a reason looks like: the name of a column, then the key with any numbers for {}."""
    said = re.escape(key.removeprefix("reason.")).replace(r"\{\}", r"(\d+)")
    return re.compile(rf"(.*?){said}", re.DOTALL)


def _flat(record: Mapping[str, Any], before: str = "") -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for key, value in record.items():
        if isinstance(value, Mapping):
            found += _flat(value, f"{before}{key}.")
        else:
            found.append((f"{before}{key}", value.strip()))
    return found


def _as_date(value: Any) -> date | None:
    if isinstance(value, np.datetime64):
        found = value.astype("datetime64[D]").item()
        return found if isinstance(found, date) else None
    return value if isinstance(value, date) else None
