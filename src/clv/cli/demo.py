"""``clv demo``: the whole job on CDNOW, which is also what ``make run`` runs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from clv.cli import options, summaries, writing
from clv.cli.console import emit, facts, table, tell, wrapped, working

if TYPE_CHECKING:
    from clv.evaluation.comparison import Comparison
    from clv.fitted import FittedPurchases, FittedSpend
    from clv.forecast import Forecast
    from clv.tables.rfm import RFM
    from clv.tables.transactions import Transactions

_CUT, _END, _HORIZON = "1997-09-30", "1998-06-30", "52 weeks"

_FOLDER = click.Path(file_okay=False, path_type=Path)


@click.command()
@click.option(
    "--output",
    type=_FOLDER,
    default=Path("output"),
    show_default=True,
    help="Folder for the forecast, the comparison and the picture.",
)
@click.option(
    "--models",
    type=_FOLDER,
    default=Path("models"),
    show_default=True,
    help="Folder for the fitted models.",
)
@options.as_json
def demo(output: Path, models: Path, as_json: bool) -> None:
    """Do the whole job on CDNOW: check, fit, test against history, forecast, save.

    CDNOW sold CDs; 2,357 of those who first bought there in early 1997 were followed for a year
    and a half. The data ship inside the lifetimes package.
    """
    done = _work()
    files = _write(done, output, models)
    if as_json:
        emit(
            {
                "command": "demo",
                "quality": summaries.quality_record(done.transactions.quality),
                "models": {
                    "purchases": summaries.fitted_record(done.purchases),
                    "spend": summaries.fitted_record(done.spend),
                },
                "comparison": done.comparison.to_dict(),
                "forecast": summaries.forecast_record(done.forecast),
                "files": {name: str(path) for name, path in files.items()},
            }
        )
        return
    _tell_test(done)
    _tell_forecast(done)
    tell("Where things are")
    facts((str(path), _ABOUT[name]) for name, path in files.items())


# --- the work ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Done:
    """Everything that the story is told from."""

    transactions: Transactions
    known: RFM  #: as of the cut, with the holdout
    purchases_known: FittedPurchases
    cautious_known: FittedPurchases
    comparison: Comparison
    purchases: FittedPurchases
    spend: FittedSpend
    forecast: Forecast
    cautious: Forecast


def _work() -> _Done:
    import clv

    first, second, third = (clv.model_class(n)() for n in ("bg_nbd", "mbg_nbd", "gamma_gamma"))
    with working("reading CDNOW"):
        transactions = clv.read_transactions(
            clv.datasets.load_cdnow(), customer_id="customer_id", date="date", amount="amount"
        )
        known = clv.rfm_summary(
            transactions, observation_period_end=_END, calibration_period_end=_CUT
        )
        everything = clv.rfm_summary(transactions, observation_period_end=_END)
    with working("testing on what was held back"):
        purchases_known, cautious_known = first.fit(known), second.fit(known)
        comparison = clv.compare(known, purchases_known, third.fit(known))
    with working("forecasting"):
        purchases, spend = first.fit(everything), third.fit(everything)
        forecast = clv.forecast(everything, purchases, spend, horizon=_HORIZON)
        cautious = clv.forecast(
            everything, second.fit(everything), spend, horizon=_HORIZON, interval=None
        )
    return _Done(
        transactions=transactions,
        known=known,
        purchases_known=purchases_known,
        cautious_known=cautious_known,
        comparison=comparison,
        purchases=purchases,
        spend=spend,
        forecast=forecast,
        cautious=cautious,
    )


# --- the files -----------------------------------------------------------------------------------

_ABOUT = {
    "forecast": "the forecast, one row per customer",
    "forecast_csv": "the same for a spreadsheet",
    "picture": "four pictures: look at this first",
    "comparison": "the whole test, tables and verdict",
    "comparison_json": "the same for programs",
    "compared": "the test, one row per customer",
    "purchases": "the fitted models, for clv.load",
    "spend": "",
}


def _write(done: _Done, output: Path, models: Path) -> dict[str, Path]:
    files = {
        "forecast": output / "forecast.parquet",
        "forecast_csv": output / "forecast.csv",
        "picture": output / "forecast.png",
        "comparison": output / "comparison.txt",
        "comparison_json": output / "comparison.json",
        "compared": output / "comparison.csv",
    }
    output.mkdir(parents=True, exist_ok=True)
    with working("writing"):
        writing.write_table(done.forecast, files["forecast"])
        writing.write_table(done.forecast, files["forecast_csv"])
        writing.write_table(done.comparison.customers, files["compared"])
        writing.write_text(f"{done.comparison}\n", files["comparison"])
        record = json.dumps(done.comparison.to_dict(), indent=2, allow_nan=False)
        writing.write_text(f"{record}\n", files["comparison_json"])
    with working("drawing"), writing.beside(files["picture"]) as scratch:
        _draw(done, scratch)
    for kind, fitted in (("purchases", done.purchases), ("spend", done.spend)):
        files[kind] = fitted.save(models / f"cdnow-{fitted.model_name}")
    return files


def _draw(done: _Done, path: Path) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from clv import plots

    figure = Figure(figsize=(14, 10), layout="constrained")
    FigureCanvasAgg(figure)
    (first, second), (third, fourth) = figure.subplots(2, 2)
    both = [done.purchases_known, done.cautious_known]
    plots.tracking(done.transactions, done.known, both, ax=first)
    plots.calibration(done.known, both, ax=second)
    plots.predicted_against_historical(done.comparison, ax=third)
    plots.top_customers(done.forecast, n=15, ax=fourth)
    figure.savefig(path, format="png", dpi=110)


# --- the story -----------------------------------------------------------------------------------


def _tell_test(done: _Done) -> None:
    comparison = done.comparison
    value = {row["method"]: row for row in comparison.value.rows()}
    ours = value["prediction"]
    history = [value[name] for name in comparison.value_scores.history]

    tell(f"CDNOW: {comparison.n_customers:,} people who first bought CDs there in early 1997")
    summaries.describe_reading("the file", done.transactions.quality)
    tell()
    tell(
        f"1. The test: knowing only what was known on {_CUT}, what of the {_span(comparison)} after?"
    )
    order = ["perfect", "prediction", *comparison.value_scores.history]
    words = {"perfect": "what really happened", "prediction": f"forecast ({ours['label']})"}
    table(
        "",
        ["", "dollars in all", "off by", "mean error each", "best tenth holds"],
        [
            [
                words.get(name, f"history: {value[name]['label']}"),
                f"{value[name]['total']:,.0f}",
                f"{value[name]['bias']:+.0%}" if name != "perfect" else "",
                f"{value[name]['mean_absolute_error']:,.2f}" if name != "perfect" else "",
                f"{value[name]['top_share_captured']:.1%}",
            ]
            for name in order
        ],
    )
    errors = [row["mean_absolute_error"] for row in history]
    best = max(history, key=lambda row: float(row["top_share_captured"]))
    first = max(history, key=lambda row: float(row["normalised_gini"]))
    held = {
        row["figure"]: row
        for row in comparison.coverage.rows()
        if row["level"] == comparison.interval
    }
    for line in (
        f"Amounts: per customer the forecast is off by {ours['mean_absolute_error']:.0f} dollars "
        f"on average, history by {min(errors):.0f} to {max(errors):.0f}.",
        f"In all, it says {abs(ours['bias']):.0%} too "
        f"{'little' if ours['bias'] < 0 else 'much'}: it knows no Christmas and no campaign.",
        f"Ranking: the tenth of the customers that it puts first then spent "
        f"{ours['top_share_captured']:.1%} of everything, that of {best['label']} "
        f"{best['top_share_captured']:.1%}. Over all customers {first['label']} ranks "
        f"{'better' if first['normalised_gini'] > ours['normalised_gini'] else 'no better'} "
        f"(Gini {first['normalised_gini']:.3f} against {ours['normalised_gini']:.3f}). If you only "
        "want a list of the best, history will do.",
        f"Its {comparison.interval:.0%} intervals held what {held['purchases']['coverage']:.1%} of "
        f"the customers bought, and what {held['value']['coverage']:.1%} spent.",
    ):
        wrapped(line, bullet="- ")
    tell()


def _tell_forecast(done: _Done) -> None:
    forecast, cautious = done.forecast, done.cautious
    tell(f"2. The forecast: fitted anew on everything to {_END}")
    summaries.describe_fits(done.purchases, done.spend)
    summaries.describe_forecast(forecast, most=8)
    here, there = (float(f.array("residual_value").sum()) for f in (forecast, cautious))
    alive, left = (float(f.array("probability_alive").mean()) for f in (forecast, cautious))
    wrapped(
        f"A second opinion: {done.purchases.family.TITLE} takes who bought only once to be alive, "
        f"{done.cautious_known.family.TITLE} does not. The first holds {alive:.0%} of the "
        f"customers to be alive and expects {here:,.0f} dollars of them, the second {left:.0%} and "
        f"{there:,.0f}: they disagree on who is there, hardly on what will come."
    )
    tell()


def _span(comparison: Comparison) -> str:
    return f"{comparison.horizon:g} {comparison.time_unit}s"
