#!/usr/bin/env bash
# What the deployment and the registry of a cluster do on a real kube-apiserver and etcd. Builds
# both from Go modules (needs Go and a module proxy; 5 minutes on 2 cores, then nothing), or takes
# them from the directory that KUBE_ASSETS names. Arguments choose checks by a part of their names.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
target="${CARGO_TARGET_DIR:-$root/target}"

fail() {
    echo "test-apiserver: $*" >&2
    exit 1
}

# build PACKAGE NAME LDFLAGS: Go's own cache makes the second time cheap.
build() {
    echo "test-apiserver: building $2 (minutes, the first time)" >&2
    (cd tests/kubernetes && CGO_ENABLED=0 go build -trimpath -ldflags "-s -w $3" \
        -o "$KUBE_ASSETS/$2" "$1")
}

if [ -z "${KUBE_ASSETS:-}" ]; then
    command -v go >/dev/null || fail "Go is missing: install it, or set KUBE_ASSETS to a \
directory with etcd and kube-apiserver"
    export KUBE_ASSETS="$target/kubernetes"
    mkdir -p "$KUBE_ASSETS"
    version=$(cd tests/kubernetes && go list -m -f '{{.Version}}' k8s.io/kubernetes)
    minor=${version#v1.}
    # Without these every component believes that it is v0.0.0.
    package=k8s.io/component-base/version
    flags="-X $package.gitVersion=$version -X $package.gitMajor=1 -X $package.gitMinor=${minor%%.*}"
    stamp="$KUBE_ASSETS/built-from"
    if ! cmp -s tests/kubernetes/go.sum "$stamp"; then
        build go.etcd.io/etcd/server/v3 etcd ""
        build k8s.io/kubernetes/cmd/kube-apiserver kube-apiserver "$flags"
        cp tests/kubernetes/go.sum "$stamp"
    fi
fi
KUBE_ASSETS=$(cd "$KUBE_ASSETS" && pwd)
export KUBE_ASSETS

exec cargo run --locked --quiet -p firecamp-apiserver-tests -- "$@"
