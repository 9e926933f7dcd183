"""The page a marketer opens: one self-contained HTML file, in English or Persian.

The usual path::

    facts = clv.report.gather(transactions, rfm, purchases, spend, forecast, customers=customers)
    pathlib.Path("report.html").write_text(clv.report.page(facts), encoding="utf-8")
"""

from __future__ import annotations

from clv.report.against_history import Tested, tested
from clv.report.document import page
from clv.report.facts import Facts, gather
from clv.report.language import Language, language

__all__ = ["Facts", "Language", "Tested", "gather", "language", "page", "tested"]
