"""The page in a real browser: it sorts, searches, runs from right to left, and asks nobody."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

Open = Callable[..., Any]


@pytest.fixture
def open_page(browser: Any, files: dict[str, Path]) -> Iterator[Open]:
    """Open a page; at the end nothing may have been said on the console or asked of anybody."""
    said: list[str] = []
    asked: list[str] = []
    opened = []

    def go(code: str = "en", width: int = 1280) -> Any:
        page = browser.new_page(viewport={"width": width, "height": 900})
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("dialog", lambda dialog: said.append(dialog.message))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(files[code].as_uri())
        opened.append(files[code].as_uri())
        return page

    yield go
    for context in browser.contexts:
        context.close()
    assert said == []
    assert asked == opened


def column(page: Any, number: int) -> list[str]:
    found: list[str] = page.locator(
        f"#customers-table tbody tr:not([hidden]) > :nth-child({number})"
    ).all_inner_texts()
    return found


def heading(page: Any, number: int) -> Any:
    return page.locator(f"#customers-table thead th:nth-child({number})")


def numbers(texts: list[str]) -> list[float]:
    latin = str.maketrans("۰۱۲۳۴۵۶۷۸۹٫٪", "0123456789.%", "٬,")
    return [float(text.translate(latin).rstrip("%")) for text in texts]


@pytest.mark.parametrize("code", ["en", "fa"])
def test_headings_sort_numbers_days_and_names(open_page: Open, code: str) -> None:
    page = open_page(code)
    value = numbers(column(page, 7))
    assert value == sorted(value, reverse=True)
    assert heading(page, 7).get_attribute("aria-sort") == "descending"
    heading(page, 7).locator("button").click()
    assert numbers(column(page, 7)) == sorted(value)
    assert heading(page, 7).get_attribute("aria-sort") == "ascending"
    heading(page, 7).locator("button").press("Enter")
    assert numbers(column(page, 7)) == sorted(value, reverse=True)

    heading(page, 10).locator("button").click()  # last purchase
    days = page.locator("#customers-table tbody tr > :nth-child(10) time")
    found = [d.get_attribute("datetime") for d in days.all()]
    assert found == sorted(found)
    sorts = [
        h.get_attribute("aria-sort") for h in page.locator("#customers-table th[scope=col]").all()
    ]
    assert sorts.count("ascending") == 1
    assert sorts.count("none") == len(sorts) - 1

    heading(page, 1).locator("button").click()
    assert column(page, 1)[0].startswith("C0")
    assert len(column(page, 1)) == 200


def test_missing_days_come_last_either_way(open_page: Open) -> None:
    page = open_page()
    for _ in range(2):
        heading(page, 11).locator("button").click()
        days = column(page, 11)
        missing = [day == "–" for day in days]
        assert missing == sorted(missing)


def test_the_field_searches_ids_names_tiers_and_says_how_many(open_page: Open) -> None:
    page = open_page()
    first = column(page, 1)[0]
    page.get_by_role("searchbox").fill(first.lower())
    assert column(page, 1) == [first]
    assert page.locator("#count").inner_text() == "1 of 200 shown"
    page.get_by_role("searchbox").fill("no such customer")
    assert column(page, 1) == []
    page.get_by_role("searchbox").fill("PLATINUM")
    assert len(column(page, 1)) == 200
    page.get_by_role("searchbox").fill("")
    assert len(column(page, 1)) == 200


def test_persian_runs_from_right_to_left_and_finds_either_digits(open_page: Open) -> None:
    page = open_page("fa")
    assert page.evaluate("getComputedStyle(document.documentElement).direction") == "rtl"
    left = [h.bounding_box()["x"] for h in page.locator("#customers-table th[scope=col]").all()]
    assert left == sorted(left, reverse=True), "the first column is the rightmost"
    ends = page.evaluate(
        "() => { const h = document.querySelector('h1').getBoundingClientRect();"
        " const r = document.createRange(); r.selectNodeContents(document.querySelector('h1'));"
        " return [h.right, r.getBoundingClientRect().right]; }"
    )
    assert ends[0] == pytest.approx(ends[1], abs=1), "lines begin at the right"
    minus = page.evaluate(
        "() => { const d = [...document.querySelectorAll('data')].find("
        "d => d.textContent.startsWith('−')); const r = document.createRange();"
        " r.setStart(d.firstChild, 0); r.setEnd(d.firstChild, 1);"
        " return [r.getBoundingClientRect().left, d.getBoundingClientRect().left]; }"
    )
    assert minus[0] == pytest.approx(minus[1], abs=1), "a minus stands before its number"
    first = column(page, 1)[0]
    persian = first.translate(str.maketrans("0123456789", "۰۱۲۳۴۵۶۷۸۹"))
    for typed in (first, persian):
        page.get_by_role("searchbox").fill(typed)
        assert column(page, 1) == [first]
    assert page.locator("#count").inner_text() == "نمایش ۱ از ۲۰۰"


@pytest.mark.parametrize("code", ["en", "fa"])
@pytest.mark.parametrize("width", [1280, 390])
def test_no_page_is_wider_than_its_window(open_page: Open, code: str, width: int) -> None:
    page = open_page(code, width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    boxes = [p.bounding_box() for p in page.locator("figure svg").all()]
    assert all(b["width"] >= min(width, 600) * 0.9 and b["height"] > 150 for b in boxes)
    sizes = page.evaluate(
        "[...document.querySelectorAll('svg text')].map(t => t.getBoundingClientRect().height)"
    )
    assert min(sizes) >= 8, "text in pictures can be read on a telephone"
    small = page.evaluate(
        "Math.min(...[...document.querySelectorAll('p, td, th, li, small')]"
        ".map(e => parseFloat(getComputedStyle(e).fontSize)))"
    )
    assert small >= 12


def test_paper_has_no_field_to_search_in(open_page: Open) -> None:
    page = open_page()
    page.emulate_media(media="print")
    assert not page.get_by_label("Search").is_visible()
    assert page.locator("#customers-table").is_visible()
