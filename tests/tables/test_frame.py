from __future__ import annotations

from dataclasses import dataclass

import narwhals as nw
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from clv.errors import DataError, MissingColumnError
from clv.tables._frame import Table

IDS = {
    "pandas": pd.Series(["a", "b", "c"], index=[5, 5, 6], name="other"),
    "polars": pl.Series(["a", "b", "c"]),
    "pyarrow": pa.chunked_array([["a"], ["b", "c"]]),
    "narwhals": nw.from_native(pl.Series(["a", "b", "c"]), series_only=True),
    "list": ["a", "b", "c"],
    "numpy": np.array(["a", "b", "c"], dtype=object),
}


def columns(ids="pandas"):
    return {
        "customer_id": IDS[ids],
        "value": np.array([1.5, np.nan, -2.0]),
        "count": np.array([1, 2, 3]),
        "next": np.array(["2024-03-01", "NaT", "2024-12-31"], dtype="datetime64[D]"),
        "is_late": np.array([True, False, True]),
    }


@pytest.mark.parametrize("engine", ["pandas", "polars", "pyarrow"])
@pytest.mark.parametrize("ids", IDS)
def test_every_series_into_every_engine(ids, engine):
    table = Table.from_columns(columns(ids), like=engine)
    assert len(table) == 3
    expected = pl.DataFrame(
        {
            "customer_id": ["a", "b", "c"],
            "value": [1.5, None, -2.0],
            "count": [1, 2, 3],
            "next": ["2024-03-01", None, "2024-12-31"],
            "is_late": [True, False, True],
        }
    ).with_columns(pl.col("next").str.to_date())
    assert table.to_polars().equals(expected)
    assert pl.from_arrow(table.to_arrow()).equals(expected)
    frame = table.to_pandas()
    assert frame.dtypes.astype(str).tolist() == ["str", "float64", "int64", "datetime64[s]", "bool"]
    assert frame.index.tolist() == [0, 1, 2]
    assert pl.from_pandas(frame).with_columns(pl.col("next").cast(pl.Date)).equals(expected)
    for name in table.columns:
        native = table[name]
        assert type(native) is type(table.frame[name].to_native())
        assert (
            nw.from_native(native, series_only=True)
            .to_polars()
            .equals(table.frame[name].to_polars(), null_equal=True)
        )


def test_subclasses_carry_what_they_like():
    @dataclass(frozen=True, repr=False, eq=False)
    class Shown(Table):
        horizon: float | None = None
        notes: tuple[str, ...] = ()

    table = Shown(**Table.parts(columns(), like="duckdb"), horizon=52.0, notes=("of <two> kinds",))
    assert table.horizon == 52
    assert isinstance(table.to_native(), pd.DataFrame)
    assert repr(table).splitlines() == [
        "Shown: 3 rows",
        "customer_id  value  count        next  is_late",
        "          a    1.5      1  2024-03-01     True",
        "          b      –      2           –    False",
        "          c     -2      3  2024-12-31     True",
        "note: of <two> kinds",
    ]
    assert "of &lt;two&gt; kinds" in table._repr_html_()
    assert isinstance(Shown.from_columns({"x": [1]}, like=table), Shown)


def test_many_rows_are_not_all_shown():
    table = Table.from_columns({"x": np.arange(12_345)})
    assert repr(table).endswith("… 12,340 more rows")
    assert "… 12,340 more rows" in table._repr_html_()


def test_an_empty_table():
    table = Table.from_columns({"x": []})
    assert len(table) == 0
    assert repr(table) == "Table: 0 rows\nx"
    assert len(table.to_polars()) == 0


def test_arrays():
    table = Table.from_columns(columns())
    assert table.array("count").tolist() == [1, 2, 3]
    assert table.array("is_late").tolist() == [1, 0, 1]
    assert table.values("next").dtype.kind == "M"
    assert table.values("customer_id").tolist() == ["a", "b", "c"]
    with pytest.raises(DataError, match=r"'customer_id' holds .* not numbers"):
        table.array("customer_id")
    with pytest.raises(MissingColumnError, match="no column 'z'; there are customer_id, value"):
        table.array("z")


def test_the_caller_cannot_be_changed_through_a_table():
    mine = np.array([1.0, 2.0])
    table = Table.from_columns({"x": mine})
    frame = table.to_pandas()
    frame.loc[0, "x"] = 9.0
    assert mine.tolist() == [1, 2]
    assert mine.flags.writeable


def test_columns_that_do_not_fit():
    with pytest.raises(DataError, match=r"one length, not {'x': 1, 'y': 2}"):
        Table.from_columns({"x": [1], "y": [1, 2]})
    with pytest.raises(DataError, match="one dimension"):
        Table.from_columns({"x": [[1, 2]]})
