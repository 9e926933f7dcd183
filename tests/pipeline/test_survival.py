"""What remains when a run is killed, when the disk is full or read-only, and when several run."""

from __future__ import annotations

import errno
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa
from nightly_shop import Change, orders
from pipeline.conftest import NEXT, TOML, Shop

from clv import databases
from clv.errors import LockedError
from clv.registry import Registry

BEFORE, NIGHT = "2024-10-31", "2025-01-31"
SINK = '\n[[outputs.databases]]\nurl = "sqlite:///scores.db"\ntable = "customer scores"\n'


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shop whose next night will change the champion, the files and the database."""
    folder = tmp_path_factory.mktemp("pristine")
    shop = Shop(folder)
    shop.write(orders(300, Change(rate=3.0), seed=3), TOML + SINK)
    assert shop.night(BEFORE).outcome == "promoted"
    return folder


class Runner:
    """Starts nights in children that are killed."""

    def __init__(self) -> None:
        script = Path(__file__).with_name("kill_runs.py")
        self.process = subprocess.Popen(
            [sys.executable, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __call__(
        self, folder: Path, seconds: float | None = None, operation: int | None = None
    ) -> tuple[float, int]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        line = json.dumps([str(folder), seconds, operation, NIGHT])
        print(line, file=self.process.stdin, flush=True)
        took, status = json.loads(self.process.stdout.readline())
        return took, status

    def close(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(60)
        self.process.stdout.close()


@pytest.fixture(scope="module")
def runner() -> Iterator[Runner]:
    found = Runner()
    yield found
    found.close()


def copied(pristine: Path, folder: Path) -> Shop:
    shutil.copytree(pristine, folder, symlinks=True)
    return Shop(folder)


def check(shop: Shop, *, over: bool = False) -> str:
    """Everything that must hold at any moment; the champion."""
    registry = Registry(shop.folder / "models", "shop")
    registry.verify()
    champion = registry.aliases().champion
    assert champion in ("v000001", "v000002")
    assert registry.version("champion").purchases.parameters
    current = shop.folder / "output" / "current"
    parquet = pq.read_table(current / "forecast.parquet")
    csv = pd.read_csv(current / "forecast.csv")
    runs = set(parquet["run"].to_pylist())
    assert runs == set(csv["run"]) == {current.readlink().name}
    assert len(csv) == parquet.num_rows
    rows = database(shop)
    assert {day: len(found) for day, found in rows.items()} == dict.fromkeys(rows, 1), rows
    assert set(rows) in ({BEFORE}, {BEFORE, NIGHT})
    if over:
        assert champion == "v000002"
        assert set(rows) == {BEFORE, NIGHT}
        assert runs == rows[NIGHT]
        hidden = [name for name in shop.tree() if "/." in f"/{name}"]
        assert hidden == ["models/shop/.lock"], "litter"
    return champion


def database(shop: Shop) -> dict[str, set[str]]:
    """The runs that the rows of each day are of."""
    found: dict[str, set[str]] = {}
    query = 'SELECT DISTINCT as_of, run FROM "customer scores"'
    with databases.read_rows(f"sqlite:///{shop.folder}/scores.db", query=query) as rows:
        for batch in rows.batches:
            for day, run in batch:
                found.setdefault(str(day), set()).add(run)
    return found


def survive(
    pristine: Path, tmp_path: Path, runner: Runner, kills: list[tuple[float | None, int | None]]
) -> int:
    """Kill a run at each of these moments; how many were hit."""
    hit = 0
    for number, (seconds, operation) in enumerate(kills):
        shop = copied(pristine, tmp_path / str(number))
        _, status = runner(shop.folder, seconds, operation)
        hit += os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        check(shop)
        _, status = runner(shop.folder, operation=0)
        assert os.waitstatus_to_exitcode(status) == 0, "the rerun does not complete"
        check(shop, over=True)
        shutil.rmtree(shop.folder)
    return hit


def test_a_run_that_is_killed_at_an_operation_on_the_disk(
    pristine: Path, tmp_path: Path, runner: Runner
) -> None:
    shop = copied(pristine, tmp_path / "whole")
    operations, status = runner(shop.folder, operation=0)
    assert os.waitstatus_to_exitcode(status) == 0
    check(shop, over=True)
    assert operations > 20
    moments = random.Random(6).sample(range(1, int(operations) + 1), 4)
    assert survive(pristine, tmp_path, runner, [(None, n) for n in moments]) == 4


@pytest.mark.slow
def test_a_run_that_is_killed_at_every_operation_on_the_disk(
    pristine: Path, tmp_path: Path, runner: Runner
) -> None:
    shop = copied(pristine, tmp_path / "whole")
    operations = int(runner(shop.folder, operation=0)[0])
    kills = [(None, n) for n in range(1, operations + 1)]
    assert survive(pristine, tmp_path, runner, kills) == operations


@pytest.mark.parametrize("kills", [2, pytest.param(60, marks=pytest.mark.slow)])
def test_a_run_that_is_killed_at_random_moments(
    pristine: Path, tmp_path: Path, runner: Runner, kills: int
) -> None:
    shop = copied(pristine, tmp_path / "whole")
    took, _ = runner(shop.folder)
    rng = random.Random(20260101)
    moments = [(rng.uniform(0.0, took), None) for _ in range(kills)]
    # a machine that has become quicker ends some runs first; those say nothing, and do no harm
    assert survive(pristine, tmp_path, runner, moments) >= kills // 10


# --- a disk that is full or read-only ------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "operation"),
    [
        (errno.EROFS, "tempfile.mkdtemp"),
        (errno.ENOSPC, "os.replace"),
        (errno.ENOSPC, "os.fsync"),
        (errno.EROFS, "tempfile.mkstemp"),
    ],
)
def test_a_full_or_read_only_disk_leaves_the_champion(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, code: int, operation: str
) -> None:
    before = shop.tree()
    module, name = operation.split(".")
    target = {"os": os, "tempfile": tempfile}[module]
    original = getattr(target, name)

    def fail(*arguments: Any, **options: Any) -> Any:
        ours = options.get("dir") or (arguments and arguments[0])
        if isinstance(ours, int) or str(shop.folder) in str(ours):
            raise OSError(code, os.strerror(code))
        return original(*arguments, **options)

    monkeypatch.setattr(target, name, fail)
    answer = shop.night(NEXT)
    monkeypatch.undo()
    assert (answer.outcome, answer.exit_code) == ("failed", 1)
    assert os.strerror(code) in answer.record["reason"]
    assert "\n" not in answer.record["reason"]
    assert answer.record["champion"] == "v000001"
    after = shop.tree()
    assert {name: after[name] for name in before} == before
    Registry(shop.folder / "models", "shop").verify()


def test_outputs_that_cannot_be_written_leave_the_champion(
    pristine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = copied(pristine, tmp_path / "shop")

    def fail(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setitem(__import__("clv.files").files.WRITERS, ".csv", fail)
    answer = shop.night(NIGHT)
    assert answer.exit_code == 1
    assert "No space left" in answer.record["reason"]
    assert check(shop) == "v000001"
    monkeypatch.undo()
    assert shop.night(NIGHT).outcome == "promoted"
    check(shop, over=True)


def test_a_table_that_does_not_take_the_rows_leaves_the_champion(
    pristine: Path, tmp_path: Path
) -> None:
    shop = copied(pristine, tmp_path / "shop")
    url = f"sqlite:///{shop.folder}/scores.db"
    with databases.open_database(url, write=True) as engine, engine.begin() as connection:
        connection.exec_driver_sql('ALTER TABLE "customer scores" DROP COLUMN residual_value')
    answer = shop.night(NIGHT)
    assert answer.exit_code == 1
    assert "residual_value" in answer.record["reason"]
    assert check(shop) == "v000001"


# --- several at once -----------------------------------------------------------------------------


def start(shop: Shop, *options: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "clv", "retrain", str(shop.file), "--as-of", NEXT.isoformat()]
    return subprocess.Popen(
        [*command, "--log", "none", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
def test_eight_at_once_and_one_works(shop: Shop) -> None:
    processes = [start(shop) for _ in range(8)]
    answers = [json.loads(process.communicate(timeout=300)[0]) for process in processes]
    codes = sorted(process.returncode for process in processes)
    # who comes when the first has ended finds its answer
    worked = [a for a in answers if a["exit_code"] == 0]
    assert len([a for a in worked if a["refitted"]]) == 1
    assert codes.count(0) + codes.count(75) == 8
    assert 75 in codes


def test_a_run_that_finds_the_lock_held(shop: Shop) -> None:
    registry = Registry(shop.folder / "models", "shop")
    before = shop.tree()
    with registry.lock():
        started = time.monotonic()
        answer = shop.night(NEXT)
        assert (answer.outcome, answer.exit_code) == ("locked", 75)
        with pytest.raises(LockedError, match=r"still after 0\.1 seconds"):
            Registry(registry.root, "shop").lock(0.1).__enter__()
        assert time.monotonic() - started < 30
    assert shop.tree() == before


@pytest.mark.parametrize("wait", ["0", pytest.param("60", marks=pytest.mark.slow)])
def test_others_give_up_at_once_or_wait_when_told_to(shop: Shop, wait: str) -> None:
    with Registry(shop.folder / "models", "shop").lock():
        other = start(shop, "--wait", wait)
        if wait == "0":
            assert json.loads(other.communicate(timeout=60)[0])["outcome"] == "locked"
            assert other.returncode == 75
            return
        with pytest.raises(subprocess.TimeoutExpired):
            other.wait(4)
    answer = json.loads(other.communicate(timeout=120)[0])
    assert (answer["exit_code"], other.returncode) == (0, 0)


def test_a_lock_of_a_process_that_died_is_no_lock(shop: Shop) -> None:
    code = (
        "import os, sys; from pathlib import Path; from clv.registry import Registry; "
        "lock = Registry(Path(sys.argv[1]), 'shop').lock(); lock.__enter__(); "
        "print('held', flush=True); os.kill(os.getpid(), 9)"
    )
    folder = str(shop.folder / "models")
    done = subprocess.run([sys.executable, "-c", code, folder], capture_output=True, check=False)
    assert (done.stdout, done.returncode) == (b"held\n", -signal.SIGKILL)
    with Registry(shop.folder / "models", "shop").lock():
        pass


# --- a real PostgreSQL server as source and sink -------------------------------------------------


@pytest.fixture
def on_postgres(postgres: str, fresh: Shop, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    import pyarrow as pa

    table = fresh.orders()
    table.insert(0, "line no", range(len(table)))
    databases.upsert(
        postgres,
        pa.Table.from_pandas(table, preserve_index=False),
        table='the "orders"',
        key=["line no"],
    )
    monkeypatch.setenv("CLV_DATABASE_URL", postgres)
    fresh.configure('path = "orders.csv"', 'url = "${CLV_DATABASE_URL}"\ntable = \'the "orders"\'')
    fresh.file.write_text(
        fresh.file.read_text() + '\n[[outputs.databases]]\nurl = "${CLV_DATABASE_URL}"\n'
        'table = "night; scores"\n'
    )
    yield fresh
    with databases.open_database(postgres, write=True) as engine, engine.begin() as connection:
        connection.exec_driver_sql('DROP TABLE IF EXISTS "the ""orders""", "night; scores"')


def scores(url: str) -> list[Any]:
    with databases.read_rows(url, table="night; scores") as found:
        return sorted((tuple(row) for batch in found.batches for row in batch), key=str)


def test_postgresql_as_source_and_sink(on_postgres: Shop, postgres: str) -> None:
    answer = on_postgres.night("2024-10-31")
    assert answer.exit_code == 0, answer
    once = scores(postgres)
    assert len(once) == answer.record["forecast"]["customers"]
    assert answer.record["databases"][0]["url"] == "${CLV_DATABASE_URL}"
    (on_postgres.folder / "output" / "current").unlink()
    assert not on_postgres.night("2024-10-31").record["refitted"]
    assert scores(postgres) == once
    assert on_postgres.night("2024-11-30", dry_run=True).exit_code == 0
    assert scores(postgres) == once
    everything = "".join(
        path.read_text(errors="replace") for path in on_postgres.folder.rglob("*.json")
    )
    assert postgres not in everything


def test_a_user_who_may_only_read_the_sink(
    on_postgres: Shop, postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with databases.open_database(postgres, write=True) as engine, engine.begin() as connection:
        connection.execute(
            sa.text("DROP ROLE IF EXISTS night_reader; CREATE ROLE night_reader LOGIN")
        )
        connection.exec_driver_sql('GRANT SELECT ON "the ""orders""" TO night_reader')
    try:
        reader = postgres.replace("postgres:@", "night_reader:@")
        monkeypatch.setenv("CLV_DATABASE_URL", reader)
        answer = on_postgres.night("2024-10-31")
        assert answer.exit_code == 1
        assert "permission denied" in answer.record["reason"]
        assert answer.record["champion"] is None
    finally:
        with databases.open_database(postgres, write=True) as engine, engine.begin() as connection:
            connection.exec_driver_sql("DROP OWNED BY night_reader; DROP ROLE night_reader")
