# Everything on a fresh machine: `make quick` ends with a report, `make test` runs all checks.
PYTHON ?= python3
BIN := .venv/bin
DEVICE ?= cuda
# One thread per process: results do not depend on it, and two processes beat two threads here.
export OMP_NUM_THREADS ?= 1
# Modules are compiled once, not again in each of the processes that tests start.
export PYTHONDONTWRITEBYTECODE :=
# One file's tests run in one process: what its fixtures compute is computed once. `make test` starts a process for each
# part, which collects its own tests and no others: `-n 2` would collect all of them twice, and send every report.
PYTEST := $(BIN)/python -m pytest -q
TWICE := -n 2 --dist loadfile
# Where `make test` checks types and shapes at run time, which takes as long as the tests: every estimator, every family,
# objectives, measuring and tables. `make test-all` checks them in all slow tests.
SHAPED := tests/whole/test_shapes.py tests/whole/test_surrogates.py tests/bench/distributions/test_distributions.py \
  tests/bench/objectives/test_structured_objectives.py tests/bench/measure tests/bench/tables tests/bench/analysis

.DEFAULT_GOAL := help
.PHONY: help install browser picture quick test test-bench test-rest test-shapes test-compile test-all test-gpu gpu-wheels gpu-evidence peers frameworks lint coverage coverage-report exactness headline reference gradients offers canary clean

help:  ## what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

install: .venv/installed  ## a virtual environment in .venv with gradest and its development tools

.venv/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "gradest needs Python 3.11 or newer; $$($(PYTHON) --version) is found. Say which: make PYTHON=python3.11 …" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

browser:  ## Debian's Chromium, in which the report is tested: installed where it is missing and that is allowed
	@for name in chromium chromium-browser google-chrome google-chrome-stable; do \
	  command -v $$name >/dev/null && exit 0; done; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then echo "installing Debian's chromium"; \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
	  apt-get install -y -qq --no-install-recommends chromium >/dev/null; \
	else echo "there is no Chromium: tests of the report in a browser will be skipped; apt-get install chromium"; fi

picture: install  ## the README's picture of the report, from the committed sweep; needs Chromium
	$(BIN)/gradest report results/reference --out build/report.html
	$(BIN)/python -m tests.web.screenshots build/report.html --top docs/report.png

quick: install  ## the quick sweep (under 3 minutes on 2 cores) and its report
	$(BIN)/gradest run quick
	$(BIN)/gradest compare quick
	$(BIN)/gradest report quick

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

test: install  ## all checks, on two cores side by side
	$(MAKE) --jobs 2 --output-sync=line test-bench test-shapes test-rest test-compile lint

test-bench: install
	GRADEST_NO_SHAPES=1 $(PYTEST) -n 0 -m 'not compile and not slow' tests/bench $(addprefix --ignore=,$(SHAPED))

test-rest: install
	GRADEST_NO_SHAPES=1 $(PYTEST) -n 0 -m 'not compile and not slow' --ignore=tests/bench $(addprefix --ignore=,$(SHAPED))

test-shapes: install
	$(PYTEST) -n 0 -m 'not compile and not slow' $(SHAPED)

test-compile: install
	GRADEST_NO_SHAPES=1 TORCHINDUCTOR_COMPILE_THREADS=1 $(PYTEST) -n 0 -m 'compile and not slow' $$(grep -rl --include='test_*.py' 'mark\.compile' tests)

test-all: test  ## what takes longer: every seed, the full coverage study
	GRADEST_NO_SHAPES=1 $(PYTEST) -m slow tests/perf/test_engine.py
	$(PYTEST) -n 2 -m slow --ignore tests/perf/test_engine.py

coverage-report: install  ## which lines the quick tests run: a table, and build/coverage/index.html
	GRADEST_NO_SHAPES=1 $(PYTEST) $(TWICE) -m 'not compile and not slow' --cov --cov-report=term --cov-report=html

coverage: install  ## how often the intervals hold the truth: the full study (some hours)
	$(BIN)/python -m bench.validation.coverage

test-gpu: install  ## what only a GPU can show, on a machine that has one
	GRADEST_NO_SHAPES=1 $(PYTEST) -m gpu tests

gpu-wheels:  ## wheels that a GPU machine without network lacks, into build/wheels (4.4 MB, for Python 3.12)
	$(PYTHON) -m pip download --quiet --no-deps --only-binary=:all: --python-version 3.12 \
	  --platform manylinux2014_x86_64 --constraint constraints.txt --dest build/wheels \
	  pydantic pydantic_core annotated-types typing-inspection beartype annotated-doc nvidia-ml-py

gpu-evidence:  ## all that a GPU can show in eight minutes, into results/gpu; DEVICE=cpu tries the steps, shortened
	$(if $(wildcard $(BIN)/python),$(BIN)/python,$(PYTHON)) -m tests.gpu_evidence --device $(DEVICE) \
	  $(if $(filter cpu,$(DEVICE)),--short --out build/gpu-evidence)

peers: install .peers/jax/installed .peers/pyro/installed .peers/storchastic/installed  ## gradest beside other libraries: results/peers/
	$(BIN)/python -m peers .peers

.peers/%/installed: peers/requirements/%.txt
	$(PYTHON) -m venv .peers/$*
	.peers/$*/bin/python -m pip install --quiet --requirement $<
	@touch $@

frameworks: install .peers/frameworks/installed  ## presets of policy losses beside verl, TRL and OpenRLHF (1.7 GB): results/peers/
	$(BIN)/python -m peers.frameworks .peers

.peers/frameworks/installed: peers/requirements/frameworks.txt peers/requirements/frameworks-alone.txt
	$(PYTHON) -m venv .peers/frameworks
	.peers/frameworks/bin/python -m pip install --quiet --requirement $<
	.peers/frameworks/bin/python -m pip install --quiet --no-deps --requirement $(word 2,$^)
	@touch $@

exactness: install  ## measure the table of verdicts again: is what says that it is unbiased unbiased, to 1 %
	$(BIN)/gradest run exactness --rerun stale
	$(BIN)/python -m bench.validation.exactness

headline: install  ## measure the headline numbers again: results/headline (some minutes)
	$(BIN)/gradest run headline --out results/headline --rerun all
	$(BIN)/python -m bench.validation.headline

reference: install  ## measure the committed quick sweep again: its configuration, its machine, its table
	$(BIN)/gradest run quick --out results/reference --rerun all

gradients: install  ## compute the committed table of exact gradients again
	$(BIN)/python -m bench.catalogue.exact_gradients > results/gradients.csv

offers: install  ## the committed table of what torch's distributions offer, measured again (some minutes)
	$(BIN)/python -m bench.validation.torch_offers --write

canary: install  ## after an upgrade of torch: what it does otherwise than the committed tables say (under 10 minutes)
	$(BIN)/python -m bench.validation.canary

clean:  ## remove the environment and the caches
	rm -rf .venv .peers .pytest_cache .ruff_cache .hypothesis .benchmarks
	find . -name __pycache__ -prune -exec rm -rf {} +
