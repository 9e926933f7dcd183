"""Ten customers whose every field is known, for files that are compared cell by cell."""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
import pandas as pd

from clv.export import Audience, audience
from clv.forecast import Forecast
from clv.tables._frame import Table
from clv.tables.rfm import RFM

IDS = ["c0", "c1", "c2", "c3", "c4", "c5", "c6", "c7", "c8", "c9"]

#: c9 has bought and is not in the customers table.
CUSTOMERS = pd.DataFrame(
    [
        # id, first name, last name, e-mail, phone, country, city, zip, consent
        ("c0", "Ada", "O'Brien", "  ADA@Example.COM ", "030 901820", "DE", "Köln", "01067", "true"),
        ("c1", "Valéry", "Müller-Lüdenscheidt", "Jörg.Müller@MÜNCHEN.example", "01 99 00 12 34",
         "fr", "Paris", "75001", "yes"),
        ("c2", " Mary ", "van der Berg", None, "(020) 7946 0958", "UK", "London", "M1 1AE", "1"),
        ("c3", "MARY", "Strauß", "John_Smith@gmail.com", "(650) 555-1212", "US", "New York",
         "94016-1234", "TRUE"),
        ("c4", "علی", "علی", "\u202bعلی@مثال.ایران\u202c", "۰۹۱۲ ۳۴۵ ۶۷۸۹", "IR", "تهران",
         "1134845851", "بله"),
        ("c5", "No", "Answer", "five@example.com", None, "DE", None, None, None),
        ("c6", "Says", "No", "six@example.com", None, "DE", None, None, "false"),
        ("c7", "Says", "Perhaps", "seven@example.com", None, "DE", None, None, "perhaps"),
        ("c8", "Nobody", "Nowhere", "not an address", "12", "Narnia", None, None, "true"),
    ],
    columns=["customer_id", "first_name", "last_name", "email", "phone", "country", "city", "zip",
             "consent"],
)  # fmt: skip

RESIDUAL = np.array([50.0, 40.004, 30.0, 20.0, -10.0, 9.0, 8.0, 7.0, 6.0, 5.0])
HISTORICAL = np.array([100.0, 10.0, 30.0, 0.0, 5.0, 9.0, 8.0, 7.0, 6.0, 5.0])


def rfm(ids: list[str] | None = None) -> RFM:
    n = 10
    day = np.datetime64("2024-01-01") + (10 * np.arange(n)).astype("timedelta64[D]")
    columns: dict[str, Any] = {
        "customer_id": np.array(ids or IDS, dtype=object),
        "frequency": np.array([2, 0, 1, 3, 4, 0, 0, 0, 0, 0]),
        "recency": np.array([10.0, 0, 3, 6, 12, 0, 0, 0, 0, 0]),
        "T": np.full(n, 52.0),
        "mean_purchase_value": np.full(n, 12.5),
        "total_value": HISTORICAL,
        "first_purchase": day,
        "last_purchase": day + np.timedelta64(70, "D"),
    }
    return RFM(**Table.parts(columns), time_unit="week", observation_period_end=date(2024, 12, 31))


def forecast(ids: list[str] | None = None) -> Forecast:
    n = 10
    due = np.full(n, np.datetime64("NaT", "D"))
    due[:2] = np.datetime64("2025-02-03")
    columns: dict[str, Any] = {
        "customer_id": np.array(ids or IDS, dtype=object),
        "probability_alive": np.full(n, 0.5),
        "churn_probability": np.arange(n) / 10,
        "expected_purchases": np.full(n, 1.5),
        "expected_spend": np.full(n, 12.5),
        "residual_value": RESIDUAL,
        "historical_value": HISTORICAL,
        "lifetime_value": HISTORICAL + RESIDUAL,
        "probability_no_purchase": np.full(n, 0.25),
        "next_purchase_p10": due,
        "next_purchase_p50": due,
        "next_purchase_p90": due,
    }
    return Forecast(
        **Table.parts(columns), as_of=date(2024, 12, 31), horizon=52.0, discount_rate=0.1
    )


def ten(customers: Any = CUSTOMERS, ids: list[str] | None = None, **options: Any) -> Audience:
    return audience(rfm(ids), forecast(ids), customers, **options)
