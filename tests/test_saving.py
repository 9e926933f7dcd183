"""A saved model comes back the same, holds no customers, and is refused when it was touched."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import clv
from clv.errors import SavedModelError
from clv.fitted import Fitted, FittedPurchases, FittedSpend
from clv.tables.rfm import RFM


@pytest.fixture
def saved(tmp_path: Path, bg_nbd: FittedPurchases) -> Path:
    return bg_nbd.save(tmp_path / "model")


def same(one: Fitted, other: Fitted) -> bool:
    arrays = ("estimates", "log_covariance", "determined", "draws")
    values = (
        "family",
        "log_likelihood",
        "n_customers",
        "time_unit",
        "observation_period_end",
        "fingerprint",
        "convergence",
        "method",
        "notes",
        "options",
    )
    return all(np.array_equal(getattr(one, a), getattr(other, a)) for a in arrays) and all(
        getattr(one, v) == getattr(other, v) for v in values
    )


def test_round_trip(
    tmp_path: Path,
    cdnow: RFM,
    bg_nbd: FittedPurchases,
    mbg_nbd: FittedPurchases,
    gamma_gamma: FittedSpend,
) -> None:
    for fitted in (bg_nbd, mbg_nbd, gamma_gamma):
        back = clv.load(fitted.save(tmp_path / fitted.model_name))
        assert type(back) is type(fitted)
        assert same(back, fitted)
    loaded = [clv.load(tmp_path / name) for name in ("bg_nbd", "gamma_gamma")]
    before = clv.forecast(cdnow, bg_nbd, gamma_gamma, horizon=39)
    after = clv.forecast(cdnow, *loaded, horizon=39)
    assert before.to_pandas().equals(after.to_pandas())


def test_no_customer_is_in_it(saved: Path, cdnow: RFM) -> None:
    files = sorted(path.name for path in saved.iterdir())
    assert files == ["arrays.npz", "model.json"]
    assert sum(path.stat().st_size for path in saved.iterdir()) < 30_000
    with np.load(saved / "arrays.npz", allow_pickle=False) as arrays:
        assert all(len(cdnow) not in array.shape for array in arrays.values())


def test_saving_again_replaces(saved: Path, mbg_nbd: FittedPurchases) -> None:
    mbg_nbd.save(saved)
    assert clv.load(saved).model_name == "mbg_nbd"
    assert [path.name for path in saved.parent.iterdir()] == ["model"]


def test_it_never_replaces_something_else(tmp_path: Path, bg_nbd: FittedPurchases) -> None:
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "dear.txt").write_text("keep me")
    with pytest.raises(SavedModelError, match="exists and is not a saved model"):
        bg_nbd.save(tmp_path / "letters")
    assert (tmp_path / "letters" / "dear.txt").read_text() == "keep me"


def test_a_failure_leaves_the_old_model_and_no_litter(
    saved: Path, mbg_nbd: FittedPurchases, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="No space left"):
        mbg_nbd.save(saved)
    assert clv.load(saved).model_name == "bg_nbd"
    assert [path.name for path in saved.parent.iterdir()] == ["model"]


@given(st.data())
def test_one_changed_byte_is_noticed(
    tmp_path_factory: pytest.TempPathFactory, bg_nbd: FittedPurchases, data: st.DataObject
) -> None:
    folder = bg_nbd.save(tmp_path_factory.mktemp("saved") / "model")
    file = folder / data.draw(st.sampled_from(["arrays.npz", "model.json"]))
    content = bytearray(file.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    bit = data.draw(st.integers(0, 7))
    content[place] ^= 1 << bit
    file.write_bytes(bytes(content))
    try:
        loaded = clv.load(folder)
    except SavedModelError as error:
        message = str(error)
    else:
        message = str(folder)
        assert same(loaded, bg_nbd)  # it was white space between the words of the JSON
    assert str(folder) in message


def test_a_newer_format_is_named(saved: Path) -> None:
    record = json.loads((saved / "model.json").read_text())
    record["format"] = 99
    (saved / "model.json").write_text(json.dumps(record))
    with pytest.raises(
        SavedModelError, match="in format 99, and this version reads 1 and 2; update"
    ):
        clv.load(saved)


def test_what_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(SavedModelError, match="is not a saved model: No such file"):
        clv.load(tmp_path / "nothing")
    (tmp_path / "model.json").write_text("[1, 2]")
    (tmp_path / "arrays.npz").write_bytes(b"")
    with pytest.raises(SavedModelError, match="does not describe a saved model"):
        clv.load(tmp_path)
    (tmp_path / "model.json").write_text("{")
    with pytest.raises(SavedModelError, match="is not readable"):
        clv.load(tmp_path)
