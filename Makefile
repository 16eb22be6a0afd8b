# Needs Python 3.10 or newer, git and make. Everything is installed into .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

# Without an NVIDIA GPU on Linux, torch's CPU build: the default one brings gigabytes of CUDA. Yours: make TORCH_INDEX=...
TORCH_INDEX ?= $(shell [ "$$(uname -s)" != Linux ] || command -v nvidia-smi >/dev/null 2>&1 || \
	echo --extra-index-url https://download.pytorch.org/whl/cpu)

.PHONY: help install demo test lint format clean

help:
	@echo 'make install  install into $(VENV)'
	@echo 'make demo     install, then fit every first model to embedded data and compare them (about 6 minutes)'
	@echo 'make test     install, then lint, check types and run the tests'
	@echo 'make lint     lint and check types only'
	@echo 'make format   format the code'
	@echo 'make clean    remove $(VENV), caches and the demo'

install: $(VENV)/.installed

demo: install
	$(BIN)/pushforward demo

test: lint
	$(BIN)/python -m pytest -n 2

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check
	$(BIN)/mypy

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

clean:
	rm -rf $(VENV) demo build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
		{ echo 'Python 3.10 or newer is needed: make PYTHON=python3.12 ...'; exit 1; }
	$(PYTHON) -m venv $(VENV)

# pip 25.1 is the first that knows dependency groups.
$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) install --quiet --upgrade 'pip>=25.1'
	@echo "installing torch and what else is needed into $(VENV): a few minutes the first time"
	$(PIP) install --quiet --retries 2 --constraint constraints.txt $(TORCH_INDEX) torch
	$(PIP) install --quiet --constraint constraints.txt --editable .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(PIP) install --quiet --constraint constraints.txt --group dev
	@touch $@
