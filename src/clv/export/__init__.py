"""Exports: customers and their values as ad platforms, CRMs and spreadsheets want them.

The usual path::

    known = clv.export.audience(rfm, forecast, customers, labels={"tier": tiers})
    done = clv.export.export(known, "google-customer-match", "exports")
"""

from __future__ import annotations

from clv.export.audience import CONTACT, Audience, audience
from clv.export.delivery import Delivery, export
from clv.export.prepare import Prepared, prepare
from clv.export.preset import Column, Preset, presets, read_preset

__all__ = [
    "CONTACT",
    "Audience",
    "Column",
    "Delivery",
    "Prepared",
    "Preset",
    "audience",
    "export",
    "prepare",
    "presets",
    "read_preset",
]
