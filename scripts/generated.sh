#!/usr/bin/env bash
# Generated files: `generated.sh check` says whether they are up to date, `generated.sh bless`
# rewrites them. The same tests do both; BLESS=1 makes them write what they would compare.
set -euo pipefail
cd "$(dirname "$0")/.."

case ${1:-} in
    check) ;;
    bless) export BLESS=1 ;;
    *) echo "usage: generated.sh check|bless" >&2; exit 2 ;;
esac

# Over the whole workspace, so that what is built is what `cargo test` uses.
run() { cargo test --locked --quiet --workspace "$@"; }

# docs/demo.md, from a recorded run, and then README.md, which shows a part of it.
run --test rendering
run --test readme
# docs/configuration.md, docs/exit-codes.md, docs/cli.md, docs/metrics.md, docs/failure-cases.md and
# the golden plans.
run --test documents --test table --test golden
# docs/PERFORMANCE.md, from the results in docs/performance.
run --test performance
# docs/crash-points.md: what everything meets that crashes everywhere. It takes minutes, and
# `cargo test` compares it as well.
[[ $1 == check ]] || run --test enumeration
# deploy/crds.
run --test crds
# docs/vpcbox-conformance.md.
run --test conformance the_document_is_the_table
# docs/file-registry.md and docs/examples/registry.
run --test registry documents::
