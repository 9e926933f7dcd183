"""Models, fits and results go through pickle: to other processes, and back."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import clv
from clv.tables.rfm import RFM


@pytest.fixture(scope="module")
def rfm() -> RFM:
    days = clv.datasets.load_cdnow().query("customer_id % 8 == 0")
    return clv.rfm_summary(
        clv.read_transactions(days),
        calibration_period_end="1997-09-30",
        observation_period_end="1998-06-30",
    )


@pytest.mark.parametrize(
    "model",
    [
        clv.BetaGeoModel(),
        clv.ParetoNBDModel(),
        clv.BetaGeoCNBDKModel(k=2),
        clv.StackedModel(["bg_nbd", clv.ModifiedBetaGeoCNBDKModel(k=2)]),
    ],
    ids=str,
)
def test_purchases(rfm: RFM, model: Any) -> None:
    assert repr(pickle.loads(pickle.dumps(model))) == repr(model)
    fitted = model.fit(rfm)
    again = pickle.loads(pickle.dumps(fitted))
    for ask in ("probability_alive", "expected_purchases"):
        more = () if ask == "probability_alive" else ("39 weeks",)
        expected = getattr(fitted, ask)(rfm, *more)
        np.testing.assert_array_equal(getattr(again, ask)(rfm, *more), expected)
    assert repr(again) == repr(fitted)


def test_all_that_comes_out(rfm: RFM, tmp_path: Path) -> None:
    """In another process, which has not made any of these classes."""
    purchases = clv.BetaGeoModel().fit(rfm, method="laplace", draws=200)
    spend = clv.model_class("gamma_gamma")(purchases="each").fit(rfm)
    contracts = clv.ShiftedBetaGeoModel().fit(clv.contracts_from_survivors([100, 80, 70, 65]))
    forecast = clv.forecast(rfm, purchases, spend, horizon="8 weeks", interval=None)
    tried = clv.backtest(
        clv.read_transactions(clv.datasets.load_cdnow().query("customer_id % 8 == 0")),
        ["bg_nbd"], horizon="8 weeks", cuts=["1997-09-30"], draws=10,
    )  # fmt: skip
    compared = clv.compare(rfm, purchases, spend)
    every = (purchases, spend, contracts, forecast, tried, compared, rfm)
    path = tmp_path / "every.pickle"
    path.write_bytes(pickle.dumps(every))
    program = (
        "import pathlib, pickle, sys\n"
        "for one in pickle.loads(pathlib.Path(sys.argv[1]).read_bytes()): print(one)\n"
        "print('end')"
    )
    found = subprocess.run(
        [sys.executable, "-W", "error", "-c", program, str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert not found.stderr
    assert found.stdout == "".join(f"{one}\n" for one in (*every, "end"))
