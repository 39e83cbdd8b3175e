#!/usr/bin/env bash
# What the deployment and the registry of a cluster do on a real kube-apiserver and etcd. Builds
# both from Go modules (needs Go and a module proxy; minutes once, then nothing), or takes them
# from the directory that KUBE_ASSETS names. Arguments choose checks by a part of their names.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
target="${CARGO_TARGET_DIR:-$root/target}"

say() {
    echo "test-apiserver: $*" >&2
}

fail() {
    say "$*"
    exit 1
}

# Copies what Go says to the standard error output: packages as a count, all else as it is.
progress() {
    awk -v name="$1" -v total="$2" '
        /^go: downloading / {
            if (++modules % 50 == 0) print name ": " modules " modules fetched"
        }
        / / && !/^go: downloading / { print }
        !/ / && ++packages % 100 == 0 { print name ": " packages " packages compiled of " total }
        { fflush() }
    ' >&2
}

# build PACKAGE NAME LDFLAGS: Go's own cache makes the second time cheap.
build() {
    local begun=$SECONDS total
    say "building $2 from $1 (Go fetches its modules the first time)"
    total=$(cd tests/kubernetes && go list -deps "$1" 2> >(progress "$2" 0) | wc -l)
    (cd tests/kubernetes && CGO_ENABLED=0 go build -v -trimpath -ldflags "-s -w $3" \
        -o "$KUBE_ASSETS/$2" "$1" 2> >(progress "$2" "$total"))
    say "$2 took $((SECONDS - begun)) s, $(du -m "$KUBE_ASSETS/$2" | cut -f 1) MiB"
}

if [ -z "${KUBE_ASSETS:-}" ]; then
    command -v go >/dev/null || fail "Go is missing: install it (https://go.dev/dl), or set \
KUBE_ASSETS to a directory with etcd and kube-apiserver"
    export KUBE_ASSETS="$target/kubernetes"
    mkdir -p "$KUBE_ASSETS"
    stamp="$KUBE_ASSETS/built-from"
    if ! cmp -s tests/kubernetes/go.sum "$stamp"; then
        version=$(cd tests/kubernetes && go list -m -f '{{.Version}}' k8s.io/kubernetes)
        minor=${version#v1.}
        # Without these every component believes that it is v0.0.0.
        package=k8s.io/component-base/version
        flags="-X $package.gitVersion=$version -X $package.gitMajor=1"
        flags="$flags -X $package.gitMinor=${minor%%.*}"
        build go.etcd.io/etcd/server/v3 etcd ""
        build k8s.io/kubernetes/cmd/kube-apiserver kube-apiserver "$flags"
        cp tests/kubernetes/go.sum "$stamp"
    fi
fi
KUBE_ASSETS=$(cd "$KUBE_ASSETS" && pwd)
export KUBE_ASSETS

# What users install with.
HELM=$(scripts/tool.sh helm helm.sh/helm/v4/cmd/helm tools)
export HELM

# Of the whole workspace, so that what `cargo test` has built is used.
say "building the checks and the agent"
cargo build --locked --quiet --bin firecamp-apiserver-tests --bin firecamp-agent
say "running them on $("$KUBE_ASSETS/kube-apiserver" --version)"
exec "$target/debug/firecamp-apiserver-tests" "$@"
