"""Who goes into a file, and what stands in it: an audience and a preset become columns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from clv.errors import DataError
from clv.export import people
from clv.export.audience import Audience
from clv.export.preset import Column, Preset
from clv.export.transforms import TRANSFORMS, Rows

if TYPE_CHECKING:
    import pyarrow as pa

ConsentRule = Literal["required", "not-refused", "ignored"]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

#: Customers whose texts are in memory as Python objects at one time.
_BATCH = 50_000

#: Why a customer is not in a file, in the order in which it is asked. One reason each.
REASONS = {
    "not in customers table": "the customers table has no row of this customer",
    "no consent": "the consent column is empty",
    "consent refused": "the consent column says no",
    "consent unclear": "the consent column says neither yes nor no",
    "no identifier": "nothing that the platform knows people by is given and usable",
    "too long": "a text is longer than the platform takes",
    "same as another": "a more valuable customer has the same identifier",
}


class Prepared(NamedTuple):
    """What goes into the files of an export, and what does not.

    Attributes
    ----------
    table
        Columns of the preset, one row per exported customer, by `customer_id`.
    customer_id
        Whose rows they are.
    group
        Which file each belongs to; None where there is one file for all.
    left_out
        Columns ``customer_id`` and ``reason``, by `customer_id`.
    reasons
        How many customers are left out, per reason.
    unusable
        Cells that were given but cannot be used, per column.
    raised
        Values below zero that were set to zero, per column.
    """

    table: pa.Table
    customer_id: Any
    group: Any
    left_out: pa.Table
    reasons: dict[str, int]
    unusable: dict[str, int]
    raised: dict[str, int]


def prepare(
    audience: Audience,
    preset: Preset,
    *,
    consent: ConsentRule | None = None,
    default_region: str | None = None,
) -> Prepared:
    """Choose the customers and make the columns of a preset.

    Parameters
    ----------
    audience
        From `clv.export.audience`.
    preset
        What the platform wants.
    consent
        "required": only who has said yes; "not-refused": everybody but who has said no;
        "ignored". None is what the preset says.
    default_region
        Two-letter country for telephone numbers without a country's code, of customers whose
        country is not known.

    Raises
    ------
    DataError
        If consent is required and no column says who has given it, the preset needs a field
        that nobody has, or the region is not known.
    """
    import pyarrow as pa

    rule = consent or preset.consent
    if default_region is not None:
        default_region = _checked_region(default_region)
    columns = _present(audience, preset)
    # why somebody is left out; empty for those who are not
    reason: NDArray[np.object_] = np.full(len(audience), "", dtype=object)
    wants_people = bool(preset.identified_by) and any(
        _field(preset, name) != "customer_id" for group in preset.identified_by for name in group
    )
    if wants_people or rule != "ignored":
        reason[~audience.in_customers_table] = "not in customers table"
    _ask_consent(audience, rule, reason)

    asked = np.flatnonzero(reason == "")
    chunks, tally = [], _Tally(Counter(), Counter())
    for start in range(0, len(asked), _BATCH):
        rows = pa.array(asked[start : start + _BATCH])
        chunks.append(_made(audience.table, rows, columns, default_region, tally))
    made = (
        pa.concat_tables(chunks)
        if chunks
        else _made(audience.table, pa.array([], pa.int64()), columns, default_region, tally)
    )
    fate = np.full(len(asked), "", dtype=object)
    fate[~_identified(made, preset)] = "no identifier"
    for name, most in preset.max_lengths.items():
        long = pa.compute.greater(pa.compute.utf8_length(made[name]), most)
        fate[long.to_numpy() & (fate == "")] = "too long"
    if preset.unique is not None:
        value = audience.table["value"].take(pa.array(asked)).to_numpy()
        fate[_repeated(made[preset.unique], value, fate == "")] = "same as another"
    reason[asked] = fate

    kept = fate == ""
    who = pa.array(asked[kept])
    out = np.flatnonzero(reason != "")
    group = preset.one_file_per
    return Prepared(
        table=_finished(made if kept.all() else made.filter(pa.array(kept)), columns),
        customer_id=audience.table["customer_id"].take(who),
        group=audience.table[group].take(who)
        if group is not None and group in audience.table.column_names
        else None,
        left_out=pa.table(
            {
                "customer_id": audience.table["customer_id"].take(pa.array(out)),
                "reason": pa.array(reason[out], pa.string()),
            }
        ),
        reasons={r: n for r in REASONS if (n := int((reason == r).sum()))},
        unusable=dict(sorted(tally.unusable.items())),
        raised=dict(sorted(tally.raised.items())),
    )


# --- who ---------------------------------------------------------------------------------------


def _ask_consent(audience: Audience, rule: ConsentRule, reason: NDArray[np.object_]) -> None:
    """Write down why those who must not be exported are left out."""
    if rule == "ignored":
        return
    if "consent" not in audience.table.column_names:
        raise DataError(
            "no column says who may be exported: give a customers table with a column 'consent', "
            "or name the column that says so"
        )
    import pyarrow as pa

    texts = pa.compute.fill_null(audience.table["consent"].cast(pa.string()), "")
    column = texts.combine_chunks().dictionary_encode()
    said = [people.consent(value) for value in column.dictionary.to_pylist()]
    found = np.array(said, dtype=object)[column.indices.to_numpy()]
    bad = {"refused": "consent refused"}
    if rule == "required":
        bad |= {"missing": "no consent", "unclear": "consent unclear"}
    for answer, why in bad.items():
        reason[(found == answer) & (reason == "")] = why


def _identified(made: pa.Table, preset: Preset) -> Bools:
    if not preset.identified_by:
        return np.ones(made.num_rows, dtype=bool)
    there = {
        name: made[name].is_valid().to_numpy() if name in made.column_names else np.False_
        for group in preset.identified_by
        for name in group
    }
    found = np.zeros(made.num_rows, dtype=bool)
    for group in preset.identified_by:
        found |= np.logical_and.reduce([np.broadcast_to(there[n], found.shape) for n in group])
    return found


def _repeated(key: Any, value: Any, among: Bools) -> Bools:
    """Rows whose key another row has that is worth more, or as much and stands before it."""
    import pyarrow as pa

    codes = key.combine_chunks().dictionary_encode().indices
    code = pa.compute.fill_null(codes, -1).to_numpy().astype(np.int64)
    rows = np.flatnonzero(among & (code >= 0))
    order = rows[np.lexsort((rows, -np.nan_to_num(value[rows], nan=-np.inf), code[rows]))]
    again = np.zeros(len(code), dtype=bool)
    again[order[1:]] = code[order[1:]] == code[order[:-1]]
    return again


# --- what ----------------------------------------------------------------------------------------


class _Tally(NamedTuple):
    unusable: Counter[str]
    raised: Counter[str]


def _present(audience: Audience, preset: Preset) -> list[Column]:
    there = audience.table.column_names
    columns = [c for c in preset.columns if c.field in there or not c.optional]
    if preset.identified_by and not any(
        all(_field(preset, name) in there for name in group) for group in preset.identified_by
    ):
        wanted = " or ".join(
            " with ".join(_field(preset, name) for name in group) for group in preset.identified_by
        )
        raise DataError(
            f"{preset.name} knows people by {wanted}, and nothing of that is here: give a "
            "customers table that has it, and say what its columns are called"
        )
    return columns


def _field(preset: Preset, name: str) -> str:
    return next(column.field for column in preset.columns if column.name == name)


def _checked_region(region: str) -> str:
    found = people.country(region)
    if found is None or found not in people.regions():
        raise DataError(f"{region!r} is no country of telephone numbers; use two letters, like IR")
    return found


def _made(
    table: pa.Table, rows: Any, columns: list[Column], default_region: str | None, tally: _Tally
) -> pa.Table:
    import pyarrow as pa

    fields = {c.field for c in columns} | {"country"}
    taken: Mapping[str, Any] = {
        name: table[name].take(rows) for name in fields if name in table.column_names
    } or {"customer_id": table["customer_id"].take(rows)}
    batch = Rows(taken, default_region)
    made = {}
    for column in columns:
        kind = _kind(column, taken)
        if column.field not in taken:
            made[column.name] = pa.nulls(len(rows), kind)
        elif not column.apply:
            made[column.name] = taken[column.field]
        else:
            values = batch[column.field]
            given = sum(v is not None and str(v).strip() != "" for v in values)
            for name in column.apply:
                if name == "not negative":
                    tally.raised[column.name] += sum(v is not None and v < 0 for v in values)
                values = TRANSFORMS[name].function(values, batch)
            lost = given - sum(v is not None for v in values)
            tally.unusable[column.name] += lost
            made[column.name] = pa.array(values, kind)
    for counter in tally:
        for name in [name for name, count in counter.items() if not count]:
            del counter[name]
    return pa.table(made)


def _kind(column: Column, taken: Mapping[str, Any]) -> Any:
    import pyarrow as pa

    if column.apply:
        kinds = {
            "text": pa.string(),
            "number": pa.float64(),
            "whole number": pa.int64(),
            "cents": pa.decimal128(28, 2),
            "four decimals": pa.decimal128(28, 4),
        }
        return kinds[TRANSFORMS[column.apply[-1]].gives]
    return taken[column.field].type if column.field in taken else pa.string()


def _finished(made: pa.Table, columns: list[Column]) -> pa.Table:
    """The same with what stands for missing values."""
    import pyarrow as pa

    for place, column in enumerate(columns):
        if column.missing is not None:
            text = pa.compute.fill_null(made[column.name].cast(pa.string()), column.missing)
            made = made.set_column(place, column.name, text)
    return made
