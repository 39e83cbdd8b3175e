# The only entrance: what CI runs, anybody can run. `make help` lists the targets.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

TARGET_DIR := $(abspath $(or $(CARGO_TARGET_DIR),target))
# Tools are built once for all checkouts that share a target directory.
TOOLS := $(TARGET_DIR)/tools
DENY_VERSION := 0.20.2
DENY := $(TOOLS)/bin/cargo-deny-$(DENY_VERSION)

.PHONY: help check fmt clippy doc deny generated test demo demo-release test-user test-moto \
	coverage docs bless clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

check: fmt clippy doc deny generated ## Format, lints, docs, dependencies, generated files
	@echo "make check: all is well"

fmt: ## Is everything formatted?
	cargo fmt --all --check

clippy: ## Lints, as errors
	cargo clippy --workspace --all-targets --all-features --locked -- -D warnings

doc: ## Does the API documentation build without warnings?
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --document-private-items --locked

deny: $(DENY) ## Licences, sources and duplicates of the dependencies
	$(DENY) --locked check bans licenses sources

# Nobody waits for its optimisation: it runs for seconds.
$(DENY): export CARGO_PROFILE_RELEASE_OPT_LEVEL := 0
$(DENY): export CARGO_PROFILE_RELEASE_LTO := off
$(DENY): export CARGO_PROFILE_RELEASE_CODEGEN_UNITS := 16
$(DENY): export CARGO_TARGET_DIR := $(TOOLS)/build
$(DENY):
	@echo "Installing cargo-deny $(DENY_VERSION) into $(TOOLS)"
	cargo install cargo-deny --locked --version $(DENY_VERSION) --root $(TOOLS) --force
	mv $(TOOLS)/bin/cargo-deny $(DENY)
	rm -rf $(TOOLS)/build

generated: ## Are the generated files up to date?
	scripts/generated.sh check

bless: ## Rewrite the generated files
	scripts/generated.sh bless

test: ## All tests that run anywhere: the same as `cargo test`
	cargo test --locked

demo: ## The demo: three nodes, real packets, a member that keeps its address
	cargo demo

demo-release: ## The same with optimised binaries, for the figures that count
	cargo demo --release

test-user: ## As root: `cargo test` and `cargo demo` as an ordinary user
	scripts/as-user.sh bash -euc 'cargo test --locked; cargo demo'

test-moto: ## Our EC2 client against moto's server (needs python3)
	scripts/test-moto.sh

coverage: ## Which lines do the tests enter? Prints a table, writes target/coverage
	scripts/coverage.sh

docs: ## The API documentation, for people
	cargo doc --workspace --no-deps --locked
	@echo "$(TARGET_DIR)/doc/firecamp_core/index.html"

clean: ## Remove what was built
	cargo clean
