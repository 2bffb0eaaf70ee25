# Everything a fresh machine needs: Python 3.11 to 3.13 and make. `make` alone lists the targets.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SET_UP := $(VENV)/spikeport-ready
LAVA := $(VENV)/lava/spikeport-lava-ready
RUN ?= runs/digits

.PHONY: help setup demo test benchmark clean
.DEFAULT_GOAL := help

help:
	@echo "make demo       set up, train and deploy the embedded digits, write a report"
	@echo "make test       set up, then ruff, mypy and pytest, Lava included"
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
	@echo "pytest" && OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadgroup

benchmark: setup
	@$(BIN)/python benchmarks/run_all.py

clean:
	rm -rf $(VENV) runs build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
