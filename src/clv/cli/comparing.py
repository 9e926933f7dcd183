"""``clv compare``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from clv.cli import options, summaries, writing
from clv.cli.console import emit, notes, tell, working
from clv.cli.options import Source
from clv.cli.scoring import fit_models, models_of


@click.command(no_args_is_help=True)
@options.source_options
@click.option(
    "--calibration-end",
    metavar="DATE",
    required=True,
    help="Last day the models may know; what comes after it is what they are tested on.",
)
@options.observation_period_end
@options.time_unit
@options.purchase_model
@options.spend_model
@options.spend_purchases
@options.method
@click.option(
    "--interval",
    type=options.share,
    default=0.9,
    show_default=True,
    help="Probability of the intervals.",
)
@click.option(
    "--top",
    type=options.share,
    default=0.1,
    show_default=True,
    help="Share of customers that 'the best' are.",
)
@options.bootstrap(1000)
@options.seed
@click.option(
    "--output",
    metavar="FILE",
    callback=writing.checked_path,
    help="One row per customer, as .parquet, .csv or .xlsx.",
)
@options.as_json
def compare(
    source: Source,
    calibration_end: str,
    observation_period_end: str,
    time_unit: Any,
    model: str,
    spend_model: str,
    spend_purchases: str,
    method: str,
    interval: float,
    top: float,
    bootstrap: int,
    seed: int,
    output: Path | None,
    as_json: bool,
) -> None:
    """Fit on SOURCE up to a day, and test the forecast of the rest against history.

    Everybody known on that day is forecast up to the end; what they then did decides between the
    model and three ways of simply looking back. SOURCE is as in `clv forecast`.
    """
    import clv

    writing.keep_apart(source.name, output=output)
    cut = source.day(calibration_end, "--calibration-end")
    end = source.period_end(observation_period_end, "--observation-period-end")
    transactions = source.read()
    with working("summarising customers"):
        rfm = clv.rfm_summary(
            transactions,
            observation_period_end=end,
            time_unit=time_unit,
            calibration_period_end=cut,
        )
    notes(transactions.quality.notes, rfm.notes)
    purchases, spend = fit_models(
        rfm, *models_of(model, spend_model, spend_purchases), method, seed
    )
    with working(f"comparing {len(rfm):,} customers"):
        comparison = clv.compare(
            rfm, purchases, spend, interval=interval, bootstrap=bootstrap, seed=seed, top=top
        )
    if output is not None:
        writing.write_table(comparison.customers, output)
    if as_json:
        emit(
            {
                "command": "compare",
                "source": source.name,
                "quality": summaries.quality_record(transactions.quality),
                "table": summaries.table_record(rfm),
                "models": {
                    "purchases": summaries.fitted_record(purchases),
                    "spend": summaries.fitted_record(spend),
                },
                "comparison": comparison.to_dict(),
                "files": {} if output is None else {"output": str(output)},
            }
        )
        return
    summaries.describe_reading(source.name, transactions.quality)
    summaries.describe_fits(purchases, spend)
    tell()
    tell(comparison)
    if output is not None:
        tell(f"wrote {output}")
