# Everything a newcomer runs. `make` alone lists it.
# Needs Python 3.11 or newer; each target sets up what it needs.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV_VERSION := 0.13.9

.DEFAULT_GOAL := help
.PHONY: help sandbox sandbox-reset test faults bench-reports check format translations lock clean

help: ## List the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-15s %s\n", $$1, $$2}'

$(BIN)/uv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "closeloop needs Python 3.11 or newer; name one with PYTHON=…")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

# A stamp is newer than its lock file when what the lock names is installed.
$(VENV)/.sandbox-ready: requirements/sandbox.txt | $(BIN)/uv
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --require-hashes -r $<
	@touch $@

$(VENV)/.test-ready: requirements/test.txt | $(BIN)/uv
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --require-hashes -r $<
	@touch $@ $(VENV)/.sandbox-ready

sandbox: $(VENV)/.sandbox-ready ## Run the whole product on this machine and print its address
	@exec $(BIN)/python -m deploy.sandbox

sandbox-reset: $(VENV)/.sandbox-ready ## Delete the sandbox's data
	@$(BIN)/python -m deploy.sandbox --reset

test: $(VENV)/.test-ready ## Run all tests on real Kafka, PostgreSQL and Chromium
	@$(BIN)/python -m deploy.assets
	@$(BIN)/python -m deploy.browser
ifdef ARGS
	@$(BIN)/python -m pytest $(ARGS)
else
	@$(BIN)/python -m pytest -n 3 --dist loadfile --ignore tests/faults  # a third of the time a test only waits
	@$(BIN)/python -m pytest tests/faults  # alone: how soon the product recovers is part of what it checks
endif

faults: $(VENV)/.test-ready ## Break everything once, under load, and check every promise; ARGS="--seed 1f00 --only F5"
	@exec $(BIN)/python -m tests.faults $(ARGS)

bench-reports: $(VENV)/.test-ready ## Measure reports against the least that can be; ARGS="--ratings 1000000"
	@exec $(BIN)/python -m tests.benchmarks $(ARGS)

check: $(VENV)/.test-ready ## Lint, types and the import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache
	$(BIN)/pyright

format: $(VENV)/.test-ready ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

translations: $(VENV)/.test-ready ## Bring new texts into every language's catalogue and list what lacks a translation
	@$(BIN)/python -m deploy.translations

lock: | $(BIN)/uv ## Resolve the dependencies anew
	@mkdir -p requirements
	$(BIN)/uv pip compile --quiet --universal --no-header --no-annotate --generate-hashes --upgrade pyproject.toml -o requirements/run.txt
	$(BIN)/uv pip compile --quiet --universal --no-header --no-annotate --generate-hashes --upgrade pyproject.toml --extra sandbox -o requirements/sandbox.txt -c requirements/run.txt
	$(BIN)/uv pip compile --quiet --universal --no-header --no-annotate --generate-hashes --upgrade pyproject.toml --all-extras -o requirements/test.txt -c requirements/run.txt

clean: ## Remove the virtual environment and caches
	rm -rf $(VENV) .cache .pytest_cache .ruff_cache .hypothesis
