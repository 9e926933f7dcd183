# `make run` and `make test` do everything, set-up included; the second time they install nothing.
#
#   make run    forecast 2,357 real customers (CDNOW), compare with history, draw it
#   make test   linters, types, import contract, tests
#   make slow   the tests that take minutes
#   make lint   what `make test` runs before the tests
#   make mutants  change the models one operation at a time: which changes do tests not notice?
#   make bench  side by side with lifetimes and pymc-marketing
#   make lock   write requirements/*.txt anew from pyproject.toml
#   make clean  remove what was made here, the environments included
#
# PYTHON=/path/to/python3.13   another Python, with an environment of its own
# INSTALLER=uv                 uv instead of pip: quicker, but it does not read pip's settings
# TESTS="tests/test_house.py"  only these; also options of pytest
# JOBS=2                       how many tests at once

PYTHON ?= python3
INSTALLER ?= pip
JOBS ?= 2
TESTS ?=

ifeq ($(origin PYTHON),file)
ENV := .venv
else
ENV := .venv-$(shell "$(PYTHON)" -c "import sys; print('%d.%d' % sys.version_info[:2])" 2>/dev/null)
endif

PY := $(ENV)/bin/python

# Why this Python will not do, in one line; nothing when it will.
GOAL = $(firstword $(MAKECMDGOALS) run)
PROBLEM = $(shell "$(PYTHON)" requirements/check_python.py $(GOAL) "$(PYTHON)" 2>/dev/null || \
  echo "clv needs Python 3.11 or newer and $(PYTHON) does not run; try: make $(GOAL) PYTHON=/path/to/python3.11")

ifeq ($(INSTALLER),uv)
INSTALL = uv pip install --python $(PY)
else
INSTALL = $(PY) -m pip install --disable-pip-version-check --progress-bar off
endif

# The locks are complete: nothing is left to resolve, and nothing comes without its hash.
LOCKED = $(INSTALL) --quiet --require-hashes --no-deps -r
ITSELF = $(INSTALL) --quiet --no-deps --no-build-isolation -e .

.PHONY: run test slow lint bench bench-here lock clean mutants pytest

run: $(ENV)/.run
	$(ENV)/bin/clv demo

test: lint pytest

lint: $(ENV)/.test
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(ENV)/bin/lint-imports --no-logo

pytest: $(ENV)/.test
	$(PY) -m pytest -n $(JOBS) $(TESTS)

slow: $(ENV)/.test
	$(PY) -m pytest -n $(JOBS) -m slow $(TESTS)

# --- mutants: hours; MUTANTS="clv.families.nbd*" only these, LONGEST=1000 with the slowest tests --

MUTANTS ?=

mutants: $(ENV)/.mutants
	CI=1 PYTEST_DISABLE_PLUGIN_AUTOLOAD=1 PYTHONPATH=tests $(ENV)/bin/mutmut run --max-children $(JOBS) $(MUTANTS)
	@$(ENV)/bin/mutmut results | grep -v "not checked" || true

$(ENV)/.mutants: requirements/mutants.txt $(ENV)/.test
	@echo "Installing mutmut into $(ENV) (once) ..."
	@$(LOCKED) requirements/mutants.txt
	@touch $@

$(PY):
	$(if $(PROBLEM),$(error $(PROBLEM)))
	@echo "Making $(ENV) ..."
	@"$(PYTHON)" -m venv $(ENV)

$(ENV)/.run: requirements/run.txt pyproject.toml | $(PY)
	@echo "Installing what clv needs into $(ENV) (once; about a minute) ..."
	@$(LOCKED) requirements/run.txt
	@$(ITSELF)
	@touch $@

$(ENV)/.test: requirements/test.txt pyproject.toml | $(PY)
	@echo "Installing clv, its extras and the test tools into $(ENV) (once; about two minutes) ..."
	@$(LOCKED) requirements/test.txt
	@$(ITSELF)
	@touch $(ENV)/.run $@

# --- benchmarks: an environment of their own, since the peers pin what we do not --------------

SIZES ?= 100000 1000000

bench:
	@$(MAKE) --no-print-directory ENV=.venv-bench bench-here

bench-here: $(ENV)/.bench
	$(PY) benchmarks/side_by_side.py $(SIZES)

$(ENV)/.bench: requirements/bench.txt pyproject.toml | $(PY)
	@echo "Installing clv and its peers into $(ENV) (once; about two minutes) ..."
	@$(LOCKED) requirements/bench.txt
	@$(ITSELF)
	@touch $@

# --- locks: UPGRADE=--upgrade moves to the newest versions ------------------------------------

UPGRADE ?=
COMPILE = .venv-lock/bin/uv pip compile --quiet --universal --python-version 3.11 \
  --generate-hashes --no-emit-index-url --no-annotate --custom-compile-command "make lock" $(UPGRADE)
EXTRAS = $(addprefix --extra ,bayes lifetimes polars excel persian sql ads)
GROUPS = $(addprefix --group ,test lint build)

lock: .venv-lock/.ready
	$(COMPILE) pyproject.toml $(EXTRAS) $(GROUPS) -c requirements/constraints.in -o requirements/test.txt >/dev/null
	$(COMPILE) pyproject.toml --extra lifetimes --group build -c requirements/test.txt -o requirements/run.txt >/dev/null
	$(COMPILE) --group mutation -c requirements/test.txt -o requirements/mutants.txt >/dev/null
	$(COMPILE) pyproject.toml requirements/bench.in --extra lifetimes --group build -c requirements/run.txt -o requirements/bench.txt >/dev/null

.venv-lock/.ready:
	"$(PYTHON)" -m venv .venv-lock
	.venv-lock/bin/python -m pip install --quiet --disable-pip-version-check "uv>=0.9"
	@touch $@

clean:
	rm -rf .venv .venv-* output mutants build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
