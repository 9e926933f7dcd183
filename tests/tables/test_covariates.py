"""Covariates find their customers in every engine, and nobody is without a value."""

from __future__ import annotations

from typing import Any

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import clv
from clv.errors import DataError, MissingColumnError, UnsupportedFrameError
from clv.tables.rfm import RFM

KNOWN = pd.DataFrame(
    {
        "customer_id": ["c", "z", "b", "a"],
        "channel": ["web", "fax", "shop", "web"],
        "kind": pd.Categorical(["x", None, "y", "x"]),
        "news": [True, False, False, True],
        "visits": [1, 9, 2, 3],
        "score": [0.5, np.nan, -1.0, 1e6],
    }
)
COLUMNS = ["channel", "kind", "news", "visits", "score"]


def table(engine: str = "pandas") -> RFM:
    frame = pd.DataFrame(
        {"customer_id": ["a", "b", "c"], "frequency": [0, 1, 2], "recency": [0.0, 2, 3], "T": 38.0}
    )
    native: Any = {"pandas": frame, "polars": pl.from_pandas(frame), "pyarrow": to_arrow(frame)}
    return clv.rfm_table(native[engine], time_unit="week")


def to_arrow(frame: pd.DataFrame) -> pa.Table:
    return pa.Table.from_pandas(frame, preserve_index=False)


FRAMES = {
    "pandas": KNOWN,
    "pandas nullable": KNOWN.convert_dtypes(),
    "pandas objects": KNOWN.astype({"channel": object, "kind": object, "news": object}),
    "pandas on arrow": to_arrow(KNOWN).to_pandas(types_mapper=pd.ArrowDtype),
    "polars": pl.from_pandas(KNOWN),
    "polars lazy": pl.from_pandas(KNOWN).lazy(),
    "pyarrow": to_arrow(KNOWN),
    "duckdb": duckdb.from_arrow(to_arrow(KNOWN)),
}


@pytest.mark.parametrize("frame", list(FRAMES))
@pytest.mark.parametrize("engine", ["pandas", "polars", "pyarrow"])
def test_engines_are_interchangeable(frame: str, engine: str) -> None:
    rfm = table(engine).with_covariates(FRAMES[frame], COLUMNS)
    assert rfm.covariates == tuple(COLUMNS)
    assert rfm.to_polars().select(COLUMNS).rows() == [
        ("web", "x", "True", 3.0, 1e6),
        ("shop", "y", "False", 2.0, -1.0),
        ("web", "x", "True", 1.0, 0.5),
    ]
    assert type(rfm.to_native()) is type(table(engine).to_native())
    assert rfm.levels("channel") == ("shop", "web")
    assert rfm.levels("visits") is None
    assert rfm.numbers("channel").tolist() == [1.0, 0.0, 1.0]
    assert rfm.distinct("channel", "news").weights.tolist() == [1.0, 2.0]


def test_the_table_itself_does_not_change() -> None:
    plain = table()
    rfm = plain.with_covariates(KNOWN, "channel")
    assert "channel" not in plain.columns
    assert rfm.fingerprint == plain.fingerprint
    other = KNOWN.assign(channel="mail")
    again = rfm.with_covariates(KNOWN, ["visits"]).with_covariates(other, ["channel"])
    assert again.covariates == ("visits", "channel")
    assert set(again.to_pandas()["channel"]) == {"mail"}


def test_other_names_of_the_id() -> None:
    renamed = KNOWN.rename(columns={"customer_id": "key"})
    rfm = table().with_covariates(renamed, ["channel"], customer_id="key")
    assert rfm.to_pandas()["channel"].tolist() == ["web", "shop", "web"]


def test_whole_numbers_as_ids() -> None:
    frame = table().to_pandas().assign(customer_id=[3, 1, 2])
    known = KNOWN.assign(customer_id=[1, 7, 2, 3]).drop(index=0)
    with pytest.raises(DataError, match=r"no row for 1 customer, the first is 1; add them"):
        clv.rfm_table(frame, time_unit="week").with_covariates(known, ["visits"])


def broken(**columns: Any) -> pd.DataFrame:
    return KNOWN.assign(**columns)


MISTAKES = {
    "missing text": (broken(channel=[None, "fax", "shop", None]), "channel", DataError,
                     r"channel is missing for 2 of 3 customers, the first is 'a'; fill it in"),
    "blank": (broken(channel=["web", "fax", " ", "web"]), "channel", DataError,
              "channel is missing for 1 customer, the first is 'b'"),
    "missing category": (broken(kind=pd.Categorical([None, "x", "y", "y"])), "kind", DataError,
                         "kind is missing for 1 customer, the first is 'c'"),
    "missing number": (broken(visits=[np.nan, 1, 2, 3]), "visits", DataError,
                       "visits is missing for 1 customer, the first is 'c'"),
    "infinite": (broken(visits=[1, 1, np.inf, -np.inf]), "visits", DataError,
                 "visits is infinite for 2 of 3 customers, the first is 'a'"),
    "dates": (broken(since=pd.Timestamp("2024-01-01")), "since", DataError,
              "since holds Datetime.*numbers, texts, categories or true/false"),
    "mixed": (broken(channel=[1, "a", "b", "c"]), "channel", DataError, "channel holds Object"),
    "unknown column": (KNOWN, "color", MissingColumnError, "no column 'color'; it has customer_id"),
    "reserved": (broken(T=1.0), "T", DataError, "a covariate cannot be called T"),
    "reserved later": (broken(holdout_spend=1.0), "holdout_spend", DataError, "cannot be called"),
    "twice": (pd.concat([KNOWN, KNOWN[:1]]), "channel", DataError,
              "occurs more than once in 1 rows of the customers table, the first is 'c'"),
    "not there": (KNOWN[1:], "channel", DataError,
                  "has no row for 1 customer, the first is 'c'; add them"),
    "no frame": ([1, 2], "channel", UnsupportedFrameError, "customers is a list"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", list(MISTAKES))
def test_mistakes_are_named(mistake: str) -> None:
    frame, column, error, message = MISTAKES[mistake]
    with pytest.raises(error, match=message):
        table().with_covariates(frame, [column])


def test_a_name_given_twice() -> None:
    with pytest.raises(DataError, match="columns names channel more than once"):
        table().with_covariates(KNOWN, ["channel", "visits", "channel"])
