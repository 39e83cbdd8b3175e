#!/usr/bin/env bash
# What the deployment and the registry of a cluster do on a real kube-apiserver and etcd. Builds
# both from Go modules (needs Go and a module proxy; minutes once, then nothing), or takes them
# from the directory that KUBE_ASSETS names. Arguments choose checks by a part of their names.
set -euo pipefail
cd "$(dirname "$0")/.."
target="${CARGO_TARGET_DIR:-$PWD/target}"

say() {
    echo "test-apiserver: $*" >&2
}

KUBE_ASSETS=$(scripts/kubernetes.sh etcd kube-apiserver)
export KUBE_ASSETS

# What users install with.
HELM=$(scripts/tool.sh helm helm.sh/helm/v4/cmd/helm tools)
export HELM

# Objects of the Prometheus operator, as it defines them.
operator=$(cd tools/prometheus-operator &&
    go mod download -json github.com/prometheus-operator/prometheus-operator)
OPERATOR_CRDS=$(sed -n 's/^\t"Dir": "\(.*\)",$/\1/p' <<<"$operator")/example/prometheus-operator-crd
export OPERATOR_CRDS

# Of the whole workspace, so that what `cargo test` has built is used.
say "building the checks and the agent"
cargo build --locked --quiet --bin firecamp-apiserver-tests --bin firecamp-agent
say "running them on $("$KUBE_ASSETS/kube-apiserver" --version)"
exec "$target/debug/firecamp-apiserver-tests" "$@"
