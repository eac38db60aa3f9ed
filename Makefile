# Every entry point of the project. `make` alone lists them.
.DEFAULT_GOAL := help
.PHONY: help setup demo test crash chaos interop simulate mutants lint types format lock proto accuracy bench clean

# The first Python on the path that is new enough; `make PYTHON=/path/to/python3.12 setup` chooses another.
PYTHON ?= $(shell for p in python3 python3.11 python3.12 python3.13 python3.14; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$$p"; break; }; done)
BIN := .venv/bin
SUITES ?=
ARGS ?=

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

setup: ## make .venv with everything in it; quick when nothing changed
	@$(if $(PYTHON),,echo "Tenuto needs Python 3.11 or newer on the PATH, or make PYTHON=/path/to/python." >&2; exit 1;) \
	$(PYTHON) scripts/setup.py

demo: setup ## see a workflow survive kill -9 of its app and of the engine
	@$(BIN)/python examples/pipeline/demo.py $(ARGS)

test: setup ## run everything CI runs; SUITES="unit contract" for some of it
	@$(BIN)/python scripts/run_tests.py $(SUITES)

crash: setup ## kill the engine at every commit and dispatch there is, on SQLite and Redis; takes half an hour
	@TENUTO_CRASH=all $(BIN)/python -m pytest tests/crash --timeout 3600 $(ARGS)

chaos: setup ## break everything under load, then verify; ARGS="--seconds 3600 --seed 7 --store redis"
	@PYTHONPATH=tests $(BIN)/python tests/chaos/run.py $(ARGS)

simulate: setup ## run engines on virtual time under faults; ARGS="--seeds 10000 --start 5000"
	@PYTHONPATH=tests:scripts $(BIN)/python -m simulation.simulate $(ARGS)

interop: setup ## run applications of other SDKs in Python, JavaScript and Java; needs node, npm, java and mvn
	@$(BIN)/python -m pytest tests/interop -o python_files="test_*.py check_*.py" $(ARGS)

mutants: setup ## plant known bugs one by one, and see which test finds each; takes a while
	@PYTHONPATH=tests:scripts $(BIN)/python -m mutants.run $(ARGS)

lint: setup ## check format, lint rules and import borders
	@$(BIN)/python scripts/run_tests.py lint imports

types: setup ## check types with mypy and pyright, both strict
	@$(BIN)/python scripts/run_tests.py types

format: setup ## format and sort the code, and mend what can be mended mechanically
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format --quiet .

lock: setup ## resolve requirements/*.in and the members into hashed files; ARGS=--upgrade for newer versions
	@$(BIN)/python scripts/lock.py $(ARGS)

proto: setup ## generate the wire stubs from proto/tenuto
	@$(BIN)/python proto/generate.py

accuracy: setup ## judge the linter on the labelled corpus, beside others, and on public code
	@PYTHONPATH=tests:benchmarks $(BIN)/python benchmarks/lint_corpus.py $(ARGS)
	@PYTHONPATH=tests:benchmarks $(BIN)/python benchmarks/lint_public.py $(ARGS)

bench: setup ## measure; results land in benchmarks/
	@$(BIN)/python benchmarks/run.py $(ARGS)

clean: ## remove .venv and everything that tools left behind
	@rm -rf .venv .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .tenuto .tenuto_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
