"""What parameters mean to a person: quantities that priors are stated on.

Two letters of a paper say little apart: the mean of a gamma distribution is a ratio of them. So
each family groups its parameters in blocks, and says of each block which quantities have the same
content: a time between purchases and how much customers differ in it, a share that drops out and
how alike customers are. Within a block the logs of parameters are a linear function of the logs of
quantities, or, where a share is one of them, of the logs of the share and of what is left.

Defaults of quantities with a unit are in multiples of a typical time or value of the data, so that
days or weeks, euros or rials make no difference.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Quantity(NamedTuple):
    """A quantity that a prior can be stated on."""

    name: str
    meaning: str
    prior: tuple[str, Mapping[str, float]]  #: default: a distribution and its arguments
    rules_out: str  #: what the default leaves less than 5 % of its probability to
    powers: Mapping[str, float] | None = None  #: as a product of powers of parameters
    unit: str = ""  #: "time" or "money" where it scales with that
    also: str = ""  #: another name under which a prior can be given


class Block(NamedTuple):
    """Parameters, and the quantities that say the same.

    Quantities without ``powers`` come as a pair for two shapes of a beta distribution: their share
    ``first / (first + second)``, and their sum.
    """

    parameters: tuple[str, ...]
    quantities: tuple[Quantity, ...]


def rates(
    shape: str, rate: str, *, interval: str, spread: str, what: str, of_whom: str = "customers"
) -> Block:
    """Rates that differ as a gamma distribution: mean `shape` / `rate`, both positive.

    Parameters
    ----------
    shape, rate
        Names of the parameters.
    interval, spread
        Names of the quantities.
    what
        What happens at these rates, such as "purchases".
    of_whom
        Who has such a rate.
    """
    return Block(
        (shape, rate),
        (
            Quantity(
                interval,
                f"time between {what} at the mean rate of all {of_whom}, {rate} / {shape}",
                ("LogNormal", {"mu": 0.0, "sigma": 2.0}),
                "a time shorter than 1/50 of the mean age of customers, or longer than 50 times it",
                {rate: 1.0, shape: -1.0},
                "time",
            ),
            Quantity(
                spread,
                f"how much {of_whom} differ: standard deviation of their rates over the mean, "
                f"1 / sqrt({shape})",
                ("LogNormal", {"mu": 0.0, "sigma": 1.0}),
                f"{of_whom} who are all but alike (below .14), and a few who do everything "
                "(above 7)",
                {shape: -0.5},
            ),
        ),
    )


def shares(
    first: str, second: str, *, share: str, concentration: str, what: str, also: str = ""
) -> Block:
    """Probabilities that differ as a beta distribution.

    Parameters
    ----------
    first, second
        Names of its shapes.
    share, concentration
        Names of the quantities.
    what
        What these are probabilities of, such as "dropout after a purchase".
    also
        The name under which others know it: ``phi_<also>`` and ``kappa_<also>``.
    """
    return Block(
        (first, second),
        (
            Quantity(
                share,
                f"mean probability of {what}, {first} / ({first} + {second})",
                ("LogitNormal", {"mu": -1.0, "sigma": 1.5}),
                "a mean probability below 2 % or above 87 %",
                also=f"phi_{also}" if also else "",
            ),
            Quantity(
                concentration,
                f"how alike customers are in that, {first} + {second}: near 0 all or nothing, "
                "large all the same",
                ("LogNormal", {"mu": 1.0, "sigma": 1.5}),
                "sums below .14 (all or nothing) and above 51 (all but alike)",
                also=f"kappa_{also}" if also else "",
            ),
        ),
    )


def single(name: str, meaning: str, *, sigma: float, rules_out: str, unit: str = "") -> Block:
    """A parameter that means something by itself, about 1 (in units of the data)."""
    prior = ("LogNormal", {"mu": 0.0, "sigma": sigma})
    return Block((name,), (Quantity(name, meaning, prior, rules_out, {name: 1.0}, unit),))


#: Purchases while alive, in most families.
PURCHASES = rates(
    "r", "alpha", interval="purchase_interval", spread="purchase_spread", what="purchases"
)

#: Coins of dropout after a purchase.
DROPOUT = shares(
    "a",
    "b",
    share="dropout_share",
    concentration="dropout_concentration",
    what="dropout after a purchase",
    also="dropout",
)
