"""A model is one file and one test: here one is added, and everything knows it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TOY = Path(__file__).parent / "toy_family"

USE_IT = """
import clv, pandas as pd
orders = clv.datasets.load_cdnow()
rfm = clv.rfm_summary(clv.read_transactions(orders), observation_period_end="1998-06-30")
assert "PoissonDeathModel" in clv.__all__
fitted = clv.PoissonDeathModel().fit(rfm)
assert fitted.convergence.converged
assert list(fitted.parameters) == ["interval", "lifetime"]
forecast = clv.forecast(rfm, fitted, clv.GammaGammaModel().fit(rfm), horizon="52 weeks")
loaded = clv.load(fitted.save("saved"))
assert (loaded.probability_alive(rfm) == forecast.array("probability_alive")).all()
"""


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package and its contract, with one file and one test more."""
    root = tmp_path_factory.mktemp("with_a_toy")
    no_caches = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "src", root / "src", ignore=no_caches)
    shutil.copy(ROOT / "pyproject.toml", root)
    for name in ("contract.py", "conftest.py", "oracles", "families"):
        source, target = ROOT / "tests" / name, root / "tests" / name
        target.parent.mkdir(exist_ok=True)
        (shutil.copytree if source.is_dir() else shutil.copy)(source, target)
    shutil.copy(TOY / "poisson_death.py", root / "src/clv/families")
    shutil.copy(TOY / "published.py", root / "tests/families/test_poisson_death.py")
    return root


def run(root: Path, *arguments: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(root / "src")}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=root, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_contract_holds_it_to_everything(copy: Path) -> None:
    pytest_quietly = "-m pytest -q -p no:cacheprovider tests/families -k poisson_death"
    said = run(copy, *pytest_quietly.split())
    assert int(said.rsplit(" passed", 1)[0].split()[-1]) >= 40


def test_python_and_the_command_line_know_it(copy: Path, tmp_path: Path) -> None:
    run(copy, "-c", USE_IT)
    out = tmp_path / "forecast.csv"
    asked = "-m clv forecast dataset:cdnow --observation-period-end 1998-06-30 --no-interval"
    run(copy, *asked.split(), "--model", "poisson_death", "--output", str(out))
    assert len(out.read_text().splitlines()) == 2_358
