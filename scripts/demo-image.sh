#!/usr/bin/env bash
# Draws docs/images/demo.png: the page that the demo writes of the run that its tests replay
# (demo/tests/data/run.jsonl), as a browser shows it. Needs chromium, and installs it from Debian's
# packages if it is missing and this is root.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! command -v chromium >/dev/null; then
    if [[ $(id -u) != 0 ]] || ! command -v apt-get >/dev/null; then
        echo "demo-image: chromium is missing: install it (Debian: apt-get install chromium)" >&2
        exit 1
    fi
    echo "demo-image: installing chromium from Debian's packages"
    apt-get update -q
    apt-get install -qy --no-install-recommends chromium fonts-dejavu-core
fi

work=$(mktemp -d)
trap 'rm -r "$work"' EXIT
cargo build --quiet --locked --bin firecamp-demo
"${CARGO_TARGET_DIR:-target}/debug/firecamp-demo" --replay demo/tests/data/run.jsonl \
    --report "$work/demo.html" >"$work/out.txt"
# Its sandbox needs privileges that a container lacks; the page is our own.
chromium --headless --no-sandbox --disable-gpu --hide-scrollbars --force-color-profile=srgb \
    --user-data-dir="$work/profile" --window-size=1140,800 --screenshot="$work/demo.png" \
    "file://$work/demo.html" 2>"$work/chromium.txt" || { cat "$work/chromium.txt" >&2; exit 1; }
cp "$work/demo.png" docs/images/demo.png
echo "demo-image: docs/images/demo.png is drawn from demo/tests/data/run.jsonl"
