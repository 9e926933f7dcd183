"""Customer ids and amounts."""

from __future__ import annotations

from collections.abc import Iterator

import narwhals as nw

from clv.tables._columns import (
    MISSING_WORDS,
    PREFIX,
    Column,
    Problem,
    Steps,
    folded,
    merge_steps,
    trimmed,
)

LARGEST_EXACT_FLOAT = float(2**53)
LARGEST_INTEGER = 9.2e18
NARROW_INTEGERS = (nw.Int8, nw.Int16, nw.Int32, nw.Int64, nw.UInt8, nw.UInt16, nw.UInt32)

ID_TEXT = f"{PREFIX}id_text"

SPACES = " '\u00a0\u2009\u202f\u2019"
"""What stands between thousands besides a comma or a point."""


# ---- customer ids


def customer_id(column: str, name: str, dtype: nw.dtypes.DType, *, plain: bool) -> Column:
    """Keep a customer id as it is: text stays text, a number becomes an integer.

    `plain` says that texts are known to need no care: missing ones are null, and no other has
    invisible characters at its ends.
    """
    missing = (nw.col(column).is_null(), f"{name} is missing")
    if dtype in NARROW_INTEGERS:
        return Column(nw.col(column), nw.Int64, problems=(missing,))
    if dtype == nw.UInt64:
        return Column(nw.col(column), None, problems=(missing,))
    if dtype.is_numeric():
        return _wide_id(column, name, exact=not dtype.is_float())
    if plain:
        return Column(nw.col(column).cast(nw.String), None, problems=(missing,))
    words = (nw.col(ID_TEXT).is_in(MISSING_WORDS), f"{name} is missing")
    return Column(nw.col(ID_TEXT), None, steps=({ID_TEXT: trimmed(column)},), problems=(words,))


def _wide_id(column: str, name: str, *, exact: bool) -> Column:
    """Read ids that are fractions only because some are missing, or wider than 64 bits."""
    number, safe, whole = (f"{PREFIX}id_{part}" for part in ("number", "safe", "whole"))
    value = nw.col(number)
    largest = LARGEST_INTEGER if exact else LARGEST_EXACT_FLOAT
    missing = value.is_null() | value.is_nan()
    too_large = (value > largest) | (value < -largest)
    return Column(
        value=nw.when(nw.col(whole)).then(nw.col(column)).otherwise(nw.lit(0)).cast(nw.Int64),
        dtype=nw.Int64,
        steps=(
            {number: nw.col(column).cast(nw.Float64)},
            {safe: nw.when(missing).then(nw.lit(0.5)).otherwise(value)},
            {safe: nw.when(too_large).then(nw.lit(0.5)).otherwise(nw.col(safe))},
            {whole: nw.col(safe) == nw.col(safe).round(0)},
        ),
        problems=(
            (missing, f"{name} is missing"),
            (too_large, f"{name} is too large to be exact as a number: give it as text"),
            (~nw.col(whole), f"{name} is not a whole number"),
        ),
    )


# ---- amounts


def amount(
    column: str, name: str, dtype: nw.dtypes.DType, *, role: str, decimal: str, ascii_only: bool
) -> Column:
    """Read an amount, a quantity or a price (its `role`) as a finite number."""
    value = nw.col(f"{PREFIX}{role}")
    if not dtype.is_numeric():
        return _text_amount(column, name, role=role, decimal=decimal, ascii_only=ascii_only)
    return Column(
        value=value,
        dtype=nw.Float64,
        steps=({f"{PREFIX}{role}": nw.col(column).cast(nw.Float64)},),
        problems=(
            (value.is_null() | value.is_nan(), f"{name} is missing"),
            (~value.is_finite(), f"{name} is infinite"),
        ),
    )


def _text_amount(column: str, name: str, *, role: str, decimal: str, ascii_only: bool) -> Column:
    text_column, right, number = (f"{PREFIX}{role}{part}" for part in ("_text", "_right", ""))
    text = nw.col(text_column)
    first: Steps = ({text_column: trimmed(column)},)
    if not ascii_only:
        first += ({text_column: folded(text_column, decimal=decimal)},)
    plain = text.str.replace_all(f"[{_thousands(decimal)}]", "")
    if decimal == ",":
        plain = plain.str.replace_all(",", ".", literal=True)
    return Column(
        value=nw.col(number),
        dtype=nw.Float64,
        steps=(
            *first,
            {right: text.str.contains(_number_pattern(decimal))},
            {number: nw.when(nw.col(right)).then(plain).otherwise(nw.lit("0")).cast(nw.Float64)},
        ),
        problems=tuple(_text_problems(text, nw.col(right), name, decimal)),
    )


def _text_problems(text: nw.Expr, right: nw.Expr, name: str, decimal: str) -> Iterator[Problem]:
    other = "," if decimal == "." else "."
    yield ~right & text.is_in(MISSING_WORDS), f"{name} is missing"
    yield ~right & text.str.contains(r"^[+-]?(?i:inf|infinity)$"), f"{name} is infinite"
    beside = text.str.contains("[0-9]") & text.str.contains(r"[^0-9.,+\-\s'eE]")
    yield ~right & beside, f"{name} has text beside the number (a currency?)"
    fits = text.str.contains(_number_pattern(other))
    yield ~right & fits, f"{name} is a number only with decimal={other!r}"
    yield ~right, f"{name} is not a number"


def _thousands(decimal: str) -> str:
    return SPACES + ("," if decimal == "." else ".")


def _number_pattern(decimal: str) -> str:
    """Match digits, whole groups of three, a fraction and an exponent that cannot overflow."""
    mark = "\\."
    if decimal == ",":
        mark = ","
    grouped = f"[0-9]{{1,3}}(?:[{_thousands(decimal)}][0-9]{{3}}){{1,12}}"
    whole = f"(?:[0-9]{{1,40}}|{grouped})"
    return f"^[+-]?(?:{whole}(?:{mark}[0-9]*)?|{mark}[0-9]+)(?:[eE][+-]?[0-9]{{1,2}})?$"


def times(quantity: Column, unit_price: Column) -> Column:
    """Multiply two columns into an amount."""
    product = quantity.value * unit_price.value
    too_large = (~product.is_finite(), "quantity times unit price is too large")
    return Column(
        value=product,
        dtype=nw.Float64,
        steps=merge_steps((quantity, unit_price)),
        problems=(*quantity.problems, *unit_price.problems, too_large),
    )


def constant(value: float) -> Column:
    """Let every row be worth the same."""
    return Column(value=nw.lit(float(value)), dtype=nw.Float64)
