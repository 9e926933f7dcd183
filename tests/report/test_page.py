"""The page as a document: the same numbers in both languages, and nothing that runs."""

from __future__ import annotations

import base64
import hashlib
import re
import string
import tomllib
from collections.abc import Callable
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from persiantools.jdatetime import JalaliDate

import clv
from clv.errors import DataError
from clv.report import gather, language, page
from clv.report.language import FOLDER

LANGUAGES = ("en", "fa")
_LATIN = str.maketrans("۰۱۲۳۴۵۶۷۸۹٬٫٪−", "0123456789,.%-")

#: Conversions from the almanac of the Iranian calendar centre, not from our code.
JALALI = {"2025-06-30": "1404/04/09", "2023-01-01": "1401/10/11", "2024-11-12": "1403/08/22"}


class Document(HTMLParser):
    """Elements in order, with their attributes, and texts with the elements around them."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[tuple[str, ...], str]] = []
        self._open: list[tuple[str, bool]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        found = dict(attrs)
        self.elements.append((tag, found))
        if tag not in ("meta", "link", "input", "br"):
            inherited = bool(self._open) and self._open[-1][1]
            own = found.get("lang")
            self._open.append((tag, (own == "en" and tag != "html") or inherited))

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop()[0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        tags = tuple(tag for tag, _ in self._open)
        english = bool(self._open) and self._open[-1][1]
        if data.strip() and not english and not {"style", "script"} & set(tags):
            self.texts.append((tags, data.strip()))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def within(self, tag: str) -> list[str]:
        return [text for tags, text in self.texts if tag in tags]


@pytest.fixture(scope="module")
def documents(shop: Any) -> dict[str, Document]:
    return {code: Document(html) for code, html in shop.html.items()}


# --- two languages, one set of numbers -----------------------------------------------------------


def test_both_pages_show_the_same_numbers(documents: dict[str, Document]) -> None:
    english, persian = (documents[code].within("data") for code in LANGUAGES)
    assert len(english) > 1500
    assert [text.translate(_LATIN) for text in persian] == [
        text.translate(_LATIN) for text in english
    ]
    assert all(not re.search("[0-9,%]", text) for text in persian), "in Persian digits"
    values = [[d["value"] for d in documents[code].all("data")] for code in LANGUAGES]
    assert values[0] == values[1]


def test_every_number_that_can_be_read_is_the_same(documents: dict[str, Document]) -> None:
    """Those of the pictures and of running text included; days apart, which differ."""
    found = {}
    for code, document in documents.items():
        texts = [t for tags, t in document.texts if not {"time", "title", "bdi"} & set(tags)]
        found[code] = re.findall(r"-?\d[\d,]*\.?\d*%?", " ; ".join(texts).translate(_LATIN))
    assert len(found["en"]) > 1500
    assert found["fa"] == found["en"]


def test_days_are_the_same_days(documents: dict[str, Document]) -> None:
    english, persian = (documents[code] for code in LANGUAGES)
    assert [t["datetime"] for t in english.all("time")] == [
        t["datetime"] for t in persian.all("time")
    ]
    assert english.within("time") == [t["datetime"] for t in english.all("time")]
    shown = dict(
        zip((t["datetime"] for t in persian.all("time")), persian.within("time"), strict=True)
    )
    for gregorian, jalali in JALALI.items():
        assert shown[gregorian].translate(_LATIN) == jalali


def test_the_page_shows_what_was_forecast(shop: Any, documents: dict[str, Document]) -> None:
    text = re.search(r'data-figure="residual_value">.*?</li>', shop.html["en"], re.S)
    assert text is not None
    total = next(t for t in shop.forecast.totals if t.name == "residual_value")
    assert [float(v) for v in re.findall(r'<data value="([^"]*)"', text[0])] == pytest.approx(
        [total.value, 0.9, total.low, total.high], abs=0.51
    )
    value = np.sort(shop.forecast.array("residual_value"))[::-1]
    rows = [person.residual_value for person in shop.facts.top]
    assert rows == pytest.approx(value[:200])
    at_risk = np.maximum(shop.forecast.array("residual_value"), 0) * shop.forecast.array(
        "churn_probability"
    )
    assert shop.facts.people.value_at_risk == pytest.approx(at_risk.sum())
    sums = {r["tier"]: r["residual_value"] for r in shop.facts.tiers}
    assert sum(sums.values()) == pytest.approx(value.sum())


def test_the_languages_say_the_same_things() -> None:
    texts = {code: dict(language(code).texts) for code in LANGUAGES}
    own = {key for key in texts["fa"] if key.startswith("reason.")}
    assert set(texts["en"]) == set(texts["fa"]) - own
    for key, english in texts["en"].items():
        assert _places(english) == _places(texts["fa"][key]), f"{key}: other places, or order"


def _places(text: str) -> list[str | None]:
    return [name for _, name, _, _ in string.Formatter().parse(text) if name is not None]


def test_every_reason_of_the_shop_is_said_in_persian(shop: Any) -> None:
    words = language("fa")
    told = [words.reason(reason) for reason in shop.facts.quality.reasons]
    assert len(told) > 8
    assert not [text for text in told if "lang=" in text]


def test_no_text_is_left_unused() -> None:
    source = "".join(
        path.read_text("utf-8")
        for path in FOLDER.parent.rglob("*")
        if path.suffix in (".py", ".html")
    )
    with (FOLDER / "en.toml").open("rb") as file:
        groups = tomllib.load(file)
    made = {"verdict", "method", "metric", "tier", "stage", "segment", "channel", "headline",
            "section", "fact", "column", "picture", "unit", "curve", "worth", "models"}  # fmt: skip
    for group, texts in groups.items():
        for key in texts:
            assert f"{group}.{key}" in source or group in made, f"{group}.{key}"


# --- nothing that runs, nothing from elsewhere ---------------------------------------------------


@pytest.mark.parametrize("code", LANGUAGES)
def test_only_our_own_style_and_script_may_run(code: str, shop: Any) -> None:
    html = shop.html[code]
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', html)
    assert policy is not None
    for tag in ("style", "script"):
        found = re.findall(rf"<{tag}>(.*?)</{tag}>", html, re.S)
        assert len(found) == 1
        digest = base64.b64encode(hashlib.sha256(found[0].encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy[1]
    assert "unsafe" not in policy[1]
    assert policy[1].startswith("default-src 'none'")


@pytest.mark.parametrize("code", LANGUAGES)
def test_nothing_is_fetched_and_no_attribute_runs(
    code: str, documents: dict[str, Document]
) -> None:
    for tag, attributes in documents[code].elements:
        for name, value in attributes.items():
            assert not name.startswith("on"), (tag, name)
            assert name not in ("style", "src", "action", "formaction"), (tag, name)
            if name == "href":
                assert str(value).startswith(("#", "data:,")), value
            if value and "url(" in value:
                assert value.startswith("url(#"), value


def test_markup_in_names_stays_text(small: Callable[..., Any]) -> None:
    evil = '<script>alert("1")</script><img src=x onerror=alert(1)>'
    table = pd.DataFrame(
        {"customer_id": np.arange(1, 201), "first_name": evil, "last_name": "'\"&"}
    )
    html = page(small(customers=table), "en", title=evil, currency=evil)
    assert evil not in html
    assert html.count("<script>") == 1
    document = Document(html)
    assert document.within("bdi").count(f"{evil} '\"&") >= 200
    assert document.within("h1")[0] == evil


# --- accessible ----------------------------------------------------------------------------------


@pytest.mark.parametrize("code", LANGUAGES)
def test_the_page_can_be_read_without_seeing_it(code: str, documents: dict[str, Document]) -> None:
    document = documents[code]
    assert document.elements[0] == (
        "html",
        {"lang": code, "dir": "rtl" if code == "fa" else "ltr"},
    )
    levels = [int(tag[1]) for tag, _ in document.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    ids = [a["id"] for _, a in document.elements if a.get("id")]
    assert len(ids) == len(set(ids)), "an identifier is there once"
    assert all(a.get("scope") in ("col", "row") for a in document.all("th"))
    pictures = document.all("svg")
    assert len(pictures) == 3
    for picture in pictures:
        assert picture["role"] == "img"
        assert set(str(picture["aria-labelledby"]).split()) <= set(ids)
    assert len(document.within("desc")) == 3
    labelled = {a["for"] for a in document.all("label")}
    assert {a["id"] for a in document.all("input")} == labelled


def test_colours_can_be_told_from_what_is_behind_them() -> None:
    css = (Path(FOLDER).parent / "template" / "style.css").read_text("utf-8")
    colour = dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", css))
    pairs = [(colour[a], colour[b]) for a in ("ink", "soft", "link") for b in ("paper", "tint")]
    for background, ink in re.findall(
        r"\.h\d \{ background: (#[0-9a-f]{6});(?: color: (#[0-9a-f]{6});)? \}", css
    ):
        pairs.append((ink or colour["ink"], background))
    assert len(pairs) == 6 + 7
    for ink, background in pairs:
        assert _contrast(ink, background) >= 4.5, (ink, background)  # WCAG 2.2, 1.4.3


def _contrast(one: str, other: str) -> float:
    def luminance(colour: str) -> float:
        parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


# --- what there is not ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def small() -> Callable[..., Any]:
    """The page of 200 customers of CDNOW, without intervals."""
    orders = clv.datasets.load_cdnow().query("customer_id <= 200")
    transactions = clv.read_transactions(orders)
    rfm = clv.rfm_summary(transactions, observation_period_end="1998-06-30")
    purchases, spend = clv.BetaGeoModel().fit(rfm), clv.GammaGammaModel().fit(rfm)

    def make(horizon: str | None = "52 weeks", **options: Any) -> Any:
        forecast = clv.forecast(rfm, purchases, spend, horizon=horizon, interval=None)
        return gather(transactions, rfm, purchases, spend, forecast, **options)

    return make


def test_a_page_without_customers_test_and_intervals_says_so(small: Callable[..., Any]) -> None:
    facts = small(comparison="no test was asked for")
    for code in LANGUAGES:
        html = page(facts, code)
        assert "no test was asked for" in html
        assert str(language(code).text("channels.none")) in html
        document = Document(html)
        assert len(document.all("svg")) == 2
        assert language(code).plain("column.interval") not in document.within("button")


def test_a_page_without_end_has_no_value_at_risk(small: Callable[..., Any]) -> None:
    facts = small(horizon=None)
    assert "needs a forecast with a horizon" in facts.left_out["risk"]
    for code in LANGUAGES:
        html = page(facts, code)
        assert facts.left_out["risk"] in html
        assert 'id="calls"' not in html


def test_the_same_facts_give_the_same_bytes(shop: Any) -> None:
    assert page(shop.facts, "fa", currency="EUR") == shop.html["fa"]


def test_pages_are_small(shop: Any) -> None:
    assert all(len(html.encode()) < 500_000 for html in shop.html.values())


def test_there_are_two_languages() -> None:
    with pytest.raises(DataError, match="there are 'en' and 'fa'"):
        language("de")


# --- Jalali and Gregorian ------------------------------------------------------------------------


def test_orders_of_either_calendar_give_identical_forecasts() -> None:
    files = clv.datasets.load_shop()
    jalali = pd.read_csv(files.orders_jalali, dtype=str).head(4000)
    who, day, amount = (files.columns_jalali[name] for name in ("customer_id", "date", "amount"))
    days = [
        str(JalaliDate(*map(int, text.translate(_LATIN).split("/"))).to_gregorian())
        for text in jalali[day]
    ]
    found = []
    for table, calendar, end in (
        (jalali, "jalali", "1402/12/29"),
        (jalali.assign(**{day: days}), "gregorian", "2024-03-19"),
    ):
        transactions = clv.read_transactions(
            table, customer_id=who, date=day, amount=amount, calendar=calendar
        )
        rfm = clv.rfm_summary(transactions, observation_period_end=end)
        purchases, spend = clv.BetaGeoModel().fit(rfm), clv.GammaGammaModel().fit(rfm)
        found.append(clv.forecast(rfm, purchases, spend, horizon="52 weeks", draws=50).to_pandas())
    assert len(found[0]) > 1000
    pd.testing.assert_frame_equal(*found, check_exact=True)


def test_a_gregorian_day_is_not_taken_for_a_jalali_one() -> None:
    files = clv.datasets.load_shop()
    transactions = clv.read_transactions(files.orders_jalali, **files.columns_jalali)
    with pytest.raises(DataError, match="is no Jalali date"):
        clv.rfm_summary(transactions, observation_period_end="2025-06-30")
