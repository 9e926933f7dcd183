"""What earlier forecasts teach about the next: by how much the level is off, and how unsure it is.

The models know chance and the uncertainty of their parameters. They do not know that whole
periods differ: seasons, campaigns, prices, a rival. Forecasts of earlier periods tell how far
totals have been from what was expected of them; a `Calibration` says what that makes likely for
the next period, and a forecast can be told to use it.

Purchases are corrected by the *clock*: in a period in which 20 % more is bought than the model
expects, time runs so much faster that its expectation is 20 % higher. One number so moves every
figure of the forecast - purchases, when the next one is due, who will still be there - and they
stay consistent with each other. What is spent per purchase is multiplied.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from clv.errors import DataError, SavedModelError
from clv.fitted import FittedPurchases
from clv.numerics.backend import Array
from clv.tables.rfm import RFM

FORMAT = 1

#: Points that stand for a distribution of shifts, equally probable.
ATOMS = 61

#: With fewer cuts than this the width is little known.
FEW_CUTS = 4


class Shift(NamedTuple):
    """How a total will differ from what is expected of it: a factor, distributed log-Student-t.

    Attributes
    ----------
    location, scale
        Of the logarithm of the factor.
    degrees
        Of freedom: one less than the cuts that it was learned from.
    """

    location: float
    scale: float
    degrees: int

    @property
    def factor(self) -> float:
        """The median."""
        return math.exp(self.location)

    def quantiles(self, probability: Any) -> Array:
        """Of the logarithm of the factor, less `location`."""
        from scipy.special import stdtrit

        return np.asarray(self.scale * stdtrit(self.degrees, np.asarray(probability)))

    def atoms(self, size: int = ATOMS) -> Array:
        """Equally probable values of the logarithm less `location`, shape (size,)."""
        return self.quantiles((np.arange(size) + 0.5) / size)

    def interval(self, level: float) -> tuple[float, float]:
        """Central interval of the factor."""
        low, high = self.quantiles([(1 - level) / 2, (1 + level) / 2]) + self.location
        return math.exp(low), math.exp(high)


@dataclass(frozen=True)
class Calibration:
    """What earlier cuts say about the level of a forecast and its width. Made by `clv.calibrate`.

    Attributes
    ----------
    purchases, spend
        How the total of purchases, and what is spent on each, differ from what is expected.
    cuts
        The days of the cuts that it was learned from, in ISO form.
    horizon, time_unit
        Length of what was foreseen at each.
    model
        Name of what was foreseen with.
    """

    purchases: Shift
    spend: Shift
    cuts: tuple[str, ...]
    horizon: float
    time_unit: str
    model: str

    def sentence(self) -> str:
        """What it says, in words."""
        low, high = self.purchases.interval(0.9)
        less, more = self.spend.interval(0.9)
        return (
            f"Learned from {len(self.cuts)} earlier cuts ({self.cuts[0]} to {self.cuts[-1]}, "
            f"{self.horizon:.4g} {self.time_unit}s each): purchases came to "
            f"{self.purchases.factor:.3f} times what {self.model} expected of all customers, and "
            f"in the next such period in 90 % of cases to between {low:.3f} and {high:.3f} times, "
            f"chance aside; spend per purchase to {self.spend.factor:.3f} times "
            f"({less:.3f} to {more:.3f})."
        )

    def __str__(self) -> str:
        return self.sentence()

    def remarks(self, horizon: float, time_unit: str) -> list[str]:
        """What to bear in mind when it is used for a forecast of this length."""
        found = []
        if time_unit != self.time_unit or abs(horizon - self.horizon) > 0.05 * self.horizon:
            found.append(
                f"The calibration was learned from forecasts of {self.horizon:.4g} "
                f"{self.time_unit}s; how far other lengths of time are off it can only guess."
            )
        if len(self.cuts) < FEW_CUTS:
            found.append(
                f"{len(self.cuts)} cuts tell little of how periods differ, so the intervals are "
                f"very wide; with {FEW_CUTS} or more they are narrower."
            )
        return found

    def to_dict(self) -> dict[str, Any]:
        """In the types of JSON."""
        record = asdict(self)
        record["purchases"], record["spend"] = self.purchases._asdict(), self.spend._asdict()
        return {"format": FORMAT, **record, "cuts": list(self.cuts)}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Calibration:
        """The inverse of `to_dict`.

        Raises
        ------
        SavedModelError
            If it is no such record, or of a newer format.
        """
        if record.get("format") != FORMAT:
            raise SavedModelError(
                f"this is no calibration of format {FORMAT}; make a new one with clv.calibrate"
            )
        return cls(
            purchases=Shift(**record["purchases"]),
            spend=Shift(**record["spend"]),
            cuts=tuple(record["cuts"]),
            horizon=record["horizon"],
            time_unit=record["time_unit"],
            model=record["model"],
        )

    def save(self, path: str | Path) -> Path:
        """Write it as JSON."""
        target = Path(path)
        target.write_text(json.dumps(self.to_dict(), indent=2) + "\n", encoding="utf-8")
        return target

    @classmethod
    def load(cls, path: str | Path) -> Calibration:
        """Read what `save` has written.

        Raises
        ------
        SavedModelError
            If the file cannot be read, or is something else.
        """
        try:
            record = json.loads(Path(path).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise SavedModelError(f"{path} is not a saved calibration: {error}") from error
        if not isinstance(record, dict):
            raise SavedModelError(f"{path} is not a saved calibration")
        return cls.from_dict(record)


class Clock(NamedTuple):
    """How fast time runs in a period, and what that period multiplies spend by.

    Attributes
    ----------
    speed
        At the median; 1 is as expected.
    speeds
        Equally probable ones.
    spend
        The median factor of spend per purchase.
    spends
        Equally probable ones, in an order of their own.
    """

    speed: float
    speeds: Array
    spend: float
    spends: Array

    def rate(self, discount_rate: float) -> float:
        """Per year on this clock, what is `discount_rate` per year of the calendar."""
        return _rate(discount_rate, self.speed)


#: Time runs as it always has.
AS_EXPECTED = Clock(1.0, np.ones(1), 1.0, np.ones(1))

#: Speeds at which the expected total is looked up.
_SPEEDS = np.exp(np.linspace(-3.0, 3.0, 25))


def clock_of(
    calibration: Calibration,
    purchases: FittedPurchases,
    rfm: RFM,
    horizon: float,
    discount_rate: float,
    seed: int,
) -> Clock:
    """The clock that gives the totals which a calibration holds likely.

    Parameters
    ----------
    calibration
        What was learned.
    purchases, rfm
        The model and the table of the forecast.
    horizon
        In the table's unit; infinite for a perpetuity.
    discount_rate
        Per year.
    seed
        Of the order in which factors of spend meet speeds.

    Raises
    ------
    DataError
        If the model counts opportunities or has covariates that change with time, whose time
        cannot run at another speed, or if nothing at all is expected.
    """
    if purchases.form == "time_varying" or getattr(purchases.family, "WHOLE_TIMES", False):
        raise DataError(
            f"a forecast of {purchases.title} cannot be calibrated: its time is that of the "
            "calendar and cannot run faster; leave calibration out"
        )

    def total_at(speed: float) -> float:
        """Expected purchases of all; of a perpetuity discounted."""
        until = None if math.isinf(horizon) else horizon * speed
        rate = _rate(discount_rate, speed) if until is None else 0.0
        return float(purchases.discounted_expected_purchases(rfm, until, rate).sum())

    base = total_at(1.0)
    if not (np.isfinite(base) and base > 0):
        raise DataError(
            "a forecast of no purchases at all cannot be calibrated; leave calibration out"
        )
    logs = np.log([total_at(float(speed)) / base for speed in _SPEEDS])
    # where everybody has left more time brings no more purchases
    logs = np.maximum.accumulate(logs) + 1e-12 * np.arange(len(logs))

    def speed_of(log_factor: Any) -> Array:
        return np.asarray(np.exp(np.interp(log_factor, logs, np.log(_SPEEDS))))

    shift = calibration.purchases
    order = np.random.default_rng([seed, 4]).permutation(ATOMS)
    return Clock(
        float(speed_of(shift.location)),
        speed_of(shift.location + shift.atoms()),
        calibration.spend.factor,
        np.exp(calibration.spend.location + calibration.spend.atoms())[order],
    )


def _rate(discount_rate: float, speed: float) -> float:
    """Per year of a clock, what is `discount_rate` per year of the calendar."""
    return float((1.0 + discount_rate) ** (1.0 / speed) - 1.0)
