"""Tiers: platinum, gold, silver, bronze and the rest, by predicted value.

The classic shares, 10, 16, 35 and 20 % of the customers (19 % have no tier), are said to bring
25, 25, 45 and 5 % of the profit. What they bring here stands beside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clv.errors import DataError
from clv.numerics.ordering import settled
from clv.tables._frame import Table, counted
from clv.tables._shown import Shown
from clv.tables.everybody import as_table

__all__ = ["CLASSIC", "TierRules", "Tiers", "assign"]

_NAMES = ("platinum", "gold", "silver", "bronze")
_SHARES = (0.10, 0.16, 0.35, 0.20)
_PROFIT = (0.25, 0.25, 0.45, 0.05)

#: What is summed per tier, where the forecast has it.
VALUES = ("historical_value", "residual_value", "lifetime_value", "expected_purchases")


@dataclass(frozen=True)
class TierRules:
    """How customers are divided into tiers.

    Attributes
    ----------
    names
        Of the tiers, best first.
    shares
        Share of all customers that each tier takes; together at most 1.
    profit_shares
        Share of the profit that each is said to bring; None where nothing is said.
    by
        Column of the forecast that ranks customers.
    rest
        Name for those without a tier.

    Examples
    --------
    >>> TierRules(names=("best", "good"), shares=(0.2, 0.3)).rest
    'no tier'
    """

    names: tuple[str, ...] = _NAMES
    shares: tuple[float, ...] = _SHARES
    profit_shares: tuple[float, ...] | None = None
    by: str = "residual_value"
    rest: str = "no tier"

    def __post_init__(self) -> None:
        for name in ("names", "shares", "profit_shares"):
            given = getattr(self, name)
            if given is not None:
                object.__setattr__(self, name, tuple(given))
        if self.profit_shares is None and (self.names, self.shares) == (_NAMES, _SHARES):
            object.__setattr__(self, "profit_shares", _PROFIT)
        if len(self.names) != len(self.shares) or not self.names:
            raise DataError(
                f"tiers have {len(self.names)} names and {len(self.shares)} shares; give one each"
            )
        if self.profit_shares is not None and len(self.profit_shares) != len(self.names):
            raise DataError(
                f"there are {len(self.names)} tiers and {len(self.profit_shares)} shares of "
                "profit; give one each"
            )
        if len({*self.names, self.rest}) <= len(self.names):
            raise DataError("tiers must have different names, and so must those without one")
        if not all(0 < share <= 1 for share in self.shares) or sum(self.shares) > 1 + 1e-9:
            raise DataError(
                f"the shares of tiers must lie above 0 and sum to at most 1, not {self.shares}"
            )


CLASSIC = TierRules()


@dataclass(frozen=True, eq=False, repr=False)
class Tiers(Shown):
    """Who is in which tier, and what the tiers bring; made by `assign`.

    Attributes
    ----------
    customers
        One row per customer, in the order of the forecast: ``customer_id``, ``tier`` and the
        column they were ranked by.
    table
        One row per tier, best first, those without one last; see `assign`.
    rules
        How they were divided.
    codes
        The tier of each customer as its place in `names`, shape (n,).
    notes
        What is to be known of ties and of customers without a value.
    """

    customers: Table
    table: Table
    rules: TierRules
    codes: NDArray[np.int8]
    notes: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the tiers, and of the rest."""
        return (*self.rules.names, self.rules.rest)


def assign(forecast: Any, rules: TierRules = CLASSIC) -> Tiers:
    """Divide customers into tiers.

    Parameters
    ----------
    forecast
        From `clv.forecast`, or a data frame that was written from one (n customers). With a column
        of your own it may be any table with ``customer_id`` and that column.
    rules
        Shares, names and the column to rank by.

    Returns
    -------
    Tiers
        Its `table` has the columns

        ``tier``, ``customers``, ``share_of_customers``
        ``classic_share_of_customers``, ``classic_share_of_profit``
            The shares that the rules ask for, and what they are said to bring.
        ``historical_value``, ``residual_value``, ``lifetime_value``, ``expected_purchases``
            Sums over the tier, where the forecast has them; missing values count as nothing.
        ``share_of_historical_value``, ``share_of_residual_value``, ``share_of_lifetime_value``
            Of the sum over everybody; missing where that sum is not above 0.
        ``from_value``, ``to_value``
            Smallest and largest value of the ranking column in the tier.

    Raises
    ------
    MissingColumnError
        If there is no such column.

    Notes
    -----
    The same customers get the same tiers whatever the order of the rows:

    * Who is equal in the ranking column is in the same tier. A group of equals goes, as a whole,
      where its middle lies, so that shares differ from those asked for as little as they can.
    * Who is worth nothing (0 or less) or whose value is missing has no tier, even where a share
      is not used up by others.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"customer_id": list("abcde"), "residual_value": [9.0, 5, 5, 1, 0]})
    >>> tiers = assign(frame, TierRules(names=("best", "good"), shares=(0.2, 0.4)))
    >>> tiers.customers.to_pandas()["tier"].tolist()
    ['best', 'good', 'good', 'no tier', 'no tier']
    """
    source = as_table(forecast)
    value = source.array(rules.by)
    codes, tied = _places(settled(value), rules.shares)
    names = np.array([*rules.names, rules.rest], dtype=object)
    return Tiers(
        customers=Table.from_columns(
            {"customer_id": source.data["customer_id"], "tier": names[codes], rules.by: value},
            like=source,
        ),
        table=_summary(source, rules, codes, value),
        rules=rules,
        codes=codes,
        notes=_notes(rules, codes, value, tied),
    )


def _places(value: NDArray[np.float64], shares: tuple[float, ...]) -> tuple[NDArray[np.int8], int]:
    """The tier of each, and how many are equal at most."""
    ranked = value > 0  # not so for missing values
    _, place, count = np.unique(value[ranked], return_inverse=True, return_counts=True)
    better = np.cumsum(count[::-1])[::-1] - count
    middle = (better + count / 2) / max(len(value), 1)
    # half a customer too many is one customer more; 1e-12 forgives the rounding of sums
    tier = np.searchsorted(np.cumsum(shares) + 1e-12, middle)
    codes = np.full(len(value), len(shares), dtype=np.int8)
    codes[ranked] = tier.astype(np.int8)[place]
    return codes, int(count.max(initial=1))


def _summary(
    source: Table, rules: TierRules, codes: NDArray[np.int8], value: NDArray[np.float64]
) -> Table:
    k = len(rules.names) + 1
    customers = np.bincount(codes, minlength=k)
    columns: dict[str, Any] = {
        "tier": [*rules.names, rules.rest],
        "customers": customers,
        "share_of_customers": customers / max(len(codes), 1),
        "classic_share_of_customers": [*rules.shares, max(0.0, 1.0 - sum(rules.shares))],
    }
    said = rules.profit_shares
    columns["classic_share_of_profit"] = (
        np.full(k, np.nan) if said is None else [*said, max(0.0, 1.0 - sum(said))]
    )
    for name in VALUES:
        if name in source.columns:
            sums = np.bincount(codes, np.nan_to_num(source.array(name)), minlength=k)
            columns[name] = sums
            if name != "expected_purchases":
                total = sums.sum()
                columns[f"share_of_{name}"] = sums / total if total > 0 else np.full(k, np.nan)
    lowest, highest = np.full(k, np.inf), np.full(k, -np.inf)
    known = ~np.isnan(value)
    np.minimum.at(lowest, codes[known], value[known])
    np.maximum.at(highest, codes[known], value[known])
    columns["from_value"] = np.where(np.isfinite(lowest), lowest, np.nan)
    columns["to_value"] = np.where(np.isfinite(highest), highest, np.nan)
    return Table.from_columns(columns, like=source)


def _notes(
    rules: TierRules,
    codes: NDArray[np.int8],
    value: NDArray[np.float64],
    tied: int,
) -> tuple[str, ...]:
    found = []
    unknown, nothing = int(np.isnan(value).sum()), int((value <= 0).sum())
    if unknown:
        found.append(
            f"{rules.by} is missing for {counted(unknown, 'customer', 'customers')}, who get no "
            "tier."
        )
    if nothing:
        found.append(
            f"{rules.by} is 0 or less for {counted(nothing, 'customer', 'customers')}, who get no "
            "tier."
        )
    wanted = np.array(rules.shares) * len(codes)
    moved = np.abs(np.bincount(codes, minlength=len(rules.names) + 1)[:-1] - wanted)
    if tied > 1 and moved.max() > 1:
        found.append(
            f"Customers with equal {rules.by} (up to {tied:,}) are in the same tier, so shares "
            "differ from those asked for."
        )
    return tuple(found)
