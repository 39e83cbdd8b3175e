#!/usr/bin/env bash
# Tests our EC2 client against the moto server, an independent implementation of EC2's API. Needs
# what scripts/python-tools.sh needs.
set -euo pipefail

cd "$(dirname "$0")/.."
tools=$(scripts/python-tools.sh aws)
log="$tools/../server.log"

fail() {
    echo "test-moto: $*" >&2
    exit 1
}

# Port 0: the kernel chooses a free port, and the server prints it.
"$tools/moto_server" -H 127.0.0.1 -p 0 >"$log" 2>&1 &
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
