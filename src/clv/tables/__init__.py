"""The only door for data frames."""

from clv.tables.quality import Quality
from clv.tables.transactions import Transactions, read_transactions

__all__ = ["Quality", "Transactions", "read_transactions"]
