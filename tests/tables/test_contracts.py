"""Contracts from frames of every engine, and from survivor counts."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pytest

import clv
from clv.errors import DataError, MissingColumnError, NoUsableRowsError, UnsupportedFrameError

ROWS = pd.DataFrame(
    {
        "who": ["a", "b", "c", "d", "e", None, "g", "h", "i", "a"],
        "from": [
            *("2020-01-31", "2020-02-29", "2024-12-31", "2021-05-01", "2025-01-01"),
            *("2020-01-01", "2020-13-01", "2022-06-10", "2022-06-10", "2023-03-03"),
        ],
        "to": [
            *(None, "2021-02-28", None, "2020-05-01", None, None, None, "2023-06-11"),
            *("2023-06-10", "2026-01-01"),
        ],
        "price": [10.0, 20.0, None, 5.0, 5.0, 5.0, 5.0, -1.0, 7.5, 8.0],
    }
)
NAMES = {"customer_id": "who", "start": "from", "end": "to", "fee": "price"}


def read(source: Any, **options: Any) -> clv.Contracts:
    return clv.contracts_table(
        source, **{"as_of": "2024-12-31", "period": "year", **NAMES, **options}
    )


def sources(tmp_path: Path) -> dict[str, Any]:
    path = tmp_path / "contracts.csv"
    ROWS.to_csv(path, index=False)
    dated = ROWS.assign(
        **{name: pd.to_datetime(ROWS[name].replace("2020-13-01", None)) for name in ("from", "to")}
    )
    python = ROWS.assign(
        to=[dt.date.fromisoformat(v) if isinstance(v, str) else None for v in ROWS["to"].tolist()]
    )
    return {
        "pandas": ROWS,
        "pandas objects": python.astype({"to": object}),
        "polars": pl.from_pandas(ROWS),
        "polars lazy": pl.from_pandas(ROWS).lazy(),
        "pyarrow": pl.from_pandas(ROWS).to_arrow(),
        "duckdb": duckdb.from_arrow(pl.from_pandas(ROWS).to_arrow()),
        "csv": str(path),
        "pandas dates": dated,
        "polars dates": pl.from_pandas(dated),
    }


KINDS = ["pandas", "pandas objects", "polars", "polars lazy", "pyarrow", "duckdb", "csv"]


@pytest.mark.parametrize("kind", [*KINDS, "pandas dates", "polars dates"])
def test_every_engine_gives_the_same(kind: str, tmp_path: Path) -> None:
    contracts = read(sources(tmp_path)[kind])
    table = contracts.to_pandas()
    assert table["customer_id"].tolist() == ["a", "b", "c", "i", "a"]
    assert table["renewals"].tolist() == [4, 0, 0, 0, 1]
    assert table["churned"].tolist() == [False, True, False, True, False]
    due = ["2025-01-31", "NaT", "2025-12-31", "NaT", "2025-03-03"]
    assert _texts(contracts, "next_renewal") == due
    assert _texts(contracts, "end") == ["NaT", "2021-02-28", "NaT", "2023-06-10", "NaT"]
    np.testing.assert_array_equal(table["fee"], [10.0, 20.0, np.nan, 7.5, 8.0])
    unread = "from is missing" if "dates" in kind else "from is a day that does not exist"
    assert dict(contracts.reasons) == {
        "who is missing": 1,
        unread: 1,
        "from lies after as_of": 1,
        "to lies before from": 1,
        "price is negative": 1,
    }
    rejected = contracts.rejected
    rejected = rejected.pl() if kind == "duckdb" else rejected
    rows = pl.DataFrame(rejected)
    by_id = dict(zip(rows["who"].to_list(), rows["reason"].to_list(), strict=True))
    assert by_id["d"] == "to lies before from"
    assert by_id["g"] == unread
    assert set(by_id) == {"d", "e", None, "g", "h"}
    assert list(rows.columns)[-1] == "reason"
    if kind == "pandas":
        assert rows["row"].to_list() == [4, 5, 6, 7, 8]
        assert rows["to"].to_list()[0] == "2020-05-01"
    assert any("5 rows could not be used" in note for note in contracts.notes)
    assert any("1 contract ends after as_of" in note for note in contracts.notes)
    assert any("1 contract is of a customer who has another" in note for note in contracts.notes)
    assert any("1 contract has no fee" in note for note in contracts.notes)
    assert "5 contracts by the year, 3 of them running on 2024-12-31" in repr(contracts)
    assert "5 contracts by the year" in contracts._repr_html_()


@pytest.mark.parametrize("period", ["month", "year", "week", "day"])
def test_renewals_are_counted_by_the_calendar(period: str) -> None:
    """Day by day: a renewal falls on the same day of the month, or on its last day."""
    rng = np.random.default_rng(1)
    start = pd.Timestamp("2019-12-28") + pd.to_timedelta(rng.integers(0, 430, 150), unit="D")
    end = start + pd.to_timedelta(rng.integers(0, 900, 150), unit="D")
    as_of = pd.Timestamp("2022-02-28")
    running = rng.random(150) < 0.5
    frame = pd.DataFrame({"customer_id": range(150), "start": start, "end": end.where(~running)})
    contracts = clv.contracts_table(frame, as_of=as_of, period=period)
    steps = {"month": ("months", 1), "year": ("years", 1), "week": ("weeks", 1), "day": ("days", 1)}
    word, size = steps[period]
    for i, row in contracts.to_pandas().iterrows():
        ended = (not running[i]) and end[i] <= as_of
        last = end[i] - pd.Timedelta(days=1) if ended else as_of
        made = 0
        while start[i] + pd.DateOffset(**{word: size * (made + 1)}) <= last:
            made += 1
        assert row["renewals"] == made
        assert row["churned"] == ended
        due = start[i] + pd.DateOffset(**{word: size * (made + 1)})
        assert pd.isna(row["next_renewal"]) if ended else row["next_renewal"] == due


def _texts(contracts: clv.Contracts, column: str) -> list[str]:
    return contracts.values(column).astype("datetime64[D]").astype(str).tolist()


def test_all_run_without_an_end_column() -> None:
    contracts = read(ROWS.drop(columns=["to", "price"]), end=None, fee=None)
    assert not contracts.array("churned").any()
    assert "fee" not in contracts.columns
    with pytest.raises(MissingColumnError, match=r"give contracts_table\(..., fee=\) the name"):
        contracts.array("fee")


@pytest.mark.parametrize("engine", ["pandas", "polars", "lazy", "pyarrow"])
def test_nobody_has_ended(engine: str) -> None:
    """A column of nothing has a type of its own in every engine."""
    frame = pl.DataFrame({"customer_id": [1, 2], "start": ["2020-01-01", "2021-05-05"]})
    frame = frame.with_columns(end=None)
    source = {
        "pandas": frame.to_pandas(),
        "polars": frame,
        "lazy": frame.lazy(),
        "pyarrow": frame.to_arrow(),
    }[engine]
    contracts = clv.contracts_table(source, as_of="2024-12-31", period="month")
    assert contracts.array("renewals").tolist() == [59.0, 43.0]
    assert not contracts.array("churned").any()


@pytest.mark.parametrize(
    ("end", "renewals"),
    [([np.nan, np.nan], [4, 3]), ([20230101.0, np.nan], [2, 3]), (["NULL", ""], [4, 3])],
)
def test_an_end_that_is_a_number_or_a_word(end: list[Any], renewals: list[int]) -> None:
    frame = pd.DataFrame({"customer_id": [1, 2], "start": ["2020-01-01", "2021-05-05"], "end": end})
    contracts = clv.contracts_table(frame, as_of="2024-12-31", period="year")
    assert contracts.array("renewals").tolist() == renewals


def test_what_cannot_be_read_is_said() -> None:
    with pytest.raises(MissingColumnError, match="no column 'start' for start; it has who, from"):
        read(ROWS, start="start")
    with pytest.raises(UnsupportedFrameError, match="contracts of type list cannot be read"):
        read([1, 2])
    with pytest.raises(DataError, match="column 'since', named as start, holds"):
        read(ROWS.assign(since=True), start="since")
    with pytest.raises(NoUsableRowsError, match=r"none of the 10 rows .* 8 x from lies after"):
        read(ROWS, as_of="2010-01-01")
    with pytest.raises(NoUsableRowsError, match="has no rows"):
        read(ROWS.head(0))
    with pytest.raises(DataError, match="is no Gregorian date"):
        read(ROWS, as_of="31.12.2024")
    with pytest.raises(DataError, match="time_unit 'quarter'"):
        read(ROWS, period="quarter")


def test_cohorts() -> None:
    one = clv.contracts_from_survivors([1000, 869, 743, 743])
    assert one.n_contracts == 1000
    assert one.distinct.weights.tolist() == [131.0, 126.0, 743.0]
    assert "1,000 contracts by the year, 743 of them running" in repr(one)
    several = clv.contracts_from_survivors({"2019": [1000, 869, 743, 743], "2020": [500, 400]})
    assert several.n_contracts == 1500
    assert set(several.to_pandas()["cohort"]) == {"2019", "2020"}
    renewals, churned = several.distinct.columns
    weight = dict(zip(zip(renewals, churned, strict=True), several.distinct.weights, strict=True))
    assert weight == {(0, 1): 231, (1, 0): 400, (1, 1): 126, (3, 0): 743}
    listed = clv.contracts_from_survivors([[1000, 869, 743, 743], [500, 400]])
    assert listed.fingerprint == several.fingerprint != one.fingerprint
    with pytest.raises(MissingColumnError, match="cohorts of survivors have no dates, fees or"):
        one.values("next_renewal")


@pytest.mark.parametrize(
    ("survivors", "message"),
    [
        ([1000], "needs the number of customers at the start and after one renewal"),
        ([], "needs the number"),
        ([10, 11, 9], r"cohort 1: 1 of 3 .* the first is that after 1 renewal \(11\): more than"),
        ([10, 9.5, 9], r"after 1 renewal \(9.5\): no whole number of customers"),
        ([10, -1], "no whole number"),
        ([10, float("nan")], "no whole number"),
        ({"x": [0, 0]}, "cohort 'x' begins with no customers"),
    ],
)
def test_wrong_cohorts_are_said(survivors: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        clv.contracts_from_survivors(survivors)
