"""Life-cycle stages: prospect, new, active, loyal, at risk, lost.

The first rule that holds decides, so that everybody is in exactly one stage:

=========  ====================================================================================
prospect   in the customers table, no purchase yet
new        one purchase, not longer ago than `new_for`
lost       silent for longer than `inactive_after`; or P(alive) below `lost_below`; or P(no
           purchase within `silence`) above `lost_above`
at risk    one purchase, longer ago than `new_for`; or P(alive) below `at_risk_below`; or P(no
           purchase within `silence`) above `at_risk_above`
loyal      `loyal_from` purchases or more
active     at least one repeat purchase
=========  ====================================================================================

P(alive) alone would not do: under BG/NBD a one-time buyer never dies, so they would be "new" for
ever. Hence the bound on silence.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clv.errors import DataError
from clv.fitted import FittedPurchases
from clv.tables._frame import Table
from clv.tables._shown import Shown
from clv.tables.everybody import Everybody, as_table, everybody, same_customers
from clv.tables.rfm import RFM
from clv.units import parse_horizon

STAGES = ("prospect", "new", "active", "loyal", "at risk", "lost")

_PROSPECT, _NEW, _ACTIVE, _LOYAL, _AT_RISK, _LOST = range(6)

#: What is summed per stage, where the forecast has it.
VALUES = ("historical_value", "residual_value", "lifetime_value")


@dataclass(frozen=True)
class StageRules:
    """Thresholds of the stages.

    Attributes
    ----------
    new_for
        How long somebody with one purchase is new: a text such as "90 days", or a number in the
        table's time unit.
    inactive_after
        Who has been silent for longer is lost, whatever a model says.
    silence
        The time ahead that P(no purchase) is asked for.
    at_risk_below, lost_below
        P(alive) below which a customer is at risk, or lost.
    at_risk_above, lost_above
        P(no purchase within `silence`) above which a customer is at risk, or lost.
    loyal_from
        Purchases, the first included, from which on a customer is loyal.
    """

    new_for: str | float = "90 days"
    inactive_after: str | float = "365 days"
    silence: str | float = "365 days"
    at_risk_below: float = 0.5
    lost_below: float = 0.2
    at_risk_above: float = 0.7
    lost_above: float = 0.9
    loyal_from: int = 5

    def __post_init__(self) -> None:
        for name in ("at_risk_below", "lost_below", "at_risk_above", "lost_above"):
            if not 0 <= getattr(self, name) <= 1:
                raise DataError(f"{name} is a probability, not {getattr(self, name)!r}")
        if self.lost_below > self.at_risk_below or self.lost_above < self.at_risk_above:
            raise DataError(
                "who is lost must be at risk by the same measure: lost_below may not be above "
                "at_risk_below, nor lost_above below at_risk_above"
            )
        if self.loyal_from < 2 or self.loyal_from != int(self.loyal_from):
            raise DataError(f"loyal_from must be a whole number from 2 on, not {self.loyal_from!r}")
        for name in ("new_for", "inactive_after", "silence"):
            parse_horizon(getattr(self, name), "day")  # refuses what is no length of time


@dataclass(frozen=True, eq=False, repr=False)
class Stages(Shown):
    """Who is in which stage, and what the stages hold; made by `stages`.

    Attributes
    ----------
    customers
        One row per customer, prospects last: ``customer_id``, ``stage``, ``purchases``,
        ``inactivity`` (in the table's time unit), ``probability_alive``,
        ``probability_no_purchase`` (within `rules.silence`) and, with a forecast,
        ``residual_value``. Of prospects only the first three are known.
    table
        One row per stage, in the order of `STAGES`: ``stage``, ``customers``,
        ``share_of_customers``, mean ``probability_alive`` and, with a forecast, sums of
        ``historical_value``, ``residual_value`` and ``lifetime_value``.
    rules
        The thresholds.
    codes
        The stage of each customer as its place in `STAGES`.
    as_of
        The day they are the stages of.
    conversion_rate
        Buyers as a share of all who are in the customers table; missing without one.
    repurchase_rate
        Share of the buyers who bought again.
    notes
        What is to be known of these figures.
    """

    customers: Table
    table: Table
    rules: StageRules
    codes: NDArray[np.int8]
    as_of: date | None
    conversion_rate: float
    repurchase_rate: float
    notes: tuple[str, ...] = field(default=())

    def _remarks(self) -> tuple[str, ...]:
        found = [f"{self.repurchase_rate:.1%} of the buyers bought again."]
        if not np.isnan(self.conversion_rate):
            found.append(f"{self.conversion_rate:.1%} of the customers table have bought.")
        return (*found, *self.notes)


def stages(
    rfm: RFM,
    purchases: FittedPurchases,
    *,
    forecast: Any = None,
    customers: Any = None,
    signup: str | None = None,
    rules: StageRules | None = None,
) -> Stages:
    """Find every customer's stage.

    Parameters
    ----------
    rfm
        Table with n customers.
    purchases
        A fitted purchase model, in the table's time unit.
    forecast
        A forecast of the same customers in the same order, or a frame written from one, for the
        value per stage.
    customers
        A customers table with ``customer_id``: who stands there without a purchase is a prospect.
    signup
        Name of its column with the day of signing up: who signed up after the table's last day
        is not counted.
    rules
        Thresholds; None for the defaults.

    Raises
    ------
    UnitMismatchError
        If the table is in another time unit than the model.
    DataError
        If the forecast is of other customers.

    Examples
    --------
    >>> import clv
    >>> transactions = clv.read_transactions(clv.datasets.load_cdnow(), amount="amount")
    >>> rfm = clv.rfm_summary(transactions, observation_period_end="1998-06-30")
    >>> found = stages(rfm, clv.BetaGeoModel().fit(rfm))
    >>> dict(zip(found.table["stage"], found.table["customers"]))
    {'prospect': 0, 'new': 0, 'active': 362, 'loyal': 285, 'at risk': 134, 'lost': 1576}
    """
    rules = StageRules() if rules is None else rules
    rfm = rfm if rfm.in_memory else rfm.collect()
    as_of = rfm.as_of
    people = everybody(rfm, customers, signup=signup, as_of=as_of)
    alive = purchases.probability_alive(rfm)
    silent = purchases.probability_no_purchase(rfm, rules.silence)
    known = stage_codes(rfm, alive, silent, rules)
    codes = np.full(len(people), _PROSPECT, dtype=np.int8)
    codes[: len(rfm)] = known
    source = None if forecast is None else as_table(forecast)
    if source is not None:
        same_customers(rfm, source, "the forecast")
    return Stages(
        customers=_customers(rfm, people, codes, alive, silent, source),
        table=_summary(rfm, codes, alive, source),
        rules=rules,
        codes=codes,
        as_of=as_of,
        conversion_rate=_conversion(people),
        repurchase_rate=float(np.mean(rfm.array("frequency") > 0)) if len(rfm) else float("nan"),
        notes=_notes(people),
    )


def stage_codes(
    rfm: RFM, alive: NDArray[np.float64], silent: NDArray[np.float64], rules: StageRules
) -> NDArray[np.int8]:
    """The stage of each buyer as its place in `STAGES`, shape (n,).

    Parameters
    ----------
    rfm
        Table with n customers.
    alive, silent
        P(alive), and P(no purchase within `rules.silence`); shape (n,).
    rules
        Thresholds.
    """
    # ages are days over a unit: rounded, lest a whole number of days miss its bound by a hair
    inactivity = np.round(rfm.array("T") - rfm.array("recency"), 9)
    once = rfm.array("frequency") == 0
    recent = inactivity <= round(parse_horizon(rules.new_for, rfm.time_unit), 9)
    bound = round(parse_horizon(rules.inactive_after, rfm.time_unit), 9)
    lost = (inactivity > bound) | (alive < rules.lost_below) | (silent > rules.lost_above)
    at_risk = once | (alive < rules.at_risk_below) | (silent > rules.at_risk_above)
    loyal = rfm.array("frequency") + 1 >= rules.loyal_from
    return np.select(
        [once & recent, lost, at_risk, loyal], [_NEW, _LOST, _AT_RISK, _LOYAL], _ACTIVE
    ).astype(np.int8)


def _customers(
    rfm: RFM,
    people: Everybody,
    codes: NDArray[np.int8],
    alive: NDArray[np.float64],
    silent: NDArray[np.float64],
    source: Table | None,
) -> Table:
    def with_prospects(values: NDArray[Any], missing: Any) -> NDArray[Any]:
        if not people.prospects:
            return values
        return np.concatenate([values, np.full(people.prospects, missing, dtype=values.dtype)])

    columns: dict[str, Any] = {
        "customer_id": people.ids,
        "stage": np.array(STAGES, dtype=object)[codes],
        "purchases": with_prospects(rfm.array("frequency").astype(np.int64) + 1, 0),
        "inactivity": with_prospects(rfm.array("T") - rfm.array("recency"), np.nan),
        "probability_alive": with_prospects(alive, np.nan),
        "probability_no_purchase": with_prospects(silent, np.nan),
    }
    if source is not None and "residual_value" in source.columns:
        columns["residual_value"] = with_prospects(source.array("residual_value"), np.nan)
    return Table.from_columns(columns, like=rfm)


def _summary(
    rfm: RFM, codes: NDArray[np.int8], alive: NDArray[np.float64], source: Table | None
) -> Table:
    k, buyers = len(STAGES), codes[: len(rfm)]
    count = np.bincount(codes, minlength=k)
    with np.errstate(invalid="ignore"):
        mean_alive = np.bincount(buyers, alive, minlength=k) / np.bincount(buyers, minlength=k)
    columns: dict[str, Any] = {
        "stage": list(STAGES),
        "customers": count,
        "share_of_customers": count / max(len(codes), 1),
        "probability_alive": mean_alive,
    }
    for name in VALUES:
        if source is not None and name in source.columns:
            columns[name] = np.bincount(buyers, np.nan_to_num(source.array(name)), minlength=k)
    return Table.from_columns(columns, like=rfm)


def _conversion(people: Everybody) -> float:
    if people.table is None:
        return float("nan")
    converted = int((people.row[: people.buyers] >= 0).sum())
    return converted / (converted + people.prospects)


def _notes(people: Everybody) -> tuple[str, ...]:
    if people.table is None:
        return ("Without a customers table nobody is a prospect.",)
    absent = int((people.row < 0).sum())
    if not absent:
        return ()
    said = f"{absent:,} buyers are not in the customers table"
    return (f"{said}; they do not count in the conversion rate.",)
