"""Normal forms of what people write, in five countries."""

from __future__ import annotations

import pytest

from clv.export import people


@pytest.mark.parametrize(
    ("text", "region", "expected"),
    [
        ("030 901820", "DE", "+4930901820"),
        ("0049 30 901820", "DE", "+4930901820"),
        ("01 99 00 12 34", "FR", "+33199001234"),
        ("(020) 7946 0958", "GB", "+442079460958"),
        ("+44 (0)20 7946 0958", "US", "+442079460958"),
        ("(650) 555-1212", "US", "+16505551212"),
        ("1-650-555-1212", "US", "+16505551212"),
        ("0912-345-6789", "IR", "+989123456789"),
        ("۰۹۱۲ ۳۴۵ ۶۷۸۹", "IR", "+989123456789"),
        ("٠٩١٢٣٤٥٦٧٨٩", "IR", "+989123456789"),
        ("00989123456789", "IR", "+989123456789"),
        ("+98 (912) 345 6789", None, "+989123456789"),
        ("\u202a+98 912 345 6789\u202c", None, "+989123456789"),
        ("0912 345 6789", None, None),
        ("12", "DE", None),
        ("n/a", "DE", None),
        ("", "DE", None),
    ],
)
def test_telephones(text: str, region: str | None, expected: str | None) -> None:
    assert people.phone(text, region) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("  ADA@Example.COM\t", "ada@example.com"),
        ("ada.b+c@example.com", "ada.b+c@example.com"),
        ("Jörg@MÜNCHEN.example", "jörg@münchen.example"),
        ("Jo\u0308rg@mu\u0308nchen.example", "jörg@münchen.example"),
        ("\u200fعلی@مثال.ایران", "علی@مثال.ایران"),
        ("ada@example", None),
        ("ada@exam ple.com", None),
        ("a@b@example.com", None),
        ("a@example.com, b@example.com", None),
        ("@example.com", None),
        ("x" * 250 + "@example.com", None),
        ("", None),
    ],
)
def test_addresses(text: str, expected: str | None) -> None:
    assert people.email(text) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (True, "granted"), ("TRUE", "granted"), (" yes ", "granted"), ("1", "granted"),
        (1.0, "granted"), ("بله", "granted"), (False, "refused"), ("0", "refused"),
        ("Nein", "refused"), (None, "missing"), (float("nan"), "missing"), ("", "missing"),
        ("perhaps", "unclear"), ("2", "unclear"), ("yes, but", "unclear"),
    ],
)  # fmt: skip
def test_only_a_clear_yes_is_consent(value: object, expected: str) -> None:
    assert people.consent(value) == expected
