"""``clv forecast``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from clv.cli import options, summaries, writing
from clv.cli.console import emit, notes, tell, working
from clv.cli.options import Source, usage_error


@click.command(no_args_is_help=True)
@options.source_options
@options.observation_period_end
@options.time_unit
@click.option(
    "--horizon",
    default="52 weeks",
    show_default=True,
    help="How far ahead: a number of time units, '365 days', or 'forever'.",
)
@click.option(
    "--discount-rate",
    type=options.Number(0, 10, max_open=True),
    default=0.1,
    show_default=True,
    help="Effective per year; .1 is 10 %.",
)
@click.option(
    "--margin",
    type=options.Number(0, 1, min_open=True),
    default=1.0,
    show_default=True,
    help="Gross margin as a share of the amounts.",
)
@options.purchase_model
@options.spend_model
@click.option(
    "--interval",
    type=options.share,
    default=0.9,
    show_default=True,
    help="Probability of the intervals.",
)
@click.option("--no-interval", is_flag=True, help="No intervals: much quicker.")
@click.option(
    "--interval-kind",
    type=click.Choice(["predictive", "expected"]),
    default="predictive",
    show_default=True,
    help="Of what the customer will do, or of the expected value only.",
)
@options.seed
@click.option(
    "--output",
    metavar="FILE",
    callback=writing.checked_path,
    help="One row per customer, as .parquet, .csv or .xlsx.",
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
    source: Source,
    observation_period_end: str,
    time_unit: Any,
    horizon: str,
    discount_rate: float,
    margin: float,
    model: str,
    spend_model: str,
    interval: float,
    no_interval: bool,
    interval_kind: Any,
    seed: int,
    output: Path | None,
    rejected: Path | None,
    save_models: Path | None,
    as_json: bool,
) -> None:
    """Forecast every customer in SOURCE.

    SOURCE is a CSV or Parquet file, a folder or pattern of such files, or a data set such as
    dataset:cdnow. Without --output only the sums and the ten best customers are shown.
    """
    import clv

    ahead = _horizon(horizon, time_unit)
    writing.keep_apart(source.name, output=output, rejected=rejected)
    end = source.period_end(observation_period_end, "--observation-period-end")

    transactions = source.read(rejected)
    with working("summarising customers"):
        rfm = clv.rfm_summary(transactions, observation_period_end=end, time_unit=time_unit)
    notes(transactions.quality.notes, rfm.notes)
    with working(f"fitting {model} and {spend_model}"):
        purchases = clv.model_class(model)().fit(rfm)
        spend = clv.model_class(spend_model)().fit(rfm)
    with working(f"forecasting {len(rfm):,} customers"):
        result = clv.forecast(
            rfm,
            purchases,
            spend,
            horizon=ahead,
            discount_rate=discount_rate,
            margin=margin,
            interval=None if no_interval else interval,
            interval_kind=interval_kind,
            seed=seed,
        )
    notes(result.notes)
    files = {"output": output, "rejected": rejected}
    if output is not None:
        with working(f"writing {output}"):
            writing.write_table(result, output)
    if save_models is not None:
        for fitted in (purchases, spend):
            files[fitted.model_name] = fitted.save(save_models / fitted.model_name)

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
                "forecast": {**summaries.forecast_record(result), "margin": margin},
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


def _horizon(text: str, time_unit: Any) -> float | str | None:
    """A number of units, a length of time, or None for ever; refused here if it is neither."""
    from clv.units import parse_horizon

    if text.strip().lower() == "forever":
        return None
    try:
        value: float | str = float(text)
    except ValueError:
        value = text
    with usage_error("--horizon"):
        return parse_horizon(value, time_unit)
