"""Fit a version again from the data, and see whether it comes out the same."""

from __future__ import annotations

from typing import Any

import numpy as np

from clv.pipeline.candidates import Specification
from clv.pipeline.configuration import Configuration
from clv.pipeline.data import Night, read
from clv.pipeline.identity import code_version, library_versions
from clv.registry import Version

#: Parameters that differ by no more than this, relatively, are the same.
TOLERANCE = 1e-6


def reproduce(version: Version, configuration: Configuration) -> dict[str, Any]:
    """Refit a version as its manifest says, on the source as it is today, and compare.

    Parameters
    ----------
    version
        From a registry.
    configuration
        Says where the source is; all else is the version's own.

    Returns
    -------
    dict
        ``reproduced``; both sets of parameters and their largest relative difference; whether the
        data, the code and the libraries are the same.
    """
    version.verify()
    manifest = version.manifest
    specification = Specification(**version.specification)
    holdout = manifest["configuration"]["gate"]["holdout"]
    transactions = read(configuration, version.as_of)
    night = Night(transactions, version.as_of, specification.time_unit, holdout)
    again = (specification.fit_purchases(night.full), specification.fit_spend(night.full))
    parameters = {}
    largest = 0.0
    for kind, fitted, kept in zip(
        ("purchases", "spend"), again, (version.purchases, version.spend), strict=True
    ):
        then, now = kept.parameters, fitted.parameters
        parameters[kind] = {name: {"then": then[name], "now": now[name]} for name in then}
        a, b = (np.array(list(values.values())) for values in (then, now))
        gaps = np.abs(a - b) / np.maximum(np.abs(a), 1e-300)
        largest = max(largest, float(np.max(np.where(a == b, 0.0, gaps), initial=0.0)))
    libraries = library_versions()
    kept_libraries = manifest["libraries"]
    return {
        "command": "models reproduce",
        "version": version.name,
        "as_of": manifest["as_of"],
        "reproduced": largest <= TOLERANCE,
        "largest_difference": largest,
        "same_data": night.fingerprint == version.data_fingerprint,
        "same_code": code_version() == manifest["code"],
        "other_libraries": {
            name: {"then": kept_libraries.get(name), "now": libraries.get(name)}
            for name in sorted({*libraries, *kept_libraries})
            if libraries.get(name) != kept_libraries.get(name)
        },
        "parameters": parameters,
    }
