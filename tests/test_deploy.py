"""The files in deploy/: each is put before the program that will read it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

HOME = Path(__file__).parents[1]
DEPLOY = HOME / "deploy"


def call(*command: Any, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, check=False, **options
    )


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd on this machine")
def test_the_units_hold_under_systemd(tmp_path: Path) -> None:
    """With the path of a program that is here; nothing is to be said about the rest."""
    for unit in (DEPLOY / "systemd").iterdir():
        text = unit.read_text().replace("/opt/clv/bin/clv", "/bin/true")
        (tmp_path / unit.name).write_text(text)
    done = call("systemd-analyze", "verify", *sorted(tmp_path.iterdir()))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_container_file_has_no_lint() -> None:
    done = call(Path(sys.executable).with_name("hadolint"), DEPLOY / "Containerfile")
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


def shell_of(name: str) -> str:
    """The shell that a scheduler runs, as it is written in its file."""
    text = (DEPLOY / name).read_text()
    if name == "crontab":
        return text.strip().splitlines()[-1].split(" clv ", 1)[1]
    if name.startswith("kubernetes"):
        (found,) = re.findall(r"- (clv retrain .*)$", text, flags=re.MULTILINE)
        return str(found)
    found = re.search(r'COMMAND = """(.*?)"""', text, flags=re.DOTALL)
    assert found is not None
    return re.sub(r"\{\{.*?\}\}", "2025-01-31", found.group(1).replace("\\\\", "\\"))


@pytest.mark.parametrize(
    ("name", "mapped"),
    [
        ("airflow/clv_retrain.py", {0: 0, 1: 1, 3: 3, 4: 4, 5: 0, 75: 99}),
        ("kubernetes/cronjob.yaml", {0: 0, 1: 1, 2: 2, 3: 3, 5: 0, 75: 75}),
    ],
)
def test_exit_codes_come_to_what_they_mean(
    name: str, mapped: dict[int, int], tmp_path: Path
) -> None:
    program = tmp_path / "clv"
    for code, expected in mapped.items():
        program.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/said\nexit {code}\n')
        program.chmod(0o755)
        environment = {
            "PATH": f"{tmp_path}:/usr/bin:/bin",
            "CLV_BIN": str(program),
            "CLV_HOME": str(tmp_path),
        }
        done = call("/bin/bash", "-c", shell_of(name), env=environment)
        assert done.returncode == expected, (code, done.stderr)
        assert (tmp_path / "said").read_text().startswith("retrain /etc/clv/clv.toml")


def test_shell_is_shell() -> None:
    for name in ("crontab", "airflow/clv_retrain.py", "kubernetes/cronjob.yaml"):
        done = call("/bin/bash", "-n", "-c", shell_of(name))
        assert (done.returncode, done.stderr) == (0, "")


def test_the_dag_is_python_and_names_what_airflow_has() -> None:
    text = (DEPLOY / "airflow" / "clv_retrain.py").read_text()
    compile(text, "clv_retrain.py", "exec")
    assert "skip_on_exit_code=99" in text


PARSE = """
import sys
from airflow.dag_processing.dagbag import DagBag
bag = DagBag(sys.argv[1])
print(bag.import_errors, [task.task_id for dag in bag.dags.values() for task in dag.tasks])
"""


@pytest.mark.slow
def test_the_dag_imports_under_airflows_own_parser(tmp_path: Path) -> None:
    """In an environment of its own: Airflow pins what we do not."""
    environment = tmp_path / "environment"
    made = call(sys.executable, "-m", "venv", environment)
    assert made.returncode == 0, made.stderr
    python = environment / "bin" / "python"
    wanted = ("apache-airflow-core>=3.1,<4", "apache-airflow-providers-standard")
    installed = call(python, "-m", "pip", "install", "--quiet", *wanted)
    assert installed.returncode == 0, installed.stderr
    home = {**os.environ, "AIRFLOW_HOME": str(tmp_path), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
    done = call(python, "-c", PARSE, DEPLOY / "airflow", env=home)
    assert done.stdout.splitlines()[-1] == "{} ['retrain']", done.stdout + done.stderr


def test_every_file_is_on_the_page() -> None:
    page = (DEPLOY / "README.md").read_text()
    for path in DEPLOY.rglob("*"):
        if path.is_file() and path.name != "README.md":
            assert path.name in page or f"{path.parent.name}/" in page, path
