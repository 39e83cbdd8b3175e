#!/usr/bin/env bash
# Tests the deployment and the Kubernetes registry on a real kube-apiserver and etcd. The first run
# builds both from Go modules (needs Go and a module proxy; takes minutes), unless the directory
# KUBE_ASSETS contains them. Arguments select checks by a part of their names.
set -euo pipefail
cd "$(dirname "$0")/.."
target="${CARGO_TARGET_DIR:-$PWD/target}"

say() {
    echo "test-apiserver: $*" >&2
}

KUBE_ASSETS=$(scripts/kubernetes.sh etcd kube-apiserver)
export KUBE_ASSETS

# The tools that users install with.
HELM=$(scripts/tool.sh helm helm.sh/helm/v4/cmd/helm tools)
KUSTOMIZE=$(scripts/tool.sh kustomize sigs.k8s.io/kustomize/kustomize/v5 tools)
export HELM KUSTOMIZE

# The CustomResourceDefinitions of the Prometheus operator.
operator=$(cd tools/prometheus-operator &&
    go mod download -json github.com/prometheus-operator/prometheus-operator)
OPERATOR_CRDS=$(sed -n 's/^\t"Dir": "\(.*\)",$/\1/p' <<<"$operator")/example/prometheus-operator-crd
export OPERATOR_CRDS

# The CustomResourceDefinition of CiliumNetworkPolicies.
CILIUM_SOURCE=$(cd tools/cilium && go mod download github.com/cilium/cilium &&
    go list -m -f '{{.Dir}}' github.com/cilium/cilium)
export CILIUM_SOURCE

# The CustomResourceDefinition of ExternalDNS.
EXTERNAL_DNS_SOURCE=$(cd tools/external-dns && go mod download sigs.k8s.io/external-dns &&
    go list -m -f '{{.Dir}}' sigs.k8s.io/external-dns)
export EXTERNAL_DNS_SOURCE

# Karpenter with the provider that creates Nodes instead of instances.
KARPENTER=$(scripts/tool.sh karpenter sigs.k8s.io/karpenter/kwok tools/karpenter)
KARPENTER_SOURCE=$(cd tools/karpenter && go list -m -f '{{.Dir}}' sigs.k8s.io/karpenter)
export KARPENTER KARPENTER_SOURCE

# Builds the whole workspace, so that the results of `cargo test` are reused.
say "building the checks and the agent"
cargo build --locked --quiet --bin firecamp-apiserver-tests --bin firecamp-agent
say "running them on $("$KUBE_ASSETS/kube-apiserver" --version)"
exec "$target/debug/firecamp-apiserver-tests" "$@"
