#!/usr/bin/env bash
# Generated files: `generated.sh check` says whether they are up to date, `generated.sh bless`
# rewrites them. The same tests do both; BLESS=1 makes them write what they would compare.
set -euo pipefail
cd "$(dirname "$0")/.."

# Each line: a package, and the test target that compares its generated files.
readonly generators="
firecamp-run    documents
firecamp-cases  table
"

case ${1:-} in
    check) ;;
    bless) export BLESS=1 ;;
    *) echo "usage: generated.sh check|bless" >&2; exit 2 ;;
esac

while read -r package target; do
    [[ -z $package ]] || cargo test --locked --quiet --package "$package" --test "$target"
done <<<"$generators"
