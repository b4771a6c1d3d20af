# Rapport's commands. Each sets up what it needs in .venv and says in one line what it is doing.

.DEFAULT_GOAL := help
.PHONY: help run demo test soak check bench docs clean

PYTHON := .venv/bin/python

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-6s %s\n", $$1, $$2 }' Makefile

run: .venv/.run ## start a development server on this machine
	@echo "Starting a development server on loopback; Ctrl-C stops it"
	@exec .venv/bin/rapport serve --dev

demo: .venv/.run ## hold a session between two synthetic peers and print what happens
	@echo "Holding a session between two synthetic peers on a private server"
	@exec .venv/bin/rapport demo

test: .venv/.dev ## run all tests, those with a real browser too
	@.ci/need chromium
	@.ci/need node
	@.ci/need peers
	@.ci/need redis
	@.ci/need postgres
	@.ci/need deploy
	@echo "Running the tests"
	@$(PYTHON) -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder

soak: .venv/.dev ## run the tests that take longer: faults of a cluster by chance, for SOAK_SECONDS (600)
	@.ci/need redis
	@.ci/need postgres
	@echo "Failing a cluster by chance"
	@$(PYTHON) -m pytest -q -o addopts= -o log_cli=true --log-cli-level=INFO tests/soak

check: .venv/.dev ## check style, types, imports between the packages, and spelling
	@echo "Checking style with ruff"
	@$(PYTHON) -m ruff check --quiet .
	@$(PYTHON) -m ruff format --quiet --check .
	@echo "Checking types with mypy --strict"
	@$(PYTHON) -m mypy --no-error-summary
	@echo "Checking the imports between the packages with import-linter"
	@report=$$(.venv/bin/lint-imports --no-logo) || { echo "$$report"; exit 1; }
	@echo "Checking spelling with codespell"
	@$(PYTHON) -m codespell_lib
	@echo "All checks passed"

bench: .venv/.dev ## measure what things cost on this machine; writes build/bench.json
	@echo "Measuring; leave the machine alone for a few minutes"
	@$(PYTHON) -m tests.bench

docs: .venv/.dev ## write the pages of docs/ that are generated from the code
	@echo "Writing the generated pages of docs/"
	@$(PYTHON) -m docs.generate

clean: ## remove what the other commands made, but no data
	@echo "Removing .venv, build and caches"
	@rm -rf .venv build tests/web/node_modules .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis

.venv/.run: pyproject.toml .ci/need
	@.ci/need venv
	@touch $@

.venv/.dev: pyproject.toml .ci/need
	@.ci/need venv dev
	@touch $@ .venv/.run
