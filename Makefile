# The only entrance: what CI runs, anybody can run. `make help` lists the targets.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

TARGET_DIR := $(abspath $(or $(CARGO_TARGET_DIR),target))
# Tools are built once for all checkouts that share a target directory.
TOOLS := $(TARGET_DIR)/tools
DENY := $(TOOLS)/bin/cargo-deny-0.20.2
FUZZ := $(TOOLS)/bin/cargo-fuzz-0.13.2
MUTANTS := $(TOOLS)/bin/cargo-mutants-27.1.0

# How many histories, and from which seed on.
N ?= 1000000
SEED ?= 1
LEVEL ?= model
SIM_FLAGS ?=

.PHONY: bugs help check fmt locks clippy doc deny generated test model demo demo-release bench \
	steady images reproducible test-images test-user test-apiserver test-deploy test-rules \
	bless-deploy test-moto test-volumes coverage crashes fuzz sim mutants docs bless clean \
	cluster-up cluster-down e2e chaos figures

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

check: fmt locks clippy doc deny generated ## Format, lints, docs, dependencies, generated files
	@echo "make check: all is well"

fmt: ## Is everything formatted?
	cargo fmt --all --check

locks: ## Are the lock files of the workspaces beside the main one up to date?
	cargo metadata --locked --format-version 1 --manifest-path tests/bugs/Cargo.toml >/dev/null
	cargo metadata --locked --format-version 1 --manifest-path fuzz/Cargo.toml >/dev/null

# A target directory of its own: who waits for a build need not wait for lints.
clippy doc: export CARGO_TARGET_DIR := $(TARGET_DIR)/checked

clippy: ## Lints, as errors
	cargo clippy --workspace --all-targets --all-features --locked -- -D warnings

doc: ## Does the API documentation build without warnings?
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --document-private-items --locked

deny: $(DENY) ## Licences, sources and duplicates of the dependencies
	$(DENY) --locked check bans licenses sources

# bin/cargo-NAME-VERSION.
$(TOOLS)/bin/cargo-%:
	scripts/cargo-tool.sh cargo-$(word 1,$(subst -, ,$*)) $(word 2,$(subst -, ,$*)) $@

generated: ## Are the generated files up to date?
	scripts/generated.sh check

bless: ## Rewrite the generated files
	scripts/generated.sh bless

test: ## All tests that run anywhere: the same as `cargo test`
	cargo test --locked

model: ## Every world of the model, explored to the end, and a table of them
	cargo run --release --locked -p firecamp-model -- check

demo: ## The demo: four nodes, real packets, a member that keeps its address
	cargo demo

demo-release: ## The same with optimised binaries, for the figures that count
	cargo demo --release

steady: images ## A quiet node for ten minutes: few EC2 calls, no write, no growth (STEADY=flags)
	cargo run --locked --bin firecamp-bench -- steady --images $(TARGET_DIR)/images $(STEADY)

bench: images ## The figures: measures, keeps them and writes docs/PERFORMANCE.md (BENCH=flags)
	cargo run --release --locked --package firecamp-bench -- \
	  run --images $(TARGET_DIR)/images $(BENCH)

crashes: ## Every single crash and every pair, with SEEDS=N seeds for each scenario
	cargo run --locked --release -p firecamp-histories --no-default-features \
		--bin firecamp-crashes -- seeds $(or $(SEEDS),2)

chaos: ## As root: whatever may happen to members on such a cluster (SEED=7 MINUTES=30)
	scripts/cluster.sh chaos --name $(or $(NAME),chaos) $(if $(SEED),--seed $(SEED)) \
	  $(if $(MINUTES),--minutes $(MINUTES))

figures: images ## As root: what FireCamp costs on such a cluster (docs/performance/cluster.md)
	FIRECAMP_IMAGES=$(TARGET_DIR)/images scripts/cluster.sh figures --name figures \
	  --page docs/performance/cluster.md

# Optimised for size, so nothing of other builds is used: a quarter of an hour the first time.
images: ## The container images, as OCI archives in target/images (REGISTRY=R, ENGINE=docker)
	scripts/images.sh $(if $(ENGINE),engine $(ENGINE),archives) $(REGISTRY)

reproducible: ## Builds the images again, elsewhere, and compares every byte
	scripts/images.sh reproducible

test-images: images ## The images: each unpacked and started, alone with its files
	IMAGES=$(TARGET_DIR)/images cargo test --locked -p firecamp-images --features real --test real

# What only computes does so for anybody alike; all else may depend on who runs it.
ANYBODYS := --workspace $(addprefix --exclude firecamp-,fuzz-bodies histories sim-tests)

test-user: ## As root: `cargo test` and `cargo demo` as an ordinary user (TESTS=flags: a part)
	scripts/as-user.sh bash -euc 'cargo test --locked $(TESTS); cargo demo'

test-volumes: ## As root: volumes on real block devices (ext4, XFS, a FUSE that never answers)
	cargo test --locked --workspace --features firecamp-host/real-root --test blocks \
	  $(or $(RUN),-- --test-threads 1)

# The wire level needs the SDK as `cargo test` has built it, so no package is named.
MACHINES := -p firecamp-histories --no-default-features --bin
SIM_model := $(MACHINES) firecamp-histories
SIM_wire := --bin firecamp-wire-histories
SIM_volumes := $(MACHINES) firecamp-volume-histories

sim: ## Seeded histories: N from SEED on (N=1000000 SEED=7; N=1 replays one; LEVEL=wire|volumes)
	@if [[ "$(N)" == 1 ]]; then cargo run --locked -q $(SIM_$(LEVEL)) -- replay $(SEED); \
	else cargo run --locked -q $(SIM_$(LEVEL)) -- run --histories $(N) --seed $(SEED) \
	$(SIM_FLAGS); fi

# Builds kube-apiserver and etcd the first time, 5 minutes of Go; KUBE_ASSETS=DIR has them built.
test-apiserver: ## CRDs and registry on a real kube-apiserver (ARGS="rules": checks by name)
	scripts/test-apiserver.sh $(ARGS)

# Builds Helm, Kustomize and kube-score the first time, 3 minutes of Go.
test-deploy: ## The Helm chart: lint, what it renders, the same as without Helm
	scripts/test-deploy.sh check

test-rules: ## Alerts and dashboards, by promtool: valid? Does each alert fire by its cause alone?
	scripts/test-rules.sh

bless-deploy: ## Rewrite what is made of the Helm chart (deploy/daemonset.yaml)
	scripts/test-deploy.sh bless

# Builds the rest of Kubernetes the first time, 5 minutes of Go.
cluster-up: ## As root: a Kubernetes cluster in a box, with FireCamp (NAME=x: several)
	scripts/cluster.sh up $(if $(NAME),--name $(NAME))

cluster-down: ## As root: takes it down, every trace of it (NAME=x)
	scripts/cluster.sh down $(if $(NAME),--name $(NAME))

e2e: ## As root: what happens to members, on such a cluster (ARGS="drain --times 3")
	scripts/cluster.sh e2e --name $(or $(NAME),e2e) $(ARGS)

test-moto: ## Our EC2 client against moto's server (needs python3)
	scripts/test-moto.sh

coverage: ## Which lines do the tests enter? Prints a table, writes target/coverage
	scripts/coverage.sh

bugs: ## Plant each deliberate bug: is it found? (BLESS=1 writes docs/deliberate-bugs.md)
	CARGO_TARGET_DIR=$(TARGET_DIR)/bugs cargo run --locked -q \
		--manifest-path tests/bugs/Cargo.toml -- all $(if $(BLESS),--bless)

fuzz: $(FUZZ) ## Fuzz what reads outside input: SECONDS=20 each, TARGETS="ec2 imds" or all
	scripts/fuzz.sh $(FUZZ) $(or $(SECONDS),20) $(TARGETS)

mutants: $(MUTANTS) ## Is every change of the core noticed? ARGS="--shard 1/8" for a part
	scripts/mutants.sh $(MUTANTS) $(ARGS)

docs: ## The API documentation, for people
	cargo doc --workspace --no-deps --locked
	@echo "$(TARGET_DIR)/doc/firecamp_core/index.html"

clean: ## Remove what was built
	cargo clean
