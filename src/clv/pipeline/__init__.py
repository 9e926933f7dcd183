"""The night job: retrain, judge, promote or refuse, score everybody, write.

::

    from clv.pipeline import load_configuration, retrain

    answer = retrain(load_configuration("clv.toml"), as_of="2025-06-30")
    answer.outcome, answer.exit_code
"""

from clv.pipeline.configuration import Configuration
from clv.pipeline.configuration_file import load_configuration
from clv.pipeline.logs import make_logger
from clv.pipeline.nights import backfill, nights
from clv.pipeline.run import Answer, retrain

__all__ = [
    "Answer",
    "Configuration",
    "backfill",
    "load_configuration",
    "make_logger",
    "nights",
    "retrain",
]
