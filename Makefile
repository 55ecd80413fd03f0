.DEFAULT_GOAL := help
.PHONY: help setup demo local test simulate lint shuffled package security chaos every-call load bench bench-validator clean

PYTHON ?= python3
TECHNIQUE ?= instruction
RUNS ?= 200
DROPS ?= 1000
VENV := .venv
SAM := .local/sam/bin/sam
SCANNERS := .local/security
SAM_VERSION := 1.170.0
# Compiles the layers' .pyc files when it is the Python that Lambda runs; a function starts faster with them.
export RUNTIME_PYTHON ?= python3.13
export SAM_CLI_TELEMETRY := 0

help: ## Show the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(VENV)/.installed ## Install what the project needs into .venv (the others do it by themselves)

demo: setup ## Run a real drop through the embedded AWS; TECHNIQUE=chat, domain-adaptation or visual-qa for another
	$(VENV)/bin/python -m demo $(TECHNIQUE)

local: setup ## Leave the embedded AWS running, and print how to speak to it
	$(VENV)/bin/python -m local up

# The end-to-end tests wait as much as they work: three processes fill two cores.
test: lint ## Check style, types and behaviour
	$(VENV)/bin/python -m pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder

simulate: setup ## Search histories of faults for a broken promise; SEED=7 tells one history, SEEDS=100000 looks longer
	PYTHONPATH=.:layers/core:cli $(VENV)/bin/python -m tests.simulation $(if $(SEED),--seed $(SEED)) $(if $(SEEDS),--seeds $(SEEDS))

lint: setup ## Check style and types
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

shuffled: setup ## Train on right and on shuffled labels, and see the one promoted and the other not
	$(VENV)/bin/python -m pytest tests/end_to_end/shuffled_labels.py

package: setup $(SAM) ## Validate the template, build for Lambda without Docker, and print the sizes
	$(SAM) validate --lint --template template.yaml --region us-east-1
	PYTHON=$(abspath $(VENV)/bin/python) $(SAM) build --template template.yaml --build-dir .aws-sam/build --parallel
	$(VENV)/bin/python .ci/package_sizes.py .aws-sam/build/template.yaml

security: setup $(SCANNERS)/.installed ## Scan the template: no finding without a written waiver, and planted faults are still found
	PYTHONPATH=. $(VENV)/bin/python .ci/security.py $(SCANNERS)/bin

chaos: setup ## Drop RUNS=200 datasets on the embedded AWS while everything goes wrong, by SEED=1
	$(VENV)/bin/python -m tests.chaos --runs $(RUNS) --seed $(or $(SEED),1)

every-call: setup ## Kill functions at each call that they make, before and after it; all runs end as if none had died
	$(VENV)/bin/python -m tests.chaos --every-call

load: setup ## Drop DROPS=1000 datasets at once on the embedded AWS; print time, memory and calls
	$(VENV)/bin/python -m tests.chaos.load --drops $(DROPS)

bench: setup ## Measure starts and the way from the S3 event to the training job
	$(VENV)/bin/python -m bench

bench-validator: setup ## Measure the dataset validator against other tools on 1 GB files (OPTIONS="--megabytes 20" for less)
	$(VENV)/bin/python -m bench.validator $(OPTIONS)

clean: ## Remove what was built and installed here
	rm -rf $(VENV) .local .aws-sam build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(VENV)/.installed: requirements-dev.txt pyproject.toml layers/deps/requirements.txt layers/validation/requirements.txt layers/evaluation/requirements.txt layers/sagemaker/requirements.txt local/requirements.txt
	test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r layers/sagemaker/requirements.txt
	touch $@

$(SCANNERS)/.installed: .ci/security-requirements.txt
	$(PYTHON) -m venv $(SCANNERS)
	$(SCANNERS)/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	touch $@

# aws-sam-cli pins another botocore than the functions, so it lives by itself.
$(SAM): Makefile
	$(PYTHON) -m venv .local/sam
	.local/sam/bin/python -m pip install --quiet --disable-pip-version-check aws-sam-cli==$(SAM_VERSION)
	touch $@
