"""CDNOW's 1/10 sample, summarised with pandas straight from the file in the lifetimes wheel.

Purchases of one day are one purchase; the eight customers who only bought for $0.00 stay.
"""

from __future__ import annotations

import importlib.metadata
from functools import cache
from typing import NamedTuple

import numpy as np
import pandas as pd

CALIBRATION_END = pd.Timestamp("1997-09-30")
HOLDOUT_END = pd.Timestamp("1998-06-30")


class Summary(NamedTuple):
    """One element per customer, in the order of the file's ids; times in weeks."""

    frequency: np.ndarray
    recency: np.ndarray
    T: np.ndarray
    monetary_value: np.ndarray  #: mean of the repeat purchases, 0 when there is none
    holdout_purchases: np.ndarray


@cache
def summary() -> Summary:
    """Calibration to 1997-09-30, holdout to 1998-06-30."""
    path = next(
        file.locate()
        for file in importlib.metadata.files("lifetimes") or ()
        if file.name == "CDNOW_sample.txt"
    )
    lines = pd.read_csv(
        path, sep=r"\s+", header=None, names=["master", "id", "date", "cds", "dollars"]
    )
    lines["date"] = pd.to_datetime(lines["date"].astype(str), format="%Y%m%d")
    days = lines.groupby(["id", "date"], as_index=False)["dollars"].sum()
    first = days.groupby("id")["date"].min()
    days["age"] = (days["date"] - days["id"].map(first)).dt.days
    before = days[days["date"] <= CALIBRATION_END]
    repeat = before[before["age"] > 0].groupby("id")
    after = days[(days["date"] > CALIBRATION_END) & (days["date"] <= HOLDOUT_END)]

    def column(values: pd.Series) -> np.ndarray:
        array = values.reindex(first.index).fillna(0).to_numpy(dtype=float)
        array.flags.writeable = False
        return array

    return Summary(
        column(repeat.size()),
        column(repeat["age"].max() / 7),
        column((CALIBRATION_END - first).dt.days / 7),
        column(repeat["dollars"].mean()),
        column(after.groupby("id").size()),
    )
