"""Publishing versions, putting one into use, taking it back, and clearing up."""

from __future__ import annotations

import datetime as dt
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clv.errors import LockedError, RegistryError
from clv.registry.aliases import ALIASES, Aliases, Change
from clv.registry.records import checksum, read_record, storing, sync_folder, write_record
from clv.registry.version import MANIFEST, NAME, Version

_LOCK = ".lock"


@dataclass(frozen=True)
class Registry:
    """The versions of one model.

    Reading needs no lock: versions never change and aliases are replaced whole. What writes is
    called while `lock` is held.

    Parameters
    ----------
    root
        Folder of all registries, "models" by default.
    name
        Of the model, such as the shop's.
    """

    root: Path
    name: str

    @property
    def folder(self) -> Path:
        """Where everything is."""
        return self.root / self.name

    # --- reading -----------------------------------------------------------------------------

    def aliases(self) -> Aliases:
        """Which versions are in use.

        Raises
        ------
        RegistryError
            If the file was changed.
        """
        path = self.folder / "aliases.json"
        return Aliases.from_dict(read_record(path)) if path.exists() else Aliases()

    def names(self) -> list[str]:
        """Names of the versions, oldest first."""
        if not self.folder.is_dir():
            return []
        found = [path.name for path in self.folder.iterdir() if NAME.fullmatch(path.name)]
        return sorted(found, key=lambda name: int(name[1:]))

    def versions(self) -> list[Version]:
        """All versions, oldest first."""
        return [Version.read(self.folder / name) for name in self.names()]

    def version(self, name: str) -> Version:
        """A version by its name or by what it is: "champion", "challenger" or "previous".

        Raises
        ------
        RegistryError
            If there is none.
        """
        wanted = getattr(self.aliases(), name) if name in ALIASES else name
        if wanted is None:
            raise RegistryError(f"{self.folder} has no {name}")
        if wanted not in self.names():
            raise RegistryError(
                f"{self.folder} has no version {wanted!r}; it has "
                f"{', '.join(self.names()) or 'none yet'}"
            )
        return Version.read(self.folder / wanted)

    def of_key(self, key: str) -> Version | None:
        """The version that a run with this key has made, if there is one."""
        return next((v for v in reversed(self.versions()) if v.key == key), None)

    def run(self, key: str) -> dict[str, Any] | None:
        """What a finished run with this key has answered."""
        path = self._run_file(key)
        return read_record(path) if path.exists() else None

    def verify(self) -> None:
        """Check every file of the registry.

        Raises
        ------
        RegistryError
            Naming the first file that was changed, is missing or was added.
        """
        aliases = self.aliases()
        for version in self.versions():
            version.verify()
        for path in sorted((self.folder / "runs").glob("*.json")):
            read_record(path)
        if aliases.champion is not None:
            self.version("champion")

    # --- writing -----------------------------------------------------------------------------

    @contextmanager
    def lock(self, wait: float = 0.0) -> Iterator[None]:
        """Keep other writers out; what a dead one has left half done is cleared up.

        The operating system lets go of the lock when a process dies, however it dies.

        Raises
        ------
        LockedError
            If another writer is still there after `wait` seconds.
        StorageError
            If nothing can be written here.
        """
        from filelock import FileLock, Timeout

        with storing(f"the registry {self.folder}"):
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.folder / _LOCK, timeout=wait)
            try:
                lock.acquire()
            except Timeout as error:
                raise LockedError(
                    f"another run is at work on {self.folder}"
                    + (f", still after {wait:g} seconds" if wait else "; --wait waits for it")
                ) from error
        try:
            self._clear_up()
            yield
        finally:
            lock.release()

    def publish(
        self, write: Callable[[Path], None], manifest: dict[str, Any], *, reason: str
    ) -> Version:
        """Add a version: it appears whole, with a checksum of every file.

        Parameters
        ----------
        write
            Puts the files into the folder that it is given.
        manifest
            What made the version.
        reason
            For the history.
        """
        name = f"v{self._newest() + 1:06d}"
        with storing(f"the version {name} in {self.folder}"):
            scratch = Path(tempfile.mkdtemp(prefix=".new-", dir=self.folder))
            try:
                write(scratch)
                files = sorted(path for path in scratch.rglob("*") if path.is_file())
                sums = {path.relative_to(scratch).as_posix(): checksum(path) for path in files}
                record = {"format": 1, "version": name, **manifest, "files": sums}
                write_record(scratch / MANIFEST, record)
                for path in files:
                    with path.open("rb+") as written:
                        os.fsync(written.fileno())
                os.chmod(scratch, 0o755)
                os.replace(scratch, self.folder / name)
                sync_folder(self.folder)
            finally:
                shutil.rmtree(scratch, ignore_errors=True)
        version = Version.read(self.folder / name)
        self.adopt(version, reason=reason)
        return version

    def adopt(self, version: Version, *, reason: str) -> None:
        """See that the history knows a version: the run that made it may have died just then."""
        if version.name not in {change.version for change in self.aliases().history}:
            self._record("register", version, self.aliases().champion, "gate", reason)

    def promote(self, version: Version, *, by: str, reason: str) -> None:
        """Put a version into use.

        Raises
        ------
        RegistryError
            If it is in use already, or was tampered with.
        """
        if self.aliases().champion == version.name:
            raise RegistryError(f"{version.name} is the champion already")
        version.verify()
        self._record("promote", version, version.name, by, reason)

    def rollback(self, *, reason: str) -> Version:
        """Put the version before the champion back into use.

        Returns
        -------
        Version
            Which is in use now.

        Raises
        ------
        RegistryError
            If there is none before it, or it is gone.
        """
        aliases = self.aliases()
        if aliases.champion is None or aliases.previous is None:
            raise RegistryError(f"{self.folder} has no version before the champion to go back to")
        back = self.version(aliases.previous).verify()
        out = aliases.champion
        as_of = Version.read(self.folder / out).as_of if out in self.names() else back.as_of
        self._append(Change("rollback", out, back.name, as_of.isoformat(), _now(), "user", reason))
        return back

    def record_run(self, key: str, answer: dict[str, Any]) -> None:
        """Keep what a finished run has answered, to be given again for the same key."""
        with storing(f"the answer of the run in {self.folder}"):
            self._run_file(key).parent.mkdir(exist_ok=True)
            write_record(self._run_file(key), answer)

    def prune(self, keep: int) -> list[str]:
        """Remove versions, oldest first, until `keep` are left; champion and previous stay.

        Returns
        -------
        list of str
            Names of those that went.
        """
        aliases = self.aliases()
        kept = {aliases.champion, aliases.previous, aliases.challenger}
        spare = [name for name in self.names() if name not in kept]
        gone = spare[: max(0, len(self.names()) - keep)]
        with storing(f"the registry {self.folder}"):
            for name in gone:
                key = _key_of(self.folder / name)
                trash = self.folder / f".gone-{name}"
                os.replace(self.folder / name, trash)
                shutil.rmtree(trash)
                if key is not None:
                    self._run_file(key).unlink(missing_ok=True)
            sync_folder(self.folder)
        return gone

    # --- parts -------------------------------------------------------------------------------

    def _run_file(self, key: str) -> Path:
        return self.folder / "runs" / f"{key[:32]}.json"

    def _newest(self) -> int:
        """The highest number ever given: a number is not used twice."""
        known = [change.version for change in self.aliases().history]
        return max((int(name[1:]) for name in (*known, *self.names())), default=0)

    def _record(
        self, action: Any, version: Version, champion: str | None, by: str, reason: str
    ) -> None:
        as_of = version.as_of.isoformat()
        self._append(Change(action, version.name, champion, as_of, _now(), by, reason))

    def _append(self, change: Change) -> None:
        with storing(f"{self.folder / 'aliases.json'}"):
            write_record(self.folder / "aliases.json", self.aliases().with_change(change).to_dict())

    def _clear_up(self) -> None:
        """Remove what a run that died has left: only its scratch has a name with a dot."""
        places = (self.folder, self.folder / "runs")
        with storing(f"the registry {self.folder}"):
            for place in places:
                for path in place.glob(".*") if place.is_dir() else ():
                    if path.name != _LOCK:
                        shutil.rmtree(path) if path.is_dir() else path.unlink()


def _key_of(folder: Path) -> str | None:
    try:
        return Version.read(folder).key
    except RegistryError:
        return None


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
