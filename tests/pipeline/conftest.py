"""A small shop with a configuration, and a year of it run once."""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from nightly_shop import orders

from clv.pipeline import Configuration, load_configuration, retrain

CUSTOMERS = 500

TOML = """
[source]
path = "orders.csv"
amount = "amount"

[models]
name = "shop"
purchases = ["bg_nbd"]

[gate]
resamples = 300

[forecast]
interval_kind = "expected"

[outputs]
files = ["forecast.parquet", "forecast.csv"]
"""

NIGHT = dt.date(2025, 1, 31)
NEXT = dt.date(2025, 2, 28)


class Shop:
    """A folder with orders and a configuration."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def file(self) -> Path:
        return self.folder / "clv.toml"

    def write(self, table: pd.DataFrame, toml: str = TOML) -> None:
        table.to_csv(self.folder / "orders.csv", index=False)
        self.file.write_text(toml, encoding="utf-8")

    def configure(self, old: str, new: str) -> None:
        text = self.file.read_text(encoding="utf-8")
        assert old in text
        self.file.write_text(text.replace(old, new), encoding="utf-8")

    @property
    def configuration(self) -> Configuration:
        return load_configuration(self.file)

    def night(self, as_of: dt.date = NIGHT, **options: Any) -> Any:
        return retrain(self.configuration, as_of=as_of, **options)

    def orders(self) -> pd.DataFrame:
        return pd.read_csv(self.folder / "orders.csv", dtype={"customer_id": str})

    def tree(self) -> dict[str, bytes | str]:
        """Every file and link with its content."""
        found: dict[str, bytes | str] = {}
        for path in sorted(self.folder.rglob("*")):
            name = path.relative_to(self.folder).as_posix()
            if path.is_symlink():
                found[name] = str(path.readlink())
            else:
                found[name] = path.read_bytes() if path.is_file() else b""
        return found

    def written(self) -> pd.DataFrame:
        return pd.read_parquet(self.folder / "output" / "current" / "forecast.parquet")


@pytest.fixture(scope="session")
def table() -> pd.DataFrame:
    return orders(CUSTOMERS)


@pytest.fixture(scope="session")
def shop_after_a_night(table: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shop whose first night is over; copied by `shop`."""
    folder = tmp_path_factory.mktemp("night") / "shop"
    folder.mkdir()
    shop = Shop(folder)
    shop.write(table)
    answer = shop.night()
    assert (answer.outcome, answer.exit_code) == ("promoted", 0), answer
    return folder


@pytest.fixture
def shop(shop_after_a_night: Path, tmp_path: Path) -> Shop:
    """A shop whose first night is over, to do with as one likes."""
    folder = tmp_path / "shop"
    shutil.copytree(shop_after_a_night, folder, symlinks=True)
    return Shop(folder)


@pytest.fixture
def fresh(table: pd.DataFrame, tmp_path: Path) -> Shop:
    """A shop before its first night."""
    folder = tmp_path / "fresh"
    folder.mkdir()
    shop = Shop(folder)
    shop.write(table)
    return shop


Spoil = Callable[[pd.DataFrame], pd.DataFrame]
