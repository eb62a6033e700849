# Every target builds what it needs. A fresh machine needs only make and python3 (3.11 or later).

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
DEMO   := $(VENV)/.demo
# Each plugin is a separate distribution.
PLUGINS := createtask omocaptcha opentelemetry pillow procrastinate prometheus
# The client libraries of interop get a separate environment, because their dependencies must not mix with ours.
INTEROP := .venv-interop
# So do the clients that make bench measures beside ours.
BENCH  := .venv-bench
CODE   := benchmarks captchahub docs examples plugins tests

.DEFAULT_GOAL := help
.PHONY: help demo picture docs test bench browser check interop soak format lint contract types mypy pyright coverage wheels clean

help:
	@echo 'make demo    solve a dozen pictures on a local stand-in of a service; no account needed'
	@echo 'make test    run the tests'
	@echo 'make docs    build the documentation into docs/_build/html, and check its links'
	@echo 'make check   run every check: format, lint, import contract, types, docs, tests with coverage, wheels'
	@echo 'make format  format the code and fix what can be fixed automatically'
	@echo 'make bench   measure what a solve costs beside other clients (15 minutes), and how much code there is'
	@echo 'make soak    run the long tests: 11,000 simulated runs, 200 killed processes a store and 100,000 solves'
	@echo 'make browser run the recipes for Playwright and Selenium in a headless Chromium'
	@echo 'make interop run other released client libraries against the local stand-in'
	@echo 'make picture draw the pictures of terminals in the documentation'
	@echo 'make clean   remove the virtual environments and all build results'

# Most modules of the installed packages are never imported, and need no bytecode.
PIP = $(@D)/bin/python -m pip install --quiet --disable-pip-version-check --no-compile

define new_venv
@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
  || { echo 'captchahub needs Python 3.11 or later: make PYTHON=/path/to/python3.11'; exit 1; }
@$(PYTHON) -m venv $(@D) \
  || { echo 'this python3 has no venv module: install the package python3-venv'; exit 1; }
@echo 'Installing captchahub, $(1) into $(@D); the first time this takes a few minutes ...'
@$(PIP) --upgrade 'pip>=25.1' 'hatchling>=1.26' 'editables>=0.5'
endef

# hatchling is installed before, together with pip, so that it is not installed again to build each distribution.
$(READY): pyproject.toml $(PLUGINS:%=plugins/%/pyproject.toml)
	$(call new_venv,its plugins and the tools for tests and documentation)
	@$(PIP) --no-build-isolation \
	  --editable '.[cli,fast,report,testing]' $(PLUGINS:%=--editable plugins/%) --group dev --group docs --group browser
	@touch $@

$(INTEROP)/.ready: pyproject.toml plugins/createtask/pyproject.toml
	$(call new_venv,createtask and other client libraries)
	@$(PIP) \
	  --editable '.[testing]' --editable plugins/createtask --group interop
	@touch $@

$(BENCH)/.ready: pyproject.toml plugins/createtask/pyproject.toml
	$(call new_venv,createtask and what the benchmarks compare)
	@$(PIP) \
	  --editable '.[cli,testing]' --editable plugins/createtask --group bench
	@touch $@

# The demo needs little of what the tests need.
$(DEMO): pyproject.toml plugins/omocaptcha/pyproject.toml
	$(call new_venv,the plugin omocaptcha and what the demo needs)
	@$(PIP) --no-build-isolation --editable '.[cli,testing]' --editable plugins/omocaptcha
	@touch $@

demo: $(if $(wildcard $(READY)),$(READY),$(DEMO))
	@$(BIN)/captchahub demo

picture: $(READY)
	@$(BIN)/python docs/draw_terminals.py

# Each build begins from nothing, because Sphinx does not repeat the warnings of pages that have not changed.
docs: $(READY)
	rm -rf docs/_build/html
	$(BIN)/python -m sphinx --builder html --fresh-env --nitpicky --fail-on-warning --keep-going --quiet --jobs auto \
	  --doctree-dir docs/_build/doctrees docs docs/_build/html
	$(BIN)/python docs/check_links.py docs/_build/html

# pytest keeps each module with its asserts rewritten, which takes seconds for all of them, as bytecode.
export PYTHONDONTWRITEBYTECODE :=

# More workers than cores, because many tests wait for a service or for another program. Not many more, because
# each worker takes six seconds of processor time to import and collect all tests.
WORKERS ?= 4
# In make test, those tests that run on both transports or stores run on one of them, and those that search try less
# than in make check.
test: export CAPTCHAHUB_TRANSPORTS ?= requests
test: export CAPTCHAHUB_STORES ?= sqlite
test: export CAPTCHAHUB_EXAMPLES ?= 8
test: export CAPTCHAHUB_CONTRACT_RUNS ?= 20
test: export CAPTCHAHUB_FAULT_PAIRS ?= 1
test: export CAPTCHAHUB_KILLS ?= 2
test: export CAPTCHAHUB_FLEET_SOLVES ?= 20
test: export CAPTCHAHUB_FLEET_RESTARTS ?= 1
test: export SIM_RUNS ?= 10
test: $(READY)
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist worksteal

# BENCH_ROUNDS=1 BENCH_SOLVES=20 make bench is a trial, which writes no results.
bench: $(READY) $(BENCH)/.ready
	@$(BENCH)/bin/python -m benchmarks.compare
	@$(BIN)/python -m benchmarks.hedging
	@$(BIN)/python -m benchmarks.journal
	@$(BIN)/python -m benchmarks.processes
	@$(BIN)/python -m benchmarks.polling
	@$(BIN)/python -m benchmarks.json_body
	@$(BIN)/python -m benchmarks.calls
	@$(BIN)/python -m benchmarks.code_lines

SIM_RUNS ?= 10000
# A run on PostgreSQL takes several times as long.
SIM_POSTGRES_RUNS ?= 1000
soak: $(READY)
	SIM_RUNS=$(SIM_RUNS) $(BIN)/python -m tests.simulation.soak
	SIM_STORE=postgres SIM_RUNS=$(SIM_POSTGRES_RUNS) $(BIN)/python -m tests.simulation.soak
	CAPTCHAHUB_KILLS=200 $(BIN)/python -m pytest tests/promises/test_kill.py -s -q
	CAPTCHAHUB_FLEET_SOLVES=2000 CAPTCHAHUB_FLEET_RESTARTS=10 $(BIN)/python -m pytest tests/promises/test_many_machines.py -q
	CAPTCHAHUB_SOAK=100000 $(BIN)/python -m benchmarks.soak_memory

# Needs a Chromium and its driver, such as Debian's packages chromium and chromium-driver.
browser: $(READY)
	$(BIN)/python -m pytest tests/browser

# The first six use one core each, and the tests use both.
check: $(READY)
	$(MAKE) --jobs 2 pyright wheels mypy docs lint contract
	$(MAKE) coverage

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

types: mypy pyright

# The tests of each plugin are checked separately, because their modules have the same names as those in tests/.
mypy: $(READY)
	$(BIN)/mypy
	set -e; for plugin in $(PLUGINS); do $(BIN)/mypy plugins/$$plugin/tests; done
	$(BIN)/mypy examples/ddddocr/tests

pyright: $(READY)
	$(BIN)/pyright

# More examples of each property than make test tries.
coverage: export CAPTCHAHUB_EXAMPLES ?= 80
coverage: $(READY)
	$(BIN)/python -m coverage erase
	$(BIN)/python -m coverage run -m pytest --numprocesses $(WORKERS) --dist worksteal
	$(BIN)/python -m coverage combine --quiet
	$(BIN)/python -m coverage report

wheels: $(READY)
	$(BIN)/python tests/wheels/check.py
	$(BIN)/python -m pytest --quiet tests/wheels

clean:
	rm -rf $(VENV) $(INTEROP) $(BENCH) docs/_build .coverage* .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
