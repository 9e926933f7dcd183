"""Economics: what customers cost and bring, and what a change in retention would be worth."""

from __future__ import annotations

from clv.economics.retention import QUOTED, RetentionValue, retention_value

__all__ = ["QUOTED", "RetentionValue", "retention_value"]
