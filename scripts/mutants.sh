#!/usr/bin/env bash
# Mutation testing of the core: applies each of cargo-mutants' changes alone and expects a test to
# fail: mutants.sh CARGO_MUTANTS [ARGUMENT...], for example `--shard 1/8` or `--file lock_rule.rs`.
# docs/proof/mutants.md must explain every surviving mutant.
set -euo pipefail
cd "$(dirname "$0")/.."

mutants=$1
shift
out=${CARGO_TARGET_DIR:-$PWD/target}/mutants
mkdir -p "$out"
# Without shrinking, and with a quarter of the random cases, which finds nearly all mutants.
export PROPTEST_MAX_SHRINK_ITERS=0 PROPTEST_CASES=${PROPTEST_CASES:-64}
pass() {
    # 2: mutants survived, 3: tests timed out. Both are evaluated below.
    local code=0
    env -u CARGO_TARGET_DIR "$mutants" mutants --package firecamp-core --output "$out" \
        --jobs 1 --no-times --colors never "$@" || code=$?
    [[ $code -eq 0 || $code -eq 2 || $code -eq 3 ]] || exit "$code"
    local kind
    for kind in caught timeout unviable missed; do
        printf '%-9s %5d\n' "$kind" "$(wc -l < "$list/$kind.txt")"
    done
}
list=$out/mutants.out
pass "$@"
# The histories test the mutants that survive the core's own tests; they are slower but find more.
[[ ! -s $list/missed.txt ]] || pass --iterate --profile dev \
    --test-package firecamp-histories --no-default-features "$@"
unexplained=$(while IFS=: read -r file line _ name; do
    # Without line numbers, which change often; a bar would end a cell of the Markdown table.
    name=${name//|/\\|}
    grep -qF -- "\`$file:$name\`" docs/proof/mutants.md || printf '%s:%s:%s\n' "$file" "$line" "$name"
done < "$list/missed.txt")
[[ -z $unexplained ]] && exit 0
printf '\nSurviving mutants without an explanation in docs/proof/mutants.md:\n%s\n' "$unexplained"
exit 1
