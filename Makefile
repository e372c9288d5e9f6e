# edgerun's tasks. `make` alone lists them.
SHELL := /bin/bash
.ONESHELL:
.SHELLFLAGS := -eu -o pipefail -c
export CGO_ENABLED ?= 0

DATA := $(or $(EDGERUN_TESTDATA),$(abspath ../shared/data))
export EDGERUN_TESTDATA := $(DATA)
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X main.version=$(VERSION)
BUILD := go build -trimpath -ldflags '$(LDFLAGS)'
FUZZTIME ?= 10m

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

.PHONY: build
build: ## the static binary for this machine, into bin/
	$(BUILD) -o bin/ ./cmd/edgerun

.PHONY: cross
cross: ## the binary for every supported system, into dist/
	build() { GOOS=$$1 GOARCH=$$2 GOARM=$${3:-} $(BUILD) -o dist/edgerun-$$1-$$2 ./cmd/edgerun; }
	build linux amd64; build linux arm64; build linux arm 7; build linux riscv64; build darwin arm64; build windows amd64
	ls -l dist

.PHONY: tools
tools: # what the tests need, from Debian packages; nothing is installed where it is there already
	@./scripts/install-tools.sh

.PHONY: lint
lint: ## gofmt, go vet for amd64 and arm64, staticcheck
	@test -z "$$(gofmt -l . | tee /dev/stderr)" || { echo "gofmt: the files above need formatting"; exit 1; }
	go vet ./...
	GOARCH=arm64 go vet ./...
	go tool staticcheck ./...
	go mod verify >/dev/null
	go mod tidy -diff

.PHONY: test
test: tools lint ## everything that must never break (Debian 12, under 40 minutes on two cores)
	@./scripts/test.sh

PEERS ?= ../shared/peers
.PHONY: acceptance
acceptance: tools .venv/installed ## measure every figure that is promised, into docs/acceptance.md; those against peers are of bench-peers
	go run ./internal/acceptance -python .venv/bin/python -peers $(PEERS) -out docs/acceptance.md

.PHONY: bench-peers
bench-peers: build .venv/installed ## compare with other runtimes, into docs/performance.md (under 12 minutes)
	go run ./internal/peers -python .venv/bin/python -edgerun bin/edgerun -peers $(PEERS) -out docs/performance.md

.venv/installed: $(PEERS)/requirements.txt
	python3 -m venv .venv
	.venv/bin/pip install -q -r $<
	touch $@

BASE ?= HEAD
BENCH ?= Models
.PHONY: bench-diff
bench-diff: ## compare benchmarks (BENCH=regexp) of the working tree with those of revision BASE
	go run ./internal/benchdiff -base '$(BASE)' -bench '$(BENCH)'

.PHONY: fuzz
fuzz: ## every fuzz target for FUZZTIME (10m) each
	@FUZZTIME=$(FUZZTIME) ./scripts/fuzz.sh

.PHONY: demo
demo: ## the main job on an embedded model and embedded data
	go run ./cmd/edgerun demo

.PHONY: clean
clean: ## remove what was built
	rm -rf bin dist
