# Each target is one line of work; `make help` lists them. Scripts call the tool itself: make can only exit with 2.
PYTHON ?= python3
DEVICE ?= gpu
ENV    ?= .venv-paddle
ARGS   ?=
TOOL   := .venv-tool/bin

.DEFAULT_GOAL := help
.PHONY: help setup dev up verify test test-wheels lint format locks releases bench bench-self dist clean

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

up: setup  ## install the Paddle that fits this host into ENV (.venv-paddle), check it, report; DEVICE=cpu rehearses without a GPU
	@$(TOOL)/paddle-bootstrap up --env $(ENV) --device $(DEVICE) $(ARGS); code=$$?; echo "paddle-bootstrap exit code: $$code"; exit $$code

verify: setup  ## run the checks again on what is installed in ENV
	@$(TOOL)/paddle-bootstrap verify --env $(ENV) $(ARGS); code=$$?; echo "paddle-bootstrap exit code: $$code"; exit $$code

setup: .venv-tool/.ready  ## make the tool's own environment, .venv-tool

.venv-tool/.ready: pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is missing. Debian, Ubuntu: apt-get install python3 python3-venv"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { echo "$(PYTHON) is older than 3.10 (or no Python): install a newer one and name it: make PYTHON=python3.12 ..."; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { echo "python3-venv is missing. Debian, Ubuntu: apt-get install python3-venv"; exit 1; }
	@$(PYTHON) -m venv .venv-tool
	@$(TOOL)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

dev: .venv-tool/.dev  ## setup, and what tests and linters need

.venv-tool/.dev: .venv-tool/.ready
	@$(TOOL)/uv pip install --quiet --python $(TOOL)/python --group dev
	@touch $@

# Each test file and module is compiled once, whatever the shell says, not by each of some thousand processes.
test: dev  ## everything this repository tests without a GPU and without the GPU wheels; what .ci/run calls
	env -u PYTHONDONTWRITEBYTECODE $(TOOL)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder -m "not wheels" --strict-skips $(ARGS)

test-wheels: dev  ## what needs the 2.6 GB of GPU wheels
	$(TOOL)/python -m pytest -m wheels $(ARGS)

lint: dev  ## ruff and mypy
	$(TOOL)/ruff check . && $(TOOL)/ruff format --check . && $(TOOL)/mypy

format: dev  ## rewrite with ruff
	$(TOOL)/ruff check --fix . && $(TOOL)/ruff format .

locks: dev  ## rebuild the shipped locks and their piece digests (downloads every wheel)
	$(TOOL)/python -m paddle_bootstrap.lock.compose $(ARGS)

releases: dev  ## ask PyPI what it can answer of releases.toml and remake the README's table, with a diff; ARGS=--check writes nothing
	@$(TOOL)/python -m paddle_bootstrap.lock.refresh $(ARGS)

bench: dev  ## installing side by side with pip, uv and aria2c; ARGS="--only nolimit,ten --reps 1" for less (docs/benchmarks.md)
	@$(TOOL)/uv pip install --quiet --python $(TOOL)/python --group bench
	@$(TOOL)/python -m bench $(ARGS)

bench-self: dev  ## the tool alone: start, a run of checks, one big file against curl; as ratios
	@for each in bench/bench_*.py; do $(TOOL)/python $$each || exit 1; done

dist: dev  ## build the wheel and the sdist into dist/
	$(TOOL)/uv build --quiet --out-dir dist

clean:  ## remove the environments and caches that make made
	rm -rf .venv-tool .venv-paddle .test-cache dist .mypy_cache .ruff_cache .pytest_cache
