# `make` without a target lists all targets. Every target sets up .venv itself, once.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory
# Without bytecode, every start of a program and every worker of the tests would compile everything anew.
unexport PYTHONDONTWRITEBYTECODE

VENV := .venv
BIN := $(VENV)/bin
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes
IMAGE ?= partnercenter-exporter
BUILDER ?= docker build
VERSION = $(shell sed -n 's/^__version__ = "\(.*\)"/\1/p' exporter/__init__.py)
REVISION = $(shell git rev-parse HEAD 2>/dev/null || echo unknown)
BRANCH = $(shell git rev-parse --abbrev-ref HEAD 2>/dev/null || echo unknown)

##@ Try
.PHONY: demo
demo: $(VENV)/run.stamp ## run the exporter against a simulated Partner Center; DEMO_FLAGS="--speed 3600 …"
	@exec $(BIN)/python -m exporter demo $(DEMO_FLAGS)

##@ Develop
# One file per worker: fixtures shared within a file are torn down with it. In the order of tests/conftest.py. Twice as
# many workers as there are cores, as half of the time is spent waiting.
PYTEST = pytest -q -n $(shell expr 2 \* $$(getconf _NPROCESSORS_ONLN)) --dist loadfile --no-loadscope-reorder

.PHONY: quick
quick: ## lint, types and unit tests side by side, in less than a minute
	@$(MAKE) --jobs=3 --output-sync=target lint types unit

.PHONY: test
test: $(VENV)/dev.stamp ## run all tests; PYTEST_FLAGS="-k poller -x …", COVERAGE=yes
ifndef COVERAGE
	@$(BIN)/python -m $(PYTEST) $(PYTEST_FLAGS)
else
	@rm -rf build/coverage
	@mkdir -p build/coverage
	@$(BIN)/python -m coverage run -m $(PYTEST) $(PYTEST_FLAGS); status=$$?; \
		$(BIN)/python -m coverage combine --quiet && $(BIN)/python -m coverage report && exit $$status
endif

.PHONY: unit
unit: $(VENV)/dev.stamp ## run the unit tests alone
	@$(BIN)/python -m $(PYTEST) tests/unit $(PYTEST_FLAGS)

.PHONY: coverage
coverage: ## run all tests and report the lines and branches not covered; fails below 95 %
	@$(MAKE) test COVERAGE=yes

.PHONY: mutants
mutants: $(VENV)/mutants.stamp ## run mutation tests; MUTANTS_FLAGS=--update rewrites tests/mutants.md
	@$(BIN)/python -m tests.mutants $(MUTANTS_FLAGS)

.PHONY: rule-mutants
rule-mutants: $(VENV)/dev.stamp ## run mutation tests of the alert rules; RULE_MUTANTS_FLAGS="--rule NAME" or --update
	@$(BIN)/python -m tests.rule_mutants $(RULE_MUTANTS_FLAGS)

.PHONY: check
check: lint types test ## everything that a change must pass

.PHONY: lint
lint: $(VENV)/dev.stamp ## run all hooks of pre-commit: style, spelling, imports, dependencies, YAML, shell
	@$(BIN)/pre-commit run --all-files

.PHONY: format
format: $(VENV)/dev.stamp ## fix style and formatting automatically where possible
	@$(BIN)/ruff check --fix --quiet || true
	@$(BIN)/ruff format

.PHONY: types
types: $(VENV)/dev.stamp ## run mypy in strict mode
	@$(BIN)/mypy

.PHONY: benchmark
benchmark: $(VENV)/run.stamp ## time to first response, and memory; BENCHMARK_FLAGS="--runs 9"
	@$(BIN)/python -m benchmarks.start $(BENCHMARK_FLAGS)

.PHONY: benchmarks
benchmarks: $(VENV)/dev.stamp ## all benchmarks, 15 minutes; BENCHMARK_FLAGS=--small takes a minute
	@for name in scrape poll hundred_polls customers; do \
		echo "== $$name"; $(BIN)/python -m benchmarks.$$name $(BENCHMARK_FLAGS) || exit; \
	done

##@ Release
.PHONY: wheel
wheel: $(VENV)/dev.stamp ## build the sdist and the wheel into dist/
	@$(BIN)/python -m build --no-isolation

.PHONY: release-check
release-check: $(VENV)/dev.stamp ## all that can be known of a release before it is one; TAG=v1.2.3
	@TAG='$(TAG)' VENV='$(VENV)' .ci/release-check

.PHONY: configure-repository
configure-repository: ## set the repository's address everywhere; URL=https://forge.example/owner/name
	@python3 .ci/configure-repository '$(URL)'

.PHONY: image
image: ## build the container image; IMAGE=name:tag, BUILDER="podman build --format docker"
	@$(BUILDER) --tag $(IMAGE) --build-arg VERSION=$(VERSION) --build-arg REVISION=$(REVISION) \
		--build-arg 'BRANCH=$(BRANCH)' .

LOCK = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" $(LOCK_FLAGS)

.PHONY: lock
lock: $(VENV)/dev.stamp ## update the pinned versions after a change in pyproject.toml; LOCK_FLAGS=--upgrade
	@$(LOCK) pyproject.toml --extra simulator --output-file requirements/run.txt
	@for name in build dev mutants ci; do \
		$(LOCK) requirements/$$name.in --output-file requirements/$$name.txt || exit; \
	done

.PHONY: clean
clean: ## remove everything that make created
	@rm -rf $(VENV) dist build mutants .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: help
help: ## list all targets
	@awk 'BEGIN {FS = ":.*## "} \
		/^##@ / {printf "\n%s\n", substr($$0, 5)} \
		/^[a-z-]+:.*## / {printf "  make %-20s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))
	@echo

# Set-up. pip installs nothing whose hash isn't in requirements/. The checkout itself is added with a .pth file, so
# that `python -m exporter` works in every directory: an editable install would need a build tool.
$(VENV)/run.stamp: requirements/run.txt | $(BIN)/python
	@echo "Installing the exporter's dependencies …"
	@$(PIP_INSTALL) -r requirements/run.txt
	@echo "$(CURDIR)" >"$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/checkout.pth"
	@touch $@

$(VENV)/dev.stamp: requirements/dev.txt $(VENV)/run.stamp
	@echo "Installing the development dependencies …"
	@$(PIP_INSTALL) -r requirements/dev.txt
	@touch $@

$(VENV)/mutants.stamp: requirements/mutants.txt $(VENV)/dev.stamp
	@echo "Installing the mutation tests' dependencies …"
	@$(PIP_INSTALL) -r requirements/mutants.txt
	@touch $@

# PYTHON=… selects another interpreter. One is used only if it starts, is new enough and can create environments.
$(BIN)/python:
	@for python in $(PYTHON) python3 python3.14 python3.13 python3.12 python3.11; do \
		if "$$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
			echo "Creating $(VENV) with $$("$$python" --version) …"; \
			exec "$$python" -m venv --clear $(VENV); \
		fi; \
	done; \
	echo "No Python 3.11 or newer with its venv module was found. Install one, for example with:" >&2; \
	echo "  apt install python3 python3-venv   (Debian 12, Ubuntu 24.04 and newer)" >&2; \
	echo "  dnf install python3.12             (Fedora, RHEL)" >&2; \
	echo "or specify one: make $(MAKECMDGOALS) PYTHON=/path/to/python3" >&2; \
	exit 1
