#!/usr/bin/env bash
# A Kubernetes cluster in a box, as root: cluster.sh up|down|list|exec|e2e ...
# `prepare` only installs and builds what a cluster needs: two runs at once must not do it.
# docs/development/cluster.md explains it.
# The first run builds the binaries of Kubernetes (scripts/kubernetes.sh) and installs the other
# programs of a node from Debian's packages.
set -euo pipefail
cd "$(dirname "$0")/.."
target="${CARGO_TARGET_DIR:-$PWD/target}"
mkdir -p "$target"
target=$(cd "$target" && pwd)

fail() {
    echo "cluster: $*" >&2
    exit 1
}

[[ $(id -u) == 0 ]] || fail "run this as root: a node mounts file systems and creates cgroups"

# The programs that a node needs beside the kubelet: the file and its Debian package.
missing=() vpc_cni='' iptables=''
[[ " $* " != *" --cni vpc "* ]] || vpc_cni=1
[[ -z "$vpc_cni" && ${KUBE_PROXY:-} != iptables ]] || iptables=/usr/sbin/iptables:iptables
engine=''
[[ -z "${NETWORK_POLICY:-}" ]] || engine="/usr/sbin/iptables:iptables /usr/sbin/ipset:ipset"
# The services of a scenario, whose files it puts into images.
services=''
[[ " $* " != *redis* ]] || services=/usr/bin/redis-server:redis-server
[[ " $* " != *postgres* ]] ||
    services+=" /usr/lib/postgresql/15/bin/postgres:postgresql-15"
[[ " $* " != *rabbitmq* ]] ||
    services+=" /usr/sbin/rabbitmq-server:rabbitmq-server
        /usr/lib/python3/dist-packages/pika:python3-pika"
[[ " $* " != *kafka* ]] || services+=" /usr/bin/mvn:maven /usr/bin/jlink:openjdk-17-jdk-headless"
for needed in $iptables $engine $services /usr/bin/containerd:containerd /usr/sbin/runc:runc \
    /usr/sbin/nft:nftables /usr/lib/cni/bridge:containernetworking-plugins \
    /bin/busybox:busybox-static /usr/sbin/ip:iproute2 /usr/bin/nsenter:util-linux \
    /usr/bin/strip:binutils \
    /etc/ssl/certs/ca-certificates.crt:ca-certificates; do
    [[ -e "${needed%%:*}" ]] || missing+=("${needed##*:}")
done
if [[ ${#missing[@]} -gt 0 ]]; then
    command -v apt-get >/dev/null || fail "install these packages: ${missing[*]}"
    echo "cluster: installing ${missing[*]}" >&2
    {
        apt-get update -q
        DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "${missing[@]}"
    } >&2
fi

case ${1:-} in
    up | e2e | chaos | figures | prepare)
        KUBE_ASSETS=$(scripts/kubernetes.sh etcd kube-apiserver kube-controller-manager \
            kube-scheduler kubelet kube-proxy kubectl)
        HELM=$(scripts/tool.sh helm helm.sh/helm/v4/cmd/helm tools)
        COREDNS=$(scripts/tool.sh coredns github.com/coredns/coredns tools/coredns)
        EXTERNAL_DNS_SOURCE=$(cd tools/external-dns && go mod download sigs.k8s.io/external-dns &&
            go list -m -f '{{.Dir}}' sigs.k8s.io/external-dns)
        export KUBE_ASSETS HELM COREDNS EXTERNAL_DNS_SOURCE
        ;;
esac
# The AWS CLI, for the commands of docs/install.md.
if [[ ${1:-} == e2e || ${1:-} == prepare ]]; then
    AWS_TOOLS=$(scripts/python-tools.sh aws)
    export AWS_TOOLS
fi
# Amazon's VPC CNI: its daemon and its plugin.
if [[ -n "$vpc_cni" ]]; then
    module=github.com/aws/amazon-vpc-cni-k8s/cmd
    VPC_CNI=$(dirname "$(scripts/tool.sh aws-k8s-agent $module/aws-k8s-agent tools/vpc-cni)")
    scripts/tool.sh aws-cni $module/routed-eni-cni-plugin tools/vpc-cni >/dev/null
    export VPC_CNI
fi
# An engine for NetworkPolicies: the firewall of kube-router.
if [[ -n "$engine" ]]; then
    module=github.com/cloudnativelabs/kube-router/v2/cmd
    KUBE_ROUTER=$(scripts/tool.sh kube-router $module/kube-router tools/kube-router)
    export KUBE_ROUTER
fi
[[ ${1:-} != prepare ]] || exit 0
export CLUSTERBOX_DIR="${CLUSTERBOX_DIR:-$target/clusters}"

# Builds the whole workspace, so that the results of `cargo test` are reused.
cargo build --locked --quiet --bin clusterbox
exec "$target/debug/clusterbox" "$@"
