#!/usr/bin/env bash
# A Kubernetes cluster in a box (docs/cluster.md), as root: cluster.sh up|down|list|exec|e2e ...
# Builds the binaries of Kubernetes the first time (scripts/kubernetes.sh), and takes from Debian's
# packages what else a node needs.
set -euo pipefail
cd "$(dirname "$0")/.."
target="${CARGO_TARGET_DIR:-$PWD/target}"
mkdir -p "$target"
target=$(cd "$target" && pwd)

fail() {
    echo "cluster: $*" >&2
    exit 1
}

[[ $(id -u) == 0 ]] || fail "a node mounts, and makes cgroups: only root may"

# What a node runs beside the kubelet: the file, and Debian's package of it.
missing=()
for needed in /usr/bin/containerd:containerd /usr/sbin/runc:runc /usr/sbin/nft:nftables \
    /usr/lib/cni/bridge:containernetworking-plugins /bin/busybox:busybox-static \
    /usr/sbin/ip:iproute2 /usr/bin/nsenter:util-linux /usr/bin/strip:binutils \
    /etc/ssl/certs/ca-certificates.crt:ca-certificates; do
    [[ -e "${needed%%:*}" ]] || missing+=("${needed##*:}")
done
if [[ ${#missing[@]} -gt 0 ]]; then
    command -v apt-get >/dev/null || fail "missing, and there is no apt-get: ${missing[*]}"
    echo "cluster: installing ${missing[*]}" >&2
    {
        apt-get update -q
        DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "${missing[@]}"
    } >&2
fi

KUBE_ASSETS=$(scripts/kubernetes.sh etcd kube-apiserver kube-controller-manager kube-scheduler \
    kubelet kube-proxy kubectl)
HELM=$(scripts/tool.sh helm helm.sh/helm/v4/cmd/helm tools)
export KUBE_ASSETS HELM
export CLUSTERBOX_DIR="${CLUSTERBOX_DIR:-$target/clusters}"

# Of the whole workspace, so that what `cargo test` has built is used.
cargo build --locked --quiet --bin clusterbox
exec "$target/debug/clusterbox" "$@"
