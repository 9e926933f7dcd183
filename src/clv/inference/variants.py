"""Maximum likelihood over a whole number as well: the best of several versions of a model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from clv.errors import ConvergenceError
from clv.inference.maximum_likelihood import Estimate, maximize
from clv.numerics.backend import Array

#: The search ends when so many numbers in a row were worse than the best one.
PATIENCE = 3


class VariantFit(NamedTuple):
    """The outcome of `maximize_variants`."""

    number: int
    estimate: Estimate
    profile: dict[int, float]  #: the highest log-likelihood of each number tried
    failed: tuple[int, ...]  #: numbers whose search did not converge


def maximize_variants(
    family: Any, history: Any, weights: Array, scales: Mapping[str, float]
) -> VariantFit:
    """Fit with 1, 2, 3, ... and keep the number of the highest log-likelihood.

    Each search starts from where the one before it ended. They end after `PATIENCE` numbers in a
    row that are worse than the best before them, or at the largest number that the family knows; if
    that is the best, the estimate says that it is at a boundary. The best and its neighbours are
    fitted again from all starting points. Parameters are those of `maximize`, for a family with
    ``VARIANTS``.

    Raises
    ------
    ConvergenceError
        If no number leads to a maximum or a boundary.
    """
    largest = family.VARIANTS.largest
    fits: dict[int, Estimate] = {}
    failures: dict[int, ConvergenceError] = {}

    def fit(number: int, near: Array | None) -> None:
        try:
            found = maximize(family.variant(number), history, weights, scales, near)
        except ConvergenceError as failure:
            failures[number] = failure
            return
        failures.pop(number, None)
        if number not in fits or found.log_likelihood > fits[number].log_likelihood:
            fits[number] = found

    def highest() -> int:
        return max(fits, key=lambda number: fits[number].log_likelihood, default=1)

    for number in range(1, largest + 1):
        fit(number, fits[number - 1].parameters if number - 1 in fits else None)
        if number >= highest() + PATIENCE:
            break
    best = highest()
    for number in {best - 1, best, best + 1} & set(range(2, largest + 1)):
        fit(number, None)
    if not fits:
        raise failures[1]
    best = highest()
    estimate = fits[best] if best < largest else _at_the_largest(family, fits[best])
    profile = {number: fit.log_likelihood for number, fit in fits.items()}
    return VariantFit(
        best, estimate, profile, tuple(number for number in failures if number not in fits)
    )


def _at_the_largest(family: Any, estimate: Estimate) -> Estimate:
    name, _, largest = family.VARIANTS
    said = estimate.convergence
    found = f"{name} is at its largest value, {largest}: customers buy more regularly still"
    boundary = found if said.boundary is None else f"{found}; {said.boundary}"
    message = (
        f"no maximum inside: {boundary}. The other parameters are the best for {name} = {largest}"
    )
    return estimate._replace(
        convergence=said._replace(converged=False, boundary=boundary, message=message)
    )
