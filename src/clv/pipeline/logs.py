"""Structured logs on standard error: one JSON object per line, no secret in any."""

from __future__ import annotations

import sys
from typing import Any

import structlog

from clv.pipeline.secrets import redacted


def make_logger(style: str = "json", **about: Any) -> Any:
    """A logger that writes to standard error; `style` is "json", "text" or "none"."""
    if style == "none":
        return structlog.wrap_logger(_Silent())
    renderer: Any = (
        structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
        if style == "text"
        else structlog.processors.JSONRenderer(default=str, ensure_ascii=False)
    )
    return structlog.wrap_logger(
        structlog.PrintLogger(sys.stderr),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _without_secrets,
            renderer,
        ],
    ).bind(**about)


class _Silent:
    def msg(self, *_: Any, **__: Any) -> None:
        pass

    debug = info = warning = error = msg


def _without_secrets(_: Any, __: str, event: Any) -> Any:
    return {key: redacted(v) if isinstance(v, str) else v for key, v in event.items()}
