"""``clv report``."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from clv.cli import options, summaries, writing
from clv.cli.console import emit, note, tell, working
from clv.cli.options import columns_option, usage_error
from clv.cli.scoring import Scoring, customers_option, read_customers, scoring_options

if TYPE_CHECKING:
    from clv.report import Tested
    from clv.tables.transactions import Transactions

_LANGUAGES = {"en": ("en",), "fa": ("fa",), "both": ("en", "fa")}


def _html(ctx: click.Context, option: click.Parameter, value: str) -> Path:
    path = Path(value)
    if path.suffix.lower() not in (".html", ".htm"):
        raise click.BadParameter(f"{value!r} must end in .html", ctx)
    return writing.checked_folder(ctx, path)


@click.command(no_args_is_help=True)
@scoring_options
@customers_option
@columns_option
@click.option(
    "--calibration-end",
    metavar="DATE",
    help="Where the test of the forecast cuts the past; 'none' for no test.  "
    "[default: three quarters of it]",
)
@click.option(
    "--language",
    type=click.Choice(list(_LANGUAGES)),
    default="en",
    show_default=True,
    help="English, Persian (right to left), or a page in each.",
)
@click.option("--title", help="Above the page.")
@click.option("--currency", metavar="TEXT", help="What amounts are in, as it is to be written.")
@click.option(
    "--top",
    type=click.IntRange(1, 2000),
    default=200,
    show_default=True,
    help="Customers in the table that can be searched.",
)
@click.option(
    "--output",
    metavar="FILE",
    default="report.html",
    show_default=True,
    callback=_html,
    help="The page; with --language both FILE.en.html and FILE.fa.html.",
)
@options.as_json
def report(
    scoring: Scoring,
    customers: str | None,
    columns: dict[str, str],
    calibration_end: str | None,
    language: str,
    title: str | None,
    currency: str | None,
    top: int,
    output: Path,
    as_json: bool,
) -> None:
    """Forecast SOURCE and write the page a marketer opens: one HTML file, without network.

    What customers are worth, whether the forecast beats looking back, tiers, stages, retention,
    channels, whom to call, the data and the models. SOURCE is as in `clv forecast`.
    """
    from clv.report import gather, page
    from clv.report import language as words

    codes = _LANGUAGES[language]
    with usage_error("--language"):
        for code in codes:
            words(code)
    files = {
        code: output if len(codes) == 1 else output.with_suffix(f".{code}{output.suffix}")
        for code in codes
    }
    writing.keep_apart(scoring.source.name, **files)
    scoring.check()
    table = read_customers(customers, scoring.source)
    transactions = scoring.source.read()
    tested = _tested(scoring, transactions, calibration_end)  # before, so that it can go again
    scored = scoring.run(transactions=transactions)
    with working("working out the page"):
        facts = gather(
            scored.transactions,
            scored.rfm,
            scored.purchases,
            scored.spend,
            scored.forecast,
            margin=scoring.margin,
            customers=table,
            columns=columns,
            comparison=tested,
            top=top,
        )
    for code, path in files.items():
        with working(f"writing {path}"):
            writing.write_text(page(facts, code, title=title, currency=currency), path)
    if as_json:
        emit(
            {
                "command": "report",
                "source": scoring.source.name,
                "quality": summaries.quality_record(scored.transactions.quality),
                "forecast": summaries.forecast_record(scored.forecast),
                "left_out": facts.left_out,
                "files": {code: str(path) for code, path in files.items()},
            }
        )
        return
    summaries.describe_reading(scoring.source.name, scored.transactions.quality)
    summaries.describe_fits(scored.purchases, scored.spend)
    for part, why in facts.left_out.items():
        note(f"not on the page, or not wholly: {words('en').plain(f'section.{part}')} ({why})")
    for path in files.values():
        tell(f"wrote {path}")


def _tested(scoring: Scoring, transactions: Transactions, cut: str | None) -> Tested | str:
    """The forecast against history on an earlier cut, or why there is none."""
    import clv
    from clv.errors import ClvError
    from clv.report import tested

    if cut is not None and cut.strip().lower() == "none":
        return "no test was asked for (--calibration-end none)"
    first, last = transactions.quality.first_day, transactions.quality.last_day
    end = scoring.period_end()
    if first is None or last is None:
        return "no row of the source has a day"
    last = last if isinstance(end, str) else end
    day = _default_cut(first, last) if cut is None else scoring.source.day(cut, "--calibration-end")
    try:
        models = scoring.fit(transactions, day)
        with working(f"testing the forecast from {day} on"):
            return tested(clv.compare(*models, interval=scoring.interval, seed=scoring.seed))
    except ClvError as error:
        if cut is not None:
            raise
        return str(error)


def _default_cut(first: date, last: date) -> date:
    """The last day of the first three quarters of the time seen."""
    return first + timedelta(days=(last - first).days * 3 // 4)
