# Everything here sets itself up: a virtual environment in .venv, made of a hashed requirements file.
SHELL := /bin/bash
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready
WORK := .work
# `unit`, `online` (package index and Debian archive), `engines` (as root: starts docker, podman and containerd in namespaces of their own).
TIERS ?= unit online engines
ENGINE ?= bwrap

.PHONY: help demo test corpus lint format bench docs registries clean

help:
	@echo "make demo   build examples/chatchat for amd64 and arm64, from nothing"
	@echo "make test   run the tests; TIERS=unit runs only those that need no network and no root"
	@echo "make corpus check and init the applications of tests/corpus; APPS='NAME NAME' selects, ENGINE names the engine [bwrap], PLATFORM another platform"
	@echo "make lint   check style, types and import directions"
	@echo "make format format the code and fix what ruff can fix"
	@echo "make bench  measure shipwheel and other tools"
	@echo "make docs   write docs/reference, action.yml and templates from the code"
	@echo "make registries   measure pushes to registries with the habits of real ones, and write docs/registries.md"

$(STAMP): requirements-dev.txt pyproject.toml scripts/bootstrap
	PYTHON=$(PYTHON) scripts/bootstrap $(VENV)
	@touch $@

demo: $(STAMP)
	$(BIN)/shipwheel build examples/chatchat --tag chatchat:0.3.1.3 --output $(WORK)/chatchat.oci

test: $(STAMP)
	PYTHON=$(BIN)/python scripts/test $(TIERS)

corpus: $(STAMP)
	$(BIN)/python tests/corpus_runner.py --engine $(ENGINE) --platform "$(PLATFORM)" $(APPS)

lint format: export NO_SYSTEM_PACKAGES = 1

lint: $(STAMP)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	MYPY=$(BIN)/mypy scripts/types
	$(BIN)/pytest -q tests/test_import_direction.py

format: $(STAMP)
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: $(STAMP)
	$(BIN)/python benchmarks/run.py

docs: $(STAMP)
	$(BIN)/python scripts/reference.py docs/reference
	$(BIN)/python scripts/ci_files.py

registries: $(STAMP)
	$(BIN)/python scripts/registries.py docs/registries.md

clean:
	rm -rf $(VENV) $(WORK) .mypy_cache .ruff_cache .pytest_cache
