# `make` alone lists what there is. The work is in scripts/, so that it can be read and run without make.
SHELL := /bin/bash
.DEFAULT_GOAL := help

export CARGO_TARGET_DIR ?= $(CURDIR)/target
# `sudo make` and other short PATHs: rustup puts cargo here.
export PATH := $(PATH):$(HOME)/.cargo/bin

IMAGE ?= loggia:dev
# More for `loggia up`, e.g. make up ARGS="--http-port 80 --base-domain example.org"
ARGS ?=

.PHONY: help up test fuzz http-cache-tests bench bench-edge bad-days lint fmt audit image

help: ## This list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 24

up: ## Install what is missing, build, and run everything here; the first time, deploy examples/hello
	scripts/setup.sh
	cargo build --locked --release --package loggia-cli --bin loggia
	exec "$(CARGO_TARGET_DIR)/release/loggia" up --sample examples/hello $(ARGS)

test: ## Run all tests; starts whatever they need
	scripts/setup.sh --test
	scripts/test.sh $(ARGS)

fuzz: ## Try changed inputs of every kind for LOGGIA_FUZZ_SECS (60) seconds each; LOGGIA_FUZZ_SEED repeats a run
	scripts/fuzz.sh $(ARGS)

http-cache-tests: ## Ask an edge the public suite http-cache-tests; its results go into docs/HTTP-CACHE-TESTS.md
	scripts/setup.sh
	scripts/http-cache-tests.sh $(ARGS)

bench: ## Measure the engine, then the edge beside its peers; the edge's table goes into docs/BENCHMARKS.md
	scripts/setup.sh --bench
	cargo bench --locked --package loggia-serve --bench decide --bench compile --bench matching
	cargo test --locked --release --package loggia-proxy --lib -- --ignored --nocapture a_million_routes
	$(MAKE) bench-edge

# A missed goal is an exit status of 2; the table is written all the same.
bench-edge: ## Only the edge beside its peers, e.g. make bench-edge ARGS="--quick --only hot"
	cargo build --locked --profile dist --package loggia-cli --bin loggia --package loggia-bench --bin loggia-bench
	"$(CARGO_TARGET_DIR)/dist/loggia-bench" run --edge "$(CARGO_TARGET_DIR)/dist/loggia" \
		--out "$(CARGO_TARGET_DIR)/edge-bench.md" $(if $(ARGS),,--paste docs/BENCHMARKS.md) $(ARGS)

# As above. It needs Postgres' server programs beside what is built, which scripts/setup.sh brings.
bad-days: ## What visitors see when things break, e.g. make bad-days ARGS="--quick --only store,scan"
	scripts/setup.sh
	cargo build --locked --profile dist --package loggia-cli --bin loggia --package loggia-bench --bin loggia-bench
	"$(CARGO_TARGET_DIR)/dist/loggia-bench" bad-days --edge "$(CARGO_TARGET_DIR)/dist/loggia" \
		--out "$(CARGO_TARGET_DIR)/bad-days.md" $(if $(ARGS),,--paste docs/BENCHMARKS.md) $(ARGS)

lint: ## Check formatting, clippy, the arrows between crates, and licenses
	scripts/setup.sh --lint
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- --deny warnings
	cargo deny --locked --log-level error check bans licenses sources

fmt: ## Format the code
	cargo fmt --all

audit: ## Look for known vulnerabilities; LOGGIA_ADVISORY_DB names an offline copy of the RustSec database
	scripts/setup.sh --lint
	scripts/audit.sh

image: ## Build the container image $(IMAGE)
	docker build --tag $(IMAGE) .
