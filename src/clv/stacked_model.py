"""The shell around a stack: several purchase models, fitted side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from clv.errors import DataError
from clv.fitted import Stacked
from clv.fitted.pool import Pool
from clv.fitted.stacked import checked_weights
from clv.model import model_class
from clv.purchase_model import PurchaseModel
from clv.tables.rfm import RFM

#: What a stack is made of when nobody says otherwise.
MEMBERS = ("nbd", "bg_nbd", "mbg_nbd", "pareto_nbd")


class StackedModel(PurchaseModel):
    """Several purchase models as one: what each foresees, weighted.

    It is fitted, asked, saved and tried in a backtest like any other purchase model.

    Parameters
    ----------
    models
        Names such as "bg_nbd", or models such as ``clv.BetaGeoModel()``. By default NBD, BG/NBD,
        MBG/NBD and Pareto/NBD.
    weights
        As many, 0 or more; they are scaled to sum to 1. By default equal; `clv.stack` learns
        them from a backtest.

    Notes
    -----
    A linear opinion pool (Stone 1961, Annals of Mathematical Statistics 32: 1339-1342; Genest &
    Zidek 1986, Statistical Science 1: 114-148): every probability is the weighted mean of the
    members'.

    Examples
    --------
    >>> import clv
    >>> rfm = clv.rfm_summary(
    ...     clv.read_transactions(clv.datasets.load_cdnow()), observation_period_end="1997-09-30"
    ... )
    >>> stacked = clv.StackedModel(["nbd", "pareto_nbd"], weights=[1, 3]).fit(rfm)
    >>> round(float(stacked.expected_purchases(rfm, "39 weeks").sum()))
    1982
    """

    def __init__(
        self,
        models: Sequence[str | PurchaseModel] = MEMBERS,
        weights: Sequence[float] | None = None,
    ) -> None:
        if isinstance(models, str) or not len(models):
            raise DataError(f"a stack needs a list of purchase models, not {models!r}")
        self.models = tuple(_model(model) for model in models)
        given = [1.0] * len(self.models) if weights is None else weights
        array = checked_weights(given, len(self.models))
        self.weights = tuple((array / array.sum()).tolist())
        self.family = Pool([m.family for m in self.models])  # type: ignore[misc]  # of no class

    def arguments(self) -> dict[str, Any]:
        """What the model was told, as its constructor takes it."""
        return {
            "models": list(self.models),
            "weights": [round(weight, 6) for weight in self.weights],
        }

    @property
    def covariates(self) -> tuple[str, ...]:
        """Names of all covariates of the members, each once."""
        return tuple(dict.fromkeys(name for model in self.models for name in model.covariates))

    def fit(self, rfm: RFM, **options: Any) -> Stacked:
        """Fit every member to a table.

        Parameters
        ----------
        rfm
            One row per customer, from `clv.rfm_summary` or `clv.rfm_table`.
        **options
            As of ``PurchaseModel.fit``, the same for every member: `method`, `draws`, `seed`.

        Returns
        -------
        Stacked

        Raises
        ------
        FitError, ConvergenceError
            If a member cannot be fitted. Members of weight 0 are not tried.
        """
        tried = [(m, w) for m, w in zip(self.models, self.weights, strict=True) if w > 0]
        members = [model.fit(rfm, **options) for model, _ in tried]
        return Stacked.of(members, [weight for _, weight in tried])


def _model(given: str | PurchaseModel) -> PurchaseModel:
    if isinstance(given, str):
        try:
            given = model_class(given)()
        except KeyError as error:
            raise DataError(str(error.args[0])) from error
    if not isinstance(given, PurchaseModel) or isinstance(given, StackedModel):
        raise DataError(
            f"{given!r} cannot be part of a stack; give names such as 'bg_nbd' or purchase models "
            "such as clv.BetaGeoModel(), not fitted yet"
        )
    return given
