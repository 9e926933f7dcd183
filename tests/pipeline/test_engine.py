"""Where a night works changes nothing but where it works."""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner
from nightly_shop import orders
from pipeline.conftest import NIGHT, TOML, Shop

from clv.cli import program
from clv.pipeline import Configuration, run
from clv.pipeline.identity import run_key
from clv.tables._memory import Budget


def test_a_night_within_a_given_memory_writes_the_same(
    fresh: Shop, shop_after_a_night: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Budget, "lines", 700)
    monkeypatch.setattr(Budget, "customers", 90)
    fresh.configure("[models]", '[engine]\nmemory = "500MB"\n\n[models]')
    scored = []
    score = run.score
    monkeypatch.setattr(run, "score", lambda *a: scored.append(f := score(*a)) or f)
    answer = fresh.night()
    assert len(list(scored[0].tables())) > 3
    assert_same_night(fresh, shop_after_a_night, answer)


def assert_a_night_in_a_cluster_is_the_same(
    folder: Path, master: str, options: dict[str, str]
) -> None:
    """A night here, then one there; called where a cluster is running."""
    shops = []
    for name in ("here", "there"):
        (folder / name).mkdir()
        shop = Shop(folder / name)
        shop.write(orders(200), TOML.replace('"orders.csv"', '"orders.parquet"'))
        shop.orders().to_parquet(shop.folder / "orders.parquet", index=False)
        shops.append(shop)
    here, there = shops
    assert here.night().outcome == "promoted"
    conf = ", ".join(f'"{name}" = "{value}"' for name, value in options.items())
    section = f'[engine]\nkind = "spark"\nmaster = "{master}"\noptions = {{ {conf} }}'
    there.configure("[models]", f"{section}\n\n[models]")
    assert_same_night(there, here.folder, there.night())


def assert_same_night(shop: Shop, other: Path, answer: Any) -> None:
    """The same answer and files as those of a night that knew of no engine."""
    assert (answer.outcome, answer.exit_code) == ("promoted", 0), answer
    ran = next((other / "models" / "shop" / "runs").glob("*.json"))
    expected = json.loads(ran.read_text())
    found = answer.record
    for name in ("judgement", "forecast", "data", "notes"):
        assert_close(found[name], expected[name])
    for name in ("forecast.parquet", "forecast.csv"):
        read = pd.read_parquet if name.endswith("parquet") else pd.read_csv
        one, two = (read(folder / "output" / "current" / name) for folder in (shop.folder, other))
        assert one["run"].nunique() == 1
        pd.testing.assert_frame_equal(
            one.drop(columns="run"), two.drop(columns="run"), check_exact=False, rtol=1e-8,
            check_dtype=False,
        )  # fmt: skip


def assert_close(one: Any, two: Any) -> None:
    """Records of JSON, numbers to nine digits."""
    if isinstance(one, dict):
        assert one.keys() == two.keys()
        for name in one:
            assert_close(one[name], two[name])
    elif isinstance(one, list):
        assert len(one) == len(two)
        for pair in zip(one, two, strict=True):
            assert_close(*pair)
    elif isinstance(one, float):
        assert one == pytest.approx(two, rel=1e-7, abs=1e-9)
    else:
        assert one == two


def test_the_engine_does_not_make_another_run() -> None:
    source = {"path": "orders"}
    keys = {
        run_key(Configuration.model_validate({"source": source, "engine": engine}), "data", "day")
        for engine in (
            {},
            {"memory": "2GB"},
            {"kind": "spark", "master": "spark://host:7077", "options": {"spark.cores.max": "4"}},
            {"kind": "spark", "remote": "sc://host"},
        )
    }
    assert len(keys) == 1


def in_spark(shop: Shop, place: str) -> Any:
    shop.orders().to_parquet(shop.folder / "orders.parquet", index=False)
    shop.configure('"orders.csv"', '"orders.parquet"')
    shop.configure("[models]", f'[engine]\nkind = "spark"\n{place}\n\n[models]')
    arguments = ("retrain", str(shop.file), "--as-of", NIGHT.isoformat(), "--log", "none")
    return CliRunner().invoke(program, arguments)


def test_without_pyspark_it_is_said_what_to_install(
    fresh: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "pyspark"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pyspark", None)
    done = in_spark(fresh, 'master = "local[1]"')
    assert done.exit_code == 2
    assert 'pip install "predictive-clv[spark]"' in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("place", "address"),
    [
        ('master = "spark://127.0.0.1:{port}"', "spark://127.0.0.1:{port}"),
        ('master = "spark://127.0.0.1:{port},127.0.0.1:{port}"', "spark://127.0.0.1:{port},"),
        ('remote = "sc://127.0.0.1:{port}/;token=hidden"', "sc://127.0.0.1:{port}"),
    ],
)
def test_a_cluster_that_is_not_there_is_one_message(fresh: Shop, place: str, address: str) -> None:
    pytest.importorskip("pyspark")
    with socket.socket() as one:  # a port that nobody listens at
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    done = in_spark(fresh, place.format(port=port))
    answer = json.loads(done.stdout)
    assert (done.exit_code, answer["outcome"], answer["error"]) == (1, "failed", "EngineError")
    assert answer["reason"].startswith(f"nobody answers at {address.format(port=port)}")
    assert "hidden" not in done.output
