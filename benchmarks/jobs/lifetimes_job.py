"""The whole job with lifetimes: Parquet -> forecast."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from stopwatch import Stopwatch
from terms import END, MONTHLY_RATE, MONTHS, WEEKS

watch = Stopwatch()

with watch.stage("import"):
    import pandas as pd
    from lifetimes import BetaGeoFitter, GammaGammaFitter
    from lifetimes.utils import summary_data_from_transaction_data

with watch.stage("read and summarise"):
    lines = pd.read_parquet(sys.argv[1])
    rfm = summary_data_from_transaction_data(
        lines,
        "customer_id",
        "date",
        monetary_value_col="amount",
        observation_period_end=END,
        freq="D",
        freq_multiplier=7,
    )
    del lines

with watch.stage("BG/NBD fit"):
    bg = BetaGeoFitter().fit(rfm["frequency"], rfm["recency"], rfm["T"])

with watch.stage("Gamma-Gamma fit"):
    repeat = rfm[(rfm["frequency"] > 0) & (rfm["monetary_value"] > 0)]
    gg = GammaGammaFitter().fit(repeat["frequency"], repeat["monetary_value"])

with watch.stage("forecast"):
    history = (rfm["frequency"], rfm["recency"], rfm["T"])
    rfm["probability_alive"] = bg.conditional_probability_alive(*history)
    rfm["expected_purchases"] = bg.conditional_expected_number_of_purchases_up_to_time(
        WEEKS, *history
    )
    rfm["residual_value"] = gg.customer_lifetime_value(
        bg, *history, rfm["monetary_value"], time=MONTHS, discount_rate=MONTHLY_RATE, freq="W"
    )

watch.report(
    customers=len(rfm),
    **{name: float(bg.params_[name]) for name in ("r", "alpha", "a", "b")},
    **{name: float(gg.params_[name]) for name in ("p", "q", "v")},
    alive=float(rfm["probability_alive"].mean()),
    purchases=float(rfm["expected_purchases"].sum()),
    value=float(rfm["residual_value"].sum()),
)
