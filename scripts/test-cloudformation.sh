#!/usr/bin/env bash
# Checks the CloudFormation template with cfn-lint. Needs python3 with venv; the first run also
# needs a package index.
set -euo pipefail

CFN_LINT_VERSION=1.58.0
cd "$(dirname "$0")/.."
work="${CARGO_TARGET_DIR:-target}/cfn-lint-$CFN_LINT_VERSION"

fail() {
    echo "test-cloudformation: $*" >&2
    exit 1
}

command -v python3 >/dev/null || fail "python3 is not installed: install it with its venv module"
if [ ! -x "$work/bin/cfn-lint" ]; then
    python3 -m venv "$work" || fail "python3 has no venv module (Debian: apt install python3-venv)"
    "$work/bin/pip" install --quiet --disable-pip-version-check "cfn-lint==$CFN_LINT_VERSION" ||
        fail "cannot install cfn-lint $CFN_LINT_VERSION from the Python package index"
fi
"$work/bin/cfn-lint" --non-zero-exit-code informational --template deploy/cloudformation/*.yaml
echo "test-cloudformation: no findings"
