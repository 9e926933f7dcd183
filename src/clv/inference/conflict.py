"""Whether priors and data contradict each other.

Under its prior a coordinate has a mean m and a standard deviation s; if the data are such as the
prior foresees, the posterior mean is a draw with mean m and variance ``s**2 - v``, where v is the
variance that is left (the law of total variance). A posterior mean far out in that distribution
says that prior and data contradict each other, whichever of them has won.

Source: Box (1980), "Sampling and Bayes' inference in scientific modelling and robustness", J. Royal
Statistical Society A 143:383-430; for a normal prior and likelihood it is his check.
"""

from __future__ import annotations

import numpy as np

from clv.inference.coordinates import Coordinates
from clv.numerics.backend import Array

#: Standard deviations that are called a contradiction.
FAR = 3.5

#: Of the prior's variance; less than this is taken to be the noise of draws.
_LEAST = 0.01

_PRIOR_DRAWS = 20_000


def contradictions(coordinates: Coordinates, points: Array) -> tuple[str, ...]:
    """A sentence for each prior that the data contradict.

    Parameters
    ----------
    coordinates
        With the priors; improper ones contradict nothing.
    points
        Draws of the posterior, in coordinates (n, K).
    """
    rng = np.random.default_rng(0)
    found = []
    for i, stated in enumerate(coordinates.stated):
        prior = stated.prior
        if not prior.proper:
            continue
        before = prior.coordinate(prior.sample(rng, _PRIOR_DRAWS))
        told = max(before.var() - points[:, i].var(), _LEAST * before.var())
        away = (points[:, i].mean() - before.mean()) / np.sqrt(told)
        if abs(away) > FAR:
            low, high = prior.quantity(np.quantile(before, [0.025, 0.975])).value
            now = prior.quantity(np.quantile(points[:, i], [0.025, 0.975])).value
            found.append(
                f"The data contradict the prior of {stated.name}: it expects {low:.3g} to "
                f"{high:.3g}, and with the data it is {now[0]:.3g} to {now[1]:.3g}, "
                f"{abs(away):.0f} standard deviations {'above' if away > 0 else 'below'} what the "
                "prior foresees. The result is a compromise that neither supports; look at the "
                "prior, its unit, and the data."
            )
    return tuple(found)
