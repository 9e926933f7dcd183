"""Life-cycle stages, moves between them, and RFM segments."""

from __future__ import annotations

from clv.lifecycle.moves import ABSENT, Moves, moves
from clv.lifecycle.over_time import over_time, replay
from clv.lifecycle.rfm_segments import (
    SEGMENTS,
    RFMSegments,
    SegmentRules,
    rfm_segments,
)
from clv.lifecycle.stages import STAGES, StageRules, Stages, stages
from clv.tables.everybody import read_customers

__all__ = [
    "ABSENT",
    "SEGMENTS",
    "STAGES",
    "Moves",
    "RFMSegments",
    "SegmentRules",
    "StageRules",
    "Stages",
    "moves",
    "over_time",
    "read_customers",
    "replay",
    "rfm_segments",
    "stages",
]
