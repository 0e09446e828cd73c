# `make` alone lists what there is. Every target does its own set-up, in .venv, once.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

VENV := .venv
BIN := $(VENV)/bin
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes
IMAGE ?= partnercenter-exporter
BUILDER ?= docker build
VERSION = $(shell sed -n 's/^__version__ = "\(.*\)"/\1/p' exporter/__init__.py)
REVISION = $(shell git rev-parse HEAD 2>/dev/null || echo unknown)

##@ Try it
.PHONY: demo
demo: $(VENV)/run.stamp ## run the exporter against a simulated Partner Center; DEMO_FLAGS="--speed 3600 …"
	@exec $(BIN)/python -m exporter demo $(DEMO_FLAGS)

##@ Work on it
# A file at a time: what a file shares among its tests ends with it.
.PHONY: test
test: $(VENV)/dev.stamp ## run all tests; PYTEST_FLAGS="-k poller -x …"
	@$(BIN)/python -m pytest -q -n auto --dist loadfile $(PYTEST_FLAGS)

.PHONY: check
check: lint types test ## everything that a change must pass

.PHONY: lint
lint: $(VENV)/dev.stamp ## style, formatting, imports between packages, dependencies
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/deptry exporter partnercenter_simulator

.PHONY: format
format: $(VENV)/dev.stamp ## mend style and formatting where a program can
	@$(BIN)/ruff check --fix --quiet || true
	@$(BIN)/ruff format

.PHONY: types
types: $(VENV)/dev.stamp ## the types, strictly
	@$(BIN)/mypy

.PHONY: benchmark
benchmark: $(VENV)/run.stamp ## time to the first answer, and memory; BENCHMARK_FLAGS="--runs 9"
	@$(BIN)/python -m benchmarks.start $(BENCHMARK_FLAGS)

.PHONY: benchmarks
benchmarks: $(VENV)/dev.stamp ## every benchmark, a quarter of an hour; BENCHMARK_FLAGS=--small for a minute
	@for each in scrape poll hundred_polls; do \
		echo "== $$each"; $(BIN)/python -m benchmarks.$$each $(BENCHMARK_FLAGS) || exit; \
	done

##@ Ship it
.PHONY: wheel
wheel: $(VENV)/dev.stamp ## build the source archive and the wheel into dist/
	@$(BIN)/python -m build --no-isolation

.PHONY: image
image: ## build the container image; IMAGE=name:tag, BUILDER="podman build --format docker"
	@$(BUILDER) --tag $(IMAGE) --build-arg VERSION=$(VERSION) --build-arg REVISION=$(REVISION) .

LOCK = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" $(LOCK_FLAGS)

.PHONY: lock
lock: $(VENV)/dev.stamp ## choose the pinned versions anew where pyproject.toml wants it; LOCK_FLAGS=--upgrade
	@$(LOCK) pyproject.toml --extra simulator --output-file requirements/run.txt
	@for each in build dev ci; do \
		$(LOCK) requirements/$$each.in --output-file requirements/$$each.txt || exit; \
	done

.PHONY: clean
clean: ## remove everything that make has made
	@rm -rf $(VENV) dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: help
help: ## this list
	@awk 'BEGIN {FS = ":.*## "} \
		/^##@ / {printf "\n%s\n", substr($$0, 5)} \
		/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))
	@echo

# The set-up. pip takes nothing whose hash isn't in requirements/. The checkout itself is only pointed at, so
# that `python -m exporter` works in every folder: an editable installation would want a build tool.
$(VENV)/run.stamp: requirements/run.txt | $(BIN)/python
	@echo "Installing what the exporter needs …"
	@$(PIP_INSTALL) -r requirements/run.txt
	@echo "$(CURDIR)" >"$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/checkout.pth"
	@touch $@

$(VENV)/dev.stamp: requirements/dev.txt $(VENV)/run.stamp
	@echo "Installing what the tests need …"
	@$(PIP_INSTALL) -r requirements/dev.txt
	@touch $@

# PYTHON=… chooses another. An interpreter counts only when it starts, is new enough and can make environments.
$(BIN)/python:
	@for python in $(PYTHON) python3 python3.14 python3.13 python3.12 python3.11; do \
		if "$$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
			echo "Making $(VENV) with $$("$$python" --version) …"; \
			exec "$$python" -m venv --clear $(VENV); \
		fi; \
	done; \
	echo "No Python 3.11 or newer with its venv module was found. Install one, for example with:" >&2; \
	echo "  apt install python3 python3-venv   (Debian 12, Ubuntu 24.04 and newer)" >&2; \
	echo "  dnf install python3.12             (Fedora, RHEL)" >&2; \
	echo "or name one: make $(MAKECMDGOALS) PYTHON=/path/to/python3" >&2; \
	exit 1
