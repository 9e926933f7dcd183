"""The whole job, Parquet to Parquet, stage by stage; `memory=2GB` keeps to that.

`floor` does nothing but read the three columns: no job that looks at every line can be faster.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from stopwatch import Stopwatch
from terms import END, WEEKS, YEARLY_RATE

source, options = sys.argv[1], dict(word.partition("=")[::2] for word in sys.argv[2:])
watch = Stopwatch()

if "floor" in options:
    import duckdb

    with watch.stage("floor"):
        duckdb.sql(f"SELECT sum(customer_id), max(date), sum(amount) FROM '{source}'").fetchall()
    watch.report()
    raise SystemExit

with watch.stage("import"):
    from clv import BetaGeoModel, GammaGammaModel, forecast, read_transactions, rfm_summary
    from clv.files import write_table

with watch.stage("read"):
    lines = read_transactions(source, memory=options.get("memory"))
with watch.stage("summarise"):
    rfm = rfm_summary(lines, observation_period_end=END)
with watch.stage("BG/NBD fit"):
    purchases = BetaGeoModel().fit(rfm)
with watch.stage("Gamma-Gamma fit"):
    spend = GammaGammaModel().fit(rfm)
with watch.stage("forecast"):
    table = forecast(
        rfm,
        purchases,
        spend,
        horizon=WEEKS,
        discount_rate=YEARLY_RATE,
        interval=0.9 if "intervals" in options else None,
    )
with watch.stage("write"), tempfile.TemporaryDirectory() as folder:
    write_table(table, Path(folder) / "forecast.parquet")

watch.report(customers=len(rfm), transactions=len(lines), value=table.sum("residual_value"))
