# Everything a person or a CI machine does here. `make` alone lists it.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
# One thread each: the two workers of pytest, and the trials of an ablation, are the parallelism.
export OMP_NUM_THREADS ?= 1

# Set up again when these change, and only then. Python files need no new set-up.
STAMP := $(VENV)/.installed
SOURCES := pyproject.toml Cargo.toml Cargo.lock .cargo/config.toml \
           $(shell find native -name '*.rs' -o -name Cargo.toml)

.PHONY: help
help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: $(STAMP)  ## train, ablate and report: writes runs/demo/report.html, less than 5 minutes on 2 cores
	@$(BIN)/aios ablate examples/demo.toml --output runs/demo

# Neighbours share what they trained or imported, so each worker begins with a half of the tests.
.PHONY: test
test: $(STAMP)  ## run the tests; ARGS=tests/core runs some, ARGS='-m slow' the slow ones
	@$(BIN)/python -m pytest -n 2 --dist worksteal -m 'not slow and not walk' $(ARGS)

.PHONY: lint
lint: $(STAMP)  ## check style, types, imports and Rust
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/stubtest aios_plugins._native --mypy-config-file pyproject.toml
	$(BIN)/lint-imports
	$(BIN)/python tests/words.py
	cargo fmt --check
	cargo clippy --workspace --all-targets --locked -- -D warnings

.PHONY: bench
bench: $(STAMP)  ## measure AREA=name (or all) and write BENCHMARKS.md; ARGS=--help; without AREA, list the areas
	@$(BIN)/python tests/benchmarks/areas.py $(AREA) $(ARGS)

.PHONY: bench-report
bench-report: $(STAMP)  ## write BENCHMARKS.md from tests/benchmarks/results
	@$(BIN)/python tests/benchmarks/report.py

# mkdocs speaks of its own future at each build, which is no news to who reads this.
.PHONY: docs
docs: $(STAMP)  ## build the documentation: .cache/site/index.html
	@NO_MKDOCS_2_WARNING=1 DISABLE_MKDOCS_2_WARNING=true $(BIN)/mkdocs build --quiet
	@echo '.cache/site/index.html'

.PHONY: changes
changes: $(STAMP)  ## print what the change log of the next version says
	@$(BIN)/towncrier build --draft --version next

.PHONY: clean
clean:  ## remove the environment and all that was built; runs/ stays
	rm -rf $(VENV) target dist .cache .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
	find aios_core aios_plugins tests examples \
		\( -name __pycache__ -o -name '*.so' \) -prune -exec rm -rf {} +

# Asked only when it is needed, for `make lint` starts more often than it sets up.
PYTHON ?= $(firstword $(foreach name,python3 python3.14 python3.13 python3.12 python3.11,$(shell \
	$(name) -c 'import sys; sys.version_info < (3, 11) or print("$(name)")' 2>/dev/null)))
# Of what pip says, the parts that take long.
SHOW := function say(what) { print "  " what; fflush() }; \
	/Downloading .*([0-9][0-9][0-9]\.[0-9] MB|GB)/ { sub(".*/", "", $$2); say("fetching " $$2 " " $$3 " " $$4) }; \
	/Building editable.*started/ { say("compiling Rust") }; \
	/Installing collected/ { say("unpacking") }
fail = { echo 'cannot set up: $(1)' >&2; exit 2; }

$(STAMP): $(SOURCES)
	@[ '$(PYTHON)' ] || $(call fail,no Python >= 3.11; install it or name one: make PYTHON=/its/bin/python3)
	@cargo --version >/dev/null || $(call fail,cargo is missing; install Rust >= 1.90 from https://rustup.rs)
	@command -v cc >/dev/null || $(call fail,Rust needs a C linker; install gcc or clang)
	@[ -x $(BIN)/pip ] || { \
		echo "setting up 1/2: creating $(VENV) for $$($(PYTHON) --version)"; \
		$(PYTHON) -m venv --clear $(VENV) || $(call fail,venv is missing; on Debian install python3-venv); }
	@echo 'setting up 2/2: installing torch and the rest, compiling Rust; 3 to 5 minutes the first time'
	@PYTHONUNBUFFERED=1 $(BIN)/pip install --disable-pip-version-check --progress-bar off --editable '.[dev]' | awk '$(SHOW)'
	@touch $@
