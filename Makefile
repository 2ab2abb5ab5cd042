# Two commands: `make dev` (everything, for real, on a simulated market) and `make test`. Both set up what they need in .venv.
PYTHON ?= python3
BIN    := .venv/bin
WORKERS ?= 4
STAMP  := .venv/.installed
ORACLES := .venv/.oracles
LOAD   := .bulkhead-load
AUDIT  := .bulkhead-audit
UV     ?= $(AUDIT)/bin/uv
STEPS  := 10,50,100
INSTALL := -m pip install --quiet --no-cache-dir --disable-pip-version-check --no-deps
PIP    := $(BIN)/python $(INSTALL)
# reads what an environment runs by itself without starting it; refuses what nobody has reviewed (services/cli/startup/reviewed.py)
GUARD  := $(PYTHON) -S -E -m services.cli.startup

.PHONY: help install dev paper test compose-test lint sim chaos drills paper-run bench bench-feed bench-exec bench-decide bench-backtest bench-backup bench-doors bench-log load soak-feed docs lock upgrade audit clean

help:
	@echo "make dev [NATIVE=1] [DATA=<folder of recorded market data>] [SPEED=20]   run the whole system on a simulated market, in containers where Docker answers; Ctrl-C stops it"
	@echo "make paper                      the same on the live market, on paper, in wall time, without a key (docs/paper-trading.md)"
	@echo "make test [WORKERS=4]           the whole test suite, against real servers, in so many processes"
	@echo "make compose-test               docker-compose.yml for real: built, brought up, looked into, killed (needs a Docker engine; long)"
	@echo "make sim [SEEDS=300] [SEED=7] [BUG=<name>]   seeded simulation; a failing seed prints the command that replays it"
	@echo "make chaos                      kill everything, repeatedly; the books must not notice (long)"
	@echo "make drills [LONG=1]            every alert on its way, from what is wrong to a message that people read (needs prometheus and alertmanager; long)"
	@echo "make paper-run [DAYS=14] [SYMBOLS=10] [SEED=1]   weeks of market through the running stack, with faults; writes docs/paper-run.md (an hour or more)"
	@echo "make soak-feed [MINUTES=30] [SEED=1]   the feed in bad weather, watched for what grows (long)"
	@echo "make bench-feed                 what reading the market costs, and how old a price is when the log tells it (recorded frames: BULKHEAD_DATA_DIR)"
	@echo "make bench-exec                 what an order costs between its approval in the log and the venue's wire, beside the floor"
	@echo "make bench-decide               what all agents and the gate cost for one closed bar of 100 instruments, beside the floor"
	@echo "make bench-doors                what a halt through the gateway takes, and what 500 listeners cost"
	@echo "make bench-backup [ENTRIES=100000] [ROUNDS=3]   what a backup costs and the way back, beside JetStream's own snapshots"
	@echo "make bench-log                  how fast the log grows on disk, by the number of instruments"
	@echo "make bench-backtest [BARS=500000] [ROUNDS=3]   what a bar of a backtest costs, beside freqtrade, backtrader, backtesting.py, vectorbt, nautilus_trader (installs them apart, once; Python 3.11)"
	@echo "make load [SYMBOLS=10,50,100] [SECONDS=75] [SPEED=1] [LIMIT=100]   the whole system under so many instruments, watched by Locust, and at how many it breaks (installs Locust apart, once; long)"
	@echo "make audit                      docs/security-audit.md: every subject with a verdict, what was seen, and the command that shows it again"
	@echo "make upgrade [ONLY='aiohttp ccxt']   newer dependencies, none younger than a week, and what changed (docs/SECURITY.md)"
	@echo "make lint | docs | lock | clean"

install: $(STAMP)

# what comes as source is built by a setuptools whose hash we know, not by the newest one
$(STAMP): requirements/dev.lock requirements/images/build.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Bulkhead needs Python 3.11 or newer; set PYTHON=..."; exit 1; }
	@echo "installing into .venv (once; about a minute) ..."
	@$(PYTHON) -m venv .venv
	@$(PIP) --require-hashes -r requirements/images/build.lock
	@$(PIP) --require-hashes --no-build-isolation -r requirements/dev.lock
	@$(GUARD) .venv
	@$(PIP) --no-build-isolation --editable .
	@$(GUARD) .venv
	@touch $(STAMP)

$(ORACLES): requirements/oracles.lock $(STAMP)
	@echo "installing what tests compare our figures with (once; about a minute) ..."
	@$(PIP) --require-hashes --no-build-isolation -r requirements/oracles.lock
	@$(GUARD) .venv
	@touch $(ORACLES)

# an environment of its own: locust brings a plugin into pytest, and gevent into whoever imports it
$(LOAD)/.installed: requirements/load.lock requirements/images/build.lock
	@echo "installing Locust into $(LOAD) (once; about a minute) ..."
	@$(PYTHON) -m venv --clear $(LOAD)
	@$(LOAD)/bin/python $(INSTALL) --require-hashes -r requirements/images/build.lock
	@$(LOAD)/bin/python $(INSTALL) --require-hashes --no-build-isolation -r requirements/load.lock
	@$(GUARD) --with=locust --with=gevent $(LOAD)
	@touch $(LOAD)/.installed

dev: install
	@$(if $(DATA),BULKHEAD_SIM_DATA="$(abspath $(DATA))") $(if $(SPEED),BULKHEAD_SIM_SPEED="$(SPEED)") $(if $(NATIVE),NATIVE=1) exec $(BIN)/python deploy/compose/dev.py

paper: install
	@exec $(BIN)/bulkhead up --mode paper --home .bulkhead-paper

# the workers leave rewritten test files, and services their byte code, for each other
test: export PYTHONDONTWRITEBYTECODE :=
test: install $(ORACLES)
	@$(BIN)/ruff check . && $(BIN)/ruff format --check --quiet .
	@$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal --reruns 1 --cov --cov-report=term:skip-covered --cov-fail-under=90

compose-test: install
	@$(BIN)/python -m pytest -m slow -rs -s tests/e2e/test_compose.py

lint: install
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .

sim: install
	@$(BIN)/python -m tests.simulation $(if $(SEED),--seed $(SEED),--seeds $(or $(SEEDS),300)) $(if $(BUG),--bug $(BUG))

chaos: install
	@$(BIN)/python -m tests.chaos

drills: install
	@$(BIN)/python -m tests.drills $(if $(LONG),--long)

paper-run: install
	@$(BIN)/python -m tests.paper_run --days $(or $(DAYS),14) --symbols $(or $(SYMBOLS),10) --seed $(or $(SEED),1)

soak-feed: install
	@$(BIN)/python -m tests.soak.feed --minutes $(or $(MINUTES),30) --seed $(or $(SEED),1)

docs: install
	@$(BIN)/python docs/generate.py
	@$(BIN)/python -m deploy.k8s.generate

# what chooses versions is chosen as well: uv by hash, in an environment of its own
$(AUDIT)/.installed: requirements/audit.lock requirements/images/build.lock
	@echo "installing what locks and audits into $(AUDIT) (once) ..."
	@$(PYTHON) -m venv --clear $(AUDIT)
	@$(AUDIT)/bin/python $(INSTALL) --require-hashes -r requirements/images/build.lock
	@$(AUDIT)/bin/python $(INSTALL) --require-hashes --no-build-isolation -r requirements/audit.lock
	@$(GUARD) $(AUDIT)
	@touch $(AUDIT)/.installed

# releases younger than the cool-down in pyproject.toml do not exist for any of these (docs/SECURITY.md)
KINDS := build machine gate model feed executor ledger people gateway venue cli
COMPILE = $(UV) pip compile --quiet $(CHOICE) --generate-hashes --no-header --no-emit-index-url --universal --python-version 3.11
lock: $(AUDIT)/.installed
	@$(COMPILE) --group dev pyproject.toml -o requirements/dev.lock
	@$(COMPILE) --group oracles --constraint requirements/dev.lock -o requirements/oracles.lock
	@$(COMPILE) --group load --constraint requirements/dev.lock -o requirements/load.lock
	@$(COMPILE) --group audit -o requirements/audit.lock
	@for kind in $(KINDS); do $(COMPILE) --group image-$$kind --constraint requirements/dev.lock -o requirements/images/$$kind.lock || exit 1; done
	@git diff --unified=0 -- requirements | grep -E '^[-+](\+\+ b/|[A-Za-z0-9])' || echo "no lock has changed"

audit: install $(ORACLES) $(AUDIT)/.installed
	@$(BIN)/python -m tests.audit --workers $(WORKERS)

upgrade: CHOICE = $(if $(ONLY),$(foreach name,$(ONLY),--upgrade-package $(name)),--upgrade)
upgrade: lock

clean:
	rm -rf .venv .bulkhead .bulkhead-peers $(LOAD) $(AUDIT) .pytest_cache .ruff_cache .hypothesis .coverage* *.egg-info

bench: install
	@$(BIN)/python -m benchmarks.replay_rate
	@$(BIN)/python -m benchmarks.append_rate

bench-feed: install
	@$(BIN)/python -m benchmarks.feed
	@$(BIN)/python -m benchmarks.mark_latency
	@$(BIN)/python -m benchmarks.mark_latency --speed 20 --seconds 60

bench-exec: install
	@$(BIN)/python -m benchmarks.execution

bench-decide: install
	@$(BIN)/python -m benchmarks.decide

bench-doors: install
	@$(BIN)/python -m benchmarks.doors

bench-log: install
	@$(BIN)/python -m benchmarks.log_growth

bench-backup: install
	@$(BIN)/python -m benchmarks.backup $(if $(ENTRIES),--entries $(ENTRIES)) $(if $(ROUNDS),--rounds $(ROUNDS))

bench-backtest: install
	@$(BIN)/python -m benchmarks.backtest_peers --bars $(or $(BARS),500000) --rounds $(or $(ROUNDS),3)
	@$(BIN)/python -m benchmarks.backtest_peers --bars $(or $(BARS),500000) --memory

load: install $(LOAD)/.installed
	@$(BIN)/python -m benchmarks.load --locust $(LOAD)/bin/python --symbols $(or $(SYMBOLS),$(STEPS)) --seconds $(or $(SECONDS),75) --speed $(or $(SPEED),1) --limit $(or $(LIMIT),100)
