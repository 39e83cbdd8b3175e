#!/usr/bin/env bash
# Changes the core in every way that cargo-mutants knows, one at a time, and expects a test to
# fail: mutants.sh CARGO_MUTANTS [ARGUMENT...], for example `--shard 1/8` or `--file lock.rs`.
# A mutant that survives must be explained in docs/mutants.md.
set -euo pipefail
cd "$(dirname "$0")/.."

mutants=$1
shift
out=${CARGO_TARGET_DIR:-$PWD/target}/mutants
mkdir -p "$out"
# What fails is not made small, and a quarter of the random cases shows nearly all of it.
export PROPTEST_MAX_SHRINK_ITERS=0 PROPTEST_CASES=${PROPTEST_CASES:-64}
pass() {
    # 2: mutants survived, 3: tests timed out. Both are judged below.
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
# What the core's own tests let pass is judged by the histories, which are slower and see more.
[[ ! -s $list/missed.txt ]] || pass --iterate --profile dev \
    --test-package firecamp-histories --no-default-features "$@"
# What only decides about a planted bug is the same in every build that is shipped.
planted() { sed -n "$(($2 > 1 ? $2 - 1 : 1))p" "$1" | grep -q 'if planted('; }
unexplained=$(while IFS=: read -r file line _ name; do
    planted "$file" "$line" && continue
    # Without line numbers, which every change moves; a bar would end a cell of the table there.
    name=${name//|/\\|}
    grep -qF -- "\`$file:$name\`" docs/mutants.md || printf '%s:%s:%s\n' "$file" "$line" "$name"
done < "$list/missed.txt")
[[ -z $unexplained ]] && exit 0
printf '\nSurvived and not explained in docs/mutants.md:\n%s\n' "$unexplained"
exit 1
