"""One night: read, check, fit, judge, register, promote or refuse, score, write.

What is written, in this order: the version (by one rename), the files where nobody looks yet (by
one rename), the databases (each in one transaction), the champion (by one rename), the link to
the files (by one rename), and the answer. A run that dies anywhere leaves every one of them as it
was or as it should be, and the same command run again goes on from there.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from clv.errors import (
    ClvError,
    ConfigurationError,
    ConvergenceError,
    DataError,
    FitError,
    LockedError,
    RegistryError,
)
from clv.evaluation.table import plain
from clv.fitted import FittedPurchases, FittedSpend
from clv.pipeline.configuration import Configuration
from clv.pipeline.contract import contract_rules
from clv.pipeline.data import Night, read
from clv.pipeline.drift import drift_rules
from clv.pipeline.identity import run_key
from clv.pipeline.logs import make_logger
from clv.pipeline.notice import notify
from clv.pipeline.outputs import NightTable, Outputs, check_databases, write_databases
from clv.pipeline.rules import Rule, broken
from clv.pipeline.scoring import score
from clv.pipeline.secrets import redacted
from clv.pipeline.training import data_record, publish, train
from clv.registry import Registry, Version
from clv.tables._day import parse_day
from clv.tables.transactions import Transactions

DONE, FAILED, USAGE, DATA, CONVERGENCE, REFUSED, LOCKED = 0, 1, 2, 3, 4, 5, 75
"""Exit codes."""


@dataclass(frozen=True)
class Answer:
    """What a night came to.

    Attributes
    ----------
    record
        All of it, in the types of JSON; ``outcome`` is "promoted", "kept", "refused", "broken"
        (the data), "failed" or "locked".
    """

    record: dict[str, Any]

    @property
    def outcome(self) -> str:
        """How it ended, in a word."""
        return str(self.record["outcome"])

    @property
    def exit_code(self) -> int:
        """For the scheduler."""
        return int(self.record["exit_code"])

    def __repr__(self) -> str:
        r = self.record
        return (
            f"Answer: {r['name']}, {r['as_of']}: {r['outcome']} ({r['exit_code']}); {r['reason']}"
        )


def retrain(
    configuration: Configuration,
    *,
    as_of: Any = None,
    dry_run: bool = False,
    wait: float = 0.0,
    accept_data: bool = False,
    transactions: Transactions | None = None,
    log: Any = None,
) -> Answer:
    """Run one night.

    Parameters
    ----------
    configuration
        From `load_configuration`.
    as_of
        Last day that is known: a date, a text such as "2025-06-30" (in the calendar of the
        source), "last" for the last day in the data; yesterday by default. A day before that of
        the champion is replayed: it is judged against the champion of its time, and changes
        neither the champion nor the current files.
    dry_run
        Do everything but write.
    wait
        Seconds to wait for another run to end.
    accept_data
        Go on although the data contract is broken; the rules still say so.
    transactions
        What the source gives, if it has been read already.
    log
        From `make_logger`; by default nothing is logged.

    Returns
    -------
    Answer
        Errors of the data, the fit, the disk and the databases are answers too.

    Raises
    ------
    ConfigurationError
        If an environment variable is missing or `as_of` is no day.
    """
    log = log or make_logger("none")
    day = _day(as_of, configuration)
    registry = Registry(
        configuration.path(configuration.models.registry), configuration.models.name
    )
    about = {"name": registry.name, "as_of": None if day is None else day.isoformat()}
    try:
        with _locked(registry, dry_run, wait):
            run = _Run(configuration, registry, dry_run, accept_data, log)
            record = run.night(day, transactions)
    except ConfigurationError:
        raise
    except (ClvError, OSError) as error:
        record = _failed(error) | {"champion": _champion_now(registry)}
    except Exception as error:  # a fault of the program: told, and left to be seen
        said = {"outcome": "failed", "exit_code": FAILED, "reason": f"a fault: {error!r}"}
        notify(configuration.notice, {**about, **said, "dry_run": dry_run}, log)
        raise
    answer = {"command": "retrain", **about, "dry_run": dry_run, **record}
    said = {name: answer.get(name) for name in ("outcome", "exit_code", "reason", "champion")}
    log.info("done", **said)
    notify(configuration.notice, answer, log)
    return Answer(plain(answer))


def default_day() -> dt.date:
    """Yesterday: the last day that is over."""
    return dt.date.today() - dt.timedelta(days=1)


def _day(as_of: Any, configuration: Configuration) -> dt.date | None:
    """The day; None for the last one in the data."""
    if as_of is None:
        return default_day()
    if isinstance(as_of, str) and as_of.strip().lower() == "last":
        return None
    try:
        return parse_day(as_of, "as_of", configuration.source.calendar)
    except DataError as error:
        raise ConfigurationError(str(error)) from error


@contextmanager
def _locked(registry: Registry, dry_run: bool, wait: float) -> Iterator[None]:
    """The lock; a dry run writes nothing, not even that."""
    if dry_run:
        yield
        return
    with registry.lock(wait):
        yield


def _failed(error: ClvError | OSError) -> dict[str, Any]:
    """The answer that an error comes to."""
    outcome, code = "failed", FAILED
    if isinstance(error, LockedError):
        outcome, code = "locked", LOCKED
    elif isinstance(error, ConvergenceError):
        code = CONVERGENCE
    elif isinstance(error, DataError | FitError):
        outcome, code = "broken", DATA
    reason = redacted(str(error))
    return {
        "outcome": outcome,
        "exit_code": code,
        "reason": reason,
        "error": type(error).__name__,
    }


def _champion_now(registry: Registry) -> str | None:
    try:
        return registry.aliases().champion
    except RegistryError:
        return None


@dataclass(frozen=True, eq=False)
class _Run:
    """What all steps of a run share."""

    configuration: Configuration
    registry: Registry
    dry_run: bool
    accept_data: bool
    log: Any

    @property
    def outputs(self) -> Outputs:
        where = self.configuration.path(self.configuration.outputs.folder)
        return Outputs(where, self.registry.name)

    def night(self, day: dt.date | None, transactions: Transactions | None) -> dict[str, Any]:
        """From the data to the answer."""
        configuration, registry = self.configuration, self.registry
        if not self.dry_run:
            self.outputs.clear_up()
        versions = registry.versions()
        aliases = registry.aliases()
        if aliases.champion is not None:
            registry.version(aliases.champion).verify()
        night = self._read(day, transactions)
        as_of = night.as_of
        latest = aliases.latest_champion_day()
        replay = latest is not None and as_of < latest
        in_use = aliases.champion_before(as_of) if replay else aliases.champion
        champion = None if in_use is None else registry.version(in_use).verify()
        earlier = [version for version in versions if version.as_of <= as_of]
        contract = contract_rules(
            night, configuration.contract, earlier[-1] if earlier else None, dt.date.today()
        )
        drift = drift_rules(night, configuration.gate, configuration.contract, champion)
        rules = [*contract, *drift]
        known = {
            "as_of": as_of.isoformat(),
            "replay": replay,
            "data": data_record(night),
            "champion": in_use,
        }
        faults = broken(rules, "contract")
        for fault in faults:
            self.log.warning("contract", rule=fault.name, said=fault.sentence)
        if faults and configuration.contract.enabled and not self.accept_data:
            reason = "; ".join(fault.sentence for fault in faults)
            return known | _answer("broken", DATA, f"the data contract is broken: {reason}", rules)
        key = run_key(configuration, night.fingerprint, as_of.isoformat())
        self.log.info("checked", key=key, customers=len(night.full), replay=replay)
        version = registry.of_key(key)
        fresh: tuple[FittedPurchases, FittedSpend] | None = None
        if version is None:
            withdrawn = [v for v in versions if v.name in aliases.withdrawn]
            challenger, decision, candidates = train(
                night, configuration, champion, withdrawn, drift, self.log
            )
            fresh, verdict = challenger.used, decision.to_dict()
            if not self.dry_run:
                version = publish(
                    registry, night, challenger, decision, candidates, configuration, key
                )
        else:
            if not self.dry_run:
                registry.adopt(version, reason="found whole after a run that did not end")
            metrics = version.verify().metrics
            verdict, candidates = metrics["decision"], metrics["candidates"]
        self.log.info("judged", verdict=verdict["verdict"], reason=verdict["reason"])
        known |= {
            "key": key,
            "refitted": fresh is not None,
            "challenger": None if version is None else version.name,
            "candidates": candidates,
            "judgement": {k: verdict[k] for k in ("compared", "challenger", "champion")},
        }
        everything = [*(rule.to_dict() for rule in rules), *_gate_rules(verdict)]
        state = _State(night, key, version, fresh, verdict, champion, replay, known, everything)
        return self._finish(state)

    def _read(self, day: dt.date | None, transactions: Transactions | None) -> Night:
        if transactions is None:
            transactions = read(self.configuration, day or default_day())
        quality = transactions.quality
        self.log.info("read", rows=quality.rows, rejected=quality.rejected)
        if day is None:
            assert quality.last_day is not None
            day = quality.last_day
        models, gate = self.configuration.models, self.configuration.gate
        return Night(transactions, day, models.time_unit, gate.holdout)

    def _finish(self, state: _State) -> dict[str, Any]:
        """Score, write and promote; or say that all this is done already."""
        registry, outputs = self.registry, self.outputs
        promoted = state.promotes(registry)
        scorer = state.scorer(promoted)
        verdict = state.verdict["verdict"]
        known = state.known
        if scorer is None:
            reason = f"{state.verdict['reason']}. There is no champion, so nobody was scored"
            return known | _answer(verdict, REFUSED, reason, state.rules)
        name = scorer.name if isinstance(scorer, Version) else "tonight's challenger"
        run = f"{state.night.as_of}-{state.key[:12]}-{name.replace(' ', '-')}"
        shown = outputs.current
        behind = shown is not None and shown[:10] > str(state.night.as_of)
        done = registry.run(state.key)
        written = (outputs.holds(run) and shown == run) or state.replay or behind
        if done is not None and done["run"] == run and written and not promoted:
            self.log.info("already done", run=run)
            return {**done, "already": True, "refitted": False}
        code = REFUSED if verdict == "refused" else DONE
        answer = known | _answer(verdict, code, state.verdict["reason"], state.rules)
        answer |= {"already": False, "run": run, "scored_by": name}
        if promoted and not state.replay:
            answer["champion"] = name
        models = state.fresh if state.uses_fresh(scorer) else None
        forecast = score(state.night, *(models or _models(scorer)), self.configuration)
        table = NightTable(forecast, state.night.as_of, run, name)
        check_databases(self.configuration, table)
        answer |= {
            "forecast": {
                "customers": len(forecast),
                "horizon": forecast.horizon,
                "expected_purchases": forecast.sum("expected_purchases"),
                "residual_value": forecast.sum("residual_value"),
            },
            "notes": list(forecast.notes),
        }
        self.log.info("scored", by=name, **answer["forecast"])
        if self.dry_run:
            return answer | {"files": [], "databases": []}
        files = outputs.stage(run, table, self.configuration.outputs.files)
        databases = write_databases(self.configuration, table, state.night.as_of)
        if promoted and not state.replay:
            assert state.version is not None
            registry.promote(state.version, by="gate", reason=state.verdict["reason"])
        if not (state.replay or behind):
            files = outputs.show(run, self.configuration.outputs.keep)
        answer |= {"files": [str(path) for path in files], "databases": databases}
        if state.version is not None:
            registry.record_run(state.key, plain(answer))
            self._export(state.version)
        return answer

    def _export(self, version: Version) -> None:
        """Log the version to MLflow where that is asked for; it is a copy, so a failure is told."""
        place = self.configuration.models.mlflow
        if place is None:
            return
        from clv.registry.mlflow import log_version

        try:
            log_version(version, place)
        except Exception as error:
            self.log.error("not logged to MLflow", reason=f"{type(error).__name__}: {error}")


@dataclass(frozen=True, eq=False)
class _State:
    """A judged night that has not been written yet."""

    night: Night
    key: str
    version: Version | None
    fresh: tuple[FittedPurchases, FittedSpend] | None
    verdict: dict[str, Any]
    champion: Version | None
    replay: bool
    known: dict[str, Any]
    rules: list[dict[str, Any]]

    def promotes(self, registry: Registry) -> bool:
        """Whether tonight's challenger takes the champion's place: once, not after a rollback."""
        if self.verdict["verdict"] != "promoted":
            return False
        if self.version is None or self.replay:
            return True
        history = registry.aliases().history
        return not any(
            change.version == self.version.name and change.action != "register"
            for change in history
        )

    def scorer(self, promoted: bool) -> Any:
        """The version that scores; tonight's models themselves where they are no version yet."""
        if not promoted:
            return self.champion
        return self.version if self.version is not None else self.fresh

    def uses_fresh(self, scorer: Any) -> bool:
        """Whether the models in memory are those that score."""
        return self.fresh is not None and (scorer is self.version or scorer is self.fresh)


def _models(version: Any) -> tuple[FittedPurchases, FittedSpend]:
    return version.purchases, version.spend


def _gate_rules(verdict: dict[str, Any]) -> list[dict[str, Any]]:
    """Those about the models: what concerns the data stands in the answer already."""
    return [rule for rule in verdict["rules"] if rule["group"] in ("quality", "champion")]


def _answer(outcome: str, code: int, reason: str, rules: list[Any]) -> dict[str, Any]:
    records = [rule.to_dict() if isinstance(rule, Rule) else rule for rule in rules]
    return {"outcome": outcome, "exit_code": code, "reason": reason, "rules": records}
