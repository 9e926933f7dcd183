"""The simple historical figures: by hand, on CDNOW, and with a customers table."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import clv
from clv.errors import DataError, MissingColumnError, UnsupportedFrameError
from clv.history import historical_forecasts, historical_purchase_forecasts
from clv.tables.rfm import RFM


def table(**changes: Any) -> RFM:
    """Ann bought 10 and 30 over two years, Bob 40 one year ago, Cy 5 on the last day."""
    columns = {
        "customer_id": ["ann", "bob", "cy"],
        "frequency": [1, 0, 0],
        "recency": [0.5, 0.0, 0.0],
        "T": [2.0, 1.0, 0.0],
        "monetary_value": [30.0, None, None],
        "total_value": [40.0, 40.0, 5.0],
    }
    return clv.rfm_table(pd.DataFrame(columns | changes), time_unit="year")


CUSTOMERS = pd.DataFrame(
    {
        "customer_id": ["dee", "cy", "bob", "ann"],
        "acquisition_cost": [1.0, 2.0, 8.0, 10.0],
        "cost_to_serve": [1.0, 0.5, 4.0, 6.0],
        "margin": [0.9, 0.4, 0.5, 0.25],
    }
)


# -- history as a forecast ------------------------------------------------------------------------


def test_forecasts_by_hand() -> None:
    found = historical_forecasts(table(), 0.5)
    assert found["total_past_spend"].tolist() == [40, 40, 5]
    assert found["repeat_past_spend"].tolist() == [30, 0, 0]
    # Cy has no tenure and gets the base's rate: 85 spent in 3 years
    assert found["spend_per_tenure"].tolist() == pytest.approx([10, 20, 85 / 3 / 2])
    purchases = historical_purchase_forecasts(table(), "6 months")
    assert purchases["purchases_per_tenure"].tolist() == pytest.approx([0.25, 0, 1 / 3 / 2])


def test_forecasts_need_tenure_and_spend() -> None:
    newcomers = table(T=[0.0, 0.0, 0.0], recency=[0.0] * 3, frequency=[0, 0, 0])
    with pytest.raises(DataError, match="all 3 customers were first seen on the last day"):
        historical_forecasts(newcomers, 1)
    frame = table().to_pandas().drop(columns=["total_value", "mean_purchase_value"])
    without_spend = clv.rfm_table(frame, time_unit="year")
    with pytest.raises(MissingColumnError, match="total_value"):
        historical_forecasts(without_spend, 1)


# -- historical value -----------------------------------------------------------------------------


def test_value_by_hand() -> None:
    value = clv.historical_value(table(), gross_margin=0.5, years=4)
    assert value.array("purchases").tolist() == [2, 1, 1]
    assert value.array("average_order_value").tolist() == [20, 40, 5]
    np.testing.assert_array_equal(value.array("purchases_per_year"), [1, 1, np.nan])
    assert value.array("total_margin").tolist() == [20, 20, 2.5]
    np.testing.assert_array_equal(value.array("run_rate"), [40, 80, np.nan])
    assert "net" not in value.columns
    assert value.years == 4
    unknown = (
        "1 customers were first seen on the last day: purchases_per_year and run_rate are missing "
        "for them."
    )
    assert value.notes == ("years = 4, as given.", unknown)


def test_years_from_the_base_are_named_and_are_not_the_customers_own_age() -> None:
    value = clv.historical_value(table())
    assert value.years == pytest.approx(1.0)
    assert value.notes[0].startswith("years = 1.00, the mean time since the first purchase over")
    # with the own age the formula would give back past revenue
    assert value.array("run_rate")[0] == pytest.approx(20)
    assert value.array("total_margin")[0] == pytest.approx(40)


def test_the_time_unit_does_not_matter() -> None:
    weeks = table().to_pandas()
    weeks[["recency", "T"]] *= 365.25 / 7
    there = clv.historical_value(clv.rfm_table(weeks, time_unit="week"))
    here = clv.historical_value(table())
    for column in ("run_rate", "purchases_per_year", "total_margin"):
        np.testing.assert_allclose(there.array(column), here.array(column))


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame, pl.LazyFrame, pa.table])
def test_net_in_every_engine(make: Any) -> None:
    columns = {name: CUSTOMERS[name].tolist() for name in CUSTOMERS}
    value = clv.historical_value(table(), gross_margin="margin", customers=make(columns))
    assert value.array("total_margin").tolist() == [10, 20, 2]
    assert value.array("acquisition_cost").tolist() == [10, 8, 2]
    assert value.array("cost_to_serve").tolist() == [6, 4, 0.5]
    assert value.array("net").tolist() == [-6, 8, -0.5]
    assert "1 rows of the customers table belong to nobody in the table." in value.notes


@pytest.mark.parametrize("make", [pl.DataFrame, pa.table])
def test_a_table_of_one_engine_and_customers_of_another(make: Any) -> None:
    columns = {"customer_id": ["a", "b"], "frequency": [0, 0], "recency": [0.0, 0.0]}
    base = clv.rfm_table(
        make({**columns, "T": [1.0, 1.0], "total_value": [5.0, 7.0]}), time_unit="year"
    )
    customers = pd.DataFrame({"customer_id": ["b", "a"], "acquisition_cost": [1, 2]})
    value = clv.historical_value(base, customers=customers)
    assert value.array("net").tolist() == [3, 6]
    assert isinstance(value.to_native(), type(make(columns)))


def test_ids_that_do_not_match_are_counted() -> None:
    value = clv.historical_value(table(), customers=CUSTOMERS[CUSTOMERS["customer_id"] != "bob"])
    np.testing.assert_array_equal(value.array("net"), [24, np.nan, 2.5])
    assert (
        "1 of 3 customers are not in the customers table: net is missing for them." in value.notes
    )


def test_unknown_costs_are_not_guessed() -> None:
    customers = CUSTOMERS.assign(acquisition_cost=[1.0, None, 8.0, 10.0])
    value = clv.historical_value(table(), customers=customers)
    np.testing.assert_array_equal(value.array("net"), [24, 28, np.nan])
    assert "acquisition_cost is missing for 1 matched customers, and so is their net." in (
        value.notes
    )
    value = clv.historical_value(table(), customers=CUSTOMERS.drop(columns="cost_to_serve"))
    assert value.array("net").tolist() == [30, 32, 3]
    assert any("has no cost_to_serve" in note for note in value.notes)
    half = clv.historical_value(
        table(), gross_margin="margin", customers=CUSTOMERS[CUSTOMERS["customer_id"] != "cy"]
    )
    np.testing.assert_array_equal(half.array("total_margin"), [10, 20, np.nan])
    assert any("'margin' is missing for 1 customers" in note for note in half.notes)


def test_integer_ids_of_another_width_match() -> None:
    base = table(customer_id=[1, 2, 3])
    customers = pd.DataFrame(
        {"customer_id": np.array([3, 2, 1], dtype="int32"), "acquisition_cost": [3, 2, 1]}
    )
    assert clv.historical_value(base, customers=customers).array("net").tolist() == [39, 38, 2]


@pytest.mark.parametrize(
    ("customers", "error", "message"),
    [
        ({"a": 1}, UnsupportedFrameError, "customers is a dict"),
        (CUSTOMERS.drop(columns="customer_id"), MissingColumnError, "no column 'customer_id'"),
        (
            CUSTOMERS.drop(columns="acquisition_cost"),
            MissingColumnError,
            "no column 'acquisition_cost'; it has customer_id, cost_to_serve, margin",
        ),
        (pd.concat([CUSTOMERS, CUSTOMERS[1:2]]), DataError, "once in 1 rows .* is 'cy'"),
        (CUSTOMERS.assign(customer_id=["w", "x", "y", "z"]), DataError, "look like 'w' there"),
        (CUSTOMERS[:0], DataError, "the customers table is empty"),
        (CUSTOMERS.assign(cost_to_serve="dear"), DataError, "cost_to_serve .* as numbers"),
        (CUSTOMERS.assign(cost_to_serve=-1.0), DataError, "negative in 4 rows, the first is row 1"),
        (CUSTOMERS.assign(acquisition_cost=np.inf), DataError, "is infinite in 4 rows"),
    ],
)
def test_customers_that_cannot_be_used(
    customers: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        clv.historical_value(table(), customers=customers)


def test_ids_of_another_kind_are_refused() -> None:
    with pytest.raises(DataError, match=r"customer_id is .*string in .* and int64 in the trans"):
        clv.historical_value(table(customer_id=[1, 2, 3]), customers=CUSTOMERS)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"gross_margin": 30}, "share of value such as 0.3, not 30; divide percentages by 100"),
        ({"gross_margin": [0.3, 0.2]}, "has 2 values and the table 3 customers"),
        ({"gross_margin": [0.3, 0.2, np.nan]}, "gross_margin must be finite"),
        ({"gross_margin": "margin"}, "names a column of the customers table; give customers="),
        ({"gross_margin": pd.Series([0.1, 0.2, 0.3])}, "Series, whose order may not be that"),
        ({"gross_margin": "no", "customers": CUSTOMERS}, "no column 'no' for gross_margin"),
        ({"years": 0}, "years must be a positive, finite number of years, not 0"),
        ({"observation_period_end": "2024-01-01"}, "belongs to transactions"),
    ],
)
def test_arguments_that_cannot_be_used(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        clv.historical_value(table(), **arguments)


def test_what_is_no_table_is_refused() -> None:
    with pytest.raises(DataError, match="needs an RFM table or transactions, not DataFrame"):
        clv.historical_value(pd.DataFrame({"a": [1]}))


def test_a_margin_per_customer() -> None:
    value = clv.historical_value(table(), gross_margin=np.array([0.5, 0.25, 1.0]))
    assert value.array("total_margin").tolist() == [20, 10, 5]


def test_transactions_will_do() -> None:
    lines = pd.DataFrame(
        {
            "customer_id": ["ann", "ann", "bob"],
            "date": ["2024-01-01", "2024-12-31", "2024-07-01"],
            "amount": [10.0, 30.0, 40.0],
        }
    )
    transactions = clv.read_transactions(lines)
    value = clv.historical_value(transactions, years=1)
    assert value.array("total_margin").tolist() == [40, 40]
    assert value.array("run_rate")[0] == pytest.approx(40 * 365.25 / 365)
    early = clv.historical_value(transactions, observation_period_end="2024-03-01")
    assert early.array("total_margin").tolist() == [10]


def test_it_shows_itself() -> None:
    value = clv.historical_value(table())
    assert "note: years = 1.00" in repr(value)
    assert "run_rate" in value._repr_html_()
    assert list(value.to_pandas()["customer_id"]) == ["ann", "bob", "cy"]
