"""The whole job with clv, checks on: Parquet -> forecast; `interval=none` for points only."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from stopwatch import Stopwatch
from terms import END, WEEKS, YEARLY_RATE

interval = None if "interval=none" in sys.argv else 0.9
watch = Stopwatch()

with watch.stage("import"):
    import clv

with watch.stage("read and summarise"):
    lines = clv.read_transactions(
        sys.argv[1], customer_id="customer_id", date="date", amount="amount"
    )
    rfm = clv.rfm_summary(lines, observation_period_end=END, time_unit="week")

with watch.stage("BG/NBD fit"):
    purchases = clv.BetaGeoModel().fit(rfm)

with watch.stage("Gamma-Gamma fit"):
    spend = clv.GammaGammaModel().fit(rfm)

with watch.stage("forecast"):
    forecast = clv.forecast(
        rfm, purchases, spend, horizon=WEEKS, discount_rate=YEARLY_RATE, interval=interval
    )

watch.report(
    customers=len(rfm),
    **{name: purchases.parameters[name] for name in ("r", "alpha", "a", "b")},
    **{name: spend.parameters[name] for name in ("p", "q", "v")},
    alive=float(forecast.array("probability_alive").mean()),
    purchases=float(forecast.array("expected_purchases").sum()),
    value=float(forecast.array("residual_value").sum()),
)
