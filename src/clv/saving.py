"""Save a fitted model and load it again, years later.

A saved model is a folder::

    model.json    format version, family, parameters, names and levels of covariates, what they
                  were fitted on, and the checksum of the arrays
    arrays.npz    estimates, their covariance and the parameter draws
    posterior.nc  of Markov chains: all draws, as NetCDF
    members/      of a stack: a saved model for each of its members

Nothing is pickled and no customer is in it. The folder is written beside its final place
and renamed, so it is there whole or not at all.
"""

from __future__ import annotations

import hashlib
import io
import json
from datetime import date
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from clv import families
from clv.calibration import Calibration
from clv.errors import SavedModelError
from clv.files import folder_beside
from clv.fitted import Fitted, Stacked
from clv.inference.design import Design
from clv.inference.maximum_likelihood import Convergence
from clv.inference.posterior import Posterior
from clv.model import fitted_class

#: Format 2 also knows posteriors; whatever has none is written as ever.
FORMAT, WITH_POSTERIOR = 1, 2
_DRAWS = "posterior.nc"
_ARRAYS = ("estimates", "log_covariance", "determined", "draws")


def save(fitted: Fitted, path: str | Path) -> Path:
    """Write a model into the folder `path`, replacing a model that is there.

    Raises
    ------
    SavedModelError
        If `path` exists and is not a saved model.
    """
    target = Path(path)
    if target.exists() and not (target / "model.json").is_file():
        raise SavedModelError(f"{target} exists and is not a saved model; choose another folder")
    if isinstance(fitted, Stacked):
        return _save_stack(fitted, target)
    buffer = io.BytesIO()
    np.savez(buffer, **{name: getattr(fitted, name) for name in _ARRAYS})
    arrays = buffer.getvalue()
    record: dict[str, Any] = {
        "format": FORMAT,
        "package_version": version("predictive-clv"),
        "model": fitted.model_name,
        "form": fitted.form,
        "parameters": fitted.parameters,
        "log_likelihood": fitted.log_likelihood,
        "n_customers": fitted.n_customers,
        "time_unit": fitted.time_unit,
        "observation_period_end": _iso(fitted.observation_period_end),
        "fingerprint": fitted.fingerprint,
        "convergence": fitted.convergence._asdict(),
        "method": fitted.method,
        "notes": list(fitted.notes),
        "options": fitted.options,
        "design": None if fitted.design is None else fitted.design.to_dict(),
        "arrays_sha256": hashlib.sha256(arrays).hexdigest(),
    }
    with folder_beside(target) as scratch:
        (scratch / "arrays.npz").write_bytes(arrays)
        if fitted.posterior is not None:
            record |= {"format": WITH_POSTERIOR, "posterior": fitted.posterior.to_dict()}
            if fitted.posterior.method == "mcmc":
                from clv.inference.mcmc import archive

                archive.write(fitted.posterior, scratch / _DRAWS)
                record["draws_sha256"] = _checksum_of(scratch / _DRAWS)
        _write(record, scratch)
    return target


def _save_stack(stack: Stacked, target: Path) -> Path:
    """The members, and a record of their weights and checksums."""
    with folder_beside(target) as scratch:
        (scratch / "members").mkdir()
        places = [save(m, scratch / "members" / str(i)) for i, m in enumerate(stack.members)]
        record = {
            "format": FORMAT,
            "package_version": version("predictive-clv"),
            "model": stack.model_name,
            "form": stack.form,
            "weights": list(stack.weights),
            "members": [_record(place)["record_sha256"] for place in places],
        }
        _write(record, scratch)
    return target


def _write(record: dict[str, Any], folder: Path) -> None:
    text = json.dumps({**record, "record_sha256": _checksum(record)}, indent=2) + "\n"
    (folder / "model.json").write_text(text, encoding="utf-8")


def _record(folder: Path) -> dict[str, Any]:
    """What a folder says that it holds."""
    file = folder / "model.json"
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise SavedModelError(
            f"{folder} is not a saved model: {error.strerror}: {error.filename}"
        ) from error
    except ValueError as error:
        raise SavedModelError(f"{file} is not readable: {error}") from error
    if not isinstance(record, dict) or "format" not in record:
        raise SavedModelError(f"{file} does not describe a saved model")
    if record["format"] not in (FORMAT, WITH_POSTERIOR):
        raise SavedModelError(
            f"{folder} is in format {record['format']}, and this version reads {FORMAT} and "
            f"{WITH_POSTERIOR}; update predictive-clv"
        )
    return record


def _load_stack(folder: Path, record: dict[str, Any]) -> Stacked:
    members = [load(folder / "members" / str(i)) for i in range(len(record["members"]))]
    for place, known in enumerate(record["members"]):
        member = folder / "members" / str(place)
        if _record(member)["record_sha256"] != known:
            raise SavedModelError(_changed(member / "model.json"))
    return Stacked.of(members, record["weights"])


def load(path: str | Path) -> Any:
    """Read a model that ``Fitted.save`` has written, or the file of a calibration.

    Returns
    -------
    FittedPurchases, FittedSpend or Calibration
        Its predictions equal those of the model that was saved.

    Raises
    ------
    SavedModelError
        If the folder is not a saved model, was written by a newer format, or does not match
        its checksums.
    """
    folder = Path(path)
    if folder.is_file():
        return Calibration.load(folder)
    record = _record(folder)
    if record.pop("record_sha256", None) != _checksum(record):
        raise SavedModelError(_changed(folder / "model.json"))
    if record.get("form") == Stacked.form:
        return _load_stack(folder, record)
    try:
        arrays = (folder / "arrays.npz").read_bytes()
    except OSError as error:
        raise SavedModelError(
            f"{folder} is not a saved model: {error.strerror}: {error.filename}"
        ) from error
    if hashlib.sha256(arrays).hexdigest() != record["arrays_sha256"]:
        raise SavedModelError(_changed(folder / "arrays.npz"))
    with np.load(io.BytesIO(arrays), allow_pickle=False) as stored:
        values = {name: stored[name] for name in _ARRAYS}
    try:
        family = families.find(record["model"])
    except KeyError as error:
        raise SavedModelError(f"{folder}: {error.args[0]}") from error
    family = families.chosen(family, record["options"])
    end, design = record["observation_period_end"], record.get("design")
    form = fitted_class(family, record.get("form", ""))
    return form(
        family=form.family_of(family),
        **values,
        log_likelihood=record["log_likelihood"],
        n_customers=record["n_customers"],
        time_unit=record["time_unit"],
        observation_period_end=None if end is None else date.fromisoformat(end),
        fingerprint=record["fingerprint"],
        convergence=Convergence(**record["convergence"]),
        method=record["method"],
        notes=tuple(record["notes"]),
        options=record["options"],
        design=None if design is None else Design.from_dict(design),
        posterior=_posterior(folder, record, values["draws"]),
    )


def _posterior(folder: Path, record: dict[str, Any], draws: Any) -> Posterior | None:
    """The posterior of a model that has one; with the draws kept for predictions, if no more."""
    if record.get("posterior") is None:
        return None
    samples = draws[None]
    statistics: dict[str, Any] = {}
    if "draws_sha256" in record:
        try:
            checksum = _checksum_of(folder / _DRAWS)
        except OSError as error:
            raise SavedModelError(
                f"{folder} is not a saved model: {error.strerror}: {error.filename}"
            ) from error
        if checksum != record["draws_sha256"]:
            raise SavedModelError(_changed(folder / _DRAWS))
        if find_spec("h5netcdf") is not None:  # predictions do without
            from clv.inference.mcmc import archive

            samples, statistics = archive.read(folder / _DRAWS)
    return Posterior.from_dict(record["posterior"], samples, statistics)


def _checksum_of(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _changed(file: Path) -> str:
    return f"{file} does not match its checksum: it was changed since it was saved"


def _iso(day: date | None) -> str | None:
    return None if day is None else day.isoformat()


def _checksum(record: dict[str, Any]) -> str:
    text = json.dumps(record, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
