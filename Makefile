# `make test` and `make reproduce` set up what they need in .venv and nothing outside it.
PYTHON ?= python3
VENV := .venv
OLDEST := .venv-oldest
BIN := $(VENV)/bin
READY := $(VENV)/ready

.PHONY: help test test-oldest coverage lint format wheel reproduce docs docs-serve figures bench bench-coupling bench-linear bench-optim clean

help:  ## what can be made
	@grep -E '^[a-z-]+:.*##' Makefile | sed 's/:.*##/\t/'

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "polarstep needs Python 3.11 or newer: make PYTHON=...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[reproduce,torch,dask,onnx,dev]'
	@touch $@

test: lint  ## check style and types, run all tests (figures, command line and README included)
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2

test-oldest:  ## run the tests with the oldest versions that pyproject.toml admits, in .venv-oldest
	$(PYTHON) -m venv $(OLDEST)
	$(OLDEST)/bin/pip install --quiet --disable-pip-version-check -c constraints-oldest.txt \
		-e '.[reproduce,torch,dask]' hypothesis pandas polars pyarrow pytest pytest-xdist
	OMP_NUM_THREADS=1 $(OLDEST)/bin/pytest -n 2

coverage: $(READY)  ## run all tests and report the lines that they do not reach
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --cov --cov-report=term-missing:skip-covered

lint: $(READY)  ## check style, types, the direction of imports and public docstrings
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/python tools/docstrings.py

format: $(READY)  ## rewrite the code in the project's style
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

wheel: $(READY)  ## build the distributions in dist, install the wheel into a clean environment, use it
	rm -rf dist
	$(BIN)/python -m build
	$(BIN)/python tools/check_wheel.py dist

reproduce: $(READY)  ## run the paper's experiments, quick preset, and write results/report.html
	$(BIN)/polarstep reproduce all --preset quick --out results

$(VENV)/ready-docs: $(READY)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[docs]'
	@touch $@

docs: $(VENV)/ready-docs  ## build the documentation site, its examples included, in docs/_build/html
	rm -rf docs/api/generated
	OMP_NUM_THREADS=1 $(BIN)/python -m sphinx --builder html --fail-on-warning --keep-going --nitpicky --quiet docs docs/_build/html
	@echo "docs/_build/html/index.html"

docs-serve: docs  ## build the site and show it at http://127.0.0.1:8000
	$(BIN)/python -m http.server --bind 127.0.0.1 --directory docs/_build/html 8000

figures: $(READY)  ## draw the figures that README shows, as SVG and PNG, from runs of a few seconds
	OMP_NUM_THREADS=1 $(BIN)/python docs/draw_figures.py

bench: $(READY)  ## time an iteration of each method beside plain NumPy
	$(BIN)/python benchmarks/iteration_cost.py

bench-coupling: $(READY)  ## time coupling beside its peers (pip install curvlinops-for-pytorch pyhessian)
	$(BIN)/python benchmarks/coupling.py

bench-linear: $(READY)  ## time linear models to the same accuracy beside their peers (pip install glum; some 25 minutes)
	$(BIN)/python benchmarks/linear

bench-optim: $(READY)  ## train networks with LengthDirection and its peers at many learning rates (hours)
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/optim

clean:  ## remove the environment and the caches, not the results
	rm -rf $(VENV) $(OLDEST) docs/_build docs/gallery docs/api/generated dist .coverage* \
		.pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
