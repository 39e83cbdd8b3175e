# All development tasks; CI runs the same targets. `make help` lists them.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

TARGET_DIR := $(abspath $(or $(CARGO_TARGET_DIR),target))
# Checkouts that share a target directory share these tools.
TOOLS := $(TARGET_DIR)/tools
DENY := $(TOOLS)/bin/cargo-deny-0.20.2
FUZZ := $(TOOLS)/bin/cargo-fuzz-0.13.2
MUTANTS := $(TOOLS)/bin/cargo-mutants-27.1.0

# The number of histories, and the first seed.
N ?= 1000000
SEED ?= 1
LEVEL ?= model
SIM_FLAGS ?=

.PHONY: bugs help check fmt locks clippy doc deny generated test model demo demo-release \
	demo-image bench scale oracle steady images reproducible test-images test-user test-apiserver \
	test-deploy test-rules test-cloudformation bless-deploy test-moto test-volumes coverage \
	crashes fuzz sim mutants docs bless clean cluster-up cluster-down e2e e2e-long versions chaos \
	figures

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-19s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

check: fmt locks clippy doc deny generated ## Run the static checks: format, lints, docs, licences
	@echo "make check: all is well"

fmt: ## Check the formatting
	cargo fmt --all --check

locks: ## Check that the lock file of the other workspace is up to date
	cargo metadata --locked --format-version 1 --manifest-path fuzz/Cargo.toml >/dev/null

# In its own target directory, so that builds need not wait for lints.
clippy doc: export CARGO_TARGET_DIR := $(TARGET_DIR)/checked

clippy: ## Run clippy; lints are errors
	cargo clippy --workspace --all-targets --all-features --locked -- -D warnings

doc: ## Build the API documentation; warnings are errors
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --document-private-items --locked

deny: $(DENY) ## Check licences, sources and duplicates of the dependencies
	$(DENY) --locked check bans licenses sources

# bin/cargo-NAME-VERSION.
$(TOOLS)/bin/cargo-%:
	scripts/cargo-tool.sh cargo-$(word 1,$(subst -, ,$*)) $(word 2,$(subst -, ,$*)) $@

generated: ## Check that the generated files are up to date
	scripts/generated.sh check

bless: ## Rewrite the generated files
	scripts/generated.sh bless

test: ## Run all tests that run on any machine: the same as `cargo test`
	cargo test --locked

model: ## Explore every scenario of the model completely and print a table
	cargo run --release --locked -p firecamp-model -- check

demo: ## Run the demo: four nodes, real packets, a member that keeps its address
	cargo demo

demo-release: ## Run the demo with optimized binaries, to measure
	cargo demo --release

demo-image: ## Draw docs/images/demo.png from the recorded run (needs chromium)
	scripts/demo-image.sh

steady: images ## Test an idle node for ten minutes: few EC2 calls, no writes (STEADY=flags)
	cargo run --locked --bin firecamp-bench -- steady --images $(TARGET_DIR)/images $(STEADY)

bench: images ## Measure the performance and write docs/proof/PERFORMANCE.md (BENCH=flags)
	cargo run --release --locked --package firecamp-bench -- \
	  run --images $(TARGET_DIR)/images $(BENCH)

# The first run builds kube-apiserver and etcd (Go, 5 minutes). DEBUG=1 measures a debug build
# of the agent and needs no images.
scale: $(if $(DEBUG),,images) ## Measure a fleet on a real API server (SCALE=0.1 MINUTES=3 DEBUG=1)
	KUBE_ASSETS=$$(scripts/kubernetes.sh etcd kube-apiserver) cargo run --locked \
	  $(if $(DEBUG),--bin,--release --package) firecamp-bench -- scale --scale $(or $(SCALE),1) \
	  $(if $(MINUTES),--minutes $(MINUTES)) \
	  $(if $(DEBUG),,--images $(TARGET_DIR)/images) $(FLAGS)

crashes: ## Test every crash and every pair of crashes, with SEEDS=N seeds for each scenario
	cargo run --locked --release -p firecamp-histories --no-default-features \
		--bin firecamp-crashes -- seeds $(or $(SEEDS),2)

chaos: ## As root: test random failures on a cluster (SEED=7 MINUTES=30)
	scripts/cluster.sh chaos --name $(or $(NAME),chaos) $(if $(SEED),--seed $(SEED)) \
	  $(if $(MINUTES),--minutes $(MINUTES))

figures: images ## As root: measure FireCamp on a cluster (docs/proof/performance/cluster.md)
	VPCBOX_PROFILE=realistic FIRECAMP_IMAGES=$(TARGET_DIR)/images scripts/cluster.sh figures \
	  --name figures --page docs/proof/performance/cluster.md

# Optimized for size and separate from all other builds: the first build takes 15 minutes.
images: ## Build the container images: OCI archives in target/images (REGISTRY=R, ENGINE=docker)
	scripts/images.sh $(if $(ENGINE),engine $(ENGINE),archives) $(REGISTRY)

reproducible: ## Build the images again in another directory and compare every byte
	scripts/images.sh reproducible

test-images: images ## Test the images: unpack and start each with only its own files
	IMAGES=$(TARGET_DIR)/images cargo test --locked -p firecamp-images --features real --test real

# The excluded tests only compute, so they do not depend on the user.
USER_TESTS := --workspace $(addprefix --exclude firecamp-,\
  controllers core fuzz-bodies histories model oracle sim-tests)

test-user: ## As root: run `cargo test` and `cargo demo` as an unprivileged user (TESTS=flags)
	scripts/as-user.sh bash -euc 'cargo test --locked $(TESTS); cargo demo'

test-volumes: ## As root: test volumes on real block devices (ext4, XFS, a hanging FUSE)
	cargo test --locked --workspace --features firecamp-host/real-root --test blocks \
	  $(or $(RUN),-- --test-threads 1)

# Builds the whole workspace, because the wire level needs the SDK as `cargo test` builds it.
MACHINES := -p firecamp-histories --no-default-features --bin
SIM_model := $(MACHINES) firecamp-histories
SIM_wire := --bin firecamp-wire-histories
SIM_volumes := $(MACHINES) firecamp-volume-histories

# LEVEL=wire uses the real clients, volumes and interfaces simulate these.
sim: ## Run N random histories from SEED on (N=1000000 SEED=7; N=1 replays one; LEVEL=wire|volumes)
	@if [[ "$(LEVEL)" == interfaces ]]; then HISTORIES=$(N) SEED=$(SEED) \
	cargo test --locked -p firecamp-controllers --lib -- --nocapture random_histories; \
	elif [[ "$(N)" == 1 ]]; then cargo run --locked -q $(SIM_$(LEVEL)) -- replay $(SEED); \
	else cargo run --locked -q $(SIM_$(LEVEL)) -- run --histories $(N) --seed $(SEED) \
	$(SIM_FLAGS); fi

# Builds the recorder from a pinned commit, in a separate tree below target/oracle.
oracle: ## Compare all decisions with a pinned commit (N=100000 SEED=1 KINDS="model crashes")
	N=$(if $(filter file,$(origin N)),100000,$(N)) SEED=$(SEED) scripts/oracle.sh $(KINDS)

# The first run builds kube-apiserver and etcd (Go, 5 minutes), unless KUBE_ASSETS=DIR has them.
test-apiserver: ## Test the CRDs and the registry on a real kube-apiserver (ARGS="rule", KUBERNETES=1.34|1.31)
	scripts/test-apiserver.sh $(ARGS)

# The first run builds Helm, Kustomize and kube-score (Go, 3 minutes).
test-deploy: ## Test the Helm chart: lint, rendered output, same objects as Kustomize
	scripts/test-deploy.sh check

test-rules: ## Test alerts and dashboards with promtool
	scripts/test-rules.sh

bless-deploy: ## Rewrite the files generated from the Helm chart (deploy/daemonset.yaml)
	scripts/test-deploy.sh bless

# The first run builds the rest of Kubernetes (Go, 5 minutes).
cluster-up: ## As root: start a local cluster with FireCamp (NAME=x, CNI=vpc|ptp, KUBERNETES=1.31)
	scripts/cluster.sh up $(if $(NAME),--name $(NAME)) $(if $(CNI),--cni $(CNI))

cluster-down: ## As root: remove the local cluster completely (NAME=x)
	scripts/cluster.sh down $(if $(NAME),--name $(NAME))

e2e: ## As root: run the end-to-end tests on a local cluster (ARGS="drain --times 3", CNI=vpc|ptp)
	$(if $(PROFILE),VPCBOX_PROFILE=$(PROFILE)) $(if $(MEMBERS),CLUSTERBOX_MEMBERS=$(MEMBERS)) \
	scripts/cluster.sh e2e --name $(or $(NAME),e2e) $(if $(CNI),--cni $(CNI)) $(ARGS)

# Members with networks of their own, one of them without a controller; members of any kind that
# move, are deleted by force while their service runs, lose their sandbox or node, whose agents are
# replaced, and whose agents hostile pods ask.
OWN_NETWORK := network_of_its_own f129 no_controller
MOVES := a_restart_on draining_a_node f005 f030 f107 f111 f112 f113 twenty_members superseded \
  powered_off rebooted rolled_out
# Those of them that run beside the VPC CNI.
VPC_MOVES := a_restart_on draining_a_node f005 f107 f113 f121 powered_off rolled_out

# Scenarios that take minutes, and the first time build what they run.
LONG := interface_without_tag interface_of_its_pool fifty_restarts restart_that_stopped \
  name_in_the_vpc log_stream redis_keeps kafka_with postgresql_with rabbitmq_keeps eks_remove

# Each name contains "_": that selects all scenarios, also those that only run if they are named.
e2e-long: ## As root: run the end-to-end tests that CI leaves out, which take minutes each (4 hours)
	$(MAKE) e2e ARGS="$(LONG)"
	$(MAKE) e2e KUBE_PROXY=iptables ARGS="$(OWN_NETWORK)"
	$(MAKE) e2e CNI=ptp KUBE_PROXY=iptables ARGS="$(OWN_NETWORK)"
	$(MAKE) e2e MEMBERS=injected ARGS="$(MOVES)"
	$(MAKE) e2e KUBE_PROXY=iptables MEMBERS=own-network ARGS="$(MOVES)"
	$(MAKE) e2e CNI=ptp KUBE_PROXY=iptables MEMBERS=injected ARGS="$(MOVES)"
	$(MAKE) e2e CNI=ptp MEMBERS=own-network ARGS="$(OWN_NETWORK) $(MOVES)"
	$(MAKE) e2e NETWORK_POLICY=1 ARGS="network_policies $(OWN_NETWORK)"
	$(MAKE) e2e NETWORK_POLICY=1 CNI=ptp ARGS="network_policies $(OWN_NETWORK)"
	$(MAKE) e2e CNI=vpc ARGS=_
	$(MAKE) e2e CNI=vpc MEMBERS=injected ARGS="$(VPC_MOVES)"
	$(MAKE) e2e CNI=vpc KUBE_PROXY=iptables MEMBERS=own-network ARGS="$(OWN_NETWORK) $(VPC_MOVES)"

# How members with and without privileges start, restart, move and are deleted by force; a lost
# node; agents that are rolled out; `firecamp service`; Redis.
SHORT := three_members a_restart_on draining_a_node f113 without_privileges network_of_its_own \
  powered_off rolled_out f095_a_service redis_keeps

versions: ## As root: test the Kubernetes versions that CI leaves out (test-apiserver, some e2e)
	for version in 1.31 1.34; do \
	  $(MAKE) test-apiserver KUBERNETES=$$version; \
	  $(MAKE) e2e KUBERNETES=$$version ARGS="$(SHORT)"; \
	done

test-cloudformation: ## Check what CloudFormation, eksctl and kubeadm read (needs python3)
	scripts/test-cloudformation.sh

test-moto: ## Test the EC2 client against the moto server (needs python3)
	scripts/test-moto.sh

coverage: ## Measure the test coverage: print a table, write target/coverage
	scripts/coverage.sh

# Builds a copy of the tree for each bug. No package is named, as in `cargo demo`.
bugs: ## Check that tests find each deliberate bug (SAMPLE=5, BUGS="a b"; BLESS=1 writes the page)
	cargo run --locked -q --bin firecamp-bugs -- hunt --dir $(TARGET_DIR)/bugs \
		$(if $(SAMPLE),--sample $(SAMPLE)) $(if $(BLESS),--bless) $(BUGS)

fuzz: $(FUZZ) ## Fuzz the parsers of external input: SECONDS=20 each, TARGETS="ec2 imds" or all
	scripts/fuzz.sh $(FUZZ) $(or $(SECONDS),20) $(TARGETS)

mutants: $(MUTANTS) ## Mutation testing of the core (ARGS="--shard 1/8" for a part)
	scripts/mutants.sh $(MUTANTS) $(ARGS)

docs: ## Build the API documentation
	cargo doc --workspace --no-deps --locked
	@echo "$(TARGET_DIR)/doc/firecamp_core/index.html"

clean: ## Remove build results
	cargo clean
