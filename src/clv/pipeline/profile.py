"""What a table looks like, without its customers: counts in bins, to be compared later.

The population stability index (PSI) compares shares in ten groups, ``sum (p - q) ln(p / q)``
(Siddiqi 2006, *Credit Risk Scorecards*; it is the symmetrised Kullback-Leibler divergence);
the Kolmogorov-Smirnov distance (KS) is the largest gap between two cumulative shares.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clv.tables.rfm import RFM

Floats = NDArray[np.float64]

#: Figures that are compared, and the column each is.
FIGURES = {
    "frequency": "frequency",
    "recency": "recency",
    "T": "T",
    "spend": "mean_purchase_value",
}

_BINS = 100
_GROUPS = 10
#: A share below this counts as this much, so that an empty group is not infinitely far away.
_LEAST = 1e-4


@dataclass(frozen=True)
class Histogram:
    """Counts between edges: up to the first, between two, above the last."""

    edges: tuple[float, ...]
    counts: tuple[int, ...]

    @classmethod
    def of(cls, values: Floats) -> Histogram:
        """At most a hundred bins of about equally many values."""
        known = values[np.isfinite(values)]
        if not known.size:
            return cls((), (0,))
        edges = np.unique(np.quantile(known, np.linspace(0, 1, _BINS + 1)[1:-1]))
        return cls.with_edges(known, edges)

    @classmethod
    def with_edges(cls, values: Floats, edges: Any) -> Histogram:
        """The counts of other values between the same edges."""
        edges = np.asarray(edges, dtype=np.float64)
        known = values[np.isfinite(values)]
        places = np.searchsorted(edges, known, side="left")
        counts = np.bincount(places, minlength=edges.size + 1)
        return cls(tuple(edges.tolist()), tuple(counts.tolist()))

    @property
    def shares(self) -> Floats:
        """Of all values, per bin."""
        counts = np.asarray(self.counts, dtype=np.float64)
        return np.asarray(counts / max(counts.sum(), 1.0))


@dataclass(frozen=True)
class Profile:
    """What a table of customers looks like.

    Attributes
    ----------
    customers, purchases, value
        Number of customers, of days of purchase, and what they paid.
    histograms
        By figure.
    """

    customers: int
    purchases: float
    value: float
    histograms: dict[str, Histogram]

    @classmethod
    def of(cls, rfm: RFM, like: Profile | None = None) -> Profile:
        """The profile of a table; with the edges of another, to be compared with it."""
        histograms = {}
        for name, column in FIGURES.items():
            values = np.asarray(rfm.array(column))
            if like is None:
                histograms[name] = Histogram.of(values)
            else:
                histograms[name] = Histogram.with_edges(values, like.histograms[name].edges)
        return cls(
            customers=len(rfm),
            purchases=float(rfm.array("frequency").sum() + len(rfm)),
            value=float(rfm.array("total_value").sum()),
            histograms=histograms,
        )

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "customers": self.customers,
            "purchases": self.purchases,
            "value": self.value,
            "histograms": {
                name: {"edges": list(h.edges), "counts": list(h.counts)}
                for name, h in self.histograms.items()
            },
        }

    @classmethod
    def from_dict(cls, record: dict[str, Any]) -> Profile:
        """Read it back."""
        return cls(
            record["customers"],
            record["purchases"],
            record["value"],
            {
                name: Histogram(tuple(h["edges"]), tuple(h["counts"]))
                for name, h in record["histograms"].items()
            },
        )


def stability_index(reference: Histogram, other: Histogram) -> float:
    """PSI of two histograms with the same edges, in ten groups of the reference.

    Examples
    --------
    >>> h = Histogram((1.0, 2.0), (10, 80, 10))
    >>> stability_index(h, h), round(stability_index(h, Histogram((1.0, 2.0), (20, 60, 20))), 3)
    (0.0, 0.196)
    """
    p = reference.shares
    middle = np.cumsum(p) - p / 2
    group = np.minimum((middle * _GROUPS).astype(np.int64), _GROUPS - 1)
    before, after = (
        np.maximum(np.bincount(group, weights=s, minlength=_GROUPS), _LEAST)
        for s in (p, other.shares)
    )
    used = np.bincount(group, minlength=_GROUPS) > 0
    terms = (after - before) * np.log(after / before)
    return float(terms[used].sum())


def ks_distance(reference: Histogram, other: Histogram) -> float:
    """Largest gap between the cumulative shares of two histograms with the same edges.

    Examples
    --------
    >>> ks_distance(Histogram((1.0,), (50, 50)), Histogram((1.0,), (70, 30)))
    0.2
    """
    gap = np.abs(np.cumsum(reference.shares) - np.cumsum(other.shares))
    return round(float(gap.max(initial=0.0)), 12)
