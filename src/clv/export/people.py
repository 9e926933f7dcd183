"""What identifies a person, in the one form that platforms compare: e-mail, telephone, names.

Every function takes text as people write it and returns the normal form, or None where there is
none: an address that cannot be one is no identifier, and sending its hash would help nobody.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from hashlib import sha256 as _sha256
from typing import Any, Literal

from clv.errors import DataError

Consent = Literal["granted", "refused", "missing", "unclear"]

#: Marks of direction and of no width. They come with text that was copied from a page and are
#: part of no address and no number; within a name they may be (the Persian half-space).
_INVISIBLE = dict.fromkeys(
    [
        *(0x00AD, 0x061C, 0x200B, 0x200C, 0x200D, 0x200E, 0x200F, 0x2060, 0xFEFF),
        *range(0x202A, 0x202F),
        *range(0x2066, 0x206A),
    ]
)

_EMAIL = re.compile(r"[^@\s,;<>()\"]+@[^@\s,;<>()\"]+\.[^@\s,;<>()\".]+")
_EMAIL_LENGTH = 254
_PHONE_LENGTH = 7

_GRANTED = {
    "true",
    "t",
    "yes",
    "y",
    "1",
    "1.0",
    "granted",
    "opt-in",
    "ja",
    "oui",
    "si",
    "بله",
    "بلی",
}
_REFUSED = {
    "false",
    "f",
    "no",
    "n",
    "0",
    "0.0",
    "denied",
    "refused",
    "opt-out",
    "nein",
    "non",
    "خیر",
}


def sha256(text: str) -> str:
    """SHA-256 of the text in UTF-8, as 64 lower-case hexadecimal digits.

    Examples
    --------
    >>> sha256("test")
    '9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08'
    """
    return _sha256(text.encode()).hexdigest()


def email(text: str) -> str | None:
    """An e-mail address: trimmed, lower-case; None if it cannot be one.

    Letters beyond ASCII stay as they are, composed (NFC), in the name and in the domain.

    Examples
    --------
    >>> email("  Jörg@MÜNCHEN.example "), email("nobody"), email("two words@example.com")
    ('jörg@münchen.example', None, None)
    """
    found = unicodedata.normalize("NFC", text.translate(_INVISIBLE).strip().lower())
    return found if len(found) <= _EMAIL_LENGTH and _EMAIL.fullmatch(found) else None


def phone(text: str, region: str | None) -> str | None:
    """A telephone number in E.164 (+ and up to 15 digits); None if it cannot be one.

    Parameters
    ----------
    text
        As people write it, in any digits.
    region
        Two-letter country in which a number without a country's code is to be read.

    Raises
    ------
    DataError
        If the package phonenumbers is not installed.

    Examples
    --------
    >>> phone("(650) 555-1212", "US"), phone("۰۹۰۰ ۰۰۰ ۰۵۳۳", "IR"), phone("n/a", "DE")
    ('+16505551212', '+989000000533', None)
    """
    numbers = _phonenumbers()
    try:
        number = numbers.parse(text.translate(_INVISIBLE), region)
    except numbers.NumberParseException:
        return None
    found = str(numbers.format_number(number, numbers.PhoneNumberFormat.E164))
    # some countries' plans leave room for two digits; nobody's own number is as short
    return found if numbers.is_possible_number(number) and len(found) > _PHONE_LENGTH else None


@lru_cache(maxsize=1)
def _phonenumbers() -> Any:
    try:
        import phonenumbers
    except ImportError as error:
        raise DataError(
            "telephone numbers need one more package; run: pip install "
            '"predictive-clv[ads]", or leave the column of telephone numbers out'
        ) from error
    return phonenumbers


def regions() -> frozenset[str]:
    """The two-letter countries whose telephone numbers can be read."""
    return frozenset(_phonenumbers().SUPPORTED_REGIONS)


def digits(text: str) -> str | None:
    """Digits alone, without leading zeros: how Meta compares telephone numbers.

    Examples
    --------
    >>> digits("+16505551212")
    '16505551212'
    """
    return re.sub(r"\D", "", text).lstrip("0") or None


def name(text: str) -> str | None:
    """A name: trimmed, lower-case, composed (NFC).

    Examples
    --------
    >>> name(" O'BRIEN "), name("  ")
    ("o'brien", None)
    """
    return unicodedata.normalize("NFC", text.strip().lower()) or None


def name_without_punctuation(text: str) -> str | None:
    """A name as Meta compares it: lower-case, no punctuation; letters of any script stay.

    Examples
    --------
    >>> name_without_punctuation(" O'BRIEN-Smith "), name_without_punctuation("Valéry")
    ('obriensmith', 'valéry')
    """
    lower = name(text)
    kept = (c for c in lower or "" if unicodedata.category(c)[0] not in "PS")
    return "".join(kept).strip() or None


def letters_and_digits(text: str) -> str | None:
    """A city or state as Meta compares it: lower-case, no punctuation, no spaces.

    Examples
    --------
    >>> letters_and_digits("New York"), letters_and_digits("St. Denis")
    ('newyork', 'stdenis')
    """
    lower = name(text)
    return "".join(c for c in lower or "" if unicodedata.category(c)[0] in "LMN") or None


def country(text: str) -> str | None:
    """A country as two capital letters (ISO 3166-1); None for anything else.

    Examples
    --------
    >>> country(" de "), country("UK"), country("Germany")
    ('DE', 'GB', None)
    """
    found = text.strip().upper()
    if found == "UK":
        return "GB"
    return found if re.fullmatch("[A-Z]{2}", found) else None


def zip_for_meta(text: str, region: str | None) -> str | None:
    """A postal code as Meta compares it: lower-case, no spaces or dashes, five digits in the US.

    Examples
    --------
    >>> zip_for_meta("94016-1234", "US"), zip_for_meta("M1 1AE", "GB")
    ('94016', 'm11ae')
    """
    found = re.sub(r"[\s\-‐-―]", "", text).lower()
    return (found[:5] if region == "US" else found) or None


def trimmed(text: str) -> str | None:
    """Text without blanks at its ends; None if nothing is left."""
    return text.strip() or None


def consent(value: object) -> Consent:
    """What a cell of a consent column says.

    Only a clear yes is consent.

    Examples
    --------
    >>> [consent(x) for x in ("Yes", True, "no", None, " ", "maybe")]
    ['granted', 'granted', 'refused', 'missing', 'missing', 'unclear']
    """
    text = "" if value is None or value != value else str(value).strip().lower()
    if not text:
        return "missing"
    if text in _GRANTED:
        return "granted"
    return "refused" if text in _REFUSED else "unclear"
