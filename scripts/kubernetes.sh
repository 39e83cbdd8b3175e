#!/usr/bin/env bash
# Prints the directory with these binaries of Kubernetes and etcd: kubernetes.sh kube-apiserver
# etcd. Builds what is missing there from the Go modules that tests/kubernetes/$KUBERNETES pins
# (needs Go and a module proxy; minutes once, then nothing), or takes the directory that KUBE_ASSETS
# names.
set -euo pipefail
cd "$(dirname "$0")/.."
target="${CARGO_TARGET_DIR:-$PWD/target}"
release=${KUBERNETES:-1.37}
module="tests/kubernetes/$release"

say() {
    echo "kubernetes: $*" >&2
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
    total=$(cd "$module" && go list -deps "$1" 2> >(progress "$2" 0) | wc -l)
    (cd "$module" && CGO_ENABLED=0 go build -v -trimpath -ldflags "-s -w $3" \
        -o "$assets/$2" "$1" 2> >(progress "$2" "$total"))
    say "$2 took $((SECONDS - begun)) s, $(du -m "$assets/$2" | cut -f 1) MiB"
}

# Without these every component believes that it is v0.0.0.
versions() {
    local version minor package
    version=$(cd "$module" && go list -m -f '{{.Version}}' k8s.io/kubernetes)
    minor=${version#v1.}
    for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
        printf '%s ' "-X $package.gitVersion=$version -X $package.gitMajor=1" \
            "-X $package.gitMinor=${minor%%.*}"
    done
}

if [[ -n "${KUBE_ASSETS:-}" ]]; then
    (cd "$KUBE_ASSETS" && pwd)
    exit
fi
if [[ ! -f "$module/go.mod" ]]; then
    say "KUBERNETES=$release: choose one of $(ls tests/kubernetes | xargs)"
    exit 2
fi
assets="$target/kubernetes/$release"
mkdir -p "$assets"
assets=$(cd "$assets" && pwd)
for name in "$@"; do
    stamp="$assets/$name.built-from"
    if [[ -x "$assets/$name" ]] && cmp -s "$module/go.sum" "$stamp"; then
        continue
    fi
    if ! command -v go >/dev/null; then
        say "Go is missing: install it (https://go.dev/dl), or set KUBE_ASSETS to a directory" \
            "with $*"
        exit 1
    fi
    key=$(go version && cat scripts/kubernetes.sh "$module/go.mod" "$module/go.sum")
    if ! scripts/kept.sh get "$name" "$key" "$assets/$name"; then
        if [[ "$name" == etcd ]]; then
            build go.etcd.io/etcd/server/v3 etcd ""
        else
            build "k8s.io/kubernetes/cmd/$name" "$name" "$(versions)"
        fi
        scripts/kept.sh put "$name" "$key" "$assets/$name"
    fi
    cp "$module/go.sum" "$stamp"
done
echo "$assets"
