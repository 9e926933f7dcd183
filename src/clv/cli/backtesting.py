"""``clv backtest``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from clv.cli import options, summaries, writing
from clv.cli.console import emit, note, notes, tell
from clv.cli.options import Source


def _names(_: click.Context, option: click.Parameter, text: str | None) -> list[str] | None:
    """Names of models with commas between them."""
    from clv.evaluation.candidates import purchase_candidates, spend_candidates

    if text is None:
        return None
    names = [name.strip() for name in text.split(",") if name.strip()]
    with options.usage_error(option.opts[0]):
        (purchase_candidates if option.name == "models" else spend_candidates)(names)
    return names


def _looked_at(_: click.Context, __: click.Parameter, text: str) -> list[str]:
    """Which purchases spend models look at, each once."""
    from clv.spend_model import BASES

    names = [name.strip() for name in text.replace("both", "repeat,all").split(",") if name.strip()]
    wrong = [name for name in names if name not in BASES]
    if wrong or not names:
        raise click.BadParameter(
            f"{', '.join(wrong) or repr(text)} is none of {', '.join(BASES)} and both"
        )
    return list(dict.fromkeys(names))


def _page(_: click.Context, __: click.Parameter, path: Path | None) -> Path | None:
    if path is not None and path.suffix.lower() not in (".html", ".htm"):
        raise click.BadParameter(f"{str(path)!r} must end in .html")
    if path is not None and not path.parent.is_dir():
        raise click.BadParameter(f"there is no folder {str(path.parent)!r}")
    return path


def _cuts(_: click.Context, __: click.Parameter, text: str) -> int | list[str]:
    """A number of cuts, or days with commas between them."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not parts:
        raise click.BadParameter("give a number, or days such as 2023-06-30,2023-12-31")
    return int(text) if len(parts) == 1 and parts[0].isdigit() and len(parts[0]) < 4 else parts


@click.command(no_args_is_help=True)
@options.source_options
@click.option(
    "--horizon", required=True, metavar="LENGTH", help='How far is foreseen, such as "26 weeks".'
)
@options.observation_period_end
@options.time_unit
@click.option(
    "--cuts",
    default="4",
    show_default=True,
    callback=_cuts,
    help="How many days to foresee from; or the days, with commas between them.",
)
@click.option("--step", metavar="LENGTH", help="From one cut to the next.  [default: found]")
@click.option(
    "--window",
    default="expanding",
    show_default=True,
    metavar="LENGTH",
    help='Learn from everybody ("expanding"), or only from who first bought so short before.',
)
@click.option(
    "--models",
    metavar="NAMES",
    callback=_names,
    help="Purchase models, with commas between them.  [default: all]",
)
@click.option(
    "--spend-models",
    metavar="NAMES",
    callback=_names,
    help="Spend models likewise.  [default: gamma_gamma]",
)
@click.option(
    "--spend-purchases",
    default="repeat",
    show_default=True,
    metavar="WHICH",
    callback=_looked_at,
    help="What spend models look at: repeat purchases, all, each, or several of these with commas "
    'between them; "both" is repeat,all.',
)
@options.bootstrap(200)
@options.seed
@click.option(
    "--jobs", type=click.IntRange(1), help="Processes side by side.  [default: as is worth it]"
)
@click.option(
    "--output",
    metavar="FILE",
    callback=writing.checked_path,
    help="Every metric, one per row, as .parquet, .csv or .xlsx.",
)
@click.option(
    "--verdict",
    "page",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    callback=_page,
    help="The verdict as a page fragment, .html.",
)
@options.as_json
def backtest(
    source: Source,
    horizon: str,
    observation_period_end: str,
    time_unit: Any,
    cuts: int | list[str],
    step: str | None,
    window: str,
    models: list[str] | None,
    spend_models: list[str] | None,
    spend_purchases: list[str],
    bootstrap: int,
    seed: int,
    jobs: int | None,
    output: Path | None,
    page: Path | None,
    as_json: bool,
) -> None:
    """Foresee the past: cut SOURCE at several days, and test what each model says of the rest.

    At every cut the models know what was known on that day and nothing later; then they are set
    beside simple historical figures, on what really happened. SOURCE is as in `clv forecast`.
    """
    import clv
    from clv.evaluation.origins import whole_days

    writing.keep_apart(source.name, output=output, verdict=page)
    for option, length in (("--horizon", horizon), ("--step", step), ("--window", window)):
        if length is not None and length != "expanding":
            with options.usage_error(option):
                whole_days(length, time_unit, option)
    end = source.period_end(observation_period_end, "--observation-period-end")
    days = cuts if isinstance(cuts, int) else [source.day(text, "--cuts") for text in cuts]
    transactions = source.read()
    notes(transactions.quality.notes)
    tried = clv.backtest(
        transactions,
        models,
        horizon=horizon,
        observation_period_end=end,
        cuts=days,
        step=step,
        window=window,
        spend=_spend(spend_models or ["gamma_gamma"], spend_purchases),
        time_unit=time_unit,
        bootstrap=bootstrap,
        seed=seed,
        jobs=jobs,
    )
    notes(tried.notes)
    verdict = _verdict(tried)
    if output is not None:
        writing.write_table(tried.metrics, output)
    files = {"output": output}
    if page is not None and verdict is not None:
        writing.write_text(f'<!doctype html>\n<meta charset="utf-8">\n{verdict.html}\n', page)
        files["verdict"] = page
    written = {name: str(path) for name, path in files.items() if path is not None}
    if as_json:
        emit(
            {
                "command": "backtest",
                "source": source.name,
                "quality": summaries.quality_record(transactions.quality),
                "backtest": tried.to_dict(),
                "verdict": None if verdict is None else verdict.to_dict(),
                "files": written,
            }
        )
        return
    summaries.describe_reading(source.name, transactions.quality)
    tell()
    for quantity in ("purchases", "value"):
        tell(tried.summary(quantity))
        tell()
    if verdict is not None:
        tell(verdict)
    for path in written.values():
        tell(f"wrote {path}")


def _spend(names: list[str], looked_at: list[str]) -> list[Any]:
    from clv.model import model_class

    return [model_class(name)(purchases=which) for name in names for which in looked_at]


def _verdict(tried: Any) -> Any:
    """The page; nothing where no model foresaw value."""
    from clv.errors import DataError

    try:
        return tried.verdict()
    except DataError as error:
        note(f"there is no verdict: {error}")
        return None
