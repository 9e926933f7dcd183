"""Numbers as they are printed: an agreement to the digits shown, no more and no less."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np


def assert_shown(actual: Any, printed: str, *, within: float = 0.5) -> None:
    """The numbers, rounded as printed, are the printed ones; they are separated by spaces.

    `within` is in units of the last digit; above a half where the source is less exact.
    """
    numbers = printed.replace("−", "-").split()
    values = np.ravel(np.asarray(actual, dtype=float))
    assert len(values) == len(numbers), f"{len(values)} numbers for {len(numbers)} printed ones"
    for value, text in zip(values, numbers, strict=True):
        last_digit = 10.0 ** Decimal(text).as_tuple().exponent
        assert abs(value - float(text)) <= 1.0002 * within * last_digit, f"{value!r} is not {text}"
