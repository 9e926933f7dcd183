"""The command line as a process: pipes, signals, terminals."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from clv.cli import console

CLV = (sys.executable, "-W", "error", "-m", "clv")
LAST = ("--observation-period-end", "last")
FORECAST = ("forecast", "dataset:cdnow", *LAST)


def call(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*CLV, *arguments], capture_output=True, text=True, check=False, timeout=120, **options
    )


def test_the_installed_command_is_the_module() -> None:
    installed = Path(sys.executable).with_name("clv")
    found = subprocess.run([installed, "--version"], capture_output=True, text=True, check=True)
    assert found.stdout == call("--version").stdout


def test_help_is_quick_because_it_imports_nothing_heavy() -> None:
    heavy = ["numpy", "scipy", "narwhals", "duckdb", "pandas", "pyarrow", "matplotlib", "rich"]
    code = (
        "import sys; from clv.cli import program; program(['--help'], standalone_mode=False); "
        f"print([m for m in {heavy} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("[]\n")


def test_in_a_pipe_there_is_no_progress_and_json_is_alone() -> None:
    done = call(*FORECAST, "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["forecast"]["customers"] == 2357
    assert all(line.startswith("note: ") for line in done.stderr.splitlines())
    assert "\x1b" not in done.stdout + done.stderr


def test_an_error_is_one_line_and_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "orders.csv").write_bytes(b"PAR1\x00\x01")
    done = call("forecast", str(tmp_path / "orders.csv"), *LAST)
    assert done.returncode == 3
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("clv: ")


def test_a_reader_who_leaves_is_no_error() -> None:
    process = subprocess.Popen(
        [*CLV, *FORECAST, "--no-interval"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    said = process.stderr.read()
    assert process.wait(120) == 0
    process.stderr.close()
    assert "Traceback" not in said
    assert "BrokenPipe" not in said


def test_a_terminal_that_knows_only_ascii(tmp_path: Path) -> None:
    source = tmp_path / "orders.csv"
    rows = [f"مشتری{i % 9},2024-{1 + i % 12:02d}-01,{5 + i % 4}" for i in range(90)]
    source.write_text("\n".join(["customer_id,date,amount", *rows]), encoding="utf-8")
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    done = call("quality", str(source), env=environment)
    assert done.returncode == 0, done.stderr
    done = call("forecast", str(source), *LAST, "--no-interval", "--json", env=environment)
    assert json.loads(done.stdout)["quality"]["customers"] == 9, done.stderr


# --- stopped half-way ----------------------------------------------------------------------------

HALF_WAY = """
import sys, time
from clv.cli import main, writing

def half(table, path):
    path.write_text("half of a f")
    print("half", file=sys.stderr, flush=True)
    time.sleep(60)

writing._WRITERS[".csv"] = half
main()
"""


@pytest.mark.parametrize(
    ("number", "code", "litter"),
    [(signal.SIGINT, 130, 0), (signal.SIGTERM, 143, 0), (signal.SIGKILL, -9, 1)],
    ids=["interrupted", "terminated", "killed"],
)
def test_stopped_while_writing_the_old_file_stays(
    tmp_path: Path, number: int, code: int, litter: int
) -> None:
    out = tmp_path / "forecast.csv"
    out.write_text("old")
    process = subprocess.Popen(
        [sys.executable, "-c", HALF_WAY, *FORECAST, "--no-interval", "--output", str(out)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if line == "half\n":
            break
    process.send_signal(number)
    said = process.stderr.read()
    assert process.wait(60) == code, said
    process.stderr.close()
    assert out.read_text() == "old"
    assert "Traceback" not in said
    left = [entry.name for entry in tmp_path.iterdir() if entry != out]
    assert len(left) == litter
    assert all(name.startswith(".forecast.csv.") for name in left)


# --- progress ------------------------------------------------------------------------------------


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def shown(monkeypatch: pytest.MonkeyPatch, seconds: float, *, out: io.StringIO) -> str:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(console, "_PATIENCE", 0.2)
    monkeypatch.setenv("TERM", "xterm")
    with console.working("counting [bold]sheep"):
        time.sleep(seconds)
    return terminal.getvalue()


def test_long_work_shows_progress_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "counting [bold]sheep" in shown(monkeypatch, 0.6, out=Terminal())


def test_short_work_shows_none(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "counting" not in shown(monkeypatch, 0.01, out=Terminal())


def test_a_pipe_shows_none(monkeypatch: pytest.MonkeyPatch) -> None:
    assert shown(monkeypatch, 0.4, out=io.StringIO()) == ""


def test_progress_ends_when_the_work_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setattr(sys, "stdout", Terminal())
    monkeypatch.setattr(console, "_PATIENCE", 0.0)

    def fail() -> None:
        with console.working("failing"):
            time.sleep(0.1)
            raise ValueError("as expected")

    with pytest.raises(ValueError, match="as expected"):
        fail()
