# Postern: what one does with a checkout. Needs Python 3.11 or later with venv, make, and nothing else.
# POSIX sh, and GNU make from 3.81 on (macOS).

.DEFAULT_GOAL := help
.SUFFIXES:
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input
# Every artefact is checked against the hashes in the lock, and nothing is resolved anew.
PIP_INSTALL := $(PIP) install --quiet --require-hashes --no-deps

# One stamp per step, inside the environment, so that removing the environment forgets the steps too.
ENVIRONMENT_READY := $(VENV)/.stamp-environment
RUNTIME_READY := $(VENV)/.stamp-runtime
DEVELOPMENT_READY := $(VENV)/.stamp-development
OTHERS_READY := $(VENV)/.stamp-others

# Given on the command line or in the environment, these reach the settings: make run PORT=8080 WORKERS=2
export PORT HOST WORKERS DATABASE_URL

# Sources that are linted and formatted; pyproject.toml says which are checked for types.
CODE := src tests migrations $(wildcard bench tools)

.PHONY: help
help: ## Show what there is to do
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

.PHONY: run
run: $(RUNTIME_READY) ## Install, migrate and serve at http://127.0.0.1:8000 (PORT= HOST= DATABASE_URL= WORKERS=)
	@exec $(BIN)/postern serve --migrate

.PHONY: test
test: $(DEVELOPMENT_READY) ## Run every test that this machine can run; with CI=true a missing server is a failure
ifeq ($(CI),true)
	@$(call pytest,$(COVERAGE) -m "not ($(UNTRACED))") && measured=0 || measured=$$?; \
	$(call pytest,-m "$(UNTRACED)") && exit $$measured
else
	$(call pytest)
endif

.PHONY: unit
unit: $(DEVELOPMENT_READY) ## Run the tests that need no server, in seconds, while one works (make test runs all)
	$(BIN)/python -m pytest tests/unit -m "not slow" -n 2 --dist worksteal -q $(ARGS)

# On Python 3.11 a tracer doubles the time of what calls libraries, and takes ten times that of pure loops.
COVERAGE := --cov --cov-report=term
UNTRACED := faults or untraced
pytest = $(BIN)/python -m pytest $(PROCESSES) $(SLOWEST) $(1) $(ARGS)
SLOWEST := --durations=25 --durations-min=1
# More than a small machine has cores: half the time a test waits for a server, a disk or a clock.
PROCESSES := -n 4 --dist worksteal

.PHONY: coverage
coverage: $(DEVELOPMENT_READY) ## Run every test and measure line and branch coverage
	$(call pytest,$(COVERAGE) -m "not ($(UNTRACED))")

.PHONY: install
install: $(RUNTIME_READY) ## Create .venv with the locked dependencies and .venv/bin/postern

.PHONY: dev
dev: $(DEVELOPMENT_READY) ## The same, and the tools for development

.PHONY: lint
lint: $(DEVELOPMENT_READY) ## Check style, format, architecture, regular expressions and private names
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/lint-imports
	$(BIN)/python -m tools.regexes
	$(BIN)/python -m tools.private_names

.PHONY: types
types: $(DEVELOPMENT_READY) ## Check types with mypy (strict) and pyright
	$(BIN)/mypy
	$(BIN)/pyright

.PHONY: format
format: $(DEVELOPMENT_READY) ## Format, and fix what can be fixed safely
	$(BIN)/ruff check --fix --exit-zero --quiet $(CODE)
	$(BIN)/ruff format $(CODE)

.PHONY: torture
torture: $(DEVELOPMENT_READY) ## Cast 100,000 random votes from 8 processes on every database, and count (ARGS=)
	PYTHONPATH=src:. $(BIN)/python -m tools.torture_votes $(ARGS)

.PHONY: torture-http
torture-http: $(DEVELOPMENT_READY) ## Ask 50,000 generated requests, and hold each answer against the document (ARGS=--cases 200000)
	PYTHONPATH=src:. $(BIN)/python -m tools.torture_http $(ARGS)

.PHONY: torture-events
torture-events: $(DEVELOPMENT_READY) ## Relay 10,000 events by 4 relays, killed and frozen, to brokers that go away (ARGS=)
	PYTHONPATH=src:. $(BIN)/python -m tools.torture_events $(ARGS)

.PHONY: torture-slow
torture-slow: $(DEVELOPMENT_READY) ## Serve honest clients among 3,100 that are slow on purpose, for two minutes (ARGS=)
	PYTHONPATH=src:. $(BIN)/python -m tools.torture_slow $(ARGS)

.PHONY: torture-storage
torture-storage: $(DEVELOPMENT_READY) ## Fill, freeze, lock, lose and kill databases of its own under load, and count (ARGS="sqlite mariadb")
	PYTHONPATH=src:. $(BIN)/python -m tools.torture_storage $(ARGS)

.PHONY: torture-process
torture-process: $(DEVELOPMENT_READY) ## Stop, kill and reload servers under load, 20 times each (ARGS="stops --times 50")
	PYTHONPATH=src:. $(BIN)/python -m tools.torture_process $(ARGS)

.PHONY: depth
depth: $(DEVELOPMENT_READY) ## Compare page 10,000 of each list with page 1 on a million posts (ARGS="sqlite mariadb")
	PYTHONPATH=src:. $(BIN)/python -m bench.depth $(or $(ARGS),sqlite)

.PHONY: counts
counts: $(DEVELOPMENT_READY) ## Hold the hot paths to their instructions in bench/counts.json (ARGS=--write: new figures)
	$(BIN)/python -m bench.counts $(ARGS)

.PHONY: profile
profile: $(DEVELOPMENT_READY) ## Say where the CPU time of a request goes, as in docs/performance.md (ARGS=)
	PYTHONPATH=src:. $(BIN)/python -m bench.profile $(ARGS)

.PHONY: check
check: lint types test counts ## Lint, types, tests with the slowest of them, and instruction counts

.PHONY: migrate
migrate: $(RUNTIME_READY) ## Bring the database's schema up to date (DATABASE_URL=)
	@$(BIN)/postern migrate

# Each contender runs from an environment that holds what it needs and nothing of the others: what is installed beside a
# program may be imported by it. Postern's is what `make install` makes.
BENCH := bench/.environments

.PHONY: bench
bench: environments ## Measure Postern side by side with others, 40 minutes (ARGS="--only PART"; needs wrk and two cores)
	$(BENCH)/postern/bin/python -m bench $(ARGS)

.PHONY: startup
startup: environments ## Measure how long a start takes, in CPU time too, and its memory (ARGS="sqlite mariadb --rounds 9")
	$(BENCH)/postern/bin/python -m bench.startup $(ARGS)

.PHONY: bench-quick
bench-quick: environments ## Measure less of it, in under five minutes
	$(BENCH)/postern/bin/python -m bench --quick $(ARGS)

.PHONY: environments
environments:
	@$(MAKE) --silent install VENV=$(BENCH)/postern
	@$(MAKE) --silent others VENV=$(BENCH)/others

.PHONY: others
others: $(OTHERS_READY)

.PHONY: lock
lock: $(DEVELOPMENT_READY) ## Make the lock files anew from pyproject.toml (UPGRADE=1: to the newest versions)
	$(LOCK) pyproject.toml -o requirements/runtime.txt
	$(LOCK) --group build -o requirements/build.txt
	$(LOCK) pyproject.toml --group dev -c requirements/runtime.txt -c requirements/build.txt -o requirements/dev.txt
	$(LOCK) --group bench -c requirements/dev.txt -o requirements/bench.txt

# No header, no index: a lock says what is installed, not where it came from. drf-spectacular-sidecar is here for its
# static files alone (docs/adr/0008), so Django, which it names as a dependency, stays out.
LOCK = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
	--no-emit-index-url --no-annotate --no-emit-package django --no-emit-package asgiref \
	--no-emit-package sqlparse $(if $(UPGRADE),--upgrade)

.PHONY: clean
clean: ## Remove the environment and what tools have cached, but no data
	rm -rf $(VENV) $(BENCH) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .coverage .coverage.* build src/*.egg-info

# An environment that is there and works is kept, whoever made it. Otherwise: the newest Python that the tests are run
# on, else a newer one. A name on PATH may still not run (pyenv), and Debian's Python may lack venv, so each candidate
# is tried.
$(ENVIRONMENT_READY):
	@set -e; found=; seen=; \
	if "$(BIN)/python" -c 'import pip, sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
		touch "$@"; exit 0; \
	fi; \
	for candidate in $(PYTHON) python3.13 python3.12 python3.11 python3.14 python3 python; do \
		"$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 || continue; \
		seen="$$candidate"; \
		"$$candidate" -c 'import ensurepip, venv' >/dev/null 2>&1 || continue; \
		found="$$candidate"; break; \
	done; \
	if [ -z "$$seen" ]; then \
		echo "make: Python 3.11 or later is needed and not on PATH; name it with PYTHON=/path/to/python3" >&2; exit 1; \
	elif [ -z "$$found" ]; then \
		echo "make: $$seen lacks the venv module (Debian and Ubuntu: apt install python3-venv)" >&2; exit 1; \
	fi; \
	echo "Creating $(VENV) with $$found ($$("$$found" -V))"; \
	"$$found" -m venv --clear "$(VENV)"; \
	touch "$@"

# The package itself is installed in place: what is in src/ is what runs.
$(RUNTIME_READY): requirements/runtime.txt requirements/build.txt pyproject.toml | $(ENVIRONMENT_READY)
	@echo "Installing the locked dependencies (the first time takes a minute)"
	@$(PIP_INSTALL) -r requirements/runtime.txt -r requirements/build.txt
	@$(PIP) install --quiet --no-build-isolation --no-deps --editable .
	@$(BIN)/python -m compileall -q src migrations # so that the first start is as fast as every other
	@touch $@

$(DEVELOPMENT_READY): requirements/dev.txt $(RUNTIME_READY)
	@echo "Installing the locked tools for development (the first time takes a minute)"
	@$(PIP_INSTALL) -r requirements/dev.txt
	@touch $@

$(OTHERS_READY): requirements/bench.txt | $(ENVIRONMENT_READY)
	@echo "Installing what Postern is measured against (the first time takes a minute)"
	@$(PIP_INSTALL) -r requirements/bench.txt
	@touch $@
