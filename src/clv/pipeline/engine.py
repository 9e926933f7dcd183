"""The Spark cluster that a night may be told to work in."""

from __future__ import annotations

import socket
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import narwhals as nw

from clv.errors import ConfigurationError, EngineError, UnreadableFileError
from clv.pipeline.configuration import Configuration, EngineSection
from clv.pipeline.secrets import expand
from clv.tables.transactions import Transactions, read_transactions

#: Seconds in which somebody who is there answers.
PATIENCE = 10.0

#: Where masters and Spark Connect servers listen unless the address says it.
_PORTS = {"spark": 7077, "sc": 15002}


_OPTIONS = {
    "spark.sql.session.timeZone": "UTC",  # as everywhere here
    "spark.ui.showConsoleProgress": "false",  # among the lines of the log
}


class Session:
    """A Spark session; one that was started here ends when nobody holds this object any more."""

    def __init__(self, spark: Any, *, is_ours: bool) -> None:
        self.spark = spark
        if is_ours:
            weakref.finalize(self, _stop, spark)


def read_in_spark(configuration: Configuration, columns: dict[str, Any]) -> Transactions:
    """Transactions whose rows stay in the cluster.

    Raises
    ------
    ConfigurationError
        If PySpark is not installed.
    EngineError
        If there is no cluster at the address, or it cannot be used.
    DataError
        If the source cannot be read, or no row of it can be used.
    """
    assert configuration.source.path is not None
    path = expand(configuration.source.path)
    if "://" not in path and not Path(path).is_absolute():
        path = f"file://{configuration.path(path).absolute()}"
    session = start(configuration.engine)
    with _readable(path):
        frame = session.spark.read.parquet(path)
    found = read_transactions(frame, **columns)
    lines = found.lines.to_native().persist()  # a night asks for them a dozen times
    return replace(found, lines=nw.from_native(lines), keep_alive=session, source=path)


def start(engine: EngineSection) -> Session:
    """A session in the cluster that the configuration names; one that is there already is used.

    Raises
    ------
    ConfigurationError
        If PySpark is not installed.
    EngineError
        If nobody answers there, or Spark cannot be started.
    """
    try:
        from pyspark.sql import SparkSession
    except ImportError as error:
        raise ConfigurationError(
            '[engine] kind = "spark" needs PySpark, which is not installed here; run: '
            'pip install "predictive-clv[spark]"'
        ) from error
    there = SparkSession.getActiveSession()
    if there is not None:
        return Session(there, is_ours=False)
    address = expand(engine.master or engine.remote or "")
    _check_answers(address)
    builder = SparkSession.builder
    for name, value in {**_OPTIONS, **engine.options}.items():
        builder = builder.config(name, expand(value))
    builder = builder.remote(address) if engine.remote else builder.master(address)
    try:
        return Session(builder.appName("clv").getOrCreate(), is_ours=True)
    except Exception as error:  # of Spark, of the network, of Java: one message for all
        raise EngineError(
            f"Spark cannot be used at {_named(address)}: {_first_line(error)}. It needs Java 17 or "
            "newer here, and this version of PySpark there"
        ) from error


def _check_answers(address: str) -> None:
    """See that somebody listens: Spark itself would take a minute and a page to say no."""
    kind, _, rest = address.partition("://")
    if kind not in _PORTS:
        return
    for place in rest.partition("/")[0].split(","):
        host, _, port = place.rpartition(":") if ":" in place else (place, "", "")
        with suppress(OSError, ValueError):
            number = int(port) if port else _PORTS[kind]
            socket.create_connection((host.strip("[]"), number), PATIENCE).close()
            return
    raise EngineError(
        f"nobody answers at {_named(address)}; see that the cluster is running and that its "
        "address in [engine] is right"
    )


def _named(address: str) -> str:
    """The address without what may follow it, which may be a token."""
    kind, separator, rest = address.partition("://")
    return kind + separator + rest.partition("/")[0] if separator else address


@contextmanager
def _readable(path: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # classic sessions and Spark Connect have errors of their own
        raise UnreadableFileError(
            f"Spark cannot read {path!r} as Parquet: {_first_line(error)}"
        ) from error


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]


def _stop(spark: Any) -> None:
    with suppress(Exception):  # it may have ended already
        spark.stop()
