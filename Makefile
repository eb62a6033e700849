# Every target makes what it needs; a fresh machine has to have python3 (3.11 or later) and make, no more.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
# Each is a distribution of its own.
PLUGINS := createtask omocaptcha opentelemetry pillow prometheus
# The released clients of interop have an environment of their own: what they need is nothing to the rest.
INTEROP := .venv-interop
CODE   := benchmarks captchahub examples plugins tests

.DEFAULT_GOAL := help
.PHONY: help demo test bench check interop soak format lint contract types coverage wheels clean

help:
	@echo 'make demo    solve a dozen pictures against a local stand-in of the service'
	@echo 'make test    run the tests'
	@echo 'make bench   measure what a solve costs'
	@echo 'make soak    attack the promise about money for long: 10,000 simulated runs, 200 kills'
	@echo 'make check   everything: format, lint, import contract, types, tests with coverage, wheels'
	@echo 'make interop solve with the released clients of others against the local stand-in'
	@echo 'make format  format the code and mend what can be mended'
	@echo 'make clean   remove the virtual environments and everything built'

define new_venv
@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
  || { echo 'captchahub needs Python 3.11 or later: make PYTHON=/path/to/python3.11'; exit 1; }
@$(PYTHON) -m venv $(@D) \
  || { echo 'python3 came without venv: install the package python3-venv'; exit 1; }
@echo 'Installing into $(@D) ...'
@$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
endef

$(READY): pyproject.toml $(PLUGINS:%=plugins/%/pyproject.toml)
	$(new_venv)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check \
	  --editable '.[cli,testing]' $(PLUGINS:%=--editable plugins/%) --group dev
	@touch $@

$(INTEROP)/.ready: pyproject.toml plugins/createtask/pyproject.toml
	$(new_venv)
	@$(INTEROP)/bin/python -m pip install --quiet --disable-pip-version-check \
	  --editable '.[testing]' --editable plugins/createtask --group interop
	@touch $@

demo: $(READY)
	@$(BIN)/captchahub demo

# pytest keeps each module with its asserts rewritten, which takes seconds for all of them, as bytecode.
export PYTHONDONTWRITEBYTECODE :=

# More than two cores have: many tests wait for a service, or for a program.
WORKERS ?= 4
test: $(READY)
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist worksteal

bench: $(READY)
	@$(BIN)/python benchmarks/solve.py
	@$(BIN)/python benchmarks/hedging.py
	@$(BIN)/python benchmarks/journal.py

SIM_RUNS ?= 10000
soak: $(READY)
	SIM_RUNS=$(SIM_RUNS) $(BIN)/python -m tests.simulation.soak
	CAPTCHAHUB_KILLS=200 $(BIN)/python -m pytest tests/test_kill.py -s -q

check: lint contract types coverage wheels

interop: $(INTEROP)/.ready
	$(INTEROP)/bin/python -m pytest --confcutdir tests/interop tests/interop

format: $(READY)
	$(BIN)/ruff format $(CODE)
	$(BIN)/ruff check --fix $(CODE)

lint: $(READY)
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/ruff check $(CODE)

contract: $(READY)
	$(BIN)/lint-imports

# Tests of plugins apart, for their modules are named like those of tests/ and of one another.
types: $(READY)
	$(BIN)/mypy
	set -e; for plugin in $(PLUGINS); do $(BIN)/mypy plugins/$$plugin/tests; done
	$(BIN)/mypy examples/ddddocr/tests
	$(BIN)/pyright

coverage: $(READY)
	$(BIN)/python -m coverage erase
	$(BIN)/python -m coverage run -m pytest --numprocesses $(WORKERS) --dist worksteal
	$(BIN)/python -m coverage combine --quiet
	$(BIN)/python -m coverage report

wheels: $(READY)
	$(BIN)/python tests/wheels/check.py
	$(BIN)/python -m pytest --quiet tests/wheels

clean:
	rm -rf $(VENV) $(INTEROP) .coverage* .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
