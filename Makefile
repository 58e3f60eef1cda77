# make help says what each target is for.
PYTHON ?= python3
PIP = .venv/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
RESULTS ?= results
RUN = .venv/bin/python run_search.py

.DEFAULT_GOAL := help
.PHONY: help setup demo check format test test-fast test-gpu test-faults test-faults-long reliability report bench \
	bench-quick audit clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "%-16s %s\n", $$1, $$2}'

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or later is needed: make PYTHON=python3.11 ..."; exit 1; }
	$(PYTHON) -m venv .venv

.venv/demo-installed: pyproject.toml constraints.txt | .venv/bin/python
	@echo "installing into .venv (a minute or two)"
	$(PIP) --editable '.[demo]'
	@touch $@

.venv/dev-installed: pyproject.toml constraints.txt | .venv/bin/python
	@echo "installing into .venv (a minute or two)"
	$(PIP) --editable '.[dev]'
	@touch $@ .venv/demo-installed

build/moto/installed: tests/store/moto.txt
	$(PYTHON) -m venv build/moto
	build/moto/bin/python -m pip install --quiet --disable-pip-version-check --requirement $<
	@touch $@

setup: .venv/dev-installed build/moto/installed ## install everything that development needs into .venv

demo: .venv/demo-installed ## install, then search LoRA beside the SVM on the built-in corpus
	$(RUN) --method lora --dataset demo --model minilm --trials 6 --max-epochs 3 --confirm-seeds 2

check: setup ## lint, format and types
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

format: setup ## let ruff rewrite what it can
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

test: test-fast ## all tests: the fast ones first, then those that start Ray, then the faults
	.venv/bin/pytest -m "slow and not faults and not gpu"
	.venv/bin/pytest -m "slow and faults"

test-gpu: setup ## the tests that need a CUDA device; CI has none
	.venv/bin/pytest -m gpu

test-faults: setup ## harm searches in every way that is promised to be survived
	.venv/bin/pytest -m faults --durations 5

test-faults-long: setup ## all of them: the driver killed at 20 random moments, a soak of 500 trials
	FAULT_LONG=1 FAULT_KILLS=20 .venv/bin/pytest -m faults

reliability: setup ## write docs/reliability.md: the long faults, then plain Ray Tune's; two hours
	rm -f tests/faults/records/*.jsonl
	-FAULT_RECORDS=tests/faults/records/ours.jsonl $(MAKE) test-faults-long
	.venv/bin/python -m tests.faults.attempts
	.venv/bin/python -m tests.faults.reliability

report: setup ## write docs/example-report and the README's table from RESULTS, a folder of ledgers
	rm -f docs/example-report/figures/*.png
	.venv/bin/python -m analysis $(RESULTS) --output docs/example-report > /dev/null
	.venv/bin/python -m analysis.readme README.md docs/example-report/summary.md

bench: setup ## measure beside peers and write benchmarks/RESULTS.md; three hours of a quiet machine
	.venv/bin/python -m benchmarks

bench-quick: setup ## a little of each benchmark, to see that it runs; its figures mean nothing
	.venv/bin/python -m benchmarks --quick

audit: ## look constraints.txt up among known vulnerabilities; needs a network
	$(PYTHON) -m venv build/audit
	build/audit/bin/python -m pip install --quiet --disable-pip-version-check pip-audit
	build/audit/bin/pip-audit --strict --disable-pip --no-deps --requirement constraints.txt

test-fast: setup ## the tests that need no Ray, under two minutes
	.venv/bin/pytest -m "not slow and not gpu"

clean: ## delete caches and the virtual environment; results stay
	rm -rf .venv build *.egg-info .pytest_cache .mypy_cache .ruff_cache
