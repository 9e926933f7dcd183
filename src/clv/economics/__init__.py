"""Economics: what customers cost and bring, and what a change in retention would be worth."""

from __future__ import annotations

from clv.economics.books import Books, books
from clv.economics.budget import Budget, budget, elasticities
from clv.economics.next_customer import NextCustomers, next_customers
from clv.economics.referrals import Referrals, referrals
from clv.economics.retention import QUOTED, RetentionValue, retention_value
from clv.economics.returns import EVERYBODY, NO_CHANNEL, GroupReturns, returns
from clv.economics.target import RevenueTarget, revenue_target

__all__ = [
    "EVERYBODY",
    "NO_CHANNEL",
    "QUOTED",
    "Books",
    "Budget",
    "GroupReturns",
    "NextCustomers",
    "Referrals",
    "RetentionValue",
    "RevenueTarget",
    "books",
    "budget",
    "elasticities",
    "next_customers",
    "referrals",
    "retention_value",
    "returns",
    "revenue_target",
]
