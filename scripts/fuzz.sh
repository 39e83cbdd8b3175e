#!/usr/bin/env bash
# Fuzzes targets of fuzz/ for a bounded time each: fuzz.sh CARGO_FUZZ SECONDS [TARGET...].
# Prints executions and coverage, and fails on any finding. Stores new inputs below target/; the
# corpus in the repository is only read.
set -euo pipefail
cd "$(dirname "$0")/.."

fuzz=$1 each=$2
shift 2
work=${CARGO_TARGET_DIR:-$PWD/target}/fuzz
targets=("$@")
if [[ ${#targets[@]} -eq 0 ]]; then
    for file in fuzz/fuzz_targets/*.rs; do targets+=("$(basename "$file" .rs)"); done
fi

# Uses the stable compiler with coverage instrumentation. SANITIZER=address needs a nightly compiler
# and also checks memory accesses; our code has no unsafe blocks, and that build takes far longer.
if [[ ${SANITIZER:-none} == address ]]; then
    export RUSTUP_TOOLCHAIN=nightly
    options=(--fuzz-dir fuzz --strip-dead-code --target-dir "$work/nightly" -s address)
else
    export RUSTC_BOOTSTRAP=1
    options=(--fuzz-dir fuzz --strip-dead-code --target-dir "$work/stable" -s none)
fi
export RUSTC_WRAPPER=$PWD/scripts/fuzz-rustc.sh

begun=$SECONDS
"$fuzz" build "${options[@]}"
printf 'built in %d s (%s)\n' $((SECONDS - begun)) "${options[*]: -2}"

# Runs one target and prints the last line of libFuzzer's output.
one() {
    local name=$1 learned=$work/corpus/$1 found=$work/findings/$1/ log=$work/$1.log
    mkdir -p "$learned" "$found"
    local limits=(-max_total_time="$each" -timeout=10 -rss_limit_mb=2048 -detect_leaks=0)
    local dictionary=fuzz/dictionaries/$name.dict
    [[ ! -f $dictionary ]] || limits+=(-dict="$dictionary")
    "$fuzz" run "${options[@]}" "$name" "$learned" "fuzz/corpus/$name" -- \
        "${limits[@]}" -artifact_prefix="$found" -print_final_stats=1 > "$log" 2>&1
}

failed=()
printf '%-16s %12s %10s %10s\n' target executions a-second coverage
for name in "${targets[@]}"; do
    verdict=
    one "$name" || { failed+=("$name"); verdict='  FAILED'; }
    log=$work/$name.log
    runs=$(awk '/^stat::number_of_executed_units/ { print $2 }' "$log")
    rate=$(awk '/^stat::average_exec_per_sec/ { print $2 }' "$log")
    covered=$(grep -o 'cov: [0-9]*' "$log" | tail -1 || true)
    printf '%-16s %12s %10s %10s%s\n' "$name" "${runs:-?}" "${rate:-?}" "${covered#cov: }" "$verdict"
done

[[ ${#failed[@]} -eq 0 ]] && exit 0
for name in "${failed[@]}"; do
    printf '\n=== %s: %s\n' "$name" "$work/$name.log"
    grep -E 'panicked at|SUMMARY|ERROR|Test unit written' -A 3 "$work/$name.log" | head -20 || true
done
cat <<END

To minimize an input:  $fuzz tmin ${options[*]} TARGET FILE
Then add it to fuzz/corpus/TARGET under a descriptive name: \`cargo test\` replays the corpus. See
docs/development/testing.md.
END
exit 1
