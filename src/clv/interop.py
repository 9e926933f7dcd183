"""Models fitted elsewhere, taken over."""

from __future__ import annotations

from typing import Any

import numpy as np

from clv import families
from clv.errors import DataError
from clv.inference.maximum_likelihood import evaluate, parameter_draws
from clv.model import fitted_class
from clv.numerics.histories import PurchaseHistory, SpendHistory
from clv.units import check_time_unit

_FITTERS = {
    "BetaGeoFitter": "bg_nbd",
    "ModifiedBetaGeoFitter": "mbg_nbd",
    "GammaGammaFitter": "gamma_gamma",
    "ParetoNBDFitter": "pareto_nbd",
    "BetaGeoBetaBinomFitter": "bg_bb",
}


def from_lifetimes(fitter: Any, *, time_unit: str, draws: int = 400, seed: int = 0) -> Any:
    """Take over a model that was fitted with lifetimes.

    Parameters
    ----------
    fitter
        A fitted ``lifetimes`` fitter. It keeps the rows it was fitted on, from which the
        log-likelihood (lifetimes stores it per customer and scaled) and standard errors are
        computed anew; the parameters are taken as they are.
    time_unit
        The unit its recency and T are in; lifetimes does not record it.
    draws, seed
        For parameter uncertainty, as in ``fit``.

    Returns
    -------
    FittedPurchases or FittedSpend
        Predicts as lifetimes does with these parameters.

    Raises
    ------
    DataError
        If it is not a fitted lifetimes fitter of a known model.
    """
    name = _FITTERS.get(type(fitter).__name__)
    if name is None or name not in families.names():
        known = ", ".join(f for f, n in _FITTERS.items() if n in families.names())
        raise DataError(
            f"{type(fitter).__name__} is not a lifetimes fitter that can be taken over; "
            f"there are {known}"
        )
    if not hasattr(fitter, "params_") or not hasattr(fitter, "data"):
        raise DataError(f"the {type(fitter).__name__} is not fitted, or was saved without data")
    family = families.find(name)
    data = fitter.data
    parameters = np.array([float(fitter.params_[p]) for p in family.PARAMETERS])
    weights = np.asarray(data["weights"], dtype=np.float64)
    history: PurchaseHistory | SpendHistory
    options: dict[str, Any] = {}
    if family.KIND == "purchase":
        age = "n_periods" if name == "bg_bb" else "T"
        columns = ("frequency", "recency", age)
        history = PurchaseHistory(*(np.asarray(data[c], dtype=np.float64) for c in columns))
    else:
        history = SpendHistory(
            np.asarray(data["frequency"], dtype=np.float64),
            np.asarray(data["monetary_value"], dtype=np.float64),
        )
        bought = weights * history.purchases
        options = {
            "purchases": "repeat",
            "pooled_mean": float(bought @ history.mean_value / bought.sum()),
        }
    estimate = evaluate(family, history, weights, parameters)
    return fitted_class(family)(
        family=family,
        estimates=parameters,
        log_covariance=estimate.log_covariance,
        determined=estimate.determined,
        draws=parameter_draws(estimate, draws, seed),
        log_likelihood=estimate.log_likelihood,
        n_customers=int(weights.sum()),
        time_unit=check_time_unit(time_unit),
        observation_period_end=None,
        fingerprint="",
        convergence=estimate.convergence,
        method="lifetimes",
        notes=(f"Taken over from lifetimes: {estimate.convergence.message}.",),
        options=options,
    )
