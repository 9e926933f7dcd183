"""Whom to look after today, and why: lists with a reason per row, and one customer's card."""

from __future__ import annotations

from clv.actions.card import CustomerCard, card
from clv.actions.lists import (
    Actions,
    ending,
    likely_to_buy,
    opportunities,
    overdue,
    slipping_away,
)

__all__ = [
    "Actions",
    "CustomerCard",
    "card",
    "ending",
    "likely_to_buy",
    "opportunities",
    "overdue",
    "slipping_away",
]
