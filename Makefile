# Two commands do everything: `make up` and `make test`. Both install first what is missing.
PYTHON ?= python3
BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest
export UV_NO_PROGRESS := 1

.PHONY: help install up down status check format backtest test test-unit test-faults test-spark bench bench-load bench-models docs lock clean reset

help:            ## this list
	@grep -hE '^[a-z-]+: .*##|^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*##/\t/' | expand -t 16

install: .venv/.installed  ## .venv with everything from the lock file

.venv/.installed: requirements.lock requirements-uv.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is " + sys.version.split()[0] + ": set PYTHON=python3.x")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements-uv.lock
	$(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes --compile-bytecode requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@

up: install      ## start the platform with a demo fleet; shows where everything is
	$(BIN)/fleet up --demo --detach

down: install    ## stop it; the data stay
	$(BIN)/fleet down

status: install  ## what runs, and how the data flow
	$(BIN)/fleet status

check: install   ## lint, format, types, SQL
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/sqlfluff lint dbt_project

format: install  ## put code into the common form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

backtest: install ## the working rules against the last released ones; fails past the gates
	$(BIN)/python -m bench.gate $(CATALOGUE)

test: check backtest ## everything CI runs: lint, types, gates of the rules, all tests but the soak suites
	$(PYTEST) tests/unit -n auto --dist worksteal --cov --cov-report=
	$(PYTEST) tests/integration -n 2 --dist loadfile --no-loadscope-reorder -m "not soak" --cov --cov-append --cov-report=
	$(PYTEST) --ignore=tests/unit --ignore=tests/integration -n 2 --dist loadfile -m "not soak" --cov --cov-append --cov-report=term:skip-covered

test-unit: install   ## tests that need no services
	$(PYTEST) tests/unit -n auto --dist worksteal

test-faults: install ## the full fault suite: more than 200 kills of real processes, takes long
	$(PYTEST) tests/faults tests/integration/test_order_law.py tests/integration/test_crash_between_commits.py

test-spark: install .venv-spark/.installed  ## Spark in another time zone reads the lake (an environment of its own)
	$(PYTEST) tests/unit/test_time_zones.py

.venv-spark/.installed: requirements-spark.lock .venv/.installed
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python .venv-spark
	$(BIN)/uv pip sync --quiet --python .venv-spark/bin/python --require-hashes requirements-spark.lock
	@touch $@

.venv-pyod/.installed: requirements-pyod.lock .venv/.installed
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python .venv-pyod
	$(BIN)/uv pip sync --quiet --python .venv-pyod/bin/python --require-hashes requirements-pyod.lock
	@touch $@

bench-models: install .venv-pyod/.installed  ## models on real trips with faults, beside rules, z-scores and PyOD
	$(BIN)/python -m bench.models

bench: install   ## speed and size, printed as figures and ratios
	$(BIN)/python -m bench

bench-load: install  ## 12,500 vehicles at 1 Hz for 15 minutes into an hour of 40 million rows
	$(BIN)/python -m bench.load

docs: install    ## data dictionary, and dbt docs against the running warehouse
	$(BIN)/fleet contracts dictionary --output docs/data-dictionary.md
	$(BIN)/fleet docs

lock:            ## resolve the dependencies anew (hashes, no addresses)
	$(BIN)/uv pip compile --quiet --group dev --no-header --no-annotate --generate-hashes --universal --python-version 3.11 pyproject.toml -o requirements.lock
	printf 'pyspark>=4.1,<4.2\njdk4py>=21,<22\n' | $(BIN)/uv pip compile --quiet --no-header --no-annotate --generate-hashes --universal --python-version 3.11 - -o requirements-spark.lock  # Java 21: Spark 4.1 reads no file on 25
	echo 'pyod>=3.6,<4' | $(BIN)/uv pip compile --quiet --no-header --no-annotate --generate-hashes --universal --python-version 3.11 - -o requirements-pyod.lock
	echo uv | $(BIN)/uv pip compile --quiet --no-header --no-annotate --generate-hashes --universal --python-version 3.11 - -o requirements-uv.lock

clean:           ## remove the environment and all caches; local data stay
	rm -rf .venv .venv-spark .venv-pyod .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage dbt_project/target dbt_project/logs
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

reset: down      ## stop, and remove all local data
	rm -rf .fleet
