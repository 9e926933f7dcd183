"""The night's forecast, where others look for it: all files of one run, or all of another.

::

    output/
        current -> runs/2025-06-30-1a2b3c4d5e6f-v000012   replaced by one rename
        runs/2025-06-30-1a2b3c4d5e6f-v000012/
            forecast.parquet, forecast.csv ...

Readers open ``output/current/forecast.parquet``. Every row says its day, its run and the version
that made it. Of a database, all rows of a day are replaced in one transaction.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clv.databases import can_write, upsert
from clv.files import in_parts, write_table
from clv.forecast import Forecast
from clv.pipeline.configuration import Configuration, DatabaseSink
from clv.pipeline.data import resolved_url
from clv.pipeline.secrets import expand
from clv.registry.records import storing, sync_folder
from clv.tables.large import Large

if TYPE_CHECKING:
    import pyarrow as pa

#: What tells rows of a database apart.
KEY = ("customer_id", "as_of")

_CURRENT = "current"


@dataclass(frozen=True)
class Outputs:
    """Where the outputs of a configuration are.

    Attributes
    ----------
    folder
        Of the files.
    name
        Of the model: scratch carries it, so that two models may share a folder's disk.
    """

    folder: Path
    name: str

    @property
    def current(self) -> str | None:
        """Which run the files that others read are of."""
        link = self.folder / _CURRENT
        return Path(os.readlink(link)).name if link.is_symlink() else None

    def holds(self, run: str) -> bool:
        """Whether the files of a run are there."""
        return (self.folder / "runs" / run).is_dir()

    def clear_up(self) -> None:
        """Remove what a run that died has left."""
        for place in (self.folder, self.folder / "runs"):
            for path in place.glob(f".{self.name}.*") if place.is_dir() else ():
                if path.is_symlink() or path.is_file():
                    path.unlink()
                else:
                    shutil.rmtree(path)

    def stage(self, run: str, table: NightTable, names: tuple[str, ...]) -> list[Path]:
        """Write all files of a run, where nobody looks yet.

        Raises
        ------
        StorageError
            If one cannot be written; none is there then.
        """
        runs = self.folder / "runs"
        with storing(f"the outputs in {self.folder}"):
            runs.mkdir(parents=True, exist_ok=True)
            scratch = Path(tempfile.mkdtemp(prefix=f".{self.name}.", dir=runs))
            try:
                for name in names:
                    write_table(table, scratch / name)
                os.chmod(scratch, 0o755)
                target = runs / run
                if target.exists():  # the same rows: the run's name says all that they depend on
                    shutil.rmtree(target)
                os.replace(scratch, target)
                sync_folder(runs)
            finally:
                shutil.rmtree(scratch, ignore_errors=True)
        return [target / name for name in names]

    def show(self, run: str, keep: int) -> list[Path]:
        """Let everybody see the files of a run, and remove those of the oldest runs."""
        with storing(f"the outputs in {self.folder}"):
            scratch = self.folder / f".{self.name}.{_CURRENT}"
            scratch.unlink(missing_ok=True)
            scratch.symlink_to(Path("runs") / run)
            os.replace(scratch, self.folder / _CURRENT)
            sync_folder(self.folder)
            runs = sorted(
                (path for path in (self.folder / "runs").iterdir() if path.name[0] != "."),
                key=lambda path: path.stat().st_mtime_ns,
            )
            for path in [path for path in runs if path.name != run][: max(0, len(runs) - keep)]:
                shutil.rmtree(path)
        return sorted((self.folder / _CURRENT).iterdir())


@dataclass(frozen=True)
class NightTable:
    """The forecast with its day, its run and the version that made it in front.

    It is made in parts where the forecast is not in memory; see `clv.files.write_table`.
    """

    forecast: Forecast
    as_of: date
    run: str
    version: str

    in_memory = False

    @property
    def schema(self) -> pa.Schema:
        """Names and types of the columns."""
        forecast = self.forecast
        some = forecast.place.head(1) if isinstance(forecast, Large) else forecast.to_arrow()
        return self._marked(some).schema

    def tables(self) -> Iterator[pa.Table]:
        """All rows, in parts."""
        return map(self._marked, in_parts(self.forecast))

    def to_arrow(self) -> pa.Table:
        """All rows at once."""
        import pyarrow as pa

        return pa.concat_tables(self.tables())

    def _marked(self, table: pa.Table) -> pa.Table:
        import pyarrow as pa

        n = table.num_rows
        about: dict[str, Any] = {
            "as_of": pa.repeat(pa.scalar(self.as_of, pa.date32()), n),
            "run": pa.repeat(pa.scalar(self.run, pa.string()), n),
            "model_version": pa.repeat(pa.scalar(self.version, pa.string()), n),
        }
        for place, (name, column) in enumerate(about.items(), start=1):
            table = table.add_column(place, name, column)
        return table


def check_databases(configuration: Configuration, table: NightTable) -> None:
    """See that tables that are there would take the rows, before anything is written.

    Raises
    ------
    StorageError
        If one would not.
    """
    for sink in configuration.outputs.databases:
        can_write(_url(sink, configuration), table.schema, **_place(sink))


def write_databases(configuration: Configuration, table: NightTable, as_of: date) -> list[Any]:
    """Upsert the rows into every table, each in one transaction.

    Raises
    ------
    StorageError
        If one cannot be written; it is as it was.
    """
    sinks, written = configuration.outputs.databases, []
    rows = table.to_arrow() if sinks else None
    for sink in sinks:
        done = upsert(
            _url(sink, configuration), rows, whole={"as_of": as_of}, mark="run", **_place(sink)
        )
        written.append({"url": sink.url, "table": sink.table, **done._asdict()})
    return written


def _place(sink: DatabaseSink) -> dict[str, Any]:
    return {"table": sink.table, "schema": sink.schema_name, "key": KEY}


def _url(sink: DatabaseSink, configuration: Configuration) -> str:
    return resolved_url(expand(sink.url), configuration)
