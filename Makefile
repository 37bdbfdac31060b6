# Needs only Python (3.11 or newer), pip and make.  The first call sets up .venv; later ones do not.

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
READY_DEV := $(VENV)/.ready-dev
ONE_THREAD := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help demo test fuzz lint format bench clean
.DELETE_ON_ERROR:

help: ## this list
	@sed -n 's/^\([a-z]*\):[^#]*## /  make \1	/p' $(MAKEFILE_LIST) | expand -t 16

demo: $(READY) ## bring a small model into accord with a preference, and show it
	@$(BIN)/accord demo $(ARGS)

# What Python compiles is kept even where it is told not to: each worker, and each process that a
# test starts, would compile all of it anew.
test: $(READY_DEV) ## all tests, on two cores (ARGS="-k config" for some)
	@$(ONE_THREAD) PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n 2 $(ARGS)

fuzz: $(READY_DEV) ## the readers on thousands of odd files (FUZZ=20000)
	@$(ONE_THREAD) ACCORD_FUZZ=$(or $(FUZZ),5000) $(BIN)/python -m pytest tests/data/test_fuzz.py $(ARGS)

lint: $(READY_DEV) ## formatting, lint, types
	@failed=0; \
	$(BIN)/ruff format --check . || failed=1; \
	$(BIN)/ruff check . || failed=1; \
	$(BIN)/mypy || failed=1; \
	exit $$failed

format: $(READY_DEV) ## format, and mend what lint can mend
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix .

bench: $(READY) ## speed beside peers, each in an environment of its own (ARGS="tasks=sft rounds=6")
	@$(BIN)/python benchmarks/bench.py $(ARGS)

clean: ## remove .venv and caches; your runs stay
	rm -rf $(VENV) .bench build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

# --- setting up -----------------------------------------------------------------------------------

# The first Python that is new enough; PYTHON=/path/to/python chooses another.
define find_python
	found=; \
	for name in $(PYTHON) python3 python3.13 python3.12 python3.11 python3.14 python; do \
	  if "$$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; \
	  then found=$$name; break; fi; \
	done; \
	if [ -z "$$found" ]; then \
	  echo "Accord needs Python 3.11 or newer; found $$(python3 --version 2>&1 || echo none)." \
	    "Install one, or say where it is: make PYTHON=/path/to/python3.12" >&2; \
	  exit 1; \
	fi
endef

$(READY): pyproject.toml constraints.txt
	@if ! $(BIN)/python -c 'import sys, pip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	  $(find_python); \
	  echo "Setting up $(VENV) with $$found: once, a few minutes."; \
	  "$$found" -m venv --clear $(VENV) || { \
	    echo "Could not make $(VENV); on Debian and Ubuntu the package python3-venv brings what is missing." >&2; \
	    exit 1; }; \
	fi
	@$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e .
	@touch $@

$(READY_DEV): $(READY)
	@$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@
