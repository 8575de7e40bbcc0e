# The stable commands. `make demo` and `make test` do all set-up themselves.
.DEFAULT_GOAL := help
CARGO_FLAGS := --locked
export PATH := $(CURDIR)/.tools/bin:$(PATH)
# Contracts and vectors that tests read where they lie; parts that need them are left out without.
export DSF_SHARED ?= $(abspath $(CURDIR)/../shared)

help: ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 18

demo: ## three hospitals on this machine, a ping between them, and how to go on
	@scripts/setup demo
	@scripts/build "services of three sites"
	@target/debug/dsf demo $(DEMO_FLAGS)

test: ## what CI runs
	@scripts/setup test
	@scripts/check

test-peers: ## against programs of others: Java clients, systems of a hospital, an OpenID provider (needs JDK 17, mvn, node, npm)
	@scripts/setup peers
	@scripts/test-peers

test-large: ## a Binary of 4 GiB there and back (minutes, 10 GB of disk)
	@scripts/setup test
	@DSF_TEST_LARGE=1 cargo test $(CARGO_FLAGS) -p fhir-gateway --test gateway 4_gib -- --nocapture

bench: ## the figures of docs/performance.md, in one run
	@scripts/setup demo
	@cargo build $(CARGO_FLAGS) --quiet --release --workspace
	@target/release/dsf bench $(BENCH_FLAGS)

check-compose: ## loads every compose file with the reference loader
	@scripts/check-compose

fmt: ## formats the code
	@cargo fmt --all

clean: ## removes what was built
	@cargo clean

.PHONY: help demo test test-peers test-large bench check-compose fmt clean
