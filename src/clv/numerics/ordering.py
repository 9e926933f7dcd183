"""Order: sorting whole numbers by counting, and numbers that are equal but for rounding."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def ascending_order(key: npt.NDArray[np.signedinteger]) -> npt.NDArray[np.intp]:
    """Indices that sort numbers >= 0, equal ones in the order in which they stand.

    numpy sorts sixteen bits at a time by counting, which beats comparing for the few digits of
    a key.

    Parameters
    ----------
    key
        Shape (n,), n > 0, none negative.

    Returns
    -------
    Array
        Shape (n,).

    Examples
    --------
    >>> ascending_order(np.array([70_000, 3, 70_000, 0])).tolist()
    [3, 1, 0, 2]
    """
    bits = int(key.max()).bit_length()
    order = np.argsort(key.astype(np.uint16), kind="stable")
    for shift in range(16, bits, 16):
        digit = np.right_shift(key, shift).astype(np.uint16 if bits - shift > 8 else np.uint8)
        order = order[np.argsort(digit[order], kind="stable")]
    return order


def settled(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The numbers to 12 digits of the largest: equals are equal however their sums were made.

    The same amounts added in another order differ in their last digits, and who is equal would
    be told apart by the order of the rows.

    Parameters
    ----------
    values
        Shape (n,); missing and infinite ones stay.

    Examples
    --------
    >>> settled(np.array([0.1 + 0.2, 0.3, 5.0])).tolist()
    [0.3, 0.3, 5.0]
    """
    finite = np.abs(values[np.isfinite(values)])
    largest = float(finite.max(initial=0.0))
    if largest == 0.0:
        return values
    digits = 11 - int(np.floor(np.log10(largest)))
    return np.asarray(np.round(values, min(digits, 300)))
