"""The shell around spend families: what a purchase is worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Unpack, cast, get_args

from clv.errors import DataError, FitError
from clv.fitted import FittedSpend, spend_rows
from clv.fitted.spend import LOOKED_AT
from clv.inference.covariates import CovariateFit
from clv.inference.maximum_likelihood import maximize_sums
from clv.inference.plan import Plan, Sampling
from clv.inference.pooled import pooled_estimate
from clv.model import Method, Model, assemble, remarks_of
from clv.tables.rfm import RFM

SpendBasis = Literal["repeat", "all", "each"]

BASES: tuple[SpendBasis, ...] = get_args(SpendBasis)

#: With fewer customers than this whose purchases count, a spend model is not fitted.
FEWEST_BUYERS = 10


class SpendModel(Model):
    """A model of what a purchase is worth.

    Parameters
    ----------
    purchases
        "repeat": repeat purchases only, the convention of the literature; "all": the first
        purchase counts too, so that customers who bought once are not all alike; "each":
        likewise, and the parameters are learned from the value of each purchase instead of the
        customers' means, which say little of how much the purchases of one customer differ.
    covariates
        Names of columns, added with ``rfm.with_covariates``, that change what customers spend.
    """

    def __init__(self, purchases: SpendBasis = "repeat", covariates: Sequence[str] = ()) -> None:
        if purchases not in BASES:
            raise DataError(f"purchases must be one of {', '.join(BASES)}, not {purchases!r}")
        self.purchases = purchases
        self._take_covariates(spend=covariates)

    @property
    def title(self) -> str:
        """Its name for people; says so where it does not look at repeat purchases alone."""
        return f"{self.family.TITLE}{LOOKED_AT.get(self.purchases, '')}"

    def arguments(self) -> dict[str, Any]:
        """What the model was told, as its constructor takes it."""
        given: dict[str, Any] = {"purchases": self.purchases}
        return given | ({"covariates": list(self.covariates)} if self.covariates else {})

    def fit(
        self,
        rfm: RFM,
        *,
        method: Method = "mle",
        draws: int | None = None,
        seed: int = 0,
        priors: Mapping[str, Any] | None = None,
        groups: str | None = None,
        **sampling: Unpack[Sampling],
    ) -> FittedSpend:
        """Fit to the mean purchase values of a table.

        Customers whose mean value is zero or missing cannot enter, nor, with "each", those of
        whom one purchase was worth nothing; they are counted in the notes. Parameters and errors
        are those of `PurchaseModel.fit`. With fewer than `FEWEST_BUYERS` customers nothing is
        fitted: everybody is given the pooled mean of their purchases, and the notes and a
        `BoundaryWarning` say so.

        Raises
        ------
        FitError
            If fewer than two customers have a purchase that counts.
        MissingColumnError
            If "each" purchase is to count and the table has no ``sum_log_values``.
        """
        plan = Plan.of(method, draws, seed, priors, sampling, groups)
        self._check(rfm, method, groups=groups)
        family = self.family
        by_sums = not plan.bayesian and not self.covariates
        rows = spend_rows(rfm, self.purchases, sums=family.NAME if by_sums else None)
        history, weights, buyers, pooled = rows.history, rows.weights, rows.buyers, rows.mean
        what = "repeat purchase" if self.purchases == "repeat" else "purchase"
        if buyers < 2:
            raise FitError(
                f"{family.TITLE} cannot be fitted: {buyers} of {len(rfm):,} customers "
                f"have a {what} of positive value, and at least 2 are needed"
                + (
                    "; GammaGammaModel(purchases='all') also uses the first purchase"
                    if self.purchases == "repeat"
                    else ""
                )
            )
        if not plan.bayesian and buyers < FEWEST_BUYERS and hasattr(family, "pooled"):
            why = _too_few(buyers, what, pooled, self.covariates)
            fit = CovariateFit(None, pooled_estimate(family, history, weights, why=why), ())
            remarks: tuple[str, ...] = ()
        else:
            numbers = {name: rfm.numbers(name)[rows.places] for name in self._columns(plan)}
            fit = self._estimate(rfm, history, weights, {"money": pooled}, numbers, plan)
            if rows.derivatives is not None:  # that was some of the rows: now all
                near, scales = fit.estimate, {"money": pooled}
                found = maximize_sums(family, rows.derivatives, near, scales, buyers)
                fit = CovariateFit(None, found, ())
            remarks = (
                *_levels_without(rfm, fit, what),
                *remarks_of(family, fit.estimate, history, weights),
            )
        left_out = rows.candidates - buyers
        if left_out:
            remarks += (
                (
                    f"{left_out:,} customers with a {what} were left out of the spend model: "
                    f"{_NOT_POSITIVE[self.purchases == 'each']} is not positive."
                ),
            )
        options = {"purchases": self.purchases, "pooled_mean": pooled}
        return cast(
            FittedSpend,
            assemble(FittedSpend, family, fit, rfm, buyers, plan, remarks, options),
        )


_NOT_POSITIVE = ("the mean value of their purchases", "the value of one of their purchases")


def _too_few(customers: int, what: str, mean: float, covariates: tuple[str, ...]) -> str:
    left_out = f"; the covariates {', '.join(covariates)} are not used" if covariates else ""
    return (
        f"only {customers} customers have a {what} of positive value, too few (under "
        f"{FEWEST_BUYERS}) to tell how customers differ: everybody is given the pooled mean "
        f"{mean:.6g} of these purchases{left_out}"
    )


def _levels_without(rfm: RFM, fit: CovariateFit, what: str) -> tuple[str, ...]:
    """Levels of the table that no customer of a spend model's fit has."""
    notes = []
    covariates = () if fit.design is None else fit.design.covariates
    for covariate in (c for c in covariates if not c.pooled):  # unknown groups are predicted
        known = covariate.levels or ()
        unseen = [level for level in rfm.levels(covariate.name) or () if level not in known]
        if unseen:
            notes.append(
                f"Nobody with {covariate.name}={', '.join(unseen)} has a {what} of positive value: "
                "the spend model does not know these customers and refuses to predict them. Group "
                "them with others, or use purchases='all'."
            )
    return tuple(notes)
