# keepfit: every command makes what it needs; running one again is quick. Works from a path with a space in it.

PYTHON ?= python3
ONLY ?=
MNIST ?=
BIN := .venv/bin
PIP_FLAGS := --quiet --quiet --disable-pip-version-check --no-input
INSTALLED := .venv/.installed

.DEFAULT_GOAL := help
.PHONY: help demo test check bench bench-learn lock test-newest clean

help:
	@echo "make demo         watch the loop close on a year of real flights (about four minutes)"
	@echo "make test         the whole test suite"
	@echo "make check        lint, format, types, import contracts, doctests"
	@echo "make bench        every benchmark, ONLY=name for one; results go to benchmarks/results/"
	@echo "make bench-learn  learners on Split MNIST beside published results (minutes), MNIST=folder of its files"
	@echo "make test-newest  the test suite on the newest releases that pyproject.toml admits"
	@echo "make lock         write constraints.txt anew from those"
	@echo "make clean        remove environments and caches"

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if (3, 11) <= v < (3, 14) else "keepfit needs Python 3.11 to 3.13, found %d.%d; name another: make PYTHON=python3.12" % v)'
	@[ -x $(BIN)/python ] || { echo "making .venv"; $(PYTHON) -m venv .venv; }
	@echo "installing into .venv"
	@$(BIN)/python -m pip install $(PIP_FLAGS) --constraint constraints.txt --editable '.[dev]'
	@touch $(INSTALLED)

demo: $(INSTALLED)
	@$(BIN)/python -m keepfit demo

test: $(INSTALLED)
	@$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

check: $(INSTALLED)
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --quiet --check .
	@$(BIN)/python -m mypy --no-error-summary
	@$(BIN)/python -c 'from importlinter.cli import lint_imports_command; lint_imports_command()' --no-cache
	@$(BIN)/python -m pytest --doctest-modules src --ignore src/keepfit/learn/deep/avalanche.py  # wants its extra

bench: $(INSTALLED)
	@$(BIN)/python -m benchmarks $(ONLY)

bench-learn: $(INSTALLED)
	@$(BIN)/python -m benchmarks.literature $(MNIST)

lock:
	@rm -rf .venv-newest
	@$(PYTHON) -m venv .venv-newest
	@.venv-newest/bin/python -m pip install $(PIP_FLAGS) --editable '.[dev]'
	@{ echo "# The newest releases pyproject.toml admits, on which the suite passes; written by: make lock"; \
	   .venv-newest/bin/python -m pip freeze --exclude-editable | sed "s/+cpu//"; } > constraints.new
	@mv constraints.new constraints.txt

test-newest:
	@[ -x .venv-newest/bin/python ] || $(PYTHON) -m venv .venv-newest
	@.venv-newest/bin/python -m pip install $(PIP_FLAGS) --upgrade --upgrade-strategy eager --editable '.[dev]'
	@.venv-newest/bin/python -m pytest

clean:
	@rm -rf .venv .venv-newest .peers .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis build dist
	@find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
