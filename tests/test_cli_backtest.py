"""``clv backtest`` is what the package computes, and its files and exit codes are as promised."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner, Result

import clv
from clv.cli import program

GIVEN = [
    *("backtest", "dataset:cdnow", "--observation-period-end", "last"),
    *("--horizon", "39 weeks", "--cuts", "1997-09-30", "--models", "bg_nbd"),
    *("--bootstrap", "20"),
]


def run(*arguments: str) -> Result:
    return CliRunner().invoke(program, list(arguments))


def test_it_is_what_the_package_computes(tmp_path: Path) -> None:
    output, page = tmp_path / "metrics.csv", tmp_path / "verdict.html"
    result = run(*GIVEN, "--output", str(output), "--verdict", str(page), "--json")
    assert result.exit_code == 0, result.output
    record = json.loads(result.stdout)
    tried = clv.backtest(
        clv.read_transactions(clv.datasets.load_cdnow()),
        ["bg_nbd"],
        horizon="39 weeks",
        cuts=["1997-09-30"],
        bootstrap=20,
    )
    assert record["backtest"]["purchases"] == tried.summary("purchases").to_dict()
    assert record["verdict"]["headline"]["text"] == tried.verdict().headline.text
    written = pd.read_csv(output, keep_default_na=False)
    assert len(written) == len(tried.metrics)
    html = page.read_text(encoding="utf-8")
    assert html.startswith("<!doctype html>")
    assert tried.verdict().headline.text in html


def test_for_people() -> None:
    result = run(*GIVEN, "--spend-purchases", "both")
    assert result.exit_code == 0
    for part in ("BG/NBD + Gamma-Gamma of all purchases", "1 cut", "✗ The model's total value"):
        assert part in result.stdout
    assert "bootstrap over customers" in result.stderr


@pytest.mark.parametrize(
    ("more", "code", "message"),
    [
        (["--models", "no_such"], 2, "no model is called 'no_such'"),
        (["--models", "gamma_gamma"], 2, "no purchase model"),
        (["--horizon", "soon"], 2, "cannot be read"),
        (["--cuts", "1997-13-01"], 2, "1997-13-01"),
        (["--cuts", ","], 2, "give a number"),
        (["--verdict", "page.txt"], 2, "must end in .html"),
        (["--horizon", "5 years"], 3, "only 273 of the 1,826 days"),
    ],
)
def test_what_is_refused(more: list[str], code: int, message: str) -> None:
    result = run(*GIVEN, *more)
    assert result.exit_code == code, result.output
    assert message in result.output.replace("\n", " ")
