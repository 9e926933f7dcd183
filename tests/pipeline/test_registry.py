"""The registry: tampering, promoting, rolling back, pruning, refitting, old versions."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import shutil
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pipeline.conftest import NEXT, NIGHT, Shop

import clv
from clv.errors import RegistryError, SavedModelError
from clv.pipeline.reproduce import reproduce
from clv.registry import Aliases, Change, Registry, Version
from clv.registry.mlflow import log_version

COMPAT = Path(__file__).parents[1] / "compat"

SPOILT = [
    "aliases.json",
    "v000001/manifest.json",
    "v000001/params.json",
    "v000001/metrics.json",
    "v000001/profile.json",
    "v000001/purchases/model.json",
    "v000001/purchases/arrays.npz",
    "v000001/spend/arrays.npz",
]


def registry(shop: Shop) -> Registry:
    return Registry(shop.folder / "models", "shop")


# --- tampering -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SPOILT)
def test_a_byte_that_was_changed_is_refused_by_name(shop: Shop, name: str) -> None:
    path = registry(shop).folder / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(SavedModelError, match=path.name):
        registry(shop).verify()
    before = shop.tree()
    answer = shop.night(NEXT)
    assert (answer.outcome, answer.exit_code) == ("failed", 1)
    assert path.name in answer.record["reason"]
    assert shop.tree() == before


def test_a_file_that_was_added_or_removed_is_refused(shop: Shop) -> None:
    version = registry(shop).version("champion")
    (version.folder / "more.txt").write_text("x")
    with pytest.raises(RegistryError, match=r"more\.txt does not belong"):
        version.verify()
    (version.folder / "more.txt").unlink()
    (version.folder / "spend" / "arrays.npz").unlink()
    with pytest.raises(RegistryError, match=r"arrays\.npz is missing"):
        version.verify()


def test_what_was_written_before_whitespace_was_touched(shop: Shop) -> None:
    path = registry(shop).folder / "aliases.json"
    path.write_text(path.read_text().replace("  ", "\t", 1))
    with pytest.raises(RegistryError, match="does not match its checksum"):
        registry(shop).aliases()


def test_an_answer_that_was_changed_is_refused(shop: Shop) -> None:
    (run,) = (registry(shop).folder / "runs").iterdir()
    run.write_text(run.read_text().replace("promoted", "promotet", 1))
    answer = shop.night(NIGHT)
    assert answer.exit_code == 1
    assert run.name in answer.record["reason"]


# --- promoting and rolling back ------------------------------------------------------------------


def change(action: Any, version: str, champion: str | None, as_of: str = "2025-01-31") -> Change:
    return Change(action, version, champion, as_of, "2025-02-01T00:00:00+00:00", "user", "")


def test_aliases_are_what_their_history_says() -> None:
    history = (
        change("register", "v000001", None),
        change("promote", "v000001", "v000001"),
        change("register", "v000002", "v000001", "2025-02-28"),
        change("promote", "v000002", "v000002", "2025-02-28"),
        change("register", "v000003", "v000002", "2025-03-31"),
    )
    aliases = Aliases(history)
    assert (aliases.champion, aliases.previous, aliases.challenger) == (
        "v000002", "v000001", "v000003",
    )  # fmt: skip
    back = aliases.with_change(change("rollback", "v000002", "v000001"))
    assert (back.champion, back.previous, back.withdrawn) == ("v000001", None, {"v000002"})
    assert aliases.champion_before(dt.date(2025, 2, 28)) == "v000001"
    assert aliases.champion_before(dt.date(2025, 1, 31)) is None
    assert Aliases.from_dict(json.loads(json.dumps(aliases.to_dict()))) == aliases


def test_rolled_back_and_not_promoted_again_by_the_same_data(shop: Shop) -> None:
    found = registry(shop)
    # any challenger takes the place of a champion that must not be off at all
    shop.configure("resamples = 300", "resamples = 300\nchampion_spend_bias = 0.000001")
    shop.night(dt.date(2025, 4, 30))
    with found.lock():
        if found.aliases().champion == "v000001":
            found.promote(found.version("v000002"), by="user", reason="test")
        back = found.rollback(reason="complaints")
    assert back.name == found.aliases().champion == "v000001"
    assert found.aliases().withdrawn == {"v000002"}

    again = shop.night(dt.date(2025, 4, 30))
    assert not again.record["refitted"]
    assert found.aliases().champion == "v000001"
    assert set(shop.written()["model_version"]) == {"v000001"}

    table = shop.orders()
    shop.write(table[table["date"] <= "2025-04-30"], shop.file.read_text())
    answer = shop.night(dt.date(2025, 5, 1))
    assert (answer.outcome, answer.exit_code) == ("refused", 5)
    caught = [rule for rule in answer.record["rules"] if not rule["passed"]]
    assert "not_rolled_back" in {rule["rule"] for rule in caught}
    assert "v000002" in answer.record["reason"]
    assert found.aliases().champion == answer.record["scored_by"] == "v000001"


def test_promoting_by_hand_takes_the_mark_away(shop: Shop) -> None:
    shop.night(NEXT)
    found = registry(shop)
    with found.lock():
        found.promote(found.version("v000002"), by="user", reason="by hand")
        with pytest.raises(RegistryError, match="is the champion already"):
            found.promote(found.version("v000002"), by="user", reason="again")
        found.rollback(reason="no")
        with pytest.raises(RegistryError, match="no version before the champion"):
            found.rollback(reason="no")
        found.promote(found.version("v000002"), by="user", reason="yes")
    assert found.aliases().withdrawn == frozenset()
    assert found.aliases().champion == "v000002"


def test_pruning_keeps_what_is_in_use_and_numbers_are_not_used_twice(shop: Shop) -> None:
    found = registry(shop)
    for week in (1, 2, 3):
        shop.night(NIGHT + dt.timedelta(weeks=week))
    with found.lock():
        assert found.prune(2) == ["v000002", "v000003"]
    assert found.names() == ["v000001", "v000004"]
    found.verify()
    assert shop.night(NEXT).record["challenger"] == "v000005"
    with pytest.raises(RegistryError, match=r"no version 'v000002'; it has v000001, v000004"):
        found.version("v000002")


# --- made again, copied, kept --------------------------------------------------------------------


def test_a_version_is_reproduced(shop: Shop) -> None:
    version = registry(shop).version("v000001")
    same = reproduce(version, shop.configuration)
    assert (same["reproduced"], same["same_data"], same["same_code"]) == (True, True, True)
    assert same["other_libraries"] == {}
    table = shop.orders()
    shop.write(table[table["customer_id"] < "C00300"], shop.file.read_text())
    other = reproduce(version, shop.configuration)
    assert (other["reproduced"], other["same_data"]) == (False, False)


class Recorder(types.ModuleType):
    """Stands for MLflow, which is no dependency: what it is called with."""

    def __init__(self) -> None:
        super().__init__("mlflow")
        self.calls: dict[str, Any] = {}

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *given, **options: self.calls.update({name: (*given, *options.values())})

    @contextlib.contextmanager
    def start_run(self, run_name: str) -> Iterator[Any]:
        self.calls["run_name"] = run_name
        yield types.SimpleNamespace(info=types.SimpleNamespace(run_id="r1"))


def test_a_version_is_copied_to_mlflow(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = Recorder()
    monkeypatch.setitem(sys.modules, "mlflow", recorder)
    version = registry(shop).version("champion")
    assert log_version(version, "http://mlflow:5000") == "r1"
    assert recorder.calls["set_tracking_uri"] == ("http://mlflow:5000",)
    assert recorder.calls["set_experiment"] == ("shop",)
    assert recorder.calls["run_name"] == "v000001"
    (metrics,) = recorder.calls["log_metrics"]
    assert metrics["challenger.log_score"] == version.metrics["decision"]["challenger"]["log_score"]
    assert recorder.calls["log_artifacts"] == (str(version.folder),)


def test_mlflow_that_does_not_answer_is_told_and_changes_nothing(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    shop.configure('name = "shop"', 'name = "shop"\nmlflow = "http://mlflow:5000"')
    assert shop.night(NEXT).exit_code == 0


@pytest.mark.parametrize("folder", sorted(COMPAT.glob("*/v000001")), ids=lambda p: p.parent.name)
def test_a_version_of_an_earlier_release_predicts_as_it_did(folder: Path, tmp_path: Path) -> None:
    """`python tests/compat/make.py` writes one; released ones are never made anew."""
    shutil.copytree(folder, tmp_path / folder.name)
    version = Version.read(tmp_path / folder.name).verify()
    expected = json.loads((folder.parent / "expected.json").read_text())
    rfm = clv.rfm_table(
        pd.DataFrame(expected["table"]),
        time_unit="week",
        observation_period_end=expected["observation_period_end"],
    )
    forecast = clv.forecast(rfm, version.purchases, version.spend, horizon="52 weeks")
    for name, values in expected["forecast"].items():
        np.testing.assert_allclose(forecast.array(name), values, rtol=1e-12, err_msg=name)


def test_there_is_a_version_of_an_earlier_release() -> None:
    assert list(COMPAT.glob("*/v000001"))
