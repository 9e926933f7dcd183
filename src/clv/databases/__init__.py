"""Databases, by their SQLAlchemy URL: rows streamed out in batches, tables upserted whole.

Reading and writing know nothing of customers: they move columns. A URL's password never appears
in a message. SQLAlchemy is an extra: ``pip install "predictive-clv[sql]"``.
"""

from clv.databases._connect import is_database, is_url, label_of, open_database
from clv.databases._read import Rows, read_rows
from clv.databases._write import Written, can_write, upsert

__all__ = [
    "Rows",
    "Written",
    "can_write",
    "is_database",
    "is_url",
    "label_of",
    "open_database",
    "read_rows",
    "upsert",
]
