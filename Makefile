# Everything here sets itself up: a virtual environment in .venv, made of a hashed requirements file.
SHELL := /bin/bash
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready
WORK := .work
# Of `unit`, `online` (package index and Debian archive) and `engines` (root; starts its own docker, podman, containerd).
TIERS ?= unit online engines

.PHONY: help demo test lint bench docs clean

help:
	@echo "make demo   build examples/chatchat for amd64 and arm64, from nothing"
	@echo "make test   run the tests; TIERS='unit' for the offline ones alone"
	@echo "make lint   ruff, mypy, the import directions"
	@echo "make bench  measure beside other tools"
	@echo "make docs   write docs/reference from the code"

$(STAMP): requirements-dev.txt pyproject.toml scripts/bootstrap
	PYTHON=$(PYTHON) scripts/bootstrap $(VENV)
	@touch $@

demo: $(STAMP)
	$(BIN)/shipwheel build examples/chatchat --tag chatchat:0.3.1.3 --output $(WORK)/chatchat.oci

test: $(STAMP)
	PYTHON=$(BIN)/python scripts/test $(TIERS)

lint: $(STAMP)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	MYPY=$(BIN)/mypy scripts/types
	$(BIN)/pytest -q tests/test_import_direction.py

bench: $(STAMP)
	$(BIN)/python benchmarks/run.py

docs: $(STAMP)
	$(BIN)/python scripts/reference.py docs/reference

clean:
	rm -rf $(VENV) $(WORK) .mypy_cache .ruff_cache .pytest_cache
