# Builds, runs and tests Carrel. `make` lists the targets.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:

# The paths below and in the documentation are under target/, wherever the environment would put them.
export CARGO_TARGET_DIR := $(CURDIR)/target
export PATH := $(CURDIR)/target/tools:$(PATH)
# Programs run with this interpreter.
export CARREL_PYTHON := $(CURDIR)/target/python/bin/python3

# Where `make run` listens and keeps its data.
HTTP_LISTEN ?= 127.0.0.1:8000
KUBE_LISTEN ?= 127.0.0.1:6443
DATA_DIR ?= .carrel
# For instance --locked.
CARGO_FLAGS ?=

CARGO_BUILD := cargo build --release $(CARGO_FLAGS)
KUBECTL_VERSION := $(shell sed -n 's,^\tk8s.io/kubernetes v,v,p' tests/cluster/go.mod)
VERSION_PACKAGE := k8s.io/component-base/version
RUST_LOG_FILE := target/test-rust.log
PYTHON_LOG_FILE := target/test-python.log

.PHONY: help build carrel python tools run test e2e cluster-up cluster-down cluster-check bench lint fmt generate clean

help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 24

build: carrel python ## Build target/release/carrel and the Python environment target/python

carrel:
	$(CARGO_BUILD) --workspace

python:
	sh executor/python/setup.sh target/python

run: build ## Serve on HTTP_LISTEN, run one example, and keep serving until Ctrl-C
	exec target/release/carrel serve --http-listen $(HTTP_LISTEN) --kube-listen $(KUBE_LISTEN) \
	    --data-dir $(DATA_DIR) --demo

# Both runners run side by side when all is built, also when one fails, and their closing lines come last.
test: tools build ## Run every test that needs no cluster
	cargo test --release --workspace --no-run $(CARGO_FLAGS)
	@failed=0; \
	$(CARREL_PYTHON) -m unittest discover -s tests/python >$(PYTHON_LOG_FILE) 2>&1 & python=$$!; \
	trap 'kill $$python 2>/dev/null || :' EXIT; \
	cargo test --release --workspace --no-fail-fast $(CARGO_FLAGS) 2>&1 | tee $(RUST_LOG_FILE) || failed=1; \
	wait $$python || { failed=1; cat $(PYTHON_LOG_FILE); }; \
	printf '\n== cargo test\n'; grep -E '^(test result: |error: )' $(RUST_LOG_FILE) || failed=1; \
	printf '\n== unittest\n'; tail -n 3 $(PYTHON_LOG_FILE); \
	exit $$failed

e2e: tools build ## Run every test that needs a cluster, on one that it starts, or on that of KUBECONFIG
	CARGO_FLAGS="$(CARGO_FLAGS)" tests/e2e.sh

bench: tools build ## Measure floors, hello and API requests: standalone, then on a cluster as e2e has it
	cargo bench $(CARGO_FLAGS) --workspace --bench floor --bench hello
	CARGO_FLAGS="$(CARGO_FLAGS)" tests/e2e.sh bench

lint: ## Check formatting, clippy and documentation; no warning passes
	cargo fmt --all --check
	cargo clippy --release --workspace --all-targets $(CARGO_FLAGS) -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --release --workspace --no-deps --document-private-items $(CARGO_FLAGS)

fmt: ## Format the sources
	cargo fmt --all

generate: ## Write the committed files that are made from the sources
	cargo run --release $(CARGO_FLAGS) -p crds --bin crdgen -- crds/golden

# With KUBECONFIG in the environment that cluster is used, and nothing is built.
cluster-up: ## Start a Kubernetes of one node on this machine, as root; print its KUBECONFIG
	@tests/cluster/cluster.sh up

cluster-down: ## End it, and remove all it has made but target/cluster
	@tests/cluster/cluster.sh down

cluster-check: cluster-up ## Check that it works, that pod traffic stays here, that it recovers
	@tests/cluster/cluster.sh check

# Tests drive the API with kubectl as people do, and compare what it says: its version is pinned, and where another one
# or none is found it is built from its own module.
KUBECTL_HERE = $(shell kubectl version --client -o yaml 2>/dev/null | sed -n 's/^  gitVersion: //p')

tools:
	@if [ "$(KUBECTL_HERE)" = "$(KUBECTL_VERSION)" ]; then :; \
	elif command -v go >/dev/null; then $(MAKE) --no-print-directory target/tools/kubectl; \
	else echo "The tests need kubectl $(KUBECTL_VERSION), and there is no Go to build it: install one of the two." >&2; \
	    exit 1; fi

target/tools/kubectl: tests/cluster/kubectl/main.go tests/cluster/go.mod tests/cluster/go.sum
	@echo "building kubectl $(KUBECTL_VERSION), a few minutes the first time"
	cd tests/cluster && go build -trimpath -buildvcs=false -o $(CURDIR)/$@ -ldflags "-s -w \
	    -X $(VERSION_PACKAGE).gitVersion=$(KUBECTL_VERSION) \
	    -X $(VERSION_PACKAGE).gitMajor=$(word 1,$(subst ., ,$(KUBECTL_VERSION:v%=%))) \
	    -X $(VERSION_PACKAGE).gitMinor=$(word 2,$(subst ., ,$(KUBECTL_VERSION)))" ./kubectl

clean: ## Remove everything that was built; what `make run` stored stays
	rm -rf target
