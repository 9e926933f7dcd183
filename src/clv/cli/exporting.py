"""``clv export``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from clv.cli import options, summaries
from clv.cli.console import emit, tell, working
from clv.cli.options import columns_option, usage_error
from clv.cli.scoring import Scored, Scoring, customers_option, read_customers, scoring_options


class _PresetOption(click.Option):
    """Lists the presets there are when help is asked for, and not before."""

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        from clv.export import presets

        self.help = f"What to write: {', '.join(presets())}; or a .toml file of your own. Repeat."
        return super().get_help_record(ctx)


@click.command(no_args_is_help=True)
@scoring_options
@customers_option
@columns_option
@click.option("--preset", "names", cls=_PresetOption, metavar="NAME", multiple=True, required=True)
@click.option(
    "--output",
    metavar="FOLDER",
    default="exports",
    show_default=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="A folder for each preset is made in it, or replaced.",
)
@click.option(
    "--consent",
    type=click.Choice(["required", "not-refused", "ignored"]),
    help="Who may be exported.  [default: ad platforms: required; others: ignored]",
)
@click.option(
    "--default-region",
    metavar="COUNTRY",
    help="Of telephone numbers without a country's code, such as IR.",
)
@click.option(
    "--value",
    type=click.Choice(["lifetime_value", "residual_value", "historical_value"]),
    default="lifetime_value",
    show_default=True,
    help="Which value platforms get that take one.",
)
@click.option(
    "--formulas",
    type=click.Choice(["mark", "keep"]),
    default="mark",
    show_default=True,
    help="Whether CSV text that looks like a formula gets an apostrophe in front.",
)
@click.option(
    "--database",
    metavar="URL",
    envvar="CLV_DATABASE_URL",
    help="Where the preset database goes; better in the environment, as CLV_DATABASE_URL.",
)
@click.option("--database-table", metavar="NAME", default="clv_customers", show_default=True)
@options.as_json
def export(
    scoring: Scoring,
    customers: str | None,
    columns: dict[str, str],
    names: tuple[str, ...],
    output: Path,
    consent: Any,
    default_region: str | None,
    value: Any,
    formulas: Any,
    database: str | None,
    database_table: str,
    as_json: bool,
) -> None:
    """Forecast SOURCE and write it as ad platforms, CRMs and spreadsheets want it.

    Each preset gets a folder with its files, left_out.csv (who is not in them, and why) and
    manifest.json. SOURCE is as in `clv forecast`.
    """
    from clv.export import audience, read_preset
    from clv.export import export as write

    with usage_error("--preset"):
        chosen = [read_preset(name) for name in names]
    if any(preset.format == "database" for preset in chosen) and database is None:
        raise click.UsageError("--preset database needs --database, or CLV_DATABASE_URL")
    table = read_customers(customers, scoring.source)
    scored = scoring.run()
    with working("putting customers together"):
        known = audience(
            scored.rfm,
            scored.forecast,
            table,
            columns=columns,
            labels=_labels(scored, table),
            value=value,
            models=(scored.purchases, scored.spend),
        )
    said = {
        "quality": summaries.quality_record(scored.transactions.quality),
        "forecast": summaries.forecast_record(scored.forecast),
    }
    if not as_json:
        summaries.describe_reading(scoring.source.name, scored.transactions.quality)
        summaries.describe_fits(scored.purchases, scored.spend)
    del scored, table  # the audience holds what is needed of a million customers
    done = []
    for preset in chosen:
        with working(f"writing {preset.name}"):
            done.append(
                write(
                    known,
                    preset,
                    output,
                    consent=consent,
                    default_region=default_region,
                    formulas=formulas,
                    database=database,
                    database_table=database_table,
                )
            )
        if not as_json:
            tell()
            tell(done[-1])
    if as_json:
        exports = [{"folder": str(delivery.folder), **delivery.manifest} for delivery in done]
        emit({"command": "export", "source": scoring.source.name, **said, "exports": exports})


def _labels(scored: Scored, customers: Any) -> dict[str, Any]:
    """The tier and the stage of every customer, and the RFM segment."""
    from clv import lifecycle, tiers

    n = len(scored.rfm)  # prospects come after them, and have nothing to export
    stages = lifecycle.stages(scored.rfm, scored.purchases, customers=customers)
    segments = lifecycle.rfm_segments(scored.rfm)
    return {
        "tier": tiers.assign(scored.forecast).customers.values("tier"),
        "stage": stages.customers.values("stage")[:n],
        "segment": segments.customers.values("segment"),
    }
