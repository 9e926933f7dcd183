"""Sorting whole numbers by counting."""

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
