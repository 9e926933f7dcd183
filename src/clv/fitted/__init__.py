"""What a fit returns: frozen, small, and able to predict for any table in its time unit."""

from clv.fitted.base import Fitted
from clv.fitted.intervals import with_intervals
from clv.fitted.purchases import HISTORY_COLUMNS, FittedPurchases, Rows
from clv.fitted.spend import FittedSpend, spend_columns, spend_rows
from clv.fitted.stacked import Stacked
from clv.fitted.time_varying import FittedTimeVarying, timeline

__all__ = [
    "HISTORY_COLUMNS",
    "Fitted",
    "FittedPurchases",
    "FittedSpend",
    "FittedTimeVarying",
    "Rows",
    "Stacked",
    "spend_columns",
    "spend_rows",
    "timeline",
    "with_intervals",
]
