# Short targets that people and continuous integration call alike.
.DEFAULT_GOAL := help
.PHONY: help run test check money openapi schemathesis bench bench-shared bench-administration bench-invoices bench-startup interleavings models simulate chaos clean tools

help: ## What can be made
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

run: ## Build for release and start gateway and control plane in one process
	cargo build --release --locked --bin ringfence
	exec ./target/release/ringfence serve

test: tools check ## Install what the tests need, then lints and every test
	cargo nextest run --workspace --locked
	cargo build --workspace --locked --bin with-postgres
	$${CARGO_TARGET_DIR:-target}/debug/with-postgres \
		cargo nextest run --workspace --locked --filterset 'package(ringfence-control-plane)'

check: ## Formatting, lints and the house rules
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	cargo test --locked --quiet --test tidy

money: ## Ten thousand parallel calls on a thousand wallets of one gateway, with kills, to the micro-unit: a minute or two
	cargo test --release --locked --test system -- reckoning --nocapture --test-threads 1

openapi: ## Write control-plane/openapi.json anew, after routes or their descriptions have changed
	RINGFENCE_RENEW=1 cargo test --locked --quiet --workspace --lib \
		description::tests::the_committed_document_is_what_the_routes_say

schemathesis: tools ## Made-up requests to a control plane, over both databases, held against its document: an hour
	cargo build --workspace --locked --bin ringfence --bin with-postgres
	./tests/schemathesis/run

bench: ## Benchmarks and load, as ratios to a bare hyper server
	./benches/run

bench-shared: ## Three gateways over one Redis server against what sharing a hub promises: some ten minutes
	cargo build --release --locked --package ringfence --package ringfence-benches --bin ringfence --bin load --bin shared
	$${CARGO_TARGET_DIR:-target}/release/shared

bench-administration: ## 100,000 sub-accounts on PostgreSQL: creation, lists, searches, usage: some minutes
	cargo build --release --locked --package ringfence --package ringfence-benches --bin ringfence --bin administer
	$${CARGO_TARGET_DIR:-target}/release/administer

bench-invoices: ## A month of 1,000,000 calls on SQLite and PostgreSQL: usage and invoices: some minutes
	cargo build --release --locked --package ringfence --package ringfence-benches --bin ringfence --bin invoices
	$${CARGO_TARGET_DIR:-target}/release/invoices

bench-startup: ## How long a start takes with 100,000 live calls and 1,000,000 tombstones
	cargo test --release --locked --test system -- --exact start_up::a_large_directory_opens_in_time --nocapture

PREEMPTIONS ?= 5

interleavings: ## The lock-free parts of the gateway with more changes of threads: PREEMPTIONS (5 unless set)
	LOOM_MAX_PREEMPTIONS=$(PREEMPTIONS) cargo test --locked --package ringfence-interleavings

models: ## The models of the lease protocol, large runs too: minutes, some gigabytes
	cargo run --release --locked --package ringfence-models

SEEDS ?= 10000

simulate: ## Gateways and their faults in virtual time: SEEDS worlds (10,000 unless set)
	cargo run --release --locked --package ringfence-simulation -- --seeds $(SEEDS)

MINUTES ?= 20
HUB ?= sentinel

chaos: ## Processes under faults: MINUTES of them (20 unless set), HUB=single, sentinel or cluster; a report
	cargo build --release --locked --bin ringfence
	cargo run --release --locked --package ringfence-chaos -- --minutes $(MINUTES) --hub $(HUB)

clean: ## Remove what was built
	cargo clean

tools:
	@./tests/install-tools
