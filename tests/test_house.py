"""Promises about the package as a whole: what importing costs, what it shows and installs."""

from __future__ import annotations

import doctest
import re
import subprocess
import sys
import tomllib
import types
from pathlib import Path

import pytest

HOME = Path(__file__).parents[1]
LOCKS = sorted((HOME / "requirements").glob("*.txt"))
PAGES = [HOME / "README.md", HOME / "CONTRIBUTING.md", *sorted((HOME / "docs").rglob("*.md"))]


def run(code: str) -> str:
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=HOME)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


# --- importing -------------------------------------------------------------------------------

HEAVY = [
    "arviz", "duckdb", "matplotlib", "nutpie", "pandas", "polars", "pyarrow", "pymc", "pyspark",
    "pytensor", "rich", "scipy.optimize", "scipy.stats", "xarray",
]  # fmt: skip


def test_importing_clv_pulls_in_nothing_heavy() -> None:
    found = run(f"import sys, clv; print(*[m for m in {HEAVY} if m in sys.modules])")
    assert found == "", f"import these where they are used: {found}"


def test_no_public_name_pulls_in_pymc_or_matplotlib() -> None:
    """Names are fetched when first used; fetching them all must still be cheap."""
    code = "import sys, clv; [getattr(clv, name) for name in dir(clv)]"
    found = run(f"{code}; print(*{{'pymc', 'matplotlib', 'pandas.plotting'}} & set(sys.modules))")
    assert found == ""


def test_importing_clv_is_quick() -> None:
    code = "from time import perf_counter as t; a = t(); import clv; print(t() - a)"
    assert min(float(run(code)) for _ in range(5)) < 0.6


def test_imports_point_one_way() -> None:
    lint = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run(
        [lint, "--no-logo", "--no-cache"], capture_output=True, text=True, check=False, cwd=HOME
    )
    assert done.returncode == 0, done.stdout + done.stderr


# --- public names ----------------------------------------------------------------------------


def test_public_names_are_few_and_explained() -> None:
    import clv

    names = clv.__all__
    assert len(names) == len(set(names)) <= 40
    visible = {
        name
        for name in dir(clv)
        if not name.startswith("_") and not isinstance(getattr(clv, name), types.ModuleType)
    }
    assert visible - {"annotations"} <= set(names), "public by accident"
    for name in names:
        assert getattr(clv, name).__doc__, f"clv.{name} has no docstring"


def test_public_names_do_not_depend_on_what_was_imported_before() -> None:
    """`clv.forecast` is a function, also for someone who has imported the module of that name."""
    code = """
import importlib, pkgutil, clv
for module in pkgutil.iter_modules(clv.__path__, "clv."):
    if module.name not in {"clv.cli", "clv.__main__"}:
        importlib.import_module(module.name)
print(*[name for name in clv.__all__ if type(getattr(clv, name)).__name__ == "module"])
"""
    modules = set(run(code).split())
    assert modules == set(run(code.replace("importlib.import_module(module.name)", "pass")).split())


# --- what is installed -----------------------------------------------------------------------


def pins(lock: Path) -> dict[str, str]:
    """Return the lock's requirements by name, each with its hashes."""
    text = re.sub(r"\\\n\s+", " ", lock.read_text())
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return {re.split(r"[=@ ]", line)[0]: line for line in lines}


def names_of(requirements: list[str]) -> set[str]:
    names = {re.split(r"[^A-Za-z0-9_.-]", text)[0] for text in requirements}
    return {re.sub(r"[-_.]+", "-", name).lower() for name in names}


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_locks_name_no_place_and_hash_everything(lock: Path) -> None:
    text = lock.read_text()
    assert "/" not in text, "a registry, a host or a folder"
    assert "--index" not in text
    assert "--find-links" not in text
    for line in pins(lock).values():
        assert re.match(r"[a-z0-9-]+==\S+ ", line), line
        assert "--hash=sha256:" in line, line


def test_locks_hold_what_the_project_asks_for() -> None:
    project = tomllib.loads((HOME / "pyproject.toml").read_text())
    core = names_of(project["project"]["dependencies"])
    extras = project["project"]["optional-dependencies"]
    groups = project["dependency-groups"]
    tested = [names_of(extras[extra]) for extra in extras if extra not in {"spark", "all"}]
    built = names_of(groups["build"])
    assert built == names_of(project["build-system"]["requires"])

    here = HOME / "requirements"
    assert core | built | {"lifetimes"} <= set(pins(here / "run.txt"))
    assert names_of(groups.pop("mutation")) <= set(pins(here / "mutants.txt"))
    assert core.union(built, *tested, *map(names_of, groups.values())) <= set(
        pins(here / "test.txt")
    )
    assert pins(here / "run.txt").items() <= pins(here / "test.txt").items(), "run `make lock`"


# --- documents -------------------------------------------------------------------------------


def blocks(page: Path) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", page.read_text(), flags=re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize(
    "page", [page for page in PAGES if page.exists() and blocks(page)], ids=lambda page: page.name
)
def test_examples_on_the_page_run(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One page is one session: its blocks run in order and share their names."""
    monkeypatch.chdir(tmp_path)
    session: dict[str, object] = {"__name__": "page"}
    for number, block in enumerate(blocks(page), start=1):
        name = f"{page.name}, block {number}"
        if ">>>" in block:
            test = doctest.DocTestParser().get_doctest(block, session, name, str(page), 0)
            runner = doctest.DocTestRunner(
                optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
            )
            report: list[str] = []
            runner.run(test, out=report.append, clear_globs=False)
            session.update(test.globs)
            assert runner.failures == 0, "".join(report)
        else:
            exec(compile(block, name, "exec"), session)


@pytest.mark.parametrize("page", [page for page in PAGES if page.exists()], ids=lambda p: p.name)
def test_links_on_the_page_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)", page.read_text())
    local = [target for target in targets if "://" not in target and "@" not in target]
    missing = [target for target in local if not (page.parent / target).exists()]
    assert not missing
