#!/usr/bin/env bash
# Runs our EC2 client against moto's server, an implementation of EC2's wire protocol that is
# neither ours nor AWS's. Needs python3 with venv, and a package index for the first run.
set -euo pipefail

MOTO_VERSION=5.2.5
cd "$(dirname "$0")/.."
work="${CARGO_TARGET_DIR:-target}/moto-$MOTO_VERSION"
log="$work/server.log"

fail() {
    echo "test-moto: $*" >&2
    exit 1
}

command -v python3 >/dev/null || fail "python3 is missing: install it with its venv module"
if [ ! -x "$work/bin/moto_server" ]; then
    python3 -m venv "$work" || fail "python3 has no venv module (Debian: apt install python3-venv)"
    "$work/bin/pip" install --quiet --disable-pip-version-check "moto[server,ec2]==$MOTO_VERSION" ||
        fail "cannot install moto $MOTO_VERSION: a Python package index is needed"
fi

# Port 0: the kernel chooses a free one, and the server says which.
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

# Over the whole workspace, so that the SDK that `cargo test` has built is used.
MOTO_ENDPOINT="$endpoint" cargo test --locked --workspace --features firecamp-cloud/moto \
    --test moto "$@"
