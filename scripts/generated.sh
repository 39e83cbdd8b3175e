#!/usr/bin/env bash
# Generated files: `generated.sh check` checks that they are up to date, `generated.sh bless`
# rewrites them. The same tests do both; with BLESS=1 they write instead of comparing.
set -euo pipefail
cd "$(dirname "$0")/.."

case ${1:-} in
    check) ;;
    bless) export BLESS=1 ;;
    *) echo "usage: generated.sh check|bless" >&2; exit 2 ;;
esac

# Builds the whole workspace, so that `cargo test` can reuse the results.
run() { cargo test --locked --quiet --workspace "$@"; }

# docs/development/demo.md, from a recorded run, and README.md, which contains a part of it.
run --test rendering
run --test readme
# docs/configuration.md, docs/exit-codes.md, docs/cli.md, docs/metrics.md,
# docs/proof/failure-cases.md and the golden plans.
run --test documents --test table --test golden
# docs/proof/PERFORMANCE.md, from the results in docs/proof/performance.
run --test performance
# docs/proof/crash-points.md: the results of a crash at every point. This takes minutes; `cargo
# test` also compares it.
[[ $1 == check ]] || run --test enumeration
# docs/proof/transitions.md.
run --test machines transitions::
# deploy/crds.
run --test crds
# docs/development/vpcbox-conformance.md.
run --test conformance the_document_matches_the_table
# docs/file-registry.md and docs/examples/registry.
run --test registry documents::
# The conditions in docs/preflight.md, and the golden files of uninstall, doctor and the leader.
run --test preflight_page --test cleanup_plans
run --test look
run --test cluster golden::
