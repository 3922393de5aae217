# The two commands that matter: `make run` and `make test`. Everything lives in $(VENV).
SHELL := /bin/bash
PYTHON ?= python3
VENV ?= .venv
PORT ?= 8501
BIN := $(VENV)/bin
RUN_STAMP := $(VENV)/.insight-run
DEV_STAMP := $(VENV)/.insight-dev
BENCH_STAMP := $(VENV)/.insight-bench
BENCHMARKS := relations_speed codes_size explain_latency concepts hierarchy naming segmentation \
	faithfulness tiles sae_speed shortcut desk report data_forms
PIP_FLAGS := --disable-pip-version-check --quiet

.PHONY: run test check bench screenshots clean help

help: ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Insight Review needs Python 3.11 or later")'
	$(PYTHON) -m venv $(VENV)

$(RUN_STAMP): pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing Insight Review into $(VENV) (two minutes the first time) ..."
	$(BIN)/pip install $(PIP_FLAGS) -c constraints.txt -e .
	@touch $@

$(DEV_STAMP): pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing Insight Review and its test tools into $(VENV) ..."
	$(BIN)/pip install $(PIP_FLAGS) -c constraints.txt -e ".[dev]"
	@touch $@ $(RUN_STAMP)

$(BENCH_STAMP): $(DEV_STAMP)
	@echo "Installing the peers that the benchmarks compare with ..."
	$(BIN)/pip install $(PIP_FLAGS) -c constraints.txt -e ".[bench]"
	@touch $@

run: $(RUN_STAMP) ## install, migrate, build the demo, open the app on 127.0.0.1
	@$(BIN)/insight up --port $(PORT)

test: $(DEV_STAMP) ## install and run all tests
	@bash .ci/system-packages
	$(BIN)/python -m pytest

check: $(DEV_STAMP) ## lint, types, import contracts, docs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q tests/test_docs.py tests/test_architecture.py

bench: $(BENCH_STAMP) ## every benchmark, JSON into out/; fails at the end if a target was missed
	mkdir -p out
	missed=; for name in $(BENCHMARKS); do \
		$(BIN)/python -m benchmarks $$name --json out/$$name.json || missed="$$missed $$name"; \
	done; test -z "$$missed" || { echo "missed:$$missed"; exit 1; }

screenshots: $(DEV_STAMP) ## pictures of every screen in both themes, into out/screenshots
	@bash .ci/system-packages
	$(BIN)/python -m tests.e2e.screenshots --out out/screenshots

clean: ## remove the environment and build products (never the workspace)
	rm -rf $(VENV) build out *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
