#!/usr/bin/env bash
# Does the decision code have the same effects as at a pinned commit? Builds the recorder of that
# commit (tests/oracle/base), and replays what it records against the code of this tree:
#
#     scripts/oracle.sh            N=100000 histories of the model from SEED=1 on, a share of that
#                                  of volumes, sweeps, leader, lease and publisher, and all crashes
#     scripts/oracle.sh model      only this kind; several can be named
#     scripts/oracle.sh digests    prints hashes of what the recorder records for the first seeds
#     scripts/oracle.sh bless      writes them to tests/oracle/digests
#
# Recordings are piped, not stored. tests/oracle/renames.tsv maps names that have changed since the
# pinned commit. PAIRS= omits pairs of crashes, SHOW=50 prints more differences, JOBS=4 sets the
# number of pipelines.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly kinds=(model volumes sweeps leader lease publisher crashes)
base=$(<tests/oracle/base)
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
own=$target/oracle
tree=$own/tree
recorder=$own/build/release/firecamp-oracle
replayer=$target/release/firecamp-oracle
jobs=${JOBS:-$(nproc)}

fail() { echo "oracle: $*" >&2; exit 2; }

# The tree of the pinned commit, and its recorder.
build_recorder() {
    git cat-file -e "$base^{commit}" 2>/dev/null ||
        fail "commit $base is not here: git fetch origin $base"
    mkdir -p "$own"
    if [[ $(git -C "$tree" rev-parse HEAD 2>/dev/null) != "$base" ]]; then
        rm -rf "$tree"
        git worktree prune
        git worktree add --quiet --detach "$tree" "$base"
    fi
    git -C "$tree" diff --quiet HEAD || fail "$tree was changed: remove it"
    echo "oracle: building the recorder of ${base:0:12}"
    (cd "$tree" && CARGO_TARGET_DIR=$own/build cargo build --quiet --release --locked \
        --package firecamp-oracle)
}

build_replayer() {
    echo "oracle: building the replayer of this tree"
    cargo build --quiet --release --locked --package firecamp-oracle
}

# A sample of each kind, small enough for every run.
digests() {
    local sample digest
    for sample in 'record model --histories 1000' 'record volumes --histories 20' \
        'record sweeps --histories 1000' 'record leader --histories 100' \
        'record lease --histories 1000' 'record publisher --histories 20' \
        'crashes --pairs --of 1000'; do
        # shellcheck disable=SC2086 # words
        digest=$("$recorder" $sample | sha256sum | cut -d ' ' -f 1)
        echo "$digest  $sample"
    done
}

check_digests() {
    digests | diff tests/oracle/digests - >&2 ||
        fail "the recorder has changed: its output differs from tests/oracle/digests"
}

# The number of histories of a kind.
share() {
    case $1 in
        model) echo "$n" ;;
        volumes | leader) echo $((n / 50 + 1)) ;;
        publisher) echo $((n / 100 + 1)) ;;
        sweeps | lease) echo $((n / 10 + 1)) ;;
    esac
}

# One part of a kind, recorded and replayed.
part() {
    local kind=$1 number=$2 all from to
    if [[ $kind == crashes ]]; then
        set -- crashes ${PAIRS---pairs} --of "$jobs" --part "$number"
    else
        all=$(share "$kind")
        from=$((all * number / jobs)) to=$((all * (number + 1) / jobs))
        [[ $to -gt $from ]] || return 0
        set -- record "$kind" --seed $((seed + from)) --histories $((to - from))
    fi
    "$recorder" "$@" |
        "$replayer" replay --renames tests/oracle/renames.tsv --show "${SHOW:-10}" --report 20000
}

# All parts of a kind in parallel, with their sums.
kind() {
    local kind=$1 number begun=$SECONDS pids=() code=0 worst=0
    for ((number = 0; number < jobs; number++)); do
        part "$kind" "$number" >"$own/$kind.$number" &
        pids+=($!)
    done
    for number in "${!pids[@]}"; do
        code=0
        wait "${pids[$number]}" || code=$?
        [[ $code -le $worst ]] || worst=$code
        sed '$d' "$own/$kind.$number"
    done
    tail -qn 1 "$own/$kind".* | totals "$kind"
    rm -f "$own/$kind".*
    echo "oracle: $kind took $((SECONDS - begun)) s"
    return "$worst"
}

# Sums lines of names and numbers.
totals() {
    awk -v what="$1" '
        {
            for (i = 1; i < NF; i += 2) {
                if (!($i in sum)) names[++count] = $i
                sum[$i] += $(i + 1)
            }
        }
        END {
            printf "%-10s", what
            for (i = 1; i <= count; i++) printf " %s %d", names[i], sum[names[i]]
            print ""
        }'
}

run() {
    local what worst=0 code
    n=${N:-100000} seed=${SEED:-1}
    build_recorder
    build_replayer
    check_digests
    : >"$own/totals"
    for what in "$@"; do
        code=0
        kind "$what" >"$own/said" || code=$?
        [[ $code -le $worst ]] || worst=$code
        cat "$own/said"
        grep "^$what " "$own/said" | sed "s/^$what *//" >>"$own/totals"
    done
    totals all <"$own/totals"
    [[ $worst -eq 0 ]] || fail_with "$worst"
    echo "oracle: all effects are those of ${base:0:12}"
}

fail_with() {
    echo "oracle: there are differences from ${base:0:12}, or errors (exit code $1)" >&2
    exit "$1"
}

case ${1:-} in
    digests) build_recorder >&2 && digests ;;
    bless) build_recorder && digests >tests/oracle/digests ;;
    '') run "${kinds[@]}" ;;
    *)
        for what in "$@"; do
            [[ " ${kinds[*]} " == *" $what "* ]] || fail "there are no $what: ${kinds[*]}"
        done
        run "$@"
        ;;
esac
