"""``clv forecast``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from clv.cli import options, summaries, writing
from clv.cli.console import emit, tell, working
from clv.cli.scoring import Scoring, scoring_options


@click.command(no_args_is_help=True)
@scoring_options
@click.option("--no-interval", is_flag=True, help="No intervals: much quicker.")
@click.option(
    "--interval-kind",
    type=click.Choice(["predictive", "expected"]),
    default="predictive",
    show_default=True,
    help="Of what the customer will do, or of the expected value only.",
)
@click.option(
    "--output",
    metavar="FILE",
    callback=writing.checked_path,
    help="One row per customer, as .parquet, .csv, .xlsx or .jsonl.",
)
@click.option(
    "--rejected",
    metavar="FILE",
    callback=writing.checked_path,
    help="The rows that could not be used, and why.",
)
@click.option(
    "--save-models",
    metavar="FOLDER",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where to save the fitted models.",
)
@options.as_json
def forecast(
    scoring: Scoring,
    no_interval: bool,
    interval_kind: Any,
    output: Path | None,
    rejected: Path | None,
    save_models: Path | None,
    as_json: bool,
) -> None:
    """Forecast every customer in SOURCE.

    SOURCE is a CSV or Parquet file, a folder or pattern of such files, or a data set such as
    dataset:cdnow. Without --output only the sums and the ten best customers are shown.
    """
    source = scoring.source
    writing.keep_apart(source.name, output=output, rejected=rejected)
    scored = scoring.run(rejected, with_interval=not no_interval, interval_kind=interval_kind)
    transactions, rfm, result = scored.transactions, scored.rfm, scored.forecast
    purchases, spend = scored.purchases, scored.spend
    files = {"output": output, "rejected": rejected}
    if output is not None:
        with working(f"writing {output}"):
            writing.write_table(result, output)
    if save_models is not None:
        for fitted in (purchases, spend):
            files[fitted.model_name] = fitted.save(save_models / fitted.model_name)
        if result.calibration is not None:
            files["calibration"] = result.calibration.save(save_models / "calibration.json")

    written = {name: path for name, path in files.items() if path is not None}
    if as_json:
        emit(
            {
                "command": "forecast",
                "source": source.name,
                "quality": summaries.quality_record(transactions.quality),
                "table": summaries.table_record(rfm),
                "models": {
                    "purchases": summaries.fitted_record(purchases),
                    "spend": summaries.fitted_record(spend),
                },
                "forecast": {**summaries.forecast_record(result), "margin": scoring.margin},
                "notes": [*transactions.quality.notes, *rfm.notes, *result.notes],
                "files": {name: str(path) for name, path in written.items()},
            }
        )
        return
    summaries.describe_reading(source.name, transactions.quality)
    summaries.describe_fits(purchases, spend)
    summaries.describe_forecast(result)
    for path in written.values():
        tell(f"wrote {path}")
