# One virtual environment serves every target; `make` alone lists them.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
SEEDS  ?= 3
JOBS   ?= 3
STAMP  := $(VENV)/.installed

# Read by the demo and the cluster; an empty one means its default. Without an app the cluster runs the demo's.
export DEMO_TASKS INSTANCES WORKER_CONCURRENCY APP WORKER_OPTIONS
# What was started knows its app; before that it is the demo's.
CLUSTER := $(if $(wildcard cluster/cluster.json),,APP=$(or $(APP),demo.app)) $(BIN)/python -m celery_groupfifo.cluster

.DEFAULT_GOAL := help
.PHONY: help venv demo flower cluster cluster-scale cluster-reload cluster-stop cluster-status test check check-lua \
  bench clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

venv: $(STAMP) ## Create .venv with everything installed (done once)

$(STAMP): setup.cfg pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[test,dev]'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --target $(VENV)/stubs 'celery-types>=0.26'
	@touch $@

demo: venv ## Watch groups run in order (DEMO_TASKS, INSTANCES, WORKER_CONCURRENCY)
	$(BIN)/python -m demo

flower: venv ## The same demo, with Flower and its Groups tab
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[flower]'
	$(BIN)/python -m demo --flower

cluster: venv ## Start workers in the background (INSTANCES=4 or max, WORKER_CONCURRENCY=10, APP, WORKER_OPTIONS)
	@APP=$(or $(APP),demo.app) $(CLUSTER) start

cluster-scale: venv ## Start more workers, or stop some (INSTANCES=6)
	@$(CLUSTER) scale

cluster-reload: venv ## Replace the workers one by one, for new code; nothing is lost or repeated
	@$(CLUSTER) reload

cluster-stop: venv ## Stop the workers: gracefully for 30 s, then their tasks go back to their groups
	@$(CLUSTER) stop

cluster-status: venv ## Show the workers: process, slots, tasks, memory
	@$(CLUSTER) status

ECOSYSTEM := tests/compatibility/ecosystem
PYTEST := $(BIN)/python -m pytest tests --ignore $(ECOSYSTEM) -n $(JOBS) --dist loadfile --no-loadscope-reorder

test: venv ## Run the tests that everybody runs before a commit, three files at a time (JOBS)
	$(PYTEST) --tier main

.PHONY: test-fast test-rest test-long test-all
test-fast: venv ## The tests of these that start no worker, in three minutes
	$(PYTEST) --tier fast

test-rest: venv ## All others: more seeds, pools and faults, and what takes long
	$(PYTEST) --tier rest --durations 40

test-long: venv ## What takes minutes for one test, and the pools that few use
	$(PYTEST) --tier long

test-all: test test-rest test-long ## All; ecosystem and matrix have environments of their own

.PHONY: docs docs-serve
docs: venv ## Build the documentation into build/site; a warning is an error
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[docs]'
	$(BIN)/mkdocs build --strict

docs-serve: docs ## Serve it at http://127.0.0.1:8000, and rebuild it when a page changes
	$(BIN)/mkdocs serve

.PHONY: chaos matrix ecosystem mutants
chaos: venv ## Faults on real workers and Redis (SEEDS=50: more random runs)
	$(BIN)/python -m pytest tests/faults/chaos -s --seeds $(SEEDS)

matrix: venv ## The same tests with every version of Python, Celery and redis-py (SESSION=oldest: one of them)
	$(BIN)/nox $(if $(SESSION),--session $(SESSION))

ecosystem: venv ## Sentry, OpenTelemetry, Django's libraries and others, with ordered tasks
	$(BIN)/nox --session 'ecosystem(celery='"'5.6'"')'

mutants: venv ## Put each known bug into the code; its tests must fail
	$(BIN)/python -m tests.project.mutants

.PHONY: scripts
scripts: venv ## Build the gate's scripts from their sources in lua/
	$(BIN)/python -m lua.build

check: venv ## Lint, format, types, layers, Lua
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m lua.build --check
	@if command -v luacheck >/dev/null; then $(MAKE) --no-print-directory check-lua; \
	else echo "luacheck is not installed: Lua files not checked"; fi

# The scripts, too: they show names that no source defines.
check-lua:
	luacheck --quiet lua celery_groupfifo/gate/lua

.PHONY: dist
dist: venv ## Build wheel and source distribution into dist/, and check them as PyPI does
	rm -rf dist
	$(BIN)/python -m build
	$(BIN)/twine check --strict dist/*

bench: venv ## Measure against plain Celery
	$(BIN)/python -m benchmarks

.PHONY: rehearsal
rehearsal: venv ## A day of traffic on the real scripts in virtual time (REHEARSAL='--hours 1 --workers 50')
	$(BIN)/python -m rehearsal $(REHEARSAL)

clean: ## Remove the environment, caches and build results
	rm -rf $(VENV) .nox build dist demo-logs *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis \
	  .import_linter_cache tests/compatibility/celery_suite/.cache .coverage .coverage.* htmlcov
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
