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
    # Named, because clv fetches its modules when a name is first used.
    from clv import BetaGeoModel, GammaGammaModel, forecast, read_transactions, rfm_summary

with watch.stage("read and summarise"):
    lines = read_transactions(sys.argv[1], customer_id="customer_id", date="date", amount="amount")
    rfm = rfm_summary(lines, observation_period_end=END, time_unit="week")

with watch.stage("BG/NBD fit"):
    purchases = BetaGeoModel().fit(rfm)

with watch.stage("Gamma-Gamma fit"):
    spend = GammaGammaModel().fit(rfm)

with watch.stage("forecast"):
    table = forecast(
        rfm, purchases, spend, horizon=WEEKS, discount_rate=YEARLY_RATE, interval=interval
    )

watch.report(
    customers=len(rfm),
    **{name: purchases.parameters[name] for name in ("r", "alpha", "a", "b")},
    **{name: spend.parameters[name] for name in ("p", "q", "v")},
    alive=float(table.array("probability_alive").mean()),
    purchases=float(table.array("expected_purchases").sum()),
    value=float(table.array("residual_value").sum()),
)
