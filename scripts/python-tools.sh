#!/usr/bin/env bash
# Prints the directory with these programs from the Python package index, and installs them first if
# they are not there: python-tools.sh aws (the AWS CLI, and moto, a server that plays services of
# AWS) | cfn-lint. Needs python3 with venv; the first run also needs a package index.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() {
    echo "python-tools: $*" >&2
    exit 1
}

case ${1:-} in
    aws) packages=("awscli==1.46.3" "moto[server,ec2,ecr,eks,iam]==5.2.5") ;;
    cfn-lint) packages=("cfn-lint==1.58.0" "jsonschema==4.25.1") ;;
    *) fail "usage: python-tools.sh aws|cfn-lint" ;;
esac
work="${CARGO_TARGET_DIR:-target}/python/$1"
stamp="$work/packages"

if [[ $(cat "$stamp" 2>/dev/null) != "${packages[*]}" ]]; then
    command -v python3 >/dev/null || fail "python3 is not installed: install it with its venv module"
    rm -rf "$work"
    mkdir -p "$(dirname "$work")"
    python3 -m venv "$work" || fail "python3 has no venv module (Debian: apt install python3-venv)"
    "$work/bin/pip" install --quiet --disable-pip-version-check "${packages[@]}" >&2 ||
        fail "cannot install ${packages[*]} from the Python package index"
    echo "${packages[*]}" >"$stamp"
fi
(cd "$work/bin" && pwd)
