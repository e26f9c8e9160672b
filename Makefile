# Two commands on a fresh machine with Python >= 3.11, make and pip:
#   make demo    trains a network on house prices and predicts five new houses
#   make test    checks everything
# Both set up .venv first.

VENV   := .venv
BIN    := $(VENV)/bin
BENCH  := .bench
DEMO   := runs/demo
WORKERS ?= 2
# Where `make torture` keeps its counts and inputs, and how long it runs.
TORTURE ?= .torture
MINUTES ?= 55

# The first interpreter that really is Python >= 3.11 (a version manager's shim may exist and fail).
PYTHON ?= $(shell for python in python3.13 python3.12 python3.11 python3 python; do \
	"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 \
	&& echo "$$python" && break; done)

.DEFAULT_GOAL := help
.PHONY: help demo test nightly extras torture mutants lint format docs site wheel bench clean

help: ## list these targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 16

demo: $(VENV)/.package ## train on King County house prices, then predict five new houses
	rm -rf $(DEMO)
	$(BIN)/chainrule train examples/data/house_prices.parquet --target price --out $(DEMO)
	$(BIN)/chainrule predict $(DEMO)/model.safetensors examples/data/new_houses.csv

# One BLAS thread each: the workers already fill the cores. Modules are compiled once, not by each process.
PYTEST := PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 \
	$(BIN)/python -m pytest --numprocesses=$(WORKERS)

test: lint ## lint, types and the tests, those of the documentation included
	$(PYTEST)

nightly: $(VENV)/.dev ## all tests, large sweeps included, and 10,000 other random graphs each time: hours
	CHAINRULE_NIGHTLY=1 CHAINRULE_RANDOM_GRAPHS=10000 $(PYTEST) -m ""

extras: $(BIN)/pip ## install each extra in an empty environment and use it: an hour, most of it downloads
	$(BIN)/python tests/extras.py

torture: $(VENV)/.dev ## an hour of crashes, interruptions, hostile files and random inputs; it goes on next time
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 nice -n 15 \
		$(BIN)/python -m tests.torture --store $(TORTURE) --minutes $(MINUTES)

mutants: $(VENV)/.dev ## put 500 small faults into the engine, training and optimizers: do tests notice?
	$(BIN)/python tests/mutants.py --workers $(WORKERS)

lint: $(VENV)/.dev ## style (ruff) and types (mypy)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.dev ## repair the style where ruff can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/.dev ## check that every link in the documentation resolves and every example runs
	$(BIN)/python -m pytest tests/test_documentation.py src

site: $(VENV)/.dev ## build the documentation as a site, with an API reference, in build/site
	$(BIN)/python docs/site/build.py

wheel: $(BIN)/pip ## build the wheel, install it in an empty environment, and train with it on example data
	rm -rf dist build/wheel
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir dist .
	$(BIN)/python -m venv build/wheel
	build/wheel/bin/python -m pip install --quiet --disable-pip-version-check dist/*.whl
	cd build/wheel && bin/chainrule example houses && bin/chainrule train houses.csv --target price \
		--epochs 1 --members 1 --out run && bin/chainrule predict run new_houses.csv

bench: $(BENCH)/.ready ## training steps and house prices beside the peers; writes benchmarks/README.md
	$(BENCH)/bin/python -m benchmarks.training_steps
	$(BENCH)/bin/python -m benchmarks.networks
	$(BENCH)/bin/python -m benchmarks.houses
	$(BENCH)/bin/python -m benchmarks.from_file
	$(BENCH)/bin/python -m benchmarks.ctc
	$(BENCH)/bin/python -m benchmarks.seq2seq

clean: ## remove what make and the tools have made; your runs stay, but for the demo's
	rm -rf $(VENV) $(BENCH) $(DEMO) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

# pip is the last thing venv installs: where it stands, the environment is whole.
$(BIN)/pip:
	@test -n "$(PYTHON)" || { echo "chainrule needs Python 3.11 or newer; none was found." \
		"Install it, or say where it is: make PYTHON=/path/to/python3" >&2; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)

$(VENV)/.package: pyproject.toml | $(BIN)/pip
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.dev: pyproject.toml | $(BIN)/pip
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $(VENV)/.package $@

$(BENCH)/.ready: benchmarks/requirements.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "chainrule needs Python 3.11 or newer; none was found." >&2; exit 1; }
	$(PYTHON) -m venv $(BENCH)
	$(BENCH)/bin/python -m pip install --quiet --disable-pip-version-check \
		--requirement benchmarks/requirements.txt --editable .
	@touch $@
