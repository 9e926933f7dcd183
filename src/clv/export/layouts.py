"""How a platform's API wants its rows, where that is more than a line of columns."""

from __future__ import annotations

import hashlib
import json
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clv.files import json_line

if TYPE_CHECKING:
    import pyarrow as pa

#: Columns of the preset that make one identifier, in Google's `AddressInfo`.
_ADDRESS = ("hashed_first_name", "hashed_last_name", "country_code", "postal_code")
_IDENTIFIERS = ("hashed_email", "hashed_phone_number")


def google_user_data(table: pa.Table, path: Path, *, consented: bool) -> None:
    """One `UserData` of the Google Ads API per line: identifiers, attributes and consent."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for batch in table.to_batches(max_chunksize=10_000):
            file.writelines(json_line(_user_data(row, consented)) for row in batch.to_pylist())


def _user_data(row: dict[str, Any], consented: bool) -> dict[str, Any]:
    identifiers: list[dict[str, Any]] = [
        {name: row[name]} for name in _IDENTIFIERS if row[name] is not None
    ]
    address = {name: row[name] for name in _ADDRESS}
    if None not in address.values():
        identifiers.append({"address_info": address})
    about = {
        name: value
        for name, value in row.items()
        if name not in (*_IDENTIFIERS, *_ADDRESS) and value is not None
    }
    user: dict[str, Any] = {"user_identifiers": identifiers, "user_attribute": about}
    if consented:
        user["consent"] = {"ad_user_data": "GRANTED", "ad_personalization": "GRANTED"}
    return user


def meta_payload(
    table: pa.Table, path: Path, *, batch: int, last: bool, total: int, session: int
) -> None:
    """The body of one request to a Meta custom audience: a session and its payload."""
    body = {
        "session": {
            "session_id": session,
            "batch_seq": batch,
            "last_batch_flag": last,
            "estimated_num_total": total,
        },
        "payload": {
            "schema": table.column_names,
            "data": [[_json_number(value) for value in row.values()] for row in table.to_pylist()],
        },
    }
    path.write_text(json.dumps(body, allow_nan=False) + "\n", encoding="utf-8")


def session_id(table: pa.Table) -> int:
    """A number of the same for the same rows, positive in 53 bits, so that any reader keeps it."""
    digest = hashlib.sha256()
    for batch in table.to_batches(max_chunksize=10_000):
        digest.update(repr(batch.to_pydict()).encode())
    return int.from_bytes(digest.digest()[:8], "big") >> 11


def _json_number(value: Any) -> Any:
    return float(value) if isinstance(value, Decimal) else value
