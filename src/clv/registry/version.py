"""One trained version: what made it, how it was judged, and the models themselves."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from clv.errors import RegistryError
from clv.registry.records import changed, checksum, read_record

NAME = re.compile(r"v\d{6,}")

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Version:
    """A version in a registry; nothing of it is read before it is asked for.

    Attributes
    ----------
    name
        Such as "v000012".
    folder
        Where it is.
    manifest
        What made it: data, configuration, code, seed, libraries; and the checksum of every file.
    """

    name: str
    folder: Path
    manifest: dict[str, Any]

    @classmethod
    def read(cls, folder: Path) -> Version:
        """Read the manifest of a version.

        Raises
        ------
        RegistryError
            If it was changed, or written in a format that this version does not know.
        """
        manifest = read_record(folder / MANIFEST)
        if manifest.get("format") != 1:
            raise RegistryError(
                f"{folder} is in format {manifest.get('format')!r} and this version reads 1; "
                "update predictive-clv"
            )
        return cls(folder.name, folder, manifest)

    def verify(self) -> Version:
        """See that every file is what was saved, and that there is no other.

        Raises
        ------
        RegistryError
            If a file was changed, is missing, or was added; the first one is named.
        """
        expected = self.manifest["files"]
        there = {
            path.relative_to(self.folder).as_posix(): path
            for path in sorted(self.folder.rglob("*"))
            if path.is_file() and path.name != MANIFEST
        }
        for name, known in expected.items():
            if name not in there:
                raise RegistryError(f"{self.folder / name} is missing")
            if checksum(there[name]) != known:
                raise changed(there[name])
        added = [path for name, path in there.items() if name not in expected]
        if added:
            raise RegistryError(f"{added[0]} does not belong to {self.name}: it was added later")
        return self

    @property
    def as_of(self) -> date:
        """Day up to which it knows customers."""
        return date.fromisoformat(self.manifest["as_of"])

    @property
    def key(self) -> str:
        """Of the run that made it."""
        return str(self.manifest["key"])

    @property
    def data_fingerprint(self) -> str:
        """Of what customers had bought by then, whatever the day."""
        return str(self.manifest["data"]["fingerprint"])

    @property
    def specification(self) -> dict[str, Any]:
        """Which models, and how they are fitted."""
        return dict(self.manifest["specification"])

    @property
    def metrics(self) -> dict[str, Any]:
        """How it was judged."""
        return self._record("metrics.json")

    @property
    def profile(self) -> dict[str, Any]:
        """What its data looked like."""
        return self._record("profile.json")

    @property
    def purchases(self) -> Any:
        """The purchase model."""
        return self._model("purchases")

    @property
    def spend(self) -> Any:
        """The spend model."""
        return self._model("spend")

    def _record(self, name: str) -> dict[str, Any]:
        return read_record(self.folder / name)

    def _model(self, name: str) -> Any:
        from clv.saving import load

        self.verify()
        return load(self.folder / name)
