# Everything a fresh machine needs: Python 3.11 to 3.13 and make. `make` alone lists the targets.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SET_UP := $(VENV)/spikeport-ready
LAVA := $(VENV)/lava/spikeport-lava-ready
RUN ?= runs/digits

# Fast tests of the rooms where most changes are made: no training, no Lava, no other process.
QUICK := tests/spikeport tests/hardware_profiles tests/export/network tests/export/lowering tests/export/quantization \
  tests/export/mapping tests/export/graph tests/pipeline/distillation tests/pipeline/profiling tests/test_architecture.py

.PHONY: help setup demo quick test docs benchmark clean
.DEFAULT_GOAL := help

help:
	@echo "make demo       set up, train and deploy the embedded digits, write a report"
	@echo "make quick      set up, then ruff and a fast part of the tests: an answer in under a minute"
	@echo "make test       set up, then ruff, mypy, pyright and pytest, Lava included"
	@echo "make docs       set up, then the documentation as a site in build/site"
	@echo "make benchmark  set up, then every benchmark, each printing a ratio"
	@echo "make clean      remove the environments, runs and caches of this folder"

setup: $(SET_UP) $(LAVA)

$(SET_UP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
	  { echo "Spikeport needs Python 3.11 to 3.13, $(PYTHON) is another: make PYTHON=python3.12 ..."; exit 2; }
	@echo "Setting up $(VENV) with the versions of constraints.txt (some minutes, once)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@$(BIN)/python typings/link.py
	@touch $@

$(LAVA): $(SET_UP)
	@$(BIN)/spikeport lava install
	@touch $@

demo: setup
	@$(BIN)/spikeport run recipes/digits.toml --out $(RUN) --resume

test: setup
	@echo "ruff" && $(BIN)/ruff check --quiet . && $(BIN)/ruff format --check --quiet .
	@echo "mypy" && $(BIN)/mypy --no-error-summary
	@echo "pyright" && $(BIN)/python -m pyright --pythonpath $(BIN)/python
	@echo "pytest" && OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadgroup

quick: $(SET_UP)
	@$(BIN)/ruff check --quiet . && $(BIN)/ruff format --check --quiet .
	@OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 -m "not slow and not lava" $(QUICK)

docs: $(SET_UP)
	@$(BIN)/python typings/link.py && NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet
	@echo build/site/index.html

benchmark: setup
	@$(BIN)/python benchmarks/run_all.py

clean:
	rm -rf $(VENV) runs build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
