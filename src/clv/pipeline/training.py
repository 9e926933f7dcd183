"""From tonight's data to a judged challenger, and to a version in the registry."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

from clv.evaluation.table import plain
from clv.fitted import Fitted
from clv.pipeline.candidates import Specification, fit_candidates
from clv.pipeline.configuration import Configuration
from clv.pipeline.data import Night
from clv.pipeline.drift import profile_record
from clv.pipeline.gate import Challenger, Decision, judge
from clv.pipeline.identity import code_version, configuration_hash, library_versions
from clv.pipeline.rules import Rule
from clv.registry import Registry, Version
from clv.registry.records import sealed


def train(
    night: Night,
    configuration: Configuration,
    champion: Version | None,
    withdrawn: list[Version],
    drift: list[Rule],
    log: Any,
) -> tuple[Challenger, Decision, list[dict[str, Any]]]:
    """Fit the candidates, judge the best, and fit it to everything.

    Returns
    -------
    tuple
        The challenger, what the gate says of it, and all candidates as records.

    Raises
    ------
    ConvergenceError
        If no candidate converged.
    FitError
        If none can be fitted to such data.
    """
    section = configuration.models
    specifications = [Specification.of(section, name) for name in section.purchases]
    candidates = fit_candidates(specifications, night.split)
    for one in candidates:
        log.info("candidate", **one.to_dict())
    best = candidates[0]
    assert best.fitted is not None
    spend = best.specification.fit_spend(night.split)
    used = (
        best.specification.fit_purchases(night.full),
        best.specification.fit_spend(night.full),
    )
    challenger = Challenger(best.specification, (best.fitted, spend), used)
    decision = judge(
        night,
        challenger,
        champion,
        withdrawn,
        candidates,
        configuration.gate,
        section.seed,
        drift,
    )
    return challenger, decision, [one.to_dict() for one in candidates]


def publish(
    registry: Registry,
    night: Night,
    challenger: Challenger,
    decision: Decision,
    candidates: list[dict[str, Any]],
    configuration: Configuration,
    key: str,
) -> Version:
    """Put the challenger into the registry, with all that made it and how it was judged."""
    purchases, spend = challenger.used

    def write(folder: Path) -> None:
        purchases.save(folder / "purchases")
        spend.save(folder / "spend")
        records = {
            "params.json": {"purchases": _parameters(purchases), "spend": _parameters(spend)},
            "metrics.json": {"decision": decision.to_dict(), "candidates": candidates},
            "profile.json": profile_record(night, configuration.contract.recent_days),
        }
        for name, record in records.items():
            (folder / name).write_text(sealed(plain(record)), encoding="utf-8")

    manifest = {
        "name": registry.name,
        "as_of": night.as_of.isoformat(),
        "key": key,
        "created": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "specification": json.loads(json.dumps(challenger.specification.__dict__)),
        "configuration": configuration.to_dict(),
        "configuration_sha256": configuration_hash(configuration),
        "code": code_version(),
        "libraries": library_versions(),
        "seed": configuration.models.seed,
        "data": data_record(night),
    }
    reason = f"{decision.verdict}: {decision.reason}"
    return registry.publish(write, plain(manifest), reason=reason)


def data_record(night: Night) -> dict[str, Any]:
    """Which data: fingerprint, rows, period."""
    quality = night.transactions.quality
    number, rows, _ = night.days
    return {
        "fingerprint": night.fingerprint,
        "time_unit": night.time_unit,
        "rows_read": quality.rows,
        "rows_rejected": quality.rejected,
        "reasons": dict(quality.reasons),
        "rows": int(rows.sum()),
        "days": len(number),
        "customers": len(night.full),
        "first_day": night.first_day.isoformat(),
        "last_day": night.last_day.isoformat(),
        "holdout": {"from": night.cut.isoformat(), "to": night.as_of.isoformat()},
    }


def _parameters(fitted: Fitted) -> dict[str, Any]:
    return {
        "model": fitted.model_name,
        "parameters": fitted.parameters,
        "standard_errors": fitted.standard_errors,
        "log_likelihood": fitted.log_likelihood,
        "customers": fitted.n_customers,
        "method": fitted.method,
        "convergence": fitted.convergence._asdict(),
        "notes": list(fitted.notes),
    }
