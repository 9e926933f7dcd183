"""``clv demo``: the whole job on CDNOW, which is also what ``make run`` runs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from clv.cli import options, summaries, writing
from clv.cli.console import emit, facts, table, tell, working, wrapped

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
                "comparison": done.test.comparison.to_dict(),
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
class _Test:
    """Fitted on what was known at the cut, held against what came after."""

    rfm: RFM
    purchases: FittedPurchases
    cautious: FittedPurchases  #: lets customers leave after their first purchase
    forecast: Forecast
    comparison: Comparison


@dataclass(frozen=True)
class _Done:
    """Everything that the story is told from."""

    transactions: Transactions
    test: _Test
    purchases: FittedPurchases
    spend: FittedSpend
    forecast: Forecast
    cautious: Forecast


def _work() -> _Done:
    import clv

    easy, modified, money = (clv.model_class(n)() for n in ("bg_nbd", "mbg_nbd", "gamma_gamma"))
    with working("reading CDNOW"):
        transactions = clv.read_transactions(clv.datasets.load_cdnow())
        known = clv.rfm_summary(
            transactions, observation_period_end=_END, calibration_period_end=_CUT
        )
        everything = clv.rfm_summary(transactions, observation_period_end=_END)
    with working("testing on what was held back"):
        purchases, spend = easy.fit(known), money.fit(known)
        test = _Test(
            rfm=known,
            purchases=purchases,
            cautious=modified.fit(known),
            forecast=clv.forecast(
                known, purchases, spend, horizon=known.holdout_duration, discount_rate=0
            ),
            comparison=clv.compare(known, purchases, spend),
        )
    with working("forecasting"):
        purchases, cautious, spend = (model.fit(everything) for model in (easy, modified, money))
        return _Done(
            transactions=transactions,
            test=test,
            purchases=purchases,
            spend=spend,
            forecast=clv.forecast(everything, purchases, spend, horizon=_HORIZON),
            cautious=clv.forecast(everything, cautious, spend, horizon=_HORIZON, interval=None),
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
        writing.write_table(done.test.comparison.customers, files["compared"])
        writing.write_text(f"{done.test.comparison}\n", files["comparison"])
        record = json.dumps(done.test.comparison.to_dict(), indent=2, allow_nan=False)
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
    test = done.test
    both = [test.purchases, test.cautious]
    plots.tracking(done.transactions, test.rfm, both, ax=first)
    plots.calibration(test.rfm, both, ax=second)
    plots.predicted_against_historical(test.comparison, ax=third)
    plots.top_customers(done.forecast, n=15, ax=fourth)
    figure.savefig(path, format="png", dpi=110)


# --- the story -----------------------------------------------------------------------------------


def _tell_test(done: _Done) -> None:
    comparison = done.test.comparison
    value = {row["method"]: row for row in comparison.value.rows()}
    ours, history = value["prediction"], comparison.value_scores.history
    weeks = f"{comparison.horizon:g} {comparison.time_unit}s"

    tell(f"CDNOW: {comparison.n_customers:,} people who first bought CDs there in early 1997")
    summaries.describe_reading("the file", done.transactions.quality)
    tell()
    tell(f"1. The test. From what was known on {_CUT}, what will they spend in the {weeks} after?")
    names = {
        "perfect": "what they did",
        "prediction": f"forecast, {ours['label']}",
        "nothing": "nothing for anybody",
    }
    table(
        "",
        ["", "dollars", "off by", "mean error", "best tenth held"],
        [
            [
                names.get(name, f"history, {value[name]['label']}"),
                f"{value[name]['total']:,.0f}",
                "" if name == "perfect" else f"{value[name]['bias']:+.0%}",
                "" if name == "perfect" else f"{value[name]['mean_absolute_error']:.2f}",
                f"{value[name]['top_share_captured']:.1%}",
            ]
            for name in ("perfect", "prediction", *history, "nothing")
        ],
    )
    for line in _verdict(done.test, ours, [value[name] for name in history], value["nothing"]):
        wrapped(line, bullet="- ")
    tell()


def _verdict(
    test: _Test,
    ours: Mapping[str, Any],
    history: Sequence[Mapping[str, Any]],
    nothing: Mapping[str, Any],
) -> Iterator[str]:
    """What the table says, good and bad; the numbers are those of the comparison."""
    comparison = test.comparison
    errors = [row["mean_absolute_error"] for row in history]
    yield (
        f"Amounts: the forecast misses a customer by {ours['mean_absolute_error']:.0f} dollars on "
        f"average, history by {min(errors):.0f} to {max(errors):.0f}. Most bought nothing more: "
        f"to expect nothing of anybody misses by only {nothing['mean_absolute_error']:.0f}, and "
        "all of the money."
    )
    total = next(t for t in test.forecast.totals if t.name == "residual_value")
    actual = comparison.value_scores.totals["perfect"]
    within = "inside" if total.low <= actual <= total.high else "outside"
    yield (
        f"In all it said {total.value:,.0f} dollars, with {total.interval:.0%} probability "
        f"{total.low:,.0f} to {total.high:,.0f}; it was {actual:,.0f}, {within} of that. It knows "
        "chance and its own parameters, but no Christmas and no campaign."
    )
    listed = max(history, key=lambda row: float(row["top_share_captured"]))
    ranked = max(history, key=lambda row: float(row["normalised_gini"]))
    ahead = "does better" if ranked["normalised_gini"] > ours["normalised_gini"] else "does not"
    yield (
        f"Ranking: the tenth that it put first then spent {ours['top_share_captured']:.1%} of "
        f"everything, that of {listed['label']} {listed['top_share_captured']:.1%}. Ranking all "
        f"customers, {ranked['label']} {ahead} (Gini {ranked['normalised_gini']:.3f} against "
        f"{ours['normalised_gini']:.3f}). For a list of the best alone, history will do."
    )
    held = {
        row["figure"]: row["coverage"]
        for row in comparison.coverage.rows()
        if row["level"] == comparison.interval
    }
    yield (
        f"Its {comparison.interval:.0%} intervals held what {held['purchases']:.1%} of the "
        f"customers bought and what {held['value']:.1%} of them spent."
    )


def _tell_forecast(done: _Done) -> None:
    forecast, cautious = done.forecast, done.cautious
    tell(f"2. The forecast, fitted anew on everything up to {_END}")
    summaries.describe_fits(done.purchases, done.spend)
    summaries.describe_forecast(forecast, most=8)
    tell()
    value = [float(f.array("residual_value").sum()) for f in (forecast, cautious)]
    alive = [float(f.array("probability_alive").mean()) for f in (forecast, cautious)]
    wrapped(
        f"A second opinion: {done.purchases.family.TITLE} takes everybody who bought only once to "
        f"be alive, {done.test.cautious.family.TITLE} does not. The first holds {alive[0]:.0%} of "
        f"the customers to be alive and expects {value[0]:,.0f} dollars of them, the second "
        f"{alive[1]:.0%} and {value[1]:,.0f}. They disagree on who is there, less on what is to "
        "come."
    )
    tell()
