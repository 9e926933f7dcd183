"""Telling somebody: a POST of one JSON object to a webhook, with the same in one line of text."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

from clv.errors import ClvError
from clv.evaluation.table import plain
from clv.pipeline.configuration import NoticeSection
from clv.pipeline.secrets import expand

#: What a notice is about, by how a run ended.
_ABOUT = {"refused": "refused", "broken": "broken", "failed": "failed", "promoted": "promoted"}


def notify(section: NoticeSection, answer: dict[str, Any], log: Any) -> bool:
    """Send a notice where the configuration asks for one.

    A webhook that does not answer changes nothing but a line in the log.

    Returns
    -------
    bool
        Whether one was sent.
    """
    reasons = reasons_of(answer)
    wanted = [reason for reason in reasons if reason in section.on]
    if section.webhook is None or not wanted or answer.get("dry_run"):
        return False
    record = {
        # "text" is what chat services show of a message that is posted to them
        "text": line(answer),
        "about": wanted,
        **{
            name: answer.get(name)
            for name in (
                "name", "as_of", "outcome", "exit_code", "reason", "champion", "challenger", "run",
            )
        },
        "rules": [rule for rule in answer.get("rules", ()) if not rule["passed"]],
    }  # fmt: skip
    try:
        request = urllib.request.Request(
            expand(section.webhook),
            data=json.dumps(plain(record), allow_nan=False).encode(),
            headers={"Content-Type": "application/json"},
            method="POST",
        )
        if request.type not in ("http", "https"):
            raise ValueError(f"a webhook is an http or https address, not {request.type}")
        with urllib.request.urlopen(request, timeout=section.timeout) as response:
            response.read(1)
    except (OSError, ValueError, ClvError) as error:
        log.error("notice not sent", reason=type(error).__name__, detail=_harmless(error))
        return False
    log.info("notice sent", about=wanted)
    return True


def reasons_of(answer: dict[str, Any]) -> list[str]:
    """What there is to tell of a run."""
    found = [_ABOUT[answer["outcome"]]] if answer["outcome"] in _ABOUT else []
    if any(not rule["passed"] for rule in answer.get("rules", ()) if rule["group"] == "drift"):
        found.append("drift")
    return found


def line(answer: dict[str, Any]) -> str:
    """The answer in one line.

    Examples
    --------
    >>> line({"name": "shop", "as_of": "2025-06-30", "outcome": "kept", "reason": "as good"})
    'clv shop, 2025-06-30: kept. as good'
    """
    drift = [
        rule["rule"]
        for rule in answer.get("rules", ())
        if rule["group"] == "drift" and not rule["passed"]
    ]
    also = f" Data drift: {', '.join(drift)}." if drift else ""
    said = f"clv {answer['name']}, {answer['as_of']}: {answer['outcome']}. {answer['reason']}{also}"
    return " ".join(said.split())


def _harmless(error: Exception) -> str:
    """What went wrong, without the address: it may be a secret."""
    if isinstance(error, urllib.error.HTTPError):
        return f"it answered {error.code}"
    reason = getattr(error, "reason", None)
    return str(reason) if isinstance(reason, OSError) else type(error).__name__
