"""A Spark cluster on loopback: a standalone master, two workers, and a Spark Connect server."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import clv

#: Seconds until somebody is given up, on a machine that others use too.
PATIENCE = 240

ADDRESS = ("--host", "127.0.0.1", "--webui-port", "0")
REGISTERED = "Successfully registered with master"

#: Programs that live for a minute: compiling what they do thoroughly costs more than it saves.
BRIEF = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"

CONF = {
    "spark.driver.extraJavaOptions": BRIEF,
    "spark.executor.extraJavaOptions": BRIEF,
    "spark.ui.enabled": "false",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.memory": "512m",
    "spark.executor.memory": "512m",
    "spark.executor.cores": "1",
    "spark.sql.shuffle.partitions": "4",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.execution.arrow.maxRecordsPerBatch": "100",
}


@dataclass
class Cluster:
    """Processes that are stopped at the end."""

    folder: Path
    master: str = ""
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)
    others: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, name: str, *arguments: str) -> subprocess.Popen[bytes]:
        import pyspark

        home = Path(pyspark.__file__).parent
        package = str(Path(clv.__file__).parents[1])
        env = {
            **os.environ,
            "SPARK_HOME": str(home),
            "SPARK_LOCAL_IP": "127.0.0.1",
            "SPARK_NO_DAEMONIZE": "1",
            "SPARK_DAEMON_MEMORY": "512m",
            "SPARK_DAEMON_JAVA_OPTS": BRIEF,
            "PYSPARK_PYTHON": sys.executable,
            "PYTHONPATH": package,
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
        }
        with (self.folder / f"{name}.log").open("wb") as log:
            program = home / "bin" / arguments[0]
            return subprocess.Popen(
                [str(program), *arguments[1:]],
                stdout=log,
                stderr=subprocess.STDOUT,
                env=env,
                cwd=self.folder,
                start_new_session=True,
            )

    def wait(self, name: str, words: str) -> None:
        """Until a process has said something."""
        log = self.folder / f"{name}.log"
        end = time.monotonic() + PATIENCE
        while words not in log.read_text(errors="replace"):
            assert time.monotonic() < end, f"{name} did not start:\n{log.read_text()[-3000:]}"
            time.sleep(0.2)

    def add_worker(self, number: int) -> None:
        """Start a worker with one core."""
        resources = ("--cores", "1", "--memory", "768m", "--work-dir", str(self.folder))
        worker = ("spark-class", "org.apache.spark.deploy.worker.Worker")
        self.workers.append(
            self.start(f"worker{number}", *worker, *ADDRESS, *resources, self.master)
        )

    def serve_connect(self) -> str:
        """Start a Spark Connect server on the cluster."""
        port = free_port()
        conf = {**CONF, "spark.connect.grpc.binding.port": str(port), "spark.master": self.master}
        settings = [word for key, value in conf.items() for word in ("--conf", f"{key}={value}")]
        server = "org.apache.spark.sql.connect.service.SparkConnectServer"
        self.others.append(
            self.start("connect", "spark-submit", "--class", server, *settings, "spark-internal")
        )
        end = time.monotonic() + PATIENCE
        while not listens(port):
            assert time.monotonic() < end, (self.folder / "connect.log").read_text()[-3000:]
            time.sleep(0.2)
        return f"sc://127.0.0.1:{port}"


@contextmanager
def cluster(folder: Path) -> Iterator[Cluster]:
    """A master and two workers with one core each."""
    found = Cluster(folder)
    port = free_port()
    master = ("spark-class", "org.apache.spark.deploy.master.Master")
    try:
        found.others.append(found.start("master", *master, *ADDRESS, "--port", str(port)))
        found.wait("master", "I have been elected leader")
        found.master = f"spark://127.0.0.1:{port}"
        for number in range(2):
            found.add_worker(number)
        for number in range(2):
            found.wait(f"worker{number}", REGISTERED)
        yield found
    finally:
        for process in (*found.workers, *found.others):
            kill(process)


def kill(process: subprocess.Popen[bytes]) -> None:
    """A process and all that it has started."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def listens(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0
