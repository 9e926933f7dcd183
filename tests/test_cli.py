"""The command line: what it understands, what it says, and how it ends."""

from __future__ import annotations

import json
import math
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pandas as pd
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

import clv
from clv.cli import program

Run = Callable[..., Result]

LAST = ("--observation-period-end", "last")
PERSIAN = str.maketrans("0123456789,.", "۰۱۲۳۴۵۶۷۸۹٬٫")
COLUMNS = ("--customer-id", "who", "--date", "day", "--amount", "total")


@pytest.fixture
def run() -> Run:
    def call(*arguments: object, code: int = 0) -> Result:
        result = CliRunner().invoke(program, [str(a) for a in arguments], prog_name="clv")
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == code, result.output
        return result

    return call


@pytest.fixture(scope="module")
def orders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of 300 customers, one in three of whom never comes back."""
    path = tmp_path_factory.mktemp("orders") / "orders.csv"
    history = clv.datasets.load_cdnow().query("customer_id <= 300")
    history.columns = ["who", "day", "cds", "total"]
    history.to_csv(path, index=False)
    return path


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    path = tmp_path / "broken.csv"
    good = [f"c{i % 40},2024-{1 + i % 12:02d}-{1 + i % 27:02d},{10 + i % 7}.5" for i in range(300)]
    bad = [",2024-01-01,5", "c1,soon,5", "c1,2024-01-01,five", "=1+1,2024-13-01,5"]
    path.write_text("\n".join(["who,day,total", *good, *bad]) + "\n")
    return path


def record(result: Result) -> dict[str, Any]:
    """The one JSON object on standard output, which knows no NaN."""

    def refuse(word: str) -> float:
        raise AssertionError(f"{word} is not JSON")

    found = json.loads(result.stdout, parse_constant=refuse)
    assert isinstance(found, dict)
    return found


# --- help ----------------------------------------------------------------------------------------


def test_help_names_every_command_and_the_exit_codes(run: Run) -> None:
    text = run("--help").stdout
    for word in ("demo", "forecast", "compare", "backtest", "quality", "datasets", "Exit codes"):
        assert word in text


@pytest.mark.parametrize(
    "command", ["demo", "forecast", "compare", "backtest", "quality", "datasets"]
)
def test_every_command_explains_itself(run: Run, command: str) -> None:
    assert f"Usage: clv {command}" in run(command, "--help").stdout


@pytest.mark.parametrize("command", ["forecast", "compare", "backtest", "quality"])
def test_a_command_without_arguments_shows_its_help(command: str) -> None:
    result = CliRunner().invoke(program, [command])
    assert "Usage:" in result.output
    assert result.exit_code == 2


def test_models_are_those_in_the_families_folder(run: Run) -> None:
    text = run("forecast", "--help").stdout
    for name in clv.families.names():  # contracts are not forecast from transactions
        offered = clv.families.find(name).KIND in ("purchase", "spend")
        assert (name in text) == offered


def test_version(run: Run) -> None:
    assert run("--version").stdout == f"clv {clv.__version__}\n"


# --- usage errors: exit 2, before anything is read -----------------------------------------------

FORECAST = ("forecast", "no.csv", *LAST)
COMPARE = ("compare", "no.csv", *LAST, "--calibration-end", "1997-09-30")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("forecats",), "No such command 'forecats'"),
        (("forecast", "no.csv"), "Missing option '--observation-period-end'"),
        (("compare", "no.csv", *LAST), "Missing option '--calibration-end'"),
        ((*FORECAST, "--horizon", "soon"), "'--horizon': horizon 'soon' cannot be read"),
        ((*FORECAST, "--horizon", "0"), "horizon must be a positive, finite length of time"),
        ((*FORECAST, "--horizon", "5 fortnights"), "time_unit 'fortnights' is not known"),
        ((*FORECAST, "--discount-rate", "10"), "'--discount-rate': 10.0 is not in the range"),
        ((*FORECAST, "--discount-rate", "-.1"), "'--discount-rate': -0.1 is not in the range"),
        ((*FORECAST, "--discount-rate", "nan"), "'--discount-rate': 'nan' is no number"),
        ((*FORECAST, "--margin", "42"), "'--margin': 42.0 is not in the range 0<x<=1"),
        ((*FORECAST, "--margin", "0"), "'--margin': 0.0 is not in the range 0<x<=1"),
        ((*FORECAST, "--interval", "90"), "'--interval': 90.0 is not in the range 0<x<1"),
        ((*FORECAST, "--interval-kind", "wide"), "'wide' is not one of 'predictive', 'expected'"),
        ((*FORECAST, "--time-unit", "hour"), "'hour' is not one of 'day', 'week', 'month', 'year'"),
        (
            (*FORECAST, "--model", "magic"),
            "no purchase model is called 'magic'; there are bg_bb",
        ),
        ((*FORECAST, "--model", "gamma_gamma"), "no purchase model is called 'gamma_gamma'"),
        ((*FORECAST, "--spend-model", "bg_nbd"), "no spend model is called 'bg_nbd'"),
        ((*FORECAST, "--seed", "-1"), "'--seed': -1 is not in the range x>=0"),
        ((*FORECAST, "--calendar", "mayan"), "'mayan' is not one of 'gregorian', 'jalali'"),
        ((*FORECAST, "--refunds", "ignore"), "'ignore' is not one of 'net', 'drop', 'error'"),
        ((*FORECAST, "--zero-amounts", "no"), "'no' is not one of 'keep', 'drop'"),
        ((*FORECAST, "--timezone", "Mars/Utopia"), "'--timezone': timezone 'Mars/Utopia'"),
        ((*FORECAST, "--output", "forecast.txt"), "must end in .parquet, .csv, .xlsx"),
        ((*FORECAST, "--output", "nowhere/forecast.csv"), "there is no folder 'nowhere'"),
        ((*FORECAST, "--rejected", "rejected"), "'--rejected': 'rejected' must end in"),
        ((*FORECAST, "--output", "no.csv"), "--output would overwrite SOURCE, no.csv"),
        (
            (*FORECAST, "--output", "a.csv", "--rejected", "./a.csv"),
            "--rejected would overwrite --output",
        ),
        ((*FORECAST, "--amount", "a", "--quantity", "q"), "not both"),
        ((*FORECAST, "--quantity", "q"), "--quantity and --unit-price belong together"),
        (
            ("forecast", "no.csv", "--observation-period-end", "yesterday"),
            "'--observation-period-end': the day 'yesterday' is no Gregorian date",
        ),
        (
            ("compare", "no.csv", *LAST, "--calibration-end", "30.09.1997"),
            "'--calibration-end': the day '30.09.1997' is no Gregorian date",
        ),
        ((*COMPARE, "--top", "10"), "'--top': 10.0 is not in the range 0<x<1"),
        ((*COMPARE, "--bootstrap", "3"), "'--bootstrap': 3 is not in the range x>=10"),
        (("forecast", "dataset:cdnau", *LAST), "there is no data set 'cdnau'; there are cdnow"),
        (("demo", "--output", __file__), "is a file"),
    ],
)
def test_what_is_not_understood(
    run: Run, arguments: tuple[str, ...], said: str, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run(*arguments, code=2)
    assert said in " ".join(result.stderr.split())
    assert result.stdout == ""
    assert list(tmp_path.iterdir()) == []


def test_an_infinite_value_is_refused_by_name(run: Run, orders: Path) -> None:
    said = run(
        *("forecast", orders, *COLUMNS, *LAST, "--horizon", "forever", "--discount-rate", 0),
        code=2,
    ).stderr
    assert "clv: " in said
    assert "horizon" in said
    assert "Traceback" not in said


# --- data that cannot be used: exit 3 ------------------------------------------------------------


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        (
            "a.csv",
            "who,day,price\na,2024-01-01,1\n",
            "column 'total', asked for as amount, is not in",
        ),
        ("a.csv", "", "is empty"),
        ("a.csv", "who,day,total\n", "no row"),
        ("a.csv", "who,day,total\na,soon,1\n", "day"),
        ("a.parquet", "who,day,total\na,2024-01-01,1\n", "should be Parquet by its ending"),
        ("a.pdf", "x", "'.pdf'"),
        ("a.csv", "who,day,total\na,2024-01-01,1\na,2024-02-01,1\n", "cannot be fitted to one"),
        ("a.csv", "who,day,total\na,2024-01-01,1\nb,2024-02-01,1\n", "all 2 customers bought once"),
    ],
)
def test_data_that_cannot_be_used(
    run: Run, tmp_path: Path, name: str, text: str, said: str
) -> None:
    out = tmp_path / "forecast.csv"
    source = write(tmp_path / name, text)
    result = run("forecast", source, *COLUMNS, *LAST, "--output", out, code=3)
    assert said in " ".join(result.stderr.split())
    lines = [line for line in result.stderr.splitlines() if not line.startswith("note:")]
    assert len(lines) == 1, "one line"
    assert lines[0].startswith("clv: ")
    assert result.stdout == ""
    assert not out.exists()


def test_a_missing_file(run: Run) -> None:
    assert "there is no file 'no.csv'" in run(*FORECAST, code=3).stderr


def test_an_end_before_the_data(run: Run, orders: Path) -> None:
    end = ("--observation-period-end", "1990-01-01")
    assert "before the first" in run("forecast", orders, *COLUMNS, *end, code=3).stderr


def test_a_fit_that_does_not_converge(run: Run, orders: Path, monkeypatch: Any) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise clv.errors.ConvergenceError("no maximum was found")

    monkeypatch.setattr("clv.model.maximize", fail)
    result = run("forecast", orders, *COLUMNS, *LAST, code=4)
    assert "clv: no maximum was found\n" in result.stderr


def test_a_fault_of_the_program_keeps_its_traceback(monkeypatch: Any, orders: Path) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("clv.model.maximize", fail)
    result = CliRunner().invoke(program, ["forecast", str(orders), *COLUMNS, *LAST])
    assert isinstance(result.exception, ZeroDivisionError)


def test_stopped_from_the_keyboard(monkeypatch: Any, run: Run, orders: Path) -> None:
    def stop(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("clv.model.maximize", stop)
    assert run("forecast", orders, *COLUMNS, *LAST, code=130).stderr.endswith("clv: stopped\n")


def test_a_full_disk_is_one_line(monkeypatch: Any, run: Run, orders: Path, tmp_path: Path) -> None:
    def full(_: Any, path: Path) -> None:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setitem(clv.cli.writing._WRITERS, ".csv", full)
    out = tmp_path / "f.csv"
    result = run("forecast", orders, *COLUMNS, *LAST, "--output", out, code=1)
    assert "No space left on device" in result.stderr.splitlines()[-1]
    assert list(tmp_path.iterdir()) == []


# --- clv forecast --------------------------------------------------------------------------------


def test_within_a_given_memory_the_forecast_is_the_same(
    run: Run, orders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clv.tables._memory.BYTES_PER_CUSTOMER", 10**7)
    call = ("forecast", orders, *COLUMNS, *LAST, "--json")
    plain, parts = tmp_path / "plain.parquet", tmp_path / "parts.parquet"
    one = record(run(*call, "--output", plain))
    other = record(run(*call, "--output", parts, "--memory", "500MB"))
    assert pq.ParquetFile(parts).num_row_groups > pq.ParquetFile(plain).num_row_groups == 1
    assert pq.read_schema(parts) == pq.read_schema(plain)
    pd.testing.assert_frame_equal(
        pd.read_parquet(plain), pd.read_parquet(parts), check_exact=False, rtol=1e-8, atol=1e-9
    )
    assert other["table"] == one["table"]
    assert other["notes"] == one["notes"]
    for name, value in one["forecast"].items():
        if isinstance(value, float):
            assert other["forecast"][name] == pytest.approx(value, rel=1e-8)
    assert "worth most" in run(*call[:-1], "--memory", "1GB").stdout.lower()
    assert "--memory" in run(*call, "--memory", "many", code=2).stderr


def test_forecast_is_what_the_package_computes(run: Run, orders: Path, tmp_path: Path) -> None:
    out, models = tmp_path / "f.parquet", tmp_path / "models"
    result = run(
        *("forecast", orders, *COLUMNS, "--observation-period-end", "1998-06-30"),
        *("--time-unit", "day", "--horizon", "1 year", "--discount-rate", ".05", "--margin", ".4"),
        *("--model", "mbg_nbd", "--interval", ".8", "--seed", 7),
        *("--output", out, "--save-models", models, "--json"),
    )
    transactions = clv.read_transactions(orders, customer_id="who", date="day", amount="total")
    rfm = clv.rfm_summary(transactions, observation_period_end="1998-06-30", time_unit="day")
    purchases, spend = clv.ModifiedBetaGeoModel().fit(rfm), clv.GammaGammaModel().fit(rfm)
    wanted = clv.forecast(
        *(rfm, purchases, spend),
        horizon="1 year",
        discount_rate=0.05,
        margin=0.4,
        interval=0.8,
        seed=7,
    )
    assert pq.read_table(out).equals(wanted.to_arrow())
    said = record(result)
    assert said["forecast"]["residual_value"] == pytest.approx(wanted.array("residual_value").sum())
    assert said["forecast"]["horizon"] == 365.25
    assert said["models"]["purchases"]["parameters"] == pytest.approx(purchases.parameters)
    assert said["files"]["output"] == str(out)
    for name, fitted in (("mbg_nbd", purchases), ("gamma_gamma", spend)):
        assert said["files"][name] == str(models / name)
        assert clv.load(models / name).parameters == pytest.approx(fitted.parameters)


def test_forecast_for_people(run: Run, orders: Path) -> None:
    result = run("forecast", orders, *COLUMNS, *LAST)
    assert "expected purchases" in result.stdout
    assert "90% interval" in result.stdout
    assert "Worth most from here on" in result.stdout
    assert "predictive" in result.stdout
    assert "note: observation_period_end is the last day in the data" in result.stderr
    assert "\x1b" not in result.output, "no colours in a pipe"


def test_forecast_without_intervals(run: Run, orders: Path, tmp_path: Path) -> None:
    out = tmp_path / "f.csv"
    result = run("forecast", orders, *COLUMNS, *LAST, "--no-interval", "--output", out)
    assert "90%" not in result.stdout
    assert "residual_value_low" not in out.read_text()


def test_forecast_without_a_horizon(run: Run, orders: Path) -> None:
    said = record(
        run("forecast", orders, *COLUMNS, *LAST, "--horizon", "forever", "--json", "--no-interval")
    )
    assert said["forecast"]["horizon"] is None
    assert said["forecast"]["residual_value"] > 0


def test_a_horizon_without_a_unit_is_in_the_time_unit(run: Run, orders: Path) -> None:
    def horizon(*arguments: str) -> float:
        options = (*COLUMNS, *LAST, "--no-interval", "--json", *arguments)
        found = record(run("forecast", orders, *options))["forecast"]["horizon"]
        assert isinstance(found, float)
        return found

    assert horizon("--horizon", "10") == 10.0
    assert math.isclose(horizon("--horizon", "70 days"), 10.0)


def test_json_is_one_object_with_null_for_what_is_undefined(run: Run, tmp_path: Path) -> None:
    """A perpetuity under these parameters has no expected number of purchases."""
    result = run(
        *("forecast", "dataset:cdnow", "--observation-period-end", "1997-09-30"),
        *("--horizon", "forever", "--no-interval", "--json"),
    )
    said = record(result)
    assert said["command"] == "forecast"
    assert said["quality"]["rows"] == 6919
    assert said["forecast"]["customers"] == 2357
    assert said["table"]["repeat_purchases"] == 2457
    assert said["forecast"]["expected_purchases"] is None
    assert said["models"]["purchases"]["parameters"]["r"] == pytest.approx(0.2426, abs=5e-5)
    assert any("infinite" in note for note in said["notes"])


def test_quantity_times_unit_price_and_a_jalali_file_agree(run: Run) -> None:
    """The two exports of the shop hold the same orders."""
    shop = clv.datasets.load_shop()
    jalali = shop.columns_jalali
    options = ("--json", "--no-interval", "--margin", "0.42")
    first = run(
        *("forecast", shop.orders, "--date", "timestamp", "--quantity", "quantity"),
        *("--unit-price", "unit_price", "--observation-period-end", "2025-06-30", *options),
    )
    second = run(
        *("forecast", shop.orders_jalali, "--customer-id", jalali["customer_id"]),
        *("--date", jalali["date"], "--amount", jalali["amount"], "--calendar", "jalali"),
        *("--observation-period-end", "۱۴۰۴/۰۴/۰۹", *options),
    )
    third = run("forecast", "dataset:shop", "--observation-period-end", "2025-06-30", *options)
    values = [record(result)["forecast"] for result in (first, second, third)]
    assert values[0]["residual_value"] == pytest.approx(values[1]["residual_value"], rel=1e-6)
    assert values[2] == values[0]
    assert values[1]["as_of"] == "2025-06-30"


def test_rejected_rows_are_written_by_forecast_too(run: Run, broken: Path, tmp_path: Path) -> None:
    out = tmp_path / "rejected.csv"
    result = run("forecast", broken, *COLUMNS, *LAST, "--no-interval", "--rejected", out)
    assert "300 of 304 rows used, 4 rejected" in result.stdout
    assert len(pd.read_csv(out)) == 4


# --- clv compare ---------------------------------------------------------------------------------

SPLIT = ("--calibration-end", "1997-09-30", "--observation-period-end", "1998-06-30")


def test_compare_gives_the_published_table(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "compared.parquet"
    options = ("--bootstrap", 50, "--json", "--output", out)
    said = record(run("compare", "dataset:cdnow", *SPLIT, *options))["comparison"]
    value = {row["method"]: row for row in said["value"]}
    assert value["prediction"]["mean_absolute_error"] == pytest.approx(30.41, abs=0.005)
    assert value["total_past_spend"]["bias"] == pytest.approx(1.439, abs=0.0005)
    assert value["perfect"]["total"] == pytest.approx(70976.39)
    assert len(pd.read_parquet(out)) == 2357


def test_compare_prints_tables_and_verdict(run: Run, orders: Path) -> None:
    text = run("compare", orders, *COLUMNS, *SPLIT, "--bootstrap", 50).stdout
    for word in ("Value per customer, 39 weeks", "total past spend", "Verdict", "Predictive"):
        assert word in text


def test_compare_needs_time_to_test_on(run: Run, orders: Path) -> None:
    backwards = ("--calibration-end", "1998-06-30", "--observation-period-end", "1998-06-30")
    said = run("compare", orders, *COLUMNS, *backwards, code=3).stderr
    assert "must lie before observation_period_end" in said


# --- clv quality ---------------------------------------------------------------------------------


def test_quality_counts_every_row(run: Run, broken: Path, tmp_path: Path) -> None:
    out = tmp_path / "rejected.csv"
    result = run("quality", broken, *COLUMNS, "--json", "--rejected", out)
    said = record(result)
    assert (said["rows"], said["used"], said["rejected"]) == (304, 300, 4)
    assert sum(said["reasons"].values()) == 4
    assert [row["row"] for row in said["first_rejected"]] == [302, 303, 304, 305]
    written = pd.read_csv(out, dtype=str)
    assert set(written["reason"]) == set(said["reasons"])
    assert written["who"].tolist()[-1] == "'=1+1"
    assert "begin like a formula" in result.stderr


@pytest.mark.parametrize("command", [("quality",), ("forecast", *LAST, "--no-interval")])
def test_rows_are_kept_when_none_can_be_used(
    run: Run, tmp_path: Path, command: tuple[str, ...]
) -> None:
    source, out = tmp_path / "orders.csv", tmp_path / "rejected.csv"
    source.write_text("who,day,total\na,soon,5\n,2024-01-01,5\n")
    result = run(command[0], source, *COLUMNS, *command[1:], "--rejected", out, code=3)
    assert "none of the 2 rows" in result.stderr
    assert f"wrote {out}" in result.stderr
    written = pd.read_csv(out, dtype=str)
    assert written["row"].tolist() == ["2", "3"]
    assert written["reason"].tolist() == ["day cannot be read as a date", "who is missing"]


def test_quality_for_people(run: Run, broken: Path) -> None:
    text = run("quality", broken, *COLUMNS).stdout
    assert "The first 4 of 4 rejected rows" in text
    assert "who is missing" in text


def test_quality_of_a_clean_source(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "rejected.csv"
    text = run("quality", "dataset:cdnow", "--rejected", out).stdout
    assert "rejected rows" not in text
    assert "6,919" in text
    assert len(out.read_text().splitlines()) == 1, "a heading and no rows"


def test_quality_of_nothing_usable(run: Run, tmp_path: Path) -> None:
    source = write(tmp_path / "a.csv", "who,day,total\n,2024-01-01,1\na,soon,2\n")
    assert "clv: " in run("quality", source, *COLUMNS, code=3).stderr


def test_control_characters_in_the_data_do_not_reach_the_terminal(run: Run, tmp_path: Path) -> None:
    source = write(tmp_path / "a.csv", "who,day,total\n\x1b[31mred,soon,1\nb,2024-01-01,1\n")
    text = run("quality", source, *COLUMNS).stdout
    assert "\x1b" not in text
    assert "\\x1b[31mred" in text


# --- the commands on the pages -------------------------------------------------------------------

PAGES = Path(__file__).parents[1]


def commands_on_the_pages() -> list[str]:
    found = []
    for page in [PAGES / "README.md", *sorted((PAGES / "docs").glob("*.md"))]:
        text = page.read_text(encoding="utf-8").replace("\\\n", " ")
        found += re.findall(r"^ *(clv [a-z]+ (?:-|[a-z]+[.:]|\").*)$", text, flags=re.MULTILINE)
    return found


def test_there_are_commands_on_the_pages() -> None:
    assert len(commands_on_the_pages()) >= 7


@pytest.mark.parametrize("line", commands_on_the_pages())
def test_commands_on_the_pages_are_understood(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    _, name, *arguments = shlex.split(line, comments=True)
    command = program.get_command(click.Context(program), name)
    assert command is not None
    command.make_context(name, arguments)


# --- clv datasets --------------------------------------------------------------------------------


def test_datasets(run: Run) -> None:
    text = run("datasets").stdout
    for dataset in clv.datasets.list_datasets():
        assert f"dataset:{dataset.name}" in text
    listed = record(run("datasets", "--json"))["datasets"]
    assert [entry["name"] for entry in listed] == [d.name for d in clv.datasets.list_datasets()]


# --- clv demo ------------------------------------------------------------------------------------


def test_demo_does_what_it_says(run: Run, tmp_path: Path) -> None:
    out, models = tmp_path / "out", tmp_path / "models"
    text = run("demo", "--output", out, "--models", models).stdout
    for word in ("2,357", "59,932", "70,976", "90% interval", "does better", "second opinion"):
        assert word in text
    files = {entry.name for entry in out.iterdir()}
    assert files == {
        *("forecast.parquet", "forecast.csv", "forecast.png"),
        *("comparison.txt", "comparison.json", "comparison.csv"),
    }
    for name in files:
        assert str(out / name) in text
    assert (out / "forecast.png").read_bytes().startswith(b"\x89PNG")
    assert "Verdict" in (out / "comparison.txt").read_text()
    assert len(pd.read_parquet(out / "forecast.parquet")) == 2357
    assert clv.load(models / "cdnow-bg_nbd").n_customers == 2357


# --- clv export ----------------------------------------------------------------------------------


def test_export_writes_what_the_package_writes(run: Run, tmp_path: Path) -> None:
    result = run(
        *("export", "dataset:shop", "--customers", "dataset:shop", *LAST, "--margin", ".42"),
        *("--preset", "klaviyo", "--preset", "google-customer-match", "--preset", "database"),
        *("--database", f"sqlite:///{tmp_path / 'shop.db'}", "--output", tmp_path, "--json"),
    )
    exports = {export["preset"]: export for export in record(result)["exports"]}
    names = {path.name for path in (tmp_path / "google-customer-match").iterdir()}
    tiers = ("platinum", "gold", "silver", "bronze", "no-tier")
    assert names == {"manifest.json", "left_out.csv"} | {
        f"google-customer-match-{tier}.csv" for tier in tiers
    }
    for export in exports.values():
        assert export["rows"] + export["left_out"]["customers"] == export["customers"] == 3671
        assert export["as_of"] == "2025-06-30"
    consent = pd.read_csv(clv.datasets.load_shop().customers)["consent"]
    assert exports["google-customer-match"]["rows"] <= int(consent.eq(True).sum())
    assert exports["database"]["rows"] == 3671
    head = pd.read_csv(tmp_path / "klaviyo" / "klaviyo.csv", dtype=str)
    assert set(head["clv_tier"]) == {"platinum", "gold", "silver", "bronze", "no tier"}
    assert set(head["clv_stage"]) <= {"new", "active", "loyal", "at risk", "lost"}


def test_export_refuses_before_any_work(run: Run) -> None:
    start = ("export", "no such file", *LAST)
    assert "did you mean 'hubspot'" in run(*start, "--preset", "hubsport", code=2).stderr
    assert "CLV_DATABASE_URL" in run(*start, "--preset", "database", code=2).stderr
    bad = run(*start, "--preset", "csv", "--column", "email", code=2)
    assert "FIELD=COLUMN" in bad.stderr


def test_the_spend_model_may_look_at_all_purchases(run: Run, orders: Path) -> None:
    def spend(*more: str) -> dict[str, Any]:
        found: dict[str, Any] = record(
            run("forecast", orders, *COLUMNS, *LAST, "--no-interval", "--json", *more)
        )["models"]["spend"]
        return found

    assert spend()["customers"] < spend("--spend-purchases", "all")["customers"] <= 300
    text = run("forecast", orders, *COLUMNS, *LAST, "--no-interval", "--spend-purchases", "all")
    assert "Gamma-Gamma of all purchases:" in text.output


# --- clv report ----------------------------------------------------------------------------------


def test_report_writes_a_page_in_each_language(run: Run, orders: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    both = ("--language", "both", "--output", page, "--json")
    result = record(run("report", orders, *COLUMNS, *LAST, *both, "--currency", "US$"))
    assert set(result["left_out"]) == set()
    assert result["files"] == {
        "en": str(tmp_path / "page.en.html"),
        "fa": str(tmp_path / "page.fa.html"),
    }
    texts = [Path(path).read_text("utf-8") for path in result["files"].values()]
    total = f"{result['forecast']['residual_value']:,.0f}"
    assert f">{total}</data>" in texts[0]
    assert f">{total.translate(PERSIAN)}</data>" in texts[1]
    assert all("US$" in text for text in texts)


def test_report_says_what_it_cannot_show(run: Run, orders: Path, tmp_path: Path) -> None:
    out = ("--output", tmp_path / "page.html")
    said = run("report", orders, *COLUMNS, *LAST, *out, "--calibration-end", "none").stderr
    assert "Does the forecast beat looking back? (no test was asked for" in said
    late = ("--calibration-end", "1999-01-01")
    run("report", orders, *COLUMNS, *LAST, *out, *late, code=3)
    assert ".html" in run("report", orders, *LAST, "--output", "page.pdf", code=2).stderr


def test_level_and_width_are_learned_from_earlier_cuts(run: Run, tmp_path: Path) -> None:
    start = ("forecast", "dataset:cdnow", "--observation-period-end", "1997-09-30")
    more = ("--horizon", "39", "--discount-rate", "0", "--calibrate", "4", "--json")
    result = run(*start, *more, "--model", "stacked", "--save-models", tmp_path)
    found = record(result)
    learned = found["forecast"]["calibration"]
    assert len(learned["cuts"]) == 4
    before, after = (
        found["forecast"]["totals_before_calibration"][0],
        found["forecast"]["totals"][0],
    )
    assert after["low"] < before["low"] < before["high"] < after["high"]
    assert after["low"] < 1882 < after["high"]
    assert after["value"] == pytest.approx(
        before["value"] * math.exp(learned["purchases"]["location"]), rel=3e-3
    )
    stack = clv.load(tmp_path / "stacked")
    assert sum(stack.weights) == pytest.approx(1.0)
    assert len(set(stack.weights)) > 1
    assert clv.load(tmp_path / "calibration.json").to_dict() == learned
