# One virtual environment serves every target; `make` alone lists them.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

# Read by the demo; an empty one means its default.
export DEMO_TASKS INSTANCES WORKER_CONCURRENCY

.DEFAULT_GOAL := help
.PHONY: help venv demo flower test check check-lua bench clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

venv: $(STAMP) ## Create .venv with everything installed (done once)

$(STAMP): setup.cfg pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[demo,test,dev]'
	@touch $@

demo: venv ## Watch groups run in order (DEMO_TASKS, INSTANCES, WORKER_CONCURRENCY)
	$(BIN)/python -m celery_groupfifo.demo

flower: venv ## The same demo, with Flower and its Groups tab
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[flower]'
	$(BIN)/python -m celery_groupfifo.demo --flower

test: venv ## Run the tests
	$(BIN)/python -m pytest tests

check: venv ## Lint, format, types, layers, Lua
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	@if command -v luacheck >/dev/null; then $(MAKE) --no-print-directory check-lua; \
	else echo "luacheck is not installed: Lua files not checked"; fi

# Twice: the files by themselves, and the scripts with their shared parts in place, for names defined nowhere.
check-lua: venv
	luacheck --quiet celery_groupfifo/lua
	@$(BIN)/python -c "$$WRITE_LUA" build/lua
	luacheck --quiet --config .luacheckrc --enable 113 --only 1 -- build/lua

define WRITE_LUA
import pathlib, sys
from celery_groupfifo import scripts
directory = pathlib.Path(sys.argv[1])
directory.mkdir(parents=True, exist_ok=True)
for name in scripts.NAMES:
    (directory / f"{name}.lua").write_text(scripts.source(name), "utf-8")
endef
export WRITE_LUA

bench: venv ## Measure against plain Celery
	$(BIN)/python -m benchmarks

clean: ## Remove the environment, caches and build results
	rm -rf $(VENV) build dist demo-logs *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis \
	  .import_linter_cache .coverage .coverage.* htmlcov
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
