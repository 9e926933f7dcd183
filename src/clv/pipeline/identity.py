"""What a run is known by: the same configuration, data, day and code make the same run."""

from __future__ import annotations

import hashlib
import json
import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import clv
from clv.pipeline.configuration import Configuration

_LIBRARIES = ("numpy", "scipy", "duckdb", "narwhals", "pyarrow", "pandas", "pymc", "nutpie")


def run_key(configuration: Configuration, fingerprint: str, as_of: str) -> str:
    """Hash of all that decides what a run comes to; where it works and whom it tells do not."""
    record = configuration.to_dict()
    del record["notice"], record["engine"]
    return _hash([record, fingerprint, as_of, code_version()])


def configuration_hash(configuration: Configuration) -> str:
    """Of the configuration alone."""
    return _hash(configuration.to_dict())


@cache
def code_version() -> str:
    """Version of the package, and a hash of its source: a changed line is another version."""
    home = Path(clv.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(home.rglob("*.py")):
        digest.update(path.relative_to(home).as_posix().encode() + b"\0" + path.read_bytes())
    return f"{version('predictive-clv')}+{digest.hexdigest()[:12]}"


def library_versions() -> dict[str, str]:
    """Versions of what the numbers come from."""
    found = {"python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
