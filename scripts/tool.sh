#!/usr/bin/env bash
# Prints where a tool is that a Go module of this repository pins, and builds it first if it is not
# there: tool.sh NAME PACKAGE MODULE-DIRECTORY. Needs Go and a module proxy for that.
set -euo pipefail
cd "$(dirname "$0")/.."
name=$1 package=$2 module=$3
bin="${CARGO_TARGET_DIR:-$PWD/target}/tools/bin"
mkdir -p "$bin"
bin=$(cd "$bin" && pwd)
stamp="$bin/$name.built-from"

if ! cmp -s "$module/go.sum" "$stamp" || [[ ! -x "$bin/$name" ]]; then
    if ! command -v go >/dev/null; then
        echo "$name: Go is missing: install it (https://go.dev/dl)" >&2
        exit 1
    fi
    # A module's sums can be longer than an argument may be.
    key=$({ go version && echo "$package" && cat "$module/go.mod" "$module/go.sum"; } | sha256sum)
    if ! scripts/kept.sh get "$name" "$key" "$bin/$name"; then
        begun=$SECONDS
        echo "building $name from $package" >&2
        (cd "$module" && CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o "$bin/$name" "$package")
        scripts/kept.sh put "$name" "$key" "$bin/$name"
        echo "$name took $((SECONDS - begun)) s" >&2
    fi
    cp "$module/go.sum" "$stamp"
fi
echo "$bin/$name"
