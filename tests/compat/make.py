"""Keep a version as this release writes it, with what it predicts.

    python tests/compat/make.py 0.1.0

Run once per release, before it: later releases must read the folder and predict the same.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path

import pandas as pd

import clv
from clv.pipeline import load_configuration, retrain

HERE = Path(__file__).parent
CONFIGURATION = '[source]\npath = "orders.csv"\n[models]\nname = "cdnow"\npurchases = ["mbg_nbd"]\n'
CUSTOMERS = {
    "customer_id": ["once", "often", "gone"],
    "frequency": [0, 12, 5],
    "recency": [0.0, 60.0, 20.0],
    "T": [70.0, 62.0, 75.0],
    "monetary_value": [None, 41.5, 18.0],
    "mean_purchase_value": [22.0, 40.0, 18.5],
    "total_value": [22.0, 520.0, 111.0],
}
COLUMNS = ("probability_alive", "expected_purchases", "expected_spend", "residual_value",
           "residual_value_low", "residual_value_high", "lifetime_value")  # fmt: skip


def main(release: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clv.datasets.load_cdnow().to_csv(folder / "orders.csv", index=False)
        (folder / "clv.toml").write_text(CONFIGURATION, encoding="utf-8")
        answer = retrain(load_configuration(folder / "clv.toml"), as_of="1998-06-30")
        assert answer.outcome == "promoted", answer
        target = HERE / release
        target.mkdir()
        shutil.copytree(folder / "models" / "cdnow" / "v000001", target / "v000001")
    rfm = clv.rfm_table(
        pd.DataFrame(CUSTOMERS), time_unit="week", observation_period_end="1998-06-30"
    )
    models = [clv.load(target / "v000001" / kind) for kind in ("purchases", "spend")]
    forecast = clv.forecast(rfm, *models, horizon="52 weeks")
    record = {
        "table": CUSTOMERS,
        "observation_period_end": "1998-06-30",
        "forecast": {name: forecast.array(name).tolist() for name in COLUMNS},
    }
    (target / "expected.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
