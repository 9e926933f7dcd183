"""lifetimes' own fits of CDNOW. Its import and its calls warn, which is not our business."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from oracles import cdnow


@cache
def fitted(name: str) -> Any:
    """A fitted lifetimes fitter, such as "BetaGeoFitter"."""
    s = cdnow.summary()
    bought = s.frequency > 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import lifetimes

        fitter = getattr(lifetimes, name)()
        if name == "GammaGammaFitter":
            return fitter.fit(pd.Series(s.frequency[bought]), pd.Series(s.monetary_value[bought]))
        return fitter.fit(*(pd.Series(column) for column in s[:3]))


def parameters(name: str, family: Any) -> Any:
    """Its estimates as our ``Parameters``."""
    found = fitted(name).params_
    return family.Parameters(*(float(found[p]) for p in family.PARAMETERS))


def quietly(function: Callable[..., Any], *arguments: Any) -> np.ndarray:
    """What it computes, as an array."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return np.asarray(function(*arguments), dtype=float)
