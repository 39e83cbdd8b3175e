#!/usr/bin/env bash
# Tests our EC2 client against the moto server, an independent implementation of EC2's API. Needs
# python3 with venv; the first run also needs a package index.
set -euo pipefail

MOTO_VERSION=5.2.5
cd "$(dirname "$0")/.."
work="${CARGO_TARGET_DIR:-target}/moto-$MOTO_VERSION"
log="$work/server.log"

fail() {
    echo "test-moto: $*" >&2
    exit 1
}

command -v python3 >/dev/null || fail "python3 is not installed: install it with its venv module"
if [ ! -x "$work/bin/moto_server" ]; then
    python3 -m venv "$work" || fail "python3 has no venv module (Debian: apt install python3-venv)"
    "$work/bin/pip" install --quiet --disable-pip-version-check "moto[server,ec2]==$MOTO_VERSION" ||
        fail "cannot install moto $MOTO_VERSION from the Python package index"
fi

# Port 0: the kernel chooses a free port, and the server prints it.
"$work/bin/moto_server" -H 127.0.0.1 -p 0 >"$log" 2>&1 &
server=$!
trap 'kill "$server" 2>/dev/null || true; wait "$server" 2>/dev/null || true' EXIT

endpoint=""
for _ in $(seq 300); do
    endpoint="$(sed -n 's|.*Running on \(http://127\.0\.0\.1:[0-9]*\).*|\1|p' "$log" | head -n 1)"
    [ -z "$endpoint" ] || break
    kill -0 "$server" 2>/dev/null || fail "moto's server ended: $(cat "$log")"
    sleep 0.1
done
[ -n "$endpoint" ] || fail "moto's server did not start within 30 s: $(cat "$log")"

# Builds the whole workspace, so that the SDK from `cargo test` is reused.
MOTO_ENDPOINT="$endpoint" cargo test --locked --workspace --features firecamp-cloud/moto \
    --test moto "$@"
