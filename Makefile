# Every entry point of the project. `make` alone lists them; each does its own set-up.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= $(shell deploy/find-python.sh)
VENV := .venv
BIN := $(VENV)/bin

# Given on the command line they reach the program; empty ones are left to its defaults.
PORT ?=
HOST ?=
DATA_DIR ?=
export PORT HOST DATA_DIR

# Extra arguments for pytest, for example `make test ARGS="-k stop_out"`.
ARGS ?=
WORKERS ?= 2
PYTEST := $(BIN)/python -m pytest
# Whoever chooses tests by ARGS may well choose none of one part.
NONE_OK := $(if $(ARGS),|| [ $$? -eq 5 ])

.PHONY: help
help: ## Lists the targets.
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# --- set-up -----------------------------------------------------------------------------------------------------------

$(BIN)/python:
	@$(or $(PYTHON),false) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "CryptoCFD needs Python 3.11 or newer and its venv module (Debian: apt install python3-venv):"; \
	  echo "install them, or name one: make PYTHON=/path/to/python3.11"; exit 1; }
	@rm -rf $(VENV); echo "Making $(VENV) with $(PYTHON)."
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	  echo "Python cannot make a virtual environment: install its venv module (Debian: apt install python3-venv)."; exit 1; }

# A stamp per lock file: nothing is installed again until the lock changes.
$(VENV)/.run: requirements.txt | $(BIN)/python
	@echo "Installing what the platform needs; this takes a minute once."
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --require-hashes -r requirements.txt
	@touch $@

$(VENV)/.dev: requirements-dev.txt | $(VENV)/.run
	@echo "Installing what the checks and tests need; this takes a minute once."
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@touch $@

# --- use --------------------------------------------------------------------------------------------------------------

.PHONY: run login
run: $(VENV)/.run ## Runs the whole platform (PORT=, HOST=, DATA_DIR=); Ctrl-C stops it.
	@exec $(BIN)/python manage.py serve

login: $(VENV)/.run ## Prints a fresh sign-in link for alice (FOR= for somebody else).
	@$(BIN)/python manage.py login $(FOR)

# --- tests ------------------------------------------------------------------------------------------------------------

.PHONY: test test-fast test-int test-browser
# The browser's driver keeps an event loop in the thread of its tests, so they have a process of their own; what promises
# seconds to a person is measured while nothing else runs.
test: $(VENV)/.dev ## Runs the whole suite.
	$(PYTEST) -n $(WORKERS) --dist loadfile --no-loadscope-reorder -m "not browser and not alone" $(ARGS) $(NONE_OK)
	$(PYTEST) -m alone $(ARGS) $(NONE_OK)
	$(PYTEST) -m browser $(ARGS) $(NONE_OK)

test-fast: $(VENV)/.dev ## Runs what needs no browser and no running platform: under two minutes.
	$(PYTEST) -n $(WORKERS) --dist loadfile --no-loadscope-reorder -m "not integration and not browser" $(ARGS)

test-int: $(VENV)/.dev ## Runs the tests on real servers and processes.
	$(PYTEST) -n $(WORKERS) --dist loadfile --no-loadscope-reorder -m integration $(ARGS)

test-browser: $(VENV)/.dev ## Runs the journeys in headless Chromium.
	$(PYTEST) -m browser $(ARGS)

.PHONY: history bench-engine bench-bus bench-candles bench-fanout bench-http fuzz
bench-engine: $(VENV)/.run ## Measures the engine beside its limits and a naive one: five minutes at most.
	@$(BIN)/python -m bench.bench_engine $(ARGS)

bench-bus: $(VENV)/.run ## Measures an order's way through gateway, Valkey and engine beside bare round trips.
	@$(BIN)/python -m bench.bench_bus $(ARGS)

.PHONY: chaos bench-recovery
SECONDS ?= 1800
chaos: $(VENV)/.dev ## Kills everything at random under load for half an hour (SECONDS=, SEED=).
	CHAOS_SECONDS=$(SECONDS) CHAOS_SEED=$(or $(SEED),$(shell date +%s)) $(PYTEST) -q -s tests/chaos/test_chaos.py $(ARGS)

bench-recovery: $(VENV)/.run ## Measures an engine's way from its start, or a standby's from a kill, to its first answer.
	@$(BIN)/python -m bench.bench_recovery $(ARGS)

bench-candles: $(VENV)/.run ## Measures five million candles: in the server, at the driver, in memory, over HTTP.
	@$(BIN)/python -m bench.bench_candles $(ARGS)

bench-fanout: $(VENV)/.run ## Measures prices on their way to a thousand sockets, slow ones among them.
	@$(BIN)/python -m bench.bench_fanout $(ARGS)

bench-http: $(VENV)/.run ## Measures orders over REST and the socket, through real processes, beside their limits.
	@$(BIN)/python -m bench.bench_http $(ARGS)

fuzz: $(VENV)/.dev ## Tells engine and oracle random histories (HISTORIES=, or one by SEED=).
	$(PYTEST) -q tests/engine/properties/test_random_histories.py $(ARGS)

history: $(VENV)/.dev ## Tells January 2022 to ten thousand accounts and reports what became of them.
	$(PYTEST) -q -s tests/engine/history $(ARGS)

.PHONY: coverage mutate mutate-check
# Counting branches is slow, so a test may take longer here than elsewhere.
coverage: $(VENV)/.dev ## Holds that the engine's own tests take every branch of its core, values and rounding.
	$(PYTEST) -q -n $(WORKERS) --dist loadfile tests/engine/unit tests/engine/scenarios tests/engine/properties \
	  --deselect tests/engine/properties/test_random_histories.py --deselect tests/engine/properties/test_engine_machine.py \
	  --timeout 1800 --cov=engine.core --cov=engine.values --cov=engine.rounding --cov-branch --cov-fail-under=100 \
	  --cov-report=term-missing:skip-covered $(ARGS)

# Ten minutes of both processors. The tests that judge are the fast ones: examples and stories.
mutate: $(VENV)/.dev ## Judges the tests by mutants of the margin arithmetic; writes docs/MUTATION.md.
	@rm -rf mutants
	nice $(BIN)/mutmut run --max-children $(WORKERS)
	@$(BIN)/python -m tests.mutation.report write

mutate-check: $(VENV)/.dev ## Says which sources have changed since docs/MUTATION.md judged them.
	@$(BIN)/python -m tests.mutation.report check

.PHONY: replay verify
replay: $(VENV)/.run ## Proves the whole history in the journal, and decides the retained log again.
	@$(BIN)/python manage.py replay --verify --from-journal
	@$(BIN)/python manage.py replay --verify --from-snapshot

verify: $(VENV)/.run ## Proves that the ledger adds up.
	@$(BIN)/python manage.py verify_ledger

# A browser, a trader and every instrument on the move.
.PHONY: bench-terminal
bench-terminal: $(VENV)/.dev ## Measures the terminal in Chromium while every instrument moves ten times a second (70 s).
	@$(BIN)/python -m bench.bench_terminal $(ARGS)

# --- nightly ----------------------------------------------------------------------------------------------------------

# What has no place in minutes: each part is a target of its own, and `nightly` runs them all.
FUZZ_SECONDS ?= 600
.PHONY: nightly nightly-engine nightly-frames nightly-market nightly-api nightly-log nightly-recovery
nightly: audit coverage mutate-check nightly-engine nightly-log nightly-recovery nightly-frames nightly-market nightly-api chaos bench-candles bench-fanout ## Runs the long forms: hours.

# The first two parts need no network; the tests run short forms of both. Known faults are asked of PyPI's and npm's registries: without
# them this fails, since what was not looked at is not known to be good.
BOM := $(or $(DATA_DIR),var)/bill-of-materials.json
.PHONY: audit secrets
audit: $(VENV)/.dev ## Looks for secrets in the tree and known faults of dependencies; writes the bill of materials.
	$(BIN)/detect-secrets-hook --baseline .secrets.baseline $$(git ls-files)
	@mkdir -p $(dir $(BOM))
	$(BIN)/cyclonedx-py requirements --of JSON --output-reproducible --output-file $(BOM) requirements.txt
	for lock in requirements.txt requirements-ccxt.txt requirements-dev.txt; do \
	  $(BIN)/pip-audit --strict --disable-pip --require-hashes --requirement $$lock || exit 1; done
	cd tests/apps/market/timescale && npm audit --package-lock-only

secrets: $(VENV)/.dev ## Writes .secrets.baseline anew: look at what is new in it before you commit it.
	$(BIN)/detect-secrets scan --baseline .secrets.baseline

$(VENV)/.nightly: requirements-nightly.txt | $(VENV)/.dev
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --require-hashes -r requirements-nightly.txt
	@touch $@

nightly-frames: $(VENV)/.nightly ## Fuzzes what a venue may send (FUZZ_SECONDS=).
	$(BIN)/python -m tests.fuzz.fuzz_frames -max_total_time=$(FUZZ_SECONDS)

nightly-api: $(VENV)/.dev ## Lets schemathesis try the interface with six new seeds, eight minutes each.
	SCHEMATHESIS_ROUNDS=6 SCHEMATHESIS_SECONDS=480 $(PYTEST) -q --timeout 7200 tests/contract/test_contract_running.py -k schemathesis

nightly-market: $(VENV)/.dev ## Tells feed and candles 20,000 random histories each.
	HYPOTHESIS_PROFILE=nightly $(PYTEST) -q --timeout 7200 tests/apps/market/test_candle_making.py tests/apps/market/test_guards.py \
	  tests/apps/market/test_frame_parser.py tests/apps/market/test_ticks.py
	TAPE_STEP=1 $(PYTEST) -q tests/apps/market/test_month.py

nightly-engine: $(VENV)/.dev ## Tells engine and oracle 20,000 histories; replay, layouts, bands and views forty times what CI does.
	HISTORIES=20000 HISTORY_TIMES=40 $(PYTEST) -q -n $(WORKERS) --dist worksteal --timeout 14400 tests/engine/properties $(ARGS)

nightly-log: $(VENV)/.dev ## Takes PostgreSQL away for 30 s under trading; clogs lines; kills mutants at more points.
	HYPOTHESIS_PROFILE=nightly $(PYTEST) -q --timeout 7200 tests/integration/test_projector_faults.py tests/integration/test_clogged_lines.py
	CROWD=2000 $(PYTEST) -q --timeout 7200 tests/integration/test_serve_parts.py
	MUTANT_HITS=14,15,17,18,19,20,21,23,25,27,29,31,33,34 $(PYTEST) -q tests/chaos/test_mutants.py

nightly-recovery: ## Fails where recovery or takeover takes longer than it may.
	$(MAKE) bench-recovery ARGS=--enforce

# --- checks -----------------------------------------------------------------------------------------------------------

.PHONY: check format-check ruff imports tidy types migrations openapi documents fix
check: format-check ruff imports tidy types migrations openapi documents ## Runs every static check.

format-check: $(VENV)/.dev
	$(BIN)/ruff format --check --quiet .

ruff: $(VENV)/.dev
	$(BIN)/ruff check --quiet .

imports: $(VENV)/.dev
	$(BIN)/lint-imports --no-cache

tidy: $(VENV)/.dev
	$(PYTEST) -q -p no:cacheprovider tests/architecture/test_tidy.py

types: $(VENV)/.dev
	$(BIN)/mypy

migrations: $(VENV)/.dev
	$(BIN)/python -W ignore::RuntimeWarning manage.py makemigrations --check --dry-run

openapi: $(VENV)/.dev
	$(BIN)/python manage.py spectacular --validate --fail-on-warn --file $(VENV)/openapi.yaml

documents: $(VENV)/.dev
	$(BIN)/python manage.py document_security --check
	$(BIN)/python manage.py translations --check

fix: $(VENV)/.dev ## Formats the tree and repairs what ruff can.
	$(BIN)/ruff check --fix --quiet . || true
	$(BIN)/ruff format --quiet .

# --- maintenance ------------------------------------------------------------------------------------------------------

LOCK := $(BIN)/uv pip compile --quiet --generate-hashes --universal --no-strip-extras --python-version 3.11 \
  --no-emit-index-url --custom-compile-command "make lock"

.PHONY: lock schema messages
messages: $(VENV)/.dev ## Brings locale/ up to date with the texts of the sources and compiles it.
	$(BIN)/python manage.py translations

schema: $(VENV)/.dev ## Writes docs/MESSAGES.md, docs/ERRORS.md and docs/SECURITY-REQUIREMENTS.md.
	$(BIN)/python manage.py document_messages
	$(BIN)/python manage.py document_errors
	$(BIN)/python manage.py document_security

lock: $(VENV)/.dev ## Writes the lock files anew from the .in files.
	$(LOCK) --output-file requirements.txt requirements.in
	$(LOCK) --output-file requirements-ccxt.txt requirements-ccxt.in
	$(LOCK) --output-file requirements-dev.txt requirements-dev.in
	$(LOCK) --output-file requirements-nightly.txt requirements-nightly.in
