"""The whole job with pymc-marketing, maximum a posteriori: Parquet -> forecast."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from stopwatch import Stopwatch
from terms import END, MONTHLY_RATE, MONTHS, WEEKS

watch = Stopwatch()

with watch.stage("import"):
    import pandas as pd
    from pymc_marketing.clv import BetaGeoModel, GammaGammaModel
    from pymc_marketing.clv.utils import rfm_summary

with watch.stage("read and summarise"):
    lines = pd.read_parquet(sys.argv[1])
    rfm = rfm_summary(
        lines,
        "customer_id",
        "date",
        monetary_value_col="amount",
        observation_period_end=END,
        time_unit="D",
        time_scaler=7,
    )
    del lines

with watch.stage("BG/NBD fit"):
    bg = BetaGeoModel()
    bg.fit(rfm, method="map", progressbar=False)

with watch.stage("Gamma-Gamma fit"):
    gg = GammaGammaModel()
    repeat = rfm[(rfm["frequency"] > 0) & (rfm["monetary_value"] > 0)]
    gg.fit(repeat, method="map", progressbar=False)

with watch.stage("forecast"):
    rfm["probability_alive"] = bg.expected_probability_alive(rfm).to_numpy().ravel()
    rfm["expected_purchases"] = bg.expected_purchases(rfm, future_t=WEEKS).to_numpy().ravel()
    rfm["residual_value"] = (
        gg.expected_customer_lifetime_value(
            bg, rfm, future_t=MONTHS, discount_rate=MONTHLY_RATE, time_unit="W"
        )
        .to_numpy()
        .ravel()
    )


def estimates(model: object, names: str) -> dict[str, float]:
    posterior = model.posterior  # type: ignore[attr-defined]
    return {name: float(posterior[name].mean()) for name in names.split()}


watch.report(
    customers=len(rfm),
    **estimates(bg, "r alpha a b"),
    **estimates(gg, "p q v"),
    alive=float(rfm["probability_alive"].mean()),
    purchases=float(rfm["expected_purchases"].sum()),
    value=float(rfm["residual_value"].sum()),
)
