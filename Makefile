# One door for chores. Every target sets up what it needs.
PYTHON ?= python3.11
BIN := .venv/bin

.PHONY: setup demo test test-slow test-gpu lint format docs dist clean

setup: .venv/.ready

# uv resolves torch and torchvision from one registry, so that their binaries match; the
# constraints pin every version. uv itself comes through pip into the same environment; it trusts
# the system's certificates, as pip is usually configured to, so that it works behind a proxy, and
# compiles, as pip does: a study starts many processes, and each would compile what it imports
# where Python may not write (PYTHONDONTWRITEBYTECODE, a shared environment).
.venv/.ready: pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null 2>&1 || { echo "Python 3.11 is needed (set PYTHON=...)" >&2; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet 'uv>=0.13'
	$(BIN)/uv pip install --quiet --compile-bytecode --system-certs --python $(BIN)/python --constraint constraints.txt --editable '.[dev,cmaes,cluster,dashboard,timm,trackers]'
	touch $@

demo: setup
	$(BIN)/mixco study run demo
	$(BIN)/mixco report results/demo

# A test process that dies ends the run: pytest-xdist would wait for ever for what it had still to do.
PYTEST := $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder --max-worker-restart 0

test: setup
	$(PYTEST) -m "not slow"

test-slow: setup
	$(PYTEST) -m slow

# On a machine that has a GPU and a Python with torch, but perhaps neither Ray nor a registry:
# make test-gpu GPU_PYTHON=python3. Only these files can be read there.
GPU_PYTHON ?= $(BIN)/python
test-gpu:
	$(GPU_PYTHON) -m pytest -m gpu $$(grep -l 'device: str' tests/test_*.py)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy examples/*/*.py

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The documents as a site, in build/site; a warning is an error. What it needs is not in `setup`.
docs: setup
	$(BIN)/uv pip install --quiet --system-certs --python $(BIN)/python --constraint constraints.txt --editable '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet

# A source archive, and a wheel that is built from it. The version is that of the last git tag.
dist: setup
	$(BIN)/uv build --quiet --system-certs --clear

clean:
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis results
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
