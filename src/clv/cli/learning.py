"""What ``--calibrate`` learns from earlier cuts before a forecast is made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from clv.cli.console import notes, working

if TYPE_CHECKING:
    from clv.calibration import Calibration
    from clv.purchase_model import PurchaseModel
    from clv.spend_model import SpendModel
    from clv.tables.rfm import RFM
    from clv.tables.transactions import Transactions

STACKED = "stacked"


class Learned(NamedTuple):
    """The model to forecast with, and what earlier cuts say of its forecasts."""

    purchases: PurchaseModel
    calibration: Calibration


def learn(
    transactions: Transactions,
    rfm: RFM,
    purchases: PurchaseModel,
    spend: SpendModel,
    horizon: Any,
    cuts: int,
) -> Learned:
    """Foresee at earlier cuts what came after them; of a stack learn the weights as well.

    The cuts are a horizon apart, or as far as the data allow.
    """
    import clv
    from clv.cli.scoring import days_of
    from clv.stacked_model import StackedModel

    first = rfm.values("first_purchase").min().astype(object)
    end = rfm.as_of
    assert end is not None
    room = (end - first).days // (cuts + 2)
    length = max(1, room if horizon is None else min(days_of(horizon, rfm.time_unit), room))
    stacked = isinstance(purchases, StackedModel)
    with working(f"learning from {cuts} earlier cuts"):
        tried = clv.backtest(
            transactions,
            purchases.models if isinstance(purchases, StackedModel) else {"model": purchases},
            spend={"spend": spend},
            horizon=f"{length} days",
            cuts=cuts,
            observation_period_end=end,
            time_unit=rfm.time_unit,
            bootstrap=10,
            draws=10,
            progress=False,
        )
        if not stacked:
            return Learned(purchases, clv.calibrate(tried, "model + spend"))
        found = clv.stack(tried)
    notes(found.notes)
    return Learned(found.purchases, found.calibration())
