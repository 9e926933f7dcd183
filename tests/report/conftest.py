"""The shop's page in two languages, made once, and a real browser to open it in."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import clv
from clv.report import Facts, gather, page

#: Chromium as root in a container, and nothing that talks to its maker.
FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--no-first-run"),
]


class Shop(NamedTuple):
    forecast: Any
    facts: Facts
    html: dict[str, str]


@pytest.fixture(scope="session")
def shop() -> Shop:
    files = clv.datasets.load_shop()
    transactions = clv.read_transactions(files.orders, **files.columns)
    rfm = clv.rfm_summary(transactions, observation_period_end="2025-06-30")
    purchases, spend = clv.BetaGeoModel().fit(rfm), clv.GammaGammaModel().fit(rfm)
    forecast = clv.forecast(rfm, purchases, spend, horizon="52 weeks", margin=0.42, draws=200)
    earlier = clv.rfm_summary(
        transactions, observation_period_end="2025-06-30", calibration_period_end="2024-11-12"
    )
    comparison = clv.compare(
        earlier,
        clv.BetaGeoModel().fit(earlier),
        clv.GammaGammaModel().fit(earlier),
        bootstrap=50,
    )
    facts = gather(
        *(transactions, rfm, purchases, spend, forecast),
        margin=0.42,
        customers=clv.lifecycle.read_customers(files.customers),
        comparison=comparison,
    )
    return Shop(forecast, facts, {code: page(facts, code, currency="EUR") for code in ("en", "fa")})


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    found = next(
        filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
    )
    if found is None:
        reason = "no Chromium here; on Debian: apt-get install chromium"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=found, args=FLAGS)
        yield running
        running.close()


@pytest.fixture
def files(shop: Shop, tmp_path: Path) -> dict[str, Path]:
    paths = {code: tmp_path / f"report.{code}.html" for code in shop.html}
    for code, path in paths.items():
        path.write_text(shop.html[code], encoding="utf-8")
    return paths
