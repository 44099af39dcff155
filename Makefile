# Everything starts from a fresh machine with Python 3.11 to 3.13 and make. PYTHON=python3.12 make ... picks another.
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.13 || command -v python3)
BIN := .venv/bin

.PHONY: help setup train test lint types imports wheel check clean

help:
	@echo "make train    set up, then train the main job: invlearn train dataset=twopart model=extended"
	@echo "make test     set up, then run every test"
	@echo "make check    lint, types, import rules and the wheel, as CI does after the tests"
	@echo "make clean    remove .venv and caches; outputs/ stays"

# Made anew when the dependencies change.
.venv/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

setup: .venv/.installed

train: setup
	$(BIN)/invlearn train dataset=twopart model=extended

test: setup
	$(BIN)/python -m pytest -n 2 --dist loadgroup

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/pyright

imports: setup
	$(BIN)/lint-imports

# Build the wheel, install it where there is no repository, and train with it.
wheel: setup
	PYTHON=$(PYTHON) sh tests/check_wheel.sh

check: lint types imports wheel

clean:
	rm -rf .venv .pytest_cache .ruff_cache .hypothesis .import_linter_cache dist build
