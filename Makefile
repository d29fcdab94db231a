# Everything a developer does with this project. `make` alone lists it.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Half of the time a test waits for something: twice as many as cores took 3:34 instead of 4:16 (two cores, 2026-11).
TEST_PROCESSES ?= $(shell expr 2 '*' $$(nproc))
USER_ID ?= 11111111-1111-4111-8111-111111111111
# Whatever the shell says: compiled modules are kept, or each process that a test starts compiles them again.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help run token migrate check test lint format types unit fuzz setup setup-dev system-packages bench audit licenses \
        lock docs clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: setup ## Set up, migrate and serve on http://localhost:8002 (PORT=… to change)
	@exec $(BIN)/python -m app serve

token: setup ## Print a development token (USER_ID=… for another user)
	@$(BIN)/python -m app token --user $(USER_ID)

migrate: setup ## Bring the database to the newest schema
	@$(BIN)/python -m app migrate

check: setup ## Show the configuration and try every part
	@$(BIN)/python -m app check

test: setup-dev system-packages ## Set up and run the whole suite: lint, types, tests
	@$(MAKE) --no-print-directory --jobs=3 lint types unit

unit: setup-dev ## Run the tests alone (ARGS="tests/core -k name" for some of them)
	$(BIN)/python -m pytest -n $(TEST_PROCESSES) --dist worksteal $(ARGS)

lint: setup-dev ## Check style and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: setup-dev ## Repair style and formatting
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: setup-dev ## Check types strictly
	$(BIN)/mypy

fuzz: setup-dev ## Send thousands of made-up requests to a service (FUZZ_EXAMPLES=… for each operation, FUZZ_SEED=…)
	FUZZ_EXAMPLES=$${FUZZ_EXAMPLES:-400} FUZZ_SEED=$${FUZZ_SEED:-$$RANDOM} \
	    $(BIN)/python -m pytest tests/api/test_fuzz.py -k document

bench: setup-dev ## Measure against the baselines and write docs/performance.md
	$(BIN)/python -m benchmarks

audit: setup-dev ## Look for known vulnerabilities in the dependencies
	$(BIN)/pip-audit --requirement requirements.txt --no-deps --disable-pip --strict

licenses: setup ## List the licences of the dependencies; fails on AGPL, GPL and unknown ones
	@$(MAKE) --no-print-directory setup-dev >/dev/null
	$(BIN)/python -m tests.licenses

docs: setup ## Write the documents that are made from the code: API, settings, file types
	$(BIN)/python -m app openapi > docs/openapi.json
	$(BIN)/python -m app reference --format markdown > docs/configuration.md
	$(BIN)/python -m app reference --format env > .env.example
	$(BIN)/python -m app reference --format types > docs/file-types.md

lock: setup-dev ## Resolve pyproject.toml into requirements.txt and requirements-dev.txt
	$(BIN)/pip-compile --quiet --upgrade --strip-extras --no-annotate --no-header --no-emit-index-url \
	    --no-emit-trusted-host --no-emit-find-links --output-file requirements.txt pyproject.toml
	$(BIN)/pip-compile --quiet --strip-extras --no-annotate --no-header --no-emit-index-url --no-emit-trusted-host \
	    --no-emit-find-links --extra dev --constraint requirements.txt --output-file requirements-dev.txt pyproject.toml

clean: ## Remove the environment and caches; your data in .data and uploads stay
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache

setup: $(VENV)/.installed

setup-dev: $(VENV)/.installed-dev

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	    || { echo "Python 3.11 or newer is needed; try: make PYTHON=python3.11 …" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: requirements.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

$(VENV)/.installed-dev: requirements-dev.txt requirements.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $(VENV)/.installed $@

# The suite drives a real browser and a real nginx and watches system calls. They are Debian's, installing takes root.
system-packages:
	@missing=""; \
	command -v chromium >/dev/null || missing="$$missing chromium"; \
	command -v nginx >/dev/null || [ -x /usr/sbin/nginx ] || missing="$$missing nginx-light"; \
	command -v strace >/dev/null || missing="$$missing strace"; \
	[ -z "$$missing" ] && exit 0; \
	if [ "$$(id -u)" = 0 ]; then sudo=""; \
	elif sudo -n true 2>/dev/null; then sudo="sudo"; \
	else echo "The tests need:$$missing. Run: sudo apt-get install -y --no-install-recommends$$missing" >&2; exit 1; fi; \
	export DEBIAN_FRONTEND=noninteractive; \
	$$sudo apt-get update -qq && $$sudo apt-get install -y -qq --no-install-recommends $$missing >/dev/null
